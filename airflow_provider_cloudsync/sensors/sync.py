"""Base of the sensors that wait for a sync of another caller."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    conf,
)

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.clocks import handed_over
from airflow_provider_cloudsync.api.model import (
    CONFIRM_FAILURE,
    Phase,
    Progress,
    Service,
    Stage,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.parameters import flag
from airflow_provider_cloudsync.api.times import iso
from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL
from airflow_provider_cloudsync.exceptions import CloudSyncError, WaitTimedOut
from airflow_provider_cloudsync.operators.cloud import load_state, store_state
from airflow_provider_cloudsync.tasks import waiter
from airflow_provider_cloudsync.tasks.failures import logged_failure, skipped_if

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow
    from airflow_provider_cloudsync.api.waiting.polling import Confirmation

__all__ = ["CloudSyncSensor"]


#: Key in Airflow's task state store (3.3 and later): what the pokes of a rescheduled sensor learned. Never rename it.
LEARNED_KEY = "cloudsync_learned"
#: An end that can be confirmed within this many seconds is confirmed in the worker, without a deferral.
_CONFIRM_HERE = CONFIRM_FAILURE
#: Attempts at the first poll of a sensor that defers, and seconds between them. It measures the clock of the machine
#: where ``synced_after`` was read; the triggerer's may differ.
_FIRST_POLLS, _FIRST_PAUSE = 6, 10.0
#: Before Airflow 3, a poke later than this many seconds after the start of the try is not the first one.
_LONGEST_LOADING = 60.0


class CloudSyncSensor(waiter.Waiter, BaseSensorOperator):
    """Waits for a sync of another caller. It starts nothing.

    A failed sync fails the sensor at once and without retries, since another wait cannot help; with ``soft_fail`` it is
    skipped. All modes and deferral reach the same verdicts.

    :param cloudsync_conn_id: ID of the Airflow connection. Templated.
    :param region: overrides the connection's region. Templated.
    :param project_id: overrides the connection's project. Templated.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poke_interval: seconds or timedelta between polls. Omitted: 60 s; deferred: soon at first, then a tenth of
        the time waited.
    """

    template_fields: Sequence[str] = ("cloudsync_conn_id", "region", "project_id")
    ui_color = "#e8f0fd"

    service: ClassVar[Service[Any]]
    #: Last progress in the log.
    _logged: Progress | None = None
    #: Ticket with what the polls of this process have learned.
    _learned: Ticket | None = None
    #: An end that polls of this process have shown and not yet confirmed.
    _confirmation: Confirmation | None = None
    #: Number of lost polls in a row.
    _lost = 0
    #: Start of the wait in this process by the monotonic clock; None: not started.
    _began: float | None = None

    def __init__(
        self,
        *,
        cloudsync_conn_id: str = "cloudsync_default",
        region: str | None = None,
        project_id: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        if poke_interval is not None:
            kwargs["poke_interval"] = poke_interval
        super().__init__(**kwargs)
        for name in ("soft_fail", "never_fail"):
            flag(getattr(self, name), name)
        self.cloudsync_conn_id = cloudsync_conn_id
        self.region = region
        self.project_id = project_id
        self.check_connection_parameters()
        self.deferrable = flag(deferrable, "deferrable")
        self.poll_interval = None if poke_interval is None else waiter.seconds(poke_interval, "poke_interval")

    @abstractmethod
    def target(self) -> Target:
        """Return what to wait for, from the rendered parameters, checked."""

    def subject(self) -> str:
        return self.service.describe(self.target())

    def poke(self, context: Context) -> bool:
        """Poll once."""
        with self.locate_errors():
            end = time.time() + self._time_left(context)
            self.hook.read_until = end
            self._read_connection(context)
            ticket, progress = self._poll(self._ticket(context), answered_by=end)
            self._store_learned(context, ticket)
            return self._conclude(context, progress)

    def _read_connection(self, context: Context) -> None:
        """Read the connection at the first poke, then every 10 minutes and after several lost polls in a row."""
        from airflow_provider_cloudsync.api.waiting import polling

        hook = self.hook
        hook.was_found_before = hook.was_found_before or self._was_rescheduled(context)
        many_lost = self._lost > 0 and self._lost % polling.LOST_POLLS == 0
        hook.refresh(0.0 if many_lost else REFRESH_INTERVAL)

    def _was_rescheduled(self, context: Context) -> bool:
        """Return whether a previous poke, in another process, found the connection."""
        if not self.reschedule:
            return False
        count = context.get("task_reschedule_count")
        if isinstance(count, int):  # Airflow 3
            return count > 0
        start = waiter.start_of_try(context)  # of the first poke
        return start is not None and time.time() - start.timestamp() > _LONGEST_LOADING

    def _time_left(self, context: Context) -> float:
        """Return the seconds until Airflow ends the wait of a sensor that pokes, by the clocks that Airflow uses."""
        timeout = float(self.timeout)
        if self.reschedule:
            first = waiter.first_start(context)
            return timeout if first is None else first.timestamp() + timeout - time.time()
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return self._began + timeout - now

    def execute(self, context: Context) -> Any:
        """Wait in the worker, or poll once and leave the rest to the triggerer."""
        from airflow_provider_cloudsync.api.waiting.polling import Confirmation

        with self._report_failure():
            if not self.deferrable:
                self._began, self._confirmation = None, Confirmation()
                try:
                    return super().execute(context)
                except AirflowSensorTimeout:
                    raise AirflowSensorTimeout(self._timeout_message(self._logged)) from None
            with self.locate_errors():
                self._poll_and_defer(context)
        return None

    def _poll_and_defer(self, context: Context) -> None:
        # The deadline counts from here, so that a slow first poll does not extend it.
        deadline = waiter.deadline(float(self.timeout), self.execution_timeout, waiter.start_of_try(context))
        # An end that takes longer to confirm than a deferral is left to the triggerer.
        self.hook.read_until = deadline
        ticket, progress = self._first_poll(self._ticket(context), deadline)
        if self._conclude(context, progress):
            return
        if time.time() >= deadline:
            raise AirflowSensorTimeout(self._timeout_message(progress))
        if progress.lost:
            self.log.warning(
                "No poll succeeded before the deferral, so the difference between this machine's clock and the "
                "cloud's is not known. The earliest run to accept, if any, is not corrected by it."
            )
        ticket = replace(ticket, baseline=handed_over(ticket.baseline, lost=progress.lost))
        self.defer_wait(ticket, deadline=deadline, try_number=context["ti"].try_number)

    def _timeout_message(self, last: Progress | None) -> str:
        seen = f" Last seen: {last.in_full}" if last else ""
        return (
            f"Timed out after {self.timeout:.0f} s.{seen} Increase timeout, or check {self.service.console}. "
            f"[{self.subject()}]"
        )

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """End as the wait in the triggerer ended."""
        from airflow_provider_cloudsync.triggers.sync import Report

        with self._report_failure(), self.locate_errors():
            report = Report.from_json(event)
            if report.try_number == context["ti"].try_number:
                self._end(context, report.ended)
                return
        # Airflow 3.0 resumes a retry with the report of the previous try, instead of executing it.
        self.execute(context)

    def _end(self, context: Context, ended: Progress | CloudSyncError) -> None:
        self.hook.was_found_before = True
        if isinstance(ended, WaitTimedOut):
            raise AirflowSensorTimeout(ended.message)
        if isinstance(ended, CloudSyncError):
            raise ended
        self._conclude(context, ended)
        self.log.info("%s: %s", self.subject(), ended.why)

    @contextmanager
    def _report_failure(self) -> Iterator[None]:
        """Log the reason of a failure in one line before it is raised, unless the sensor is skipped instead."""
        with logged_failure(), skipped_if(bool(self.soft_fail), bool(self.never_fail)):
            yield

    def _ticket(self, context: Context) -> Ticket:
        target = self.target()
        if self._logged is None:  # the first poll of this process: the link is not stored
            self.show_console(context, self.service.console, target)
        from airflow_provider_cloudsync.api.waiting.polling import Confirmation

        if self._learned is not None and self._learned.target == target:
            return self._learned
        self._confirmation = Confirmation()
        fresh = Ticket(self.service.name, target, Stage.WATCHING, time.time())
        return replace(fresh, baseline=self._load_learned(context, target)) if self._pokes_alone else fresh

    @property
    def _pokes_alone(self) -> bool:
        """Return whether each poke is a process of its own, which does not know the previous polls."""
        return self.reschedule and not self.deferrable

    def _load_learned(self, context: Context, target: Target) -> Mapping[str, Any]:
        """Return what previous pokes learned and stored, on Airflow 3.3 and later."""
        try:
            stored = load_state(context, LEARNED_KEY)
            if stored is None:
                return {}
            learned = json.loads(stored)
            same = learned["target"] == target and learned["try_number"] == context["ti"].try_number
            return dict(learned["baseline"]) if same else {}
        except Exception as error:  # the store may fail in any way; this poke works without it
            self.log.warning("Ignoring the unreadable state of a previous poke: %r", error)
            return {}

    def _store_learned(self, context: Context, ticket: Ticket) -> None:
        """Store what a poke learned for the next one."""
        before, self._learned = self._learned, ticket
        if self._pokes_alone and ticket.baseline and (before is None or before.baseline != ticket.baseline):
            learned = {
                "target": dict(ticket.target),
                "try_number": context["ti"].try_number,
                "baseline": dict(ticket.baseline),
            }
            try:
                store_state(context, LEARNED_KEY, json.dumps(learned))
            except Exception as error:  # the result of this poke counts without it
                self.log.warning("Cannot store the state of this poke: %r", error)

    def _poll(
        self,
        ticket: Ticket,
        *,
        hold: float | None = None,
        deadline: float | None = None,
        answered_by: float | None = None,
    ) -> tuple[Ticket, Progress]:
        """Poll once. An end is confirmed by further polls, unless that takes too long.

        :param hold: seconds that the confirmation may take; None: the maximum of a poke.
        :param deadline: seconds since the epoch after which no further poll begins.
        :param answered_by: the same for a sensor that pokes, where an end may be confirmed shortly after it.
        """
        from airflow_provider_cloudsync.api.waiting import polling

        def flow(cloud: Cloud) -> Flow[tuple[Ticket, Progress]]:
            within = cloud if answered_by is None else cloud.answered_by(answered_by)
            within = within if deadline is None else within.until(deadline)
            longest = polling.LONGEST_HOLD + float(ticket.target.get("settle", 0.0))
            seconds = longest if hold is None else hold
            return polling.poll(within, self.service, ticket, hold=seconds, confirmation=self._confirmation)

        ticket, progress = self.run_with_current_key(flow)
        self._lost = self._lost + 1 if progress.lost else 0
        if progress.phase is not Phase.RUNNING:
            metrics.count("waits", service=self.service.name, phase=progress.phase)
        if progress != self._logged:
            if progress.warning:
                self.log.warning("%s", progress.warning)
            described = self.service.describe(ticket.target)
            self.log.info("%s: %s. %s", described, progress.phase.value, progress.why)
            self._logged = progress
        return ticket, progress

    def _first_poll(self, ticket: Ticket, deadline: float) -> tuple[Ticket, Progress]:
        """Poll before a deferral. Repeat a lost poll."""
        for _ in range(_FIRST_POLLS - 1):
            ticket, progress = self._poll(ticket, hold=_CONFIRM_HERE, deadline=deadline)
            if not progress.lost or time.time() + _FIRST_PAUSE > deadline:
                return ticket, progress
            time.sleep(_FIRST_PAUSE)
        return self._poll(ticket, hold=_CONFIRM_HERE, deadline=deadline)

    def _conclude(self, context: Context, progress: Progress) -> bool:
        if progress.phase is Phase.RUNNING:
            return False
        if progress.phase is Phase.FAILED:
            raise AirflowFailException(f"{progress.why} [{self.subject()}]")
        outcome = {
            "outcome": progress.phase.value,
            "run": progress.run_text,
            "seen_at": iso(round(time.time() * 1000)),
        }
        self.annotate_outlet_events(context, self.service.name, self.target(), outcome)
        return True
