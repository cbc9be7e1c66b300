"""The rules of the layout: who imports whom, what api/ must not know, and what importing an operator may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_cloudsync"
ROOT = Path(__file__).parents[1]

#: A file imports lower tiers only, and none beside it. A star stands for the files that are named nowhere else: the
#: same for each service.
TIERS = [
    ["exceptions", "connection.__init__", "connection.fields"],
    ["api.__init__", "api.text", "api.bodies", "api.escapes"],
    ["api.redaction"],
    ["api.throttling", "api.error_bodies"],
    ["__init__", "api.times"],
    ["api.clocks", "api.parameters"],
    ["api.messages"],
    ["api.signing", "api.endpoints", "api.replies", "api.retries", "api.limits"],
    ["api.key_guard", "api.page_rows"],
    ["api.credentials"],
    ["api.consoles", "api.flows"],
    ["api.model"],
    ["api.pages"],
    ["api.signins.__init__", "api.signins.refreshable"],
    ["api.signins.*"],
    ["api.waiting.__init__", "api.waiting.observation", "api.waiting.progress_log"],
    ["api.waiting.polling"],
    ["api.waiting.starting", "api.waiting.watching"],
    ["api.waiting.sequence"],
    ["api.services.entry"],
    ["api.services.__init__"],
    ["api.services.*.__init__", "api.services.csms.settings"],
    ["api.services.iam", "api.services.*.calls"],
    ["api.services.*.*"],
    ["api.services.*.watch", "api.services.mrs.runs"],
    ["api.checkup"],
    ["assets", "links", "metrics"],
    ["transport.__init__", "transport.*"],
    ["transport.responses", "transport.coalescing", "transport.rate_limits"],
    ["transport.requests_adapter", "transport.aiohttp_protocol"],
    ["transport.session", "transport.blocking", "transport.asynchronous"],
    ["transport.drivers"],
    ["connection.*", "connection.values", "connection.form"],
    ["connection.default_chain", "connection.ignored_fields"],
    ["connection.credentials"],
    ["connection.reader", "connection.lookup"],
    ["hooks.__init__", "hooks.cloudsync"],
    ["hooks.*"],
    ["triggers.__init__", "triggers.sync"],
    ["triggers.watcher", "tasks.__init__", "tasks.rendering", "tasks.failures"],
    ["tasks.waiter", "tasks.tries"],
    ["tasks.stored_ticket", "triggers.events"],
    ["operators.__init__", "operators.cloud", "sensors.__init__"],
    ["operators.sync", "sensors.sync"],
    ["operators.*", "sensors.*"],
    ["cli"],
    ["__main__"],
]
#: Within one tier.
BESIDE: set[tuple[str, str]] = set()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)


def files() -> list[Path]:
    found = sorted((ROOT / PACKAGE).rglob("*.py"))
    return [path for path in found if not name_of(path).startswith("emulator.")]


def _rank(name: str) -> int:
    """Its own tier, or that of the longest pattern that it matches."""
    fitting = [
        (pattern == name, len(pattern), rank)
        for rank, patterns in enumerate(TIERS)
        for pattern in patterns
        if fnmatch(name, pattern) and pattern.count(".") == name.count(".")
    ]
    assert fitting, f"{name} has no tier"
    return max(fitting)[2]


RANK = {name_of(path): _rank(name_of(path)) for path in files()}


def imports(path: Path) -> set[str]:
    """What a file imports when it runs, at whatever depth; what is only for type checkers does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: a relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def own(names: set[str]) -> set[str]:
    """The modules of the package among them."""
    inner = {name.removeprefix(PACKAGE + ".") for name in names if name.startswith(PACKAGE + ".")}
    return {name for name in inner if name in RANK} | {
        f"{name}.__init__" for name in inner if f"{name}.__init__" in RANK
    }


def test_every_tier_has_a_file() -> None:
    for pattern in (pattern for patterns in TIERS for pattern in patterns):
        assert any(fnmatch(name, pattern) for name in RANK), pattern


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_a_file_imports_lower_tiers_only(path: Path) -> None:
    name = name_of(path)
    above = {
        other
        for other in own(imports(path))
        if RANK[other] >= RANK[name]
        and other != name
        and (name, other) not in BESIDE
        # A package's own __init__ holds no code but in services/, which is ranked above its files.
        and not other.endswith("__init__")
    }
    assert not above


@pytest.mark.parametrize("path", [path for path in files() if name_of(path).startswith("api.")], ids=name_of)
def test_api_knows_no_airflow_no_socket_and_no_clock(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {
        "airflow",
        "requests",
        "aiohttp",
        "urllib3",
        "httpx",
        "socket",
        "asyncio",
        "time",
        "threading",
    }
    text = path.read_text(encoding="utf-8")
    assert ".now(" not in text
    assert "utcnow" not in text


def test_only_those_who_send_name_http_libraries() -> None:
    for path in files():
        roots = {name.split(".")[0] for name in imports(path)}
        if roots & {"requests", "aiohttp", "urllib3", "yarl"}:
            assert name_of(path).startswith("transport."), path


def test_the_emulator_knows_the_signing_and_nothing_else_of_the_package() -> None:
    emulator = [path for path in (ROOT / PACKAGE).rglob("*.py") if name_of(path).startswith("emulator.")]
    assert emulator
    for path in emulator:
        names = {name for name in imports(path) if name.startswith(PACKAGE + ".")}
        others = {name for name in names if not name.startswith(f"{PACKAGE}.emulator")}
        # The fixture is no part of the witness: it resets the provider that a test runs against it.
        known = (
            {f"{PACKAGE}.transport", f"{PACKAGE}.transport.drivers"}
            if name_of(path) == "emulator.fixtures"
            else set()
        )
        assert others <= {f"{PACKAGE}.api", f"{PACKAGE}.api.signing"} | known, path
        assert not any(name.split(".")[0] == "airflow" for name in imports(path)), path


#: Prints what is loaded by each of some statements, each run in a child of its own. All start from what was run first.
_FORKING = """
import os, sys
exec(sys.argv[1])
floor = set(sys.modules)
for statement in sys.argv[2:]:
    child = os.fork()
    if not child:
        exec(statement)
        print("LOADED", *(set(sys.modules) - floor), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(statement)
"""


def loaded_by(*statements: str, after: str = "pass") -> list[set[str]]:
    """The modules that each statement makes a fresh interpreter load.

    :param after: what has been run before.
    """
    done = subprocess.run(
        [sys.executable, "-c", _FORKING, after, *statements],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return [set(names) for mark, *names in filter(None, lines) if mark == "LOADED"]


MODULES = [name for name in RANK if name.split(".")[0] in ("hooks", "operators", "sensors", "triggers")]
#: What Airflow itself loads for any operator, sensor, hook or trigger.
FLOOR = """
from airflow.providers.common.compat.sdk import (
    AirflowFailException, AirflowSensorTimeout, BaseHook, BaseOperator, BaseSensorOperator, conf
)
import airflow.triggers.base
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """What each module loads above the floor."""
    sets = loaded_by(*(f"import {PACKAGE}.{module}" for module in MODULES), after=FLOOR)
    return dict(zip(MODULES, sets, strict=True))


@pytest.mark.parametrize("module", MODULES)
def test_importing_loads_no_http_library(module: str, loaded: dict[str, set[str]]) -> None:
    """Both are imported by the first call. Airflow 2.11 loads requests by itself; that is not ours to mend."""
    assert f"{PACKAGE}.{module}".removesuffix(".__init__") in loaded[module]
    roots = {name.split(".")[0] for name in loaded[module]}
    assert not roots & {"requests", "urllib3", "aiohttp", "httpx", "yarl", "pendulum", "huaweicloudsdkcore"}


# The watcher is imported in the triggerer, by a trigger that runs.
@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(("hooks", "triggers.watcher"))])
def test_importing_an_operator_loads_no_hook_and_few_modules(
    module: str, loaded: dict[str, set[str]]
) -> None:
    ours = loaded[module]
    assert not {name for name in ours if name.startswith((f"{PACKAGE}.hooks.", f"{PACKAGE}.transport"))}
    assert {name for name in ours if name.startswith(f"{PACKAGE}.emulator")} == set()
    assert len(ours) <= 60, sorted(ours)


def test_provider_info_imports_nothing_of_airflow() -> None:
    (names,) = loaded_by(f"from {PACKAGE} import get_provider_info\nget_provider_info()")
    assert {name for name in names if name.startswith(PACKAGE)} == {
        PACKAGE,
        f"{PACKAGE}.connection",
        f"{PACKAGE}.connection.fields",
    }
    assert not {name for name in names if name.split(".")[0] in ("airflow", "json", "requests")}


def test_versions_of_airflow_differ_in_one_file_at_most() -> None:
    """All else goes by common-compat, and by what is there: one file each knows of the store, and of an older form."""
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in files()}
    asks = {
        name
        for name, text in texts.items()
        if re.search(r"AIRFLOW_V_|version_compat|airflow\.__version__", text)
    }
    assert len(asks) <= 1
    assert {name for name, text in texts.items() if "ImportError" in text} - asks == {"connection.form"}
    assert {name for name, text in texts.items() if '"task_state_store"' in text} == {"operators.cloud"}


#: Prints each warning of something deprecated that is about a file here, or that names this package.
_LISTENING = """
import importlib, pathlib, runpy, sys, warnings
from airflow.providers_manager import ProvidersManager

root = pathlib.Path.cwd()
kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)

def note(message, category, filename, lineno, file=None, line=None):
    path = pathlib.Path(filename)
    ours = path.is_relative_to(root) and ".venv" not in path.parts
    if issubclass(category, kinds) and (ours or "cloudsync" in str(message).lower()):
        print(f"HEARD {filename}:{lineno}: {category.__name__}: {message}")

def listen():  # anew each time, since Airflow leads warnings into its log
    warnings.showwarning = note
    warnings.simplefilter("always")

for name in sys.argv[1:]:
    listen()
    importlib.import_module(name)
for path in sorted(root.glob("example_dags/*.py")):
    listen()
    runpy.run_path(str(path))
listen()
ProvidersManager().connection_form_widgets
ProvidersManager().field_behaviours
print("HEARD all")
"""


def test_nothing_deprecated_is_used_and_nothing_of_ours_is_deprecated() -> None:
    """Also not while Airflow takes it in. What happens when tasks run is seen by every test: see pyproject.toml."""
    modules = [f"{PACKAGE}.{name}".removesuffix(".__init__") for name in RANK if name != "__main__"]
    done = subprocess.run(
        [sys.executable, "-c", _LISTENING, *modules], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("HEARD")] == ["HEARD all"]


def test_files_stay_small() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {name: size for name, size in sizes.items() if size > 400} == {}
    assert not [name for name in sizes if name.split(".")[-1] in ("utils", "helpers", "base", "common")]


def documented_and_real(path: Path) -> Iterator[tuple[str, set[str], set[str]]]:
    """Each function and class, with the parameters that its docstring names, and those that it has."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        functions = [node] if not isinstance(node, ast.ClassDef) else []
        real: set[str] = set()
        for each in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                real.add(each.target.id)
            elif isinstance(each, ast.FunctionDef) and each.name == "__init__":
                functions.append(each)
        for function in functions:
            found = function.args
            several = [each for each in (found.vararg, found.kwarg) if each]
            real |= {each.arg for each in (*found.posonlyargs, *found.args, *found.kwonlyargs, *several)}
        yield node.name, set(re.findall(r":param (\w+):", ast.get_docstring(node) or "")), real


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_docstrings_name_parameters_that_exist(path: Path) -> None:
    assert {name: gone for name, named, real in documented_and_real(path) if (gone := named - real)} == {}
