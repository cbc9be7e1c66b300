"""What "done" means for a member sync task, row by row: design section 5."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.model import STATE_LAG, Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.dataarts.member_sync import (
    MEMBER_SYNC,
    MemberSyncSeen,
    _seen,
    member_sync_target,
)

AFTER = 1_710_901_516_000
OLD, NEW = AFTER - 1, AFTER
RUNNING, SUCCEEDED, FAILED = Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED
OK, BAD = "SYNC_SUCCESS", "SYNC_FAIL"


def seen(
    status: str,
    sync_time: int | str | None = NEW,
    *,
    scheduled: bool = True,
    msg: str = "",
    now: int | None = None,
    ahead: float = 0.0,
):
    return MemberSyncSeen(status, sync_time, msg, scheduled, ServiceClock(now, ahead))


CASES = [
    # id, synced_after, if_unscheduled, seen, phase, words of the reason, whether there is a warning
    ("a new success", AFTER, "warn", seen(OK), SUCCEEDED, ["succeeded", "2024-03-20T02:25:16"], False),
    ("a newer success", AFTER, "warn", seen(OK, NEW + 60_000), SUCCEEDED, [], False),
    ("a stale success", AFTER, "warn", seen(OK, OLD), RUNNING, ["Waiting for a run", "SYNC_SUCCESS"], False),
    ("a new failure", AFTER, "warn", seen(BAD, msg="x\nERROR: role"), FAILED, ["ERROR: role"], False),
    ("a stale failure", AFTER, "warn", seen(BAD, OLD, msg="old"), RUNNING, ["Waiting for a run"], False),
    ("a failure without a message", AFTER, "warn", seen(BAD), FAILED, ["no message"], False),
    ("a run is under way", AFTER, "warn", seen("SYNCING"), RUNNING, ["under way"], False),
    ("an old run is still under way", AFTER, "warn", seen("SYNCING", OLD), RUNNING, ["under way"], False),
    ("never ran", AFTER, "warn", seen("NOT_SYNC", None), RUNNING, ["never run"], False),
    ("success without a time", AFTER, "warn", seen(OK, None), RUNNING, ["Waiting for a run"], False),
    ("unknown", AFTER, "warn", seen("UNKNOWN"), RUNNING, ["Unrecognized"], True),
    ("a value of the future", AFTER, "warn", seen("SYNC_PARTIAL_FAIL"), RUNNING, ["SYNC_PARTIAL_FAIL"], True),
    ("an empty value", AFTER, "warn", seen(""), RUNNING, [], True),
    ("any: an old success counts", None, "warn", seen(OK, OLD), SUCCEEDED, [], False),
    ("any: an old failure counts", None, "warn", seen(BAD, OLD), FAILED, [], False),
    ("any: under way", None, "warn", seen("SYNCING"), RUNNING, [], False),
    ("any: never ran", None, "warn", seen("NOT_SYNC", None), RUNNING, ["never run"], False),
    ("off, stale: warn", AFTER, "warn", seen(OK, OLD, scheduled=False), RUNNING, [], True),
    ("off, stale: fail", AFTER, "fail", seen(OK, OLD, scheduled=False), FAILED, ["NOT_SCHEDULE"], False),
    (
        "off, never ran: fail",
        AFTER,
        "fail",
        seen("NOT_SYNC", None, scheduled=False),
        FAILED,
        ["schedule"],
        False,
    ),
    ("off, but started by hand", AFTER, "fail", seen("SYNCING", scheduled=False), RUNNING, [], False),
    ("off, but a new success", AFTER, "fail", seen(OK, scheduled=False), SUCCEEDED, [], False),
    ("off, and a new failure", AFTER, "warn", seen(BAD, scheduled=False, msg="m"), FAILED, ["m"], False),
    ("off, unknown", AFTER, "fail", seen("UNKNOWN", scheduled=False), RUNNING, [], True),
    ("on: fail waits", AFTER, "fail", seen(OK, OLD), RUNNING, [], False),
]


@pytest.mark.parametrize(
    ("after", "unscheduled", "now", "phase", "words", "warns"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_verdict(after, unscheduled, now, phase, words, warns) -> None:
    target = member_sync_target("w1", "t1", synced_after=after, if_unscheduled=unscheduled)
    progress = MEMBER_SYNC.judge(Ticket("dataarts", target, Stage.WATCHING, 0.0), now, 0.0)
    assert progress.phase is phase, progress
    assert bool(progress.warning) is warns
    for word in words:
        assert word in progress.why


LAG = STATE_LAG
CONFIRMED = [
    # id, seen, the service's clock and ours (seconds after the run), seen under way before, seconds to confirm
    ("a success just now", seen(OK), 0, 0, False, LAG),
    ("a success of 20 s ago", seen(OK), 20, 20, False, LAG),
    ("a success of 80 s ago", seen(OK), 80, 80, False, LAG - 20),
    ("a success of long ago", seen(OK), 600, 600, False, 5),
    ("a failure just now", seen(BAD), 0, 0, False, LAG),
    ("a failure of long ago", seen(BAD), 600, 600, False, 15),
    ("a success that was seen under way", seen(OK), 0, 0, True, 5),
    ("a failure that was seen under way", seen(BAD), 0, 0, True, 15),
    # A Date that does not fit never holds a wait up to its deadline.
    ("the service's clock is 3 min behind", seen(OK), -180, 100, False, LAG),
    ("the service's clock is an hour behind", seen(OK), -3600, 7200, False, LAG),
    ("the service's clock is ahead", seen(OK), 600, 63, False, LAG - 3),
    ("our clock is behind", seen(OK), 100, -600, False, LAG),
    ("no clock of the service", seen(OK), None, 100, False, 5),
    ("no time", seen(OK, None), 100, 100, False, 5),
]


@pytest.mark.parametrize(
    ("now", "theirs", "ours", "ran", "seconds"),
    [case[1:] for case in CONFIRMED],
    ids=[case[0] for case in CONFIRMED],
)
def test_for_how_long_an_end_has_to_show(now, theirs, ours, ran, seconds) -> None:
    """``sync_time`` moves when a run starts, and the state follows; nobody documents how soon."""
    target = member_sync_target("w1", "t1", synced_after=None)
    ticket = Ticket("dataarts", target, Stage.WATCHING, 0.0)
    if ran:
        ticket = MEMBER_SYNC.learn(ticket, seen("SYNCING"))
    clock = ServiceClock(None if theirs is None else NEW + theirs * 1000)
    progress = MEMBER_SYNC.judge(ticket, dataclasses.replace(now, clock=clock), NEW / 1000 + ours)
    assert progress.phase is not RUNNING
    assert progress.confirm_for == seconds


def test_another_run_than_the_one_seen_under_way_has_to_show_for_long() -> None:
    ticket = Ticket("dataarts", member_sync_target("w1", "t1", synced_after=None), Stage.WATCHING, 0.0)
    ticket = MEMBER_SYNC.learn(ticket, seen("SYNCING", OLD))
    assert MEMBER_SYNC.judge(ticket, seen(OK, NEW, now=NEW), NEW / 1000).confirm_for == LAG


FORMS = [
    # id, sync_time and sync_status as the service sends them, phase with synced_after 10 min before
    ("milliseconds", NEW, OK, SUCCEEDED),
    ("milliseconds as text", str(NEW), OK, SUCCEEDED),
    ("milliseconds as a float", float(NEW), OK, SUCCEEDED),
    ("seconds", NEW // 1000, OK, SUCCEEDED),
    ("seconds as text", str(NEW // 1000), OK, SUCCEEDED),
    ("ISO text", "2024-03-20T02:25:16Z", OK, SUCCEEDED),
    ("ISO text with an offset", "2024-03-20T10:25:16+08:00", OK, SUCCEEDED),
    ("ISO text with a short offset", "2024-03-20 10:25:16.000 +0800", OK, SUCCEEDED),
    ("ISO text without a zone", "2024-03-20 10:25:16", OK, RUNNING),
    ("null", None, OK, RUNNING),
    ("zero", 0, OK, RUNNING),
    ("nonsense", "soon", OK, RUNNING),
    ("another case", NEW, "sync_success", SUCCEEDED),
    ("blanks", NEW, " SYNC_FAIL ", FAILED),
]


@pytest.mark.parametrize(
    ("time", "status", "phase"), [case[1:] for case in FORMS], ids=[case[0] for case in FORMS]
)
def test_forms_of_a_time_and_a_state(time, status, phase) -> None:
    target = member_sync_target("w1", "t1", synced_after=AFTER - 600_000)
    shown = _seen({"id": "t1", "sync_time": time, "sync_status": status}, ServiceClock(NEW + 60_000))
    progress = MEMBER_SYNC.judge(Ticket("dataarts", target, Stage.WATCHING, 0.0), shown, NEW / 1000 + 60)
    assert progress.phase is phase, progress
    if isinstance(time, str) and phase is RUNNING:
        assert "no time zone" in progress.warning or "not readable" in progress.warning


CLOCKS = [
    # id, seconds by which our clock is ahead, run (seconds after synced_after by our clock), phase, words of warning
    ("in step", 0.0, -1, RUNNING, ""),
    ("in step, a new run", 0.0, 0, SUCCEEDED, ""),
    ("behind: an old run", -60.0, 30, RUNNING, "60 s behind"),
    ("behind: a new run", -60.0, 60, SUCCEEDED, "60 s behind"),
    ("far behind: an old run", -600.0, 599, RUNNING, "600 s behind"),
    ("ahead: a new run", 30.0, -30, SUCCEEDED, "30 s ahead"),
    ("ahead: an old run", 30.0, -31, RUNNING, "30 s ahead"),
    ("hardly ahead", 1.5, -1, RUNNING, ""),
    ("a little behind", -3.0, 2, RUNNING, ""),
    ("far ahead: the clocks disagree on the run", 600.0, -100, FAILED, ""),
    ("far ahead: a new run by either clock", 600.0, 0, SUCCEEDED, "600 s ahead"),
    ("far ahead: an old run by either clock", 600.0, -601, RUNNING, "600 s ahead"),
]


@pytest.mark.parametrize(
    ("ahead", "run", "phase", "words"), [case[1:] for case in CLOCKS], ids=[case[0] for case in CLOCKS]
)
def test_a_user_s_time_is_by_airflow_s_clock(ahead, run, phase, words) -> None:
    target = member_sync_target("w1", "t1", synced_after=AFTER)
    ticket = Ticket("dataarts", target, Stage.WATCHING, 0.0)
    shown = seen(OK, AFTER + run * 1000, now=AFTER + 3_600_000, ahead=ahead)
    progress = MEMBER_SYNC.judge(ticket, shown, AFTER / 1000 + 3600)
    assert progress.phase is phase, progress
    assert words in progress.warning
    if phase is FAILED:
        assert "600 s ahead" in progress.why
        assert progress.confirm_for == 15


def test_the_clock_that_counts_is_that_of_the_machine_which_read_the_user_s_time() -> None:
    """The worker's clock is a minute behind; the triggerer's is right, or wrong in another way."""
    target = member_sync_target("w1", "t1", synced_after=AFTER)
    ticket = MEMBER_SYNC.learn(
        Ticket("dataarts", target, Stage.WATCHING, 0.0), seen(OK, OLD, now=AFTER, ahead=-60.0)
    )
    for ahead in (0.0, -600.0, 600.0):
        shown = seen(OK, AFTER + 59_000, now=AFTER + 600_000, ahead=ahead)
        assert MEMBER_SYNC.judge(ticket, shown, 0.0).phase is RUNNING
        shown = seen(OK, AFTER + 60_000, now=AFTER + 600_000, ahead=ahead)
        assert MEMBER_SYNC.judge(ticket, shown, 0.0).phase is SUCCEEDED


ZONELESS = [
    # id, first seen, seen now, synced_after (hours before the first poll), phase
    ("a run of 5 h ago in Beijing", "2024-03-20 05:25:16", "2024-03-20 05:25:16", 2, RUNNING),
    ("a run that begins during the wait", "2024-03-20 05:25:16", "2024-03-20 10:26:00", 2, SUCCEEDED),
    ("one that begins before what is accepted", "2024-03-20 05:25:16", "2024-03-20 10:26:00", -1, RUNNING),
    ("long after, in every zone", "2024-03-20 05:25:16", "2024-03-20 05:25:16", 48, SUCCEEDED),
    ("the first time ever", None, "2024-03-20 10:26:00", 2, RUNNING),
]


@pytest.mark.parametrize(
    ("first", "then", "hours", "phase"), [case[1:] for case in ZONELESS], ids=[case[0] for case in ZONELESS]
)
def test_a_time_without_a_zone(first, then, hours, phase) -> None:
    target = member_sync_target("w1", "t1", synced_after=AFTER - hours * 3_600_000)
    ticket = MEMBER_SYNC.learn(Ticket("dataarts", target, Stage.WATCHING, 0.0), seen(OK, first, now=AFTER))
    progress = MEMBER_SYNC.judge(ticket, seen(OK, then, now=AFTER + 60_000), AFTER / 1000 + 60)
    assert progress.phase is phase, progress
    assert ("no time zone" in progress.warning) is (phase is RUNNING)


def test_the_tail_of_a_long_message_is_shown_on_one_line() -> None:
    target = member_sync_target("w1", "t1", synced_after=None)
    message = "first line\n" + "x" * 5000 + "\n\x1b[31mlast line"
    progress = MEMBER_SYNC.judge(Ticket("dataarts", target, Stage.WATCHING, 0.0), seen(BAD, msg=message), 0.0)
    assert "last line" in progress.why
    assert "first line" not in progress.why
    assert progress.why.isprintable()
    assert len(progress.why) < 700
