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

from airflow_provider_cloudsync import api, metrics, waits
from airflow_provider_cloudsync.api.model import (
    RAN_KEY,
    TICKET_VERSION,
    Phase,
    Progress,
    Stage,
    Startable,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.services.parameters import one_of
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent, SyncFailed
from airflow_provider_cloudsync.operators.cloud import CloudOperator, has_memory, recall, remember

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: Key in Airflow's task state store (3.3 and later), which survives the retries of a task. Never rename it.
TICKET_KEY = "cloudsync_ticket"
#: What an earlier try started longer ago than that (seconds) says nothing to the one who clears the task today.
_TICKET_AGE = 86_400.0
_UNREADABLE = "What an earlier try stored can't be read, and is not used: %s"


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
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.timeout = waits.seconds(timeout, "timeout")
        self.poll_interval = None if poll_interval is None else waits.seconds(poll_interval, "poll_interval")
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
            began = waits.start_of_try(context) if self.deferrable else None
            deadline = waits.deadline(self.timeout, self.execution_timeout, began)
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
            if isinstance(report.ended, CloudSyncError):
                raise report.ended
            parts = self.service.split(self.target())
            ticket = self._of_now(Ticket.from_json(report.ticket), parts)
            if ticket is None:
                raise InvalidEvent(
                    "The task was resumed with the end of a wait for something else: it was changed while it was "
                    "deferred, or the report is damaged. Clear the task: it looks first."
                )
            return self._follow(context, ticket, report.deadline, report.ended)

    def on_kill(self) -> None:
        """Say what goes on without the task: no call of the service stops a run."""
        if self._sent:
            self.log.warning("The task was ended. %s", api.polling.left_behind(self.service, self.target()))

    def _follow(
        self, context: Context, ticket: Ticket, deadline: float, progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """Follow a ticket to the end, start what comes after it, or leave the wait to the triggerer.

        :param progress: where the ticket stands, if that is known.
        """
        while True:
            if ticket.stage is Stage.QUEUED and (progress is None or progress.phase is Phase.SUCCEEDED):
                ticket, progress = self._begin(context, ticket, deadline), None
            started = ticket.stage is Stage.STARTED
            if started and not self.wait_for_completion and not ticket.later:
                return self._conclude(context, ticket)
            if progress is None or progress.phase is Phase.RUNNING:
                progress = self._wait(context, ticket, deadline)
            described = self.service.describe(ticket.target)
            if progress.phase is Phase.FAILED and started and not ticket.baseline.keys() - {RAN_KEY}:
                self.log.info("%s The run that was taken up was not ours; ours is started now.", progress.why)
                ticket, progress = self._queued(ticket.target, ticket.later), None
                continue
            if progress.phase is Phase.FAILED:
                # The next try starts this part anew, and not those before it, which are done.
                self._remember(context, self._queued(ticket.target, ticket.later))
                raise SyncFailed(f"{described} failed. {progress.why}")
            if started and not ticket.later:
                self.log.info("%s: done. %s", described, progress.why)
                return self._conclude(context, ticket)
            if started:
                ticket, progress = self._queued(ticket.later[0], ticket.later[1:]), None

    def _queued(self, target: Target, later: tuple[Target, ...]) -> Ticket:
        return Ticket(self.service.name, target, Stage.QUEUED, time.time(), later=later)

    def _begin(self, context: Context, queued: Ticket, deadline: float) -> Ticket:
        begin = api.waiting.begin  # imported before anything is said to be sent
        self._sent = True
        ticket = self.hook.run(
            begin(
                self.hook.cloud.until(deadline),
                self.service,
                queued.target,
                later=queued.later,
                remember=lambda ticket: self._remember(context, ticket),
            )
        )
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
        return ticket

    def _wait(self, context: Context, ticket: Ticket, deadline: float) -> Progress:
        if self.deferrable:
            self.hand_over(ticket, deadline=deadline, try_number=context["ti"].try_number)
        with metrics.Wait(self.service.name) as wait:
            progress = self.run_with_present_key(
                lambda cloud: api.polling.until_done(
                    cloud, self.service, ticket, deadline=deadline, poll_interval=self.poll_interval
                )
            )
            wait.ended(progress.phase)
        return progress

    def _conclude(self, context: Context, ticket: Ticket) -> dict[str, Any]:
        # Not forgotten, since the worker may die before Airflow knows that the task is green.
        self._remember(context, ticket, ended=True)
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
        first = self._queued(parts[0], tuple(parts[1:]))
        cloud = self.hook.cloud.until(deadline)
        if not has_memory(context):
            adopted = None
            if self._may_adopt(context):
                adopted = self.hook.run(
                    api.waiting.adopt(cloud, self.service, parts[0], later=tuple(parts[1:]))
                )
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
            left, ended = self._recall(context, parts)
            if left is None:
                return first, None
            if ended:
                return left, Progress(Phase.SUCCEEDED, "An earlier try of this task has seen its end.")
            try:
                ticket, found = self.hook.run(api.waiting.resume(cloud, self.service, left))
            except InvalidEvent as error:
                if self.is_retry(context):
                    raise  # what it is about may go on; a cleared task is asked to start anew
                self.log.warning(_UNREADABLE, error)
                return first, None
            if found is None:
                return ticket, None
            if found.phase is Phase.SUCCEEDED and not self.is_retry(context):
                self.log.info(
                    "The task was cleared, and what it had started has ended since; it is started anew."
                )
                return first, None
            self._remember(context, ticket)
            progress = found
        self._sent = True
        self.log.info(
            "Taking up what an earlier try of this task started: %s. %s", progress.phase.value, progress.why
        )
        return ticket, progress

    def _may_adopt(self, context: Context) -> bool:
        """Whether a run that is there counts as ours, where there is no store to tell.

        Only for a retry that would wait for its run: the try before may have started it.
        """
        return self.is_retry(context) and self.wait_for_completion and self.if_running == "attach"

    def _recall(self, context: Context, parts: list[Target]) -> tuple[Ticket | None, bool]:
        """The ticket of an earlier try, if it is about the same and not too old; and whether that try saw its end.

        :raises InvalidEvent: in a retry, if another release wrote it: what that started may still go on.
        """
        stored = recall(context, TICKET_KEY)
        if stored is None:
            return None, False
        retry = self.is_retry(context)
        version = TICKET_VERSION
        try:
            left = json.loads(stored)
            version = left["ticket"]["version"]
            ticket, whole, ended = Ticket.from_json(left["ticket"]), left["of"], bool(left.get("ended"))
        except (InvalidEvent, ValueError, TypeError, KeyError, AttributeError) as error:
            if retry and version != TICKET_VERSION:
                raise InvalidEvent(
                    "An earlier try of this task ran under another release of airflow-provider-cloudsync, and this one "
                    f"can't read what it left. What it started may go on: look at {self.service.console}, then clear "
                    "the task, which starts it anew."
                ) from None
            self.log.warning(_UNREADABLE, error)
            return None, False
        now = self._of_now(ticket, parts) if whole == self._fingerprint(parts) else None
        if now is None:
            self.log.info("An earlier try of this task was about something else; it is not taken up.")
            return None, False
        if abs(time.time() - ticket.started_at) > _TICKET_AGE:
            self.log.info("What an earlier try of this task started is too long ago; it is not taken up.")
            return None, False
        if (ended or ticket.stage is Stage.QUEUED) and not retry:
            return None, False  # cleared: all anew, since what was done may have been undone
        return now, ended

    def _of_now(self, ticket: Ticket, parts: list[Target]) -> Ticket | None:
        """A ticket with the task's parameters of now, such as how long to wait; None if it is about something else."""
        rest = 1 + len(ticket.later)
        if ticket.service != self.service.name or ticket.stage is Stage.WATCHING or rest > len(parts):
            return None
        mine, later = parts[-rest], parts[len(parts) - rest + 1 :]
        try:
            same = [self.service.essence(each) for each in (ticket.target, *ticket.later)] == [
                self.service.essence(each) for each in (mine, *later)
            ]
        except (KeyError, TypeError, AttributeError):
            same = False
        return replace(ticket, target=mine, later=tuple(later)) if same else None

    def _fingerprint(self, parts: list[Target]) -> str:
        """Tells whether two tries are about the same, whatever they say of how to wait for it."""
        where = [self.cloudsync_conn_id, self.region, self.project_id]
        essence = [where, *(self.service.essence(part) for part in parts)]
        return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()

    def _remember(self, context: Context, ticket: Ticket, *, ended: bool = False) -> None:
        whole = self._fingerprint(self.service.split(self.target()))
        kept = {"ticket": ticket.to_json(), "of": whole, **({"ended": True} if ended else {})}
        remember(context, TICKET_KEY, json.dumps(kept))
