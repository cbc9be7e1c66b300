"""Starting and waiting: the flows that turn a service's `observe` and `judge` into an end of the wait.

None of the services gives a run id that can be asked about, so everything hangs on the `Ticket` that is taken before
the start. Blocking tasks, rescheduled sensors and triggers all run these same flows.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.looks import Looks, look, soon
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.model import (
    Phase,
    Progress,
    Service,
    Stage,
    Startable,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.retries import delay_for, is_uncertain
from airflow_provider_cloudsync.api.story import Story
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed, Throttled, WaitTimedOut

log = logging.getLogger(__name__)

#: However long a wait has been, it looks at least this often (seconds).
LONGEST_PAUSE = 60.0
#: What begins together does not stay together: of its pause, the first look comes somewhere in this part (but not later
#: than so many seconds), and an adaptive pause may be so much shorter.
_FIRST_PART, _MOST_SPREAD, _JITTER = 0.5, 5.0, 0.05
_LOOK_AFTER_LOST_START = 2.0
#: No run is over in so many seconds, so none can come and go unseen between two looks that are closer.
_UNSEEN = 5.0


def next_pause(waited: float, floor: float, poll_interval: float | None = None) -> float:
    """Seconds until the next look: a tenth of the time already waited, so that short syncs end soon and long ones
    cost little.

    :param waited: seconds since the start.
    :param floor: seconds that the service's quota asks for at the least.
    :param poll_interval: the user's own choice; the floor still holds.
    """
    if poll_interval is not None:
        return max(poll_interval, floor)
    return max(floor, min(waited / 10.0, LONGEST_PAUSE))


def judge(service: Service[Any], ticket: Ticket, seen: Any, now: float) -> Progress:
    """What is seen, judged at the ticket's stage: a queued one waits for its turn, all others for the end.

    :param now: when the look began, not when it ended: a slow look must not make an early flag look settled.
    """
    if ticket.stage is not Stage.QUEUED:
        return service.judge(ticket, seen, now)
    startable: Startable[Any] = service  # type: ignore[assignment]  # only these have queued tickets
    admitted = startable.admit(ticket.target, seen)
    if admitted.phase is Phase.SUCCEEDED and now - ticket.started_at < ticket.hold:
        return Progress(Phase.RUNNING, "Another run was in the way a moment ago; ours is held back a little.")
    return admitted


def observe(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """One look, and when it began. Faults that may pass are borne until ``cloud.give_up_at``.

    :raises WaitTimedOut: if they did not pass in time.
    :raises CloudSyncError: for a fault that will not pass by itself.
    """
    misses = 0
    while True:
        try:
            return (yield from look(soon(cloud), service, target))
        except CloudSyncError as error:
            misses += 1
            delay = delay_for(error, misses)
            if delay is None or (cloud.give_up_at is None and misses >= cloud.attempts):
                raise
            if cloud.give_up_at is not None and cloud.clock() + delay > cloud.give_up_at:
                raise _timed_out(service, target, "could not be looked at", str(error)) from error
            log.info("%s Again in %.1f s.", error, delay)
            yield Pause(delay, retry_of=service.name)


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
        # Looked at anew before each attempt: a throttled one can have taken minutes, and the world went on.
        at, seen = yield from observe(cloud, service, target)
        queued = Ticket(service.name, target, Stage.QUEUED, at, later=later)
        admitted = service.admit(target, seen)
        if admitted.phase is Phase.FAILED:
            raise SyncFailed(admitted.why)
        if lost is not None and service.evidence(lost, seen):
            return _started(cloud, service, lost, {}, remember)
        if admitted.phase is Phase.RUNNING:
            return replace(queued, hold=service.floor)
        if cloud.give_up_at is not None and cloud.clock() >= cloud.give_up_at:
            how = "not started, since its turn did not come in time"
            raise _timed_out(service, target, how, admitted.why)
        baseline = service.baseline(target, seen)
        starting = replace(queued, stage=Stage.STARTING, started_at=cloud.clock(), baseline=baseline)
        remember(starting)
        attempt += 1
        try:
            receipt = yield from service.start(soon(cloud), target)
        except CloudSyncError as error:
            if lost is not None and service.is_busy(error):
                # What is in the way is the start that was lost.
                return _started(cloud, service, lost, {}, remember)
            delay = delay_for(error, attempt, repeatable=False)
            if is_uncertain(error):
                if (yield from _look_for_lost_start(cloud, service, starting, error)):
                    return _started(cloud, service, starting, {}, remember)
                log.info("Nothing was started, so the start is sent again.")
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
                raise _timed_out(service, target, "not started", str(error)) from None
            if delay:
                log.info("%s Again in %.1f s.", error, delay)
                yield Pause(delay, retry_of=service.name)
        else:
            return _started(cloud, service, starting, receipt, remember)


def _started(
    cloud: Cloud,
    service: Startable[Any],
    starting: Ticket,
    receipt: Mapping[str, Any],
    remember: Callable[[Ticket], None],
) -> Ticket:
    if not receipt:
        log.info("%s: the run is there; it is taken as ours.", service.describe(starting.target))
    # The clock anew: the time to settle counts from the acceptance.
    started = replace(starting, stage=Stage.STARTED, started_at=cloud.clock(), receipt=receipt)
    remember(started)
    return started


def _look_for_lost_start(
    cloud: Cloud, service: Startable[Any], starting: Ticket, error: CloudSyncError
) -> Flow[bool]:
    """Whether a start whose reply was lost was taken.

    :raises CloudSyncError: the error itself, where nobody can tell: it is not sent a second time then.
    :raises WaitTimedOut: if there is no time left to find out.
    """
    log.warning(
        "%s: it is not known whether the start was taken. %s", service.describe(starting.target), error
    )
    lost_at_once = cloud.clock() - starting.started_at <= _UNSEEN
    shown = yield from _shows_our_run(cloud, service, starting, otherwise=str(error))
    # A run that ended unseen left a trace only if the baseline was short of its goal.
    if not shown.found and not service.leaves_trace(starting) and not (lost_at_once and shown.closely):
        log.error("Whether the start was taken can't be told, so this try does not send it a second time.")
        raise error
    return shown.found


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a search for a run came to.

    :param closely: whether the looks were so close that no run could have come and gone between them.
    """

    found: bool
    closely: bool


def _shows_our_run(cloud: Cloud, service: Startable[Any], ticket: Ticket, *, otherwise: str) -> Flow[_Shown]:
    """Look until the run shows or the time in which it may not show yet is over.

    :param otherwise: what is known where the looks show nothing, for the error.
    :raises WaitTimedOut: if there is no time left to find out.
    """
    last = cloud.clock()
    until = last + service.settle(ticket.target)
    end = until if cloud.give_up_at is None else min(until, cloud.give_up_at)
    closely = True
    too_late = "the time was up before it was known whether the start was taken"
    while True:
        try:
            at, seen = yield from observe(cloud, service, ticket.target)
        except WaitTimedOut as error:
            raise _timed_out(
                service, ticket.target, too_late, f"{error.last_seen} Before that: {otherwise}"
            ) from error
        # To the end of this look: its requests may have taken long to come to the service.
        closely = closely and cloud.clock() - last <= _UNSEEN
        last = at
        if service.evidence(ticket, seen):
            return _Shown(True, closely)
        if at >= end:
            if end < until:
                raise _timed_out(service, ticket.target, too_late, otherwise)
            return _Shown(False, closely)
        pause = max(_LOOK_AFTER_LOST_START, service.floor)
        yield Pause(min(pause, max(end - cloud.clock(), 0.0)))


def resume(cloud: Cloud, service: Startable[Any], ticket: Ticket) -> Flow[tuple[Ticket, Progress | None]]:
    """What to do with a ticket that an earlier attempt left behind.

    :return: the ticket to go on with and where it stands. It is a queued one, with None, where this start has to be
        made anew: nothing was started, or what was started has failed.
    """
    anew = Ticket(service.name, ticket.target, Stage.QUEUED, cloud.clock(), later=ticket.later)
    if ticket.stage is Stage.QUEUED:
        return anew, None
    if ticket.stage is Stage.STARTING:
        shown = yield from _shows_our_run(cloud, service, ticket, otherwise="no run of an earlier try.")
        if not shown.found:
            return anew, None
        ticket = replace(ticket, stage=Stage.STARTED)
    at, seen = yield from observe(cloud, service, ticket.target)
    progress = service.judge(ticket, seen, at)
    return (anew, None) if progress.phase is Phase.FAILED else (ticket, progress)


def adopt(
    cloud: Cloud, service: Startable[Any], target: Target, *, later: tuple[Target, ...] = ()
) -> Flow[Ticket | None]:
    """What a retry does that has no ticket of the attempt before: it takes a run that is there for its own.

    :return: a started ticket, or None where nothing runs.
    """
    at, seen = yield from observe(cloud, service, target)
    if not service.covers(target, seen):
        return None
    # The baseline is not known any more: nothing that is there later can be told to have come since.
    return Ticket(service.name, target, Stage.STARTED, at, later=later)


def check(cloud: Cloud, service: Service[Any], ticket: Ticket) -> Flow[Progress]:
    """One look, judged. A fault that may pass is RUNNING: one bad look decides nothing, and there will be another.

    :raises CloudSyncError: for a fault that will not pass by itself, such as a missing permission.
    """
    try:
        at, seen = yield from look(soon(cloud), service, ticket.target)
    except CloudSyncError as error:
        if delay_for(error, 1) is None:
            raise
        return _missed(error)
    return judge(service, ticket, seen, at)


def until_done(
    cloud: Cloud,
    service: Service[Any],
    ticket: Ticket,
    *,
    deadline: float,
    poll_interval: float | None = None,
    not_before: float = 0.0,
) -> Flow[Progress]:
    """Look until the wait is over. Faults that may pass are borne until the deadline.

    :param deadline: seconds since the epoch. Absolute, so that a wait that moves to another process does not start
        over. There is a last look when it comes.
    :param poll_interval: seconds between looks; None: adaptive, see `next_pause`.
    :param not_before: seconds since the epoch before which there is no look. The first one comes soon after that, and
        not at once: a thousand waits may come with it, or with a triggerer that was restarted.
    :return: SUCCEEDED or FAILED.
    :raises WaitTimedOut: when the deadline came first.
    :raises CloudSyncError: for a fault that will not pass by itself.
    """
    looks = Looks(cloud, service, ticket.target)
    story = Story(service, ticket.target)
    misses = 0
    known: Progress | None = None
    told: Progress | None = None
    now = cloud.clock()
    if not_before > now:
        # A pause of its own, since a shared look may come sooner than asked for.
        yield Pause(max(min(not_before, deadline) - now, 0.0))
        now = cloud.clock()
    due = now
    if not_before > 0:
        first = next_pause(now - ticket.started_at, service.floor, poll_interval)
        due += random.uniform(0.0, min(first * _FIRST_PART, _MOST_SPREAD))
    while True:
        wait = max(min(due, deadline) - now, 0.0)
        pause = 0.0
        try:
            at, seen = yield looks.after(wait)
            fault = None
        except CloudSyncError as error:
            fault = error
            # In our own queue, that is; a throttled sign-in was not sent either, but has a status.
            waits_for_turn = isinstance(error, Throttled) and not error.status
            misses += not waits_for_turn
            delay = delay_for(error, max(misses, 1))
            if delay is None:
                raise
            # To be held back is the outcome of what was told before.
            progress = told if waits_for_turn and told is not None else _missed(error, known)
            pause = delay
            now = cloud.clock()
        else:
            waits_for_turn = False
            misses = 0
            now = cloud.clock()
            progress = known = judge(service, ticket, seen, at)
        if not waits_for_turn:
            told = progress
            story.tell(progress, now, fault)
        if progress.phase is not Phase.RUNNING:
            return progress
        if now >= deadline:
            waited = f"not done when the time was up, {now - ticket.started_at:.0f} s after the wait began"
            raise _timed_out(service, ticket.target, waited, progress.in_full)
        # Intervals are between looks that took place.
        between = 0.0 if waits_for_turn else next_pause(now - ticket.started_at, service.floor, poll_interval)
        if between > service.floor and poll_interval is None:
            between = max(between * random.uniform(1.0 - _JITTER, 1.0), service.floor)
        due = now + max(pause, between)


def _timed_out(service: Service[Any], target: Target, how: str, last_seen: str) -> WaitTimedOut:
    return WaitTimedOut(
        f"{service.describe(target)}: {how}. Last seen: {last_seen} Whatever runs in the cloud goes on there; allow "
        f"more time (timeout, execution_timeout) or look at {service.console}.",
        last_seen=last_seen,
    )


def left_behind(service: Service[Any], target: Target) -> str:
    """What goes on without a wait that is stopped from outside, for the log."""
    return (
        f"{service.describe(target)} goes on in the cloud, since no call stops it: look at {service.console}. A retry "
        "takes it up again."
    )


def _missed(error: CloudSyncError, known: Progress | None = None) -> Progress:
    before = f" Before that: {known.in_full}" if known else ""
    return Progress(Phase.RUNNING, f"The last look failed: {error}{before}")
