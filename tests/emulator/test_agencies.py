"""Acting as an agency of another account: by token and by temporary keys, there and nowhere else."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

TOKENS = "/v3/auth/tokens"
KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"
OTHER = "d2000000000000000000000000000002"
PROJECT = "e2000000000000000000000000000002"
SECOND = "e2000000000000000000000000000003"
AGENCY = {
    "name": "syncer",
    "domain_id": OTHER,
    "domain_name": "other",
    "projects": [
        {"id": PROJECT, "name": "cn-north-4"},
        {"id": SECOND, "name": "cn-east-3", "enabled": False},
    ],
}
ROLE = {"agency_name": "syncer", "domain_name": "other"}
CLUSTERS = {
    "ours": {},
    "theirs": {"project_id": PROJECT, "synced_users": ["alice"]},
}


@pytest.fixture
def client(start):
    return begin(start)


def begin(start, *more, **changes):
    account = {"agencies": [{**AGENCY, **changes}, *more]}
    accounts = {"a": {"account_id": "1"}, "b": {"account_id": "2", "domain_id": OTHER}}
    return start({"account": account, "mrs": {"clusters": CLUSTERS}, "coc": {"accounts": accounts}})


def document(role=ROLE, scope=None):
    auth = {"identity": {"methods": ["assume_role"], "assume_role": role}}
    return {"auth": {**auth, "scope": scope} if scope else auth}


def assume(client, role=ROLE, path=KEYS, scope=None, **options):
    return client("POST", path, body=document(role, scope), **options)


def acting(client, role=ROLE):
    """A client with the agency's keys."""
    return client.using(assume(client, role).json()["credential"])


class TestKeys:
    def test_reply(self, client):
        response = assume(client)
        assert response.status_code == 201
        key = response.json()["credential"]
        assert set(key) == {"access", "secret", "securitytoken", "expires_at"}
        assert key["expires_at"] == "2026-11-21T08:15:00.000000Z"
        assert client.emulator.requests()[-1]["operation"] == "CreateTemporaryAccessKeyByAgency"
        shown = client.emulator.state()["keys"][-1]
        assert (shown["access_key"], shown["temporary"], shown["user"]) == (key["access"], True, "syncer")
        assert shown["domain_id"] == OTHER

    @pytest.mark.parametrize(
        ("path", "headers", "expected"),
        [
            pytest.param(f"/v2/{PROJECT}/clusters/theirs/iam-sync", {}, 200, id="its-project"),
            pytest.param(f"/v2/{PROJECT}/clusters/ours/iam-sync", {}, 400, id="no-cluster-of-ours-in-it"),
            pytest.param("/v2/{p}/clusters/ours/iam-sync", {}, 403, id="our-project"),
            pytest.param(f"/v2/{SECOND}/clusters/theirs/iam-sync", {}, 403, id="disabled-project"),
            pytest.param("/v3/auth/domains", {"X-Domain-Id": OTHER}, 200, id="its-account"),
            pytest.param("/v3/auth/domains", {"X-Domain-Id": scenario.DOMAIN_ID}, 403, id="our-account"),
        ],
    )
    def test_act_in_that_account_only(self, client, path, headers, expected):
        assert acting(client)("GET", path, headers=headers).status_code == expected

    def test_our_keys_do_not_reach_it(self, client):
        path = f"/v2/{PROJECT}/clusters/theirs/iam-sync"
        response = client("GET", path)
        assert (response.status_code, response.json()["error_code"]) == (403, "APIGW.0302")

    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("/v3/projects", [PROJECT, SECOND]),
            ("/v3/projects?name=cn-north-4", [PROJECT]),
            (f"/v3/projects?domain_id={scenario.DOMAIN_ID}", []),
            ("/v3/auth/projects", [PROJECT]),
            ("/v3/auth/domains", [OTHER]),
        ],
    )
    def test_lists_are_those_of_that_account(self, client, path, shown):
        path, _, query = path.partition("?")
        pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
        reply = acting(client)("GET", path, query=pairs).json()
        rows = reply.get("projects", reply.get("domains"))
        assert [row["id"] for row in rows] == shown
        assert all(row.get("domain_id", OTHER) == OTHER for row in rows)

    @pytest.mark.parametrize(
        ("extra", "session"),
        [({}, scenario.USER), ({"session_user": {"name": "airflow"}}, "airflow")],
        ids=["usual", "named"],
    )
    def test_identity(self, client, extra, session):
        document = acting(client, {**ROLE, **extra})("GET", "/v5/caller-identity").json()
        assert document["account_id"] == OTHER
        assert document["principal_urn"] == f"sts::{OTHER}:assumed-agency:syncer/{session}"
        assert document["principal_id"] not in ("", "0" * 32)

    def test_global_services_show_that_account(self, client):
        def shown(sender, domain):
            headers = {"X-Domain-Id": domain}
            reply = sender("GET", "/v1/vendor-account", query=[("limit", "10")], headers=headers)
            return [row["account_id"] for row in reply.json()["data"]]

        assert shown(client, scenario.DOMAIN_ID) == ["1"]
        assert shown(acting(client), OTHER) == ["2"]

    @pytest.mark.parametrize(
        ("agency", "project", "status"),
        [
            pytest.param(True, PROJECT, 200, id="its-own"),
            pytest.param(True, scenario.PROJECT_ID, 400, id="ours"),
            pytest.param(False, scenario.PROJECT_ID, 200, id="our-own"),
            pytest.param(False, PROJECT, 400, id="theirs"),
        ],
    )
    def test_global_services_take_a_project_of_the_account_instead(self, client, agency, project, status):
        sender = acting(client) if agency else client
        headers = {"X-Project-Id": project}
        response = sender("GET", "/v1/vendor-account", query=[("limit", "10")], headers=headers)
        assert response.status_code == status

    def test_quotas_by_user_count_the_agency_and_not_its_sessions(self, start):
        agency = {"name": scenario.USER, "trusts": [scenario.DOMAIN_NAME]}
        client = start(
            {"account": {"agencies": [agency]}, "quotas": {"ListClusters": {"limit": 1, "per": "user"}}}
        )
        role = {"agency_name": scenario.USER, "domain_name": scenario.DOMAIN_NAME}
        first, second = (acting(client, {**role, "session_user": {"name": name}}) for name in "ab")
        statuses = [each("GET", "/v1.1/{p}/cluster_infos").status_code for each in (client, first, second)]
        assert statuses == [200, 200, 429]

    @pytest.mark.parametrize(
        ("asked", "life"),
        [({}, 900), ({"duration_seconds": 900}, 900), ({"duration_seconds": 86_400}, 86_400)],
    )
    def test_life(self, client, asked, life):
        sender = acting(client, {**ROLE, **asked})
        client.emulator.advance(life - 0.1)
        assert sender("GET", "/v3/projects").status_code == 200
        client.emulator.advance(0.1)
        response = sender("GET", "/v3/projects")
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")
        assert "expired" in response.json()["error_msg"]

    def test_they_need_their_security_token(self, client):
        sender = acting(client)
        sender.extra_headers = {"X-Security-Token": scenario.SECURITY_TOKEN}
        assert sender("GET", "/v3/projects").status_code == 401

    def test_they_can_be_locked_like_others(self, client):
        sender = acting(client)
        for _ in range(6):
            sender("GET", "/v3/projects", skew=1000)
        assert "limit" in sender("GET", "/v3/projects").text
        assert acting(client)("GET", "/v3/projects").status_code == 200

    def test_by_a_token(self, client):
        token = client.log_in({"domain": {"name": scenario.DOMAIN_NAME}}).headers["X-Subject-Token"]
        response = client.with_token(token, "POST", KEYS, body=document())
        assert response.status_code == 201
        client.emulator.revoke()
        response = client.with_token(token, "POST", KEYS, body=document())
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0307")

    def test_by_keys_of_another_agency(self, start):
        home = {"name": "home", "trusts": [scenario.USER]}
        client = begin(start, home, trusts=["home"])
        assert assume(client).status_code == 403
        between = acting(client, {**ROLE, "agency_name": "home", "domain_name": "emulator"})
        assert between("GET", "/v5/caller-identity").json()["account_id"] == scenario.DOMAIN_ID
        assert acting(between)("GET", "/v5/caller-identity").json()["account_id"] == OTHER


class TestRefusals:
    @pytest.mark.parametrize(
        ("role", "status"),
        [
            pytest.param({"agency_name": "syncer", "domain_id": OTHER}, 201, id="by-id"),
            pytest.param({**ROLE, "domain_id": OTHER}, 201, id="both"),
            pytest.param({**ROLE, "domain_id": scenario.DOMAIN_ID}, 404, id="the-id-counts"),
            pytest.param({**ROLE, "agency_name": "nobody"}, 404, id="no-such-agency"),
            pytest.param({**ROLE, "agency_name": "\ud800"}, 404, id="half-a-character"),
            pytest.param({**ROLE, "domain_name": "emulator"}, 404, id="not-of-this-account"),
            pytest.param({"agency_name": "syncer"}, 400, id="no-account"),
            pytest.param({"domain_name": "other"}, 400, id="no-name"),
            pytest.param({**ROLE, "agency_name": 5}, 400, id="a-number"),
            pytest.param({**ROLE, "duration_seconds": 899}, 400, id="too-short"),
            pytest.param({**ROLE, "duration_seconds": 86_401}, 400, id="too-long"),
            pytest.param({**ROLE, "duration_seconds": "900"}, 400, id="as-text"),
            pytest.param({**ROLE, "duration_seconds": True}, 400, id="as-truth"),
            pytest.param({**ROLE, "session_user": "x"}, 400, id="session-as-text"),
            pytest.param({**ROLE, "session_user": {}}, 400, id="session-without-name"),
            pytest.param("syncer", 400, id="no-object"),
            pytest.param(None, 400, id="nothing"),
        ],
    )
    def test_of_roles(self, client, role, status):
        response = assume(client, role)
        assert response.status_code == status
        if status != 201:
            assert response.json()["error"]["code"] == status

    @pytest.mark.parametrize(
        ("trusts", "status"),
        [
            pytest.param([scenario.USER], 201, id="the-user"),
            pytest.param([scenario.DOMAIN_NAME], 201, id="the-account"),
            pytest.param(["x", scenario.DOMAIN_ID], 201, id="the-account-by-id"),
            pytest.param(["someone"], 403, id="somebody-else"),
            pytest.param([], 403, id="nobody"),
        ],
    )
    @pytest.mark.parametrize(("path", "scope"), [(KEYS, None), (TOKENS, {"domain": {"name": "other"}})])
    def test_of_trust(self, start, trusts, status, path, scope):
        client = begin(start, trusts=trusts)
        assert assume(client, path=path, scope=scope).status_code == status

    @pytest.mark.parametrize("path", [KEYS, TOKENS])
    def test_of_nobody(self, client, path):
        response = assume(client, path=path, sign=False)
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")


class TestToken:
    def test_says_who_acts_and_for_whom(self, client):
        response = assume(client, path=TOKENS, scope={"project": {"name": "cn-north-4"}})
        assert response.status_code == 201
        assert client.emulator.requests()[-1]["operation"] == "KeystoneCreateAgencyToken"
        token = response.json()["token"]
        assert token["methods"] == ["assume_role"]
        assert token["user"]["name"] == "other/syncer"
        assert token["user"]["domain"] == {"id": OTHER, "name": "other"}
        assert token["project"]["id"] == PROJECT
        assert token["assumed_by"]["user"]["name"] == scenario.USER
        assert token["assumed_by"]["user"]["domain"]["id"] == scenario.DOMAIN_ID

    @pytest.mark.parametrize(
        ("scope", "status"),
        [
            pytest.param({"project": {"id": PROJECT}}, 201, id="its-project"),
            pytest.param({"domain": {"id": OTHER}}, 201, id="its-account"),
            pytest.param({"project": {"id": scenario.PROJECT_ID}}, 401, id="our-project"),
            pytest.param({"project": {"id": SECOND}}, 401, id="disabled-project"),
            pytest.param({"domain": {"name": scenario.DOMAIN_NAME}}, 401, id="our-account"),
            pytest.param(None, 400, id="none"),
        ],
    )
    def test_scope(self, client, scope, status):
        assert assume(client, path=TOKENS, scope=scope).status_code == status

    @pytest.mark.parametrize(
        ("scope", "path", "status"),
        [
            ({"project": {"id": PROJECT}}, f"/v2/{PROJECT}/clusters/theirs/iam-sync", 200),
            ({"project": {"id": PROJECT}}, "/v2/{p}/clusters/ours/iam-sync", 403),
            ({"domain": {"id": OTHER}}, f"/v2/{PROJECT}/clusters/theirs/iam-sync", 403),
            ({"domain": {"id": OTHER}}, "/v1/vendor-account?limit=1", 200),
        ],
    )
    def test_use(self, client, scope, path, status):
        token = assume(client, path=TOKENS, scope=scope).headers["X-Subject-Token"]
        path, _, query = path.partition("?")
        pairs = [tuple(query.split("="))] if query else []
        assert client.with_token(token, "GET", path, query=pairs).status_code == status

    def test_others_do_not_see_it(self, client):
        token = assume(client, path=TOKENS, scope={"domain": {"id": OTHER}}).headers["X-Subject-Token"]
        subject = {"X-Subject-Token": token}
        assert client("GET", TOKENS, headers=subject).status_code == 404
        assert client.with_token(token, "GET", TOKENS, headers=subject).status_code == 200
