"""Cases of COC's list of accounts: pages that lie, rows that come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from tests.airflow.real_world.cloud import Answer, Ask, between
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.table_coc import DENIED, FAILED_BEFORE, FOREVER, STARTED, ending, one_row
from tests.airflow.real_world.timelines import (
    Account,
    Coc,
    honest_pages,
)


def _many(count: int, steps: Any = STARTED, **of_one: Any) -> Mapping[str, Account]:
    """Rows of which the last one may be different."""
    rows = {f"row{number:03}": Account(f"{number:04}", ours=steps) for number in range(count)}
    last = f"row{count - 1:03}"
    rows[last] = replace(rows[last], **of_one)
    return rows


def _no_total(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    return {"data": honest_pages(rows, ask, 20)["data"]}


def _text_total(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    page = honest_pages(rows, ask, 20)
    return {**page, "total": str(page["total"])}


def _page_total(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    page = honest_pages(rows, ask, 20)["data"]
    return {"data": page, "total": len(page)}


def _first_page_only(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    return {"data": rows[:20], "total": len(rows)}


def _first_page_only_no_total(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    return {"data": rows[:20]}


def _repeated(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    page = honest_pages(rows, ask, 20)
    return {**page, "data": [each for row in page["data"] for each in (row, row)]}


def _reversed(rows: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    return honest_pages(rows[::-1] if ask.nth % 2 else rows, ask)


_HONEST = {
    "20 a page": partial(honest_pages, most=20),
    "20 a page, no total": _no_total,
    "20 a page, total as text": _text_total,
    "20 a page, total counts the page": _page_total,
    "each row twice": _repeated,
    "another order each time": _reversed,
}
_LYING = {
    "page one for each offset": _first_page_only,
    "page one for each offset, no total": _first_page_only_no_total,
}


ROWS = [
    *(
        Row(
            f"A2 45 accounts, last one fails, {what}",
            "coc",
            partial(Coc, _many(45, ours=ending(STARTED, "failed")), pages=pages),
            red="0044.*" + DENIED,
            over=60,
        )
        for what, pages in _HONEST.items()
    ),
    *(
        Row(f"A2 45 accounts succeed, {what}", "coc", partial(Coc, _many(45), pages=pages), over=60)
        for what, pages in _HONEST.items()
    ),
    *(
        Row(
            f"A2 45 accounts, {what}",
            "coc",
            partial(Coc, _many(45), pages=pages),
            red="List is incomplete",
            starts=0,
            timeout=300,
        )
        for what, pages in _LYING.items()
    ),
    Row(
        "A4 row appears during the wait with an old failure",
        "coc",
        partial(
            Coc,
            {"row": Account(ours=STARTED), "new": Account("1002", before=FAILED_BEFORE, hidden=((0, 20),))},
        ),
        over=60,
    ),
    Row(
        "A4 row appears during the wait with an old success",
        "coc",
        partial(
            Coc, {"row": Account(ours=ending(STARTED, "failed")), "new": Account("1002", hidden=((0, 20),))}
        ),
        red="1001.*" + DENIED,
        over=60,
    ),
    Row(
        "A4 row appears during the wait, runs and fails",
        "coc",
        partial(
            Coc,
            {
                "row": Account(ours=STARTED),
                "new": Account("1002", ours=((50, "running", 50), (90, "failed", None)), hidden=((0, 20),)),
            },
        ),
        red="1002.*" + DENIED,
        over=90,
    ),
    Row(
        "D27 row is lacking for 10 s",
        "coc",
        partial(Coc, {"row": Account(ours=STARTED), "b": Account("1002", ours=STARTED, hidden=((61, 71),))}),
        over=60,
    ),
    Row(
        "D27 the only row is lacking for 20 s",
        "coc",
        one_row(Account(ours=STARTED, hidden=((30, 50),))),
        over=60,
    ),
    Row(
        "D27 row is gone for good",
        "coc",
        partial(
            Coc,
            {"row": Account(ours=STARTED), "b": Account("1002", ours=STARTED, hidden=((30, FOREVER),))},
        ),
        red="was removed",
        over=60,
    ),
    Row(
        "D28 first list lacks a row that has an old success, which then fails",
        "coc",
        partial(
            Coc,
            {
                "row": Account(ours=STARTED),
                "b": Account(
                    "1002",
                    ours=((3, "success", 3), (40, "running", None), (99, "failed", None)),
                    hidden=((0, 0.5),),
                ),
            },
        ),
        red="1002.*" + DENIED,
        over=99,
    ),
    Row(
        "A1 empty list for 5 s before the start",
        "coc",
        one_row(Account(ours=STARTED, hidden=((0, 5),))),
        over=60,
    ),
    Row("A1 empty list", "coc", partial(Coc, {}), red="COC has no account", starts=0),
    Row(
        "A1 account is not there",
        "coc",
        one_row(Account()),
        red="COC has no account.*1001",
        starts=0,
        more={"account_id": "7"},
    ),
    Row(
        "A1 404 without a code for 45 s",
        "coc",
        one_row(Account(ours=STARTED)),
        over=60,
        quirks=[between(10, 55, Answer(None, 404))],
    ),
    Row(
        "A1 200 with null for 45 s",
        "coc",
        one_row(Account(ours=STARTED)),
        over=60,
        quirks=[between(10, 55, Answer({"data": None, "total": None}), method="GET")],
    ),
    Row(
        "A1 200 without a body for 45 s",
        "coc",
        one_row(Account(ours=STARTED)),
        over=60,
        quirks=[between(10, 55, Answer(b""), method="GET")],
    ),
]
