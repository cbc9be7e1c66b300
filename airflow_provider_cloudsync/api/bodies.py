"""Bounded JSON parsing of reply bodies. The server decides what a body holds, so depth and node count are limited."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

#: JSON values and keys that a body may hold. The largest documented list has a few thousand. The parser does not let
#: another thread run meanwhile. 64 waits with so many texts of two characters each: 60 MiB, 0.1 s (benchmarks.hostile).
MAX_NODES = 150_000
#: Lists and objects that a body may hold, beside one for each so many bytes. Each 700 start the garbage collector,
#: which now and then goes through all that a triggerer has in memory: 0.3 s in which no other thread runs.
_MAX_CONTAINERS, _BYTES_EACH = 1000, 32
#: One of these is before each value or key but the first. Those within strings are counted, too.
_SEPARATORS = (b",", b":", b"[", b"{")
#: Of a body that was cut off: bytes at its beginning that are looked at, and brackets that may be open there.
_BEGINNING, _MAX_OPEN = 4 * 1024, 64
_PIECE = 256 * 1024
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)

#: Bytes of a body that is large: few are in memory at once.
LARGE = 128 * 1024
#: Digits of an integer in a large body. Python's own limit is 4300: 3,600 of these take most of a second, in which no
#: other thread runs.
_MOST_DIGITS = 100

NOT_JSON = "is not JSON"
TOO_MANY_NODES = f"holds more than {MAX_NODES:,} JSON values"
TOO_MANY_CONTAINERS = "holds too many lists and objects for its size"


class ParsedBody(NamedTuple):
    """Result of parsing a body.

    :param data: the JSON value; None for an empty body and for one that cannot be parsed.
    :param problem: why the body cannot be parsed; empty if it was.
    """

    data: Any
    problem: str

    def __repr__(self) -> str:
        """Leave the data out: a reply to a sign-in has keys in it."""
        return f"ParsedBody(problem={self.problem!r})"


def parse_body(body: bytes, *, truncated: bool = False) -> ParsedBody:
    """Parse a body.

    :param truncated: the rest of the body was not read. The complete members at its beginning are returned.
    """
    if len(body) > MAX_NODES and _has_too_many_nodes(body):
        return ParsedBody(None, TOO_MANY_NODES)
    if truncated:
        body = _completed(body[:_BEGINNING])
    if body.count(b"[") + body.count(b"{") > _MAX_CONTAINERS + len(body) // _BYTES_EACH:
        return ParsedBody(None, TOO_MANY_CONTAINERS)
    if not body.strip():
        return ParsedBody(None, "")
    try:
        data = json.loads(body, parse_int=_integer) if len(body) > LARGE else json.loads(body)
        return ParsedBody(data, "")
    except (ValueError, RecursionError):
        return ParsedBody(None, NOT_JSON)


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError
    return int(digits)


def _has_too_many_nodes(body: bytes) -> bool:
    # By pieces: a count does not let another thread run.
    nodes = 0
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        nodes += sum(map(piece.count, _SEPARATORS))
        if nodes > MAX_NODES:
            return True
    return False


def _completed(body: bytes) -> bytes:
    """Drop the incomplete member at the end of truncated JSON, and close the brackets that are open."""
    open_brackets = bytearray()
    end = depth = 0
    for token in _TOKEN.finditer(body):
        mark = token[0]
        if mark in (b"{", b"["):
            if len(open_brackets) == _MAX_OPEN:
                break
            open_brackets += b"}" if mark == b"{" else b"]"
        elif mark in (b"}", b"]"):
            if not open_brackets:
                return body
            open_brackets.pop()
            end, depth = token.end(), len(open_brackets)
        elif mark == b",":
            end, depth = token.start(), len(open_brackets)
    return body[:end] + open_brackets[:depth][::-1] if end else body
