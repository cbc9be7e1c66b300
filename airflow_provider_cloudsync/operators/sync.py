"""Base of the operators that start a sync and wait for it. Those of the services add their parameters only."""

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
from airflow_provider_cloudsync.operators.cloud import (
    CloudOperator,
    has_state_store,
    load_state,
    store_state,
)
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
    """Starts a synchronization once and waits until it has really ended. The log gives the reason of a failure.

    The other parameters are those of `CloudOperator`.

    :param wait_for_completion: wait for the end. With False, green means that the service accepted the request.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param timeout: longest duration of the task, a timedelta or seconds. The earlier of it and ``execution_timeout``
        counts. A restart of the worker or the triggerer does not extend it.
    :param poll_interval: seconds or timedelta between polls. None: soon at first, then a tenth of the time waited.
    :param if_running: behavior while another run is active: ``attach`` waits until that run has ended, then starts the
        sync; ``fail`` fails the task.
    """

    service: ClassVar[Startable[Any]]
    #: A run that this task started may be active.
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
        """Return what to synchronize, from the rendered parameters, checked."""

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        """Return the XCom of the task: small plain JSON."""
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
        """Resume the sync of a previous try or start it, and follow it to the end."""
        with self.report_failure():
            parts = self.service.split(self.target())
            self.show_console(context, self.service.console, parts[0])
            began = waiter.start_of_try(context) if self.deferrable else None
            deadline = waiter.deadline(self.timeout, self.execution_timeout, began)
            self.hook.read_until = deadline
            ticket, progress = self._resume_or_queue(context, parts, deadline)
            return self._run_sequence(context, ticket, deadline, progress)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any] | None:
        """Continue after a deferral, with the report of the trigger."""
        from airflow_provider_cloudsync.triggers.sync import Report

        with self.report_failure():
            report = Report.from_json(event)
            if report.try_number == context["ti"].try_number:
                return self._continue(context, report)
        # Airflow 3.0 resumes a retry with the report of the previous try, instead of executing it.
        return self.execute(context)

    def _continue(self, context: Context, report: Report) -> dict[str, Any] | None:
        self.hook.was_found_before = True
        if isinstance(report.ended, CloudSyncError):
            raise report.ended
        parts = self.service.split(self.target())
        ticket = self._with_current_parameters(Ticket.from_json(report.ticket), parts)
        if ticket is None:
            raise InvalidEvent(
                "The report of the trigger is about another sync: the task was changed while it was deferred, or the "
                "report is damaged. Clear the task: it polls before it starts."
            )
        found = self._after_first_delivery(context, parts, ticket, report) or (ticket, report.ended)
        return self._run_sequence(context, found[0], report.deadline, found[1])

    def _after_first_delivery(
        self, context: Context, parts: list[Target], ticket: Ticket, report: Report
    ) -> tuple[Ticket, Progress | None] | None:
        """Return the position of this try if it has advanced since the deferral that the report is about.

        An event can be delivered twice, as when a worker dies that was resumed by it and Airflow queues the task again.
        The store holds what the first delivery started: the ticket of each wait is stored before the task defers.
        Only a report that leads to a start is checked, so that no other one depends on the store.
        """
        failed = isinstance(report.ended, Progress) and report.ended.phase is Phase.FAILED
        starts = not ticket.receipt if failed else ticket.stage is Stage.QUEUED or ticket.later
        stored = load_state(context, TICKET_KEY) if starts else None
        left = None if stored is None else StoredTicket.read(stored)
        if left is None or left.mark is None or left.mark.try_number != report.try_number:
            return None  # nothing is stored, or an older release deferred the task
        current = self._with_current_parameters(left.ticket, parts)
        if current is None or (current.wait == ticket.wait and left.end is None):
            return None
        self.log.warning("The event was delivered a second time. Continuing after the first delivery.")
        return self._resume(context, replace(left, ticket=current), parts, report.deadline)

    def on_kill(self) -> None:
        """Log what continues without the task: no API call stops a run."""
        from airflow_provider_cloudsync.api.waiting import polling

        if self._sent:
            self.log.warning("Task terminated. %s", polling.left_behind(self.service, self.target()))

    def _run_sequence(
        self, context: Context, ticket: Ticket, deadline: float, progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """Run the steps of the sync, or defer a wait to the triggerer.

        :param progress: state of the ticket's run; None if it is not known.
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
                answer = self._start(context, step.ticket, deadline)
            elif isinstance(step, Wait):
                answer = self._wait(context, step.ticket, deadline)
            elif step.must:
                self._store(context, step.ticket)
            else:
                self._try_to_store(context, step.ticket)
        if progress is not None:
            self.log.info("%s: done. %s", self.service.describe(ticket.target), progress.why)
        return self._conclude(context, ticket)

    def _queued(self, parts: list[Target]) -> Ticket:
        from airflow_provider_cloudsync.api.waiting.sequence import queued

        return queued(self.service, tuple(parts), time.time())

    def _start(self, context: Context, queued: Ticket, deadline: float) -> Ticket:
        from airflow_provider_cloudsync.api.waiting.starting import begin

        self._sent = True

        def store(ticket: Ticket) -> None:
            self._store(context, replace(ticket, restarted=queued.restarted))

        cloud = self.hook.cloud.until(deadline)
        ticket = self.hook.run(begin(cloud, self.service, queued.target, later=queued.later, remember=store))
        ticket = replace(ticket, restarted=queued.restarted)
        self._sent = ticket.stage is Stage.STARTED
        described = self.service.describe(ticket.target)
        if ticket.stage is Stage.STARTED:
            self.log.info(
                "%s: accepted (request ID %s).", described, ticket.receipt.get("request_id") or "unknown"
            )
        elif self.if_running == "fail":
            raise SyncFailed(
                f"Not started: another run is active, and if_running is 'fail'. Run the task later, or set "
                f"if_running='attach'. [{described}]"
            )
        else:
            self.log.info("%s: another run is active. Starting after it has ended.", described)
            # The stored ticket is that of the wait, so that a second delivery of its event is recognized.
            self._store(context, ticket)
        return ticket

    def _wait(self, context: Context, ticket: Ticket, deadline: float) -> Progress:
        if self.deferrable:
            self.defer_wait(ticket, deadline=deadline, try_number=context["ti"].try_number)
        with metrics.Wait(self.service.name) as wait:
            progress = self.wait_in_worker(self.service, ticket, deadline=deadline)
            wait.ended(progress.phase)
        return progress

    def _conclude(self, context: Context, ticket: Ticket) -> dict[str, Any]:
        # Kept in the store: the worker may die before Airflow has recorded the success.
        end = End.COMPLETED if self.wait_for_completion else End.ACCEPTED
        self._try_to_store(context, ticket, end)
        target = self.target()
        result = self.result(target, ticket)
        outcome = "succeeded" if self.wait_for_completion else "accepted"
        self.annotate_outlet_events(context, self.service.name, target, {"outcome": outcome, **result})
        return result

    def _resume_or_queue(
        self, context: Context, parts: list[Target], deadline: float
    ) -> tuple[Ticket, Progress | None]:
        """Return the ticket to begin with: that of a previous try, or one for the first part."""
        if not has_state_store(context):
            return self._adopt_or_queue(context, parts, deadline)
        left = self._load_ticket(context, parts)
        return (self._queued(parts), None) if left is None else self._resume(context, left, parts, deadline)

    def _adopt_or_queue(
        self, context: Context, parts: list[Target], deadline: float
    ) -> tuple[Ticket, Progress | None]:
        """Return the ticket of an active run that a previous try may have started, or one for the first part."""
        from airflow_provider_cloudsync.api.waiting import starting

        cloud = self.hook.cloud.until(deadline)
        if self._may_adopt(context):
            later = tuple(parts[1:])
            adopted = self.hook.run(starting.adopt(cloud, self.service, parts[0], later=later))
            if adopted is not None:
                running = Progress(Phase.RUNNING, "A run is active; it counts as that of the previous try.")
                return self._resumed(adopted, running)
        if self.is_retry(context):
            self.log.warning(
                "A previous try may have started this sync, but this Airflow version has no task state store (3.3+) "
                "and no running sync was found. Starting it again."
            )
        return self._queued(parts), None

    def _resume(
        self, context: Context, left: StoredTicket, parts: list[Target], deadline: float
    ) -> tuple[Ticket, Progress | None]:
        """Return the ticket and progress with which to continue after a try that stored a ticket."""
        from airflow_provider_cloudsync.api.waiting import starting

        first = self._queued(parts)
        if left.end is End.COMPLETED or (left.end is not None and not self.wait_for_completion):
            return left.ticket, Progress(Phase.SUCCEEDED, "A previous try of this task has seen its end.")
        retry = self.is_retry(context, left.mark)
        try:
            ticket, found = self.hook.run(
                starting.resume(self.hook.cloud.until(deadline), self.service, left.ticket)
            )
        except InvalidEvent as error:
            if retry:
                raise  # the run of the ticket may be active; a cleared task is meant to start again
            self.log.warning("Ignoring the unreadable ticket of a previous try: %s", error)
            return first, None
        ticket = replace(ticket, restarted=retry and left.ticket.restarted)
        if found is None:
            return ticket, None
        if found.phase is not Phase.RUNNING and not retry:
            self.log.info(
                "The task was cleared, and the run of the previous try has ended. Starting the sync again."
            )
            return first, None
        self._store(context, ticket)
        return self._resumed(ticket, found)

    def _resumed(self, ticket: Ticket, progress: Progress) -> tuple[Ticket, Progress]:
        self._sent = True
        self.log.info("Resuming the sync of a previous try: %s. %s", progress.phase.value, progress.why)
        return ticket, progress

    def _may_adopt(self, context: Context) -> bool:
        """Return whether an active run counts as that of a previous try, without a state store.

        Only for a retry that would wait for the run anyway: the previous try may have started it.
        """
        return self.is_retry(context) and self.wait_for_completion and self.if_running == "attach"

    def _load_ticket(self, context: Context, parts: list[Target]) -> StoredTicket | None:
        """Return the ticket of a previous try; None if this try has to start with the first part.

        :raises InvalidEvent: in a retry, if another release wrote it: the run of that ticket may be active.
        """
        stored = load_state(context, TICKET_KEY)
        if stored is None:
            return None
        left = StoredTicket.read(stored)
        if left is None:
            if is_of_other_version(stored) and self.is_retry(context, mark_of(stored)):
                raise InvalidEvent(
                    "The ticket of the previous try was written by another release of airflow-provider-cloudsync. "
                    f"Its run may be active. Check {self.service.console}, then clear the task, which starts the "
                    "sync again."
                )
            self.log.warning("Ignoring the unreadable ticket of a previous try: %s", shown(stored))
            return None
        same = left.of == self._fingerprint(parts)
        current = self._with_current_parameters(left.ticket, parts) if same else None
        if current is None:
            self.log.info("Ignoring the ticket of a previous try: it is about another sync.")
            return None
        retry = self.is_retry(context, left.mark)
        if self._is_too_old(left, retry):
            self.log.info("Ignoring the ticket of a previous try: it is too old.")
            return None
        if not retry and (left.end is not None or current.stage is Stage.QUEUED):
            return None  # cleared: all parts again, since their effect may have been undone
        return replace(left, ticket=current)

    def _is_too_old(self, left: StoredTicket, retry: bool) -> bool:
        """Return whether a ticket is too old to describe the present run."""
        now = time.time()
        if left.ticket.started_at - now > _TICKET_AGE:
            return True  # in the future: stored by a machine whose clock was wrong
        delay = self.max_retry_delay or self.retry_delay
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return not retry and now - left.at > _TICKET_AGE + self.timeout + seconds

    def _with_current_parameters(self, ticket: Ticket, parts: list[Target]) -> Ticket | None:
        """Return a ticket with the task's current parameters; None if it is about another sync."""
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
        """Return a hash that is equal for two tries of the same sync, also if they wait for it differently."""
        where = [self.cloudsync_conn_id, self.region, self.project_id]
        identity = [where, *(self.service.identity(part) for part in parts)]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _store(self, context: Context, ticket: Ticket, end: End | None = None) -> None:
        if not has_state_store(context):
            return
        whole = self._fingerprint(self.service.split(self.target()))
        stored = StoredTicket(ticket, whole, time.time(), TryMark.of(context), end)
        store_state(context, TICKET_KEY, stored.to_text())

    def _try_to_store(self, context: Context, ticket: Ticket, end: End | None = None) -> None:
        """Store a ticket after an end. An error of the store must not replace that end.

        The started ticket is still stored then, and a retry polls first.
        """
        try:
            self._store(context, ticket, end)
        except Exception as error:
            self.log.warning("Cannot write to the task state store (%s). A retry polls first.", error)
