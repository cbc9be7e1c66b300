"""Failures before a request is sent, in both drivers: never in doubt, and the proxy is named where there is one."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Pause
from airflow_provider_cloudsync.exceptions import TransportError
from tests.support.certificates import Certificate, make_certificate
from tests.support.raw_server import Peer, Script, Server
from tests.support.wire_drivers import (
    HASTY,
    NEVER_LEFT,
    NEVER_WILL,
    QUICK,
    Drive,
    Start,
    answers,
    http,
    one,
    outcome,
    raw_reply,
    several,
)

#: On Linux; other systems send the pieces by themselves.
TCP_CORK = getattr(socket, "TCP_CORK", socket.TCP_NODELAY)
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
PREFIX = "no connection through the proxy: "


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1", "service.invalid")


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("unknown"), "127.0.0.1", "service.invalid")


def tunnel_to(server: Server) -> Script:
    """A proxy that opens a tunnel, and passes on what comes from either side."""

    def script(peer: Peer) -> None:
        peer.read()
        with socket.create_connection(("127.0.0.1", server.port)) as inner:
            peer.send(ESTABLISHED)
            ways: dict[Any, Any] = {peer.socket: inner, inner: peer.socket}
            while True:
                for source in select.select(list(ways), [], [], 10)[0]:
                    data = source.recv(65_536)
                    if not data:
                        return
                    ways[source].sendall(data)

    return script


# --- TLS handshakes ------------------------------------------------------------------------------------------------


def close(peer: Peer) -> None:
    peer.socket.recv(10_000)


def close_at_once(peer: Peer) -> None:
    pass


def reset(peer: Peer) -> None:
    peer.socket.recv(10_000)
    peer.reset()


def garbage(peer: Peer) -> None:
    peer.socket.recv(10_000)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def alert(peer: Peer) -> None:
    peer.socket.recv(10_000)
    peer.send(b"\x15\x03\x03\x00\x02\x02\x28")  # handshake_failure
    peer.until_the_client_closes()


def stall(peer: Peer) -> None:
    peer.until_the_client_closes()


def close_within(peer: Peer) -> None:
    peer.socket.recv(10_000)
    peer.send(b"\x16\x03\x03\x00\x7a\x02\x00")  # the beginning of a ServerHello


#: id, what the peer does in place of a handshake, outcome; None: it has a certificate that is not trusted.
HANDSHAKES: list[tuple[str, Script | None, tuple[Any, ...]]] = [
    ("closed at once", close_at_once, NEVER_LEFT),
    ("closed after the hello", close, NEVER_LEFT),
    ("closed within its hello", close_within, NEVER_LEFT),
    ("reset", reset, NEVER_LEFT),
    ("garbage", garbage, NEVER_LEFT),
    ("alert", alert, NEVER_LEFT),
    ("stalls", stall, NEVER_LEFT),
    ("certificate refused", None, NEVER_WILL),
]

Route = Callable[[Start, Server, Certificate], dict[str, Any]]


def direct(serve: Start, peer: Server, certificate: Certificate) -> dict[str, Any]:
    return {"url": f"https://{peer.address}/path"}


def through_a_proxy(serve: Start, peer: Server, certificate: Certificate) -> dict[str, Any]:
    return {"proxy": serve(tunnel_to(peer)).url}


def through_a_proxy_with_tls(serve: Start, peer: Server, certificate: Certificate) -> dict[str, Any]:
    return {"proxy": serve(tunnel_to(peer), tls=certificate.context).url}


def to_the_proxy(serve: Start, peer: Server, certificate: Certificate) -> dict[str, Any]:
    return {"proxy": f"https://{peer.address}"}


def to_the_proxy_for_http(serve: Start, peer: Server, certificate: Certificate) -> dict[str, Any]:
    return {"proxy": f"https://{peer.address}", "url": "http://service.invalid/path"}


@pytest.mark.parametrize(
    "route", [direct, through_a_proxy, through_a_proxy_with_tls, to_the_proxy, to_the_proxy_for_http]
)
@pytest.mark.parametrize(("ending", "expected"), [pytest.param(*case[1:], id=case[0]) for case in HANDSHAKES])
def test_a_handshake_that_fails(serve, drive, certificate, unknown, route, ending, expected):
    peer = serve(ending) if ending else serve(tls=unknown.context)
    given = {"url": "https://service.invalid/path", "proxy": "", **route(serve, peer, certificate)}
    http_settings = replace(
        HASTY if ending is stall else QUICK, proxy=given["proxy"], verify=certificate.path, allow_http=True
    )
    request = http(given["url"], "POST", b"{}", http_settings)
    assert outcome(drive, request) == expected
    assert peer.requests == []
    with pytest.raises(TransportError) as caught:
        drive(one(request))
    assert caught.value.message.startswith(PREFIX) == bool(given["proxy"])
    if not ending:
        assert "the certificate was rejected: self-signed certificate" in caught.value.message


def test_a_handshake_that_fails_on_a_kept_session(serve, drive, certificate):
    """An earlier request on the same session says nothing of this one."""
    target = serve(answers(raw_reply(), close=True), tls=certificate.context)
    proxy = serve(tunnel_to(target), tunnel_to(serve(close)))
    http_settings = replace(QUICK, proxy=proxy.url, verify=certificate.path)
    url = "https://service.invalid/"
    assert drive(one(http(url, http_settings=http_settings))).status == 200
    assert outcome(drive, http(url, "POST", b"{}", http_settings)) == NEVER_LEFT


# --- the reply to CONNECT ------------------------------------------------------------------------------------------


def replies(data: bytes) -> Script:
    return answers(data, close=True)


def connect_reset(peer: Peer) -> None:
    peer.read()
    peer.reset()


def connect_stall(peer: Peer) -> None:
    peer.read()
    peer.until_the_client_closes()


def connect_stall_within(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nX-")
    peer.until_the_client_closes()


#: id, what the proxy does with CONNECT. Both drivers are to say: not sent, may pass.
NO_TUNNEL: list[tuple[str, Script]] = [
    ("closed at once", close_at_once),
    ("closed", replies(b"")),
    ("reset", connect_reset),
    ("stalls", connect_stall),
    ("stalls within the head", connect_stall_within),
    ("cut short", replies(b"HTTP/1.1 200 OK\r\nX-")),
    ("not HTTP", replies(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    ("HTTP misspelt", replies(b"HTTPS/1.1 200 OK\r\n\r\n")),
    ("HTTP/2", replies(b"HTTP/2 200 OK\r\n\r\n")),
    ("status that is a word", replies(b"HTTP/1.1 abc OK\r\n\r\n")),
    ("status of two digits", replies(b"HTTP/1.1 20 OK\r\n\r\n")),
    ("status of four digits", replies(b"HTTP/1.1 2000 OK\r\n\r\n")),
    ("headers of 200 KiB", replies(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n")),
    ("a TLS alert", replies(b"\x15\x03\x03\x00\x02\x02\x28")),
    ("1xx and the end", replies(b"HTTP/1.1 100 Continue\r\n\r\n")),
    ("101", replies(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")),
    ("malformed refusal", replies(b"HTTP/1.1 403\r\nContent-Length: x\r\n\r\n")),
]


def connecting(proxy: Server, http_settings: Any = QUICK) -> HttpRequest:
    return http("https://service.invalid/path", "POST", b"{}", replace(http_settings, proxy=proxy.url))


@pytest.mark.parametrize("script", [pytest.param(case[1], id=case[0]) for case in NO_TUNNEL])
@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
def test_no_tunnel(serve, drive, certificate, script, tls):
    proxy = serve(script, tls=certificate.context if tls else None)
    stalls = script in (connect_stall, connect_stall_within)
    request = connecting(proxy, replace(HASTY if stalls else QUICK, verify=certificate.path))
    assert outcome(drive, request) == NEVER_LEFT
    assert all(received.line.startswith("CONNECT ") for received in proxy.requests)
    with pytest.raises(TransportError) as caught:
        drive(one(request))
    assert caught.value.message.startswith((PREFIX, "the proxy "))


#: Replies to CONNECT with which the tunnel stands.
TUNNEL = [
    ("plain", ESTABLISHED),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n"),
    ("no reason", b"HTTP/1.1 200\r\n\r\n"),
    ("headers", b"HTTP/1.1 200 OK\r\nProxy-Agent: x\r\nVia: y\r\n\r\n"),
    ("100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + ESTABLISHED),
]


@pytest.mark.parametrize("reply", [pytest.param(case[1], id=case[0]) for case in TUNNEL])
def test_a_tunnel(serve, drive, certificate, reply):
    """Twice, since the connection through it is kept."""

    def tunnel(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        peer.socket = certificate.context.wrap_socket(peer.socket, server_side=True)
        answers(raw_reply(b"through"))(peer)

    proxy = serve(tunnel)
    request = replace(connecting(proxy, replace(QUICK, verify=certificate.path)), method="GET", body=b"")
    assert [each.body for each in drive(several(request, request))] == [b"through"] * 2
    assert proxy.connections == 1


def test_a_tunnel_within_tls(serve, drive: Drive, certificate):
    target = serve(answers(raw_reply(b"through")), tls=certificate.context)
    proxy = serve(tunnel_to(target), tls=certificate.context)
    request = replace(connecting(proxy, replace(QUICK, verify=certificate.path)), method="GET", body=b"")
    assert [each.body for each in drive(several(request, request))] == [b"through"] * 2
    assert (proxy.connections, target.connections) == (1, 1)


def test_plain_http_through_a_proxy_with_tls(serve, drive, certificate):
    proxy = serve(tls=certificate.context)
    http_settings = replace(QUICK, proxy=proxy.url, verify=certificate.path)
    assert outcome(drive, http("http://service.invalid/path", http_settings=http_settings)) == (200, b"{}")


ENDED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"
#: Pieces that a server sends in reply to one request. Each is a TLS record, and all arrive at once.
SURPLUS = [
    ("in the record of the reply", [raw_reply(b"first") + raw_reply(b"unasked")]),
    ("in another record", [raw_reply(b"first"), raw_reply(b"unasked")]),
    ("in the record of the last chunk", [ENDED + b"unasked"]),
    ("in another record after the last chunk", [ENDED, b"unasked"]),
    ("after a 204", [b"HTTP/1.1 204 No Content\r\n\r\n", raw_reply(b"unasked")]),
]


@pytest.mark.parametrize("pieces", [pytest.param(case[1], id=case[0]) for case in SURPLUS])
@pytest.mark.parametrize("within", [False, True], ids=["http proxy", "https proxy"])
def test_surplus_through_a_tunnel(serve, drive, certificate, pieces, within):
    """The connection is closed, so that the next request does not get what was left."""

    def script(peer: Peer) -> None:
        peer.read()
        with socket.socket(fileno=os.dup(peer.socket.fileno())) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 1)
            for piece in pieces:
                peer.send(piece)
            raw.setsockopt(socket.IPPROTO_TCP, TCP_CORK, 0)
        peer.until_the_client_closes()

    target = serve(script, answers(raw_reply(b"next")), tls=certificate.context)
    proxy = serve(tunnel_to(target), tls=certificate.context if within else None)
    request = replace(connecting(proxy, replace(QUICK, verify=certificate.path)), method="GET", body=b"")

    def flow() -> Flow[list[bytes]]:
        first = yield request
        yield Pause(0.005)  # asyncio sees what has arrived in its loop only
        return [first.body, (yield request).body]

    assert drive(flow()) == [b"" if b"204" in pieces[0] else b"first", b"next"]
    assert target.connections == 2
