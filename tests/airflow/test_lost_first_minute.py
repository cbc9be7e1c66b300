"""A deferred sensor whose polls in the worker are all lost: the clock of the triggerer decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_cloudsync.hooks import cloudsync
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor


@pytest.mark.parametrize("lost", [0, 1, 6], ids=["measured", "the first poll lost", "all polls lost"])
@pytest.mark.parametrize("ahead", [-120.0, -30.0, 0.0, 30.0], ids="triggerer's clock {:+.0f} s".format)
@pytest.mark.parametrize(
    ("run", "counts"), [pytest.param(-20, False, id="too old"), pytest.param(90, True, id="in time")]
)
def test_the_clock_of_the_triggerer_accepts_no_old_run(
    start_world, monkeypatch, lost, ahead, run, counts
) -> None:
    old = {
        "workspace": "w",
        "schedule_status": "SCHEDULING",
        "schedule_period": "HOUR",
        "schedule_interval": 1,
        "sync_status": "SYNC_SUCCESS",
        "sync_time": -3600 if counts else run,
    }
    runs = [{"at": run, "seconds": 5, "outcome": "SYNC_SUCCESS"}] if counts else []
    world = start_world(tasks={"t": {**old, "runs": runs}})
    world.emulator.faults([{"match": {"service": "dataarts"}, "times": lost, "status": 503}] if lost else [])
    task = DataArtsMemberSyncTaskSensor(
        task_id="t",
        workspace="w",
        sync_task_id="t",
        synced_after=datetime.fromtimestamp(world.began, UTC),
        deferrable=True,
        timeout=400,
    )
    context = world.context()
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context)
    now = world.emulator.clock.now
    monkeypatch.setattr(cloudsync, "time", SimpleNamespace(time=lambda: now() + ahead, monotonic=now))
    event = world.fire(deferred.value)
    # Nothing was measured before the deferral. A triggerer that is behind may be right, so the bound is stricter.
    if counts and not (lost == 6 and -ahead > run):
        task.execute_complete(context, event=event)
    else:
        with pytest.raises(AirflowSensorTimeout):
            task.execute_complete(context, event=event)
