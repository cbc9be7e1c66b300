"""A proof is renewed ahead of its end by one, and that is nobody else's trouble."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api.key_guard import LOCK_TIME
from airflow_provider_cloudsync.api.messages import HttpRequest
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.exceptions import CredentialsRejected, TransportError
from tests.support.scripted_network import START, answer, process
from tests.support.sites import BOTH, EACH_WAY, REFUSED, Site, kinds, looks

pytestmark = pytest.mark.usefixtures("no_chance")

#: Of a life of an hour.
RENEWED, ENDS = 2880.0, 3570.0


def sign_ins(site: Site) -> list[HttpRequest]:
    """All that was sent to sign in."""
    return [each for each in site.stage.sent if site.is_sign_in(each)]


@BOTH
@EACH_WAY
@pytest.mark.parametrize(
    "fault",
    [None, answer(503, b"busy"), TransportError("no reply in time")],
    ids=["ends well", "ends with 503", "ends with a timeout"],
)
def test_one_that_hangs_delays_only_who_renews(stage, site, way, driver, fault):
    with process(stage, driver) as run:
        run.drive(looks(stage, way, 1)[0])
        old, before = site.proof(site.served[0]), len(sign_ins(site))
        stage.now = START + RENEWED
        stage.holds, site.wrong = site.is_sign_in, lambda request: fault
        first, *others = looks(stage, way, 21)
        ended, outcomes = run.meanwhile(first, others, wait_for=5)
        assert ended == 20
        assert kinds(outcomes) == {Reply}
        begun, *rest = sign_ins(site)[before:]
        assert begun.url not in {each.url for each in rest}
        assert {site.proof(each) for each in site.served[1:21]} == {old}
        # From now on all have the new one, if there is one.
        used = len(site.served)
        assert kinds(run.outcomes(looks(stage, way, 20))) == {Reply}
        proofs = {site.proof(each) for each in site.served[used:]}
        assert len(proofs) == 1
        assert (proofs == {old}) is (fault is not None)


@BOTH
@pytest.mark.parametrize("way", ["password", "oidc", "sts", "agency"])
def test_one_that_is_refused_is_not_asked_for_again_before_the_end(stage, site, way, driver):
    """Each failure counts towards a lock, and the old proof does."""
    with process(stage, driver) as run:
        run.drive(looks(stage, way, 1)[0])
        before = len(sign_ins(site))
        site.wrong = lambda request: REFUSED
        stage.now = START + RENEWED
        while stage.now < START + ENDS:
            assert kinds(run.outcomes(looks(stage, way, 10))) == {Reply}
            stage.now += 61
        assert len(sign_ins(site)) == before + 1
        # The end: now it is needed, and asked for once.
        for _ in range(2):
            assert kinds(run.outcomes(looks(stage, way, 10))) == {CredentialsRejected}
        assert len(sign_ins(site)) == before + 2
        site.wrong = lambda request: None
        stage.now += LOCK_TIME + 1
        assert kinds(run.outcomes(looks(stage, way, 10))) == {Reply}
