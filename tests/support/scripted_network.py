"""Both drivers as they are, on a clock that only moves when somebody waits, with a script in place of the network."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Response
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.transport import coalescing, drivers, rate_limits
from tests.support.virtual_alarms import jumps

#: 2026-11-21 08:00:00 UTC
START = 1_795_248_000.0
DRIVERS = ("blocking", "asyncio")
#: So many flows run at once at the most, blocking.
THREADS = 16
Answer = Callable[[HttpRequest], Response | CloudSyncError]


def answer(status: int = 200, body: Any = None, **headers: str) -> Response:
    """A reply; bytes are sent as they are, everything else as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def iso(seconds: float) -> str:
    """As IAM writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def http_date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


class _SteppedAsyncio:
    """asyncio, but for its sleep."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self._stage.pause(seconds)
        await asyncio.sleep(0)


class _Session:
    async def close(self) -> None:
        pass


class Stage:
    """What is sent, in the order in which it is, and who answers.

    :param answer: what becomes of a request; assign another one.
    :param gate: while it is there and not set, no request under asyncio gets its reply.
    :param holds: requests that get no reply before `let_go` is set; `held` tells that there is one.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: float = START) -> None:
        self.now = now
        self.sent: list[HttpRequest] = []
        self.pauses: list[float] = []
        self.masked: list[str] = []
        self.answer: Answer = lambda request: answer(200, {})
        self.gate: asyncio.Event | None = None
        self.holds: Callable[[HttpRequest], bool] = lambda request: False
        self.held, self.let_go = threading.Event(), threading.Event()
        self.in_flight = 0
        self.most_in_flight = 0
        self._lock = threading.Lock()
        stepped = SimpleNamespace(time=self.clock, monotonic=self.clock, sleep=self.pause)
        monkeypatch.setattr(drivers, "time", stepped)
        monkeypatch.setattr(drivers, "asyncio", _SteppedAsyncio(self))

        kept = coalescing.ResultCache()
        monkeypatch.setattr(
            drivers,
            "AsyncSingleFlight",
            lambda **_: coalescing.AsyncSingleFlight(self.clock, jumps(self.pause), kept),
        )
        monkeypatch.setattr(drivers, "_single_flight", coalescing.BlockingSingleFlight(self.clock, kept))
        monkeypatch.setattr(drivers, "_rate_limiter", rate_limits.RateLimiter(clock=self.clock))
        monkeypatch.setattr(drivers, "_send", self._send)
        monkeypatch.setattr(drivers, "_asend", self._asend)
        monkeypatch.setattr(drivers, "_open_async_session", _Session)
        monkeypatch.setattr(drivers, "mask_secret", self.masked.append)
        monkeypatch.setattr(drivers, "amask_secret", self._aconceal)

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self.pauses.append(seconds)
            self.now += seconds

    async def _aconceal(self, secret: str) -> None:
        await asyncio.sleep(0)
        self.masked.append(secret)

    def _begin(self, request: HttpRequest) -> None:
        with self._lock:
            self.sent.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def _end(self, request: HttpRequest) -> Response:
        try:
            found = self.answer(request)
        finally:
            with self._lock:
                self.in_flight -= 1
        if isinstance(found, BaseException):
            raise found
        return found

    def _send(self, request: HttpRequest, seconds: float = math.inf) -> Response:
        self._begin(request)
        if self._is_held(request):
            self.let_go.wait(10)
        return self._end(request)

    async def _asend(self, session: Any, request: HttpRequest) -> Response:
        self._begin(request)
        for _ in range(3):
            await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        if self._is_held(request):
            await asyncio.to_thread(self.let_go.wait, 10)
        return self._end(request)

    def _is_held(self, request: HttpRequest) -> bool:
        if not self.holds(request) or self.let_go.is_set():
            return False
        self.held.set()
        return True

    def drive(self, driver: str, flow: Flow[Any]) -> Any:
        """What a flow returns."""
        if driver == "blocking":
            return drivers.run(flow)
        return asyncio.run(drivers.arun(flow))

    def outcomes(self, driver: str, flows: Iterable[Flow[Any]], *, threads: int = THREADS) -> list[Any]:
        """What flows that run at once return or raise."""
        if driver == "blocking":
            with ThreadPoolExecutor(threads) as pool:
                futures = [pool.submit(drivers.run, flow) for flow in flows]
            return [each.exception() or each.result() for each in futures]

        async def main() -> list[Any]:
            return await asyncio.gather(*(drivers.arun(flow) for flow in flows), return_exceptions=True)

        return asyncio.run(main())


class Loop:
    """One event loop for several runs: what is shared under asyncio is shared within a loop."""

    def __init__(self, stage: Stage) -> None:
        self._runner = asyncio.Runner()
        self._stage = stage

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def drive(self, flow: Flow[Any]) -> Any:
        return self._runner.run(drivers.arun(flow))

    def outcomes(self, flows: Iterable[Flow[Any]]) -> list[Any]:
        async def main() -> list[Any]:
            return await asyncio.gather(*(drivers.arun(flow) for flow in flows), return_exceptions=True)

        return self._runner.run(main())

    def meanwhile(
        self, first: Flow[Any], others: Iterable[Flow[Any]], *, wait_for: float = 0.1
    ) -> tuple[int, list[Any]]:
        """Begin with one flow; when a request of it is held, begin the others, and then let it go.

        :param patience: seconds of real time in which threads may end before that.
        :return: how many of the others ended before that, and what all of them came to.
        """

        async def main() -> tuple[int, list[Any]]:
            tasks = [asyncio.create_task(drivers.arun(first))]
            await asyncio.to_thread(self._stage.held.wait, 10)
            tasks += [asyncio.create_task(drivers.arun(flow)) for flow in others]
            for _ in range(100):
                await asyncio.sleep(0)
            ended = sum(task.done() for task in tasks)
            self._stage.let_go.set()
            return ended, await asyncio.gather(*tasks, return_exceptions=True)

        return self._runner.run(main())


class Threads:
    """The blocking driver behind the same face."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def drive(self, flow: Flow[Any]) -> Any:
        return drivers.run(flow)

    def outcomes(self, flows: Iterable[Flow[Any]]) -> list[Any]:
        return self._stage.outcomes("blocking", flows)

    def meanwhile(
        self, first: Flow[Any], others: Iterable[Flow[Any]], *, wait_for: float = 0.1
    ) -> tuple[int, list[Any]]:
        flows = list(others)
        with ThreadPoolExecutor(len(flows) + 1) as pool:
            futures = [pool.submit(drivers.run, first)]
            self._stage.held.wait(10)
            futures += [pool.submit(drivers.run, flow) for flow in flows]
            ended, _ = wait(futures[1:], timeout=wait_for)
            self._stage.let_go.set()
        return len(ended), [each.exception() or each.result() for each in futures]


def process(stage: Stage, driver: str) -> Loop | Threads:
    """One process of Airflow, as far as memory goes."""
    return Loop(stage) if driver == "asyncio" else Threads(stage)
