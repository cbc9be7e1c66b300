"""Starting: start a synchronization exactly once, and adopt the run of a previous try.

No service returns a run ID that can be polled, so a run is recognized by the `Ticket` that is taken before the start.
Waiting for the end is in `airflow_provider_cloudsync.api.waiting.polling`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Startable, Target, Ticket
from airflow_provider_cloudsync.api.retries import delay_for, is_uncertain
from airflow_provider_cloudsync.api.waiting.observation import single_attempt
from airflow_provider_cloudsync.api.waiting.polling import (
    Confirmation,
    observe,
    poll_until_certain,
    redacted,
    timed_out,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed, WaitTimedOut

log = logging.getLogger(__name__)

_POLL_AFTER_LOST_START = 2.0
#: Seconds for which polls must show a missing target before a start. Short, because nothing was started yet.
_CONFIRM_REFUSAL = 10.0
#: Shortest possible run (seconds). No run can begin and end unseen between two polls that are closer.
_UNSEEN = 5.0


def begin(
    cloud: Cloud,
    service: Startable[Any],
    target: Target,
    *,
    later: tuple[Target, ...] = (),
    remember: Callable[[Ticket], None] = lambda ticket: None,
) -> Flow[Ticket]:
    """Start a synchronization, exactly once.

    :param cloud: ``give_up_at`` bounds all steps; after it nothing is started.
    :param later: targets that follow; stored in the ticket.
    :param remember: called with the ticket before the start is sent, and again when its result is known.
    :return: a started ticket, or a queued one if another run is active and nothing was started.
    :raises SyncFailed: if the target cannot be synchronized; nothing was started.
    :raises WaitTimedOut: if there is no time left.
    """
    attempt = 0
    lost: Ticket | None = None
    while True:
        # Poll again before each attempt, because a throttled attempt can take minutes.
        at, seen, startable = yield from _can_start(cloud, service, target, started=lost is not None)
        queued = Ticket(service.name, target, Stage.QUEUED, at, later=later)
        if startable.phase is Phase.FAILED:
            raise SyncFailed(startable.why)
        if lost is not None and service.has_started(lost, seen):
            return _started(cloud, service, lost, {}, remember)
        if startable.phase is Phase.RUNNING:
            return replace(queued, hold=service.min_poll_interval)
        if cloud.give_up_at is not None and cloud.clock() >= cloud.give_up_at:
            how = "Timed out before the start, because another run was still active"
            raise timed_out(service, target, how, startable.why, started=lost is not None)
        baseline = service.baseline(target, seen)
        starting = replace(queued, stage=Stage.STARTING, started_at=cloud.clock(), baseline=baseline)
        remember(starting)
        attempt += 1
        try:
            receipt = yield from service.start(single_attempt(cloud), target)
        except CloudSyncError as error:
            if lost is not None and service.is_busy(error):
                # The active run is that of the start whose reply was lost.
                return _started(cloud, service, lost, {}, remember)
            delay = delay_for(error, attempt, repeatable=False)
            if is_uncertain(error):
                if (yield from _find_lost_start(cloud, service, starting, error)):
                    return _started(cloud, service, starting, {}, remember)
                log.info("No run was started. Sending the start again.")
                lost = starting
                delay = 0.0 if attempt < cloud.attempts else None
            # Nothing was started, so the next try must not search for a run.
            queued = replace(queued, started_at=cloud.clock())
            if service.is_busy(error):
                queued = replace(queued, hold=service.settle(target))
            remember(queued)
            if queued.hold:
                return queued
            if delay is None or (cloud.give_up_at is None and attempt >= cloud.attempts):
                raise
            if cloud.give_up_at is not None and cloud.clock() + delay > cloud.give_up_at:
                raise timed_out(
                    service, target, "Timed out before the start", str(error), started=False
                ) from None
            if delay:
                log.info("%s Retrying in %.1f s.", error, delay)
                yield Pause(delay, retry_of=service.name)
        else:
            return _started(cloud, service, starting, receipt, remember)


def _can_start(
    cloud: Cloud, service: Startable[Any], target: Target, *, started: bool
) -> Flow[tuple[float, Any, Progress]]:
    """Return the start of a poll, its state, and whether a run can start. Further polls confirm a FAILED."""
    confirmation = Confirmation()
    while True:
        at, seen = yield from observe(cloud, service, target, started=started)
        startable = redacted(cloud, service.can_start(target, seen))
        confirm_for = min(startable.confirm_for, _CONFIRM_REFUSAL)
        confirmation.take(replace(startable, confirm_for=confirm_for), at)
        now = cloud.clock()
        pause = (
            confirmation.pause(now, service.min_poll_interval, _POLL_AFTER_LOST_START)
            if confirmation.is_pending
            else 0.0
        )
        if not pause or (cloud.give_up_at is not None and now + pause > cloud.give_up_at):
            return at, seen, startable
        yield Pause(pause)


def _started(
    cloud: Cloud,
    service: Startable[Any],
    starting: Ticket,
    receipt: Mapping[str, Any],
    remember: Callable[[Ticket], None],
) -> Ticket:
    if not receipt:
        log.info(
            "%s: adopting the run that is visible, because the reply to the start was lost.",
            service.describe(starting.target),
        )
    # A new time: the time to settle counts from the acceptance.
    started = replace(starting, stage=Stage.STARTED, started_at=cloud.clock(), receipt=receipt)
    remember(started)
    return started


def _find_lost_start(
    cloud: Cloud, service: Startable[Any], starting: Ticket, error: CloudSyncError
) -> Flow[bool]:
    """Return whether the service accepted a start whose reply was lost.

    :raises CloudSyncError: `error`, if that is unknown: the start is not resent then.
    :raises WaitTimedOut: if there is no time left to find out.
    """
    log.warning(
        "Reply to the start was lost. Polling whether it was accepted. %s [%s]",
        error,
        service.describe(starting.target),
    )
    lost_at_once = cloud.clock() - starting.started_at <= _UNSEEN
    shown = yield from _search_for_run(cloud, service, starting, otherwise=str(error))
    # A run that ended unseen is visible only if the baseline lacked its result.
    if shown.absent is not None:
        log.error("%s Cannot tell whether the start was accepted; not resending.", shown.absent.why)
        raise error
    unseen = lost_at_once and shown.closely and service.settle(starting.target) > 0
    if not shown.found and not service.would_be_visible(starting) and not unseen:
        log.error("Cannot tell whether the start was accepted; not resending.")
        raise error
    return shown.found


@dataclass(frozen=True, slots=True)
class _SearchResult:
    """Result of a search for a run.

    :param closely: the polls were close enough that no run could begin and end between them.
    :param absent: verdict that the target was not found, so that its run is unknown; None: it was found.
    """

    found: bool
    closely: bool
    absent: Progress | None = None


def _search_for_run(
    cloud: Cloud, service: Startable[Any], ticket: Ticket, *, otherwise: str
) -> Flow[_SearchResult]:
    """Poll until the run is visible or its settle time has passed.

    :param otherwise: last known state if the polls show nothing, for the error.
    :raises WaitTimedOut: if there is no time left to find out.
    """
    last = cloud.clock()
    until = last + service.settle(ticket.target)
    end = until if cloud.give_up_at is None else min(until, cloud.give_up_at)
    closely = True
    too_late = "Timed out before it was known whether the start was accepted"
    while True:
        try:
            at, seen = yield from observe(cloud, service, ticket.target, started=True)
        except WaitTimedOut as error:
            raise timed_out(
                service, ticket.target, too_late, f"{error.last_seen} Before that: {otherwise}"
            ) from error
        # Measured to the end of this poll, because its requests may have been slow to reach the service.
        closely = closely and cloud.clock() - last <= _UNSEEN
        last = at
        if service.has_started(ticket, seen):
            return _SearchResult(True, closely)
        startable = redacted(cloud, service.can_start(ticket.target, seen))
        absent = startable if startable.absent else None
        if at >= end:
            if end < until:
                raise timed_out(service, ticket.target, too_late, otherwise)
            return _SearchResult(False, closely, absent)
        pause = max(_POLL_AFTER_LOST_START, service.min_poll_interval)
        yield Pause(min(pause, max(end - cloud.clock(), 0.0)))


def resume(cloud: Cloud, service: Startable[Any], ticket: Ticket) -> Flow[tuple[Ticket, Progress | None]]:
    """Resume from the ticket of a previous try.

    :return: the ticket to continue with, and its progress. A queued ticket with None: start again, because nothing was
        started or the run failed. FAILED: the target was not found.
    """
    queued = Ticket(service.name, ticket.target, Stage.QUEUED, cloud.clock(), later=ticket.later)
    if ticket.stage is Stage.QUEUED:
        return queued, None
    if ticket.stage is Stage.STARTING:
        shown = yield from _search_for_run(cloud, service, ticket, otherwise="no run of a previous try.")
        if shown.absent is not None:
            return ticket, shown.absent
        if not shown.found:
            return queued, None
        ticket = replace(ticket, stage=Stage.STARTED)
    ticket, progress = yield from poll_until_certain(cloud, service, ticket)
    # A missing target says nothing about the run.
    failed = progress.phase is Phase.FAILED and not progress.absent
    return (queued, None) if failed else (ticket, progress)


def adopt(
    cloud: Cloud, service: Startable[Any], target: Target, *, later: tuple[Target, ...] = ()
) -> Flow[Ticket | None]:
    """Adopt an active run in a retry that has no ticket of the previous try.

    :return: a started ticket, or None if no run is active.
    """
    at, seen = yield from observe(cloud, service, target)
    if not service.is_satisfied_by_running(target, seen):
        return None
    # The baseline is unknown, so later polls cannot tell what is new.
    return service.learn(Ticket(service.name, target, Stage.STARTED, at, later=later), seen)
