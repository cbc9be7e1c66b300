"""A stage for flows, and who plays on it: see `tests.support.scripted_network` and `tests.support.sites`."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.api import retries
from tests.support.scripted_network import Stage
from tests.support.sites import Site


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


@pytest.fixture
def site(stage: Stage) -> Site:
    found = Site(stage)
    stage.answer = found
    return found


@pytest.fixture
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that are of chance are the shortest."""

    class Least:
        random = staticmethod(lambda: 0.0)
        uniform = staticmethod(lambda low, high: low)

    monkeypatch.setattr(retries, "random", Least)
