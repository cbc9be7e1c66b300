"""Replies as raw bytes, well-formed and malformed: one outcome in both drivers, and the connection in step after it."""

from __future__ import annotations

import gzip
import threading
import zlib
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import Flow, HttpSettings, Pause
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport import reply_parser
from airflow_provider_cloudsync.transport.reply_parser import MalformedReply, ReplyParser
from tests.support.raw_server import Peer
from tests.support.wire_drivers import (
    answers,
    http,
    one,
    outcome,
    raw_reply,
    several,
)

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"a": 1}'
LENGTH = b"Content-Length: 8\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
KEPT, CLOSED = "kept", "closed"


def with_headers(*lines: bytes) -> bytes:
    return OK + LENGTH + b"".join(lines) + b"\r\n" + BODY


def with_length(*values: bytes) -> bytes:
    return OK + b"".join(b"Content-Length: %b\r\n" % value for value in values) + b"\r\n" + BODY


def in_chunks(chunks: bytes, *lines: bytes) -> bytes:
    return CHUNKED + b"".join(lines) + b"\r\n" + chunks


def packed(body: bytes, encoding: bytes) -> bytes:
    return OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (encoding, len(body), body)


RAW_DEFLATE = zlib.compress(BODY)[2:-4]
#: Accepted replies: id, bytes, and whether the connection serves the next request. All have the status 200 and the same
#: body, unless others are named.
ACCEPTED: list[tuple[Any, ...]] = [
    ("plain", with_headers(), KEPT),
    ("header without a colon", with_headers(b"X-XSS-Protection=1;\r\n"), KEPT),
    ("name with a blank", with_headers(b"X Echo: y\r\n"), KEPT),
    ("blank before the colon", with_headers(b"X-Echo : y\r\n"), KEPT),
    ("name with a control character", with_headers(b"X-\x01Echo: y\r\n"), KEPT),
    ("name with NUL", with_headers(b"X-\x00Echo: y\r\n"), KEPT),
    ("name that is not ASCII", with_headers(b"X-\xe9cho: y\r\n"), KEPT),
    ("name with brackets", with_headers(b"X(Echo): y\r\n"), KEPT),
    ("no name", with_headers(b": y\r\n"), KEPT),
    ("only a colon", with_headers(b":\r\n"), KEPT),
    ("no value", with_headers(b"X-Echo:\r\n"), KEPT),
    ("value that is not ASCII", with_headers(b"X-Echo: \xff\xfe\r\n"), KEPT),
    ("value with NUL", with_headers(b"X-Echo: a\x00b\r\n"), KEPT),
    ("value with a control character", with_headers(b"X-Echo: a\x07b\r\n"), KEPT),
    ("carriage return in a value", with_headers(b"X-Echo: a\rb\r\n"), KEPT),
    ("folded header", with_headers(b"X-Echo: a\r\n  b\r\n"), KEPT),
    ("fold before any header", OK + b" fold\r\n" + LENGTH + b"\r\n" + BODY, KEPT),
    ("repeated header", with_headers(b"X-Echo: a\r\nX-Echo: b\r\n"), KEPT),
    ("100 headers", with_headers(*[b"X-%d: y\r\n" % number for number in range(100)]), KEPT),
    ("2,000 headers", with_headers(*[b"X-%d: y\r\n" % number for number in range(2000)]), KEPT),
    # Backtracking over the blanks would take a minute.
    ("blanks before a byte that is not ASCII", with_headers(b"X:" + b" \t" * 50_000 + b"\xff\r\n"), KEPT),
    ("a cookie of 9 KiB", with_headers(b"Set-Cookie: a=" + b"x" * 9000 + b"\r\n"), KEPT),
    ("keep-alive", with_headers(b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"), KEPT),
    ("closes", with_headers(b"Connection: close\r\n"), CLOSED),
    ("closes, in a list", with_headers(b"Connection: x, Close\r\n"), CLOSED),
    ("equal lengths", with_length(b"8", b"8"), KEPT),
    ("equal lengths in a list", with_length(b"8, 8"), KEPT),
    ("length with zeros", with_length(b"0008"), KEPT),
    ("bare line feeds", with_headers(b"X-Echo: y\r\n").replace(b"\r\n", b"\n"), KEPT),
    ("bare line feed in one place", OK + b"X-Echo: y\n" + LENGTH + b"\r\n" + BODY, KEPT),
    ("blank lines first", b"\r\n\r\n" + with_headers(), KEPT),
    ("no reason", with_headers().replace(b" OK", b""), KEPT),
    ("reason with bytes", with_headers().replace(b"OK", b"\xe6\x88\x90\x01"), KEPT),
    ("two blanks in the status line", with_headers().replace(b" 200 ", b"  200  "), KEPT),
    ("a status beyond 599", with_headers().replace(b"200 OK", b"999 Odd"), KEPT, 999),
    ("HTTP/1.0", with_headers().replace(b"HTTP/1.1", b"HTTP/1.0"), CLOSED),
    ("HTTP/1.0 without length", b"HTTP/1.0 200 OK\r\n\r\n" + BODY, CLOSED),
    ("HTTP/1.0 keep-alive", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n" + BODY, CLOSED),
    ("no length", OK + b"\r\n" + BODY, CLOSED),
    ("chunks", in_chunks(b"4\r\n" + BODY[:4] + b"\r\n4\r\n" + BODY[4:] + b"\r\n0\r\n\r\n"), KEPT),
    ("chunk extension", in_chunks(b'8;a=b;c="d"\r\n' + BODY + b"\r\n0;e\r\n\r\n"), KEPT),
    (
        "chunk size in capitals",
        in_chunks(b"00A\r\n" + b"[" + BODY + b"]\r\n0\r\n\r\n"),
        KEPT,
        200,
        b"[%b]" % BODY,
    ),
    ("blanks after a chunk size", in_chunks(b"8 \t\r\n" + BODY + b"\r\n0\r\n\r\n"), KEPT),
    ("chunks with line feeds", in_chunks(b"8\n" + BODY + b"\n0\n\n"), KEPT),
    ("chunks of one byte", in_chunks(b"".join(b"1\r\n%c\r\n" % each for each in BODY) + b"0\r\n\r\n"), KEPT),
    (
        "3,000 chunks of 64 bytes",
        in_chunks(
            b"".join(b"40\r\n%b\r\n" % (b" " * 64) for _ in range(3000)) + b"8\r\n" + BODY + b"\r\n0\r\n\r\n"
        ),
        KEPT,
        200,
        b" " * 192_000 + BODY,
    ),
    (
        "chunks in every form",
        in_chunks(b" 1;a=b\n" + BODY[:1] + b"\n06 \r\n" + BODY[1:7] + b"\r\n1;\r\n" + BODY[7:] + b"\n00\n\n"),
        KEPT,
    ),
    ("trailers", in_chunks(b"8\r\n" + BODY + b"\r\n0\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n"), KEPT),
    ("chunked in capitals", OK + b"Transfer-Encoding: CHUNKED\r\n\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n", KEPT),
    ("no chunk", in_chunks(b"0\r\n\r\n"), KEPT, 200, b""),
    ("gzip", packed(gzip.compress(BODY), b"gzip"), KEPT),
    ("x-gzip", packed(gzip.compress(BODY), b"x-gzip"), KEPT),
    ("gzip in capitals", packed(gzip.compress(BODY), b"GZIP"), KEPT),
    ("deflate", packed(zlib.compress(BODY), b"deflate"), KEPT),
    ("deflate without a header", packed(RAW_DEFLATE, b"deflate"), KEPT),
    ("identity", packed(BODY, b"identity"), KEPT),
    ("gzip of an empty body", packed(b"", b"gzip"), KEPT, 200, b""),
    ("an error in an unknown encoding", packed(b"?", b"br").replace(b"200 OK", b"503 Busy"), KEPT, 503, b""),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", KEPT, 204, b""),
    ("204 with a body", b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\n" + BODY, CLOSED, 204, b""),
    ("304", b"HTTP/1.1 304 Not Modified\r\n\r\n", KEPT, 304, b""),
    ("100 first", CONTINUE + with_headers(), KEPT),
    ("102 first", CONTINUE.replace(b"100", b"102") + with_headers(), KEPT),
    ("103 with headers first", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + with_headers(), KEPT),
    ("199 first", b"HTTP/1.1 199\r\n\r\n" + with_headers(), KEPT),
    ("several of 1xx first", CONTINUE * 20 + with_headers(), KEPT),
    ("1xx before an error", CONTINUE + with_headers().replace(b"200 OK", b"503 Busy"), KEPT, 503),
    ("bytes after the reply", with_headers() + b"HTTP/1.1 200 OK\r\n", CLOSED),
    ("bytes after the chunks", in_chunks(b"8\r\n" + BODY + b"\r\n0\r\n\r\nmore"), CLOSED),
    ("bytes after a 204", b"HTTP/1.1 204 No Content\r\n\r\nmore", CLOSED, 204, b""),
]
#: Refused replies: id, bytes, and what the error says; empty where the connection ends too early.
REFUSED: list[tuple[str, bytes, str]] = [
    (
        "101",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + with_headers(),
        "101 Switching Protocols",
    ),
    ("1xx and the end", CONTINUE, ""),
    ("1xx up to the limit", CONTINUE * 6000, "more than 128 KiB of headers"),
    ("lengths that differ", with_length(b"8", b"9"), 'several "Content-Length"'),
    ("lengths that differ, in a list", with_length(b"8, 9"), 'several "Content-Length"'),
    ("negative length", with_length(b"-8"), 'malformed "Content-Length"'),
    ("signed length", with_length(b"+8"), 'malformed "Content-Length"'),
    ("length in hex", with_length(b"0x8"), 'malformed "Content-Length"'),
    ("length with an underscore", with_length(b"0_8"), 'malformed "Content-Length"'),
    ("empty length", with_length(b""), 'malformed "Content-Length"'),
    ("length that is a word", with_length(b"eight"), 'malformed "Content-Length"'),
    ("length of 20 digits", with_length(b"1" * 20), 'malformed "Content-Length"'),
    ("length with other digits", with_length("٨".encode()), 'malformed "Content-Length"'),
    (
        "blank before the colon of the length",
        OK + b"Content-Length : 8\r\n\r\n" + BODY,
        'malformed "Content-Length"',
    ),
    ("length without a colon", OK + b"Content-Length 8\r\n\r\n" + BODY, 'malformed "Content-Length"'),
    ("length with NUL", OK + b"Content-Length\x00: 8\r\n\r\n" + BODY, 'malformed "Content-Length"'),
    ("folded length", OK + b"Content-Length:\r\n 8\r\n\r\n" + BODY, 'malformed "Content-Length"'),
    (
        "length in a fold",
        OK + b"X-Echo: y\r\n Content-Length: 8\r\n\r\n" + BODY,
        'malformed "Content-Length"',
    ),
    (
        "length after a carriage return",
        OK + b"X: y\rContent-Length: 8\r\n\r\n" + BODY,
        'malformed "Content-Length"',
    ),
    ("both", CHUNKED + LENGTH + b"\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n", 'both a "Content-Length" and'),
    (
        "another coding",
        OK + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
        '"Transfer-Encoding" header other than',
    ),
    ("two codings", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", '"Transfer-Encoding"'),
    ("chunked twice", CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", '"Transfer-Encoding"'),
    (
        "chunked identity",
        OK + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
        '"Transfer-Encoding"',
    ),
    ("HTTP/1.0 in chunks", CHUNKED.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n", '"Transfer-Encoding"'),
    (
        "coding without a colon",
        OK + b"Transfer-Encoding chunked\r\n\r\n0\r\n\r\n",
        'malformed "Transfer-Encoding"',
    ),
    ("chunk size that is none", in_chunks(b"zz\r\n" + BODY), "malformed chunk size"),
    ("signed chunk size", in_chunks(b"+8\r\n" + BODY + b"\r\n0\r\n\r\n"), "malformed chunk size"),
    ("chunk size with 0x", in_chunks(b"0x8\r\n" + BODY + b"\r\n0\r\n\r\n"), "malformed chunk size"),
    (
        "chunk size with an underscore",
        in_chunks(b"0_8\r\n" + BODY + b"\r\n0\r\n\r\n"),
        "malformed chunk size",
    ),
    ("empty chunk size", in_chunks(b"\r\n" + BODY + b"\r\n0\r\n\r\n"), "malformed chunk size"),
    ("chunk longer than its size", in_chunks(b"4\r\n" + BODY + b"\r\n0\r\n\r\n"), "a chunk"),
    ("endless chunk extension", in_chunks(b"8;" + b"x" * 9000), "chunk line that is too long"),
    ("55,000 chunks of one byte", in_chunks(b"1\r\nx\r\n" * 55_000), "too many small chunks"),
    ("endless trailers", in_chunks(b"0\r\n" + b"X: y\r\n" * 4000), "KiB of trailers"),
    ("chunks cut short", in_chunks(b"8\r\n" + BODY + b"\r\n"), ""),
    ("trailers cut short", in_chunks(b"8\r\n" + BODY + b"\r\n0\r\nX: y\r\n"), ""),
    ("length cut short", with_length(b"9"), ""),
    ("head cut short", OK + LENGTH, ""),
    ("not HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1.1"),
    ("HTTP misspelt", with_headers().replace(b"HTTP/", b"HTTPS/"), "not HTTP/1.1"),
    ("HTTP in small letters", with_headers().replace(b"HTTP", b"http"), "not HTTP/1.1"),
    ("HTTP/2", with_headers().replace(b"HTTP/1.1", b"HTTP/2"), "status line"),
    ("HTTP/1.2", with_headers().replace(b"HTTP/1.1", b"HTTP/1.2"), "status line"),
    ("status of two digits", with_headers().replace(b"200", b"20"), "status line"),
    ("status of four digits", with_headers().replace(b"200", b"2000"), "status line"),
    ("status below 100", with_headers().replace(b"200", b"099"), "status line"),
    ("status that is a word", with_headers().replace(b"200", b"abc"), "status line"),
    ("no status", with_headers().replace(b" 200 OK", b""), "status line"),
    ("2,501 headers", with_headers(b"X: y\r\n" * 2500), "more than 2,500 headers"),
    ("2,501 malformed headers", with_headers(b"y\n" * 2500), "more than 2,500 headers"),
    ("2,501 folded lines", with_headers(b"X: y\r\n" + b" z\n" * 2499), "more than 2,500 headers"),
    (
        "headers of 200 KiB",
        with_headers(b"X-Echo: " + b"y" * 200_000 + b"\r\n"),
        "more than 128 KiB of headers",
    ),
    ("br", packed(BODY, b"br"), '"Content-Encoding"'),
    ("zstd", packed(BODY, b"zstd"), '"Content-Encoding"'),
    ("gzip twice", packed(gzip.compress(gzip.compress(BODY)), b"gzip, gzip"), '"Content-Encoding"'),
    ("gzip that is none", packed(BODY, b"gzip"), '"Content-Encoding"'),
    ("gzip cut short", packed(gzip.compress(BODY)[:-5], b"gzip"), "cut short"),
    ("gzip and more", packed(gzip.compress(BODY) + b"more", b"gzip"), "cut short"),
    ("encoding with a blank", OK + LENGTH + b"Content-Encoding : gzip\r\n\r\n" + BODY, '"Content-Encoding"'),
]


@pytest.mark.parametrize(
    ("reply", "connection", "expected"),
    [
        pytest.param(case[1], case[2], (*case[3:], 200)[:1] + (case[4:] or (BODY,)), id=case[0])
        for case in ACCEPTED
    ],
)
def test_accepted(serve, drive, reply, connection, expected):
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        if connection == KEPT and peer.read() is not None:
            peer.send(raw_reply(b"next"))

    server = serve(script, answers(raw_reply(b"next")))
    first, second = drive(several(http(server.url), http(server.url)))
    assert (first.status, first.body) == expected
    # Whatever came with the reply, the next call gets its own.
    assert (second.status, second.body) == (200, b"next")
    assert server.connections == (1 if connection == KEPT else 2)


@pytest.mark.parametrize(("reply", "says"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refused(serve, drive, reply, says):
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(reply)
        # Where only the body can't be decoded, the connection can be used again.
        if says and peer.read() is not None:
            peer.send(raw_reply(b"next"))

    server = serve(script, answers(raw_reply(b"next")))

    def flow() -> Flow[Any]:
        with pytest.raises(TransportError) as caught:
            yield http(server.url, "POST", b"{}")
        return caught.value, (yield http(server.url)).body

    error, after = drive(flow())
    assert says in error.message
    assert (error.sent, error.permanent, after) == (True, False, b"next")
    assert len(server.requests) == 2


def test_headers(serve, drive):
    """Names in lower case, of repeated ones the first, without malformed ones."""
    reply = with_headers(
        b"X-Request-Id:  A-b \r\n",
        b"X-REQUEST-ID: second\r\n",
        b"X Broken: y\r\n",
        b"X-Folded: a\r\n\t b\r\n",
        b"X-Bytes: \xc3\xa9\x00!\r\n",
    )
    headers = drive(one(http(serve(answers(reply)).url))).headers
    assert headers == {"content-length": "8", "x-request-id": "A-b", "x-folded": "a b", "x-bytes": "!"}


@pytest.mark.parametrize(
    "piece", [CONTINUE, b"\r\n", b"X-More: y\r\n", b"x"], ids=["100", "blank", "header", "bytes"]
)
def test_a_head_without_end_is_given_up(serve, drive, piece):
    """Each piece comes within the read timeout."""
    ended = []

    def script(peer: Peer) -> None:
        peer.read()
        if piece in (b"X-More: y\r\n", b"x"):
            peer.send(OK)
        try:
            while not peer.server.ended[0].wait(0.01):
                peer.send(piece)
        except OSError:
            ended.append(True)
            raise

    server = serve(script)
    http_settings = HttpSettings(connect_timeout=0.05, read_timeout=0.05)
    assert outcome(drive, http(server.url, http_settings=http_settings)) == (
        "TransportError",
        "sent",
        "may pass",
    )
    assert server.ended[0].wait(5)
    assert ended == [True]


def test_unasked_bytes_on_a_kept_connection(serve, drive):
    """A second reply that comes late must not be taken for that of the next request."""
    arrived = threading.Event()

    def script(peer: Peer) -> None:
        peer.read()
        peer.send(raw_reply(b"first"))
        peer.send(raw_reply(b"unasked"))
        arrived.set()
        peer.until_the_client_closes()

    server = serve(script, answers(raw_reply(b"next")))

    def flow() -> Flow[list[bytes]]:
        first = yield http(server.url)
        assert arrived.wait(5)
        yield Pause(0.005)  # asyncio sees what has arrived in its loop only
        return [first.body, (yield http(server.url)).body]

    assert drive(flow()) == [b"first", b"next"]


# --- the parser by itself ------------------------------------------------------------------------------------------


def fed(pieces: list[bytes]) -> tuple[Any, ...]:
    parser = ReplyParser("GET")
    out = b""
    try:
        for piece in pieces:
            out += parser.feed(piece)
    except MalformedReply:
        return ("refused", parser.error)
    head = parser.head
    body = out.partition(b"\r\n\r\n")[2]
    if head is not None and head.is_chunked:
        body = joined(body)
    return head, body, parser.finished, parser.surplus, parser.is_cut_short


def joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size, 16)
        body, chunks = body + chunks[:length], chunks[length + 2 :]
    return body


@pytest.mark.parametrize(
    "reply",
    [pytest.param(case[1], id=case[0]) for case in (*ACCEPTED, *REFUSED) if len(case[1]) < 2000],
)
def test_it_does_not_matter_how_a_reply_is_cut(reply):
    whole = fed([reply])
    assert fed([reply[at : at + 1] for at in range(len(reply))]) == whole
    for at in range(len(reply)):
        assert fed([reply[:at], reply[at:]]) == whole


def test_a_head_in_small_pieces_takes_no_quadratic_time():
    """Counted, not timed: each search starts near the end of what is known."""
    parser = ReplyParser("GET")
    searched = []

    class Counting:
        def search(self, text: bytearray, start: int) -> None:
            searched.append(len(text) - start)

    original, reply_parser._HEAD_END = reply_parser._HEAD_END, Counting()  # type: ignore[assignment]
    try:
        for _ in range(1000):
            parser.feed(b"HTTP/1.1 2")
    finally:
        reply_parser._HEAD_END = original
    assert max(searched) < 20


def test_all_values_of_a_repeated_header_are_there_for_a_user_of_the_library() -> None:
    head = reply_parser.parse_head("HTTP/1.1 200 OK\r\nLink: a\r\nX: 1\r\nLink: b\r\n", "GET")
    assert (head.headers["link"], head.joined_headers()["link"]) == ("a", "a, b")
