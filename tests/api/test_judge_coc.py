"""What "done" means for COC, row by row: design section 5."""

from __future__ import annotations

import dataclasses
import json

import pytest

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.model import RAN_KEY, STATE_LAG, Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.coc.resource_sync import (
    RESOURCE_SYNC,
    AccountSeen,
    Seen,
    _seen,
    resources_target,
    resources_watch_target,
)
from airflow_provider_cloudsync.exceptions import ApiError, InvalidParameter

START = 1_710_901_516.0
OLD = 1_710_815_116_000  # a day before the start
NEW = 1_710_901_546_000  # 30 s after it
NOW = START + 600
RUNNING, SUCCEEDED, FAILED = Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED
WAITING, UP, OK, BAD = "waiting", "running", "success", "failed"


def row(status: str, date: int | None = OLD, number: int = 1, msg: str = "", **more) -> AccountSeen:
    fields = {"account_id": f"{number}" * 3, "account_name": f"name-{number}", **more}
    return AccountSeen(f"row-{number}", sync_status=status, sync_date=date, failure_msg=msg, **fields)


def look(*rows: AccountSeen, now: float | None = NOW, ahead: float = 0.0) -> Seen:
    """What a poll shows, and the service's own clock."""
    return Seen.of(rows, ServiceClock(None if now is None else int(now * 1000), ahead))


def judge(ticket: Ticket, *rows: AccountSeen, now: float | None = NOW, own: float = NOW):
    """The verdict of one poll.

    :param own: this machine's clock.
    """
    return RESOURCE_SYNC.judge(ticket, look(*rows, now=now), own)


def ticket(*before: AccountSeen, account_id: str | None = None, stage: Stage = Stage.STARTED) -> Ticket:
    target = resources_target("AWS", account_id=account_id)
    baseline = RESOURCE_SYNC.baseline(target, look(*before, now=START))
    return Ticket("coc", target, stage, START, json.loads(json.dumps(baseline)))


def adopted(account_id: str | None = None) -> Ticket:
    """Of a retry that has no ticket: a run was there, and nobody knows what was before it."""
    return Ticket("coc", resources_target("AWS", account_id=account_id), Stage.STARTED, START)


ONE = [
    # id, before, seen, phase, words of the reason, whether there is a warning
    (
        "not up yet: the stale success",
        row(OK),
        row(OK),
        RUNNING,
        ["success; last sync 2024-03-19", "111 (name-1)"],
        False,
    ),
    ("queued", row(OK), row(WAITING), RUNNING, ["waiting"], False),
    ("under way", row(OK), row(UP), RUNNING, ["running"], False),
    ("under way, dated by its start", row(OK), row(UP, NEW), RUNNING, ["running"], False),
    ("succeeded", row(OK), row(OK, NEW), SUCCEEDED, ["111 (name-1)"], False),
    ("succeeded, a millisecond newer", row(OK), row(OK, OLD + 1), SUCCEEDED, [], False),
    ("succeeded after a failure", row(BAD, msg="old"), row(OK, NEW), SUCCEEDED, [], False),
    ("succeeded, with the text of an old failure", row(OK), row(OK, NEW, msg="old"), SUCCEEDED, [], False),
    ("failed", row(OK), row(BAD, NEW, msg="no key"), FAILED, ["no key", "111 (name-1)", "1 of 1"], False),
    ("failed without a reason", row(OK), row(BAD, NEW), FAILED, ["no reason given"], False),
    ("failed, and the date did not move", row(OK), row(BAD, OLD, msg="no key"), FAILED, ["no key"], False),
    ("failed, and the date is gone", row(OK), row(BAD, None, msg="no key"), FAILED, ["no key"], False),
    ("failed again", row(BAD, msg="old"), row(BAD, NEW, msg="new"), FAILED, ["new"], False),
    (
        "the stale failure",
        row(BAD, msg="old"),
        row(BAD, msg="old"),
        RUNNING,
        ["failed; last sync 2024-03-19"],
        False,
    ),
    ("a stale failure that lost its date", row(BAD), row(BAD, None), RUNNING, ["never"], False),
    ("success whose date is gone", row(OK), row(OK, None), RUNNING, ["never synchronized"], False),
    ("an older date", row(OK, NEW), row(OK, OLD), RUNNING, ["2024-03-19"], False),
    (
        "never synchronized, still",
        row(WAITING, None),
        row(WAITING, None),
        RUNNING,
        ["never synchronized"],
        False,
    ),
    ("never synchronized before, under way", row(WAITING, None), row(UP, None), RUNNING, ["running"], False),
    ("never synchronized before, succeeded", row(WAITING, None), row(OK, NEW), SUCCEEDED, [], False),
    ("never synchronized before, failed", row(WAITING, None), row(BAD, NEW, msg="m"), FAILED, ["m"], False),
    (
        "never synchronized before, failed undated",
        row(WAITING, None),
        row(BAD, None, msg="m"),
        FAILED,
        ["m"],
        False,
    ),
    ("never synchronized before, success undated", row(WAITING, None), row(OK, None), RUNNING, [], False),
    ("success undated before, dated now", row(OK, None), row(OK, NEW), SUCCEEDED, [], False),
    ("an unknown status", row(OK), row("partial", NEW), RUNNING, ["partial"], True),
    ("no status", row(OK), row("", NEW), RUNNING, ["no status"], True),
    ("an unknown status, as before", row("partial"), row("partial"), RUNNING, [], True),
    ("an unknown status before", row("partial"), row(OK, NEW), SUCCEEDED, [], False),
    ("an unknown status before, failed undated", row("partial"), row(BAD, msg="m"), FAILED, ["m"], False),
]


def check(progress, phase, words, warns=False) -> None:
    assert progress.phase is phase, progress
    assert bool(progress.warning) is warns
    for word in words:
        assert word in progress.why
    assert progress.why.isprintable()


@pytest.mark.parametrize("stage", [Stage.STARTED, Stage.STARTING])
@pytest.mark.parametrize("account_id", ["111", None], ids=["one", "all"])
@pytest.mark.parametrize(
    ("before", "seen", "phase", "words", "warns"), [case[1:] for case in ONE], ids=[case[0] for case in ONE]
)
def test_one_account(before, seen, phase, words, warns, account_id, stage) -> None:
    progress = judge(ticket(before, account_id=account_id, stage=stage), seen)
    check(progress, phase, words, warns)


TWO = row(OK), row(OK, number=2)
SEVERAL = [
    # id, before, seen, phase, words
    ("both succeeded", TWO, (row(OK, NEW), row(OK, NEW, 2)), SUCCEEDED, ["111 (name-1)", "222 (name-2)"]),
    (
        "one is not done",
        TWO,
        (row(OK, NEW), row(UP, number=2)),
        RUNNING,
        ["1 of 2", "222 (name-2): running"],
    ),
    (
        "one is stale",
        TWO,
        (row(OK, NEW), row(OK, number=2)),
        RUNNING,
        ["222 (name-2)", "success; last sync 2024-03-19"],
    ),
    ("one failed", TWO, (row(OK, NEW), row(BAD, NEW, 2, "m2")), FAILED, ["1 of 2", "222 (name-2): m2"]),
    (
        "both failed",
        TWO,
        (row(BAD, NEW, 1, "m1"), row(BAD, NEW, 2, "m2")),
        FAILED,
        ["2 of 2", "111 (name-1): m1", "222 (name-2): m2"],
    ),
    (
        "one failed, one goes on",
        TWO,
        (row(UP), row(BAD, NEW, 2, "m2")),
        RUNNING,
        ["running", "Failed:", "m2"],
    ),
    ("one failed, one is stale", TWO, (row(OK), row(BAD, NEW, 2, "m2")), RUNNING, ["success", "m2"]),
    (
        "one failed long ago, one succeeded",
        (row(OK), row(BAD, number=2)),
        (row(OK, NEW), row(BAD, number=2)),
        RUNNING,
        [],
    ),
    ("one vanished", TWO, (row(OK, NEW),), FAILED, ["was removed", "row-2"]),
    ("one vanished, one goes on", TWO, (row(UP),), RUNNING, ["was removed", "running"]),
    ("both vanished", TWO, (), FAILED, ["no account of AWS"]),
    (
        "one was added, and waits: not waited for",
        (row(OK),),
        (row(OK, NEW), row(WAITING, None, 2)),
        SUCCEEDED,
        [],
    ),
    ("one was added, ours goes on", (row(OK),), (row(UP), row(WAITING, None, 2)), RUNNING, []),
    (
        "one was added, ours failed",
        (row(OK),),
        (row(BAD, NEW, 1, "m1"), row(WAITING, None, 2)),
        FAILED,
        ["m1"],
    ),
    ("one was added, ours is gone", (row(OK),), (row(WAITING, None, 2),), FAILED, ["was removed"]),
    ("one was added, and runs again", (row(OK),), (row(OK, NEW), row(UP, OLD, 2)), RUNNING, ["222 (name-2)"]),
    ("one was added, and succeeded", (row(OK),), (row(OK, NEW), row(OK, NEW, 2)), SUCCEEDED, []),
    ("one was added, and failed", (row(OK),), (row(OK, NEW), row(BAD, NEW, 2, "m2")), FAILED, ["m2"]),
    ("one of an unknown status", TWO, (row(OK, NEW), row("odd", NEW, 2)), RUNNING, ["odd"]),
]


@pytest.mark.parametrize(
    ("before", "seen", "phase", "words"), [case[1:] for case in SEVERAL], ids=[case[0] for case in SEVERAL]
)
@pytest.mark.parametrize("order", [1, -1])
def test_all_accounts(before, seen, phase, words, order) -> None:
    progress = judge(ticket(*before), *seen[::order])
    added = {each.row_id for each in seen if each.sync_date is None} - {each.row_id for each in before}
    check(progress, phase, words, warns=bool(added) or "odd" in str(seen))
    if added:
        assert "added after the start" in progress.warning


@pytest.mark.parametrize(
    ("before", "seen", "phase"),
    [
        pytest.param(
            (row(OK), row(OK, number=2)), (row(OK, NEW), row(BAD, NEW, 2)), SUCCEEDED, id="other failed"
        ),
        pytest.param((row(OK), row(OK, number=2)), (row(OK, NEW),), SUCCEEDED, id="other vanished"),
        pytest.param((row(OK), row(OK, number=2)), (row(OK, NEW, 2),), FAILED, id="ours vanished"),
        pytest.param(
            (row(OK), row(OK, number=2, account_id="1112")),
            (row(OK), row(OK, NEW, 2, account_id="1112")),
            RUNNING,
            id="one that begins alike",
        ),
        pytest.param(
            (row(OK), row(OK, number=2, account_id="111")),
            (row(OK, NEW), row(OK, number=2, account_id="111")),
            RUNNING,
            id="there twice, one stale",
        ),
    ],
)
def test_one_account_of_several(before, seen, phase) -> None:
    assert judge(ticket(*before, account_id="111"), *seen).phase is phase


LAG = STATE_LAG
CONFIRMED = [
    # id, before, ran, seen, service's clock, our clock (seconds after the date), phase, seconds to confirm
    ("the same status just now", row(OK), False, row(OK, NEW), 0, 0, SUCCEEDED, LAG),
    ("the same status for a while", row(OK), False, row(OK, NEW), 20, 20, SUCCEEDED, LAG),
    ("the same status for more than a minute", row(OK), False, row(OK, NEW), 80, 80, SUCCEEDED, LAG - 20),
    ("the same status for long", row(OK), False, row(OK, NEW), 100, 100, SUCCEEDED, 5),
    ("the same failure just now", row(BAD), False, row(BAD, NEW), 0, 0, FAILED, LAG),
    ("the same failure for long", row(BAD), False, row(BAD, NEW), 100, 100, FAILED, 15),
    ("another status", row(BAD), False, row(OK, NEW), 0, 0, SUCCEEDED, 5),
    ("a new failure", row(OK), False, row(BAD, NEW), 0, 0, FAILED, 15),
    ("seen under way", row(OK), True, row(OK, NEW), 0, 0, SUCCEEDED, 5),
    ("seen under way, the date as before", row(OK), True, row(OK), 0, 0, SUCCEEDED, 5),
    ("seen under way, failed", row(BAD), True, row(BAD), 0, 0, FAILED, 15),
    # One difference is not relied upon.
    ("the service's clock is ahead", row(OK), False, row(OK, NEW), 600, 63, SUCCEEDED, LAG - 3),
    ("the service's clock is behind", row(OK), False, row(OK, NEW), -180, 50, SUCCEEDED, LAG),
    ("our clock is behind", row(OK), False, row(OK, NEW), 60, -600, SUCCEEDED, LAG),
    ("both are ahead of the row", row(OK), False, row(OK, NEW), 600, 600, SUCCEEDED, 5),
    ("no clock of the service", row(OK), False, row(OK, NEW), None, 70, SUCCEEDED, LAG - 10),
    ("a time without a zone", row(OK, "2024-03-20 01:00:00"), False, row(OK, "2024-03-20 02:25:46"), 600, 600,
     SUCCEEDED, LAG),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "ran", "seen", "theirs", "ours", "phase", "seconds"),
    [case[1:] for case in CONFIRMED],
    ids=[case[0] for case in CONFIRMED],
)
def test_for_how_long_an_end_has_to_show(before, ran, seen, theirs, ours, phase, seconds) -> None:
    """The date may be that of the start, and move before the status does."""
    started = ticket(before)
    if ran:
        started = RESOURCE_SYNC.learn(started, look(row(UP, before.sync_date)))
        assert started.baseline[RAN_KEY] == {"row-1": before.sync_date}
    at = NEW / 1000
    progress = judge(started, seen, now=None if theirs is None else at + theirs, own=at + ours)
    assert progress.phase is phase
    assert progress.confirm_for == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        pytest.param(OLD, 5, id="the run that was seen"),
        pytest.param(NEW, LAG, id="the next run, a moment old"),
    ],
)
def test_what_was_seen_under_way_excuses_the_lag_of_that_run_only(date, seconds) -> None:
    """A watch may see one run under way, and then the next one's date with the status of the one before."""
    target = resources_watch_target("AWS", synced_after=OLD)
    watched = RESOURCE_SYNC.learn(Ticket("coc", target, Stage.WATCHING, START), look(row(UP, OLD)))
    at = NEW / 1000
    progress = judge(watched, row(OK, date), now=at, own=at)
    assert (progress.phase, progress.confirm_for) == (SUCCEEDED, seconds)


def test_the_start_is_a_witness_too() -> None:
    """The rows' clock may be behind both of the others: a run cannot be older than its start."""
    progress = judge(ticket(row(OK, OLD)), row(OK, OLD + 1), now=START + 63, own=START + 63)
    assert progress.phase is SUCCEEDED
    assert progress.confirm_for == LAG - 3


NEWCOMERS = [
    # id, the row that the baseline lacks, seen before under way, phase, words
    ("an old success", row(OK, OLD, 2), False, SUCCEEDED, []),
    ("an old failure", row(BAD, OLD, 2, "m2"), False, SUCCEEDED, []),
    ("a success of a second before the start", row(OK, int(START * 1000) - 1000, 2), False, SUCCEEDED, []),
    ("a failure since", row(BAD, NEW, 2, "m2"), False, FAILED, ["1 of 2", "m2"]),
    ("an old failure, seen under way", row(BAD, OLD, 2, "m2"), True, FAILED, ["m2"]),
    ("a failure without a zone", row(BAD, "2024-03-20 10:00:00", 2, "m2"), False, SUCCEEDED, []),
    ("a failure without a date", row(BAD, None, 2, "m2"), False, SUCCEEDED, []),
]


@pytest.mark.parametrize(
    ("new", "ran", "phase", "words"), [case[1:] for case in NEWCOMERS], ids=[case[0] for case in NEWCOMERS]
)
def test_a_row_that_appears_during_the_wait(new, ran, phase, words) -> None:
    started = ticket(row(OK))
    if ran:
        started = RESOURCE_SYNC.learn(started, look(row(OK), row(UP, OLD, 2)))
    progress = judge(started, row(OK, NEW), new)
    assert progress.phase is phase, progress
    for word in words:
        assert word in progress.why
    assert ("added after the start" in progress.warning) is (phase is SUCCEEDED)


GAPS = [
    # id, before, seen, phase: the date of the baseline was left out
    ("an old success appears", row(OK, None), row(OK, OLD), RUNNING),
    ("a new success appears", row(OK, None), row(OK, NEW), SUCCEEDED),
    ("another status, whatever its date", row(WAITING, None), row(OK, OLD), SUCCEEDED),
]


@pytest.mark.parametrize(
    ("before", "seen", "phase"), [case[1:] for case in GAPS], ids=[case[0] for case in GAPS]
)
def test_a_date_that_the_baseline_lacks(before, seen, phase) -> None:
    assert judge(ticket(before), seen).phase is phase


def test_that_an_account_is_not_there_says_nothing_of_its_run() -> None:
    for seen in ((), (row(OK, NEW, 2),)):
        progress = judge(ticket(row(OK), account_id="111"), *seen)
        assert (progress.phase, progress.absent, progress.confirm_for) == (FAILED, True, 30)
    both = judge(ticket(*TWO), row(BAD, NEW, 1, "m1"))
    assert (both.phase, both.absent) == (FAILED, False)


ADOPTED = [
    ("under way", row(UP), RUNNING),
    ("succeeded", row(OK, NEW), SUCCEEDED),
    ("succeeded, with whatever date", row(OK, OLD), SUCCEEDED),
    ("failed", row(BAD, NEW), FAILED),
    ("never synchronized", row(WAITING, None), RUNNING),
]


@pytest.mark.parametrize(("seen", "phase"), [case[1:] for case in ADOPTED], ids=[case[0] for case in ADOPTED])
def test_an_adopted_run(seen, phase) -> None:
    assert judge(adopted("111"), seen).phase is phase


WATCHED = [
    # id, synced_after, seen, phase, words
    ("a new success", NEW, (row(OK, NEW),), SUCCEEDED, []),
    ("a stale success", NEW, (row(OK, NEW - 1),), RUNNING, ["success; last sync"]),
    ("a new failure", NEW, (row(BAD, NEW, msg="m"),), FAILED, ["m"]),
    ("a stale failure", NEW, (row(BAD, OLD, msg="m"),), RUNNING, ["failed; last sync"]),
    ("success without a date", NEW, (row(OK, None),), RUNNING, ["never"]),
    ("failure without a date", NEW, (row(BAD, None),), RUNNING, ["never"]),
    ("under way", NEW, (row(UP, NEW),), RUNNING, []),
    ("queued", NEW, (row(WAITING, OLD),), RUNNING, []),
    ("never synchronized", NEW, (row(WAITING, None),), RUNNING, []),
    ("unknown status", NEW, (row("odd", NEW),), RUNNING, ["odd"]),
    ("one of two is stale", NEW, (row(OK, NEW), row(OK, OLD, 2)), RUNNING, ["222 (name-2)"]),
    ("one of two failed", NEW, (row(OK, NEW), row(BAD, NEW, 2, "m")), FAILED, ["1 of 2", "m"]),
    ("no account", NEW, (), FAILED, ["no account of AWS"]),
    ("any: an old success", None, (row(OK, OLD),), SUCCEEDED, []),
    ("any: an old failure", None, (row(BAD, OLD, msg="m"),), FAILED, ["m"]),
    ("any: never synchronized", None, (row(WAITING, None),), RUNNING, []),
    ("any: under way", None, (row(UP, OLD),), RUNNING, []),
]


@pytest.mark.parametrize(
    ("after", "seen", "phase", "words"), [case[1:] for case in WATCHED], ids=[case[0] for case in WATCHED]
)
def test_watched(after, seen, phase, words) -> None:
    target = resources_watch_target("AWS", synced_after=after)
    progress = judge(Ticket("coc", target, Stage.WATCHING, START), *seen)
    check(progress, phase, words, warns="odd" in str(seen))


ADMITTED = [
    # id, account, seen, phase, words
    ("nothing runs", "111", (row(OK),), SUCCEEDED, []),
    ("the last one failed", "111", (row(BAD),), SUCCEEDED, []),
    ("never synchronized", "111", (row(WAITING, None),), SUCCEEDED, []),
    ("an unknown status", "111", (row("odd"),), SUCCEEDED, []),
    ("one runs", "111", (row(UP),), RUNNING, ["111 (name-1)", "This one starts"]),
    ("the first ever runs", "111", (row(UP, None),), RUNNING, []),
    ("one is queued", "111", (row(WAITING),), RUNNING, []),
    ("another account runs", "111", (row(OK), row(UP, number=2)), SUCCEEDED, []),
    ("all, and one runs", None, (row(OK), row(UP, number=2)), RUNNING, ["222 (name-2)"]),
    ("no such account", "111", (row(OK, number=2),), FAILED, ["no account '111' of AWS", "222 (name-2)"]),
    ("no account at all", "111", (), FAILED, ["it has none"]),
    ("all, and there are none", None, (), FAILED, ["no account of AWS"]),
    ("one that begins alike", "11", (row(OK),), FAILED, ["'11'"]),
]


@pytest.mark.parametrize(
    ("account_id", "seen", "phase", "words"),
    [case[1:] for case in ADMITTED],
    ids=[case[0] for case in ADMITTED],
)
def test_whether_a_run_could_start(account_id, seen, phase, words) -> None:
    check(RESOURCE_SYNC.can_start(resources_target("AWS", account_id=account_id), look(*seen)), phase, words)


EVIDENCE = [
    # id, account, before, seen, whether a run began since
    ("as before", "111", (row(OK),), (row(OK),), False),
    ("failed as before", "111", (row(BAD),), (row(BAD),), False),
    ("never synchronized, as before", "111", (row(WAITING, None),), (row(WAITING, None),), False),
    ("queued", "111", (row(OK),), (row(WAITING),), True),
    ("under way", "111", (row(OK),), (row(UP),), True),
    ("under way for the first time", "111", (row(WAITING, None),), (row(UP, None),), True),
    ("over", "111", (row(OK),), (row(OK, NEW),), True),
    ("failed", "111", (row(OK),), (row(BAD, NEW),), True),
    ("failed, undated", "111", (row(OK),), (row(BAD),), True),
    ("gone", "111", (row(OK),), (), False),
    ("another account", "111", (row(OK), row(OK, number=2)), (row(OK), row(UP, number=2)), False),
    ("one of all", None, (row(OK), row(OK, number=2)), (row(OK), row(UP, number=2)), True),
    ("unknown status", "111", (row(OK),), (row("odd"),), False),
]


@pytest.mark.parametrize(
    ("account_id", "before", "seen", "began"),
    [case[1:] for case in EVIDENCE],
    ids=[case[0] for case in EVIDENCE],
)
def test_evidence_of_a_run_since_the_baseline(account_id, before, seen, began) -> None:
    lost = ticket(*before, account_id=account_id, stage=Stage.STARTING)
    assert RESOURCE_SYNC.has_started(lost, look(*seen)) is began


@pytest.mark.parametrize(
    ("before", "leaves"),
    [
        pytest.param((row(OK),), True, id="success"),
        pytest.param((row(BAD),), True, id="failed"),
        pytest.param((row(WAITING, None),), False, id="never synchronized"),
        pytest.param((row(OK), row(WAITING, None, 2)), False, id="one of them never"),
        pytest.param((row(OK), row(BAD, number=2)), True, id="both were"),
    ],
)
def test_whether_a_run_would_show_afterwards(before, leaves) -> None:
    assert RESOURCE_SYNC.would_be_visible(ticket(*before)) is leaves


UNREADABLE = [
    # id, before, seen, phase
    ("as before", row(OK, "soon"), row(OK, "soon"), RUNNING),
    ("another text", row(OK, "soon"), row(OK, "later"), SUCCEEDED),
    ("another text, and failed", row(OK, "soon"), row(BAD, "later", msg="m"), FAILED),
    ("failed as before", row(BAD, "soon"), row(BAD, "soon"), RUNNING),
    ("never before", row(WAITING, None), row(OK, "soon"), SUCCEEDED),
    ("could be read before", row(OK, OLD), row(OK, "soon"), RUNNING),
    ("could be read before, and another status", row(BAD, OLD), row(OK, "soon"), RUNNING),
    ("queued", row(OK, "soon"), row(WAITING, "soon"), RUNNING),
    ("under way", row(OK, "soon"), row(UP, "later"), RUNNING),
]


@pytest.mark.parametrize(
    ("before", "seen", "phase"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_a_date_that_can_not_be_read(before, seen, phase) -> None:
    progress = judge(ticket(before), seen)
    check(progress, phase, [], warns=True)
    assert "Unreadable sync_date" in progress.warning


def test_a_date_that_can_not_be_read_is_no_date_then_or_later() -> None:
    target = resources_watch_target("AWS", synced_after=OLD)
    assert judge(Ticket("coc", target, Stage.WATCHING, START), row(OK, "soon")).phase is RUNNING


def test_a_date_that_can_not_be_read_leaves_no_trace_to_rely_on() -> None:
    assert RESOURCE_SYNC.would_be_visible(ticket(row(OK, "soon"))) is False


@pytest.mark.parametrize(
    ("account_id", "rows", "is_satisfied_by_running"),
    [
        pytest.param("111", (row(UP),), True, id="it runs"),
        pytest.param("111", (row(WAITING),), True, id="it is queued"),
        pytest.param("111", (row(OK),), False, id="nothing runs"),
        pytest.param("111", (row(WAITING, None),), False, id="never synchronized"),
        pytest.param("111", (row(OK), row(UP, number=2)), False, id="another runs"),
        pytest.param(None, (row(UP), row(UP, number=2)), True, id="all run"),
        pytest.param(None, (row(UP), row(OK, number=2)), False, id="one of two runs"),
        pytest.param("111", (), False, id="no such account"),
        pytest.param(None, (), False, id="no account at all"),
    ],
)
def test_whether_a_run_brings_all_that_is_asked_for(account_id, rows, is_satisfied_by_running) -> None:
    assert (
        RESOURCE_SYNC.is_satisfied_by_running(resources_target("AWS", account_id=account_id), look(*rows))
        is is_satisfied_by_running
    )


def test_no_refusal_means_busy() -> None:
    assert RESOURCE_SYNC.is_busy(ApiError("busy", status=400, code="COC.00010002")) is False


def test_waits_for_accounts_of_one_vendor_share_a_look() -> None:
    keys = {
        RESOURCE_SYNC.key(resources_target(vendor, account_id=account))
        for vendor in ("AWS", "ALI")
        for account in (None, "1", "2")
    }
    assert len(keys) == 2


def test_many_accounts_make_a_short_reason() -> None:
    rows = tuple(row(BAD, NEW, number, "x" * 1000) for number in range(300))
    progress = judge(ticket(*(row(OK, number=number) for number in range(300))), *rows)
    assert progress.phase is FAILED
    assert "and 290 more" in progress.why
    assert len(progress.why) < 5000


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[31mred", "<b>x</b>", "x" * 100_000], ids=["line", "escape", "tag", "long"]
)
def test_a_stranger_s_text_forges_no_log(text) -> None:
    seen = row(BAD, NEW, msg=text, account_name=text)
    progress = judge(ticket(row(OK), account_id="111"), seen)
    check(progress, FAILED, [])
    assert len(progress.why) < 600
    odd = judge(ticket(row(OK), account_id="111"), row(text, NEW))
    assert odd.in_full.isprintable()
    assert len(odd.in_full) < 600


ROWS = [
    # id, the row as the service sends it, date
    ("without a zone", {"sync_date": "2024-03-20T02:25:46"}, "2024-03-20T02:25:46"),
    ("zulu", {"sync_date": "2024-03-20T02:25:46Z"}, NEW),
    ("with an offset", {"sync_date": "2024-03-20T10:25:46+08:00"}, NEW),
    ("milliseconds", {"sync_date": NEW}, NEW),
    ("milliseconds as text", {"sync_date": str(NEW)}, NEW),
    ("seconds", {"sync_date": NEW // 1000}, NEW),
    ("with a blank", {"sync_date": "2024-03-20 02:25:46Z"}, NEW),
    ("null", {"sync_date": None}, None),
    ("missing", {}, None),
    ("empty", {"sync_date": ""}, None),
    ("nonsense", {"sync_date": "soon"}, "soon"),
    ("nonsense with a line break", {"sync_date": "so\non"}, "so on"),
    ("zero", {"sync_date": 0}, None),
    ("an empty object", {"sync_date": {}}, None),
    ("an object", {"sync_date": {"at": 5}}, "{'at': 5}"),
]


@pytest.mark.parametrize(("fields", "date"), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS])
def test_a_row_as_it_comes(fields, date) -> None:
    seen = _seen({"id": "row-1", "account_id": "111", "sync_status": "success", **fields})
    assert seen.sync_date == date
    assert (seen.row_id, seen.account_id, seen.sync_status, seen.failure_msg) == (
        "row-1",
        "111",
        "success",
        "",
    )


@pytest.mark.parametrize("value", [None, 5, ["a"], {}])
def test_odd_fields_of_a_row_do_no_harm(value) -> None:
    seen = _seen(
        {"id": "r", "account_id": value, "account_name": value, "sync_status": value, "failure_msg": value}
    )
    assert seen.failure_msg == ""
    assert judge(ticket(row(OK)), dataclasses.replace(seen, row_id="row-1")).phase is RUNNING


@pytest.mark.parametrize("value", ["", " AWS", "AWS\n", None, 5, "x" * 65])
def test_bad_vendors(value) -> None:
    with pytest.raises(InvalidParameter, match="vendor"):
        resources_target(value)


@pytest.mark.parametrize("value", ["", " 1", "1\n", True, 1.5, "x" * 65, ["1"]])
def test_bad_accounts(value) -> None:
    with pytest.raises(InvalidParameter, match="account_id"):
        resources_target("AWS", account_id=value)


def test_every_state_that_the_emulator_can_emit_has_a_row() -> None:
    from airflow_provider_cloudsync.emulator.services.coc_account import STATES

    judged = {case[2].sync_status for case in ONE}
    assert set(STATES) <= judged
