"""The pages lead to each other and are all on the site, and what they say of the connection is the same throughout.

What is in their blocks of code is in `tests.test_blocks`.
"""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook, Connection

from airflow_provider_cloudsync import get_provider_info
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.connection.fields import FIELDS, RELABELING
from airflow_provider_cloudsync.connection.reader import read_connection
from tests.support.markdown import PAGES, ROOT, anchors, links, name

SITE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "conf.py"))
REFERENCE = ROOT / "docs" / "api"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        target = target / "README.md" if target.is_dir() else target
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_on_the_site_and_in_its_contents() -> None:
    listed = re.findall(r"^(?:.*<)?/([\w/-]+)>?$", SITE["contents"](), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert sorted([*listed, SITE["root_doc"]]) == sorted([*map(name, PAGES), "docs/api/index"])


def test_every_guide_is_in_the_list_of_guides() -> None:
    listed = links(ROOT / "docs" / "README.md")
    guides = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert guides <= set(listed)


def test_every_service_has_its_guide() -> None:
    services = {path.stem for path in (ROOT / "airflow_provider_cloudsync/hooks").glob("*.py")}
    guides = {page.stem for page in PAGES}
    assert {"mrs", "dataarts", "hss", "coc", "csms"} <= services & guides


def test_every_example_is_in_the_list_of_examples() -> None:
    examples = {path.name for path in (ROOT / "example_dags").glob("example_*.py")}
    assert examples == {link for link in links(ROOT / "example_dags" / "README.md") if link.endswith(".py")}


def test_the_reference_is_complete() -> None:
    kinds = {path.stem: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.rst")}
    contents = re.findall(r"^   (\w+)$", kinds.pop("index"), re.MULTILINE)
    assert sorted(contents) == sorted(kinds)
    for kind in ("hooks", "operators", "sensors", "triggers", "extra-links", "asset-uris"):
        assert any(f'modules("{kind}")' in page for page in kinds.values())
    told = {module for entry in get_provider_info()["hooks"] for module in entry["python-modules"]}
    assert set(SITE["modules"]("hooks")) == told
    for module in re.findall(r"autoapi\w+:: ([\w.]+)", "".join(kinds.values())):
        path = ROOT / module.replace(".", "/")
        assert any(each.with_suffix(".py").exists() for each in (path, path.parent)), module


# --- the connection: each way to sign in as JSON, as a command, and in the form ---

GUIDE = (ROOT / "docs/connection.md").read_text(encoding="utf-8")
WAYS, _, REST = GUIDE.partition("\n## Sign-in methods\n")[2].partition("\n## Connection form\n")
FORM = REST.partition("\n## ")[0]
EXAMPLES = re.findall(r"```json\n(.*?)```\n\n```sh\n(.*?)```", WAYS, re.DOTALL)
ROWS = [line.split("|")[2:-1] for line in FORM.splitlines() if line.count("|") == 5][2:]
CREDENTIALS = ["KeyPair", "KeyPair", "Password", "Token", "Ecs", "IdToken", "StsIdToken", "Agency"]


def read(connection) -> Cloud:
    return read_connection(connection, clock=clock)


def clock() -> float:
    return 0.0


def in_the_environment(text: str) -> Cloud:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", text)
        return read(BaseHook.get_connection("cloudsync_default"))


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
    assert cloud.http_settings.verify == __file__
