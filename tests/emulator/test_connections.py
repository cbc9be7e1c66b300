"""Clients that are slow, send too much, or are too many. Each limit is made small, so that no test waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import zlib

import pytest

from airflow_provider_cloudsync.emulator import Emulator, connections, embedded

REQUEST = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def emulator():
    with Emulator(stepped=True) as running:
        yield running


@pytest.fixture
def impatient(monkeypatch):
    """An emulator that closes idle connections at once."""
    monkeypatch.setattr(embedded, "IDLE_TIMEOUT", 0.05)
    with Emulator(stepped=True) as running:
        yield running


@pytest.fixture
def connect(request):
    """Makes raw connections to the emulator that the test asks for."""
    name = "impatient" if "impatient" in request.fixturenames else "emulator"
    emulator = request.getfixturevalue(name)
    with contextlib.ExitStack() as opened:
        host, _, port = emulator.url.removeprefix("http://").partition(":")
        yield lambda: opened.enter_context(socket.create_connection((host, int(port)), timeout=10))


def rest(raw):
    """All that comes until the other side ends the connection; that it does is what most tests are about."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := raw.recv(65536):
            received += chunk
    return received


def send(raw, data):
    with contextlib.suppress(ConnectionError):
        raw.sendall(data)


@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        pytest.param("HEAD_TIMEOUT", b"", id="nothing"),
        pytest.param("HEAD_TIMEOUT", b"G", id="a-byte"),
        pytest.param("HEAD_TIMEOUT", REQUEST[:-2], id="half-a-head"),
        pytest.param("HEAD_TIMEOUT", REQUEST + REQUEST[:-2], id="half-a-second-head"),
        pytest.param("BODY_TIMEOUT", b"\r\n\r\n", id="blank-lines"),
        pytest.param(
            "BODY_TIMEOUT",
            b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
            id="half-a-body",
        ),
        pytest.param(
            "BODY_TIMEOUT",
            b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
            id="chunks-without-end",
        ),
    ],
)
def test_slow_clients(impatient, connect, monkeypatch, limit, sent):
    monkeypatch.setattr(connections, limit, 0.05)
    raw = connect()
    raw.sendall(sent)
    assert b" 200 " not in rest(raw)


def test_a_client_that_trickles_its_head(connect, monkeypatch):
    """The clock is not set back by each byte."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", 0.1)
    raw = connect()
    raw.sendall(b"GET /nowhere HTTP/1.1\r\n")
    raw.settimeout(0.01)
    for _ in range(1000):
        try:
            raw.sendall(b"X-A: b\r\n")
            if not raw.recv(1):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("it went on for ten seconds")


def test_a_client_that_does_not_read(emulator, connect, monkeypatch):
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.05)
    emulator.faults([{"huge": 10**12}])
    raw = connect()
    raw.sendall(REQUEST)
    end = time.monotonic() + 10
    while not emulator.requests() or (asyncio.all_tasks(emulator._loop) and time.monotonic() < end):
        time.sleep(0.005)
    assert not asyncio.all_tasks(emulator._loop), "it still writes"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(REQUEST[:-2] + b"X-A: " + b"a" * 40_000, id="a-long-header"),
        pytest.param(REQUEST[:-2] + b"X-A: aaaa\r\n" * 20_000, id="many-headers"),
        pytest.param(b"GET /" + b"a" * 40_000, id="a-long-target"),
        pytest.param(b"a" * 300_000, id="no-head-at-all"),
    ],
)
def test_heads_without_end(emulator, connect, data):
    raw = connect()
    send(raw, data)
    assert b" 200 " not in rest(raw)
    assert emulator.requests() == []


def test_a_body_that_is_too_large(emulator, connect):
    raw = connect()
    raw.sendall(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13000000\r\n\r\n")
    send(raw, b" " * 13_000_000)
    assert b" 413 " in rest(raw)[:20]


def test_a_large_body_is_no_pipelining(emulator, connect):
    raw = connect()
    size = 8_000_000
    raw.sendall(
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
        + b" " * size
    )
    assert b" 404 " in rest(raw)[:20]


def test_requests_sent_ahead_are_answered_in_order(connect):
    raw = connect()
    last = REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    raw.sendall(REQUEST * 9 + last)
    assert rest(raw).count(b"HTTP/1.1 404") == 10


class Wire(asyncio.Transport):
    """A transport that only knows whether it was aborted."""

    aborted = False

    def abort(self):
        self.aborted = True


@pytest.mark.parametrize(
    ("ahead", "aborted"),
    [(connections.MAX_AHEAD, False), (connections.MAX_AHEAD + 1, True)],
)
@pytest.mark.parametrize("piece", [1000, 10**6])
def test_but_not_without_limit(ahead, aborted, piece):
    """Some versions of the HTTP library keep all that comes; others stop reading by themselves."""
    passed = []

    class Http(asyncio.Protocol):
        def data_received(self, data):
            passed.append(data)

    async def main():
        wire, connection = Wire(), connections.Connection(Http(), set())
        connection.connection_made(wire)
        connection.data_received(REQUEST)
        connection.head_complete()
        connection.body_complete()
        for start in range(0, ahead, piece):
            connection.data_received(b"x" * min(piece, ahead - start))
        connection.connection_lost(None)
        return wire.aborted

    assert asyncio.run(main()) is aborted
    assert sum(map(len, passed)) - len(REQUEST) <= connections.MAX_AHEAD


def test_too_many(emulator, connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    first, second, third = connect(), connect(), connect()
    assert rest(third) == b""
    for raw in (first, second):
        raw.sendall(REQUEST)
        assert raw.recv(12) == b"HTTP/1.1 404"
    first.close()
    second.close()
    answer = b""
    while not answer:  # until the emulator has seen that they are closed
        raw = connect()
        send(raw, REQUEST)
        with contextlib.suppress(ConnectionError):
            answer = raw.recv(12)
    assert answer == b"HTTP/1.1 404"


def test_compressed_bodies_stay_as_they_are(emulator, connect):
    """They would be a thousand times as large."""
    packed = zlib.compress(b" " * 1_000_000)
    raw = connect()
    raw.sendall(
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Encoding: deflate\r\n"
        b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    )
    assert b" 404 " in rest(raw)[:20]
    assert len(emulator.requests()[0]["body"]) <= len(packed)
