"""Cases of MRS: one flag for the whole cluster, names, and no times at all."""

from __future__ import annotations

from functools import partial

from tests.airflow.real_world.cloud import Answer, between, lost_start, nth, start_never_arrives
from tests.airflow.real_world.rows import SKEWS, Row
from tests.airflow.real_world.timelines import Mrs

_FOREVER = 1e9
_EMPTY_404 = Answer(None, 404)
_NOT_FOUND = (
    ("an empty 404", _EMPTY_404),
    ("a 404 of a framework", Answer({"detail": "Not Found"}, 404)),
    (
        "a 404 of Spring",
        Answer({"timestamp": "2026", "status": 404, "error": "Not Found", "path": "/v2"}, 404),
    ),
    ("a 404 of Kong", Answer({"message": "no Route matched with those values"}, 404)),
    ("a 404 page", Answer(b"<html><h1>404 Not Found</h1></html>", 404, {"Content-Type": "text/html"})),
    ("a 404 with a status as code", Answer({"code": 404, "message": "Not Found"}, 404)),
)
_NO_SUCH_API = Answer({"error_code": "APIGW.0101", "error_msg": "The API does not exist"}, 404)
_MISSING = Answer({"error_code": "12000003", "error_msg": "cluster does not exist"}, 400)

ROWS = [
    Row("D25 flag up 2 to 30 s", "mrs", Mrs, over=30, by=90, clocks=((0, 0), *SKEWS)),
    *(
        Row(
            f"D25 flag comes up {up} s after the start",
            "mrs",
            partial(Mrs, ((up, 60),), names=((59, _FOREVER),)),
            over=60,
            by=140,
            clocks=((0, 0), *SKEWS),
        )
        for up in (5, 8)
    ),
    Row(
        "D25 flag late, names there before it",
        "mrs",
        partial(Mrs, ((8, 60),), names=((1, _FOREVER),)),
        over=60,
        clocks=((0, 0), *SKEWS),
    ),
    Row(
        "D25 flag late, run brings nothing",
        "mrs",
        partial(Mrs, ((8, 60),), names=()),
        red='user "alice"',
        over=60,
        clocks=((0, 0), *SKEWS),
    ),
    *(
        Row(
            f"D27 names readable {late} s after the flag",
            "mrs",
            partial(Mrs, names=((30 + late, _FOREVER),)),
            over=30 + late,
            by=120,
        )
        for late in (0.5, 3, 6, 9, 12)
    ),
    Row(
        "D27 names vanish for 3 s after the flag",
        "mrs",
        partial(Mrs, names=((20, 30), (33, _FOREVER))),
        over=33,
    ),
    Row(
        "D27 flag flickers",
        "mrs",
        partial(Mrs, ((2, 10), (13, 30), (32, 50)), names=((49, _FOREVER),)),
        over=50,
    ),
    Row(
        "D27 flag flickers, names early",
        "mrs",
        partial(Mrs, ((2, 10), (13, 50)), names=((5, _FOREVER),)),
        over=50,
    ),
    Row(
        "D27 flag flickers, no names until the end",
        "mrs",
        partial(Mrs, ((2, 10), (20, 50)), names=((48, _FOREVER),)),
        over=50,
    ),
    Row("D27 names taken away again", "mrs", partial(Mrs, names=((5, 30),)), red='user "alice"', over=30),
    Row(
        "A1 cluster is reported missing for one look",
        "mrs",
        Mrs,
        over=30,
        quirks=[nth([3], _MISSING, where="/cluster_infos/")],
    ),
    Row(
        "A1 cluster is reported missing, and stays so",
        "mrs",
        Mrs,
        red="MRS cluster c not found",
        quirks=[between(1, _FOREVER, _MISSING)],
    ),
    Row(
        "A1 cluster is missing before the start",
        "mrs",
        Mrs,
        red="MRS cluster c not found",
        starts=0,
        quirks=[between(0, _FOREVER, _MISSING)],
    ),
    Row(
        "A1 cluster is reported missing for 5 s before the start",
        "mrs",
        Mrs,
        over=30,
        quirks=[between(0, 5, _MISSING)],
    ),
    Row(
        "A1 cluster is terminated during the run",
        "mrs",
        partial(Mrs, state=lambda at: "terminated" if at > 20 else "running"),
        red="terminated",
        over=20,
    ),
    Row(
        "D33 cluster is terminated, flag stays up",
        "mrs",
        partial(Mrs, ((2, _FOREVER),), state=lambda at: "Terminated" if at > 20 else "running"),
        red="terminated",
        timeout=100,
    ),
    *(
        Row(
            f"A1 {what} for {many} s during the wait",
            "mrs",
            Mrs,
            over=30,
            by=30 + many + 120,
            quirks=[between(10, 10 + many, answer)],
        )
        for what, answer in _NOT_FOUND
        for many in (2, 45)
    ),
    *(
        Row(f"A1 {what} for good", "mrs", Mrs, red="404", timeout=300, quirks=[between(10, _FOREVER, answer)])
        for what, answer in _NOT_FOUND
    ),
    Row(
        "A1 the gateway has no such API",
        "mrs",
        Mrs,
        red="No such API at this address",
        starts=0,
        quirks=[between(0, _FOREVER, _NO_SUCH_API)],
    ),
    Row(
        "A1 names end point denies the cluster for one look",
        "mrs",
        Mrs,
        over=30,
        quirks=[nth([2], _MISSING, where="/iam-sync-user")],
    ),
    Row(
        "A1 flag end point denies the cluster for 10 s",
        "mrs",
        Mrs,
        over=30,
        quirks=[between(10, 20, _MISSING, where="/iam-sync", method="GET")],
    ),
    Row(
        "A1 names end point answers 404 without a code for 20 s",
        "mrs",
        Mrs,
        over=30,
        quirks=[between(25, 45, _EMPTY_404, where="/iam-sync-user", method="GET")],
    ),
    Row("D31 reply lost, run goes on", "mrs", Mrs, over=30, quirks=[lost_start]),
    Row(
        "D31 reply lost, flag 8 s late",
        "mrs",
        partial(Mrs, ((8, 60),), names=((59, _FOREVER),)),
        over=60,
        quirks=[lost_start],
        clocks=((0, 0), *SKEWS),
    ),
    Row(
        "D31 reply lost, run fails", "mrs", partial(Mrs, good_start=2), starts=2, over=30, quirks=[lost_start]
    ),
    Row("D31 start never arrives", "mrs", Mrs, over=30, quirks=[start_never_arrives]),
    Row(
        "D31 start never arrives, another's run begins meanwhile",
        "mrs",
        partial(Mrs, theirs=((2, 60),)),
        over=30,
        quirks=[start_never_arrives],
    ),
    Row(
        "D31 start is busy: another's run came first",
        "mrs",
        partial(Mrs, theirs=((0.5, 60),)),
        over=30,
        quirks=[nth([1], Answer({"error_code": "12000012", "error_msg": "busy"}, 400), method="POST")],
    ),
    Row("another's run first", "mrs", partial(Mrs, theirs=((-5, 40),)), over=30),
    Row(
        "D33 names need no is_synchronous",
        "mrs",
        Mrs,
        over=30,
        quirks=[
            between(
                0,
                _FOREVER,
                Answer({"error_code": "MRS.0011", "error_msg": "no"}, 403),
                where="/is-synchronous",
            )
        ],
    ),
    Row("all: synchronous since long", "mrs all", partial(Mrs, synchronous=((-9, _FOREVER),)), over=30),
    Row("all: synchronous 9 s late", "mrs all", partial(Mrs, synchronized=((39, _FOREVER),)), over=39),
    Row("all: never synchronous", "mrs all", Mrs, red="not in sync with IAM", over=30),
    Row(
        "all: flag 8 s late, synchronous since long",
        "mrs all",
        partial(Mrs, ((8, 60),), synchronous=((-9, _FOREVER),)),
        over=60,
        clocks=((0, 0), *SKEWS),
    ),
    Row(
        "cancel: names gone 6 s late",
        "mrs cancel",
        partial(Mrs, there=((-9, 36),), names=()),
        over=30,
        by=100,
    ),
    Row(
        "cancel: flag 8 s late",
        "mrs cancel",
        partial(Mrs, ((8, 60),), there=((-9, 20),), names=()),
        over=60,
        clocks=((0, 0), *SKEWS),
    ),
    Row(
        "cancel: names stay",
        "mrs cancel",
        partial(Mrs, there=((-9, _FOREVER),), names=()),
        red="Still in the cluster",
        over=30,
    ),
    Row(
        "cancel: one look without names, flag late",
        "mrs cancel",
        partial(Mrs, ((8, 60),), there=((-9, 2), (5, 58)), names=()),
        over=60,
    ),
    Row(
        "B12 last look comes at the deadline",
        "mrs",
        partial(Mrs, ((2, 57),), names=((1, _FOREVER),)),
        over=57,
        timeout=70,
    ),
    Row(
        "run longer than the timeout",
        "mrs",
        partial(Mrs, ((2, _FOREVER),)),
        red="Timed out after",
        timeout=600,
    ),
    Row(
        "sensor: another's run",
        "mrs sensor",
        partial(Mrs, theirs=((-5, 60),), there=((59, _FOREVER),)),
        over=60,
    ),
    Row(
        "sensor: names early",
        "mrs sensor",
        partial(Mrs, theirs=((-5, 60),), there=((20, _FOREVER),)),
        over=60,
    ),
    Row(
        "sensor: names 9 s late",
        "mrs sensor",
        partial(Mrs, theirs=((-5, 60),), there=((69, _FOREVER),)),
        over=69,
    ),
    Row(
        "sensor: flag flickers",
        "mrs sensor",
        partial(Mrs, theirs=((-5, 20), (22, 60)), there=((-9, _FOREVER),)),
        over=60,
    ),
    *(
        Row(
            f"sensor: A1 {what} for 45 s",
            "mrs sensor",
            partial(Mrs, theirs=((-5, 60),), there=((59, _FOREVER),)),
            over=60,
            quirks=[between(0, 45, answer)],
        )
        for what, answer in _NOT_FOUND
    ),
    Row(
        "sensor: A1 missing for one look",
        "mrs sensor",
        partial(Mrs, theirs=((-5, 60),), there=((59, _FOREVER),)),
        over=60,
        quirks=[nth([1], _MISSING, where="/cluster_infos/"), nth([1], _MISSING, where="/iam-sync")],
    ),
    Row(
        "sensor: A1 missing",
        "mrs sensor",
        Mrs,
        red="MRS cluster c not found",
        quirks=[between(0, _FOREVER, _MISSING)],
    ),
    Row(
        "sensor all: synchronous 9 s late",
        "mrs sensor all",
        partial(Mrs, theirs=((-5, 60),), synchronous=((69, _FOREVER),)),
        over=69,
    ),
]
