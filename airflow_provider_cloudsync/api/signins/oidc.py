"""Sign-in with an ID token of an OpenID Connect provider, such as the token file of a Kubernetes pod."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from airflow_provider_cloudsync.api.credentials import Token
from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.messages import Flow, MaskSecret, Request
from airflow_provider_cloudsync.api.signins.refreshable import Obtained, SignIn, refused, temporary_keys
from airflow_provider_cloudsync.exceptions import CredentialsRejected, UnreadableReply

#: Requested validity of the keys in seconds.
_BY_TOKEN, DEFAULT_DURATION = 6 * 3600, 3600
DEFAULT_SESSION = "airflow-provider-cloudsync"
_ADVICE = (
    "Check that the provider trusts issuer and audience of the token in id_token_file, and its expiry time."
)


@dataclass(frozen=True, kw_only=True)
class IdToken(SignIn):
    """Identity provider of IAM (CreateUnscopedTokenWithIdToken, CreateTemporaryAccessKeyByToken).

    :param idp_id: ID of the identity provider.
    :param read: returns the current ID token; its issuer replaces it regularly.
    """

    idp_id: str
    read: Callable[[], str] = field(repr=False)

    @property
    def identity(self) -> str:
        return f"oidc:{self.idp_id}:{self.read!r}"

    @property
    def who(self) -> str:
        return f"an ID token, by identity provider {self.idp_id}"

    def obtain(self, scope: str) -> Flow[Obtained]:
        id_token = MaskSecret(self.read())
        yield id_token
        request = Request(
            "POST",
            "iam",
            "CreateUnscopedTokenWithIdToken",
            "/v3.0/OS-AUTH/id-token/tokens",
            repeatable=True,
            headers={"X-Idp-Id": self.idp_id},
            json={"auth": {"id_token": {"id": id_token.secret}}},
        )
        try:
            reply = yield from call(self.asker(), request)
        except CredentialsRejected as error:
            raise refused("Sign-in with the ID token failed", error, _ADVICE) from None
        value = reply.headers.get("x-subject-token", "")
        if not value or not value.isprintable() or not value.isascii():
            raise UnreadableReply("The sign-in reply has no token.")
        yield MaskSecret(value)
        token = {"id": value, "duration_seconds": _BY_TOKEN}
        request = Request(
            "POST",
            "iam",
            "CreateTemporaryAccessKeyByToken",
            "/v3.0/OS-CREDENTIAL/securitytokens",
            repeatable=True,
            json={"auth": {"identity": {"methods": ["token"], "token": token}}},
        )
        try:
            reply = yield from call(dataclasses.replace(self.asker(), credentials=Token(value)), request)
        except CredentialsRejected as error:
            raise refused("Exchanging the token for temporary keys failed", error, _ADVICE) from None
        return temporary_keys(reply.data, reply.date or self.ask.clock())


@dataclass(frozen=True, kw_only=True)
class StsIdToken(SignIn):
    """Identity provider of STS (AssumeAgencyWithOIDC).

    :param provider_urn: URN of the identity provider.
    :param agency_urn: URN of the agency to act as.
    :param read: returns the current ID token.
    """

    provider_urn: str
    agency_urn: str
    read: Callable[[], str] = field(repr=False)
    session: str = DEFAULT_SESSION
    duration: int = DEFAULT_DURATION

    @property
    def identity(self) -> str:
        return f"sts:{self.provider_urn}:{self.agency_urn}:{self.read!r}"

    @property
    def who(self) -> str:
        return f"an ID token, as agency {self.agency_urn}"

    @property
    def place(self) -> Hashable:
        return self.ask.url("sts")

    def obtain(self, scope: str) -> Flow[Obtained]:
        id_token = MaskSecret(self.read())
        yield id_token
        request = Request(
            "POST",
            "sts",
            "AssumeAgencyWithOIDC",
            "/v5/agencies/assume-with-oidc",
            repeatable=True,
            json={
                "provider_urn": self.provider_urn,
                "agency_urn": self.agency_urn,
                "agency_session_name": self.session,
                "id_token": id_token.secret,
                "duration_seconds": self.duration,
            },
        )
        try:
            reply = yield from call(self.asker(), request)
        except CredentialsRejected as error:
            raise refused("Assuming the agency with the ID token failed", error, _ADVICE) from None
        return temporary_keys(reply.data, reply.date or self.ask.clock())
