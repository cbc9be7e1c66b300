"""The lists of each service: its own fields, its rows, and what is concluded from a list that is not complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.api.messages import HttpRequest
from airflow_provider_cloudsync.api.model import Phase
from airflow_provider_cloudsync.api.services.coc.calls import list_vendor_accounts
from airflow_provider_cloudsync.api.services.coc.resource_sync import RESOURCE_SYNC, resources_target
from airflow_provider_cloudsync.api.services.csms.calls import list_events
from airflow_provider_cloudsync.api.services.dataarts.calls import list_member_sync_tasks
from airflow_provider_cloudsync.api.services.hss.calls import list_cluster_events
from airflow_provider_cloudsync.api.services.hss.event_sync import events_target
from airflow_provider_cloudsync.api.services.iam import find_project, list_projects
from airflow_provider_cloudsync.api.services.mrs.calls import find_cluster, list_clusters
from airflow_provider_cloudsync.api.waiting.polling import poll
from airflow_provider_cloudsync.api.waiting.starting import begin
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidConnection,
    UnreadableReply,
)
from tests.support.driven import Driver, query

OLD, NEW = "2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z"


def account(number: int, status: str = "success", date: str | None = OLD, **more: Any) -> dict[str, Any]:
    fields = {"id": f"row-{number:03}", "vendor": "AWS", "account_id": f"{number:03}", "account_name": ""}
    return {**fields, "sync_status": status, "sync_date": date, **more}


def driver(answer: Callable[[HttpRequest], Any]) -> Driver:
    return Driver(answer, now=1_795_255_200.0)


def run(answer: Callable[[HttpRequest], Any], flow: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """One flow, each request of which is tried once."""
    found = driver(answer)
    return found.run(flow(found.cloud(domain_id="d", attempts=1), *arguments, **more))


# --- each list -------------------------------------------------------------------------------------------------------

LISTS: dict[str, tuple[Callable[..., Any], str, str, str, str]] = {
    # flow, its rows, the key of one, the field of the total, the parameter of the position
    "coc": (list_vendor_accounts, "data", "id", "total", "offset"),
    "csms": (list_events, "events", "name", "", "marker"),
    "dataarts": (lambda cloud: list_member_sync_tasks(cloud, "w"), "tasks", "id", "total", "offset"),
    "hss": (
        lambda cloud: list_cluster_events(cloud, events_target()),
        "data_list",
        "event_id",
        "total_num",
        "offset",
    ),
    "mrs": (list_clusters, "clusters", "clusterId", "clusterTotal", "currentPage"),
}
EACH = pytest.mark.parametrize(
    ("flow", "items", "key", "total", "position"), LISTS.values(), ids=LISTS.keys()
)


def served(
    count: int, cap: int, items: str, key: str, total: str, position: str
) -> Callable[[HttpRequest], Any]:
    ids = [f"n{number:03}" for number in range(count)]

    def answer(request: HttpRequest) -> Any:
        asked = query(request)
        begin = asked.get(position)
        if position == "marker" or "marker" in asked:
            at = ids.index(asked["marker"]) if "marker" in asked else 0
        elif position == "currentPage":
            at = (int(begin or 1) - 1) * cap
        else:
            at = int(begin or 0)
        page = [{key: each} for each in ids[at : at + cap]]
        return {items: page, **({total: "45"} if total else {})}

    return answer


@EACH
@pytest.mark.parametrize("cap", [10, 20, 45])
def test_all_rows_of_a_service_with_smaller_pages(flow, items, key, total, position, cap) -> None:
    found = run(served(45, cap, items, key, total, position), flow)
    assert len(found) == 45


@EACH
def test_fewer_rows_than_stated(flow, items, key, total, position) -> None:
    """Or, without a total, the same page for each marker."""
    page = {items: [{key: f"n{number:03}"} for number in range(20)], **({total: 45} if total else {})}
    with pytest.raises(
        UnreadableReply, match=r"^List is incomplete: (20 of 45|at least 20) \w+.*\[.* request ID r\d+\]$"
    ):
        run(lambda request: page, flow)


@EACH
@pytest.mark.parametrize("row", [None, "x", {}, {"sync_status": "success"}], ids=repr)
def test_a_row_that_is_none(flow, items, key, total, position, row) -> None:
    with pytest.raises(UnreadableReply, match=f"an item of the list has no {key}"):
        run(lambda request: {items: [row], **({total: 1} if total else {})}, flow)


def test_numbers_of_a_log_of_events_that_grows() -> None:
    """HSS shows the newest first, and counts to 10,000."""
    ids = [f"n{number:05}" for number in range(10_450)]

    def answer(request: HttpRequest) -> Any:
        ids.insert(0, f"new{len(ids)}")
        begin = int(query(request)["offset"])
        page = [{"event_id": each} for each in ids[begin : begin + 200]]
        return {"data_list": page, "total_num": min(len(ids), 10_000)}

    found = run(answer, list_cluster_events, events_target())
    assert {f"n{number:05}" for number in range(10_450)} <= {each["event_id"] for each in found}


# --- accounts of COC -------------------------------------------------------------------------------------------------

ROWS: list[tuple[str, dict[str, Any], str | None, str]] = [
    # id, fields of the row, vendor of the account that comes out, account id
    ("as documented", {}, "AWS", "111"),
    ("vendor null", {"vendor": None}, "AWS", "111"),
    ("vendor empty", {"vendor": ""}, "AWS", "111"),
    ("vendor in lower case", {"vendor": "aws"}, "AWS", "111"),
    ("vendor in mixed case with blanks", {"vendor": " Aws "}, "AWS", "111"),
    ("another vendor", {"vendor": "HCS"}, None, ""),
    ("another vendor in lower case", {"vendor": "hcs"}, None, ""),
    ("a number for an account id", {"account_id": 111}, "AWS", "111"),
    ("a float for an account id", {"account_id": 111.0}, "AWS", "111"),
    ("blanks around the account id", {"account_id": " 111 "}, "AWS", "111"),
    ("a number for an id", {"id": 5}, "AWS", "111"),
]


@pytest.mark.parametrize(
    ("fields", "vendor", "account_id"), [case[1:] for case in ROWS], ids=[case[0] for case in ROWS]
)
@pytest.mark.parametrize("asked", ["111", None], ids=["one", "all"])
def test_fields_of_a_row(fields, vendor, account_id, asked) -> None:
    rows = [account(111, **fields)]
    found = run(lambda request: {"data": rows, "total": 1}, list_vendor_accounts, "AWS", asked)
    assert [(each["vendor"], each["account_id"]) for each in found] == (
        [] if vendor is None else [(vendor, account_id)]
    )
    assert all(isinstance(each["id"], str) for each in found)
    target = resources_target("AWS", account_id=asked)
    seen = run(lambda request: {"data": rows, "total": 1}, RESOURCE_SYNC.observe, target)
    assert len(seen.of_target(target)) == len(found)


def test_a_row_without_a_vendor_in_a_list_of_all() -> None:
    rows = [account(1, vendor=None), {key: value for key, value in account(2).items() if key != "vendor"}]
    found = run(lambda request: {"data": rows, "total": 2}, list_vendor_accounts)
    assert [each.get("vendor") for each in found] == ["", None]


def accounts(failing: int = 5, **paging: Any) -> Callable[[HttpRequest], Any]:
    """45 accounts, the last of which fail, in pages of 20; the start is taken, and all have a new date after it."""
    started: list[bool] = []

    def answer(request: HttpRequest) -> Any:
        if request.method == "POST":
            started.append(True)
            return {"data": "task"}
        date = NEW if started else OLD
        failed = range(45 - failing, 45) if started else ()
        rows = [account(number, "failed" if number in failed else "success", date) for number in range(45)]
        asked = query(request)
        begin = 0 if paging.get("ignores_offset") else int(asked.get("offset", 0))
        if "marker" in asked and not paging.get("ignores_marker"):
            begin = [each["id"] for each in rows].index(asked["marker"]) + 1
        page = rows[begin : begin + min(int(asked["limit"]), 20)]
        total = paging.get("total", lambda page: 45)(page)
        return {"data": page, "total": total}

    return answer


@pytest.mark.parametrize("ignored", [(), ("ignores_offset",), ("ignores_offset", "ignores_marker")], ids=repr)
@pytest.mark.parametrize(
    "total",
    [
        lambda page: 45,
        lambda page: "45",
        lambda page: None,
        lambda page: -1,
        lambda page: len(page),
        lambda page: 0,
    ],
    ids=["45", "text", "null", "negative", "of the page", "0"],
)
def test_accounts_that_fail_are_not_hidden_by_pages(total, ignored) -> None:
    """Red with the names of those that failed, or no verdict; never green."""
    answer = accounts(total=total, **dict.fromkeys(ignored, True))
    here = driver(answer)
    cloud = here.cloud(domain_id="d", attempts=1)
    target = resources_target("AWS")
    if len(ignored) == 2:
        with pytest.raises(UnreadableReply, match=r"^List is incomplete: (20 of 45|at least 20) accounts"):
            here.run(begin(cloud, RESOURCE_SYNC, target))
        assert {each.method for each in here.sent} == {"GET"}  # nothing was started without a baseline
        return
    ticket = here.run(begin(cloud, RESOURCE_SYNC, target))
    assert len(ticket.baseline["accounts"]) == 45
    here.now += 600
    _, progress = here.run(poll(cloud, RESOURCE_SYNC, ticket))
    assert progress.phase is not Phase.SUCCEEDED
    assert "5 of 45 AWS accounts" in progress.why
    assert "044: " in progress.why


def test_a_row_that_moves_while_the_baseline_is_taken_is_in_it() -> None:
    """Else it would look like a new account, and its old success like a new one."""
    rows = [account(number) for number in range(45)]

    def answer(request: HttpRequest) -> Any:
        if request.method == "POST":
            return {"data": "task"}
        asked = query(request)
        if asked.get("offset") == "20" and not moved:
            moved.append(rows[0])
            rows.append(rows.pop(0))  # what was the 21st is on the first page now
        at = int(asked.get("offset", 0))
        if "marker" in asked:
            at = [each["id"] for each in rows].index(asked["marker"]) + 1
        return {"data": rows[at : at + 20], "total": 45}

    moved: list[Any] = []
    here = driver(answer)
    ticket = here.run(begin(here.cloud(domain_id="d", attempts=1), RESOURCE_SYNC, resources_target("AWS")))
    assert len(ticket.baseline["accounts"]) == 45


def test_an_incomplete_list_is_a_fault_that_may_pass() -> None:
    page = {"data": [account(number) for number in range(20)], "total": 45}
    here = driver(lambda request: {"data": "t"} if request.method == "POST" else dict(page, total=20))
    cloud = here.cloud(domain_id="d", attempts=1)
    ticket = here.run(begin(cloud, RESOURCE_SYNC, resources_target("AWS")))
    here.answer = lambda request: page
    _, progress = here.run(poll(cloud, RESOURCE_SYNC, ticket))
    assert progress.phase is Phase.RUNNING
    assert "List is incomplete: 20 of 45 accounts" in progress.why


# --- clusters of MRS -------------------------------------------------------------------------------------------------

GONE = (400, {"errorCode": "12000003", "errorMsg": "no such cluster"})
CODELESS: dict[str, Any] = {
    "empty": (404, b""),
    "detail": (404, {"detail": "Not Found"}),
    "HTML": (404, b"<html>404</html>"),
    "its status": (404, {"code": 404, "message": "x"}),
    "an unknown code": (404, {"error_code": "12009999", "error_msg": "x"}),
}


def clusters(shown: Any, listed: Any, granted: Any = None) -> Callable[[HttpRequest], Any]:
    """The reply to ShowClusterDetails, and those of ListClusters: a reply, or ids with states."""

    def answer(request: HttpRequest) -> Any:
        if not urlsplit(request.url).path.endswith("/cluster_infos"):
            return shown
        asked = query(request)
        of_all = asked.get("enterpriseProjectId") == "all_granted_eps"
        found = granted if of_all and granted is not None else listed
        if not isinstance(found, dict):
            return found
        rows = [{"clusterId": each, "clusterState": state} for each, state in found.items()]
        at = (int(asked["currentPage"]) - 1) * int(asked["pageSize"])
        return {"clusterTotal": len(rows), "clusters": rows[at : at + int(asked["pageSize"])]}

    return answer


OTHERS = {f"other-{number}": "running" for number in range(150)}


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(GONE, id="camel case"),
        pytest.param((400, {"error_code": "12000003", "error_msg": "x"}), id="snake case"),
        pytest.param((404, {"error_code": "12000003"}), id="404"),
        pytest.param((400, {"error": {"error_code": "12000003"}}), id="nested"),
        pytest.param((400, {"error_code": 12000003}), id="a number"),
    ],
)
def test_a_cluster_that_is_missing_by_its_code(shown) -> None:
    here = driver(clusters(shown, {}))
    assert here.run(find_cluster(here.cloud(), "c1")) is None
    assert len(here.sent) == 1


@pytest.mark.parametrize("shown", CODELESS.values(), ids=CODELESS.keys())
@pytest.mark.parametrize("listed", [{}, {"other": "running"}, OTHERS], ids=["none", "one", "many"])
def test_a_cluster_that_no_list_has(shown, listed) -> None:
    assert run(clusters(shown, listed), find_cluster, "c1") is None


@pytest.mark.parametrize("shown", CODELESS.values(), ids=CODELESS.keys())
@pytest.mark.parametrize(
    ("listed", "granted", "says"),
    [
        pytest.param(
            {**OTHERS, "c1": "running"}, None, "The list of clusters contains c1", id="on the last page"
        ),
        pytest.param(
            {}, {"c1": "running"}, "The list of clusters contains c1", id="of another enterprise project"
        ),
        pytest.param(
            {}, (400, {"error_code": "12000002"}), "cannot be read either", id="enterprise project refused"
        ),
        pytest.param((404, b""), None, "cannot be read either", id="404"),
        pytest.param((503, b""), None, "cannot be read either", id="503"),
        pytest.param(
            (200, {"clusters": [], "clusterTotal": 3}), None, "List is incomplete: 0 of 3", id="incomplete"
        ),
        pytest.param((200, {}), None, "cannot be read either", id="no list"),
    ],
)
def test_a_cluster_that_may_be_there(shown, listed, granted, says) -> None:
    with pytest.raises(ApiError, match=f"^404 without a known service code.*{says}") as caught:
        run(clusters(shown, listed, granted), find_cluster, "c1")
    assert caught.value.status == 404


def test_a_cluster_that_the_list_shows_as_terminated() -> None:
    found = run(clusters((404, b""), {"c1": "terminated"}), find_cluster, "c1")
    assert found["clusterState"] == "terminated"


@pytest.mark.parametrize(
    "shown",
    [(404, {"error_code": "APIGW.0101"}), (403, {}), (400, {"error_code": "12000002"}), (500, {}), (200, {})],
    ids=repr,
)
def test_what_is_not_about_the_cluster(shown) -> None:
    here = driver(clusters(shown, {}))
    with pytest.raises(CloudSyncError):
        here.run(find_cluster(here.cloud(attempts=1), "c1"))
    assert len(here.sent) == 1


def test_a_cluster_that_is_there() -> None:
    cluster = {"clusterId": "c1", "clusterState": "running"}
    assert run(clusters({"cluster": cluster}, {}), find_cluster, "c1") == cluster


# --- projects of IAM -------------------------------------------------------------------------------------------------


def projects(ids: list[str], **more: Any) -> dict[str, Any]:
    return {"projects": [{"id": each, "name": "cn-north-4"} for each in ids], **more}


@pytest.mark.parametrize(
    "more",
    [{"links": {"next": "https://iam/v3/projects?page=2"}}, {"truncated": True}],
    ids=["a link to the next page", "truncated"],
)
def test_a_second_project_on_the_next_page_is_not_passed_over(more) -> None:
    def answer(request: HttpRequest) -> Any:
        page = int(query(request).get("page", 0))
        assert query(request)["name"] == "cn-north-4"
        return projects([["a"], ["a"], ["b"], []][page], **(more if page < 2 else {}))

    assert [each["id"] for each in run(answer, list_projects, "cn-north-4")] == ["a", "b"]
    here = driver(answer)
    with pytest.raises(InvalidConnection, match=r"2 projects \(a, b\)"):
        here.run(find_project(here.cloud(project_id=None)))


@pytest.mark.parametrize("links", [None, {}, [], {"next": None}, {"next": ""}, {"self": "x"}], ids=repr)
def test_projects_that_are_all_there(links) -> None:
    here = driver(lambda request: projects(["a", "a"], links=links))
    assert [each["id"] for each in here.run(list_projects(here.cloud(), "cn-north-4"))] == ["a"]
    assert len(here.sent) == 1


def test_an_unusable_project_on_the_next_page() -> None:
    def answer(request: HttpRequest) -> Any:
        return projects(["../x"] if "page" in query(request) else ["a"], truncated=True)

    with pytest.raises(UnreadableReply, match="Unusable project"):
        run(answer, list_projects, "cn-north-4")
