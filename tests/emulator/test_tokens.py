"""How tokens begin and end: short lives, revocation, the lock of a password, and what a token says of itself."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
DOMAIN = {"domain": {"name": scenario.DOMAIN_NAME}}


def code(response):
    """The status, and the code of whoever refused."""
    if response.status_code < 400:
        return response.status_code, None
    document = response.json()
    return response.status_code, document.get("error_code") or document["error"]["code"]


MUST_RENEW = (401, "APIGW.0307")


class TestLife:
    @pytest.mark.parametrize(
        ("account", "steps"),
        [
            pytest.param({}, [(86_399, 200), (1, MUST_RENEW[0])], id="a-day"),
            pytest.param({"token_seconds": 5}, [(0, 200), (4.999, 200), (0.001, 401)], id="short"),
            pytest.param({"token_seconds": 0}, [(0, 401)], id="none"),
            pytest.param({"revoke_tokens_at": [10]}, [(9.999, 200), (0.001, 401), (5, 401)], id="revoked"),
            pytest.param({"revoke_tokens_at": [30, 10]}, [(9, 200), (1, 401)], id="revoked-in-any-order"),
        ],
    )
    def test_of_a_token(self, start, account, steps):
        client = start({"account": account})
        token = client.log_in().headers["X-Subject-Token"]
        for seconds, status in steps:
            client.emulator.advance(seconds)
            response = client.with_token(token, "GET", STATUS)
            assert code(response) == (MUST_RENEW if status == 401 else (200, None))

    @pytest.mark.parametrize("at", [10, 15])
    def test_a_revocation_does_not_concern_later_tokens(self, start, at):
        client = start({"account": {"revoke_tokens_at": [10, 20]}})
        client.emulator.advance(at)
        token = client.log_in().headers["X-Subject-Token"]
        assert client.with_token(token, "GET", STATUS).status_code == 200
        client.emulator.advance(20 - at)
        assert code(client.with_token(token, "GET", STATUS)) == MUST_RENEW

    def test_a_revocation_does_not_concern_keys(self, start):
        client = start({"account": {"revoke_tokens_at": [10]}})
        body = {"auth": {"identity": {"methods": ["token"]}}}
        key = client("POST", "/v3.0/OS-CREDENTIAL/securitytokens", body=body).json()["credential"]
        client.emulator.advance(10)
        assert client.using(key)("GET", STATUS).status_code == 200

    def test_the_state_shows_what_became_of_each(self, start):
        client = start({"account": {"revoke_tokens_at": [10]}})
        client.log_in()
        client.emulator.advance(10)
        client.log_in(DOMAIN)
        rows = client.emulator.state()["iam"]["tokens"]
        assert [(row["revoked"], row["project_id"], row["method"], row["user"]) for row in rows] == [
            (True, scenario.PROJECT_ID, "password", scenario.USER),
            (False, None, "password", scenario.USER),
        ]


def test_lives_are_real_seconds_however_fast_the_clock_is(start):
    """Their holders renew by the wall time; a day must not be over for them in a second."""
    client = start(stepped=False, start=None, speed=1e8)
    token = client.log_in().headers["X-Subject-Token"]
    began = client.emulator.clock.now()
    while client.emulator.clock.now() < began + 2 * 86_400:
        pass
    assert client.with_token(token, "GET", STATUS).status_code == 200
    client.emulator.advance(86_400)
    assert code(client.with_token(token, "GET", STATUS)) == MUST_RENEW


class TestRevokeNow:
    KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"

    def test_ends_tokens_and_temporary_keys(self, client):
        token = client.log_in().headers["X-Subject-Token"]
        body = {"auth": {"identity": {"methods": ["token"]}}}
        key = client("POST", self.KEYS, body=body).json()["credential"]
        fixed = {
            "access": scenario.TEMPORARY_ACCESS_KEY,
            "secret": scenario.TEMPORARY_SECRET_KEY,
            "securitytoken": scenario.SECURITY_TOKEN,
        }
        # The scenario's own temporary key is one of the two.
        assert client.control("POST", "revoke").json() == {"tokens": 1, "keys": 2}
        assert code(client.with_token(token, "GET", STATUS)) == MUST_RENEW
        for temporary in (key, fixed):
            response = client.using(temporary)("GET", STATUS)
            assert code(response) == (401, "APIGW.0301")
            assert "revoked" in response.json()["error_msg"]
        assert client("GET", STATUS).status_code == 200
        assert [each["revoked"] for each in client.emulator.state()["keys"]] == [False, True, True]

    def test_what_comes_after_is_valid_and_what_is_over_does_not_count(self, start):
        client = start({"account": {"token_seconds": 60}})
        client.log_in()
        client.emulator.advance(60)
        assert client.emulator.revoke() == {"tokens": 0, "keys": 1}
        assert client.emulator.revoke() == {"tokens": 0, "keys": 0}
        token = client.log_in().headers["X-Subject-Token"]
        assert client.with_token(token, "GET", STATUS).status_code == 200


class TestPasswordLock:
    def codes(self, client, *passwords, **user):
        return [client.log_in(password=password, **user).status_code for password in passwords]

    @pytest.mark.parametrize(
        ("account", "wrong", "right"),
        [
            pytest.param({}, 20, 201, id="off"),
            pytest.param({"password_failures": 3}, 2, 201, id="not-yet"),
            pytest.param({"password_failures": 3}, 3, 401, id="locked"),
        ],
    )
    def test_of_wrong_passwords_in_a_row(self, start, account, wrong, right):
        client = start({"account": account})
        assert self.codes(client, *["x"] * wrong) == [401] * wrong
        response = client.log_in()
        assert response.status_code == right
        assert ("locked" in response.text) == (right == 401)

    def test_it_ends(self, start):
        client = start({"account": {"password_failures": 1, "password_lock_seconds": 60}})
        assert self.codes(client, "x", scenario.PASSWORD) == [401, 401]
        client.emulator.advance(59.9)
        assert client.log_in().status_code == 401
        client.emulator.advance(0.1)
        assert client.log_in().status_code == 201

    def test_a_right_one_begins_the_count_anew(self, start):
        client = start({"account": {"password_failures": 2}})
        assert self.codes(client, "x", scenario.PASSWORD, "x", scenario.PASSWORD) == [401, 201, 401, 201]

    @pytest.mark.parametrize("user", [{"name": "other"}, {"domain": {"name": "elsewhere"}}])
    def test_other_users_have_nothing_to_do_with_it(self, start, user):
        client = start({"account": {"password_failures": 1}})
        assert client.log_in(password="x", **user).status_code == 401
        assert client.log_in().status_code == 201

    def test_tokens_of_before_stay_valid(self, start):
        client = start({"account": {"password_failures": 1}})
        token = client.log_in().headers["X-Subject-Token"]
        self.codes(client, "x")
        assert client.with_token(token, "GET", STATUS).status_code == 200


class TestMethods:
    @pytest.mark.parametrize("methods", [["totp"], ["password", "totp"], [], "password", None])
    def test_that_are_not_supported(self, client, methods):
        body = {"auth": {"identity": {"methods": methods, "totp": {"user": {"id": "1", "passcode": "1"}}}}}
        response = client("POST", "/v3/auth/tokens", body=body, sign=False)
        assert code(response) == (400, 400)


class TestValidate:
    PATH = "/v3/auth/tokens"

    @pytest.mark.parametrize(
        ("scope", "shown"),
        [(None, "project"), (DOMAIN, "domain")],
        ids=["project", "account"],
    )
    def test_says_what_the_token_is_good_for(self, client, scope, shown):
        made = client.log_in(scope)
        token = made.headers["X-Subject-Token"]
        response = client.with_token(token, "GET", self.PATH, headers={"X-Subject-Token": token})
        assert (response.status_code, response.headers["X-Subject-Token"]) == (200, token)
        assert response.json() == made.json()
        document = response.json()["token"]
        assert shown in document
        assert (document["methods"], document["user"]["name"]) == (["password"], scenario.USER)
        assert document["user"]["domain"] == {"id": scenario.DOMAIN_ID, "name": scenario.DOMAIN_NAME}
        assert document["expires_at"] == "2026-11-22T08:00:00.000000Z"

    def test_by_a_signature(self, client):
        token = client.log_in().headers["X-Subject-Token"]
        assert client("GET", self.PATH, headers={"X-Subject-Token": token}).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            pytest.param({}, (400, 400), id="no-subject"),
            pytest.param({"X-Subject-Token": "MII-nobody"}, (404, 404), id="unknown"),
        ],
    )
    def test_refusals(self, client, headers, expected):
        assert code(client("GET", self.PATH, headers=headers)) == expected

    def test_one_that_is_over(self, client):
        token = client.log_in().headers["X-Subject-Token"]
        client.emulator.revoke()
        subject = {"X-Subject-Token": token}
        assert code(client("GET", self.PATH, headers=subject)) == (404, 404)
        assert code(client.with_token(token, "GET", self.PATH, headers=subject)) == MUST_RENEW

    def test_nobody_may_ask_without_credentials(self, client):
        response = client("GET", self.PATH, sign=False, headers={"X-Subject-Token": "x"})
        assert code(response) == (401, "APIGW.0301")
