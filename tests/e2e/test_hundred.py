"""A hundred workers start a sync each at the same moment, which are more starts than the service takes in a minute."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.processes import Processes

pytestmark = pytest.mark.e2e

MANY = 100
SCENARIO = {
    # As many as in the cloud, but in ten seconds and not in sixty.
    "quotas": {"UpdateSyncIamUser": {"limit": 60, "seconds": 10}},
    "mrs": {"clusters": {f"c{number}": {} for number in range(MANY)}},
}


def test_those_that_are_too_many_come_later_and_each_is_started_once(tmp_path: Path) -> None:
    with EmulatorProcess(scenario=SCENARIO) as emulator:
        env = {**os.environ, **emulator.connection_env, "TEST_MARK": str(tmp_path)}
        script = Path(__file__).with_name("hundred.py")
        processes = Processes(env, "TEST_MARK", tmp_path)
        try:
            output = processes.run("hundred", [sys.executable, str(script), str(MANY)], 180)
        finally:
            processes.stop_all()
        sent = [entry for entry in emulator.journal() if entry["operation"] == "UpdateSyncIamUser"]

    assert output.splitlines()[-1] == str(MANY)
    assert Counter(entry["path"].split("/")[-2] for entry in sent if entry["effect"]) == dict.fromkeys(
        SCENARIO["mrs"]["clusters"], 1
    )
    assert {entry["status"] for entry in sent} == {202, 429}
