"""What hooks take and return has types, down to the fields of what the services send."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cloudsync import get_provider_info
from airflow_provider_cloudsync.api import services

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/support/typed_tasks.py"
#: These hand on what a service sends, whatever that is.
OPEN = {"request", "resource_info"}
#: Those of Airflow's forms, and of flows.
NOT_FOR_TASKS = {
    "acloud",
    "arun",
    "get_connection_form_widgets",
    "get_ui_field_behaviour",
    "has_new_key",
    "read_cloud",
    "refresh",
    "run",
}


#: What hooks import for type checkers only, since DAG files import hooks.
FOR_TYPE_CHECKERS = {"requests": importlib.import_module("requests")} | {
    name: value
    for service in services.NAMES
    for found in pkgutil.iter_modules(importlib.import_module(f"{services.__name__}.{service}").__path__)
    for name, value in vars(importlib.import_module(f"{services.__name__}.{service}.{found.name}")).items()
}


def calls() -> Iterator[Any]:
    """Each public method of each hook that is defined here."""
    for entry in get_provider_info()["hooks"]:
        for name in entry["python-modules"]:
            for found in vars(importlib.import_module(name)).values():
                if isinstance(found, type) and found.__module__ == name:
                    for method, function in vars(found).items():
                        public = method[0] != "_" and method not in NOT_FOR_TASKS
                        if public and inspect.isfunction(function):
                            yield pytest.param(function, id=function.__qualname__)


def vague(hint: Any, name: str) -> list[str]:
    """Where there is an `Any` in it."""
    if name.rpartition(".")[2] in OPEN:
        return []
    if hint is Any:
        return [name]
    inner = {f"{name}[{number}]": each for number, each in enumerate(typing.get_args(hint))}
    if typing.is_typeddict(hint):
        inner = {f"{name}.{key}": each for key, each in typing.get_type_hints(hint).items()}
    return [found for key, each in inner.items() for found in vague(each, key)]


@pytest.mark.parametrize("function", calls())
def test_types_are_told(function: Any) -> None:
    hints = typing.get_type_hints(function, localns=FOR_TYPE_CHECKERS)
    assert set(hints) == {*inspect.signature(function).parameters, "return"} - {"self"}
    assert function.__doc__
    if function.__name__ not in OPEN:
        assert not [found for name, hint in hints.items() for found in vague(hint, name)]


def test_any_is_found_where_it_is() -> None:
    class Deep(typing.TypedDict):
        a: list[dict[str, Any]]
        b: int

    assert vague(Deep | None, "x") == ["x[0].a[0][1]"]
    assert vague(list[int], "x") == []


def test_mypy_has_seen_each_in_a_task() -> None:
    """In the sample: there it says what it takes each for."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert str(SAMPLE.relative_to(ROOT)) in settings["tool"]["mypy"]["files"]
    tree = ast.parse(SAMPLE.read_text(encoding="utf-8"))
    used = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert {param.values[0].__name__ for param in calls()} <= used
