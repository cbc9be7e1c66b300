"""A stage for flows: see `tests.stage`."""

from __future__ import annotations

import pytest

from tests.stage import Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)
