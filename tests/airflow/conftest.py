"""Operators and sensors against the emulator: fixtures of `tests.support.airflow_world`."""

from __future__ import annotations

from tests.support.airflow_world import _no_secrets_of_other_tests, start_world, told

__all__ = ["_no_secrets_of_other_tests", "start_world", "told"]
