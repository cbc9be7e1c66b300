"""One file a service: its requests, how to observe it, and how to judge what is observed."""

from __future__ import annotations

from typing import Any

from airflow_provider_cloudsync.api.model import Probe, Service
from airflow_provider_cloudsync.api.services import coc, csms, dataarts, hss, mrs_calls
from airflow_provider_cloudsync.api.services.coc import RESOURCE_SYNC
from airflow_provider_cloudsync.api.services.dataarts import MEMBER_SYNC
from airflow_provider_cloudsync.api.services.hss import EVENT_SYNC
from airflow_provider_cloudsync.api.services.mrs import IAM_CANCEL, IAM_SYNC
from airflow_provider_cloudsync.exceptions import InvalidEvent

#: What the ``check`` command asks of each service.
PROBES: dict[str, Probe] = {
    "mrs": mrs_calls.PROBE,
    "dataarts": dataarts.PROBE,
    "hss": hss.PROBE,
    "coc": coc.PROBE,
    "csms": csms.PROBE,
}
_ALL: tuple[Service[Any], ...] = (IAM_SYNC, IAM_CANCEL, MEMBER_SYNC, RESOURCE_SYNC, EVENT_SYNC)
SERVICES: dict[str, Service[Any]] = {each.name: each for each in _ALL}


def find_service(name: str) -> Service[Any]:
    """The service that a ticket names.

    :raises InvalidEvent: if this release has no such service.
    """
    try:
        return SERVICES[name]
    except KeyError:
        raise InvalidEvent(f'This release has no service "{name}" (it has: {", ".join(SERVICES)}).') from None
