"""Many flows of one event loop against the emulator, on a clock that moves when nobody has anything else to do."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.transport import coalescing, drivers
from airflow_provider_cloudsync.transport.rate_limits import RateLimiter


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the emulator's, and moves when there is nothing else to do than to wait."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.in_flight = 0
        super().__init__()

    def time(self) -> float:
        return self.emulator.clock.now()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *arguments: Any) -> Any:
        """Let no time pass while a thread works: the import of a library, the masking of a secret."""
        future = super().run_in_executor(executor, func, *arguments)
        self.in_flight += 1
        future.add_done_callback(self._landed)
        return future

    def _landed(self, future: Any) -> None:
        self.in_flight -= 1

    def _run_once(self) -> None:
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count = max(self._timer_cancelled_count - 1, 0)  # type: ignore[has-type]
        if scheduled and not self._ready and not self.in_flight:  # type: ignore[attr-defined]
            ahead = scheduled[0]._when - self.time()
            if ahead >= 0:
                # And by the least that its clock moves: at so large a time nothing smaller makes a difference.
                self.emulator.advance(ahead + 0.001)
        super()._run_once()  # type: ignore[misc]


class World:
    """HSS clusters behind a counting gateway, and this process before it."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.now = emulator.clock.now
        self.began = self.now()
        self._monkeypatch = monkeypatch
        stepped = SimpleNamespace(time=self.now, monotonic=self.now, sleep=emulator.advance)
        monkeypatch.setattr(drivers, "time", stepped)
        monkeypatch.setattr(drivers, "_rate_limiter", RateLimiter(clock=self.now))
        monkeypatch.setattr(
            drivers, "AsyncSingleFlight", lambda **_: coalescing.AsyncSingleFlight(clock=self.now)
        )
        # By this it drops connections that were idle for long, before their timers go off.
        monkeypatch.setattr("aiohttp.connector.monotonic", self.now)

    def cloud(self, **more: Any) -> Cloud:
        emulator = self.emulator
        return Cloud(
            KeyPair(emulator.access_key, emulator.secret_key),
            emulator.clock.now,
            region=emulator.region,
            project_id=emulator.project_id,
            endpoint=emulator.url,
            **more,
        )

    def all_at_once(self, flows: list[Any]) -> list[tuple[float, Any]]:
        """Drive them in one loop; for each, when it ended and with what."""
        loop = SteppedLoop(self.emulator)
        asend = drivers._asend

        async def counted(session: Any, request: Any) -> Any:
            loop.in_flight += 1
            try:
                return await asend(session, request)
            finally:
                loop.in_flight -= 1

        self._monkeypatch.setattr(drivers, "_asend", counted)

        async def one(flow: Any) -> tuple[float, Any]:
            try:
                ended = await drivers.arun(flow)
            except CloudSyncError as error:
                ended = error
            return self.now(), ended

        async def main() -> list[tuple[float, Any]]:
            return await asyncio.gather(*(one(flow) for flow in flows))

        try:
            return loop.run_until_complete(main())
        finally:
            loop.close()
            self._monkeypatch.setattr(drivers, "_asend", asend)

    def times(self, operation: str = "ListClusterEvents") -> list[float]:
        return [each["time"] for each in self.emulator.requests() if each["operation"] == operation]

    def statuses(self) -> set[int]:
        return {each["status"] for each in self.emulator.requests()}


def worlds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """For a fixture: what starts an emulator with these HSS clusters, and whatever else a scenario has."""
    running: list[Emulator] = []

    def start(clusters: dict[str, Any], **scenario: Any) -> World:
        emulator = Emulator({"quotas": True, "hss": {"clusters": clusters}, **scenario}, stepped=True)
        emulator.start()
        running.append(emulator)
        return World(emulator, monkeypatch)

    yield start
    for emulator in running:
        emulator.stop()
