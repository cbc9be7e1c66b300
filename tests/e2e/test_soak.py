"""A short soak, so that the long one (``make soak``) works when it is wanted."""

from __future__ import annotations

import pytest

from tests.soak.conductor import Soak
from tests.soak.judge import judge
from tests.soak.settings import Settings
from tests.soak.table import table

pytestmark = pytest.mark.e2e


def test_it_is_held() -> None:
    with Soak(Settings(seconds=12, waits=60, seed=3)) as soak:
        record = soak.run()
    found = judge(record)
    print(table(record, found))
    assert found.held, table(record, found)
    assert len(record.events) + len(record.ended_by_user) >= 60
    assert {"succeeded", "failed", "timed out", "ended by a user"} == set(found.ends)
    assert record.killed
    assert record.killed[0] > 0
    assert record.revocations
    assert record.faults.total() > 3
    assert {sample.pid for sample in record.samples} >= set(record.asked_pids)
