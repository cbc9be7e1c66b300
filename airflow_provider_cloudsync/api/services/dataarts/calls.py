"""DataArts Studio: calls for member sync tasks. No API starts one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, MAX_REPLY, Flow, Quota, Request
from airflow_provider_cloudsync.api.model import Probe
from airflow_provider_cloudsync.api.page_rows import Listing, row_count, rows_of
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.parameters import flag, identifier
from airflow_provider_cloudsync.exceptions import InvalidParameter

SERVICE = "dataartsstudio"
_PATH = "/v1/{project_id}/security/member-sync-tasks"
_PAGE = 100
_TASKS = Listing("tasks", "id", "member sync tasks", _PAGE)
#: For each of the two reads, per user. Documented for the other APIs of this family.
_QUOTA = Quota(40, 10.0)


class MemberSyncFilters(TypedDict, total=False):
    """Filters and order of a list of member sync tasks; None omits one."""

    cluster_type: str | None
    cluster_name: str | None
    sync_status: str | None
    schedule_status: str | None
    order_by: str | None
    order_by_asc: bool | None


class MemberSyncTask(TypedDict, total=False):
    """Member sync task as the service sends it; times are milliseconds since the epoch."""

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


def _request(
    operation: str, workspace: str, path: str = "", query: tuple[tuple[str, str], ...] = ()
) -> Request:
    headers = {"workspace": identifier(workspace, "workspace")}
    return Request(
        "GET",
        SERVICE,
        operation,
        _PATH + path,
        repeatable=True,
        query=query,
        headers=headers,
        quota=_QUOTA,
        max_reply=MAX_REPLY if path else MAX_LIST_REPLY,
    )


def get_member_sync_task(cloud: Cloud, workspace: str, task_id: str) -> Flow[MemberSyncTask]:
    """Return one task (ShowSecurityMemberSyncTask)."""
    task, _ = yield from poll_task(cloud, workspace, task_id)
    return task


def poll_task(cloud: Cloud, workspace: str, task_id: str) -> Flow[tuple[MemberSyncTask, ServiceClock]]:
    """Return one task, and the clock of the service at the reply."""
    path = f"/{identifier(task_id, 'task_id')}"
    reply = yield from call(cloud, _request("ShowSecurityMemberSyncTask", workspace, path))
    reply.field("sync_status", str)
    task: MemberSyncTask = reply.data
    return task, reply.clock


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of the list of tasks.

    :param rows: as the service sent them.
    :param clock: clock of the service at the reply.
    :param pages_left: number of pages that follow, from the total that the service states; 1 if it states none.
    """

    rows: list[dict[str, Any]]
    clock: ServiceClock
    pages_left: int


def poll_page(cloud: Cloud, workspace: str, *, offset: int) -> Flow[TaskPage]:
    """Return one page of the tasks of a workspace (ListSecurityMemberSyncTasks).

    :param offset: number of rows before the page.
    """
    query = (("limit", str(_PAGE)), ("offset", str(offset)))
    reply = yield from call(cloud, _request("ListSecurityMemberSyncTasks", workspace, query=query))
    rows = rows_of(reply, _TASKS)
    total = row_count(reply, "total")
    left = len(rows) if total is None else max(total - offset - len(rows), 0)
    return TaskPage(rows, reply.clock, -(-left // len(rows)) if rows else 0)


def list_member_sync_tasks(
    cloud: Cloud, workspace: str, **filters: Unpack[MemberSyncFilters]
) -> Flow[list[MemberSyncTask]]:
    """Return all tasks of a workspace that match the filters (ListSecurityMemberSyncTasks)."""
    known = tuple(MemberSyncFilters.__annotations__)
    unknown = sorted(set(filters) - set(known))
    if unknown:
        raise InvalidParameter(
            f"list_member_sync_tasks has no filter {unknown[0]!r}; it has: {', '.join(known)}."
        )
    if filters.get("order_by_asc") is not None:
        flag(filters["order_by_asc"], "order_by_asc")
    query = tuple(
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in filters.items()
        if value is not None
    )
    request = _request("ListSecurityMemberSyncTasks", workspace, query=query)
    listed = yield from complete_list(cloud, request, _TASKS)
    return list(listed.rows.values())


PROBE = Probe(
    # No workspace has this ID; the service answers with its own code.
    _request("ListSecurityMemberSyncTasks", "0", query=(("limit", "1"), ("offset", "0"))),
    needs="read access to the workspace (a role in it, or DAYU User)",
    unsure=("DLS.6036",),
)
