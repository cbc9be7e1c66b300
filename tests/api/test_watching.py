"""What is news to a watch, look after look: rows of what is seen, and what is reported of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.services.coc.resource_sync import AccountSeen, Seen
from airflow_provider_cloudsync.api.services.coc.watch import watch_accounts
from airflow_provider_cloudsync.api.services.dataarts.member_sync import MemberSyncSeen
from airflow_provider_cloudsync.api.services.dataarts.watch import watch_task
from airflow_provider_cloudsync.api.services.hss.event_sync import UpdateSeen
from airflow_provider_cloudsync.api.services.hss.watch import watch_events
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IamSyncSeen
from airflow_provider_cloudsync.api.services.mrs.watch import watch_cluster
from airflow_provider_cloudsync.api.waiting import watching
from airflow_provider_cloudsync.exceptions import InvalidParameter

#: 2026-11-21 08:00:00 UTC in ms, and the same some minutes on.
T0 = 1_795_248_000_000
T1, T2, T3 = T0 + 60_000, T0 + 120_000, T0 + 180_000
OK, BAD, GOES_ON = "SYNC_SUCCESS", "SYNC_FAIL", "SYNCING"


def task(status: str, time: int | None = None, *, now: int | None = None, on: bool = True) -> MemberSyncSeen:
    clock = ServiceClock(T3 + 3_600_000 if now is None else now)
    return MemberSyncSeen(status, time, "role missing" if status == BAD else "", on, clock)


def row(account: str, status: str, date: int | str | None, *, row_id: str = "") -> AccountSeen:
    return AccountSeen(row_id or f"row-{account}", account, "", status, date)


def accounts(*rows: AccountSeen, now: int | None = None) -> Seen:
    return Seen.of(rows, ServiceClock(T3 + 3_600_000 if now is None else now))


def updated(time: int | None) -> UpdateSeen:
    return UpdateSeen(time, ServiceClock(T3 + 3_600_000))


def flag(up: bool, problem: str = "") -> IamSyncSeen:
    return IamSyncSeen(problem=problem, is_synchronizing=up)


MEMBER = watch_task("w", "t", catchup=False)
MEMBER_CATCHUP = watch_task("w", "t", catchup=True)
ONE = watch_accounts("AWS", "1", catchup=False)
ALL = watch_accounts("AWS", None, catchup=False)
EVENTS = watch_events("c", None, catchup=False)
EVENTS_CATCHUP = watch_events("c", None, catchup=True)
MRS = watch_cluster("c")

S, F, E = "succeeded", "failed", "ended"
#: id, watch, looks (a minute apart), and what each of them reports: (run in ms, outcome).
CASES: list[tuple[str, watching.Watch, list[Any], list[list[tuple[int, str]]]]] = [
    ("an old success is no news", MEMBER, [task(OK, T0), task(OK, T0)], [[], []]),
    ("but for a catch-up, once", MEMBER_CATCHUP, [task(OK, T0), task(OK, T0)], [[(T0, S)], []]),
    ("a new success", MEMBER, [task(OK, T0), task(OK, T1)], [[], [(T1, S)]]),
    ("once", MEMBER, [task(OK, T0), task(OK, T1), task(OK, T1)], [[], [(T1, S)], []]),
    ("a new failure", MEMBER, [task(OK, T0), task(BAD, T1)], [[], [(T1, F)]]),
    ("an old failure is no news", MEMBER, [task(BAD, T0), task(BAD, T0)], [[], []]),
    ("one that goes on at the first look", MEMBER, [task(GOES_ON, T0), task(OK, T0)], [[], [(T0, S)]]),
    (
        "one that goes on for long",
        MEMBER,
        [task(OK, T0), task(GOES_ON, T1), task(GOES_ON, T1), task(OK, T1)],
        [[], [], [], [(T1, S)]],
    ),
    ("the first ever", MEMBER, [task("NOT_SYNC"), task(GOES_ON, T1), task(OK, T1)], [[], [], [(T1, S)]]),
    (
        "the state lags behind at the first look",
        MEMBER,
        [task(OK, T1, now=T1 + 1000), task(GOES_ON, T1), task(OK, T1)],
        [[], [], [(T1, S)]],
    ),
    (
        "the state lags behind later",
        MEMBER,
        [task(OK, T0), task(OK, T1, now=T1 + 1000), task(BAD, T1, now=T3)],
        [[], [], [(T1, F)]],
    ),
    ("of two between two looks, the last", MEMBER, [task(OK, T0), task(OK, T2)], [[], [(T2, S)]]),
    ("an unknown state at first", MEMBER, [task("ODD", T0), task(OK, T0)], [[], [(T0, S)]]),
    (
        "an unknown state is no end",
        MEMBER,
        [task(OK, T0), task("ODD", T1), task(OK, T1)],
        [[], [], [(T1, S)]],
    ),
    ("a success without a time is no run", MEMBER, [task(OK, T0), task(OK, None)], [[], []]),
    ("a time that goes back is no news", MEMBER, [task(OK, T1), task(OK, T0)], [[], []]),
    ("the schedule is off", MEMBER, [task(OK, T0, on=False), task(OK, T1, on=False)], [[], [(T1, S)]]),
    (
        "an account",
        ONE,
        [
            accounts(row("1", "success", T0)),
            accounts(row("1", "running", T0)),
            accounts(row("1", "success", T1)),
        ],
        [[], [], [(T1, S)]],
    ),
    (
        "an account whose date is the start",
        ONE,
        [
            accounts(row("1", "success", T0)),
            accounts(row("1", "running", T1)),
            accounts(row("1", "failed", T1)),
        ],
        [[], [], [(T1, F)]],
    ),
    (
        "an account that is just done",
        ONE,
        [
            accounts(row("1", "success", T0)),
            accounts(row("1", "success", T1), now=T1 + 1000),
            accounts(row("1", "success", T1), now=T3),
        ],
        [[], [], [(T1, S)]],
    ),
    (
        "another account is no news",
        ONE,
        [
            accounts(row("1", "success", T0), row("2", "success", T0)),
            accounts(row("1", "success", T0), row("2", "success", T1)),
        ],
        [[], []],
    ),
    (
        "a date that can't be read tells no run",
        ONE,
        [accounts(row("1", "success", "yesterday")), accounts(row("1", "success", "today"))],
        [[], []],
    ),
    (
        "an account of two rows has run when both have",
        ONE,
        [
            accounts(row("1", "success", T0, row_id="a"), row("1", "success", T0, row_id="b")),
            accounts(row("1", "success", T1, row_id="a"), row("1", "success", T0, row_id="b")),
            accounts(row("1", "success", T1, row_id="a"), row("1", "success", T2, row_id="b")),
        ],
        [[], [], [(T2, S)]],
    ),
    (
        "each account of a vendor",
        ALL,
        [
            accounts(row("1", "success", T0), row("2", "success", T0)),
            accounts(row("1", "success", T1), row("2", "running", T0)),
            accounts(row("1", "success", T1), row("2", "failed", T2)),
        ],
        [[], [(T1, S)], [(T2, F)]],
    ),
    (
        "two accounts at once",
        ALL,
        [
            accounts(row("1", "success", T0), row("2", "success", T0)),
            accounts(row("1", "success", T1), row("2", "failed", T2)),
        ],
        [[], [(T1, S), (T2, F)]],
    ),
    (
        "an account that is added later",
        ALL,
        [accounts(row("1", "success", T0)), accounts(row("1", "success", T0), row("2", "success", T1))],
        [[], [(T1, S)]],
    ),
    (
        "an account that is away for a while",
        ALL,
        [
            accounts(row("1", "success", T0), row("2", "success", T0)),
            accounts(row("1", "success", T0)),
            accounts(row("1", "success", T0), row("2", "success", T0)),
        ],
        [[], [], []],
    ),
    (
        "never updated, then updated",
        EVENTS,
        [updated(None), updated(T1), updated(T1), updated(T2)],
        [[], [(T1, S)], [], [(T2, S)]],
    ),
    ("an old update is no news", EVENTS, [updated(T0), updated(T0)], [[], []]),
    ("an old update, caught up", EVENTS_CATCHUP, [updated(T0), updated(T0)], [[(T0, S)], []]),
    # The service tells no time, so the run is when it was first seen.
    ("a flag that is up and goes down", MRS, [flag(True), flag(True), flag(False)], [[], [], [(T0, E)]]),
    ("a flag that goes up later", MRS, [flag(False), flag(True), flag(False)], [[], [], [(T1, E)]]),
    ("a flag that stays down", MRS, [flag(False), flag(False)], [[], []]),
    (
        "two runs",
        MRS,
        [flag(True), flag(False), flag(True), flag(False)],
        [[], [(T0, E)], [], [(T2, E)]],
    ),
]
EACH = pytest.mark.parametrize(
    ("watch", "looks", "reports"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)


def iso(ms: int) -> str:
    return f"2026-11-21T08:0{(ms - T0) // 60_000}:00.000+00:00"


def when(watch: watching.Watch, number: int) -> float:
    """When a look begins: an hour after all runs, but where the run is when it was first seen."""
    return (T0 + number * 60_000 + (0 if watch is MRS else 3_600_000)) / 1000


def look_twice(
    watch: watching.Watch, memory: watching.Memory | None, seen: Any, at: float
) -> watching.Reading:
    """A look, and another one some seconds later that shows the same: what an end has to last for."""
    pending = watching.PendingEnds()
    first = pending.confirmed(watch.read(memory, seen, at), at)
    assert not first.ended or watch in (EVENTS, EVENTS_CATCHUP), "reported by a single look"
    second = pending.confirmed(watch.read(first.memory, seen, at + 20), at + 20)
    return watching.Reading(second.memory, first.ended + second.ended, second.problem)


@EACH
def test_reports(watch, looks, reports) -> None:
    memory = None
    found = []
    for number, seen in enumerate(looks):
        reading = look_twice(watch, memory, seen, when(watch, number))
        assert not reading.problem
        found.append([(ended.run, ended.outcome) for ended in reading.ended])
        memory = reading.memory
    assert found == [[(iso(run), outcome) for run, outcome in each] for each in reports]


@EACH
def test_whoever_goes_on_elsewhere_reports_the_same(watch, looks, reports) -> None:
    """After each look the memory goes through a store, and comes back whole."""
    memory = None
    for number, seen in enumerate(looks):
        at = when(watch, number)
        reading = look_twice(watch, memory, seen, at)
        memory = json.loads(json.dumps(dict(reading.memory)))
        # Who looks once more with it has nothing to report, and nothing to write.
        again = watch.read(memory, seen, at + 21)
        if not any(each.confirm_for > 20 for each in again.ended):
            assert again.ended == ()
            assert again.memory == memory


@pytest.mark.parametrize("lost", [1, 2])
def test_who_does_not_remember_a_report_makes_the_same_one(lost) -> None:
    looks = [task(OK, T0), task(BAD, T1), task(BAD, T1)]
    memory = MEMBER.read(None, looks[0], when(MEMBER, 0)).memory
    (first,) = MEMBER.read(memory, looks[1], when(MEMBER, 1)).ended
    (second,) = MEMBER.read(memory, looks[lost], when(MEMBER, 2)).ended
    assert first == second
    assert "role missing" in first.why


FLICKERS = [
    # id, watch, looks (seconds, what is seen), reports
    ("a flag that is down for a moment", MRS, [(0, flag(True)), (60, flag(False)), (65, flag(True))], []),
    (
        "a flag that stays down",
        MRS,
        [(0, flag(True)), (60, flag(False)), (65, flag(False))],
        [(T0, E)],
    ),
    (
        "a failure that becomes a success",
        MEMBER,
        [(0, task(OK, T0)), (60, task(BAD, T1)), (65, task(OK, T1)), (70, task(OK, T1))],
        [(T1, S)],
    ),
    (
        "one of two accounts",
        ALL,
        [
            (0, accounts(row("1", "success", T0), row("2", "success", T0))),
            (60, accounts(row("1", "success", T1), row("2", "failed", T1))),
            (65, accounts(row("1", "success", T1), row("2", "success", T1))),
        ],
        [(T1, S)],
    ),
    (
        "an account that is away in one look",
        ONE,
        [(0, accounts(row("1", "success", T0))), (60, accounts()), (65, accounts(row("1", "success", T0)))],
        [],
    ),
]


@pytest.mark.parametrize(
    ("watch", "looks", "reports"), [case[1:] for case in FLICKERS], ids=[case[0] for case in FLICKERS]
)
def test_one_look_reports_nothing(watch, looks, reports) -> None:
    memory, pending, found = None, watching.PendingEnds(), []
    for seconds, seen in looks:
        at = when(watch, 0) + seconds
        reading = pending.confirmed(watch.read(memory, seen, at), at)
        assert not reading.problem
        memory = reading.memory
        found += [(ended.run, ended.outcome) for ended in reading.ended]
    assert found == [(iso(run), outcome) for run, outcome in reports]


IDS = [
    (MEMBER, [task(OK, T0), task(OK, T1)], {"workspace": "w", "sync_task_id": "t"}),
    (
        ONE,
        [accounts(row("1", "success", T0)), accounts(row("1", "success", T1))],
        {"vendor": "AWS", "account_id": "1"},
    ),
    (
        ALL,
        [accounts(row("1", "success", T0)), accounts(row("1", "success", T1))],
        {"vendor": "AWS", "account_id": "1"},
    ),
    (EVENTS, [updated(T0), updated(T1)], {"cluster_id": "c", "enterprise_project_id": None}),
    (MRS, [flag(True), flag(False)], {"cluster_id": "c"}),
]


@pytest.mark.parametrize(("watch", "looks", "ids"), IDS)
def test_a_report_says_what_it_is_about(watch, looks, ids) -> None:
    memory = watch.read(None, looks[0], when(watch, 0)).memory
    (ended,) = watch.read(memory, looks[1], when(watch, 1)).ended
    assert ended.ids == ids
    assert ended.why


TROUBLE = [
    ("no such account", ONE, accounts(row("2", "success", T0)), "no account '1' of AWS (known: 2)"),
    ("no account at all", ALL, accounts(), "COC has no account of AWS"),
    ("the cluster is gone", MRS, flag(False, "MRS cluster c is terminated."), "is terminated"),
]


@pytest.mark.parametrize(
    ("watch", "seen", "words"), [each[1:] for each in TROUBLE], ids=[each[0] for each in TROUBLE]
)
@pytest.mark.parametrize("memory", [None, {"1": T0, "since": 0}], ids=["first look", "later"])
def test_where_nothing_can_end(watch, seen, words, memory) -> None:
    reading = watch.read(memory, seen, T1 / 1000)
    assert words in reading.problem
    assert reading.ended == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: watch_task("w/w", "t", catchup=False),
        lambda: watch_task("w", "", catchup=False),
        lambda: watch_accounts("", None, catchup=False),
        lambda: watch_events("c/", None, catchup=False),
        lambda: watch_cluster("c?"),
    ],
)
def test_ids_that_cannot_be(make) -> None:
    with pytest.raises(InvalidParameter):
        make()
