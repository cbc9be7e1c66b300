"""A clock for many things that wait in one event loop: time passes only when none of them has anything to do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat import connection as compat

from airflow_provider_cloudsync.connection import lookup
from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.hooks import cloudsync
from airflow_provider_cloudsync.transport import coalescing, drivers
from airflow_provider_cloudsync.triggers import events, watcher

#: So many turns of the loop without anything on its way to or from elsewhere: nobody has anything to do.
_QUIET = 40


class Idle:
    """Takes the place of every clock that a watcher goes by."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self._emulator = emulator
        self._alarms: list[tuple[float, int, list[Callable[[], object]]]] = []
        self._numbers = itertools.count()
        self._away = 0
        kept = coalescing.ResultCache()
        monkeypatch.setattr(
            drivers,
            "AsyncSingleFlight",
            lambda **_: coalescing.AsyncSingleFlight(emulator.clock.now, self._later, kept),
        )
        asleep = _WithSleep(self._sleep)
        for module in (drivers, watcher, lookup):
            monkeypatch.setattr(module, "asyncio", asleep)
        for module in (events, watcher, lookup):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=emulator.clock.now))
        for module, name in (
            (drivers, "_asend"),
            (drivers, "make_ready"),
            (drivers, "amask_secret"),
            (cloudsync, "amask_secret"),
            (compat, "get_async_connection"),
        ):
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    async def until(self, there: Callable[[], bool]) -> None:
        """Let time pass until it is so."""
        while not there():
            for _ in range(_QUIET):
                await asyncio.sleep(0)
                if self._away or there():
                    break
            else:
                self._pass()

    def _pass(self) -> None:
        at, _, what = heapq.heappop(self._alarms)
        self._emulator.advance(max(at - self._emulator.clock.now(), 0.0))
        for each in what:
            each()

    def _later(self, seconds: float, what: Callable[[], object]) -> Any:
        alarm = [what]
        heapq.heappush(
            self._alarms, (self._emulator.clock.now() + max(seconds, 0.0), next(self._numbers), alarm)
        )
        return SimpleNamespace(cancel=alarm.clear)

    async def _sleep(self, seconds: float) -> None:
        awake = asyncio.get_running_loop().create_future()
        self._later(seconds, lambda: awake.done() or awake.set_result(None))
        await awake

    def _counted(self, do: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any, **more: Any) -> Any:
            self._away += 1
            try:
                return await do(*arguments, **more)
            finally:
                self._away -= 1

        return counted


class _WithSleep:
    """asyncio, but for its sleep."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)
