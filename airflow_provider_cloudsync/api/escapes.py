"""Escapes of a text: percent-encoding, JSON, HTML and lines of Base64, undone layer by layer."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_ESCAPES = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<unicode>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|\\(?P<slash>[\"'\\/bfnrt])"
    r"|(?P<break>(?<=[A-Za-z0-9+/]{64})\r?\n(?=[A-Za-z0-9+/=]))"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)"
)
_SLASHED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def is_escaped(text: str) -> bool:
    """Return whether a text may have escapes, or Base64 in lines."""
    return "%" in text or "\\" in text or "&" in text or (len(text) > 64 and "\n" in text)


def undone(text: str) -> str:
    """Return the text with one layer of escapes undone."""
    return _ESCAPES.sub(_plain, text)


def decoded(text: str) -> tuple[str, list[int]] | None:
    """The text with one layer of escapes undone, and for each of its offsets that in the text; None: there is none."""
    parts: list[str] = []
    offsets: list[int] = []
    done = 0
    for match in _ESCAPES.finditer(text):
        start, end = match.span()
        parts.append(text[done:start])
        offsets.extend(range(done, start))
        for character, width in _characters(match):
            parts.append(character)
            offsets.append(start)
            start += width
        done = end
    if not done:
        return None
    parts.append(text[done:])
    offsets.extend(range(done, len(text) + 1))
    return "".join(parts), offsets


def _plain(match: re.Match[str]) -> str:
    """Return the characters that an escape, or several of a kind, stand for."""
    kind, whole = match.lastgroup, match[0]
    if kind == "percent":
        return bytes.fromhex(whole.replace("%", "")).decode("utf-8", "surrogateescape")
    if kind == "unicode":
        return bytes.fromhex(whole.replace("\\u", "")).decode("utf-16-be", "surrogatepass")
    if kind == "break":
        return ""  # of Base64 in lines
    if kind == "slash":
        return _SLASHED.get(match["slash"], match["slash"])
    return html.unescape(whole)


def _characters(match: re.Match[str]) -> Iterable[tuple[str, int]]:
    """Each character that an escape stands for, and how many characters of the text it takes."""
    kind, plain = match.lastgroup, _plain(match)
    if kind == "percent":
        return [(each, 3 * len(each.encode("utf-8", "surrogateescape"))) for each in plain]
    if kind == "unicode":
        return [(each, 3 * len(each.encode("utf-16-be", "surrogatepass"))) for each in plain]
    width = len(match[0])
    return [(each, width if number == 0 else 0) for number, each in enumerate(plain)]
