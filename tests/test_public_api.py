"""The public API: its page, ``__all__`` of the modules, and what is defined there are the same."""

from __future__ import annotations

import ast
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseOperatorLink
from airflow.triggers.base import BaseTrigger

import airflow_provider_cloudsync
from airflow_provider_cloudsync import get_provider_info
from airflow_provider_cloudsync.exceptions import CloudSyncError

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_cloudsync"
GUIDE = (ROOT / "docs" / "public-api.md").read_text(encoding="utf-8")
#: Kinds of classes that users import. Sensors are operators.
KINDS: tuple[type, ...] = (BaseHook, BaseOperator, BaseOperatorLink, BaseTrigger, CloudSyncError)
#: Modules that end the process or need what is not installed everywhere.
NOT_IMPORTED = (f"{PACKAGE}.__main__", f"{PACKAGE}.emulator.__main__", f"{PACKAGE}.connection.secret_widget")


def listed() -> dict[str, set[str]]:
    """Module -> names, by the tables of the page."""
    found: dict[str, set[str]] = {}
    for module, names in re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", GUIDE, re.MULTILINE):
        path = PACKAGE if module == PACKAGE else f"{PACKAGE}.{module}"
        found.setdefault(path, set()).update(re.findall(r"`(\w+)`", names))
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def declared() -> dict[str, list[str]]:
    """Module -> ``__all__``, by the sources."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found[name_of(path)] = ast.literal_eval(node.value)
    return found


LISTED, DECLARED = listed(), declared()


def classes() -> list[type[Any]]:
    """The public classes of the kinds that users import, from every module of the package."""
    names = [each.name for each in pkgutil.walk_packages(airflow_provider_cloudsync.__path__, f"{PACKAGE}.")]
    modules = [import_module(name) for name in names if name not in NOT_IMPORTED]
    found = {
        value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, KINDS)
        and value.__module__.startswith(f"{PACKAGE}.")
        and not name.startswith("_")
    }
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def test_page_and_modules_list_the_same() -> None:
    assert {module: set(names) for module, names in DECLARED.items()} == LISTED


@pytest.mark.parametrize("module", sorted(LISTED))
def test_every_name_can_be_imported(module: str) -> None:
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    assert LISTED[module] <= set(names)
    for name in LISTED[module] - {"__version__"}:
        assert vars(import_module(module)).get(name, names[name]) is names[name]
        assert names[name].__doc__, name


@pytest.mark.parametrize("module", sorted(DECLARED))
def test_names_are_sorted_and_unique(module: str) -> None:
    assert DECLARED[module] == sorted(set(DECLARED[module]))


def test_every_public_class_of_the_package_is_listed_where_it_is_defined() -> None:
    missing = [f"{each.__module__}.{each.__name__}" for each in classes() if not is_listed(each)]
    assert not missing


def is_listed(kind: type) -> bool:
    return kind.__name__ in LISTED.get(kind.__module__, ())


def test_every_module_that_airflow_receives_is_listed() -> None:
    info = get_provider_info()
    modules = {
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    }
    assert modules <= set(LISTED)


@pytest.mark.parametrize("module", sorted(each for each in LISTED if ".hooks." in each))
def test_types_in_the_signatures_of_a_hook_are_listed_with_it(module: str) -> None:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.api.services.")
        for alias in node.names
        if alias.name[0].isupper()
    }
    methods = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    used = {
        name.id
        for method in methods
        for annotation in [method.returns, *(each.annotation for each in all_arguments(method))]
        if annotation is not None
        for name in ast.walk(annotation)
        if isinstance(name, ast.Name)
    }
    assert types & used == LISTED[module] - {each.__name__ for each in classes()}


def all_arguments(method: ast.FunctionDef) -> list[ast.arg]:
    arguments = method.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return found + [each for each in (arguments.vararg, arguments.kwarg) if each]
