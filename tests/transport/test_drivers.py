"""The two drivers over real sockets: whatever happens on the wire, both say the same of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import gzip
import inspect
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import (
    AcquireSlot,
    Flow,
    HttpRequest,
    HttpSettings,
    Pause,
    Quota,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, TransportError
from airflow_provider_cloudsync.transport import asynchronous, drivers
from airflow_provider_cloudsync.transport.network import proxy_for
from tests.support.certificates import Certificate, make_certificate
from tests.support.raw_server import Peer, Received, Script
from tests.support.wire_drivers import (
    HASTY,
    LOST,
    NEVER_LEFT,
    NEVER_WILL,
    QUICK,
    UNREADABLE,
    Drive,
    Start,
    answers,
    http,
    one,
    outcome,
    raw_reply,
    several,
    silent,
)

# --- what comes back -----------------------------------------------------------------------------------------------


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + end


def then_close(data: bytes) -> Script:
    return answers(data, close=True)


def reset_at_once(peer: Peer) -> None:
    peer.reset()


def reset_after_the_request(peer: Peer) -> None:
    peer.read()
    peer.reset()


def reset_within_the_reply(peer: Peer) -> None:
    peer.read()
    peer.send(raw_reply(b"{", length=100))
    time.sleep(0.02)  # a reset at once would throw away what was sent
    peer.reset()


def close_at_once(peer: Peer) -> None:
    pass


def close_after_the_request(peer: Peer) -> None:
    peer.read()


def stall_within_the_head(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.until_the_client_closes()


def stall_within_the_body(peer: Peer) -> None:
    peer.read()
    peer.send(raw_reply(b"{", length=100))
    peer.until_the_client_closes()


def headers_without_end(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.send(b"X-More: " + b"x" * 4000 + b"\r\n")


PACKED = gzip.compress(b'{"packed": true}')
WIRE = [
    # id, script, outcome
    ("a length", then_close(raw_reply(b'{"a": 1}')), (200, b'{"a": 1}')),
    ("chunks", then_close(chunked(b'{"a"', b": 1}")), (200, b'{"a": 1}')),
    ("up to the end", then_close(b"HTTP/1.1 200 OK\r\n\r\n{}"), (200, b"{}")),
    ("HTTP 1.0", then_close(b"HTTP/1.0 200 OK\r\n\r\n{}"), (200, b"{}")),
    ("empty", then_close(raw_reply(b"")), (200, b"")),
    ("no content", then_close(b"HTTP/1.1 204 No Content\r\n\r\n"), (204, b"")),
    ("accepted", then_close(raw_reply(b"{}", "202 Accepted")), (202, b"{}")),
    ("packed", then_close(raw_reply(PACKED, "200 OK", "Content-Encoding: gzip")), (200, b'{"packed": true}')),
    ("an error of the service", then_close(raw_reply(b"no", "404 Not Found")), (404, b"no")),
    ("an error of a proxy", then_close(raw_reply(b"<html>", "502 Bad Gateway")), (502, b"<html>")),
    ("a status of its own", then_close(raw_reply(b"", "599 Odd")), (599, b"")),
    ("reset at once", reset_at_once, LOST),
    ("reset after the request", reset_after_the_request, LOST),
    ("reset within the reply", reset_within_the_reply, LOST),
    ("closed at once", close_at_once, LOST),
    ("closed after the request", close_after_the_request, LOST),
    ("cut short", then_close(raw_reply(b'{"a"', length=100)), LOST),
    ("cut short within a chunk", then_close(chunked(b"{}", end=b"64\r\n{")), LOST),
    ("cut short between chunks", then_close(chunked(b"{}", end=b"")), LOST),
    (
        "cut short, packed",
        then_close(raw_reply(PACKED[:-9], "200 OK", "Content-Encoding: gzip", length=len(PACKED))),
        LOST,
    ),
    ("not packed at all", then_close(raw_reply(b"{}", "200 OK", "Content-Encoding: gzip")), LOST),
    ("not HTTP", then_close(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), LOST),
    ("a status that is none", then_close(b"HTTP/1.1 abc OK\r\n\r\n"), LOST),
    (
        "chunks that are none",
        then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
        LOST,
    ),
    ("a header too long", then_close(raw_reply(b"{}", "200 OK", "X-Long: " + "x" * 300_000)), LOST),
    ("headers without end", headers_without_end, LOST),
]


@pytest.mark.parametrize(("script", "expected"), [pytest.param(*case[1:], id=case[0]) for case in WIRE])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_comes_over_the_wire(serve, drive, script, expected, method):
    server = serve(script)
    result = outcome(drive, http(f"{server.url}/path?secret=1", method, b"{}" if method == "POST" else b""))
    if expected is LOST:
        # Some of these are lost and others unreadable; what counts is that it may have been carried out. Only where
        # the server never reads may the connection break before the request is out.
        assert result in (LOST, UNREADABLE) or (result == NEVER_LEFT and script is reset_at_once)
    else:
        assert result == expected
    assert len(server.requests) <= 1
    assert server.connections == 1


@pytest.mark.parametrize("script", [silent, stall_within_the_head, stall_within_the_body])
def test_a_stall(serve, drive, script):
    server = serve(script)
    assert outcome(drive, http(server.url, http_settings=HASTY)) == LOST
    assert len(server.requests) == 1
    # The connection is not kept for the next one, who would get this reply.
    assert server.ended[0].wait(5)


@pytest.mark.parametrize("start", [raw_reply(b"", length=400), chunked(end=b"")], ids=["a length", "chunks"])
def test_a_reply_that_trickles_in_is_given_up(serve, drive, start):
    """Each byte comes within the read timeout, and the whole would take many times as long."""
    complete = []

    def trickle(peer: Peer) -> None:
        peer.read()
        peer.send(start)
        for number in range(400):
            if number == 399:
                complete.append(True)
            peer.send(b"x" if b"Length" in start else b"1\r\nx\r\n")
            time.sleep(0.005)

    http_settings = HttpSettings(connect_timeout=0.05, read_timeout=0.05)
    assert outcome(drive, http(serve(trickle).url, http_settings=http_settings)) in (LOST, UNREADABLE)
    assert complete == []


SMALL = {"max_reply": 1000}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(raw_reply(b"x" * 1001), id="a length"),
        pytest.param(chunked(b"x" * 600, b"x" * 401), id="chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, id="up to the end"),
        pytest.param(
            raw_reply(gzip.compress(b"x" * 1_000_000), "200 OK", "Content-Encoding: gzip"), id="packed small"
        ),
    ],
)
def test_a_reply_that_is_too_large(serve, drive, reply):
    assert outcome(drive, replace(http(serve(then_close(reply)).url), **SMALL)) == UNREADABLE


def test_the_largest_reply(serve, drive):
    server = serve(then_close(raw_reply(b"x" * 1000)))
    assert outcome(drive, replace(http(server.url), **SMALL)) == (200, b"x" * 1000)


def flood(start: bytes) -> Script:
    """Send chunks without end."""

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(start)
        while True:
            peer.send(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

    return script


def test_an_endless_reply_is_not_read_to_its_end(serve, drive):
    server = serve(flood(chunked(end=b"")))
    assert outcome(drive, http(server.url)) == UNREADABLE
    assert server.ended[0].wait(5)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503, 302])
def test_of_the_body_of_an_error_only_the_beginning_is_read(serve, drive, status):
    start = chunked(end=b"").replace(b"200 OK", b"%d Some" % status)
    server = serve(flood(start), answers(raw_reply(b"next")))
    reply, after = drive(several(http(server.url), http(server.url)))
    assert (reply.status, len(reply.body), reply.truncated) == (status, 65_536, True)
    assert server.ended[0].wait(5)
    assert (after.body, after.truncated) == (b"next", False)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_is_not_followed(serve, drive, status):
    elsewhere = serve()
    server = serve(then_close(raw_reply(b"", status, f"Location: {elsewhere.url}/other")))
    assert outcome(drive, http(server.url, "POST", b"{}", Authorization="proof"))[0] == int(status[:3])
    assert elsewhere.connections == 0


def test_headers_come_in_lower_case(serve, drive):
    server = serve(then_close(raw_reply(b"{}", "200 OK", "X-Request-Id: A-b", "Retry-AFTER:  5 ")))
    headers = drive(one(http(server.url))).headers
    assert (headers["x-request-id"], headers["retry-after"].strip()) == ("A-b", "5")


@pytest.mark.parametrize("length", [8_000, 8_190, 9_000, 32 * 1024, 60_000])
def test_a_token_comes_in_a_long_header(serve, drive, length):
    """One that lists many permissions has up to 32 KiB."""
    server = serve(answers(raw_reply(b"{}", "201 Created", "X-Subject-Token: " + "M" * length)))
    assert drive(one(http(server.url))).headers["x-subject-token"] == "M" * length
    assert outcome(drive, http(server.url, X_Auth_Token="M" * length)) == (201, b"{}")
    assert server.requests[-1].headers["x-auth-token"] == "M" * length


def test_headers_that_are_no_text_do_no_harm(serve, drive):
    reply = raw_reply(b"{}").replace(b"\r\n\r\n", b"\r\nX-Request-Id: \xff\xfe\r\n\r\n", 1)
    assert outcome(drive, http(serve(then_close(reply)).url)) == (200, b"{}")


# --- what goes out -------------------------------------------------------------------------------------------------


class TestWhatGoesOut:
    def sent(self, serve: Start, drive: Drive, request: HttpRequest) -> Received:
        server = serve()
        request = replace(request, url=server.url + request.url)
        drive(one(request))
        (received,) = server.requests
        return received

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
    @pytest.mark.parametrize("body", [b"", b'{"a": "\xe5\xb7\xa5"}'], ids=["no body", "body"])
    def test_method_and_body(self, serve, drive, method, body):
        received = self.sent(serve, drive, http("/v2/p/x", method, body))
        assert received.line == f"{method} /v2/p/x HTTP/1.1"
        assert received.body == body

    @pytest.mark.parametrize(
        "target",
        [
            "/v2/p/a%20b",
            "/v2/p/%E5%B7%A5",
            "/v2/p?a=&b=%2B%26%3D&c=~",
            "/v2/p?a=%20&a=%20",
            "/v2/p/a:b@c,d=e+f",
            "/v2/p/",
            "/v2//p",
        ],
    )
    def test_the_url_goes_out_as_it_was_signed(self, serve, drive, target):
        assert self.sent(serve, drive, http(target)).line == f"GET {target} HTTP/1.1"

    def test_only_our_headers_and_what_http_needs(self, serve, drive):
        request = http(
            "/",
            Host="service.example:443",
            User_Agent="ours",
            Content_Type="application/json",
            Accept_Encoding="identity",
            Authorization="SDK-HMAC-SHA256 x",
            X_Sdk_Date="d",
        )
        headers = self.sent(serve, drive, request).headers
        ours = {name.lower(): value for name, value in request.headers.items()}
        assert {name: headers[name] for name in ours} == ours
        assert set(headers) - set(ours) <= {"accept", "connection", "content-length"}

    @pytest.mark.parametrize("value", ["工作区", "é", "ключ 😀", "plain"])
    def test_headers_of_any_script_go_out_as_the_bytes_that_were_signed(self, serve, drive, value):
        head = self.sent(serve, drive, http("/", workspace=value)).head
        assert b"workspace: " + value.encode() in head

    @pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1"])
    def test_no_header_can_be_injected(self, serve, drive, value):
        server = serve()
        with pytest.raises((ValueError, CloudSyncError)):
            drive(one(http(server.url, workspace=value)))
        assert server.requests == []

    def test_a_netrc_is_not_read(self, serve, drive, monkeypatch, tmp_path):
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login eve password secret\ndefault login eve password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(netrc))
        assert self.sent(serve, drive, http("/", Authorization="ours")).headers["authorization"] == "ours"
        assert "authorization" not in self.sent(serve, drive, http("/")).headers

    def test_cookies_are_not_kept(self, serve, drive):
        server = serve(answers(raw_reply(b"{}", "200 OK", "Set-Cookie: a=b; Path=/")))
        drive(several(http(server.url), http(server.url)))
        drive(one(http(server.url)))
        assert len(server.requests) == 3
        assert not any("cookie" in received.headers for received in server.requests)


# --- no way there --------------------------------------------------------------------------------------------------


def test_refused(drive):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert outcome(drive, http(f"http://127.0.0.1:{port}/")) == NEVER_LEFT
    assert outcome(drive, http(f"https://127.0.0.1:{port}/")) == NEVER_LEFT


def test_a_name_that_does_not_exist(drive):
    assert outcome(drive, http("https://mrs.nowhere.invalid/")) == NEVER_LEFT


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("mrs..example.invalid", id="empty label"),
        pytest.param("a" * 64 + ".invalid", id="label too long"),
        pytest.param("*.nowhere.invalid", id="star"),
        pytest.param(".nowhere.invalid", id="dot first"),
        pytest.param("-nowhere-.invalid", id="hyphens"),
        pytest.param("under_score.invalid", id="underscore"),
        pytest.param("工作.invalid", id="Chinese"),
        pytest.param("xn--a.invalid", id="broken punycode"),
    ],
)
def test_a_name_that_can_not_exist(drive, host):
    kind, sent, _ = outcome(drive, http(f"https://{host}/", Host=host))
    assert (kind, sent) == ("TransportError", "not sent")


def test_nobody_takes_the_connection(drive):
    """A listener whose queue is full: the kernel lets all others wait."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert outcome(drive, http(url, http_settings=HASTY)) == NEVER_LEFT


# --- kept connections ----------------------------------------------------------------------------------------------


def numbered(peer: Peer) -> None:
    """Answer each request with the number of the connection."""
    while peer.read() is not None:
        peer.send(raw_reply(str(peer.number).encode()))


class TestTheLimitOfConnections:
    """Of an event loop, for each host."""

    @pytest.fixture(autouse=True)
    def _one(self, monkeypatch) -> None:
        monkeypatch.setattr(asynchronous, "_CONNECTIONS", 1)

    @staticmethod
    async def _busy(url: str, other: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, Response]:
        """What becomes of another request while one has the only connection, and of the next one after both."""
        first = asyncio.create_task(drivers.arun(one(http(url))))
        for _ in range(500):
            session = drivers._pool().session
            if session is not None and session.host(url).connections.locked():
                break
            await asyncio.sleep(0.01)
        found = await other()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return found, await drivers.arun(one(http(url)))

    def test_who_finds_none_free_has_sent_nothing_when_the_time_is_up(self, serve):
        server = serve(silent, answers(raw_reply()))

        async def waits_in_vain() -> TransportError:
            with pytest.raises(TransportError, match="no connection in time") as raised:
                await drivers.arun(one(http(server.url, "POST", b"{}", HASTY)))
            return raised.value

        error, reply = asyncio.run(self._busy(server.url, waits_in_vain))
        assert (error.sent, error.permanent) == (False, False)
        assert (reply.status, len(server.requests)) == (200, 2)

    def test_who_is_cancelled_while_waiting_takes_no_place(self, serve):
        server = serve(silent, answers(raw_reply()))

        async def is_cancelled() -> None:
            waiting = asyncio.create_task(drivers.arun(one(http(server.url))))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

        _, reply = asyncio.run(self._busy(server.url, is_cancelled))
        assert (reply.status, len(server.requests)) == (200, 2)

    def test_one_host_does_not_wait_for_another(self, serve):
        server, elsewhere = serve(silent, answers(raw_reply())), serve()

        async def goes_elsewhere() -> Response:
            return await drivers.arun(one(http(elsewhere.url)))

        other, _ = asyncio.run(self._busy(server.url, goes_elsewhere))
        assert other.status == 200


def test_a_connection_is_used_again(serve, drive):
    server = serve(numbered)
    replies = drive(several(*[http(server.url)] * 5))
    assert [reply.body for reply in replies] == [b"0"] * 5
    assert server.connections == 1


def test_blocking_flows_of_a_thread_share_their_connections(serve):
    server = serve(numbered)
    assert [drivers.run(one(http(server.url))).body for _ in range(3)] == [b"0"] * 3


def test_threads_do_not_share_theirs(serve):
    server = serve(numbered)
    bodies = [drivers.run(one(http(server.url))).body]
    thread = threading.Thread(target=lambda: bodies.append(drivers.run(one(http(server.url))).body))
    thread.start()
    thread.join(5)
    assert bodies == [b"0", b"1"]


def test_a_reply_that_was_not_read_does_not_spoil_the_connection(serve, drive):
    """The rest of a refused reply must not be taken for the next one."""
    server = serve(answers(raw_reply(b"x" * 300_000), raw_reply(b"second")), answers(raw_reply(b"fresh")))

    def flow() -> Flow[bytes]:
        with pytest.raises(TransportError):
            yield replace(http(server.url), **SMALL)
        return (yield http(server.url)).body

    assert drive(flow()) == b"fresh"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "ending",
    [pytest.param(close_after_the_request, id="closed"), pytest.param(reset_after_the_request, id="reset")],
)
def test_a_kept_connection_that_breaks_is_no_reason_to_send_again(serve, drive, method, ending):
    """Whether that is safe is for the flow to say: some GETs start work."""

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(raw_reply())
        ending(peer)

    server = serve(script, answers(raw_reply()))

    def flow() -> Flow[Any]:
        yield http(server.url + "/first")
        try:
            yield http(server.url + "/second", method)
        except TransportError as error:
            return error.sent
        return "a reply"

    assert drive(flow()) is True
    assert [received.line.split()[1] for received in server.requests] == ["/first", "/second"]


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
def test_a_start_is_sent_on_a_connection_of_its_own(serve, drive, method):
    """A server may close an idle connection at any moment, and the reply to the start would be lost."""

    def script(peer: Peer) -> None:
        while peer.read() is not None:
            peer.send(raw_reply(str(peer.number).encode()))

    server = serve(script)

    def flow() -> Flow[list[bytes]]:
        replies = []
        for each in ("GET", method, "GET"):
            replies.append((yield http(server.url, each)).body)
        return replies

    assert drive(flow())[:2] == [b"0", b"1"]


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(serve, drive):
    server = serve(then_close(raw_reply(b"0")), answers(raw_reply(b"1")))

    def flow() -> Flow[bytes]:
        yield http(server.url)
        assert server.ended[0].wait(5)
        yield Pause(0.005)  # asyncio sees the end of the connection in its loop only
        return (yield http(server.url)).body

    assert drive(flow()) == b"1"
    assert len(server.requests) == 2


def in_a_fork(do: Callable[[], bytes]) -> bytes:
    """What a forked process says; nothing if it hangs."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that there are threads
        child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            os.write(writing, do())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_a_forked_process_has_connections_of_its_own(serve):
    """Two processes on one socket would read each other's replies."""
    server = serve(numbered)
    assert drivers.run(one(http(server.url))).body == b"0"
    assert in_a_fork(lambda: drivers.run(one(http(server.url))).body) == b"1"
    assert drivers.run(one(http(server.url))).body == b"0"


def test_a_forked_process_does_not_wait_for_a_thread_that_it_has_not():
    """A worker forks for each task; a lock that another thread held just then is held for ever in the child."""
    begun, end = threading.Event(), threading.Event()

    def held() -> Flow[str]:
        with drivers._rate_limiter._lock:
            begun.set()
            end.wait(20)
        return "kept"
        yield

    def both(make: Callable[[], Flow[str]]) -> Flow[str]:
        found: str = yield SingleFlight("key", make, max_age=60)
        yield AcquireSlot("key", Quota(1, 60), "mine")
        return found

    def own() -> Flow[str]:
        return "own"
        yield

    thread = threading.Thread(target=drivers.run, args=(both(held),))
    thread.start()
    try:
        assert begun.wait(10)
        assert in_a_fork(lambda: drivers.run(both(own)).encode()) == b"own"
    finally:
        end.set()
        thread.join(10)
    # What was kept before is known afterwards.
    assert in_a_fork(lambda: drivers.run(both(own)).encode()) == b"kept"


# --- proxies -------------------------------------------------------------------------------------------------------


class TestProxy:
    TARGET = "http://service.invalid/path?a=1"

    def test_one_that_opens_no_tunnel(self, serve, drive):
        """Nothing of the request has left then."""
        proxy = serve(silent)
        http_settings = replace(HASTY, proxy=proxy.url)
        request = http("https://service.invalid/path", "POST", b"{}", http_settings)
        assert outcome(drive, request) == NEVER_LEFT
        assert proxy.requests[0].line.startswith("CONNECT ")

    def test_of_the_connection(self, serve, drive):
        proxy = serve()
        assert outcome(drive, http(self.TARGET, http_settings=replace(QUICK, proxy=proxy.url))) == (
            200,
            b"{}",
        )
        assert proxy.requests[0].line == f"GET {self.TARGET} HTTP/1.1"

    @pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
    def test_of_the_environment(self, serve, drive, monkeypatch, name):
        proxy = serve()
        monkeypatch.setenv(name, proxy.url)
        assert outcome(drive, http(self.TARGET)) == (200, b"{}")
        assert proxy.requests[0].line == f"GET {self.TARGET} HTTP/1.1"

    @pytest.mark.parametrize("source", ["connection", "environment"])
    def test_with_a_scheme_in_capitals(self, serve, drive, monkeypatch, source):
        proxy = serve()
        url = f"HTTP://{proxy.address}"
        monkeypatch.setenv("HTTP_PROXY", url)
        http_settings = replace(QUICK, proxy=url) if source == "connection" else QUICK
        assert outcome(drive, http(self.TARGET, http_settings=http_settings)) == (200, b"{}")
        assert len(proxy.requests) == 1

    def test_without_a_scheme_as_many_write_it(self, serve, drive, monkeypatch):
        proxy = serve()
        monkeypatch.setenv("http_proxy", proxy.address)
        assert outcome(drive, http(self.TARGET)) == (200, b"{}")
        assert len(proxy.requests) == 1

    def test_the_connection_goes_before_the_environment(self, serve, drive, monkeypatch):
        ours, other = serve(), serve()
        monkeypatch.setenv("http_proxy", other.url)
        drive(one(http(self.TARGET, http_settings=replace(QUICK, proxy=ours.url))))
        assert (len(ours.requests), len(other.requests)) == (1, 0)

    def test_none(self, serve, drive, monkeypatch):
        proxy, server = serve(), serve()
        monkeypatch.setenv("http_proxy", proxy.url)
        drive(one(http(server.url, http_settings=replace(QUICK, proxy=""))))
        assert (proxy.connections, len(server.requests)) == (0, 1)

    @pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.example,127.0.0.1", "127.0.0.1:{port}"])
    def test_exempt_hosts(self, serve, drive, monkeypatch, exempt):
        proxy, server = serve(), serve()
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", exempt.format(port=server.port))
        drive(one(http(server.url)))
        assert (proxy.connections, len(server.requests)) == (0, 1)

    def test_hosts_that_are_not(self, serve, drive, monkeypatch):
        proxy = serve()
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "other.invalid")
        drive(one(http(self.TARGET)))
        assert len(proxy.requests) == 1

    def test_of_another_scheme(self, serve, drive, monkeypatch):
        proxy, server = serve(), serve()
        monkeypatch.setenv("https_proxy", proxy.url)
        drive(one(http(server.url)))
        assert (proxy.connections, len(server.requests)) == (0, 1)

    def test_that_is_not_there(self, drive):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for target in (self.TARGET, "https://service.invalid/"):
            assert outcome(drive, http(target, "POST", http_settings=replace(QUICK, proxy=url))) == NEVER_LEFT

    @pytest.mark.parametrize(
        ("status", "expected", "says"),
        [
            ("407 Proxy Authentication Required", NEVER_WILL, "the proxy requires authentication (407)"),
            ("403 Forbidden", NEVER_WILL, "the proxy refused to connect to the host (status 403)"),
            ("404 Not Found", NEVER_WILL, "the proxy refused to connect to the host (status 404)"),
            ("429 Too Many Requests", NEVER_LEFT, "the proxy refused to connect to the host (status 429)"),
            (
                "500 Internal Server Error",
                NEVER_LEFT,
                "the proxy refused to connect to the host (status 500)",
            ),
            ("502 Bad Gateway", NEVER_LEFT, "the proxy refused to connect to the host (status 502)"),
            ("503 Service Unavailable", NEVER_LEFT, "the proxy refused to connect to the host (status 503)"),
            ("504", NEVER_LEFT, "the proxy refused to connect to the host (status 504)"),
        ],
    )
    def test_that_refuses_a_tunnel(self, serve, drive, status, expected, says):
        proxy = serve(then_close(raw_reply(b"no", status, "Proxy-Authenticate: Basic")))
        http_settings = replace(QUICK, proxy=proxy.url)
        request = http("https://service.invalid/", "POST", b"{}", http_settings)
        assert outcome(drive, request) == expected
        assert proxy.requests[0].line.startswith("CONNECT service.invalid:443 HTTP/1.")
        # The proxy is told where to, and nothing else.
        assert "authorization" not in proxy.requests[0].headers
        with pytest.raises(TransportError) as caught:
            drive(one(request))
        assert caught.value.message.startswith(says)

    def test_that_requires_authentication_for_plain_http(self, serve, drive):
        proxy = serve(answers(raw_reply(b"no", "407 Proxy Authentication Required")))
        request = http(self.TARGET, http_settings=replace(QUICK, proxy=proxy.url))
        assert outcome(drive, request) == NEVER_WILL
        with pytest.raises(TransportError, match=r"^the proxy requires authentication \(407\)"):
            drive(one(request))

    def test_a_tunnel(self, serve, drive, certificate):
        def tunnel(peer: Peer) -> None:
            peer.read()
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            peer.socket = certificate.context.wrap_socket(peer.socket, server_side=True)
            answers(raw_reply(b"through"))(peer)

        proxy = serve(tunnel)
        http_settings = replace(QUICK, proxy=proxy.url, verify=certificate.path)
        assert outcome(
            drive, http("https://service.invalid/path", http_settings=http_settings, Authorization="x")
        ) == (
            200,
            b"through",
        )
        assert [received.line.rpartition(" ")[0] for received in proxy.requests] == [
            "CONNECT service.invalid:443",
            "GET /path",
        ]
        assert "authorization" not in proxy.requests[0].headers

    @pytest.mark.parametrize(
        ("login", "expected"),
        [
            ("user:p%40ss", b"user:p@ss"),
            ("user:p@ss", b"user:p@ss"),
            ("user:p:ss", b"user:p:ss"),
            ("user:p%ss", b"user:p%ss"),
            ("user:%23%2f%3F%20%5B", b"user:#/? ["),
            ("user:p+ss", b"user:p+ss"),
            ("user:!$&'()*,;=~^|`{}<>\"", b"user:!$&'()*,;=~^|`{}<>\""),
            ("user:%E5%B7%A5", "user:工".encode()),
            ("user:%C3%A9", "user:é".encode()),
            ("domain%5Cuser:x", b"domain\\user:x"),
            ("user", b"user:"),
        ],
    )
    def test_with_a_password(self, serve, drive, login, expected):
        proxy = serve(answers(raw_reply()), then_close(raw_reply(b"", "502 Bad Gateway")))
        http_settings = replace(QUICK, proxy=proxy.url.replace("http://", f"http://{login}@"))
        assert outcome(drive, http(self.TARGET, http_settings=http_settings)) == (200, b"{}")
        assert outcome(drive, http("https://service.invalid/", http_settings=http_settings)) == NEVER_LEFT
        assert [received.line.split()[0] for received in proxy.requests] == ["GET", "CONNECT"]
        for received in proxy.requests:
            kind, _, secret = received.headers["proxy-authorization"].partition(" ")
            assert (kind, base64.b64decode(secret)) == ("Basic", expected)

    @pytest.mark.parametrize("source", ["connection", "environment"])
    @pytest.mark.parametrize("mark", ["#", "/", "?", "\\", "[", "]", " ", "é", "工", "#@", "@#", "\x7f"])
    def test_with_a_password_that_breaks_the_url(self, drive, monkeypatch, source, mark):
        url = f"http://user:hid{mark}den@127.0.0.1:3128"
        http_settings = replace(QUICK, proxy=url) if source == "connection" else QUICK
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        for target in (self.TARGET, "https://service.invalid/"):
            request = http(target, http_settings=http_settings)
            assert outcome(drive, request) == NEVER_WILL
            with pytest.raises(TransportError, match="percent-encoded") as caught:
                drive(one(request))
            assert "hid" not in str(caught.value)
            assert "den" not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            pytest.param("http://user:secret@127.0.0.1:1", id="not there"),
            pytest.param("http://user:secret@nowhere.invalid:1", id="no such name"),
            pytest.param("http://user:secret@127.0.0.1:99999", id="no such port"),
            pytest.param("http://user:secret@[::1", id="no such address"),
            pytest.param("http://user:secret@", id="no host"),
            pytest.param("socks5://user:secret@127.0.0.1:1", id="SOCKS"),
            pytest.param("ftp://user:secret@127.0.0.1:1", id="FTP"),
            pytest.param("nonsense", id="nonsense"),
        ],
    )
    def test_that_can_not_be_used(self, drive, url):
        """One of our errors in both drivers, and its chain does not show the password."""
        for target in (self.TARGET, "https://service.invalid/"):
            with pytest.raises(TransportError) as caught:
                drive(one(http(target, "POST", http_settings=replace(QUICK, proxy=url))))
            assert not caught.value.sent
            error: BaseException | None = caught.value
            while error is not None:
                assert "secret" not in f"{error} {error!r}"
                error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("environment", "url", "http_settings", "expected"),
    [
        ({}, "https://a.b", HttpSettings(), None),
        ({"https_proxy": "http://p"}, "https://a.b", HttpSettings(), "http://p"),
        ({"https_proxy": "http://p"}, "http://a.b", HttpSettings(), None),
        ({"all_proxy": "http://p"}, "https://a.b", HttpSettings(), "http://p"),
        ({"https_proxy": "HTTP://U:P@p"}, "https://a.b", HttpSettings(), "http://U:P@p"),
        ({}, "https://a.b", HttpSettings(proxy="Https://p"), "https://p"),
        ({"all_proxy": "http://p", "https_proxy": "http://q"}, "https://a.b", HttpSettings(), "http://q"),
        ({"https_proxy": "http://p", "no_proxy": "b"}, "https://a.b", HttpSettings(), None),
        ({"https_proxy": "http://p", "no_proxy": ".b"}, "https://a.b", HttpSettings(), None),
        ({"https_proxy": "http://p", "no_proxy": "a.b:444"}, "https://a.b:444", HttpSettings(), None),
        ({"https_proxy": "http://p", "no_proxy": "a.b:444"}, "https://a.b:443", HttpSettings(), "http://p"),
        ({"https_proxy": "http://p", "no_proxy": "*"}, "https://a.b", HttpSettings(), None),
        ({"https_proxy": "http://p", "no_proxy": ""}, "https://a.b", HttpSettings(), "http://p"),
        ({"https_proxy": ""}, "https://a.b", HttpSettings(), None),
        ({"https_proxy": "http://p"}, "https://a.b", HttpSettings(proxy=""), None),
        ({"https_proxy": "http://p"}, "https://a.b", HttpSettings(proxy="http://q"), "http://q"),
        (
            {"https_proxy": "http://p", "no_proxy": "*"},
            "https://a.b",
            HttpSettings(proxy="http://q"),
            "http://q",
        ),
        *[
            ({"https_proxy": "http://p", "no_proxy": exempt}, f"https://{host}", HttpSettings(), expected)
            for exempt, host, expected in [
                ("10.0.0.0/8", "10.1.2.3", None),
                ("10.0.0.0/8", "10.1.2.3:8443", None),
                ("10.0.0.0/8", "11.1.2.3", "http://p"),
                ("10.0.0.0/8", "10.example.com", "http://p"),
                ("10.1.2.0/255.255.255.0", "10.1.2.3", None),
                ("10.1.2.3/8", "10.9.9.9", None),
                ("a.b, 10.0.0.0/8 ,c", "10.1.2.3", None),
                ("10.1.2.3", "10.1.2.3:8443", None),
                ("10.1.2.3:8443", "10.1.2.3:8443", None),
                ("10.1.2.3:8443", "10.1.2.3", "http://p"),
                ("10.0.0.0/99,x/y,/,:", "10.1.2.3", "http://p"),
                ("0.0.0.0/0", "10.1.2.3", None),
                ("0.0.0.0/0", "[fd00::1]", "http://p"),
                ("fd00::1", "[fd00::1]", None),
                ("fd00::1", "[fd00::1]:8443", None),
                ("[fd00::1]", "[fd00::1]:8443", None),
                ("FD00:0::0:1", "[fd00::1]", None),
                ("fd00::1", "[fd00::2]", "http://p"),
                ("fd00::/8", "[fd12::1]", None),
                ("[fd00::]/8", "[fd12::1]", "http://p"),
                ("[fd00::1]:8443", "[fd00::1]:8443", None),
                ("[fd00::1]:8443", "[fd00::1]:443", "http://p"),
            ]
        ],
    ],
)
def test_proxy_for(monkeypatch, environment, url, http_settings, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url, http_settings) == expected


# --- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1", "service.invalid")


class TestTls:
    def test_a_certificate_that_nobody_vouches_for(self, serve, drive, certificate):
        server = serve(tls=certificate.context)
        assert outcome(drive, http(server.url, "POST", b"{}")) == NEVER_WILL
        assert server.requests == []

    def test_trusting_anybody(self, serve, drive, certificate):
        server = serve(tls=certificate.context)
        assert outcome(drive, http(server.url, http_settings=replace(QUICK, verify=False))) == (200, b"{}")

    def test_trusting_a_file(self, serve, drive, certificate):
        server = serve(tls=certificate.context)
        assert outcome(drive, http(server.url, http_settings=replace(QUICK, verify=certificate.path))) == (
            200,
            b"{}",
        )

    def test_trusting_anybody_once_is_not_trusting_anybody_ever(self, serve, drive, certificate):
        """A connection that was opened without a check is not handed to who wants one."""
        server = serve(tls=certificate.context)

        def flow() -> Flow[None]:
            yield http(server.url, http_settings=replace(QUICK, verify=False))
            with pytest.raises(TransportError):
                yield http(server.url)

        drive(flow())
        assert len(server.requests) == 1

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_trusting_what_the_environment_says(self, serve, drive, certificate, monkeypatch, name):
        monkeypatch.setenv(name, certificate.path)
        server = serve(tls=certificate.context)
        assert outcome(drive, http(server.url)) == (200, b"{}")

    def test_a_certificate_of_another_host(self, serve, drive, tmp_path):
        other = make_certificate(tmp_path, "other.invalid")
        server = serve(tls=other.context)
        assert outcome(drive, http(server.url, http_settings=replace(QUICK, verify=other.path))) == NEVER_WILL

    def test_a_certificate_of_yesterday(self, serve, drive, tmp_path):
        old = make_certificate(tmp_path, "127.0.0.1", expired=True)
        server = serve(tls=old.context)
        assert outcome(drive, http(server.url, http_settings=replace(QUICK, verify=old.path))) == NEVER_WILL

    @pytest.mark.parametrize(
        ("names", "dates", "trusted", "reason"),
        [
            (["127.0.0.1"], {"expired": True}, True, "certificate has expired"),
            (["127.0.0.1"], {"later": True}, True, "certificate is not yet valid"),
            (["other.invalid"], {}, True, "IP address mismatch"),
            (["127.0.0.1"], {}, False, "self-signed certificate"),
        ],
        ids=["expired", "not yet valid", "another host", "untrusted"],
    )
    @pytest.mark.parametrize("peer", ["service", "proxy"])
    def test_the_reason_of_openssl(
        self, serve, drive, tmp_path, certificate, names, dates, trusted, reason, peer
    ):
        server_certificate = make_certificate(tmp_path, *names, **dates)
        server = serve(tls=server_certificate.context)
        http_settings = replace(QUICK, verify=server_certificate.path if trusted else certificate.path)
        request = http(server.url, "POST", b"{}", http_settings)
        if peer == "proxy":
            request = replace(
                request,
                url="https://service.invalid/",
                http_settings=replace(http_settings, proxy=server.url),
            )
        assert outcome(drive, request) == NEVER_WILL
        with pytest.raises(TransportError) as caught:
            drive(one(request))
        named = "no connection through the proxy: " if peer == "proxy" else ""
        assert caught.value.message.startswith(f"{named}the certificate was rejected: ")
        assert reason in caught.value.message
        assert server.requests == []

    def test_the_reason_of_other_failures(self, serve, drive):
        def script(peer: Peer) -> None:
            peer.socket.recv(10_000)
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        url = serve(script).url.replace("http:", "https:")
        with pytest.raises(TransportError, match=r"^TLS failed: (wrong version number|record layer failure)"):
            drive(one(http(url)))

    def test_the_error_says_where_to_look(self, serve, drive, certificate):
        with pytest.raises(TransportError, match='see "verify"'):
            drive(one(http(serve(tls=certificate.context).url)))

    def test_a_server_without_tls(self, serve, drive):
        def script(peer: Peer) -> None:
            peer.socket.recv(10_000)
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = serve(script)
        assert outcome(drive, http(server.url.replace("http:", "https:"))) == NEVER_LEFT

    def test_a_handshake_that_stalls(self, serve, drive):
        server = serve(lambda peer: peer.until_the_client_closes())
        request = http(server.url.replace("http:", "https:"), http_settings=HASTY)
        assert outcome(drive, request) == NEVER_LEFT

    @pytest.mark.parametrize(
        "ending",
        [
            pytest.param(lambda raw: raw.shutdown(socket.SHUT_RDWR), id="closed without a word"),
            pytest.param(lambda raw: raw.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), id="garbage"),
            pytest.param(lambda raw: raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32), id="a forged record"),
        ],
    )
    def test_a_reply_that_breaks_within_tls_may_have_been_a_start(self, serve, drive, certificate, ending):
        """The request left, so it must not be taken for one that did not and sent again."""

        def script(peer: Peer) -> None:
            peer.read()
            with socket.socket(fileno=os.dup(peer.socket.fileno())) as raw:
                ending(raw)
            with contextlib.suppress(OSError):
                socket.socket.recv(peer.socket, 1)

        server = serve(script, tls=certificate.context)
        request = http(server.url, "POST", b"{}", replace(QUICK, verify=certificate.path))
        assert outcome(drive, request) == LOST
        assert len(server.requests) == 1

    @pytest.mark.parametrize("content", [None, b"", b"no certificate"], ids=["missing", "empty", "garbage"])
    @pytest.mark.parametrize("by", ["connection", "environment"])
    def test_authorities_that_can_not_be_read(
        self, serve, drive, certificate, tmp_path, monkeypatch, content, by
    ):
        path = tmp_path / f"authorities-{by}"
        if content is not None:
            path.write_bytes(content)
        server = serve(tls=certificate.context)
        http_settings = QUICK
        if by == "connection":
            http_settings = replace(QUICK, verify=str(path))
        else:
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        kind, sent, _ = outcome(drive, http(server.url, "POST", b"{}", http_settings))
        assert (kind, sent) == ("TransportError", "not sent")
        assert server.requests == []


# --- flows ---------------------------------------------------------------------------------------------------------


class TestDriving:
    def test_the_value_comes_back(self, drive):
        def flow() -> Flow[int]:
            return 5
            yield

        assert drive(flow()) == 5

    def test_a_pause(self, drive):
        def flow() -> Flow[Any]:
            return (yield Pause(0.001))

        assert drive(flow()) is None

    def test_how_long_a_pause_is(self, monkeypatch):
        slept: list[float] = []
        monkeypatch.setattr(drivers.time, "sleep", slept.append)

        def flow() -> Flow[None]:
            yield Pause(12.5)
            yield SingleFlight("key", lambda: iter_nothing(), wait=3.0)
            yield SingleFlight("key", lambda: iter_nothing())

        drivers.run(flow())
        assert slept == [12.5, 3.0]

    def test_an_error_is_thrown_into_the_flow(self, drive, serve):
        server = serve(reset_after_the_request, answers(raw_reply(b"again")))

        def flow() -> Flow[bytes]:
            try:
                yield http(server.url)
            except TransportError:
                return (yield http(server.url)).body
            return b""

        assert drive(flow()) == b"again"

    @pytest.mark.parametrize(
        "error", [ApiError("m", status=503), ValueError("m"), KeyboardInterrupt()], ids=repr
    )
    def test_an_error_of_the_flow_passes_through(self, drive, error):
        closed = []

        def flow() -> Flow[None]:
            try:
                yield Pause(0)
                raise error
            finally:
                closed.append(True)

        with pytest.raises(type(error)):
            drive(flow())
        assert closed == [True]

    def test_an_interruption_ends_the_flow(self, monkeypatch):
        """As Airflow's timeout does, in the middle of a sleep."""
        closed = []

        def interrupted(_: float) -> None:
            raise TimeoutError("AirflowTaskTimeout")

        monkeypatch.setattr(drivers.time, "sleep", interrupted)

        def flow() -> Flow[None]:
            try:
                yield Pause(3600)
            except CloudSyncError:
                closed.append("wrongly caught")
            finally:
                closed.append("closed")

        generator = flow()
        with pytest.raises(TimeoutError):
            drivers.run(generator)
        assert closed == ["closed"]
        assert inspect.getgeneratorstate(generator) == inspect.GEN_CLOSED

    def test_a_shared_flow(self, drive):
        runs = []

        def inner() -> Flow[str]:
            runs.append(1)
            yield Pause(0)
            return "inner"

        def flow() -> Flow[list[str]]:
            first = yield SingleFlight("key", inner, max_age=60)
            second = yield SingleFlight("key", inner, max_age=60)
            return [first, second]

        assert drive(flow()) == ["inner", "inner"]
        assert len(runs) == 1

    def test_an_error_of_a_shared_flow(self, drive):
        def inner() -> Flow[None]:
            raise ApiError("m", status=503)
            yield

        def flow() -> Flow[int]:
            try:
                yield SingleFlight("key", inner, max_age=60)
            except ApiError as error:
                return error.status
            return 0

        assert drive(flow()) == 503

    def test_flows_within_flows(self, drive, serve):
        server = serve(numbered)

        def project() -> Flow[bytes]:
            return (yield http(server.url)).body

        def look() -> Flow[bytes]:
            return (yield SingleFlight("project", project, max_age=60)) + (yield http(server.url)).body

        def flow() -> Flow[bytes]:
            return (yield SingleFlight("look", look))

        assert drive(flow()) == b"00"


def iter_nothing() -> Flow[None]:
    return
    yield


class TestAsyncio:
    def test_a_thousand_flows_share_one_look(self, serve):
        server = serve(numbered)

        def look() -> Flow[bytes]:
            return (yield http(server.url)).body

        def flow() -> Flow[bytes]:
            return (yield SingleFlight("look", look))

        async def main() -> set[bytes]:
            return set(await asyncio.gather(*[drivers.arun(flow()) for _ in range(1000)]))

        assert asyncio.run(main()) == {b"0"}
        assert len(server.requests) == 1

    def test_a_session_is_closed_with_the_last_flow_and_not_before(self, serve):
        server = serve(numbered)

        def slow(release: asyncio.Event) -> Flow[bytes]:
            yield http(server.url)
            while not release.is_set():
                yield Pause(0.001)
            return (yield http(server.url)).body

        async def main() -> None:
            release = asyncio.Event()
            first = asyncio.create_task(drivers.arun(slow(release)))
            await drivers.arun(several(*[http(server.url)] * 2))
            assert not any(ended.is_set() for ended in server.ended)
            release.set()
            await first
            for ended in server.ended:
                assert await asyncio.to_thread(ended.wait, 5)

        asyncio.run(main())
        # The second request of the slow one found a connection of the first ones.
        assert server.connections <= 2

    @pytest.mark.parametrize("ending", ["well", "error", "cancelled"])
    def test_nothing_is_left_open(self, serve, ending):
        arrived = threading.Event()

        def never(peer: Peer) -> None:
            peer.read()
            arrived.set()
            peer.until_the_client_closes()

        server = serve(numbered if ending != "cancelled" else never)

        def flow() -> Flow[None]:
            yield http(server.url)
            if ending == "error":
                raise ApiError("m")

        async def main() -> None:
            task = asyncio.create_task(drivers.arun(flow()))
            if ending == "cancelled":
                await asyncio.to_thread(arrived.wait, 5)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await asyncio.to_thread(server.ended[0].wait, 5)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            asyncio.run(main())
            gc.collect()
        assert [str(each.message) for each in seen if issubclass(each.category, ResourceWarning)] == []

    def test_a_loop_that_is_gone_leaves_nothing_behind(self):
        before = len(drivers._pools)
        for _ in range(5):
            asyncio.run(drivers.arun(iter_nothing()))
        gc.collect()
        assert len(drivers._pools) <= before

    @pytest.mark.parametrize("where", ["pause", "request", "shared"])
    def test_a_cancelled_task_ends_its_flow(self, serve, where):
        server = serve(silent)
        ended: list[str] = []

        def inner() -> Flow[None]:
            try:
                yield Pause(3600)
            finally:
                ended.append("inner")

        def flow() -> Flow[None]:
            try:
                if where == "pause":
                    yield Pause(3600)
                elif where == "request":
                    yield http(server.url)
                else:
                    yield SingleFlight("key", inner)
            except CloudSyncError:
                ended.append("wrongly caught")
            finally:
                ended.append("flow")

        async def main() -> None:
            task = asyncio.create_task(drivers.arun(flow()))
            for _ in range(20):
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)

        asyncio.run(main())
        assert sorted(ended) == (["flow", "inner"] if where == "shared" else ["flow"])

    def test_a_cancelled_asker_does_not_end_what_others_share(self):
        runs = []

        def inner() -> Flow[int]:
            runs.append(1)
            for _ in range(5):
                yield Pause(0.001)
            return len(runs)

        def flow() -> Flow[int]:
            return (yield SingleFlight("key", inner))

        async def main() -> list[Any]:
            tasks = [asyncio.create_task(drivers.arun(flow())) for _ in range(3)]
            await asyncio.sleep(0.002)
            tasks[0].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        first, *others = asyncio.run(main())
        assert isinstance(first, asyncio.CancelledError)
        assert others == [1, 1]

    def test_ashare_is_for_the_event_loop_and_for_a_time(self):
        calls = []

        async def work() -> int:
            calls.append(1)
            return len(calls)

        async def main() -> list[int]:
            return [await drivers.ashare("key", work, max_age=60) for _ in range(3)]

        assert asyncio.run(main()) == [1, 1, 1]
        assert asyncio.run(main()) == [2, 2, 2]


def test_neither_library_is_imported_before_the_first_request():
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from airflow_provider_cloudsync import transport\n"
        "print([name for name in ('requests', 'aiohttp', 'urllib3', 'yarl') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == "[]"
