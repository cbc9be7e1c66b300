"""The promise, in a real Airflow: green is true, red says why, nothing is started twice, no wait is endless."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

SCENARIO = {
    "mrs": {
        "clusters": {
            "red": {"seconds": 5, "outcome": {"result": "partial", "missing": ["bob"]}},
            "anew": {"seconds": 5, "outcome": ["failed", "succeeded"]},
            "killed": {"seconds": 30},
            "late": {"outcome": "never_ends"},
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
}
#: The access key that COC shows of each account.
VENDOR_KEY = "AKIAEXAMPLEACCESSKEY"
#: state, tries, how it waited, starts, words in the log
EXPECTED = {
    "red": ("failed", 1, "deferred", 1, ['user "bob"', "operation log"]),
    "anew": ("success", 2, "deferred", 2, ["accepted"]),
    "killed": ("success", 2, "blocking", 1, ["Taking up what an earlier try"]),
    "late": ("failed", 1, "deferred", 1, ["not done when the time was up", "goes on there"]),
    "one_of_two": ("failed", 1, "deferred", 1, ["1 of 2 accounts", '"bad"', "credentials expired"]),
    "nobody": ("failed", 1, "blocking", 0, ["COC has no account"]),
    "not_created": ("failed", 1, "blocking", 0, ["synched: false"]),
    "rescheduled": ("success", 1, "rescheduled", 0, ["No run counts yet", "succeeded"]),
}


#: In the path of a start, where it is not the cluster.
STARTED_BY = {"one_of_two": "/multicloud-resources/sync"}


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Run the DAG once, and keep what each test looks at."""
    dags = Path(__file__).parent / "dags"
    with (
        EmulatorProcess(scenario=SCENARIO) as emulator,
        AirflowSite(dags, emulator.connection_env) as site,
    ):
        site.wait_for_dags(["promise"])
        run = ("promise", site.trigger("promise"))
        tasks = {task.task_id: task for task in site.wait([run], 240)}
        secret = json.loads(next(iter(emulator.connection_env.values())))["password"]
        written = [path for path in site.home.rglob("*") if path.is_file() and path.suffix == ".log"]
        return {
            "tasks": tasks,
            "logs": {name: site.task_log(run, name) + site.trigger_log(run, name) for name in tasks},
            "journal": emulator.journal(),
            "leaks": [
                path.name
                for path in written
                if secret in (text := path.read_text(errors="replace")) or VENDOR_KEY in text
            ],
        }


@pytest.mark.parametrize("name", EXPECTED)
def test_task(outcome: dict[str, Any], name: str) -> None:
    state, tries, mode, starts, words = EXPECTED[name]
    task, log = outcome["tasks"][name], outcome["logs"][name]
    assert (task.state, task.try_number, task.mode) == (state, tries, mode), log
    for word in words:
        assert word in log
    where = STARTED_BY.get(name, f"/clusters/{name}/")
    sent = [e for e in outcome["journal"] if e["effect"] is not None and where in e["path"]]
    assert len(sent) == starts


def test_no_log_holds_the_secret_key_or_a_signature(outcome: dict[str, Any]) -> None:
    assert outcome["leaks"] == []
    for log in outcome["logs"].values():
        assert "Signature=" not in log


def test_every_request_was_signed_rightly(outcome: dict[str, Any]) -> None:
    assert {entry["auth"] for entry in outcome["journal"]} == {"valid"}
