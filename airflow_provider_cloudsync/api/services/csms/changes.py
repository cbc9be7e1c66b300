"""CSMS: create, update and delete event notifications, and verify the result.

Changes complete at once, so there is nothing to wait for. This module handles writes that are accepted but not applied,
writes whose reply is lost, and the settings before a change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.replies import is_missing, may_be_missing, not_proven_missing
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.api.services.csms.calls import (
    NO_SUCH_EVENT,
    SERVICE,
    Event,
    create_event,
    delete_event,
    find_event,
    list_subscribers,
    update_event,
)
from airflow_provider_cloudsync.api.services.csms.settings import NOTHING_TO_CHANGE
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.api.times import ms_or_none
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, InvalidParameter, SyncFailed

log = logging.getLogger(__name__)

CONSOLE = Console("the console of DEW", SERVICE, "dew")
#: Maximum number of reads after a write, and seconds between them.
_READS, _BETWEEN_READS = 3, 1.0

Settings = Mapping[str, Any]


class Change(TypedDict):
    """Result of a change: settings before and after; None if the event did not exist."""

    changed: bool
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Memory:
    """State that a try stores for the next try: the event before the change.

    :param before: settings; None: the event did not exist.
    :param then: ``update_time`` before the change.
    :param wrote: ``update_time`` after the write; None: unknown.
    """

    before: dict[str, Any] | None
    then: int | None
    wrote: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Memory:
        """Read the memory from plain JSON.

        :raises ValueError: if the data is malformed.
        """
        before, stamps = data["before"], (data["then"], data["wrote"])
        if not (before is None or isinstance(before, dict)) or any(
            not (each is None or isinstance(each, int)) for each in stamps
        ):
            raise ValueError("not what a try remembers")
        return cls(before, *stamps)


@dataclass(frozen=True, slots=True)
class Past:
    """State that previous tries left.

    :param memory: stored by a previous try.
    :param remember: stores the memory for later tries; None: forgets it.
    :param since: a change at that time or later (seconds since the epoch) may be of a previous try that had no store.
        None: there is no such try.
    """

    memory: Memory | None = None
    remember: Callable[[Memory | None], None] = lambda memory: None
    since: float | None = None


def settings_of(event: Event) -> dict[str, Any]:
    """Return the settings of an event that a request can change."""
    return {name: event.get(name) for name in ("state", "event_types", "notification")}


def create(
    cloud: Cloud,
    name: str,
    wanted: Settings,
    *,
    past: Past | None = None,
) -> Flow[Change]:
    """Create an event, unless it exists with the requested settings.

    :param past: state of previous tries. It remembers before the write is sent, and forgets if the write failed.
    :raises SyncFailed: if an event of that name has other settings; it is not changed.
    """
    past = past or Past()
    event = yield from find_event(cloud, name)
    if event is not None:
        there = settings_of(event)
        different = _different(there, wanted)
        if different:
            raise SyncFailed(
                f"{described(name)} already exists with a different {' and '.join(different)}. Nothing was changed: "
                "use CsmsUpdateEventOperator to change it, or delete it first."
            )
        if past.memory is not None:
            return {"changed": True, "before": None, "after": there}  # a previous try created it
        if past.since is not None and _is_since(event, past.since):
            return {"changed": False, "before": None, "after": there}  # perhaps it has
        log.info("%s already exists with the requested settings.", described(name))
        return {"changed": False, "before": there, "after": there}
    past.remember(Memory(before=None, then=None))
    problem: CloudSyncError | None = None
    try:
        yield from create_event(cloud, name, wanted)
    except CloudSyncError as error:
        # The reply may be lost, or an attempt whose reply was lost took the name: read the event to find out.
        if not (is_uncertain(error) or (isinstance(error, ApiError) and error.status in (400, 409))):
            past.remember(None)
            raise
        problem = error
    after, _ = yield from _read_back(cloud, name, wanted)
    if after is None or _different(after, wanted):
        raise problem or _not_taken(name, None, after, wanted)
    return {"changed": True, "before": None, "after": after}


def update(
    cloud: Cloud,
    name: str,
    wanted: Settings,
    *,
    past: Past | None = None,
) -> Flow[Change]:
    """Change the settings of an event that differ from the request.

    :param past: state of previous tries. Its memory counts while the event is as that try left it. It remembers before
        the write is sent, and again when the write is visible; the old memory again if it failed. Where a write since
        `Past.since` is all that there is to see, ``before`` is None: what it overwrote is not known.
    :raises InvalidParameter: if no setting is given.
    :raises SyncFailed: if the event does not exist, or differs from the request afterwards.
    """
    past = past or Past()
    memory = past.memory
    if not wanted:
        raise InvalidParameter(NOTHING_TO_CHANGE)
    event = yield from find_event(cloud, name)
    if event is None:
        raise _missing(cloud, name)
    there, stamp = settings_of(event), _stamp(event)
    if memory is not None and not _is_as_left(name, memory, there, stamp, wanted):
        memory = None
    before = (memory and memory.before) or there
    different = _different(there, wanted)
    if not different:
        log.info("%s already has the requested settings; nothing to write.", described(name))
        if memory is None and past.since is not None and _is_since(event, past.since):
            log.warning(
                "%s was changed during this run, perhaps by a previous try of this task. Its settings before that are "
                "unknown and cannot be restored.",
                described(name),
            )
            return {"changed": False, "before": None, "after": there}
        return {"changed": bool(_different(before, there)), "before": before, "after": there}
    ours = memory or Memory(before=before, then=stamp)
    # Logged before the change, so that a person can restore the settings by hand.
    log.info("Changing %s. Settings before the change: %s", described(name), one_line(repr(before), 600))
    past.remember(ours)
    expected = {**there, **wanted}
    problem: CloudSyncError | None = None
    try:
        yield from update_event(cloud, name, {key: wanted[key] for key in different})
    except CloudSyncError as error:
        if not is_uncertain(error):
            past.remember(memory)
            raise
        problem = error  # the write may have been applied: read the event to find out
    after, wrote = yield from _read_back(cloud, name, expected)
    if after is None or _different(after, expected):
        raise problem or _not_taken(name, before, after, expected)
    past.remember(replace(ours, wrote=wrote))
    return {"changed": bool(_different(before, after)), "before": before, "after": after}


def delete(
    cloud: Cloud,
    name: str,
    *,
    ignore_missing: bool,
    past: Past | None = None,
) -> Flow[Change]:
    """Delete an event, and verify that it no longer exists.

    :param past: state of previous tries. It remembers before the deletion.
    :raises SyncFailed: if the event does not exist, unless that is ignored; or if it still exists afterwards.
    """
    past = past or Past()
    event = yield from find_event(cloud, name)
    if event is None:
        if past.memory is not None:
            log.info("%s no longer exists; a previous try deleted it.", described(name))
            return {"changed": True, "before": past.memory.before, "after": None}
        if not ignore_missing:
            raise _missing(
                cloud,
                name,
                " A previous try of this task may have deleted it." if past.since is not None else "",
            )
        log.info("%s does not exist; there is nothing to delete.", described(name))
        return {"changed": False, "before": None, "after": None}
    before = settings_of(event)
    log.info("Deleting %s. Settings before the deletion: %s", described(name), one_line(repr(before), 600))
    past.remember(Memory(before=before, then=_stamp(event)))
    try:
        yield from delete_event(cloud, name)
    except CloudSyncError as error:
        if is_uncertain(error):
            if not (yield from _is_gone(cloud, name)):
                raise
        # Missing now: an attempt whose reply was lost deleted it.
        elif isinstance(error, ApiError) and may_be_missing(error):
            if not is_missing(error, NO_SUCH_EVENT) and (yield from find_event(cloud, name)) is not None:
                raise not_proven_missing(error, f'The event "{name}" still exists.') from None
        elif not isinstance(error, ApiError) or not is_missing(error, NO_SUCH_EVENT):
            past.remember(None)
            raise (yield from _with_subscribers(cloud, name, error)) from None
    for attempt in range(_READS):
        if attempt:
            yield Pause(_BETWEEN_READS)
        if (yield from find_event(cloud, name)) is None:
            return {"changed": True, "before": before, "after": None}
    raise SyncFailed(f"{described(name)} still exists after an accepted deletion.")


def _is_gone(cloud: Cloud, name: str) -> Flow[bool]:
    """Return whether the event is proven missing. If unknown, the caller raises the error of the deletion."""
    try:
        return (yield from find_event(cloud, name)) is None
    except CloudSyncError:
        return False


def _is_as_left(
    name: str, memory: Memory, there: dict[str, Any], stamp: int | None, wanted: Settings
) -> bool:
    """Return whether an event is as a previous try left it, so that the memory of that try is valid.

    :raises SyncFailed: if the event is neither as that try found it nor as it should have left it.
    """
    found = memory.before or {}
    wrong = _different(there, {**found, **wanted})
    if memory.wrote is not None:
        return stamp == memory.wrote and not wrong  # else somebody has changed it since
    if stamp == memory.then and not _different(there, found):
        return False  # the write never came
    if wrong:
        shown = "; ".join(f"{key} is {one_line(repr(there.get(key)), 300)}" for key in wrong)
        raise SyncFailed(
            f"{described(name)} has unexpected settings after an interrupted write of a previous try: {shown}. "
            f"Settings before that write: {one_line(repr(found), 600)}. Nothing was written: correct them in "
            f"{CONSOLE}, then clear the task."
        )
    return True


def _is_since(event: Event, since: float) -> bool:
    stamp = _stamp(event)
    return stamp is None or stamp >= since * 1000


def _with_subscribers(cloud: Cloud, name: str, error: CloudSyncError) -> Flow[CloudSyncError]:
    """Return the error of a refused deletion, with the secrets that subscribe to the event."""
    if not isinstance(error, ApiError) or error.status not in (400, 409):
        return error
    try:
        secrets = yield from list_subscribers(cloud, name)
    except CloudSyncError:
        return error  # the user may have no permission to list secrets
    if not secrets:
        return error
    return SyncFailed(
        f"{described(name)} cannot be deleted while secrets subscribe to it: {', '.join(secrets[:10])}"
        f"{' and more' if len(secrets) > 10 else ''}. Remove the event from these secrets first. ({error.message})"
    )


def _read_back(cloud: Cloud, name: str, expected: Settings) -> Flow[tuple[dict[str, Any] | None, int | None]]:
    """Return settings and ``update_time`` of an event. Repeat the read if they differ from the expected ones."""
    found: dict[str, Any] | None = None
    stamp: int | None = None
    for attempt in range(_READS):
        if attempt:
            yield Pause(_BETWEEN_READS)
        event = yield from find_event(cloud, name)
        found, stamp = (None, None) if event is None else (settings_of(event), _stamp(event))
        if found is not None and not _different(found, expected):
            break
    return found, stamp


def _stamp(event: Event) -> int | None:
    """Return the time of the last change, in ms."""
    return ms_or_none(event.get("update_time"))


def _different(there: Settings, wanted: Settings) -> list[str]:
    """Return the names of settings that differ. The order of event types is ignored."""
    return [name for name, value in wanted.items() if not _is_as(there.get(name), value)]


def _is_as(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return all(there.get(name) == value for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(there, list):
        return sorted(map(str, there)) == sorted(map(str, wanted))
    return bool(there == wanted)


def described(name: str) -> str:
    """Return an event for a message."""
    return f'CSMS event notification "{name}"'


def _missing(cloud: Cloud, name: str, perhaps: str = "") -> SyncFailed:
    return SyncFailed(
        f"{described(name)} not found in region {cloud.region or 'unnamed'}, project "
        f"{cloud.project_id or 'of the region'}. Check the name, the region and the project.{perhaps}"
    )


def _not_taken(name: str, before: Settings | None, after: Settings | None, expected: Settings) -> SyncFailed:
    """Return the error of a write that was accepted but not applied."""
    if after is None:
        return SyncFailed(f"{described(name)} does not exist after an accepted write.")
    wrong = "; ".join(
        f"{key} is {one_line(repr(after.get(key)), 300)}, not {one_line(repr(expected[key]), 300)}"
        for key in _different(after, expected)
    )
    was = "" if before is None else f" Settings before the write: {one_line(repr(dict(before)), 600)}."
    return SyncFailed(
        f"{described(name)} differs from the request after an accepted write: {wrong}.{was} Correct it in "
        f"{CONSOLE}, and give the time of this task to the support of Huawei Cloud."
    )
