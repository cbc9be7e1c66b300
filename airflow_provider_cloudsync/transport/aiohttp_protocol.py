"""Connections of aiohttp that read replies through `ReplyParser`, and its resending switched off.

Imported with the first request. Only public names of aiohttp are used. aiohttp sends a GET or DELETE again by itself
where a kept connection breaks, and some of these start work; so a version that cannot be kept from it is refused.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import ClientRequest, ClientResponse

from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport.reply_parser import MalformedReply, ReplyParser


class Disconnected(Exception):
    """The connection broke after it had been established. aiohttp does not send the request again for this error."""


_BROKEN = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)


class ReplyFilter(asyncio.Protocol):
    """Protocol between a connection and the library's own one."""

    def __init__(self, inner: Any, transport: asyncio.Transport) -> None:
        self._inner, self._transport = inner, transport
        self.parser: ReplyParser | None = None

    def data_received(self, data: bytes) -> None:
        """Hand on what the library is to read."""
        parser = self.parser
        if parser is None:
            return
        try:
            clean = parser.feed(data)
        except MalformedReply:
            self.parser = None
            self._transport.abort()
            return
        if clean:
            self._inner.data_received(clean)
        if parser.surplus:
            self._transport.abort()

    def eof_received(self) -> bool | None:
        """Hand on the end of what the server sends."""
        found: bool | None = self._inner.eof_received()
        return found

    def connection_lost(self, error: Exception | None) -> None:
        """Hand on the end of the connection."""
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Hand on that the buffer is full."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that the buffer is not full any more."""
        self._inner.resume_writing()


class Exchange:
    """One request and its reply, as a middleware of aiohttp.

    :ivar parser: of the reply; None until there is a connection.
    :ivar reused: whether the connection has served another request.
    """

    __slots__ = ("parser", "reused")

    def __init__(self) -> None:
        self.parser: ReplyParser | None = None
        self.reused = False

    async def __call__(
        self, request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
    ) -> ClientResponse:
        """Send the request; see `aiohttp.ClientHandlerType`."""
        request.exchange = self  # type: ignore[attr-defined]
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except _BROKEN as error:
            raise Disconnected from error

    def attach(self, method: str, connection: Any) -> None:
        """Read the reply to the next request of a connection."""
        if self.parser is not None:
            raise _unsupported(sent=True)
        transport = connection.transport
        if transport is None:
            return  # it has just been closed; the library finds out itself
        found = transport.get_protocol()
        self.reused = isinstance(found, ReplyFilter)
        if not isinstance(found, ReplyFilter):
            found = ReplyFilter(found, transport)
            transport.set_protocol(found)
        self.parser = found.parser = ReplyParser(method)

    @property
    def was_closed_meanwhile(self) -> bool:
        """Return whether a reused connection was closed by the server before any byte of a reply arrived."""
        return self.reused and self.parser is not None and not self.parser.received


class _Request(ClientRequest):
    async def send(self, conn: Any) -> ClientResponse:
        exchange: Exchange | None = getattr(self, "exchange", None)
        if exchange is None:
            raise _unsupported()
        exchange.attach(self.method, conn)
        return await super().send(conn)


def open_http(*, keep_connections: bool = True) -> aiohttp.ClientSession:
    """A session without limits of its own. Each request has to have an `Exchange` as its only middleware.

    :raises TransportError: if this version of aiohttp cannot be kept from sending requests again.
    """
    try:
        if inspect.iscoroutinefunction(getattr(ClientRequest, "send", None)):
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=not keep_connections),
                request_class=_Request,
                middlewares=(_refuse_without_exchange,),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
    except TypeError:
        pass
    raise _unsupported()


def _unsupported(*, sent: bool = False) -> TransportError:
    return TransportError(
        f"aiohttp {aiohttp.__version__} is not supported, since it may send a request twice: install a version from "
        "3.14 on, below 4.",
        sent=sent,
        permanent=True,
    )


async def _refuse_without_exchange(request: ClientRequest, handler: Any) -> ClientResponse:
    raise _unsupported()
