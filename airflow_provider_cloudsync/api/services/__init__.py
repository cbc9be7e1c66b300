"""One file a service: its requests, how to observe it, and how to judge what is observed.

Each is imported when it is asked for: a DAG file that uses one of them does not pay for all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.exceptions import InvalidEvent

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.model import Probe, Service
    from airflow_provider_cloudsync.api.services.coc import calls as calls
    from airflow_provider_cloudsync.api.services.coc import resource_sync as resource_sync
    from airflow_provider_cloudsync.api.services.csms import calls as calls
    from airflow_provider_cloudsync.api.services.csms import changes as changes
    from airflow_provider_cloudsync.api.services.dataarts import member_sync as member_sync
    from airflow_provider_cloudsync.api.services.hss import event_sync as event_sync
    from airflow_provider_cloudsync.api.services.mrs import calls as calls
    from airflow_provider_cloudsync.api.services.mrs import iam_sync as iam_sync
    from airflow_provider_cloudsync.api.services.mrs import runs as runs

    PROBES: dict[str, Probe]
    SERVICES: dict[str, Service[Any]]

#: What is waited for, by the name that tickets have -> its module and its name there.
_WAITED_FOR = {
    "mrs": ("mrs", "IAM_SYNC"),
    "mrs-cancel": ("mrs", "IAM_CANCEL"),
    "dataarts": ("dataarts", "MEMBER_SYNC"),
    "coc": ("coc", "RESOURCE_SYNC"),
    "hss": ("hss", "EVENT_SYNC"),
}
#: What the ``check`` command asks of each service is the PROBE of these.
_PROBED = {"mrs": "mrs_calls", "dataarts": "dataarts", "hss": "hss", "coc": "coc", "csms": "csms"}


#: What hooks, operators and sensors have as ``services.mrs``: it is imported when it is used, and not when a DAG file
#: is parsed.
_WHEN_USED = ("coc", "coc_calls", "csms", "csms_calls", "dataarts", "hss", "mrs", "mrs_calls", "mrs_runs")


def __getattr__(name: str) -> Any:
    if name in _WHEN_USED:
        return import_module(f"{__name__}.{name}")
    if name == "SERVICES":
        return {each: find_service(each) for each in _WAITED_FOR}
    if name == "PROBES":
        return {service: _of(module, "PROBE") for service, module in _PROBED.items()}
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_service(name: str) -> Service[Any]:
    """The service that a ticket names.

    :raises InvalidEvent: if this release has no such service.
    """
    try:
        where = _WAITED_FOR[name]
    except (KeyError, TypeError):
        known = ", ".join(_WAITED_FOR)
        raise InvalidEvent(f'This release has no service "{name}" (it has: {known}).') from None
    found: Service[Any] = _of(*where)
    return found


def named(name: str) -> Any:
    """For a class attribute: the service of that name, imported when it is used."""
    return _Named(name)


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return find_service(self._name)


def _of(module: str, name: str) -> Any:
    return getattr(import_module(f"{__name__}.{module}"), name)
