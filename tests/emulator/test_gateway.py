"""Signatures, tokens, project scope and quotas."""

from __future__ import annotations

import hashlib

import pytest

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.emulator import scenario

STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
SYNC = "/v2/{p}/clusters/example-cluster/iam-sync-user"


def refusal(response):
    """Status and code of a gateway error, after a look at its form."""
    document = response.json()
    assert set(document) == {"error_code", "error_msg", "request_id"}
    assert document["request_id"] == response.headers["X-Request-Id"]
    return response.status_code, document["error_code"]


class TestSignature:
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({}, id="plain"),
            pytest.param({"query": [("b", "2"), ("a", "x y/ü&="), ("a", ""), ("b", "1")]}, id="query"),
            pytest.param({"headers": {"X-Project-Id": scenario.PROJECT_ID}}, id="project-header"),
            pytest.param({"headers": {"Empty": "", "Workspace": "blanks behind  "}}, id="odd-headers"),
            pytest.param({"sent": {"X-Unsigned": "x"}}, id="an-unsigned-header"),
            pytest.param({"skew": 899}, id="fast-clock"),
            pytest.param({"skew": -899}, id="slow-clock"),
        ],
    )
    def test_right(self, client, options):
        assert client("GET", STATUS, **options).status_code == 200
        assert client.emulator.requests()[0]["auth"] == "valid"

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"sign": False}, "no credentials"),
            ({"skew": 901}, "901 s off"),
            ({"skew": -901}, "901 s off"),
            ({"sent": {"X-Sdk-Date": "20261121T080000Z."}}, "X-Sdk-Date"),
            ({"sent": {"X-Sdk-Date": ""}}, "X-Sdk-Date"),
            ({"sent": {"Content-Type": "application/json;charset=UTF-8"}}, "signature"),
            ({"query": [("a", "1")], "sent": {"X-Sdk-Date": "20261121T080001Z"}}, "signature"),
            ({"sent": {"Authorization": "SDK-HMAC-SHA256 nonsense"}}, "can't be read"),
            ({"sent": {"Authorization": "Basic eDp5"}}, "no credentials"),
            ({"headers": {"Workspace": "x"}, "sent": {"Workspace": None}}, "workspace was not sent"),
        ],
    )
    def test_wrong(self, client, options, word):
        response = client("GET", STATUS, **options)
        assert refusal(response) == (401, "APIGW.0301")
        assert word in response.json()["error_msg"]

    def test_unknown_key(self, client):
        client.access_key = "NOBODY"
        assert refusal(client("GET", STATUS)) == (401, "APIGW.0301")

    def test_the_body_is_covered(self, client):
        signed = {"user_names": ["alice"]}
        headers = client("POST", SYNC, body=signed).request.headers
        forged = client.session.post(
            client.emulator.url + SYNC.replace("{p}", client.emulator.project_id),
            json={"user_names": ["mallo"]},
            headers={name: value for name, value in headers.items() if name != "Content-Length"},
            timeout=5,
        )
        assert refusal(forged) == (401, "APIGW.0301")

    @pytest.mark.parametrize("missing", ["Host", "X-Sdk-Date"])
    def test_host_and_date_must_be_signed(self, client, missing):
        host = client.emulator.url.removeprefix("http://")
        date = signing.format_date(client.emulator.clock.now())
        every = {"Host": host, "X-Sdk-Date": date, "X-Other": "1"}
        signed = {name: value for name, value in every.items() if name != missing}
        path = STATUS.replace("{p}", client.emulator.project_id)
        canonical = signing.canonical_request("GET", path, [], signed, signing.body_digest(b""))
        text = signing.signature(client.secret_key, signing.string_to_sign(canonical, date))
        authorization = signing.authorization(client.access_key, signed, text)
        response = client("GET", STATUS, sign=False, headers={**every, "Authorization": authorization})
        assert refusal(response) == (401, "APIGW.0301")
        assert "must be signed" in response.json()["error_msg"]

    @pytest.mark.parametrize(
        ("declared", "status"),
        [
            ("UNSIGNED-PAYLOAD", 202),
            (hashlib.sha256(b'{"is_all_sync": true}').hexdigest(), 202),
            (hashlib.sha256(b"another body").hexdigest(), 401),
        ],
    )
    def test_declared_content_digest(self, client, declared, status):
        host = client.emulator.url.removeprefix("http://")
        date = signing.format_date(client.emulator.clock.now())
        signed = {"Host": host, "X-Sdk-Date": date, "Content-Type": "application/json"}
        signed["X-Sdk-Content-Sha256"] = declared
        path = SYNC.replace("{p}", client.emulator.project_id)
        canonical = signing.canonical_request("POST", path, [], signed, declared)
        text = signing.signature(client.secret_key, signing.string_to_sign(canonical, date))
        authorization = signing.authorization(client.access_key, signed, text)
        response = client(
            "POST",
            SYNC,
            sign=False,
            data=b'{"is_all_sync": true}',
            headers={**signed, "Authorization": authorization},
        )
        assert response.status_code == status

    def test_a_temporary_key_ends(self, start):
        key = {"access_key": "T", "secret_key": "t", "security_token": "s", "expires_after": 60}
        client = start({"account": {"keys": [key]}})
        client.access_key, client.secret_key = "T", "t"
        client.extra_headers = {"X-Security-Token": "s"}
        assert client("GET", STATUS).status_code == 200
        client.emulator.advance(60)
        assert refusal(client("GET", STATUS)) == (401, "APIGW.0301")


class TestLock:
    LOCKED = "AK access failed to reach the limit"

    def fail(self, client, times):
        for _ in range(times):
            assert client("GET", STATUS, sent={"X-Other": "x"}, skew=1000).status_code == 401

    def test_five_failures_are_forgiven(self, client):
        self.fail(client, 5)
        assert client.emulator.state()["keys"][0]["failures"] == 5
        assert client("GET", STATUS).status_code == 200
        assert client.emulator.state()["keys"][0]["failures"] == 0
        self.fail(client, 5)
        assert client("GET", STATUS).status_code == 200

    def test_the_sixth_locks_the_key_for_five_minutes(self, client):
        self.fail(client, 6)
        for seconds, status in ((0, 401), (299, 401), (1, 200)):
            client.emulator.advance(seconds)
            response = client("GET", STATUS)
            assert response.status_code == status
            assert (self.LOCKED in response.text) == (status == 401)

    def test_another_key_is_not_concerned(self, client):
        self.fail(client, 6)
        client.access_key, client.secret_key = scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY
        client.extra_headers = {"X-Security-Token": scenario.SECURITY_TOKEN}
        assert client("GET", STATUS).status_code == 200


class TestToken:
    def token(self, client, scope=None):
        user = {
            "name": client.emulator.user,
            "password": client.emulator.password,
            "domain": {"name": scenario.DOMAIN_NAME},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = scope or {"project": {"id": client.emulator.project_id}}
        body = {"auth": {"identity": identity, "scope": scope}}
        return client("POST", "/v3/auth/tokens", body=body, sign=False)

    def use(self, client, token, path=STATUS):
        return client("GET", path, sign=False, headers={"X-Auth-Token": token})

    @pytest.mark.parametrize("scope", [{"id": scenario.PROJECT_ID}, {"name": scenario.REGION}])
    def test_for_a_project(self, client, scope):
        response = self.token(client, {"project": scope})
        assert response.status_code == 201
        assert response.json()["token"]["project"]["id"] == scenario.PROJECT_ID
        assert response.json()["token"]["expires_at"] == "2026-11-22T08:00:00.000000Z"
        assert self.use(client, response.headers["X-Subject-Token"]).status_code == 200

    def test_for_the_account(self, client):
        response = self.token(client, {"domain": {"name": scenario.DOMAIN_NAME}})
        token = response.headers["X-Subject-Token"]
        assert response.json()["token"]["domain"]["id"] == scenario.DOMAIN_ID
        assert self.use(client, token, "/v3/auth/projects").status_code == 200
        assert refusal(self.use(client, token)) == (403, "APIGW.0302")

    def test_for_another_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "other"}]
        client = start({"account": {"projects": projects}})
        token = self.token(client, {"project": {"name": "other"}}).headers["X-Subject-Token"]
        assert refusal(self.use(client, token)) == (403, "APIGW.0302")

    def test_life(self, start):
        client = start({"account": {"token_seconds": 60}})
        token = self.token(client).headers["X-Subject-Token"]
        client.emulator.advance(59)
        assert self.use(client, token).status_code == 200
        client.emulator.advance(1)
        assert refusal(self.use(client, token)) == (401, "APIGW.0307")

    def test_a_new_one_does_not_end_the_old_one(self, client):
        old, new = (self.token(client).headers["X-Subject-Token"] for _ in range(2))
        assert old != new
        assert self.use(client, old).status_code == 200

    def test_unknown(self, client):
        assert refusal(self.use(client, "MII-nobody")) == (401, "APIGW.0307")


class TestScope:
    OTHER = "f" * 32

    @pytest.mark.parametrize(
        ("path", "headers", "code"),
        [
            (STATUS.replace("{p}", OTHER), {}, "APIGW.0302"),
            (STATUS, {"X-Project-Id": OTHER}, "APIGW.0302"),
            (STATUS, {"X-Domain-Id": OTHER}, "APIGW.0302"),
            (STATUS.replace("{p}", "2" * 32), {}, "APIGW.0310"),
        ],
        ids=["foreign", "header-differs", "another-account", "disabled"],
    )
    def test_refused(self, start, path, headers, code):
        projects = [{"id": "1" * 32, "name": "a"}, {"id": "2" * 32, "name": "b", "enabled": False}]
        client = start({"account": {"projects": projects}})
        assert refusal(client("GET", path, headers=headers)) == (403, code)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/v2/{p}/clusters/example-cluster/iam-sync/"),
            ("PUT", STATUS),
            ("GET", "/v3/{p}/clusters/example-cluster/iam-sync"),
        ],
    )
    def test_no_such_api(self, client, method, path):
        assert refusal(client(method, path)) == (404, "APIGW.0101")

    def test_a_body_too_large(self, client):
        assert refusal(client("POST", SYNC, data=b" " * (12 * 1024 * 1024 + 1))) == (413, "APIGW.0201")

    def test_a_header_of_30_kilobytes_is_read(self, client):
        assert client("GET", STATUS, headers={"X-Long": "x" * 30_000}).status_code == 200


class TestQuota:
    TASKS = "/v1/{p}/security/member-sync-tasks"

    def exhaust(self, client, limit, *call, **options):
        for _ in range(limit):
            assert client(*call, **options).status_code != 429
        return client(*call, **options)

    @pytest.mark.parametrize(
        ("call", "limit", "window", "seconds"),
        [
            (("POST", SYNC), 60, "1 minute", 60),
            (("DELETE", SYNC), 60, "1 minute", 60),
            (("GET", TASKS), 40, "10 second", 10),
            (("GET", TASKS + "/example-member-sync"), 40, "10 second", 10),
        ],
    )
    def test_documented(self, client, call, limit, window, seconds):
        response = self.exhaust(client, limit, *call, body={} if call[1] == SYNC else None)
        assert refusal(response) == (429, "APIGW.0308")
        assert f"limit:{limit},time:{window}" in response.json()["error_msg"]
        client.emulator.advance(seconds - 0.5)
        assert client(*call).status_code == 429
        client.emulator.advance(0.5)
        assert client(*call).status_code != 429

    def test_reading_users_has_its_own_limit(self, start):
        client = start({"quotas": {"ShowSyncIamUser": {"limit": 2}}})
        response = self.exhaust(client, 2, "GET", SYNC)
        assert "limit:2,time:1 minute" in response.json()["error_msg"]
        assert client("POST", SYNC, body={"is_all_sync": True}).status_code == 202

    def test_each_project_has_its_own_count(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        client = start({"account": {"projects": projects}, "quotas": {"UpdateSyncIamUser": {"limit": 1}}})
        assert self.exhaust(client, 1, "POST", SYNC, body={}).status_code == 429
        assert client("POST", SYNC.replace("{p}", "2" * 32), body={}).status_code == 400

    def test_of_what_has_none_by_itself(self, start):
        client = start({"quotas": {"ListClusterSyncTaskStatus": {"limit": 1, "seconds": 1, "per": "user"}}})
        assert "limit:1,time:1 second" in self.exhaust(client, 1, "GET", STATUS).json()["error_msg"]

    @pytest.mark.parametrize("quotas", [False, {"ShowSecurityMemberSyncTask": False}])
    def test_switched_off(self, start, quotas):
        client = start({"quotas": quotas})
        path = self.TASKS + "/example-member-sync"
        headers = {"workspace": "example-workspace"}
        assert self.exhaust(client, 40, "GET", path, headers=headers).status_code == 200

    def test_what_was_refused_before_is_not_counted(self, client):
        client_forged = {"sent": {"X-Sdk-Date": "x"}}
        for _ in range(4):
            client("POST", SYNC, body={}, **client_forged)
        assert self.exhaust(client, 60, "POST", SYNC, body={}).status_code == 429
