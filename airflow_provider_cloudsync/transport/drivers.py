"""The two drivers of flows.

`run` blocks and uses requests; `arun` is for asyncio and uses aiohttp. They differ in how they send, sleep and
share, and in nothing else: what to send, what to make of the reply and when to try again is in the flow. Neither
library is imported before the first request.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.messages import (
    PENDING,
    AcquireSlot,
    Batched,
    Cooldown,
    Flow,
    HttpRequest,
    MaskSecret,
    Message,
    Pause,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError, TransportError
from airflow_provider_cloudsync.transport.admission import Admission
from airflow_provider_cloudsync.transport.asynchronous import asend as _asend
from airflow_provider_cloudsync.transport.asynchronous import make_ready
from airflow_provider_cloudsync.transport.asynchronous import open_session as _open_async_session
from airflow_provider_cloudsync.transport.blocking import close_sessions
from airflow_provider_cloudsync.transport.blocking import send as _send
from airflow_provider_cloudsync.transport.coalescing import (
    AsyncSingleFlight,
    BlockingSingleFlight,
    result_for,
)
from airflow_provider_cloudsync.transport.masking import amask_secret, mask_secret
from airflow_provider_cloudsync.transport.network import CHECK
from airflow_provider_cloudsync.transport.rate_limits import RateLimiter
from airflow_provider_cloudsync.transport.result_cache import NOTHING, ResultCache

if TYPE_CHECKING:
    from airflow_provider_cloudsync.transport.asynchronous import Session

__all__ = ["reset"]

T = TypeVar("T")
Send = Callable[[HttpRequest], Response]

_PACKAGE = __name__.partition(".")[0]
#: The type of a function that `functools.cache` or `lru_cache` has decorated.
_FUNCTION_CACHE = type(functools.cache(lambda: None))

_results = ResultCache()
_count_shared = partial(metrics.count, "shared_hits")
_single_flight = BlockingSingleFlight(kept=_results, shared=_count_shared)
_rate_limiter = RateLimiter()
_pools: MutableMapping[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


def _reset_after_fork() -> None:
    """In a forked process: a lock that another thread of the parent held would never be given back."""
    _single_flight.clear()
    _rate_limiter.clear()
    metrics.reset()


os.register_at_fork(after_in_child=_reset_after_fork)


def reset() -> None:
    """Forget everything that this process has read, opened, counted or warned of, as if it had just started.

    For tests: the state of a process outlives a test, and a new test has another emulator. No flow may run meanwhile.
    """
    _reset_after_fork()
    _results.clear()
    _pools.clear()
    close_sessions()
    # Tests call this thousands of times, in processes with thousands of modules: no pair for each module, which the
    # garbage collector would count, and no `isinstance`, which is slow for the class of a mapping.
    for name in [name for name in list(sys.modules) if name.startswith(f"{_PACKAGE}.")]:
        for each in list(vars(sys.modules[name]).values()):
            kind = type(each)
            if kind is _FUNCTION_CACHE:
                each.cache_clear()
            elif kind is WeakValueDictionary:
                each.clear()


def run(flow: Flow[T], send: Send | None = None, end: float = math.inf) -> T:
    """Drive a flow to its end, blocking. Its sockets are kept for the thread's next flow.

    :param send: sends the requests of the flow in place of `send_blocking`.
    :param end: time by the monotonic clock at which requests and pauses of the flow end with an error.
    """
    try:
        message = next(flow)
        while True:
            try:
                result = _carry_out(message, send, end)
            except CloudSyncError as error:
                message = flow.throw(error)
            else:
                message = flow.send(result)
    except StopIteration as finished:
        value: T = finished.value
        return value
    finally:
        flow.close()


def arun(flow: Flow[T]) -> Coroutine[Any, Any, T]:
    """Drive a flow to its end under asyncio. All flows of a loop share one session, closed when the last one ends."""
    return _drive(flow)


async def _drive(flow: Flow[T]) -> T:
    pool = _pool()
    pool.users += 1
    try:
        message = next(flow)
        while True:
            try:
                result: Any
                if isinstance(message, HttpRequest) and pool.session is not None:
                    result = await _asend(pool.session, message)
                elif isinstance(message, AcquireSlot):
                    result = _rate_limiter.take(message)
                elif isinstance(message, Cooldown):
                    _rate_limiter.hold(message)
                    result = None
                elif (
                    isinstance(message, SingleFlight)
                    and (found := pool.shares.known(message.key, message.max_age, message.is_fresh))
                    is not NOTHING
                ):
                    result = found
                elif isinstance(message, (SingleFlight, Batched)):
                    key, future = message.key, pool.join(message)
                    limited = message.limit is not None
                    del message  # it may be an hour until there is another
                    try:
                        result = await future
                        if result is NOTHING:
                            result = _pending(is_limited=limited)
                    finally:
                        pool.shares.leave(key, future)
                        del future
                else:
                    result = await pool.begin(message)
            except CloudSyncError as error:
                message = flow.throw(error)
            else:
                message = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()
        pool.users -= 1
        if not pool.users:
            await pool.close()


def _drive_made(make: Callable[[], Flow[T]]) -> Coroutine[Any, Any, T]:
    return _drive(make())


async def ashare(key: Any, work: Callable[[], Awaitable[Any]], *, max_age: float) -> Any:
    """Do something else than a flow once for all of this loop who ask for the same within `max_age` seconds.

    The result is not for other loops: what it was read from, such as a connection, may have changed with them.
    """
    return await _pool().result_for.get(key, work, max_age=max_age)


def _pool() -> _Pool:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = _Pool()
    return pool


def send_blocking(request: HttpRequest) -> Response:
    """Send one request, and take in the whole reply."""
    return _send(request)


def _carry_out(message: Message, send: Send | None, end: float) -> Any:
    if isinstance(message, HttpRequest):
        if send is not None:
            return send(message)
        return send_blocking(message) if end == math.inf else _send(message, end - time.monotonic())
    if isinstance(message, Pause):
        if time.monotonic() + message.seconds > end:
            raise _unanswered()
        return time.sleep(_counted(message))
    if isinstance(message, MaskSecret):
        return mask_secret(message.secret)
    if isinstance(message, AcquireSlot):
        return _rate_limiter.take(message)
    if isinstance(message, Cooldown):
        _rate_limiter.hold(message)
        return None
    if message.limit is not None:
        end = min(end, time.monotonic() + message.limit)
    if message.wait > 0:
        time.sleep(message.wait)
    if isinstance(message, Batched):
        return result_for(run(message.make([message.part]), send, end), message.part)
    make = message.make
    result = _single_flight.get(
        message.key,
        lambda: run(make(), send, end),
        max_age=message.max_age,
        is_fresh=message.is_fresh,
        max_wait=message.max_wait,
        end=end,
    )
    if result is NOTHING:
        return _pending(is_limited=message.max_wait is None or time.monotonic() >= end)
    return result


def _pending(*, is_limited: bool) -> object:
    """Return what a flow receives if it waited without a result.

    :raises TransportError: if it is not to go on.
    """
    if is_limited:
        raise _unanswered()
    return PENDING


def _unanswered() -> TransportError:
    return TransportError(
        f"No complete reply soon enough after the deadline, so the poll was given up. {CHECK}"
    )


def _counted(pause: Pause) -> float:
    """Its seconds; it is counted if something is done again after it."""
    if pause.retry_of:
        metrics.count("retries", service=pause.retry_of)
    return pause.seconds


class _Pool:
    """State shared by the flows of one event loop: a session and shared results.

    :ivar own: the same as `shares`, of results that no other loop takes.
    """

    def __init__(self) -> None:
        admit = Admission().admit
        self.shares = AsyncSingleFlight(kept=_results, admit=admit, shared=_count_shared)
        self.result_for = AsyncSingleFlight(kept=ResultCache(), admit=admit, shared=_count_shared)
        self.users = 0
        self.session: Session | None = None

    async def close(self) -> None:
        if self.session is not None:
            session, self.session = self.session, None
            await session.close()

    def join(self, message: SingleFlight | Batched) -> asyncio.Future[Any]:
        """Return the future of a shared result. No coroutine, because a thousand waits would each keep one."""
        if isinstance(message, Batched):
            together = message.make
            return self.shares.join_part(
                message.key,
                message.part,
                lambda parts: _drive(together(parts)),
                wait=message.wait,
                soonest=message.soonest,
                limit=message.limit,
            )
        return self.shares.join(
            message.key,
            partial(_drive_made, message.make),
            max_age=message.max_age,
            wait=message.wait,
            is_fresh=message.is_fresh,
            max_wait=message.max_wait,
            limit=message.limit,
        )

    async def _send_first(self, request: HttpRequest) -> Response:
        await make_ready()
        if self.session is None:
            self.session = _open_async_session()
        return await _asend(self.session, request)

    def begin(self, message: HttpRequest | Pause | MaskSecret) -> Awaitable[Any]:
        """Return an awaitable of the result of a message."""
        if isinstance(message, HttpRequest):
            return self._send_first(message)
        if isinstance(message, Pause):
            return asyncio.sleep(_counted(message))
        return amask_secret(message.secret)
