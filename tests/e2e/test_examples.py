"""The example DAGs, as they are, in a real Airflow. They sign in with a password for tokens with short lives: each wait
survives them, and no secret is left behind anywhere.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.buttons import CONSOLE, PAGES, buttons
from tests.e2e.demo import EXAMPLES, TIMEOUT, complaint, declared_deferrable
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

CANARY = "canary-7c1d9e-password"
#: Seconds. Some waits take a minute.
LIFE = 15


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Run them all once, and search all that they wrote."""
    with EmulatorProcess(scenario={"account": {"password": CANARY, "token_seconds": LIFE}}) as emulator:
        connection = {
            "conn_type": "cloudsync",
            "login": emulator.details["user"],
            "password": CANARY,
            "extra": {
                "auth": "password",
                "domain_name": emulator.details["domain_name"],
                "region": "cn-north-4",
                "endpoint": emulator.details["url"],
            },
        }
        env = {"AIRFLOW_CONN_CLOUDSYNC_DEFAULT": json.dumps(connection)}
        with AirflowSite(EXAMPLES, env | in_detail()) as site:
            dags = site.wait_for_dags()
            deferrable = declared_deferrable(site)
            tasks = site.wait(site.trigger_all(dags), TIMEOUT)
            return {
                "files": {path.stem for path in site.dag_files()},
                "tasks": tasks,
                "deferrable": deferrable,
                "buttons": {name: links for name, links in buttons(site, tasks).items() if links},
                "journal": emulator.journal(),
                "leaks": leaks(site.home),
            }


def in_detail() -> dict[str, str]:
    """Let Airflow log all it can; the commands of Airflow 2 write that into their output, which is read here."""
    return {} if version("apache-airflow").startswith("2.") else {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"}


def leaks(home: Path) -> dict[str, list[str]]:
    """Files of an Airflow (logs, database, rendered fields and XComs in it) that hold a secret, and which."""
    secrets = {
        "password": re.compile(CANARY.encode()),
        "token": re.compile(rb"MII[\w-]{200,}"),
        "signature": re.compile(rb"Signature=[0-9a-f]{64}"),
    }
    found = {}
    for path in home.rglob("*"):
        if path.is_file() and (held := [n for n, p in secrets.items() if p.search(path.read_bytes())]):
            found[str(path.relative_to(home))] = held
    return found


def test_every_example_ends_well_and_really_defers(outcome: dict[str, Any]) -> None:
    tasks, deferrable = outcome["tasks"], outcome["deferrable"]
    assert {task.dag_id for task in tasks} == outcome["files"]
    assert any(deferrable.values())
    assert {f"{t.dag_id}.{t.name}": c for t in tasks if (c := complaint(t, deferrable))} == {}


def test_every_task_of_ours_has_a_button_and_no_other(outcome: dict[str, Any]) -> None:
    """Mapped ones too."""
    found = outcome["buttons"]
    assert {name: list(links) for name, links in found.items()} == {
        name: ["Open in Huawei Cloud"] for name in found
    }
    pages = {name: url for name, links in found.items() for url in links.values()}
    assert {name: url for name, url in pages.items() if name in PAGES} == {
        name: CONSOLE + page for name, page in PAGES.items()
    }
    ours = {f"{task.dag_id}.{task.name}" for task in outcome["tasks"] if "cloudsync_conn_id" in task.fields}
    assert set(pages) == ours
    assert None not in pages.values()
    assert len([name for name in pages if ".sync_account[" in name]) > 1


def test_tokens_were_renewed_and_none_was_used_after_its_end(outcome: dict[str, Any]) -> None:
    calls = Counter(entry["operation"] for entry in outcome["journal"])
    assert calls["KeystoneCreateUserTokenByPassword"] >= 4
    # In one process, so with one token after another.
    assert max(task.seconds or 0 for task in outcome["tasks"] if task.deferred) > 2 * LIFE
    assert not [entry["operation"] for entry in outcome["journal"] if entry["status"] == 401]


def test_no_secret_is_anywhere_in_what_airflow_wrote(outcome: dict[str, Any]) -> None:
    assert outcome["leaks"] == {}
