"""Sign-in as an IAM user with a password: a token for the project or for the account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.api.credentials import Token, fingerprint
from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Request
from airflow_provider_cloudsync.api.signins.refreshable import Obtained, SignIn, life, refused
from airflow_provider_cloudsync.exceptions import CredentialsRejected, UnreadableReply


@dataclass(frozen=True, kw_only=True)
class Password(SignIn):
    """IAM user with a password (KeystoneCreateUserTokenByPassword).

    A request for a project gets a token for that project, any other request one for the account. HUAWEI ID accounts
    and federated users cannot sign in this way.

    :param user: name of the IAM user.
    :param domain_name: name of the user's account.
    """

    user: str
    password: str = field(repr=False)
    domain_name: str

    @property
    def identity(self) -> str:
        return f"password:{self.domain_name}:{self.user}:{fingerprint(self.password)}"

    @property
    def who(self) -> str:
        return f"IAM user {self.user} of account {self.domain_name}"

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password,)

    def scope(self, request: HttpRequest) -> str:
        return request.headers.get("X-Project-Id", "")

    def _body(self, scope: str) -> dict[str, Any]:
        """Return the request body. Built here, so that no frame in a traceback holds the password."""
        user = {"name": self.user, "password": self.password, "domain": {"name": self.domain_name}}
        within: dict[str, Any] = (
            {"project": {"id": scope}} if scope else {"domain": {"name": self.domain_name}}
        )
        return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": within}}

    def obtain(self, scope: str) -> Flow[Obtained]:
        request = Request(
            "POST",
            "iam",
            "KeystoneCreateUserTokenByPassword",
            "/v3/auth/tokens",
            repeatable=True,  # a second token does no harm
            query=(("nocatalog", "1"),),
            json=self._body(scope),
        )
        try:
            reply = yield from call(self.asker(), request)
        except CredentialsRejected as error:
            raise refused(
                "Sign-in with a password failed",
                error,
                "Check the IAM user in Login, its password in Password and its account in domain_name; a HUAWEI ID or "
                "a federated user cannot sign in with a password. No retry: failures may lock the user.",
            ) from None
        value = reply.headers.get("x-subject-token", "")
        if not value or not value.isprintable() or not value.isascii():
            raise UnreadableReply("The sign-in reply has no token.")
        token = reply.field("token", dict)
        return Obtained(Token(value), life(token.get("expires_at"), reply.date or self.ask.clock()))
