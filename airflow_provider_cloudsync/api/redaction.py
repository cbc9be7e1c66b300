"""Removal of secrets from text that a server returned, whatever encoding the server echoes them in."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

#: The mask that Airflow uses in its own logs.
MASK = "***"
#: Characters from which a secret is removed everywhere. A shorter one may be an ordinary word, and a success holds
#: names that must not change, so it is removed from errors only.
_LONG = 8
#: Characters of the beginning of a secret that are removed wherever they stand, though the rest is missing.
_LONG_START = 16
#: Shorter secrets are removed only where no letter or digit stands beside them.
_SHORT = 4
#: Encodings within encodings that are undone: JSON within a URL within JSON.
_DEPTH = 3
#: Levels of a success that are looked through. No service nests deeper; what is deeper is masked as a whole.
_DEEPEST = 64
#: Characters of one text of a success that are looked through for a secret, and of all its texts with escapes. A text
#: beyond that which may hold one is masked as a whole: no service writes one, and the sender decides how many
#: there are.
_LONGEST_TEXT, _MOST_DECODED = 20_000, 1_000_000
_ESCAPES = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<unicode>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|\\(?P<slash>[\"'\\/bfnrt])"
    r"|(?P<break>(?<=[A-Za-z0-9+/]{64})\r?\n(?=[A-Za-z0-9+/=]))"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)"
)
_SLASHED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
#: A form writes a space as a plus sign. Each character is replaced by one, so offsets stay.
_FORM = str.maketrans("+", " ")
#: A signature: new with each request, and of no use to anybody in another form.
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SENSITIVE = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|secretkey|secretaccesskey|secretstring|secretbinary|token|apikey"
    r"|privatekey|accesskey|accesskeyid|authorization|cookie|credential)\Z"
)
_SENSITIVE_NAMES = ("sk", "ak")
#: Where a server may have cut a text: before an ellipsis, or at the end, in the middle of an escape perhaps.
_CUT = re.compile(
    r"\.\.\.|\u2026"
    r"|(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3})?|&[#0-9A-Za-z]{0,8})?[\s.\u2026\"'`>)\]}*,;:\\]{0,8}\Z"
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets that no text of a reply may show. Its repr is empty, since tracebacks show variables."""

    values: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """See `redact`."""
        return redact(text, self.values)

    def redact_data(self, data: Any, body: bytes) -> Any:
        """Return the JSON of a success as `redact_data` does.

        :param body: the JSON as it came.
        """
        return data if is_free_of(body, self.values) else redact_data(data, self.values)


NO_SECRETS = Secrets()


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text of an error without the secrets, and without beginnings of them that a server cut."""
    return _masked(text, [needle for each in secrets if each for needle in _needles(each)], partial=True)


def redact_data(data: Any, secrets: Sequence[str]) -> Any:
    """Return the JSON of a success without secrets of 8 or more characters.

    A name may begin like a password, so the beginning of a secret is removed from whole sentences only.
    """
    needles = [needle for each in secrets if len(each) >= _LONG for needle in _needles(each)]
    return _Walk(needles).of(data) if needles else data


def is_free_of(body: bytes, secrets: Iterable[str]) -> bool:
    """Return whether `redact_data` certainly changes nothing. Nearly every reply passes, after a few searches."""
    if b"\\" in body or b"%" in body or b"&" in body or b"\0" in body:
        return False  # something is escaped
    for each in secrets:
        if len(each) < _LONG:
            continue
        for head in (each[:_LONG].encode(),) if _is_digest(each) else _heads(each):
            if head in body:
                return False
    return True


def secrets_of(
    own: Sequence[str],
    headers: Mapping[str, str],
    body: Any = None,
    query: Sequence[tuple[str, str]] = (),
    proxy: str | None = None,
) -> Secrets:
    """Return the secrets that no text of a reply may show: those of the connection, and all that the request carried.

    :param own: of the connection's credentials.
    :param body: JSON of the request.
    :param proxy: URL of the proxy.
    """
    named = [value for name, value in query if is_sensitive(name)]
    return Secrets((*own, *secrets_in_headers(headers), *secrets_in(body), *named, *secrets_in_proxy(proxy)))


def secrets_in_headers(headers: Mapping[str, str]) -> list[str]:
    """The secrets in the headers of a request: tokens, and the access key and signature of a signed request."""
    found: list[str] = []
    for name in _sensitive_ones(tuple(headers)):
        value = headers[name]
        before, signed, signature = value.partition("Signature=")
        if signed:
            kind, _, rest = before.partition("=")
            key = rest.partition(",")[0]
            # What a derived key is for stands after it. Another may have a slash itself: a secret key in its place.
            found += [key.rsplit("/", 3)[0] if kind.endswith("Credential") else key, signature]
        else:
            found += [value, *value.split()[1:]]
    return found


def secrets_in(data: Any, depth: int = 8) -> list[str]:
    """The secrets in the JSON body of a request, found by the names of its fields."""
    found: list[str] = []
    if isinstance(data, Mapping) and depth:
        for name, value in data.items():
            if isinstance(value, str):
                if is_sensitive(str(name)):
                    found.append(value)
            else:
                found += secrets_in(value, depth - 1)
                token = value.get("id") if isinstance(value, Mapping) and is_sensitive(str(name)) else None
                if isinstance(token, str):  # IAM: {"token": {"id": ...}}
                    found.append(token)
    elif isinstance(data, list | tuple) and depth:
        for each in data:
            found += secrets_in(each, depth - 1)
    return found


def secrets_in_proxy(url: str | None) -> list[str]:
    """The password in the URL of a proxy."""
    if not url:
        return []
    try:
        password = urlsplit(url).password
    except ValueError:
        return []
    return [password, unquote(password)] if password else []


@lru_cache(maxsize=256)
def is_sensitive(name: str) -> bool:
    """Return whether a field or header of that name holds a secret."""
    plain = re.sub(r"[\W_]", "", name).lower()
    return plain in _SENSITIVE_NAMES or _SENSITIVE.search(plain) is not None


class _Walk:
    """One pass over the JSON of a success."""

    def __init__(self, needles: Sequence[str]) -> None:
        self._needles = needles
        self._left = _MOST_DECODED

    def of(self, data: Any, depth: int = _DEEPEST) -> Any:
        if isinstance(data, str):
            return self._text(data)
        if not isinstance(data, dict | list):
            return data
        if not depth:
            return MASK
        if isinstance(data, list):
            return [self.of(each, depth - 1) for each in data]
        return {self._text(name): self.of(value, depth - 1) for name, value in data.items()}

    def _text(self, text: str) -> str:
        if not _is_escaped(text) and not _holds_one(text, self._needles):
            return text
        self._left -= len(text)
        if len(text) > _LONGEST_TEXT or self._left < 0:
            return MASK
        return _masked(text, self._needles, partial=any(each in text for each in " \n\t"))


@lru_cache(maxsize=64)  # the requests of a service have the same headers
def _sensitive_ones(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(is_sensitive, names))


def _is_escaped(text: str) -> bool:
    return "%" in text or "\\" in text or "&" in text or (len(text) > 64 and "\n" in text)


def _holds_one(text: str, needles: Sequence[str]) -> bool:
    """Return whether the beginning of a secret is in a text whose escapes are undone."""
    stream = text.replace("+", " ") if "+" in text else text
    for each in needles:  # noqa: SIM110 (a generator costs more than the searches)
        if each[:_LONG] in stream:
            return True
    return False


def _may_hold_one(text: str, needles: Sequence[str]) -> bool:
    """Return whether the beginning of a secret is in a text, in any encoding. Costs less than finding where it is."""
    for _ in range(_DEPTH + 1):
        if _holds_one(text, needles):
            return True
        if not _is_escaped(text):
            return False
        before, text = text, _ESCAPES.sub(_plain, text)
        if text == before:
            return False
    return False


def _masked(text: str, needles: Sequence[str], *, partial: bool) -> str:
    if not _may_hold_one(text, needles):
        return text
    spans: list[tuple[int, int]] = []
    plain, offsets = text, None
    for _ in range(_DEPTH + 1):
        stream = plain.translate(_FORM)
        for needle in needles:
            for start, end in _found(stream, needle, partial=partial):
                spans.append((start, end) if offsets is None else (offsets[start], offsets[end]))
        decoded = _decoded(plain)
        if decoded is None:
            break
        plain, inner = decoded
        offsets = inner if offsets is None else [offsets[each] for each in inner]
    return _replaced(text, spans)


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        if start > done or not parts:
            parts += [text[done:start], MASK]
        done = end
    return "".join([*parts, text[done:]])


def _found(stream: str, needle: str, *, partial: bool) -> list[tuple[int, int]]:
    """Where a secret stands, or enough of its beginning."""
    found: list[tuple[int, int]] = []
    head = needle[:_LONG]
    at = stream.find(head)
    while at >= 0:
        end = at + _shared(stream, at, needle)
        length = end - at
        whole = length == len(needle) and (length >= _SHORT or _stands_alone(stream, at, end))
        if whole or (partial and length >= _LONG and (length >= _LONG_START or _CUT.match(stream, end))):
            found.append((at, end))
            at = stream.find(head, end)
        else:
            at = stream.find(head, at + 1)
    return found


def _shared(stream: str, at: int, needle: str) -> int:
    """Return how many characters of the needle stand there."""
    if stream.startswith(needle, at):
        return len(needle)
    lengths = range(1, min(len(needle), len(stream) - at) + 1)
    return bisect_right(lengths, False, key=lambda length: not stream.startswith(needle[:length], at))


def _stands_alone(stream: str, start: int, end: int) -> bool:
    return not (stream[start - 1 : start].isalnum() or stream[end : end + 1].isalnum())


def _is_digest(secret: str) -> bool:
    return len(secret) == 64 and _DIGEST.fullmatch(secret) is not None


def _needles(secret: str) -> tuple[str, ...]:
    """Return the search strings of a secret: itself, and its Base64 alone and within a longer text."""
    return (secret,) if _is_digest(secret) else _encoded_needles(secret)


@lru_cache(maxsize=256)
def _encoded_needles(secret: str) -> tuple[str, ...]:
    forms = [secret]
    if len(secret) >= _SHORT:
        for written in (secret, json.dumps(secret)[1:-1]):
            forms += _in_base64(written.encode("utf-8", "surrogatepass"))
    return tuple(dict.fromkeys(each.translate(_FORM) for each in forms))


def _in_base64(raw: bytes) -> list[str]:
    """The characters that do not depend on what stands beside it, by where in a group of three bytes it begins."""
    found: list[str] = []
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.append(encode(raw).decode().rstrip("="))
        for before in range(3):
            first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
            found.append(encode(b"\0" * before + raw).decode()[first:last])
    return [each for each in found if len(each) >= _SHORT]


@lru_cache(maxsize=256)
def _heads(secret: str) -> tuple[bytes, ...]:
    """Beginnings, one of which is in each unescaped text with the secret or enough of its beginning."""
    # A needle with a space stands for a plus sign, too: an empty head is in every text, so the text is looked through.
    return tuple(
        b"" if " " in needle[:_LONG] else needle[:_LONG].encode("utf-8", "surrogatepass")
        for needle in _needles(secret)
    )


def _decoded(text: str) -> tuple[str, list[int]] | None:
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
