"""Text of an error where a page or an alert shows its beginning only: the cause first, the subject at the end.

The pages of Airflow 3 show the type and the message of an error in one line that is not wrapped, beside the grid;
alerts are cut, too. Ids here are as long as the services make them.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, TaskDeferred

from airflow_provider_cloudsync.emulator import scenario
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidConnection
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import (
    CsmsCreateEventOperator,
    CsmsDeleteEventOperator,
    CsmsUpdateEventOperator,
)
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from tests.support.fault_injection import CONNECTION
from tests.support.fault_jobs import EVENT
from tests.support.sign_in_methods import connection

#: So many characters are seen.
SEEN = 200
CLUSTER = "0123abcd-4567-89ef-0123-456789abcdef"
WORKSPACE, TASK = "fedcba9876543210" * 2, "0123456789abcdef" * 2
ACCOUNT = "123456789012"
NAME = "rotation-of-the-secrets-of-the-warehouse"
#: As many as a message names, and one more.
USERS = [f"user-of-department-{number}" for number in range(11)]
STATEMENT = "Failed to add the member: role developer of the workspace does not exist in the cluster. " * 4


@dataclass(frozen=True)
class Job:
    """A task.

    :param about: what its errors have to name.
    :param fails: the scenario in which what it waits for fails, and what is said of that; empty where nothing can.
    :param fits: the same in which it goes on for ever.
    """

    make: Callable[..., Any]
    about: tuple[str, ...]
    fits: dict[str, Any]
    fails: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def mrs(**fields: Any) -> dict[str, Any]:
    return {"clusters": {CLUSTER: {"seconds": 9e6, **fields}}}


def dataarts(*runs: Any) -> dict[str, Any]:
    task = {
        "workspace": WORKSPACE,
        "schedule_status": "SCHEDULING",
        "sync_status": "NOT_SYNC",
        "runs": list(runs),
    }
    return {"dataarts": {"workspaces": [WORKSPACE], "tasks": {TASK: task}}}


def coc(**fields: Any) -> dict[str, Any]:
    row = {"account_id": ACCOUNT, "account_name": "production", "seconds": 9e6, **fields}
    return {"coc": {"accounts": {"row": row}, "resources": {}}}


def csms(**events: Any) -> dict[str, Any]:
    return {"csms": {"events": events, "secrets": {}, "topics": [EVENT["notification"]["target_id"]]}}


JOBS = {
    "MrsSyncIamUsersOperator": Job(
        lambda **more: MrsSyncIamUsersOperator(cluster_id=CLUSTER, user_names=USERS, **more),
        (CLUSTER,),
        mrs(),
        mrs(seconds=5, outcome={"result": "partial", "missing": USERS}),
        "Not in the cluster after the sync: users",
    ),
    "MrsCancelIamSyncOperator": Job(
        lambda **more: MrsCancelIamSyncOperator(cluster_id=CLUSTER, user_names=USERS, **more),
        (CLUSTER,),
        mrs(),
    ),
    "MrsIamSyncSensor": Job(
        lambda **more: MrsIamSyncSensor(cluster_id=CLUSTER, user_names=USERS, **more), (CLUSTER,), mrs()
    ),
    "DataArtsMemberSyncTaskSensor": Job(
        lambda **more: DataArtsMemberSyncTaskSensor(
            workspace=WORKSPACE, sync_task_id=TASK, synced_after="2026-01-01", **more
        ),
        (WORKSPACE, TASK),
        dataarts(),
        dataarts({"at": 0, "seconds": 1, "outcome": "SYNC_FAIL", "msg": STATEMENT}),
        "Sync failed: Failed to add",
    ),
    "HssSyncClusterProtectionEventsOperator": Job(
        lambda **more: HssSyncClusterProtectionEventsOperator(
            cluster_id=CLUSTER, wait_for_completion=True, **more
        ),
        (CLUSTER,),
        {"hss": {"clusters": {CLUSTER: {"seconds": 9e6}}}},
    ),
    "HssClusterEventsSensor": Job(
        lambda **more: HssClusterEventsSensor(cluster_id=CLUSTER, updated_after=4e9, **more),
        (CLUSTER,),
        {"hss": {"clusters": {CLUSTER: {}}}},
    ),
    "CocSyncMultiCloudResourcesOperator": Job(
        lambda **more: CocSyncMultiCloudResourcesOperator(vendor="AWS", account_id=ACCOUNT, **more),
        ("AWS", ACCOUNT),
        coc(),
        coc(seconds=5, outcome="failed", failure=STATEMENT),
        "Failed to add",
    ),
    "CocVendorAccountSyncSensor": Job(
        lambda **more: CocVendorAccountSyncSensor(vendor="AWS", account_id=ACCOUNT, synced_after=4e9, **more),
        ("AWS", ACCOUNT),
        coc(),
    ),
}
WRITES = {
    "CsmsCreateEventOperator": Job(
        lambda: CsmsCreateEventOperator(task_id="t", name=NAME, **EVENT), (NAME,), csms()
    ),
    "CsmsUpdateEventOperator": Job(
        lambda: CsmsUpdateEventOperator(task_id="t", name=NAME, state="DISABLED"),
        (NAME,),
        csms(**{NAME: EVENT}),
    ),
    "CsmsDeleteEventOperator": Job(
        lambda: CsmsDeleteEventOperator(task_id="t", name=NAME), (NAME,), csms(**{NAME: EVENT})
    ),
}


def refusal(status: int, code: str, text: str) -> dict[str, Any]:
    return {"status": status, "body": {"error_code": code, "error_msg": text}}


TIME_IS_UP = "Timed out after "
NOT_SEEN = f"no poll succeeded|{TIME_IS_UP}"


@dataclass(frozen=True)
class Fault:
    """What goes wrong from the beginning, for ever.

    :param spec: as the emulator takes it.
    :param says: why, of a task that waits and of one that writes.
    :param endpoint: of the connection.
    :param extra: of the connection.
    """

    says: str
    spec: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    writes: str = ""


def deaf() -> str:
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{bound.getsockname()[1]}"


FAULTS = {
    "not allowed": Fault(
        r"Permission denied \(403 APIGW.0302\): The user",
        refusal(403, "APIGW.0302", "The user is not authorized. " * 20),
    ),
    "wrong key": Fault(
        r"Access key rejected \(401 APIGW.0301\)", refusal(401, "APIGW.0301", "Incorrect IAM authentication.")
    ),
    "no such API": Fault(
        r"No such API at this address \(404 APIGW.0101\)",
        refusal(404, "APIGW.0101", "The API does not exist."),
    ),
    "refused by the service": Fault(
        r"Request rejected \(400 SVC.0001\)", refusal(400, "SVC.0001", "Invalid parameter. " * 20)
    ),
    "throttled": Fault(
        NOT_SEEN,
        {"throttle": {"limit": 60, "window": "1 minute"}},
        writes=r"rate limit of the service is exhausted \(429",
    ),
    "down": Fault(NOT_SEEN, {"status": 503}, writes=r"Service error \(503"),
    "reset": Fault(NOT_SEEN, {"reset": True}, writes="the connection broke"),
    "a page": Fault(NOT_SEEN, {"raw": "<html>Be back soon</html>"}, writes="it is not JSON: Be back soon"),
    "nothing in it": Fault(NOT_SEEN, {"raw": "{}"}, writes='no usable "'),
    "nobody there": Fault(NOT_SEEN, extra={"endpoint": deaf()}, writes="the connection was refused"),
}


def shown(error: BaseException) -> str:
    """The visible beginning of its text."""
    text = f"{type(error).__name__}: {error}"
    assert "\n" not in text
    return text[:SEEN]


def fail(world: Any, task: Any) -> BaseException:
    with pytest.raises((CloudSyncError, AirflowFailException, AirflowSensorTimeout)) as raised:
        world.run(task)
    return raised.value


def check(error: BaseException, about: tuple[str, ...], why: str) -> None:
    seen = shown(error)
    for name in about:  # the place may be last, in square brackets
        assert name in str(error), error
    assert re.search(why, seen), seen


def strike(world: Any, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.spec is not None:
        world.emulator.faults([{"match": {}, "times": None, **fault.spec}])
    extra = {"domain_id": scenario.DOMAIN_ID, **fault.extra}
    monkeypatch.setenv(CONNECTION, connection("aksk", world.emulator, tmp_path, **extra))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_fault(start_world, job: Job, fault: Fault, tmp_path, monkeypatch) -> None:
    world = start_world(**job.fits)
    strike(world, fault, tmp_path, monkeypatch)
    check(fail(world, job.make(task_id="t", timeout=300.0)), job.about, fault.says)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("job", WRITES.values(), ids=WRITES)
def test_a_fault_of_a_write(start_world, job: Job, fault: Fault, tmp_path, monkeypatch) -> None:
    world = start_world(**job.fits)
    strike(world, fault, tmp_path, monkeypatch)
    check(fail(world, job.make()), job.about, fault.writes or fault.says)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_fault_in_the_triggerer(start_world, job: Job, tmp_path, monkeypatch) -> None:
    """It comes back with the report."""
    world = start_world(**job.fits)
    task = job.make(task_id="t", timeout=300.0, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(world.context())
    strike(world, FAULTS["not allowed"], tmp_path, monkeypatch)
    event = world.fire(deferred.value)
    with pytest.raises(CloudSyncError) as raised:
        task.execute_complete(world.context(), event=event)
    check(raised.value, job.about, FAULTS["not allowed"].says)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_the_time_is_up(start_world, job: Job, deferrable: bool) -> None:
    world = start_world(**job.fits)
    check(fail(world, job.make(task_id="t", timeout=300.0, deferrable=deferrable)), job.about, TIME_IS_UP)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("job", [job for job in JOBS.values() if job.why], ids=lambda job: job.about[-1][:8])
def test_what_is_waited_for_fails(start_world, job: Job, deferrable: bool) -> None:
    world = start_world(**job.fails)
    check(fail(world, job.make(task_id="t", timeout=300.0, deferrable=deferrable)), job.about, job.why)


@pytest.mark.parametrize("job", [*JOBS.values(), *WRITES.values()], ids=[*JOBS, *WRITES])
def test_it_is_not_there(start_world, job: Job) -> None:
    world = start_world({}, {}, hss={"clusters": {}}, coc={"accounts": {}, "resources": {}}, **csms())
    if job is WRITES["CsmsCreateEventOperator"]:
        pytest.skip("it is not to be there")
    more = {} if job in WRITES.values() else {"task_id": "t", "timeout": 300.0}
    check(fail(world, job.make(**more)), job.about, f"not found|COC has no|400 (DLS|HSS)\\.|{TIME_IS_UP}")


@pytest.mark.parametrize("job", [*JOBS.values(), *WRITES.values()], ids=[*JOBS, *WRITES])
@pytest.mark.parametrize(
    ("extra", "why"),
    [({}, "region"), ({"region": "cn-nowhere-1"}, "cn-nowhere-1"), ({"auth": "x"}, '"auth"')],
)
def test_a_connection_is_what_such_an_error_is_about(start_world, job: Job, extra, why, monkeypatch) -> None:
    start_world(**job.fits)
    given = {"conn_type": "cloudsync", "login": "a", "password": "s", "extra": {"project_id": "p", **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_OF_THE_TEAM", json.dumps(given))
    more = {} if job in WRITES.values() else {"task_id": "t", "timeout": 300.0}
    task = job.make(**more)
    task.cloudsync_conn_id = "of_the_team"
    with pytest.raises(InvalidConnection) as raised:
        task.execute({"ti": SimpleNamespace(try_number=1, max_tries=0)})
    check(raised.value, ('"of_the_team"',), why)
