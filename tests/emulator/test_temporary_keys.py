"""Temporary keys for who has a token, or keys of its own."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

PATH = "/v3.0/OS-CREDENTIAL/securitytokens"
STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"


def document(token=..., **identity):
    inner = {"methods": ["token"], **identity}
    return {"auth": {"identity": inner if token is ... else {**inner, "token": token}}}


@pytest.fixture
def token(client):
    return client.log_in().headers["X-Subject-Token"]


def body_token(client, token):
    return client("POST", PATH, body=document({"id": token}), sign=False)


def header_token(client, token):
    return client.with_token(token, "POST", PATH, body=document())


def signed(client, token):
    return client("POST", PATH, body=document())


@pytest.mark.parametrize("ask", [body_token, header_token, signed])
def test_keys_are_good_for_all_that_their_holder_may_do(client, token, ask):
    response = ask(client, token)
    assert response.status_code == 201
    assert client.emulator.requests()[-1]["operation"] == "CreateTemporaryAccessKeyByToken"
    key = response.json()["credential"]
    assert key["expires_at"] == "2026-11-21T08:15:00.000000Z"
    sender = client.using(key)
    assert sender("GET", STATUS).status_code == 200
    # The token was for a project; keys are for no single one.
    path = "/v1/vendor-account"
    headers = {"X-Domain-Id": scenario.DOMAIN_ID}
    assert sender("GET", path, query=[("limit", "1")], headers=headers).status_code == 200
    assert sender("GET", "/v5/caller-identity").json()["principal_urn"].endswith(f":user:{scenario.USER}")


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        pytest.param({}, 201, id="usual"),
        pytest.param({"duration_seconds": 900}, 201, id="shortest"),
        pytest.param({"duration_seconds": 86_400}, 201, id="longest"),
        pytest.param({"duration_seconds": 899}, 400, id="too-short"),
        pytest.param({"duration_seconds": 86_401}, 400, id="too-long"),
        pytest.param({"duration_seconds": None}, 400, id="null"),
        pytest.param({"duration_seconds": 900.5}, 400, id="a-fraction"),
        pytest.param({"id": 5}, 400, id="the-token-a-number"),
        pytest.param({"id": ""}, 400, id="the-token-empty"),
    ],
)
def test_wishes(client, token, wish, status):
    response = client("POST", PATH, body=document({"id": token, **wish}), sign=False)
    assert response.status_code == status
    if status == 201:
        seconds = wish.get("duration_seconds", 900)
        assert client.emulator.state()["keys"][-1]["expires"] == client.emulator.clock.now() + seconds


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(document(), 201, id="the-sender"),
        pytest.param(document({}), 201, id="an-empty-object"),
        pytest.param(document(policy={"Version": "1.1", "Statement": []}), 201, id="with-a-policy"),
        pytest.param(document(policy="all"), 400, id="a-policy-as-text"),
        pytest.param(document("x"), 400, id="the-token-no-object"),
        pytest.param(document(methods=["password"]), 400, id="another-method"),
        pytest.param(document(methods=["token", "assume_role"]), 400, id="two-methods"),
        pytest.param({"auth": {}}, 400, id="no-identity"),
        pytest.param({"auth": None}, 400, id="no-auth"),
        pytest.param([], 400, id="a-list"),
    ],
)
def test_bodies(client, body, status):
    assert client("POST", PATH, body=body).status_code == status


class TestOver:
    def test_a_token_in_the_header(self, client, token):
        client.emulator.revoke()
        response = header_token(client, token)
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0307")

    def test_a_token_in_the_body(self, client, token):
        client.emulator.revoke()
        response = body_token(client, token)
        assert (response.status_code, response.json()["error"]["code"]) == (401, 401)

    def test_nothing_at_all(self, client):
        response = client("POST", PATH, body=document(), sign=False)
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")

    def test_keys_outlive_their_token(self, start):
        client = start({"account": {"token_seconds": 60}})
        key = body_token(client, client.log_in().headers["X-Subject-Token"]).json()["credential"]
        client.emulator.advance(61)
        assert client.using(key)("GET", STATUS).status_code == 200
        client.emulator.advance(839)
        assert client.using(key)("GET", STATUS).status_code == 401

    def test_keys_of_old_do_not_end_with_new_ones(self, client, token):
        first, second = (body_token(client, token).json()["credential"] for _ in range(2))
        assert first["access"] != second["access"]
        assert client.using(first)("GET", STATUS).status_code == 200
