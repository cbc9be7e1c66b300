"""Servers that promise to keep a connection and close it: what is sent again, by whom, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api.credentials import Anonymous
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Request
from airflow_provider_cloudsync.exceptions import CloudSyncError, TransportError
from airflow_provider_cloudsync.transport import aiohttp_protocol, drivers
from tests.support.certificates import make_certificate
from tests.support.raw_server import Peer, Script
from tests.support.wire_drivers import (
    QUICK,
    answers,
    http,
    one,
    raw_reply,
    several,
)

REPLY = raw_reply(b"kept")
Ending = Callable[[Peer], None]


def then(ending: Ending) -> Script:
    """Answer one request, read the next, and end so."""

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(REPLY)
        peer.read()
        ending(peer)

    return script


def closed(peer: Peer) -> None:
    pass


def reset(peer: Peer) -> None:
    peer.reset()


def within_the_head(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 2")


def within_the_body(peer: Peer) -> None:
    peer.send(raw_reply(b"{", length=10))


def after_100(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def refused(peer: Peer) -> None:
    peer.send(b"nonsense")


@pytest.fixture
def counted(monkeypatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(metrics, "are_on", lambda: True)
    monkeypatch.setattr(
        metrics, "count", lambda what, number=1, **tags: found.append((what, *sorted(tags.values())))
    )
    return found


def ended_with(flow: Flow[Any], drive: Any) -> str:
    try:
        replies = drive(flow)
    except TransportError as error:
        return "lost" if error.sent else "not sent"
    return replies[-1].body.decode()


#: method, whether it may be repeated, how the reused connection ends, outcome, requests in all
CASES = [
    ("GET", True, closed, "fresh", 3),
    ("GET", True, reset, "fresh", 3),
    ("HEAD", True, closed, "", 3),
    ("GET", False, closed, "lost", 2),
    ("GET", False, reset, "lost", 2),
    # Never sent on a reused connection, so never lost with it.
    ("POST", False, closed, "fresh", 2),
    ("PUT", False, closed, "fresh", 2),
    ("DELETE", False, closed, "fresh", 2),
    ("DELETE", False, reset, "fresh", 2),
    ("GET", True, within_the_head, "lost", 2),
    ("GET", True, within_the_body, "lost", 2),
    ("GET", True, after_100, "lost", 2),
    ("GET", True, refused, "lost", 2),
]


@pytest.mark.parametrize(
    ("method", "repeatable", "ending", "expected", "number"),
    [pytest.param(*case, id=f"{case[0]}-{case[1]}-{case[2].__name__}") for case in CASES],
)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_reused_connection_that_is_closed(
    serve, drive, counted, tmp_path, method, repeatable, ending, expected, number, tls
):
    certificate = make_certificate(tmp_path, "127.0.0.1") if tls else None
    server = serve(
        then(ending),
        answers(raw_reply(b"" if method == "HEAD" else b"fresh")),
        tls=certificate and certificate.context,
    )
    http_settings = replace(QUICK, verify=certificate.path) if certificate else QUICK
    second = replace(
        http(server.url + "/second", method, http_settings=http_settings),
        repeatable=repeatable,
        service="mrs",
    )
    assert ended_with(several(http(server.url, http_settings=http_settings), second), drive) == expected
    assert len(server.requests) == number
    retries = [each for each in counted if each[0] == "retries"]
    assert retries == [("retries", "mrs")] * (number - 2)
    assert counted.count(("requests", "lost", "mrs")) == (expected == "lost") + len(retries)


def test_a_fresh_connection_that_is_closed_is_not_tried_again(serve, drive):
    server = serve(lambda peer: peer.read() and None)
    assert ended_with(several(replace(http(server.url), repeatable=True)), drive) == "lost"
    assert len(server.requests) == 1


def test_it_is_sent_once_more_and_no_oftener(serve, drive):
    server = serve(then(closed), lambda peer: peer.read() and None)
    requests = [replace(http(server.url), repeatable=True)] * 2
    assert ended_with(several(*requests), drive) == "lost"
    assert len(server.requests) == 3


def test_a_poll_of_many_reads_survives_a_server_that_closes_each_connection(serve, drive):
    """It answers each first request on a connection, and closes at the second."""
    server = serve(then(closed))
    replies = drive(several(*[replace(http(server.url), repeatable=True)] * 9))
    assert [reply.body for reply in replies] == [b"kept"] * 9


@pytest.mark.parametrize(
    ("method", "repeatable", "expected"),
    [
        ("GET", True, True),
        ("HEAD", True, True),
        ("GET", False, False),
        ("PUT", True, False),
        ("DELETE", True, False),
        ("POST", True, False),
    ],
)
def test_which_requests_of_a_call_may_be_repeated(method, repeatable, expected):
    cloud = Cloud(Anonymous(), lambda: 0.0, endpoint="https://service.example")
    flow = call(cloud, Request(method, "iam", "Operation", "/v3/x", repeatable, max_reply=5))
    message: Any = next(flow)
    while not isinstance(message, HttpRequest):
        message = flow.send(0.0)
    assert (message.repeatable, message.max_reply) == (expected, 5)


class TestAiohttpThatCannotBeUsed:
    """Nothing is sent with a version of aiohttp that might send it twice."""

    def refused(self, url: str) -> CloudSyncError:
        import asyncio

        with pytest.raises(
            TransportError, match=r"^aiohttp .* is not supported.*from 3\.14 on, below 4"
        ) as caught:
            asyncio.run(drivers.arun(one(http(url, "DELETE"))))
        assert (caught.value.sent, caught.value.permanent) == (False, True)
        return caught.value

    def test_without_a_way_to_send(self, serve, monkeypatch):
        server = serve()
        monkeypatch.setattr(aiohttp.ClientRequest, "send", None)
        self.refused(server.url)
        assert server.connections == 0

    def test_without_middlewares(self, serve, monkeypatch):
        server = serve()
        original = aiohttp.ClientSession.__init__

        def init(self: Any, **settings: Any) -> None:
            if "middlewares" in settings:
                self._connector = None
                raise TypeError("unexpected keyword argument")
            original(self, **settings)

        monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
        self.refused(server.url)
        assert server.connections == 0

    def test_that_ignores_middlewares(self, serve, monkeypatch):
        server = serve()
        monkeypatch.setattr("aiohttp.client.build_client_middlewares", lambda handler, _: handler)
        self.refused(server.url)
        assert server.requests == []

    def test_that_sends_again_all_the_same(self, serve, monkeypatch):
        """As if its own way of sending again had been moved to where a middleware sees nothing of it."""
        server = serve(then(closed), answers(raw_reply(b"fresh")))
        original = aiohttp_protocol.Exchange.__call__

        async def twice(self: Any, request: Any, handler: Any) -> Any:
            try:
                return await original(self, request, handler)
            except aiohttp_protocol.Disconnected:
                return await original(self, request, handler)

        monkeypatch.setattr(aiohttp_protocol.Exchange, "__call__", twice)

        async def main() -> None:
            await drivers.arun(several(http(server.url), http(server.url)))

        import asyncio

        with pytest.raises(TransportError, match="is not supported") as caught:
            asyncio.run(main())
        assert caught.value.sent
        assert [received.line.split()[0] for received in server.requests] == ["GET", "GET"]
