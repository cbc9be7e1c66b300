"""Cases of DataArts Studio: the state and the start of the last run, which do not move together."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.airflow.real_world.cloud import Answer, between, nth
from tests.airflow.real_world.dates import DATES
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.timelines import ZONED, DataArts, beijing_without_zone, utc_without_zone

_FOREVER = 1e9
_LAGS = (8, 20, 38, 44)
_DENIED = "role is not granted"
_DAY = -86_400.0
_SUCCESS, _FAIL = "SYNC_SUCCESS", "SYNC_FAIL"
_TASK = "dataarts sensor"


def _run(end: str = _SUCCESS, first: float = 30, last: float = 150) -> Any:
    return ((first, "SYNCING", first), (last, end, None))


def _red(end: str) -> str:
    return _DENIED if end == _FAIL else ""


ROWS = [
    Row("succeeds", _TASK, partial(DataArts, theirs=_run()), over=150, by=240),
    Row("fails", _TASK, partial(DataArts, theirs=_run(_FAIL)), red=_DENIED, over=150, by=240),
    Row(
        "time moves late",
        _TASK,
        partial(DataArts, theirs=((30, "SYNCING", None), (50, "SYNCING", 30), (150, _FAIL, None))),
        red=_DENIED,
        over=150,
    ),
    Row(
        "time moves with the end",
        _TASK,
        partial(DataArts, theirs=((30, "SYNCING", None), (150, _SUCCESS, 30))),
        over=150,
    ),
    Row(
        "time moves 9 s after the end",
        _TASK,
        partial(DataArts, theirs=((30, "SYNCING", None), (150, _SUCCESS, None), (159, _SUCCESS, 30))),
        over=150,
    ),
    Row("run is not seen", _TASK, partial(DataArts, theirs=((30, _SUCCESS, 30),)), over=30, by=200),
    *(
        Row(
            f"D26 time moves, old {old} stays {lag} s, ends {new}",
            _TASK,
            partial(
                DataArts,
                before=(0, old, _DAY),
                theirs=((30, old, 30), (30 + lag, "SYNCING", None), (200, new, None)),
            ),
            red=_red(new),
            over=200,
        )
        for lag in _LAGS
        for old, new in ((_SUCCESS, _SUCCESS), (_SUCCESS, _FAIL), (_FAIL, _SUCCESS))
    ),
    *(
        Row(
            f"D26 time moves with the end, old {old} stays {lag} s, ends {new}",
            _TASK,
            partial(DataArts, before=(0, old, _DAY), theirs=((90, old, 60), (90 + lag, new, None))),
            red=_red(new),
            over=90 + lag,
        )
        for lag in (8, 20, 38)
        for old, new in ((_SUCCESS, _FAIL), (_FAIL, _SUCCESS))
    ),
    *(
        Row(
            f"D24 time {off:+} s off, old {old} stays 38 s, ends {new}",
            _TASK,
            partial(
                DataArts,
                before=(0, old, _DAY),
                theirs=((60, old, 60 + off), (98, "SYNCING", None), (200, new, None)),
            ),
            red=_red(new),
            over=200,
        )
        for off in (-40, -8, 8, 40, 200)
        for old, new in ((_SUCCESS, _FAIL), (_FAIL, _SUCCESS))
    ),
    *(
        Row(
            f"A4 {what}, {lag} s of lag",
            _TASK,
            partial(DataArts, theirs=((60, _SUCCESS, 60), (60 + lag, "SYNCING", None), (200, _FAIL, None))),
            red=_DENIED,
            over=200,
            date=date,
        )
        for what, date in DATES.items()
        for lag in (38,)
    ),
    *(
        Row(
            f"A4 {what}, any run counts",
            _TASK,
            partial(DataArts, before=(0, _SUCCESS, -60)),
            by=60,
            date=date,
            more={"synced_after": None},
        )
        for what, date in DATES.items()
    ),
    *(
        Row(
            f"B7 sync_time as {form.__name__}",
            _TASK,
            partial(DataArts, theirs=_run(), form=form),
            over=150,
            by=300,
        )
        for form in ZONED
    ),
    *(
        Row(
            f"B7 sync_time as {form.__name__}, fails",
            _TASK,
            partial(DataArts, theirs=_run(_FAIL), form=form),
            red=_DENIED,
            over=150,
        )
        for form in ZONED[3:6]
    ),
    *(
        Row(
            f"A4 sync_time as {form.__name__}",
            _TASK,
            partial(DataArts, theirs=_run(_FAIL), form=form),
            red=_DENIED,
            over=150,
        )
        for form in (beijing_without_zone, utc_without_zone)
    ),
    Row(
        "A4 sync_time without zone, run 5 h old",
        _TASK,
        partial(DataArts, before=(0, _SUCCESS, -5 * 3600), form=beijing_without_zone),
        red="[Tt]imed out",
        timeout=900,
        more={"synced_after": "2026-11-21T06:00:00+00:00"},
        every=60,
    ),
    *(
        Row(
            f"D24 Airflow {behind} s behind, old run {age} s before",
            _TASK,
            partial(DataArts, before=(0, _SUCCESS, -age), theirs=_run(_FAIL, 100, 160)),
            red=_DENIED,
            over=160,
            clocks=((-behind, -behind), (-behind, 0), (-behind, 5 - behind), (-behind, 600 - behind)),
        )
        for behind, age in ((8, 5), (60, 10), (60, 50), (600, 30), (600, 500))
    ),
    Row(
        "D24 Airflow 10 min ahead",
        _TASK,
        partial(DataArts, theirs=_run()),
        red="clock is (599|600) s ahead",
        clocks=((600, 600), (600, 0)),
        timeout=900,
    ),
    Row(
        "D24 Airflow 30 s ahead, run begins at once",
        _TASK,
        partial(DataArts, theirs=_run(first=5)),
        over=150,
        clocks=((30, 30), (30, 0)),
    ),
    Row(
        "D24 Airflow 60 s behind, first look lost",
        _TASK,
        partial(DataArts, before=(0, _SUCCESS, -30), theirs=_run(_FAIL, 100, 160)),
        red=_DENIED,
        over=160,
        quirks=[nth([1, 2], Answer(b"<html>bad gateway</html>", 502))],
        clocks=((-60, -60), (-60, 0)),
    ),
    Row(
        "status in another case",
        _TASK,
        partial(
            DataArts,
            before=(0, "sync_success", _DAY),
            theirs=((30, "Syncing ", 30), (150, "Sync_Fail", None)),
        ),
        red=_DENIED,
        over=150,
    ),
    Row(
        "status null for a while",
        _TASK,
        partial(DataArts, theirs=_run(), extra=lambda at: {"sync_status": None} if 40 < at < 80 else {}),
        over=150,
    ),
    Row(
        "status unknown for a while",
        _TASK,
        partial(DataArts, theirs=_run(), extra=lambda at: {"sync_status": "PAUSED"} if 40 < at < 80 else {}),
        over=150,
    ),
    Row(
        "time null for a while",
        _TASK,
        partial(DataArts, theirs=_run(_FAIL), extra=lambda at: {"sync_time": None} if at < 80 else {}),
        red=_DENIED,
        over=150,
    ),
    Row(
        "time 0 means never",
        _TASK,
        partial(
            DataArts,
            before=(0, "NOT_SYNC", None),
            theirs=_run(),
            extra=lambda at: {"sync_time": 0} if at < 30 else {},
        ),
        over=150,
    ),
    Row(
        "never ran",
        _TASK,
        partial(DataArts, before=(0, "NOT_SYNC", None)),
        red="[Tt]imed out",
        every=60,
    ),
    Row(
        "never ran, schedule off, fail",
        _TASK,
        partial(DataArts, before=(0, "NOT_SYNC", None), extra=lambda at: {"schedule_status": "NOT_SCHEDULE"}),
        red="schedule of the task is off",
        more={"if_unscheduled": "fail"},
    ),
    Row(
        "schedule shown off for one look",
        _TASK,
        partial(
            DataArts, theirs=_run(), extra=lambda at: {"schedule_status": "NOT_SCHEDULE"} if at < 10 else {}
        ),
        over=150,
        more={"if_unscheduled": "fail"},
    ),
    Row(
        "fields missing",
        _TASK,
        partial(DataArts, theirs=_run(), lacks=("schedule_status", "sync_msg", "id")),
        over=150,
    ),
    Row(
        "sync_msg null",
        _TASK,
        partial(DataArts, theirs=_run(_FAIL), extra=lambda at: {"sync_msg": None}),
        red="no message",
        over=150,
    ),
    Row(
        "D27 one look shows a failure",
        _TASK,
        partial(
            DataArts,
            theirs=((30, "SYNCING", 30), (60, _FAIL, None), (63, "SYNCING", None), (150, _SUCCESS, None)),
        ),
        over=150,
    ),
    Row(
        "D27 one look shows a success",
        _TASK,
        partial(
            DataArts,
            theirs=((30, "SYNCING", 30), (60, _SUCCESS, None), (63, "SYNCING", None), (150, _FAIL, None)),
        ),
        red=_DENIED,
        over=150,
    ),
    Row(
        "two runs, the first fails before synced_after",
        _TASK,
        partial(DataArts, before=(0, _FAIL, -5), theirs=_run()),
        over=150,
    ),
    *(
        Row(
            f"A1 404 without a code for {many} s",
            _TASK,
            partial(DataArts, theirs=_run()),
            over=150,
            quirks=[between(at, at + many, Answer(body, 404))],
        )
        for at, many, body in ((0, 2, None), (0, 45, {"detail": "Not Found"}), (100, 45, b"<html>404</html>"))
    ),
    Row(
        "A1 workspace is unknown",
        _TASK,
        DataArts,
        red="DLS.6036",
        quirks=[
            between(
                0,
                _FOREVER,
                Answer({"errorCode": "DLS.6036", "errorMsg": "The workspace does not exist."}, 400),
            )
        ],
    ),
]
