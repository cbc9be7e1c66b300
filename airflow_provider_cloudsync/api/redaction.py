"""Removal of secrets from text that a server returned, whatever encoding the server echoes them in."""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_cloudsync.api.escapes import decoded, is_escaped, undone

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
#: A form writes a space as a plus sign. Each character is replaced by one, so offsets stay.
_FORM = str.maketrans("+", " ")
#: A signature: new with each request.
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SENSITIVE = re.compile(
    r"(?:password|passwd|pwd|passphrase|secret|secretkey|secretaccesskey|secretstring|secretbinary|token|apikey"
    r"|privatekey|accesskey|accesskeyid|authorization|cookie|credential)\Z"
)
_SENSITIVE_NAMES = ("sk", "ak")
#: Fields that verdicts are made from, and names of fields that a reply may have.
_COMPARED = re.compile(r"(?:ids?|names?|states?|status|types?|vendor|marker|period|times?|date|workspace)\Z")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
#: Where a server may have cut a text: before an ellipsis, or at the end, in the middle of an escape perhaps.
_CUT = re.compile(
    r"\.\.\.|\u2026"
    r"|(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3})?|&[#0-9A-Za-z]{0,8})?[\s.\u2026\"'`>)\]}*,;:\\]{0,8}\Z"
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets that no text of a reply may show. Its repr is empty, since tracebacks show variables.

    :param values: all of them.
    :param carried: those that the request itself carried, so that a reply can echo them. A name or an error code that
        equals another one, such as a password, does so by chance.
    """

    values: tuple[str, ...] = field(default=(), repr=False)
    carried: tuple[str, ...] = field(default=(), repr=False)

    def redact(self, text: str) -> str:
        """See `redact`."""
        return redact(text, self.values)

    def redact_code(self, code: str) -> str:
        """Return an error code, from which verdicts are made, without secrets that the request carried."""
        return redact(code, self.carried)

    def redact_text(self, text: str) -> str:
        """Return a text that was made of a success, such as a verdict, without secrets of 8 or more characters."""
        return redact(text, [each for each in self.values if len(each) >= _LONG])

    def redact_data(self, data: Any, body: bytes) -> Any:
        """Return the JSON of a success as `redact_data` does.

        :param body: the JSON as it came.
        """
        return data if is_free_of(body, self.values) else redact_data(data, self.values, self.carried)


NO_SECRETS = Secrets()


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text of an error without the secrets, and without beginnings of them that a server cut."""
    return _masked(text, [needle for each in secrets if each for needle in _needles(each)], partial=True)


def redact_data(data: Any, secrets: Sequence[str], carried: Sequence[str] = ()) -> Any:
    """Return the JSON of a success without secrets of 8 or more characters.

    Verdicts are made from names, IDs and states, and from the names of fields. These may equal a password, so only what
    the request carried is removed from them. Texts that are made of them are redacted where they are made. A name may
    also begin like a password, so the beginning of a secret is removed from whole sentences only.

    :param carried: the secrets that the request carried.
    """
    needles = _long_needles(secrets)
    return _Walk(needles, _long_needles(carried)).of(data) if needles else data


def _long_needles(secrets: Iterable[str]) -> list[str]:
    return [needle for each in secrets if len(each) >= _LONG for needle in _needles(each)]


def is_free_of(body: bytes, secrets: Iterable[str]) -> bool:
    """Return whether `redact_data` certainly changes nothing. Nearly every reply passes, after a few searches."""
    if b"\\" in body or b"%" in body or b"&" in body or b"\0" in body:
        return False  # something is escaped
    for each in secrets:
        if len(each) < _LONG:
            continue
        for head in _digest_heads(each) if _is_digest(each) else _heads(each):
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
    carried = (*secrets_in_headers(headers), *secrets_in(body), *named)
    return Secrets((*own, *carried, *secrets_in_proxy(proxy)), carried)


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

    def __init__(self, needles: Sequence[str], carried: Sequence[str]) -> None:
        self._needles = needles
        self._carried = carried
        self._left = _MOST_DECODED

    def of(self, data: Any, depth: int = _DEEPEST, *, compared: bool = False) -> Any:
        """Return a value without secrets.

        :param compared: whether it is of a field that verdicts are made from.
        """
        if isinstance(data, str):
            return self._text(data, self._carried if compared else self._needles)
        if not isinstance(data, dict | list):
            return data
        if not depth:
            return MASK
        if isinstance(data, list):
            return [self.of(each, depth - 1, compared=compared) for each in data]
        return {
            self._text(name, self._carried if _FIELD.fullmatch(name) else self._needles): self.of(
                value, depth - 1, compared=isinstance(value, str | list) and _is_compared(name)
            )
            for name, value in data.items()
        }

    def _text(self, text: str, needles: Sequence[str]) -> str:
        if not is_escaped(text) and not _holds_one(text, needles):
            return text
        self._left -= len(text)
        if len(text) > _LONGEST_TEXT or self._left < 0:
            return MASK
        return _masked(text, needles, partial=any(each in text for each in " \n\t"))


@lru_cache(maxsize=256)
def _is_compared(name: str) -> bool:
    """Return whether verdicts are made from a field of that name: a name, an ID, a state, a kind or a time."""
    return len(name) <= 64 and _COMPARED.search(re.sub(r"[\W_]", "", name).lower()) is not None


@lru_cache(maxsize=64)  # the requests of a service have the same headers
def _sensitive_ones(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(is_sensitive, names))


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
        if not is_escaped(text):
            return False
        before, text = text, undone(text)
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
        layer = decoded(plain)
        if layer is None:
            break
        plain, inner = layer
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
    return _digest_needles(secret) if _is_digest(secret) else _encoded_needles(secret)


def _digest_needles(secret: str) -> tuple[str, ...]:
    """The same of a digest. It is new with each request, so they are not kept; and both alphabets write it alike."""
    raw = secret.encode()
    found = [base64.b64encode(b"\0" * before + raw).decode() for before in range(3)]
    return (secret, *(text[-(-8 * n // 6) : 8 * (n + len(raw)) // 6] for n, text in enumerate(found)))


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


def _digest_heads(secret: str) -> tuple[bytes, ...]:
    raw = secret[: _LONG + 1].encode()
    encode = base64.b64encode
    return raw[:_LONG], encode(raw)[:_LONG], encode(b"\0" + raw)[2:10], encode(b"\0\0" + raw)[3:11]


@lru_cache(maxsize=256)
def _heads(secret: str) -> tuple[bytes, ...]:
    """Beginnings, one of which is in each unescaped text with the secret or enough of its beginning."""
    # A needle with a space stands for a plus sign, too: an empty head is in every text, so the text is looked through.
    return tuple(
        b"" if " " in needle[:_LONG] else needle[:_LONG].encode("utf-8", "surrogatepass")
        for needle in _needles(secret)
    )
