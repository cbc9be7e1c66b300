"""Each way to sign in, in both drivers: what goes over the wire, when, how often, and what odd replies come to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.key_guard import LOCK_TIME
from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.api.model import Stage as TicketStage
from airflow_provider_cloudsync.api.model import Ticket
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC
from airflow_provider_cloudsync.api.signins.refreshable import SignIn, temporary_keys
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.connection.token_file import TokenFile
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    TransportError,
    UnreadableReply,
    WaitTimedOut,
)
from airflow_provider_cloudsync.transport import drivers
from tests.support.scripted_network import START, Stage, answer, iso, process
from tests.support.sites import (
    BEGIN,
    BOTH,
    COC,
    EACH_WAY,
    ECS,
    GONE,
    IAM,
    READ,
    STS,
    WAYS,
    agency,
    cloud,
    nobody,
    password,
)

pytestmark = pytest.mark.usefixtures("no_chance")


def body(request: HttpRequest) -> Any:
    return json.loads(request.body) if request.body else None


def wire(stage: Stage) -> list[tuple[str, str]]:
    return [(each.method, each.url) for each in stage.sent]


# --- what goes over the wire ---------------------------------------------------------------------------------------


class TestWire:
    @BOTH
    @pytest.mark.parametrize(
        ("request_", "scope", "url"),
        [
            pytest.param(READ, {"project": {"id": "p1"}}, "mrs.cn-north-4", id="a project"),
            pytest.param(COC, {"domain": {"name": "acct"}}, "coc.", id="the account"),
        ],
    )
    def test_password(self, stage, site, driver, request_, scope, url):
        stage.drive(driver, call(cloud(stage), request_))
        first, second = stage.sent
        assert (first.method, first.url) == ("POST", f"{IAM}/v3/auth/tokens?nocatalog=1")
        user = {"name": "me", "password": "pw", "domain": {"name": "acct"}}
        assert body(first) == {
            "auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
        }
        assert not {"Authorization", "X-Auth-Token", "X-Project-Id", "X-Domain-Id"} & set(first.headers)
        assert url in second.url
        assert second.headers["X-Auth-Token"] == "token-1"
        assert "Authorization" not in second.headers
        assert stage.masked == ["token-1"]

    def test_password_each_scope_has_its_token(self, stage, site):
        """One for each project, one for all that is of the account, whatever the order."""
        for request, project in ((READ, "p1"), (COC, "p1"), (READ, "p2"), (READ, "p1"), (COC, "p2")):
            drivers.run(call(cloud(stage, project_id=project), request))
        assert site.sign_ins == 3
        assert [each.headers["X-Auth-Token"] for each in site.served] == [
            "token-1",
            "token-2",
            "token-3",
            "token-1",
            "token-2",
        ]

    @BOTH
    def test_oidc(self, stage, site, driver):
        stage.drive(driver, call(cloud(stage, "oidc"), READ))
        first, second, third = stage.sent
        assert (first.method, first.url) == ("POST", f"{IAM}/v3.0/OS-AUTH/id-token/tokens")
        assert first.headers["X-Idp-Id"] == "idp"
        assert body(first) == {"auth": {"id_token": {"id": "an.id.token"}}}
        assert (second.method, second.url) == ("POST", f"{IAM}/v3.0/OS-CREDENTIAL/securitytokens")
        token = body(second)["auth"]["identity"]["token"]
        assert (token["id"], token["duration_seconds"]) == ("unscoped-1", 21600)
        assert third.headers["Authorization"].startswith("SDK-HMAC-SHA256 Access=AK2X, ")
        assert third.headers["X-Security-Token"] == "session-3"
        assert {"secret-2", "session-3"} <= set(stage.masked)

    @BOTH
    def test_sts(self, stage, site, driver):
        stage.drive(driver, call(cloud(stage, "sts"), READ))
        first, second = stage.sent
        assert (first.method, first.url) == ("POST", f"{STS}/v5/agencies/assume-with-oidc")
        assert body(first) == {
            "provider_urn": "prov",
            "agency_urn": "ag",
            "agency_session_name": "airflow-provider-cloudsync",
            "id_token": "an.id.token",
            "duration_seconds": 3600,
        }
        assert "Access=AK1X, " in second.headers["Authorization"]
        assert set(stage.masked) == {"an.id.token", "secret-1", "session-2"}

    @BOTH
    def test_agency(self, stage, site, driver):
        stage.drive(driver, call(cloud(stage, "agency"), READ))
        first, second = stage.sent
        assert (first.method, first.url) == ("POST", f"{IAM}/v3.0/OS-CREDENTIAL/securitytokens")
        assert "Access=BASE, " in first.headers["Authorization"]
        identity = body(first)["auth"]["identity"]
        assert identity["methods"] == ["assume_role"]
        assert identity["assume_role"] == {
            "agency_name": "syncer",
            "domain_name": "other",
            "duration_seconds": 3600,
        }
        assert "Access=AK1X, " in second.headers["Authorization"]
        assert set(stage.masked) == {"secret-1", "session-2"}

    @BOTH
    def test_metadata_version_2(self, stage, site, driver):
        stage.drive(driver, call(cloud(stage, "ecs"), READ))
        first, second, third = stage.sent
        assert (first.method, first.url) == ("PUT", f"{ECS}/meta-data/latest/api/token")
        assert first.headers["X-Metadata-Token-Ttl-Seconds"] == "21600"
        assert (second.method, second.url) == ("GET", f"{ECS}/openstack/latest/securitykey")
        assert second.headers["X-Metadata-Token"] == "metadata-1"
        for each in (first, second):
            assert not {"Authorization", "X-Auth-Token", "X-Project-Id"} & set(each.headers)
            assert (
                each.http_settings.proxy,
                each.http_settings.connect_timeout,
                each.http_settings.read_timeout,
            ) == ("", 3, 3)
        assert "Access=AK2X, " in third.headers["Authorization"]

    @BOTH
    @pytest.mark.parametrize("status", [404, 405, 503])
    def test_metadata_version_1(self, stage, site, driver, status):
        site.wrong = lambda request: answer(status, b"no") if request.method == "PUT" else None
        stage.drive(driver, call(cloud(stage, "ecs"), READ))
        assert [each.method for each in stage.sent] == ["PUT", "GET", "GET"]
        assert "X-Metadata-Token" not in stage.sent[1].headers

    @pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502])
    def test_metadata_that_refuses_a_token_is_not_asked_without(self, stage, site, status):
        site.wrong = lambda request: answer(status, b"no") if request.method == "PUT" else None
        with pytest.raises(ApiError) as caught:
            drivers.run(call(cloud(stage, "ecs").once(), READ))
        assert not is_uncertain(caught.value)
        assert {each.method for each in stage.sent} == {"PUT"}
        assert str(status) in caught.value.message
        assert "ECS" in caught.value.message

    @pytest.mark.parametrize("status", [401, 404])
    @pytest.mark.parametrize("version", [1, 2])
    def test_a_machine_without_an_agency(self, stage, site, status, version):
        def reply(request):
            if request.method == "PUT":
                return answer(404, b"no") if version == 1 else None
            return answer(status, b"Please configure Cloud Service Agency first\n")

        site.wrong = reply
        with pytest.raises(InvalidConnection, match="no agency"):
            drivers.run(call(cloud(stage, "ecs"), READ))
        assert len(stage.sent) == 2

    @BOTH
    def test_not_on_an_ecs(self, stage, site, driver):
        site.wrong = lambda request: TransportError("no connection in time", sent=False)
        with pytest.raises(TransportError) as caught:
            stage.drive(driver, call(cloud(stage, "ecs").once(), BEGIN))
        assert not is_uncertain(caught.value)
        assert {each.url.partition("/meta")[0] for each in stage.sent} == {ECS}

    @EACH_WAY
    def test_the_session_of_the_way_says_who(self, stage, site, way):
        who = cloud(stage, way).credentials.who
        for secret in ("pw", "an.id.token", "sk"):
            assert secret not in who.split()

    @pytest.mark.parametrize("way", ["oidc", "sts", "ecs", "agency"])
    def test_derived_signing(self, stage, site, way):
        credentials = WAYS[way](nobody(stage), derived_for_region="cn-north-4")
        site.valid.add("")  # the header has another form
        for request, region in ((READ, "cn-north-4/mrs"), (COC, "globe/coc")):
            drivers.run(call(cloud(stage, credentials), request))
            assert stage.sent[-1].headers["Authorization"].startswith("V11-HMAC-SHA256 Credential=AK")
            assert f"/20261121/{region}, SignedHeaders=" in stage.sent[-1].headers["Authorization"]


class TestConcealed:
    """What comes in on the way is a secret as well as what it ends with."""

    @EACH_WAY
    def test_before_it_is_used(self, stage, site, way):
        known: list[set[str]] = []
        served = site.__call__

        def reply(request):
            if not site.is_sign_in(request):
                known.append(set(stage.masked))
            return served(request)

        stage.answer = reply
        drivers.run(call(cloud(stage, way), READ))
        finals = {each for each in site.secrets if not each.startswith(("unscoped", "metadata"))}
        assert finals
        assert finals <= known[0]

    @pytest.mark.parametrize("way", ["oidc", "ecs"])
    def test_what_is_on_the_way(self, stage, site, way):
        drivers.run(call(cloud(stage, way), READ))
        assert set(site.secrets) <= set(stage.masked)

    @pytest.mark.parametrize("way", ["oidc", "sts"])
    def test_the_id_token(self, stage, site, way):
        drivers.run(call(cloud(stage, way), READ))
        assert "an.id.token" in stage.masked


class TestOnTopOfEachOther:
    @BOTH
    @pytest.mark.parametrize("base", ["password", "oidc", "sts", "ecs"])
    def test_an_agency_of_each_other_way(self, stage, site, driver, base):
        ask = nobody(stage)
        credentials = agency(replace(ask, credentials=WAYS[base](ask)))
        with process(stage, driver) as run:
            for _ in range(2):
                run.drive(call(cloud(stage, credentials), READ))
        assert len(site.served) == 2
        assume = next(each for each in stage.sent if "assume_role" in each.body.decode())
        if base == "password":
            assert assume.headers["X-Auth-Token"] == "token-1"
        else:
            assert "Access=AK" in assume.headers["Authorization"]
            assert "X-Security-Token" in assume.headers
        proofs = {site.proof(each) for each in site.served}
        assert site.proof(assume) not in proofs

    def test_the_base_s_token_is_for_the_account(self, stage, site):
        """The call that assumes an agency names no project."""
        ask = nobody(stage)
        drivers.run(call(cloud(stage, agency(replace(ask, credentials=password(ask)))), READ))
        assert body(stage.sent[0])["auth"]["scope"] == {"domain": {"name": "acct"}}

    @BOTH
    def test_a_base_whose_token_was_revoked_is_renewed_once(self, stage, site, driver):
        ask = nobody(stage)
        credentials = agency(replace(ask, credentials=password(ask)))
        rejects = [GONE]

        def reply(request):
            return rejects.pop() if b"assume_role" in request.body and rejects else None

        site.wrong = reply
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, credentials), READ))
        paths = [urlsplit(each.url).path for each in stage.sent]
        assert paths == [
            "/v3/auth/tokens",
            "/v3.0/OS-CREDENTIAL/securitytokens",
            "/v3/auth/tokens",
            "/v3.0/OS-CREDENTIAL/securitytokens",
            "/v2/p1/things",
        ]

    def test_a_refused_base_is_the_error_and_sent_once(self, stage, site):
        ask = nobody(stage)
        credentials = agency(replace(ask, credentials=password(ask)))
        site.wrong = lambda request: answer(401, {"error": {"code": 401, "message": "wrong"}})
        for _ in range(5):
            with pytest.raises(CredentialsRejected, match="password"):
                drivers.run(call(cloud(stage, credentials), READ))
        assert len(stage.sent) == 1


# --- how often -----------------------------------------------------------------------------------------------------


@EACH_WAY
@BOTH
class TestLease:
    def test_one_sign_in_for_many(self, stage, site, way, driver):
        count = 500 if driver == "asyncio" else 50
        replies = stage.outcomes(driver, [call(cloud(stage, way), READ) for _ in range(count)])
        assert all(isinstance(each, Reply) for each in replies)
        assert (site.sign_ins, len(site.served)) == (1, count)

    def test_two_identities_are_two(self, stage, site, way, driver):
        other = {
            "password": {"user": "you"},
            "oidc": {"idp_id": "other"},
            "sts": {"agency_urn": "other"},
            "ecs": {"url": f"{ECS}/other"},
            "agency": {"name": "other"},
        }[way]
        flows = [call(cloud(stage, way), READ)]
        flows.append(call(cloud(stage, WAYS[way](nobody(stage), **other)), READ))
        stage.outcomes(driver, flows)
        assert site.sign_ins == 2

    @pytest.mark.parametrize(
        ("life", "renewed_at", "ends_at"),
        [(3600, 2880, 3570), (86400, 84000, 86370), (900, 720, 870), (60, 48, 57), (20, 16, 19)],
    )
    def test_renewed_ahead_of_its_end(self, stage, site, way, driver, life, renewed_at, ends_at):
        site.life = life
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            began = stage.now
            stage.now = began + renewed_at - 0.1
            run.drive(call(cloud(stage, way), READ))
            assert site.sign_ins == 1
            stage.now = began + renewed_at
            run.outcomes([call(cloud(stage, way), READ) for _ in range(20)])
            assert site.sign_ins == 2
            first = site.proof(site.served[0])
            assert {site.proof(each) for each in site.served[2:]} != {first}
        assert all(site.proof(each) for each in site.served)

    def test_over_without_having_been_renewed(self, stage, site, way, driver):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            site.valid.clear()
            stage.now += 3571
            run.drive(call(cloud(stage, way), READ))
        assert (site.sign_ins, len(site.served)) == (2, 2)

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(answer(500, {"error_msg": "x"}), id="500"),
            pytest.param(answer(503, b"<html>"), id="503"),
            pytest.param(answer(403, {"code": "x", "message": "m"}), id="403"),
            pytest.param(answer(401, {"error": {"message": "no"}}), id="refused"),
            pytest.param(answer(200, b"<html>"), id="HTML"),
            pytest.param(answer(200, {}), id="nothing in it"),
            pytest.param(TransportError("timed out"), id="timeout"),
        ],
    )
    def test_a_renewal_ahead_of_time_that_fails_keeps_the_old_proof(self, stage, site, way, driver, fault):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            began, before = stage.now, len(stage.sent)
            first = site.proof(site.served[0])
            site.wrong = lambda request: fault
            stage.now = began + 2880
            assert isinstance(run.drive(call(cloud(stage, way), READ)), Reply)
            failed = len(stage.sent) - before - 1
            assert 1 <= failed <= 2
            # Not by each request, but once a minute.
            for outcome in run.outcomes([call(cloud(stage, way), READ) for _ in range(20)]):
                assert isinstance(outcome, Reply)
            assert {site.proof(each) for each in site.served} == {first}
            assert len(stage.sent) == before + failed + 21
            stage.now += 60
            site.wrong = lambda request: None
            assert isinstance(run.drive(call(cloud(stage, way), READ)), Reply)
        if not (isinstance(fault, Response) and fault.status == 401):
            assert site.proof(site.served[-1]) != first

    def test_a_proof_that_is_rejected_in_the_middle_is_renewed_once(self, stage, site, way, driver):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            for _ in range(3):
                site.valid.clear()
                sign_ins = site.sign_ins
                assert isinstance(run.drive(call(cloud(stage, way), READ)), Reply)
                assert site.sign_ins == sign_ins + 1
        # Each time: rejected, renewed, sent again.
        assert len(site.served) == 1 + 3 * 2

    def test_many_that_are_rejected_at_once_renew_once(self, stage, site, way, driver):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            site.valid.clear()
            outcomes = run.outcomes([call(cloud(stage, way), READ) for _ in range(50)])
        assert all(isinstance(each, Reply) for each in outcomes)
        assert site.sign_ins == 2

    @pytest.mark.parametrize("request_", [READ, BEGIN], ids=["read", "start"])
    def test_a_second_rejection_is_the_error(self, stage, site, way, driver, request_):
        site.dead_on_arrival = True
        with process(stage, driver) as run, pytest.raises(CredentialsRejected) as caught:
            run.drive(call(cloud(stage, way), request_))
        assert caught.value.service == "mrs"
        assert (len(site.served), site.sign_ins) == (2, 2)
        assert stage.pauses == []

    def test_a_start_that_was_rejected_is_sent_again_with_the_new_proof(self, stage, site, way, driver):
        """A 401 carried nothing out, so this is safe."""
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            site.valid.clear()
            run.drive(call(cloud(stage, way), BEGIN))
        assert [each.method for each in site.served] == ["GET", "POST", "POST"]


@BOTH
def test_a_401_about_a_permission_is_no_reason_to_sign_in_anew(stage, site, driver):
    def reply(request):
        if site.is_sign_in(request):
            return site(request)
        return answer(401, {"error_code": "12000136", "error_msg": "no permission"})

    stage.answer = reply
    with process(stage, driver) as run:
        for _ in range(3):
            with pytest.raises(ApiError):
                run.drive(call(cloud(stage), READ))
    assert site.sign_ins == 1


# --- a sign-in that is refused or fails ----------------------------------------------------------------------------

REFUSALS = {
    "password": answer(401, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}}),
    "oidc": answer(401, {"error": {"code": 401, "message": "wrong"}}),
    "sts": answer(401, {"code": "STS.0401", "message": "wrong"}),
    "agency": answer(401, {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"}),
}


@BOTH
@pytest.mark.parametrize("way", REFUSALS)
class TestRefused:
    def test_it_is_remembered_for_its_time(self, stage, site, way, driver):
        site.wrong = lambda request: REFUSALS[way]
        with process(stage, driver) as run:
            errors = run.outcomes([call(cloud(stage, way), READ) for _ in range(200)])
            stage.now = START + LOCK_TIME - 0.1
            errors += run.outcomes([call(cloud(stage, way), READ) for _ in range(5)])
            assert len(stage.sent) == 1
            stage.now = START + LOCK_TIME + 1
            errors += run.outcomes([call(cloud(stage, way), READ) for _ in range(200)])
            assert len(stage.sent) == 2
            assert {type(error) for error in errors} == {CredentialsRejected}
            assert not any(is_uncertain(error) for error in errors)
            stage.now += LOCK_TIME + 1
            site.wrong = lambda request: None
            assert isinstance(run.drive(call(cloud(stage, way), READ)), Reply)

    def test_it_says_what_to_do(self, stage, site, way, driver):
        site.wrong = lambda request: REFUSALS[way]
        with process(stage, driver) as run, pytest.raises(CredentialsRejected) as caught:
            run.drive(call(cloud(stage, way), READ))
        assert "Check " in caught.value.message
        assert caught.value.status == 401
        assert caught.value.sent is False
        assert "pw" not in caught.value.message.split()
        assert "an.id.token" not in caught.value.message

    def test_each_gets_an_error_of_its_own(self, stage, site, way, driver):
        """Or tracebacks pile up on one object, and a flag that one sets is set for all."""
        site.wrong = lambda request: REFUSALS[way]
        errors = stage.outcomes(driver, [call(cloud(stage, way), READ) for _ in range(10)])
        assert len({id(error) for error in errors}) == 10

    def test_a_corrected_connection_works_at_once(self, stage, site, way, driver):
        site.wrong = lambda request: REFUSALS[way]
        other = {
            "password": {"password": "right"},
            "oidc": {"idp_id": "right"},
            "sts": {"agency_urn": "right"},
            "agency": None,
        }[way]
        with process(stage, driver) as run:
            with pytest.raises(CredentialsRejected):
                run.drive(call(cloud(stage, way), READ))
            site.wrong = lambda request: None
            if other is None:
                base = replace(nobody(stage), credentials=KeyPair("BASE", "right"))
                credentials = agency(base)
            else:
                credentials = WAYS[way](nobody(stage), **other)
            assert isinstance(run.drive(call(cloud(stage, credentials), READ)), Reply)


@BOTH
def test_a_refusal_and_a_clock_that_is_set_right(stage, site, driver):
    stage.now = START + 3600
    site.wrong = lambda request: REFUSALS["password"]
    with process(stage, driver) as run:
        with pytest.raises(CredentialsRejected):
            run.drive(call(cloud(stage), READ))
        stage.now = START + LOCK_TIME + 1
        site.wrong = lambda request: None
        run.drive(call(cloud(stage), READ))


FAILURES = {
    "400": answer(400, {"error": {"code": 400, "message": "m"}}),
    "401": answer(401, {"error": {"code": 401, "message": "m"}}),
    "403": answer(403, {"error": {"code": 403, "message": "m"}}),
    "404": answer(404, {"error": {"code": 404, "message": "m"}}),
    "429": answer(429, {"error_code": "APIGW.0308", "error_msg": "limit:1,time:1 minute"}, retry_after="7"),
    "500": answer(500, {"error": {"code": 500, "message": "m"}}),
    "502, HTML": answer(502, b"<html>bad gateway</html>"),
    "503, empty": answer(503),
    "302": answer(302, b"", location="https://elsewhere.example/"),
    "200, HTML": answer(200, b"<html>log in</html>"),
    "200, cut short": answer(200, b'{"credential": {"secret": "S3CR3T'),
    "200, empty": answer(200),
    "200, null": answer(200, b"null"),
    "timeout": TransportError("no reply in time"),
    "refused": TransportError("refused", sent=False),
    "TLS": TransportError("certificate", sent=False, permanent=True),
    "huge": UnreadableReply("the reply is larger than 16 MiB"),
}


@EACH_WAY
@BOTH
@pytest.mark.parametrize("name", FAILURES)
def test_a_start_whose_sign_in_fails_was_certainly_not_sent(stage, site, way, driver, name):
    site.wrong = lambda request: FAILURES[name]
    with pytest.raises(CloudSyncError) as caught:
        stage.drive(driver, call(cloud(stage, way), BEGIN))
    assert not is_uncertain(caught.value)
    assert site.served == []
    assert "S3CR3T" not in caught.value.message
    assert len(stage.sent) <= 20


@pytest.mark.parametrize("fault", [FAILURES["503, empty"], FAILURES["timeout"]], ids=["503", "timeout"])
@EACH_WAY
def test_a_sign_in_that_fails_for_a_moment_is_made_again(stage, site, way, fault):
    script = [fault]
    site.wrong = lambda request: script.pop() if script and request.method != "PUT" else None
    # The metadata service is asked once for each attempt of the request itself.
    request = READ if way == "ecs" else BEGIN
    assert isinstance(drivers.run(call(cloud(stage, way), request)), Reply)
    assert len(stage.sent) <= 8


def test_a_start_whose_sign_in_fails_for_a_moment_is_made_again(stage, site):
    script = [FAILURES["503, empty"]]
    site.wrong = lambda request: script.pop() if script and request.method != "PUT" else None
    assert isinstance(drivers.run(call(cloud(stage, "ecs"), BEGIN)), Reply)


@BOTH
def test_no_sign_in_waits_past_the_deadline(stage, site, driver):
    site.wrong = lambda request: answer(429, {"error_msg": "x"}, retry_after="500")
    with pytest.raises(CloudSyncError):
        stage.drive(driver, call(cloud(stage).until(START + 10), READ))
    assert stage.now <= START + 10


@BOTH
def test_one_attempt_is_one_of_the_sign_in_too(stage, site, driver):
    """`test_connection` must not hang for what a Retry-After says."""
    site.wrong = lambda request: answer(429, {"error_msg": "x"}, retry_after="500")
    with pytest.raises(CloudSyncError):
        stage.drive(driver, call(cloud(stage).once(), READ))
    assert stage.pauses == []


@BOTH
@EACH_WAY
@pytest.mark.parametrize("asked", [None, 7.0], ids=["says no time", "says 7 s"])
def test_a_wait_whose_sign_in_is_throttled_asks_ever_more_slowly(stage, site, way, driver, asked, caplog):
    stated = {"retry_after": f"{asked:.0f}"} if asked else {}
    site.wrong = lambda request: answer(
        429, {"error": {"code": 429, "message": "Too many, please"}}, **stated
    )
    times: list[float] = []

    def reply(request):
        times.append(stage.now)
        return site(request)

    stage.answer = reply
    ticket = Ticket(
        IAM_SYNC.name, {"cluster_id": "c", "user_names": ["a"], "sync_all": False}, TicketStage.STARTED, START
    )
    with caplog.at_level(logging.INFO), pytest.raises(WaitTimedOut, match="Too many, please") as caught:
        stage.drive(driver, until_done(cloud(stage, way), IAM_SYNC, ticket, deadline=START + 600))
    assert "Last seen: The last poll failed" in caught.value.message
    assert "The last poll failed" in caplog.text
    assert site.served == []
    assert stage.now <= START + 604  # the last look waits for its turn, but not for long
    assert 10 <= len(times) <= 60
    minutes = Counter(int((time - START) // 60) for time in times)
    assert minutes[0] > 2 * minutes[9]


# --- one cloud's proof is not for another --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way",
    ["password", "oidc", "sts", "agency"],
)
@BOTH
def test_a_proof_of_one_cloud_is_not_shown_to_another(stage, site, driver, way):
    """Two connections, two clouds, and names that are the same in both: a test system and the real one."""
    clouds = [
        cloud(stage, way, endpoint=f"https://{name}.example.com", region="cn-north-4")
        for name in ("one", "two")
    ]
    proofs: dict[str, set[str]] = {}
    signed_in: list[str] = []

    def reply(request):
        host = urlsplit(request.url).netloc
        path = urlsplit(request.url).path
        if path.startswith(("/v3", "/v5")):
            signed_in.append(host)
            return site.sign_in(request)
        proofs.setdefault(host, set()).add(site.proof(request))
        return answer(200, {})

    stage.answer = reply
    with process(stage, driver) as run:
        for each in clouds:
            run.drive(call(each, READ))
    assert set(signed_in) == {"one.example.com", "two.example.com"}
    assert proofs["one.example.com"].isdisjoint(proofs["two.example.com"])


@pytest.mark.parametrize("way", ["oidc", "sts", "ecs", "agency"])
def test_each_connection_signs_as_it_says(stage, site, way):
    """One machine, one agency; one connection with derived signing, one without."""
    site.valid.add("")
    plain = cloud(stage, WAYS[way](nobody(stage)))
    derived = cloud(stage, WAYS[way](nobody(stage), derived_for_region="cn-north-4"))
    elsewhere = cloud(stage, WAYS[way](nobody(stage), derived_for_region="eu-west-101"))
    for each in (plain, derived, elsewhere):
        drivers.run(call(each, READ))
    first, second, third = (each.headers["Authorization"] for each in site.served)
    assert first.startswith("SDK-HMAC-SHA256 ")
    assert "/cn-north-4/mrs," in second
    assert "/eu-west-101/mrs," in third


# --- odd replies ---------------------------------------------------------------------------------------------------

FUTURE = iso(START + 3600)
GOOD = {"access": "A", "secret": "S", "securitytoken": "T", "expires_at": FUTURE}
BAD_TIMES = [None, "", " ", "soon", "2026-13-40T00:00:00Z", 0, -1, True, [], {}, [FUTURE], 10**30, "∞"]
ODD_KEYS: list[Any] = [
    None,
    [],
    {},
    5,
    "text",
    True,
    [GOOD],
    {"credential": None},
    {"credential": {}},
    {"credential": []},
    {"error": "x"},
    *({"credential": {**GOOD, name: value}} for name in GOOD for value in (None, "", 0, [], {})),
    *({"credential": {each: value for each, value in GOOD.items() if each != name}} for name in GOOD),
    *({"credential": {**GOOD, "expires_at": value}} for value in BAD_TIMES),
]
CRASHES = [{"credential": value} for value in ("text", [GOOD], 5, True, ["x"])]


@pytest.mark.parametrize("data", ODD_KEYS, ids=lambda data: json.dumps(data)[:70])
def test_keys_that_are_none(data):
    with pytest.raises(UnreadableReply):
        temporary_keys(data, START)


@pytest.mark.parametrize("data", CRASHES, ids=json.dumps)
def test_keys_that_are_no_object(data):
    with pytest.raises(UnreadableReply):
        temporary_keys(data, START)


@pytest.mark.parametrize("way", ["oidc", "sts", "ecs", "agency"])
@BOTH
def test_no_other_error_leaves_the_flow(stage, site, way, driver):
    body = {"credential": "x", "credentials": "x"}

    def reply(request):
        path = urlsplit(request.url).path
        return None if path.endswith(("/id-token/tokens", "/api/token")) else answer(200, body)

    site.wrong = reply
    with pytest.raises(CloudSyncError):
        stage.drive(driver, call(cloud(stage, way), READ))


#: Text that must not stand in a header.
SPLITS = ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\tb", "a\x7f", "é\r\n"]


@pytest.mark.parametrize("text", SPLITS, ids=repr)
@pytest.mark.parametrize("name", ["access", "securitytoken"])
def test_keys_that_can_not_stand_in_a_header(stage, site, name, text):
    site.wrong = lambda request: answer(200, {"credential": {**GOOD, name: text}})
    with pytest.raises(CloudSyncError):
        drivers.run(call(cloud(stage, "agency").once(), READ))
    assert site.served == []


@pytest.mark.parametrize("text", [*SPLITS, "", "token\u2028", "工"], ids=repr)
@pytest.mark.parametrize("way", ["password", "oidc", "ecs"])
def test_tokens_that_can_not_stand_in_a_header(stage, site, way, text):
    def reply(request):
        path = urlsplit(request.url).path
        if path.endswith("/api/token"):
            return answer(200, text.encode())
        if path.endswith("/tokens"):
            return answer(201, {"token": {"expires_at": FUTURE}}, x_subject_token=text)
        return None

    site.wrong = reply
    with pytest.raises(UnreadableReply, match="no token"):
        drivers.run(call(cloud(stage, way).once(), READ))
    assert site.served == []


@pytest.mark.parametrize("way", ["password", "oidc"])
def test_no_token_in_the_reply(stage, site, way):
    site.wrong = lambda request: answer(201, {"token": {"expires_at": FUTURE}})
    with pytest.raises(UnreadableReply, match="no token"):
        drivers.run(call(cloud(stage, way).once(), READ))


@pytest.mark.parametrize("value", BAD_TIMES, ids=repr)
def test_a_token_without_an_end(stage, site, value):
    site.wrong = lambda request: answer(201, {"token": {"expires_at": value}}, x_subject_token="t")
    with pytest.raises(UnreadableReply, match="no expiry time"):
        drivers.run(call(cloud(stage).once(), READ))
    assert site.served == []


@pytest.mark.parametrize("reply", [{}, {"token": None}, {"token": []}, {"token": "t"}, [], "t"], ids=repr)
def test_a_token_without_a_body(stage, site, reply):
    site.wrong = lambda request: answer(201, reply, x_subject_token="t")
    with pytest.raises(UnreadableReply):
        drivers.run(call(cloud(stage).once(), READ))
    assert site.served == []


@EACH_WAY
@BOTH
@pytest.mark.parametrize("life", [-86400.0, -1.0, 0.0])
def test_a_proof_that_is_over_already(stage, site, way, driver, life):
    """Whatever becomes of it, it does not end in a storm of sign-ins."""
    site.life = life
    with contextlib.suppress(CloudSyncError):
        stage.drive(driver, call(cloud(stage, way), READ))
    assert site.sign_ins <= 2


def test_a_proof_for_ever(stage, site):
    site.wrong = lambda request: answer(
        201, {"token": {"expires_at": "9999-12-31T23:59:59.999999Z"}}, x_subject_token="t"
    )
    site.valid.add("t")
    for _ in range(3):
        drivers.run(call(cloud(stage), READ))
        stage.now += 10 * 365 * 86400
    assert site.sign_ins == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = ("access", "secret", "securitytoken", "expires_at", "credential", "credentials", "token")
NEARLY = st.dictionaries(st.sampled_from([*NAMES, "access_key_id", "expiration"]), JSON, max_size=5)


@given(
    data=st.one_of(JSON, NEARLY, st.dictionaries(st.sampled_from(["credential", "credentials"]), NEARLY)),
    now=st.floats(0, 1e11),
)
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
def test_anything_for_keys(data, now):
    found = data if isinstance(data, dict) else {}
    if not isinstance(found.get("credential") or found.get("credentials") or found, dict):
        return  # see above: a known defect
    try:
        keys, life = temporary_keys(data, now)
    except UnreadableReply:
        pass
    else:
        assert keys.secret_key
        assert 0 <= life < float("inf")


def test_a_metadata_service_that_shows_keys_with_an_odd_status(stage, site):
    """Whatever it says with them: what is not a reply with 200 is quoted."""
    site.wrong = lambda request: (
        None if request.method == "PUT" else answer(500, b"internal error: no such thing")
    )
    with pytest.raises(ApiError, match="no such thing"):
        drivers.run(call(cloud(stage, "ecs").once(), READ))


def test_nothing_of_keys_is_quoted(stage, site):
    keys = {"credential": {**GOOD, "secret": "S3CR3T"}}
    site.wrong = lambda request: None if request.method == "PUT" else answer(203, keys)
    with pytest.raises(CloudSyncError) as caught:
        drivers.run(call(cloud(stage, "ecs").once(), READ))
    assert "S3CR3T" not in caught.value.message


# --- clocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [-7200, -600, 0, 600, 7200])
@EACH_WAY
def test_the_clock_of_this_machine_is_off(stage, site, way, off):
    """How long a proof is good for is by the clock of who gave it."""

    def ours() -> float:
        return stage.now + off

    ask = replace(nobody(stage), clock=ours)
    if way == "agency":
        ask = replace(ask, credentials=KeyPair("BASE", "sk"))
        credentials: SignIn = agency(ask)
    else:
        credentials = WAYS[way](ask)
    mine = replace(nobody(stage), clock=ours, credentials=credentials)
    drivers.run(call(mine, READ))
    assert site.sign_ins == 1
    stage.now += 2870
    drivers.run(call(mine, READ))
    assert site.sign_ins == 1
    stage.now += 20
    drivers.run(call(mine, READ))
    assert site.sign_ins == 2


def test_without_a_date_in_the_reply_ours_has_to_do(stage, site):
    site.dated = False
    drivers.run(call(cloud(stage), READ))
    stage.now += 2879
    drivers.run(call(cloud(stage), READ))
    assert site.sign_ins == 1


@BOTH
@EACH_WAY
@pytest.mark.parametrize("life", [60.0, 900.0, 3600.0])
def test_many_lifetimes_are_as_many_sign_ins(stage, site, driver, way, life):
    """One renewal each, and never a proof that is over."""
    site.life = life
    until = START + 10 * life
    ends: dict[str, float] = {}

    def reply(request):
        if site.is_sign_in(request):
            before = set(site.valid)
            found = site(request)
            ends.update(dict.fromkeys(site.valid - before, stage.now + life))
            return found
        return site(request) if stage.now < ends[site.proof(request)] else GONE

    stage.answer = reply
    made = 0
    with process(stage, driver) as run:
        while stage.now < until:
            for outcome in run.outcomes([call(cloud(stage, way), READ) for _ in range(3)]):
                assert isinstance(outcome, Reply)
                made += 1
            stage.now += max(7.0, life / 50)
    assert len(site.served) == made  # none was rejected
    assert 10 <= site.sign_ins <= 14


# --- the file with the id token ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "id-token"
    path.write_text("first.id.token\n")
    return path


@pytest.mark.parametrize("way", ["oidc", "sts"])
class TestIdTokenFile:
    def sent(self, stage):
        tokens = []
        for each in stage.sent:
            data = body(each) or {}
            tokens.append(data.get("id_token") or data.get("auth", {}).get("id_token", {}).get("id"))
        return [token for token in tokens if token]

    def test_what_is_in_it_at_each_sign_in(self, stage, site, way, file):
        credentials = WAYS[way](nobody(stage), read=TokenFile(str(file)))
        drivers.run(call(cloud(stage, credentials), READ))
        file.write_text("  second.id.token  ")
        drivers.run(call(cloud(stage, credentials), READ))
        assert self.sent(stage) == ["first.id.token"]
        stage.now += 3000
        drivers.run(call(cloud(stage, credentials), READ))
        assert self.sent(stage) == ["first.id.token", "second.id.token"]

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            pytest.param(None, "FileNotFoundError", id="missing"),
            pytest.param(b"", "empty file", id="empty"),
            pytest.param(b" \n\t\r\n", "empty file", id="blank"),
            pytest.param(b"\xff\xfe\x00S3CR3T", "UnicodeDecodeError", id="binary"),
            pytest.param("S3CR3T.ключ".encode(), "UnicodeDecodeError", id="another script"),
            pytest.param(b"\xef\xbb\xbfS3CR3T", "UnicodeDecodeError", id="a mark of the byte order"),
            pytest.param(b"S3CR3T\x00more", "not a token", id="null"),
            pytest.param(b"S3CR3T\nS3CR3T", "not a token", id="two lines"),
            pytest.param(b"S3CR3T S3CR3T", "not a token", id="two words"),
            pytest.param(b"S3CR3T\r\nX-Evil: 1", "not a token", id="another header"),
            pytest.param(
                b"S3CR3T" * 20_000,
                "not a token",
                id="huge",
            ),
        ],
    )
    def test_files_without_a_token(self, stage, site, way, file, content, says):
        file.unlink() if content is None else file.write_bytes(content)
        credentials = WAYS[way](nobody(stage), read=TokenFile(str(file)))
        with pytest.raises(InvalidConnection) as caught:
            drivers.run(call(cloud(stage, credentials), BEGIN))
        assert str(file) in caught.value.message
        assert says in caught.value.message
        assert stage.sent == []
        error: BaseException | None = caught.value
        while error is not None:
            assert "S3CR3T" not in f"{error} {error!r} {vars(error)} {getattr(error, 'object', '')}"
            error = error.__cause__ or error.__context__

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            pytest.param(os.mkdir, "IsADirectoryError", id="folder"),
            pytest.param(os.mkfifo, "OSError", id="pipe"),
            pytest.param(lambda path: os.symlink("/dev/zero", path), "not a token", id="no end"),
            pytest.param(lambda path: os.symlink("/dev/null", path), "empty file", id="nothing in it"),
            pytest.param(lambda path: os.symlink(path, path), "OSError", id="round and round"),
        ],
    )
    def test_what_is_no_file_is_an_error_at_once(self, stage, site, way, tmp_path, make, says):
        """A pipe that nobody writes to would stop a whole triggerer."""
        make(path := str(tmp_path / "no-file"))
        credentials = WAYS[way](nobody(stage), read=TokenFile(path))
        caught: list[CloudSyncError] = []

        def read() -> None:
            try:
                drivers.run(call(cloud(stage, credentials), READ))
            except CloudSyncError as error:
                caught.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(5)
        assert [type(error) for error in caught] == [InvalidConnection]
        assert says in caught[0].message

    def test_it_comes_later(self, stage, site, way, file):
        """As when a pod starts: the error is not remembered."""
        file.unlink()
        credentials = WAYS[way](nobody(stage), read=TokenFile(str(file)))
        with pytest.raises(InvalidConnection):
            drivers.run(call(cloud(stage, credentials), READ))
        file.write_text("first.id.token")
        assert isinstance(drivers.run(call(cloud(stage, credentials), READ)), Reply)

    def test_it_goes_while_the_old_proof_is_good(self, stage, site, way, file):
        credentials = WAYS[way](nobody(stage), read=TokenFile(str(file)))
        drivers.run(call(cloud(stage, credentials), READ))
        file.unlink()
        stage.now += 2900
        assert isinstance(drivers.run(call(cloud(stage, credentials), READ)), Reply)
        assert site.sign_ins == 1


# --- under asyncio -------------------------------------------------------------------------------------------------


def test_who_gives_up_a_sign_in_takes_nobody_along(stage, site):
    async def main():
        stage.gate = asyncio.Event()
        tasks = [asyncio.create_task(drivers.arun(call(cloud(stage), READ))) for _ in range(20)]
        for _ in range(20):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        stage.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert all(isinstance(each, Reply) for each in others)
    assert site.sign_ins == 1
