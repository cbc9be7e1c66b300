"""Connections of requests that read replies through `ReplyParser`. Imported with the first request."""

from __future__ import annotations

import contextlib
import http.client
import io
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from airflow_provider_cloudsync.transport.network import proxy_authorization
from airflow_provider_cloudsync.transport.reply_parser import MalformedReply, ReplyParser
from airflow_provider_cloudsync.transport.responses import CHUNK


@dataclass(slots=True)
class Exchange:
    """One request and its reply.

    :param give_up: when the reply must be complete, by the monotonic clock; infinite: no limit.
    :ivar parser: of the last reply, which may be a proxy's; None until a reply is waited for.
    :ivar reused: whether the connection has served another request.
    :ivar sent: whether the request may have left: the connection stands, with its tunnel and TLS.
    """

    give_up: float = math.inf
    parser: ReplyParser | None = None
    reused: bool = False
    sent: bool = False

    def limit(self, timeout: float | None) -> float:
        """Return a timeout that ends by then.

        :raises TimeoutError: if the time has passed.
        """
        left = self.give_up - time.monotonic()
        if left <= 0:
            raise TimeoutError("the reply was not complete in time")
        return left if timeout is None else min(timeout, left)


class _Current(threading.local):
    exchange: Exchange


#: The exchange of each thread. The libraries offer no other way to hand something to a connection.
current = _Current()


@contextlib.contextmanager
def exchanging(exchange: Exchange) -> Iterator[None]:
    """Let the connections of this thread use an exchange."""
    before = getattr(current, "exchange", None)
    current.exchange = exchange
    try:
        yield
    finally:
        if before is None:
            del current.exchange
        else:
            current.exchange = before


class _Reader(io.RawIOBase):
    """Reader that hands a library the parsed reply, read from a socket's file until the reply is complete."""

    def __init__(self, file: Any, sock: socket.socket, exchange: Exchange, parser: ReplyParser) -> None:
        self._file, self._socket, self._parser = file, sock, parser
        self._exchange = exchange
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if self._parser.finished:
                return 0
            _limit(self._socket, self._exchange)
            data = self._file.read1(CHUNK)
            if not data:
                return 0
            try:
                self._ready = memoryview(self._parser.feed(data))
            except MalformedReply as refused:
                raise http.client.HTTPException(str(refused)) from None  # one that the libraries expect
            if self._parser.surplus or (self._parser.finished and self._has_unread()):
                # The rest may still be on its way; so nobody is to use the connection again.
                with contextlib.suppress(OSError):
                    # urllib3's TLS within TLS has no shutdown of its own.
                    getattr(self._socket, "socket", self._socket).shutdown(socket.SHUT_RDWR)
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken

    def _has_unread(self) -> bool:
        """Return whether TLS within TLS holds bytes that the pool of connections does not see."""
        incoming = getattr(self._socket, "incoming", None)
        return incoming is not None and incoming.pending > 0

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _limit(sock: socket.socket, exchange: Exchange) -> None:
    """Let the next step on a socket take no longer than what is left."""
    timeout = sock.gettimeout()
    limited = exchange.limit(timeout)
    if limited != timeout:
        sock.settimeout(limited)


class _Response(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: Any = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        exchange = current.exchange
        # A connection that is opened again calls this with the method of its last request.
        exchange.parser = ReplyParser(method if exchange.sent and method else "CONNECT")
        self.fp = io.BufferedReader(_Reader(self.fp, sock, exchange, exchange.parser), CHUNK)


class _Connection(HTTPConnection):
    """Knows whether it has served a request."""

    response_class = _Response
    _served = False

    def connect(self) -> None:
        self._served = False
        super().connect()

    def _new_conn(self) -> Any:
        self.timeout = current.exchange.limit(self.timeout)
        sock = super()._new_conn()
        # A TLS handshake or a tunnel has what is left after each step before it.
        _limit(sock, current.exchange)
        return sock

    def _tunnel(self) -> None:
        super()._tunnel()
        assert self.sock is not None
        _limit(self.sock, current.exchange)

    def close(self) -> None:
        self._served = False
        super().close()

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # here, so that a failure to connect does not count as sent
        current.exchange.reused = self._served
        current.exchange.sent = True
        super().request(*args, **kwargs)

    def getresponse(self, *args: Any, **kwargs: Any) -> Any:
        response = super().getresponse(*args, **kwargs)
        self._served = True
        return response


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class Adapter(HTTPAdapter):
    """Adapter whose connections read replies through `ReplyParser`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if isinstance(manager, ProxyManager):  # a SOCKS proxy, which a user may name, has pools of its own
            _use_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Check the certificate of each TLS connection. For ``http://`` URLs, requests would not check a proxy's."""
        super().cert_verify(conn, f"{conn.scheme}://", verify, cert)  # type: ignore[no-untyped-call]

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the headers for a proxy, as under asyncio."""
        return proxy_authorization(proxy)


class FullAdapter(Adapter):
    """Adapter whose replies have the headers of the service, for callers who read them from the library."""

    def build_response(self, req: Any, resp: Any) -> Any:
        """Make the reply for the caller; the library has read the framing of the body only."""
        parser = current.exchange.parser
        if parser is not None and parser.head is not None:
            resp.headers.update(parser.head.joined_headers())
            resp.reason = http.client.responses.get(parser.head.status, "")
        return super().build_response(req, resp)


def _use_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
