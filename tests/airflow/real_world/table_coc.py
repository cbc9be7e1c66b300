"""Cases of COC: rows that keep the result of the run before."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.airflow.real_world.cloud import Answer, lost_start, start_never_arrives
from tests.airflow.real_world.dates import DATES
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.timelines import (
    ZONED,
    Account,
    Coc,
    beijing_without_zone,
    utc_without_zone,
)

FOREVER = 1e9
LAGS = (8, 20, 38, 44)
DENIED = "the vendor denied access"
OLD = -86_400.0
FAILED_BEFORE = (0, "failed", OLD)

#: A run from second 3 to 60 that shows its state at once; the date is that of its start, or of its end.
STARTED = ((3, "running", 3), (60, "success", None))
_ENDED = ((3, "running", None), (60, "success", 60))


def ending(steps: Any, status: str) -> Any:
    return (*steps[:-1], (steps[-1][0], status, steps[-1][2]))


def one_row(account: Account, **more: Any) -> Any:
    return partial(Coc, accounts={"row": account}, **more)


ROWS = [
    # What a run looks like.
    Row("date of the start", "coc", one_row(Account(ours=STARTED)), over=60, by=150),
    Row("date of the end", "coc", one_row(Account(ours=_ENDED)), over=60, by=150),
    Row(
        "date of the start, fails",
        "coc",
        one_row(Account(ours=ending(STARTED, "failed"))),
        red=DENIED,
        over=60,
    ),
    Row(
        "date of the end, fails", "coc", one_row(Account(ours=ending(_ENDED, "failed"))), red=DENIED, over=60
    ),
    Row(
        "D33 same date, run was seen",
        "coc",
        one_row(Account(ours=((3, "running", None), (60, "success", None)))),
        over=60,
    ),
    Row(
        "waiting first, then running",
        "coc",
        one_row(Account(ours=((1, "waiting", None), (20, "running", 20), (60, "success", None)))),
        over=60,
    ),
    Row(
        "never synchronized before",
        "coc",
        one_row(Account(before=(0, "waiting", None), ours=((9, "running", 9), (60, "success", None)))),
        over=60,
    ),
    Row(
        "never synchronized before, no status",
        "coc",
        one_row(Account(before=(0, "", None), ours=((9, "running", 9), (60, "success", None)))),
        over=60,
    ),
    Row("run without a sight of it", "coc", one_row(Account(ours=((30, "success", 30),))), over=30, by=150),
    Row(
        "run without a sight of it fails",
        "coc",
        one_row(Account(ours=((30, "failed", 30),))),
        red=DENIED,
        over=30,
        by=150,
    ),
    Row(
        "second failure in a row",
        "coc",
        one_row(Account(FAILED_BEFORE[0], before=FAILED_BEFORE, ours=((30, "failed", 30),))),
        red=DENIED,
        over=30,
    ),
    Row(
        "failure leaves the date", "coc", one_row(Account(ours=((30, "failed", None),))), red=DENIED, over=30
    ),
    Row("never runs", "coc", one_row(Account()), red="Timed out after"),
    Row(
        "statuses in another case",
        "coc",
        one_row(Account(before=(0, "Success", OLD), ours=((3, " RUNNING", 3), (60, "Success ", None)))),
        over=60,
    ),
    Row(
        "statuses in another case, fails",
        "coc",
        one_row(Account(before=(0, "SUCCESS", OLD), ours=((3, "Running", 3), (60, "Failed", None)))),
        red=DENIED,
        over=60,
    ),
    Row("unknown status for good", "coc", one_row(Account(ours=((3, "partial", 3),))), red="Timed out after"),
    # D26: the date moves, the state follows.
    *(
        Row(
            f"D26 date of the start moves, old {old} stays {lag} s, ends {new}",
            "coc",
            one_row(
                Account(
                    before=(0, old, OLD), ours=((3, old, 3), (3 + lag, "running", None), (120, new, None))
                )
            ),
            red=DENIED if new == "failed" else "",
            over=120,
        )
        for lag in LAGS
        for old, new in (("success", "success"), ("success", "failed"), ("failed", "success"))
    ),
    *(
        Row(
            f"D26 date of the end moves, old {old} stays {lag} s, ends {new}",
            "coc",
            one_row(Account(before=(0, old, OLD), ours=((60, old, 60), (60 + lag, new, None)))),
            red=DENIED if new == "failed" else "",
            over=60 + lag,
        )
        for lag in LAGS
        for old, new in (("success", "failed"), ("failed", "success"))
    ),
    *(
        Row(
            f"D26 date {ahead:+} s off the clock, old {old} stays 38 s, ends {new}",
            "coc",
            one_row(Account(before=(0, old, OLD), ours=((60, old, 60 + ahead), (98, new, None)))),
            red=DENIED if new == "failed" else "",
            over=98,
        )
        for ahead in (-8, -40, -90, 8, 40, 90)
        for old, new in (("success", "failed"), ("failed", "success"))
    ),
    # D24, A4: forms of times and of Date.
    *(
        Row(
            f"B7 sync_date as {form.__name__}",
            "coc",
            one_row(Account(ours=STARTED), form=form),
            over=60,
            by=150,
        )
        for form in (*ZONED, beijing_without_zone, utc_without_zone)
    ),
    *(
        Row(
            f"A4 {what}",
            "coc",
            one_row(Account(before=FAILED_BEFORE, ours=((60, "failed", 60), (98, "success", None)))),
            over=98,
            date=date,
        )
        for what, date in DATES.items()
    ),
    Row(
        "B17 vendor null, numeric account",
        "coc",
        one_row(Account(1001, ours=STARTED, extra={"vendor": None})),
        over=60,
        more={"account_id": "1001"},
    ),
    Row(
        "B17 vendor in lower case",
        "coc",
        one_row(Account(ours=STARTED, extra={"vendor": "aws", "id": 7})),
        over=60,
        more={"account_id": "1001"},
    ),
    Row(
        "fields missing",
        "coc",
        one_row(Account(ours=STARTED, extra={"account_name": None, "failure_msg": 5, "ak": None})),
        over=60,
    ),
    # Starts.
    Row("reply lost", "coc", one_row(Account(ours=STARTED)), over=60, quirks=[lost_start]),
    Row(
        "reply lost, date of the end, state at once",
        "coc",
        one_row(Account(ours=_ENDED)),
        over=60,
        quirks=[lost_start],
    ),
    Row(
        "reply lost, state 8 s late",
        "coc",
        one_row(Account(ours=((8, "running", 8), (60, "success", None)))),
        over=60,
        quirks=[lost_start],
    ),
    Row("start never arrives", "coc", one_row(Account(ours=STARTED)), over=60, quirks=[start_never_arrives]),
    Row(
        "another's run first",
        "coc",
        one_row(Account(theirs=((-5, "running", -5), (30, "success", None)), ours=STARTED)),
        over=60,
    ),
    Row(
        "start is refused",
        "coc",
        partial(Coc, refuses=Answer({"error_code": "COC.00010002", "error_msg": "bad vendor"}, 400)),
        red="bad vendor",
        starts=0,
    ),
]
