"""Starting: a synchronization is started exactly once, and a later try takes up what an earlier one has started.

None of the services gives a run id that can be asked about, so everything hangs on the `Ticket` that is taken before
the start. Waiting for the end is in `airflow_provider_cloudsync.api.waiting.polling`.
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
#: That a target is not there is confirmed for so many seconds before a start: nothing is lost yet.
_CONFIRM_REFUSAL = 10.0
#: No run is over in so many seconds, so none can come and go unseen between two looks that are closer.
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

    :param cloud: its ``give_up_at`` bounds everything: what can't be waited for is not started.
    :param later: targets that are to follow; they travel with the ticket.
    :param remember: called with the ticket before the start is sent, and again when it is known what became of it.
    :return: a started ticket; or a queued one, where another run is in the way and nothing was started.
    :raises SyncFailed: if the target can't be synchronized at all, before anything is started.
    :raises WaitTimedOut: if there is no time left.
    """
    attempt = 0
    lost: Ticket | None = None
    while True:
        # Polled again before each attempt: a throttled one can have taken minutes, and the world went on.
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
                # What is in the way is the start that was lost.
                return _started(cloud, service, lost, {}, remember)
            delay = delay_for(error, attempt, repeatable=False)
            if is_uncertain(error):
                if (yield from _find_lost_start(cloud, service, starting, error)):
                    return _started(cloud, service, starting, {}, remember)
                log.info("No run was started. Sending the start again.")
                lost = starting
                delay = 0.0 if attempt < cloud.attempts else None
            # From here on it is certain that nothing was started; the next try must not look for it.
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
    """A poll, when it began, and whether a run could start. That none ever could is confirmed by further polls."""
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
    """Return whether a start whose reply was lost was taken.

    :raises CloudSyncError: the error itself, where nobody can tell: it is not sent a second time then.
    :raises WaitTimedOut: if there is no time left to find out.
    """
    log.warning(
        "Reply to the start was lost. Polling whether it was accepted. %s [%s]",
        error,
        service.describe(starting.target),
    )
    lost_at_once = cloud.clock() - starting.started_at <= _UNSEEN
    shown = yield from _search_for_run(cloud, service, starting, otherwise=str(error))
    # A run that ended unseen left a trace only if the baseline was short of its goal.
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
    """What a search for a run came to.

    :param closely: whether the polls were so close that no run could have come and gone between them.
    :param absent: that the target itself was not found, so that nothing is known of its run; None: it was found.
    """

    found: bool
    closely: bool
    absent: Progress | None = None


def _search_for_run(
    cloud: Cloud, service: Startable[Any], ticket: Ticket, *, otherwise: str
) -> Flow[_SearchResult]:
    """Look until the run shows or the time in which it may not show yet is over.

    :param otherwise: what is known where the looks show nothing, for the error.
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
        # To the end of this look: its requests may have taken long to come to the service.
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
    """What to do with a ticket that an earlier attempt left behind.

    :return: the ticket to go on with and where it stands. It is a queued one, with None, where this start has to be
        made again: nothing was started, or what was started has failed. FAILED: the target was not found.
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
    # That the target is not there says nothing of the run.
    failed = progress.phase is Phase.FAILED and not progress.absent
    return (queued, None) if failed else (ticket, progress)


def adopt(
    cloud: Cloud, service: Startable[Any], target: Target, *, later: tuple[Target, ...] = ()
) -> Flow[Ticket | None]:
    """What a retry does that has no ticket of the attempt before: it takes a run that is there for its own.

    :return: a started ticket, or None where nothing runs.
    """
    at, seen = yield from observe(cloud, service, target)
    if not service.is_satisfied_by_running(target, seen):
        return None
    # The baseline is not known any more: nothing that is there later can be told to have come since.
    return service.learn(Ticket(service.name, target, Stage.STARTED, at, later=later), seen)
