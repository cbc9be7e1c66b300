"""What the matrix of faults brought to light."""

from __future__ import annotations

import re
from email.utils import formatdate

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cloudsync.exceptions import CloudSyncError, WaitTimedOut
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from tests.support.fault_injection import CONNECTION
from tests.support.fault_jobs import STARTABLE
from tests.support.sign_in_methods import connection

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
START, FLAG = {"operation": "UpdateSyncIamUser"}, {"operation": "ListClusterSyncTaskStatus"}


def sync(deferrable: bool = False, **more) -> MrsSyncIamUsersOperator:
    named = {"task_id": "t", "cluster_id": "c", "user_names": ["alice"]}
    return MrsSyncIamUsersOperator(**named, deferrable=deferrable, **more)


@BOTH_WAYS
@pytest.mark.parametrize("raw", ["", "{}", "null", '"ok"', '{"state": "rejected"}'])
@pytest.mark.parametrize(
    ("there_before", "waits"),
    [
        pytest.param(["alice"], True, id="names known"),
        pytest.param([], False, id="not waited for"),
    ],
)
def test_no_green_without_a_start(start_world, deferrable, raw, there_before, waits) -> None:
    world = start_world({"c": {"synced_users": there_before}})
    world.emulator.faults([{"match": START, "times": None, "raw": raw}])
    with pytest.raises(CloudSyncError):
        world.run(sync(deferrable, wait_for_completion=waits))
    assert world.starts == 0


@BOTH_WAYS
@pytest.mark.parametrize("service", STARTABLE)
def test_a_throttled_wait_blames_the_service(start_world, deferrable, service) -> None:
    job = STARTABLE[service]
    world = start_world(**job.ours)
    refusal = {"throttle": {"limit": 5, "window": "1 minute"}, "retry_after": 200}
    world.emulator.faults([{"match": {"operation": job.look}, "skip": job.looks, "times": None, **refusal}])
    with pytest.raises(WaitTimedOut, match="429"):
        world.run(job.operator(task_id="t", timeout=100, deferrable=deferrable))


@BOTH_WAYS
@pytest.mark.parametrize(("status", "as_date"), [(503, False), (429, True), (503, True)])
def test_retry_after_counts(start_world, deferrable, status, as_date) -> None:
    """Beside a 429, and in seconds: see the matrix."""
    world = start_world({"c": {"seconds": 60}})
    until = world.began + 50
    headers = {"Retry-After": formatdate(until, usegmt=True) if as_date else "45"}
    refusal = {"status": status, "headers": headers}
    world.emulator.faults([{"match": FLAG, "skip": 3, **refusal}])
    world.run(sync(deferrable))
    times = [entry["time"] for entry in world.calls(FLAG["operation"])]
    (struck,) = (entry["time"] for entry in world.calls() if entry["fault"])
    soon = until - 1 if as_date else struck + 45
    assert [at - world.began for at in times if struck < at < soon] == []


def test_a_start_that_may_be_out_is_told(start_world) -> None:
    world = start_world({"c": {}})
    world.emulator.faults(
        [
            {"match": START, "when": "after", "reset": True},
            {"match": FLAG, "skip": 2, "times": None, "status": 503},
        ]
    )
    with pytest.raises(WaitTimedOut, match=r"whether the start was accepted"):
        world.run(sync(timeout=200))


@BOTH_WAYS
@pytest.mark.parametrize("way", ["token", "password"])
def test_the_advice_fits_the_way_in(start_world, monkeypatch, tmp_path, deferrable, way) -> None:
    world = start_world({"c": {}})
    monkeypatch.setenv(CONNECTION, connection(way, world.emulator, tmp_path))
    refusal = {"status": 401, "body": {"error_code": "APIGW.0307", "error_msg": "must be updated"}}
    world.emulator.faults([{"match": FLAG, "skip": 3, "times": None, **refusal}])
    with pytest.raises(AirflowFailException, match="401") as raised:
        world.run(sync(deferrable))
    assert not re.search("access key|secret key|lock the key", str(raised.value))
