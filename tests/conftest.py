"""What all tests have in common. Airflow reads its environment when it is first imported, so that is set up here."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Generator

import pytest

from tests.support.thinning import each_value

_HOME = tempfile.mkdtemp(prefix="cloudsync-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "HUAWEICLOUD", "CLOUD_SDK"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = _HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

#: As users have it in their own conftest.
pytest_plugins = ["airflow_provider_cloudsync.emulator.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thin",
        action="append",
        default=[],
        metavar="FOLDER",
        help="of the parametrized tests of this folder run a part, in which each value of each parameter occurs",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop cases as the option ``--thin`` says. What only some environments run is left alone."""
    folders = [config.rootpath / folder for folder in config.getoption("thin")]
    functions: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and hasattr(item, "callspec")
            and any(item.path.is_relative_to(folder) for folder in folders)
            and item.get_closest_marker("skipif") is None
        ):
            functions[item.nodeid.partition("[")[0]].append(item)
    dropped = {
        case
        for cases in functions.values()
        for case in set(cases) - {cases[n] for n in each_value((c.name, c.callspec.params) for c in cases)}
    }
    if dropped:
        config.hook.pytest_deselected(items=list(dropped))
        items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare each later garbage collection, which some tests ask for, all that was loaded; while it is, do without."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _short_garbage_collections() -> None:
    """Take what is left of the modules before, such as reports, out of each garbage collection that a test asks for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees another's shared results, waits for its quota, or takes a proxy or keys of the machine."""
    from airflow_provider_cloudsync.connection import default_chain
    from airflow_provider_cloudsync.transport import drivers

    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    drivers.reset()
    monkeypatch.setattr(default_chain, "_PROFILE", f"{_HOME}/no-profile")
