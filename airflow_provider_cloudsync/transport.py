"""The two drivers of flows. Beside the sessions for users, the only file that names the HTTP libraries.

`run` blocks and uses requests; `arun` is for asyncio and uses aiohttp. They differ in how they send, sleep and
share, and in nothing else: what to send, what to make of the reply and when to try again is in the flow. Neither
library is imported before the first request.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_cloudsync.api.messages import (
    Conceal,
    Flow,
    Hold,
    HttpRequest,
    Message,
    Pause,
    Response,
    Together,
    Turn,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError, TransportError, UnreadableReply
from airflow_provider_cloudsync.masking import aconceal, conceal
from airflow_provider_cloudsync.reaching import (
    CHECK,
    authorities,
    lost,
    ssl_context,
    usable_proxy,
    where,
)
from airflow_provider_cloudsync.sharing import AsyncShares, BlockingShares, Kept, own
from airflow_provider_cloudsync.turns import Turns

if TYPE_CHECKING:
    import aiohttp
    import requests

T = TypeVar("T")

#: A larger reply is refused; the longest of the lists that are read here stay far below.
LARGEST_REPLY = 16 * 1024 * 1024
#: A reply that trickles in has this many read timeouts until it must be complete.
_TRICKLE = 3
_CHUNK = 64 * 1024
#: A token comes in a header of up to 32 KiB, more than the library takes by itself.
_LONGEST_HEADER = 64 * 1024
_CONNECTIONS = 32

_kept: Kept = {}
_shares = BlockingShares(kept=_kept)
_turns = Turns()
_threads = threading.local()
_pools: MutableMapping[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


def _begin_anew() -> None:
    """In a forked process: a lock that another thread of the parent held would never be given back."""
    global _shares, _turns
    _shares, _turns = BlockingShares(kept=_kept), Turns()


os.register_at_fork(after_in_child=_begin_anew)


def run(flow: Flow[T]) -> T:
    """Drive a flow to its end, blocking. Its sockets are kept for the thread's next flow."""
    try:
        message = next(flow)
        while True:
            try:
                result = _carry_out(message)
            except CloudSyncError as error:
                message = flow.throw(error)
            else:
                message = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()


async def arun(flow: Flow[T]) -> T:
    """Drive a flow to its end under asyncio. All flows of a loop share one session, closed when the last one ends."""
    async with _pool() as pool:
        return await pool.drive(flow)


async def ashare(key: Any, work: Callable[[], Awaitable[Any]], *, max_age: float) -> Any:
    """Do something else than a flow once for all of this loop who ask for the same within `max_age` seconds."""
    return await _pool().shares.get(key, work, max_age=max_age)


def _pool() -> _Pool:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = _Pool()
    return pool


def _carry_out(message: Message) -> Any:
    if isinstance(message, HttpRequest):
        return _send(message)
    if isinstance(message, Pause):
        return time.sleep(message.seconds)
    if isinstance(message, Conceal):
        return conceal(message.secret)
    if isinstance(message, Turn | Hold):
        return _queue(message)
    if message.wait > 0:
        time.sleep(message.wait)
    if isinstance(message, Together):
        return own(run(message.make([message.part])), message.part)
    make = message.make
    return _shares.get(message.key, lambda: run(make()), max_age=message.max_age, still=message.still)


def _queue(message: Turn | Hold) -> float | None:
    """What all flows of the process have in common: the queues before quotas. Nothing here waits."""
    if isinstance(message, Turn):
        return _turns.take(message)
    _turns.hold(message)
    return None


class _Pool:
    """What the flows of one event loop have in common: a session and the results that they share."""

    def __init__(self) -> None:
        self.shares = AsyncShares(kept=_kept)
        self._users = 0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> _Pool:
        self._users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if not self._users and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def drive(self, flow: Flow[T]) -> T:
        try:
            message = next(flow)
            while True:
                try:
                    result = await self._carry_out(message)
                except CloudSyncError as error:
                    message = flow.throw(error)
                else:
                    message = flow.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    async def _carry_out(self, message: Message) -> Any:
        if isinstance(message, HttpRequest):
            if self._session is None:
                self._session = _open_async_session()
            return await _asend(self._session, message)
        if isinstance(message, Pause):
            return await asyncio.sleep(message.seconds)
        if isinstance(message, Conceal):
            return await aconceal(message.secret)
        if isinstance(message, Turn | Hold):
            return _queue(message)
        if isinstance(message, Together):
            together = message.make
            return await self.shares.get_part(
                message.key,
                message.part,
                lambda parts: self.drive(together(parts)),
                wait=message.wait,
                soonest=message.soonest,
            )
        make = message.make
        return await self.shares.get(
            message.key,
            lambda: self.drive(make()),
            max_age=message.max_age,
            wait=message.wait,
            still=message.still,
        )


# --- blocking -----------------------------------------------------------------------------------------------------


def _send(request: HttpRequest) -> Response:
    import requests
    import urllib3

    wiring = request.wiring
    proxy, trusted = usable_proxy(request), authorities(wiring, where(request))
    give_up = time.monotonic() + wiring.connect_timeout + _TRICKLE * wiring.read_timeout
    try:
        prepared = requests.Request(
            request.method, request.url, headers=_as_sent(request.headers), data=request.body or None
        )
        with _blocking_session().send(
            prepared.prepare(),
            stream=True,
            allow_redirects=False,
            timeout=(wiring.connect_timeout, wiring.read_timeout),
            verify=trusted,
            proxies={"http": proxy, "https": proxy} if proxy else {},
        ) as reply:
            body = _collect(_pieces(reply), request, give_up)
            received = {name.lower(): value for name, value in reply.headers.items()}
            return _complete(request, Response(reply.status_code, received, body))
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        sent, lasting = _requests_verdict(error)
        raise lost(request, error, sent=sent, lasting=lasting) from None


def _as_sent(headers: Mapping[str, str]) -> dict[str, str]:
    """As UTF-8, like the text that was signed; the library would take Latin-1, or fail."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _blocking_session() -> requests.Session:
    """The thread's session. A forked process gets its own, since two on one socket would read each other's replies."""
    if getattr(_threads, "pid", None) != os.getpid():
        import requests

        session = requests.Session()
        session.trust_env = False  # proxies are chosen here, and a .netrc would replace the signature
        _threads.session, _threads.pid = session, os.getpid()
    kept: requests.Session = _threads.session
    kept.cookies.clear()
    return kept


def _pieces(reply: requests.Response) -> Iterator[bytes]:
    """The body as it comes in, so that the time can be looked at between the pieces."""
    read = getattr(reply.raw, "read1", None)
    if read is None:  # urllib3 before 2 waits until a piece is full
        yield from reply.iter_content(_CHUNK)
        return
    while piece := read(_CHUNK, decode_content=True):
        yield piece


def _collect(chunks: Iterable[bytes], request: HttpRequest, give_up: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > LARGEST_REPLY:
            raise _too_large(request)
        if time.monotonic() > give_up:
            raise TransportError(f"the reply was not complete in time: {where(request)}. {CHECK}")
    return b"".join(parts)


def _requests_verdict(error: Exception) -> tuple[bool, bool]:
    """Whether the request may have left, and whether trying again can't help."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.SSLError):
        # Of the handshake or of a later record: only a bad certificate is certainly of the first.
        refused = "CERTIFICATE_VERIFY" in str(error).upper()
        return not refused, refused
    if isinstance(
        error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError | UnicodeError
    ):
        return False, True
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return False, False
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(cause, urllib3.exceptions.NewConnectionError), False


# --- asyncio ------------------------------------------------------------------------------------------------------


def _open_async_session() -> aiohttp.ClientSession:
    import aiohttp

    opened = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        max_field_size=_LONGEST_HEADER,
        max_line_size=_LONGEST_HEADER,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    # aiohttp sends a GET or DELETE again by itself where a kept connection breaks. Whether that is safe is for the
    # flow to say: some GETs start work.
    opened._retry_connection = False
    return opened


async def _asend(session: aiohttp.ClientSession, request: HttpRequest) -> Response:
    import aiohttp
    import yarl

    wiring = request.wiring
    timeout = aiohttp.ClientTimeout(
        total=wiring.connect_timeout + _TRICKLE * wiring.read_timeout,
        sock_connect=wiring.connect_timeout,
        sock_read=wiring.read_timeout,
    )
    proxy, context = usable_proxy(request), ssl_context(authorities(wiring, where(request)))
    try:
        async with session.request(
            request.method,
            yarl.URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            timeout=timeout,
            ssl=context,
            proxy=proxy,
        ) as reply:
            parts: list[bytes] = []
            size = 0
            async for chunk in reply.content.iter_chunked(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > LARGEST_REPLY:
                    raise _too_large(request)
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return _complete(request, Response(reply.status, headers, b"".join(parts)))
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
        sent, lasting = _aiohttp_verdict(error)
        raise lost(request, error, sent=sent, lasting=lasting) from None


def _aiohttp_verdict(error: Exception) -> tuple[bool, bool]:
    """Whether the request may have left, and whether trying again can't help."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False, True
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return False, True
    unconnected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
    )
    return not isinstance(error, unconnected), False


# --- both ---------------------------------------------------------------------------------------------------------


def _complete(request: HttpRequest, response: Response) -> Response:
    """The response, if all of it came."""
    announced = response.headers.get("content-length", "")
    whole = "content-encoding" in response.headers or request.method == "HEAD" or not announced.isdecimal()
    if not whole and len(response.body) != int(announced):
        raise UnreadableReply(f"the reply is cut short: {where(request)}. {CHECK}")
    return response


def _too_large(request: HttpRequest) -> TransportError:
    return UnreadableReply(
        f"the reply is larger than {LARGEST_REPLY // 2**20} MiB: {where(request)}. {CHECK}"
    )
