"""Tasks, workers, triggerer and scheduler end as they do in real life, and no sync is started twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite, Run
from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.records import TaskResult
from tests.e2e.user_actions import act

pytestmark = pytest.mark.e2e

#: Airflow from 3.3 on keeps the ticket of a try.
REMEMBERS = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)
#: Whoever is dead is replaced soon, and not after half a minute.
QUICK = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
}

ACCEPTED = "accepted (request ID"
TAKEN_UP = "Resuming the sync of a previous try"
UNKNOWN = "Reply to the start was lost"
IN_THE_WAY = "another run is active. Starting after it has ended"
GOES_ON = "continues in the cloud, because no API stops it: look at the operation log of the cluster in the MRS console"
#: state, tries, starts, words in the log
EXPECTED = {
    "dies_looking": ("success", 2, 1, [ACCEPTED]),
    "dies_storing": ("success", 2, 1, [ACCEPTED]),
    "dies_started": ("success", 2, 1, [TAKEN_UP]),
    "dies_waiting": ("success", 2, 1, [TAKEN_UP]),
    "out_of_time": ("success", 2, 1, ["Timed out after", TAKEN_UP]),
    "accepted_then_waits": ("success", 2, 1, [ACCEPTED, TAKEN_UP]),
    "scheduler_dies": ("success", 2, 1, [TAKEN_UP]),
    "reply_lost": ("success", 1, 1, [UNKNOWN, "adopting the run that is visible"]),
    "request_lost": ("success", 1, 1, [UNKNOWN, "No run was started. Sending the start again"]),
    "marked_failed": ("failed", 1, 1, ["Wait stopped", GOES_ON]),
    "marked_success": ("success", 1, 1, ["Wait stopped", GOES_ON]),
    "killed_by_user": ("failed", 1, 1, ["Task terminated", GOES_ON]),
    "cleared": ("success", 2, 1, [TAKEN_UP]),
    "green_then_cleared": ("success", 2, 2, [ACCEPTED]),
    "failed_then_cleared": ("success", 2, 1, [GOES_ON, TAKEN_UP]),
    "success_then_cleared": ("success", 2, 2, [GOES_ON, ACCEPTED]),
}
if not REMEMBERS:
    # A task that is cleared is a new one then: it waits for the run that is there, and starts its own.
    EXPECTED["cleared"] = ("success", 2, 2, [IN_THE_WAY])
    EXPECTED["failed_then_cleared"] = ("success", 2, 2, [GOES_ON, IN_THE_WAY])

#: What a user does while the syncs go on, what a little later, and what when they have ended.
MARKED = {
    "marked_failed": "failed",
    "marked_success": "success",
    "killed_by_user": "failed",
    "failed_then_cleared": "failed",
    "success_then_cleared": "success",
}
CLEARED = dict.fromkeys(["cleared", "failed_then_cleared"], "cleared")
CLEARED_LATE = dict.fromkeys(["success_then_cleared", "green_then_cleared"], "cleared")
#: Those that wait in their workers when the others are deferred.
IN_WORKER = {"killed_by_user", "scheduler_dies"}
#: Those that wait all the time in a triggerer, which is replaced.
DEFERRED = set(EXPECTED) - set(MARKED) - set(CLEARED) - set(CLEARED_LATE) - IN_WORKER

#: Longer than the test: the clock of the cloud is put forward when all has happened.
HOUR = 3600.0
SCENARIO = {"mrs": {"clusters": {name: {"seconds": HOUR} for name in EXPECTED}}}
FAULTS = [
    {"match": {"operation": "UpdateSyncIamUser", "path": f"*/{name}/*"}, "when": when, "reset": True}
    for name, when in (("reply_lost", "after"), ("request_lost", "before"))
]


class Kills:
    """The run of the DAG in which each task is ended in its way.

    :param run: the run, just triggered.
    """

    def __init__(self, site: AirflowSite, emulator: EmulatorProcess, run: Run) -> None:
        self._site = site
        self._emulator = emulator
        self._run = run
        self._left: dict[str, list[Any]] = {}

    def until_all_wait(self) -> None:
        """Wait until each task waits, those that are killed in their second try."""
        for name in EXPECTED:
            self._site.wait_for_state(self._run, name, ["running" if name in IN_WORKER else "deferred"], 180)
        soon(lambda: all(map(self._runs, IN_WORKER)))

    def act_as_users(self) -> None:
        """Mark and clear tasks while the syncs go on."""
        act(self._site, self._run, MARKED)
        soon(lambda: all(GOES_ON in self._log(name) for name in MARKED))
        self._left = {name: [each["ended"] for each in self._runs(name)] for name in MARKED}
        act(self._site, self._run, CLEARED)
        soon(lambda: all(TAKEN_UP in self._log(n) or IN_THE_WAY in self._log(n) for n in CLEARED))

    def replace(self) -> None:
        """End scheduler and triggerer, and start others. No other run may have a task then."""
        # The logs are counted by triggerer, and there is one when there is something to say.
        soon(lambda: all(self._tasks()[name].triggers >= 1 for name in DEFERRED))
        for component in ("scheduler", "triggerer"):
            self._site.crash(component)
        for component in ("scheduler", "triggerer"):
            self._site.start(component, QUICK)
        soon(lambda: self._tasks()["scheduler_dies"].state == "deferred")

    def results(self) -> dict[str, Any]:
        """Let the syncs end, clear some tasks once more, and keep what the tests look at."""
        self._site.wait([self._run], 120, self._hours_pass)
        act(self._site, self._run, CLEARED_LATE)
        self._site.wait([self._run], 60, self._hours_pass)
        return {
            "tasks": self._tasks(),
            "logs": {name: self._log(name) for name in EXPECTED},
            "left": self._left,
            "journal": self._emulator.journal(),
        }

    def _tasks(self) -> dict[str, TaskResult]:
        return {task.task_id: task for task in self._site.records.tasks(*self._run)}

    def _log(self, name: str) -> str:
        return self._site.task_log(self._run, name) + self._site.trigger_log(self._run, name)

    def _runs(self, name: str) -> Any:
        return self._emulator.control("GET", "state")["mrs"]["clusters"][name]["runs"]

    def _hours_pass(self, _: list[TaskResult]) -> None:
        self._emulator.control("POST", "advance", {"seconds": HOUR})


@pytest.fixture(scope="module")
def outcome(shared: dict[str, Any]) -> dict[str, Any]:
    """The run of the DAG, each of whose tasks was ended in its way."""
    kills: dict[str, Any] = shared["kills"]
    return kills


def soon(there: Callable[[], bool], seconds: float = 40) -> None:
    """Wait for something; what follows if it does not come is for each test to say."""
    deadline = time.monotonic() + seconds
    while not there() and time.monotonic() < deadline:
        time.sleep(0.3)


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_started_twice(outcome: dict[str, Any], name: str) -> None:
    state, tries, starts, words = EXPECTED[name]
    task, log = outcome["tasks"][name], outcome["logs"][name]
    assert (task.state, task.try_number) == (state, tries), log
    for word in words:
        assert word in log
    sent = [e for e in outcome["journal"] if e["effect"] is not None and f"/{name}/" in e["path"]]
    assert len(sent) == starts, log


@pytest.mark.parametrize("name", MARKED)
def test_what_a_user_ended_goes_on_in_the_cloud_and_says_so_once(outcome: dict[str, Any], name: str) -> None:
    assert outcome["left"][name] == [None]
    assert outcome["logs"][name].count(GOES_ON) == 1, outcome["logs"][name]


@pytest.mark.parametrize("name", sorted(DEFERRED))
def test_another_triggerer_went_on_with_the_wait(outcome: dict[str, Any], name: str) -> None:
    assert outcome["tasks"][name].triggers == 2
