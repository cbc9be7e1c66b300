"""What people see of this provider on Airflow's page, in a browser; its pictures are in the guides.

`make e2e-browser`; nothing of it is in `make test`. `make screenshots` takes the pictures of the guides anew.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Locator, expect

from airflow_provider_cloudsync.connection.fields import FIELDS, RELABELING
from airflow_provider_cloudsync.emulator.scenario import default_scenario
from airflow_provider_cloudsync.links import XCOM_KEY, ConsoleLink
from tests.e2e.airflow_site import AirflowSite, Run
from tests.e2e.browser import Screen, signed_in
from tests.e2e.buttons import CONSOLE, PAGES
from tests.e2e.connection_pages import Airflow2Form, Airflow3Form, ConnectionForm
from tests.e2e.demo import EXAMPLES, TIMEOUT
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.browser

PIPELINE = "example_cloudsync_pipeline"
#: Longer than the test: the clock of the cloud is put forward when all has been looked at.
HOUR = 3600.0
REGION = "cn-north-4"
#: Made anew, so that none of them is on a page by chance.
SECRETS = {"password": f"S3CR3T-{secrets.token_hex(8)}", "security_token": f"S3CR3T-{secrets.token_hex(8)}"}
#: How the hook reads a connection of the database, which Airflow 3 looks into for a server only.
READ = """
import json, os, sys
os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
cloud = CloudSyncHook(sys.argv[1]).cloud
keys = cloud.credentials
print()
print(json.dumps([cloud.region, keys.access_key, keys.secret_key, keys.security_token]))
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    scenario = default_scenario()
    scenario["mrs"]["clusters"]["pipeline-cluster"]["seconds"] = HOUR
    with EmulatorProcess(scenario={"mrs": scenario["mrs"]}) as running:
        yield running


@pytest.fixture(scope="module")
def site(emulator: EmulatorProcess) -> Iterator[AirflowSite]:
    with AirflowSite(EXAMPLES, emulator.connection_env, page=True, boot_timeout=240) as running:
        running.wait_for_dags()
        yield running


@pytest.fixture(scope="module")
def screen(site: AirflowSite) -> Iterator[Screen]:
    with signed_in(site) as running:
        yield running
        assert running.outside == []


@pytest.fixture(scope="module")
def ended(site: AirflowSite, emulator: EmulatorProcess) -> Run:
    """A run of the pipeline that is over, as are those of all other examples."""
    runs = site.trigger_all(site.wait_for_dags())
    end(site, emulator, *runs)
    (run,) = (run for run in runs if run[0] == PIPELINE)
    return run


@pytest.fixture(scope="module")
def form(site: AirflowSite, screen: Screen) -> ConnectionForm:
    return (Airflow3Form if site.is_3 else Airflow2Form)(screen.page)


def end(site: AirflowSite, emulator: EmulatorProcess, *runs: Run) -> None:
    """Let hours pass in the cloud until the runs are over."""
    tasks = site.wait(runs, TIMEOUT, lambda _: emulator.control("POST", "advance", {"seconds": HOUR}))
    assert {f"{task.dag_id}.{task.name}": task.state for task in tasks if task.state != "success"} == {}


# --- the connection ---


@pytest.fixture(scope="module")
def typed_in(site: AirflowSite, screen: Screen, form: ConnectionForm) -> str:
    """The id of a connection that was made in the form."""
    screen.page.set_viewport_size({"width": 720 if site.is_3 else 1000, "height": 1100})
    form.add("Huawei Cloud Sync")
    form.name("cloudsync_default")
    form.field(RELABELING["login"]).fill("YOUR-ACCESS-KEY")
    form.field(RELABELING["password"]).fill(SECRETS["password"])
    keys = screen.shot(form.panel)
    form.field(FIELDS["region"]["label"]).fill(REGION)
    form.choose(FIELDS["auth"]["label"], "aksk")
    others = screen.shot(form.panel, height=960)
    screen.keep(f"connection-form-airflow-{major(site)}", *([keys, others] if site.is_3 else [others]))
    # The site has one of that name already, in its environment, where Airflow looks first.
    form.name("typed_in")
    form.field(FIELDS["security_token"]["label"]).fill(SECRETS["security_token"])
    form.save()
    return "typed_in"


def test_the_form_has_each_field_and_says_what_it_is(form: ConnectionForm) -> None:
    form.add("Huawei Cloud Sync")
    for label in RELABELING.values():
        expect(form.field(label)).to_be_visible()
    for field in FIELDS.values():
        expect(form.row(field["label"])).to_contain_text(field["description"])


def test_the_hook_reads_what_was_typed_in(site: AirflowSite, typed_in: str) -> None:
    assert as_the_hook_reads_it(site, typed_in) == [REGION, "YOUR-ACCESS-KEY", *SECRETS.values()]


def test_one_that_is_edited_shows_no_secret_and_loses_none(
    site: AirflowSite, form: ConnectionForm, typed_in: str
) -> None:
    form.edit(typed_in)
    expect(form.field(RELABELING["login"])).to_have_value("YOUR-ACCESS-KEY")
    shown = form.shown()
    assert [name for name, secret in SECRETS.items() if secret in shown] == []
    assert "YOUR-ACCESS-KEY" in shown
    form.field(FIELDS["region"]["label"]).fill("cn-east-3")
    form.save()
    assert as_the_hook_reads_it(site, typed_in) == ["cn-east-3", "YOUR-ACCESS-KEY", *SECRETS.values()]


def as_the_hook_reads_it(site: AirflowSite, conn_id: str) -> list[Any]:
    output = site.processes.run("read", [sys.executable, "-c", READ, conn_id], timeout=120.0)
    found: list[Any] = json.loads(output.splitlines()[-1])
    return found


# --- the button ---


@pytest.mark.parametrize("name", PAGES)
def test_a_task_that_has_ended_has_its_button(
    site: AirflowSite, screen: Screen, ended: Run, name: str
) -> None:
    task = name.removeprefix(f"{PIPELINE}.")
    open_task(site, screen, ended, task)
    url = CONSOLE + PAGES[name]
    expect(button(screen)).to_have_attribute("href", url)
    assert site.xcom(ended, task, key=XCOM_KEY) == url


def test_a_task_that_waits_has_its_button(
    site: AirflowSite, screen: Screen, emulator: EmulatorProcess, ended: Run
) -> None:
    run = (PIPELINE, site.trigger(PIPELINE))
    site.wait_for_state(run, "users_synced", ["deferred"], 120.0)
    screen.page.set_viewport_size({"width": 1280, "height": 640 if site.is_3 else 760})
    open_task(site, screen, run, "users_synced")
    expect(button(screen)).to_have_attribute("href", f"{CONSOLE}mrs/?region={REGION}")
    expect(screen.page.get_by_text(re.compile("^deferred$", re.IGNORECASE)).last).to_be_visible()
    screen.keep(f"links-airflow-{major(site)}", screen.shot())
    end(site, emulator, run)


def open_task(site: AirflowSite, screen: Screen, run: Run, task_id: str) -> None:
    """Its page with the details."""
    dag, run_id = run
    if site.is_3:
        screen.page.goto(f"/dags/{dag}/runs/{quote(run_id)}/tasks/{task_id}/details")
    else:
        wanted = urlencode({"dag_run_id": run_id, "task_id": task_id, "tab": "details"})
        screen.page.goto(f"/dags/{dag}/grid?{wanted}")


def button(screen: Screen) -> Locator:
    return screen.page.get_by_role("link", name=ConsoleLink.name, exact=True)


# --- all tasks, and what they wait for ---


def test_the_grid_of_the_pipeline_is_green(site: AirflowSite, screen: Screen, ended: Run) -> None:
    runs = [run for (run,) in site.records.rows("select run_id from dag_run where dag_id = ?", PIPELINE)]
    tasks = [task.task_id for task in site.records.tasks(*ended)]
    screen.page.set_viewport_size({"width": 1280, "height": 640 if site.is_3 else 760})
    screen.page.goto(f"/dags/{PIPELINE}" + ("" if site.is_3 else "/grid"))
    for task in tasks:
        cells = cells_of(site, screen, runs, task)
        expect(cells).to_have_count(len(runs))
        for cell in cells.all():
            see_green(screen, cell, task)
    leave_all_cells(screen)
    screen.keep("pipeline-grid" if site.is_3 else "pipeline-grid-airflow-2", screen.shot())


def cells_of(site: AirflowSite, screen: Screen, runs: list[str], task_id: str) -> Locator:
    """The cells of a task, one for each run."""
    if site.is_3:
        ids = "|".join(re.escape(f"grid-{run}-{task_id}") for run in runs)
        return screen.page.get_by_test_id(re.compile(f"^({ids})$"))
    row = screen.page.get_by_role("group").filter(has=screen.page.get_by_test_id(task_id))
    return row.get_by_test_id("task-instance")


def see_green(screen: Screen, cell: Locator, task_id: str) -> None:
    """What the cell says when the mouse is over it; drawn anew, the page forgets the mouse."""
    told = screen.page.get_by_role("tooltip").filter(
        has_text=re.compile(f"task id: {task_id}", re.IGNORECASE)
    )
    for _ in range(5):
        screen.page.mouse.move(0, 0)
        expect(screen.page.get_by_role("tooltip")).to_have_count(0)
        cell.hover()
        with suppress(AssertionError):
            expect(told).to_be_visible(timeout=5000)
            break
    expect(told).to_contain_text("success", ignore_case=True)


def leave_all_cells(screen: Screen) -> None:
    screen.page.mouse.move(0, 0)
    expect(screen.page.get_by_role("tooltip")).to_have_count(0)


def test_the_graph_of_an_asset_leads_to_the_dag_that_waits_for_it(site: AirflowSite, screen: Screen) -> None:
    if not site.is_3:
        pytest.skip("Airflow 2.11 has nothing that watches datasets, so no example has one")
    from example_dags.example_cloudsync_events import members, users

    page = screen.page
    page.set_viewport_size({"width": 1280, "height": 560})
    page.goto("/assets")
    for asset in (members, users):
        expect(page.get_by_role("link", name=asset.uri, exact=True)).to_be_visible()
    page.get_by_role("link", name=users.uri, exact=True).click()
    graph = page.get_by_role("application")
    for name in (members.uri, users.uri, "example_cloudsync_events"):
        expect(graph.get_by_role("link", name=name, exact=True)).to_be_visible()
    expect(
        graph.get_by_role("group", name=re.compile("^Edge from .* to dag:example_cloudsync_events$"))
    ).to_have_count(2)
    expect(page.get_by_role("heading", name=users.uri, exact=True)).to_be_visible()
    screen.keep("asset-graph", screen.shot())


def major(site: AirflowSite) -> str:
    return site.version.partition(".")[0]
