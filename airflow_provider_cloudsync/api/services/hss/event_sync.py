"""HSS: synchronizing the protection events of container clusters.

The service says no more of a synchronization than that its task was created (``synched``, spelled so). The one trace
that it leaves is ``last_update_time`` of the list of events, which moves even where no event came. That list bears five
calls a minute from one user or one address, so each look is one short page, and all looks of a process take turns.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.clocks import (
    NO_CLOCK,
    ServiceClock,
    has_moved_since,
    is_fresh,
    learn_clock,
)
from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import (
    CONFIRM_FAILURE,
    Phase,
    Progress,
    Stage,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.parameters import identifier
from airflow_provider_cloudsync.api.services.hss.calls import SERVICE, poll_last_update, sync_events
from airflow_provider_cloudsync.api.times import (
    ServiceTime,
    as_text,
    epoch_ms,
    is_unreadable,
    iso,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed

_CONSOLE = Console("the HSS console, under Container Clusters", SERVICE, "hss2")
#: Nothing shows a run, so a start whose reply was lost is not looked for.
_SETTLE = 0.0


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


@dataclass(frozen=True, slots=True)
class UpdateSeen:
    """State of the list of events at one poll.

    :param time: of the last update; see `airflow_provider_cloudsync.api.times.ServiceTime`.
    :param clock: the service's.
    """

    time: ServiceTime = None
    clock: ServiceClock = NO_CLOCK


@dataclass(frozen=True, slots=True)
class EventSync:
    """Synchronizing protection events, as something to start and to wait for."""

    name: str = "hss"
    #: Five looks a minute would bear 12 s; somebody else may look, too.
    min_poll_interval: float = 15.0
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

    def identity(self, target: Target) -> Target:
        return target

    def observe(self, cloud: Cloud, target: Target) -> Flow[UpdateSeen]:
        time, clock = yield from poll_last_update(cloud, target)
        return UpdateSeen(time, clock)

    def can_start(self, target: Target, seen: UpdateSeen) -> Progress:
        return Progress(Phase.SUCCEEDED, "HSS does not show whether a sync is running. This one can start.")

    def is_satisfied_by_running(self, target: Target, seen: UpdateSeen) -> bool:
        return False  # the service does not show what runs

    def baseline(self, target: Target, seen: UpdateSeen) -> Mapping[str, Any]:
        return {"last_update_time": seen.time, "date": seen.clock.now}

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        created, request_id = yield from sync_events(cloud, target)
        if not created["synched"]:
            raise SyncFailed(
                "HSS created no sync task (synched: false) and reports no reason. Nothing was started. Check in the "
                "HSS console, under Container Clusters, that the cluster is protected and that HSS can reach it. "
                f"[{self.describe(target)}, request ID {request_id or 'unknown'}]"
            )
        return {"request_id": request_id}

    def is_busy(self, error: CloudSyncError) -> bool:
        return False

    def has_started(self, ticket: Ticket, seen: UpdateSeen) -> bool:
        return False  # the list moves by itself, too: that it moved does not show that a start was accepted

    def would_be_visible(self, ticket: Ticket) -> bool:
        return False

    def learn(self, ticket: Ticket, seen: UpdateSeen) -> Ticket:
        if ticket.stage is not Stage.WATCHING:
            return ticket
        after = ticket.target["updated_after"]
        baseline = learn_clock(ticket.baseline, after, {"": seen.time}, seen.clock)
        return ticket if baseline is ticket.baseline else replace(ticket, baseline=baseline)

    def judge(self, ticket: Ticket, seen: UpdateSeen, now: float) -> Progress:
        return self._judge(ticket, seen).of_run(seen.time)

    def _judge(self, ticket: Ticket, seen: UpdateSeen) -> Progress:
        shown = "has no update yet" if seen.time is None else f"was last updated at {as_text(seen.time)}"
        warning = ""
        if seen.time is None:
            warning = (
                "HSS returned no time of the last update (last_update_time is null, 0 or missing). An update is "
                "visible only when HSS returns one."
            )
        elif is_unreadable(seen.time):
            warning = f"Unrecognized last_update_time {as_text(seen.time)}: an update may not be recognized."
        if ticket.stage is Stage.WATCHING:
            return self._judge_watched(ticket, seen, shown, warning)
        before, taken = ticket.baseline.get("last_update_time"), ticket.baseline.get("date")
        if has_moved_since(before, seen.time, taken) and not is_unreadable(seen.time):
            why = f"The event list {shown}, after the start of the sync."
            return Progress(Phase.SUCCEEDED, why, warning)
        return Progress(Phase.RUNNING, f"The event list {shown}; no update since the start.", warning)

    def _judge_watched(self, ticket: Ticket, seen: UpdateSeen, shown: str, warning: str) -> Progress:
        after = ticket.target["updated_after"]
        fresh = is_fresh(ticket.baseline, after, seen.time, seen.clock)
        warning = warning or fresh.warning
        if fresh.counts is None:
            why = (
                f"{warning} Cannot tell whether the event list was updated after {iso(after)}. Set the clock."
            )
            return Progress(Phase.FAILED, why, confirm_for=CONFIRM_FAILURE)
        if fresh.counts and seen.time is not None and not is_unreadable(seen.time):
            return Progress(Phase.SUCCEEDED, f"The event list {shown}.", warning)
        wanted = f"Waiting for an update at {iso(after)} or later. " if after is not None else ""
        return Progress(Phase.RUNNING, f"{wanted}The event list {shown}.", warning)


EVENT_SYNC = EventSync()
