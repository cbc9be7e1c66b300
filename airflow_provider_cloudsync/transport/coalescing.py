"""Shared results: one run of a flow for all callers that ask for the same, blocking and under asyncio."""

from __future__ import annotations

import asyncio
import copy
import math
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from airflow_provider_cloudsync.transport.result_cache import NOTHING, IsFresh, ResultCache

Work = Callable[[], Awaitable[Any]]
Parts = Callable[[Sequence[Any]], Awaitable[Mapping[Any, Any]]]
_WHOLE, _MISSING = object(), object()


class BlockingSingleFlight:
    """For threads: one does the work for a key, the others wait for it and take its result while that is fresh."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        kept: ResultCache | None = None,
        shared: Callable[[int], object] | None = None,
    ) -> None:
        self._clock = clock
        self._shared = shared or _nobody_counts
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}
        self._results: ResultCache = ResultCache() if kept is None else kept

    def clear(self) -> None:
        """Drop all locks, also those that are held. The results stay, since others may share them."""
        self._lock = threading.Lock()
        self._locks = {}

    def get(
        self,
        key: Hashable,
        work: Callable[[], Any],
        *,
        max_age: float = 0.0,
        is_fresh: IsFresh | None = None,
        max_wait: float | None = None,
        end: float = math.inf,
    ) -> Any:
        """Return the result of `work`, or its earlier result if that is at most `max_age` seconds old.

        :param is_fresh: whether what it returned may be taken, instead of the age.
        :param max_wait: seconds to wait while another thread works; then `NOTHING` is returned. None: until it ends.
        :param end: time at which that wait ends at the latest.
        """
        keeps = max_age > 0 or is_fresh is not None
        if not keeps and max_wait is None:
            return work()
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        longest = min(math.inf if max_wait is None else max_wait, end - self._clock())
        if not lock.acquire(timeout=min(max(longest, 0.0), threading.TIMEOUT_MAX)):
            return NOTHING
        try:
            began = self._clock()
            found = self._results.find(key, began, max_age, is_fresh)
            if found is not NOTHING:
                if is_fresh is None:  # what says of itself whether it is good, such as a token, is no look
                    self._shared(1)
                return found
            result = work()
            if keeps:
                self._results.keep(key, began, result, max_age if is_fresh is None else None)
            return result
        finally:
            lock.release()


class Handle(Protocol):
    """Scheduled call that can be cancelled."""

    def cancel(self) -> object:
        """It is not to be done."""


Later = Callable[[float, Callable[[], object]], Handle]


def later(seconds: float, what: Callable[[], object]) -> Handle:
    """Have it done by the running loop after so many seconds."""
    return asyncio.get_running_loop().call_later(seconds, what)


def result_for(results: Mapping[Any, Any], part: Any) -> Any:
    """Return the result of a batch for one part.

    :raises CloudSyncError: if that is the error of this part.
    """
    found = results.get(part, _MISSING)
    if found is _MISSING:
        raise RuntimeError(f"the common work brought nothing for {part!r}")
    if isinstance(found, Exception):
        raise _copied(found)
    return found


@dataclass(slots=True)
class _Waiter:
    """One caller's share of a batch, and the time by which the caller wants it.

    :param soonest: not before that, unless it comes anyway.
    :param latest: when the work is to begin for it.
    """

    part: Hashable
    soonest: float
    latest: float


@dataclass(slots=True, eq=False)
class _Entry:
    """One key while anybody waits for it. A thousand may sleep, so it is small: no task before there is work."""

    work: Parts
    #: Who waits for the work to begin.
    waiting: dict[asyncio.Future[Any], _Waiter] = field(default_factory=dict)
    #: Who may get a result of the work under way.
    served: dict[asyncio.Future[Any], _Waiter] | None = None
    began: float = 0.0
    #: When it is time to begin, as far as is known, and what tells so.
    wakes_at: float = 0.0
    alarm: Handle | None = None
    task: asyncio.Task[None] | None = None


class AsyncSingleFlight:
    """For the tasks of one event loop.

    Each key has an alarm while anybody waits for it: when the most impatient of them wants the result. Then the work
    is done once, and its result goes to all who joined before it began. Who joins later gets it too if it is young
    enough for them; else they wait for the next one. When the last one leaves, the work ends, and nothing stays but
    results that were asked for with an age.

    :param admit: called with what begins a work, to let many begin one after the other.
    :param shared: told how many were served by what was done, or had been done, for another.
    :param timer: ends a wait that has a limit.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        later: Later = later,
        kept: ResultCache | None = None,
        admit: Callable[[Callable[[], object]], object] | None = None,
        shared: Callable[[int], object] | None = None,
        timer: Later = later,
    ) -> None:
        self._clock = clock
        self._later = later
        self._timer = timer
        self._entries: dict[Hashable, _Entry] = {}
        self._results: ResultCache = ResultCache() if kept is None else kept
        self._admit = admit or _at_once
        self._shared = shared or _nobody_counts

    def __len__(self) -> int:
        """Return the number of keys with waiting callers."""
        return len(self._entries)

    async def get(
        self,
        key: Hashable,
        work: Work,
        *,
        max_age: float = 0.0,
        wait: float = 0.0,
        is_fresh: IsFresh | None = None,
    ) -> Any:
        """Return the result of `work`, or raise its error.

        :param max_age: seconds since it began that a result may be old, to be taken.
        :param is_fresh: whether an earlier result may be taken, instead of its age.
        :param wait: seconds from now at which the result is wanted. It comes sooner where another wants it sooner.
        """
        found = self.known(key, max_age, is_fresh)
        if found is not NOTHING:
            return found
        future = self.join(key, work, max_age=max_age, wait=wait, is_fresh=is_fresh)
        try:
            return await future
        finally:
            self.leave(key, future)

    def known(self, key: Hashable, max_age: float, is_fresh: IsFresh | None) -> Any:
        """Return the result of `get` without waiting; `NOTHING` if it would wait."""
        if is_fresh is not None:
            # What says of itself whether it is good, such as a token, is no look, and is not counted.
            return self._results.find(key, 0.0, 0.0, is_fresh)
        if max_age <= 0:
            return NOTHING
        found = self._results.find(key, self._clock(), max_age, None)
        if found is not NOTHING:
            self._shared(1)
        return found

    def join(
        self,
        key: Hashable,
        work: Work,
        *,
        max_age: float = 0.0,
        wait: float = 0.0,
        is_fresh: IsFresh | None = None,
        max_wait: float | None = None,
        limit: float | None = None,
    ) -> asyncio.Future[Any]:
        """Return the future that `get` waits for. Its caller must call `leave` afterwards.

        :param max_wait: seconds until the result is `NOTHING`, where another asker began the work; None: no limit.
        :param limit: the same, whoever began it.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None:
            keeps = max_age > 0 or is_fresh is not None
            whole = partial(self._whole, key, work, max_age if is_fresh is None else None, keeps)
            entry = self._entries[key] = _Entry(whole)
            max_wait = None  # its own work
        among, soon = entry.waiting, wait
        if entry.served is not None and (
            is_fresh is not None or max_wait is not None or now - entry.began < max_age
        ):
            among, soon = entry.served, 0.0
        if limit is not None:
            max_wait = limit if max_wait is None else min(limit, max_wait)
        return self._limited(self._join(key, entry, among, _Waiter(_WHOLE, now, now + soon)), max_wait)

    def _limited(self, future: asyncio.Future[Any], limit: float | None) -> asyncio.Future[Any]:
        if limit is not None:
            timer = self._timer(max(limit, 0.0), partial(_expire, future))
            future.add_done_callback(lambda _: timer.cancel())
        return future

    async def _whole(
        self, key: Hashable, work: Work, max_age: float | None, keeps: bool, parts: Sequence[Any]
    ) -> Mapping[Any, Any]:
        began, result = self._clock(), await work()
        if keeps:
            self._results.keep(key, began, result, max_age)
        return {_WHOLE: result}

    def join_part(
        self,
        key: Hashable,
        part: Hashable,
        work: Parts,
        *,
        wait: float = 0.0,
        soonest: float = 0.0,
        limit: float | None = None,
    ) -> asyncio.Future[Any]:
        """To be waited for, and left then: what `work` brings for a part, of the work that is done for all who want a
        part of the same key.

        :param work: is told the parts that are wanted; returns part -> result or error, perhaps of more parts.
        :param wait: seconds from now at which it is wanted.
        :param soonest: seconds from now before which it is not, unless it comes anyway.
        :param limit: seconds until the result is `NOTHING`; None: no limit.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(work)
        wish = _Waiter(part, now + soonest, now + wait)
        return self._limited(self._join(key, entry, entry.waiting, wish), limit)

    def _join(
        self, key: Hashable, entry: _Entry, among: dict[asyncio.Future[Any], _Waiter], wish: _Waiter
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        among[future] = wish
        if entry.served is None:
            self._wake(key, entry, wish.latest)
        return future

    def leave(self, key: Hashable, future: asyncio.Future[Any]) -> None:
        """Wait no longer, whether there was a result or not."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.waiting.pop(future, None)
        if entry.served is not None:
            entry.served.pop(future, None)
        if not entry.waiting and not entry.served:
            self._drop(key, entry)

    def _wake(self, key: Hashable, entry: _Entry, at: float) -> None:
        """Begin then at the latest."""
        if entry.alarm is not None:
            if at >= entry.wakes_at:
                return
            entry.alarm.cancel()
        entry.wakes_at = at
        wait = at - self._clock()
        begin = partial(self._begin, key, entry)
        entry.alarm = self._later(wait, begin) if wait > 0 else asyncio.get_running_loop().call_soon(begin)

    def _begin(self, key: Hashable, entry: _Entry) -> None:
        entry.alarm = None
        if not entry.waiting or entry.served is not None:
            return
        at = min(wish.latest for wish in entry.waiting.values())
        if at > self._clock():  # who wanted it sooner has left
            self._wake(key, entry, at)
        else:
            self._admit(partial(self._work, key, entry))

    def _work(self, key: Hashable, entry: _Entry) -> None:
        if entry.waiting and entry.served is None:
            entry.served, entry.waiting = entry.waiting, {}
            entry.began = self._clock()
            entry.task = asyncio.get_running_loop().create_task(self._serve(key, entry, entry.served))

    async def _serve(self, key: Hashable, entry: _Entry, served: dict[asyncio.Future[Any], _Waiter]) -> None:
        began = entry.began
        wanted = dict.fromkeys(wish.part for wish in served.values() if wish.soonest <= began)
        try:
            results = await entry.work(list(wanted))
        except Exception as error:  # whatever it is, it is theirs who asked, not this task's
            # Without its traceback, whose frames hold replies of several MiB, and this frame, which holds the results.
            results = dict.fromkeys(wanted, _copied(error))
        except BaseException:
            # Cancelled, or the interpreter is ending: nobody is left to wait for what will not come.
            self._drop(key, entry)
            for future in (*served, *entry.waiting):
                future.cancel()
            raise
        for future, wish in served.items():
            if future.done():
                continue
            if wish.part not in results and wish.part not in wanted:
                entry.waiting[future] = wish  # not wanted yet, and not there by chance
                continue
            try:
                future.set_result(result_for(results, wish.part))
            except Exception as error:
                future.set_exception(error)
        if len(served) > 1:
            self._shared(len(served) - 1)
        entry.served = entry.task = None
        if entry.waiting:
            self._wake(key, entry, min(wish.latest for wish in entry.waiting.values()))
        else:
            self._drop(key, entry)

    def _drop(self, key: Hashable, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
        for each in (entry.alarm, entry.task):
            if each is not None:
                each.cancel()
        entry.alarm = entry.task = None


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(NOTHING)


def _nobody_counts(askers: int) -> None:
    pass


def _at_once(what: Callable[[], object]) -> None:
    what()


def _copied(error: Exception) -> Exception:
    """A copy for each who raises it, or their tracebacks would pile up on one object."""
    try:
        return copy.copy(error)
    except Exception:  # made of something else than what it shows, so that it can't be made again
        return error
