"""Setup and teardown around work that fails and workers that die, in a real Airflow: events end as they began."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

DAGS = ("fails", "was_off", "dies")
SCENARIO = {"csms": {"events": {"fails": {}, "was_off": {"state": "DISABLED"}, "dies": {}}, "secrets": {}}}
#: Airflow from 3.3 has a place that survives a killed worker.
REMEMBERS = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Run the three DAGs once."""
    dags = Path(__file__).parent / "dags"
    with (
        EmulatorProcess(scenario=SCENARIO) as emulator,
        AirflowSite(dags, emulator.connection_env) as site,
    ):
        site.wait_for_dags(DAGS)
        runs = site.trigger_all(DAGS)
        tasks = {(task.dag_id, task.task_id): task for task in site.wait(runs, 240)}
        logs = {
            (dag_id, name): site.task_log((dag_id, run_id), name)
            for dag_id, run_id in runs
            for name in ("mute", "restore")
        }
        events = emulator.control("GET", "state")["csms"]["events"]
        return {"tasks": tasks, "logs": logs, "events": events, "journal": emulator.journal()}


def states(outcome: dict[str, Any], dag: str) -> list[str]:
    return [outcome["tasks"][dag, name].state for name in ("mute", "work", "restore")]


def writes(outcome: dict[str, Any], dag: str) -> list[str]:
    return [
        entry["body"]["state"]
        for entry in outcome["journal"]
        if entry["operation"] == "UpdateSecretEvent" and entry["path"].endswith(f"/{dag}")
    ]


def test_it_is_restored_though_the_work_fails(outcome: dict[str, Any]) -> None:
    assert states(outcome, "fails") == ["success", "failed", "success"], outcome["logs"]["fails", "restore"]
    assert writes(outcome, "fails") == ["DISABLED", "ENABLED"]
    assert outcome["events"]["fails"]["state"] == "ENABLED"


def test_what_was_off_stays_off(outcome: dict[str, Any]) -> None:
    assert states(outcome, "was_off") == ["success", "success", "success"]
    assert writes(outcome, "was_off") == []
    assert outcome["events"]["was_off"]["state"] == "DISABLED"


def test_a_worker_that_dies_after_the_write(outcome: dict[str, Any]) -> None:
    log = outcome["logs"]["dies", "mute"]
    assert outcome["tasks"]["dies", "mute"].try_number == 2, log
    if REMEMBERS:
        assert states(outcome, "dies") == ["success", "success", "success"], log
        assert writes(outcome, "dies") == ["DISABLED", "ENABLED"]
    else:
        # Nothing tells the second try what there was before; better red than muted for good.
        assert states(outcome, "dies") == ["success", "success", "failed"]
        assert "it can't be restored" in log
