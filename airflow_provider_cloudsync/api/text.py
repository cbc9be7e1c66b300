"""Text of strangers, made fit for a log line or an error."""

from __future__ import annotations

import re
from typing import Any

_MARKUP = re.compile(r"<[^<>]*>|\s+")
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]*")
#: Characters of a text that are read; whoever sent it decides how long it is.
LONGEST_READ = 20_000


def one_line(text: str, length: int = 400, *, tail: bool = False) -> str:
    """One line without markup or control characters, so that it can't forge a log line, and not longer than `length`.

    :param tail: keep the end rather than the beginning.
    """
    if len(text) <= length and _PLAIN.fullmatch(text):
        return text  # as nearly all request ids are, and each reply has one
    text = text[-LONGEST_READ:] if tail else text[:LONGEST_READ]
    plain = "".join(mark for mark in _MARKUP.sub(" ", text) if mark.isprintable()).strip()
    if len(plain) <= length:
        return plain
    return "..." + plain[-length:] if tail else plain[:length] + "..."


def shown(value: Any) -> str:
    """A user's value as it can stand in an error: quoted, without control characters, and short."""
    return one_line(repr(value), 80)
