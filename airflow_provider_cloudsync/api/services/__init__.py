"""Registry of the services, one folder each.

A folder's ``__init__`` declares its `ServiceEntry`: name, probe, syncs, and assets. Its other modules (calls, polls and
verdicts, the watch for event triggers) are imported when they are used.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.exceptions import InvalidEvent

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.model import Probe, Service
    from airflow_provider_cloudsync.api.services.entry import ServiceEntry

#: Folders here, in the order in which the ``check`` command asks them.
NAMES = ("mrs", "dataarts", "hss", "coc", "csms")


@functools.cache
def entries() -> dict[str, ServiceEntry]:
    """Return the entry of each service, by its name."""
    return {name: import_module(f"{__name__}.{name}").ENTRY for name in NAMES}


def find_entry(name: str) -> ServiceEntry | None:
    """Return the entry of a service by its name, or by the name that tickets have for it."""
    for own_name, entry in entries().items():
        if name in (own_name, *entry.syncs):
            return entry
    return None


def sync_names() -> tuple[str, ...]:
    """Return the names that tickets have for what is waited for."""
    return tuple(name for entry in entries().values() for name in entry.syncs)


def find_service(name: str) -> Service[Any]:
    """Return the service that a ticket names.

    :raises InvalidEvent: if this release has no such service.
    """
    entry = find_entry(name)
    if entry is not None and name in entry.syncs:
        found: Service[Any] = entry.load(entry.syncs[name])
        return found
    known = ", ".join(sync_names())
    raise InvalidEvent(f'This release has no service "{name}" (it has: {known}).')


def find_probe(name: str) -> Probe:
    """Return the harmless read of a service that the ``check`` command sends.

    :param name: one of `NAMES`.
    """
    entry = entries()[name]
    probe: Probe = entry.load(entry.probe)
    return probe


def named(name: str) -> Any:
    """Return a class attribute: the service of that name in tickets, imported when it is used."""
    return _Named(name)


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return find_service(self._name)
