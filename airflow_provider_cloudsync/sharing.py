"""One run of a flow for all who ask for the same: what `Shared` means, blocking and under asyncio."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[], Awaitable[Any]]
Still = Callable[[Any], bool]


class BlockingShares:
    """For threads: one does the work for a key, the others wait for it and take its result while that is fresh."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._kept: dict[Hashable, tuple[float, Any]] = {}

    def get(
        self, key: Hashable, work: Callable[[], Any], *, max_age: float = 0.0, still: Still | None = None
    ) -> Any:
        """What `work` returns, or what it returned not more than `max_age` seconds ago.

        :param still: whether what it returned may be taken, instead of the age.
        """
        if max_age <= 0 and still is None:
            return work()
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            kept = self._kept.get(key)
            if kept is not None and (still(kept[1]) if still else self._clock() - kept[0] <= max_age):
                return kept[1]
            began = self._clock()
            result = work()
            self._kept[key] = (began, result)
            return result


async def doze(wake: asyncio.Event, seconds: float) -> None:
    """Sleep that long, or until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass


@dataclass(slots=True, eq=False)
class _Entry:
    """One key while anybody waits for it."""

    work: Work
    #: Who waits for the work to begin, and when they want it.
    waiting: dict[asyncio.Future[Any], float] = field(default_factory=dict)
    #: Who gets the result of the work under way.
    served: dict[asyncio.Future[Any], float] = field(default_factory=dict)
    began: float | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    runner: asyncio.Task[None] | None = None


class AsyncShares:
    """For the tasks of one event loop.

    Each key has one runner while anybody waits for it. It sleeps until the most impatient of them wants the result,
    does the work once, and hands the result to all who joined before the work began. Who joins later gets it too if
    it is young enough for them; else they wait for the next one. When the last one leaves, the runner ends, and
    nothing stays but results that were asked for with an age.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[asyncio.Event, float], Awaitable[None]] = doze,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._entries: dict[Hashable, _Entry] = {}
        self._kept: dict[Hashable, tuple[float, Any]] = {}

    def __len__(self) -> int:
        """How many keys are waited for."""
        return len(self._entries)

    async def get(
        self,
        key: Hashable,
        work: Work,
        *,
        max_age: float = 0.0,
        wait: float = 0.0,
        still: Still | None = None,
    ) -> Any:
        """What `work` returns or raises.

        :param max_age: seconds since it began that a result may be old, to be taken.
        :param still: whether an earlier result may be taken, instead of its age.
        :param wait: seconds from now at which the result is wanted. It comes sooner where another wants it sooner.
        """
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and (still(kept[1]) if still else now - kept[0] <= max_age):
            return kept[1]
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(work)
            entry.runner = asyncio.create_task(self._run(key, entry, keep=max_age > 0 or still is not None))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if entry.began is not None and (still is not None or now - entry.began < max_age):
            entry.served[future] = now
        else:
            entry.waiting[future] = now + wait
            entry.wake.set()
        try:
            return await future
        finally:
            entry.waiting.pop(future, None)
            entry.served.pop(future, None)
            if not entry.waiting and not entry.served:
                self._drop(key, entry)
                if entry.runner is not None and not entry.runner.done():
                    entry.runner.cancel()

    def _drop(self, key: Hashable, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]

    async def _run(self, key: Hashable, entry: _Entry, *, keep: bool) -> None:
        while entry.waiting:
            seconds = min(entry.waiting.values()) - self._clock()
            if seconds > 0:
                entry.wake.clear()
                await self._sleep(entry.wake, seconds)
                continue
            entry.served, entry.waiting = entry.waiting, {}
            entry.began = self._clock()
            try:
                result = await entry.work()
            except Exception as error:  # whatever it is, it is theirs who asked, not this task's
                for future in entry.served:
                    if not future.done():
                        future.set_exception(_copied(error))
            except BaseException:
                # Cancelled, or the interpreter is ending: nobody is left to wait for what will not come.
                self._drop(key, entry)
                for future in (*entry.served, *entry.waiting):
                    future.cancel()
                raise
            else:
                if keep:
                    self._kept[key] = (entry.began, result)
                for future in entry.served:
                    if not future.done():
                        future.set_result(result)
            entry.served, entry.began = {}, None
        self._drop(key, entry)


def _copied(error: Exception) -> Exception:
    """A copy for each who raises it, or their tracebacks would pile up on one object."""
    try:
        return copy.copy(error)
    except Exception:  # made of something else than what it shows, so that it can't be made again
        return error
