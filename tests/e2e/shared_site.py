"""One Airflow for the DAGs of several files: its start takes more processor time than their tasks.

Each file says what is run and what it keeps of it; here is the order. Only one step moves the emulated clock before
all other runs have ended, and only one ends processes: no test sees another one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.e2e import ended_runs, test_kills, test_modes
from tests.e2e.airflow_site import AirflowSite
from tests.e2e.emulator_process import EmulatorProcess

DAGS = Path(__file__).parent / "dags"


def run_all() -> dict[str, Any]:
    """Run each DAG once, and return what the tests look at, by file."""
    scenario = united(ended_runs.SCENARIO, test_modes.SCENARIO, test_kills.SCENARIO)
    with (
        EmulatorProcess(scenario=scenario) as emulator,
        AirflowSite(DAGS, emulator.connection_env) as site,
    ):
        site.wait_for_dags([*ended_runs.DAGS, "modes", "days", "kills"])
        test_modes.begin_backfill(site)
        emulator.control("POST", "faults", {"faults": test_kills.FAULTS})
        kills = test_kills.Kills(site, emulator, site.trigger_all(["kills"])[0])
        kills.until_all_wait()
        days = test_modes.end_backfill(site)
        runs = site.trigger_all(ended_runs.DAGS)
        kills.act_as_users()
        ended = ended_runs.ended_runs(site, emulator, runs)
        kills.replace()

        (run,) = site.trigger_all(["modes"], {"clusters": test_modes.MAPPED})
        test_modes.until_all_wait(site, run)
        emulator.control("POST", "advance", {"seconds": test_modes.HOUR})
        return {
            "days": days,
            "ended": ended,
            "modes": test_modes.results(site, emulator, run),
            "kills": kills.results(),
        }


def united(*scenarios: Mapping[str, Any]) -> dict[str, Any]:
    """One scenario with all that these have; what has the same name in two of them is an error.

    :raises ValueError: two are not the same, and cannot be united.
    """
    found: dict[str, Any] = {}
    for name in {name: None for scenario in scenarios for name in scenario}:
        values = [scenario[name] for scenario in scenarios if name in scenario]
        if all(isinstance(value, Mapping) for value in values) and len(values) > 1:
            found[name] = united(*values)
        elif all(value == values[0] for value in values):
            found[name] = values[0]
        else:
            raise ValueError(f"{name} is different in two scenarios: {values}")
    return found
