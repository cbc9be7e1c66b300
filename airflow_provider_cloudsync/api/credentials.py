"""Credentials: they sign or authenticate requests and send them, as flows.

Key pairs and tokens of the connection are in this file. Credentials that are obtained by a sign-in, and expire, are in
`airflow_provider_cloudsync.api.signins`.
"""

from __future__ import annotations

import dataclasses
import hmac
import os
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol
from urllib.parse import parse_qsl

from airflow_provider_cloudsync.api.key_guard import send_guarded
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Response
from airflow_provider_cloudsync.api.replies import KEY_ADVICE
from airflow_provider_cloudsync.api.signing import sign

_PEPPER = os.urandom(32)
TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 (the name of one, and no token)
_SECURITY_TOKEN_HEADER = "X-Security-Token"  # noqa: S105
#: Access keys are 20 capital letters and digits, secret keys 40 letters of both cases and digits.
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,32}")
_SWAPPED = "Login and Password look swapped: put the access key into Login and the secret key into Password."


class Credentials(Protocol):
    """One way to authenticate."""

    @property
    def identity(self) -> str:
        """Return a key that differs between identities and holds no secret; part of cache keys."""

    @property
    def who(self) -> str:
        """Return the identity for people, without any secret."""

    @property
    def advice(self) -> str:
        """Return the advice for rejected credentials."""

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest | None:
        """Return the authenticated request if no call is needed; None: run `authenticate`."""

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Return the authenticated request. Called for each attempt; `now` is in seconds since the epoch."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the connection. Those obtained later are masked when they are obtained."""

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send an authenticated request.

        :param give_up_at: time (seconds since the epoch) until which to wait for other tasks' probes.
        :raises CredentialsRejected: without sending, if the credentials are known to be rejected.
        """

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Return whether credentials newer than those of a rejected request are available."""


def fingerprint(*secrets: str | None) -> str:
    """Return a keyed hash of secrets, for cache keys: a mistyped key must not share the results of the right one."""
    joined = "\n".join(secret or "" for secret in secrets)
    return hmac.new(_PEPPER, joined.encode(), "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Access key and secret key, permanent or temporary, that sign requests.

    A key that this process has not used yet is probed by one request. A rejected key is not used again until a lock on
    it would have ended: a thousand tasks with a wrong key must not lock it for everyone.

    :param access_key: the AK; not a secret, but never logged.
    :param secret_key: the SK.
    :param security_token: security token of temporary keys.
    :param derived_for_region: sign with a key derived for this region (V11-HMAC-SHA256); "" for no region.
    :param found_in: source of the key on this machine, if it is not the connection; for people.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    derived_for_region: str | None = None
    found_in: str = field(default="", compare=False)
    #: Computed once: each request reads it several times.
    identity: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The access key is hashed, too: it is the secret key if the two were swapped.
        made = f"aksk:{fingerprint(self.access_key, self.secret_key, self.security_token)}"
        object.__setattr__(self, "identity", made)

    @property
    def advice(self) -> str:
        return f"{_SWAPPED} {KEY_ADVICE}" if self._looks_swapped else KEY_ADVICE

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(each for each in (self.secret_key, self.security_token) if each)

    @property
    def _looks_swapped(self) -> bool:
        """Return whether the secret key has the form of an access key, and the access key has not."""
        return not _ACCESS_KEY.fullmatch(self.access_key) and bool(_ACCESS_KEY.fullmatch(self.secret_key))

    @property
    def who(self) -> str:
        key = self.access_key
        if self._looks_swapped:
            return f"an access key that is not shown. {_SWAPPED}"
        shown = f"{key[:4]}...{key[-4:]}" if len(key) > 12 else f"{key[:2]}..."
        where = f", found in {self.found_in}" if self.found_in else ""
        return f"{'temporary ' if self.security_token else ''}access key {shown}{where}"

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Sign the request (SDK-HMAC-SHA256)."""
        return self.sign_if_ready(request, now)
        yield  # makes this a flow like the others

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest:
        """Return the request with date, token and signature in its headers."""
        _, _, path, query = request.pieces()
        headers = {**request.headers}
        if self.security_token:
            headers[_SECURITY_TOKEN_HEADER] = self.security_token
        derive_for = None
        if self.derived_for_region is not None and request.service not in _PLAIN:
            region = None if "X-Domain-Id" in request.headers else self.derived_for_region or None
            derive_for = (region, request.service)
        signature = sign(
            request.method,
            path,
            parse_qsl(query, keep_blank_values=True) if query else (),
            _to_sign(tuple(headers.items())),
            request.body,
            access_key=self.access_key,
            secret_key=self.secret_key,
            now=now,
            derive_for=derive_for,
        )
        headers |= signature
        return replace(request, headers=headers)

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send a request unless the key is known to be rejected."""
        return send_guarded(self.identity, request, now, give_up_at)

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Return False: there is no other key."""
        return False
        yield


#: Services that the vendor's client never calls with a derived key.
_PLAIN = ("iam", "sts")
#: Signed headers. A proxy may rewrite all others, which would break the signature.
_SIGNED = ("host", "content-type", "x-project-id", "x-domain-id", "x-security-token", "workspace", "region")


@lru_cache(maxsize=64)  # few per connection
def _to_sign(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() in _SIGNED}


@dataclass(frozen=True, slots=True)
class Token:
    """IAM token, sent with each request.

    :param value: value of ``X-Subject-Token``.
    """

    value: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.value,)

    @property
    def advice(self) -> str:
        return (
            "The token in the connection has expired or was revoked; tokens are valid for at most 24 hours. Set a new "
            "one in the connection."
        )

    @property
    def identity(self) -> str:
        return f"token:{fingerprint(self.value)}"

    @property
    def who(self) -> str:
        return "a given IAM token"

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Add the token."""
        return self.sign_if_ready(request, now)
        yield

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest:
        """Return the request with the token in its headers."""
        return dataclasses.replace(request, headers={**request.headers, TOKEN_HEADER: self.value})

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send a request."""
        response: Response = yield request
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Return False: there is no other token."""
        return False
        yield


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials: for the requests that sign in."""

    identity: str = "nobody"
    who: str = "nobody"
    advice: str = "Check the connection."
    secrets: tuple[str, ...] = ()

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Return the request unchanged."""
        return request
        yield

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest:
        """Return the request unchanged."""
        return request

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send a request."""
        response: Response = yield request
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Return False: there is nothing to refresh."""
        return False
        yield


def carries(request: HttpRequest, credentials: KeyPair | Token) -> bool:
    """Return whether a request is signed with a key, or carries a token."""
    if isinstance(credentials, Token):
        return request.headers.get(TOKEN_HEADER) == credentials.value
    return f"={credentials.access_key}" in request.headers.get("Authorization", "")
