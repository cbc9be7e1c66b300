"""MRS: several runs, one after the other, for more names than a request carries."""

from __future__ import annotations

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import Phase, Stage, Target, Ticket
from airflow_provider_cloudsync.api.services.mrs.calls import SyncState
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IamSync
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.api.waiting.starting import begin
from airflow_provider_cloudsync.exceptions import SyncFailed

#: Seconds that all runs of `send_all` may take.
_LONGEST_RUN = 3600.0


def send_all(cloud: Cloud, service: IamSync, target: Target) -> Flow[SyncState]:
    """Start a run for each thousand of names, one after the other, since a cluster takes one at a time.

    :return: the reply to the last start; the runs before it have ended.
    :raises SyncFailed: if a run before the last one failed.
    """
    *first, last = service.split(target)
    deadline = cloud.clock() + _LONGEST_RUN
    for part in first:
        ticket = yield from _start_in_turn(cloud, service, part, deadline)
        ended = yield from until_done(cloud, service, ticket, deadline=deadline)
        if ended.phase is not Phase.SUCCEEDED:
            raise SyncFailed(f"{service.describe(part)}: {ended.why}")
    if first:
        ticket = yield from _start_in_turn(cloud, service, last, deadline)
        return {"state": ticket.receipt.get("state", "")}
    receipt = yield from service.start(cloud, last)
    return {"state": receipt["state"]}


def _start_in_turn(cloud: Cloud, service: IamSync, target: Target, deadline: float) -> Flow[Ticket]:
    while True:
        ticket = yield from begin(cloud.until(deadline), service, target)
        if ticket.stage is Stage.STARTED:
            return ticket
        turn = yield from until_done(cloud, service, ticket, deadline=deadline)
        if turn.phase is not Phase.SUCCEEDED:
            raise SyncFailed(f"{service.describe(target)}: {turn.why}")
