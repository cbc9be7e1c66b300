"""What all operators do that start a sync and wait for it; the others only name their parameters."""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Startable, Target, Ticket
from airflow_provider_cloudsync.api.parameters import flag, one_of
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent, SyncFailed
from airflow_provider_cloudsync.operators.cloud import CloudOperator, has_memory, recall, remember
from airflow_provider_cloudsync.tasks import waiter
from airflow_provider_cloudsync.tasks.stored_ticket import (
    TICKET_KEY,
    End,
    StoredTicket,
    is_of_other_version,
    mark_of,
)
from airflow_provider_cloudsync.tasks.tries import TryMark

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.triggers.sync import Report

__all__ = ["CloudSyncOperator"]

#: Seconds after the end of a try in which a clear still uses its ticket. A retry has no such limit: it belongs to the
#: same request, and the ticket's baseline proves the end of a run however long ago it was.
_TICKET_AGE = 86_400.0


class CloudSyncOperator(CloudOperator):
    """Starts a synchronization once, waits until it is really done, and says why if it failed.

    The other parameters are those of `CloudOperator`.

    :param wait_for_completion: whether to wait for the end. If not, the task is green once the service accepted.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param timeout: how long the task may take, a timedelta or seconds; the earlier of it and ``execution_timeout``
        counts, and a restart does not extend it.
    :param poll_interval: seconds or timedelta between looks; None: soon at first, then at a tenth of the time waited.
    :param if_running: where somebody else's run is in the way: ``attach`` waits until it has ended and starts ours
        then; ``fail`` fails the task.
    """

    service: ClassVar[Startable[Any]]
    #: Whether something of ours may be running in the cloud.
    _sent = False

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: timedelta | float = timedelta(hours=1),
        poll_interval: timedelta | float | None = None,
        if_running: Literal["attach", "fail"] = "attach",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.check_connection_parameters()
        self.wait_for_completion = flag(wait_for_completion, "wait_for_completion")
        self.deferrable = flag(deferrable, "deferrable")
        self.timeout = waiter.seconds(timeout, "timeout")
        self.poll_interval = None if poll_interval is None else waiter.seconds(poll_interval, "poll_interval")
        self.if_running = one_of(if_running, "if_running", ("attach", "fail"))

    @abstractmethod
    def target(self) -> Target:
        """What to synchronize, from the rendered parameters, checked."""

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        """What goes to XCom: small, and plain JSON."""
        return {
            "started_at": datetime.fromtimestamp(ticket.started_at, UTC).isoformat(timespec="seconds"),
            "ended_at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
            if self.wait_for_completion
            else None,
            "request_id": ticket.receipt.get("request_id", ""),
        }

    def subject(self) -> str:
        return self.service.describe(self.target())

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Take up what an earlier try left behind, or start anew; then follow it to the end."""
        with self.clear_errors():
            parts = self.service.split(self.target())
            self.show_console(context, self.service.console, parts[0])
            began = waiter.start_of_try(context) if self.deferrable else None
            deadline = waiter.deadline(self.timeout, self.execution_timeout, began)
            self.hook.read_until = deadline
            ticket, progress = self._take_up(context, parts, deadline)
            return self._follow(context, ticket, deadline, progress)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any] | None:
        """Go on after a deferral, with the report of the trigger."""
        from airflow_provider_cloudsync.triggers.sync import Report

        report = Report.from_json(event)
        if report.try_number != context["ti"].try_number:
            # Airflow 3.0 resumes a retry with the report of the try before, instead of executing it.
            return self.execute(context)
        with self.clear_errors():
            self.hook.was_found_before = True
            if isinstance(report.ended, CloudSyncError):
                raise report.ended
            parts = self.service.split(self.target())
            ticket = self._of_now(Ticket.from_json(report.ticket), parts)
            if ticket is None:
                raise InvalidEvent(
                    "The task was resumed with the end of a wait for something else: it was changed while it was "
                    "deferred, or the report is damaged. Clear the task: it looks first."
                )
            found = self._since_deferral(context, parts, ticket, report) or (ticket, report.ended)
            return self._follow(context, found[0], report.deadline, found[1])

    def _since_deferral(
        self, context: Context, parts: list[Target], ticket: Ticket, report: Report
    ) -> tuple[Ticket, Progress | None] | None:
        """Return where this try stands, if it has gone further since the deferral that the report is about.

        An event can be delivered twice, as when a worker dies that was resumed by it and Airflow queues the task again.
        What the first delivery started is in the store: the ticket of each wait is stored before the task defers.
        Only a report that leads to a start is checked, so that no other one depends on the store.
        """
        failed = isinstance(report.ended, Progress) and report.ended.phase is Phase.FAILED
        starts = not ticket.receipt if failed else ticket.stage is Stage.QUEUED or ticket.later
        stored = recall(context, TICKET_KEY) if starts else None
        left = None if stored is None else StoredTicket.read(stored)
        if left is None or left.mark is None or left.mark.try_number != report.try_number:
            return None  # nothing is stored, or an older release deferred the task
        now = self._of_now(left.ticket, parts)
        if now is None or (now.wait == ticket.wait and left.end is None):
            return None
        self.log.warning(
            "The event was delivered a second time. Going on from what the first delivery stored."
        )
        return self._go_on(context, replace(left, ticket=now), parts, report.deadline)

    def on_kill(self) -> None:
        """Say what goes on without the task: no call of the service stops a run."""
        from airflow_provider_cloudsync.api.waiting import polling

        if self._sent:
            self.log.warning("The task was ended. %s", polling.left_behind(self.service, self.target()))

    def _follow(
        self, context: Context, ticket: Ticket, deadline: float, progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """Carry the steps of the sync out, or leave a wait to the triggerer.

        :param progress: where the ticket stands, if that is known.
        """
        from airflow_provider_cloudsync.api.waiting.sequence import Start, Wait, sequence

        steps = sequence(
            self.service, ticket, progress, wait_for_last=self.wait_for_completion, clock=time.time
        )
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                ticket, progress = end.value
                break
            answer = None
            if isinstance(step, Start):
                answer = self._begin(context, step.ticket, deadline)
            elif isinstance(step, Wait):
                answer = self._wait(context, step.ticket, deadline)
            elif step.must:
                self._remember(context, step.ticket)
            else:
                self._remember_if_possible(context, step.ticket)
        if progress is not None:
            self.log.info("%s: done. %s", self.service.describe(ticket.target), progress.why)
        return self._conclude(context, ticket)

    def _queued(self, parts: list[Target]) -> Ticket:
        from airflow_provider_cloudsync.api.waiting.sequence import queued

        return queued(self.service, tuple(parts), time.time())

    def _begin(self, context: Context, queued: Ticket, deadline: float) -> Ticket:
        from airflow_provider_cloudsync.api.waiting.starting import begin

        self._sent = True

        def keep(ticket: Ticket) -> None:
            self._remember(context, replace(ticket, restarted=queued.restarted))

        cloud = self.hook.cloud.until(deadline)
        ticket = self.hook.run(begin(cloud, self.service, queued.target, later=queued.later, remember=keep))
        ticket = replace(ticket, restarted=queued.restarted)
        self._sent = ticket.stage is Stage.STARTED
        described = self.service.describe(ticket.target)
        if ticket.stage is Stage.STARTED:
            self.log.info(
                "%s: accepted (request id %s).", described, ticket.receipt.get("request_id") or "unknown"
            )
        elif self.if_running == "fail":
            raise SyncFailed(
                f"{described} was not started: another run is under way, and if_running is 'fail'."
            )
        else:
            self.log.info("%s: another run is under way; ours starts when it has ended.", described)
            # What is stored is what is waited for, so that an event that is delivered twice is recognized.
            self._remember(context, ticket)
        return ticket

    def _wait(self, context: Context, ticket: Ticket, deadline: float) -> Progress:
        if self.deferrable:
            self.hand_over(ticket, deadline=deadline, try_number=context["ti"].try_number)
        with metrics.Wait(self.service.name) as wait:
            progress = self.wait_here(self.service, ticket, deadline=deadline)
            wait.ended(progress.phase)
        return progress

    def _conclude(self, context: Context, ticket: Ticket) -> dict[str, Any]:
        # Not forgotten, since the worker may die before Airflow knows that the task is green.
        end = End.COMPLETED if self.wait_for_completion else End.ACCEPTED
        self._remember_if_possible(context, ticket, end)
        target = self.target()
        result = self.result(target, ticket)
        outcome = "succeeded" if self.wait_for_completion else "accepted"
        self.tell_outlets(context, self.service.name, target, {"outcome": outcome, **result})
        return result

    # What survives a try: the ticket, in Airflow's task state store where there is one (3.3 and later).

    def _take_up(
        self, context: Context, parts: list[Target], deadline: float
    ) -> tuple[Ticket, Progress | None]:
        """Where to begin: at the first part, or where the try before was."""
        from airflow_provider_cloudsync.api.waiting import starting

        first = self._queued(parts)
        cloud = self.hook.cloud.until(deadline)
        if not has_memory(context):
            adopted = None
            if self._may_adopt(context):
                adopted = self.hook.run(starting.adopt(cloud, self.service, parts[0], later=tuple(parts[1:])))
            if adopted is None:
                if self.is_retry(context):
                    self.log.warning(
                        "An earlier try may have started this already. Airflow before 3.3 keeps no word of that, and "
                        "the service shows no such run, so it is started anew."
                    )
                return first, None
            ticket, progress = (
                adopted,
                Progress(Phase.RUNNING, "A run is under way; it is taken as that try's."),
            )
        else:
            left = self._recall(context, parts)
            return (first, None) if left is None else self._go_on(context, left, parts, deadline)
        return self._taken_up(ticket, progress)

    def _go_on(
        self, context: Context, left: StoredTicket, parts: list[Target], deadline: float
    ) -> tuple[Ticket, Progress | None]:
        """Return where to go on after a try that left a ticket."""
        from airflow_provider_cloudsync.api.waiting import starting

        first = self._queued(parts)
        if left.end is End.COMPLETED or (left.end is not None and not self.wait_for_completion):
            return left.ticket, Progress(Phase.SUCCEEDED, "An earlier try of this task has seen its end.")
        retry = self.is_retry(context, left.mark)
        try:
            ticket, found = self.hook.run(
                starting.resume(self.hook.cloud.until(deadline), self.service, left.ticket)
            )
        except InvalidEvent as error:
            if retry:
                raise  # what it is about may go on; a cleared task is asked to start anew
            self.log.warning("Ignoring the unreadable ticket of a previous try: %s", error)
            return first, None
        ticket = replace(ticket, restarted=retry and left.ticket.restarted)
        if found is None:
            return ticket, None
        if found.phase is not Phase.RUNNING and not retry:
            self.log.info(
                "The task was cleared, and what it had started has ended since; it is started anew."
            )
            return first, None
        self._remember(context, ticket)
        return self._taken_up(ticket, found)

    def _taken_up(self, ticket: Ticket, progress: Progress) -> tuple[Ticket, Progress]:
        self._sent = True
        self.log.info(
            "Taking up what an earlier try of this task started: %s. %s", progress.phase.value, progress.why
        )
        return ticket, progress

    def _may_adopt(self, context: Context) -> bool:
        """Return whether a run that is there counts as ours, where there is no store to tell.

        Only for a retry that would wait for its run: the try before may have started it.
        """
        return self.is_retry(context) and self.wait_for_completion and self.if_running == "attach"

    def _recall(self, context: Context, parts: list[Target]) -> StoredTicket | None:
        """Return the ticket of an earlier try; None if this try has to start with the first part.

        :raises InvalidEvent: in a retry, if another release wrote it: what that started may still go on.
        """
        stored = recall(context, TICKET_KEY)
        if stored is None:
            return None
        left = StoredTicket.read(stored)
        if left is None:
            if is_of_other_version(stored) and self.is_retry(context, mark_of(stored)):
                raise InvalidEvent(
                    "An earlier try of this task ran under another release of airflow-provider-cloudsync, and this one "
                    f"can't read what it left. What it started may go on: look at {self.service.console}, then clear "
                    "the task, which starts it anew."
                )
            self.log.warning("Ignoring the unreadable ticket of a previous try: %s", shown(stored))
            return None
        now = self._of_now(left.ticket, parts) if left.of == self._fingerprint(parts) else None
        if now is None:
            self.log.info("An earlier try of this task was about something else; it is not taken up.")
            return None
        retry = self.is_retry(context, left.mark)
        if self._is_too_old(left, retry):
            self.log.info("What an earlier try of this task started is too long ago; it is not taken up.")
            return None
        if not retry and (left.end is not None or now.stage is Stage.QUEUED):
            return None  # cleared: all anew, since what was done may have been undone
        return replace(left, ticket=now)

    def _is_too_old(self, left: StoredTicket, retry: bool) -> bool:
        """Return whether a ticket says nothing about what runs now."""
        now = time.time()
        if left.ticket.started_at - now > _TICKET_AGE:
            return True  # in the future: stored by a machine whose clock was wrong
        delay = self.max_retry_delay or self.retry_delay
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return not retry and now - left.at > _TICKET_AGE + self.timeout + seconds

    def _of_now(self, ticket: Ticket, parts: list[Target]) -> Ticket | None:
        """A ticket with the task's parameters of now, such as how long to wait; None if it is about something else."""
        rest = 1 + len(ticket.later)
        if ticket.service != self.service.name or ticket.stage is Stage.WATCHING or rest > len(parts):
            return None
        mine, later = parts[-rest], parts[len(parts) - rest + 1 :]
        try:
            same = [self.service.identity(each) for each in (ticket.target, *ticket.later)] == [
                self.service.identity(each) for each in (mine, *later)
            ]
        except (KeyError, TypeError, AttributeError):
            same = False
        return replace(ticket, target=mine, later=tuple(later)) if same else None

    def _fingerprint(self, parts: list[Target]) -> str:
        """Tells whether two tries are about the same, whatever they say of how to wait for it."""
        where = [self.cloudsync_conn_id, self.region, self.project_id]
        identity = [where, *(self.service.identity(part) for part in parts)]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _remember(self, context: Context, ticket: Ticket, end: End | None = None) -> None:
        if not has_memory(context):
            return
        whole = self._fingerprint(self.service.split(self.target()))
        kept = StoredTicket(ticket, whole, time.time(), TryMark.of(context), end)
        remember(context, TICKET_KEY, kept.to_text())

    def _remember_if_possible(self, context: Context, ticket: Ticket, end: End | None = None) -> None:
        """Store a ticket after an end, which a store that cannot be written must not replace by its own error.

        The started ticket is still stored then, and a retry polls first.
        """
        try:
            self._remember(context, ticket, end)
        except Exception as error:
            self.log.warning("Cannot write to the task state store (%s). A retry polls first.", error)
