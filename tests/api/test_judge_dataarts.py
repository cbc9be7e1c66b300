"""What "done" means for a member sync task, row by row: design section 5."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.dataarts import MEMBER_SYNC, MemberSyncSeen, member_sync_target

AFTER = 1_710_901_516_000
OLD, NEW = AFTER - 1, AFTER
RUNNING, SUCCEEDED, FAILED = Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED
OK, BAD = "SYNC_SUCCESS", "SYNC_FAIL"


def seen(
    status: str, sync_time: int | None = NEW, *, scheduled: bool = True, msg: str = "", now: int | None = None
):
    return MemberSyncSeen(status, sync_time, msg, scheduled, now)


CASES = [
    # id, synced_after, if_unscheduled, seen, phase, words of the reason, whether there is a warning
    ("a new success", AFTER, "warn", seen(OK), SUCCEEDED, ["succeeded", "2024-03-20T02:25:16"], False),
    ("a newer success", AFTER, "warn", seen(OK, NEW + 60_000), SUCCEEDED, [], False),
    ("a stale success", AFTER, "warn", seen(OK, OLD), RUNNING, ["No run counts yet", "SYNC_SUCCESS"], False),
    ("a new failure", AFTER, "warn", seen(BAD, msg="x\nERROR: role"), FAILED, ["ERROR: role"], False),
    ("a stale failure", AFTER, "warn", seen(BAD, OLD, msg="old"), RUNNING, ["No run counts yet"], False),
    ("a failure without a message", AFTER, "warn", seen(BAD), FAILED, ["no message"], False),
    ("a run is under way", AFTER, "warn", seen("SYNCING"), RUNNING, ["under way"], False),
    ("an old run is still under way", AFTER, "warn", seen("SYNCING", OLD), RUNNING, ["under way"], False),
    ("never ran", AFTER, "warn", seen("NOT_SYNC", None), RUNNING, ["none"], False),
    ("success without a time", AFTER, "warn", seen(OK, None), RUNNING, ["No run counts yet"], False),
    ("unknown", AFTER, "warn", seen("UNKNOWN"), RUNNING, ["neither"], True),
    ("a value of the future", AFTER, "warn", seen("SYNC_PARTIAL_FAIL"), RUNNING, ["SYNC_PARTIAL_FAIL"], True),
    ("an empty value", AFTER, "warn", seen(""), RUNNING, [], True),
    ("any: an old success counts", None, "warn", seen(OK, OLD), SUCCEEDED, [], False),
    ("any: an old failure counts", None, "warn", seen(BAD, OLD), FAILED, [], False),
    ("any: under way", None, "warn", seen("SYNCING"), RUNNING, [], False),
    ("any: never ran", None, "warn", seen("NOT_SYNC", None), RUNNING, ["none"], False),
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
    (
        "only just started: the old state",
        AFTER,
        "warn",
        seen(OK, now=NEW + 4_999),
        RUNNING,
        ["only just"],
        False,
    ),
    ("only just started: an old failure", AFTER, "warn", seen(BAD, now=NEW), RUNNING, ["only just"], False),
    ("some seconds on", AFTER, "warn", seen(OK, now=NEW + 5_000), SUCCEEDED, [], False),
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


def test_the_tail_of_a_long_message_is_shown_on_one_line() -> None:
    target = member_sync_target("w1", "t1", synced_after=None)
    message = "first line\n" + "x" * 5000 + "\n\x1b[31mlast line"
    progress = MEMBER_SYNC.judge(Ticket("dataarts", target, Stage.WATCHING, 0.0), seen(BAD, msg=message), 0.0)
    assert "last line" in progress.why
    assert "first line" not in progress.why
    assert progress.why.isprintable()
    assert len(progress.why) < 700
