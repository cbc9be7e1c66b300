"""The one trigger for every wait, and the report that it makes.

A report is plain JSON. It carries all that the task needs when it is resumed, so that nothing else has to survive the
deferral: the ticket, the deadline and the try that deferred.
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
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidEvent,
    from_report,
)

__all__ = ["SyncTrigger"]

log = logging.getLogger(__name__)

REPORT_VERSION = 1
#: Of the arguments of a trigger. A later release that gives them another meaning counts up and still reads these.
TRIGGER_VERSION = 1
#: What a trigger's cancellation says from Airflow 3.3 on where `SyncTrigger.on_kill` follows.
_ON_KILL_FOLLOWS = "__airflow_user_action__"
#: Greatest age in seconds of a look-up of the connection that a trigger begins with. Triggers that begin in the same
#: moment share one.
_AGE_AT_START = 0.001
#: The same after a rejected key; a thousand waits may ask because of one.
_AGE_AT_REJECTION = 0.5
#: Never changed; all triggers have it between them.
_NONE: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Report:
    """How a deferred wait ended.

    :param ticket: as the trigger was given it; read only where the wait goes on, so that an error is told as what it
        is even if the ticket is of another release.
    :param ended: the verdict, or the error that the wait ended with.
    """

    ticket: Mapping[str, Any]
    deadline: float
    try_number: int
    ended: Progress | CloudSyncError

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the event of a trigger."""
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
        """Read the event that a task is resumed with.

        :raises InvalidEvent: if it is missing, damaged, or of a version that this release does not know.
        """
        if not isinstance(event, Mapping) or event.get("version") != REPORT_VERSION:
            raise InvalidEvent(
                "The task was resumed without a report of its trigger that this release can read, so it is not known "
                "how the wait ended. Clear the task: it looks first, and starts nothing that is already running."
            )
        try:
            ended: Progress | CloudSyncError
            if event["error"] is not None:
                ended = from_report(event["error"])
            else:
                run = event.get("run")  # the first releases did not tell it
                ended = Progress(
                    Phase(event["phase"]),
                    str(event["why"]),
                    run=None if run is None else int(run),
                    absent=event.get("absent") is True,  # optional: 0.1.0 did not write it
                    run_as_sent=str(event.get("run_as_sent") or ""),  # optional: 0.1.0 did not write it
                )
            return cls(dict(event["ticket"]), float(event["deadline"]), int(event["try_number"]), ended)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidEvent(
                f"The report of the trigger is damaged ({error!r}). Clear the task."
            ) from error


class SyncTrigger(BaseTrigger):
    """Waits in the triggerer until the sync of a ticket is done, or its deadline is over.

    It holds no secret: the connection is looked up when it runs. It never raises; how the wait ended, errors too, is
    in the event (`Report`).

    :param ticket: what `Ticket.to_json` made.
    :param deadline: seconds since the epoch; absolute, so that a move to another triggerer does not extend it.
    :param cloudsync_conn_id: the Airflow connection.
    :param region: instead of the connection's.
    :param project_id: instead of the connection's.
    :param poll_interval: seconds between looks; None: adaptive.
    :param not_before: seconds since the epoch before which it does not look.
    :param try_number: the try of the task that deferred.
    :param version: of these arguments; a task that an older release deferred ends under this one.
    :param unknown: arguments of a later release, after a downgrade: the wait ends with an error that says so.
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
        # As text: a thousand waits are in one process, and this takes a tenth of the memory.
        self._ticket: str | Ticket = json.dumps(ticket)
        self.deadline = deadline
        # A thousand waits have few connections between them.
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
        """What `Ticket.to_json` made; or whatever else it was given, which is told when it is read."""
        return self._ticket.to_json() if isinstance(self._ticket, Ticket) else json.loads(self._ticket)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as Airflow stores them until a triggerer takes the wait."""
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
        """Wait, and report once."""
        ended: Progress | CloudSyncError
        try:
            ended = await self._wait(self._read())
        except CloudSyncError as error:
            ended = error
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (_ON_KILL_FOLLOWS,):
                self._say_what_goes_on()
            raise
        except Exception as error:
            # Whatever it is, a trigger that raises leaves some versions of Airflow in a loop of resumptions.
            log.exception("The wait ended with an unexpected error.")
            ended = CloudSyncError(
                f"The wait ended with an unexpected error, {type(error).__name__}: {error}"
            )
        ticket = self.ticket
        report = Report(ticket if isinstance(ticket, Mapping) else {}, self.deadline, self.try_number, ended)
        yield TriggerEvent(report.to_json())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Say what goes on without the task. Called from Airflow 3.3 on; nothing is cancelled.

        Airflow calls it when a user ends the task, and also when the wait moves to another triggerer.
        """
        self._say_what_goes_on()

    def _say_what_goes_on(self) -> None:
        from airflow_provider_cloudsync.api.services import find_service
        from airflow_provider_cloudsync.api.waiting.polling import left_behind

        try:
            ticket = self._read()
            text = left_behind(find_service(ticket.service), ticket.target)
        except CloudSyncError:  # nothing that it could be about
            return
        if ticket.stage is Stage.STARTED:
            log.warning(
                "The wait was stopped here: the task was ended, or another triggerer goes on. %s", text
            )

    def _read(self) -> Ticket:
        """The ticket.

        :raises InvalidEvent: if these arguments are not of this release.
        """
        if self.version != TRIGGER_VERSION or self.unknown:
            raise InvalidEvent(
                f"The task was deferred by another release of airflow-provider-cloudsync (version {self.version!r} of "
                f"the trigger, this one reads {TRIGGER_VERSION}). Clear the task: it looks first, and starts nothing "
                "that is already running."
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
            # Read now: an edit just before the deferral counts, whatever other waits read earlier.
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
                        "The key was rejected, and the connection has another one now; the wait goes on with it."
                    )
                    state.pause = 0.0
                    continue
                if progress.phase is not Phase.RUNNING:
                    wait.ended(progress.phase)
                    return progress
                cloud = await lookup.refreshed(before)
                if cloud is not before:
                    state.pause = 0.0
