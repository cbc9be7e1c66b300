"""What all ways to sign in have in common: one sign-in for all who ask, renewed ahead of its end."""

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

#: Renewed when a fifth of its life is left, or 40 minutes, as the vendor's client does.
_AHEAD, _MOST_AHEAD = 0.2, 2400.0
#: Not used in the last bit of its life: a request takes its time.
_SPARE, _MOST_SPARE = 0.05, 30.0
#: A renewal that failed while the old proof is good is tried again after so many seconds.
_NEXT_TRY = 60.0
#: So long a sign-in waits for its turn, where others have been throttled (seconds).
_MAX_QUEUE_WAIT = 3.0


class Obtained(NamedTuple):
    """What a sign-in brought.

    :param life: seconds that it is good for, by the service's own clock.
    """

    credentials: KeyPair | Token
    life: float


@dataclass(slots=True, eq=False)
class _RefreshableCredentials:
    """A proof for a time; or the refusal of a sign-in, which is remembered so that nobody tries again at once.

    :param anew: obtained because the one before was rejected.
    :param accepted: whether a request with it was answered as asked.
    """

    at: float
    credentials: KeyPair | Token | None = None
    refresh_at: float = 0.0
    ends_at: float = 0.0
    refusal: CredentialsRejected | None = field(default=None, repr=False)
    force: bool = False
    accepted: bool = False

    def is_usable(self, now: float, unlike: HttpRequest | None) -> bool:
        if self.credentials is None:
            return is_recent(self.at, now)
        if now >= self.ends_at:
            return False
        if unlike is None or not carries(unlike, self.credentials):
            return True
        # Rejected at once, and so was the one before: it is not the proof that is wrong, but the clock, say.
        return self.force and not self.accepted and is_recent(self.at, now)


@dataclass(frozen=True, kw_only=True)
class SignIn(ABC):
    """Credentials that are obtained: signed in to once for all tasks of a process that ask for the same.

    :param ask: where to sign in, and as whom (mostly nobody yet). There is one attempt: a sign-in is part of a request
        that has its own attempts, and its own deadline.
    :param derived_for_region: sign with keys derived for this region (V11-HMAC-SHA256); "" for no region.
    """

    ask: Cloud = field(repr=False)
    derived_for_region: str | None = None

    @property
    @abstractmethod
    def identity(self) -> str:
        """Tells one identity from another and holds no secret."""

    @property
    @abstractmethod
    def who(self) -> str:
        """As whom, for people, without any secret."""

    @property
    def advice(self) -> str:
        return (
            "It was sent with what the sign-in had brought just before, and that is not accepted either: check that "
            "who signs in is active and may work in the project, and the clock of this machine."
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those of the connection; what is obtained is masked when it comes in."""
        return self.ask.credentials.secrets

    @abstractmethod
    def obtain(self, scope: str) -> Flow[Obtained]:
        """Sign in."""

    def scope(self, request: HttpRequest) -> str:
        """What a request's proof has to be for, where that makes a difference."""
        return ""

    @property
    def place(self) -> Hashable:
        """Where it signs in: what was obtained at one cloud is not for another."""
        return self.ask.url("iam")

    def _shared_by(self) -> tuple[Hashable, ...]:
        """What two have in common who can share a sign-in. How long they would wait for it makes no difference."""
        return (
            self.identity,
            self.place,
            replace(self.ask.http_settings, connect_timeout=0.0, read_timeout=0.0),
        )

    def _with_timeouts_of(self, http_settings: HttpSettings) -> Self:
        """The same, waiting no longer for a reply than the request that it is for."""
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
        """Whom to sign in by: once, and not after a long wait for its turn. Whoever needs it comes back then."""
        ask = self.ask
        if isinstance(ask.credentials, Anonymous):
            # Where one is throttled, others who sign in there need not be.
            ask = replace(ask, credentials=Anonymous(self.identity))
        return ask.once().until(ask.clock() + _MAX_QUEUE_WAIT)

    def sign_if_ready(self, request: HttpRequest, now: float) -> None:
        """Not without asking what is good just now."""
        return None

    def authenticate(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """The request with the proof added, signed in if need be."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now
        )
        return (yield from self._proof(current).authenticate(request, now))

    def send(self, request: HttpRequest, now: float, give_up_at: float | None = None) -> Flow[Response]:
        """Send it as its proof does: keys that were obtained can be locked like any others."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now
        )
        credentials = self._proof(current)
        if not carries(request, credentials):  # another one has come meanwhile; this one may be as good
            response: Response = yield request
            return response
        response = yield from credentials.send(request, now, give_up_at)
        current.accepted = current.accepted or accepts_credentials(response)
        return response

    def refresh(self, request: HttpRequest, now: float) -> Flow[bool]:
        """Sign in anew, unless somebody has done so since the request was made."""
        current = yield from self._with_timeouts_of(request.http_settings)._refreshable(
            self.scope(request), now, unlike=request
        )
        return not carries(request, self._proof(current))

    def _proof(self, current: _RefreshableCredentials) -> KeyPair | Token:
        """What a lease holds, as this connection wants it to sign."""
        assert current.credentials is not None
        if isinstance(current.credentials, KeyPair):
            return replace(current.credentials, derived_for_region=self.derived_for_region)
        return current.credentials

    def _refreshable(
        self, scope: str, now: float, unlike: HttpRequest | None = None
    ) -> Flow[_RefreshableCredentials]:
        """What is good just now.

        :param unlike: a request whose proof was rejected; another one is wanted.
        """
        key = ("sign-in", *self._shared_by(), scope)
        for _ in range(2):  # who joins what others have begun may be given what it knows to be no good
            current: _RefreshableCredentials = yield SingleFlight(
                key,
                lambda: self._sign_in(scope, force=unlike is not None, since=None if unlike is None else now),
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
        """One signs in ahead of time; the others go on with the old proof, which is good for a while yet."""
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
            log.warning("Signing in ahead of time failed; the proof is good for a while yet. %s", error)
            return claimed
        if new.refusal is not None:
            log.warning("Signing in ahead of time was refused. %s", new.refusal)
            new = replace(old, refresh_at=old.ends_at)  # each failure counts towards a lock
        placed: _RefreshableCredentials = yield SingleFlight(
            key, lambda: _same(new), is_fresh=lambda each: each is new
        )
        return placed

    def _sign_in(
        self, scope: str, *, force: bool = False, since: float | None = None
    ) -> Flow[_RefreshableCredentials]:
        """Sign in: where it is not known whether that works now, for one scope alone; and not at all where it was
        refused a moment ago.

        :param anew: the proof before was rejected.
        :param since: a sign-in before that says nothing; None: one that worked a moment ago does.
        """
        gate = ("sign-in of", *self._shared_by())
        now = self.ask.clock()
        mine: list[_RefreshableCredentials] = []

        def attempt() -> Flow[_RefreshableCredentials]:
            mine.append((yield from self._try(scope, force=force)))
            return mine[0]

        def tells(each: _RefreshableCredentials) -> bool:
            if each.credentials is None:
                return is_recent(each.at, now)
            # A password that was good may have been changed since.
            return each.at > (now - GOOD_FOR if since is None else since)

        first: _RefreshableCredentials = yield SingleFlight(gate, attempt, is_fresh=tells)
        if first.refusal is not None or mine:
            return first
        current = yield from self._try(scope, force=force)
        if current.refusal is not None:
            yield SingleFlight(gate, lambda: _same(current), is_fresh=lambda each: each.refusal is not None)
        return current

    def _try(self, scope: str, *, force: bool) -> Flow[_RefreshableCredentials]:
        try:
            obtained = yield from beforehand(self.obtain(scope))
        except CredentialsRejected as refusal:
            if not refusal.status:
                raise  # by what is known of the keys beneath; nothing was sent, so it is no failure of its own
            return _RefreshableCredentials(self.ask.clock(), refusal=refusal)
        for secret in obtained.credentials.secrets:
            yield MaskSecret(secret)
        if obtained.life <= 0:
            raise InvalidConnection(
                "What the sign-in brought is over already. Check the clock of this machine, and the one it signs in at."
            )
        now = self.ask.clock()
        log.info("Signed in (%s); good for %.0f s.", type(self).__name__, obtained.life)
        return _RefreshableCredentials(
            now,
            obtained.credentials,
            refresh_at=now + obtained.life - min(obtained.life * _AHEAD, _MOST_AHEAD),
            ends_at=now + obtained.life - min(obtained.life * _SPARE, _MOST_SPARE),
            force=force,
        )


def _same(current: _RefreshableCredentials) -> Flow[_RefreshableCredentials]:
    return current
    yield


def life(expires_at: Any, now: float) -> float:
    """Seconds until a time that a reply names.

    :param now: the service's clock at the reply, if it tells; else ours.
    :raises UnreadableReply: if it names none.
    """
    try:
        ends = epoch_ms(expires_at, "expires_at") / 1000
    except InvalidParameter:
        raise UnreadableReply("The reply to the sign-in does not tell how long it is good for.") from None
    return max(ends - now, 0.0)


def _is_credential(value: Any) -> bool:
    """Return whether it can stand in a header as it is."""
    return (
        isinstance(value, str)
        and bool(value)
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


def temporary_keys(data: Any, now: float) -> Obtained:
    """The keys in a reply of IAM, STS or the metadata service, which spell their fields differently.

    :raises UnreadableReply: if they are not all there.
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
        raise UnreadableReply(
            "The reply to the sign-in lacks an access key, its secret key or its security token."
        )
    return Obtained(
        KeyPair(access, secret, token), life(keys.get("expires_at") or keys.get("expiration"), now)
    )


def refused(what: str, error: E, advice: str) -> E:
    """The refusal of a sign-in, in words that fit the way in."""
    advice = lock_advice(error.detail) or advice
    return type(error)(
        f"{what} was refused: {error.status} {error.said} (request id {error.request_id or 'unknown'}). {advice}",
        **{**error.facts, "sent": False},
    )
