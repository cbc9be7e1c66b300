"""Each way to prove who asks. Credentials turn a request into one that carries the proof, and send it, as flows.

What is given (a key pair, a token) is here; what is obtained by signing in somewhere, and expires, is in
`airflow_provider_cloudsync.api.signins`.
"""

from __future__ import annotations

import dataclasses
import hmac
import os
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Protocol
from urllib.parse import parse_qsl

from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Response, Shared
from airflow_provider_cloudsync.api.replies import KEY_ADVICE, accepts_proof, rejects_proof
from airflow_provider_cloudsync.api.signing import sign
from airflow_provider_cloudsync.exceptions import CloudSyncError, CredentialsRejected, TransportError

_PEPPER = os.urandom(32)
#: More than five failures in a row lock a key for so many seconds, for everyone who uses it.
LOCK_TIME = 300.0
#: So long after a request that a key was accepted with, others need not wait for one that tries it (seconds).
GOOD_FOR = 10.0
TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 (the name of one, and no token)
_SECURITY_TOKEN_HEADER = "X-Security-Token"  # noqa: S105


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

    def proven(self, request: HttpRequest, now: float) -> HttpRequest | None:
        """What `authorize` makes of it, if that takes no asking; None: ask `authorize`."""

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """The request with the proof added. Called for each attempt; `now` is in seconds since the epoch."""

    def send(self, request: HttpRequest, now: float) -> Flow[Response]:
        """Send a request that carries the proof.

        :raises CredentialsRejected: without sending, if it is known that the proof is not accepted.
        """

    def renew(self, request: HttpRequest, now: float) -> Flow[bool]:
        """After a request was rejected: whether there is another proof now than the one that it carried."""


def is_recent(at: float, now: float) -> bool:
    """Whether a refusal then may still mean a lock. It may have come while who asks waited for it, and so be a little
    later than `now`; one far in the future is of a clock that was wrong.
    """
    return abs(now - at) < LOCK_TIME


def fingerprint(*secrets: str | None) -> str:
    """Tells secrets apart, and can't be told from: a mistyped key must not share what the right one brought."""
    joined = "\n".join(secret or "" for secret in secrets)
    return hmac.new(_PEPPER, joined.encode(), "sha256").hexdigest()


@dataclass(slots=True)
class _Trial:
    """How a request with a key ended: is the key accepted?

    :param at: when that was known.
    :param response: of the request itself; whoever sent it takes it out.
    """

    request: HttpRequest
    at: float
    response: Response | None = None
    error: CloudSyncError | None = None
    rejected: bool = False
    accepted: bool = False

    def stands(self, now: float) -> bool:
        """Whether it still says something. A key that was good a while ago is tried by one request again: a thousand
        may be about to be sent with it, and it may have been deactivated, or this machine's clock set.
        """
        return (self.accepted and now - self.at < GOOD_FOR) or (self.rejected and is_recent(self.at, now))


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
        made = f"aksk:{self.access_key}:{fingerprint(self.secret_key, self.security_token)}"
        object.__setattr__(self, "identity", made)

    @property
    def advice(self) -> str:
        return KEY_ADVICE

    @property
    def who(self) -> str:
        key = self.access_key
        shown = f"{key[:4]}...{key[-4:]}" if len(key) > 12 else f"{key[:2]}..."
        where = f", found in {self.found_in}" if self.found_in else ""
        return f"{'temporary ' if self.security_token else ''}access key {shown}{where}"

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Sign the request (SDK-HMAC-SHA256)."""
        return self.proven(request, now)
        yield  # a flow like the others, though it asks for nothing

    def proven(self, request: HttpRequest, now: float) -> HttpRequest:
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

    def send(self, request: HttpRequest, now: float) -> Flow[Response]:
        """Send it, unless the key is known to be rejected."""
        key = ("key", self.identity, _site(request.pieces()[1]))
        while True:
            trial: _Trial = yield Shared(
                key, partial(_try, request, now), still=lambda each: each.accepted or each.stands(now)
            )
            if trial.request is request or trial.accepted or trial.stands(now):
                break
            if trial.request.pieces()[1] == request.pieces()[1]:
                break
            # What was tried elsewhere says nothing of the key: no reply, or one that was not about it.
        if trial.accepted and trial.request is not request and not trial.stands(now):
            # At each host by another: one that hangs is not to hold up the others.
            trial = yield Shared(
                (*key, request.pieces()[1]), lambda: _try(request, now), still=lambda each: each.stands(now)
            )
            if trial.rejected:
                yield from _remember(key, request, now)
        if trial.request is request:
            if trial.error is not None:
                raise trial.error
            response, trial.response = trial.response, None
            assert response is not None
            return response
        if not trial.accepted:
            what = f"{request.service or request.pieces()[1]} {request.method}"
        if trial.rejected:
            ago = max(now - trial.at, 0.0)
            raise CredentialsRejected(
                f"{what} was not sent: the key of the connection was rejected {ago:.0f} s ago, and more than five "
                "failures in a row lock it for everyone. It is not tried again for "
                f"{max(LOCK_TIME - ago, 0.0):.0f} s. Correct the connection, then clear the task.",
                sent=False,
            )
        if not trial.accepted:
            why = trial.error or "The reply to it said nothing of the key."
            raise TransportError(
                f"{what} was not sent: the first request with this key brought nothing. {why}",
                sent=False,
                lasting=isinstance(trial.error, TransportError) and trial.error.lasting,
            )
        reply: Response = yield request
        if rejects_proof(reply):
            yield from _remember(key, request, now)
        elif accepts_proof(reply):
            trial.at = max(trial.at, now)
        return reply

    def renew(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is no other key."""
        return False
        yield


@lru_cache(maxsize=256)
def _site(place: str) -> str:
    """The cloud that a host belongs to, which knows the same keys: its domain.

    An address or a name without a domain, such as that of an emulator, is a cloud of its own at each port.

    :param place: host with its port, if it has one.
    """
    labels = place.partition(":")[0].removesuffix(".").lower().split(".")
    if "[" in place or len(labels) < 2 or labels[-1].isdecimal():
        return place
    return ".".join(labels[-2:])


def _try(request: HttpRequest, now: float) -> Flow[_Trial]:
    try:
        response = yield request
    except CloudSyncError as error:
        return _Trial(request, now, error=error)
    return _Trial(request, now, response, rejected=rejects_proof(response), accepted=accepts_proof(response))


def _remember(key: Hashable, request: HttpRequest, now: float) -> Flow[None]:
    """From now on nobody sends with it."""
    yield Shared(
        key, lambda: _rejection(request, now), still=lambda each: each.rejected and is_recent(each.at, now)
    )


def _rejection(request: HttpRequest, now: float) -> Flow[_Trial]:
    return _Trial(request, now, rejected=True)
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
    def advice(self) -> str:
        return "The token in the connection is over or was revoked; none lives longer than a day. Put a new one there."

    @property
    def identity(self) -> str:
        return f"token:{fingerprint(self.value)}"

    @property
    def who(self) -> str:
        return "a given IAM token"

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Add the token."""
        return self.proven(request, now)
        yield

    def proven(self, request: HttpRequest, now: float) -> HttpRequest:
        """The request with the token in its headers."""
        return dataclasses.replace(request, headers={**request.headers, TOKEN_HEADER: self.value})

    def send(self, request: HttpRequest, now: float) -> Flow[Response]:
        """Send it."""
        response: Response = yield request
        return response

    def renew(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is no other token."""
        return False
        yield


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody yet: for the requests that sign in."""

    identity: str = "nobody"
    who: str = "nobody"
    advice: str = "Check the connection."

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """As it is."""
        return request
        yield

    def proven(self, request: HttpRequest, now: float) -> HttpRequest:
        """As it is."""
        return request

    def send(self, request: HttpRequest, now: float) -> Flow[Response]:
        """Send it."""
        response: Response = yield request
        return response

    def renew(self, request: HttpRequest, now: float) -> Flow[bool]:
        """There is nothing to renew."""
        return False
        yield


def secrets_of(credentials: Credentials) -> list[str]:
    """What must not be in any log, of credentials that are given; those that are obtained tell when they are."""
    if isinstance(credentials, KeyPair):
        return [each for each in (credentials.secret_key, credentials.security_token) if each]
    if isinstance(credentials, Token):
        return [credentials.value]
    asks = getattr(credentials, "ask", None)  # a sign-in on top of others
    return [] if asks is None else secrets_of(asks.credentials)
