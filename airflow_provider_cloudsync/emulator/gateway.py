"""The API gateway in front of the services: who asks, and for which project or account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.emulator import proof
from airflow_provider_cloudsync.emulator.account import Account
from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.identities import Identity
from airflow_provider_cloudsync.emulator.messages import Call, Refused, gateway_refusal
from airflow_provider_cloudsync.emulator.proof import Unproven

#: This many failures in a row are forgiven; the next one locks the key.
FORGIVEN = 5
LOCK_SECONDS = 5 * 60.0


@dataclass
class _Failures:
    count: int = 0
    locked_until: float = 0.0


@dataclass
class Gateway:
    """Checks credentials and project scope.

    :param account: whose keys, tokens and projects are valid.
    """

    account: Account
    clock: Clock
    _failures: dict[str, _Failures] = field(default_factory=dict)

    def authenticate(self, call: Call) -> Identity:
        """Who sent `call`.

        :raises Refused: nobody that is known; failures with a key count towards its lock.
        """
        if proof.is_signed(call):
            return self._by_signature(call)
        if token := call.headers.get("x-auth-token"):
            return self._by_token(call, token)
        raise gateway_refusal(
            401, "APIGW.0301", "Incorrect IAM authentication: no credentials", call.request_id
        )

    def verdict(self, call: Call) -> str:
        """Return whether the credentials of `call` are ``valid``, ``invalid`` or ``none``; counts nothing."""
        token = call.headers.get("x-auth-token")
        if proof.is_signed(call):
            try:
                self._prove(call)
            except Unproven:
                return "invalid"
            return "valid"
        if not token:
            return "none"
        return "valid" if self.account.credentials.token(token) else "invalid"

    def _by_token(self, call: Call, value: str) -> Identity:
        token = self.account.credentials.token(value)
        if token is None:
            raise gateway_refusal(401, "APIGW.0307", "The token must be updated", call.request_id)
        return token.identity

    def _by_signature(self, call: Call) -> Identity:
        now = self.clock.gateway_now()
        claim = proof.claim_of(call)
        key = self.account.credentials.key(claim.access_key) if claim else None
        failures = self._failures.setdefault(key.access_key, _Failures()) if key else None
        if failures and now < failures.locked_until:
            detail = "AK access failed to reach the limit, forbidden"
            raise gateway_refusal(
                401, "APIGW.0301", f"Incorrect IAM authentication: {detail}", call.request_id
            )
        try:
            identity = self._prove(call)
        except Unproven as why:
            if failures:
                failures.count += 1
                if failures.count > FORGIVEN:
                    failures.count, failures.locked_until = 0, instant(now + LOCK_SECONDS)
            refusal = f"Incorrect IAM authentication: {why}"
            raise gateway_refusal(401, "APIGW.0301", refusal, call.request_id) from None
        if failures:
            failures.count = 0
        return identity

    def _prove(self, call: Call) -> Identity:
        claim = proof.claim_of(call)
        if claim is None:
            raise Unproven("the Authorization header can't be read")
        key = self.account.credentials.key(claim.access_key)
        if key is None:
            raise Unproven("unknown access key")
        proof.check_date(call, self.clock.gateway_now())
        proof.check_signature(call, claim, key)
        if why := self.account.credentials.over(key):
            raise Unproven(why)
        return key.identity

    def check_scope(self, call: Call, identity: Identity) -> None:
        """See that `call` stays within the account, and within the project that its sender may use."""
        header = call.headers.get("x-project-id")
        asked = call.parts.get("project_id")
        if asked is not None:
            project = identity.domain.project(asked)
            if project is None:
                raise self._out_of_scope(call, "the project is none of this account's")
            if not project.enabled:
                raise gateway_refusal(403, "APIGW.0310", "The project is unavailable", call.request_id)
            if header is not None and header != asked:
                raise self._out_of_scope(call, "X-Project-Id names another project than the path")
            if identity.domain_scoped:
                raise self._out_of_scope(call, "the token is for the account, not for a project")
            if identity.project_id not in (None, asked):
                raise self._out_of_scope(call, "the token is for another project")
        domain = call.headers.get("x-domain-id")
        if domain is not None and domain != identity.domain.id:
            raise self._out_of_scope(call, "X-Domain-Id names another account")

    def check_token_use(self, call: Call, identity: Identity) -> None:
        """See that a token without a scope is not used with a service."""
        if identity.unscoped:
            raise self._out_of_scope(call, "the token is for no project and no account")

    def _out_of_scope(self, call: Call, detail: str) -> Refused:
        text = f"The user is not authorized to access this API: {detail}"
        return gateway_refusal(403, "APIGW.0302", text, call.request_id)

    def state(self) -> list[dict[str, Any]]:
        """The keys with their failures, and with no secret."""
        rows = []
        for key in self.account.credentials.keys():
            failures = self._failures.get(key.access_key, _Failures())
            rows.append(
                {
                    "access_key": key.access_key,
                    "temporary": key.security_token is not None,
                    "expires": key.expires,
                    "revoked": key.revoked,
                    "user": key.identity.user,
                    "domain_id": key.identity.domain.id,
                    "failures": failures.count,
                    "locked_until": failures.locked_until or None,
                }
            )
        return rows
