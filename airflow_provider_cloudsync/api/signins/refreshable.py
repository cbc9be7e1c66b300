"""Refreshable credentials: one sign-in for all tasks of a process, refreshed before it expires."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self, TypeVar

from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair, Token, carries
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.key_guard import GOOD_FOR, is_recent
from airflow_provider_cloudsync.api.limits import beforehand
from airflow_provider_cloudsync.api.messages import (
    Flow,
    HttpRequest,
    HttpSettings,
    MaskSecret,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.api.replies import accepts_credentials, lock_advice
from airflow_provider_cloudsync.api.times import epoch_ms
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    InvalidParameter,
    UnreadableReply,
)

E = TypeVar("E", bound=ApiError)

log = logging.getLogger(__name__)

#: Refreshed when a fifth of the validity is left, at most 40 minutes (as the vendor's client does).
_AHEAD, _MOST_AHEAD = 0.2, 2400.0
#: Not used in the last 5 % of the validity, at most 30 s: a request takes time.
_SPARE, _MOST_SPARE = 0.05, 30.0
#: Seconds until an early refresh that failed is retried.
_NEXT_TRY = 60.0
#: Maximum seconds that a sign-in waits for a slot after others were throttled.
_MAX_QUEUE_WAIT = 3.0


class Obtained(NamedTuple):
    """Result of a sign-in.

    :param life: validity in seconds, by the service's clock.
    """

    credentials: KeyPair | Token
    life: float


@dataclass(slots=True, eq=False)
class _RefreshableCredentials:
    """Temporary credentials, or the rejection of a sign-in, which is stored so that no task retries it at once.

    :param after_rejection: whether they were obtained because the previous ones were rejected.
    :param accepted: whether a reply showed that they are valid.
    """

    at: float
    credentials: KeyPair | Token | None = None
    refresh_at: float = 0.0
    ends_at: float = 0.0
    refusal: CredentialsRejected | None = field(default=None, repr=False)
    after_rejection: bool = False
    accepted: bool = False

    def is_usable(self, now: float, unlike: HttpRequest | None) -> bool:
        if self.credentials is None:
            return is_recent(self.at, now)
        if now >= self.ends_at:
            return False
        if unlike is None or not carries(unlike, self.credentials):
            return True
        # Rejected at once, like the previous ones: the cause is something else, such as the clock.
        return self.after_rejection and not self.accepted and is_recent(self.at, now)


@dataclass(frozen=True, kw_only=True)
class SignIn(ABC):
    """Credentials obtained by a sign-in that all tasks of a process with the same identity share.

    :param ask: endpoints and credentials of the sign-in itself (mostly none). It has one attempt: it is part of a
        request that has its own retries and deadline.
    :param derived_for_region: sign with keys derived for this region (V11-HMAC-SHA256); "" for no region.
    """

    ask: Cloud = field(repr=False)
    derived_for_region: str | None = None

    @property
    @abstractmethod
    def identity(self) -> str:
        """Return a key that differs between identities and holds no secret."""

    @property
    @abstractmethod
    def who(self) -> str:
        """Return the identity for people, without any secret."""

    @property
    def advice(self) -> str:
        return (
            "Freshly issued credentials were rejected too. Check that the identity is active and may work in the "
            "project, and the clock of this machine."
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the connection. Obtained ones are masked when they arrive."""
        return self.ask.credentials.secrets

    @abstractmethod
    def obtain(self, scope: str) -> Flow[Obtained]:
        """Sign in."""

    def scope(self, request: HttpRequest) -> str:
        """Return the scope of the credentials that a request needs; empty if there is only one."""
        return ""

    @property
    def place(self) -> Hashable:
        """Return the sign-in endpoint: credentials of one cloud are not for another."""
        return self.ask.url("iam")

    def _shared_by(self) -> tuple[Hashable, ...]:
        """Return the key under which tasks share a sign-in. Their timeouts make no difference."""
        return (
            self.identity,
            self.place,
            replace(self.ask.http_settings, connect_timeout=0.0, read_timeout=0.0),
        )

    def _with_timeouts_of(self, http_settings: HttpSettings) -> Self:
        """Return a copy whose timeouts are at most those of the request that it is for."""
        own = self.ask.http_settings
        connect, read = (
            min(own.connect_timeout, http_settings.connect_timeout),
            min(own.read_timeout, http_settings.read_timeout),
        )
        if (connect, read) == (own.connect_timeout, own.read_timeout):
            return self
        http_settings = replace(own, connect_timeout=connect, read_timeout=read)
        return replace(self, ask=replace(self.ask, http_settings=http_settings))

    def asker(self) -> Cloud:
        """Return the `Cloud` of the sign-in: one attempt, and no long wait for the rate limiter."""
        ask = self.ask
        if isinstance(ask.credentials, Anonymous):
            # If one identity is throttled, others may not be.
            ask = replace(ask, credentials=Anonymous(self.identity))
        # No `until`, whose limit for the answer is that of a wait.
        return replace(ask.once(), give_up_at=ask.clock() + _MAX_QUEUE_WAIT)

    def sign_if_ready(self, request: HttpRequest, now: float) -> None:
        """Return None: the current credentials are looked up in `authenticate`."""
        return None

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Return the authenticated request, after a sign-in if needed."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now
        )
        return (yield from self._signing_credentials(current).authenticate(request, now))

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send a request as its credentials do: obtained keys can be locked like any others."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now
        )
        credentials = self._signing_credentials(current)
        if not carries(request, credentials):  # refreshed meanwhile; the old ones may still be valid
            response: Response = yield request
            return response
        response = yield from credentials.send(request, now, give_up_at)
        current.accepted = current.accepted or accepts_credentials(response)
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Sign in again, unless another task has done that since the request was made."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now, unlike=request
        )
        return not carries(request, self._signing_credentials(current))

    def _signing_credentials(self, current: _RefreshableCredentials) -> KeyPair | Token:
        """Return the credentials, set to sign as this connection is configured."""
        assert current.credentials is not None
        if isinstance(current.credentials, KeyPair):
            return replace(current.credentials, derived_for_region=self.derived_for_region)
        return current.credentials

    def _refreshable(
        self, scope: str, now: float, unlike: HttpRequest | None = None
    ) -> Flow[_RefreshableCredentials]:
        """Return the current credentials.

        :param unlike: a request whose credentials were rejected; others are needed.
        """
        key = ("sign-in", *self._shared_by(), scope)
        for _ in range(2):  # a sign-in of another task may return rejected credentials
            current: _RefreshableCredentials = yield SingleFlight(
                key,
                lambda: self._sign_in(
                    scope, after_rejection=unlike is not None, since=None if unlike is None else now
                ),
                is_fresh=lambda each: each.is_usable(now, unlike),
            )
            if current.refusal is not None or current.is_usable(now, unlike):
                break
        if current.refusal is not None:
            raise copy.copy(current.refusal)
        if unlike is None and now >= current.refresh_at:
            current = yield from self._refresh_early(key, current, scope, now)
        return current

    def _refresh_early(
        self, key: Hashable, old: _RefreshableCredentials, scope: str, now: float
    ) -> Flow[_RefreshableCredentials]:
        """Refresh early: one task signs in, the others continue with the current credentials."""
        mine: list[_RefreshableCredentials] = []

        def claim() -> Flow[_RefreshableCredentials]:
            mine.append(replace(old, refresh_at=now + _NEXT_TRY))
            return mine[0]
            yield

        claimed: _RefreshableCredentials = yield SingleFlight(
            key, claim, is_fresh=lambda each: now < each.refresh_at
        )
        if not mine:
            return claimed
        try:
            new = yield from self._sign_in(scope, since=now)
        except CloudSyncError as error:
            log.warning("Early refresh failed; the current credentials remain valid. %s", error)
            return claimed
        if new.refusal is not None:
            log.warning("Early refresh was rejected; the current credentials remain valid. %s", new.refusal)
            new = replace(old, refresh_at=old.ends_at)  # each failure counts towards a lock
        placed: _RefreshableCredentials = yield SingleFlight(
            key, lambda: _same(new), is_fresh=lambda each: each is new
        )
        return placed

    def _sign_in(
        self, scope: str, *, after_rejection: bool = False, since: float | None = None
    ) -> Flow[_RefreshableCredentials]:
        """Sign in. Without a recent success, one scope goes first; after a recent rejection, none does.

        :param after_rejection: whether the previous credentials were rejected.
        :param since: time before which a success does not count; None: a recent one counts.
        """
        gate = ("sign-in of", *self._shared_by())
        now = self.ask.clock()
        mine: list[_RefreshableCredentials] = []

        def attempt() -> Flow[_RefreshableCredentials]:
            mine.append((yield from self._try(scope, after_rejection=after_rejection)))
            return mine[0]

        def tells(each: _RefreshableCredentials) -> bool:
            if each.credentials is None:
                return is_recent(each.at, now)
            # A valid password may have been changed since.
            return each.at > (now - GOOD_FOR if since is None else since)

        first: _RefreshableCredentials = yield SingleFlight(gate, attempt, is_fresh=tells)
        if first.refusal is not None or mine:
            return first
        current = yield from self._try(scope, after_rejection=after_rejection)
        if current.refusal is not None:
            yield SingleFlight(gate, lambda: _same(current), is_fresh=lambda each: each.refusal is not None)
        return current

    def _try(self, scope: str, *, after_rejection: bool) -> Flow[_RefreshableCredentials]:
        try:
            obtained = yield from beforehand(self.obtain(scope))
        except CredentialsRejected as refusal:
            if not refusal.status:
                raise  # the keys beneath are known to be rejected; nothing was sent, so this is no failure of its own
            return _RefreshableCredentials(self.ask.clock(), refusal=refusal)
        for secret in obtained.credentials.secrets:
            yield MaskSecret(secret)
        if obtained.life <= 0:
            raise InvalidConnection(
                "The credentials received at sign-in have already expired. Check the clock of this machine and that of "
                "the sign-in endpoint."
            )
        now = self.ask.clock()
        log.info("Signed in (%s); valid for %.0f s.", type(self).__name__, obtained.life)
        return _RefreshableCredentials(
            now,
            obtained.credentials,
            refresh_at=now + obtained.life - min(obtained.life * _AHEAD, _MOST_AHEAD),
            ends_at=now + obtained.life - min(obtained.life * _SPARE, _MOST_SPARE),
            after_rejection=after_rejection,
        )


def _same(current: _RefreshableCredentials) -> Flow[_RefreshableCredentials]:
    return current
    yield


def life(expires_at: Any, now: float) -> float:
    """Return the seconds until the expiry time of a reply.

    :param now: the service's clock at the reply if it has one; else this machine's.
    :raises UnreadableReply: if there is no expiry time.
    """
    try:
        ends = epoch_ms(expires_at, "expires_at") / 1000
    except InvalidParameter:
        raise UnreadableReply("The sign-in reply has no expiry time.") from None
    return max(ends - now, 0.0)


def _is_credential(value: Any) -> bool:
    """Return whether a value can be sent in a header unchanged."""
    return (
        isinstance(value, str)
        and bool(value)
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def temporary_keys(data: Any, now: float) -> Obtained:
    """Return the keys in a reply of IAM, STS or the metadata service, whose field names differ.

    :raises UnreadableReply: if one of them is missing.
    """
    found = data if isinstance(data, dict) else {}
    keys = found.get("credential") or found.get("credentials") or found
    if not isinstance(keys, dict):
        keys = {}
    access, secret, token = (
        next((keys[name] for name in names if _is_credential(keys.get(name))), None)
        for names in (
            ("access", "access_key_id", "accessKeyId"),
            ("secret", "secret_access_key", "secretAccessKey"),
            ("securitytoken", "security_token", "securityToken"),
        )
    )
    if access is None or secret is None or token is None:
        raise UnreadableReply("The sign-in reply has no access key, secret key or security token.")
    return Obtained(
        KeyPair(access, secret, token), life(keys.get("expires_at") or keys.get("expiration"), now)
    )


def refused(what: str, error: E, advice: str) -> E:
    """Return the error of a rejected sign-in.

    :param what: the failed step, such as ``Sign-in with a password failed``.
    """
    advice = lock_advice(error.detail) or advice
    status = f"{error.status} {error.code}".rstrip()
    return type(error)(
        f"{what} ({status}): {error.detail.rstrip('.') or 'no text'}. {advice} [{error.service} {error.operation}, "
        f"request ID {error.request_id or 'unknown'}]",
        **{**error.facts, "sent": False},
    )
