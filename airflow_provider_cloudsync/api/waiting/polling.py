"""Polling: flows that call `observe` and `judge` of a service until the end of a wait.

Blocking tasks, rescheduled sensors and triggers run the same flows. A single poll never decides an end:
`Progress.confirm_for` is the time for which polls must show it, and `Confirmation` measures that time.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_cloudsync.api.flows import ANSWER_TIME, Cloud
from airflow_provider_cloudsync.api.messages import Flow, Pause
from airflow_provider_cloudsync.api.model import (
    CONFIRM_SUCCESS,
    Phase,
    Progress,
    Service,
    Stage,
    Startable,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.redaction import Secrets
from airflow_provider_cloudsync.api.retries import delay_for, is_held_back
from airflow_provider_cloudsync.api.waiting.observation import Poller, poll_in_time
from airflow_provider_cloudsync.api.waiting.progress_log import ProgressLog
from airflow_provider_cloudsync.exceptions import CloudSyncError, WaitTimedOut

log = logging.getLogger(__name__)

#: Longest adaptive pause between two polls (seconds).
LONGEST_PAUSE = 60.0
#: Jitter that spreads waits that begin together. The first poll comes within this part of the pause, and within this
#: number of seconds. An adaptive pause may be shorter by this part.
_FIRST_PART, _MOST_SPREAD, _JITTER = 0.5, 5.0, 0.05
#: Longest delay of the first poll after a handover (seconds), since the clock of the other machine may be wrong.
_LONGEST_HEAD_START = 10.0
#: Longest pause between polls that confirm a failure (seconds).
_CONFIRM_PAUSE = 5.0
#: Seconds by which a poll may be early and still confirm an end: timers are not exact.
_EARLY = 0.05
#: Maximum seconds for which a poke waits until an end is confirmed.
LONGEST_HOLD = 60.0
#: Number of failed polls in a row after which the connection is read again.
LOST_POLLS = 5


def next_pause(waited: float, min_poll_interval: float, poll_interval: float | None = None) -> float:
    """Return the seconds until the next poll: a tenth of the time already waited.

    :param waited: seconds since the start.
    :param min_poll_interval: minimum number of seconds between two polls, from the rate limit of the service.
    :param poll_interval: the user's choice; `min_poll_interval` still holds.
    """
    if poll_interval is not None:
        return max(poll_interval, min_poll_interval)
    return max(min_poll_interval, min(waited / 10.0, LONGEST_PAUSE))


def judge(
    cloud: Cloud, service: Service[Any], ticket: Ticket, seen: Any, now: float, waited: float = math.inf
) -> Progress:
    """Return the verdict at the stage of the ticket: a queued ticket waits for the start, all others for the end.

    :param now: start of the poll, not its end: a slow poll must not make an early flag look settled.
    :param waited: seconds for which this process has waited. A queued ticket is held back for some of them.
    """
    if ticket.stage is not Stage.QUEUED:
        return redacted(cloud, service.judge(ticket, seen, now))
    startable: Startable[Any] = service  # type: ignore[assignment]  # only these have queued tickets
    admitted = redacted(cloud, startable.can_start(ticket.target, seen))
    if admitted.phase is Phase.SUCCEEDED and waited < ticket.hold:
        return Progress(Phase.RUNNING, "Another run was active moments ago. This start waits a few seconds.")
    return admitted


def redacted(cloud: Cloud, progress: Progress) -> Progress:
    """Return the verdict with secrets of the connection masked in its texts."""
    clean = Secrets(tuple(cloud.credentials.secrets)).redact_text
    why, warning = clean(progress.why), clean(progress.warning)
    if (why, warning) == (progress.why, progress.warning):
        return progress
    return replace(progress, why=why, warning=warning)


@dataclass(slots=True)
class Confirmation:
    """Time for which successive polls have shown the same end.

    :ivar end: phase and run of the end; None if the last poll showed none.
    :ivar since: start of the first poll that showed it.
    :ivar certain_at: earliest start of a poll that confirms it.
    """

    end: tuple[Phase, int | None] | None = None
    since: float = 0.0
    certain_at: float = math.inf

    @property
    def is_pending(self) -> bool:
        """Return whether an end waits for confirmation."""
        return self.end is not None

    def take(self, progress: Progress, at: float) -> Progress:
        """Return the progress of a poll: RUNNING until its end is confirmed.

        :param at: start of the poll, seconds since the epoch by the clock of this process.
        """
        end = progress.phase, progress.run
        if progress.phase is Phase.RUNNING or progress.confirm_for <= 0:
            self.end = None
            return progress
        if end != self.end or at < self.since:  # another end; or the clock was set
            self.end, self.since, self.certain_at = end, at, at + progress.confirm_for
        elif at >= self.certain_at - _EARLY:
            self.end = None
            return progress
        else:
            self.certain_at = min(self.certain_at, at + progress.confirm_for)
        return replace(
            progress, phase=Phase.RUNNING, why=f"{progress.why} Confirming.", confirm_for=0.0, absent=False
        )

    def pause(self, at: float, min_poll_interval: float, between: float) -> float:
        """Return the seconds until the next poll while an end is pending.

        :param at: now.
        :param between: seconds between polls otherwise.
        """
        left = self.certain_at - at
        if self.end is not None and self.end[0] is Phase.SUCCEEDED:
            # One more poll is enough. A longer time leaves room to see the run itself.
            pause = left if left <= CONFIRM_SUCCESS else min(max(between, CONFIRM_SUCCESS), left)
        else:
            pause = min(between, _CONFIRM_PAUSE, left)
        return max(pause, min_poll_interval)


def observe(
    cloud: Cloud, service: Service[Any], target: Target, *, started: bool = False
) -> Flow[tuple[float, Any]]:
    """Poll once and return the start of the poll and the state. Retry temporary failures until ``cloud.give_up_at``.

    :param started: a run of this task may be active; for the error.
    :raises WaitTimedOut: if no poll succeeded in time.
    :raises CloudSyncError: for a permanent failure.
    """
    misses = 0
    cause: CloudSyncError | None = None
    while True:
        try:
            return (yield from poll_in_time(cloud, service, target))
        except CloudSyncError as error:
            # A refusal by the local rate limiter says less than the failure before it.
            held_back = is_held_back(error)
            misses += not held_back
            cause = error if cause is None or not held_back else cause
            delay = delay_for(error, max(misses, 1))
            if delay is None:
                raise
            if cloud.give_up_at is None:
                if misses >= cloud.attempts or held_back:
                    raise cause from None
            else:
                left = cloud.give_up_at - cloud.clock()
                if left <= 0:
                    raise timed_out(
                        service, target, "Timed out, no poll succeeded", str(cause), started=started
                    ) from error
                delay = min(delay, left)
            log.info("%s Retrying in %.1f s.", error, delay)
            yield Pause(delay, retry_of=service.name)


def poll(
    cloud: Cloud,
    service: Service[Any],
    ticket: Ticket,
    *,
    hold: float = LONGEST_HOLD,
    confirmation: Confirmation | None = None,
) -> Flow[tuple[Ticket, Progress]]:
    """Poll once, judge, and confirm an end by further polls. Returns the updated ticket and the progress.

    A temporary failure is RUNNING, because another poll follows.

    :param hold: maximum seconds to wait for the confirmation of an end. If it takes longer, or past
        ``cloud.give_up_at`` or ``cloud.answer_by``, the progress is RUNNING.
    :param confirmation: confirmation of the previous polls in the same process.
    :raises CloudSyncError: for a permanent failure, such as a missing permission.
    """
    confirmation = Confirmation() if confirmation is None else confirmation
    until = cloud.elapsed() + hold
    while True:
        try:
            at, seen = yield from poll_in_time(cloud, service, ticket.target)
        except CloudSyncError as error:
            if delay_for(error, 1) is None:
                raise
            return ticket, _missed(error)
        ticket = service.learn(ticket, seen)
        progress = confirmation.take(judge(cloud, service, ticket, seen, at), at)
        left = confirmation.certain_at - at
        if not confirmation.is_pending or cloud.elapsed() + left > until:
            return ticket, progress
        if not (yield from _wait_to_confirm(cloud, confirmation, service)):
            return ticket, progress


def poll_until_certain(cloud: Cloud, service: Service[Any], ticket: Ticket) -> Flow[tuple[Ticket, Progress]]:
    """Poll for a ticket of a previous try, where a poll must succeed: see `observe`."""
    confirmation = Confirmation()
    while True:
        at, seen = yield from observe(cloud, service, ticket.target, started=True)
        ticket = service.learn(ticket, seen)
        progress = confirmation.take(judge(cloud, service, ticket, seen, at), at)
        if not confirmation.is_pending or not (yield from _wait_to_confirm(cloud, confirmation, service)):
            return ticket, progress


def _wait_to_confirm(cloud: Cloud, confirmation: Confirmation, service: Service[Any]) -> Flow[bool]:
    """Pause until the poll that confirms an end. Returns False if no time is left for it."""
    now = cloud.clock()
    pause = confirmation.pause(now, service.min_poll_interval, _CONFIRM_PAUSE)
    if cloud.give_up_at is not None and now + pause > cloud.give_up_at:
        return False
    if cloud.answer_by is not None and cloud.elapsed() + pause > cloud.answer_by:
        return False
    yield Pause(pause)
    return True


@dataclass(slots=True)
class WaitState:
    """State of a wait that its caller interrupts to read the connection again.

    :param ticket: the updated ticket.
    """

    ticket: Ticket
    confirmation: Confirmation = field(default_factory=Confirmation)
    #: Progress of the last successful poll, and of the last poll.
    known: Progress | None = None
    logged: Progress | None = None
    misses: int = 0
    progress_log: ProgressLog | None = None
    #: Seconds until the next poll, when the wait was interrupted.
    pause: float | None = None
    #: Start and limit of the wait, by a monotonic clock.
    began: float | None = None
    limit: float = math.inf


def until_done(
    cloud: Cloud,
    service: Service[Any],
    ticket: Ticket,
    *,
    deadline: float,
    poll_interval: float | None = None,
    not_before: float = 0.0,
    pause_at: float | None = None,
    state: WaitState | None = None,
) -> Flow[Progress]:
    """Poll until the wait ends. Temporary failures are retried until the deadline.

    :param deadline: seconds since the epoch. Absolute, so that a wait that moves to another process does not start
        over. The last poll is sent at the deadline and has `ANSWER_TIME` for its reply. A clock that is set back
        does not extend it.
    :param poll_interval: seconds between polls; None: adaptive, see `next_pause`.
    :param not_before: seconds since the epoch before which there is no poll. The first poll is spread at random after
        that, because many waits may begin together, as after a restart of a triggerer.
    :param pause_at: seconds since the epoch at which the caller reads the connection again. RUNNING is returned then,
        and after `LOST_POLLS` failed polls in a row.
    :param state: state of the same wait before such an interruption.
    :return: SUCCEEDED or FAILED; or RUNNING, see `pause_at`.
    :raises WaitTimedOut: at the deadline.
    :raises CloudSyncError: for a permanent failure.
    """
    state = state or WaitState(ticket)
    progress_log = state.progress_log = state.progress_log or ProgressLog(service, ticket.target)
    poller = Poller(cloud, service, ticket.target)
    now = cloud.clock()
    if state.began is None:
        state.began = cloud.elapsed()
        state.limit = state.began + max(deadline - now, 0.0)
    began, limit = state.began, state.limit
    if not_before > now and state.pause is None:
        # A separate pause, because a shared poll may come earlier.
        yield Pause(max(min(not_before - now, deadline - now, _LONGEST_HEAD_START), 0.0))
        now = cloud.clock()
    wait = state.pause or 0.0
    if not_before > 0 and state.pause is None:
        first = next_pause(now - ticket.started_at, service.min_poll_interval, poll_interval)
        wait = random.uniform(0.0, min(first * _FIRST_PART, _MOST_SPREAD))
    lost = 0
    while True:
        left = max(min(deadline - now, limit - cloud.elapsed()), 0.0)
        fault: CloudSyncError | None = None
        delay = 0.0
        held_back = False
        try:
            at, seen = yield poller.after(min(wait, left), last=wait >= left, limit=left + ANSWER_TIME)
        except CloudSyncError as error:
            fault = error
            held_back = is_held_back(error)
            state.misses += not held_back
            lost += not held_back
            again = delay_for(error, max(state.misses, 1))
            if again is None:
                raise
            delay = again
            # If the local rate limiter refuses, the progress is that of the poll before.
            progress = state.logged if held_back and state.logged is not None else _missed(error, state.known)
            now = cloud.clock()
        else:
            state.misses = lost = 0
            now = cloud.clock()
            state.ticket = service.learn(state.ticket, seen)
            verdict = judge(cloud, service, state.ticket, seen, at, cloud.elapsed() - began)
            progress = state.known = state.confirmation.take(verdict, at)
        if not held_back:
            state.logged = progress
            progress_log.record(progress, now, fault)
        if progress.phase is not Phase.RUNNING:
            return progress
        if now >= deadline or cloud.elapsed() >= limit:
            waited = f"Timed out after {max(now - ticket.started_at, 0.0):.0f} s"
            last_seen = f"{progress.in_full} Rate limit: {fault}" if held_back else progress.in_full
            raise timed_out(service, ticket.target, waited, last_seen, started=_may_run(ticket))
        # The interval counts between polls that were sent.
        between = (
            0.0
            if held_back
            else next_pause(max(now - ticket.started_at, 0.0), service.min_poll_interval, poll_interval)
        )
        if between > service.min_poll_interval and poll_interval is None:
            between = max(between * random.uniform(1.0 - _JITTER, 1.0), service.min_poll_interval)
        if state.confirmation.is_pending and fault is None:
            between = state.confirmation.pause(now, service.min_poll_interval, between)
        wait = max(delay, between)
        if pause_at is not None and (lost >= LOST_POLLS or now + wait >= pause_at):
            state.pause = wait
            return progress


def _may_run(ticket: Ticket) -> bool | None:
    """Return whether a run of this task may be under way; None for a wait that starts none."""
    return None if ticket.stage is Stage.WATCHING else ticket.stage is not Stage.QUEUED


def timed_out(
    service: Service[Any], target: Target, how: str, last_seen: str, *, started: bool | None = True
) -> WaitTimedOut:
    """Return the error of a wait that reached its deadline.

    :param how: the cause, without a full stop.
    :param started: a run of this task may be active; None: the wait starts none.
    """
    state = {True: "A run in the cloud continues. ", False: "Nothing was started. ", None: ""}[started]
    return WaitTimedOut(
        f"{how}. Last seen: {last_seen} {state}Allow more time (timeout, execution_timeout) or look at "
        f"{service.console}. [{service.describe(target)}]",
        last_seen=last_seen,
    )


def left_behind(service: Service[Any], target: Target) -> str:
    """Return the log text about a run that continues after its task was stopped."""
    return (
        f"{service.describe(target)} continues in the cloud, because no API stops it: look at {service.console}. "
        "A retry resumes the wait."
    )


def _missed(error: CloudSyncError, known: Progress | None = None) -> Progress:
    before = f" Before that: {known.in_full}" if known else ""
    return Progress(Phase.RUNNING, f"The last poll failed: {error}{before}", lost=True)
