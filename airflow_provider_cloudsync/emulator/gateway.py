"""The API gateway in front of the services: who asks, for which project, and how often."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.emulator.account import Account, Key
from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.messages import Call, Identity, Refused, gateway_refusal

MAX_SKEW = 15 * 60.0
#: This many failures in a row are forgiven; the next one locks the key.
FORGIVEN = 5
LOCK_SECONDS = 5 * 60.0
_AUTHORIZATION = re.compile(
    r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})"
)


@dataclass
class _Failures:
    count: int = 0
    locked_until: float = 0.0


class _Unproven(Exception):
    """The signature does not show that the sender knows the secret key."""


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
        text = call.headers.get("authorization", "")
        if text.startswith(signing.ALGORITHM):
            return self._by_signature(call, text)
        if token := call.headers.get("x-auth-token"):
            return self._by_token(call, token)
        raise gateway_refusal(
            401, "APIGW.0301", "Incorrect IAM authentication: no credentials", call.request_id
        )

    def verdict(self, call: Call) -> str:
        """Whether the credentials of `call` are ``valid``, ``invalid`` or ``none``; counts nothing."""
        text = call.headers.get("authorization", "")
        token = call.headers.get("x-auth-token")
        if text.startswith(signing.ALGORITHM):
            try:
                self._prove(call, text)
            except _Unproven:
                return "invalid"
            return "valid"
        if not token:
            return "none"
        return "valid" if self.account.holder(token, self.clock.now()) else "invalid"

    def _by_token(self, call: Call, token: str) -> Identity:
        identity = self.account.holder(token, self.clock.now())
        if identity is None:
            raise gateway_refusal(401, "APIGW.0307", "The token must be updated", call.request_id)
        return identity

    def _by_signature(self, call: Call, text: str) -> Identity:
        now = self.clock.gateway_now()
        named = _AUTHORIZATION.fullmatch(text)
        access_key = named[1] if named else ""
        failures = (
            self._failures.setdefault(access_key, _Failures()) if access_key in self.account.keys else None
        )
        if failures and now < failures.locked_until:
            detail = "AK access failed to reach the limit, forbidden"
            raise gateway_refusal(
                401, "APIGW.0301", f"Incorrect IAM authentication: {detail}", call.request_id
            )
        try:
            self._prove(call, text)
        except _Unproven as why:
            if failures:
                failures.count += 1
                if failures.count > FORGIVEN:
                    failures.count, failures.locked_until = 0, instant(now + LOCK_SECONDS)
            refusal = f"Incorrect IAM authentication: {why}"
            raise gateway_refusal(401, "APIGW.0301", refusal, call.request_id) from None
        if failures:
            failures.count = 0
        return Identity(self.account.user)

    def _prove(self, call: Call, text: str) -> None:
        named = _AUTHORIZATION.fullmatch(text)
        if named is None:
            raise _Unproven("the Authorization header can't be read")
        access_key, names, given = named.groups()
        key = self.account.keys.get(access_key)
        if key is None:
            raise _Unproven("unknown access key")
        self._prove_date(call)
        expected = _expected_signature(call, key, names)
        if not hmac.compare_digest(expected, given):
            raise _Unproven("verify aksk signature fail")
        if key.security_token is not None:
            sent = call.headers.get("x-security-token", "")
            if not hmac.compare_digest(key.security_token.encode(), sent.encode(errors="replace")):
                raise _Unproven("the security token does not belong to the key")
            if key.expires is not None and self.clock.now() >= key.expires:
                raise _Unproven("the temporary key has expired")

    def _prove_date(self, call: Call) -> None:
        try:
            text = call.headers.get("x-sdk-date", "").strip()
            date = datetime.strptime(f"{text}+0000", f"{signing.DATE_FORMAT}%z")
        except ValueError:
            raise _Unproven("X-Sdk-Date is missing or can't be read") from None
        skew = abs(date.timestamp() - self.clock.gateway_now())
        if skew > MAX_SKEW:
            raise _Unproven(f"X-Sdk-Date is {skew:.0f} s off, signature expired")

    def check_scope(self, call: Call, identity: Identity) -> None:
        """See that `call` stays within the account, and within the project that its sender may use."""
        header = call.headers.get("x-project-id")
        asked = call.parts.get("project_id")
        if asked is not None:
            project = self.account.project(asked)
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
        if domain is not None and domain != self.account.domain_id:
            raise self._out_of_scope(call, "X-Domain-Id names another account")

    def _out_of_scope(self, call: Call, detail: str) -> Refused:
        text = f"The user is not authorized to access this API: {detail}"
        return gateway_refusal(403, "APIGW.0302", text, call.request_id)

    def state(self) -> list[dict[str, Any]]:
        """The keys with their failures, and with no secret."""
        rows = []
        for name, key in self.account.keys.items():
            failures = self._failures.get(name, _Failures())
            rows.append(
                {
                    "access_key": name,
                    "temporary": key.security_token is not None,
                    "failures": failures.count,
                    "locked_until": failures.locked_until or None,
                }
            )
        return rows


def _expected_signature(call: Call, key: Key, names: str) -> str:
    headers: dict[str, str] = {}
    for name in names.split(";"):
        if name not in call.headers:
            raise _Unproven(f"the signed header {name} was not sent")
        headers[name] = call.headers[name]
    for needed in ("host", signing.DATE_HEADER.lower()):
        if needed not in headers:
            raise _Unproven(f"the header {needed} must be signed")
    digest = _digest(call.body, call.headers)
    try:
        canonical = signing.canonical_request(call.method, call.path, call.query, headers, digest)
        text = signing.string_to_sign(canonical, headers[signing.DATE_HEADER.lower()].strip())
    except UnicodeEncodeError:
        raise _Unproven("the request is not UTF-8") from None
    return signing.signature(key.secret_key, text)


def _digest(body: bytes, headers: Mapping[str, str]) -> str:
    digest = signing.body_digest(body)
    declared = headers.get(signing.CONTENT_HEADER.lower())
    if not body or declared is None:
        return digest
    # A digest in the header is a claim about the body: text such as UNSIGNED-PAYLOAD is taken as it is.
    if re.fullmatch(r"[0-9a-fA-F]{64}", declared) and declared.lower() != digest:
        raise _Unproven("X-Sdk-Content-Sha256 is not the digest of the body")
    return declared
