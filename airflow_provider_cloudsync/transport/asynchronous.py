"""Sending one request with aiohttp, under asyncio. The library is not imported before the first one."""

from __future__ import annotations

import asyncio
import importlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport.network import (
    authorities,
    is_near,
    is_rejected_certificate,
    proxy_authorization,
    proxy_refusal,
    ssl_context,
    usable_proxy,
)
from airflow_provider_cloudsync.transport.responses import (
    CHUNK,
    LARGE,
    TRICKLE,
    Body,
    complete,
    sent_again,
    without_reply,
)
from airflow_provider_cloudsync.transport.timeouts import Deadline, Deadlines

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider_cloudsync.transport.aiohttp_protocol import Exchange

_CONNECTIONS = 32
#: Bodies of more than `LARGE` bytes that one host may have in memory at once, read but not parsed. A body has at most
#: `max_reply` bytes (8 MiB), so hosts hold 8 MiB each; parsing takes up to 60 MiB more, for one body of all hosts. A
#: process with ten endpoints stays below 140 MiB.
_LARGE_BODIES = 1
_ready = False


async def make_ready() -> None:
    """Import the library, which takes longer than an event loop may stand still; so in a thread."""
    global _ready
    if not _ready:
        # All who come meanwhile wait in threads, too: it is in sys.modules long before it can be used.
        await asyncio.to_thread(
            importlib.import_module, "airflow_provider_cloudsync.transport.aiohttp_protocol"
        )
        _ready = True


class Session:
    """HTTP session shared by all flows of an event loop.

    The library's own limit of connections is off, and so are its timers but for the one of a new connection: they cost
    a fifth of a call, and that what waits for a free connection has not been sent only we can tell.

    :ivar parsing: held while a body is decoded and parsed that is not small.
    """

    def __init__(self) -> None:
        import yarl

        from airflow_provider_cloudsync.transport.aiohttp_protocol import Exchange, open_http

        self.http = open_http()
        self.exchange = Exchange
        self.deadlines = Deadlines()
        self.parsing = asyncio.Semaphore(1)
        self.url: Any = yarl.URL
        self._hosts: dict[str, _Host] = {}
        self._unkept: aiohttp.ClientSession | None = None

    def unkept(self) -> aiohttp.ClientSession:
        """A session that opens a connection for each request."""
        from airflow_provider_cloudsync.transport.aiohttp_protocol import open_http

        if self._unkept is None:
            self._unkept = open_http(keep_connections=False)
        return self._unkept

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
        if self._unkept is not None:
            await self._unkept.close()


class _Host:
    """Limits of one host. A host that hangs must not use up those of the others.

    :ivar large_bodies: held while a large body is in memory and not parsed yet.
    :ivar is_near: whether it is this machine, asked without TLS: there is no proxy to look for.
    """

    __slots__ = ("connections", "is_near", "large_bodies")

    def __init__(self, origin: str) -> None:
        self.large_bodies = asyncio.Semaphore(_LARGE_BODIES)
        self.connections = asyncio.Semaphore(_CONNECTIONS)
        self.is_near = origin.startswith("http:") and is_near(origin)


def open_session() -> Session:
    """A session for all flows of the running event loop."""
    return Session()


async def asend(session: Session, request: HttpRequest) -> Response:
    """Send it, and take in the whole reply.

    :raises TransportError: if there is no usable one.
    """
    http_settings = request.http_settings
    host = session.host(request.url)
    route = None if host.is_near else _Route(request)
    exchange: Exchange | None = None
    connections = host.connections
    in_all = http_settings.connect_timeout + TRICKLE * http_settings.read_timeout
    first = http_settings.connect_timeout + http_settings.read_timeout
    slot = _Slot(host.large_bodies)
    try:
        with session.deadlines.within(in_all, first) as deadline:
            if connections.locked():
                await connections.acquire()
                # It is not to be sent with no time left for its reply.
                deadline.restart(in_all, first)
            else:
                await connections.acquire()  # without a turn of the loop
            try:
                exchange = session.exchange()
                try:
                    # On an idle connection that the server closes just then, the reply to a start would be lost.
                    http = session.http if request.method in ("GET", "HEAD") else session.unkept()
                    reply = await _request(http, session, request, exchange, route)
                except Exception as error:
                    if not (request.repeatable and _is_disconnected(error) and exchange.was_closed_meanwhile):
                        raise
                    sent_again(request)
                    exchange = session.exchange()
                    reply = await _request(session.unkept(), session, request, exchange, route)
                assert exchange.parser is not None
                try:
                    body = Body(request, exchange.parser)
                    content = reply.content
                    if content.is_eof() and content.exception() is None:
                        body.add(content.read_nowait())  # as with nearly all: it came with the headers
                    else:
                        await _read(content, body, deadline, slot, http_settings.read_timeout, in_all)
                except BaseException:
                    reply.close()
                    raise
                if body.truncated:
                    reply.close()
            finally:
                connections.release()
        if not body.is_slow:
            return complete(request, body.response())
        async with session.parsing:
            if body.is_slowest:
                return complete(request, await asyncio.to_thread(body.response))
            await asyncio.sleep(0)
            return complete(request, body.response())
    except Exception as error:
        failed = _without_reply(request, exchange, error, proxied=route is not None and route.proxied)
        if failed is None:
            raise
        raise failed from None
    finally:
        slot.free()


class _Route:
    """Proxy and TLS of a request. Has no repr, so that no traceback shows the login of the proxy."""

    __slots__ = ("_login", "_proxy", "_tls")
    _login: dict[str, str]
    _proxy: str | None
    _tls: Any

    def __init__(self, request: HttpRequest) -> None:
        proxy = usable_proxy(request)
        self._proxy, self._login, self._tls = proxy, {}, None
        if proxy is not None or not request.url.startswith("http:"):
            self._tls = ssl_context(authorities(request.http_settings, request))
        if proxy is not None:
            self._login = proxy_authorization(proxy)
            scheme, _, place = proxy.partition("://")
            self._proxy = f"{scheme}://{place.rpartition('@')[2]}"

    @property
    def proxied(self) -> bool:
        """Return whether the request goes through a proxy."""
        return self._proxy is not None

    def settings(self, request: HttpRequest) -> dict[str, Any]:
        """Return the library's arguments for this route."""
        if self._proxy is None:
            return {"headers": request.headers, "ssl": True if self._tls is None else self._tls}
        if request.url.startswith("http:"):
            return {"headers": {**request.headers, **self._login}, "ssl": self._tls, "proxy": self._proxy}
        return {
            "headers": request.headers,
            "ssl": self._tls,
            "proxy": self._proxy,
            "proxy_headers": self._login,
        }


async def _request(
    http: aiohttp.ClientSession,
    session: Session,
    request: HttpRequest,
    exchange: Exchange,
    route: _Route | None,
) -> aiohttp.ClientResponse:
    return await http.request(
        request.method,
        session.url(request.url, encoded=True),
        data=request.body or None,
        allow_redirects=False,
        timeout=_timeout(request.http_settings.connect_timeout),
        middlewares=(exchange,),
        **({"headers": request.headers} if route is None else route.settings(request)),
    )


@lru_cache(maxsize=64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    import aiohttp

    # It counts from the look-up of the host's name to the end of TLS, and not where a connection stands already.
    return aiohttp.ClientTimeout(total=None, connect=connect)


class _Slot:
    """Permission to have a large body in memory."""

    __slots__ = ("_limit", "is_taken")

    def __init__(self, limit: asyncio.Semaphore) -> None:
        self._limit, self.is_taken = limit, False

    async def take(self) -> None:
        await self._limit.acquire()
        self.is_taken = True

    def free(self) -> None:
        if self.is_taken:
            self.is_taken = False
            self._limit.release()


async def _read(
    content: aiohttp.StreamReader,
    body: Body,
    deadline: Deadline,
    slot: _Slot,
    idle_timeout: float,
    in_all: float,
) -> None:
    while not body.truncated:
        deadline.move(idle_timeout)
        chunk = await content.read(CHUNK)
        if not chunk and content.at_eof():
            return
        body.add(chunk)
        if body.size > LARGE and not slot.is_taken:
            # What is not read stays with the server meanwhile. That is not the server's time.
            deadline.restart(in_all, in_all)
            await slot.take()
            # Others wait for the slot, so the rest must not trickle in.
            deadline.restart(idle_timeout, idle_timeout)


def _is_disconnected(error: Exception) -> bool:
    from airflow_provider_cloudsync.transport.aiohttp_protocol import Disconnected

    return isinstance(error, Disconnected)


def _without_reply(
    request: HttpRequest, exchange: Exchange | None, error: Exception, *, proxied: bool
) -> TransportError | None:
    """The error for a request that got no usable reply; None: it is no error of the way there.

    :param exchange: None: the request did not get a connection.
    """
    import aiohttp

    if _is_disconnected(error) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        reason, permanent = proxy_refusal(error.status)
        return without_reply(request, error, sent=False, permanent=permanent, reason=reason)
    if not isinstance(error, aiohttp.ClientError | TimeoutError | OSError | UnicodeError):
        return None
    parser = exchange.parser if exchange is not None else None
    if parser is not None:
        return without_reply(request, error, sent=True, permanent=False, reason=parser.error)
    reason = ""
    if isinstance(error, aiohttp.ClientResponseError):  # nothing but CONNECT has been sent
        reason = "the reply to CONNECT is malformed"
    permanent = is_rejected_certificate(error) or isinstance(error, aiohttp.InvalidURL | UnicodeError)
    return without_reply(
        request,
        error,
        sent=False,
        permanent=permanent,
        reason=reason,
        proxied=proxied and exchange is not None,
    )
