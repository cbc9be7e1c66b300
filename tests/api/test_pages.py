"""Lists that are paged by a marker, lists that the service stops counting, and whose account a call is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud, call, marked_pages, pages
from airflow_provider_cloudsync.api.messages import Hold, HttpRequest, Pause, Request, Response, Shared, Turn
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.api.services.iam import find_domain
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    TransportError,
    UnreadableReply,
)

Answer = Callable[[HttpRequest], Any]


@dataclass
class Driver:
    """Answers each request by a function of it; time passes by pauses only."""

    answer: Answer
    now: float = 1_710_901_516.0
    sent: list[HttpRequest] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)

    def cloud(self, **more: Any) -> Cloud:
        given = {"region": "cn-north-4", "project_id": "p1", **more}
        return Cloud(KeyPair("ak", "sk"), lambda: self.now, **given)

    def run(self, flow: Any) -> Any:
        try:
            message = next(flow)
            while True:
                try:
                    result = self.carry_out(message)
                except CloudSyncError as error:
                    message = flow.throw(error)
                else:
                    message = flow.send(result)
        except StopIteration as end:
            return end.value

    def carry_out(self, message: Any) -> Any:
        if isinstance(message, Pause):
            self.now += message.seconds
            return None
        if isinstance(message, Turn | Hold):
            return 0.0
        if isinstance(message, Shared):
            self.shared.append(message)
            return self.run(message.make())
        assert isinstance(message, HttpRequest)
        self.sent.append(message)
        assert len(self.sent) < 30_000
        result = self.answer(message)
        if isinstance(result, CloudSyncError):
            raise result
        status, body = result if isinstance(result, tuple) else (200, result)
        return Response(status, {}, json.dumps(body).encode())

    def queries(self) -> list[dict[str, str]]:
        return [query(each) for each in self.sent]


def query(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


LIST = Request("GET", "csms", "List", "/v1/{project_id}/things", repeatable=True, query=(("f", "x"),))


def items(names: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def service(
    count: int, *, inclusive: bool, told: bool = True, most: int = 50, descending: bool = False
) -> tuple[list[str], Answer]:
    """A list as a service may page it.

    :param inclusive: whether the marker's own item is the first of the page.
    :param told: whether the reply names the next marker.
    :param most: items a page, whatever is asked for.
    """
    names = sorted((f"n{number:05}" for number in range(count)), reverse=descending)

    def answer(request: HttpRequest) -> Any:
        asked = query(request)
        begin = names.index(asked["marker"]) + (0 if inclusive else 1) if "marker" in asked else 0
        size = min(int(asked["limit"]), most)
        page = names[begin : begin + size]
        more = begin + size < len(names)
        info = {"next_marker": page[-1] if more else None, "current_count": len(page)}
        return {"items": items(page), **({"page_info": info} if told else {})}

    return names, answer


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 98, 99, 100, 101, 500])
@pytest.mark.parametrize("inclusive", [True, False], ids=["inclusive", "exclusive"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
@pytest.mark.parametrize("descending", [True, False])
def test_every_item_once(count, inclusive, told, descending) -> None:
    names, answer = service(count, inclusive=inclusive, told=told, descending=descending)
    driver = Driver(answer)
    found = driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=50))
    assert [each["name"] for each in found] == names
    assert len(driver.sent) <= count // 49 + 2
    assert {asked["limit"] for asked in driver.queries()} == {"50"}
    assert {asked["f"] for asked in driver.queries()} == {"x"}
    assert "marker" not in driver.queries()[0]


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("most", [2, 20])
def test_a_lower_limit_of_the_service(inclusive, most) -> None:
    names, answer = service(101, inclusive=inclusive, most=most)
    driver = Driver(answer)
    found = driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=50))
    assert [each["name"] for each in found] == names


@pytest.mark.parametrize(
    "page",
    [
        pytest.param({"items": items(["a", "b"]), "page_info": {"next_marker": "b"}}, id="the same page"),
        pytest.param({"items": items(["a", "b"]), "page_info": {"next_marker": "zzz"}}, id="another marker"),
        pytest.param({"items": items(["a", "b"])}, id="full pages without a marker"),
        pytest.param({"items": [], "page_info": {"next_marker": "a"}}, id="empty pages with a marker"),
    ],
)
def test_a_list_that_does_not_move_on_ends(page) -> None:
    driver = Driver(lambda request: page)
    found = driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=2))
    assert found == page["items"]
    assert len(driver.sent) <= 2


def test_a_list_without_end() -> None:
    def answer(request: HttpRequest) -> Any:
        begin = int(query(request).get("marker", "0"))
        return {"items": items([str(number) for number in range(begin + 1, begin + 100_001)])}

    driver = Driver(answer)
    with pytest.raises(UnreadableReply, match="no end after 1000000 items"):
        driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=100_000))


@pytest.mark.parametrize(
    "info", [None, [], "x", 5, {}, {"next_marker": None}, {"next_marker": ""}, {"next_marker": 5}], ids=repr
)
def test_an_odd_page_info_is_none(info) -> None:
    driver = Driver(lambda request: {"items": items(["a"]), "page_info": info})
    assert len(driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=2))) == 1
    assert len(driver.sent) == 1


def test_a_marker_of_odd_letters_is_encoded() -> None:
    odd = "a b&marker=x/工#?"
    pages_ = iter([{"items": items(["1"]), "page_info": {"next_marker": odd}}, {"items": []}])
    driver = Driver(lambda request: next(pages_))
    driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=2))
    assert driver.queries()[1]["marker"] == odd


@pytest.mark.parametrize(
    "row", [None, "n1", 5, [], {}, {"name": None}, {"name": 5}, {"Name": "n1"}, {"name": ["n1"]}], ids=repr
)
def test_an_item_without_a_name_is_not_passed_over(row) -> None:
    driver = Driver(lambda request: {"items": [{"name": "n0"}, row]})
    with pytest.raises(UnreadableReply, match="an item of the list has no name"):
        driver.run(marked_pages(driver.cloud(attempts=1), LIST, items="items", key="name", limit=50))


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": {}}, [], None, {"items": "ab"}], ids=repr)
def test_a_page_that_is_none(body) -> None:
    driver = Driver(lambda request: body)
    with pytest.raises(UnreadableReply, match='no usable "items"'):
        driver.run(marked_pages(driver.cloud(attempts=1), LIST, items="items", key="name", limit=50))


def test_a_page_that_fails_is_asked_for_again() -> None:
    names, answer = service(120, inclusive=True)
    failed: list[int] = []

    def shaky(request: HttpRequest) -> Any:
        if len(driver.sent) % 2:
            failed.append(1)
            return 503, {}
        return answer(request)

    driver = Driver(shaky)
    found = driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=50))
    assert [each["name"] for each in found] == names
    assert failed


def test_what_was_changed_between_pages_is_there_once() -> None:
    """An item that moves to a later page comes as it is then or as it was, but not twice."""
    replies = iter(
        [
            {"items": [{"name": "a", "n": 1}, {"name": "b", "n": 1}], "page_info": {"next_marker": "b"}},
            {"items": [{"name": "a", "n": 2}, {"name": "c", "n": 2}], "page_info": {}},
            {"items": []},
        ]
    )
    driver = Driver(lambda request: next(replies))
    found = driver.run(marked_pages(driver.cloud(), LIST, items="items", key="name", limit=2))
    assert sorted(each["name"] for each in found) == ["a", "b", "c"]


# --- a count that stops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 9_800, 9_999, 10_000, 10_001, 10_200, 25_000])
@pytest.mark.parametrize("capped", [True, False], ids=["capped", "counted on"])
def test_a_list_that_is_longer_than_the_service_counts(count, capped) -> None:
    def answer(request: HttpRequest) -> Any:
        asked = query(request)
        begin, size = int(asked["offset"]), int(asked["limit"])
        total = min(count, 10_000) if capped else count
        return {"total_num": total, "data_list": list(range(count))[begin : begin + size]}

    driver = Driver(answer)
    found = driver.run(
        pages(driver.cloud(), LIST, items="data_list", limit=200, total="total_num", most=10_000)
    )
    assert found == list(range(count))
    assert len(driver.sent) <= count // 200 + 1


@pytest.mark.parametrize("total", [None, "3", 2.5, [], True, -1])
def test_an_odd_count_is_not_relied_on(total) -> None:
    replies = iter([{"total_num": total, "data_list": [1, 2]}, {"total_num": total, "data_list": [3]}])
    driver = Driver(lambda request: next(replies))
    found = driver.run(pages(driver.cloud(), LIST, items="data_list", limit=2, total="total_num", most=10))
    assert found[:2] == [1, 2]


# --- the account -----------------------------------------------------------------------------------------------------

READ = Request("GET", "coc", "Read", "/v1/things", repeatable=True)
START = Request("POST", "coc", "Start", "/v1/things", repeatable=False, json={"a": 1})
REGIONAL = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)


def path(request: HttpRequest) -> str:
    return urlsplit(request.url).path


class TestDomain:
    def driver(self, domains: Any = None, identity: Any = None, status: int = 200) -> Driver:
        """IAM shows these accounts; STS says that the user is of this one."""

        def answer(request: HttpRequest) -> Any:
            if path(request) == "/v3/auth/domains":
                return status, domains if isinstance(domains, dict) else {"domains": domains}
            if path(request) == "/v5/caller-identity":
                return identity
            return {"ok": True}

        return Driver(answer)

    def test_given(self) -> None:
        driver = self.driver()
        driver.run(call(driver.cloud(domain_id="d1", find_domain=find_domain), READ))
        (sent,) = driver.sent
        assert sent.headers["X-Domain-Id"] == "d1"
        assert "X-Project-Id" not in sent.headers
        assert "x-domain-id" in sent.headers["Authorization"].partition("SignedHeaders=")[2]
        assert sent.url == "https://coc.myhuaweicloud.com/v1/things"

    def test_a_regional_service_is_told_its_project_only(self) -> None:
        driver = self.driver()
        driver.run(call(driver.cloud(domain_id="d1", find_domain=find_domain), REGIONAL))
        (sent,) = driver.sent
        assert "X-Domain-Id" not in sent.headers
        assert sent.headers["X-Project-Id"] == "p1"

    def test_looked_up(self) -> None:
        driver = self.driver([{"id": "d1", "name": "n"}])
        driver.run(call(driver.cloud(find_domain=find_domain), READ))
        lookup, sent = driver.sent
        assert lookup.url == "https://iam.cn-north-4.myhuaweicloud.com/v3/auth/domains"
        assert not {"X-Domain-Id", "X-Project-Id"} & set(lookup.headers)
        assert sent.headers["X-Domain-Id"] == "d1"
        (shared,) = [each for each in driver.shared if each.key[0] != "key"]
        assert shared.max_age > 0

    def test_asked_who_it_is(self) -> None:
        driver = self.driver([], {"account_id": "d2", "principal_id": "u"})
        driver.run(call(driver.cloud(find_domain=find_domain), READ))
        assert [path(each) for each in driver.sent] == [
            "/v3/auth/domains",
            "/v5/caller-identity",
            "/v1/things",
        ]
        assert driver.sent[-1].headers["X-Domain-Id"] == "d2"

    @pytest.mark.parametrize(
        ("domains", "identity"),
        [
            pytest.param([{"id": "d1"}, {"id": "d2"}], None, id="two"),
            pytest.param([], {"account_id": "../x"}, id="an id that leads elsewhere"),
            pytest.param([], {"account_id": ""}, id="an empty id"),
        ],
    )
    def test_not_exactly_one(self, domains, identity) -> None:
        driver = self.driver(domains, identity)
        with pytest.raises(InvalidConnection, match="domain_id"):
            driver.run(call(driver.cloud(find_domain=find_domain), READ))
        assert "/v1/things" not in map(path, driver.sent)

    @pytest.mark.parametrize(
        ("domains", "identity"),
        [
            pytest.param({}, None, id="no list"),
            pytest.param({"domains": None}, None, id="null"),
            pytest.param({"domains": {}}, None, id="an object"),
            pytest.param([], {}, id="no account"),
            pytest.param([], {"account_id": None}, id="null for an account"),
            pytest.param([], {"account_id": 5}, id="a number for an account"),
        ],
    )
    def test_a_look_up_that_says_nothing(self, domains, identity) -> None:
        driver = self.driver(domains, identity)
        with pytest.raises(CloudSyncError):
            driver.run(call(driver.cloud(find_domain=find_domain, attempts=1), READ))
        assert "/v1/things" not in map(path, driver.sent)

    @pytest.mark.parametrize("region", ["ap-southeast-3", "eu-west-101", "cn-north-4"])
    def test_in_every_region_of_coc(self, region) -> None:
        """Not each of them has STS; what is to be done is said all the same."""
        driver = self.driver([], {"account_id": "d2"})
        try:
            driver.run(call(driver.cloud(region=region, find_domain=find_domain), READ))
        except InvalidConnection as error:
            assert "domain_id" in error.message  # noqa: PT017
        else:
            assert driver.sent[-1].headers["X-Domain-Id"] == "d2"

    @pytest.mark.parametrize("request_", [READ, START], ids=["read", "start"])
    @pytest.mark.parametrize(("status", "kind"), [(401, CredentialsRejected), (403, ApiError)])
    def test_a_look_up_that_is_refused(self, request_, status, kind) -> None:
        driver = self.driver([], status=status)
        with pytest.raises(kind) as caught:
            driver.run(call(driver.cloud(find_domain=find_domain), request_))
        assert caught.value.operation == "KeystoneListAuthDomains"
        assert len(driver.sent) == 1

    @pytest.mark.parametrize(
        "trouble", [TransportError("lost"), (503, {}), (500, {})], ids=["lost", "503", "500"]
    )
    def test_a_start_whose_account_can_not_be_looked_up_was_not_sent(self, trouble) -> None:
        driver = Driver(lambda request: trouble)
        with pytest.raises(CloudSyncError) as caught:
            driver.run(call(driver.cloud(find_domain=find_domain), START))
        assert not is_uncertain(caught.value)
        assert {each.method for each in driver.sent} == {"GET"}
        assert len(driver.sent) <= driver.cloud().attempts

    def test_nobody_to_look_it_up(self) -> None:
        driver = self.driver()
        with pytest.raises(InvalidConnection, match='"domain_id"'):
            driver.run(call(driver.cloud(), READ))
        assert driver.sent == []

    @pytest.mark.parametrize(
        "given", [{"domain_id": "d1"}, {"find_domain": find_domain}], ids=["given", "looked up"]
    )
    def test_a_region_that_does_not_lead_there(self, given) -> None:
        driver = self.driver([{"id": "d1"}])
        with pytest.raises(InvalidConnection, match=r"ap-southeast-3, cn-north-4, eu-west-101.*region="):
            driver.run(call(driver.cloud(region="cn-south-1", **given), READ))
        assert "/v1/things" not in map(path, driver.sent)

    def test_scope_tells_accounts_apart(self) -> None:
        driver = self.driver()
        scopes = {
            driver.cloud(**more).scope
            for more in ({}, {"domain_id": "d1"}, {"domain_id": "d2"}, {"enterprise_project_id": "0"})
        }
        assert len(scopes) == 4
