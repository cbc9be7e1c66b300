"""Each way to prove who asks. Credentials turn a request into one that carries the proof, and send it, as flows.

What is given (a key pair, a token) is here; what is obtained by signing in somewhere, and expires, is in
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
        """Tells one identity from another and holds no secret: part of the key of what is shared."""

    @property
    def who(self) -> str:
        """As whom, for people, without any secret."""

    @property
    def advice(self) -> str:
        """What a person does about it where the proof is not accepted."""

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest | None:
        """What `authenticate` makes of it, if that takes no asking; None: ask `authenticate`."""

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """The request with the proof added. Called for each attempt; `now` is in seconds since the epoch."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log, error or report may show of credentials that are given; those that are obtained tell when they
        are.
        """

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send a request that carries the proof.

        :param give_up_at: time (seconds since the epoch) until which to wait for requests of others that go first.
        :raises CredentialsRejected: without sending, if it is known that the proof is not accepted.
        """

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """After a request was rejected: whether there is another proof now than the one that it carried."""


def fingerprint(*secrets: str | None) -> str:
    """Tells secrets apart, and can't be told from: a mistyped key must not share what the right one brought."""
    joined = "\n".join(secret or "" for secret in secrets)
    return hmac.new(_PEPPER, joined.encode(), "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key and its secret key, lasting or temporary; requests are signed with them.

    A key that this process has not used yet is tried by one request first, and one that was rejected is not used again
    until a lock on it would be over: a thousand tasks with a wrong key must not lock it for everyone.

    :param access_key: the AK; not a secret, but never logged.
    :param secret_key: the SK.
    :param security_token: goes with temporary keys.
    :param derived_for_region: sign with a key derived for this region (V11-HMAC-SHA256); "" for no region.
    :param found_in: where the machine has it, if it is not of the connection; for people.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    derived_for_region: str | None = None
    found_in: str = field(default="", compare=False)
    #: Made once: each request asks for it several times.
    identity: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The access key only as a fingerprint: it is the secret key where the two were swapped.
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
        yield  # a flow like the others, though it asks for nothing

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest:
        """The request with date, token and signature in its headers."""
        _, _, path, query = request.pieces()
        headers = {**request.headers}
        if self.security_token:
            headers[_SECURITY_TOKEN_HEADER] = self.security_token
        derive_for = None
        if self.derived_for_region is not None and request.service not in _PLAIN:
            region = None if "X-Domain-Id" in request.headers else self.derived_for_region or None
            derive_for = (region, request.service)
        proof = sign(
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
        headers |= proof
        return replace(request, headers=headers)

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send it, unless the key is known to be rejected."""
        return send_guarded(self.identity, request, now, give_up_at)

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is no other key."""
        return False
        yield


#: Never asked with a derived key, as by the vendor's client.
_PLAIN = ("iam", "sts")
#: Everything else may be rewritten by a proxy on the way, which would break the signature.
_SIGNED = ("host", "content-type", "x-project-id", "x-domain-id", "x-security-token", "workspace", "region")


@lru_cache(maxsize=64)  # those of a connection have few
def _to_sign(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() in _SIGNED}


@dataclass(frozen=True, slots=True)
class Token:
    """A token of IAM, sent with each request.

    :param value: what came in ``X-Subject-Token``.
    """

    value: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.value,)

    @property
    def advice(self) -> str:
        return "The token in the connection is over or was revoked; none lives longer than a day. Put a new one there."

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
        """The request with the token in its headers."""
        return dataclasses.replace(request, headers={**request.headers, TOKEN_HEADER: self.value})

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send it."""
        response: Response = yield request
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is no other token."""
        return False
        yield


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody yet: for the requests that sign in."""

    identity: str = "nobody"
    who: str = "nobody"
    advice: str = "Check the connection."
    secrets: tuple[str, ...] = ()

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """As it is."""
        return request
        yield

    def sign_if_ready(self, request: HttpRequest, now: float) -> HttpRequest:
        """As it is."""
        return request

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send it."""
        response: Response = yield request
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is nothing to renew."""
        return False
        yield


def carries(request: HttpRequest, proof: KeyPair | Token) -> bool:
    """Return whether a request is signed with that key, or has that token."""
    if isinstance(proof, Token):
        return request.headers.get(TOKEN_HEADER) == proof.value
    return f"={proof.access_key}" in request.headers.get("Authorization", "")
