"""Member sync tasks of DataArts Studio, looked at in all three ways of waiting: the same verdicts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_cloudsync.exceptions import ApiError, InvalidParameter
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor

TASK = {
    "workspace": "w",
    "schedule_status": "SCHEDULING",
    "schedule_period": "HOUR",
    "schedule_interval": 1,
    "sync_status": "SYNC_SUCCESS",
    "sync_time": -86400,
}
OFF = {"schedule_status": "NOT_SCHEDULE"}


def sensor(world, mode: str, **arguments) -> DataArtsMemberSyncTaskSensor:
    return DataArtsMemberSyncTaskSensor(
        **{
            "task_id": "wait",
            "workspace": "w",
            "sync_task_id": "t",
            "synced_after": world.began,
            "deferrable": mode == "deferred",
            "timeout": 7200,
            **arguments,
        }
    )


def wait(world, mode: str, **arguments) -> None:
    """Wait in a mode until a verdict; a poked sensor that gets none in time ends as Airflow's loop would."""
    if mode == "deferred":
        world.run(sensor(world, mode, **arguments))
        return
    if mode == "poked":
        try:
            world.poke(lambda: sensor(world, mode, **arguments))
        except TimeoutError:
            raise AirflowSensorTimeout("no verdict in time") from None
        return
    sensor(world, mode, poke_interval=20, **arguments).execute(world.context())


@pytest.fixture(params=["blocking", "poked", "deferred"])
def mode(request) -> str:
    return request.param


@pytest.fixture
def start(start_world):
    def start(task: dict):
        world = start_world(tasks={"t": {**TASK, **task}})
        world.began = world.emulator.clock.now()
        return world

    return start


RUN = {"at": 100, "seconds": 30, "outcome": "SYNC_SUCCESS"}
FAILED = {"at": 100, "seconds": 30, "outcome": "SYNC_FAIL", "msg": "line one\nERROR: role can't be dropped"}
CASES = [
    # id, task, arguments, error, words, seconds until the verdict at the least
    ("a run comes", {"runs": [RUN]}, {}, None, [], 130),
    ("a stale success", {}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("a stale failure, then a success", {"sync_status": "SYNC_FAIL", "runs": [RUN]}, {}, None, [], 130),
    ("a run fails", {"runs": [FAILED]}, {}, AirflowFailException, ["role can't be dropped", "w"], 130),
    (
        "the state lags behind the time",
        {"runs": [{**RUN, "seconds": 60}], "status_lag": 4},
        {},
        None,
        [],
        160,
    ),
    ("an unknown state", {"sync_status": "UNKNOWN"}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("a state of the future", {"sync_status": "SYNC_LATER"}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("an unknown state, then a run", {"sync_status": "UNKNOWN", "runs": [RUN]}, {}, None, [], 130),
    ("never ends", {"runs": [{**RUN, "seconds": None}]}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("off, to fail", OFF, {"if_unscheduled": "fail"}, AirflowFailException, ["NOT_SCHEDULE"], 0),
    ("off, to warn, started by hand", {**OFF, "runs": [RUN]}, {}, None, [], 130),
    ("any run counts", {}, {"synced_after": None}, None, [], 0),
    ("the scheduled run comes", {"first_run_at": 60, "seconds": 10}, {}, None, [], 60),
    ("unknown workspace", {}, {"workspace": "nope"}, ApiError, ["DLS.6036"], 0),
    ("unknown task", {}, {"sync_task_id": "nope"}, ApiError, ["400"], 0),
]


@pytest.mark.parametrize(
    ("task", "arguments", "error", "words", "least"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_verdict(start, mode, task, arguments, error, words, least) -> None:
    world = start(task)
    if mode == "poked" and "timeout" in arguments:
        world.poke = lambda make, poke=world.poke: poke(make, at_most=arguments["timeout"])
    if error is None:
        wait(world, mode, **arguments)
    else:
        with pytest.raises(error) as raised:
            wait(world, mode, **arguments)
        for word in words:
            assert word in str(raised.value)
    assert world.emulator.clock.now() - world.began >= least
    assert {entry["method"] for entry in world.calls()} == {"GET"}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda now: datetime.fromtimestamp(now, UTC), id="datetime"),
        pytest.param(lambda now: datetime.fromtimestamp(now, UTC).isoformat(), id="ISO text"),
        pytest.param(lambda now: str(datetime.fromtimestamp(now, UTC)), id="as a template renders it"),
        pytest.param(lambda now: now, id="seconds"),
        pytest.param(lambda now: str(now), id="seconds as text"),
        pytest.param(lambda now: int(now * 1000), id="milliseconds"),
    ],
)
def test_synced_after_in_all_its_forms(start, given) -> None:
    world = start({"runs": [RUN]})
    wait(world, "deferred", synced_after=given(world.began))
    assert world.emulator.clock.now() - world.began >= 130


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        pytest.param({"workspace": "w\r\nX-Evil: 1"}, "workspace", id="line break in the header"),
        pytest.param({"workspace": ""}, "workspace", id="empty workspace"),
        pytest.param({"sync_task_id": "../x"}, "sync_task_id", id="path trick"),
        pytest.param({"sync_task_id": None}, "sync_task_id", id="no task"),
        pytest.param({"synced_after": "yesterday"}, "synced_after", id="no time"),
        pytest.param({"synced_after": "None"}, "synced_after", id="a template that rendered nothing"),
        pytest.param({"synced_after": True}, "synced_after", id="a flag for a time"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(start, mode, arguments, word) -> None:
    world = start({})
    with pytest.raises(InvalidParameter, match=word):
        wait(world, mode, **arguments)
    assert world.calls() == []


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_template_that_renders_to_none_is_not_any_run(start, deferrable) -> None:
    """As with render_template_as_native_obj=True and a run without a logical date."""
    world = start({})
    task = sensor(world, "deferred" if deferrable else "blocking", synced_after="{{ dag_run.logical_date }}")
    task.synced_after = None
    with pytest.raises(InvalidParameter, match="rendered to None"):
        task.execute(world.context())
    assert world.calls() == []


@pytest.mark.parametrize("how", ["blocking", "deferred"])
def test_a_timeout_says_what_was_last_seen_and_what_stands_in_the_way(start, how) -> None:
    world = start(OFF)
    with pytest.raises(AirflowSensorTimeout, match=r"Waiting for a run that starts at.*NOT_SCHEDULE"):
        wait(world, how, timeout=300)


def test_an_odd_choice_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(InvalidParameter, match="if_unscheduled"):
        DataArtsMemberSyncTaskSensor(
            task_id="t", workspace="w", sync_task_id="t", synced_after=None, if_unscheduled="ignore"
        )


def test_there_is_no_default_for_what_counts() -> None:
    with pytest.raises(Exception, match="synced_after"):
        DataArtsMemberSyncTaskSensor(task_id="t", workspace="w", sync_task_id="t")


FAULTS = [
    {"throttle": {"limit": 40, "window": "10 second"}},
    {"status": 503},
    {"reset": True},
    {"truncate": True},
    {"raw": "<html>"},
    {"raw": "{}"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_of_a_look_are_borne(start, mode, fault) -> None:
    world = start({"runs": [RUN]})
    world.emulator.faults([{"match": {"service": "dataarts"}, "skip": 1, "times": 6, **fault}])
    wait(world, mode)
    assert world.emulator.clock.now() - world.began >= 130


@pytest.mark.parametrize("how", ["failed", "timed out"])
def test_soft_fail_skips_a_deferred_sensor_as_it_does_a_poked_one(start, how) -> None:
    world = start({"runs": [FAILED]} if how == "failed" else {})
    task = sensor(world, "deferred", soft_fail=True, timeout=600)
    with pytest.raises(AirflowSkipException):
        world.run(task)
    with pytest.raises(AirflowSkipException):  # as Airflow's task runner resumes it
        task.resume_execution("execute_complete", {"event": world.events[-1]}, world.context())


def test_soft_fail_skips_a_deferred_sensor_at_its_first_look(start) -> None:
    world = start({"runs": [FAILED]})
    world.emulator.advance(200)
    with pytest.raises(AirflowSkipException):
        world.run(sensor(world, "deferred", soft_fail=True))
    assert world.deferrals == []


@pytest.mark.parametrize("when", ["first look", "later"])
def test_never_fail_skips_whatever_goes_wrong(start, when) -> None:
    world = start({"runs": [RUN]})
    fault = {"match": {"service": "dataarts"}, "times": None, "status": 403}
    world.emulator.faults([{**fault, "skip": 0 if when == "first look" else 2}])
    with pytest.raises(AirflowSkipException):
        world.run(sensor(world, "deferred", never_fail=True))


def test_soft_fail_skips_a_poked_sensor_whose_sync_failed(start) -> None:
    world = start({"runs": [FAILED]})
    world.emulator.advance(200)
    with pytest.raises(AirflowSkipException):
        sensor(world, "blocking", soft_fail=True).execute(world.context())


def test_a_sync_that_is_done_is_not_deferred(start) -> None:
    world = start({"runs": [RUN]})
    world.emulator.advance(300)
    wait(world, "deferred")
    assert world.deferrals == []
    assert len(world.calls()) == 2  # the second one confirms the first


def test_a_fixed_interval_is_kept_when_deferred(start) -> None:
    world = start({"runs": [RUN]})
    wait(world, "deferred", poke_interval=25)
    times = [entry["time"] for entry in world.calls()][1:]
    *usual, confirming = [round(later - sooner) for sooner, later in pairwise(times)]
    assert set(usual) == {25}
    assert confirming == 5


def test_a_retry_on_airflow_3_0_looks_anew(start) -> None:
    """It is resumed with the report of the try before."""
    world = start({"runs": [FAILED, {**RUN, "at": 300}]})
    task = sensor(world, "deferred")
    with pytest.raises(AirflowFailException):
        world.run(task)
    stale = world.events[-1]
    world.emulator.advance(300)
    task.execute_complete(world.context(2), event=stale)
