"""Both drivers against servers that follow a script: fixtures of `tests.support.wire_drivers`."""

from __future__ import annotations

from tests.support.wire_drivers import _no_kept_session, drive, serve

__all__ = ["_no_kept_session", "drive", "serve"]
