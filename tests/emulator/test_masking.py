"""No secret gets into the journal or the state; what is not secret does."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cloudsync.emulator import masking, scenario

SIGNED = "SignedHeaders=host;x-sdk-date, Signature="
CANARY = "canary-0123456789"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        (
            "authorization",
            f"SDK-HMAC-SHA256 Access=AK, {SIGNED}{CANARY}",
            f"SDK-HMAC-SHA256 Access=AK, {SIGNED}***",
        ),
        (
            "authorization",
            f"V11-HMAC-SHA256 Credential=AK/20261121/r/s,{SIGNED}{CANARY}, more",
            f"V11-HMAC-SHA256 Credential=AK/20261121/r/s,{SIGNED}***",
        ),
        ("authorization", f"Bearer {CANARY}", "***"),
        ("authorization", f"SDK-HMAC-SHA256 {CANARY}", "***"),
        ("authorization", "", "***"),
        ("x-auth-token", CANARY, "***"),
        ("x-subject-token", CANARY, "***"),
        ("x-security-token", CANARY, "***"),
        ("x-metadata-token", CANARY, "***"),
        ("cookie", CANARY, "***"),
        ("proxy-authorization", CANARY, "***"),
        ("x-metadata-token-ttl-seconds", "60", "60"),
        ("x-idp-id", "corporate", "corporate"),
        ("x-project-id", "1", "1"),
    ],
)
def test_headers(name, value, shown):
    assert masking.masked_headers({name: value}) == {name: shown}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        *(
            pytest.param({name: CANARY, "name": "x"}, {name: "***", "name": "x"}, id=name)
            for name in (
                "password",
                "Password",
                "passcode",
                "secret",
                "sk",
                "secret_key",
                "secretAccessKey",
                "securitytoken",
                "security_token",
                "securityToken",
                "id_token",
                "idToken",
                "token",
            )
        ),
        pytest.param(
            {"token": {"id": CANARY, "duration_seconds": 900}},
            {"token": {"id": "***", "duration_seconds": 900}},
            id="token-object",
        ),
        pytest.param({"id_token": {"id": CANARY}}, {"id_token": {"id": "***"}}, id="id-token-object"),
        pytest.param(
            {"password": {"user": {"name": "n", "password": CANARY, "domain": {"id": "d"}}}},
            {"password": {"user": {"name": "n", "password": "***", "domain": {"id": "d"}}}},
            id="password-object",
        ),
        pytest.param({"password": 12345678}, {"password": "***"}, id="a-number"),
        pytest.param({"password": [CANARY]}, {"password": "***"}, id="a-list"),
        pytest.param({"password": None}, {"password": None}, id="null"),
        pytest.param([{"secret": CANARY}], [{"secret": "***"}], id="within-a-list"),
        pytest.param({"secret_name": "s", "tokens": 1}, {"secret_name": "s", "tokens": 1}, id="other-names"),
    ],
)
def test_bodies(body, shown):
    assert masking.masked_body(json.dumps(body).encode()) == shown


@pytest.mark.parametrize(
    "wrap", [lambda value: {"a": value}, lambda value: [value], lambda value: {"secret": value}]
)
@pytest.mark.parametrize("depth", [10, 60, 400])
def test_deep_ones(wrap, depth):
    value = {"password": CANARY}
    for _ in range(depth):
        value = wrap(value)
    assert CANARY not in json.dumps(masking.masked_body(json.dumps(value).encode()))


def test_all_ways_in_leave_no_secret(start):
    provider = {"id": "idp", "urn": "urn", "id_tokens": [CANARY], "agency_urns": ["iam::1:agency:a"]}
    agency = {"name": "a", "domain_id": "1", "domain_name": "other"}
    client = start({"account": {"identity_providers": [provider], "agencies": [agency]}})
    keys = "/v3.0/OS-CREDENTIAL/securitytokens"
    secrets = [CANARY, scenario.PASSWORD, scenario.SECRET_KEY]

    token = client.log_in().headers["X-Subject-Token"]
    client.with_token(token, "GET", "/v3/auth/tokens", headers={"X-Subject-Token": token})
    identity = {"methods": ["token"], "token": {"id": token}}
    by_token = client("POST", keys, body={"auth": {"identity": identity}}, sign=False).json()["credential"]
    role = {"agency_name": "a", "domain_name": "other"}
    identity = {"methods": ["assume_role"], "assume_role": role}
    by_agency = client.using(by_token)("POST", keys, body={"auth": {"identity": identity}})
    mapped = client(
        "POST",
        "/v3.0/OS-AUTH/id-token/tokens",
        body={"auth": {"id_token": {"id": CANARY}}},
        sign=False,
        headers={"X-Idp-Id": "idp"},
    )
    oidc = {
        "provider_urn": "urn",
        "agency_urn": "iam::1:agency:a",
        "agency_session_name": "s",
        "id_token": CANARY,
    }
    by_oidc = client("POST", "/v5/agencies/assume-with-oidc", body=oidc, sign=False).json()["credentials"]
    ttl = {"X-Metadata-Token-Ttl-Seconds": "60"}
    metadata = client("PUT", "/meta-data/latest/api/token", sign=False, headers=ttl).text
    by_server = client(
        "GET", "/openstack/latest/securitykey", sign=False, headers={"X-Metadata-Token": metadata}
    )
    client.using(by_server.json()["credential"])("GET", "/v3/projects")

    assert [entry["status"] for entry in client.emulator.requests()] == [
        201,
        200,
        201,
        201,
        201,
        200,
        200,
        200,
        200,
    ]
    secrets += [token, metadata, mapped.headers["X-Subject-Token"]]
    for key in (by_token, by_agency.json()["credential"], by_server.json()["credential"]):
        secrets += [key["secret"], key["securitytoken"]]
    secrets += [by_oidc["secret_access_key"], by_oidc["security_token"]]
    shown = json.dumps([client.control("GET", name).json() for name in ("state", "requests")])
    assert [secret for secret in secrets if secret in shown] == []
    # The names of the keys are there, so that a test can tell which one was used.
    assert by_server.json()["credential"]["access"] in shown
