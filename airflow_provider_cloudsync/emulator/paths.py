"""Path patterns of faults: literal text in which ``*`` stands for any text, and which is never a regular expression.

A regular expression from a scenario could keep the emulator busy for hours with one path; this takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_provider_cloudsync.emulator.reading import BadInput

#: What the path of a URL is made of, without the marks that make a regular expression.
_TEXT = re.compile(r"[/*][\w\-.~%!&',;=:@/*]*", re.A)
#: Parts of regular expressions that stand for any text, and that ``*`` can replace.
_ANY = re.compile(r"\[\^/\]\+|(?:\\[wdS]|\[\w-\w\])\+|\.[*+]\??")
MAX_PATTERN = 1000


class PathPattern:
    """A pattern for whole paths, as they were sent.

    :param text: such as ``/v3/projects`` or ``/v2/*/iam-sync``.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._first, *self._others = text.split("*")

    def matches(self, path: str) -> bool:
        """Return whether the pattern describes the whole of `path`."""
        if not self._others:
            return path == self._first
        *middle, last = self._others
        end = len(path) - len(last)
        at = len(self._first)
        if not path.startswith(self._first) or not path.endswith(last) or end < at:
            return False
        for piece in middle:
            found = path.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


def read_pattern(text: str, where: str, is_known: Callable[[str], bool]) -> PathPattern:
    """Return the pattern that a user wrote.

    :param where: name of the field, for the complaint.
    :param is_known: tells whether an operation has a path. Without a ``*`` it must be one: earlier releases searched
        for the text anywhere in a path.
    :raises BadInput: it is a regular expression, which earlier releases took, or no path at all.
    """
    if len(text) > MAX_PATTERN:
        raise BadInput(f"{where} must have {MAX_PATTERN} characters at most, not {len(text)}")
    if _TEXT.fullmatch(text) and ".*" not in text:
        if "*" not in text and not is_known(text):
            raise BadInput(
                f"{where}: no operation has the path {text!r}; it must be a whole one, in which * stands for any text. "
                f"If it is a part of one, write {f'*{text}*'!r}"
            )
        return PathPattern(text)
    suggestion = _as_glob(text)
    hint = f"; write {suggestion!r}" if suggestion else ""
    raise BadInput(
        f"{where} must be a whole path in which * stands for any text, such as '/v2/*/iam-sync', and not a regular "
        f"expression such as {text!r}{hint}"
    )


def _as_glob(expression: str) -> str | None:
    """Return the glob for a simple regular expression, which was searched for anywhere in the path."""
    starts, ends = expression.startswith("^"), expression.endswith("$") and not expression.endswith("\\$")
    inner = expression[starts : len(expression) - ends]
    inner = _ANY.sub("*", inner).replace("\\.", ".").replace("\\/", "/").replace("\\-", "-")
    glob = f"{'' if starts else '*'}{inner}{'' if ends else '*'}"
    glob = re.sub(r"\*+", "*", glob)
    return glob if _TEXT.fullmatch(glob) and ".*" not in glob and glob != "*" else None
