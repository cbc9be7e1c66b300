"""The example DAGs, as they are, in a real Airflow."""

from __future__ import annotations

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.demo import EXAMPLES, TIMEOUT, complaint, declared_deferrable
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e


def test_every_example_ends_well_and_really_defers() -> None:
    with EmulatorProcess() as emulator, AirflowSite(EXAMPLES, emulator.connection_env) as site:
        dags = site.wait_for_dags()
        deferrable = declared_deferrable(site)
        tasks = site.wait(site.trigger_all(dags), TIMEOUT)

        assert {task.dag_id for task in tasks} == {path.stem for path in site.dag_files()}
        assert any(deferrable.values())
        assert {f"{t.dag_id}.{t.name}": c for t in tasks if (c := complaint(t, deferrable))} == {}
        assert emulator.journal()
