"""What all tests have in common. Airflow reads its environment when it is first imported, so that is set up here."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile

import pytest

_HOME = tempfile.mkdtemp(prefix="cloudsync-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "HUAWEICLOUD", "CLOUD_SDK"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = _HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

#: As users have it in their own conftest.
pytest_plugins = ["airflow_provider_cloudsync.emulator.fixtures"]


def pytest_collection_finish() -> None:
    """Spare each later collection, which some tests ask for, all that Airflow has loaded."""
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
