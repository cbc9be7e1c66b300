"""What all sensors do that wait for a sync which somebody else starts."""

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
    AirflowSkipException,
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
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent, WaitTimedOut
from airflow_provider_cloudsync.operators.cloud import recall, remember
from airflow_provider_cloudsync.tasks import waiter

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow
    from airflow_provider_cloudsync.api.waiting.polling import Confirmation

__all__ = ["CloudSyncSensor"]


#: Key in Airflow's task state store (3.3 and later): what the pokes of a rescheduled sensor learn. Never rename it.
LEARNED_KEY = "cloudsync_learned"
#: An end that is confirmed within so many seconds is confirmed in the worker, before it would be deferred.
_CONFIRM_HERE = CONFIRM_FAILURE
#: Attempts at the first poll of a sensor that defers, and seconds between them. It measures the clock of the machine
#: where ``synced_after`` was read; the triggerer's may differ.
_FIRST_POLLS, _FIRST_PAUSE = 6, 10.0
#: Before Airflow 3, a poke that comes more seconds than that after the start of the try is not the first one.
_LONGEST_LOADING = 60.0


class CloudSyncSensor(waiter.Waiter, BaseSensorOperator):
    """Waits for a sync that somebody else starts. It starts nothing.

    A sync that failed fails the sensor at once and for good, since waiting again can't help; with ``soft_fail`` it is
    skipped. All modes and deferral come to the same verdicts.

    :param cloudsync_conn_id: the Airflow connection. Templated.
    :param region: instead of the connection's region. Templated.
    :param project_id: instead of the connection's project. Templated.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poke_interval: seconds or timedelta between looks. If not given: 60 s; deferred, soon at first and then at
        a tenth of the time waited.
    """

    template_fields: Sequence[str] = ("cloudsync_conn_id", "region", "project_id")
    ui_color = "#e8f0fd"

    service: ClassVar[Service[Any]]
    #: What the log says already.
    _told: Progress | None = None
    #: With what the polls of this process have learned.
    _learned: Ticket | None = None
    #: An end that polls of this process have shown and not yet confirmed.
    _confirmation: Confirmation | None = None
    #: Lost polls in a row.
    _lost = 0
    #: When the wait of this process began, by the monotonic clock; None: not yet.
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
        """What to wait for, from the rendered parameters, checked."""

    def subject(self) -> str:
        return self.service.describe(self.target())

    def poke(self, context: Context) -> bool:
        """Look once."""
        with self.clear_errors():
            self._read_connection(context)
            left = self._time_left(context)
            ticket, progress = self._poll(self._ticket(context), answered_by=time.time() + left)
            self._keep(context, ticket)
            return self._conclude(context, progress)

    def _read_connection(self, context: Context) -> None:
        """Read the connection at the first poke, then each 10 minutes and after several lost polls in a row."""
        from airflow_provider_cloudsync.api.waiting import polling

        hook = self.hook
        hook.was_found_before = hook.was_found_before or self._was_rescheduled(context)
        many_lost = self._lost > 0 and self._lost % polling.LOST_POLLS == 0
        hook.refresh(0.0 if many_lost else REFRESH_INTERVAL)

    def _was_rescheduled(self, context: Context) -> bool:
        """Return whether an earlier poke, in another process, found the connection."""
        if not self.reschedule:
            return False
        count = context.get("task_reschedule_count")
        if isinstance(count, int):  # Airflow 3
            return count > 0
        start = waiter.start_of_try(context)  # of the first poke
        return start is not None and time.time() - start.timestamp() > _LONGEST_LOADING

    def _time_left(self, context: Context) -> float:
        """Seconds until Airflow ends the wait of a sensor that pokes; the same clocks as Airflow's."""
        timeout = float(self.timeout)
        if self.reschedule:
            first = waiter.first_start(context)
            return timeout if first is None else first.timestamp() + timeout - time.time()
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return self._began + timeout - now

    def execute(self, context: Context) -> Any:
        """Wait here, or look once and leave the rest to the triggerer."""
        from airflow_provider_cloudsync.api.waiting.polling import Confirmation

        if not self.deferrable:
            self._began, self._confirmation = None, Confirmation()
            try:
                return super().execute(context)
            except AirflowSensorTimeout:
                raise AirflowSensorTimeout(self._late(self._told)) from None
        with self._skipping():
            # The time runs from here, so that a slow first look counts.
            deadline = waiter.deadline(
                float(self.timeout), self.execution_timeout, waiter.start_of_try(context)
            )
            self.hook.read_until = deadline
            # What takes longer to confirm than a deferral is left to the triggerer.
            ticket, progress = self._first_poll(self._ticket(context), deadline)
            if not self._conclude(context, progress):
                if time.time() >= deadline:
                    raise AirflowSensorTimeout(self._late(progress))
                if progress.lost:
                    self.log.warning(
                        "No poll succeeded before the deferral, so the difference between this machine's clock and the "
                        "cloud's is not known. The earliest run to accept, if any, is not corrected by it."
                    )
                ticket = replace(ticket, baseline=handed_over(ticket.baseline, lost=progress.lost))
                self.hand_over(ticket, deadline=deadline, try_number=context["ti"].try_number)
        return None

    def _late(self, told: Progress | None) -> str:
        seen = f" Last seen: {told.in_full}" if told else ""
        return f"{self.subject()}: not done when the time was up, {self.timeout:.0f} s after the wait began.{seen}"

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """End as the wait in the triggerer ended."""
        from airflow_provider_cloudsync.triggers.sync import Report

        with self._skipping():
            report = Report.from_json(event)
        if report.try_number != context["ti"].try_number:
            # Airflow 3.0 resumes a retry with the report of the try before, instead of executing it.
            self.execute(context)
            return
        with self._skipping():
            self.hook.was_found_before = True
            if isinstance(report.ended, WaitTimedOut):
                raise AirflowSensorTimeout(report.ended.message)
            if isinstance(report.ended, CloudSyncError):
                raise report.ended
            self._conclude(context, report.ended)
            self.log.info("%s: %s", self.subject(), report.ended.why)

    @contextmanager
    def _skipping(self) -> Iterator[None]:
        """The rules of ``soft_fail`` and ``never_fail``, which Airflow itself applies to poked sensors only."""
        try:
            with self.clear_errors():
                yield
        except (AirflowFailException, AirflowSensorTimeout, InvalidEvent) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def _ticket(self, context: Context) -> Ticket:
        target = self.target()
        if self._told is None:  # nothing was seen yet, so the button is not there
            self.show_console(context, self.service.console, target)
        from airflow_provider_cloudsync.api.waiting.polling import Confirmation

        if self._learned is not None and self._learned.target == target:
            return self._learned
        self._confirmation = Confirmation()
        fresh = Ticket(self.service.name, target, Stage.WATCHING, time.time())
        return replace(fresh, baseline=self._recalled(context, target)) if self._is_poke_of_many else fresh

    @property
    def _is_poke_of_many(self) -> bool:
        """Return whether each poke is another process, which knows nothing of the polls before."""
        return self.reschedule and not self.deferrable

    def _recalled(self, context: Context, target: Target) -> Mapping[str, Any]:
        """Return what earlier pokes learned and stored, on Airflow 3.3 and later."""
        try:
            stored = recall(context, LEARNED_KEY)
            if stored is None:
                return {}
            learned = json.loads(stored)
            same = learned["target"] == target and learned["try_number"] == context["ti"].try_number
            return dict(learned["baseline"]) if same else {}
        except Exception as error:  # the store may fail in any way; this poke knows less, and no more is lost
            self.log.warning("Ignoring the unreadable state of a previous poke: %r", error)
            return {}

    def _keep(self, context: Context, ticket: Ticket) -> None:
        """Keep what a poke learned for the next one."""
        before, self._learned = self._learned, ticket
        if (
            self._is_poke_of_many
            and ticket.baseline
            and (before is None or before.baseline != ticket.baseline)
        ):
            learned = {
                "target": dict(ticket.target),
                "try_number": context["ti"].try_number,
                "baseline": dict(ticket.baseline),
            }
            try:
                remember(context, LEARNED_KEY, json.dumps(learned))
            except Exception as error:  # what this poke saw counts all the same
                self.log.warning("The state of this poke was not stored: %r", error)

    def _poll(
        self,
        ticket: Ticket,
        *,
        hold: float | None = None,
        deadline: float | None = None,
        answered_by: float | None = None,
    ) -> tuple[Ticket, Progress]:
        """Poll once; an end is confirmed here, unless that takes too long.

        :param hold: seconds that it may take; None: as long as a poke may.
        :param deadline: seconds since the epoch at which it is too late to go on.
        :param answered_by: the same for a sensor that pokes, where an end may still be confirmed soon after.
        """
        from airflow_provider_cloudsync.api.waiting import polling

        def flow(cloud: Cloud) -> Flow[tuple[Ticket, Progress]]:
            within = cloud if answered_by is None else cloud.answered_by(answered_by)
            within = within if deadline is None else within.until(deadline)
            longest = polling.LONGEST_HOLD + float(ticket.target.get("settle", 0.0))
            seconds = longest if hold is None else hold
            return polling.poll(within, self.service, ticket, hold=seconds, confirmation=self._confirmation)

        ticket, progress = self.run_with_present_key(flow)
        self._lost = self._lost + 1 if progress.lost else 0
        if progress.phase is not Phase.RUNNING:
            metrics.count("waits", service=self.service.name, phase=progress.phase)
        if progress != self._told:
            if progress.warning:
                self.log.warning("%s", progress.warning)
            described = self.service.describe(ticket.target)
            self.log.info("%s: %s. %s", described, progress.phase.value, progress.why)
            self._told = progress
        return ticket, progress

    def _first_poll(self, ticket: Ticket, deadline: float) -> tuple[Ticket, Progress]:
        """Poll before a deferral; a lost poll is repeated."""
        for _ in range(_FIRST_POLLS - 1):
            ticket, progress = self._poll(ticket, hold=_CONFIRM_HERE, deadline=deadline)
            if not progress.lost or time.time() + _FIRST_PAUSE > deadline:
                return ticket, progress
            time.sleep(_FIRST_PAUSE)
        return self._poll(ticket, hold=_CONFIRM_HERE, deadline=deadline)

    def _conclude(self, context: Context, progress: Progress) -> bool:
        if progress.phase is Phase.RUNNING:
            return False
        target = self.target()
        if progress.phase is Phase.FAILED:
            raise AirflowFailException(f"{self.subject()} failed. {progress.why}")
        happened = {
            "outcome": progress.phase.value,
            "run": progress.run_text,
            "seen_at": iso(round(time.time() * 1000)),
        }
        self.tell_outlets(context, self.service.name, target, happened)
        return True
