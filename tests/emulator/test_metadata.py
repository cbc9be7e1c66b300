"""The metadata service of a cloud server, in both of its versions."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

TOKEN = "/meta-data/latest/api/token"
KEY = "/openstack/latest/securitykey"
STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
NO_AGENCY = "Please configure Cloud Service Agency first"


def ask_token(client, ttl="21600"):
    headers = {} if ttl is None else {"X-Metadata-Token-Ttl-Seconds": ttl}
    return client("PUT", TOKEN, sign=False, headers=headers)


def ask_key(client, token=None):
    return client("GET", KEY, sign=False, headers={} if token is None else {"X-Metadata-Token": token})


class TestToken:
    @pytest.mark.parametrize(
        ("ttl", "status"),
        [
            ("1", 200),
            ("21600", 200),
            ("21601", 400),
            ("0", 400),
            ("-1", 400),
            ("6h", 400),
            ("1" * 5000, 400),
            ("", 400),
            (None, 400),
        ],
    )
    def test_time_to_live(self, client, ttl, status):
        response = ask_token(client, ttl)
        assert response.status_code == status
        assert response.headers["Content-Type"].startswith("text/plain")

    @pytest.mark.parametrize(
        ("metadata", "ttl", "life"),
        [({}, "60", 60), ({}, "21600", 21_600), ({"token_seconds": 5}, "21600", 5)],
    )
    def test_life(self, start, metadata, ttl, life):
        client = start({"metadata": metadata})
        token = ask_token(client, ttl).text
        client.emulator.advance(life - 0.1)
        assert ask_key(client, token).status_code == 200
        client.emulator.advance(0.1)
        assert ask_key(client, token).status_code == 401

    @pytest.mark.parametrize("token", [None, "", "nobody's"])
    def test_is_needed(self, client, token):
        response = ask_key(client, token)
        assert response.status_code == 401
        assert NO_AGENCY not in response.text


class TestOldVersion:
    @pytest.mark.parametrize("status", [404, 405, 503])
    def test_has_no_token_and_needs_none(self, start, status):
        client = start({"metadata": {"version": 1, "old_status": status}})
        assert ask_token(client).status_code == status
        for token in (None, "whatever"):
            assert ask_key(client, token).status_code == 200


class TestKeys:
    def test_reply(self, client):
        response = ask_key(client, ask_token(client).text)
        key = response.json()["credential"]
        assert set(key) == {"access", "secret", "securitytoken", "expires_at"}
        assert key["expires_at"] == "2026-11-22T08:00:00.000000Z"
        assert [entry["operation"] for entry in client.emulator.requests()] == [
            "CreateMetadataToken",
            "ShowSecurityKey",
        ]

    def test_act_as_the_agency_of_the_server(self, client):
        sender = client.using(ask_key(client, ask_token(client).text).json()["credential"])
        assert sender("GET", STATUS).status_code == 200
        identity = sender("GET", "/v5/caller-identity").json()
        assert identity["account_id"] == scenario.DOMAIN_ID
        assert ":assumed-agency:" in identity["principal_urn"]

    def test_life(self, start):
        client = start({"metadata": {"version": 1, "key_seconds": 60}})
        first = ask_key(client).json()["credential"]
        client.emulator.advance(59)
        second = ask_key(client).json()["credential"]
        assert client.using(first)("GET", STATUS).status_code == 200
        client.emulator.advance(1)
        assert client.using(first)("GET", STATUS).status_code == 401
        assert client.using(second)("GET", STATUS).status_code == 200
        assert client.emulator.state()["metadata"] == {"version": 1, "agency": True, "tokens": 0, "keys": 2}

    @pytest.mark.parametrize(("metadata", "status"), [({}, 401), ({"no_agency_status": 404}, 404)])
    @pytest.mark.parametrize("version", [1, 2])
    def test_without_an_agency_there_are_none(self, start, version, metadata, status):
        client = start({"metadata": {"version": version, "agency": False, **metadata}})
        token = ask_token(client).text if version == 2 else None
        response = ask_key(client, token)
        assert response.status_code == status
        assert NO_AGENCY in response.text

    def test_a_token_comes_before_the_agency(self, start):
        client = start({"metadata": {"agency": False}})
        assert NO_AGENCY not in ask_key(client).text

    def test_end_when_all_are_revoked(self, client):
        key = ask_key(client, ask_token(client).text).json()["credential"]
        client.emulator.revoke()
        assert client.using(key)("GET", STATUS).status_code == 401
