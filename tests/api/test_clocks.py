"""The difference between this machine's clock and the cloud's: measured at each reply, and used for user's times."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cloudsync.api.clocks import (
    AHEAD_KEY,
    FIRST_KEY,
    ServiceClock,
    handed_over,
    is_fresh,
    learn_clock,
)

DATE = 1_800_000_000.0
AFTER = int(DATE * 1000)


@pytest.mark.parametrize(
    ("date", "sent_at", "received_at", "ahead"),
    [
        pytest.param(DATE, DATE + 0.5, DATE + 0.6, 0.0, id="equal"),
        pytest.param(DATE, DATE + 31, DATE + 31.2, 30.0, id="ahead"),
        pytest.param(DATE, DATE - 30.2, DATE - 30, -30.0, id="behind"),
        pytest.param(DATE, DATE - 5, DATE + 25, 0.0, id="a reply of 30 s explains it"),
        pytest.param(DATE, DATE + 11, DATE + 41, 10.0, id="ahead, and a reply of 30 s"),
        pytest.param(DATE, DATE - 40, DATE - 10, -10.0, id="behind, and a reply of 30 s"),
        pytest.param(DATE, None, DATE + 99, 0.0, id="not known when it was sent"),
        pytest.param(None, DATE + 99, DATE + 99, 0.0, id="no Date"),
    ],
)
def test_the_difference_is_the_least_that_a_reply_allows(date, sent_at, received_at, ahead) -> None:
    clock = ServiceClock.measured(date, sent_at, received_at)
    assert clock.ahead == pytest.approx(ahead)
    assert (clock.now is None) == (date is None)


def polled(*ahead: float, baseline: dict[str, Any] | None = None) -> Any:
    known: Any = baseline or {}
    for each in ahead:
        known = learn_clock(known, AFTER, {}, ServiceClock(AFTER, each))
    return known


@pytest.mark.parametrize(
    ("ahead", "learned"),
    [
        pytest.param([0.0], 0.0, id="none"),
        pytest.param([-3600.0, 1.0, 1.0], 1.0, id="one wrong Date, the first"),
        pytest.param([1.0, 3600.0, 1.0], 1.0, id="one wrong Date, a later one"),
        pytest.param([-60.0, -58.0], -58.0, id="behind, and a slow reply"),
    ],
)
def test_one_wrong_date_does_not_decide_for_the_whole_wait(ahead, learned) -> None:
    assert polled(*ahead)[AHEAD_KEY] == learned


def test_another_machine_s_clock_says_nothing_of_the_user_s_time() -> None:
    measured = handed_over(polled(-60.0))
    assert polled(0.0, baseline=dict(measured))[AHEAD_KEY] == -60.0


@pytest.mark.parametrize(
    ("ahead", "run", "counts"),
    [
        *(
            pytest.param(ahead, -1000, False, id=f"before, {ahead:+.0f} s")
            for ahead in (-600.0, -3.0, 0.0, 3.0, 600.0)
        ),
        *(pytest.param(ahead, 0, True, id=f"in time, {ahead:+.0f} s") for ahead in (0.0, 3.0, 600.0)),
        *(pytest.param(ahead, 0, False, id=f"in doubt, {ahead:+.0f} s") for ahead in (-600.0, -60.0, -3.0)),
        *(
            pytest.param(ahead, -ahead * 1000, True, id=f"late, {ahead:+.0f} s")
            for ahead in (-600.0, -60.0, -3.0)
        ),
    ],
)
def test_nothing_measured_makes_the_bound_only_stricter(ahead, run, counts) -> None:
    """All polls before the deferral were lost. The machine that read the user's time may be right or as wrong."""
    baseline = polled(ahead, ahead, baseline=dict(handed_over({}, lost=True)))
    assert AHEAD_KEY not in baseline
    assert is_fresh(baseline, AFTER, AFTER + round(run), ServiceClock(AFTER, ahead)).counts is counts


BEFORE, CHANGED = "2027-01-15 03:00:00", "2027-01-15 03:05:00"


@pytest.mark.parametrize(
    ("first", "counts"),
    [
        pytest.param(AFTER + 60_000, True, id="the first poll was after the earliest run"),
        pytest.param(AFTER - 60_000, False, id="the first poll was before it"),
        pytest.param(None, False, id="the first poll had no Date"),
    ],
)
def test_a_time_without_a_zone_counts_if_it_changed_after_the_earliest_run(first, counts) -> None:
    known = learn_clock({}, AFTER, {"row": BEFORE}, ServiceClock(first))
    fresh = is_fresh(known, AFTER, CHANGED, ServiceClock(AFTER + 400_000), "row")
    assert fresh.counts is counts


def test_a_first_poll_that_came_too_early_is_taken_again() -> None:
    early = learn_clock({}, AFTER, {"row": "2027-01-15 02:00:00"}, ServiceClock(AFTER - 60_000))
    again = learn_clock(early, AFTER, {"row": BEFORE}, ServiceClock(AFTER + 60_000))
    assert again[FIRST_KEY] == {"now": AFTER + 60_000, "times": {"row": BEFORE}}
    assert is_fresh(again, AFTER, CHANGED, ServiceClock(AFTER + 400_000), "row").counts
    # What came in time stays: the run that it showed may be the one that is waited for.
    assert learn_clock(again, AFTER, {"row": CHANGED}, ServiceClock(AFTER + 500_000)) == again
