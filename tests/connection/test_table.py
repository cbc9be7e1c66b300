"""Table of the connection's fields: single source of the forms, the reader and the documentation."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cloudsync.connection import values
from airflow_provider_cloudsync.connection.fields import FIELDS, TABLE
from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.exceptions import InvalidConnection

GUIDE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text(encoding="utf-8")
#: Extra of one connection for each way to authenticate.
CONNECTIONS: list[dict[str, Any]] = [
    {"auth": "aksk", "agency": "name@account"},
    {"auth": "password", "domain_name": "account"},
    {"auth": "token", "token": "t"},
    {"auth": "ecs"},
    {"auth": "oidc", "id_token_file": "/token", "idp_id": "i"},
]
#: Kind -> a value that is not of it, and the error.
UNUSABLE = {
    "text": ("a b", "must be text without spaces"),
    "words": ("a\nb", "must be text without line breaks"),
    "header": ("caf\u00e9", "no key has"),
    "identifier": ("a/b", "letters, digits"),
    "region": ("a/b", "letters, digits"),
    "choice": ("other", "must be one of"),
    "flag": ("yes", "must be true or false"),
    "seconds": (0, "must be a number of seconds, from 1 to 600"),
    "object": ("[]", "must be a JSON object"),
}


def fields(**extra: Any) -> values.ConnectionFields:
    return values.ConnectionFields("c", extra, "ak", "sk")


def rows() -> dict[str, str]:
    """Field -> meaning, of the table of the guide."""
    section = GUIDE.split("\n## Fields\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            names, meaning = line.strip("| ").split(" | ")
            found.update(dict.fromkeys(re.findall(r"`(\w+)`", names), meaning))
    return found


def test_each_field_is_read(monkeypatch) -> None:
    read = set()
    value = values.ConnectionFields.value

    def recorded(self: values.ConnectionFields, name: str) -> Any:
        read.add(name)
        return value(self, name)

    monkeypatch.setattr(values.ConnectionFields, "value", recorded)
    for extra in CONNECTIONS:
        given = SimpleNamespace(conn_id="c", login="a", password="s", extra=json.dumps(extra))
        read_connection(given, clock=time.time)
    assert read == set(TABLE)


def test_a_field_outside_the_table_cannot_be_read() -> None:
    with pytest.raises(KeyError):
        fields(regoin="cn-north-4").value("regoin")
    assert fields(regoin="cn-north-4").raw("regoin") is None


@pytest.mark.parametrize("name", TABLE)
def test_the_table_decides_what_a_field_accepts(name: str) -> None:
    field = TABLE[name]
    for choice in field.choices:
        assert fields(**{name: choice}).value(name) == choice
    assert not fields(**{name: ""}).value(name)
    if field.kind == "raw":
        return
    wrong, words = UNUSABLE[field.kind]
    with pytest.raises(InvalidConnection, match=words) as caught:
        fields(**{name: wrong}).value(name)
    assert caught.value.message.startswith(f'Connection "c": "{name}"')


@pytest.mark.parametrize("name", TABLE)
def test_the_form_of_airflow_comes_from_the_table(name: str) -> None:
    field, schema = TABLE[name], FIELDS[name]["schema"]
    assert schema["type"][1] == "null"
    assert tuple(each for each in schema.get("enum", ()) if each) == field.choices
    assert (schema.get("format") == "password") is field.secret


def test_the_guide_has_each_field_and_no_other() -> None:
    assert set(rows()) == set(TABLE)


@pytest.mark.parametrize("name", [name for name, field in TABLE.items() if field.choices])
def test_the_guide_names_each_choice(name: str) -> None:
    for choice in TABLE[name].choices:
        assert f"`{choice}`" in rows()[name]
