"""Signatures by a derived key."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.emulator import derived, scenario

STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
SYNC = "/v2/{p}/clusters/example-cluster/iam-sync-user"
INFO = "20261121/cn-north-4/mrs"


def test_published_key():
    """From the fact sheet, recomputed there from the vendor's sample keys."""
    key = derived.derived_key(
        "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", "20191115/cn-north-4/mrs"
    )
    assert key == "fd30b5d81d7a9add8715e633b52634809ecc0539f1fe3ab1e291b539a021af2f"


def send(client, method="GET", path=STATUS, *, info=INFO, signed_info=None, skew=0.0, data=b"", **options):
    """A request with a derived signature.

    :param signed_info: what the signature is really for.
    :param options: ``headers`` (signed as well), and what replaces the header's own text.
    """
    emulator = client.emulator
    path = path.replace("{p}", emulator.project_id)
    date = signing.format_date(emulator.clock.gateway_now() + skew)
    headers = {"Host": emulator.url.removeprefix("http://"), "X-Sdk-Date": date, **client.extra_headers}
    headers |= {"Content-Type": "application/json"}
    canonical = signing.canonical_request(method, path, [], headers, signing.body_digest(data))
    signature = derived.signature(
        client.access_key, options.get("secret_key", client.secret_key), date, signed_info or info, canonical
    )
    names = ";".join(signing.signable(headers))
    authorization = (
        f"V11-HMAC-SHA256 Credential={client.access_key}/{info}, SignedHeaders={names}, Signature={signature}"
    )
    for old, new in options.get("spoil", {}).items():
        authorization = authorization.replace(old, new)
    headers["Authorization"] = authorization
    return client(method, path, sign=False, headers=headers, data=options.get("sent", data))


class TestRight:
    @pytest.mark.parametrize(
        "info",
        [
            INFO,
            "20261121/globe/coc",
            "20261121/eu-west-101/hss",
            "20261121/any-region-9/DataArtsStudio",
        ],
    )
    def test_any_region_and_service(self, client, info):
        assert send(client, info=info).status_code == 200
        (entry,) = client.emulator.requests()
        assert entry["auth"] == "valid"
        assert entry["headers"]["authorization"].startswith(
            f"V11-HMAC-SHA256 Credential={scenario.ACCESS_KEY}/{info}, SignedHeaders="
        )
        assert entry["headers"]["authorization"].endswith("Signature=***")

    def test_with_a_body(self, client):
        assert send(client, "POST", SYNC, data=b'{"is_all_sync": true}').status_code == 202

    def test_temporary_key(self, client):
        sender = client.using(
            {
                "access": scenario.TEMPORARY_ACCESS_KEY,
                "secret": scenario.TEMPORARY_SECRET_KEY,
                "securitytoken": scenario.SECURITY_TOKEN,
            }
        )
        assert send(sender).status_code == 200
        sender.extra_headers = {}
        assert send(sender).status_code == 401

    @pytest.mark.parametrize("spoil", [{", Signed": ",Signed", ", Signature": ",Signature"}])
    def test_commas_without_blanks(self, client, spoil):
        assert send(client, spoil=spoil).status_code == 200


class TestWrong:
    @pytest.mark.parametrize(
        ("options", "word"),
        [
            pytest.param({"secret_key": "wrong"}, "signature", id="secret-key"),
            pytest.param({"signed_info": "20261121/cn-east-3/mrs"}, "signature", id="region-changed"),
            pytest.param({"signed_info": "20261121/cn-north-4/hss"}, "signature", id="service-changed"),
            pytest.param({"info": "20261122/cn-north-4/mrs"}, "another day", id="day"),
            pytest.param({"info": "20261121//mrs"}, "can't be read", id="no-region"),
            pytest.param({"info": "20261121/cn-north-4/"}, "can't be read", id="no-service"),
            pytest.param({"info": "cn-north-4/mrs"}, "can't be read", id="no-day"),
            pytest.param({"info": INFO + "/more"}, "can't be read", id="too-much"),
            pytest.param({"skew": 901}, "901 s off", id="date"),
            pytest.param({"sent": b"{}"}, "signature", id="body"),
            pytest.param({"spoil": {"host;": ""}}, "host must be signed", id="host-not-signed"),
            pytest.param({"spoil": {"V11-HMAC": "SDK-HMAC"}}, "can't be read", id="plain-name"),
            pytest.param({"spoil": {"Credential": "Access"}}, "can't be read", id="plain-words"),
        ],
    )
    def test_refused(self, client, options, word):
        response = send(client, **options)
        assert (response.status_code, response.json()["error_code"]) == (401, "APIGW.0301")
        assert word in response.json()["error_msg"]
        assert client.emulator.requests()[0]["auth"] == "invalid"

    def test_unknown_key(self, client):
        client.access_key = "NOBODY"
        assert "unknown access key" in send(client).text

    def test_the_plain_signature_under_the_other_name(self, client):
        """The secret key itself is not the derived one."""
        response = client("GET", STATUS)
        plain = response.request.headers["Authorization"]
        forged = plain.replace("SDK-HMAC-SHA256 Access=", "V11-HMAC-SHA256 Credential=").replace(
            scenario.ACCESS_KEY, f"{scenario.ACCESS_KEY}/{INFO}"
        )
        assert client("GET", STATUS, sent={"Authorization": forged}).status_code == 401


def test_both_kinds_count_towards_one_lock(client):
    for _ in range(3):
        assert send(client, secret_key="wrong").status_code == 401
        assert client("GET", STATUS, skew=1000).status_code == 401
    assert "AK access failed to reach the limit" in send(client).text
    assert "AK access failed to reach the limit" in client("GET", STATUS).text
    client.emulator.advance(300)
    assert send(client).status_code == 200
