"""Which errors are worth another attempt, and when it comes."""

from __future__ import annotations

import math

import pytest

from airflow_provider_cloudsync.api import retries
from airflow_provider_cloudsync.api.retries import LONGEST, delay_for, is_uncertain
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    Throttled,
    TransportError,
    UnreadableReply,
    WaitTimedOut,
)


def api(status, kind=ApiError, **more):
    return kind("m", status=status, **more)


CASES = [
    # id, error, again where it may be repeated, again where not, may have been carried out
    ("401", api(401, CredentialsRejected), False, False, False),
    ("429", api(429, Throttled), True, True, False),
    ("429 with a window", api(429, Throttled, retry_after=60.0), True, True, False),
    ("500", api(500), True, False, True),
    ("500 of the gateway", api(500, code="APIGW.0601"), True, False, True),
    ("502", api(502), True, False, True),
    ("503", api(503), True, False, True),
    ("504", api(504), True, False, True),
    ("599", api(599), True, False, True),
    ("408", api(408), True, False, True),
    ("200 with an error", api(200), False, False, False),
    ("302", api(302), False, False, False),
    ("400", api(400), False, False, False),
    ("403", api(403), False, False, False),
    ("404", api(404), True, False, False),
    ("404 with its status as code", api(404, code="404"), True, False, False),
    ("404 with its phrase as code", api(404, code="Not Found"), True, False, False),
    ("404 with its phrase as a constant", api(404, code="NOT_FOUND"), True, False, False),
    ("404 with both", api(404, code="404 NOT_FOUND"), True, False, False),
    ("404 with a name for it", api(404, code="HTTP_404"), True, False, False),
    ("404 of the service", api(404, code="CSMS.0005"), False, False, False),
    ("404 of MRS", api(404, code="12000003"), False, False, False),
    ("404 of the gateway", api(404, code="APIGW.0101"), False, False, False),
    ("404 of IAM", api(404, code="404", service="iam"), False, False, False),
    ("404 in place of IAM", api(404, service="iam"), True, False, False),
    ("404 of a sign-in before a start", api(404, sent=False), True, True, False),
    ("405", api(405), False, False, False),
    ("409", api(409), False, False, False),
    ("reply lost", TransportError("m"), True, False, True),
    ("never left", TransportError("m", sent=False), True, True, False),
    ("never left and never will", TransportError("m", sent=False, permanent=True), False, False, False),
    ("lost and lasting", TransportError("m", permanent=True), False, False, True),
    ("unreadable", UnreadableReply("m"), True, False, True),
    ("connection", InvalidConnection("m"), False, False, False),
    ("parameter", InvalidParameter("m"), False, False, False),
    ("event", InvalidEvent("m"), False, False, False),
    ("sync failed", SyncFailed("m"), False, False, False),
    ("timed out", WaitTimedOut("m"), False, False, False),
    ("the base", CloudSyncError("m"), False, False, False),
]


@pytest.mark.parametrize(
    ("error", "repeatable", "start", "uncertain"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_table(error, repeatable, start, uncertain):
    assert (delay_for(error, 1) is not None) is repeatable
    assert (delay_for(error, 1, repeatable=True) is not None) is repeatable
    assert (delay_for(error, 1, repeatable=False) is not None) is start
    assert is_uncertain(error) is uncertain


def test_nothing_uncertain_is_repeated_where_that_is_not_safe():
    """The two columns can't contradict each other."""
    assert not [case[0] for case in CASES if case[3] and case[4]]


@pytest.fixture
def chance(monkeypatch):
    """Sets what chance decides, from 0 to 1."""

    class Chance:
        value = 0.0

        def random(self):
            return self.value

        def uniform(self, low, high):
            return low + (high - low) * self.value

    chance = Chance()
    monkeypatch.setattr(retries, "random", chance)
    return chance


@pytest.mark.parametrize(
    ("attempt", "least", "most"),
    [
        (1, 0.5, 1.0),
        (2, 1.0, 2.0),
        (3, 2.0, 4.0),
        (5, 8.0, 16.0),
        (6, 15.0, 30.0),
        (7, 15.0, 30.0),
        (1000, 15.0, 30.0),
    ],
)
@pytest.mark.parametrize("error", [TransportError("m"), api(503), api(429, Throttled)], ids=repr)
def test_growing(chance, error, attempt, least, most):
    assert delay_for(error, attempt) == least
    chance.value = 1.0
    assert delay_for(error, attempt) == most


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (0.0, 0.0),
        (2.0, 2.0),
        (60.0, 60.0),
        (-5.0, 0.0),
        (LONGEST, LONGEST),
        (86400.0, LONGEST),
        (math.inf, LONGEST),
    ],
)
@pytest.mark.parametrize("attempt", [1, 4])
def test_what_the_service_asks_for(chance, asked, seconds, attempt):
    error = api(429, Throttled, retry_after=asked)
    assert delay_for(error, attempt) == seconds
    chance.value = 0.5
    # Never less than asked for, and not all at the same moment.
    assert delay_for(error, attempt) == seconds + 0.5


@pytest.mark.parametrize("attempt", [2000, 10**6])
def test_many_attempts_do_not_overflow(attempt):
    assert 15.0 <= delay_for(TransportError("m"), attempt) <= 30.0
