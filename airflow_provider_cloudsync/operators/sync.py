"""What all operators do that start a sync and wait for it; the others only name their parameters."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_cloudsync import waits
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Startable, Target, Ticket
from airflow_provider_cloudsync.api.services.parameters import one_of
from airflow_provider_cloudsync.api.waiting import adopt, begin, resume, until_done
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent, SyncFailed

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

#: Key in Airflow's task state store (3.3 and later), which survives the retries of a task. Never rename it.
TICKET_KEY = "cloudsync_ticket"


class CloudSyncOperator(BaseOperator):
    """Starts a synchronization once, waits until it is really done, and says why if it failed.

    :param cloudsync_conn_id: the Airflow connection. Templated.
    :param region: instead of the connection's region. Templated.
    :param project_id: instead of the connection's project. Templated.
    :param wait_for_completion: whether to wait for the end. If not, the task is green once the service accepted.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param timeout: how long the task may take, a timedelta or seconds; the earlier of it and ``execution_timeout``
        counts, and a restart does not extend it.
    :param poll_interval: seconds or timedelta between looks; None: soon at first, then at a tenth of the time waited.
    :param if_running: where somebody else's run is in the way: ``attach`` waits until it has ended and starts ours
        then; ``fail`` fails the task.
    """

    template_fields: Sequence[str] = ("cloudsync_conn_id", "region", "project_id")
    ui_color = "#fde8e8"

    service: ClassVar[Startable[Any]]

    def __init__(
        self,
        *,
        cloudsync_conn_id: str = "cloudsync_default",
        region: str | None = None,
        project_id: str | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        timeout: timedelta | float = timedelta(hours=1),
        poll_interval: timedelta | float | None = None,
        if_running: Literal["attach", "fail"] = "attach",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cloudsync_conn_id = cloudsync_conn_id
        self.region = region
        self.project_id = project_id
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

    @cached_property
    def hook(self) -> CloudSyncHook:
        """The way to the service; the connection is read when it is first used."""
        from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

        return CloudSyncHook(self.cloudsync_conn_id, region=self.region, project_id=self.project_id)

    def execute(self, context: Context) -> dict[str, Any] | None:
        """Take up what an earlier try left behind, or start anew; then follow it to the end."""
        parts = self.service.split(self.target())
        deadline = waits.deadline(self.timeout, self.execution_timeout)
        found = self._take_up(context, parts)
        if found is not None:
            ticket, progress = found
            self.log.info(
                "Taking up what an earlier try of this task started: %s. %s",
                progress.phase.value,
                progress.why,
            )
            return self._follow(context, ticket, deadline, progress)
        ticket = self._begin(context, parts[0], tuple(parts[1:]), deadline)
        return self._follow(context, ticket, deadline)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any] | None:
        """Go on after a deferral, with the report of the trigger."""
        from airflow_provider_cloudsync.triggers.sync import Report

        report = Report.from_json(event)
        if report.try_number != context["ti"].try_number:
            # Airflow 3.0 resumes a retry with the report of the try before, instead of executing it.
            return self.execute(context)
        if isinstance(report.ended, CloudSyncError):
            raise report.ended
        return self._follow(context, Ticket.from_json(report.ticket), report.deadline, report.ended)

    def on_kill(self) -> None:
        """Say what goes on without the task: no call of the service stops a run."""
        self.log.warning(
            "The task was ended, but what it started in the cloud goes on there: no call stops it (%s). "
            "The task finds it again when it is retried.",
            type(self).__name__,
        )

    def _follow(
        self, context: Context, ticket: Ticket, deadline: float, progress: Progress | None = None
    ) -> dict[str, Any] | None:
        """Follow a ticket to the end, start what comes after it, or leave the wait to the triggerer."""
        while True:
            started = ticket.stage is Stage.STARTED
            if started and not self.wait_for_completion and not ticket.later:
                return self._conclude(context, ticket)
            if progress is None or progress.phase is Phase.RUNNING:
                progress = self._wait(context, ticket, deadline)
            if progress.phase is Phase.FAILED:
                self._forget(context)
                raise SyncFailed(f"{self.service.describe(ticket.target)} failed. {progress.why}")
            if not started:
                ticket = self._begin(context, ticket.target, ticket.later, deadline)
            elif ticket.later:
                ticket = self._begin(context, ticket.later[0], ticket.later[1:], deadline)
            else:
                self.log.info("%s: done. %s", self.service.describe(ticket.target), progress.why)
                return self._conclude(context, ticket)
            progress = None

    def _begin(self, context: Context, target: Target, later: tuple[Target, ...], deadline: float) -> Ticket:
        ticket = self.hook.run(
            begin(
                self.hook.cloud.until(deadline),
                self.service,
                target,
                later=later,
                remember=lambda ticket: self._remember(context, ticket),
            )
        )
        described = self.service.describe(target)
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
            waits.defer(
                self.defer,
                ticket,
                deadline=deadline,
                try_number=context["ti"].try_number,
                cloudsync_conn_id=self.cloudsync_conn_id,
                region=self.region,
                project_id=self.project_id,
                poll_interval=self.poll_interval,
            )
        return self.hook.run(
            until_done(
                self.hook.cloud, self.service, ticket, deadline=deadline, poll_interval=self.poll_interval
            )
        )

    def _conclude(self, context: Context, ticket: Ticket) -> dict[str, Any]:
        self._forget(context)
        return self.result(self.target(), ticket)

    # What survives a try: the ticket, in Airflow's task state store where there is one (3.3 and later).

    def _take_up(self, context: Context, parts: list[Target]) -> tuple[Ticket, Progress] | None:
        store = context.get("task_state_store")
        if store is None:
            # Without a store a retry can't know its start; a run that is there counts as it, so that none is doubled.
            if context["ti"].try_number <= 1:
                return None
            adopted = self.hook.run(adopt(self.hook.cloud, self.service, parts[0], later=tuple(parts[1:])))
            return None if adopted is None else (adopted, Progress(Phase.RUNNING, "A run is under way."))
        stored = store.get(TICKET_KEY, default=None)
        if stored is None:
            return None
        try:
            ticket = Ticket.from_json(json.loads(str(stored)))
        except (InvalidEvent, TypeError, ValueError) as error:
            self.log.warning("What an earlier try stored can't be read, and is not used: %s", error)
            return None
        if ticket.service != self.service.name or dict(ticket.target) not in [dict(part) for part in parts]:
            self.log.info("An earlier try of this task was about something else; it is not taken up.")
            return None
        return self.hook.run(resume(self.hook.cloud, self.service, ticket))

    def _remember(self, context: Context, ticket: Ticket) -> None:
        store = context.get("task_state_store")
        if store is not None:
            store.set(TICKET_KEY, json.dumps(ticket.to_json()))

    def _forget(self, context: Context) -> None:
        """Once it has ended well or badly: a task that is cleared afterwards is to start anew."""
        store = context.get("task_state_store")
        if store is not None:
            store.delete(TICKET_KEY)
