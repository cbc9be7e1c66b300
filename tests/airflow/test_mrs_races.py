"""MRS in orders of events in which a simpler judgement goes wrong: green too early, or two starts."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    InvalidParameter,
    SyncFailed,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
START = {"operation": "UpdateSyncIamUser"}
FLAG = {"operation": "ListClusterSyncTaskStatus"}
THROTTLE = {"throttle": {"limit": 60, "window": "1 minute"}}
UP = {"raw": '{"is_synchronizing": true}'}


def sync(deferrable: bool = False, **arguments) -> MrsSyncIamUsersOperator:
    return MrsSyncIamUsersOperator(
        **{
            "task_id": "sync",
            "cluster_id": "c",
            "user_names": ["alice"],
            "deferrable": deferrable,
            **arguments,
        }
    )


def cluster(world) -> dict:
    return world.emulator.state()["mrs"]["clusters"]["c"]


def until(world, seconds: float) -> None:
    """Let the time come that is so long after the beginning."""
    world.emulator.advance(world.began + seconds - world.emulator.clock.now())


@pytest.fixture
def many(start_world):
    """A cluster, and 1,500 users to bring into it in two parts."""
    names = [f"user{number}" for number in range(1500)]

    def start(**fields):
        account = {"iam_users": {name: {"groups": []} for name in names}}
        return start_world({"c": {"seconds": 100, **fields}}, account=account), names

    return start


@BOTH_WAYS
@pytest.mark.parametrize("there_before", [[], ["alice"]], ids=["new names", "known names"])
def test_a_look_that_takes_long_is_judged_by_when_it_began(start_world, deferrable, there_before) -> None:
    """The flag is read before the run is up, and the rest of the look ends long after the settle time."""
    world = start_world({"c": {"starts_after": 9, "seconds": 60, "synced_users": there_before}})
    world.before_each_reply(
        lambda operation: world.emulator.advance(15 * (operation == "ShowClusterDetails"))
    )
    world.run(sync(deferrable))
    assert world.starts == 1
    assert cluster(world)["is_synchronizing"] is False
    assert cluster(world)["user_names"] == ["alice"]


REFUSALS = {
    "403": {"status": 403, "body": {"error_code": "APIGW.0302"}},
    "400": {"status": 400, "body": {"error_code": "12000002"}},
    "busy until the time is up": {"status": 400, "body": {"error_code": "12000012"}},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_start_that_was_refused_is_not_found_again(start_world, refusal) -> None:
    """A stranger's run is up when the next try looks; it must not be taken for ours."""
    foreign = {"at": 100, "starts_after": 0, "seconds": 60, "users": ["bob"]}
    world = start_world({"c": {"synced_users": ["alice"], "foreign_runs": [foreign]}})
    world.emulator.faults([{"match": START, "times": None, **refusal}])
    with pytest.raises(CloudSyncError):
        world.run(sync(timeout=50), world.context(store=True))
    world.emulator.disarm()
    until(world, 110)
    world.run(sync(), world.context(2, store=True))
    assert world.starts == 1


def test_without_a_store_a_retry_that_is_to_fail_takes_no_stranger_s_run(start_world) -> None:
    foreign = {"at": 0, "starts_after": 0, "seconds": 200, "users": ["bob"]}
    world = start_world({"c": {"foreign_runs": [foreign]}})
    for try_number in (1, 2):
        with pytest.raises(SyncFailed, match="another run is active"):
            world.run(sync(if_running="fail"), world.context(try_number))
    assert world.starts == 0


def test_without_a_store_a_retry_that_does_not_wait_takes_no_stranger_s_run(start_world) -> None:
    foreign = {"at": 0, "starts_after": 0, "seconds": 200, "users": ["bob"]}
    world = start_world({"c": {"foreign_runs": [foreign]}})
    with pytest.raises(WaitTimedOut):
        world.run(sync(wait_for_completion=False, timeout=50), world.context(1))
    result = world.run(sync(wait_for_completion=False), world.context(2))
    assert world.starts == 1
    assert result["request_id"]


def test_without_a_store_a_cleared_task_starts_anew(start_world) -> None:
    """Airflow gives a cleared task all its retries again, which tells a clear from a retry."""
    foreign = {"at": 100, "starts_after": 0, "seconds": 60, "users": ["bob"]}
    world = start_world({"c": {"foreign_runs": [foreign]}})
    world.run(sync(retries=2), world.context(1, max_tries=2))
    until(world, 110)
    world.run(sync(retries=2), world.context(2, max_tries=3))
    assert world.starts == 2


def test_names_that_were_added_since_are_not_forgotten(many) -> None:
    world, names = many()
    with pytest.raises(WaitTimedOut):
        world.run(sync(user_names=names[:1000], timeout=30), world.context(store=True))
    world.run(sync(user_names=names), world.context(2, store=True))
    assert "user1400" in cluster(world)["user_names"]


def test_names_that_were_changed_before_the_part_under_way_are_not_forgotten(many) -> None:
    world, names = many()
    with pytest.raises(WaitTimedOut):
        world.run(sync(user_names=names[:1200], timeout=150), world.context(store=True))
    changed = [*names[200:1000], *names[1300:1500], *names[1000:1200]]
    world.run(sync(user_names=changed), world.context(2, store=True))
    assert set(changed) <= set(cluster(world)["user_names"])


@pytest.mark.parametrize("how", ["timed out", "failed"])
def test_parts_that_are_done_are_not_started_again(many, how) -> None:
    world, names = many(outcome=["succeeded", "failed" if how == "failed" else "succeeded", "succeeded"])
    timeout = 150 if how == "timed out" else 3600
    with pytest.raises((WaitTimedOut, SyncFailed)):
        world.run(sync(user_names=names, timeout=timeout), world.context(store=True))
    world.run(sync(user_names=names), world.context(2, store=True))
    sent = [len(entry["body"]["user_names"]) for entry in world.calls("UpdateSyncIamUser")]
    assert sent == ([1000, 500] if how == "timed out" else [1000, 500, 500])


def test_the_hook_waits_between_parts_even_if_a_start_is_throttled(many) -> None:
    world, names = many(starts_after=8, seconds=30)
    world.emulator.faults([{"match": START, "times": 1, **THROTTLE}])
    assert MrsHook().sync_iam_users("c", user_names=names) == {"state": "synchronizing"}
    assert world.starts == 2


def test_a_lost_start_is_looked_for_as_long_as_the_user_says(start_world) -> None:
    world = start_world({"c": {"starts_after": 30, "seconds": 30, "synced_users": ["alice"]}})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    world.run(sync(settle_time=60))
    assert world.starts == 1


def test_a_start_that_may_have_run_unseen_is_not_sent_again(start_world) -> None:
    """The names were there before, and the reply was lost only when the run could have ended."""
    world = start_world({"c": {"starts_after": 1, "seconds": 20, "synced_users": ["alice"]}})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    world.before_each_reply(lambda operation: world.emulator.advance(60 * (operation == "UpdateSyncIamUser")))
    with pytest.raises(TransportError):
        world.run(sync(), world.context(store=True))
    assert len(world.calls("UpdateSyncIamUser")) == 1


@BOTH_WAYS
def test_a_stranger_s_run_during_a_throttled_start_is_not_taken_for_ours(start_world, deferrable) -> None:
    foreign = {"at": 5, "starts_after": 0, "seconds": 20, "users": ["alice"]}
    world = start_world({"c": {"starts_after": 8, "seconds": 30, "foreign_runs": [foreign]}})
    world.emulator.faults([{"match": START, "times": 1, **THROTTLE}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert cluster(world)["is_synchronizing"] is False
    assert len(cluster(world)["runs"]) == 2


@pytest.mark.parametrize(("try_number", "store"), [(1, False), (2, False), (2, True)])
def test_a_throttle_without_end_is_ended_by_the_deadline(start_world, try_number, store) -> None:
    world = start_world({"c": {}})
    world.emulator.faults([{"match": {"service": "mrs"}, "times": None, "retry_after": 600, **THROTTLE}])
    with pytest.raises(WaitTimedOut, match="429"):
        world.run(sync(timeout=60), world.context(try_number, store=store))
    assert world.emulator.clock.now() - world.began <= 60


def test_a_throttled_poke_gives_the_worker_back_at_once(start_world) -> None:
    world = start_world({"c": {}})
    world.emulator.faults([{"match": {"service": "mrs"}, "times": None, "retry_after": 600, **THROTTLE}])
    sensor = MrsIamSyncSensor(task_id="t", cluster_id="c", user_names=["alice"], mode="reschedule")
    assert sensor.poke(world.context()) is False
    assert world.emulator.clock.now() == world.began


def test_a_flag_that_flaps_is_not_asked_without_end(start_world) -> None:
    """Two nodes of the service disagree: now and then an answer says that a run is up."""
    world = start_world({"c": {}})
    world.emulator.faults([{"match": FLAG, "skip": 3 * number, "times": 1, **UP} for number in range(400)])
    with pytest.raises(CloudSyncError):
        world.run(sync(timeout=120))
    assert len(world.calls("ListClusterSyncTaskStatus")) < 300


def test_another_settle_time_is_no_other_sync(start_world) -> None:
    world = start_world({"c": {"seconds": 100}})
    with pytest.raises(WaitTimedOut):
        world.run(sync(timeout=30), world.context(store=True))
    world.run(sync(settle_time=20), world.context(2, store=True))
    assert world.starts == 1


@BOTH_WAYS
def test_a_cluster_that_is_gone_while_its_flag_is_up(start_world, deferrable) -> None:
    world = start_world({"c": {"state": "terminated"}})
    world.emulator.faults([{"match": FLAG, "times": None, **UP}])
    with pytest.raises(SyncFailed, match="terminated"):
        world.run(sync(deferrable))
    assert world.starts == 0


@pytest.mark.parametrize(
    ("operation", "reply"),
    [
        ("ShowClusterDetails", '{"cluster": {}}'),
        ("ShowSyncIamUser", '{"user_names": "alice", "group_names": []}'),
        ("ShowSyncIamUser", '{"user_names": [{"a": 1}]}'),
        ("ShowSyncIamUser", "{}"),
        ("ListClusterSyncStatus", '{"is_synchronous": 1}'),
    ],
)
def test_a_reply_that_says_nothing_is_no_reply(start_world, operation, reply) -> None:
    world = start_world({"c": {}})
    world.emulator.faults([{"match": {"operation": operation}, "raw": reply, "times": None}])
    # Only a full sync asks for that status.
    full = {"user_names": NOT_GIVEN, "sync_all": True} if operation == "ListClusterSyncStatus" else {}
    with pytest.raises(WaitTimedOut, match="no poll succeeded"):
        world.run(sync(timeout=60, **full))
    assert world.starts == 0


def test_a_killed_task_says_what_goes_on_only_if_it_started_something(start_world, caplog) -> None:
    world = start_world(
        {"c": {"outcome": "never_ends", "foreign_runs": [{"at": 0, "starts_after": 0, "seconds": 60}]}}
    )
    queued, started = sync(timeout=20), sync(timeout=200)
    for task in (queued, started):
        with pytest.raises(WaitTimedOut):
            world.run(task)
    said = []
    for task in (queued, started):
        task.log.warning = lambda text, *values: said.append(text % values)
        task.on_kill()
        task.__dict__.pop("log", None)
    assert len(said) == 1
    assert "IAM user sync of MRS cluster c continues in the cloud, because no API stops it" in said[0]
    assert "the operation log of the cluster in the MRS console" in said[0]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"cluster_id": "../x"}, id="cluster_id"),
        pytest.param({"user_names": NOT_GIVEN}, id="nothing to sync"),
        pytest.param({"sync_all": True}, id="both"),
    ],
)
def test_what_can_never_be_is_refused_when_the_dag_is_parsed(arguments) -> None:
    with pytest.raises(InvalidParameter):
        sync(**arguments)


def test_templates_are_left_for_later() -> None:
    sync(cluster_id="{{ params.cluster_id }}", user_names="{{ params.names }}")


def test_cleared_parts_that_were_undone_are_done_anew(many) -> None:
    world, names = many(outcome=["succeeded", "failed", "succeeded", "succeeded"])
    with pytest.raises(SyncFailed):
        world.run(sync(user_names=names), world.context(1, store=True))
    world.run(sync(user_names=names), world.context(2, store=True, max_tries=1))
    sent = [len(entry["body"]["user_names"]) for entry in world.calls("UpdateSyncIamUser")]
    assert sent == [1000, 500, 1000, 500]


def test_starts_that_were_never_taken_leave_nothing_to_be_found(start_world) -> None:
    foreign = {"at": 400, "starts_after": 0, "seconds": 60, "users": ["bob"]}
    world = start_world({"c": {"synced_users": ["alice"], "foreign_runs": [foreign]}})
    world.emulator.faults([{"match": START, "times": 5, "status": 503}])
    with pytest.raises(CloudSyncError):
        world.run(sync(), world.context(1, store=True))
    until(world, 410)
    world.run(sync(), world.context(2, store=True))
    assert world.starts == 1


def test_a_run_that_could_hide_between_two_looks_is_not_doubled(start_world) -> None:
    world = start_world({"c": {"starts_after": 1, "seconds": 20, "synced_users": ["alice"]}})
    world.emulator.faults(
        [
            {"match": START, "when": "after", "status": 503},
            {"match": FLAG, "skip": 2, "times": 1, **THROTTLE},
        ]
    )
    with pytest.raises(CloudSyncError):
        world.run(sync(), world.context(1, store=True))
    assert world.starts == 1


@pytest.mark.parametrize("starts_after", [11, 12, 14])
@pytest.mark.parametrize("there_before", [[], ["alice"]], ids=["new names", "known names"])
def test_a_lost_start_that_comes_up_late_is_still_ours(start_world, starts_after, there_before) -> None:
    world = start_world({"c": {"starts_after": starts_after, "seconds": 30, "synced_users": there_before}})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    world.run(sync())
    assert world.starts == 1


@pytest.mark.parametrize(("timeout", "settle"), [(60, 600), (30, 60)])
def test_the_search_for_a_lost_start_ends_with_the_deadline(start_world, timeout, settle) -> None:
    world = start_world({"c": {}})
    world.emulator.faults([{"match": START, "times": None, "status": 503}])
    with pytest.raises(WaitTimedOut, match="503"):
        world.run(sync(timeout=timeout, settle_time=settle))
    assert world.emulator.clock.now() - world.began <= timeout + 1


def test_a_run_that_a_retry_has_seen_is_known_to_the_next(start_world) -> None:
    world = start_world({"c": {"starts_after": 0, "seconds": 60, "synced_users": ["alice"]}})

    class Killed(BaseException):
        pass

    class Dying(type(world.store)):
        def set(self, key, value, **_):
            if '"started"' in value:
                raise Killed
            super().set(key, value)

    plain, world.store = world.store, Dying()
    with pytest.raises(Killed):
        world.run(sync(), world.context(1, store=True))
    plain.update(world.store)
    world.store = plain
    with pytest.raises(WaitTimedOut):
        world.run(sync(timeout=10), world.context(2, store=True))
    until(world, 300)
    world.run(sync(), world.context(3, store=True))
    assert world.starts == 1


def test_a_stranger_s_run_that_was_adopted_and_brings_nothing_is_followed_by_ours(start_world) -> None:
    foreign = {"at": 0, "starts_after": 0, "seconds": 60, "users": ["bob"]}
    world = start_world({"c": {"foreign_runs": [foreign]}})
    result = world.run(sync(retries=1), world.context(2, max_tries=1))
    assert world.starts == 1
    assert result["request_id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "watching"},
        {"started_at": "nan"},
        {"started_at": 1e18},
        {"stage": "starting", "baseline": {"missing_users": None}},
        {"stage": "starting", "baseline": {}},
    ],
    ids=str,
)
def test_an_odd_ticket_in_the_store_does_no_harm(start_world, changes) -> None:
    world = start_world({"c": {"seconds": 100}})
    with pytest.raises(WaitTimedOut):
        world.run(sync(timeout=30), world.context(1, store=True))
    until(world, 300)
    kept = json.loads(world.store["cloudsync_ticket"])
    kept["ticket"].update(changes)
    world.store["cloudsync_ticket"] = json.dumps(kept)
    world.run(sync(), world.context(2, store=True))
    assert world.starts >= 1
