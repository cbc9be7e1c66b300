"""The guides' own code runs, their links lead somewhere, and what they say of the connection is the same throughout."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.connection_form import FIELDS, RELABELING
from airflow_provider_cloudsync.hooks.connection import read_connection

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "docs").glob("**/*.md")),
    ROOT / "airflow_provider_cloudsync/api/services/README.md",
]


def blocks(kind: str) -> list:
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.DOTALL), 1)
    ]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "from airflow.sdk import" in code:
        pytest.importorskip("airflow.sdk")  # what Airflow 2 has not
    module = ModuleType("a_guide")
    monkeypatch.setitem(sys.modules, "a_guide", module)
    exec(compile(code, "a guide", "exec"), vars(module))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_service_has_its_guide() -> None:
    services = {path.stem for path in (ROOT / "airflow_provider_cloudsync/hooks").glob("*.py")}
    guides = {page.stem for page in PAGES}
    assert {"mrs", "dataarts", "hss", "coc", "csms"} <= services & guides


# --- the connection: each way to sign in as JSON, as a command, and in the form ---

GUIDE = (ROOT / "docs/connection.md").read_text(encoding="utf-8")
WAYS, _, REST = GUIDE.partition("\n## Ways to sign in\n")[2].partition("\n## In the form\n")
FORM = REST.partition("\n## ")[0]
EXAMPLES = re.findall(r"```json\n(.*?)```\n\n```sh\n(.*?)```", WAYS, re.DOTALL)
ROWS = [line.split("|")[2:-1] for line in FORM.splitlines() if line.count("|") == 5][2:]
CREDENTIALS = ["KeyPair", "KeyPair", "Password", "Token", "Ecs", "IdToken", "StsIdToken", "Agency"]


def read(connection) -> Cloud:
    return read_connection(connection, clock=clock)


def clock() -> float:
    return 0.0


def in_the_environment(text: str) -> Cloud:
    return read(Connection.from_json(text, conn_id="cloudsync_default"))


def by_command(line: str) -> Cloud:
    """What Airflow makes of a command, by its own parser."""
    from airflow.cli.cli_parser import get_parser

    program, *arguments = shlex.split(line.replace("\\\n", ""))
    assert (program, *arguments[:2]) == ("airflow", "connections", "add")
    found = get_parser().parse_args(arguments)
    assert (found.conn_id, found.conn_type) == ("cloudsync_default", "cloudsync")
    return read(
        Connection(
            conn_id=found.conn_id,
            conn_type=found.conn_type,
            login=found.conn_login,
            password=found.conn_password,
            extra=found.conn_extra,
        )
    )


def by_form(login: str, password: str, fields: str) -> Cloud:
    """What is stored when a row of the table is typed in."""
    names = {field["label"]: name for name, field in FIELDS.items()}
    extra = {names[label]: value for label, value in re.findall(r"\*([^*]+)\* `([^`]+)`", fields)}
    return read(
        Connection(
            conn_id="cloudsync_default",
            conn_type="cloudsync",
            login=login.strip(" `"),
            password=password.strip(" `"),
            extra=json.dumps({"region": "cn-north-4", **extra}),
        )
    )


def test_every_way_has_its_examples() -> None:
    made = [type(in_the_environment(text).credentials).__name__ for text, _ in EXAMPLES]
    assert made == CREDENTIALS
    assert (len(ROWS), WAYS.count("```")) == (len(made), 4 * len(made))
    assert set(RELABELING.values()) <= set(re.findall(r"\*([^*]+)\*", FORM))


@pytest.mark.parametrize(("text", "command"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_a_command_makes_the_same_connection(text: str, command: str) -> None:
    assert by_command(command) == in_the_environment(text)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_form_makes_the_same_connection(number: int) -> None:
    assert by_form(*ROWS[number]) == in_the_environment(EXAMPLES[number][0])


def test_the_connection_to_a_private_cloud() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", REST, re.DOTALL)
    cloud = in_the_environment(text.replace("/etc/ssl/my-cloud-ca.pem", __file__))
    assert cloud.url("mrs") == "https://mrs.my-cloud.example.com"
    assert cloud.wiring.verify == __file__
