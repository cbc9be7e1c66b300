"""What the Authorization header of a signed request claims, and whether it is true."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.emulator import derived
from airflow_provider_cloudsync.emulator.credentials import Key
from airflow_provider_cloudsync.emulator.messages import Call

MAX_SKEW = 15 * 60.0
_DATE = signing.DATE_HEADER.lower()
_REST = r"SignedHeaders=(?P<names>[^,\s]+), ?Signature=(?P<signature>[0-9a-f]{64})"
_PLAIN = re.compile(rf"{signing.ALGORITHM} Access=(?P<key>[^,\s]+), ?{_REST}")
# Any region and any service will do: which names the real gateway expects where is unconfirmed.
_DERIVED = re.compile(
    rf"{derived.ALGORITHM} Credential=(?P<key>[^/,\s]+)/(?P<info>\d{{8}}/[a-z0-9-]+/[^/,\s]+), ?{_REST}"
)


class Unproven(Exception):
    """The signature does not show that the sender knows the secret key."""


@dataclass(frozen=True)
class Claim:
    """What a signed request says of itself.

    :param names: the signed headers, joined by semicolons.
    :param info: what a derived key is for; None for a signature by the secret key itself.
    """

    access_key: str
    names: str
    signature: str
    info: str | None = None


def is_signed(call: Call) -> bool:
    """Return whether `call` has a signature, be it right or wrong."""
    text = call.headers.get("authorization", "")
    return text.startswith((signing.ALGORITHM, derived.ALGORITHM))


def claim_of(call: Call) -> Claim | None:
    """What the header says; None when it can't be read."""
    text = call.headers.get("authorization", "")
    if plain := _PLAIN.fullmatch(text):
        return Claim(plain["key"], plain["names"], plain["signature"])
    if by_derived := _DERIVED.fullmatch(text):
        return Claim(by_derived["key"], by_derived["names"], by_derived["signature"], by_derived["info"])
    return None


def check_date(call: Call, now: float) -> None:
    """See that the request was signed about now.

    :raises Unproven: it was not.
    """
    try:
        text = call.headers.get(_DATE, "").strip()
        date = datetime.strptime(f"{text}+0000", f"{signing.DATE_FORMAT}%z")
    except ValueError:
        raise Unproven("X-Sdk-Date is missing or can't be read") from None
    skew = abs(date.timestamp() - now)
    if skew > MAX_SKEW:
        raise Unproven(f"X-Sdk-Date is {skew:.0f} s off, signature expired")


def check_signature(call: Call, claim: Claim, key: Key) -> None:
    """See that the signature is that of `key`, and that what must be signed is.

    :raises Unproven: it is not.
    """
    if not hmac.compare_digest(_expected(call, claim, key), claim.signature):
        raise Unproven("verify aksk signature fail")
    if key.security_token is not None:
        sent = call.headers.get("x-security-token", "")
        if not hmac.compare_digest(key.security_token.encode(), sent.encode(errors="replace")):
            raise Unproven("the security token does not belong to the key")


def _expected(call: Call, claim: Claim, key: Key) -> str:
    headers: dict[str, str] = {}
    for name in claim.names.split(";"):
        if name not in call.headers:
            raise Unproven(f"the signed header {name} was not sent")
        headers[name] = call.headers[name]
    for needed in ("host", _DATE):
        if needed not in headers:
            raise Unproven(f"the header {needed} must be signed")
    digest = _digest(call.body, call.headers)
    date = headers[_DATE].strip()
    try:
        canonical = signing.canonical_request(call.method, call.path, call.query, headers, digest)
        if claim.info is None:
            return signing.signature(key.secret_key, signing.string_to_sign(canonical, date))
        if claim.info[:8] != date[:8]:
            raise Unproven("the credential is for another day than X-Sdk-Date")
        return derived.signature(key.access_key, key.secret_key, date, claim.info, canonical)
    except UnicodeEncodeError:
        raise Unproven("the request is not UTF-8") from None


def _digest(body: bytes, headers: Mapping[str, str]) -> str:
    digest = signing.body_digest(body)
    declared = headers.get(signing.CONTENT_HEADER.lower())
    if not body or declared is None:
        return digest
    # A digest in the header is a claim about the body: text such as UNSIGNED-PAYLOAD is taken as it is.
    if re.fullmatch(r"[0-9a-fA-F]{64}", declared) and declared.lower() != digest:
        raise Unproven("X-Sdk-Content-Sha256 is not the digest of the body")
    return declared
