"""Requests find their task, and none gets lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.attribution import attribute
from tests.e2e.records import TaskResult

PROJECT = "p1"


def task(name: str, started: float | None, ended: float | None, **fields: Any) -> TaskResult:
    return TaskResult(
        dag_id="dag",
        run_id="run",
        task_id=name,
        map_index=-1,
        state="success",
        try_number=1,
        started=started,
        ended=ended,
        states_seen=(),
        triggers=0,
        reschedules=0,
        fields=fields,
    )


def request(path: str, time: float = 15.0, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "time": time,
        "service": "s",
        "operation": "op",
        "query": [],
        "body": None,
        "headers": {},
        **more,
    }


A = task("a", 10.0, 20.0, cluster_id="c1", user_names=["ann"], project_id=PROJECT)
LATER = task("later", 30.0, 40.0, cluster_id="c1")
B = task("b", 10.0, 20.0, cluster_id="c2")
TWIN = task("twin", 10.0, 20.0, cluster_id="c1")
UNSTARTED = task("unstarted", None, None, cluster_id="c1")
RUNNING = task("running", 10.0, None, cluster_id="c9")
DATAARTS = task("d", 10.0, 20.0, workspace="w1", sync_task_id="t1")


@pytest.mark.parametrize(
    ("entry", "tasks", "whose"),
    [
        pytest.param(request("/v2/p1/clusters/c1"), [A, B], "a", id="named in the path"),
        pytest.param(request("/v2/p1/x", query=[["cluster", "c2"]]), [A, B], "b", id="named in the query"),
        pytest.param(request("/v2/p1/x", body={"list": [{"id": "c2"}]}), [A, B], "b", id="named in the body"),
        pytest.param(
            request("/v1/t", headers={"Workspace": "w1"}), [A, DATAARTS], "d", id="named in a header"
        ),
        pytest.param(request("/v2/p1/clusters/c1", 35.0), [A, LATER], "later", id="by time"),
        pytest.param(request("/v2/p1/clusters/c1", 25.0), [A, LATER], "other", id="nobody was at work"),
        pytest.param(request("/v2/p1/clusters/c9", 99.0), [A, RUNNING], "running", id="not ended yet"),
        pytest.param(request("/v2/p1/clusters/c1"), [A, UNSTARTED], "a", id="never started"),
        pytest.param(request("/v2/p1/clusters/c1"), [A, TWIN], "shared", id="either may have sent it"),
        pytest.param(request("/v2/p1/clusters/c1", body=["ann"]), [A, TWIN], "a", id="the better match"),
        pytest.param(request("/v3/projects"), [A, B], "other", id="names nobody"),
        pytest.param(request("/v2/p1/things"), [A, B], "other", id="the project says nothing"),
    ],
)
def test_attribute(entry: dict[str, Any], tasks: list[TaskResult], whose: str) -> None:
    found = attribute([entry], tasks, common=[PROJECT])

    assert found.by_task.total() + found.shared.total() + found.other.total() == 1
    if whose in ("shared", "other"):
        assert getattr(found, whose) == {"s op": 1}
    else:
        assert [name for name in tasks if found.of(name)] == [t for t in tasks if t.task_id == whose]
