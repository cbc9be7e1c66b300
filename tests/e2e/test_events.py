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

    def looks(self, dag_id: str) -> int:
        """How often it was looked."""
        return sum(entry["operation"] == LOOKS[dag_id] for entry in self.emulator.journal())

    def advance_to(self, seconds: float) -> None:
        """Move the emulated clock on."""
        now = self.emulator.control("POST", "advance", {"seconds": 0})["now"]
        self.emulator.control("POST", "advance", {"seconds": self.began + seconds - now})

    def until(self, there: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something; what follows if it does not come is for each test to say."""
        deadline = time.monotonic() + seconds
        while not there() and time.monotonic() < deadline:
            self.site.processes.check()
            time.sleep(0.3)

    def until_they_have_looked(self, times: int = 4) -> None:
        """Wait until each has looked so often from now."""
        before = {dag_id: self.looks(dag_id) for dag_id in LOOKS}
        self.until(lambda: all(self.looks(dag_id) >= before[dag_id] + times for dag_id in LOOKS))

    def reported(self, dag_id: str) -> list[dict[str, Any]]:
        """What the tasks of the runs were told."""
        return [
            event for run_id, _ in self.runs(dag_id) for event in self.site.xcom((dag_id, run_id), "tell")
        ]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Let runs end while a triggerer looks, while none does, and while the next one begins."""
    scenario = tmp_path_factory.mktemp("events") / "scenario.json"
    scenario.write_text(json.dumps(SCENARIO), encoding="utf-8")
    dags = Path(__file__).parent / "event_dags"
    with (
        EmulatorProcess("--scenario", str(scenario)) as emulator,
        AirflowSite(dags, emulator.connection_env | QUICK) as site,
    ):
        watched = Watched(site, emulator)
        ended = [watched.began + run["at"] for run in RUNS]

        def remembers(number: int) -> bool:
            return abs(watched.memories().get("members", {}).get("", 0) / 1000 - ended[number]) < 1

        site.wait_for_dags(["members", "users"])
        watched.until(lambda: set(watched.memories()) == {"members", "users"})
        watched.advance_to(HOUR + 90)
        watched.until(lambda: len(watched.runs("members")) == 1 and remembers(0))
        watched.advance_to(SYNC["at"] + 60)
        watched.until(lambda: watched.memories()["users"]["since"] > 0)

        site.crash("triggerer")
        watched.advance_to(2 * HOUR + 1200)
        site.start("triggerer")
        watched.until(lambda: len(watched.runs("members")) == 2 and remembers(1))
        watched.until(lambda: watched.memories()["users"]["since"] == 0)

        site.crash("triggerer")  # nothing happens meanwhile
        site.start("triggerer")
        watched.until_they_have_looked()
        watched.advance_to(4 * HOUR + 90)
        watched.until(lambda: len(watched.runs("members")) == 3 and remembers(2))
        watched.until_they_have_looked()
        runs = [(dag_id, run_id) for dag_id in LOOKS for run_id, _ in watched.runs(dag_id)]
        site.wait(runs, 60)
        return {
            "states": {dag_id: [state for _, state in watched.runs(dag_id)] for dag_id in LOOKS},
            "reported": {dag_id: watched.reported(dag_id) for dag_id in LOOKS},
            "events": site.records.rows("select count(*) from asset_event")[0][0],
            "log": site.processes.tail("triggerer", 100_000),
        }


def test_one_dag_run_for_each_run_in_the_cloud(outcome: dict[str, Any]) -> None:
    assert outcome["states"] == {"members": ["success"] * 3, "users": ["success"]}
    assert outcome["events"] == 4


def test_each_is_told_of_its_run(outcome: dict[str, Any]) -> None:
    members = outcome["reported"]["members"]
    assert [event["outcome"] for event in members] == ["succeeded", "failed", "succeeded"]
    assert "no such role" in members[1]["why"]
    assert len({event["run"] for event in members}) == 3
    (users,) = outcome["reported"]["users"]
    assert (users["service"], users["cluster_id"], users["outcome"]) == ("mrs", "c", "ended")


def test_the_log_has_no_complaint(outcome: dict[str, Any]) -> None:
    for words in ("can't be watched", "can't be kept", "Traceback"):
        assert words not in outcome["log"]
