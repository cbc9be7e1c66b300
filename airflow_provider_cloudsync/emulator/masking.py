"""What the journal does not show: everything that would let its reader act as the sender."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_HEADERS = frozenset(
    {
        "x-auth-token",
        "x-subject-token",
        "x-security-token",
        "x-metadata-token",
        # Of the control API, should it be sent to a service.
        "x-emulator-token",
        "cookie",
        "proxy-authorization",
    }
)
#: Names of secrets in bodies, without their underscores: some services write them in camel case.
_FIELDS = frozenset(
    {
        "password",
        "passcode",
        "secret",
        "secretkey",
        "secretaccesskey",
        "sk",
        "securitytoken",
        "token",
        "idtoken",
        "accesstoken",
    }
)
#: No request of these services is nested half as deep; one that is can't be copied nor shown.
_DEEPEST = 50
# Which key has signed is worth knowing, and is no secret.
_SIGNED = re.compile(r"([A-Z0-9-]+ (?:Access|Credential)=[^,\s]+, ?SignedHeaders=[^,\s]+, ?Signature=).*")


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, with stars for what is secret in them."""
    return {name: _header(name, value) for name, value in headers.items()}


def _header(name: str, value: str) -> str:
    if name == "authorization":
        signed = _SIGNED.fullmatch(value)
        return f"{signed[1]}{HIDDEN}" if signed else HIDDEN
    return HIDDEN if name in _HEADERS else value


def masked_body(body: bytes) -> Any:
    """The body as JSON, with stars for what is secret in it, or as text if it is no JSON."""
    if not body:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
    return _masked(document, 0)


def _masked(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {key: _field(key, item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, depth + 1) for item in value]
    return value


def _field(name: str, value: Any, depth: int) -> Any:
    if name.lower().replace("_", "").replace("-", "") not in _FIELDS:
        return _masked(value, depth)
    if isinstance(value, dict) and depth <= _DEEPEST:
        # IAM wraps a token up in an object that has it for its id, with wishes beside it.
        return {key: HIDDEN if key == "id" else _field(key, item, depth + 1) for key, item in value.items()}
    return value if value is None else HIDDEN
