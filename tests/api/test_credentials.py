"""What is given to sign in with: how a key is tried, when it is given up, and that nothing of it shows."""

from __future__ import annotations

import asyncio
import copy
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair, Token, fingerprint
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.key_guard import LOCK_TIME, _Probe, _site, _Verdict
from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings, MaskSecret, Request, Response
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.api.signins.agency import Agency
from airflow_provider_cloudsync.api.signins.ecs import Ecs
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.api.signins.refreshable import Obtained, _RefreshableCredentials
from airflow_provider_cloudsync.exceptions import ApiError, CredentialsRejected, TransportError
from airflow_provider_cloudsync.transport import drivers
from tests.support.scripted_network import DRIVERS, START, Stage, answer, process

READ = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)
BEGIN = Request("POST", "mrs", "Begin", "/v2/{project_id}/things", repeatable=False, json={})
REFUSAL = {
    "error_code": "APIGW.0301",
    "error_msg": "Incorrect IAM authentication: verify aksk signature fail",
}
BOTH = pytest.mark.parametrize("driver", DRIVERS)

pytestmark = pytest.mark.usefixtures("no_chance")


def cloud(stage: Stage, credentials: Any = None, **more: Any) -> Cloud:
    keys = credentials or KeyPair("AKIDAKIDAKIDAKID", "SKSKSKSK")
    return Cloud(credentials=keys, clock=stage.clock, **{"region": "cn-north-4", "project_id": "p1", **more})


def hosts(stage: Stage) -> list[str]:
    return [request.headers["Host"].partition(".")[0] for request in stage.sent]


def always(reply: Any):
    return lambda request: copy.copy(reply)


# --- a key that nobody has used yet --------------------------------------------------------------------------------


class TestTrial:
    @pytest.mark.parametrize("request_", [READ, BEGIN], ids=["reads", "starts"])
    def test_a_wrong_key_is_sent_once_by_a_thousand(self, stage, request_):
        stage.answer = always(answer(401, REFUSAL))
        errors = stage.outcomes("asyncio", [call(cloud(stage), request_) for _ in range(1000)])
        assert len(stage.sent) == 1
        assert {type(error) for error in errors} == {CredentialsRejected}
        assert sorted(error.sent for error in errors) == [False] * 999 + [True]
        for error in errors:
            assert not is_uncertain(error)
        (told,) = {error.message for error in errors if not error.sent}
        for word in ("was not sent", "rejected", "lock", "Correct the connection"):
            assert word in told

    def test_a_wrong_key_is_sent_once_by_threads(self, stage):
        stage.answer = always(answer(401, REFUSAL))
        errors = stage.outcomes("blocking", [call(cloud(stage), READ) for _ in range(100)])
        assert len(stage.sent) == 1
        assert {type(error) for error in errors} == {CredentialsRejected}

    def test_a_wrong_key_over_many_services_is_sent_once(self, stage):
        stage.answer = always(answer(401, REFUSAL))
        names = ("mrs", "hss", "csms", "dataartsstudio", "iam")
        errors = stage.outcomes(
            "asyncio", [call(cloud(stage), replace(READ, service=name)) for name in names * 20]
        )
        assert len(stage.sent) == 1
        assert {type(error) for error in errors} == {CredentialsRejected}

    @BOTH
    def test_with_the_right_key_all_go_through_after_the_first(self, stage, driver):
        at_first_reply: list[int] = []

        def reply(request):
            if not at_first_reply:
                at_first_reply.append(len(stage.sent))
            return answer(200, {"ok": 1})

        stage.answer = reply
        count = 1000 if driver == "asyncio" else 100
        replies = stage.outcomes(driver, [call(cloud(stage), READ) for _ in range(count)])
        assert at_first_reply == [1]
        assert len(stage.sent) == count
        assert all(isinstance(each, Reply) and each.data == {"ok": 1} for each in replies)

    def test_then_they_do_not_wait_for_each_other(self, stage):
        stage.outcomes("asyncio", [call(cloud(stage), READ) for _ in range(200)])
        assert stage.most_in_flight > 100

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "MRS.1"),
            (403, "X"),
            (404, "12000003"),
            (401, "12000136"),
            (403, "APIGW.0302"),
            (400, "APIG.0304"),
        ],
    )
    def test_an_error_of_the_service_says_that_the_key_is_good(self, stage, status, code):
        stage.answer = always(answer(status, {"error_code": code, "error_msg": "m"}))
        errors = stage.outcomes("asyncio", [call(cloud(stage).once(), READ) for _ in range(50)])
        assert len(stage.sent) == 50
        assert all(isinstance(error, ApiError) and error.sent for error in errors)

    @pytest.mark.parametrize(
        "reply",
        [
            answer(500, {"error_code": "X"}),
            answer(503, b""),
            answer(429, {"error_code": "APIGW.0308", "error_msg": "slow down"}),
            answer(302, b""),
            answer(404, {"error_code": "APIGW.0101", "error_msg": "no such API"}),
            answer(400, {"error_code": "APIG.0201", "error_msg": "request too large"}),
            answer(403, b"<html>blocked by a firewall</html>"),
            answer(400, b""),
        ],
        ids=lambda reply: f"{reply.status} {reply.body.decode()}",
    )
    def test_what_need_not_have_looked_at_the_key_says_nothing_of_it(self, stage, reply):
        """A thousand that wait for the one that tries it fail with it, and come back in their own time."""
        stage.answer = always(reply)
        errors = stage.outcomes("asyncio", [call(cloud(stage).once(), READ) for _ in range(50)])
        assert len(stage.sent) == 1
        assert sum(error.sent for error in errors) == 1
        # A final reply to the same request is final for all of them.
        kinds = {type(error) for error in errors if not error.sent}
        assert kinds == {TransportError if reply.status in (429, 500, 502, 503) else ApiError}
        assert not any(getattr(error, "permanent", False) for error in errors)

    def test_a_key_that_was_good_a_while_ago_is_tried_by_one_again(self, stage):
        """A thousand looks may be due at once, just after the clock was set or the key deactivated."""
        drivers.run(call(cloud(stage), READ))
        stage.now += 11
        stage.answer = always(answer(401, {"error_code": "APIGW.0301"}))
        errors = stage.outcomes("asyncio", [call(cloud(stage), READ) for _ in range(1000)])
        assert len(stage.sent) == 2
        assert {type(error) for error in errors} == {CredentialsRejected}

    def test_a_host_that_hangs_does_not_hold_up_the_others(self, stage):
        """The key was used a while ago, so it is tried again, but at each host by one."""
        drivers.run(call(cloud(stage), READ))
        stage.now += 60
        elsewhere = replace(READ, service="hss", operation="Other")

        async def main() -> None:
            stage.gate = asyncio.Event()
            hangs = asyncio.create_task(drivers.arun(call(cloud(stage), elsewhere)))
            await asyncio.sleep(0.01)
            stage.gate, held = None, stage.gate
            assert isinstance(await drivers.arun(call(cloud(stage), READ)), Reply)
            assert not hangs.done()
            held.set()
            await hangs

        asyncio.run(main())

    def test_while_it_is_used_it_is_not_tried(self, stage):
        drivers.run(call(cloud(stage), READ))
        for _ in range(5):
            stage.now += 9
            stage.most_in_flight = 0
            stage.outcomes("asyncio", [call(cloud(stage), READ) for _ in range(50)])
            assert stage.most_in_flight > 20

    @BOTH
    def test_a_page_that_wants_a_login_is_not_about_the_key(self, stage, driver):
        """A proxy before one service must not stop the others."""
        drivers.run(call(cloud(stage), READ))
        stage.answer = always(answer(401, b"<html>Please log in to the proxy</html>"))
        with pytest.raises(CredentialsRejected, match="has no error code of the service: a proxy"):
            stage.drive(driver, call(cloud(stage), READ))
        stage.answer = always(answer(200, {"ok": 1}))
        assert isinstance(stage.drive(driver, call(cloud(stage), READ)), Reply)

    def test_what_one_loop_has_seen_rejected_is_rejected_for_all(self, stage):
        stage.answer = always(answer(401, {"error_code": "APIGW.0301"}))
        for driver in ("asyncio", "blocking", "asyncio", "asyncio"):
            with pytest.raises(CredentialsRejected):
                stage.drive(driver, call(cloud(stage), READ))
        assert len(stage.sent) == 1

    @pytest.mark.parametrize("attempts", [1, 5])
    def test_nobody_waits_for_so_long_that_the_signature_gets_too_old(self, stage, attempts):
        """A gateway that gives up on its service after a minute, for each; it refuses dates that are 15 minutes off."""
        ages: list[float] = []

        def reply(request):
            date = datetime.strptime(request.headers["X-Sdk-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            ages.append(stage.now - date.timestamp())
            stage.now += 60
            return answer(504, b"<html>gateway timeout</html>")

        stage.answer = reply
        clouds = [cloud(stage, attempts=attempts) for _ in range(40)]
        outcomes = stage.outcomes("asyncio", [call(each, READ) for each in clouds])
        assert {type(each) for each in outcomes} <= {ApiError, TransportError}
        assert max(ages) < 600
        stage.answer = always(answer(200, {}))
        assert isinstance(stage.drive("asyncio", call(clouds[0], READ)), Reply)

    @BOTH
    def test_a_first_request_without_a_reply_is_no_verdict(self, stage, driver):
        script = [TransportError("broke")]
        stage.answer = lambda request: script.pop() if script else answer(200, {})
        outcomes = stage.outcomes(driver, [call(cloud(stage), READ) for _ in range(40)])
        assert all(isinstance(each, Reply) for each in outcomes)
        assert len(stage.sent) == 41

    @BOTH
    def test_of_starts_only_the_first_is_uncertain_when_it_gets_no_reply(self, stage, driver):
        script = [TransportError("broke")]
        stage.answer = lambda request: script.pop() if script else answer(200, {})
        outcomes = stage.outcomes(driver, [call(cloud(stage), BEGIN) for _ in range(40)])
        errors = [each for each in outcomes if isinstance(each, Exception)]
        assert len(errors) == 1
        assert is_uncertain(errors[0])
        assert len(stage.sent) == 40

    @BOTH
    def test_where_nobody_gets_a_reply_nobody_is_uncertain_but_who_sent(self, stage, driver):
        stage.answer = lambda request: TransportError("broke")
        flows = [call(cloud(stage).once(), BEGIN) for _ in range(30)]
        errors = stage.outcomes(driver, flows)
        assert {type(error) for error in errors} == {TransportError}
        assert sum(error.sent for error in errors) == len(stage.sent)

    def test_a_first_request_that_stalls_holds_the_others_and_then_all_go(self, stage):
        async def main():
            stage.gate = asyncio.Event()
            tasks = [asyncio.create_task(drivers.arun(call(cloud(stage), READ))) for _ in range(100)]
            for _ in range(50):
                await asyncio.sleep(0)
            before = len(stage.sent)
            stage.gate.set()
            return before, await asyncio.gather(*tasks)

        before, replies = asyncio.run(main())
        assert (before, len(stage.sent), len(replies)) == (1, 100, 100)

    def test_who_gives_up_the_first_request_takes_nobody_along(self, stage):
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

    def test_all_give_up_and_others_come(self, stage):
        async def main():
            stage.gate = asyncio.Event()
            tasks = [asyncio.create_task(drivers.arun(call(cloud(stage), READ))) for _ in range(20)]
            for _ in range(20):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            stage.gate = None
            return await asyncio.wait_for(drivers.arun(call(cloud(stage), READ)), 5)

        assert isinstance(asyncio.run(main()), Reply)

    @BOTH
    def test_a_reply_is_for_who_asked_only(self, stage, driver):
        """The first one's reply must not be taken for another's, nor kept."""
        stage.answer = lambda request: answer(200, {"path": request.url.rsplit("/", 1)[1]})
        flows = [call(cloud(stage), replace(READ, path=f"/v2/x/{n}")) for n in range(50)]
        assert [each.data["path"] for each in stage.outcomes(driver, flows)] == [str(n) for n in range(50)]

    def test_the_first_reply_is_not_kept(self, stage):
        drivers.run(call(cloud(stage), READ))
        (kept,) = [kept for _, kept, _ in drivers._single_flight._results._results.values()]
        assert isinstance(kept, _Verdict)


class TestTwoHosts:
    """One key for all services: what one host says of it holds for the others; its silence does not."""

    @BOTH
    def test_a_host_that_is_away_is_not_in_the_way_of_another(self, stage, driver):
        def reply(request):
            return TransportError("away") if "hss" in request.url else answer(200, {})

        stage.answer = reply
        requests = [replace(READ, service="hss"), *[READ] * 20, replace(READ, service="hss")]
        outcomes = stage.outcomes(driver, [call(cloud(stage).once(), each) for each in requests])
        assert [type(each) for each in outcomes] == [TransportError, *[Reply] * 20, TransportError]

    @BOTH
    def test_all_hosts_are_away(self, stage, driver):
        stage.answer = lambda request: TransportError("away")
        requests = [replace(READ, service=name) for name in ("hss", "mrs", "csms") * 10]
        outcomes = stage.outcomes(driver, [call(cloud(stage).once(), each) for each in requests])
        assert {type(each) for each in outcomes} == {TransportError}
        assert set(hosts(stage)) == {"hss", "mrs", "kms"}

    @BOTH
    def test_a_key_that_one_host_rejects_is_not_shown_to_another(self, stage, driver):
        stage.answer = always(answer(401, REFUSAL))
        requests = [READ, replace(READ, service="hss")]
        with process(stage, driver) as run:
            for request in requests:
                with pytest.raises(CredentialsRejected):
                    run.drive(call(cloud(stage), request))
        assert hosts(stage) == ["mrs"]


class TestTwoClouds:
    """What one of them says of a key says nothing of the other, such as two emulators with the same keys."""

    @BOTH
    @pytest.mark.parametrize(
        "urls",
        [
            ("http://127.0.0.1:1", "http://127.0.0.1:2"),
            ("http://[::1]:1", "http://[::1]:2"),
            ("http://localhost:1", "http://localhost:2"),
            ("https://mrs.cloud.example", "https://mrs.other.example"),
        ],
    )
    def test_a_key_that_one_rejects_is_tried_at_the_other(self, stage, driver, urls):
        def reply(request):
            return answer(401, REFUSAL) if request.url.startswith(urls[0]) else answer(200, {})

        stage.answer = reply
        with process(stage, driver) as run:
            for url, accepted in ((urls[0], False), (urls[1], True), (urls[0], False), (urls[1], True)):
                one = call(cloud(stage, endpoint=url), READ)
                if accepted:
                    run.drive(one)
                else:
                    with pytest.raises(CredentialsRejected):
                        run.drive(one)
        assert [each.url.startswith(urls[0]) for each in stage.sent] == [True, False, False]

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("mrs.cn-north-4.myhuaweicloud.com", "iam.myhuaweicloud.com", True),
            ("mrs.cn-north-4.myhuaweicloud.com", "iam.myhuaweicloud.com:443", True),
            ("mrs.cn-north-4.myhuaweicloud.com", "IAM.MyHuaweiCloud.com.", True),
            ("iam.myhuaweicloud.com", "iam.myhuaweicloud.eu", False),
            ("mrs.ap-southeast-1.myhuaweicloud.cn", "hss.ap-southeast-1.myhuaweicloud.com", True),
            ("mrs.cloud.example:8443", "iam.cloud.example", True),
            ("127.0.0.1:1", "127.0.0.1:2", False),
            ("127.0.0.1:1", "127.0.0.1:1", True),
            ("10.0.0.1", "10.1.0.1", False),
            ("[::1]:1", "[::1]:2", False),
            ("[::1.2.3.4]:1", "[::1.2.3.4]:2", False),
            ("localhost:1", "localhost:2", False),
            ("emulator:1", "emulator:2", False),
        ],
    )
    def test_what_is_one_cloud(self, one, other, same):
        assert (_site(one) == _site(other)) is same


# --- a key that is rejected ----------------------------------------------------------------------------------------


@BOTH
class TestRejection:
    def test_later(self, stage, driver):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage), READ))
            stage.answer = always(answer(401, REFUSAL))
            for expected in (True, False, False):
                with pytest.raises(CredentialsRejected) as caught:
                    run.drive(call(cloud(stage), READ))
                assert caught.value.sent is expected
        assert len(stage.sent) == 2

    def test_it_ends_with_the_lock(self, stage, driver):
        stage.answer = always(answer(401, REFUSAL))
        with process(stage, driver) as run:

            def rejected():
                with pytest.raises(CredentialsRejected) as caught:
                    run.drive(call(cloud(stage), READ))
                return caught.value

            rejected()
            stage.now = START + LOCK_TIME - 0.1
            error = rejected()
            assert len(stage.sent) == 1
            assert "300 s ago" in error.message
            stage.now = START + LOCK_TIME
            rejected()
            rejected()
            assert len(stage.sent) == 2  # one request says whether it is good now
            stage.now += LOCK_TIME
            stage.answer = always(answer(200, {}))
            run.drive(call(cloud(stage), READ))
            run.drive(call(cloud(stage), READ))
            assert len(stage.sent) == 4

    def test_it_ends_for_a_thousand_at_once(self, stage, driver):
        """More than five failures lock the key anew, so the first one after the lock must be alone again."""
        stage.answer = always(answer(401, REFUSAL))
        with process(stage, driver) as run:
            for _ in range(5):
                run.outcomes([call(cloud(stage), READ) for _ in range(100)])
                stage.now += LOCK_TIME
        assert len(stage.sent) == 5

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(KeyPair("AKIDAKIDAKIDAKID", "corrected"), id="secret"),
            pytest.param(KeyPair("AKIDAKIDAKIDAKID", "SKSKSKSK", "token"), id="token"),
            pytest.param(KeyPair("AKIDAKIDAKIDAKIE", "SKSKSKSK"), id="access key"),
        ],
    )
    def test_a_corrected_connection_works_at_once(self, stage, driver, other):
        stage.answer = always(answer(401, REFUSAL))
        with process(stage, driver) as run:
            with pytest.raises(CredentialsRejected):
                run.drive(call(cloud(stage), READ))
            stage.answer = always(answer(200, {}))
            run.drive(call(cloud(stage, other), READ))
            with pytest.raises(CredentialsRejected):
                run.drive(call(cloud(stage), READ))
        assert len(stage.sent) == 2

    @pytest.mark.parametrize("code", ["12000136", "00000010"])
    def test_a_401_that_is_about_a_permission_says_nothing_of_the_key(self, stage, driver, code):
        """MRS says so; `replies.read` makes it no `CredentialsRejected` either."""

        def reply(request):
            if "mrs" in request.url:
                return answer(401, {"error_code": code, "error_msg": "no permission"})
            return answer(200, {})

        stage.answer = reply
        with process(stage, driver) as run:
            with pytest.raises(ApiError) as caught:
                run.drive(call(cloud(stage), READ))
            assert type(caught.value) is ApiError
            run.drive(call(cloud(stage), replace(READ, service="hss")))

    def test_a_clock_that_was_wrong_and_is_set_right(self, stage, driver):
        """A clock that is an hour ahead is what the key was rejected for; corrected, the lock is over in 5 minutes."""
        stage.now = START + 3600
        stage.answer = always(answer(401, REFUSAL))
        with process(stage, driver) as run:
            with pytest.raises(CredentialsRejected):
                run.drive(call(cloud(stage), READ))
            stage.now = START + LOCK_TIME + 1
            stage.answer = always(answer(200, {}))
            run.drive(call(cloud(stage), READ))


@BOTH
class TestGivenToken:
    def test_it_is_sent_and_not_signed(self, stage, driver):
        stage.drive(driver, call(cloud(stage, Token("TOKEN")), READ))
        (request,) = stage.sent
        assert request.headers["X-Auth-Token"] == "TOKEN"
        assert not {"Authorization", "X-Sdk-Date"} & set(request.headers)

    def test_a_401_is_the_error_at_once(self, stage, driver):
        stage.answer = always(answer(401, {"error_code": "APIGW.0307", "error_msg": "must be updated"}))
        with pytest.raises(CredentialsRejected) as caught:
            stage.drive(driver, call(cloud(stage, Token("TOKEN")), READ))
        assert (caught.value.code, len(stage.sent)) == ("APIGW.0307", 1)


def test_nobody_adds_nothing(stage):
    drivers.run(call(cloud(stage, Anonymous()), READ))
    assert not {"Authorization", "X-Auth-Token"} & set(stage.sent[0].headers)


# --- nothing shows -------------------------------------------------------------------------------------------------

MARK = "S3CR3T"
ASK = Cloud(
    credentials=Anonymous(), clock=lambda: START, http_settings=HttpSettings(proxy=f"http://u:{MARK}@p")
)
KEYS = KeyPair("AKIDAKIDAKIDAKID", f"{MARK}sk", f"{MARK}token")
REQUEST = HttpRequest(
    "POST",
    "https://h/p",
    {"Authorization": MARK, "X-Auth-Token": MARK, "X-Security-Token": MARK},
    MARK.encode(),
    ASK.http_settings,
)
RESPONSE = Response(401, {"x-subject-token": MARK}, MARK.encode())
WAYS = {
    "keys": KEYS,
    "token": Token(MARK),
    "nobody": Anonymous(),
    "password": Password(ask=ASK, user="u", password=MARK, domain_name="d"),
    "agency of keys": Agency(ask=replace(ASK, credentials=KEYS), name="a", domain_name="d"),
    "agency of a password": Agency(
        ask=replace(ASK, credentials=Password(ask=ASK, user="u", password=MARK, domain_name="d")),
        name="a",
        domain_name="d",
    ),
    "oidc": IdToken(ask=ASK, idp_id="i", read=lambda: MARK),
    "sts": StsIdToken(ask=ASK, provider_urn="p", agency_urn="a", read=lambda: MARK),
    "ecs": Ecs(ask=ASK),
}
HOLDERS = {
    **WAYS,
    "cloud": replace(ASK, credentials=KEYS),
    "probe": _Probe(REQUEST, RESPONSE, TransportError("x")),
    "lease of keys": _RefreshableCredentials(START, KEYS, refusal=CredentialsRejected("x")),
    "lease of a token": _RefreshableCredentials(START, Token(MARK)),
    "obtained": Obtained(KEYS, 5.0),
    "mask_secret": MaskSecret(MARK),
    "request": REQUEST,
    "response": RESPONSE,
    "reply": Reply(200, {"x": MARK}, "id", {"x-subject-token": MARK}),
    "http_settings": ASK.http_settings,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_no_secret_in_words(name):
    holder = HOLDERS[name]
    assert MARK not in f"{holder!r} {holder!s} {holder} {[holder]} {holder!a}"


@pytest.mark.parametrize("name", WAYS)
def test_no_secret_in_who_and_identity(name):
    way = WAYS[name]
    assert MARK not in way.who
    assert MARK not in way.identity
    assert way.who
    assert "\n" not in way.who
    hash(way.identity)


def test_who_shows_of_an_access_key_only_so_much_that_it_can_be_told_apart():
    assert KeyPair("HPUAAAAAAAAAAAAAWXYZ", "s").who == "access key HPUA...WXYZ"
    assert KeyPair("HPUAAAAAAAAAAAAAWXYZ", "s", "t").who == "temporary access key HPUA...WXYZ"
    for short in ("", "A", "AB", "ABCDEFGHIJKL"):
        assert re.fullmatch(r"access key .{0,2}\.\.\.", KeyPair(short, "s").who)


@given(st.lists(st.one_of(st.none(), st.text(st.characters(codec="utf-8"))), max_size=3), st.text(max_size=3))
def test_a_fingerprint_tells_apart_and_can_not_be_told_from(secrets, other):
    found = fingerprint(*secrets)
    assert re.fullmatch("[0-9a-f]{64}", found)
    assert found == fingerprint(*secrets)
    assert found != fingerprint(*secrets, "another")


def test_identities():
    """Equal for who can share, unlike for who must not."""
    pairs = [KeyPair("a", "s"), KeyPair("a", "t"), KeyPair("b", "s"), KeyPair("a", "s", "t"), Token("s")]
    assert len({each.identity for each in pairs}) == len(pairs)
    assert KeyPair("a", "s").identity == KeyPair("a", "s").identity
    users = [
        Password(ask=ASK, user="u", password="p", domain_name="d"),
        Password(ask=ASK, user="u", password="q", domain_name="d"),
        Password(ask=ASK, user="v", password="p", domain_name="d"),
        Password(ask=ASK, user="u", password="p", domain_name="e"),
    ]
    assert len({each.identity for each in users}) == len(users)


def test_what_must_not_be_in_any_log():
    assert KEYS.secrets == (f"{MARK}sk", f"{MARK}token")
    assert KeyPair("a", "b").secrets == ("b",)
    assert Token(MARK).secrets == (MARK,)
    assert Anonymous().secrets == ()
    assert WAYS["password"].secrets == (MARK,)


def test_what_an_agency_stands_on_must_not_be_in_any_log_either():
    assert set(WAYS["agency of keys"].secrets) == {f"{MARK}sk", f"{MARK}token"}
    assert WAYS["agency of a password"].secrets == (MARK,)
