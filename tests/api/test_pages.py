"""Paged lists: all rows or an error, whatever a service gets wrong about its pages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cloudsync.api import page_rows, pages
from airflow_provider_cloudsync.api.messages import HttpRequest
from airflow_provider_cloudsync.api.page_rows import Listing
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.exceptions import ApiError, TransportError, UnreadableReply
from tests.support.driven import Driver, query
from tests.support.paged_lists import (
    BY_MARKER,
    BY_NUMBER,
    BY_OFFSET,
    LIST,
    LOG,
    MARKED,
    TOTALS,
    Rows,
    Service,
    check_all,
    check_none,
    honest,
    read,
    rows,
)

# --- one broken feature hides no row, and is no end of all waits ----------------------------------------------------


@pytest.mark.parametrize("listing", [BY_OFFSET, MARKED, BY_NUMBER], ids=["offset", "marked", "number"])
@pytest.mark.parametrize("total", TOTALS.values(), ids=TOTALS.keys())
@pytest.mark.parametrize(
    ("count", "cap"), [(0, 20), (1, 20), (20, 20), (21, 20), (45, 20), (7, 3), (45, 100)]
)
def test_a_total_that_lies_hides_no_row(listing, total, count, cap) -> None:
    driver = check_all(Service(rows(count), cap, total), listing)
    assert len(driver.sent) <= 2 * (count // min(cap, 50) + 3)


@pytest.mark.parametrize("marker", ["exclusive", "inclusive", "ignored"])
@pytest.mark.parametrize("total", ["honest", "as text", "missing", "of the page"])
@pytest.mark.parametrize("position", ["ignored", "clamped", "number of a page"])
@pytest.mark.parametrize(
    ("count", "cap"), [(0, 100), (1, 100), (3, 100), (45, 100), (45, 20), (40, 20), (7, 3)]
)
def test_a_position_that_is_not_honored(count, cap, position, total, marker) -> None:
    """All rows, or an error that tells how many are missing; never a part."""
    service = Service(rows(count), cap, TOTALS[total], position, marker)
    provable = marker != "ignored" or position == "clamped" or count < cap
    if provable:
        check_all(service)
    elif total in ("honest", "as text"):
        check_none(service, f"List is incomplete: {cap} of {count} things")
    elif cap == 20 and position == "ignored":
        check_none(service, "List is incomplete: at least 20 things")


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 20, 45, 50, 64, 100, 300])
@pytest.mark.parametrize("limit", [True, False], ids=["limit honored", "limit ignored"])
def test_a_service_that_returns_all_rows_for_every_position(count, limit) -> None:
    service = Service(rows(count), total=honest, position="ignored", marker="ignored", limit=limit)
    if limit and count > 50:
        check_none(service, f"50 of {count} things")
    else:
        check_all(service)


@pytest.mark.parametrize("count", [10, 16, 20, 25, 30, 32, 50, 64, 75, 100, 200, 500])
@pytest.mark.parametrize("total", ["missing", "of the page"])
def test_a_page_without_any_proof_that_has_the_size_of_a_page_is_not_the_list(count, total) -> None:
    service = Service(rows(count + 1), count, TOTALS[total], position="ignored", marker="ignored")
    listing = Listing("items", "id", "things", 500, marked=True)
    driver = check_none(service, f"at least {count} things", listing)
    assert len(driver.sent) == 4  # to read it again would not help


@pytest.mark.parametrize("count", [0, 1, 3, 9, 11, 45, 123])
def test_a_page_without_any_proof_that_has_another_size_is(count) -> None:
    service = Service(rows(count), total=TOTALS["missing"], position="ignored", marker="ignored")
    check_all(service, Listing("items", "id", "things", 500, marked=True))


@pytest.mark.parametrize(("count", "capped"), [(0, 0), (999, 999), (1000, 1000), (1001, 1000), (1234, 1000)])
def test_a_log_that_is_longer_than_the_service_counts(count, capped) -> None:
    driver = check_all(Service(rows(count), total=lambda found, page, begin: capped), LOG)
    assert len(driver.sent) <= count // 50 + 2


COSTS = [
    # id, rows, cap, total, listing, requests
    ("none", 0, 50, "honest", MARKED, 1),
    ("one page", 3, 50, "honest", MARKED, 2),
    ("one page by number", 3, 50, "honest", BY_NUMBER, 2),
    ("two full pages", 100, 50, "honest", MARKED, 2),
    ("two pages and a bit", 101, 50, "honest", MARKED, 3),
    ("pages smaller than asked for", 45, 20, "honest", MARKED, 3),
    ("no total", 3, 50, "missing", BY_OFFSET, 2),
    ("no total, with markers", 3, 50, "missing", MARKED, 3),
]


@pytest.mark.parametrize(
    ("count", "cap", "total", "listing", "requests"), [pytest.param(*case[1:], id=case[0]) for case in COSTS]
)
def test_cost(count, cap, total, listing, requests) -> None:
    assert len(check_all(Service(rows(count), cap, TOTALS[total]), listing).sent) == requests


@pytest.mark.parametrize(
    ("count", "stated"),
    [
        pytest.param(0, 45, id="none"),
        pytest.param(20, 45, id="some"),
        pytest.param(149, 150, id="all but one"),
    ],
)
def test_fewer_rows_than_stated(count, stated) -> None:
    service = Service(rows(count), total=lambda found, page, begin: stated)
    driver = check_none(service, f"List is incomplete: {count} of {stated} things")
    last = len(driver.sent)
    assert last <= 3 * 5
    check_none(service, f"[coc List, request ID r{last}]")


# --- a list that changes while it is read ----------------------------------------------------------------------------


def moving(changes: dict[int, Callable[[Rows], None]], count: int = 60) -> Service:
    """A list that is changed before some of its pages."""
    service = Service(rows(count), cap=20)

    def change(number: int) -> None:
        changes.get(number, lambda found: None)(service.found)

    service.change = change
    return service


CHANGES: dict[str, Callable[[Rows], Any]] = {
    "a row is removed": lambda found: found.pop(0),
    "a row is added in front": lambda found: found.insert(0, {"id": "new", "n": 1}),
    "a row is added behind": lambda found: found.append({"id": "new", "n": 1}),
    "the first one moves to the end": lambda found: found.append(found.pop(0)),
    "the last one moves to the front": lambda found: found.insert(0, found.pop()),
    "the order is turned around": lambda found: found.reverse(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("total", ["honest", "missing"])
def test_a_list_that_changes_once_is_read_again(change, page, total) -> None:
    service = moving({page: change})
    service.total = TOTALS[total]
    found, _ = read(service, BY_OFFSET)
    if total == "honest":
        assert {*found.rows} == {each["id"] for each in service.found}
    assert len(found.rows) >= 59  # what was removed may be there, or what was added be missing


def test_a_list_that_changes_all_the_time_is_not_used() -> None:
    service = moving(dict.fromkeys(range(1, 100), CHANGES["the first one moves to the end"]))
    driver = check_none(service, "of 60 things")
    assert len(driver.sent) < 20


def test_a_row_with_two_contents_is_read_again() -> None:
    service = moving(
        {1: lambda found: found.insert(20, {"id": "n00000", "n": 2}), 2: lambda found: found.pop(20)}
    )
    found, _ = read(service)
    assert list(found.rows.values()) == service.found


@pytest.mark.parametrize("total", ["honest", "missing"])
def test_a_row_with_two_contents_that_stays_is_not_used(total) -> None:
    service = Service([*rows(3), {"id": "n00000", "n": 2}], total=TOTALS[total])
    check_none(service, "List is incomplete: ")


BEHIND = [
    # id, reply to a position behind the last row, rows per page, stated total, what the error says; "": none
    ("400, one page", (400, {"error_code": "X.1", "error_msg": "out of range"}), 3, 3, ""),
    ("404, one page", (404, {"error_code": "X.1", "error_msg": "out of range"}), 3, 3, ""),
    ("400 without a reason, one page", (400, {"error_code": "X.1", "error_msg": "bad"}), 3, 3, ""),
    ("400, several pages", (400, {"error_code": "X.1", "error_msg": "bad"}), 2, 3, ""),
    ("404, several pages", (404, {"error_code": "X.1", "error_msg": "bad"}), 2, 3, ""),
    (
        "more rows stated",
        (400, {"error_code": "X.1", "error_msg": "offset out of range"}),
        3,
        7,
        "List is incomplete: 3 of 7 things, and the service refused the next page with 400. It is not used. ",
    ),
    (
        "no total",
        (400, {"error_code": "X.1", "error_msg": "Invalid offset"}),
        3,
        None,
        "List is incomplete: 3 of an unknown number of things, and the service refused the next page with 400.",
    ),
    (
        "no total, 404",
        (404, {"error_code": "X.1", "error_msg": "page does not exist"}),
        3,
        None,
        "List is incomplete: 3 of an unknown number of things, and the service refused the next page with 404.",
    ),
    (
        "no total, another reason",
        (400, {"error_code": "X.1", "error_msg": "bad"}),
        3,
        None,
        "Request rejected (400 X.1): bad.",
    ),
    ("403", (403, {"error_code": "X.1", "error_msg": "offset"}), 3, 3, "Permission denied"),
]


@pytest.mark.parametrize("listing", [BY_OFFSET, MARKED, BY_NUMBER], ids=["offset", "marked", "number"])
@pytest.mark.parametrize(
    ("refusal", "size", "total", "says"), [pytest.param(*case[1:], id=case[0]) for case in BEHIND]
)
def test_a_service_that_refuses_the_position_behind_the_last_row(listing, refusal, size, total, says) -> None:
    known = rows(3)

    def answer(request: HttpRequest) -> Any:
        position = int(query(request)[listing.position])
        begin = (position - 1) * size if listing is BY_NUMBER else position
        page = known[begin : begin + size]
        return {"items": page, **({} if total is None else {"total": total})} if page else refusal

    if not says:
        assert list(read(answer, listing)[0].rows.values()) == known
        return
    with pytest.raises(ApiError) as caught:
        read(answer, listing)
    error = caught.value
    assert error.message.startswith(says)
    assert (error.status, error.code, error.service) == (refusal[0], "X.1", "coc")
    assert "X.1" in error.message


def test_a_refused_position_does_not_complete_a_list_that_is_longer_than_the_service_counts() -> None:
    def answer(request: HttpRequest) -> Any:
        offset = int(query(request)["offset"])
        if offset >= 1000:
            return 400, {"error_code": "X.1", "error_msg": "offset out of range"}
        return {"items": rows(50, offset), "total": 1000}

    with pytest.raises(ApiError, match=r"List is incomplete: 1,000 of an unknown number of things"):
        read(answer, LOG)


def test_a_service_that_repeats_rows_where_nothing_changes_is_borne() -> None:
    """Each page begins with the last row of the one before, and there is no total."""
    known = rows(30)
    driver = Driver(lambda request: {"items": known[max(int(query(request)["offset"]) - 1, 0) :][:10]})
    found = driver.run(complete_list(driver.cloud(domain_id="d"), LIST, BY_OFFSET))
    assert {*found.rows} == {each["id"] for each in known}


def test_a_log_may_grow_while_it_is_read() -> None:
    service = moving(dict.fromkeys(range(1, 100), CHANGES["a row is added in front"]))

    def change(number: int) -> None:
        service.found.insert(0, {"id": f"new{number}", "n": 1})

    service.change = change
    old = {each["id"] for each in service.found}
    found, driver = read(service, LOG)
    assert old <= {*found.rows}
    assert len(driver.sent) < 8


def test_a_log_that_loses_rows_is_read_again() -> None:
    service = moving({1: lambda found: found.pop(0)})
    found, _ = read(service, LOG)
    assert {*found.rows} == {each["id"] for each in service.found}


# --- markers ---------------------------------------------------------------------------------------------------------

NEXT: dict[str, Callable[[Rows, Rows], Any] | None] = {
    "not told": None,
    "the last row": lambda page, rest: page[-1]["id"] if page and rest else None,
    "empty at the end": lambda page, rest: page[-1]["id"] if page and rest else "",
    "also at the end": lambda page, rest: page[-1]["id"] if page else None,
    "never": lambda page, rest: None,
    "a number": lambda page, rest: 5,
    "a list": lambda page, rest: ["n00001"],
    "the first row": lambda page, rest: page[0]["id"] if page else None,
    "of no row": lambda page, rest: "zzz",
}


@pytest.mark.parametrize("count", [0, 1, 2, 20, 21, 39, 40, 45, 98, 99, 100, 101, 200])
@pytest.mark.parametrize("marker", ["inclusive", "exclusive"])
@pytest.mark.parametrize("next_marker", NEXT.values(), ids=NEXT.keys())
@pytest.mark.parametrize("cap", [20, 50])
def test_every_row_once_by_markers(count, marker, next_marker, cap) -> None:
    service = Service(rows(count), cap, marker=marker, next_marker=next_marker)
    driver = check_all(service, BY_MARKER)
    assert {asked["limit"] for asked in driver.queries()} == {"50"}
    assert "marker" not in driver.queries()[0]
    assert len(driver.sent) <= 2 * (count // (cap - 1) + 2)


@pytest.mark.parametrize(
    ("count", "next_marker", "complete"),
    [
        pytest.param(3, "not told", True, id="a small list"),
        pytest.param(45, "not told", True, id="no round number"),
        pytest.param(20, "not told", False, id="a round number"),
        pytest.param(50, "not told", False, id="a full page"),
        pytest.param(20, "never", True, id="the service says that it ends"),
        pytest.param(50, "the last row", False, id="the service says that it goes on"),
        pytest.param(3, "of no row", True, id="a small list and a marker of nothing"),
    ],
)
def test_a_marker_that_is_ignored(count, next_marker, complete) -> None:
    more = 0 if complete else 25
    service = Service(rows(count + more), count, marker="ignored", next_marker=NEXT[next_marker])
    if complete:
        check_all(service, BY_MARKER)
    else:
        check_none(service, f"at least {count} things", BY_MARKER)


def test_an_empty_page_that_names_a_next_one_is_followed() -> None:
    replies = iter([{"items": [], "page_info": {"next_marker": "a"}}, {"items": rows(1)}, {"items": []}])
    found, driver = read(lambda request: next(replies), BY_MARKER)
    assert [*found.rows] == ["n00000"]
    assert [asked.get("marker") for asked in driver.queries()] == [None, "a", "n00000"]


def test_a_marker_of_odd_letters_is_encoded() -> None:
    odd = "a b&marker=x/工#?"
    replies = iter([{"items": rows(1), "page_info": {"next_marker": odd}}, *[{"items": []}] * 2])
    _, driver = read(lambda request: next(replies), BY_MARKER)
    assert driver.queries()[1]["marker"] == odd


@pytest.mark.parametrize("info", [None, [], "x", 5, {}], ids=repr)
def test_an_odd_page_info_is_none(info) -> None:
    found, _ = read(lambda request: {"items": rows(1), "page_info": info}, BY_MARKER)
    assert len(found.rows) == 1


# --- rows and pages that are none ------------------------------------------------------------------------------------

EACH = pytest.mark.parametrize(
    "listing", [BY_OFFSET, BY_MARKER, BY_NUMBER], ids=["offset", "marker", "number"]
)


@EACH
@pytest.mark.parametrize(
    "row",
    [
        None,
        "n1",
        5,
        [],
        {},
        {"id": None},
        {"id": ""},
        {"id": " "},
        {"id": True},
        {"id": 1.5},
        {"Id": "n1"},
        {"id": ["n"]},
    ],
    ids=repr,
)
def test_a_row_without_an_id_is_not_passed_over(listing, row) -> None:
    check_none(
        lambda request: {"items": [{"id": "n0"}, row], "total": 2}, "an item of the list has no id", listing
    )


@EACH
@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 "], ids=repr)
def test_an_id_is_text(listing, value) -> None:
    service = Service([{"id": value}])
    found, _ = read(service, listing)
    assert found.rows == {"7": {"id": value}}


@EACH
@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": {}}, [], None, {"items": "ab"}], ids=repr)
def test_a_page_that_is_none(listing, body) -> None:
    check_none(lambda request: body, 'no usable "items"', listing)


@EACH
def test_a_page_that_fails_is_asked_for_again(listing) -> None:
    service = Service(rows(120), cap=50)
    failed: list[int] = []

    def shaky(request: HttpRequest) -> Any:
        if len(driver.sent) % 2:
            failed.append(1)
            return TransportError("lost")
        return service(request)

    driver = Driver(shaky)
    found = driver.run(complete_list(driver.cloud(domain_id="d"), LIST, listing))
    assert list(found.rows.values()) == service.found
    assert failed


@EACH
@pytest.mark.parametrize(("count", "is_read"), [(300, True), (1999, True), (2001, False), (3000, False)])
def test_a_page_with_far_more_rows_than_asked_for_is_refused_before_they_are_read(
    listing, count, is_read, monkeypatch
) -> None:
    """A service that ignores the limit returns all its rows, which are some hundred."""
    looked_at = []
    known = page_rows.text_of
    monkeypatch.setattr(pages, "text_of", lambda *of: looked_at.append(0) or known(*of))
    service = Service(rows(count), limit=False, position="ignored")
    if is_read:
        check_all(service, listing)
        return
    check_none(service, f"A page of the list has {count:,} things, and 50 were asked for", listing)
    assert not looked_at


@EACH
def test_a_list_without_end(listing, monkeypatch) -> None:
    monkeypatch.setattr(pages, "_MOST_ROWS", 1000)

    def answer(request: HttpRequest) -> Any:
        return {"items": rows(250, 250 * (len(driver.sent) - 1))}

    driver = Driver(answer)
    with pytest.raises(UnreadableReply, match="no end after 1000 items"):
        driver.run(complete_list(driver.cloud(domain_id="d"), LIST, listing))
    assert len(driver.sent) == 4


def test_a_list_of_endless_markers(monkeypatch) -> None:
    monkeypatch.setattr(pages, "_MOST_PAGES", 100)
    numbers = itertools.count()
    driver = check_none(
        lambda request: {"items": [], "page_info": {"next_marker": f"m{next(numbers)}"}},
        "no end after 0 items",
        BY_MARKER,
    )
    assert len(driver.sent) == 100


def test_the_date_is_that_of_the_first_page() -> None:
    """A row may have changed since it was read; it is not to look older than it was then."""
    driver = Driver(Service(rows(3)))
    driver.headers = lambda: {"date": f"Sat, 21 Nov 2026 08:00:{len(driver.sent):02} GMT"}  # type: ignore[method-assign]
    found = driver.run(complete_list(driver.cloud(domain_id="d"), LIST, MARKED))
    assert found.clock.now == 1_795_248_001_000
