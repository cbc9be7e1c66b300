"""One run of a flow for all who ask for the same: what `Shared` and `Together` mean, blocking and under asyncio."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[], Awaitable[Any]]
Parts = Callable[[Sequence[Any]], Awaitable[Mapping[Any, Any]]]
Still = Callable[[Any], bool]
#: Results that may be taken again, and when the work for them began. One for all loops and threads of a process: a key
#: that one of them has seen rejected is rejected for all.
Kept = dict[Hashable, tuple[float, Any]]

_WHOLE, _MISSING = object(), object()


class BlockingShares:
    """For threads: one does the work for a key, the others wait for it and take its result while that is fresh."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, kept: Kept | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._kept: Kept = {} if kept is None else kept

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


def own(results: Mapping[Any, Any], part: Any) -> Any:
    """What common work brought for one part.

    :raises CloudSyncError: if that is the error of this part.
    """
    found = results.get(part, _MISSING)
    if found is _MISSING:
        raise RuntimeError(f"the common work brought nothing for {part!r}")
    if isinstance(found, Exception):
        raise _copied(found)
    return found


@dataclass(frozen=True, slots=True)
class _Wish:
    """What somebody waits for.

    :param soonest: not before that, unless it comes anyway.
    :param latest: when the work is to begin for it.
    """

    part: Hashable
    soonest: float
    latest: float


@dataclass(slots=True, eq=False)
class _Entry:
    """One key while anybody waits for it."""

    work: Parts
    #: Who waits for the work to begin.
    waiting: dict[asyncio.Future[Any], _Wish] = field(default_factory=dict)
    #: Who may get a result of the work under way.
    served: dict[asyncio.Future[Any], _Wish] = field(default_factory=dict)
    began: float | None = None
    #: When the runner goes to work, as far as it knows.
    wakes_at: float = 0.0
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
        kept: Kept | None = None,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._entries: dict[Hashable, _Entry] = {}
        self._kept: Kept = {} if kept is None else kept

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

        async def whole(parts: Sequence[Any]) -> Mapping[Any, Any]:
            began, result = self._clock(), await work()
            if max_age > 0 or still is not None:
                self._kept[key] = (began, result)
            return {_WHOLE: result}

        entry = self._entry(key, whole)
        if entry.began is not None and (still is not None or now - entry.began < max_age):
            return await self._wait(key, entry, entry.served, _Wish(_WHOLE, now, now))
        return await self._wait(key, entry, entry.waiting, _Wish(_WHOLE, now, now + wait))

    async def get_part(
        self, key: Hashable, part: Hashable, work: Parts, *, wait: float = 0.0, soonest: float = 0.0
    ) -> Any:
        """What `work` brings for a part, of the work that is done for all who want a part of the same key.

        :param work: is told the parts that are wanted; returns part -> result or error, perhaps of more parts.
        :param wait: seconds from now at which it is wanted.
        :param soonest: seconds from now before which it is not, unless it comes anyway.
        """
        now = self._clock()
        entry = self._entry(key, work)
        return await self._wait(key, entry, entry.waiting, _Wish(part, now + soonest, now + wait))

    def _entry(self, key: Hashable, work: Parts) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(work)
            entry.runner = asyncio.create_task(self._run(key, entry))
        return entry

    async def _wait(
        self, key: Hashable, entry: _Entry, among: dict[asyncio.Future[Any], _Wish], wish: _Wish
    ) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        among[future] = wish
        if wish.latest < entry.wakes_at:
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

    async def _run(self, key: Hashable, entry: _Entry) -> None:
        while entry.waiting:
            now = self._clock()
            entry.wakes_at = min(wish.latest for wish in entry.waiting.values())
            if entry.wakes_at > now:
                entry.wake.clear()
                await self._sleep(entry.wake, entry.wakes_at - now)
                continue
            entry.served, entry.waiting = entry.waiting, {}
            entry.began = now
            wanted = dict.fromkeys(wish.part for wish in entry.served.values() if wish.soonest <= now)
            try:
                results = await entry.work(list(wanted))
            except Exception as error:  # whatever it is, it is theirs who asked, not this task's
                results = dict.fromkeys(wanted, error)
            except BaseException:
                # Cancelled, or the interpreter is ending: nobody is left to wait for what will not come.
                self._drop(key, entry)
                for future in (*entry.served, *entry.waiting):
                    future.cancel()
                raise
            for future, wish in entry.served.items():
                if future.done():
                    continue
                if wish.part not in results and wish.part not in wanted:
                    entry.waiting[future] = wish  # not wanted yet, and not there by chance
                    continue
                try:
                    future.set_result(own(results, wish.part))
                except Exception as error:
                    future.set_exception(error)
            entry.served, entry.began = {}, None
        self._drop(key, entry)


def _copied(error: Exception) -> Exception:
    """A copy for each who raises it, or their tracebacks would pile up on one object."""
    try:
        return copy.copy(error)
    except Exception:  # made of something else than what it shows, so that it can't be made again
        return error
