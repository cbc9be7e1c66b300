"""Operators and sensors against the emulator over a real socket, on a clock that only moves when somebody waits."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.transport import drivers
from tests.support.broken_network import NAME
from tests.support.stepped_clock import use_stepped_clock


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """Airflow keeps the Extra of each connection as a secret to mask; a thousand of them make each log line slow."""
    yield
    masker = sys.modules.get("airflow.sdk._shared.secrets_masker")
    if masker is not None:
        masker._secrets_masker().reset_masker()


class Store(dict):
    """Airflow's task state store, as far as it is used."""

    def get(self, key, default=None):
        return super().get(key, default)

    def set(self, key, value, **_):
        json.dumps(value)
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


class World:
    """The emulated cloud, and tasks that run in it."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.store = Store()
        self.began = emulator.clock.now()
        self.deferrals: list[TaskDeferred] = []
        self._monkeypatch = monkeypatch
        self.events: list[Any] = []
        #: Key, value, and after how many requests a task left it.
        self.xcoms: list[tuple[str, Any, int]] = []
        use_stepped_clock(
            monkeypatch, now=emulator.clock.now, advance=lambda seconds: emulator.advance(seconds)
        )
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", emulator.connection)

    def before_each_reply(self, do: Callable[[str], Any]) -> None:
        """Let something happen after the service has worked and before its reply is there."""
        send, asend = drivers._send, drivers._asend

        def last() -> str:
            return self.emulator.requests()[-1]["operation"]

        def sending(request: Any, *limit: float) -> Any:
            try:
                return send(request, *limit)
            finally:
                do(last())

        async def asending(session: Any, request: Any) -> Any:
            try:
                return await asend(session, request)
            finally:
                do(last())

        self._monkeypatch.setattr(drivers, "_send", sending)
        self._monkeypatch.setattr(drivers, "_asend", asending)

    def context(
        self, try_number: int = 1, *, store: bool = False, max_tries: int = 0, run: Any = None
    ) -> dict[str, Any]:
        ti = SimpleNamespace(
            try_number=try_number,
            max_tries=max_tries,
            start_date=datetime.fromtimestamp(self.emulator.clock.now(), UTC),
            xcom_push=self._push,
        )
        found: dict[str, Any] = {"ti": ti}
        if run is not None:
            found["dag_run"] = run
        if store:
            found["task_state_store"] = self.store
        return found

    def _push(self, *, key: str, value: Any) -> None:
        json.dumps(value)
        self.xcoms.append((key, value, len(self.emulator.requests())))

    def run(self, task: Any, context: dict[str, Any] | None = None) -> Any:
        """Execute a task to its end; what it defers is done by its trigger, rebuilt from what Airflow would store."""
        context = context or self.context()
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            deferral = deferred
        while True:
            self.deferrals.append(deferral)
            event = self.fire(deferral)
            try:
                return getattr(task, deferral.method_name)(context, event=event, **(deferral.kwargs or {}))
            except TaskDeferred as deferred:
                deferral = deferred

    def fire(self, deferral: TaskDeferred) -> Any:
        """The event of a deferral, from the trigger that a triggerer would make, through JSON."""
        path, arguments = deferral.trigger.serialize()
        trigger = import_string(path)(**json.loads(json.dumps(arguments)))

        async def fire() -> list[Any]:
            return [event.payload async for event in trigger.run()]

        (event,) = asyncio.run(fire())
        self.events.append(event)
        return json.loads(json.dumps(event))

    def poke(self, make: Callable[[], Any], *, every: float = 20.0, at_most: float = 7200.0) -> None:
        """What rescheduling comes to: each look is another process's, so each is another sensor's."""
        end = self.emulator.clock.now() + at_most
        while self.emulator.clock.now() < end:
            if make().poke(self.context()):
                return
            self.emulator.advance(every)
        raise TimeoutError

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        return [
            entry
            for entry in self.emulator.requests()
            if operation is None or entry["operation"] == operation
        ]

    @property
    def starts(self) -> int:
        """How many starts took effect."""
        return sum(entry["effect"] is not None for entry in self.emulator.requests())


@pytest.fixture
def start_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes a world with the clusters and tasks that a test names.

    ``at``: seconds since the epoch at which it begins, where a test has to know that.
    """
    running: list[Emulator] = []

    def start(
        clusters: dict[str, Any] | None = None,
        tasks: dict[str, Any] | None = None,
        *,
        at: float | None = None,
        **sections: Any,
    ) -> World:
        scenario: dict[str, Any] = {"quotas": False, **sections}
        if clusters is not None:
            scenario["mrs"] = {"clusters": clusters}
        if tasks is not None:
            scenario["dataarts"] = {"workspaces": ["w"], "tasks": tasks}
        # The name of a road that can be broken.
        emulator = Emulator(scenario, stepped=True, start=at, allowed_hosts=[NAME])
        emulator.start()
        running.append(emulator)
        return World(emulator, monkeypatch)

    yield start
    for emulator in running:
        emulator.stop()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the masker is told; in place of the masker itself, which gets slow with many long secrets."""
    secrets: list[str] = []

    async def tell(secret: str) -> None:
        secrets.append(secret)

    monkeypatch.setattr(drivers, "mask_secret", secrets.append)
    monkeypatch.setattr(drivers, "amask_secret", tell)
    return secrets
