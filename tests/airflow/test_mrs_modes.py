"""MRS synchronizations, waited for in the worker and in the triggerer: the same verdicts, and one start each."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.triggers.sync import SyncTrigger

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])


def sync(deferrable: bool, **arguments) -> MrsSyncIamUsersOperator:
    wanted = {} if arguments.get("sync_all") else {"user_names": ["alice"]}
    return MrsSyncIamUsersOperator(
        task_id="sync", **{"cluster_id": "c", **wanted, "deferrable": deferrable, **arguments}
    )


SCENARIOS = [
    # id, cluster, arguments of the operator, error, words of the message, starts
    ("plain", {}, {}, None, [], 1),
    ("flag false for long after the start", {"starts_after": 9, "seconds": 30}, {}, None, [], 1),
    ("names there before", {"synced_users": ["alice"], "starts_after": 8}, {}, None, [], 1),
    ("over within the settle time", {"starts_after": 1, "seconds": 1}, {}, None, [], 1),
    (
        "fails within the settle time",
        {"starts_after": 0, "seconds": 1, "outcome": "failed"},
        {},
        SyncFailed,
        ["alice"],
        1,
    ),
    (
        "one requested name missing",
        {"outcome": {"result": "partial", "missing": ["bob"]}},
        {"user_names": ["alice", "bob"]},
        SyncFailed,
        ['user "bob"', "operation log"],
        1,
    ),
    ("a name that IAM has not", {}, {"user_names": ["alice", "nobody"]}, SyncFailed, ['"nobody"'], 1),
    ("nothing comes", {"outcome": "failed"}, {}, SyncFailed, ['"alice"'], 1),
    ("full sync", {}, {"sync_all": True}, None, [], 1),
    (
        "full sync, not in line",
        {"outcome": "failed"},
        {"sync_all": True},
        SyncFailed,
        ["not in sync with IAM"],
        1,
    ),
    (
        "full sync, in line of an earlier one",
        {"is_synchronous": True, "outcome": "failed"},
        {"sync_all": True},
        SyncFailed,
        ["not in sync with IAM"],
        1,
    ),
    (
        "another runs first",
        {"foreign_runs": [{"at": 0, "starts_after": 0, "seconds": 40, "users": ["bob"]}]},
        {},
        None,
        [],
        1,
    ),
    (
        "another runs first, and fail was asked for",
        {"foreign_runs": [{"at": 0, "starts_after": 0, "seconds": 40, "users": ["bob"]}]},
        {"if_running": "fail"},
        SyncFailed,
        ["another run is active"],
        0,
    ),
    (
        "another was accepted but is not up: the start is refused as busy",
        {"foreign_runs": [{"at": 0, "starts_after": 5, "seconds": 40, "users": ["bob"]}]},
        {},
        None,
        [],
        1,
    ),
    (
        "never ends",
        {"outcome": "never_ends"},
        {"timeout": 600},
        WaitTimedOut,
        ["is running", "A run in the cloud continues"],
        1,
    ),
    (
        "another never ends",
        {"foreign_runs": [{"at": 0, "starts_after": 0, "seconds": 90000}]},
        {"timeout": 600},
        WaitTimedOut,
        ["This one starts when"],
        0,
    ),
    ("unknown cluster", {}, {"cluster_id": "nope"}, SyncFailed, ["MRS cluster nope not found"], 0),
    ("terminated cluster", {"state": "terminated"}, {}, SyncFailed, ["c is terminated"], 0),
    ("terminates meanwhile", {"seconds": 60, "terminates_at": 30}, {}, SyncFailed, ["c is terminated"], 1),
]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("cluster", "arguments", "error", "words", "starts"),
    [case[1:] for case in SCENARIOS],
    ids=[case[0] for case in SCENARIOS],
)
def test_verdict(start_world, deferrable, cluster, arguments, error, words, starts) -> None:
    world = start_world({"c": {"starts_after": 2, "seconds": 20, **cluster}})
    task = sync(deferrable, **arguments)
    if error is None:
        result = world.run(task)
        assert result["cluster_id"] == "c"
        assert result["request_id"] == world.calls("UpdateSyncIamUser")[-1]["request_id"]
        assert result["started_at"] < result["ended_at"]
        assert len(json.dumps(result)) < 400
        has = world.emulator.state()["mrs"]["clusters"]["c"]
        assert has["is_synchronizing"] is False
    else:
        with pytest.raises(error) as raised:
            world.run(task)
        for word in words:
            assert word in str(raised.value)
    assert world.starts == starts
    assert bool(world.deferrals) is (deferrable and bool(starts or error is WaitTimedOut))


@BOTH_WAYS
def test_a_deadline_is_kept_to_one_poll(start_world, deferrable) -> None:
    world = start_world({"c": {"outcome": "never_ends"}})
    began = world.emulator.clock.now()
    with pytest.raises(WaitTimedOut):
        world.run(sync(deferrable, timeout=600))
    assert 600 <= world.emulator.clock.now() - began < 605


@BOTH_WAYS
def test_execution_timeout_is_a_deadline_too(start_world, deferrable) -> None:
    world = start_world({"c": {"outcome": "never_ends"}})
    began = world.emulator.clock.now()
    with pytest.raises(WaitTimedOut):
        world.run(sync(deferrable, timeout=3600, execution_timeout=timedelta(seconds=300)))
    assert 290 <= world.emulator.clock.now() - began < 300


@pytest.mark.parametrize(
    "make",
    [
        lambda **limits: sync(True, **limits),
        lambda **limits: MrsIamSyncSensor(
            task_id="wait", cluster_id="c", user_names=["alice"], deferrable=True, **limits
        ),
    ],
    ids=["operator", "sensor"],
)
def test_a_deferred_execution_timeout_runs_from_the_start_of_the_try(start_world, make) -> None:
    """So does Airflow 2.11's, and loading a DAG file may take long."""
    world = start_world({"c": {"outcome": "never_ends"}})
    context = world.context()
    world.emulator.advance(60)
    task = make(timeout=3600, execution_timeout=timedelta(seconds=300))
    with pytest.raises((WaitTimedOut, AirflowSensorTimeout)):
        world.run(task, context)
    assert 290 <= world.emulator.clock.now() - context["ti"].start_date.timestamp() < 300


def test_no_look_sooner_than_airflow_bears_after_a_deferral(start_world) -> None:
    world = start_world({"c": {"starts_after": 1, "seconds": 1}})
    world.run(sync(True))
    (deferral,) = world.deferrals
    looks = [entry["time"] for entry in world.calls("ListClusterSyncTaskStatus")]
    started = world.calls("UpdateSyncIamUser")[0]["time"]
    assert min(time for time in looks if time > started) >= started + 6
    assert deferral.timeout.total_seconds() > 3600


@BOTH_WAYS
def test_without_waiting_it_is_green_when_accepted(start_world, deferrable) -> None:
    world = start_world({"c": {"outcome": "never_ends"}})
    result = world.run(sync(deferrable, wait_for_completion=False))
    assert result["ended_at"] is None
    assert world.starts == 1
    assert not world.deferrals


@BOTH_WAYS
def test_many_names_are_several_runs_one_after_the_other(start_world, deferrable) -> None:
    names = [f"user{number}" for number in range(2100)]
    account = {"iam_users": {name: {"groups": []} for name in names}}
    world = start_world({"c": {"starts_after": 2, "seconds": 20}}, account=account)
    result = world.run(sync(deferrable, user_names=names))
    assert result["users"] == 2100
    sent = [len(entry["body"]["user_names"]) for entry in world.calls("UpdateSyncIamUser")]
    assert sent == [1000, 1000, 100]
    assert world.starts == 3


@BOTH_WAYS
def test_the_second_of_several_runs_fails(start_world, deferrable) -> None:
    names = [f"user{number}" for number in range(1500)]
    account = {"iam_users": {name: {"groups": []} for name in names}}
    world = start_world({"c": {"outcome": ["succeeded", "failed"]}}, account=account)
    with pytest.raises(SyncFailed, match="user1000"):
        world.run(sync(deferrable, user_names=names))
    assert world.starts == 2


PARAMETERS = [
    ("empty id", {"cluster_id": ""}, "cluster_id"),
    ("path trick", {"cluster_id": "../../v2/x"}, "cluster_id"),
    ("query trick", {"cluster_id": "c?x=1"}, "cluster_id"),
    ("line break", {"cluster_id": "c\r\nX-Evil: 1"}, "cluster_id"),
    ("too long", {"cluster_id": "c" * 65}, "cluster_id"),
    ("not text", {"cluster_id": 7.5}, "cluster_id"),
    ("a flag", {"cluster_id": True}, "cluster_id"),
    ("nothing to sync", {"user_names": None}, "user_names is None"),
    ("empty lists", {"user_names": [], "group_names": []}, "sync_all"),
    ("both at once", {"sync_all": True, "user_names": ["alice"]}, "contradict"),
    ("names as text", {"user_names": "alice"}, "list of names"),
    ("a blank name", {"user_names": ["alice", " "]}, "user_names"),
    ("a name with a line break", {"group_names": ["a\nb"]}, "group_names"),
    ("region with a slash", {"region": "cn/north"}, "region"),
]


@pytest.mark.parametrize(
    ("arguments", "word"), [case[1:] for case in PARAMETERS], ids=[case[0] for case in PARAMETERS]
)
def test_bad_input_is_refused_before_anything_is_sent(start_world, arguments, word) -> None:
    world = start_world({"c": {}})
    with pytest.raises((InvalidParameter, InvalidConnection), match=word):
        world.run(sync(False, **arguments))
    assert world.calls() == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"timeout": 0}, id="timeout"),
        pytest.param({"timeout": "1h"}, id="timeout text"),
        pytest.param({"poll_interval": -1}, id="poll_interval"),
        pytest.param({"if_running": "wait"}, id="if_running"),
        pytest.param({"settle_time": True}, id="settle_time"),
    ],
)
def test_impossible_options_are_refused_when_the_dag_is_parsed(arguments) -> None:
    with pytest.raises(InvalidParameter, match=next(iter(arguments))):
        sync(False, **arguments)


FAULTS = [
    # id, fault at each third look, for ever or not
    ("throttled, window in the text", {"throttle": {"limit": 60, "window": "1 minute"}}),
    ("throttled, Retry-After", {"throttle": {"limit": 60, "window": "1 minute"}, "retry_after": 3}),
    ("503", {"status": 503}),
    ("500", {"status": 500, "body": {"error_code": "12000004", "error_msg": "internal"}}),
    ("reset", {"reset": True}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>maintenance</html>"}),
    ("empty object", {"raw": "{}"}),
    ("null", {"raw": "null"}),
    ("a string for the flag", {"raw": '{"is_synchronizing": "false"}'}),
]


@BOTH_WAYS
@pytest.mark.parametrize("times", [1, 6])
@pytest.mark.parametrize("fault", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_faults_of_a_look_are_borne(start_world, deferrable, fault, times) -> None:
    world = start_world({"c": {"starts_after": 2, "seconds": 60}})
    looks = {"operation": "ListClusterSyncTaskStatus"}
    world.emulator.faults([{"match": looks, "skip": 2, "times": times, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert sum(entry["fault"] is not None for entry in world.calls()) == times


@BOTH_WAYS
@pytest.mark.parametrize("fault", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_faults_without_end_are_ended_by_the_deadline(start_world, deferrable, fault) -> None:
    world = start_world({"c": {}})
    looks = {"operation": "ListClusterSyncTaskStatus"}
    world.emulator.faults([{"match": looks, "skip": 2, "times": None, **fault}])
    began = world.emulator.clock.now()
    with pytest.raises(WaitTimedOut, match="last poll failed"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - began < 310
    assert world.starts == 1


@BOTH_WAYS
@pytest.mark.parametrize("fault", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_faults_from_the_first_look_on(start_world, deferrable, fault) -> None:
    world = start_world({"c": {}})
    looks = {"operation": "ListClusterSyncTaskStatus"}
    world.emulator.faults([{"match": looks, "times": 9, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1

    world.emulator.faults([{"match": looks, "times": None, **fault}])
    began = world.emulator.clock.now()
    with pytest.raises(WaitTimedOut, match="no poll succeeded"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - began <= 300
    assert world.starts == 1


LOST = [
    ("reset", {"reset": True}),
    ("502", {"status": 502}),
    ("504", {"status": 504}),
    ("500", {"status": 500}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>"}),
]


@BOTH_WAYS
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [case[1] for case in LOST], ids=[case[0] for case in LOST])
@pytest.mark.parametrize("there_before", [[], ["alice"]], ids=["new names", "known names"])
def test_a_start_whose_reply_is_lost_runs_once(start_world, deferrable, when, fault, there_before) -> None:
    world = start_world({"c": {"starts_after": 3, "seconds": 30, "synced_users": there_before}})
    world.emulator.faults([{"match": {"operation": "UpdateSyncIamUser"}, "when": when, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert len(world.calls("UpdateSyncIamUser")) == (1 if when == "after" else 2)


def test_a_start_that_never_gets_through_says_why(start_world) -> None:
    world = start_world({"c": {}})
    world.emulator.faults([{"match": {"operation": "UpdateSyncIamUser"}, "times": None, "reset": True}])
    with pytest.raises(TransportError, match="connection broke"):
        world.run(sync(False))
    assert world.starts == 0
    assert len(world.calls("UpdateSyncIamUser")) == 5


@BOTH_WAYS
def test_a_throttled_start_is_sent_again_and_then_given_time_to_settle(start_world, deferrable) -> None:
    world = start_world({"c": {"starts_after": 8, "seconds": 30, "synced_users": ["alice"]}})
    throttle = {"throttle": {"limit": 60, "window": "1 minute"}}
    world.emulator.faults([{"match": {"operation": "UpdateSyncIamUser"}, "times": 2, **throttle}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert world.emulator.state()["mrs"]["clusters"]["c"]["is_synchronizing"] is False
    waited = [entry["time"] for entry in world.calls("UpdateSyncIamUser")]
    assert waited[1] - waited[0] >= 60


@BOTH_WAYS
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(
            {"status": 401, "body": {"error_code": "APIGW.0301"}}, AirflowFailException, id="signature"
        ),
        pytest.param({"status": 403, "body": {"error_code": "APIGW.0302"}}, ApiError, id="permission"),
        pytest.param({"status": 404, "body": {"error_code": "APIGW.0101"}}, ApiError, id="no such API"),
    ],
)
def test_what_will_not_pass_ends_the_wait_at_once(start_world, deferrable, fault, error) -> None:
    world = start_world({"c": {"seconds": 60}})
    match = {"operation": "ListClusterSyncTaskStatus"}
    world.emulator.faults([{"match": match, "skip": 3, "times": None, **fault}])
    with pytest.raises(error) as raised:
        world.run(sync(deferrable))
    assert str(fault["status"]) in str(raised.value)
    struck = [entry for entry in world.calls() if entry["fault"] is not None]
    assert len(struck) == 1


def test_a_wrong_secret_key_is_sent_once(start_world, monkeypatch) -> None:
    world = start_world({"c": {}})
    connection = json.loads(world.emulator.connection)
    connection["password"] = "a-wrong-secret"
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
    with pytest.raises(AirflowFailException, match="Check access key") as raised:
        world.run(sync(False))
    assert "a-wrong-secret" not in str(raised.value)
    assert len(world.calls()) == 1


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        pytest.param({}, ["region", "Extra"], id="no region and no endpoint"),
        pytest.param({"region": "cn-nort-4"}, ["cn-north-4"], id="a region with a typing error"),
    ],
)
def test_a_connection_without_a_place_says_what_to_put_where(
    start_world, monkeypatch, deferrable, extra, words
) -> None:
    world = start_world({"c": {}})
    extra = {"project_id": "p1", **extra}
    connection = {"conn_type": "cloudsync", "login": "ak", "password": "sk", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
    with pytest.raises(InvalidConnection) as raised:
        world.run(sync(deferrable))
    for word in words:
        assert word in str(raised.value)


@BOTH_WAYS
def test_no_connection_says_what_to_make(start_world, deferrable) -> None:
    world = start_world({"c": {}})
    with pytest.raises(InvalidConnection, match=r'no connection "other".*cloudsync'):
        world.run(sync(deferrable, cloudsync_conn_id="other"))


def test_a_connection_that_went_away_meanwhile_is_reported_by_the_trigger(start_world, monkeypatch) -> None:
    world = start_world({"c": {}})
    with pytest.raises(TaskDeferred) as deferred:
        sync(True).execute(world.context())
    monkeypatch.delenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT")
    event = world.fire(deferred.value)
    with pytest.raises(InvalidConnection, match="no connection"):
        sync(True).execute_complete(world.context(), event=event)


def test_a_ticket_of_another_release_is_reported_by_the_trigger(start_world) -> None:
    world = start_world({"c": {}})
    with pytest.raises(TaskDeferred) as deferred:
        sync(True).execute(world.context())
    _, arguments = deferred.value.trigger.serialize()
    arguments["ticket"]["version"] = 99
    deferred.value.trigger = SyncTrigger(**arguments)
    event = world.fire(deferred.value)
    with pytest.raises(InvalidEvent, match="version 99"):
        sync(True).execute_complete(world.context(), event=event)


class TestRetries:
    """What the next try of a task finds."""

    @BOTH_WAYS
    @pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
    def test_takes_up_a_run_that_is_under_way(self, start_world, deferrable, store) -> None:
        world = start_world({"c": {"seconds": 120}})
        context = world.context(store=store)
        with pytest.raises(CloudSyncError):
            world.run(sync(deferrable, timeout=30), context)
        world.run(sync(deferrable), world.context(2, store=store))
        assert world.starts == 1

    def test_with_a_store_takes_the_result_of_a_run_that_ended(self, start_world) -> None:
        world = start_world({"c": {"seconds": 120}})
        with pytest.raises(WaitTimedOut):
            world.run(sync(False, timeout=30), world.context(store=True))
        world.emulator.advance(600)
        world.run(sync(False), world.context(2, store=True))
        assert world.starts == 1

    def test_starts_anew_after_a_failure(self, start_world) -> None:
        world = start_world({"c": {"outcome": ["failed", "succeeded"]}})
        with pytest.raises(SyncFailed):
            world.run(sync(False), world.context(store=True))
        world.run(sync(False), world.context(2, store=True))
        assert world.starts == 2

    def test_starts_anew_when_cleared_after_success(self, start_world) -> None:
        world = start_world({"c": {}})
        world.run(sync(False), world.context(store=True))
        assert world.store
        world.run(sync(False), world.context(2, store=True, max_tries=1))
        assert world.starts == 2

    def test_a_worker_that_died_when_all_was_done_has_done_it(self, start_world) -> None:
        """After the end of the sync, and before Airflow has noted that; somebody else's run goes on by then."""
        world = start_world({"c": {"foreign_runs": [{"at": 600, "starts_after": 0, "seconds": 600}]}})
        world.run(sync(False), world.context(store=True))
        world.emulator.advance(650)
        world.run(sync(False), world.context(2, store=True))
        assert world.starts == 1

    @pytest.mark.parametrize(("later", "starts"), [(0, 1), (600, 2)], ids=["it goes on", "it has ended"])
    def test_cleared_while_it_was_deferred(self, start_world, later, starts) -> None:
        """As after a user has marked it success. Who clears a task wants it done again."""
        world = start_world({"c": {"seconds": 120}})
        with pytest.raises(TaskDeferred):
            sync(True).execute(world.context(store=True))
        world.emulator.advance(later)
        world.run(sync(True), world.context(2, store=True, max_tries=1))
        assert world.starts == starts

    @pytest.mark.parametrize("sent", [True, False], ids=["after the start", "before the start"])
    @pytest.mark.parametrize("there_before", [[], ["alice"]], ids=["new names", "known names"])
    def test_worker_killed_around_the_start(self, start_world, monkeypatch, sent, there_before) -> None:
        """The ticket is stored, and it is not known whether the start went out."""
        world = start_world({"c": {"seconds": 120, "starts_after": 8, "synced_users": there_before}})

        class Killed(BaseException):
            pass

        class Dying(type(world.store)):
            def set(self, key, value, **_):
                if json.loads(value)["ticket"]["stage"] == "started" and sent:
                    raise Killed
                super().set(key, value)
                if not sent:
                    raise Killed

        world.store = Dying()
        with pytest.raises(Killed):
            world.run(sync(False), world.context(store=True))
        assert world.starts == int(sent)
        kept, world.store = world.store, type(world.store).__base__()
        world.store.update(kept)
        world.emulator.advance(2)
        world.run(sync(False), world.context(2, store=True))
        assert world.starts == 1

    @pytest.mark.parametrize("left", ["not json", "null", '{"version": 1}', "[]"])
    def test_what_can_not_be_read_is_not_used(self, start_world, left) -> None:
        world = start_world({"c": {}})
        world.store["cloudsync_ticket"] = left
        world.run(sync(False), world.context(2, store=True))
        assert world.starts == 1

    def test_a_ticket_of_other_parameters_is_not_used(self, start_world) -> None:
        world = start_world({"c": {"seconds": 60}})
        with pytest.raises(WaitTimedOut):
            world.run(sync(False, timeout=30), world.context(store=True))
        world.run(sync(False, user_names=["bob"]), world.context(2, store=True))
        assert [entry["body"]["user_names"] for entry in world.calls("UpdateSyncIamUser")] == [
            ["alice"],
            ["bob"],
        ]

    def test_a_report_of_an_earlier_try_is_not_taken(self, start_world) -> None:
        world = start_world({"c": {"outcome": ["failed", "succeeded"]}})
        with pytest.raises(SyncFailed):
            world.run(sync(True))
        stale = world.events[-1]
        task = sync(False)
        task.execute_complete(world.context(2), event=stale)
        assert world.starts == 2


@pytest.mark.parametrize(
    "event",
    [None, {}, "done", {"status": "success"}, {"version": 1}, {"version": 1, "ticket": {"version": 1}}],
    ids=str,
)
def test_an_event_that_is_no_report_is_an_error(start_world, event) -> None:
    world = start_world({"c": {}})
    with pytest.raises(CloudSyncError, match=r"[Cc]lear the task"):
        sync(True).execute_complete(world.context(), event=event)


class TestCancel:
    @BOTH_WAYS
    def test_removes_the_names_and_waits_until_they_are_gone(self, start_world, deferrable) -> None:
        world = start_world({"c": {"synced_users": ["alice", "bob"], "seconds": 20}})
        task = MrsCancelIamSyncOperator(
            task_id="t", cluster_id="c", user_names=["alice"], deferrable=deferrable
        )
        assert world.run(task)["users"] == 1
        assert world.emulator.state()["mrs"]["clusters"]["c"]["user_names"] == ["bob"]
        (sent,) = world.calls("CancelSyncIamUser")
        assert sent["body"] == {"user_names": ["alice"]}

    def test_fails_where_they_stay(self, start_world) -> None:
        world = start_world({"c": {"synced_users": ["alice"], "cancel_outcome": "failed"}})
        with pytest.raises(SyncFailed, match=r'Still in the cluster.*user "alice"'):
            world.run(MrsCancelIamSyncOperator(task_id="t", cluster_id="c", user_names=["alice"]))


SENSOR_CASES = [
    (
        "names come",
        {"foreign_runs": [{"at": 30, "seconds": 60, "users": ["alice"]}]},
        {"user_names": ["alice"]},
        None,
    ),
    ("there already", {"synced_users": ["alice"]}, {"user_names": ["alice"]}, None),
    ("comes into line", {"foreign_runs": [{"at": 30, "seconds": 60, "full": True}]}, {}, None),
    ("terminated", {"terminates_at": 60}, {"user_names": ["alice"]}, AirflowFailException),
]


@pytest.mark.parametrize("mode", ["poked", "deferred"])
@pytest.mark.parametrize(
    ("cluster", "arguments", "error"),
    [case[1:] for case in SENSOR_CASES],
    ids=[case[0] for case in SENSOR_CASES],
)
def test_sensor(start_world, mode, cluster, arguments, error) -> None:
    world = start_world({"c": cluster})

    def make():
        return MrsIamSyncSensor(task_id="t", cluster_id="c", deferrable=mode == "deferred", **arguments)

    def wait() -> None:
        world.poke(make) if mode == "poked" else world.run(make())

    if error is None:
        wait()
        assert not world.emulator.state()["mrs"]["clusters"]["c"]["is_synchronizing"]
    else:
        with pytest.raises(error, match="terminated"):
            wait()
    assert world.starts == 0


def test_a_deferred_sensor_times_out_as_airflow_s_own(start_world) -> None:
    world = start_world({"c": {}})
    with pytest.raises(AirflowSensorTimeout, match="Not in the cluster yet"):
        world.run(
            MrsIamSyncSensor(task_id="t", cluster_id="c", user_names=["alice"], deferrable=True, timeout=120)
        )
