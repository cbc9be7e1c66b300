"""Trigger of all waits, and its report.

A report is plain JSON with all that the resumed task needs: the ticket, the deadline and the try that deferred.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Ticket
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidEvent,
    from_report,
)

__all__ = ["SyncTrigger"]

log = logging.getLogger(__name__)

REPORT_VERSION = 1
#: Version of the arguments of a trigger. A release that changes their meaning increases it, and still reads this.
TRIGGER_VERSION = 1
#: Message of a cancellation that `SyncTrigger.on_kill` follows (Airflow 3.3 and later).
_ON_KILL_FOLLOWS = "__airflow_user_action__"
#: Greatest age in seconds of a connection look-up when a trigger starts. Triggers that start together share one.
_AGE_AT_START = 0.001
#: The same after a rejected key, which may affect a thousand waits at once.
_AGE_AT_REJECTION = 0.5
#: Shared by all triggers to save memory; never changed.
_NONE: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Report:
    """Report of how a deferred wait ended.

    :param ticket: argument of the trigger, unchanged. It is read only if the sync continues, so that an error is
        reported as such even if the ticket is of another release.
    :param ended: the verdict, or the error that ended the wait.
    """

    ticket: Mapping[str, Any]
    deadline: float
    try_number: int
    ended: Progress | CloudSyncError

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON, for the event of a trigger."""
        if isinstance(self.ended, CloudSyncError):
            ended: dict[str, Any] = {
                "error": self.ended.to_report(),
                "phase": None,
                "why": None,
                "run": None,
                "run_as_sent": "",
                "absent": False,
            }
        else:
            ended = {
                "error": None,
                "phase": self.ended.phase.value,
                "why": self.ended.why,
                "run": self.ended.run,
                "run_as_sent": self.ended.run_as_sent,
                "absent": self.ended.absent,
            }
        return {
            "version": REPORT_VERSION,
            "ticket": dict(self.ticket),
            "deadline": self.deadline,
            "try_number": self.try_number,
            **ended,
        }

    @classmethod
    def from_json(cls, event: Any) -> Report:
        """Read the event with which a task is resumed.

        :raises InvalidEvent: if it is missing, damaged, or of an unknown version.
        """
        if not isinstance(event, Mapping) or event.get("version") != REPORT_VERSION:
            raise InvalidEvent(
                "No report of the trigger that this release can read, so the end of the wait is not known. Clear the "
                "task: it polls first, and starts nothing that is already running."
            )
        try:
            ended: Progress | CloudSyncError
            if event["error"] is not None:
                ended = from_report(event["error"])
            else:
                run = event.get("run")  # the first releases did not write it
                ended = Progress(
                    Phase(event["phase"]),
                    str(event["why"]),
                    run=None if run is None else int(run),
                    absent=event.get("absent") is True,  # optional: 0.1.0 did not write it
                    run_as_sent=str(event.get("run_as_sent") or ""),  # optional: 0.1.0 did not write it
                )
            return cls(dict(event["ticket"]), float(event["deadline"]), int(event["try_number"]), ended)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidEvent(f"The report of the trigger is damaged ({error!r}). Clear the task.") from None


class SyncTrigger(BaseTrigger):
    """Waits in the triggerer until the sync of a ticket has ended or its deadline has passed.

    It holds no secret: the connection is looked up when the trigger runs. It never raises: the event (`Report`) holds
    the end of the wait, also an error.

    :param ticket: result of `Ticket.to_json`.
    :param deadline: seconds since the epoch; absolute, so that a move to another triggerer does not extend it.
    :param cloudsync_conn_id: ID of the Airflow connection.
    :param region: overrides the connection's region.
    :param project_id: overrides the connection's project.
    :param poll_interval: seconds between polls; None: adaptive.
    :param not_before: seconds since the epoch of the earliest poll.
    :param try_number: try of the task that deferred.
    :param version: version of these arguments. This release resumes tasks that an older release deferred.
    :param unknown: arguments of a later release, after a downgrade: the wait ends with an error.
    """

    def __init__(
        self,
        *,
        ticket: Any,
        deadline: float,
        cloudsync_conn_id: str,
        region: str | None = None,
        project_id: str | None = None,
        poll_interval: float | None = None,
        not_before: float = 0.0,
        try_number: int = 1,
        version: int = TRIGGER_VERSION,
        **unknown: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Stored as text, which takes a tenth of the memory: one process holds a thousand waits.
        self._ticket: str | Ticket = json.dumps(ticket)
        self.deadline = deadline
        # A thousand waits share few connection IDs.
        self.cloudsync_conn_id = (
            sys.intern(cloudsync_conn_id) if type(cloudsync_conn_id) is str else cloudsync_conn_id
        )
        self.region = region
        self.project_id = project_id
        self.poll_interval = poll_interval
        self.not_before = not_before
        self.try_number = try_number
        self.version = version
        self.unknown: Mapping[str, Any] = unknown or _NONE

    @property
    def ticket(self) -> Any:
        """Argument ``ticket``. An invalid one is reported when the trigger reads it."""
        return self._ticket.to_json() if isinstance(self._ticket, Ticket) else json.loads(self._ticket)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which Airflow stores until a triggerer runs the trigger."""
        names = (
            "ticket",
            "deadline",
            "cloudsync_conn_id",
            "region",
            "project_id",
            "poll_interval",
            "not_before",
            "try_number",
            "version",
        )
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**arguments, **self.unknown}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then report once."""
        ended: Progress | CloudSyncError
        try:
            ended = await self._wait(self._read())
        except CloudSyncError as error:
            ended = error
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (_ON_KILL_FOLLOWS,):
                self._log_active_run()
            raise
        except Exception as error:
            # A trigger that raises puts some versions of Airflow in a loop of resumptions.
            log.exception("Unexpected error: the wait ends.")
            ended = CloudSyncError(
                f"Unexpected error in the triggerer, {type(error).__name__}: {one_line(str(error))}. See the log of "
                "the trigger, then clear the task."
            )
        ticket = self.ticket
        report = Report(ticket if isinstance(ticket, Mapping) else {}, self.deadline, self.try_number, ended)
        yield TriggerEvent(report.to_json())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Log what continues without the task (Airflow 3.3 and later). Nothing is cancelled.

        Airflow calls it when a user terminates the task, and also when the wait moves to another triggerer.
        """
        self._log_active_run()

    def _log_active_run(self) -> None:
        from airflow_provider_cloudsync.api.services import find_service
        from airflow_provider_cloudsync.api.waiting.polling import left_behind

        try:
            ticket = self._read()
            text = left_behind(find_service(ticket.service), ticket.target)
        except CloudSyncError:  # no readable ticket
            return
        if ticket.stage is Stage.STARTED:
            log.warning(
                "Wait stopped: the task was terminated, or another triggerer continues the wait. %s", text
            )

    def _read(self) -> Ticket:
        """Return the ticket.

        :raises InvalidEvent: if the arguments are of another release.
        """
        if self.version != TRIGGER_VERSION or self.unknown:
            raise InvalidEvent(
                f"The task was deferred by another release of airflow-provider-cloudsync (version {self.version!r} of "
                f"the trigger, this release reads {TRIGGER_VERSION}). Clear the task: it polls first, and starts "
                "nothing that is already running."
            )
        if not isinstance(self._ticket, Ticket):
            self._ticket = Ticket.from_json(self.ticket)
        return self._ticket

    async def _wait(self, ticket: Ticket) -> Progress:
        from airflow_provider_cloudsync.api.services import find_service
        from airflow_provider_cloudsync.api.waiting.polling import WaitState, until_done
        from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL, ConnectionLookup
        from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
        from airflow_provider_cloudsync.transport import drivers

        service = find_service(ticket.service)
        hook = CloudSyncHook(self.cloudsync_conn_id, region=self.region, project_id=self.project_id)
        lookup = ConnectionLookup(hook, deadline=self.deadline)
        state = WaitState(ticket)
        with metrics.Wait(ticket.service, gauge=True) as wait:
            # Read again, since an edit shortly before the deferral counts.
            cloud = await lookup.read(max_age=_AGE_AT_START)
            while True:
                waiting = until_done(
                    cloud,
                    service,
                    ticket,
                    deadline=self.deadline,
                    poll_interval=self.poll_interval,
                    not_before=self.not_before,
                    pause_at=cloud.clock() + REFRESH_INTERVAL,
                    state=state,
                )
                before = cloud
                try:
                    progress = await drivers.arun(waiting)
                except CredentialsRejected:
                    cloud = await lookup.read(max_age=_AGE_AT_REJECTION)
                    if cloud.credentials.identity == before.credentials.identity:
                        raise
                    log.info(
                        "Access key rejected, but the connection has a new key. Continuing with the new key."
                    )
                    state.pause = 0.0
                    continue
                if progress.phase is not Phase.RUNNING:
                    wait.ended(progress.phase)
                    return progress
                cloud = await lookup.refreshed(before)
                if cloud is not before:
                    state.pause = 0.0
