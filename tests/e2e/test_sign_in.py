"""Tokens with short lives in a real Airflow: every wait survives them, and no secret is left behind anywhere."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.demo import EXAMPLES
from tests.e2e.emulator_process import EmulatorProcess

pytestmark = pytest.mark.e2e

CANARY = "canary-7c1d9e-password"
#: Seconds. The waits take a minute.
LIFE = 15
DAGS = ("example_mrs_iam_sync", "example_dataarts_member_sync", "example_coc_multicloud_inventory")


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    """Run three examples as a user with a password, and search all that they wrote."""
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
        if not version("apache-airflow").startswith(
            "2."
        ):  # its commands write their debug log into their output
            env["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "DEBUG"
        with AirflowSite(EXAMPLES, env) as site:
            site.wait_for_dags(DAGS)
            tasks = site.wait(site.trigger_all(DAGS), 240)
            return {
                "tasks": {f"{task.dag_id}.{task.name}": task.state for task in tasks},
                "journal": emulator.journal(),
                "leaks": leaks(site.home),
            }


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


def test_every_task_ends_well(outcome: dict[str, Any]) -> None:
    assert set(outcome["tasks"].values()) == {"success"}, outcome["tasks"]


def test_tokens_were_renewed_and_none_was_used_after_its_end(outcome: dict[str, Any]) -> None:
    calls = Counter(entry["operation"] for entry in outcome["journal"])
    assert calls["KeystoneCreateUserTokenByPassword"] >= 4
    assert not [entry["operation"] for entry in outcome["journal"] if entry["status"] == 401]


def test_no_secret_is_anywhere_in_what_airflow_wrote(outcome: dict[str, Any]) -> None:
    assert outcome["leaks"] == {}
