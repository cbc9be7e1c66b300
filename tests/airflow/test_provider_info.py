"""What Airflow is told of the provider: valid for this version, complete, and true."""

from __future__ import annotations

import importlib
import json
import re
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest

import airflow_provider_cloudsync
from airflow_provider_cloudsync import assets, get_provider_info
from airflow_provider_cloudsync.connection.fields import FIELDS

AIRFLOW = Path(airflow.__file__).parent
PACKAGE = Path(airflow_provider_cloudsync.__file__).parent
#: Modules that hold base classes or helpers only.
BASES = ("__init__", "cloud", "watcher")


def schema(name: str) -> dict:
    return json.loads((AIRFLOW / name).read_text(encoding="utf-8"))


def test_valid_against_the_schema_of_this_airflow() -> None:
    jsonschema.Draft7Validator(schema("provider_info.schema.json")).validate(get_provider_info())


def test_form_fields_are_as_the_development_schema_wants_them() -> None:
    """The run-time schema does not look at them."""
    whole = schema("provider.yaml.schema.json")
    found = [
        properties["conn-fields"]
        for properties in _all(whole, "properties")
        if isinstance(properties, dict) and "conn-fields" in properties
    ]
    if not found:
        pytest.skip("this Airflow knows no conn-fields")
    jsonschema.Draft7Validator({**found[0], "definitions": whole.get("definitions", {})}).validate(FIELDS)


def test_all_of_it_is_as_the_development_schema_wants_it() -> None:
    """That one is strict, and names what a provider of Airflow's own has to say beside."""
    whole = schema("provider.yaml.schema.json")
    if "cli" not in whole["properties"]:
        pytest.skip("this Airflow knows no commands of providers")
    info = {**get_provider_info(), "state": "ready", "source-date-epoch": 0}
    jsonschema.Draft7Validator(whole).validate(info)


def _all(node, key):
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from _all(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _all(value, key)


def test_airflow_finds_it() -> None:
    from airflow.providers_manager import ProvidersManager

    info = ProvidersManager().providers["airflow-provider-cloudsync"]
    assert info.version == airflow_provider_cloudsync.__version__


def shown_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    """What ``airflow providers`` prints, as far as it is about this provider."""
    from airflow.cli.cli_parser import get_parser

    command = get_parser().parse_args(["providers", *arguments, "-o", "json"])
    command.func(command)
    rows = json.loads(capsys.readouterr().out)
    return [row for row in rows if "cloudsync" in json.dumps(row)]


def in_text(value):
    """The command prints what is neither a list nor an object as text."""
    if isinstance(value, dict):
        return {name: in_text(inner) for name, inner in value.items()}
    return [in_text(inner) for inner in value] if isinstance(value, (list, tuple)) else str(value)


class TestAirflowsCommandShowsIt:
    def test_get(self, capsys) -> None:
        (shown,) = shown_by(capsys, "get", "airflow-provider-cloudsync", "--full")
        info = get_provider_info()
        assert shown.pop("description") == info.pop("description").rstrip(".")
        assert {name: in_text(shown[name]) for name in info} == in_text(info)

    def test_hooks(self, capsys) -> None:
        (shown,) = shown_by(capsys, "hooks")
        (named,) = get_provider_info()["connection-types"]
        assert shown == {
            "connection_type": "cloudsync",
            "class": named["hook-class-name"],
            "conn_id_attribute_name": "cloudsync_conn_id",
            "package_name": "airflow-provider-cloudsync",
            "hook_name": "Huawei Cloud Sync",
        }

    def test_triggers(self, capsys) -> None:
        shown = {(row["integration_name"], row["class"]) for row in shown_by(capsys, "triggers")}
        named = get_provider_info()["triggers"]
        assert shown == {
            (entry["integration-name"], module) for entry in named for module in entry["python-modules"]
        }

    def test_links(self, capsys) -> None:
        shown = {row["extra_link_class_name"] for row in shown_by(capsys, "links")}
        assert shown == set(get_provider_info().get("extra-links", ()))

    def test_every_link_of_an_operator_is_one_of_them(self) -> None:
        named = get_provider_info().get("extra-links", ())
        used = {
            f"{type(link).__module__}.{type(link).__qualname__}"
            for operator in operators()
            for link in operator.operator_extra_links
        }
        assert used == set(named)


def operators() -> list[type]:
    """The classes of all operators and sensors that are named."""
    from airflow.providers.common.compat.sdk import BaseOperator

    info = get_provider_info()
    modules = [
        module for kind in ("operators", "sensors") for e in info[kind] for module in e["python-modules"]
    ]
    return [
        found
        for module in modules
        for found in vars(importlib.import_module(module)).values()
        if isinstance(found, type) and issubclass(found, BaseOperator) and found.__module__ == module
    ]


def test_every_service_s_documentation_is_named() -> None:
    for entry in get_provider_info()["integrations"]:
        assert re.fullmatch(r"https://support\.huaweicloud\.com/[\w./-]+/", entry["external-doc-url"])


def test_the_entry_point_is_there() -> None:
    (found,) = [
        entry
        for entry in entry_points(group="apache_airflow_provider")
        if entry.value.startswith("airflow_provider_c")
    ]
    assert found.load() is get_provider_info


def test_all_modules_named_exist_and_all_that_exist_are_named() -> None:
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        named = {module for entry in info[kind] for module in entry["python-modules"]}
        for module in named:
            importlib.import_module(module)
        there = {
            f"airflow_provider_cloudsync.{kind}.{path.stem}"
            for path in (PACKAGE / kind).glob("*.py")
            if path.stem not in BASES and (path.stem != "sync" or kind == "triggers")
        }
        assert named == there


def test_airflow_finds_what_is_named_for_asset_uris() -> None:
    info = get_provider_info()
    assert info["asset-uris"] == info["dataset-uris"]
    (uris,) = info["asset-uris"]
    assert uris["schemes"] == [assets.SCHEME]
    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as Manager
    except ImportError:  # before Airflow 3.2
        from airflow.providers_manager import ProvidersManager as Manager
    manager = Manager()
    kind = "asset" if hasattr(manager, "asset_uri_handlers") else "dataset"
    assert getattr(manager, f"{kind}_uri_handlers")["cloudsync"] is assets.sanitize_uri
    assert getattr(manager, f"{kind}_factories")["cloudsync"] is assets.create_asset


def test_every_integration_that_is_named_is_described() -> None:
    info = get_provider_info()
    described = {entry["integration-name"] for entry in info["integrations"]}
    used = {
        entry["integration-name"]
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
    }
    assert used == described


def test_fields_of_secrets_carry_names_that_airflow_masks() -> None:
    from airflow.providers.common.compat.sdk import redact

    for name, field in FIELDS.items():
        if field["schema"].get("format") == "password":
            assert redact({name: "value"}) == {name: "***"}


def test_the_older_form_has_every_field() -> None:
    pytest.importorskip("flask_appbuilder")
    pytest.importorskip("flask_babel")
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

    assert set(CloudSyncHook.get_connection_form_widgets()) == set(FIELDS)
    assert set(CloudSyncHook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}
