"""Sending one request with aiohttp, under asyncio. The library is not imported before the first one."""

from __future__ import annotations

import asyncio
import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.deadlines import Deadline, Deadlines
from airflow_provider_cloudsync.reaching import authorities, is_near, ssl_context, usable_proxy
from airflow_provider_cloudsync.receiving import CHUNK, TRICKLE, bound, complete, without_reply

if TYPE_CHECKING:
    import aiohttp

#: A token comes in a header of up to 32 KiB, more than the library takes by itself.
_LONGEST_HEADER = 64 * 1024
_CONNECTIONS = 32
_ready = False


async def make_ready() -> None:
    """Import the library, which takes longer than an event loop may stand still; so in a thread."""
    global _ready
    if not _ready:
        # All who come meanwhile wait in threads, too: it is in sys.modules long before it can be used.
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        _ready = True


class Session:
    """What all flows of an event loop send with.

    The library's own limit of connections is off, and so are its timers but for the one of a new connection: they cost
    a fifth of a call, and that what waits for a free connection has not been sent only we can tell.
    """

    def __init__(self) -> None:
        import aiohttp
        import yarl

        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            max_field_size=_LONGEST_HEADER,
            max_line_size=_LONGEST_HEADER,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        # aiohttp sends a GET or DELETE again by itself where a kept connection breaks. Whether that is safe is for the
        # flow to say: some GETs start work.
        self.http._retry_connection = False
        self.deadlines = Deadlines()
        self.url: Any = yarl.URL
        self._hosts: dict[str, _Host] = {}

    def host(self, url: str) -> _Host:
        """The one that a URL leads to."""
        origin = url[: url.find("/", 8)]
        found = self._hosts.get(origin)
        if found is None:
            found = self._hosts[origin] = _Host(origin)
        return found

    async def close(self) -> None:
        """Close its connections."""
        self.deadlines.close()
        await self.http.close()


class _Host:
    """Where requests go: one that hangs is not to take the connections of the others.

    :ivar is_near: whether it is this machine, asked without TLS: there is no proxy to look for.
    """

    __slots__ = ("connections", "is_near")

    def __init__(self, origin: str) -> None:
        self.connections = asyncio.Semaphore(_CONNECTIONS)
        self.is_near = origin.startswith("http:") and is_near(origin)


def open_session() -> Session:
    """A session for all flows of the running event loop."""
    return Session()


async def asend(session: Session, request: HttpRequest) -> Response:
    """Send it, and take in the whole reply.

    :raises TransportError: if there is no usable one.
    """
    wiring = request.wiring
    host = session.host(request.url)
    proxy: str | None = None
    context: Any = True
    if not host.is_near:
        proxy = usable_proxy(request)
        if proxy is not None or not request.url.startswith("http:"):
            context = ssl_context(authorities(wiring, request))
    sent = False
    connections = host.connections
    in_all = wiring.connect_timeout + TRICKLE * wiring.read_timeout
    first = wiring.connect_timeout + wiring.read_timeout
    try:
        with session.deadlines.within(in_all, first) as deadline:
            if connections.locked():
                await connections.acquire()
                # It is not to be sent with no time left for its reply.
                deadline.begin_anew(in_all, first)
            else:
                await connections.acquire()  # without a turn of the loop
            try:
                sent = True
                reply = await session.http.request(
                    request.method,
                    session.url(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=_timeout(wiring.connect_timeout),
                    ssl=context,
                    proxy=proxy,
                )
                try:
                    content = reply.content
                    if content.is_eof() and content.exception() is None:
                        body = content.read_nowait()  # as with nearly all: it came with the headers
                        bound(len(body), request)
                    else:
                        body = await _body(reply, request, deadline)
                except BaseException:
                    reply.close()
                    raise
            finally:
                connections.release()
        return complete(request, Response(reply.status, reply.headers, body))
    except Exception as error:
        verdict = _verdict(error, sent=sent)
        if verdict is None:
            raise
        raise without_reply(request, error, sent=verdict[0], lasting=verdict[1]) from None


@lru_cache(maxsize=64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    import aiohttp

    # It counts from the look-up of the host's name to the end of TLS, and not where a connection stands already.
    return aiohttp.ClientTimeout(total=None, connect=connect)


async def _body(reply: aiohttp.ClientResponse, request: HttpRequest, deadline: Deadline) -> bytes:
    content = reply.content
    announced = reply.headers.get("content-length", "")
    if announced.isdecimal() and "content-encoding" not in reply.headers:
        bound(int(announced), request)
    parts: list[bytes] = []
    size = 0
    patience = request.wiring.read_timeout
    while True:
        deadline.move(patience)
        chunk = await content.read(CHUNK)
        if not chunk and content.at_eof():
            return b"".join(parts)
        parts.append(chunk)
        size += len(chunk)
        bound(size, request)


def _verdict(error: Exception, *, sent: bool) -> tuple[bool, bool] | None:
    """Whether the request may have left, and whether trying again can't help; None: it is no error of the way there.

    :param sent: whether it had a connection, or was about to have one.
    """
    import aiohttp

    if not isinstance(error, aiohttp.ClientError | TimeoutError | OSError | UnicodeError):
        return None
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False, True
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return False, True
    unconnected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
    )
    return sent and not isinstance(error, unconnected), False
