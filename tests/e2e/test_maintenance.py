"""Setup and teardown around work that fails and workers that die, in a real Airflow: events end as they began."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

#: Airflow from 3.3 has a place that survives a killed worker.
REMEMBERS = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)


def states(ended: dict[str, Any], dag: str) -> list[str]:
    return [ended["tasks"][dag, name].state for name in ("mute", "work", "restore")]


def writes(ended: dict[str, Any], dag: str) -> list[str]:
    return [
        entry["body"]["state"]
        for entry in ended["journal"]
        if entry["operation"] == "UpdateSecretEvent" and entry["path"].endswith(f"/{dag}")
    ]


def test_it_is_restored_though_the_work_fails(ended: dict[str, Any]) -> None:
    assert states(ended, "fails") == ["success", "failed", "success"], ended["logs"]["fails", "restore"]
    assert writes(ended, "fails") == ["DISABLED", "ENABLED"]
    assert ended["events"]["fails"]["state"] == "ENABLED"


def test_what_was_off_stays_off(ended: dict[str, Any]) -> None:
    assert states(ended, "was_off") == ["success", "success", "success"]
    assert writes(ended, "was_off") == []
    assert ended["events"]["was_off"]["state"] == "DISABLED"


def test_a_worker_that_dies_after_the_write(ended: dict[str, Any]) -> None:
    log = ended["logs"]["dies", "mute"]
    assert ended["tasks"]["dies", "mute"].try_number == 2, log
    if REMEMBERS:
        assert states(ended, "dies") == ["success", "success", "success"], log
        assert writes(ended, "dies") == ["DISABLED", "ENABLED"]
    else:
        # Nothing tells the second try what there was before; better red than muted for good.
        assert states(ended, "dies") == ["success", "success", "failed"]
        assert "cannot be restored" in log
