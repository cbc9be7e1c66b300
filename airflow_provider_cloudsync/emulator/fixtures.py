"""A pytest fixture for tests of DAGs.

Put ``pytest_plugins = ["airflow_provider_cloudsync.emulator.fixtures"]`` into ``conftest.py``, and let the test ask for
``cloudsync_emulator``. A marker sets what the emulator is started with: ``@pytest.mark.cloudsync_emulator(speed=10)``.
The guide ``docs/emulator.md`` shows how to run whole DAGs with ``dag.test()``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_cloudsync.emulator.embedded import Emulator

__all__ = ["cloudsync_emulator"]

CONNECTION_VARIABLE = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "cloudsync_emulator(**options): what Emulator is started with")


@pytest.fixture
def cloudsync_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A running emulator that Airflow's connection ``cloudsync_default`` leads to.

    What the provider keeps for the whole process (results, rate limits, rejected keys, HTTP sessions) is forgotten
    before and after the test.
    """
    from airflow_provider_cloudsync.transport import drivers

    marker = request.node.get_closest_marker("cloudsync_emulator")
    drivers.reset()
    with Emulator(*marker.args, **marker.kwargs) if marker else Emulator() as emulator:
        monkeypatch.setenv(CONNECTION_VARIABLE, emulator.connection)
        yield emulator
    drivers.reset()
