"""What a try knows of the tries before it: retry or clear, an end that was only accepted, an event that comes twice."""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cloudsync.api.model import Phase, Progress
from airflow_provider_cloudsync.api.services.mrs import iam_sync
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, SyncFailed, WaitTimedOut
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.tasks import tries
from airflow_provider_cloudsync.tasks.stored_ticket import TICKET_KEY
from airflow_provider_cloudsync.tasks.tries import TryMark
from airflow_provider_cloudsync.triggers.sync import Report
from tests.support.task_instance import Life

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
DAY = 86_400.0
ALICE = {"cluster_id": "c", "user_names": ["alice"]}


def _cluster(**fields: Any) -> dict[str, Any]:
    return {"mrs": {"clusters": {"c": {"starts_after": 2, "seconds": 100, **fields}}}}


def _account(**fields: Any) -> dict[str, Any]:
    row = {"account_id": "111", "starts_after": 5, "seconds": 100, **fields}
    return {"coc": {"accounts": {"row-1": row}}}


def _events(**fields: Any) -> dict[str, Any]:
    return {"hss": {"clusters": {"c": {"starts_after": 5, "seconds": 100, **fields}}}}


#: Service -> what makes its cloud, its operator, and the operator's arguments.
SERVICES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "mrs": (_cluster, MrsSyncIamUsersOperator, ALICE),
    "mrs full": (_cluster, MrsSyncIamUsersOperator, {"cluster_id": "c", "sync_all": True}),
    "mrs removal": (
        lambda **fields: _cluster(synced_users=["alice"], **fields),
        MrsCancelIamSyncOperator,
        ALICE,
    ),
    "coc": (_account, CocSyncMultiCloudResourcesOperator, {"vendor": "AWS", "account_id": "111"}),
    "hss": (_events, HssSyncClusterProtectionEventsOperator, {"cluster_id": "c"}),
}
EACH = pytest.mark.parametrize("service", SERVICES)
#: HSS shows no run, so none is ever in the way.
SHOWN = [name for name in SERVICES if name != "hss"]


def cloud_of(service: str, **fields: Any) -> dict[str, Any]:
    return SERVICES[service][0](**fields)


def task_of(service: str, **more: Any) -> Any:
    _, make, arguments = SERVICES[service]
    return make(task_id="t", **{"wait_for_completion": True, **arguments, **more})


def context(world: Any, life: Life, *, store: bool = True) -> dict[str, Any]:
    return world.context(store=store, **life.numbers)


def kept(world: Any) -> dict[str, Any]:
    return json.loads(world.store[TICKET_KEY])


class Killed(BaseException):
    pass


def kill_at(world: Any, number: int) -> None:
    """Let the worker die instead of the write of this number; the first is 0."""
    write, writes = world.store.set, []

    def dying(key: str, value: str, **more: Any) -> None:
        if len(writes) == number:
            del world.store.set
            raise Killed
        writes.append(value)
        write(key, value, **more)

    world.store.set = dying


def defer(act: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        act()
    return deferred.value


def end(world: Any, life: Life, deferral: TaskDeferred, make: Any) -> Any:
    """Let a deferred task come to its end; each process makes the task again."""
    while True:
        event = world.fire(deferral)
        try:
            return make().execute_complete(context(world, life), event=event)
        except TaskDeferred as deferred:
            deferral = deferred


# --- retry or clear ---------------------------------------------------------------------------------------------------

#: What happens after a try has stored something -> whether the try that runs then is a retry.
LIVES = [
    # id, retries, steps before the mark, steps after it, is a retry
    ("the same try again", 2, [], [], True),
    ("retry", 2, [], ["retry"], True),
    ("second retry", 2, [], ["retry", "retry"], True),
    ("retry of a retry", 2, ["retry"], ["retry"], True),
    ("clear", 2, [], ["clear"], False),
    ("clear without retries", 0, [], ["clear"], False),
    ("clear of an ended run", 2, [], ["clear ended run"], False),
    ("clear after the last retry", 1, ["retry"], ["clear"], False),
    ("clear, then a retry", 2, [], ["clear", "retry"], False),
    ("clear twice", 2, [], ["clear", "clear"], False),
    ("retry after a clear that the mark knows", 2, ["clear"], ["retry"], True),
    ("retries raised, retry", 1, [], [("edit", 5), "retry"], True),
    ("retries raised, clear", 1, [], [("edit", 5), "clear"], False),
    ("retries raised, clear, retry", 1, [], [("edit", 5), "clear", "retry"], False),
    ("clear, retries raised", 1, [], ["clear", ("edit", 5)], False),
    ("clear known, retries raised, retry", 1, ["clear"], [("edit", 5), "retry"], True),
    ("retries lowered to 0, retry", 3, [], [("edit", 0), "retry"], True),
    ("retries lowered by 1, retry", 3, [], [("edit", 2), "retry"], True),
    ("retries lowered by 2, second retry", 3, [], ["retry", ("edit", 1), "retry"], True),
    ("retries lowered, clear", 3, [], [("edit", 0), "clear"], False),
    ("retries lowered by the number of tries, clear", 3, [], [("edit", 2), "clear"], False),
    ("the same, of an ended run", 3, [], [("edit", 2), "clear ended run"], False),
    ("the same, edited again", 3, [], [("edit", 2), "clear ended run", ("edit", 0)], False),
    ("the same, then a retry", 3, [], [("edit", 2), "clear", "retry"], False),
    ("the same after a retry", 4, ["retry"], [("edit", 2), "clear"], False),
    ("another task cleared, retry", 2, [], ["clear another", "retry"], True),
    ("another task cleared, retries lowered, retry", 3, [], ["clear another", ("edit", 1), "retry"], True),
    ("another task cleared, clear", 2, [], ["clear another", "clear"], False),
]


@pytest.mark.parametrize(
    ("retries", "before", "after", "expected"), [life[1:] for life in LIVES], ids=[life[0] for life in LIVES]
)
def test_a_stored_mark_tells_a_retry_from_a_clear(retries, before, after, expected) -> None:
    life = Life(retries)
    life.do(*before)
    stored = TryMark.from_json(json.loads(json.dumps(life.mark.to_json())))
    assert stored == life.mark
    life.do(*after)
    ti = SimpleNamespace(try_number=life.try_number, max_tries=life.max_tries)
    assert tries.is_retry({"ti": ti, "dag_run": life.run}, life.retries, stored) is expected


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([], False, id="first try"),
        pytest.param(["retry"], True, id="retry"),
        pytest.param(["retry", "retry"], True, id="second retry"),
        pytest.param(["clear"], False, id="clear"),
        pytest.param(["clear", "retry"], True, id="retry after a clear"),
        pytest.param(["retry", "clear"], False, id="clear after a retry"),
    ],
)
def test_without_a_mark_the_retries_of_the_task_decide(steps, expected) -> None:
    life = Life(2)
    life.do(*steps)
    ti = SimpleNamespace(try_number=life.try_number, max_tries=life.max_tries)
    assert tries.is_retry({"ti": ti}, life.retries) is expected


@pytest.mark.parametrize(
    ("steps", "state", "expected"),
    [
        pytest.param(["retry"], "failed", True, id="retry"),
        pytest.param([("edit", 0), "retry"], "failed", True, id="retries lowered, retry"),
        pytest.param(["clear"], "failed", False, id="clear"),
        pytest.param([("edit", 5), "clear"], "success", False, id="retries raised, clear"),
        pytest.param([("edit", 1), "clear"], "success", False, id="lowered by one, clear of a green task"),
    ],
)
def test_the_history_of_airflow_2_decides_where_nothing_is_stored(
    monkeypatch, steps, state, expected
) -> None:
    life = Life(2)
    mark = TryMark(life.try_number, life.max_tries)
    life.do(*steps)
    monkeypatch.setattr(tries, "_previous_try", lambda ti: (mark, state == "success"))
    ti = SimpleNamespace(try_number=life.try_number, max_tries=life.max_tries)
    assert tries.is_retry({"ti": ti}, life.retries) is expected


@pytest.mark.parametrize("data", [None, {}, [], "x", {"try_number": 1}, {"try_number": "x", "max_tries": 1}])
def test_a_mark_that_is_missing_or_damaged_is_none(data) -> None:
    assert TryMark.from_json(data) is None


@BOTH_WAYS
@EACH
@pytest.mark.parametrize("edit", [0, 5], ids=["lowered", "raised"])
def test_a_green_task_that_is_cleared_starts_again_whatever_retries_are(
    start_world, service, deferrable, edit
) -> None:
    world, life = start_world(**cloud_of(service)), Life(1)
    world.run(task_of(service, deferrable=deferrable, retries=1), context(world, life))
    life.do(("edit", edit), "clear")
    world.run(task_of(service, deferrable=deferrable, retries=edit), context(world, life))
    assert world.starts == 2


@BOTH_WAYS
@EACH
@pytest.mark.parametrize("edit", [0, 5], ids=["lowered", "raised"])
@pytest.mark.parametrize("later", [0, 600], ids=["it goes on", "it has ended"])
def test_a_retry_starts_nothing_whatever_retries_are(start_world, service, deferrable, edit, later) -> None:
    world, life = start_world(**cloud_of(service)), Life(3)
    with pytest.raises(WaitTimedOut):
        world.run(task_of(service, deferrable=deferrable, retries=3, timeout=40), context(world, life))
    world.emulator.advance(later)
    life.do(("edit", edit), "retry")
    world.run(task_of(service, deferrable=deferrable, retries=edit), context(world, life))
    assert world.starts == 1


@pytest.mark.parametrize(("steps", "before"), [(["retry"], "ENABLED"), (["clear"], "DISABLED")], ids=str)
@pytest.mark.parametrize("edit", [0, 5], ids=["lowered", "raised"])
def test_csms_keeps_what_was_before_for_a_retry_only(start_world, steps, before, edit) -> None:
    """The first try dies after it has stored what it read, and somebody else changes the event then."""
    there = {"state": "ENABLED", "event_types": ["SECRET_ROTATED"]}
    topic = {"target_type": "SMN", "target_id": "urn:smn:r:p:t", "target_name": "t"}
    world = start_world(csms={"events": {"e": {**there, "notification": topic}}})
    life = Life(2)
    kill_at(world, 1)
    task = CsmsUpdateEventOperator(task_id="t", name="e", state="DISABLED", retries=2)
    with contextlib.suppress(Killed):
        world.run(task, context(world, life))
    left = json.loads(world.store["cloudsync_before"])
    assert left["try"]["max_tries"] == 2
    left["memory"]["wrote"] = None  # it did not learn whether its write got through
    world.store["cloudsync_before"] = json.dumps(left)
    life.do(("edit", edit), *steps)
    task = CsmsUpdateEventOperator(task_id="t", name="e", state="DISABLED", retries=edit)
    result = world.run(task, context(world, life))
    assert result["before"]["state"] == before


# --- age --------------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("age", [30 * 3600, 7 * DAY], ids=["30 h", "a week"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["it goes on", "it has ended"])
def test_a_retry_uses_a_ticket_of_any_age(start_world, service, age, goes_on) -> None:
    """The wait is one of 48 hours, or the scheduler was away for a week."""
    world, life = start_world(**cloud_of(service, seconds=age + 600 if goes_on else 100)), Life(2)
    with pytest.raises(WaitTimedOut):
        world.run(task_of(service, timeout=60, poll_interval=30), context(world, life))
    world.emulator.advance(age)
    life.retry()
    world.run(task_of(service, timeout=2 * DAY), context(world, life))
    assert world.starts == 1


@pytest.mark.parametrize(
    ("timeout", "later", "words"),
    [
        pytest.param(3600, 20 * 3600, "Timed out after", id="the same day"),
        pytest.param(2 * DAY, 60 * 3600, "Timed out after", id="a wait of 48 h, cleared after 60 h"),
        pytest.param(3600, 2 * DAY, "another run is active", id="two days after an hour"),
        pytest.param(2 * DAY, 4 * DAY, "another run is active", id="four days after 48 h"),
    ],
)
def test_a_clear_uses_a_ticket_for_a_day_after_the_longest_wait(start_world, timeout, later, words) -> None:
    world, life = start_world(**cloud_of("mrs", outcome="never_ends")), Life(2)
    defer(lambda: task_of("mrs", deferrable=True, timeout=timeout).execute(context(world, life)))
    world.emulator.advance(later)
    life.clear()
    with pytest.raises(CloudSyncError, match=words):
        world.run(
            task_of("mrs", timeout=timeout, if_running="fail", poll_interval=3600), context(world, life)
        )
    assert world.starts == 1


def test_a_ticket_from_the_future_is_not_used(start_world) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(2)
    world.run(task_of("mrs"), context(world, life))
    left = kept(world)
    left["ticket"]["started_at"] += 30 * DAY
    world.store[TICKET_KEY] = json.dumps(left)
    life.retry()
    world.run(task_of("mrs"), context(world, life))
    assert world.starts == 2


# --- an end says what was waited for ----------------------------------------------------------------------------------

ENDS = [
    # id, waits before, waits now, step, seconds in between, starts, whether this try waits for a run
    ("accepted, retry waits, it goes on", False, True, "retry", 0, 1, True),
    ("accepted, retry waits, it has ended", False, True, "retry", 600, 1, False),
    ("accepted, retry does not wait", False, False, "retry", 0, 1, False),
    ("completed, retry waits", True, True, "retry", 0, 1, False),
    ("completed, retry does not wait", True, False, "retry", 0, 1, False),
    ("accepted, cleared, waits", False, True, "clear", 600, 2, True),
    ("accepted, cleared, does not wait", False, False, "clear", 600, 2, False),
    ("completed, cleared, waits", True, True, "clear", 0, 2, True),
    ("completed, cleared, does not wait", True, False, "clear", 0, 2, False),
]


@BOTH_WAYS
@EACH
@pytest.mark.parametrize(
    ("before", "now", "step", "later", "starts", "waits"),
    [row[1:] for row in ENDS],
    ids=[row[0] for row in ENDS],
)
def test_an_end_counts_as_far_as_it_was_waited_for(
    start_world, service, deferrable, before, now, step, later, starts, waits
) -> None:
    world, life = start_world(**cloud_of(service)), Life(2)
    ways = {"deferrable": deferrable, "retries": 2}
    world.run(task_of(service, wait_for_completion=before, **ways), context(world, life))
    assert kept(world)["end"] == ("completed" if before else "accepted")
    world.emulator.advance(later)
    life.do(step)
    began = world.emulator.clock.now()
    world.run(task_of(service, wait_for_completion=now, **ways), context(world, life))
    assert world.starts == starts
    assert (world.emulator.clock.now() - began >= 90) is waits


def test_an_accepted_run_that_failed_is_started_again_by_a_retry_that_waits(start_world) -> None:
    world, life = start_world(**cloud_of("mrs", outcome=["failed", "succeeded"])), Life(2)
    world.run(task_of("mrs", wait_for_completion=False), context(world, life))
    world.emulator.advance(600)
    life.retry()
    world.run(task_of("mrs"), context(world, life))
    assert world.starts == 2


@EACH
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does not wait"])
def test_an_end_that_0_1_0_stored_is_waited_for_if_that_is_asked(start_world, service, waits) -> None:
    world, life = start_world(**cloud_of(service)), Life(2)
    world.run(task_of(service, wait_for_completion=False), context(world, life))
    old = {key: value for key, value in kept(world).items() if key in ("ticket", "of", "ended")}
    del old["ticket"]["restarted"]
    world.store[TICKET_KEY] = json.dumps(old)
    life.retry()
    began = world.emulator.clock.now()
    world.run(task_of(service, wait_for_completion=waits, retries=2), context(world, life))
    assert world.starts == 1
    assert (world.emulator.clock.now() - began >= 90) is waits


# --- a run that may not have been ours --------------------------------------------------------------------------------

START = {"operation": "UpdateSyncIamUser"}


def _lost(world: Any, times: int) -> None:
    """Let so many starts never arrive, each while somebody else's run comes up."""
    world.emulator.faults([{"match": START, "times": times, "when": "before", "reset": True}])


def _strangers(number: int) -> dict[str, Any]:
    """Runs of others that bring bob: each comes up a second after the start before it could have arrived."""
    runs = [
        {"at": 1 + 80 * each, "starts_after": 0, "seconds": 60, "users": ["bob"]} for each in range(number)
    ]
    return cloud_of("mrs", seconds=30, foreign_runs=runs)


@BOTH_WAYS
@pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
def test_a_start_that_never_arrived_is_not_blamed_on_our_names(start_world, deferrable, store) -> None:
    world, life = start_world(**_strangers(1)), Life(0)
    _lost(world, 1)
    result = world.run(task_of("mrs", deferrable=deferrable), context(world, life, store=store))
    assert world.starts == 1
    assert result["request_id"]


@BOTH_WAYS
@pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
def test_a_start_is_repeated_once(start_world, deferrable, store) -> None:
    """Whatever is started, a run that is not ours fails at the same time."""
    world, life = start_world(**cloud_of("mrs", outcome="failed")), Life(0)
    world.emulator.faults([{"match": START, "times": None, "when": "after", "reset": True}])
    with pytest.raises(SyncFailed, match="alice"):
        world.run(task_of("mrs", deferrable=deferrable), context(world, life, store=store))
    assert world.starts == 2


def test_a_start_is_repeated_once_in_a_chain_of_retries_and_again_after_a_clear(start_world) -> None:
    world, life = start_world(**cloud_of("mrs", outcome="failed")), Life(2)
    world.emulator.faults([{"match": START, "times": None, "when": "after", "reset": True}])
    starts = []
    for step in ("", "retry", "retry", "clear", "retry"):
        life.do(*([step] if step else []))
        with pytest.raises(SyncFailed, match="alice"):
            world.run(task_of("mrs"), context(world, life))
        starts.append(world.starts)
    assert starts == [2, 3, 4, 6, 7]


@BOTH_WAYS
def test_a_stranger_s_run_that_a_retry_took_for_its_own_is_followed_by_ours(start_world, deferrable) -> None:
    """The first try died after it had stored its ticket and before it sent the start."""
    world, life = start_world(**_strangers(1)), Life(1)
    kill_at(world, 1)
    _lost(world, 1)
    with pytest.raises(Killed):
        world.run(task_of("mrs"), context(world, life))
    life.retry()
    world.run(task_of("mrs", deferrable=deferrable), context(world, life))
    assert world.starts == 1


def test_a_wait_for_our_second_start_survives_a_kill(start_world) -> None:
    """Queued behind another run: the next try knows that the start is the second one."""
    world, life = start_world(**_strangers(2)), Life(2)
    _lost(world, 1)
    with pytest.raises(WaitTimedOut):
        world.run(task_of("mrs", timeout=100), context(world, life))
    assert kept(world)["ticket"]["restarted"] is True
    life.retry()
    world.run(task_of("mrs"), context(world, life))
    assert world.starts == 1


# --- an event that is delivered twice ---------------------------------------------------------------------------------

FOREIGN = {"at": 0, "starts_after": 0, "seconds": 40}


def _queued(start_world: Any, service: str, **more: Any) -> tuple[Any, Life, Any, Any]:
    """A task that waited for another's run, and the event that says that its turn has come."""
    world, life = start_world(**cloud_of(service, foreign_runs=[FOREIGN])), Life(2)

    def make() -> Any:
        return task_of(service, deferrable=True, retries=2, **more)

    event = world.fire(defer(lambda: make().execute(context(world, life))))
    assert event["phase"] == "succeeded"
    assert event["ticket"]["stage"] == "queued"
    return world, life, make, event


@pytest.mark.parametrize("service", SHOWN)
@pytest.mark.parametrize("later", [0, 600], ids=["it goes on", "it has ended"])
def test_an_event_that_comes_twice_starts_once(start_world, service, later) -> None:
    world, life, make, event = _queued(start_world, service)
    defer(lambda: make().execute_complete(context(world, life), event=event))
    assert world.starts == 1
    world.emulator.advance(later)
    if later:
        make().execute_complete(context(world, life), event=event)
    else:
        deferral = defer(lambda: make().execute_complete(context(world, life), event=event))
        end(world, life, deferral, make)
    assert world.starts == 1


@pytest.mark.parametrize("service", SHOWN)
@pytest.mark.parametrize("write", [0, 1], ids=["before the ticket is stored", "before its reply is stored"])
def test_an_event_that_comes_again_after_a_kill_starts_once(start_world, service, write) -> None:
    world, life, make, event = _queued(start_world, service)
    kill_at(world, write)
    with pytest.raises(Killed):
        make().execute_complete(context(world, life), event=event)
    assert world.starts == write
    deferral = defer(lambda: make().execute_complete(context(world, life), event=event))
    end(world, life, deferral, make)
    assert world.starts == 1


@pytest.mark.parametrize("service", SHOWN)
def test_an_event_that_comes_again_after_the_end_starts_nothing(start_world, service) -> None:
    world, life, make, event = _queued(start_world, service, wait_for_completion=False)
    first = make().execute_complete(context(world, life), event=event)
    assert make().execute_complete(context(world, life), event=event)["request_id"] == first["request_id"]
    assert world.starts == 1


def test_an_event_of_a_part_that_comes_twice_starts_the_next_part_once(start_world, monkeypatch) -> None:
    monkeypatch.setattr(iam_sync, "NAMES_PER_REQUEST", 1)
    world, life = start_world(**cloud_of("mrs")), Life(2)

    def make() -> Any:
        return task_of("mrs", deferrable=True, user_names=["alice", "bob", "carol"])

    deferral = defer(lambda: make().execute(context(world, life)))
    for starts in (2, 3):
        event = world.fire(deferral)
        defer(lambda: make().execute_complete(context(world, life), event=event))  # noqa: B023
        assert world.starts == starts
        deferral = defer(lambda: make().execute_complete(context(world, life), event=event))  # noqa: B023
        assert world.starts == starts
    end(world, life, deferral, make)
    assert world.starts == 3


def test_an_event_of_another_s_failure_that_comes_twice_starts_ours_once(start_world) -> None:
    world, life = start_world(**_strangers(1)), Life(2)
    _lost(world, 1)

    def make() -> Any:
        return task_of("mrs", deferrable=True)

    event = world.fire(defer(lambda: make().execute(context(world, life))))
    assert event["phase"] == "failed"
    defer(lambda: make().execute_complete(context(world, life), event=event))
    deferral = defer(lambda: make().execute_complete(context(world, life), event=event))
    assert world.starts == 1
    end(world, life, deferral, make)
    assert world.starts == 1


def test_an_event_of_a_failure_that_comes_twice_starts_nothing(start_world) -> None:
    world, life = start_world(**cloud_of("mrs", outcome="failed")), Life(2)
    event = world.fire(defer(lambda: task_of("mrs", deferrable=True).execute(context(world, life))))
    for _ in range(2):
        with pytest.raises(SyncFailed, match="alice"):
            task_of("mrs", deferrable=True).execute_complete(context(world, life), event=event)
    assert world.starts == 1


@pytest.mark.parametrize("stored", ["nothing", "a ticket of another try", "a ticket of 0.1.0", "not json"])
def test_an_event_counts_where_this_try_stored_nothing_else(start_world, stored) -> None:
    """As when an older release deferred the task: it stored nothing for a wait in the queue."""
    world, life, make, event = _queued(start_world, "mrs")
    left = kept(world)
    if stored == "nothing":
        world.store.clear()
    elif stored == "not json":
        world.store[TICKET_KEY] = stored
    else:
        left["ticket"] |= {"stage": "started", "started_at": world.began - 600}
        left["try"]["try_number"] += 1
        if stored == "a ticket of 0.1.0":
            del left["try"]
        world.store[TICKET_KEY] = json.dumps(left)
    end(world, life, defer(lambda: make().execute_complete(context(world, life), event=event)), make)
    assert world.starts == 1


# --- a target that is not found ---------------------------------------------------------------------------------------


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether the service says that the target is not there, which `judge` tells apart from a failed run."""
    state = {"now": False}
    judge = iam_sync.IamSync.judge

    def judge_or_gone(self: Any, ticket: Any, seen: Any, now: float) -> Progress:
        if state["now"]:
            return Progress(Phase.FAILED, "There is no such cluster.", absent=True)
        return judge(self, ticket, seen, now)

    monkeypatch.setattr(iam_sync.IamSync, "judge", judge_or_gone)
    return state


@BOTH_WAYS
@pytest.mark.parametrize("later", [0, 600], ids=["it goes on", "it has ended"])
def test_a_target_that_is_not_found_keeps_the_ticket(start_world, gone, deferrable, later) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(5)
    with pytest.raises(WaitTimedOut):
        world.run(task_of("mrs", timeout=20), context(world, life))
    gone["now"] = True
    for _ in range(2):  # found absent by the retry, and by the retry of that
        life.retry()
        with pytest.raises(SyncFailed, match="no such cluster"):
            world.run(task_of("mrs", deferrable=deferrable), context(world, life))
        assert kept(world)["ticket"]["stage"] == "started"
    gone["now"] = False
    world.emulator.advance(later)
    life.retry()
    world.run(task_of("mrs", deferrable=deferrable), context(world, life))
    assert world.starts == 1


@BOTH_WAYS
def test_a_target_that_goes_away_during_the_wait_keeps_the_ticket(start_world, gone, deferrable) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(5)
    task = task_of("mrs", deferrable=deferrable)
    world.before_each_reply(lambda operation: gone.update(now=world.starts == 1))
    with pytest.raises(SyncFailed, match="no such cluster"):
        world.run(task, context(world, life))
    assert kept(world)["ticket"]["stage"] == "started"
    world.before_each_reply(lambda operation: gone.update(now=False))
    gone["now"] = False
    life.retry()
    world.run(task_of("mrs", deferrable=deferrable), context(world, life))
    assert world.starts == 1


def test_a_cleared_task_does_not_ask_a_target_that_was_not_found(start_world, gone) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(5)
    with pytest.raises(WaitTimedOut):
        world.run(task_of("mrs", timeout=20), context(world, life))
    gone["now"] = True
    life.clear()
    with pytest.raises(SyncFailed, match="no such cluster"):
        world.run(task_of("mrs"), context(world, life))
    assert world.starts == 2  # it was cleared, and the cluster takes starts


@pytest.mark.parametrize("absent", [True, False, None, "yes", 1], ids=str)
def test_a_report_carries_what_was_not_found(absent) -> None:
    event = Report({}, 1.0, 1, Progress(Phase.FAILED, "gone", absent=True)).to_json()
    assert event["absent"] is True
    event["absent"] = absent
    assert Report.from_json(event).ended.absent is (absent is True)
    del event["absent"]
    assert Report.from_json(event).ended.absent is False


# --- errors, and a store that fails -----------------------------------------------------------------------------------

LOOK = {"operation": "ListClusterSyncTaskStatus"}


@BOTH_WAYS
@pytest.mark.parametrize("when", ["in the wait", "when it is taken up"])
def test_an_error_keeps_the_ticket(start_world, deferrable, when) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(5)
    refused = {"match": LOOK, "times": None, "status": 403}
    timeout = 20 if when == "when it is taken up" else 600
    world.before_each_reply(
        lambda operation: (
            world.emulator.faults([refused]) if operation == "UpdateSyncIamUser" and timeout == 600 else None
        )
    )
    with pytest.raises((ApiError, WaitTimedOut)):
        world.run(task_of("mrs", deferrable=deferrable, timeout=timeout), context(world, life))
    world.emulator.faults([refused])
    life.retry()
    with pytest.raises(ApiError):
        world.run(task_of("mrs", deferrable=deferrable), context(world, life))
    assert kept(world)["ticket"]["stage"] == "started"
    world.emulator.disarm()
    life.retry()
    world.run(task_of("mrs", deferrable=deferrable), context(world, life))
    assert world.starts == 1


class Unavailable(Exception):
    """As Airflow raises it when its API server does not answer."""


def fail_write(world: Any, number: int) -> None:
    write, writes = world.store.set, []

    def failing(key: str, value: str, **more: Any) -> None:
        writes.append(value)
        if len(writes) == number + 1:
            raise Unavailable("the store")
        write(key, value, **more)

    world.store.set = failing


@EACH
@pytest.mark.parametrize(
    ("number", "raises", "starts"),
    [
        pytest.param(0, Unavailable, 0, id="before the start: nothing is started"),
        pytest.param(1, Unavailable, 1, id="after the start: the next try looks"),
        pytest.param(2, None, 1, id="at the end: it is done"),
    ],
)
def test_a_store_that_can_not_be_written(start_world, service, number, raises, starts) -> None:
    world, life = start_world(**cloud_of(service, seconds=20)), Life(2)
    fail_write(world, number)
    with contextlib.nullcontext() if raises is None else pytest.raises(raises):
        world.run(task_of(service), context(world, life))
    assert world.starts == starts
    del world.store.set
    life.retry()
    world.run(task_of(service), context(world, life))
    # HSS shows no run, so a start that could not be noted is made again.
    assert world.starts == (2 if service == "hss" and number == 1 else 1)


def test_a_failure_is_told_also_if_it_can_not_be_stored(start_world) -> None:
    world, life = start_world(**cloud_of("mrs", outcome=["failed", "succeeded"])), Life(2)
    fail_write(world, 2)
    with pytest.raises(SyncFailed, match="alice"):
        world.run(task_of("mrs"), context(world, life))
    del world.store.set
    life.retry()
    world.run(task_of("mrs"), context(world, life))
    assert world.starts == 2


def _unreadable(key: str, default: Any = None) -> Any:
    raise Unavailable("the store")


def test_a_store_that_can_not_be_read_starts_nothing(start_world) -> None:
    world, life = start_world(**cloud_of("mrs")), Life(2)
    world.store.get = _unreadable
    with pytest.raises(Unavailable):
        world.run(task_of("mrs"), context(world, life))
    assert world.starts == 0


def test_a_store_that_can_not_be_read_after_a_wait(start_world) -> None:
    """What leads to a start needs it; what has ended does not."""
    world, life, make, event = _queued(start_world, "mrs")
    world.store.get = _unreadable
    with pytest.raises(Unavailable):
        make().execute_complete(context(world, life), event=event)
    assert world.starts == 0
    del world.store.get
    deferral = defer(lambda: make().execute_complete(context(world, life), event=event))
    world.store.get = _unreadable
    end(world, life, deferral, make)
    assert world.starts == 1
