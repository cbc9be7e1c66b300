"""A deferred sensor that is resumed with something other than its trigger's report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_cloudsync.api.model import Phase, Progress
from airflow_provider_cloudsync.exceptions import InvalidEvent, InvalidParameter
from airflow_provider_cloudsync.triggers.sync import Report
from tests.airflow.test_parse_checks import SENSORS, make

DAMAGED: list[Any] = [
    None,
    {},
    "text",
    {"version": 99},
    {"version": 1},
    {"version": 1, "error": None, "phase": "odd"},
]
CONTEXT = {"ti": SimpleNamespace(try_number=1)}


@pytest.mark.parametrize("kind", SENSORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("event", DAMAGED, ids=str)
@pytest.mark.parametrize(
    ("flags", "raised"),
    [
        pytest.param({}, InvalidEvent, id="neither"),
        pytest.param({"soft_fail": True}, AirflowSkipException, id="soft_fail"),
        pytest.param({"never_fail": True}, AirflowSkipException, id="never_fail"),
    ],
)
def test_a_damaged_report(kind, event, flags, raised) -> None:
    with pytest.raises(raised, match=r"Clear the task|resumed without a report"):
        make(kind, deferrable=True, **flags).execute_complete(CONTEXT, event)


@pytest.mark.parametrize("kind", SENSORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("flags", "raised"),
    [
        pytest.param({}, InvalidParameter, id="neither"),
        pytest.param({"soft_fail": True}, InvalidParameter, id="soft_fail"),
        pytest.param({"never_fail": True}, AirflowSkipException, id="never_fail"),
    ],
)
def test_an_error_of_ours_after_a_good_report(kind, flags, raised) -> None:
    """As in a poked sensor, where Airflow applies these flags."""
    event = Report({}, 1.0, 1, Progress(Phase.SUCCEEDED, "done")).to_json()
    task = make(kind, deferrable=True, **flags)
    task.region = ""
    with pytest.raises(raised, match="region"):
        task.execute_complete(CONTEXT, event)


@pytest.mark.parametrize("kind", SENSORS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("flags", "raised"), [({}, OSError), ({"never_fail": True}, AirflowSkipException)], ids=str
)
def test_an_error_of_something_else(kind, flags, raised, monkeypatch) -> None:
    event = Report({}, 1.0, 1, Progress(Phase.SUCCEEDED, "done")).to_json()
    task = make(kind, deferrable=True, **flags)

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(type(task), "_conclude", fail)
    with pytest.raises(raised, match="no space left"):
        task.execute_complete(CONTEXT, event)
