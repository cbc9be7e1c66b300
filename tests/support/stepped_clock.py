"""Clock of a process under test that moves only when the process pauses."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseSensorOperator

from airflow_provider_cloudsync.connection import lookup
from airflow_provider_cloudsync.transport import coalescing, drivers, rate_limits
from tests.support.virtual_alarms import jumps

_MODULES = (
    "tasks.waiter",
    "connection.lookup",
    "transport.drivers",
    "hooks.cloudsync",
    "operators.sync",
    "sensors.sync",
)


class _SteppedAsyncio:
    """asyncio, but for its sleep."""

    def __init__(self, advance: Callable[[float], object]) -> None:
        self._advance = advance

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self._advance(seconds)
        await asyncio.sleep(0)


def use_stepped_clock(
    monkeypatch: pytest.MonkeyPatch,
    *,
    now: Callable[[], float],
    advance: Callable[[float], object],
    monotonic: Callable[[], float] | None = None,
) -> None:
    """Replace the clocks and pauses of the package and of Airflow's own sensor loop; drop all shared results.

    :param now: seconds since the epoch by the clock of the machine.
    :param advance: moves the clock by a number of seconds.
    :param monotonic: seconds from some moment on; None: `now`.
    """
    elapsed = monotonic or now
    stepped = SimpleNamespace(time=now, monotonic=elapsed, sleep=advance)
    for module in _MODULES:
        monkeypatch.setattr(f"airflow_provider_cloudsync.{module}.time", stepped)
    monkeypatch.setattr(sys.modules[BaseSensorOperator.__module__], "time", stepped)
    for module in (drivers, lookup):
        monkeypatch.setattr(module, "asyncio", _SteppedAsyncio(advance))
    kept = coalescing.ResultCache()
    monkeypatch.setattr(
        drivers, "AsyncSingleFlight", lambda **_: coalescing.AsyncSingleFlight(elapsed, jumps(advance), kept)
    )
    monkeypatch.setattr(drivers, "_rate_limiter", rate_limits.RateLimiter(clock=elapsed))
    monkeypatch.setattr(drivers, "_single_flight", coalescing.BlockingSingleFlight(elapsed, kept))
