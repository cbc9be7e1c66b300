"""Runs in which tasks end in each of the ways that matter, at the same time."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.airflow_site import AirflowSite, Run
from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.records import TaskResult

#: Those of `dags/promise.py` and `dags/maintenance.py`.
DAGS = ("promise", "fails", "was_off", "dies")
SCENARIO = {
    "mrs": {
        "clusters": {
            "red": {"seconds": 5, "outcome": {"result": "partial", "missing": ["bob"]}},
            "anew": {"seconds": 5, "outcome": ["failed", "succeeded"]},
            "killed": {"seconds": 30},
            "overdue": {"outcome": "never_ends"},
        }
    },
    "coc": {
        "accounts": {
            "r1": {"vendor": "AWS", "account_id": "good", "seconds": 4},
            "r2": {
                "vendor": "AWS",
                "account_id": "bad",
                "seconds": 4,
                "outcome": "failed",
                "failure": "credentials expired",
            },
        }
    },
    "hss": {"clusters": {"c": {"outcome": "not_created"}}},
    "dataarts": {
        "workspaces": ["w"],
        "tasks": {
            "t": {
                "workspace": "w",
                "schedule_status": "SCHEDULING",
                "schedule_period": "MINUTE",
                "schedule_interval": 1,
                "sync_status": "SYNC_FAIL",
                "sync_time": -3600,
                "seconds": 5,
            }
        },
    },
    "csms": {"events": {"fails": {}, "was_off": {"state": "DISABLED"}, "dies": {}}, "secrets": {}},
}
#: The access key that COC shows of each account.
VENDOR_KEY = "AKIAEXAMPLEACCESSKEY"


def ended_runs(site: AirflowSite, emulator: EmulatorProcess, runs: list[Run]) -> dict[str, Any]:
    """Wait for a run of each DAG, and keep what the tests look at."""
    tasks = site.wait(runs, 240)
    secret = json.loads(next(iter(emulator.connection_env.values())))["password"]
    written = [path for path in site.home.rglob("*") if path.is_file() and path.suffix == ".log"]
    return {
        "tasks": {(task.dag_id, task.task_id): task for task in tasks},
        "logs": {(task.dag_id, task.task_id): everything_logged(site, task) for task in tasks},
        "events": emulator.control("GET", "state")["csms"]["events"],
        "journal": emulator.journal(),
        "leaks": [
            path.name
            for path in written
            if secret in (text := path.read_text(errors="replace")) or VENDOR_KEY in text
        ],
    }


def everything_logged(site: AirflowSite, task: TaskResult) -> str:
    """What a task and its triggers logged, all attempts."""
    run = (task.dag_id, task.run_id)
    return site.task_log(run, task.task_id, task.map_index) + site.trigger_log(
        run, task.task_id, task.map_index
    )
