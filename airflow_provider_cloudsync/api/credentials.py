"""Each way to prove who asks. A credential turns a request into one that carries the proof, as a flow."""

from __future__ import annotations

import dataclasses
import hmac
import os
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_cloudsync.api.messages import Flow, HttpRequest
from airflow_provider_cloudsync.api.signing import sign

_PEPPER = os.urandom(32)


class Credentials(Protocol):
    """One way to authenticate."""

    @property
    def identity(self) -> str:
        """Tells one identity from another and holds no secret: part of the key of what is shared."""

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """The request with the proof added. Called for each attempt; `now` is in seconds since the epoch."""


#: Everything else may be rewritten by a proxy on the way, which would break the signature.
_SIGNED = ("host", "content-type", "x-project-id", "x-domain-id", "x-security-token", "workspace", "region")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key and its secret key, lasting or temporary; requests are signed with them.

    :param access_key: the AK; not a secret, but never logged.
    :param secret_key: the SK.
    :param security_token: goes with temporary keys.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    @property
    def identity(self) -> str:
        # With the secrets, but not to be told from it: a mistyped key must not share the replies of the right one.
        secrets = "\n".join((self.secret_key, self.security_token or "")).encode()
        return f"aksk:{self.access_key}:{hmac.new(_PEPPER, secrets, 'sha256').hexdigest()}"

    def authorize(self, request: HttpRequest, now: float) -> Flow[HttpRequest]:
        """Sign the request (SDK-HMAC-SHA256)."""
        return self.signed(request, now)
        yield  # a flow like the others, though it asks for nothing

    def signed(self, request: HttpRequest, now: float) -> HttpRequest:
        """The request with date, token and signature in its headers."""
        parts = urlsplit(request.url)
        headers = dict(request.headers)
        if self.security_token:
            headers["X-Security-Token"] = self.security_token
        to_sign = {name: value for name, value in headers.items() if name.lower() in _SIGNED}
        proof = sign(
            request.method,
            parts.path,
            parse_qsl(parts.query, keep_blank_values=True),
            to_sign,
            request.body,
            access_key=self.access_key,
            secret_key=self.secret_key,
            now=now,
        )
        return dataclasses.replace(request, headers={**headers, **proof})
