"""Base of operators and sensors: parameters, deadline, wait in the worker, deferral and asset events."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.api.model import Phase
from airflow_provider_cloudsync.api.parameters import filled, listed, literal
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import CredentialsRejected, InvalidParameter
from airflow_provider_cloudsync.links import ConsoleLink, store_url
from airflow_provider_cloudsync.tasks.failures import located_errors, logged_failure
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

#: Seconds before the first poll of a trigger. Airflow can fail a task that is resumed while the process that deferred
#: it is still being reaped (up to 5 s).
_FIRST_POLL_DELAY = 6.0
#: Seconds from our deadline to Airflow's timeout of the deferral, which is for a triggerer that is stuck.
_BACKSTOP = 300.0
#: Seconds from our deadline to Airflow's ``execution_timeout``, for a last poll and a busy triggerer: our message gives
#: the reason. At most a fifth of a short ``execution_timeout``.
_HEAD_START = 5.0


def seconds(value: float | timedelta, name: str) -> float:
    """Return a duration in seconds.

    :raises InvalidParameter: if it is not a duration above zero.
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
    """Return the start of the try by Airflow's clock; None if the context has none, as in a test of a DAG."""
    start = getattr(context.get("ti"), "start_date", None)
    return start if isinstance(start, datetime) else None


def first_start(context: Context) -> datetime | None:
    """Return the start of a rescheduled sensor by Airflow's clock; None if the context has none."""
    get_first = getattr(context.get("ti"), "get_first_reschedule_date", None)  # Airflow 3
    first = get_first(context) if callable(get_first) else None
    return first if isinstance(first, datetime) else start_of_try(context)


def deadline(timeout: float, execution_timeout: timedelta | None, began: datetime | None = None) -> float:
    """Return the deadline of a wait that begins now, in seconds since the epoch: the earlier of the two timeouts.

    :param began: start of the try, for a wait in the triggerer. Airflow 2.11 counts ``execution_timeout`` from there,
        before it loads the DAG file. Later versions do not end a deferred task, so an early deadline does no harm.
    """
    now = time.time()
    end = now + timeout
    if execution_timeout is not None:
        limit = execution_timeout.total_seconds()
        since = now if began is None else min(now, began.timestamp())
        end = min(end, since + limit - min(_HEAD_START, limit / 5))
    return end


class NotGiven(Enum):
    """Value of an omitted parameter. It is not None, since a template or a mapped list may render to None."""

    NOT_GIVEN = "not given"

    def __str__(self) -> str:
        return "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN


def resolve_omittable(value: T | NotGiven | None, name: str, *, consequence: str) -> T | None:
    """Return a parameter that may be omitted, after rendering; None if it was omitted.

    :param consequence: effect if None meant "omitted". An unset value must not select everything.
    :raises InvalidParameter: if it is None.
    """
    if value is None:
        raise InvalidParameter(
            f"{name} is None, perhaps from a template or another task's output, so {consequence}. Set a value, or "
            "omit the parameter if that is intended."
        )
    return None if isinstance(value, NotGiven) else value


def resolve_nullable(value: T | None, name: str, *, none_in_dag: bool, consequence: str) -> T | None:
    """Return a parameter that may be None, after rendering.

    :param none_in_dag: whether it is None in the DAG file. A template that renders to None is a mistake.
    :param consequence: effect of None.
    :raises InvalidParameter: if a template rendered to None.
    """
    if value is None and not none_in_dag:
        raise InvalidParameter(
            f"{name} is a template that rendered to None, so {consequence}. Set a value, or write None in the DAG "
            "file if that is intended."
        )
    return value


class Waiter:
    """Base of operators and sensors: hook, console link, errors, waits and asset events."""

    operator_extra_links: Collection[BaseOperatorLink] = (ConsoleLink(),)
    cloudsync_conn_id: str
    region: str | None
    project_id: str | None
    poll_interval: float | None
    template_fields: Sequence[str]
    if TYPE_CHECKING:
        outlets: list[Any]

        def defer(self, **arguments: Any) -> NoReturn:
            """Airflow's own method."""

    else:

        def __setattr__(self, name: str, value: Any) -> None:
            """Keep literal text of the DAG file unchanged, and turn iterators that can be read only once into lists.

            Airflow renders a templated field by assigning it. It renders mapped operators without any method that
            could be overridden.
            """
            if name in self.template_fields:
                value = listed(value)
                written = self.__dict__.setdefault("_written", {})
                value = as_written(value, written.setdefault(name, value))
            super().__setattr__(name, value)

    @abstractmethod
    def subject(self) -> str:
        """Return what the task works on, for the end of an error. The parameters have been checked before."""

    def locate_errors(self) -> AbstractContextManager[None]:
        """Append the subject to errors: see `failures.located_errors`."""
        return located_errors(self.subject, self.cloudsync_conn_id)

    @contextmanager
    def report_failure(self) -> Iterator[None]:
        """Log the reason of a failure in one line before it is raised. Used once in each entry point of Airflow."""
        with logged_failure(), self.locate_errors():
            yield

    def check_connection_parameters(self) -> None:
        """Check literal values of the DAG file at parse time.

        :raises InvalidParameter: for empty text.
        """
        for name in ("cloudsync_conn_id", "region", "project_id"):
            literal(filled, getattr(self, name), name)

    @cached_property
    def hook(self) -> CloudSyncHook:
        """Hook of the service. The connection is read at its first use.

        :raises InvalidParameter: if a template rendered to None or to empty text.
        """
        from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

        conn_id = filled(self.cloudsync_conn_id, "cloudsync_conn_id")
        return CloudSyncHook(conn_id, region=self._filled("region"), project_id=self._filled("project_id"))

    def _filled(self, name: str) -> str | None:
        value = resolve_nullable(
            getattr(self, name),
            name,
            none_in_dag=self.__dict__.get("_written", {}).get(name) is None,
            consequence="the connection's would be used",
        )
        return None if value is None else filled(value, name)

    def show_console(self, context: Context, console: Console, target: Target) -> None:
        """Store the console URL for the task's link.

        :raises InvalidConnection: if the connection cannot be used.
        """
        url = console.url(self.hook.cloud, target)
        if url is not None:
            store_url(context, url)

    def wait_in_worker(self, service: Service[Any], ticket: Ticket, *, deadline: float) -> Progress:
        """Wait in this process until a sync has ended. Read the connection again every 10 minutes.

        :raises WaitTimedOut: if the deadline passes first.
        """
        from airflow_provider_cloudsync.api.waiting import polling
        from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL

        self.hook.read_until = deadline
        state = polling.WaitState(ticket)
        while True:
            progress = self.run_with_current_key(
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

    def run_with_current_key(self, flow: Callable[[Cloud], Flow[T]]) -> T:
        """Run a polling flow. If the key is rejected and the connection has a new one, run it again with that."""
        while True:
            try:
                return self.hook.run(flow(self.hook.cloud))
            except CredentialsRejected:
                if not self.hook.has_new_key():
                    raise
                log.info(
                    "Access key rejected, but the connection has a new key. Continuing with the new key."
                )

    def annotate_outlet_events(
        self, context: Context, service: str, target: Target, outcome: Mapping[str, Any]
    ) -> None:
        """Attach the outcome to the event of the outlet that stands for the target, if the task has one.

        :param service: the service's name, as in a ticket.
        :param outcome: plain JSON, stored under ``cloudsync`` in the event's extra.
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
            # The sync has ended, so a failed look-up of the connection must not fail the task.
            log.warning("Region unknown (%s). Matching outlets by ID only.", type(error).__name__)
            region = None
        _, ids = identified
        for outlet, uri in uris:
            if assets.stands_for(uri, service, target, region):
                try:
                    extra = events[outlet].extra
                except Exception as error:  # a reference to an asset, which Airflow has to resolve
                    log.warning("Cannot annotate asset event %s (%s).", uri, type(error).__name__)
                else:
                    extra["cloudsync"] = {"service": service, **ids, **outcome}

    def defer_wait(self, ticket: Ticket, *, deadline: float, try_number: int) -> NoReturn:
        """Defer a wait to the triggerer. The task is resumed in its ``execute_complete``."""
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
