"""Temporary keys: for who has a token, and to act as an agency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cloudsync.emulator.clock import utc_text
from airflow_provider_cloudsync.emulator.credentials import Key
from airflow_provider_cloudsync.emulator.identities import Identity, agency_session
from airflow_provider_cloudsync.emulator.messages import Call, Reply
from airflow_provider_cloudsync.emulator.service import Service
from airflow_provider_cloudsync.emulator.services.iam_tokens import trusted_agency
from airflow_provider_cloudsync.emulator.services.iam_words import inner, needed_text, refusal, seconds

SHORTEST, LONGEST = 900, 86_400


def create_for_token(service: Service, call: Call) -> Reply:
    """Keys for the one whose token is in the body."""
    _, role = _asked(service, call, "token")
    token = service.account.credentials.token(needed_text(service, role, "id"))
    if token is None:
        # The gateway looks at headers only, so IAM itself says no.
        raise refusal(401, "The token must be updated.")
    return _issue(service, token.identity, role)


def create_for_sender(service: Service, call: Call) -> Reply:
    """Keys for the sender."""
    identity, _ = _asked(service, call, None)
    if identity.get("methods") != ["token"]:
        raise service.misuse('identity.methods must be ["token"] or ["assume_role"]')
    # The object may be left out, as all that it holds may be.
    role = inner(service, identity, "token") if "token" in identity else {}
    return _issue(service, call.caller, role)


def create_for_agency(service: Service, call: Call) -> Reply:
    """Keys to act in the account of an agency."""
    _, role = _asked(service, call, "assume_role")
    agency = trusted_agency(service, role, call.caller)
    session = call.caller.user
    if "session_user" in role:
        session = needed_text(service, inner(service, role, "session_user"), "name")
    acting = agency_session(agency.name, agency.domain, session, call.caller)
    return _issue(service, acting, role)


def credential(key: Key) -> dict[str, Any]:
    """Temporary keys as IAM and the metadata service hand them out."""
    return {
        "access": key.access_key,
        "secret": key.secret_key,
        "securitytoken": key.security_token,
        "expires_at": utc_text(key.expires or 0.0),
    }


def _asked(service: Service, call: Call, method: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    identity = inner(service, inner(service, service.json_body(call), "auth"), "identity")
    if "policy" in identity:
        # It could narrow the permissions down; there are none to narrow here.
        inner(service, identity, "policy")
    return identity, inner(service, identity, method) if method else {}


def _issue(service: Service, identity: Identity, wishes: Mapping[str, Any]) -> Reply:
    life = seconds(service, wishes, SHORTEST, LONGEST)
    key = service.account.credentials.issue_key(identity, life)
    return Reply({"credential": credential(key)}, 201)
