"""Connections that sign in in each way, and the account of the emulator that lets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_provider_cloudsync.emulator import Emulator, scenario

ID_TOKEN = "an.id.token"
OTHER_DOMAIN = "d2000000000000000000000000000002"
OTHER_PROJECT = "e2000000000000000000000000000002"
AGENCY_URN = f"iam::{scenario.DOMAIN_ID}:agency:pods"
PROVIDER = {"id": "idp", "urn": "urn:idp", "id_tokens": [ID_TOKEN], "agency_urns": [AGENCY_URN]}
AGENCY = {
    "name": "syncer",
    "domain_id": OTHER_DOMAIN,
    "domain_name": "other",
    "projects": [{"id": OTHER_PROJECT, "name": scenario.REGION}],
    "trusts": [scenario.DOMAIN_NAME],
}
#: Ways that sign in -> seconds that a proof is good for, and the operation that brings it.
SIGN_INS = {
    "password": (1800.0, "KeystoneCreateUserTokenByPassword"),
    "ecs": (1800.0, "ShowSecurityKey"),
    "oidc": (21600.0, "CreateTemporaryAccessKeyByToken"),
    "sts": (3600.0, "AssumeAgencyWithOIDC"),
    "agency": (3600.0, "CreateTemporaryAccessKeyByAgency"),
}
WAYS = ("aksk", "temporary", "token", *SIGN_INS)


def account(**more: Any) -> dict[str, Any]:
    """The sections ``account`` and ``metadata`` of a scenario in which every way leads in."""
    life = SIGN_INS["password"][0]
    given = {"token_seconds": life, "identity_providers": [PROVIDER], "agencies": [AGENCY], **more}
    return {"account": given, "metadata": {"key_seconds": SIGN_INS["ecs"][0]}}


def project_of(way: str) -> str:
    return OTHER_PROJECT if way.startswith("agency") else scenario.PROJECT_ID


def connection(way: str, emulator: Emulator, folder: Path, **extra: Any) -> str:
    """A value for an environment variable of a connection."""
    given = json.loads(emulator.connection)
    more: dict[str, Any] = {"project_id": project_of(way)}
    if way == "temporary":
        given |= {"login": scenario.TEMPORARY_ACCESS_KEY, "password": scenario.TEMPORARY_SECRET_KEY}
        more["security_token"] = scenario.SECURITY_TOKEN
    elif way == "agency":
        more["agency"] = "syncer@other"
    elif way != "aksk":
        given |= {"login": None, "password": None}
    if way == "password":
        given |= {"login": emulator.user, "password": emulator.password}
        more |= {"auth": "password", "domain_name": emulator.domain_name}
    elif way == "token":
        more |= {"auth": "token", "token": token(emulator)}
    elif way == "ecs":
        more |= {"auth": "ecs", "endpoints": {"metadata": emulator.url}}
    elif way in ("oidc", "sts"):
        path = folder / "id-token"
        path.write_text(ID_TOKEN + "\n")
        named = {"oidc_provider_urn": "urn:idp", "oidc_agency_urn": AGENCY_URN}
        more |= {
            "auth": "oidc",
            "id_token_file": str(path),
            **({"idp_id": "idp"} if way == "oidc" else named),
        }
    given["extra"] |= more | extra
    return json.dumps(given)


def token(emulator: Emulator) -> str:
    """A token of the account's user for the main project, as somebody else would obtain it."""
    import requests

    user = {"name": emulator.user, "password": emulator.password, "domain": {"name": emulator.domain_name}}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"id": emulator.project_id}}
    with requests.Session() as session:
        session.trust_env = False
        reply = session.post(
            f"{emulator.url}/v3/auth/tokens",
            json={"auth": {"identity": identity, "scope": scope}},
            timeout=10,
        )
    return reply.headers["X-Subject-Token"]
