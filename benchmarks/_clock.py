"""A clock that jumps to whatever is due next, so that an hour of waiting takes no time: for counting, not for timing.

`asyncio`, the blocking driver and the package itself all read the same clock here. There is no network: what would be
sent is answered by a function.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any

#: 2026-11-21 08:00:00 UTC
START = 1_795_248_000.0
#: A sum of floats may fall short of what it should come to; the clock always moves by so much at least.
_STEP = 1e-6
#: What becomes of a request: status and content.
Answer = Callable[[Any], tuple[int, Any]]


class Clock:
    """Seconds since `START` that pass when somebody waits for them."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return START + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += max(seconds, 0.0)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Like `asyncio.run`, on this clock."""
        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(work)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        self.in_threads = 0
        super().__init__(_Selector(self, clock))

    def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:
        future = super().run_in_executor(executor, function, *arguments)
        self.in_threads += 1
        future.add_done_callback(self._one_came_back)
        return future

    def _one_came_back(self, future: Any) -> None:
        self.in_threads -= 1


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, loop: _Loop, clock: Clock) -> None:
        super().__init__()
        self._loop = loop
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        waits = timeout is None or timeout > 0
        # What a thread does takes no time on this clock, but it has to be waited for.
        if waits and (self._loop.in_threads or timeout is None):
            return super().select(None)
        ready = super().select(0)
        if waits and not ready:
            self._clock.passed += max(timeout, _STEP)
        return ready


class _Session:
    async def close(self) -> None:
        pass


def stage(answer: Answer) -> Clock:
    """Put the package onto a clock of its own. To be called in a fresh process, once, before anything imports it."""
    import airflow.triggers.base  # noqa: F401 (what Airflow does with clocks at import, it does with the real one)

    clock = Clock()
    random.seed(1)  # pauses may be drawn by lot; the tables are to be the same each time
    time.time, time.monotonic, time.sleep = clock.now, clock.monotonic, clock.sleep

    from airflow_provider_cloudsync.api.messages import Response
    from airflow_provider_cloudsync.transport import drivers

    def send(request: Any) -> Response:
        import json

        status, content = answer(request)
        return Response(status, {}, json.dumps(content).encode())

    async def asend(session: Any, request: Any) -> Response:
        await asyncio.sleep(0)
        return send(request)

    # As in tests/support/scripted_network.py.
    drivers._send, drivers._asend, drivers._open_async_session = send, asend, _Session
    return clock
