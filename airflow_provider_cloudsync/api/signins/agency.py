"""Sign-in as an agency of another account: temporary keys, obtained with other credentials."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.messages import Flow, Request
from airflow_provider_cloudsync.api.signins.refreshable import Obtained, SignIn, refused, temporary_keys
from airflow_provider_cloudsync.exceptions import ApiError

#: Requested validity of the keys in seconds.
_DURATION = 3600


@dataclass(frozen=True, kw_only=True)
class Agency(SignIn):
    """Agency of another account (CreateTemporaryAccessKeyByAgency). `ask` has the credentials that it trusts.

    :param name: name of the agency.
    :param domain_name: name of the account that the agency belongs to.
    """

    name: str
    domain_name: str

    @property
    def identity(self) -> str:
        return f"agency:{self.domain_name}:{self.name}:{self.ask.credentials.identity}"

    @property
    def who(self) -> str:
        return f"agency {self.name} of account {self.domain_name}, as {self.ask.credentials.who}"

    def obtain(self, scope: str) -> Flow[Obtained]:
        role = {"agency_name": self.name, "domain_name": self.domain_name, "duration_seconds": _DURATION}
        request = Request(
            "POST",
            "iam",
            "CreateTemporaryAccessKeyByAgency",
            "/v3.0/OS-CREDENTIAL/securitytokens",
            repeatable=True,
            json={"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}},
        )
        try:
            reply = yield from call(self.asker(), request)
        except ApiError as error:
            if error.operation != request.operation or error.status not in (400, 403, 404):
                raise
            raise refused(
                f"Assuming agency {self.name} of account {self.domain_name} failed",
                error,
                "Check both names in agency (NAME@ACCOUNT), that the agency trusts the account of "
                f"{self.ask.credentials.who}, and that it may act as an agency (iam:agencies:assume, Agent Operator).",
            ) from None
        return temporary_keys(reply.data, reply.date or self.ask.clock())
