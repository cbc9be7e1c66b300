"""STS, the sibling of IAM: who the caller is, and keys for who comes with an identity provider's token."""

from __future__ import annotations

from typing import Any

from airflow_provider_cloudsync.emulator.clock import utc_text
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services.iam_words import needed_text, seconds

HOUR = 3600


class Sts(Service):
    """Its resources are the account's, so it has no section of the scenario for itself."""

    name = "sts"
    takes_unscoped = True

    def load(self, section: Reader) -> None:
        """Nothing to build."""

    def state(self) -> dict[str, Any]:
        """What there is to see is IAM's."""
        return {}

    def misuse(self, text: str) -> Refused:
        """The 400 of STS."""
        return _refusal(400, "STS.0400", text)

    def denial(self, call: Call, operation: Operation) -> Refused:
        """The 403 of STS."""
        return _refusal(403, "STS.0403", f"no permission for {operation.name}")

    def show_caller(self, call: Call) -> Reply:
        """Who the sender is."""
        caller = call.caller
        return Reply(
            {"account_id": caller.domain.id, "principal_id": caller.user_id, "principal_urn": caller.urn}
        )

    def assume_with_oidc(self, call: Call) -> Reply:
        """Keys to act as an agency, for a token that an identity provider has signed."""
        document = self.json_body(call)
        urn, agency_urn, session, id_token = (
            needed_text(self, document, key)
            for key in ("provider_urn", "agency_urn", "agency_session_name", "id_token")
        )
        life = seconds(self, document, HOUR, 12 * HOUR)
        provider = next((each for each in self.account.identity_providers if each.urn == urn), None)
        # Unconfirmed: the codes, and which of these are a 401.
        if provider is None:
            raise _refusal(403, "STS.0403", "the identity provider is not known")
        if not provider.vouches_for(id_token):
            raise _refusal(401, "STS.0401", "the id token is not valid")
        if agency_urn not in provider.agency_urns:
            raise _refusal(403, "STS.0403", "the agency does not trust the identity provider")
        acting = self.account.session_of(agency_urn, session)
        key = self.account.credentials.issue_key(acting, life)
        return Reply(
            {
                "credentials": {
                    "access_key_id": key.access_key,
                    "secret_access_key": key.secret_key,
                    "security_token": key.security_token,
                    "expiration": utc_text(key.expires or 0.0),
                },
                "assumed_agency": {"urn": acting.urn, "id": f"{acting.user_id}:{session}"},
            }
        )

    operations = (
        Operation("GetCallerIdentity", "GET", "/v5/caller-identity", show_caller),
        Operation(
            "AssumeAgencyWithOIDC",
            "POST",
            "/v5/agencies/assume-with-oidc",
            assume_with_oidc,
            public=True,
        ),
    )


def _refusal(status: int, code: str, text: str) -> Refused:
    # Unconfirmed: the codes. What matters is the form, which is that of neither the gateway nor IAM.
    return Refused(Reply({"code": code, "message": text}, status))
