"""The token calls of IAM: for a password, as an agency, for another provider's token; and what a token says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airflow_provider_cloudsync.emulator.clock import utc_text
from airflow_provider_cloudsync.emulator.credentials import Token
from airflow_provider_cloudsync.emulator.identities import Identity, agency_session
from airflow_provider_cloudsync.emulator.messages import Call, Reply
from airflow_provider_cloudsync.emulator.service import Service
from airflow_provider_cloudsync.emulator.services.iam_words import inner, needed_text, refusal
from airflow_provider_cloudsync.emulator.trust import Agency


def create_by_password(service: Service, call: Call) -> Reply:
    """A token for a password, for a project or for the account."""
    account = service.account
    auth = inner(service, service.json_body(call), "auth")
    identity = inner(service, auth, "identity")
    if identity.get("methods") != ["password"]:
        # A second factor as well: the account's user has none.
        raise service.misuse('identity.methods must be ["password"] or ["assume_role"]')
    user = inner(service, inner(service, identity, "password"), "user")
    domain = inner(service, user, "domain")
    name, password = (needed_text(service, user, key) for key in ("name", "password"))
    if fault := account.passwords.fault(name, needed_text(service, domain, "name"), password):
        raise refusal(401, fault)
    return _issue(service, _scoped(service, auth, account.identity), "password")


def create_by_agency(service: Service, call: Call) -> Reply:
    """A token to act in the account of an agency, for one of its projects or for all of it."""
    auth = inner(service, service.json_body(call), "auth")
    role = inner(service, inner(service, auth, "identity"), "assume_role")
    agency = trusted_agency(service, role, call.caller)
    session = agency_session(agency.name, agency.domain, call.caller.user, call.caller)
    return _issue(service, _scoped(service, auth, session), "assume_role")


def create_by_id_token(service: Service, call: Call) -> Reply:
    """A token for one that an identity provider has signed; without a scope it can only be traded for keys."""
    auth = inner(service, service.json_body(call), "auth")
    id_token = needed_text(service, inner(service, auth, "id_token"), "id")
    wanted = call.headers.get("x-idp-id")
    if not wanted:
        raise service.misuse("X-Idp-Id is missing")
    provider = next((each for each in service.account.identity_providers if each.id == wanted), None)
    # Unconfirmed: the statuses of these two, and the texts.
    if provider is None:
        raise refusal(404, f"Could not find the identity provider {wanted}.")
    if not provider.vouches_for(id_token):
        raise refusal(401, "The id token is not valid.")
    own = service.account.domain
    user_id = uuid5(NAMESPACE_URL, f"{own.id}/providers/{provider.id}").hex
    user = Identity(f"{provider.id}-user", user_id, own)
    scoped = _scoped(service, auth, user) if "scope" in auth else user.for_nothing()
    return _issue(service, scoped, "mapped")


def show(service: Service, call: Call) -> Reply:
    """What the token in X-Subject-Token is good for."""
    value = call.headers.get("x-subject-token")
    if not value:
        raise service.misuse("X-Subject-Token is missing")
    token = service.account.credentials.token(value)
    # Unconfirmed: that nobody is told about the tokens of another account.
    if token is None or token.identity.domain.id != call.caller.domain.id:
        raise refusal(404, "Could not find the token.")
    return Reply({"token": _body(token)}, 200, {"X-Subject-Token": value})


def trusted_agency(service: Service, role: Mapping[str, Any], caller: Identity) -> Agency:
    """The agency that ``assume_role`` names, if its account lets `caller` act as it."""
    name = needed_text(service, role, "agency_name")
    key = "id" if role.get("domain_id") is not None else "name"
    agency = service.account.agency(name, key, needed_text(service, role, f"domain_{key}"))
    # Unconfirmed: the statuses. An agency that trusts others only might be kept a secret just as well.
    if agency is None:
        raise refusal(404, f"Could not find the agency {name}.")
    if not agency.admits(caller):
        raise refusal(403, "You are not authorized to perform the requested action.")
    return agency


def _scoped(service: Service, auth: Mapping[str, Any], identity: Identity) -> Identity:
    """The identity with the scope that is asked for."""
    scope = inner(service, auth, "scope")
    if ("project" in scope) == ("domain" in scope):
        raise service.misuse("scope must hold either project or domain")
    kind = "project" if "project" in scope else "domain"
    wanted = inner(service, scope, kind)
    key = "id" if "id" in wanted else "name"
    if not isinstance(wanted.get(key), str):
        raise service.misuse(f"scope.{kind} must hold id or name")
    if kind == "domain":
        if wanted[key] != identity.domain.brief()[key]:
            raise refusal(401, "The account of the scope is not the user's.")
        return identity.for_project(None)
    found = [each for each in identity.domain.projects if getattr(each, key) == wanted[key]]
    if len(found) != 1 or not found[0].enabled:
        raise refusal(401, "The project of the scope can't be used.")
    return identity.for_project(found[0].id)


def _issue(service: Service, identity: Identity, method: str) -> Reply:
    token = service.account.credentials.issue_token(identity, method)
    return Reply({"token": _body(token)}, 201, {"X-Subject-Token": token.value})


def _body(token: Token) -> dict[str, Any]:
    identity = token.identity
    body: dict[str, Any] = {
        "methods": [token.method],
        "issued_at": utc_text(token.issued),
        "expires_at": utc_text(token.expires),
        "user": _user(identity),
        "roles": [] if identity.unscoped else [{"id": "0", "name": "te_admin"}],
        "catalog": [],
    }
    if identity.assumed_by:
        body["assumed_by"] = {"user": _user(identity.assumed_by)}
    project = identity.domain.project(identity.project_id or "")
    if project:
        body["project"] = {"id": project.id, "name": project.name, "domain": identity.domain.brief()}
    elif identity.domain_scoped:
        body["domain"] = identity.domain.brief()
    return body


def _user(identity: Identity) -> dict[str, Any]:
    # An agency goes by the name of its account as well.
    name = identity.user if identity.session is None else f"{identity.domain.name}/{identity.user}"
    return {"id": identity.user_id, "name": name, "domain": identity.domain.brief()}
