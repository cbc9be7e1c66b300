"""Identity providers' tokens: traded at IAM for a token, and at STS for keys."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

IAM = "/v3.0/OS-AUTH/id-token/tokens"
STS = "/v5/agencies/assume-with-oidc"
KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
OTHER = "d2000000000000000000000000000002"
PROJECT = "e2000000000000000000000000000002"
OWN_AGENCY = f"iam::{scenario.DOMAIN_ID}:agency:airflow"
OTHER_AGENCY = f"iam::{OTHER}:agency:syncer"
PROVIDER = {
    "id": "corporate",
    "urn": f"iam::{scenario.DOMAIN_ID}:oidcProvider:corporate",
    "id_tokens": ["first.id.token", "second.id.token"],
    "agency_urns": [OWN_AGENCY, OTHER_AGENCY],
}
AGENCY = {
    "name": "syncer",
    "domain_id": OTHER,
    "domain_name": "other",
    "projects": [{"id": PROJECT, "name": "cn-north-4"}],
    "trusts": [],
}


@pytest.fixture
def client(start):
    return start({"account": {"identity_providers": [PROVIDER, {"id": "empty"}], "agencies": [AGENCY]}})


class TestIam:
    def trade(self, client, id_token="first.id.token", provider="corporate", **auth):
        headers = {} if provider is None else {"X-Idp-Id": provider}
        body = {"auth": {"id_token": {"id": id_token}, **auth}}
        return client("POST", IAM, body=body, sign=False, headers=headers)

    def test_without_a_scope(self, client):
        response = self.trade(client)
        token = response.json()["token"]
        assert (response.status_code, token["methods"]) == (201, ["mapped"])
        assert token["user"]["domain"]["id"] == scenario.DOMAIN_ID
        assert not {"project", "domain"} & set(token)

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            pytest.param("GET", STATUS, 403, id="service"),
            pytest.param("GET", "/v1/vendor-account?limit=1", 403, id="global-service"),
            pytest.param("GET", "/v3/auth/projects", 200, id="projects"),
            pytest.param("GET", "/v3/auth/domains", 200, id="accounts"),
            pytest.param("POST", KEYS, 201, id="keys"),
        ],
    )
    def test_a_token_without_a_scope_can_only_be_traded(self, client, method, path, status):
        token = self.trade(client).headers["X-Subject-Token"]
        path, _, query = path.partition("?")
        response = client.with_token(
            token,
            method,
            path,
            body={"auth": {"identity": {"methods": ["token"]}}} if method == "POST" else None,
            query=[tuple(query.split("="))] if query else [],
            headers={"X-Project-Id": scenario.PROJECT_ID},
        )
        assert response.status_code == status
        if status == 403:
            assert response.json()["error_code"] == "APIGW.0302"

    def test_its_keys_are_good_for_all(self, client):
        token = self.trade(client, "second.id.token").headers["X-Subject-Token"]
        body = {
            "auth": {"identity": {"methods": ["token"], "token": {"id": token, "duration_seconds": 21_600}}}
        }
        sender = client.using(client("POST", KEYS, body=body, sign=False).json()["credential"])
        assert sender("GET", STATUS).status_code == 200
        identity = sender("GET", "/v5/caller-identity").json()
        assert identity["principal_urn"] == f"iam::{scenario.DOMAIN_ID}:user:corporate-user"

    @pytest.mark.parametrize(
        ("scope", "status"),
        [
            ({"project": {"id": scenario.PROJECT_ID}}, 200),
            ({"domain": {"id": scenario.DOMAIN_ID}}, 403),
        ],
    )
    def test_with_a_scope(self, client, scope, status):
        response = self.trade(client, scope=scope)
        assert response.status_code == 201
        token = response.headers["X-Subject-Token"]
        assert client.with_token(token, "GET", STATUS).status_code == status

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            pytest.param({"id_token": "another.id.token"}, 401, id="not-its-token"),
            pytest.param({"id_token": "ü"}, 401, id="not-ascii"),
            pytest.param({"id_token": ""}, 400, id="no-token"),
            pytest.param({"id_token": None}, 400, id="null"),
            pytest.param({"provider": None}, 400, id="no-provider"),
            pytest.param({"provider": "elsewhere"}, 404, id="unknown-provider"),
            pytest.param({"provider": "empty"}, 401, id="not-this-provider-s"),
            pytest.param({"scope": {"project": {"id": PROJECT}}}, 401, id="foreign-scope"),
            pytest.param({"scope": {}}, 400, id="empty-scope"),
        ],
    )
    def test_refusals(self, client, changes, status):
        response = self.trade(client, **changes)
        assert response.status_code == status
        assert response.json()["error"]["code"] == status
        assert "X-Subject-Token" not in response.headers

    @pytest.mark.parametrize("body", [{}, {"auth": {}}, {"auth": {"id_token": "first.id.token"}}])
    def test_bodies(self, client, body):
        response = client("POST", IAM, body=body, sign=False, headers={"X-Idp-Id": "corporate"})
        assert response.status_code == 400


RIGHT = {
    "provider_urn": PROVIDER["urn"],
    "agency_urn": OWN_AGENCY,
    "agency_session_name": "oidc-sts-session",
    "id_token": "first.id.token",
}


class TestSts:
    def assume(self, client, **changes):
        document = {**RIGHT, **changes}
        body = {key: value for key, value in document.items() if value is not ...}
        return client("POST", STS, body=body, sign=False)

    def using(self, client, response):
        names = {"access": "access_key_id", "secret": "secret_access_key", "securitytoken": "security_token"}
        given = response.json()["credentials"]
        return client.using({ours: given[theirs] for ours, theirs in names.items()})

    def test_reply(self, client):
        response = self.assume(client)
        assert response.status_code == 200
        assert set(response.json()["credentials"]) == {
            "access_key_id",
            "secret_access_key",
            "security_token",
            "expiration",
        }
        assert response.json()["credentials"]["expiration"] == "2026-11-21T09:00:00.000000Z"
        assert response.headers["X-Request-Id"]

    @pytest.mark.parametrize(
        ("agency", "account", "project"),
        [
            (OWN_AGENCY, scenario.DOMAIN_ID, scenario.PROJECT_ID),
            (OTHER_AGENCY, OTHER, PROJECT),
        ],
        ids=["own", "of-another-account"],
    )
    def test_keys_act_in_the_account_of_the_agency(self, client, agency, account, project):
        sender = self.using(client, self.assume(client, agency_urn=agency))
        name = agency.rpartition(":")[2]
        identity = sender("GET", "/v5/caller-identity").json()
        assert identity["account_id"] == account
        assert identity["principal_urn"] == f"sts::{account}:assumed-agency:{name}/oidc-sts-session"
        (row,) = sender("GET", "/v3/projects").json()["projects"]
        assert row["id"] == project

    @pytest.mark.parametrize(
        ("wish", "life"),
        [
            pytest.param(..., 3600, id="usual"),
            pytest.param(900, 900, id="shortest"),
            pytest.param(43_200, 43_200, id="longest"),
            pytest.param(899, None, id="too-short"),
            pytest.param(43_201, None, id="too-long"),
            pytest.param("3600", None, id="text"),
        ],
    )
    def test_life(self, client, wish, life):
        response = self.assume(client, duration_seconds=wish)
        if life is None:
            assert response.status_code == 400
            return
        sender = self.using(client, response)
        client.emulator.advance(life - 0.1)
        assert sender("GET", STATUS).status_code == 200
        client.emulator.advance(0.1)
        assert sender("GET", STATUS).status_code == 401

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            pytest.param({"id_token": "another.id.token"}, 401, id="not-its-token"),
            pytest.param({"provider_urn": "iam::1:oidcProvider:x"}, 403, id="unknown-provider"),
            pytest.param({"provider_urn": "iam:::oidcProvider:empty"}, 401, id="not-this-provider-s"),
            pytest.param({"agency_urn": OWN_AGENCY + "2"}, 403, id="another-agency"),
            *(
                pytest.param({name: value}, 400, id=f"{name}-{text}")
                for name in RIGHT
                for value, text in ((..., "missing"), (5, "a-number"), ("", "empty"))
            ),
        ],
    )
    def test_refusals(self, client, changes, status):
        response = self.assume(client, **changes)
        assert response.status_code == status
        assert set(response.json()) == {"code", "message"}
        assert response.json()["code"] == f"STS.0{status}"
