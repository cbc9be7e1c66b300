"""The example DAGs, as they are, in a real Airflow."""

from __future__ import annotations

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.buttons import CONSOLE, PAGES, buttons
from tests.e2e.demo import EXAMPLES, TIMEOUT, complaint, declared_deferrable
from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.records import TaskResult

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
        assert_buttons(site, tasks)


def assert_buttons(site: AirflowSite, tasks: list[TaskResult]) -> None:
    """Every task of ours has one, mapped ones too, and no other task."""
    found = {name: links for name, links in buttons(site, tasks).items() if links}
    assert {name: list(links) for name, links in found.items()} == {
        name: ["Open in Huawei Cloud"] for name in found
    }
    pages = {name: url for name, links in found.items() for url in links.values()}
    assert {name: url for name, url in pages.items() if name in PAGES} == {
        name: CONSOLE + page for name, page in PAGES.items()
    }
    ours = {f"{task.dag_id}.{task.name}" for task in tasks if "cloudsync_conn_id" in task.fields}
    assert set(pages) == ours
    assert None not in pages.values()
    assert len([name for name in pages if ".sync_account[" in name]) > 1
