"""Cases of COC in which another starts the run."""

from __future__ import annotations

from functools import partial

from tests.airflow.real_world.dates import DATES
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.table_coc import DENIED, FAILED_BEFORE, LAGS, OLD, one_row
from tests.airflow.real_world.timelines import (
    ZONED,
    Account,
    Coc,
    beijing_without_zone,
    utc_without_zone,
)

ROWS = [
    *(
        Row(
            f"D26 date moves, old {old} stays {lag} s, ends {new}",
            "coc sensor",
            one_row(
                Account(
                    before=(0, old, OLD),
                    theirs=((30, old, 30), (30 + lag, "running", None), (150, new, None)),
                )
            ),
            red=DENIED if new == "failed" else "",
            over=150,
        )
        for lag in LAGS
        for old, new in (("success", "success"), ("success", "failed"), ("failed", "success"))
    ),
    *(
        Row(
            f"D24 Airflow {behind} s behind, old run {age} s before",
            "coc sensor",
            one_row(
                Account(before=(0, "success", -age), theirs=((100, "running", 100), (160, "failed", None)))
            ),
            red=DENIED,
            over=160,
            clocks=((-behind, -behind), (-behind, 0), (-behind, 5 - behind), (-behind, 60 - behind)),
        )
        for behind, age in ((60, 10), (60, 50), (600, 30), (600, 500))
    ),
    Row(
        "D24 Airflow 10 min ahead",
        "coc sensor",
        one_row(Account(theirs=((30, "running", 30), (60, "success", None)))),
        red="clock is (599|600) s ahead",
        clocks=((600, 600), (600, 0)),
        timeout=300,
    ),
    Row(
        "D24 Airflow 5 s ahead",
        "coc sensor",
        one_row(Account(theirs=((30, "running", 30), (60, "success", None)))),
        over=60,
        clocks=((5, 5), (5, 0), (5, 65)),
    ),
    Row(
        "D24 Airflow 30 s ahead, run begins at once",
        "coc sensor",
        one_row(Account(theirs=((5, "running", 5), (60, "success", None)))),
        over=60,
        clocks=((30, 30), (30, 0)),
    ),
    Row(
        "A4 zone-less, run 5 h old, in Beijing",
        "coc sensor",
        one_row(Account(before=(0, "success", -5 * 3600)), form=beijing_without_zone),
        red="[Tt]imed out",
        timeout=900,
        every=60,
        more={"synced_after": "2026-11-21T06:00:00+00:00"},
    ),
    Row(
        "A4 zone-less, new run, in Beijing",
        "coc sensor",
        one_row(Account(theirs=((30, "running", 30), (90, "success", None))), form=beijing_without_zone),
        over=90,
    ),
    Row(
        "A4 zone-less, new run, in UTC",
        "coc sensor",
        one_row(Account(theirs=((30, "running", 30), (90, "failed", None))), form=utc_without_zone),
        over=90,
        red=DENIED,
    ),
    *(
        Row(
            f"B7 sync_date as {form.__name__}",
            "coc sensor",
            one_row(Account(theirs=((30, "running", 30), (90, "success", None))), form=form),
            over=90,
            by=250,
        )
        for form in ZONED
    ),
    *(
        Row(
            f"A4 {what}",
            "coc sensor",
            one_row(Account(before=FAILED_BEFORE, theirs=((60, "failed", 60), (98, "success", None)))),
            over=98,
            date=date,
        )
        for what, date in DATES.items()
    ),
    Row(
        "A1 empty list for 20 s",
        "coc sensor",
        one_row(Account(theirs=((30, "running", 30), (90, "success", None)), hidden=((0, 20),))),
        over=90,
    ),
    Row("A1 empty list", "coc sensor", partial(Coc, {}), red="COC has no account"),
    Row(
        "D27 one account of two is lacking for a while",
        "coc sensor",
        partial(
            Coc,
            {
                "row": Account(theirs=((30, "running", 30), (60, "success", None))),
                "b": Account("1002", theirs=((30, "running", 30), (200, "failed", None)), hidden=((58, 61),)),
            },
        ),
        red="1002.*" + DENIED,
        over=200,
    ),
]
