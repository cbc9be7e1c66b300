"""What operators and sensors have in common: how long a wait may be, and how it is handed to a triggerer."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.api.model import Phase
from airflow_provider_cloudsync.api.parameters import filled, listed, literal
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    WaitTimedOut,
)
from airflow_provider_cloudsync.links import ConsoleLink, leave
from airflow_provider_cloudsync.tasks.rendering import as_written

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperatorLink, Context

    from airflow_provider_cloudsync.api.consoles import Console
    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow
    from airflow_provider_cloudsync.api.model import Progress, Service, Target, Ticket
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Errors that say by themselves what they are about.
_NAME_THEIR_SUBJECT = (InvalidParameter, InvalidEvent, SyncFailed, WaitTimedOut)
#: Airflow can fail a task that is resumed while the process that deferred it is still being reaped (up to 5 s).
_FIRST_POLL_DELAY = 6.0
#: Our own deadline comes first; Airflow's timeout of the deferral is there for a triggerer that is stuck.
_BACKSTOP = 300.0
#: By so much our deadline comes before Airflow's ``execution_timeout``, so that the message is the one that says why: a
#: last look, and a triggerer that has other things to do, fit in. Of a short time it is a fifth at the most.
_HEAD_START = 5.0


def seconds(value: float | timedelta, name: str) -> float:
    """A duration in seconds, above zero.

    :raises InvalidParameter: if it is none.
    """
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_number(number) or not 0 < number < 10**9:
        raise InvalidParameter(
            f"{name} must be a timedelta or a number of seconds above 0, not {shown(value)}."
        )
    return float(number)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def start_of_try(context: Context) -> datetime | None:
    """When the try began, as Airflow has it; None where nobody says, as in a test of a DAG."""
    start = getattr(context.get("ti"), "start_date", None)
    return start if isinstance(start, datetime) else None


def first_start(context: Context) -> datetime | None:
    """When a rescheduled sensor began, as Airflow has it; None where nobody says."""
    ask = getattr(context.get("ti"), "get_first_reschedule_date", None)  # Airflow 3
    first = ask(context) if callable(ask) else None
    return first if isinstance(first, datetime) else start_of_try(context)


def deadline(timeout: float, execution_timeout: timedelta | None, began: datetime | None = None) -> float:
    """When a wait that begins now is over, in seconds since the epoch: the earlier of the two.

    :param began: for a wait in the triggerer: when the try began. Airflow 2.11 counts its ``execution_timeout`` from
        there, and not from here: loading the DAG file comes between. Later versions do not end it, so that it does no
        harm to be early.
    """
    now = time.time()
    end = now + timeout
    if execution_timeout is not None:
        limit = execution_timeout.total_seconds()
        since = now if began is None else min(now, began.timestamp())
        end = min(end, since + limit - min(_HEAD_START, limit / 5))
    return end


class NotGiven(Enum):
    """What a parameter is that was left out. None would not do: a template, or a mapped list, may come to None."""

    NOT_GIVEN = "not given"

    def __str__(self) -> str:
        return "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN


def given(value: T | NotGiven | None, name: str, *, otherwise: str) -> T | None:
    """A parameter that may be left out, after rendering; None where it was.

    :param otherwise: what would happen if None stood for "left out": the most must not be done because the least was
        not said.
    :raises InvalidParameter: if it is None.
    """
    if value is None:
        raise InvalidParameter(
            f"{name} is None, perhaps from a template or another task's output, so {otherwise}. Give it a value; if "
            "that is meant, leave it out."
        )
    return None if isinstance(value, NotGiven) else value


def rendered(value: T | None, name: str, *, left_out: bool, otherwise: str) -> T | None:
    """A parameter that may be None, after rendering.

    :param left_out: whether it is None in the DAG file. A template that renders to None is a mistake.
    :param otherwise: what would happen.
    :raises InvalidParameter: if a template rendered to None.
    """
    if value is None and not left_out:
        raise InvalidParameter(
            f"{name} is a template that rendered to None, so {otherwise}. Give it a value; if that is "
            "meant, write None into the DAG file."
        )
    return value


class Waiter:
    """What operators and sensors are alike in: the way into the cloud and to its console, and handing a wait over."""

    operator_extra_links: Collection[BaseOperatorLink] = (ConsoleLink(),)
    cloudsync_conn_id: str
    region: str | None
    project_id: str | None
    poll_interval: float | None
    template_fields: Sequence[str]
    if TYPE_CHECKING:
        outlets: list[Any]

        def defer(self, **arguments: Any) -> NoReturn:
            """Airflow's."""

    else:

        def __setattr__(self, name: str, value: Any) -> None:
            """Keep text of the DAG file that is no template, and read what can be read only once.

            Airflow renders a templated field by assigning it. Mapped operators are rendered without a method that
            could be overridden.
            """
            if name in self.template_fields:
                value = listed(value)
                written = self.__dict__.setdefault("_written", {})
                value = as_written(value, written.setdefault(name, value))
            super().__setattr__(name, value)

    @abstractmethod
    def subject(self) -> str:
        """What the task is about, for the beginning of an error; asked for when the parameters are known to be good."""

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        """Let errors begin with what they are about, and fail for good where the key was rejected.

        Each retry with that key would be one more failure, and five lock it for everyone.
        """
        try:
            yield
        except CloudSyncError as error:
            if isinstance(error, InvalidConnection):
                if f'"{self.cloudsync_conn_id}"' not in error.message:
                    error.add_prefix(f'Connection "{self.cloudsync_conn_id}"')
            elif not isinstance(error, _NAME_THEIR_SUBJECT):
                error.add_prefix(self.subject())
            if isinstance(error, CredentialsRejected):
                raise AirflowFailException(error.message) from error
            raise

    def check_connection_parameters(self) -> None:
        """Check at parse time what the DAG file holds.

        :raises InvalidParameter: for empty text.
        """
        for name in ("cloudsync_conn_id", "region", "project_id"):
            literal(filled, getattr(self, name), name)

    @cached_property
    def hook(self) -> CloudSyncHook:
        """The way to the service; the connection is read when it is first used.

        :raises InvalidParameter: if a template rendered to None or to empty text.
        """
        from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

        conn_id = filled(self.cloudsync_conn_id, "cloudsync_conn_id")
        return CloudSyncHook(conn_id, region=self._filled("region"), project_id=self._filled("project_id"))

    def _filled(self, name: str) -> str | None:
        value = rendered(
            getattr(self, name),
            name,
            left_out=self.__dict__.get("_written", {}).get(name) is None,
            otherwise="the connection's would be used",
        )
        return None if value is None else filled(value, name)

    def show_console(self, context: Context, console: Console, target: Target) -> None:
        """Give the task its button, once it is known what it is about.

        :raises InvalidConnection: if the connection can't be used.
        """
        url = console.url(self.hook.cloud, target)
        if url is not None:
            leave(context, url)

    def wait_here(self, service: Service[Any], ticket: Ticket, *, deadline: float) -> Progress:
        """Wait in this process until a sync has ended; read the connection again now and then.

        :raises WaitTimedOut: when the deadline comes first.
        """
        from airflow_provider_cloudsync.api.waiting import polling
        from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL

        self.hook.read_until = deadline
        state = polling.WaitState(ticket)
        while True:
            progress = self.run_with_present_key(
                partial(
                    polling.until_done,
                    service=service,
                    ticket=ticket,
                    deadline=deadline,
                    poll_interval=self.poll_interval,
                    pause_at=time.time() + REFRESH_INTERVAL,
                    state=state,
                )
            )
            if progress.phase is not Phase.RUNNING:
                return progress
            before = self.hook.cloud
            if self.hook.refresh() is not before:
                state.pause = 0.0

    def run_with_present_key(self, flow: Callable[[Cloud], Flow[T]]) -> T:
        """Drive a flow of looks; if the key is rejected and the connection has another by now, once more with that."""
        while True:
            try:
                return self.hook.run(flow(self.hook.cloud))
            except CredentialsRejected:
                if not self.hook.has_new_key():
                    raise
                log.info(
                    "The key was rejected, and the connection has another one now; the wait goes on with it."
                )

    def tell_outlets(
        self, context: Context, service: str, target: Target, happened: Mapping[str, Any]
    ) -> None:
        """Attach what happened to the event of the outlet that stands for the target, if the task has one.

        :param service: the service's name, as in a ticket.
        :param happened: plain JSON; goes under ``cloudsync`` into the event's extra.
        """
        identified = assets.identify(service, target)
        uris = [
            (outlet, uri) for outlet in self.outlets if isinstance(uri := getattr(outlet, "uri", None), str)
        ]
        events = context.get("outlet_events")
        if (
            identified is None
            or events is None
            or not any(assets.stands_for(uri, service, target, None) for _, uri in uris)
        ):
            return
        try:
            region = self.region or self.hook.cloud.region
        except Exception as error:
            # All is done and only the look-up of a connection failed: no reason for a red task.
            log.warning(
                "The region is not known (%s), so outlets are told by their ids alone.", type(error).__name__
            )
            region = None
        _, ids = identified
        for outlet, uri in uris:
            if assets.stands_for(uri, service, target, region):
                try:
                    extra = events[outlet].extra
                except Exception as error:  # a reference to an asset: Airflow looks up what it stands for
                    log.warning("The event of %s is told nothing (%s).", uri, type(error).__name__)
                else:
                    extra["cloudsync"] = {"service": service, **ids, **happened}

    def hand_over(self, ticket: Ticket, *, deadline: float, try_number: int) -> NoReturn:
        """Leave a wait to a triggerer; the task goes on in its ``execute_complete``."""
        from airflow_provider_cloudsync.triggers.sync import SyncTrigger

        now = time.time()
        until = datetime.fromtimestamp(deadline, UTC).isoformat(" ", "seconds")
        log.info("Waiting in the triggerer, until %s at the latest.", until)
        trigger = SyncTrigger(
            ticket=ticket.to_json(),
            deadline=deadline,
            cloudsync_conn_id=self.hook.cloudsync_conn_id,
            region=self.hook.region,
            project_id=self.hook.project_id,
            poll_interval=self.poll_interval,
            not_before=now + _FIRST_POLL_DELAY,
            try_number=try_number,
        )
        timeout = timedelta(seconds=max(deadline - now, 0.0) + _BACKSTOP)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)
