"""Parameters that may be left out: what a template that rendered to nothing must not come to mean."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.tasks import waiter
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, resolve_nullable, resolve_omittable

HARM = "every cluster would be synchronized"


@pytest.mark.parametrize("value", ["c", "", 0, False, [], {}])
def test_given_takes_what_there_is(value) -> None:
    assert resolve_omittable(value, "cluster_id", consequence=HARM) == value


def test_given_is_none_for_what_was_left_out_only() -> None:
    assert resolve_omittable(NOT_GIVEN, "cluster_id", consequence=HARM) is None
    with pytest.raises(InvalidParameter, match=f"cluster_id is None.*{HARM}"):
        resolve_omittable(None, "cluster_id", consequence=HARM)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_left_out_stays_left_out_in_a_copy_of_the_task(copied) -> None:
    """Airflow copies operators, and hands them to other processes."""
    assert copied(NOT_GIVEN) is NOT_GIVEN


@pytest.mark.parametrize("none_in_dag", [True, False])
@pytest.mark.parametrize("value", ["c", "", 0, False, [], {}])
def test_rendered_takes_what_there_is(value, none_in_dag) -> None:
    assert resolve_nullable(value, "synced_after", none_in_dag=none_in_dag, consequence=HARM) == value


def test_rendered_is_none_only_where_none_was_written() -> None:
    assert resolve_nullable(None, "synced_after", none_in_dag=True, consequence=HARM) is None
    with pytest.raises(InvalidParameter, match=f"synced_after is a template that rendered to None.*{HARM}"):
        resolve_nullable(None, "synced_after", none_in_dag=False, consequence=HARM)


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "began", "end"),
    [
        pytest.param(600, None, 0, 600, id="timeout"),
        pytest.param(600, None, 40, 600, id="timeout runs from the execution"),
        pytest.param(600, 300, 0, 295, id="before execution_timeout"),
        pytest.param(600, 300, 40, 255, id="execution_timeout runs from the start of the try"),
        pytest.param(600, 300, -40, 295, id="not from a start to come, by a clock that was set back"),
        pytest.param(600, 300, None, 295, id="a start that is not known"),
        pytest.param(600, 20, 0, 16, id="a short one"),
        pytest.param(200, 300, 40, 200, id="the earlier of the two"),
    ],
)
def test_deadline(monkeypatch, timeout, execution_timeout, began, end) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(waiter, "time", SimpleNamespace(time=lambda: now))
    found = waiter.deadline(
        timeout,
        None if execution_timeout is None else timedelta(seconds=execution_timeout),
        None if began is None else datetime.fromtimestamp(now - began, UTC),
    )
    assert found - now == end


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"ti": None},
        {"ti": SimpleNamespace()},
        {"ti": SimpleNamespace(start_date=None)},
        {"ti": MagicMock()},
    ],
    ids=["nothing", "no ti", "no date", "none yet", "a mock"],
)
def test_a_test_of_a_dag_need_not_say_when_the_try_began(context) -> None:
    assert waiter.start_of_try(context) is None
