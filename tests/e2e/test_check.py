"""``check`` where connections mostly are: in Airflow's database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import airflow
import pytest
from packaging.version import Version

from airflow_provider_cloudsync.emulator import Emulator
from tests.e2e.databases import Sqlite
from tests.e2e.site_settings import inherited

pytestmark = pytest.mark.e2e

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Run:
    """Runs a module of an Airflow whose database has the connection."""
    home = tmp_path_factory.mktemp("airflow")
    env = {**inherited(), "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=home, env=env, capture_output=True, text=True, timeout=120
        )

    def airflow_command(*arguments: str) -> None:
        done = command("airflow", *arguments)
        assert done.returncode == 0, done.stderr

    Sqlite(home / "airflow.db").make(lambda: airflow_command("db", "migrate"))
    airflow_command("connections", "add", "mine", "--conn-json", emulator.connection)
    return command


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(("airflow_provider_cloudsync",), id="python -m airflow_provider_cloudsync"),
        pytest.param(
            ("airflow", "cloudsync"),
            id="airflow cloudsync",
            marks=pytest.mark.skipif(
                Version(airflow.__version__) < Version("3.2"),
                reason="this Airflow has no commands of providers",
            ),
        ),
    ],
)
def test_a_connection_of_the_database_is_found(run: Run, emulator: Emulator, module: tuple[str, ...]) -> None:
    done = run(*module, "check", "--conn-id", "mine", "--service", "mrs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "connection mine\n" in done.stdout
    assert f"mrs        allowed at {emulator.url}" in done.stdout
    assert emulator.secret_key not in done.stdout + done.stderr
    missing = run(*module, "check", "--conn-id", "nobody_made_it")
    assert (missing.returncode, 'no connection "nobody_made_it"' in missing.stdout) == (1, True)
