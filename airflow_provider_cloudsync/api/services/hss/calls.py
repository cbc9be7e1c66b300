"""HSS: calls for protection events of container clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Quota, Request
from airflow_provider_cloudsync.api.model import Probe, Target
from airflow_provider_cloudsync.api.page_rows import Listing
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.times import ServiceTime, instant_ms, read_service_time

SERVICE = "hss"
#: Documented for each API of HSS: 5 calls per minute from one user or one IP address.
QUOTA = Quota(5, 60.0, by_address=True)
#: Fewest events per page that the service accepts; it returns at most 200.
_SHORT_PAGE = 10
#: Newest first. ``total_num`` never exceeds 10,000.
_EVENTS = Listing(
    "data_list", "event_id", "events", 200, _SHORT_PAGE, "total_num", most_counted=10_000, is_log=True
)


class ClusterEvent(TypedDict, total=False):
    """Protection event as the service sends it; times are milliseconds since the epoch."""

    event_id: str
    event_name: str
    event_class_id: str
    event_content: str
    event_type: int
    cluster_id: str
    cluster_name: str
    project_id: str
    enterprise_project_id: str
    policy_id: str
    policy_name: str
    action: str
    handle_status: str
    create_time: int
    update_time: int
    resource_info: dict[str, Any]


class SyncCreated(TypedDict):
    """Reply to a start; ``synched``: whether a synchronization task was created."""

    synched: bool


def _request(cloud: Cloud, method: str, operation: str, path: str, target: Target) -> Request:
    project = target["enterprise_project_id"] or cloud.enterprise_project_id
    scope = (("cluster_id", target["cluster_id"]), ("enterprise_project_id", project))
    return Request(
        method,
        SERVICE,
        operation,
        "/v5/{project_id}" + path,
        repeatable=method == "GET",
        query=tuple((name, value) for name, value in scope if value is not None),
        quota=QUOTA,
    )


def _list_request(cloud: Cloud, target: Target) -> Request:
    request = _request(cloud, "GET", "ListClusterEvents", "/cluster-protect/events", target)
    return replace(request, max_reply=MAX_LIST_REPLY)


def sync_events(cloud: Cloud, target: Target) -> Flow[tuple[SyncCreated, str]]:
    """Start a synchronization (SyncClusterProtectionEvent). Returns the reply and the request ID.

    ``synched`` may be false without an error.
    """
    path = "/container/clusters/protection-event-sync"
    reply = yield from call(cloud, _request(cloud, "POST", "SyncClusterProtectionEvent", path, target))
    return {"synched": reply.field("synched", bool)}, reply.request_id


def list_cluster_events(cloud: Cloud, target: Target) -> Flow[list[ClusterEvent]]:
    """Return all events (ListClusterEvents), 200 per page. From the fifth page on, five pages per minute."""
    listed = yield from complete_list(cloud, _list_request(cloud, target), _EVENTS)
    return list(listed.rows.values())


def get_last_update_time(cloud: Cloud, target: Target) -> Flow[int | None]:
    """Return the time of the last update of the events in ms; None if there was none (ListClusterEvents)."""
    time, _ = yield from poll_last_update(cloud, target)
    return instant_ms(time)


def poll_last_update(cloud: Cloud, target: Target) -> Flow[tuple[ServiceTime, ServiceClock]]:
    """Return the time of the last update, and the clock of the service at the reply. Reads the first page only."""
    request = _list_request(cloud, target)
    query = (*request.query, ("limit", str(_SHORT_PAGE)), ("offset", "0"))
    reply = yield from call(cloud, replace(request, query=query))
    reply.field("data_list", list)
    return read_service_time(reply.data.get("last_update_time"), cloud.service_zone_ms), reply.clock


PROBE = Probe(
    Request(
        "GET",
        SERVICE,
        "ListClusterEvents",
        "/v5/{project_id}/cluster-protect/events",
        repeatable=True,
        query=(("limit", str(_SHORT_PAGE)), ("offset", "0")),
        quota=QUOTA,
    ),
    needs="read access to HSS, and to synchronize container clusters (such as HSS Administrator)",
    denied=("HSS.0010", "HSS.0013", "00000010"),
)
