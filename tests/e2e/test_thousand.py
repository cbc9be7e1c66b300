"""A triggerer is killed while a thousand tasks wait in it: the next one ends each wait, once and as it should end."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cloudsync.api.model import Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
from tests.e2e.airflow_site import AirflowSite
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

WAITS, CLUSTERS = 1000, 250
#: So many waits have ended when the first triggerer is killed. 400 can't have.
ENDED_BEFORE = 100
#: Emulated seconds; that clock is moved on once the second triggerer runs.
LONG = 3600.0
#: Seconds until the deadline of those whose run never ends.
PATIENCE = 20.0
RUN = {"at": 0, "seconds": LONG, "users": ["alice"]}
#: How a cluster is, by its number modulo five, and what its waits have to end with.
CLUSTER: tuple[tuple[dict[str, Any], str], ...] = (
    ({"synced_users": ["alice"]}, "succeeded"),
    ({}, "failed"),
    ({"foreign_runs": [RUN]}, "succeeded"),
    ({"foreign_runs": [{**RUN, "outcome": "failed"}]}, "failed"),
    ({"foreign_runs": [{**RUN, "outcome": "never_ends"}]}, "WaitTimedOut"),
)
SETTINGS = {
    # By default it takes 50 a second, and another one's after half a minute of silence.
    "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(WAITS),
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}
#: Written down by the database itself, whichever process it is that resumes a task.
WATCH = """
create table resumed (map_index integer, method text, kwargs text);
create trigger resuming after update of state on task_instance
when old.state = 'deferred' and new.state <> 'deferred'
begin
  insert into resumed values (new.map_index, new.next_method, new.next_kwargs);
end;
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Let a thousand wait, kill the triggerer, start another, and keep what came of it."""
    waits = tmp_path_factory.mktemp("thousand") / "waits.json"
    clusters = {f"c{number}": CLUSTER[number % 5][0] for number in range(CLUSTERS)}
    # Nobody looks at so many clusters twice within a minute, but for a test.
    scenario = {"quotas": False, "mrs": {"clusters": clusters}}
    dags = Path(__file__).parent / "dags"
    with (
        EmulatorProcess(scenario=scenario) as emulator,
        AirflowSite(dags, {**emulator.connection_env, **SETTINGS}, components=()) as site,
    ):
        waits.write_text(json.dumps([arguments(number) for number in range(WAITS)]), encoding="utf-8")
        script = Path(__file__).with_name("deferring.py")
        command = [sys.executable, str(script), str(dags / "thousand.py"), str(waits)]
        site.processes.run("deferring", command, 60.0)
        with closing(sqlite3.connect(site.home / "airflow.db")) as database:
            database.executescript(WATCH)

        site.start("triggerer")
        until(site, lambda: resumed(site) >= ENDED_BEFORE)
        site.crash("triggerer")
        ended_before = resumed(site)
        site.start("triggerer")
        emulator.control("POST", "advance", {"seconds": LONG + 1})
        until(site, lambda: resumed(site) >= WAITS)
        until(site, lambda: site.records.rows("select count(*) from trigger") == [(0,)])
        return {
            "ended_before": ended_before,
            "resumed": site.records.rows("select map_index, method, kwargs from resumed"),
            "states": site.records.rows("select state, count(*) from task_instance group by state"),
            "journal": emulator.journal(),
        }


def arguments(number: int) -> dict[str, Any]:
    """What the trigger of a task instance is made of, as a worker leaves it behind."""
    target = iam_sync_target(f"c{number % CLUSTERS}", user_names=["alice"])
    baseline = {"missing_users": ["alice"], "missing_groups": [], "is_synchronous": False}
    began = time.time() - 20
    ticket = Ticket(IAM_SYNC.name, target, Stage.STARTED, began, baseline=baseline)
    passes = CLUSTER[number % 5][1] == "WaitTimedOut"
    return {
        "ticket": ticket.to_json(),
        "deadline": time.time() + (PATIENCE if passes else LONG),
        "cloudsync_conn_id": "cloudsync_default",
    }


def resumed(site: AirflowSite) -> int:
    count: int = site.records.rows("select count(*) from resumed")[0][0]
    return count


def until(site: AirflowSite, there: Callable[[], bool], timeout: float = 120.0) -> None:
    """Wait for it."""
    end = time.monotonic() + timeout
    while not there():
        site.processes.check()
        assert time.monotonic() < end, site.processes.tails()
        time.sleep(0.1)


def plain(value: Any) -> Any:
    """Without the types that Airflow writes beside the values."""
    if isinstance(value, dict):
        return (
            plain(value["__var"]) if "__var" in value else {name: plain(each) for name, each in value.items()}
        )
    return value


def ended(kwargs: str) -> str:
    """How the wait ended that a task is resumed with."""
    event = plain(json.loads(kwargs))["event"]
    return str(event["phase"] or event["error"]["error"])


def test_it_was_killed_with_most_of_the_waits_in_it(outcome: dict[str, Any]) -> None:
    assert ENDED_BEFORE <= outcome["ended_before"] <= 3 * WAITS / 5


def test_each_task_is_resumed_once(outcome: dict[str, Any]) -> None:
    assert Counter(index for index, _, _ in outcome["resumed"]) == Counter(range(WAITS))
    assert {method for _, method, _ in outcome["resumed"]} == {"execute_complete"}
    assert outcome["states"] == [("scheduled", WAITS)]


def test_with_the_right_verdict(outcome: dict[str, Any]) -> None:
    verdicts = {index: ended(kwargs) for index, _, kwargs in outcome["resumed"]}
    assert verdicts == {index: CLUSTER[index % CLUSTERS % 5][1] for index in range(WAITS)}


def test_nothing_was_started(outcome: dict[str, Any]) -> None:
    assert {entry["effect"] for entry in outcome["journal"]} == {None}
    # None: what was asked just when the triggerer was killed.
    assert {entry["status"] for entry in outcome["journal"]} <= {200, None}
