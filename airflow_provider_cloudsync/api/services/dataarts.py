"""DataArts Studio: member sync tasks, which bring the members of a workspace into an MRS or DWS cluster.

They can only be watched: runs start from the task's schedule or from the console, and no API starts one. A task shows
the state and the start time of its last run, so an old success looks like a new one but for ``sync_time``.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud, call, pages
from airflow_provider_cloudsync.api.messages import Flow, Quota, Request
from airflow_provider_cloudsync.api.model import Phase, Probe, Progress, Target, Ticket
from airflow_provider_cloudsync.api.services.parameters import epoch_ms, identifier, iso, one_of
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidParameter,
    Throttled,
    UnreadableReply,
)

log = logging.getLogger(__name__)

SERVICE = "dataartsstudio"
_CONSOLE = Console("the workspace in the DataArts Studio console", SERVICE, "dayu", parameters=("workspace",))
_PATH = "/v1/{project_id}/security/member-sync-tasks"
_PAGE = 100
#: Of each of the two reads, for a user; as documented for the others of this family.
_QUOTA = Quota(40, 10.0)
#: ``sync_time`` moves when a run starts, and the state may follow a moment later. Until then an old state would look
#: like the new run's. Both times are the service's own, so a wrong clock here does no harm.
_STATE_LAG = 5.0


class MemberSyncFilters(TypedDict, total=False):
    """What a list of member sync tasks can be narrowed and ordered by; None leaves one out."""

    cluster_type: str | None
    cluster_name: str | None
    sync_status: str | None
    schedule_status: str | None
    order_by: str | None
    order_by_asc: bool | None


class MemberSyncTask(TypedDict, total=False):
    """A member sync task as the service sends it; times are milliseconds since the epoch."""

    id: str
    project_id: str
    domain_id: str
    instance_id: str
    data_connection_id: str
    data_connection_name: str
    data_connection_workspace: str
    cluster_id: str
    cluster_name: str
    cluster_type: str
    schedule_start_hour: int
    schedule_end_hour: int
    schedule_period: str
    schedule_interval: int
    schedule_status: str
    sync_status: str
    sync_msg: str
    sync_time: int
    create_time: int
    create_user: str
    update_time: int
    update_user: str


def member_sync_target(
    workspace: str, sync_task_id: str, *, synced_after: Any, if_unscheduled: str = "warn"
) -> dict[str, Any]:
    """What to watch, checked.

    :param synced_after: only a run that started then or later counts; None: the last one, whenever it was.
    :param if_unscheduled: ``warn`` or ``fail`` where the task's schedule is off, so that no run comes by itself.
    """
    return {
        "workspace": identifier(workspace, "workspace"),
        "sync_task_id": identifier(sync_task_id, "sync_task_id"),
        "synced_after": None if synced_after is None else epoch_ms(synced_after, "synced_after"),
        "if_unscheduled": one_of(if_unscheduled, "if_unscheduled", ("warn", "fail")),
    }


def _request(
    operation: str, workspace: str, path: str = "", query: tuple[tuple[str, str], ...] = ()
) -> Request:
    headers = {"workspace": identifier(workspace, "workspace")}
    return Request(
        "GET", SERVICE, operation, _PATH + path, repeatable=True, query=query, headers=headers, quota=_QUOTA
    )


def get_member_sync_task(cloud: Cloud, workspace: str, task_id: str) -> Flow[MemberSyncTask]:
    """One task (ShowSecurityMemberSyncTask)."""
    task, _ = yield from _get(cloud, workspace, task_id)
    return task


def _get(cloud: Cloud, workspace: str, task_id: str) -> Flow[tuple[MemberSyncTask, float | None]]:
    path = f"/{identifier(task_id, 'task_id')}"
    reply = yield from call(cloud, _request("ShowSecurityMemberSyncTask", workspace, path))
    reply.field("sync_status", str)
    task: MemberSyncTask = reply.data
    return task, reply.date


def _page(cloud: Cloud, workspace: str, *, offset: int) -> Flow[tuple[dict[str, MemberSyncSeen], int, int]]:
    """What a page of the list shows, how many items it has, and how many there are in all, as far as it tells."""
    query = (("limit", str(_PAGE)), ("offset", str(offset)))
    reply = yield from call(cloud, _request("ListSecurityMemberSyncTasks", workspace, query=query))
    page = reply.field("tasks", list)
    readable = [task for task in page if isinstance(task, dict) and isinstance(task.get("sync_status"), str)]
    total = reply.data.get("total")
    if not isinstance(total, int):
        total = offset + len(page) + (1 if len(page) >= _PAGE else 0)
    return {str(task.get("id")): _seen(task, reply.date) for task in readable}, len(page), total


def list_member_sync_tasks(
    cloud: Cloud, workspace: str, **filters: Unpack[MemberSyncFilters]
) -> Flow[list[MemberSyncTask]]:
    """All tasks of a workspace, or those that the filters leave (ListSecurityMemberSyncTasks)."""
    known = tuple(MemberSyncFilters.__annotations__)
    unknown = sorted(set(filters) - set(known))
    if unknown:
        raise InvalidParameter(
            f"list_member_sync_tasks has no filter {unknown[0]!r}; it has: {', '.join(known)}."
        )
    query = tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in filters.items()
        if value is not None
    )
    request = _request("ListSecurityMemberSyncTasks", workspace, query=query)
    return (yield from pages(cloud, request, items="tasks", limit=_PAGE))


@dataclass(frozen=True, slots=True)
class MemberSyncSeen:
    """What one look at a task shows.

    :param sync_time: start of the last run in ms; None where there was none.
    :param now: the service's clock in ms; None where it does not tell.
    """

    sync_status: str
    sync_time: int | None = None
    sync_msg: str = ""
    scheduled: bool = True
    now: int | None = None


def _seen(task: Mapping[str, Any], date: float | None) -> MemberSyncSeen:
    message = task.get("sync_msg")
    if message and task["sync_status"] == "SYNC_FAIL":
        log.debug("sync_msg of %s: %r", task.get("id"), message)
    sync_time = task.get("sync_time")
    return MemberSyncSeen(
        sync_status=task["sync_status"],
        sync_time=sync_time if isinstance(sync_time, int) else None,
        sync_msg=message if isinstance(message, str) else "",
        scheduled=task.get("schedule_status") != "NOT_SCHEDULE",
        now=None if date is None else int(date * 1000),
    )


@dataclass(frozen=True, slots=True)
class MemberSync:
    """A member sync task, as something to wait for."""

    name: str = "dataarts"
    floor: float = 2.0
    console: Console = _CONSOLE

    def describe(self, target: Target) -> str:
        return f"Member sync task {target['sync_task_id']} of DataArts workspace {target['workspace']}"

    def group(self, target: Target) -> Hashable:
        return str(target["workspace"])

    def key(self, target: Target) -> Hashable:
        return str(target["sync_task_id"])

    def observe(self, cloud: Cloud, target: Target) -> Flow[MemberSyncSeen]:
        return _seen(*(yield from _get(cloud, target["workspace"], target["sync_task_id"])))

    def observe_all(
        self, cloud: Cloud, group: str, keys: Sequence[str]
    ) -> Flow[dict[str, MemberSyncSeen | CloudSyncError]]:
        """By pages of the list, as long as these are fewer calls than to ask for each task."""
        found: dict[str, MemberSyncSeen | CloudSyncError] = {}
        missing = list(keys)
        read, pages_left = 0, 1
        while 0 < pages_left < len(missing):
            seen, items, total = yield from _page(cloud, group, offset=read)
            read += items
            found |= seen
            missing = [key for key in missing if key not in found]
            pages_left = -(-max(total - read, 0) // _PAGE) if items else 0
        for key in missing:
            try:
                found[key] = _seen(*(yield from _get(cloud, group, key)))
            except (ApiError, UnreadableReply) as error:
                if isinstance(error, Throttled | CredentialsRejected):
                    raise  # it is about all of them
                found[key] = error
        return found

    def judge(self, ticket: Ticket, seen: MemberSyncSeen, now: float) -> Progress:
        return replace(self._judge(ticket, seen), run=seen.sync_time)

    def _judge(self, ticket: Ticket, seen: MemberSyncSeen) -> Progress:
        status, after = seen.sync_status, ticket.target["synced_after"]
        if status == "SYNCING":
            return Progress(Phase.RUNNING, f"A run is under way{_since(seen)}.")
        if status in ("SYNC_SUCCESS", "SYNC_FAIL") and _counts(seen, after):
            if (
                seen.now is not None
                and seen.sync_time is not None
                and seen.now - seen.sync_time < _STATE_LAG * 1000
            ):
                return Progress(
                    Phase.RUNNING, "A run has only just started, and the state may be the last one's."
                )
            if status == "SYNC_SUCCESS":
                return Progress(Phase.SUCCEEDED, f"The last run succeeded{_since(seen)}.")
            said = one_line(seen.sync_msg, 500, tail=True) or "no message"
            of = "" if seen.sync_time is None else f" (of the run started {iso(seen.sync_time)})"
            return Progress(Phase.FAILED, f"The service says: {said}{of}")
        if status in ("SYNC_SUCCESS", "SYNC_FAIL", "NOT_SYNC"):
            why = f"No run counts yet: the last one{_since(seen) or ' is none'} ({status})"
            why += f", and one not before {iso(after)} is waited for." if after is not None else "."
            if seen.scheduled:
                return Progress(Phase.RUNNING, why)
            nothing = "The task's schedule is off (NOT_SCHEDULE), so no run will start by itself: switch the schedule "
            nothing += "on or start a run in the DataArts Studio console."
            if ticket.target["if_unscheduled"] == "fail":
                return Progress(Phase.FAILED, f"{why} {nothing}")
            return Progress(Phase.RUNNING, why, warning=nothing)
        odd = one_line(status, 40)
        return Progress(
            Phase.RUNNING,
            f"The service shows the state {odd}, which is neither an end nor a run.",
            warning=f"The state {odd} is not known to this release or says nothing; waiting on, until the deadline.",
        )


def _counts(seen: MemberSyncSeen, after: int | None) -> bool:
    """Whether the last run is one that was asked for."""
    return after is None or (seen.sync_time is not None and seen.sync_time >= after)


def _since(seen: MemberSyncSeen) -> str:
    return "" if seen.sync_time is None else f" (started {iso(seen.sync_time)})"


MEMBER_SYNC = MemberSync()

PROBE = Probe(
    # There is no workspace of this id, and the service says so.
    _request("ListSecurityMemberSyncTasks", "0", query=(("limit", "1"), ("offset", "0"))),
    needs="read access to the workspace (a role in it, or DAYU User)",
    unsure=("DLS.6036",),
)
