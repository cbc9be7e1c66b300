"""HSS: synchronizing the protection events of container clusters.

The service says no more of a synchronization than that its task was created (``synched``, spelled so). The one trace
that it leaves is ``last_update_time`` of the list of events, which moves even where no event came. That list bears five
calls a minute from one user or one address, so each look is one short page, and all looks of a process take turns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud, call, pages
from airflow_provider_cloudsync.api.messages import Flow, Quota, Request
from airflow_provider_cloudsync.api.model import Phase, Probe, Progress, Stage, Target, Ticket
from airflow_provider_cloudsync.api.services.parameters import epoch_ms, identifier, iso, ms_or_none
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed

SERVICE = "hss"
_CONSOLE = Console("the HSS console, under Container Clusters", SERVICE, "hss2")
#: Documented for each API of HSS: 5 calls a minute of one user or one IP.
QUOTA = Quota(5, 60.0, by_address=True)
#: The most that a page takes; the least is 10.
_PAGE, _SHORT_PAGE = 200, 10
#: ``total_num`` never says more.
_MOST_COUNTED = 10_000
#: Seconds in which a start whose reply was lost is looked for. How long a run takes to show is not documented.
_SETTLE = 60.0


class ClusterEvent(TypedDict, total=False):
    """A protection event as the service sends it; times are milliseconds since the epoch."""

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
    """The reply to a start: whether a synchronization task was created."""

    synched: bool


def events_target(
    *, cluster_id: str | None = None, enterprise_project_id: str | None = None
) -> dict[str, Any]:
    """What to synchronize, checked.

    :param cluster_id: None: every cluster of the enterprise project.
    :param enterprise_project_id: None: the connection's; ``0`` is the default one, ``all_granted_eps`` stands for all.
    """
    return {
        "cluster_id": None if cluster_id is None else identifier(cluster_id, "cluster_id"),
        "enterprise_project_id": None
        if enterprise_project_id is None
        else identifier(enterprise_project_id, "enterprise_project_id"),
    }


def events_watch_target(
    *, cluster_id: str | None = None, enterprise_project_id: str | None = None, updated_after: Any
) -> dict[str, Any]:
    """What to watch, checked.

    :param updated_after: only an update at that time or later counts; None: any.
    """
    after = None if updated_after is None else epoch_ms(updated_after, "updated_after")
    return {
        **events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id),
        "updated_after": after,
    }


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
    return _request(cloud, "GET", "ListClusterEvents", "/cluster-protect/events", target)


def sync_events(cloud: Cloud, target: Target) -> Flow[tuple[SyncCreated, str]]:
    """Ask for a synchronization (SyncClusterProtectionEvent), and the request id. ``synched`` may be false."""
    path = "/container/clusters/protection-event-sync"
    reply = yield from call(cloud, _request(cloud, "POST", "SyncClusterProtectionEvent", path, target))
    return {"synched": reply.field("synched", bool)}, reply.request_id


def list_cluster_events(cloud: Cloud, target: Target) -> Flow[list[ClusterEvent]]:
    """All events (ListClusterEvents), 200 a page; from the fifth page on they come at five pages a minute."""
    request = _list_request(cloud, target)
    events: list[ClusterEvent] = yield from pages(
        cloud, request, items="data_list", limit=_PAGE, total="total_num", most=_MOST_COUNTED
    )
    # Newest first, and it takes minutes: what came in between has moved others onto the next page.
    return list({event.get("event_id", number): event for number, event in enumerate(events)}.values())


def get_last_update_time(cloud: Cloud, target: Target) -> Flow[int | None]:
    """When the events were updated last, in ms; None where they never were (ListClusterEvents, its first page)."""
    request = _list_request(cloud, target)
    query = (*request.query, ("limit", str(_SHORT_PAGE)), ("offset", "0"))
    reply = yield from call(cloud, replace(request, query=query))
    reply.field("total_num", int)
    return ms_or_none(reply.data.get("last_update_time"))


@dataclass(frozen=True, slots=True)
class EventSync:
    """Synchronizing protection events, as something to start and to wait for."""

    name: str = "hss"
    #: Five looks a minute would bear 12 s; somebody else may look, too.
    floor: float = 15.0
    console: Console = _CONSOLE

    def describe(self, target: Target) -> str:
        cluster = target["cluster_id"]
        return f"Protection event sync of {f'HSS cluster {cluster}' if cluster else 'all HSS clusters'}"

    def key(self, target: Target) -> Hashable:
        return (target["cluster_id"], target["enterprise_project_id"])

    def settle(self, target: Target) -> float:
        return _SETTLE

    def split(self, target: Target) -> list[Target]:
        return [target]

    def essence(self, target: Target) -> Target:
        return target

    def observe(self, cloud: Cloud, target: Target) -> Flow[int | None]:
        return (yield from get_last_update_time(cloud, target))

    def admit(self, target: Target, seen: int | None) -> Progress:
        return Progress(
            Phase.SUCCEEDED, "The service does not show whether a sync is running; ours can start."
        )

    def covers(self, target: Target, seen: int | None) -> bool:
        return False  # the service does not show what runs

    def baseline(self, target: Target, seen: int | None) -> Mapping[str, Any]:
        return {"last_update_time": seen}

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        created, request_id = yield from sync_events(cloud, target)
        if not created["synched"]:
            raise SyncFailed(
                f"{self.describe(target)} was not started: HSS created no task for it (synched: false, request id "
                f"{request_id or 'unknown'}) and gives no reason. Check that the cluster is protected by HSS and "
                "reachable for it, in the HSS console under Container Clusters."
            )
        return {"request_id": request_id}

    def is_busy(self, error: CloudSyncError) -> bool:
        return False

    def evidence(self, ticket: Ticket, seen: int | None) -> bool:
        return _moved(ticket.baseline.get("last_update_time"), seen)

    def leaves_trace(self, ticket: Ticket) -> bool:
        return False  # it does, but nobody knows how soon

    def judge(self, ticket: Ticket, seen: int | None, now: float) -> Progress:
        return replace(self._judge(ticket, seen), run=seen)

    def _judge(self, ticket: Ticket, seen: int | None) -> Progress:
        shown = "was never updated" if seen is None else f"was updated last at {iso(seen)}"
        if ticket.stage is Stage.WATCHING:
            after = ticket.target["updated_after"]
            if seen is not None and (after is None or seen >= after):
                return Progress(Phase.SUCCEEDED, f"The list of events {shown}.")
            wanted = f", and an update not before {iso(after)} is waited for" if after is not None else ""
            return Progress(Phase.RUNNING, f"The list of events {shown}{wanted}.")
        if self.evidence(ticket, seen):
            return Progress(Phase.SUCCEEDED, f"The list of events {shown}, after the sync was started.")
        return Progress(Phase.RUNNING, f"The list of events {shown}, as before the start.")


def _moved(before: int | None, seen: int | None) -> bool:
    return seen is not None and (before is None or seen > before)


EVENT_SYNC = EventSync()

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
