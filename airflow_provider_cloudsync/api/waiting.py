"""Starting and waiting: the flows that turn a service's `observe` and `judge` into an end of the wait.

None of the services gives a run id that can be asked about, so everything hangs on the `Ticket` that is taken before
the start. Blocking tasks, rescheduled sensors and triggers all run these same flows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Pause, Shared
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
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed, WaitTimedOut

log = logging.getLogger(__name__)

#: However long a wait has been, it looks at least this often (seconds).
LONGEST_PAUSE = 60.0
_HEARTBEAT = 600.0
_LOOK_AFTER_LOST_START = 2.0


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
    """What is seen, judged at the ticket's stage: a queued one waits for its turn, all others for the end."""
    if ticket.stage is not Stage.QUEUED:
        return service.judge(ticket, seen, now)
    startable: Startable[Any] = service  # type: ignore[assignment]  # only these have queued tickets
    admitted = startable.admit(ticket.target, seen)
    refused = ticket.baseline.get("refused") and now - ticket.started_at < startable.settle
    if refused and admitted.phase is Phase.SUCCEEDED:
        return Progress(Phase.RUNNING, "The service refused the start, since another run is in the way.")
    return admitted


def begin(
    cloud: Cloud,
    service: Startable[Any],
    target: Target,
    *,
    later: tuple[Target, ...] = (),
    remember: Callable[[Ticket], None] = lambda ticket: None,
) -> Flow[Ticket]:
    """Start a synchronization, exactly once.

    :param later: targets that are to follow; they travel with the ticket.
    :param remember: called with the ticket before the start is sent, and again when it is known to have been taken.
    :return: a started ticket; or a queued one, where another run is in the way and nothing was started.
    :raises SyncFailed: if the target can't be synchronized at all, before anything is started.
    :raises WaitTimedOut: if there is no time left (``cloud.give_up_at``): what can't be waited for is not started.
    """
    seen = yield from service.observe(cloud, target)
    queued = Ticket(service.name, target, Stage.QUEUED, cloud.clock(), later=later)
    admitted = service.admit(target, seen)
    if admitted.phase is Phase.FAILED:
        raise SyncFailed(admitted.why)
    if admitted.phase is Phase.RUNNING:
        return queued
    if cloud.give_up_at is not None and cloud.clock() >= cloud.give_up_at:
        raise WaitTimedOut(
            f"{service.describe(target)}: not started, since the time was up before its turn came. "
            "Allow more time (timeout, execution_timeout).",
            last_seen=admitted.why,
        )
    attempt = 0
    while True:
        attempt += 1
        ticket = replace(
            queued, stage=Stage.STARTING, started_at=cloud.clock(), baseline=service.baseline(target, seen)
        )
        remember(ticket)
        try:
            receipt = yield from service.start(cloud, target)
        except CloudSyncError as error:
            if service.is_busy(error):
                # The run in the way may not show yet. To ask again at once would be to ask without end.
                return replace(queued, started_at=cloud.clock(), baseline={"refused": True})
            if not is_uncertain(error):
                raise
            log.warning(
                "It is not known whether the start of %s was taken: %s Looking.",
                service.describe(target),
                error,
            )
            receipt = {}
            if not (yield from _shows_our_run(cloud, service, ticket)):
                if attempt >= cloud.attempts:
                    raise
                log.info("Nothing was started, so the start is sent again.")
                continue
            log.info("The run is there: it is taken as ours, and no second one is started.")
        # The clock anew: a throttled start can have taken minutes, and the time to settle counts from its acceptance.
        ticket = replace(ticket, stage=Stage.STARTED, started_at=cloud.clock(), receipt=receipt)
        remember(ticket)
        return ticket


def _shows_our_run(cloud: Cloud, service: Startable[Any], ticket: Ticket) -> Flow[bool]:
    """Look until the run shows or the time in which it may not show yet is over."""
    until = cloud.clock() + service.settle
    while True:
        seen = yield from service.observe(cloud, ticket.target)
        if service.evidence(ticket, seen):
            return True
        if cloud.clock() >= until:
            return False
        yield Pause(_LOOK_AFTER_LOST_START)


def resume(cloud: Cloud, service: Startable[Any], ticket: Ticket) -> Flow[tuple[Ticket, Progress] | None]:
    """What to do with a ticket that an earlier attempt left behind.

    :return: the ticket to go on with and where it stands; None where the start has to be made anew, since nothing
        was started or what was started has failed.
    """
    if ticket.stage is Stage.QUEUED:
        return None
    seen = yield from service.observe(cloud, ticket.target)
    if ticket.stage is Stage.STARTING:
        if not service.evidence(ticket, seen):
            return None
        ticket = replace(ticket, stage=Stage.STARTED)
    progress = judge(service, ticket, seen, cloud.clock())
    return None if progress.phase is Phase.FAILED else (ticket, progress)


def adopt(
    cloud: Cloud, service: Startable[Any], target: Target, *, later: tuple[Target, ...] = ()
) -> Flow[Ticket | None]:
    """What a retry does that has no ticket of the attempt before: it takes a run that is there for its own.

    :return: a started ticket, or None where nothing runs.
    """
    seen = yield from service.observe(cloud, target)
    if service.admit(target, seen).phase is not Phase.RUNNING:
        return None
    return Ticket(service.name, target, Stage.STARTED, cloud.clock(), service.baseline(target, seen), later)


def check(cloud: Cloud, service: Service[Any], ticket: Ticket) -> Flow[Progress]:
    """One look, judged. A fault that may pass is RUNNING: one bad look decides nothing.

    :raises CloudSyncError: for a fault that will not pass by itself, such as a missing permission.
    """
    try:
        seen = yield from service.observe(cloud, ticket.target)
    except CloudSyncError as error:
        if delay_for(error, 1) is None:
            raise
        return _missed(error)
    return judge(service, ticket, seen, cloud.clock())


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
    :param not_before: seconds since the epoch before which there is no look.
    :return: SUCCEEDED or FAILED.
    :raises WaitTimedOut: when the deadline came first.
    :raises CloudSyncError: for a fault that will not pass by itself.
    """
    key = ("look", service.name, cloud.scope, service.key(ticket.target))
    once = cloud.once()
    story = _Story(service.describe(ticket.target))
    misses = 0
    now = cloud.clock()
    if not_before > now:
        # A pause of its own, since a shared look may come sooner than asked for.
        yield Pause(min(not_before, deadline) - now)
        now = cloud.clock()
    due = now
    while True:
        wait = max(min(due, deadline) - now, 0.0)
        pause = 0.0
        try:
            seen = yield Shared(key, lambda: service.observe(once, ticket.target), wait=wait)
        except CloudSyncError as error:
            misses += 1
            delay = delay_for(error, misses)
            if delay is None:
                raise
            progress, pause = _missed(error), delay
            now = cloud.clock()
        else:
            misses = 0
            now = cloud.clock()
            progress = judge(service, ticket, seen, now)
        story.tell(progress, now)
        if progress.phase is not Phase.RUNNING:
            return progress
        if now >= deadline:
            raise WaitTimedOut(
                f"{service.describe(ticket.target)}: not done when the time was up, "
                f"{now - ticket.started_at:.0f} s after the wait began. Last seen: {progress.why} "
                "Whatever runs in the cloud goes on there; allow more time (timeout, execution_timeout) or look at "
                "the service's console.",
                last_seen=progress.why,
            )
        due = now + max(pause, next_pause(now - ticket.started_at, service.floor, poll_interval))


def _missed(error: CloudSyncError) -> Progress:
    return Progress(Phase.RUNNING, f"The last look failed, and there will be another: {error}")


@dataclass(slots=True)
class _Story:
    """What a wait writes into the log: a line when something changes, and one each ten minutes."""

    subject: str
    told: tuple[Phase, str] | None = None
    told_at: float = 0.0
    warned: set[str] = field(default_factory=set)

    def tell(self, progress: Progress, now: float) -> None:
        if progress.warning and progress.warning not in self.warned:
            self.warned.add(progress.warning)
            log.warning("%s: %s", self.subject, progress.warning)
        news = (progress.phase, progress.why)
        if news != self.told or now - self.told_at >= _HEARTBEAT:
            log.info("%s: %s. %s", self.subject, progress.phase.value, progress.why)
            self.told, self.told_at = news, now
        else:
            log.debug("%s: still %s.", self.subject, progress.phase.value)
