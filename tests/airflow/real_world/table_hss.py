"""Cases of HSS: one time that moves, also by itself."""

from __future__ import annotations

from functools import partial

from tests.airflow.real_world.cloud import Answer, between, lost_start, nth, start_never_arrives
from tests.airflow.real_world.dates import DATES
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.timelines import ZONED, Hss, beijing_without_zone, utc_without_zone

_FOREVER = 1e9
_EACH_MINUTE = tuple(range(0, 3600, 60))

ROWS = [
    Row("list moves after the start", "hss", Hss, over=40, by=120),
    Row("list never moves", "hss", partial(Hss, ours=()), red="Timed out after"),
    Row("no update before", "hss", partial(Hss, moves=()), over=40, by=120),
    Row("null until long after the start", "hss", partial(Hss, moves=(), ours=(400,)), over=400),
    Row("created only", "hss", Hss, more={"wait_for_completion": False}, by=5),
    Row("no task is created", "hss", partial(Hss, synched=False), red="synched: false"),
    Row("synched as text", "hss", partial(Hss, synched="true"), red="synched", starts=1),
    Row(
        "D31 list moves by itself, reply is lost",
        "hss",
        partial(Hss, moves=_EACH_MINUTE),
        red="connection|reply|Cannot tell",
        starts=1,
        quirks=[lost_start],
    ),
    Row(
        "D31 list moves by itself, start never arrives",
        "hss",
        partial(Hss, moves=_EACH_MINUTE),
        red="connection|reply|Cannot tell",
        starts=0,
        quirks=[start_never_arrives],
    ),
    Row("B7 no total_num", "hss", partial(Hss, extra={}), over=40),
    Row("total_num null", "hss", partial(Hss, extra={"total_num": None}), over=40),
    Row(
        "last_update_time missing for 30 s after the start",
        "hss",
        Hss,
        over=40,
        quirks=[between(1, 30, Answer({"data_list": []}), method="GET")],
    ),
    Row(
        "data_list null for 30 s",
        "hss",
        Hss,
        over=40,
        quirks=[between(1, 30, Answer({"data_list": None, "last_update_time": 1}), method="GET")],
    ),
    Row("list lost before the start", "hss", Hss, over=40, quirks=[nth([1, 2], Answer(b"", 502))]),
    *(
        Row(f"B7 last_update_time as {form.__name__}", "hss", partial(Hss, form=form), over=40, by=120)
        for form in (*ZONED, beijing_without_zone, utc_without_zone)
    ),
    *(Row(f"A4 {what}", "hss", Hss, over=40, by=120, date=date) for what, date in DATES.items()),
    Row(
        "B13 throttled for a day",
        "hss",
        Hss,
        over=40,
        timeout=14_400,
        by=1500,
        quirks=[
            nth(
                [2],
                Answer(
                    {"error_code": "APIGW.0308", "error_msg": "throttled, policy: limit:1,time:1 day"}, 429
                ),
            )
        ],
    ),
    Row(
        "B13 throttled all the time",
        "hss",
        Hss,
        red="[Rr]ate limit",
        timeout=1200,
        quirks=[
            between(
                1,
                _FOREVER,
                Answer({"error_code": "APIGW.0308", "error_msg": "limit:5,time:1 minute"}, 429),
                method="GET",
            )
        ],
    ),
    Row(
        "B8 bad gateway all the time",
        "hss",
        Hss,
        red="502",
        timeout=600,
        quirks=[between(1, _FOREVER, Answer(b"<html>502</html>", 502), method="GET")],
    ),
    Row("sensor: list moves", "hss sensor", partial(Hss, moves=(-3600, 60)), over=60),
    Row("sensor: no update ever", "hss sensor", partial(Hss, moves=()), red="[Tt]imed out", every=60),
    *(
        Row(
            f"D24 Airflow {behind} s behind, update {age} s before",
            "hss sensor",
            partial(Hss, moves=(-age, 200)),
            over=200,
            clocks=((-behind, -behind), (-behind, 0), (-behind, 60 - behind)),
        )
        for behind, age in ((8, 5), (60, 10), (60, 50), (600, 500))
    ),
    Row(
        "D24 Airflow 10 min ahead",
        "hss sensor",
        partial(Hss, moves=(-3600, 60)),
        red="clock is (599|600) s ahead",
        clocks=((600, 600), (600, 0)),
        timeout=500,
    ),
    *(
        Row(f"A4 {what}", "hss sensor", partial(Hss, moves=(-3600, 60)), over=60, by=300, date=date)
        for what, date in DATES.items()
    ),
    *(
        Row(
            f"B7 last_update_time as {form.__name__}",
            "hss sensor",
            partial(Hss, moves=(-3600, 60), form=form),
            over=60,
            by=300,
        )
        for form in ZONED
    ),
    Row(
        "A4 zone-less, update 5 h old, in Beijing",
        "hss sensor",
        partial(Hss, moves=(-5 * 3600,), form=beijing_without_zone),
        red="[Tt]imed out",
        timeout=900,
        every=60,
        more={"updated_after": "2026-11-21T06:00:00+00:00"},
    ),
    Row(
        "A1 404 without a code for 45 s",
        "hss sensor",
        partial(Hss, moves=(-3600, 60)),
        over=60,
        quirks=[between(0, 45, Answer(None, 404))],
    ),
]
