"""A paged list of a service, what the service may get wrong about it, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import HttpRequest, Request
from airflow_provider_cloudsync.api.page_rows import Listing
from airflow_provider_cloudsync.api.pages import CompleteList, complete_list
from airflow_provider_cloudsync.exceptions import UnreadableReply
from tests.support.driven import Driver, query

LIST = Request("GET", "coc", "List", "/v1/things", repeatable=True, query=(("f", "x"),))
BY_OFFSET = Listing("items", "id", "things", 50)
MARKED = Listing("items", "id", "things", 50, marked=True)
BY_MARKER = Listing("items", "id", "things", 50, total="", position="")
BY_NUMBER = Listing("items", "id", "things", 50, size="pageSize", position="currentPage", numbered=True)
LOG = Listing("items", "id", "things", 50, least=10, most_counted=1000, is_log=True)

Rows = list[dict[str, Any]]


def rows(count: int, first: int = 0) -> Rows:
    return [{"id": f"n{number:05}", "n": 1} for number in range(first, first + count)]


def honest(found: Rows, page: Rows, begin: int) -> Any:
    return len(found)


TOTALS: dict[str, Callable[[Rows, Rows, int], Any]] = {
    "honest": honest,
    "as text": lambda found, page, begin: f"{len(found)}",
    "as a float": lambda found, page, begin: float(len(found)),
    "missing": lambda found, page, begin: None,
    "no number": lambda found, page, begin: "many",
    "a flag": lambda found, page, begin: True,
    "a list": lambda found, page, begin: [45],
    "a fraction": lambda found, page, begin: 2.5,
    "negative": lambda found, page, begin: -1,
    "0": lambda found, page, begin: 0,
    "of the page": lambda found, page, begin: len(page),
    "of what was sent so far": lambda found, page, begin: begin + len(page),
    "of a full page": lambda found, page, begin: min(len(found), 20),
}


@dataclass
class Service:
    """A list of a service, and what it gets wrong.

    :param cap: rows per page at most, whatever is asked for.
    :param total: of all rows, the page, and where it begins.
    :param position: what becomes of the offset: honored, ignored, clamped (a later one is that of the last page) or
        taken for the number of a page.
    :param marker: what becomes of a marker: exclusive, inclusive or ignored.
    :param limit: whether the limit is honored.
    :param next_marker: of the page and the rest of the list.
    :param change: called before each page with its number; may change the rows.
    """

    found: Rows
    cap: int = 1_000_000
    total: Callable[[Rows, Rows, int], Any] = honest
    position: str = "honored"
    marker: str = "exclusive"
    limit: bool = True
    next_marker: Callable[[Rows, Rows], Any] | None = None
    change: Callable[[int], None] = lambda number: None
    asked: int = field(default=0)

    def __call__(self, request: HttpRequest) -> Any:
        self.change(self.asked)
        self.asked += 1
        asked = query(request)
        limit = int(asked.get("limit") or asked["pageSize"])
        size = min(limit, self.cap) if self.limit else self.cap
        begin = min(self._begin(asked, size), len(self.found))
        page = self.found[begin : begin + size]
        total = self.total(self.found, page, begin)
        reply: dict[str, Any] = {"items": page, **({} if total is None else {"total": total})}
        if self.next_marker is not None:
            reply["page_info"] = {"next_marker": self.next_marker(page, self.found[begin + size :])}
        return reply

    def _begin(self, asked: dict[str, str], size: int) -> int:
        if "marker" in asked and self.marker != "ignored":
            ids = [str(each["id"]) for each in self.found]
            return ids.index(asked["marker"]) + (self.marker == "exclusive") if asked["marker"] in ids else 0
        if "currentPage" in asked:
            return (int(asked["currentPage"]) - 1) * size if self.position == "honored" else 0
        begin = int(asked.get("offset", "0"))
        if self.position == "clamped":
            return min(begin, max((len(self.found) - 1) // size * size, 0))
        return {"honored": begin, "ignored": 0, "number of a page": begin * size}[self.position]


def read(service: Callable[[HttpRequest], Any], listing: Listing = MARKED) -> tuple[CompleteList, Driver]:
    driver = Driver(service)
    found = driver.run(complete_list(driver.cloud(domain_id="d", attempts=1), LIST, listing))
    return found, driver


def check_all(service: Service, listing: Listing = MARKED) -> Driver:
    found, driver = read(service, listing)
    assert list(found.rows.values()) == service.found
    assert {asked["f"] for asked in driver.queries()} == {"x"}
    return driver


def check_none(service: Callable[[HttpRequest], Any], says: str, listing: Listing = MARKED) -> Driver:
    driver = Driver(service)
    with pytest.raises(UnreadableReply) as caught:
        driver.run(complete_list(driver.cloud(domain_id="d", attempts=1), LIST, listing))
    assert says in caught.value.message
    assert caught.value.message.isprintable()
    return driver
