"""Machines on which tasks run: a worker and a triggerer, each with a clock of its own, before one cloud."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.transport import drivers
from tests.airflow.real_world.cloud import Cloud
from tests.support.stepped_clock import use_stepped_clock


@dataclass(frozen=True)
class End:
    """How a task ended.

    :param at: seconds by the cloud's clock.
    """

    green: bool
    text: str
    at: float
    error: BaseException | None = None


class Store(dict):
    """Task state store of Airflow 3.3."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, default)

    def set(self, key: str, value: Any, **_: Any) -> None:
        json.dumps(value)
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Site:
    """A worker and a triggerer.

    :param worker, triggerer: seconds by which their clocks are ahead of the cloud's.
    :ivar run_started: start of the DAG run by the worker's clock, seconds since the epoch.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, cloud: Cloud, *, worker: float = 0.0, triggerer: float = 0.0
    ) -> None:
        self.cloud = cloud
        self.worker, self.triggerer = worker, triggerer
        self.store = Store()
        self.in_triggerer = False
        self.events: list[Any] = []
        use_stepped_clock(
            monkeypatch, now=self._now, advance=cloud.advance, monotonic=lambda: cloud.at + 1000.0
        )
        monkeypatch.setattr(drivers, "mask_secret", lambda secret: None)
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", cloud.connection)
        self.run_started = self._now()
        random.seed(0)

    def _now(self) -> float:
        return self.cloud.now() + (self.triggerer if self.in_triggerer else self.worker)

    def context(self, try_number: int = 1, *, max_tries: int = 0, store: bool = True) -> dict[str, Any]:
        start = datetime.fromtimestamp(self._now(), UTC)
        ti = SimpleNamespace(
            try_number=try_number, max_tries=max_tries, start_date=start, xcom_push=lambda **_: None
        )
        run = SimpleNamespace(start_date=datetime.fromtimestamp(self.run_started, UTC), clear_number=0)
        context: dict[str, Any] = {"ti": ti, "dag_run": run}
        if store:
            context["task_state_store"] = self.store
        return context

    def end_of(self, do: Callable[[], Any]) -> End:
        """Run something to its end. Errors that are neither Airflow's nor the package's pass through."""
        try:
            do()
        except (AirflowException, CloudSyncError, AirflowSkipException) as error:
            if isinstance(error, TaskDeferred):
                raise
            return End(False, str(error), self.cloud.at, error)
        return End(True, "", self.cloud.at)

    def execute(self, task: Any, context: Mapping[str, Any] | None = None, *, twice: bool = False) -> End:
        """Execute a task to its end; a deferral goes through JSON to the triggerer and back.

        :param twice: deliver each event twice; the end is that of the second delivery.
        """
        return self.end_of(lambda: self._execute(task, context or self.context(), twice))

    def _execute(self, task: Any, context: Mapping[str, Any], twice: bool) -> Any:
        do: Callable[[], Any] = lambda: task.execute(context)  # noqa: E731
        while True:
            try:
                return do()
            except TaskDeferred as deferred:
                event, deferral = self.fire(deferred), deferred

            def do(event: Any = event, deferral: TaskDeferred = deferral) -> Any:
                method = getattr(task, deferral.method_name)
                if twice:
                    # The worker dies before Airflow learns of it.
                    with contextlib.suppress(TaskDeferred, AirflowException, CloudSyncError):
                        method(context, event=event, **(deferral.kwargs or {}))
                return method(context, event=event, **(deferral.kwargs or {}))

    def fire(self, deferral: TaskDeferred) -> Any:
        path, arguments = deferral.trigger.serialize()
        trigger = import_string(path)(**json.loads(json.dumps(arguments)))

        async def events() -> list[Any]:
            return [event.payload async for event in trigger.run()]

        self.in_triggerer = True
        try:
            (event,) = asyncio.run(events())
        finally:
            self.in_triggerer = False
        self.events.append(event)
        return json.loads(json.dumps(event))

    def poke(self, make: Callable[[], Any], *, every: float, timeout: float) -> End:
        """Poke with a new sensor each time, as in mode ``reschedule``, until `timeout`."""
        until = self.cloud.at + timeout

        def do() -> None:
            while not make().poke(self.context()):
                if self.cloud.at >= until:
                    raise AirflowException("Timed out after the time of the test")
                self.cloud.advance(every)

        return self.end_of(do)
