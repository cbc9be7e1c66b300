"""The tests of a user's DAGs, as the guide of the emulator shows them, in a process of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.databases import Sqlite
from tests.e2e.site_settings import inherited

pytestmark = pytest.mark.e2e

GUIDE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE))
(SETTINGS,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
#: A wait that moves to the triggerer has its first poll after some seconds, which is not what is tested here.
AT_ONCE = "\n\nfrom airflow_provider_cloudsync.tasks import waiter\n\nwaiter._FIRST_POLL_DELAY = 0.0\n"


def test_the_tests_of_the_guide(tmp_path: Path) -> None:
    """Three runs of one DAG in one process: a hang in the second would be the emulator of the first."""
    assert set(FILES) == {"dags/people.py", "tests/conftest.py", "tests/test_people.py"}
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + AT_ONCE * name.endswith("conftest.py"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    env = {
        **inherited(),
        "AIRFLOW_HOME": str(tmp_path / ".airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def output(*module: str) -> str:
        command = [sys.executable, "-m", *module]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / ".airflow").mkdir()
    Sqlite(tmp_path / ".airflow" / "airflow.db").make(lambda: output("airflow", "db", "migrate"))
    assert "3 passed" in output("pytest", "-q", "-p", "no:cacheprovider", "tests")
