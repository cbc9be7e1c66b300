"""What several files share, and what is not there for every environment."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

#: Only `make e2e-browser` has what drives a browser.
collect_ignore = [] if find_spec("playwright") else ["test_browser.py"]


@pytest.fixture(scope="session")
def ended() -> dict[str, Any]:
    """The runs of `ended_runs`, once for all that look at them."""
    from tests.e2e.ended_runs import ended_runs

    return ended_runs()
