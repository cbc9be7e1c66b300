"""DAGs that are started by watchers, over deaths of the triggerer: one DAG run for each run in the cloud."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.emulator_process import EmulatorProcess

RELEASE = tuple(map(int, version("apache-airflow").split(".")[:2]))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(RELEASE < (3, 3), reason="Airflow before 3.3 keeps nothing for a watcher"),
]

HOUR = 3600.0
RUNS = [
    {"at": HOUR, "seconds": 60},
    {"at": 2 * HOUR, "seconds": 60, "outcome": "SYNC_FAIL", "msg": "no such role"},
    {"at": 4 * HOUR, "seconds": 60},
]
#: Goes on when the first triggerer dies, and has ended when the next one comes.
SYNC = {"at": 2 * HOUR - 600, "seconds": 1200, "users": ["alice"]}
SCENARIO = {
    "dataarts": {"workspaces": ["w"], "tasks": {"t": {"workspace": "w", "runs": RUNS}}},
    "mrs": {"clusters": {"c": {"foreign_runs": [SYNC]}}},
}
#: Whoever is dead is replaced soon, and not after half a minute.
QUICK = {"AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6"}
LOOKS = {"members": "ShowSecurityMemberSyncTask", "users": "ListClusterSyncTaskStatus"}


class Watched:
    """The site with its watchers, and what they have come to."""

    def __init__(self, site: AirflowSite, emulator: EmulatorProcess) -> None:
        self.site = site
        self.emulator = emulator
        self.began = emulator.control("POST", "advance", {"seconds": 0})["now"]

    def runs(self, dag_id: str) -> list[tuple[str, str]]:
        """The DAG runs, by their ids and states."""
        return self.site.records.rows(
            "select run_id, state from dag_run where dag_id = ? order by id", dag_id
        )

    def memories(self) -> dict[str, dict[str, int]]:
        """What the watchers have kept, by the word that tells whose it is."""
        rows = self.site.records.rows("select value from asset_state_store")
        kept = [json.loads(value)["memory"] for (value,) in rows]
        return {"users" if "since" in memory else "members": memory for memory in kept}

    def has_reported(self, times: int) -> bool:
        """Whether there are so many runs of the DAG, and the watcher has written down the last one."""
        task = self.emulator.control("GET", "state")["dataarts"]["tasks"]["t"]
        return len(self.runs("members")) == times and self.memories()["members"] == {"": task["sync_time"]}

    def looks(self, dag_id: str) -> int:
        """How often it was looked."""
        return sum(entry["operation"] == LOOKS[dag_id] for entry in self.emulator.journal())

    def advance_to(self, seconds: float) -> None:
        """Move the emulated clock on."""
        now = self.emulator.control("POST", "advance", {"seconds": 0})["now"]
        self.emulator.control("POST", "advance", {"seconds": self.began + seconds - now})

    def until(self, there: Callable[[], bool], seconds: float = 240) -> None:
        """Wait for something; what follows if it does not come is for each test to say."""
        deadline = time.monotonic() + seconds
        while not there() and time.monotonic() < deadline:
            self.site.processes.check()
            time.sleep(0.3)

    def until_they_have_looked(self, times: int = 4) -> None:
        """Wait until each has looked so often from now."""
        before = {dag_id: self.looks(dag_id) for dag_id in LOOKS}
        self.until(lambda: all(self.looks(dag_id) >= before[dag_id] + times for dag_id in LOOKS))

    def report_again(self, dag_id: str) -> None:
        """As if a triggerer had died between an event and its memory."""
        run_id, _ = self.runs(dag_id)[-1]
        (payload,) = self.site.xcom((dag_id, run_id), "tell")
        (asset_id,) = self.site.records.rows(
            "select max(asset_id) from asset_event where extra like ?", f"%{payload['run']}%"
        )[0]
        event = {"asset_id": asset_id, "extra": {"payload": payload}}
        self.site.api("POST", "/api/v2/assets/events", event)

    def reported(self, dag_id: str) -> list[dict[str, Any]]:
        """What the tasks of the runs were told."""
        return [
            event for run_id, _ in self.runs(dag_id) for event in self.site.xcom((dag_id, run_id), "tell")
        ]


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Let runs end while a triggerer looks, while none does, and while the next one begins."""
    dags = Path(__file__).parent / "event_dags"
    with (
        EmulatorProcess(scenario=SCENARIO) as emulator,
        AirflowSite(dags, emulator.connection_env | QUICK) as site,
    ):
        watched = Watched(site, emulator)
        site.wait_for_dags(["members", "users"])
        watched.until(lambda: set(watched.memories()) == {"members", "users"})
        watched.advance_to(HOUR + 90)
        watched.until(lambda: watched.has_reported(1))
        watched.advance_to(SYNC["at"] + 60)
        watched.until(lambda: watched.memories()["users"]["since"] > 0)

        site.crash("triggerer")
        watched.advance_to(2 * HOUR + 1200)
        site.start("triggerer")
        watched.until(lambda: watched.has_reported(2))
        watched.until(lambda: watched.memories()["users"]["since"] == 0)

        site.crash("triggerer")  # nothing happens meanwhile
        site.start("triggerer")
        watched.until_they_have_looked()
        watched.advance_to(4 * HOUR + 90)
        watched.until(lambda: watched.has_reported(3))
        watched.until_they_have_looked()
        events = site.records.rows("select asset_id, extra from asset_event order by id")
        watched.report_again("members")
        watched.until(lambda: len(watched.runs("members")) == 4)
        runs = [(dag_id, run_id) for dag_id in LOOKS for run_id, _ in watched.runs(dag_id)]
        site.wait(runs, 60)
        return {
            "states": {dag_id: [state for _, state in watched.runs(dag_id)] for dag_id in LOOKS},
            "reported": {dag_id: watched.reported(dag_id) for dag_id in LOOKS},
            "events": events,
            "new": {
                dag_id: [
                    task.state
                    for run_id, _ in watched.runs(dag_id)
                    for task in site.records.tasks(dag_id, run_id)
                    if task.task_id == "new_runs"
                ]
                for dag_id in LOOKS
            },
            "log": site.processes.tail("triggerer", 100_000),
        }


def test_one_dag_run_for_each_run_in_the_cloud(outcome: dict[str, Any]) -> None:
    assert outcome["states"] == {"members": ["success"] * 4, "users": ["success"]}
    assert len(outcome["events"]) == 4


def test_each_is_told_of_its_run(outcome: dict[str, Any]) -> None:
    *members, _ = outcome["reported"]["members"]
    assert [event["outcome"] for event in members] == ["succeeded", "failed", "succeeded"]
    assert "no such role" in members[1]["why"]
    assert len({event["run"] for event in members}) == 3
    (users,) = outcome["reported"]["users"]
    assert (users["service"], users["cluster_id"], users["outcome"]) == ("mrs", "c", "ended")


def test_a_run_that_comes_twice_can_be_told_by_its_name(outcome: dict[str, Any]) -> None:
    *members, again = outcome["reported"]["members"]
    assert again["run"] == members[-1]["run"]
    assert outcome["new"] == {"members": [*["success"] * 3, "skipped"], "users": ["success"]}


def test_the_log_has_no_complaint(outcome: dict[str, Any]) -> None:
    for words in ("Polling every", "Cannot access the asset state store", "Traceback"):
        assert words not in outcome["log"]
