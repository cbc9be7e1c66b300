"""What "done" means for MRS, row by row: design section 5."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs import (
    IAM_CANCEL,
    IAM_SYNC,
    IamSyncSeen,
    iam_sync_target,
    iam_watch_target,
)
from airflow_provider_cloudsync.exceptions import ApiError

START = 1_000_000.0
RUNNING, SUCCEEDED, FAILED = Phase.RUNNING, Phase.SUCCEEDED, Phase.FAILED


def seen(*users: str, groups: tuple[str, ...] = (), in_line: bool | None = False, **more) -> IamSyncSeen:
    return IamSyncSeen(
        user_names=frozenset(users), group_names=frozenset(groups), is_synchronous=in_line, **more
    )


UP = IamSyncSeen(is_synchronizing=True)
GONE = IamSyncSeen(problem="MRS cluster c1 is terminated, so nothing can be synchronized into it.")


def ticket(before: IamSyncSeen, stage: Stage = Stage.STARTED, service=IAM_SYNC, **target) -> Ticket:
    watching = stage is Stage.WATCHING
    checked = iam_watch_target("c1", **target) if watching else iam_sync_target("c1", **target)
    return Ticket(service.name, checked, stage, START, service.baseline(checked, before))


ALICE = {"user_names": ["alice"]}
BOTH = {"user_names": ["alice", "bob"], "group_names": ["analysts"]}
ALL = {"sync_all": True}

NAMES_CASES = [
    # id, requested, baseline, seen, seconds after the start, phase, words of the reason
    ("flag up at once", ALICE, seen(), UP, 0, RUNNING, ["is running"]),
    ("flag up long after", ALICE, seen(), UP, 3000, RUNNING, ["is running"]),
    ("flag up though the names are there", ALICE, seen("alice"), UP, 30, RUNNING, ["is running"]),
    ("flag not up yet", ALICE, seen(), seen(), 1, RUNNING, ["not be up yet"]),
    ("flag not up yet, names were there before", ALICE, seen("alice"), seen("alice"), 9.9, RUNNING, ["yet"]),
    ("names came within the settle time", ALICE, seen(), seen("alice"), 2, SUCCEEDED, ["All requested"]),
    ("only some came within the settle time", BOTH, seen(), seen("alice"), 2, RUNNING, ["yet"]),
    (
        "settled, names were there before",
        ALICE,
        seen("alice"),
        seen("alice"),
        10,
        SUCCEEDED,
        ["All requested"],
    ),
    ("settled, names came", BOTH, seen(), seen("alice", "bob", groups=("analysts",)), 60, SUCCEEDED, []),
    (
        "settled, one user missing",
        BOTH,
        seen(),
        seen("alice", groups=("analysts",)),
        60,
        FAILED,
        ['user "bob"'],
    ),
    ("settled, the group missing", BOTH, seen(), seen("alice", "bob"), 60, FAILED, ['group "analysts"']),
    ("settled, nothing came", ALICE, seen(), seen(), 10, FAILED, ['"alice"', "operation log"]),
    ("a name that was there is gone", ALICE, seen("alice"), seen(), 60, FAILED, ['"alice"']),
    ("in line says nothing of names", ALICE, seen(), seen(in_line=True), 60, FAILED, ['"alice"']),
    ("other names do not help", ALICE, seen(), seen("alicia", "al"), 60, FAILED, ['"alice"']),
    ("a group of that name is no user", ALICE, seen(), seen(groups=("alice",)), 60, FAILED, ['user "alice"']),
    ("the cluster is gone", ALICE, seen(), GONE, 5, FAILED, ["c1 is terminated"]),
]

FULL_CASES = [
    ("flag up", seen(), UP, 20, RUNNING, ["is running"]),
    ("not settled, not in line", seen(), seen(in_line=False), 3, RUNNING, ["yet"]),
    ("not settled, in line of an earlier sync", seen(in_line=True), seen(in_line=True), 3, RUNNING, ["yet"]),
    ("settled, in line", seen(), seen(in_line=True), 10, SUCCEEDED, ["in line"]),
    ("settled, not in line", seen(), seen(in_line=False), 10, FAILED, ["still not in line"]),
    ("was in line, is no more", seen(in_line=True), seen(in_line=False), 60, FAILED, ["still not in line"]),
    ("names do not stand for a full sync", seen(), seen("alice", in_line=False), 60, FAILED, []),
    ("the cluster is gone", seen(), GONE, 60, FAILED, ["terminated"]),
]

WATCH_CASES = [
    ("a run is under way", ALICE, UP, RUNNING, ["is running"]),
    ("names there, nothing runs", ALICE, seen("alice"), SUCCEEDED, ["All requested"]),
    (
        "names not there: somebody may still start it",
        ALICE,
        seen(),
        RUNNING,
        ['Not in the cluster yet: user "alice"'],
    ),
    ("without names: in line", {}, seen(in_line=True), SUCCEEDED, ["in line"]),
    ("without names: not in line yet", {}, seen(in_line=False), RUNNING, ["not in line"]),
    ("the cluster is gone", ALICE, GONE, FAILED, ["terminated"]),
]

CANCEL_CASES = [
    ("flag up", seen("alice"), UP, 1, RUNNING, ["under way"]),
    ("not settled, still there", seen("alice"), seen("alice"), 2, RUNNING, ["yet"]),
    ("gone within the settle time", seen("alice"), seen(), 2, SUCCEEDED, ["no longer"]),
    ("settled, gone", seen("alice"), seen(), 60, SUCCEEDED, ["no longer"]),
    ("settled, still there", seen("alice"), seen("alice"), 60, FAILED, ['user "alice" is still']),
    ("never was there, not settled", seen(), seen(), 2, RUNNING, ["yet"]),
    ("never was there, settled", seen(), seen(), 60, SUCCEEDED, ["None of the names"]),
    ("the cluster is gone", seen("alice"), GONE, 60, FAILED, ["terminated"]),
]


def check(progress, phase, words) -> None:
    assert progress.phase is phase, progress
    for word in words:
        assert word in progress.why


@pytest.mark.parametrize(
    ("target", "before", "now", "after", "phase", "words"),
    [case[1:] for case in NAMES_CASES],
    ids=[case[0] for case in NAMES_CASES],
)
def test_named_sync(target, before, now, after, phase, words) -> None:
    check(IAM_SYNC.judge(ticket(before, **target), now, START + after), phase, words)


@pytest.mark.parametrize(
    ("before", "now", "after", "phase", "words"),
    [case[1:] for case in FULL_CASES],
    ids=[case[0] for case in FULL_CASES],
)
def test_full_sync(before, now, after, phase, words) -> None:
    check(IAM_SYNC.judge(ticket(before, **ALL), now, START + after), phase, words)


@pytest.mark.parametrize(
    ("target", "now", "phase", "words"),
    [case[1:] for case in WATCH_CASES],
    ids=[case[0] for case in WATCH_CASES],
)
def test_watched_sync(target, now, phase, words) -> None:
    check(IAM_SYNC.judge(ticket(seen(), Stage.WATCHING, **target), now, START), phase, words)


@pytest.mark.parametrize(
    ("before", "now", "after", "phase", "words"),
    [case[1:] for case in CANCEL_CASES],
    ids=[case[0] for case in CANCEL_CASES],
)
def test_cancel(before, now, after, phase, words) -> None:
    check(IAM_CANCEL.judge(ticket(before, service=IAM_CANCEL, **ALICE), now, START + after), phase, words)


def test_a_longer_settle_time_is_kept() -> None:
    patient = ticket(seen(), user_names=["alice"], settle=60.0)
    assert IAM_SYNC.judge(patient, seen(), START + 59).phase is RUNNING
    assert IAM_SYNC.judge(patient, seen(), START + 60).phase is FAILED


def test_many_missing_names_make_a_short_reason() -> None:
    many = [f"user-{number:04}" for number in range(900)]
    progress = IAM_SYNC.judge(ticket(seen(), user_names=many), seen(), START + 60)
    assert '"user-0009"' in progress.why
    assert '"user-0010"' not in progress.why
    assert "and 890 more" in progress.why


@pytest.mark.parametrize(
    ("target", "before", "now", "began"),
    [
        pytest.param(ALICE, seen(), UP, True, id="a run is there"),
        pytest.param(ALICE, seen(), seen("alice"), True, id="the name came"),
        pytest.param(BOTH, seen(), seen("bob"), True, id="one of the names came"),
        pytest.param(ALICE, seen(), seen(), False, id="nothing changed"),
        pytest.param(ALICE, seen("alice"), seen("alice"), False, id="the name was there before"),
        pytest.param(ALICE, seen(), seen("carol"), False, id="another name came"),
        pytest.param(ALICE, seen(), GONE, False, id="the cluster is gone"),
        pytest.param(ALL, seen(in_line=False), seen(in_line=True), True, id="full: came into line"),
        pytest.param(ALL, seen(in_line=True), seen(in_line=True), False, id="full: was in line before"),
    ],
)
def test_evidence_of_a_run_since_the_baseline(target, before, now, began) -> None:
    assert IAM_SYNC.evidence(ticket(before, Stage.STARTING, **target), now) is began


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        pytest.param(seen(), SUCCEEDED, id="nothing runs"),
        pytest.param(UP, RUNNING, id="another run"),
        pytest.param(GONE, FAILED, id="no such cluster"),
    ],
)
def test_whether_a_run_could_start(now, phase) -> None:
    assert IAM_SYNC.admit(iam_sync_target("c1", **ALICE), now).phase is phase


@pytest.mark.parametrize(
    ("users", "groups", "sizes"),
    [
        pytest.param(1, 0, [(1, 0)], id="one"),
        pytest.param(1000, 0, [(1000, 0)], id="a full request"),
        pytest.param(1001, 0, [(1000, 0), (1, 0)], id="one more"),
        pytest.param(2500, 1200, [(1000, 1000), (1000, 200), (500, 0)], id="both kinds"),
    ],
)
def test_names_are_split_by_what_a_request_carries(users, groups, sizes) -> None:
    target = iam_sync_target(
        "c1", user_names=[f"u{n}" for n in range(users)], group_names=[f"g{n}" for n in range(groups)]
    )
    parts = IAM_SYNC.split(target)
    assert [(len(part["user_names"]), len(part["group_names"])) for part in parts] == sizes
    assert [name for part in parts for name in part["user_names"]] == target["user_names"]
    assert [name for part in parts for name in part["group_names"]] == target["group_names"]


def test_a_full_sync_is_one_part() -> None:
    assert IAM_SYNC.split(iam_sync_target("c1", sync_all=True)) == [iam_sync_target("c1", sync_all=True)]


def test_busy_is_told_by_its_code() -> None:
    assert IAM_SYNC.is_busy(ApiError("busy", status=400, code="12000012"))
    assert not IAM_SYNC.is_busy(ApiError("bad", status=400, code="12000002"))
