"""The installed package, apart from the checkout: run by ``make dist`` with the Python that it is installed for.

From the sdist come the example DAGs, and the demo; the package in it is put aside, so that what is imported is what was
installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME, PACKAGE = "airflow-provider-cloudsync", "airflow_provider_cloudsync"

#: Where it comes from, that Airflow has read its description, and that each example is a DAG.
LOOK = f"""
import sys
from importlib.metadata import version
from pathlib import Path
import {PACKAGE}
assert Path({PACKAGE}.__file__).is_relative_to(sys.prefix), {PACKAGE}.__file__
assert {PACKAGE}.__version__ == version("{NAME}")
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
assert manager.providers["{NAME}"].version == version("{NAME}")
assert manager.hooks["cloudsync"].hook_name == "Huawei Cloud Sync"
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
bag = DagBag("example_dags")
assert not bag.import_errors, bag.import_errors
there = {{path.stem for path in Path("example_dags").glob("example_*.py")}}
assert set(bag.dags) == there, (set(bag.dags), there)
print(f"{{len(there)}} example DAGs, all with the installed package")
"""


def main() -> int:
    """0 if what is installed works."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdist", type=Path)
    parser.add_argument("--demo", action="store_true", help="run the examples in a real Airflow, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cloudsync-installed-") as folder:
        with tarfile.open(options.sdist) as archive:
            archive.extractall(folder, filter="data")
        (unpacked,) = (path for path in Path(folder).iterdir() if path.is_dir())
        (unpacked / PACKAGE).rename(Path(folder) / "put-aside")
        home = Path(folder) / "airflow"
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))
        }
        env |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])

        def run(*command: str, output: int | None = subprocess.PIPE) -> str:
            done = subprocess.run(
                [sys.executable, *command], cwd=unpacked, env=env, check=True, text=True, stdout=output
            )
            return done.stdout or ""

        print(run("-c", LOOK).splitlines()[-1])
        (line,) = (line for line in run("-m", "airflow", "providers", "list").splitlines() if NAME in line)
        print(line)
        print(run("-m", PACKAGE, "check", "--help").splitlines()[0], flush=True)
        if options.demo:
            run("-m", "tests.e2e.demo", output=None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
