"""MRS: several runs, one after the other, for more names than a request carries."""

from __future__ import annotations

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import Target
from airflow_provider_cloudsync.api.services.mrs.calls import SyncState
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IamSync
from airflow_provider_cloudsync.api.waiting.sequence import run_sequence

#: Seconds that all runs of `send_all` may take.
_LONGEST_RUN = 3600.0


def send_all(cloud: Cloud, service: IamSync, target: Target) -> Flow[SyncState]:
    """Start a run for each thousand of names, one after the other, since a cluster takes one at a time.

    :return: the reply to the last start; the runs before it have ended.
    :raises SyncFailed: if a run before the last one failed.
    """
    if len(service.split(target)) == 1:
        receipt = yield from service.start(cloud, target)
        return {"state": receipt["state"]}
    ticket = yield from run_sequence(cloud, service, target, deadline=cloud.clock() + _LONGEST_RUN)
    return {"state": ticket.receipt.get("state", "")}
