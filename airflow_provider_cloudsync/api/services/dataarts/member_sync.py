"""DataArts Studio: wait for member sync tasks, which copy the members of a workspace into an MRS or DWS cluster.

No API starts a run: runs start from the task's schedule or from the console. A task shows the state and the start time
of its last run, so only ``sync_time`` distinguishes a new success from an old one.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.clocks import NO_CLOCK, ServiceClock, is_fresh, lag_left, learn_clock
from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import (
    CONFIRM_FAILURE,
    CONFIRM_SUCCESS,
    RAN_KEY,
    STATE_LAG,
    Phase,
    Progress,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.page_rows import POSITION_REFUSED, text_of
from airflow_provider_cloudsync.api.parameters import identifier, one_of
from airflow_provider_cloudsync.api.services.dataarts.calls import SERVICE, TaskPage, poll_page, poll_task
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.api.times import (
    ServiceTime,
    as_text,
    epoch_ms,
    is_unreadable,
    iso,
    read_service_time,
)
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    Throttled,
    UnreadableReply,
)

log = logging.getLogger(__name__)

_CONSOLE = Console("the workspace in the DataArts Studio console", SERVICE, "dayu", parameters=("workspace",))
_ENDED = ("SYNC_SUCCESS", "SYNC_FAIL")


def member_sync_target(
    workspace: str,
    sync_task_id: str,
    *,
    synced_after: Any,
    if_unscheduled: str = "warn",
    settle: float = STATE_LAG,
) -> dict[str, Any]:
    """Return the checked target of a wait.

    :param synced_after: earliest start of a run to accept; None: accept the last run at any time.
    :param if_unscheduled: ``warn`` or ``fail`` if the task's schedule is off, so that no run starts by itself.
    :param settle: seconds by which ``sync_status`` may lag behind ``sync_time``.
    """
    return {
        "workspace": identifier(workspace, "workspace"),
        "sync_task_id": identifier(sync_task_id, "sync_task_id"),
        "synced_after": None if synced_after is None else epoch_ms(synced_after, "synced_after"),
        "if_unscheduled": one_of(if_unscheduled, "if_unscheduled", ("warn", "fail")),
        "settle": settle,
    }


@dataclass(frozen=True, slots=True)
class MemberSyncSeen:
    """State of a task at one poll.

    :param sync_status: in capitals.
    :param sync_time: start of the last run; see `airflow_provider_cloudsync.api.times.ServiceTime`.
    :param clock: clock of the service at the reply.
    """

    sync_status: str
    sync_time: ServiceTime = None
    sync_msg: str = ""
    scheduled: bool = True
    clock: ServiceClock = NO_CLOCK


def _seen(task: Mapping[str, Any], clock: ServiceClock, zone_ms: int | None = None) -> MemberSyncSeen:
    message = task.get("sync_msg")
    status = task["sync_status"].strip().upper()
    if message and status == "SYNC_FAIL":
        log.debug("sync_msg of %s: %r", task.get("id"), message)
    return MemberSyncSeen(
        sync_status=status,
        sync_time=read_service_time(task.get("sync_time"), zone_ms),
        sync_msg=message if isinstance(message, str) else "",
        scheduled=str(task.get("schedule_status")).strip().upper() != "NOT_SCHEDULE",
        clock=clock,
    )


def _usable(page: TaskPage, zone_ms: int | None) -> dict[str, MemberSyncSeen]:
    """Return the tasks on a page, without rows that cannot be read or that come with two contents."""
    found: dict[str, MemberSyncSeen] = {}
    unclear: set[str] = set()
    for row in page.rows:
        task_id = text_of(row, "id")
        if task_id is not None and isinstance(row.get("sync_status"), str):
            seen = _seen(row, page.clock, zone_ms)
            if found.setdefault(task_id, seen) != seen:
                unclear.add(task_id)
    return {key: seen for key, seen in found.items() if key not in unclear}


@dataclass(frozen=True, slots=True)
class MemberSync:
    """Waits for a member sync task."""

    name: str = "dataarts"
    min_poll_interval: float = 2.0
    console: Console = _CONSOLE

    def describe(self, target: Target) -> str:
        return f"Member sync task {target['sync_task_id']} of DataArts workspace {target['workspace']}"

    def group(self, target: Target) -> Hashable:
        return str(target["workspace"])

    def key(self, target: Target) -> Hashable:
        return str(target["sync_task_id"])

    def observe(self, cloud: Cloud, target: Target) -> Flow[MemberSyncSeen]:
        task, clock = yield from poll_task(cloud, target["workspace"], target["sync_task_id"])
        return _seen(task, clock, cloud.service_zone_ms)

    def observe_all(
        self, cloud: Cloud, group: str, keys: Sequence[str]
    ) -> Flow[dict[str, MemberSyncSeen | CloudSyncError]]:
        """Poll pages of the list while that needs fewer calls than one call per task."""
        found: dict[str, MemberSyncSeen | CloudSyncError] = {}
        missing = list(keys)
        read, pages_left = 0, 1
        while 0 < pages_left < len(missing):
            try:
                page = yield from poll_page(cloud, group, offset=read)
            except ApiError as error:
                if not read or error.status not in POSITION_REFUSED:
                    raise
                break  # The offset is behind the last row, and the service states no total.
            pages_left = page.pages_left
            seen = _usable(page, cloud.service_zone_ms)
            if not seen.keys() - found.keys():
                break  # The page repeats earlier rows, or has no usable row.
            read += len(page.rows)
            found |= seen
            missing = [key for key in missing if key not in found]
        for key in missing:
            try:
                task, clock = yield from poll_task(cloud, group, key)
                found[key] = _seen(task, clock, cloud.service_zone_ms)
            except (ApiError, UnreadableReply) as error:
                if isinstance(error, Throttled | CredentialsRejected):
                    raise  # applies to all tasks
                found[key] = error
        return found

    def learn(self, ticket: Ticket, seen: MemberSyncSeen) -> Ticket:
        """Store the time of the active run, and the clock that it is compared with."""
        baseline, time = ticket.baseline, seen.sync_time
        if seen.sync_status == "SYNCING" and time is not None and baseline.get(RAN_KEY) != time:
            baseline = {**baseline, RAN_KEY: time}
        baseline = learn_clock(baseline, ticket.target["synced_after"], {"": time}, seen.clock)
        return ticket if baseline is ticket.baseline else replace(ticket, baseline=baseline)

    def judge(self, ticket: Ticket, seen: MemberSyncSeen, now: float) -> Progress:
        return self._judge(ticket, seen, now).of_run(seen.sync_time)

    def _judge(self, ticket: Ticket, seen: MemberSyncSeen, now: float) -> Progress:
        status, after = seen.sync_status, ticket.target["synced_after"]
        if status == "SYNCING":
            return Progress(Phase.RUNNING, f"A run is under way{_since(seen)}.")
        if status not in (*_ENDED, "NOT_SYNC"):
            odd = one_line(status, 40) or "(empty)"
            return Progress(
                Phase.RUNNING,
                f"Unrecognized state {odd}.",
                warning=f"Unrecognized state {odd}. The wait continues until its deadline.",
            )
        fresh = is_fresh(ticket.baseline, after, seen.sync_time, seen.clock)
        warning = fresh.warning
        if is_unreadable(seen.sync_time):
            warning = (
                f"Unrecognized sync_time {as_text(seen.sync_time)}: the start of the last run is unknown."
            )
        if fresh.counts is None:
            return Progress(
                Phase.FAILED,
                f"{warning} Cannot tell whether a run is after {iso(after)}. Set the clock.",
                confirm_for=CONFIRM_FAILURE,
            )
        if status in _ENDED and fresh.counts:
            lag = float(ticket.target.get("settle", STATE_LAG))
            # The state of a run that a poll saw running is newer than that poll.
            ran = seen.sync_time is not None and ticket.baseline.get(RAN_KEY) == seen.sync_time
            settled = ran or seen.sync_time is None
            hold = 0.0 if settled else lag_left(lag, seen.sync_time, seen.clock, now)
            if status == "SYNC_SUCCESS":
                why = f"The last run succeeded{_since(seen)}."
                return Progress(Phase.SUCCEEDED, why, warning, confirm_for=max(hold, CONFIRM_SUCCESS))
            said = one_line(seen.sync_msg, 500, tail=True) or "no message"
            of = "" if seen.sync_time is None else f" (run started {_text(seen)})"
            why = f"Sync failed: {said}{of}"
            return Progress(Phase.FAILED, why, warning, confirm_for=max(hold, CONFIRM_FAILURE))
        if status == "NOT_SYNC" or seen.sync_time is None:
            why = f"The task has never run ({status})."
        else:
            why = f"Last run: {_text(seen)}, {status}."
        if after is not None:
            why = f"Waiting for a run that starts at {iso(after)} or later. {why}"
        if seen.scheduled:
            return Progress(Phase.RUNNING, why, warning)
        nothing = (
            "The schedule of the task is off (NOT_SCHEDULE), so no run starts by itself. Turn the schedule on or "
            "start a run in the DataArts Studio console."
        )
        if ticket.target["if_unscheduled"] == "fail":
            return Progress(Phase.FAILED, f"{nothing} {why}", confirm_for=CONFIRM_FAILURE)
        return Progress(Phase.RUNNING, why, warning=f"{nothing} {warning}".strip())


def _since(seen: MemberSyncSeen) -> str:
    return "" if seen.sync_time is None else f" (started {_text(seen)})"


def _text(seen: MemberSyncSeen) -> str:
    return as_text(seen.sync_time)


MEMBER_SYNC = MemberSync()
