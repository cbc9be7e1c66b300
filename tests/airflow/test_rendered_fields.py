"""What the page of a task shows of its rendered fields: every field, as text or JSON, with nothing of Python in it."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime

import pytest
from airflow.serialization.helpers import serialize_template_field

from tests.airflow.test_messages import JOBS, WRITES
from tests.airflow.test_provider_info import operators

TASKS = {
    **{name: lambda job=job: job.make(task_id="t") for name, job in JOBS.items()},
    **{name: job.make for name, job in WRITES.items()},
}


@pytest.mark.parametrize("name", TASKS)
def test_fields_are_readable(name: str) -> None:
    task = TASKS[name]()
    for field in task.template_fields:
        value = getattr(task, field)
        shown = serialize_template_field(value, field)
        assert shown == json.loads(json.dumps(shown))
        if value is None or isinstance(value, (str, float, list, dict)):
            assert shown == value
        else:
            assert isinstance(shown, str)
        for mark in ("<", "NotGiven", "object at", "datetime("):
            assert mark not in str(shown)


@pytest.mark.parametrize("name", TASKS)
def test_lists_and_objects_are_rendered_as_json(name: str) -> None:
    """Airflow 2 goes by this; Airflow 3 renders all that is no text as JSON."""
    task = TASKS[name]()
    structured = {field for field in task.template_fields if isinstance(getattr(task, field), (list, dict))}
    named = dict(task.template_fields_renderers)
    assert set(named) <= set(task.template_fields)
    assert set(named.values()) <= {"json"}
    assert structured <= set(named)


def test_no_operator_is_left_out() -> None:
    public = {found.__name__ for found in operators() if not inspect.isabstract(found)}
    assert set(TASKS) == public


def test_a_time_is_one_that_can_be_read() -> None:
    task = JOBS["DataArtsMemberSyncTaskSensor"].make(task_id="t")
    task.synced_after = datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert serialize_template_field(task.synced_after, "synced_after") == "2026-01-31 08:00:00+00:00"
