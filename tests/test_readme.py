"""The README's own code does what the text around it says. That it runs at all is in `tests.test_blocks`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", README, re.DOTALL)


def test_there_are_the_blocks_that_are_looked_for() -> None:
    assert (len(PYTHON), len(JSON)) == (2, 1)


def test_the_first_dag_is_a_dag_of_two_tasks_that_wait_in_the_triggerer() -> None:
    names: dict = {}
    exec(compile(PYTHON[0], "README.md", "exec"), names)
    dag = names["users"].dag
    assert [task.task_id for task in dag.topological_sort()] == ["users", "members"]
    assert all(task.deferrable for task in dag.tasks)


@pytest.mark.cloudsync_emulator({"mrs": {"clusters": {"mine": {"seconds": 5}}}})
def test_the_test_of_the_fixture(cloudsync_emulator) -> None:
    names: dict = {}
    exec(compile(PYTHON[1], "README.md", "exec"), names)
    assert names["test_users_arrive"].pytestmark[0].args[0] == {"mrs": {"clusters": {"mine": {"seconds": 5}}}}
    names["test_users_arrive"](cloudsync_emulator)


def test_the_scenario_is_one() -> None:
    from airflow_provider_cloudsync.emulator import Emulator

    with Emulator(json.loads(JSON[0]), stepped=True) as emulator:
        assert set(emulator.state()["mrs"]["clusters"]) == {"slow", "broken"}
