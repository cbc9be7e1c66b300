"""What was signed in to is revoked, or the password is changed: all go on, or all stop, and nobody is locked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.key_guard import LOCK_TIME
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.exceptions import ApiError, CredentialsRejected, TransportError
from tests.support.scripted_network import START, THREADS, answer, process
from tests.support.sites import (
    BEGIN,
    BOTH,
    EACH_WAY,
    READ,
    REFUSED,
    WAYS,
    agency,
    cloud,
    kinds,
    looks,
    nobody,
)

pytestmark = pytest.mark.usefixtures("no_chance")

#: Those that bring keys, which are tried by one request before the others use them.
OF_KEYS = tuple(way for way in WAYS if way != "password")
EACH_OF_KEYS = pytest.mark.parametrize("way", OF_KEYS)
REJECTED = answer(401, {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"})


# --- revoked -------------------------------------------------------------------------------------------------------


class TestRevoked:
    @BOTH
    @EACH_WAY
    @pytest.mark.parametrize("request_", [READ, BEGIN], ids=["reads", "starts"])
    def test_who_comes_while_one_signs_in_anew_gets_the_new_proof_too(
        self, stage, site, way, driver, request_
    ):
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            site.valid.clear()
            stage.holds = site.is_sign_in
            first, *others = (call(cloud(stage, way).once(), request_) for _ in range(12))
            _, outcomes = run.meanwhile(first, others)
        assert kinds(outcomes) == {Reply}
        assert site.sign_ins == 2

    @BOTH
    @EACH_WAY
    @pytest.mark.parametrize(
        "fault",
        [answer(500, {"error_msg": "busy"}), answer(400, b"busy"), TransportError("no reply in time")],
        ids=["500", "400", "timeout"],
    )
    def test_a_sign_in_that_fails_then_is_no_end(self, stage, site, way, driver, fault):
        """That the old key was rejected is known; who learns of it from there signs in, and is not turned away."""
        script = [fault]
        with process(stage, driver) as run:
            run.drive(call(cloud(stage, way), READ))
            site.valid.clear()
            site.wrong = lambda request: script.pop() if script else None
            with pytest.raises((ApiError, TransportError)) as caught:
                run.drive(looks(stage, way, 1)[0])
            assert not is_uncertain(caught.value)
            for _ in range(4):
                assert isinstance(run.drive(looks(stage, way, 1)[0]), Reply)
                stage.now += 100
        # The old key is not shown again; a token can't be locked, and is.
        assert len(site.served) == 2 + 4 + (way == "password")

    @BOTH
    @EACH_WAY
    def test_new_ones_that_are_dead_at_their_first_use_are_replaced_once(self, stage, site, way, driver):
        """Revoked in between, say, or not known everywhere yet."""
        served = site.__call__

        def reply(request):
            found = served(request)
            if site.sign_ins < 2:
                site.valid.clear()
            return found

        stage.answer = reply
        assert kinds(stage.outcomes(driver, looks(stage, way, 100))) == {Reply}
        assert site.sign_ins == 2

    @BOTH
    @EACH_OF_KEYS
    @pytest.mark.parametrize("at_once", [True, False], ids=["at once", "one after the other"])
    def test_where_each_new_key_is_rejected_it_is_not_asked_for_again(
        self, stage, site, way, driver, at_once
    ):
        """As with a clock that is wrong: another key would fare no better."""
        site.dead_on_arrival = True
        # A thread may have signed with the old key just before the new one came, and send it all the same.
        most = 2 + THREADS if at_once and driver == "blocking" else 2
        with process(stage, driver) as run:
            if at_once:
                outcomes = run.outcomes(looks(stage, way, 100))
            else:
                outcomes = [each for flow in looks(stage, way, 100) for each in run.outcomes([flow])]
            assert kinds(outcomes) == {CredentialsRejected}
            assert site.sign_ins <= 2
            assert len(site.served) <= most
            # The clock is set right.
            site.dead_on_arrival = False
            stage.now += LOCK_TIME + 1
            assert kinds(run.outcomes(looks(stage, way, 100))) == {Reply}
            assert site.sign_ins <= 4

    @BOTH
    @EACH_OF_KEYS
    def test_nor_all_day_long(self, stage, site, way, driver):
        site.dead_on_arrival = True
        with process(stage, driver) as run:
            for _ in range(60):
                for flow in looks(stage, way, 3):
                    run.outcomes([flow])
                stage.now += 60
        assert site.sign_ins <= 2 * 3600 / LOCK_TIME
        assert len(site.served) <= 2 * 3600 / LOCK_TIME

    @BOTH
    @EACH_WAY
    def test_revoked_again_and_again(self, stage, site, way, driver):
        """A proof that was good is replaced each time, however soon."""
        with process(stage, driver) as run:
            for times in range(1, 8):
                assert kinds(run.outcomes(looks(stage, way, 20))) == {Reply}
                assert site.sign_ins == times
                site.valid.clear()
                stage.now += 1


# --- a password that was changed -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("passed", "revoked", "outcome"),
    [
        pytest.param(1.0, True, CredentialsRejected, id="the tokens are revoked"),
        pytest.param(86_400.0, False, CredentialsRejected, id="the tokens are over"),
        pytest.param(3000.0, False, Reply, id="the tokens are renewed ahead of time"),
    ],
)
def test_a_changed_password_is_sent_once_for_all_projects(stage, site, driver, passed, revoked, outcome):
    """Five failures lock the user, and a token is for one project each."""

    def reply(request):
        stage.now += 0.05
        return site(request)

    def flows() -> list[Any]:
        return [call(cloud(stage, project_id=f"p{n % 12}").once(), READ) for n in range(48)]

    stage.answer = reply
    with process(stage, driver) as run:
        assert kinds(run.outcomes(flows())) == {Reply}
        assert site.sign_ins == 12
        stage.now += passed
        if revoked:
            site.valid.clear()
        site.wrong = lambda request: REFUSED
        stage.holds = site.is_sign_in
        first, *others = flows()
        _, outcomes = run.meanwhile(first, others)
        assert kinds(outcomes) == {outcome}
        run.outcomes(flows())
        assert site.sign_ins == 13
        # It is corrected in the cloud.
        site.wrong = lambda request: None
        stage.now += LOCK_TIME + 1
        assert kinds(run.outcomes(flows())) == {Reply}


# --- an agency whose key was rejected ------------------------------------------------------------------------------


@BOTH
def test_an_agency_is_refused_no_longer_than_the_key_beneath(stage, site, driver):
    """That its key is not tried just now is no refusal of its own, that would be remembered anew."""
    ask = nobody(stage)
    base = replace(ask, credentials=KeyPair("BASE", "sk"))
    above = cloud(stage, agency(base))
    stage.answer = lambda request: REJECTED
    with process(stage, driver) as run:
        with pytest.raises(CredentialsRejected):
            run.drive(call(base, READ))
        stage.now = START + LOCK_TIME - 10
        with pytest.raises(CredentialsRejected, match="not tried again for 10 s") as caught:
            run.drive(call(above, READ))
        assert not is_uncertain(caught.value)
        assert len(stage.sent) == 1
        stage.answer = site
        stage.now = START + LOCK_TIME + 1
        assert isinstance(run.drive(call(above, READ)), Reply)
