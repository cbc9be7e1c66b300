"""What "done" means for MRS, row by row: design section 5."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs.iam_sync import (
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
    # id, requested, baseline, seen, whether a run was seen, phase, words of the reason, seconds to confirm
    ("flag up", ALICE, seen(), UP, False, RUNNING, ["is running"], 0),
    ("flag up though the names are there", ALICE, seen("alice"), UP, False, RUNNING, ["is running"], 0),
    ("flag down, none came", ALICE, seen(), seen(), False, FAILED, ['"alice"', "operation log"], 15),
    (
        "flag down, names were there before",
        ALICE,
        seen("alice"),
        seen("alice"),
        False,
        SUCCEEDED,
        ["before"],
        10,
    ),
    ("flag down, names came", ALICE, seen(), seen("alice"), False, SUCCEEDED, ["All requested"], 10),
    ("flag down, only some came", BOTH, seen(), seen("alice"), False, FAILED, ['user "bob"'], 15),
    (
        "ended, names were there before",
        ALICE,
        seen("alice"),
        seen("alice"),
        True,
        SUCCEEDED,
        ["All requested"],
        5,
    ),
    ("ended, names came", BOTH, seen(), seen("alice", "bob", groups=("analysts",)), True, SUCCEEDED, [], 5),
    (
        "ended, one user missing",
        BOTH,
        seen(),
        seen("alice", groups=("analysts",)),
        True,
        FAILED,
        ['user "bob"'],
        15,
    ),
    ("ended, the group missing", BOTH, seen(), seen("alice", "bob"), True, FAILED, ['group "analysts"'], 15),
    ("ended, nothing came", ALICE, seen(), seen(), True, FAILED, ['"alice"', "operation log"], 15),
    ("a name that was there is gone", ALICE, seen("alice"), seen(), True, FAILED, ['"alice"'], 15),
    ("in line says nothing of names", ALICE, seen(), seen(in_line=True), True, FAILED, ['"alice"'], 15),
    ("other names do not help", ALICE, seen(), seen("alicia", "al"), True, FAILED, ['"alice"'], 15),
    (
        "a group of that name is no user",
        ALICE,
        seen(),
        seen(groups=("alice",)),
        True,
        FAILED,
        ['user "alice"'],
        15,
    ),
    ("the cluster is gone", ALICE, seen(), GONE, True, FAILED, ["c1 is terminated"], 15),
]

FULL_CASES = [
    ("flag up", seen(), UP, False, RUNNING, ["is running"], 0),
    (
        "flag down, not in line",
        seen(),
        seen(in_line=False),
        False,
        FAILED,
        ["not in sync with IAM after"],
        15,
    ),
    (
        "flag down, in line of an earlier sync",
        seen(in_line=True),
        seen(in_line=True),
        False,
        SUCCEEDED,
        [],
        10,
    ),
    ("ended, in line", seen(), seen(in_line=True), True, SUCCEEDED, ["is in sync with IAM"], 5),
    ("ended, not in line", seen(), seen(in_line=False), True, FAILED, ["not in sync with IAM after"], 15),
    (
        "was in line, is no more",
        seen(in_line=True),
        seen(in_line=False),
        True,
        FAILED,
        ["not in sync with IAM after"],
        15,
    ),
    ("names do not stand for a full sync", seen(), seen("alice", in_line=False), True, FAILED, [], 15),
    ("the cluster is gone", seen(), GONE, True, FAILED, ["terminated"], 15),
]

WATCH_CASES = [
    ("a run is under way", ALICE, UP, RUNNING, ["is running"], 0),
    ("names there, nothing runs", ALICE, seen("alice"), SUCCEEDED, ["All requested"], 5),
    (
        "names not there: somebody may still start it",
        ALICE,
        seen(),
        RUNNING,
        ['Not in the cluster yet: user "alice"'],
        0,
    ),
    ("without names: in line", {}, seen(in_line=True), SUCCEEDED, ["is in sync with IAM"], 5),
    ("without names: not in line yet", {}, seen(in_line=False), RUNNING, ["not in sync with IAM yet"], 0),
    ("the cluster is gone", ALICE, GONE, FAILED, ["terminated"], 15),
]

CANCEL_CASES = [
    ("flag up", seen("alice"), UP, False, RUNNING, ["is running"], 0),
    (
        "flag down, still there",
        seen("alice"),
        seen("alice"),
        False,
        FAILED,
        ['after the removal: user "alice"'],
        15,
    ),
    ("flag down, gone", seen("alice"), seen(), False, SUCCEEDED, ["no longer"], 10),
    ("ended, gone", seen("alice"), seen(), True, SUCCEEDED, ["no longer"], 5),
    (
        "ended, still there",
        seen("alice"),
        seen("alice"),
        True,
        FAILED,
        ['after the removal: user "alice"'],
        15,
    ),
    ("never was there", seen(), seen(), False, SUCCEEDED, ["None of the names"], 10),
    ("the cluster is gone", seen("alice"), GONE, True, FAILED, ["terminated"], 15),
]


def judged(service, before, now, ran, target):
    """The verdict of one poll.

    :param ran: whether an earlier poll showed that a run was under way.
    """
    started = ticket(before, service=service, **target)
    return service.judge(service.learn(started, UP) if ran else started, now, START)


def check(progress, phase, words, confirm_for) -> None:
    assert progress.phase is phase, progress
    assert progress.confirm_for == confirm_for
    for word in words:
        assert word in progress.why


@pytest.mark.parametrize(
    ("target", "before", "now", "ran", "phase", "words", "confirm_for"),
    [case[1:] for case in NAMES_CASES],
    ids=[case[0] for case in NAMES_CASES],
)
def test_named_sync(target, before, now, ran, phase, words, confirm_for) -> None:
    check(judged(IAM_SYNC, before, now, ran, target), phase, words, confirm_for)


@pytest.mark.parametrize(
    ("before", "now", "ran", "phase", "words", "confirm_for"),
    [case[1:] for case in FULL_CASES],
    ids=[case[0] for case in FULL_CASES],
)
def test_full_sync(before, now, ran, phase, words, confirm_for) -> None:
    check(judged(IAM_SYNC, before, now, ran, ALL), phase, words, confirm_for)


@pytest.mark.parametrize(
    ("target", "now", "phase", "words", "confirm_for"),
    [case[1:] for case in WATCH_CASES],
    ids=[case[0] for case in WATCH_CASES],
)
def test_watched_sync(target, now, phase, words, confirm_for) -> None:
    check(IAM_SYNC.judge(ticket(seen(), Stage.WATCHING, **target), now, START), phase, words, confirm_for)


@pytest.mark.parametrize(
    ("before", "now", "ran", "phase", "words", "confirm_for"),
    [case[1:] for case in CANCEL_CASES],
    ids=[case[0] for case in CANCEL_CASES],
)
def test_cancel(before, now, ran, phase, words, confirm_for) -> None:
    check(judged(IAM_CANCEL, before, now, ran, ALICE), phase, words, confirm_for)


@pytest.mark.parametrize("at", [START - 600, START, START + 600])
@pytest.mark.parametrize("settle", [0.1, 60.0])
def test_how_long_the_flag_may_take_is_not_counted_from_the_start(settle, at) -> None:
    """Whose clock the start was noted by is not known to whoever polls."""
    started = ticket(seen(), user_names=["alice"], settle=settle)
    assert IAM_SYNC.judge(started, seen("alice"), at).confirm_for == max(settle, 5)
    assert IAM_SYNC.judge(started, seen(), at).confirm_for == max(settle, 15)


def test_a_cluster_that_is_not_there_says_nothing_of_the_run() -> None:
    assert judged(IAM_SYNC, seen(), GONE, True, ALICE).absent
    assert not judged(IAM_SYNC, seen(), seen(), True, ALICE).absent


@pytest.mark.parametrize("stage", [Stage.QUEUED, Stage.WATCHING])
def test_only_a_started_ticket_learns_of_its_run(stage) -> None:
    other = ticket(seen(), stage, **ALICE)
    assert IAM_SYNC.learn(other, UP) is other
    started = ticket(seen(), **ALICE)
    assert IAM_SYNC.learn(started, seen()) is started
    learned = IAM_SYNC.learn(started, UP)
    assert learned.baseline == {**started.baseline, "ran": True}
    assert IAM_SYNC.learn(learned, UP) is learned


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
    assert IAM_SYNC.has_started(ticket(before, Stage.STARTING, **target), now) is began


@pytest.mark.parametrize(
    ("now", "phase"),
    [
        pytest.param(seen(), SUCCEEDED, id="nothing runs"),
        pytest.param(UP, RUNNING, id="another run"),
        pytest.param(GONE, FAILED, id="no such cluster"),
    ],
)
def test_whether_a_run_could_start(now, phase) -> None:
    assert IAM_SYNC.can_start(iam_sync_target("c1", **ALICE), now).phase is phase


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
