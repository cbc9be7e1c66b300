"""Replies to calls that users make themselves with `CloudSyncHook.get_conn`, as raw bytes."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import requests

from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from tests.support.raw_server import Peer
from tests.support.wire_drivers import _no_kept_session, answers, raw_reply, serve

__all__ = ["_no_kept_session", "serve"]

BODY = '{"a": "é"}'.encode()
PLAIN = raw_reply(BODY, "200 OK", "Content-Type: application/json", "X-Request-Id: r1")
PACKED = raw_reply(gzip.compress(BODY), "200 OK", "Content-Encoding: gzip", "X-Request-Id: r1")
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4;x=y\r\n" + BODY[:4] + b"\r\n%x\r\n" % (len(BODY) - 4) + BODY[4:] + b"\r\n0\r\n\r\n"
)


def interim(status: int) -> bytes:
    return b"HTTP/1.1 %d Interim\r\nLink: </x>\r\n\r\n" % status


#: id, bytes, and whether the connection serves the next request. The reply is always the same.
ACCEPTED = [
    ("plain", PLAIN, True),
    ("packed", PACKED, True),
    ("chunks", CHUNKED, True),
    ("up to the end", b"HTTP/1.0 200 OK\r\nX-Request-Id: r1\r\n\r\n" + BODY, False),
    *[(f"{status} first", interim(status) + PLAIN, True) for status in (100, 102, 103, 199)],
    ("102 before chunks", interim(102) + CHUNKED, True),
    ("102 before a packed body", interim(102) + PACKED, True),
    ("several first", interim(102) * 20 + PLAIN, True),
    ("bytes after the reply", PLAIN + b"HTTP/1.1 200 OK\r\n", False),
]
REFUSED = [
    ("101", interim(101) + PLAIN, "101 Switching Protocols"),
    ("not HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1.1"),
    ("lengths that differ", PLAIN.replace(b"\r\n", b"\r\nContent-Length: 99\r\n", 1), "Content-Length"),
    ("chunk size that is none", CHUNKED.replace(b"4;x=y", b"zz"), "malformed chunk size"),
    ("102 and the end", interim(102), ""),
    ("cut short", PLAIN[:-2], ""),
    ("chunks cut short", CHUNKED[:-7], ""),
]


@pytest.fixture
def session(monkeypatch):
    def start(url: str) -> requests.Session:
        extra = {"region": "cn-north-4", "project_id": "p1", "endpoint": url, "timeout": 5}
        connection = {"conn_type": "cloudsync", "login": "ak", "password": "sk", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
        return CloudSyncHook().get_conn()

    return start


@pytest.mark.parametrize("stream", [False, True], ids=["read", "streamed"])
@pytest.mark.parametrize(("data", "kept"), [pytest.param(*case[1:], id=case[0]) for case in ACCEPTED])
def test_accepted(serve, session, data, kept, stream):
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(data)
        if kept and peer.read() is not None:
            peer.send(raw_reply(b"next", "404 Not Found"))

    server = serve(script, answers(raw_reply(b"next", "404 Not Found")))
    with session(server.url) as opened:
        reply = opened.post(server.url + "/x", json={}, stream=stream)
        assert (reply.status_code, reply.reason, reply.headers["X-Request-Id"]) == (200, "OK", "r1")
        assert b"".join(reply.iter_content(3)) == BODY
        assert reply.headers.get("Content-Type") == ("application/json" if b"Content-Type" in data else None)
        following = opened.get(server.url + "/x")
        assert following.content == b"next"
        with pytest.raises(requests.HTTPError, match="404 Client Error: Not Found"):
            following.raise_for_status()
    assert server.connections == (1 if kept else 2)


@pytest.mark.parametrize(("data", "says"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refused(serve, session, data, says):
    """With an error of the library, as its callers expect."""
    server = serve(answers(data, close=True), answers(raw_reply(b"next")))
    with session(server.url) as opened:
        with pytest.raises(requests.RequestException, match=says or None):
            opened.post(server.url + "/x", json={})
        assert opened.get(server.url + "/x").content == b"next"
    assert len(server.requests) == 2


def test_a_head(serve, session):
    server = serve(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
    with session(server.url) as opened:
        for _ in range(2):
            reply = opened.head(server.url + "/x")
            assert (reply.headers["Content-Length"], reply.content) == ("1234", b"")
    assert server.connections == 1


def test_a_call_within_a_call(serve, session):
    """A hook of the session makes a call of its own, and the reply of the outer one is read after it."""
    server = serve(answers(PLAIN))
    with session(server.url) as opened:
        assert opened.get(server.url + "/x").ok  # the key counts as accepted after it
        inner: list[Any] = []

        def call(reply: requests.Response, **_: Any) -> None:
            if not inner:
                inner.append(None)
                inner.append(opened.get(server.url + "/inner").content)

        assert opened.get(server.url + "/x", hooks={"response": call}).content == BODY
        assert inner == [None, BODY]
        assert opened.get(server.url + "/x").content == BODY
