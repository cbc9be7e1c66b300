"""SDK-HMAC-SHA256 request signing, one function a stage, so that each can be checked against published text.

The scheme: the request is written in a canonical form, its hash goes into a short text together with the date,
and that text is authenticated with the secret key itself (no date or region scope). The canonical query string is
also the one to send: signing one spelling and sending another is refused by the gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote

ALGORITHM = "SDK-HMAC-SHA256"
#: The derived one: the key that signs is made of the secret key, the date, the region and the service.
DERIVED = "V11-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
DATE_HEADER = "X-Sdk-Date"
#: A client may put a digest of its own choice here (the vendor SDK writes ``UNSIGNED-PAYLOAD`` for uploads).
CONTENT_HEADER = "X-Sdk-Content-Sha256"
_NO_BODY = hashlib.sha256(b"").hexdigest()
_AS_IT_IS = re.compile(r"[A-Za-z0-9_.~/-]*")


def encode(text: str) -> str:
    """Percent-encode everything but ``A-Za-z0-9-_.~``."""
    return quote(text, safe="~")


def canonical_path(path: str) -> str:
    """The path with each segment decoded and encoded anew, and a slash at the end (in the canonical form only)."""
    plain = _AS_IT_IS.fullmatch(path)
    encoded = path if plain else "/".join(encode(segment) for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The query string, sorted by name and then value *before* encoding; an empty value keeps its ``=``."""
    return "&".join([f"{encode(name)}={encode(value)}" for name, value in sorted(pairs)])


class _Signable(dict[str, str]):
    """Result of `signable`, which the next stage need not compute again.

    :ivar lines: as they stand in the canonical request.
    :ivar names: as they stand there, and beside the signature.
    """

    __slots__ = ("lines", "names")

    def __init__(self, headers: Iterable[tuple[str, str]]) -> None:
        super().__init__(headers)
        self.lines = "".join([f"{name}:{value}\n" for name, value in self.items()])
        self.names = ";".join(self)


def signable(headers: Mapping[str, str]) -> _Signable:
    """The headers that take part: lower-case names in order, values stripped; names with ``_`` are left out."""
    if type(headers) is _Signable:
        return headers
    kept = {name.lower(): value.strip() for name, value in headers.items() if "_" not in name}
    return _Signable(sorted(kept.items()))


@lru_cache(maxsize=64)  # all requests of a second to one host have the same
def _dated(headers: tuple[tuple[str, str], ...], date: str) -> _Signable:
    return signable({**dict(headers), DATE_HEADER: date})


def body_digest(body: bytes) -> str:
    """Lower-case hex SHA-256 of the exact bytes that are sent."""
    return hashlib.sha256(body).hexdigest() if body else _NO_BODY


def canonical_request(
    method: str, path: str, query: Iterable[tuple[str, str]], headers: Mapping[str, str], digest: str
) -> str:
    """The six parts of the canonical request.

    :param headers: exactly the headers to sign, ``Host`` and ``X-Sdk-Date`` among them.
    :param digest: what `body_digest` says of the body.
    """
    signed = signable(headers)
    asked = canonical_query(query) if query else ""
    return f"{method.upper()}\n{canonical_path(path)}\n{asked}\n{signed.lines}\n{signed.names}\n{digest}"


def string_to_sign(canonical: str, date: str, info: str = "") -> str:
    """Return the text to authenticate: the algorithm, the date and the hash of the canonical request.

    :param info: for a derived key, what it is derived for.
    """
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join((DERIVED, date, info, digest) if info else (ALGORITHM, date, digest))


def derivation_info(date: str, region: str | None, service: str) -> str:
    """Return the scope of a derived key: a day, a region (``globe`` for services without one) and a service."""
    return f"{date[:8]}/{region or 'globe'}/{service}"


def derived_key(access_key: str, secret_key: str, info: str) -> str:
    """The key for `info`: HKDF with SHA-256, whose salt is the access key; one block, as lower-case hex text."""
    extracted = hmac.new(access_key.encode(), secret_key.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, info.encode() + b"\x01", hashlib.sha256).hexdigest()


def signature(secret_key: str, text: str) -> str:
    """Lower-case hex HMAC-SHA256 of `text`, keyed with the secret key as it is."""
    return hmac.digest(secret_key.encode(), text.encode(), "sha256").hex()


def authorization(access_key: str, headers: Mapping[str, str], signed: str, info: str = "") -> str:
    """The value of the ``Authorization`` header (there is no comma after the algorithm)."""
    who = f"{DERIVED} Credential={access_key}/{info}" if info else f"{ALGORITHM} Access={access_key}"
    return f"{who}, SignedHeaders={signable(headers).names}, Signature={signed}"


def format_date(now: float) -> str:
    """`now` (seconds since the epoch) as ``X-Sdk-Date`` wants it; the gateway refuses one more than 15 min off."""
    return _format_date(int(now))


@lru_cache(maxsize=4)
def _format_date(now: int) -> str:
    return datetime.fromtimestamp(now, UTC).strftime(DATE_FORMAT)


def sign(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key: str,
    secret_key: str,
    now: float,
    derive_for: tuple[str | None, str] | None = None,
) -> dict[str, str]:
    """All stages in one: the two headers to add to a request.

    :param headers: the headers to sign, ``Host`` among them (with its port, where the URL has one).
    :param now: seconds since the epoch. Sign each attempt anew: an old date is refused.
    :param derive_for: region and service, to sign with a key that is derived for them.
    """
    date = format_date(now)
    dated = _dated(tuple(headers.items()), date)
    canonical = canonical_request(method, path, query, dated, body_digest(body))
    info = "" if derive_for is None else derivation_info(date, *derive_for)
    key = derived_key(access_key, secret_key, info) if info else secret_key
    signed = signature(key, string_to_sign(canonical, date, info))
    return {DATE_HEADER: date, "Authorization": authorization(access_key, dated, signed, info)}
