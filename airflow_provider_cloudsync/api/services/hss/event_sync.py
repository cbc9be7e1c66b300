"""HSS: synchronize the protection events of container clusters.

The reply to a start only states that a task was created (``synched``). The only visible result is ``last_update_time``
of the event list, which changes even without new events. The list allows five calls per minute from one user or one
address, so each poll reads one short page, and all polls of a process share a rate limiter.
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
#: No API shows a run, so there is no search for a start whose reply was lost.
_SETTLE = 0.0


def events_target(
    *, cluster_id: str | None = None, enterprise_project_id: str | None = None
) -> dict[str, Any]:
    """Return the checked target of a synchronization.

    :param cluster_id: None: all clusters of the enterprise project.
    :param enterprise_project_id: None: that of the connection; ``0``: the default one; ``all_granted_eps``: all.
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
    """Return the checked target of a wait for an update.

    :param updated_after: earliest update to accept; None: any.
    """
    after = None if updated_after is None else epoch_ms(updated_after, "updated_after")
    return {
        **events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id),
        "updated_after": after,
    }


@dataclass(frozen=True, slots=True)
class UpdateSeen:
    """State of the event list at one poll.

    :param time: time of the last update; see `airflow_provider_cloudsync.api.times.ServiceTime`.
    :param clock: clock of the service at the reply.
    """

    time: ServiceTime = None
    clock: ServiceClock = NO_CLOCK


@dataclass(frozen=True, slots=True)
class EventSync:
    """Starts a synchronization of protection events and waits for its end."""

    name: str = "hss"
    #: The rate limit allows a poll every 12 s; other clients may use it, too.
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
        return False  # HSS does not show running synchronizations

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
        return False  # the list also changes by itself, so a change does not prove an accepted start

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
