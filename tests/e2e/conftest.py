"""What several files share, and what is not there for every environment."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

#: Only `make e2e-browser` has what drives a browser.
collect_ignore = [] if find_spec("playwright") else ["test_browser.py"]


@pytest.fixture(scope="session")
def shared() -> dict[str, Any]:
    """What came of all DAGs of one Airflow; see `shared_site`."""
    from tests.e2e.shared_site import run_all

    return run_all()


@pytest.fixture(scope="session")
def ended(shared: dict[str, Any]) -> dict[str, Any]:
    """The runs of `ended_runs`."""
    ended: dict[str, Any] = shared["ended"]
    return ended
