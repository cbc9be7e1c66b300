"""Parser of HTTP/1.1 replies that stands between the socket and both HTTP libraries.

The libraries disagree on malformed replies, so what is acceptable is decided here, and a library is handed a minimal
reply: a status line, the framing of the body, and the body. The rules:

- A malformed header is ignored, unless it may concern the framing of the body: then the reply is refused.
- Framing that can be understood in two ways is refused, since the next reply on the connection would be misread.
- Interim replies (1xx) are skipped. 101 is refused: no other protocol was asked for.
- Bytes after the end of a reply are dropped, and the connection is not used again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

#: Bytes of all heads of one reply, the interim ones included. A token takes up to 32 KiB of it.
MAX_HEAD = 128 * 1024
#: Headers of one reply. Malformed ones are read slowly, so their number is limited and not only their size.
MAX_HEADERS = 2500
_MAX_LINE = 8 * 1024
_MAX_TRAILERS = 16 * 1024
#: Chunks of one reply, beside one for each so many bytes of its content. A server that flushes each JSON token sends
#: chunks of a few bytes; 256 KiB of chunks of one byte take 75 ms.
_MAX_CHUNKS, _MIN_CHUNK = 50_000, 16

_NAME_MARKS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: A well-formed header. Others are read more slowly. No two parts match the same characters: backtracking over a long
#: run of blanks would stop the event loop for minutes.
_FIELDS = re.compile(rf"^({_NAME_MARKS}):([\t -~]*)\r\n", re.MULTILINE)
_NAME = re.compile(_NAME_MARKS)
_UNPRINTABLE = re.compile(r"[^\t -~]")
_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(r"HTTP/1\.([01])[ \t]+([1-9][0-9]{2})(?:[ \t][^\n]*)?")
_LENGTH = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
#: The same as a whole line.
_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
#: Headers that decide where a body ends and how it is decoded.
_FRAMING = ("content-length", "transfer-encoding", "content-encoding")
#: Headers whose repetitions are one list. Of all others, the first counts.
_LISTS = (*_FRAMING, "connection")


class MalformedReply(Exception):
    """The reply cannot be used. The text names the cause."""


@dataclass(slots=True)
class Head:
    """Status and headers of a reply.

    :param headers: by lower-case name.
    :param length: bytes of the body; None where they are not announced.
    :param closes: whether the server closes the connection, or the connection cannot be used again.
    """

    status: int
    headers: dict[str, str]
    length: int | None
    is_chunked: bool
    closes: bool
    lines: str = ""

    def joined_headers(self) -> dict[str, str]:
        """Return all headers, with the values of a repeated one joined by commas, as HTTP libraries do."""
        return _lenient_fields(self.lines, joins_all=True)

    def minimal(self) -> bytes:
        """The head that the libraries read."""
        if self.is_chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            framing = b"" if self.length is None else b"Content-Length: %d\r\n" % self.length
        return b"HTTP/1.1 %d \r\n%b%b\r\n" % (
            self.status,
            framing,
            b"Connection: close\r\n" if self.closes else b"",
        )


def parse_head(raw: str, method: str) -> Head:
    """Parse a head, from its status line to the line before the empty one; each line ends with CRLF or LF.

    :param raw: decoded as Latin-1.
    :param method: of the request.
    :raises MalformedReply: if it is not acceptable.
    """
    start, _, lines = raw.partition("\n")
    matched = _STATUS_LINE.fullmatch(start.removesuffix("\r"))
    if matched is None:
        raise MalformedReply("the reply has a malformed HTTP/1.1 status line")
    status = int(matched[2])
    count = lines.count("\n")
    if count > MAX_HEADERS:
        raise MalformedReply(f"the reply has more than {MAX_HEADERS:,} headers")
    pairs = _FIELDS.findall(lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    if len(pairs) != count or len(headers) != count:
        headers = _lenient_fields(lines)

    is_chunked = "transfer-encoding" in headers and _is_chunked(headers, matched[1])
    length = _length(headers)
    if is_chunked and length is not None:
        raise MalformedReply('the reply has both a "Content-Length" and a "Transfer-Encoding" header')
    connection = headers.get("connection", "").lower()
    closes = matched[1] == "0" or ("close" in connection and "close" in _items(connection))
    if method == "HEAD":
        length, is_chunked = 0, False
    elif status in (204, 304) or (method == "CONNECT" and status < 300):
        closes = closes or bool(length) or is_chunked  # a body may follow all the same
        length, is_chunked = 0, False
    elif length is None and not is_chunked:
        closes = True
    return Head(status, headers, length, is_chunked, closes, lines)


def _lenient_fields(lines: str, *, joins_all: bool = False) -> dict[str, str]:
    """Read headers of which some are malformed, folded or repeated.

    :param joins_all: join the values of any repeated header, and not only of those that are lists.
    """
    found: dict[str, str] = {}
    last = ""  # the header that a folded line belongs to
    for line in lines.split("\n"):
        line = line.removesuffix("\r")
        if line[:1] in (" ", "\t"):
            _refuse_framing(line, last)
            if last:
                found[last] += " " + _printable(line)
            continue
        name, colon, value = line.partition(":")
        name = name.lower()
        last = ""
        if not colon or not _NAME.fullmatch(name.rstrip(" \t")):
            _refuse_framing(line)
            continue
        if name.rstrip(" \t") != name and name.rstrip(" \t") in _FRAMING:
            _refuse_framing(name)
        name = name.rstrip(" \t")
        if "\r" in value or "\0" in value:
            _refuse_framing(name if name in _FRAMING else value)
        if name not in found:
            found[name] = _printable(value)
            last = name
        elif joins_all or name in _LISTS:
            found[name] += ", " + _printable(value)
    return found


def _refuse_framing(*texts: str) -> None:
    for name in _FRAMING:
        if any(name in text.lower() for text in texts):
            raise MalformedReply(f'the reply has a malformed "{name.title()}" header')


def _printable(value: str) -> str:
    return _UNPRINTABLE.sub(" ", value).strip()


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",")]


def _length(headers: dict[str, str]) -> int | None:
    value = headers.get("content-length")
    if value is None:
        return None
    if not _LENGTH.fullmatch(value):
        values = set(_items(value))
        value = values.pop()
        if values:
            raise MalformedReply('the reply has several "Content-Length" headers, which differ')
        if not _LENGTH.fullmatch(value):
            raise MalformedReply('the reply has a malformed "Content-Length" header')
    return int(value)


def _is_chunked(headers: dict[str, str], minor_version: str) -> bool:
    if headers["transfer-encoding"].lower() != "chunked" or minor_version == "0":
        raise MalformedReply('the reply has a "Transfer-Encoding" header other than "chunked"')
    return True


class ReplyParser:
    """Parser of the reply to one request, fed as its bytes arrive.

    :ivar head: of the final reply; None until it is complete.
    :ivar received: whether any byte of the reply has arrived.
    :ivar finished: whether the body is complete. A body that ends with the connection never is.
    :ivar surplus: whether bytes followed the reply: the connection must not be used again.
    :ivar error: why the reply was refused; empty if it was not.
    """

    __slots__ = (
        "_buffer",
        "_chunk_bytes",
        "_chunk_count",
        "_left",
        "_method",
        "_scanned",
        "_step",
        "error",
        "finished",
        "head",
        "received",
        "surplus",
    )
    _step: Callable[[ReplyParser, int, bytearray], int]

    def __init__(self, method: str) -> None:
        self._method = method
        self._buffer = bytearray()
        self._scanned = 0  # bytes of heads and trailers that were read before those in the buffer
        self._chunk_bytes = self._chunk_count = 0
        self._left = 0  # bytes of the body, or of the chunk, that are to come
        self._step = ReplyParser._size  # unbound: a bound method would be a reference cycle
        self.head: Head | None = None
        self.received = self.finished = self.surplus = False
        self.error = ""

    @property
    def is_cut_short(self) -> bool:
        """Return whether the connection ended before the reply did, if it has ended."""
        head = self.head
        return not self.finished and (head is None or head.is_chunked or head.length is not None)

    def feed(self, data: bytes) -> bytes:
        """Take in bytes of the connection; return those to hand to the library.

        :raises MalformedReply: if the reply is refused; to be asked for no more.
        """
        self.received = True
        try:
            if self.head is not None:
                return self._body(data)
            rest = self._interim_and_head(data)
            head = self.head
            if head is None:
                return b""
            if not head.is_chunked and head.length is not None:
                self._left = head.length
                self.finished = not head.length
            return head.minimal() + (self._body(rest) if rest else b"")
        except MalformedReply as refused:
            self.error = str(refused)
            raise

    def _interim_and_head(self, data: bytes) -> bytes:
        """Look for the end of the head; return what follows it."""
        buffer = self._buffer
        start = len(buffer) - 2 if len(buffer) >= len(b"HTTP/") else 0
        buffer += data
        while True:
            if not start:
                while buffer.startswith((b"\r", b"\n")):
                    del buffer[:1]
                    self._scanned += 1
                    if self._scanned > MAX_HEAD:
                        break
                if not buffer.startswith(b"HTTP/"[: len(buffer)]):
                    raise MalformedReply("the reply is not HTTP/1.1")
            end = _HEAD_END.search(buffer, start)
            if self._scanned + (len(buffer) if end is None else end.end()) > MAX_HEAD:
                raise MalformedReply(f"the reply has more than {MAX_HEAD // 1024} KiB of headers")
            if end is None:
                return b""
            # The first line feed of the match belongs to the last header.
            head = parse_head(buffer[: end.start() + 1].decode("latin-1"), self._method)
            if head.status == 101:
                raise MalformedReply("the reply is 101 Switching Protocols, which was not asked for")
            self._scanned += end.end()
            if head.status >= 200:
                rest = bytes(buffer[end.end() :])
                buffer.clear()
                self._scanned = 0
                self.head = head
                return rest
            del buffer[: end.end()]
            start = 0

    def _body(self, data: bytes) -> bytes:
        head = self.head
        assert head is not None
        if self.finished:
            self.surplus = True
            return b""
        if head.is_chunked:
            return self._chunks(data)
        if head.length is None:
            return data
        if len(data) > self._left:
            self.surplus = True
            data = data[: self._left]
        self._left -= len(data)
        self.finished = not self._left
        return data

    def _chunks(self, data: bytes) -> bytes:
        """Read chunks; return their content as one chunk, without extensions and trailers."""
        buffer = self._buffer
        buffer += data
        content = bytearray()
        at = self._whole_chunks(content) if self._step is ReplyParser._size and b"\n" in data else 0
        while not self.finished and (after := self._step(self, at, content)) != -1:
            at = after
        if self.finished:
            self.surplus = at < len(buffer)
            buffer.clear()
        else:
            del buffer[:at]
        piece = b"%x\r\n%b\r\n" % (len(content), bytes(content)) if content else b""
        return piece + b"0\r\n\r\n" if self.finished else piece

    def _whole_chunks(self, content: bytearray) -> int:
        """Read the complete chunks without a call of a step for each part of them."""
        buffer = self._buffer
        at = 0
        while (line := _CHUNK_LINE.match(buffer, at)) is not None:
            start, size = line.end(), int(line[1], 16)
            end = start + size
            if not size or start - at > _MAX_LINE:
                break
            if buffer.startswith(b"\r\n", end):
                after = end + 2
            elif buffer.startswith(b"\n", end):
                after = end + 1
            else:
                break
            self._count(size)
            content += buffer[start:end]
            at = after
        return at

    def _count(self, size: int) -> None:
        self._chunk_count += 1
        self._chunk_bytes += size
        if self._chunk_count > _MAX_CHUNKS + self._chunk_bytes // _MIN_CHUNK:
            raise MalformedReply("the reply has too many small chunks")

    # The steps of reading chunks. Each takes the position in the buffer and returns the next one; -1: more is needed.

    def _size(self, at: int, content: bytearray) -> int:
        line, after = self._line(at)
        if after == -1:
            return -1
        matched = _CHUNK_SIZE.fullmatch(line)
        if matched is None:
            raise MalformedReply("the reply has a malformed chunk size")
        self._left = int(matched[1], 16)
        self._count(self._left)
        self._step = ReplyParser._content if self._left else ReplyParser._trailer
        return after

    def _content(self, at: int, content: bytearray) -> int:
        piece = self._buffer[at : at + self._left]
        if not piece:
            return -1
        content += piece
        self._left -= len(piece)
        if not self._left:
            self._step = ReplyParser._content_end
        return at + len(piece)

    def _content_end(self, at: int, content: bytearray) -> int:
        line, after = self._line(at, 2)
        if line:
            raise MalformedReply("the reply has a chunk that is longer than its size")
        if after != -1:
            self._step = ReplyParser._size
        return after

    def _trailer(self, at: int, content: bytearray) -> int:
        line, after = self._line(at)
        if after == -1:
            return -1
        self._scanned += after - at
        if self._scanned > _MAX_TRAILERS:
            raise MalformedReply(f"the reply has more than {_MAX_TRAILERS // 1024} KiB of trailers")
        self.finished = not line
        return after

    def _line(self, at: int, longest: int = _MAX_LINE) -> tuple[bytes, int]:
        """A line of the buffer without its end, and the position after it; -1 if it is incomplete."""
        end = self._buffer.find(b"\n", at, at + longest)
        if end != -1:
            return bytes(self._buffer[at:end]).removesuffix(b"\r"), end + 1
        if len(self._buffer) - at >= longest:
            raise MalformedReply("the reply has a chunk line that is too long")
        return b"", -1
