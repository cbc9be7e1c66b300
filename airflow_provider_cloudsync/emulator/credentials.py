"""Keys and tokens: those of the scenario, and those given out since."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.identities import Identity


@dataclass
class Key:
    """An access key; with a security token it is a temporary one.

    :param expires: the time of its end, or None.
    """

    access_key: str
    secret_key: str
    identity: Identity
    security_token: str | None = None
    expires: float | None = None
    revoked: bool = False


@dataclass
class Token:
    """What a password, an agency or a token of somebody else was traded for.

    :param method: how it was got, in IAM's words.
    """

    value: str
    identity: Identity
    issued: float
    expires: float
    method: str
    revoked: bool = False


class Credentials:
    """Gives out keys and tokens, and knows which are valid.

    :param token_seconds: the life of tokens.
    :param revocations: emulated times at which all tokens of the moment end.
    """

    def __init__(
        self, clock: Clock, keys: Iterable[Key], token_seconds: float, revocations: Iterable[float]
    ) -> None:
        self._clock = clock
        self._token_seconds = token_seconds
        self._revocations = deque(sorted(revocations))
        self._keys = {key.access_key: key for key in keys}
        self._tokens: dict[str, Token] = {}

    def _catch_up(self) -> None:
        """End what was to end since the last look; whatever is given out afterwards is not concerned."""
        while self._revocations and self._revocations[0] <= self._clock.now():
            self._revocations.popleft()
            self._revoke_tokens()

    def _revoke_tokens(self) -> int:
        live = [each for each in self._tokens.values() if self._lives(each)]
        for token in live:
            token.revoked = True
        return len(live)

    def _lives(self, credential: Key | Token) -> bool:
        expires = credential.expires
        return not credential.revoked and (expires is None or self._clock.credential_now() < expires)

    def revoke(self) -> dict[str, int]:
        """End all tokens and temporary keys now, and say how many these were."""
        self._catch_up()
        keys = [each for each in self.keys() if each.security_token is not None and self._lives(each)]
        for key in keys:
            key.revoked = True
        return {"tokens": self._revoke_tokens(), "keys": len(keys)}

    def issue_token(self, identity: Identity, method: str) -> Token:
        """A new token; the older ones stay as they are."""
        self._catch_up()
        now = self._clock.credential_now()
        # Real tokens are long enough to upset a proxy or a column; these are too.
        value = "MII" + secrets.token_urlsafe(1200)
        token = Token(value, identity, now, instant(now + self._token_seconds), method)
        self._tokens[value] = token
        return token

    def issue_key(self, identity: Identity, seconds: float) -> Key:
        """A new temporary key."""
        key = Key(
            "HST" + secrets.token_hex(9).upper()[:17],
            secrets.token_urlsafe(30),
            identity.for_keys(),
            secrets.token_urlsafe(600),
            instant(self._clock.credential_now() + seconds),
        )
        self._keys[key.access_key] = key
        return key

    def token(self, value: str) -> Token | None:
        """The token, as long as it is valid."""
        self._catch_up()
        token = self._tokens.get(value)
        return token if token and self._lives(token) else None

    def key(self, access_key: str) -> Key | None:
        """The key, whether it is still good or not."""
        return self._keys.get(access_key)

    def over(self, key: Key) -> str | None:
        """Why a key is good no longer, if so."""
        if key.revoked:
            return "the temporary key has been revoked"
        return None if self._lives(key) else "the temporary key has expired"

    def keys(self) -> list[Key]:
        """All keys, those of the scenario first."""
        return list(self._keys.values())

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens as JSON, without the tokens themselves."""
        self._catch_up()
        return [
            {
                "issued": each.issued,
                "expires": each.expires,
                "revoked": each.revoked,
                "method": each.method,
                "user": each.identity.user,
                "domain_id": each.identity.domain.id,
                "project_id": each.identity.project_id,
            }
            for each in self._tokens.values()
        ]
