"""Many tasks of one workspace: pages of the list, or each by itself, whatever is fewer calls."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.services.dataarts.member_sync import MEMBER_SYNC
from airflow_provider_cloudsync.exceptions import ApiError, CredentialsRejected, Throttled, TransportError
from airflow_provider_cloudsync.transport import drivers
from tests.support.scripted_network import START, Stage, answer

#: In ms.
T0 = 1_710_901_516_000


class Workspace:
    """A workspace with so many tasks, and what was asked."""

    def __init__(self, stage: Stage, tasks: int) -> None:
        self.tasks = [
            {"id": f"t{n}", "sync_status": "SYNC_SUCCESS", "sync_time": T0 + n} for n in range(tasks)
        ]
        self.total: object = tasks
        self.asked: list[str] = []
        self.wrong: dict[str, object] = {}
        stage.answer = self.answer

    def answer(self, request):
        path = urlsplit(request.url)
        last = path.path.rpartition("/")[2]
        query = {name: int(value[0]) for name, value in parse_qs(path.query).items()}
        name = f"page {query['offset']}" if query else last
        self.asked.append(name)
        if name in self.wrong:
            return self.wrong[name]
        if query:
            page = self.tasks[query["offset"] : query["offset"] + query["limit"]]
            return answer(200, {"total": self.total, "tasks": page})
        found = [task for task in self.tasks if task["id"] == last]
        return (
            answer(200, found[0]) if found else answer(400, {"error_code": "DLS.1000", "error_msg": "gone"})
        )


@pytest.fixture
def stage(monkeypatch) -> Stage:
    return Stage(monkeypatch)


def look(stage: Stage, keys):
    cloud = Cloud(KeyPair("A", "S"), clock=stage.clock, project_id="p", endpoint="http://127.0.0.1:9")
    return drivers.run(MEMBER_SYNC.observe_all(cloud.once(), "w", keys))


@pytest.mark.parametrize(
    ("tasks", "keys", "asked"),
    [
        pytest.param(1000, ["t7"], ["t7"], id="one alone"),
        pytest.param(100, ["t7", "t8"], ["page 0"], id="two on one page"),
        pytest.param(1000, ["t7", "t8"], ["page 0"], id="two on the first page"),
        pytest.param(1000, ["t7", "t800"], ["page 0", "t800"], id="two far apart"),
        pytest.param(250, [f"t{n}" for n in range(250)], ["page 0", "page 100", "page 200"], id="all"),
        pytest.param(
            1000,
            [f"t{n}" for n in range(0, 1000, 300)],
            ["page 0", "t300", "t600", "t900"],
            id="few of many",
        ),
        pytest.param(
            300,
            [f"t{n}" for n in range(0, 300, 30)],
            ["page 0", "page 100", "page 200"],
            id="more than there are pages",
        ),
        pytest.param(0, ["t1", "t2"], ["page 0", "t1", "t2"], id="none there"),
    ],
)
def test_fewest_calls(stage, tasks, keys, asked) -> None:
    workspace = Workspace(stage, tasks)
    found = look(stage, keys)
    assert workspace.asked == asked
    assert {key for key in keys if key in found} == set(keys)
    for key in keys:
        if tasks:
            assert found[key].sync_time == T0 + int(key[1:])


def test_all_that_a_page_shows_is_brought(stage) -> None:
    Workspace(stage, 100)
    assert len(look(stage, ["t1", "t2"])) == 100


def test_one_that_is_not_there_is_no_fault_of_the_others(stage) -> None:
    Workspace(stage, 100)
    found = look(stage, ["t1", "gone", "t2"])
    assert found["t1"].sync_time == T0 + 1
    assert isinstance(found["gone"], ApiError)
    assert "DLS.1000" in str(found["gone"])


@pytest.mark.parametrize(
    "total",
    [None, "many", -5, 0, 10**9, True],
)
@pytest.mark.parametrize("tasks", [0, 3, 100, 250])
def test_a_total_that_tells_nothing_does_no_harm(stage, tasks, total) -> None:
    workspace = Workspace(stage, tasks)
    workspace.total = total
    keys = [f"t{n}" for n in range(0, max(tasks, 4), 2)]
    found = look(stage, keys)
    assert set(keys) <= set(found)
    assert len(workspace.asked) <= len(keys) + 3


@pytest.mark.parametrize(
    "item", [None, [], "text", {}, {"id": "t1"}, {"id": "t1", "sync_status": None}, {"sync_status": "X"}]
)
def test_an_item_that_says_nothing_is_asked_for_by_itself(stage, item) -> None:
    workspace = Workspace(stage, 3)
    workspace.wrong["page 0"] = answer(
        200, {"total": 3, "tasks": [workspace.tasks[0], item, workspace.tasks[2]]}
    )
    found = look(stage, ["t0", "t1", "t2"])
    assert [found[key].sync_time for key in ("t0", "t1", "t2")] == [T0, T0 + 1, T0 + 2]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(answer(429, {"error_msg": "x"}), Throttled, id="429"),
        pytest.param(answer(401, {"error_code": "APIGW.0301"}), CredentialsRejected, id="401"),
        pytest.param(TransportError("broken"), TransportError, id="no reply"),
    ],
)
@pytest.mark.parametrize("where", ["page 0", "gone"])
def test_what_is_about_all_of_them_ends_the_look(stage, where, reply, kind) -> None:
    workspace = Workspace(stage, 3)
    workspace.wrong[where] = reply
    with pytest.raises(kind):
        look(stage, ["t0", "t1", "gone", "lost"])
    assert workspace.asked[-1] == where


def test_times_are_the_services_own(stage) -> None:
    workspace = Workspace(stage, 3)
    workspace.wrong["page 0"] = answer(
        200, {"total": 3, "tasks": workspace.tasks}, date="Sat, 21 Nov 2026 08:00:00 GMT"
    )
    assert look(stage, ["t0", "t1"])["t0"].clock.now == START * 1000
