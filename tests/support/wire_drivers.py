"""Both drivers against servers that follow a script: helpers of the tests of the wire."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, HttpSettings, Response
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport import blocking, drivers
from tests.support.raw_server import Peer, Script, Server

metrics.are_on()  # loads Airflow, which can take longer than a server of these tests waits for the next request

# --- a server that does as a script says ---------------------------------------------------------------------------


def raw_reply(body: bytes = b"{}", status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answers(*replies: bytes, close: bool = False) -> Script:
    """Answer one request after the other; then close, or go on with the last reply."""

    def script(peer: Peer) -> None:
        for reply in replies:
            if peer.read() is None:
                return
            peer.send(reply)
        while not close and peer.read() is not None:
            peer.send(replies[-1])

    return script


def silent(peer: Peer) -> None:
    """Take the request, and say nothing."""
    peer.read()
    peer.until_the_client_closes()


Start = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Start]:
    servers: list[Server] = []

    def start(*scripts: Script, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(scripts or (answers(raw_reply()),), tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# --- the drivers ---------------------------------------------------------------------------------------------------

Drive = Callable[[Flow[Any]], Any]


@pytest.fixture(autouse=True)
def _no_kept_session() -> Iterator[None]:
    yield
    kept = getattr(blocking._threads, "session", None)
    if kept is not None:
        kept.close()
        del blocking._threads.session, blocking._threads.pid


@pytest.fixture(params=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Drive:
    """Runs a flow to its end with one of the drivers."""
    if request.param == "blocking":
        return drivers.run
    return lambda flow: asyncio.run(drivers.arun(flow))


QUICK = HttpSettings(connect_timeout=5.0, read_timeout=5.0)
HASTY = HttpSettings(connect_timeout=0.2, read_timeout=0.2)


def http(
    url: str, method: str = "GET", body: bytes = b"", http_settings: HttpSettings = QUICK, **headers: str
) -> HttpRequest:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(method, url, given, body, http_settings)


def one(request: HttpRequest) -> Flow[Response]:
    return (yield request)


def several(*requests: HttpRequest) -> Flow[list[Response]]:
    replies = []
    for request in requests:
        replies.append((yield request))
    return replies


def outcome(drive: Drive, request: HttpRequest) -> tuple[Any, ...]:
    """What became of it; anything but a reply or a TransportError fails the test."""
    try:
        reply = drive(one(request))
    except TransportError as caught:
        error = caught
    else:
        return reply.status, reply.body
    assert f": {request.method} {request.url.partition('?')[0]}" in error.message
    assert "Check the endpoint" in error.message
    sent, permanent = "sent" if error.sent else "not sent", "lasting" if error.permanent else "may pass"
    return type(error).__name__, sent, permanent


LOST = ("TransportError", "sent", "may pass")
UNREADABLE = ("UnreadableReply", "sent", "may pass")
NEVER_LEFT = ("TransportError", "not sent", "may pass")
NEVER_WILL = ("TransportError", "not sent", "lasting")
