"""What is not there for every environment."""

from __future__ import annotations

from importlib.util import find_spec

#: Only `make e2e-browser` has what drives a browser.
collect_ignore = [] if find_spec("playwright") else ["test_browser.py"]
