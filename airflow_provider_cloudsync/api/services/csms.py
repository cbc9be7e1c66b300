"""CSMS: bringing an event notification into the state that is asked for, and making sure that it is.

The service answers at once, so there is nothing to wait for. What there is to get wrong: a write that is taken and not
carried out, one whose reply is lost, and what an event was like before it was changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.replies import is_missing
from airflow_provider_cloudsync.api.services.csms_calls import (
    NO_SUCH_EVENT,
    Event,
    create_event,
    delete_event,
    find_event,
    list_subscribers,
    update_event,
)
from airflow_provider_cloudsync.api.services.parameters import ms_or_none
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, InvalidParameter, SyncFailed

log = logging.getLogger(__name__)

#: A write is read back so often, so many seconds apart, until it shows.
_READS, _BETWEEN_READS = 3, 1.0

Settings = Mapping[str, Any]


class Change(TypedDict):
    """What became of an event: its settings before and after, None where it did not exist."""

    changed: bool
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def settings_of(event: Event) -> dict[str, Any]:
    """Of an event, what can be set."""
    return {name: event.get(name) for name in ("state", "event_types", "notification")}


def create(
    cloud: Cloud, name: str, wanted: Settings, *, remember: Callable[[None], None] = lambda before: None
) -> Flow[Change]:
    """Create an event, or find that it is there as asked.

    :param remember: called before the write is sent, with None: there was no such event.
    :raises SyncFailed: if one of that name is there and different; it is not changed.
    """
    event = yield from find_event(cloud, name)
    if event is not None:
        there = settings_of(event)
        different = _different(there, wanted)
        if different:
            raise SyncFailed(
                f"{_event(name)} exists already, with another {' and '.join(different)}. Nothing was changed: use "
                "CsmsUpdateEventOperator to change it, or delete it first."
            )
        log.info("%s is there already, as asked.", _event(name))
        return {"changed": False, "before": there, "after": there}
    remember(None)
    problem: CloudSyncError | None = None
    try:
        yield from create_event(cloud, name, wanted)
    except CloudSyncError as error:
        problem = (
            error  # its reply may be lost, or the name taken by a try of our own: the event itself tells
        )
    after = yield from _read_back(cloud, name, wanted)
    if after is None or _different(after, wanted):
        raise problem or _not_taken(name, None, after, wanted)
    return {"changed": True, "before": None, "after": after}


def update(
    cloud: Cloud,
    name: str,
    wanted: Settings,
    *,
    remember: Callable[[dict[str, Any]], None] = lambda before: None,
    since: float | None = None,
) -> Flow[Change]:
    """Change of an event what is not as asked, and nothing if all is.

    :param remember: called with the settings before the write, and before it is sent.
    :param since: a write at that time or later (seconds since the epoch) may be of a try before this one. Where it is
        all that there is to see, ``before`` is None: what it overwrote is not known.
    :raises InvalidParameter: if nothing is asked.
    :raises SyncFailed: if there is no such event, or it is not as asked afterwards.
    """
    if not wanted:
        raise InvalidParameter("There is nothing to change: give state, event_types or notification.")
    event = yield from find_event(cloud, name)
    if event is None:
        raise _missing(cloud, name)
    before = settings_of(event)
    different = _different(before, wanted)
    if not different:
        log.info("%s is as asked already; nothing is written.", _event(name))
        if since is not None and (ms_or_none(event.get("update_time")) or since * 1000) >= since * 1000:
            log.warning(
                "It was changed during this run, perhaps by an earlier try of this task: what it was like before is "
                "not known, so it can't be restored."
            )
            return {"changed": False, "before": None, "after": before}
        return {"changed": False, "before": before, "after": before}
    remember(before)
    expected = {**before, **wanted}
    problem: CloudSyncError | None = None
    try:
        yield from update_event(cloud, name, {key: wanted[key] for key in different})
    except CloudSyncError as error:
        problem = error  # it may have been carried out all the same: the event itself tells
    after = yield from _read_back(cloud, name, expected)
    if after is None or _different(after, expected):
        raise problem or _not_taken(name, before, after, expected)
    return {"changed": True, "before": before, "after": after}


def delete(
    cloud: Cloud,
    name: str,
    *,
    ignore_missing: bool,
    remember: Callable[[dict[str, Any]], None] = lambda before: None,
) -> Flow[Change]:
    """Delete an event, and see that it is gone.

    :param remember: called with the settings of the event before it is deleted.
    :raises SyncFailed: if there is none, unless that is ignored; and if it is still there afterwards.
    """
    event = yield from find_event(cloud, name)
    if event is None:
        if not ignore_missing:
            raise _missing(cloud, name)
        log.info("%s does not exist; there is nothing to delete.", _event(name))
        return {"changed": False, "before": None, "after": None}
    before = settings_of(event)
    remember(before)
    try:
        yield from delete_event(cloud, name)
    except ApiError as error:
        # Missing now: an attempt whose reply was lost has deleted it.
        if not is_missing(error, NO_SUCH_EVENT):
            raise (yield from _with_subscribers(cloud, name, error)) from None
    for attempt in range(_READS):
        if attempt:
            yield Pause(_BETWEEN_READS)
        if (yield from find_event(cloud, name)) is None:
            return {"changed": True, "before": before, "after": None}
    raise SyncFailed(f"{_event(name)}: the service accepted the deletion, but the event is still there.")


def _with_subscribers(cloud: Cloud, name: str, error: ApiError) -> Flow[CloudSyncError]:
    """The refusal of a deletion, with the secrets that are in its way where that is what it is."""
    if error.status not in (400, 409):
        return error
    try:
        secrets = yield from list_subscribers(cloud, name)
    except CloudSyncError:
        return error  # the user may have no permission to list secrets
    if not secrets:
        return error
    return SyncFailed(
        f"{_event(name)} can't be deleted while secrets subscribe to it: {', '.join(secrets[:10])}"
        f"{' and more' if len(secrets) > 10 else ''}. Take the event off them first. ({error.message})"
    )


def _read_back(cloud: Cloud, name: str, expected: Settings) -> Flow[dict[str, Any] | None]:
    """The settings as the service has them; asked for a few times if they are not as expected."""
    found: dict[str, Any] | None = None
    for attempt in range(_READS):
        if attempt:
            yield Pause(_BETWEEN_READS)
        event = yield from find_event(cloud, name)
        found = None if event is None else settings_of(event)
        if found is not None and not _different(found, expected):
            break
    return found


def _different(there: Settings, wanted: Settings) -> list[str]:
    """The names of the settings that are not as wanted. The order of event types means nothing."""
    return [name for name, value in wanted.items() if not _is_as(there.get(name), value)]


def _is_as(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return all(there.get(name) == value for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(there, list):
        return sorted(map(str, there)) == sorted(map(str, wanted))
    return bool(there == wanted)


def _event(name: str) -> str:
    return f'CSMS event notification "{name}"'


def _missing(cloud: Cloud, name: str) -> SyncFailed:
    return SyncFailed(
        f"There is no {_event(name)} in region {cloud.region or 'unnamed'}, project "
        f"{cloud.project_id or 'of the region'}. Check the name, the region and the project."
    )


def _not_taken(name: str, before: Settings | None, after: Settings | None, expected: Settings) -> SyncFailed:
    """The service said yes, and the event is not as asked."""
    if after is None:
        return SyncFailed(f"{_event(name)}: the service accepted the write, but there is no such event.")
    wrong = "; ".join(
        f"{key} is {after.get(key)!r}, not {expected[key]!r}" for key in _different(after, expected)
    )
    was = "" if before is None else f" Before the write it was: {dict(before)!r}."
    return SyncFailed(
        f"{_event(name)}: the service accepted the write, but it does not show: {wrong}.{was} Set it right in the "
        "console of DEW if it matters, and give the service's support the time of this task."
    )
