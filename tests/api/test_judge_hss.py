"""What "done" means for HSS, row by row: design section 5."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.hss.calls import QUOTA
from airflow_provider_cloudsync.api.services.hss.event_sync import (
    EVENT_SYNC,
    UpdateSeen,
    events_target,
    events_watch_target,
)
from airflow_provider_cloudsync.api.times import read_service_time
from airflow_provider_cloudsync.exceptions import ApiError, InvalidParameter, SyncFailed

START = 1_710_901_516.0
OLD, NEW = 1_710_815_116_000, 1_710_901_546_000
RUNNING, SUCCEEDED, FAILED = Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED


def ticket(before: int | None, stage: Stage = Stage.STARTED, **more) -> Ticket:
    target = events_target(cluster_id="c1")
    return Ticket("hss", target, stage, START, EVENT_SYNC.baseline(target, update(before, START)), **more)


def update(time, now: float | None = None, ahead: float = 0.0) -> UpdateSeen:
    """What a poll shows.

    :param now: the service's clock, seconds since the epoch.
    """
    return UpdateSeen(time, ServiceClock(None if now is None else round(now * 1000), ahead))


STARTED = [
    # id, baseline, seen, phase, words of the reason
    ("as before", OLD, OLD, RUNNING, ["2024-03-19T02:25:16", "no update since the start"]),
    ("moved on", OLD, NEW, SUCCEEDED, ["2024-03-20T02:25:46", "after the start of the sync"]),
    ("moved by a millisecond", OLD, OLD + 1, SUCCEEDED, []),
    ("moved back", NEW, OLD, RUNNING, ["no update since"]),
    ("never, and never", None, None, RUNNING, ["has no update yet"]),
    ("never, and now once", None, NEW, SUCCEEDED, []),
    ("left out of the baseline, and an old one", None, OLD, RUNNING, ["no update since"]),
    ("a time that is not readable", OLD, "soon", RUNNING, ["not readable"]),
    ("for the first time, and not readable", None, "soon", RUNNING, []),
    ("without a zone, as before", "2024-03-20 10:00:00", "2024-03-20 10:00:00", RUNNING, []),
    ("without a zone, moved on", "2024-03-20 10:00:00", "2024-03-20 10:00:01", SUCCEEDED, []),
    ("another form of the time", OLD, "2024-03-20 10:00:00", RUNNING, []),
    ("was, and is no more", OLD, None, RUNNING, ["has no update yet"]),
    # The service's clock may be behind ours or ahead of it: only its own two times are compared.
    ("moved, but before our start by our clock", OLD, OLD + 5, SUCCEEDED, []),
    ("as before, and ahead of our clock", NEW + 10**9, NEW + 10**9, RUNNING, []),
]


@pytest.mark.parametrize("stage", [Stage.STARTED, Stage.STARTING])
@pytest.mark.parametrize("after", [0, 1, 60, 86_400])
@pytest.mark.parametrize(
    ("before", "seen", "phase", "words"), [case[1:] for case in STARTED], ids=[case[0] for case in STARTED]
)
def test_started(before, seen, phase, words, after, stage) -> None:
    progress = EVENT_SYNC.judge(ticket(before, stage), update(seen), START + after)
    assert progress.phase is phase
    assert progress.confirm_for == 0
    assert ("not readable" in progress.warning) is (seen == "soon")
    for word in words:
        assert word in progress.why


TIMES = [
    # last_update_time as sent, words of the warning, text of the run
    (None, "null, 0 or missing", None),
    (0, "null, 0 or missing", None),
    ("", "null, 0 or missing", None),
    (False, "null, 0 or missing", None),
    ([], "null, 0 or missing", None),
    ({}, "null, 0 or missing", None),
    ("soon", "not readable", None),
    ([1], "not readable", None),
    (True, "null, 0 or missing", None),
    (NEW, "", "2024-03-20T02:25:46.000+00:00"),
    ("2024-03-20T02:25:46Z", "", "2024-03-20T02:25:46.000+00:00"),
    ("2024-03-20 10:25:46", "", "2024-03-20 10:25:46 (no time zone)"),
]


@pytest.mark.parametrize("stage", [Stage.STARTED, Stage.WATCHING])
@pytest.mark.parametrize(("sent", "words", "run"), TIMES, ids=[repr(case[0]) for case in TIMES])
def test_a_time_that_says_nothing_is_warned_of_and_one_without_a_zone_is_not_utc(
    sent, words, run, stage
) -> None:
    target = events_watch_target(cluster_id="c1", updated_after=None)
    made = ticket(OLD) if stage is Stage.STARTED else Ticket("hss", target, stage, START)
    progress = EVENT_SYNC.judge(made, update(read_service_time(sent)), START)
    assert words in progress.warning
    assert bool(progress.warning) is bool(words)
    assert progress.run_text == run
    if run is not None and "zone" in run:
        assert "'2024-03-20 10:25:46' (no time zone)" in progress.why
    assert "+00:00" not in progress.why or run == "2024-03-20T02:25:46.000+00:00"


WATCHED = [
    # id, updated_after, seen, phase, words
    ("none yet", OLD, None, RUNNING, ["has no update yet", "at 2024-03-19T02:25:16+00:00 or later"]),
    ("an older one", NEW, OLD, RUNNING, ["2024-03-19", "at 2024-03-20T02:25:46+00:00 or later"]),
    ("a millisecond too old", NEW, NEW - 1, RUNNING, []),
    ("at that very time", NEW, NEW, SUCCEEDED, []),
    ("a newer one", OLD, NEW, SUCCEEDED, ["2024-03-20T02:25:46"]),
    ("any, and there is one", None, OLD, SUCCEEDED, []),
    ("any, and there is none", None, None, RUNNING, ["has no update yet"]),
]


@pytest.mark.parametrize(
    ("after", "seen", "phase", "words"), [case[1:] for case in WATCHED], ids=[case[0] for case in WATCHED]
)
def test_watched(after, seen, phase, words) -> None:
    target = events_watch_target(cluster_id="c1", updated_after=after)
    progress = EVENT_SYNC.judge(Ticket("hss", target, Stage.WATCHING, START), update(seen), START)
    assert progress.phase is phase
    for word in words:
        assert word in progress.why


@pytest.mark.parametrize(
    ("ahead", "seconds", "phase"),
    [
        pytest.param(0.0, -1, RUNNING, id="in step, an old one"),
        pytest.param(-60.0, 59, RUNNING, id="Airflow's clock is behind, an old one"),
        pytest.param(-60.0, 60, SUCCEEDED, id="Airflow's clock is behind, a new one"),
        pytest.param(30.0, -30, SUCCEEDED, id="Airflow's clock is ahead, a new one"),
        pytest.param(600.0, -100, FAILED, id="Airflow's clock is far ahead, the clocks disagree"),
        pytest.param(600.0, 700, SUCCEEDED, id="Airflow's clock is far ahead, a new one by either clock"),
        pytest.param(600.0, -700, RUNNING, id="Airflow's clock is far ahead, an old one by either clock"),
    ],
)
def test_a_user_s_time_is_by_airflow_s_clock(ahead, seconds, phase) -> None:
    target = events_watch_target(cluster_id="c1", updated_after=NEW)
    watching = Ticket("hss", target, Stage.WATCHING, START)
    shown = update(NEW + seconds * 1000, NEW / 1000 + 3600, ahead)
    assert EVENT_SYNC.judge(watching, shown, START).phase is phase
    # Where the user's time was read is what counts.
    learned = EVENT_SYNC.learn(watching, update(None, START, ahead))
    if phase is not FAILED:
        assert EVENT_SYNC.judge(learned, update(NEW + seconds * 1000), START).phase is phase


@pytest.mark.parametrize(("before", "seen"), [(OLD, OLD), (OLD, NEW), (NEW, OLD), (None, None), (None, OLD)])
def test_a_list_that_moved_is_no_evidence_of_a_start(before, seen) -> None:
    """It moves by itself, too, so a start whose reply was lost stays in doubt."""
    assert EVENT_SYNC.has_started(ticket(before, Stage.STARTING), update(seen)) is False


@pytest.mark.parametrize("seen", [None, OLD, NEW])
def test_a_run_can_always_start_since_none_shows(seen) -> None:
    assert EVENT_SYNC.can_start(events_target(cluster_id="c1"), update(seen)).phase is SUCCEEDED


@pytest.mark.parametrize("before", [None, OLD])
def test_nobody_can_tell_of_a_lost_start_that_it_was_not_taken(before) -> None:
    assert EVENT_SYNC.would_be_visible(ticket(before)) is False


@pytest.mark.parametrize("error", [ApiError("busy", status=400, code="HSS.0001"), SyncFailed("no")], ids=str)
def test_no_refusal_means_busy(error) -> None:
    assert EVENT_SYNC.is_busy(error) is False


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"cluster_id": "c1"}, "HSS cluster c1"),
        ({}, "all HSS clusters"),
        ({"enterprise_project_id": "all_granted_eps"}, "all HSS clusters"),
    ],
    ids=str,
)
def test_what_it_is_called(target, words) -> None:
    assert words in EVENT_SYNC.describe(events_target(**target))


def test_waits_share_a_look_only_for_the_same() -> None:
    targets = [
        events_target(cluster_id="c1"),
        events_target(cluster_id="c2"),
        events_target(),
        events_target(cluster_id="c1", enterprise_project_id="0"),
        events_target(enterprise_project_id="0"),
    ]
    assert len({EVENT_SYNC.key(target) for target in targets}) == len(targets)
    watched = events_watch_target(cluster_id="c1", updated_after=OLD)
    assert EVENT_SYNC.key(watched) == EVENT_SYNC.key(targets[0])


def test_the_pace_keeps_the_documented_quota() -> None:
    assert (QUOTA.limit, QUOTA.seconds) == (5, 60.0)
    assert EVENT_SYNC.min_poll_interval >= 15


def test_a_target_is_one_request_and_plain_json() -> None:
    import json

    target = events_watch_target(
        cluster_id="c1", enterprise_project_id="0", updated_after="2024-03-20T02:25:46Z"
    )
    assert (
        json.loads(json.dumps(target))
        == target
        == {
            "cluster_id": "c1",
            "enterprise_project_id": "0",
            "updated_after": NEW,
        }
    )
    assert EVENT_SYNC.split(target) == [target]
    assert EVENT_SYNC.identity(target) == target


@pytest.mark.parametrize("value", ["", "a b", "a/b", "é", "١", "a\n", True, 1.5, ["a"], "x" * 65])
@pytest.mark.parametrize("name", ["cluster_id", "enterprise_project_id"])
def test_bad_targets(name, value) -> None:
    with pytest.raises(InvalidParameter, match=name):
        events_target(**{name: value})
