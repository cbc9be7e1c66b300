"""Limits of a client connection: how slow a client may be, how much it may send, and how many there may be."""

from __future__ import annotations

import asyncio
from enum import Enum

from aiohttp import web

#: Seconds until the head of a request is complete, from the connection or from the first byte of the head.
HEAD_TIMEOUT = 10.0
#: Seconds until a body is complete.
BODY_TIMEOUT = 30.0
#: Seconds for which a client may leave a reply unread.
WRITE_TIMEOUT = 60.0
#: Seconds for which an idle connection stays open.
IDLE_TIMEOUT = 120.0
#: Bytes of one head. The HTTP library limits each line, but in some versions not their number.
MAX_HEAD = 128 * 1024
#: Bytes that a client may send ahead of the reply to its last request (pipelining).
MAX_AHEAD = 64 * 1024
#: Connections at the same time.
MAX_CONNECTIONS = 1000
_END_OF_HEAD = b"\r\n\r\n"


class _State(Enum):
    HEAD = "waits for a request, or receives its head"
    BODY = "receives the body"
    REPLY = "waits for the reply to be made"


class Connections:
    """Makes the protocol of each connection, as the server of an event loop calls for it.

    :param http: makes the HTTP protocol beneath.
    """

    def __init__(self, http: web.Server) -> None:
        self._http = http
        self._open: set[Connection] = set()

    def __call__(self) -> Connection:
        return Connection(self._http(), self._open)


class Connection(asyncio.Protocol):
    """Passes one client's connection on to the HTTP protocol, and aborts it when it exceeds a limit.

    :param http: the HTTP protocol.
    :param among: all open connections.
    """

    def __init__(self, http: asyncio.Protocol, among: set[Connection]) -> None:
        self._http = http
        self._among = among
        self._transport: asyncio.Transport | None = None
        self._state = _State.HEAD
        #: Bytes received in this state.
        self._received = 0
        #: The last bytes received, in which the end of the head may begin.
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, request: web.BaseRequest) -> Connection | None:
        """Return the connection that a request came in on; None if it is closed."""
        protocol = request.transport.get_protocol() if request.transport is not None else None
        return protocol if isinstance(protocol, cls) else None

    def head_complete(self) -> None:
        """Expect the body. Requests that were sent ahead have their heads here already."""
        if self._state is not _State.BODY:
            self._enter(_State.BODY, BODY_TIMEOUT)

    def body_complete(self) -> None:
        """Count what comes in from now on as sent ahead."""
        self._enter(_State.REPLY, None)

    def answered(self) -> None:
        """Wait for the next request; the HTTP protocol limits for how long."""
        self._enter(_State.HEAD, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many."""
        assert isinstance(transport, asyncio.Transport)
        if len(self._among) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._transport = transport
        self._among.add(self)
        self._enter(_State.HEAD, HEAD_TIMEOUT)
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count and pass on."""
        if self._transport is None:
            return
        self._received += len(data)
        if self._state is _State.HEAD:
            seen = self._tail + data
            if _END_OF_HEAD in seen:
                self._enter(_State.BODY, BODY_TIMEOUT)
            elif self._received > MAX_HEAD:
                self._abort()
                return
            else:
                self._tail = seen[1 - len(_END_OF_HEAD) :]
                if self._timer is None:
                    self._start_timer(HEAD_TIMEOUT)
        elif self._state is _State.REPLY and self._received > MAX_AHEAD:
            self._abort()
            return
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return None if self._transport is None else self._http.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._stop_timer()
        self._stop_write_timer()
        if self._transport is not None:
            self._transport = None
            self._among.discard(self)
            self._http.connection_lost(error)

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        self._stop_write_timer()
        self._write_timer = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self._abort)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_write_timer()
        self._http.resume_writing()

    def _enter(self, state: _State, timeout: float | None) -> None:
        self._state, self._received, self._tail = state, 0, b""
        self._stop_timer()
        if timeout is not None:
            self._start_timer(timeout)

    def _start_timer(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
