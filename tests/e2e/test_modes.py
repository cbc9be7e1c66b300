"""However a task waits and whatever stands around it, it comes to the same end, in a real Airflow."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite, Run
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

#: Instances of the mapped task, more than may run at a time. A worker takes seconds of a processor for each; see
#: `test_hundred` for more.
MAPPED = int(os.environ.get("MAPPED", "9"))
HOUR = 3600.0
#: Seconds of a sync; if it were much less, Airflow would fail a task that it resumes too soon, were the machine busy.
SHORT = {"seconds": 10}
SCENARIO = {
    "mrs": {
        "clusters": {
            "late": {"outcome": "never_ends"},
            "late_deferred": {"outcome": "never_ends"},
            **dict.fromkeys(["if_failed", "if_well", "in_spite", "each_day"], SHORT),
            **{f"after_{how}": SHORT for how in ("poke", "reschedule", "defer")},
            **{f"c{number}": SHORT for number in range(MAPPED)},
            "c0": {**SHORT, "outcome": "failed"},
        }
    },
    "dataarts": {
        "workspaces": ["w"],
        "tasks": {
            "good": {"workspace": "w", "runs": [{"at": 0, "seconds": HOUR}]},
            "bad": {
                "workspace": "w",
                "runs": [{"at": 0, "seconds": HOUR, "outcome": "SYNC_FAIL", "msg": "no such role"}],
            },
        },
    },
}
MODES = {"poke": "blocking", "reschedule": "rescheduled", "defer": "deferred"}
#: state, words in the log
SENSORS = {
    "good": ("success", "succeeded"),
    "bad": ("failed", "no such role"),
    "soft": ("skipped", "no such role"),
}
WAITING = {"blocking": "running", "rescheduled": "up_for_reschedule", "deferred": "deferred"}
#: state, how it waited, starts, words in the log
OPERATORS = {
    "late": ("failed", "blocking", 1, ["Timed out after", "A run in the cloud continues"]),
    "late_deferred": ("failed", "deferred", 1, ["Timed out after", "A run in the cloud continues"]),
    "if_failed": ("success", "deferred", 1, []),
    "if_well": ("upstream_failed", "", 0, []),
    "in_spite": ("success", "deferred", 1, []),
    "after_poke": ("skipped", "", 0, []),
    "after_reschedule": ("skipped", "", 0, []),
    "after_defer": ("skipped", "", 0, []),
}
MRS_USERS = "cloudsync://mrs/cn-north-4/clusters/{}/iam-users"
AIRFLOW = [sys.executable, "-m", "airflow"]
BACKFILL_2 = ["days", "--start-date", "2026-01-01", "--end-date", "2026-01-02"]
BACKFILL_3 = ["--dag-id", "days", "--from-date", "2026-01-01", "--to-date", "2026-01-02"]


def begin_backfill(site: AirflowSite) -> None:
    """Ask for two days. No other task may run yet.

    On Airflow 2 the command resets what is queued, and comes back when all is done. On Airflow 3 it would fail when
    another process keeps the database locked for five seconds.
    """
    command = ["backfill", "create", *BACKFILL_3] if site.is_3 else ["dags", "backfill", *BACKFILL_2]
    patient = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"{site.database.url}?timeout=60"}
    site.processes.run("backfill", [*AIRFLOW, *command], 180, patient)


def end_backfill(site: AirflowSite) -> list[str | None]:
    """Wait for the two days, and return the states of their tasks."""
    days = site.records.rows("select dag_id, run_id from dag_run where dag_id = 'days'")
    return [task.state for task in site.wait(days, 120)]


def until_all_wait(site: AirflowSite, run: Run) -> None:
    """Wait until each sensor waits as its mode says."""
    for how, mode in MODES.items():
        for name in SENSORS:
            site.wait_for_state(run, f"{name}_{how}", [WAITING[mode]], 90)


def results(site: AirflowSite, emulator: EmulatorProcess, run: Run) -> dict[str, Any]:
    """Wait for the run, and keep what the tests look at."""
    tasks = site.wait([run], 240 + 3 * MAPPED)
    return {
        "tasks": {task.task_id: task for task in tasks if task.map_index < 0},
        "mapped": [task for task in tasks if task.map_index >= 0],
        "arrived": site.xcom(run, "arrived"),
        "events": outlet_events(site, run),
        "logs": {
            task.name: site.task_log(run, task.task_id, task.map_index)
            + site.trigger_log(run, task.task_id, task.map_index)
            for task in tasks
        },
        "starts": Counter(
            entry["path"].split("/")[-2] for entry in emulator.journal() if entry["effect"] is not None
        ),
    }


@pytest.fixture(scope="module")
def outcome(shared: dict[str, Any]) -> dict[str, Any]:
    """The run of the DAG, with a backfill at its side."""
    return {**shared["modes"], "days": shared["days"]}


def outlet_events(site: AirflowSite, run: tuple[str, str]) -> dict[tuple[str, int, str], dict[str, Any]]:
    """What the event of each outlet was told, by task, map index and URI."""
    kind = "asset" if site.is_3 else "dataset"
    rows = site.records.rows(
        f"select source_task_id, source_map_index, uri, e.extra from {kind}_event e "
        f"join {kind} on {kind}.id = e.{kind}_id where source_run_id = ? and source_dag_id = ?",
        *reversed(run),
    )
    return {(task_id, index, uri): json.loads(extra) for task_id, index, uri, extra in rows}


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("name", SENSORS)
def test_sensor(outcome: dict[str, Any], name: str, how: str) -> None:
    state, words = SENSORS[name]
    task, log = outcome["tasks"][f"{name}_{how}"], outcome["logs"][f"{name}_{how}"]
    assert (task.state, task.try_number, task.mode) == (state, 1, MODES[how]), log
    assert words in log


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(outcome: dict[str, Any], name: str) -> None:
    state, mode, starts, words = OPERATORS[name]
    task, log = outcome["tasks"][name], outcome["logs"][name]
    assert (task.state, task.mode) == (state, mode), log
    for word in words:
        assert word in log
    assert outcome["starts"][name] == starts


def test_each_of_many_mapped_syncs_is_on_its_own(outcome: dict[str, Any]) -> None:
    states = {task.map_index: task.state for task in outcome["mapped"]}
    assert states == {0: "failed", **dict.fromkeys(range(1, MAPPED), "success")}
    assert 'user "alice"' in outcome["logs"]["mapped[0]"]
    assert outcome["arrived"] == [f"c{number}" for number in range(1, MAPPED)]
    assert [outcome["starts"][f"c{number}"] for number in range(MAPPED)] == [1] * MAPPED


def test_the_event_of_an_outlet_tells_what_happened(outcome: dict[str, Any]) -> None:
    """Of the tasks that went well, in each mode; Airflow has an event for each of their outlets."""
    member, users = "cloudsync://dataarts/cn-north-4/workspaces/w/member-sync-tasks/good", MRS_USERS
    told = {
        (f"good_{how}", -1, member): {"service": "dataarts", "workspace": "w", "sync_task_id": "good"}
        for how in MODES
    }
    for name in ("if_failed", "in_spite"):
        told[name, -1, users.format(name)] = {"service": "mrs", "cluster_id": name, "users": 1}
        told[name, -1, users.format("another")] = {}
    for number in range(1, MAPPED):
        told["mapped", number, users.format("c1")] = (
            {"service": "mrs", "cluster_id": "c1", "users": 1} if number == 1 else {}
        )
    assert set(outcome["events"]) == set(told)
    for where, expected in told.items():
        found = outcome["events"][where]
        assert set(found) == ({"cloudsync"} if expected else set()), where
        if expected:
            assert {**expected, "outcome": "succeeded"}.items() <= found["cloudsync"].items()


def test_two_days_that_are_backfilled_at_once_take_turns(outcome: dict[str, Any]) -> None:
    assert outcome["days"] == ["success", "success"]
    assert outcome["starts"]["each_day"] == 2
