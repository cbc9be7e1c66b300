"""The journal and the control API."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cloudsync.emulator import scenario

STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
SYNC = "/v2/{p}/clusters/example-cluster/iam-sync-user"
SERVICES = ("iam", "sts", "metadata", "mrs", "dataarts", "hss", "coc", "csms")
PASSWORD_LOGIN = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {
                "user": {"name": scenario.USER, "password": scenario.PASSWORD, "domain": {"name": "emulator"}}
            },
        },
        "scope": {"domain": {"name": "emulator"}},
    }
}


def nested(levels: int) -> str:
    """Lists in each other."""
    return "[" * levels + "]" * levels


class TestJournal:
    def test_an_entry(self, client):
        client.emulator.advance(5)
        body = {"user_names": ["alice"]}
        response = client("POST", SYNC, body=body, query=[("b", "2 x"), ("a", ""), ("a", "1")])
        (entry,) = client.emulator.requests()
        headers = entry.pop("headers")
        assert entry == {
            "n": 1,
            "time": client.emulator.clock.now(),
            "service": "mrs",
            "operation": "UpdateSyncIamUser",
            "method": "POST",
            "path": SYNC.replace("{p}", client.emulator.project_id),
            "query": [["a", ""], ["a", "1"], ["b", "2 x"]],
            "body": body,
            "auth": "valid",
            "status": 202,
            "effect": "started",
            "fault": None,
            "request_id": response.headers["X-Request-Id"],
        }
        assert headers["content-type"] == "application/json"
        signed = f"SDK-HMAC-SHA256 Access={scenario.ACCESS_KEY}, SignedHeaders=content-type;host;x-sdk-date"
        assert headers["authorization"] == f"{signed}, Signature=***"

    @pytest.mark.parametrize(
        ("method", "path", "operation"),
        [
            ("POST", SYNC, "UpdateSyncIamUser"),
            ("DELETE", SYNC, "CancelSyncIamUser"),
            ("GET", SYNC, "ShowSyncIamUser"),
            ("GET", STATUS, "ListClusterSyncTaskStatus"),
            ("GET", STATUS + "/is-synchronous", "ListClusterSyncStatus"),
            ("GET", "/v1.1/{p}/cluster_infos/x", "ShowClusterDetails"),
            ("GET", "/v1.1/{p}/cluster_infos", "ListClusters"),
            ("GET", "/v1/{p}/security/member-sync-tasks", "ListSecurityMemberSyncTasks"),
            ("GET", "/v1/{p}/security/member-sync-tasks/x", "ShowSecurityMemberSyncTask"),
            ("GET", "/v3/projects", "KeystoneListProjects"),
            ("GET", "/v3/auth/projects", "KeystoneListAuthProjects"),
            ("GET", "/v3/auth/domains", "KeystoneListAuthDomains"),
            ("POST", "/v3/auth/tokens", "KeystoneCreateUserTokenByPassword"),
            ("GET", "/v3/auth/tokens", "KeystoneValidateToken"),
            ("POST", "/v3.0/OS-CREDENTIAL/securitytokens", "CreateTemporaryAccessKeyByToken"),
            ("POST", "/v3.0/OS-AUTH/id-token/tokens", "CreateTokenWithIdToken"),
            ("GET", "/v5/caller-identity", "GetCallerIdentity"),
            ("POST", "/v5/agencies/assume-with-oidc", "AssumeAgencyWithOIDC"),
            ("PUT", "/meta-data/latest/api/token", "CreateMetadataToken"),
            ("GET", "/openstack/latest/securitykey", "ShowSecurityKey"),
            ("GET", "/nowhere", None),
        ],
    )
    def test_operations(self, client, method, path, operation):
        client(method, path)
        assert client.emulator.requests()[0]["operation"] == operation

    @pytest.mark.parametrize(
        ("path", "body", "operation"),
        [
            ("/v3/auth/tokens", ["assume_role"], "KeystoneCreateAgencyToken"),
            ("/v3/auth/tokens", ["password"], "KeystoneCreateUserTokenByPassword"),
            ("/v3/auth/tokens", ["assume_role", "totp"], "KeystoneCreateUserTokenByPassword"),
            ("/v3.0/OS-CREDENTIAL/securitytokens", ["assume_role"], "CreateTemporaryAccessKeyByAgency"),
            ("/v3.0/OS-CREDENTIAL/securitytokens", ["token"], "CreateTemporaryAccessKeyByToken"),
            ("/v3.0/OS-CREDENTIAL/securitytokens", None, "CreateTemporaryAccessKeyByToken"),
        ],
    )
    def test_operations_that_share_a_path(self, client, path, body, operation):
        client("POST", path, body={"auth": {"identity": {"methods": body}}})
        assert client.emulator.requests()[0]["operation"] == operation

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"[" * 100_000, b"[]", b'{"auth": []}', b'{"auth": {"identity": 5}}']
    )
    @pytest.mark.parametrize("path", ["/v3/auth/tokens", "/v3.0/OS-CREDENTIAL/securitytokens"])
    def test_a_body_that_says_nothing_of_the_operation(self, client, path, data):
        assert client("POST", path, data=data).status_code == 400

    @pytest.mark.parametrize(
        ("options", "body"),
        [
            ({}, None),
            ({"body": {"user_names": []}}, {"user_names": []}),
            ({"data": b"{half"}, "{half"),
            ({"data": b"\xff"}, "\ufffd"),
            ({"data": b"[" * 100_000}, "[" * 100_000),
        ],
    )
    def test_bodies(self, client, options, body):
        client("POST", SYNC, **options)
        assert client.emulator.requests()[0]["body"] == body

    def test_half_a_character_does_not_spoil_it(self, client):
        client("POST", SYNC, data=b'{"user_names": ["\\ud800"]}')
        (shown,) = client.control("GET", "requests").json()["requests"]
        assert shown["body"] == {"user_names": ["?"]}

    def test_auth(self, client):
        for options in ({}, {"skew": 5000}, {"sign": False}):
            client("GET", STATUS, **options)
        client("GET", STATUS, sign=False, headers={"X-Auth-Token": "x"})
        assert [entry["auth"] for entry in client.emulator.requests()] == [
            "valid",
            "invalid",
            "none",
            "invalid",
        ]

    def test_since(self, client):
        for _ in range(3):
            client("GET", STATUS)
        assert [entry["n"] for entry in client.emulator.requests(since=1)] == [2, 3]
        shown = client.control("GET", "requests?since=2").json()["requests"]
        assert [entry["n"] for entry in shown] == [3]

    def test_entries_are_copies(self, client):
        client("GET", STATUS)
        client.emulator.requests()[0]["headers"].clear()
        assert client.emulator.requests()[0]["headers"]

    def test_control_is_not_in_it(self, client):
        client.control("GET", "state")
        assert client.emulator.requests() == []

    def test_no_secret_is_shown_anywhere(self, client):
        token = client("POST", "/v3/auth/tokens", body=PASSWORD_LOGIN, sign=False).headers["X-Subject-Token"]
        client("GET", "/v3/projects", sign=False, headers={"X-Auth-Token": token})
        client.access_key, client.secret_key = scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY
        signed = client("GET", STATUS, headers={"X-Security-Token": scenario.SECURITY_TOKEN}).request
        signature = signed.headers["Authorization"].rpartition("=")[2]
        assert [entry["status"] for entry in client.emulator.requests()] == [201, 200, 200]
        shown = json.dumps([client.control("GET", name).json() for name in ("state", "requests")])
        for secret in (
            token,
            signature,
            scenario.PASSWORD,
            scenario.SECRET_KEY,
            scenario.TEMPORARY_SECRET_KEY,
            scenario.SECURITY_TOKEN,
        ):
            assert secret not in shown


class TestControl:
    def test_state(self, client):
        client("POST", SYNC, body={"is_all_sync": True})
        state = client.control("GET", "state").json()
        assert set(state) == {"clock", "keys", "faults", *SERVICES}
        assert len(state["mrs"]["clusters"]["example-cluster"]["runs"]) == 1
        assert state["keys"][0]["access_key"] == scenario.ACCESS_KEY
        assert state == client.emulator.state()

    def test_advance(self, client):
        before = client.emulator.clock.now()
        assert client.control("POST", "advance", {"seconds": 2.5}).json() == {"now": before + 2.5}
        assert client("GET", STATUS).headers["Date"] == "Sat, 21 Nov 2026 08:00:02 GMT"

    def test_faults(self, client):
        fault = {"match": {"method": "GET"}, "status": 503, "times": 2, "skip": 1}
        (armed,) = client.control("POST", "faults", {"faults": [fault]}).json()["faults"]
        assert armed == {**fault, "when": "before", "matched": 0, "struck": 0}
        for _ in range(2):
            client("GET", STATUS)
        (armed,) = client.control("GET", "faults").json()["faults"]
        assert (armed["matched"], armed["struck"]) == (2, 1)
        assert client.control("DELETE", "faults").json() == {"faults": []}

    def test_reset(self, client):
        client("POST", SYNC, body={"is_all_sync": True})
        client.emulator.faults([{"status": 503}])
        start = client.emulator.clock.started
        client.emulator.advance(100)
        assert client.control("POST", "reset").json() == {"now": start}
        state = client.emulator.state()
        assert state["mrs"]["clusters"]["example-cluster"]["runs"] == state["faults"] == []
        assert client.emulator.requests() == []

    def test_reset_to_another_scenario_and_back(self, client):
        assert client.control("POST", "reset", {"mrs": {"clusters": {"x": {}}}}).status_code == 200
        assert list(client.emulator.state()["mrs"]["clusters"]) == ["x"]
        client.control("POST", "reset")
        assert "example-cluster" in client.emulator.state()["mrs"]["clusters"]

    def test_a_bad_scenario_changes_nothing(self, client):
        client.emulator.advance(5)
        before = client.emulator.state()
        response = client.control("POST", "reset", {"mrs": {"clusters": {"x": {"sconds": 1}}}})
        assert response.status_code == 400
        assert "mrs.clusters.x.sconds is not known" in response.json()["error"]
        assert client.emulator.state() == before

    @pytest.mark.parametrize(
        ("method", "name", "data", "status", "complaint"),
        [
            ("GET", "nothing", None, 404, "there is only GET /_emulator/state"),
            ("GET", "", None, 404, "there is only"),
            ("GET", "reset", None, 405, "POST /_emulator/reset"),
            ("GET", "revoke", None, 405, "POST /_emulator/revoke"),
            ("POST", "advance", "{}", 400, "seconds is missing"),
            ("POST", "advance", "", 400, "not JSON"),
            ("POST", "advance", "[]", 400, "must be an object, not a list"),
            ("POST", "advance", '{"seconds": "5"}', 400, "seconds must be a number, not the string '5'"),
            ("POST", "advance", '{"seconds": -1}', 400, "seconds must be from 0"),
            ("POST", "advance", '{"seconds": NaN}', 400, "seconds must be from 0"),
            ("POST", "advance", '{"seconds": 1e400}', 400, "seconds must be from 0"),
            ("POST", "advance", '{"seconds": true}', 400, "not a truth value"),
            ("POST", "advance", '{"seconds": 1, "to": 2}', 400, "to is not known"),
            ("POST", "faults", '{"fault": []}', 400, "faults is missing"),
            ("POST", "faults", '{"faults": {}}', 400, "faults must be a list of objects, not an object"),
            ("POST", "faults", '{"faults": [{}]}', 400, "faults[0] must hold exactly one of"),
            ("POST", "reset", "{", 400, "not JSON"),
            ("POST", "reset", "[" * 100_000, 400, "not JSON"),
            ("POST", "reset", nested(51), 400, "50 levels"),
            ("POST", "reset", nested(50), 400, "must be an object, not a list"),
            ("POST", "reset", f'{{"quotas": {nested(50)}}}', 400, "50 levels"),
            ("POST", "reset", "9" * 5000, 400, "not JSON"),
            ("POST", "reset", f'"{"x" * 2**22}"', 400, "4194304 bytes at most"),
            ("POST", "faults", f'{{"faults": [{{"status": 503, "body": {nested(49)}}}]}}', 400, "50 levels"),
            ("POST", "advance", nested(51), 400, "50 levels"),
            ("POST", "advance", nested(900), 400, "50 levels"),
            ("POST", "reset", "null", 400, "must be an object, not null"),
            ("POST", "reset", '"/etc/hostname"', 400, "must be an object, not the string"),
            ("GET", "requests?since=x", None, 400, "since must be a whole number"),
        ],
    )
    def test_errors(self, client, method, name, data, status, complaint):
        response = client.control(method, name, data=data)
        assert response.status_code == status
        assert complaint in response.json()["error"]
