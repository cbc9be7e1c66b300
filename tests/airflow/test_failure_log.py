"""Log of a red task: one line at ERROR with cause and subject, before the exception, in each mode."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.tasks.failures import located_errors, logged_failure

WRONG_KEY = {"status": 401, "body": {"error_code": "APIGW.0301", "error_msg": "Incorrect authentication."}}
FORBIDDEN = {"status": 403, "body": {"error_code": "APIGW.0302", "error_msg": "The user is not authorized."}}
MODES = ["poke", "reschedule", "deferred"]
SYNC = "IAM user sync of MRS cluster c"
RUNNING = {"c": {"seconds": 9e6}}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of this package at ERROR. Airflow 2.11 logs one of its own if its database has no tables."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= logging.ERROR and each.name.startswith("airflow_provider_cloudsync")
    ]


def only_line(caplog: pytest.LogCaptureFixture, error: BaseException) -> str:
    """The one line, which has the text of the exception and no traceback; the exception has no chain."""
    (line,) = lines(caplog)
    assert line == str(error)
    assert "\n" not in line
    assert not any(
        each.exc_info for each in caplog.records if each.name.startswith("airflow_provider_cloudsync")
    )
    text = "".join(traceback.format_exception(error))
    assert text.count("Traceback (most recent call last)") == 1
    assert text.count(str(error)) == 1
    return line


def first_poke() -> datetime | None:
    """Return the start of a rescheduled sensor; None: now."""
    return None


def operator(deferrable: bool) -> MrsSyncIamUsersOperator:
    return MrsSyncIamUsersOperator(
        task_id="t", cluster_id="c", sync_all=True, timeout=300.0, deferrable=deferrable
    )


def sensor(mode: str, **more: Any) -> MrsIamSyncSensor:
    arguments = {"deferrable": True} if mode == "deferred" else {"mode": mode}
    return MrsIamSyncSensor(task_id="t", cluster_id="c", timeout=300.0, **arguments, **more)


def failure(world: Any, task: Any, *kinds: type[BaseException]) -> BaseException:
    context = world.context()
    context["task_reschedule_count"] = 0
    vars(context["ti"]).update(dag_id="d", task_id="t", run_id="r", map_index=-1)
    context["ti"].get_first_reschedule_date = lambda _: first_poke()
    with pytest.raises(kinds) as raised:
        world.run(task, context)
    return raised.value


@pytest.fixture
def world(start_world: Any) -> Any:
    return start_world(RUNNING, hss={}, csms={"events": {}, "secrets": {}, "topics": []})


@pytest.fixture(autouse=True)
def _sensors_ask_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 2.11 reads the start of a rescheduled sensor from its database."""
    try:
        from airflow.sensors import base

        monkeypatch.setattr(base, "_orig_start_date", lambda **_: first_poke(), raising=False)
    except ImportError:
        pass


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
class TestOperator:
    def test_a_rejected_key(self, world, caplog, deferrable) -> None:
        world.emulator.faults([{"match": {}, "times": None, **WRONG_KEY}])
        line = only_line(caplog, failure(world, operator(deferrable), AirflowFailException))
        assert line.endswith("]")
        assert SYNC in line.rpartition(" [")[2]
        assert 'connection "cloudsync_default"' in line.rpartition(" [")[2]
        assert "APIGW.0301" in line[:80]

    def test_a_missing_permission(self, world, caplog, deferrable) -> None:
        world.emulator.faults([{"match": {}, "times": None, **FORBIDDEN}])
        line = only_line(caplog, failure(world, operator(deferrable), ApiError))
        assert "APIGW.0302" in line[:80]
        assert SYNC in line.rpartition(" [")[2]

    def test_the_deadline(self, world, caplog, deferrable) -> None:
        line = only_line(caplog, failure(world, operator(deferrable), WaitTimedOut))
        assert line.startswith("Timed out after 30")
        assert "A run in the cloud continues." in line
        assert line.endswith(f"[{SYNC}]")

    def test_nothing_was_started(self, world, caplog, deferrable) -> None:
        world.emulator.faults([{"match": {}, "times": None, "status": 503}])
        line = only_line(caplog, failure(world, operator(deferrable), WaitTimedOut))
        assert line.startswith("Timed out")
        assert "Nothing was started." in line
        assert "goes on" not in line

    def test_a_connection_that_is_missing(self, world, caplog, deferrable) -> None:
        task = operator(deferrable)
        task.cloudsync_conn_id = "missing"
        line = only_line(caplog, failure(world, task, InvalidConnection))
        assert line.startswith('There is no connection "missing"')

    def test_a_parameter(self, world, caplog, deferrable) -> None:
        task = operator(deferrable)
        task.cluster_id = None
        line = only_line(caplog, failure(world, task, InvalidParameter))
        assert line.startswith("cluster_id")


class TestTheTriggerReportsAnError:
    """The worker logs it after the deferral."""

    @pytest.mark.parametrize(
        "make", [lambda: operator(True), lambda: sensor("deferred")], ids=["op", "sensor"]
    )
    def test_an_error_of_the_wait(self, world, caplog, make) -> None:
        task = make()
        with pytest.raises(TaskDeferred) as deferred:
            task.execute(world.context())
        world.emulator.faults([{"match": {}, "times": None, **FORBIDDEN}])
        event = world.fire(deferred.value)
        assert lines(caplog) == []
        with pytest.raises(CloudSyncError) as raised:
            make().execute_complete(world.context(), event=event)
        assert f"[{SYNC}, " in only_line(caplog, raised.value)

    @pytest.mark.parametrize(
        "make", [lambda: operator(True), lambda: sensor("deferred")], ids=["op", "sensor"]
    )
    @pytest.mark.parametrize("event", [None, {}, {"version": 99}], ids=str)
    def test_a_report_that_cannot_be_read(self, world, caplog, make, event) -> None:
        with pytest.raises(InvalidEvent) as raised:
            make().execute_complete(world.context(), event=event)
        only_line(caplog, raised.value)


@pytest.mark.parametrize("mode", MODES)
class TestSensor:
    def test_a_rejected_key(self, world, caplog, mode) -> None:
        world.emulator.faults([{"match": {}, "times": None, **WRONG_KEY}])
        line = only_line(caplog, failure(world, sensor(mode), AirflowFailException))
        assert "APIGW.0301" in line[:80]
        assert SYNC in line.rpartition(" [")[2]

    def test_a_missing_permission(self, world, caplog, mode) -> None:
        world.emulator.faults([{"match": {}, "times": None, **FORBIDDEN}])
        only_line(caplog, failure(world, sensor(mode), ApiError))

    def test_a_failed_run(self, start_world, caplog, mode) -> None:
        run = {"at": 0, "seconds": 1, "outcome": "SYNC_FAIL", "msg": "no role"}
        tasks = {"x": {"workspace": "w", "sync_status": "NOT_SYNC", "runs": [run]}}
        world = start_world({}, tasks)
        arguments = {"deferrable": True} if mode == "deferred" else {"mode": mode}
        world.emulator.advance(30.0)
        task = DataArtsMemberSyncTaskSensor(
            task_id="t", workspace="w", sync_task_id="x", synced_after=None, timeout=300.0, **arguments
        )
        line = only_line(caplog, failure(world, task, AirflowFailException))
        assert line.startswith("Sync failed: no role")
        assert line.endswith("[Member sync task x of DataArts workspace w]")

    @pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
    def test_a_skip_is_no_failure(self, world, caplog, mode, flag) -> None:
        world.emulator.faults([{"match": {}, "times": None, **WRONG_KEY}])
        skip = failure(world, sensor(mode, **{flag: True}), AirflowSkipException)
        assert lines(caplog) == []
        (warning,) = (each.getMessage() for each in caplog.records if "Skipped" in each.getMessage())
        assert warning.endswith(str(skip))
        assert "APIGW.0301" in str(skip)
        assert skip.__cause__ is None


@pytest.mark.parametrize("mode", MODES)
def test_the_deadline_of_a_sensor(world, caplog, mode, monkeypatch) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    monkeypatch.setattr(f"{__name__}.first_poke", lambda: long_ago)
    line = only_line(caplog, failure(world, busy(mode), AirflowSensorTimeout))
    assert line.startswith("Timed out after 30")
    assert "goes on" not in line
    assert "started" not in line
    assert line.endswith(f"[{SYNC}]")


def busy(mode: str) -> MrsIamSyncSensor:
    """A sensor while another caller's run is active."""
    from airflow_provider_cloudsync.hooks.mrs import MrsHook

    MrsHook().sync_iam_users("c", sync_all=True)
    return sensor(mode)


def test_a_write(world, caplog) -> None:
    world.emulator.faults([{"match": {}, "times": None, **WRONG_KEY}])
    task = CsmsUpdateEventOperator(task_id="t", name="e", state="DISABLED")
    assert '"e"' in only_line(caplog, failure(world, task, AirflowFailException))


def test_an_unexpected_error_keeps_its_traceback(world, caplog, monkeypatch) -> None:
    monkeypatch.setattr(MrsSyncIamUsersOperator, "target", lambda self: json.loads("{"))
    with pytest.raises(json.JSONDecodeError):
        operator(False).execute(world.context())
    assert lines(caplog) == []


TEXTS = [
    # error, text with the subject
    (ApiError("Forbidden (403 X): no. Check."), "Forbidden (403 X): no. Check. [the subject]"),
    (ApiError("Forbidden. [Op, request ID r]"), "Forbidden. [the subject, Op, request ID r]"),
    (ApiError("Forbidden. [Op, request ID unknown]"), "Forbidden. [the subject, Op, request ID unknown]"),
    (ApiError("Forbidden: not [this]"), "Forbidden: not [this] [the subject]"),
    (ApiError("Forbidden [a, request ID r]. Check."), "Forbidden [a, request ID r]. Check. [the subject]"),
    (TransportError("Refused: the subject."), "Refused: the subject."),
    (WaitTimedOut("Timed out. [the subject]"), "Timed out. [the subject]"),
    (SyncFailed("The subject failed."), "The subject failed. [the subject]"),
    (InvalidParameter("region must be text."), "region must be text."),
    (InvalidEvent("Damaged."), "Damaged."),
    (InvalidConnection("Unknown region."), 'Unknown region. [connection "x"]'),
    (InvalidConnection('Connection "x": no.'), 'Connection "x": no.'),
    (
        CredentialsRejected("Key rejected. [Op, request ID r]"),
        'Key rejected. [the subject, connection "x", Op, request ID r]',
    ),
    (
        CredentialsRejected('Key rejected. Connection "x": check. [Op, request ID r]'),
        'Key rejected. Connection "x": check. [the subject, Op, request ID r]',
    ),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_the_subject_is_last(error: CloudSyncError, text: str, caplog) -> None:
    with (
        pytest.raises((CloudSyncError, AirflowFailException)) as raised,
        logged_failure(),
        located_errors(lambda: "the subject", "x"),
    ):
        raise error
    assert only_line(caplog, raised.value) == text
    assert isinstance(raised.value, AirflowFailException) == isinstance(error, CredentialsRejected)


def test_a_line_break_does_not_split_the_line(caplog) -> None:
    with pytest.raises(CloudSyncError), logged_failure():
        raise CloudSyncError("one\ntwo")
    assert lines(caplog) == ["one two"]
