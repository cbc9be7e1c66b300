"""What happens when ...: a row for each fault, a column for each place that it strikes. `FAULTS` is what tests read.

=========  =======================================================================================================
a column   the fault strikes
=========  =======================================================================================================
look       looks while a run is under way, in every service and in every way of waiting
start      the start, in MRS and COC, where it can be seen whether a run was taken
HSS        the start there, where that often can't be seen
taken      the start in MRS and COC after it was accepted: only its reply is lost
HSS took   the same in HSS, where nothing shows that it was accepted
write      a write of CSMS
wrote      a write of CSMS after it was carried out
back       reading back what CSMS was told to write
=========  =======================================================================================================

=========  =======================================================================================================
a cell     means
=========  =======================================================================================================
green      the task succeeded, and what it is about has really happened
red        it failed at once; Airflow may retry it
late       it failed when its time was up
dead       it failed for good: no retry can help, and some would do harm
a number   so often the start or the write came in at the service; of looks and reading back: so often it struck
nothing    it can't be: a refusal does not come after the work
=========  =======================================================================================================
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RETRY_AFTER, WINDOW = 45.0, 60.0
_THROTTLE = {"throttle": {"limit": 60, "window": "1 minute"}}
_BUSY = {"error_code": "SVC.0099", "error_msg": "the backend is busy"}
_SKEW = 1200.0


def _refusal(status: int, code: str, text: str) -> dict[str, Any]:
    return {"status": status, "body": {"error_code": code, "error_msg": text}}


_RENEW = _refusal(401, "APIGW.0307", "The token must be updated.")


@dataclass(frozen=True)
class How:
    """How a fault is brought about.

    :param spec: as the emulator takes it.
    :param trouble: of the road to the emulator; see `tests.support.broken_network`.
    :param revokes: whether all tokens are revoked.
    :param skew: seconds that the clock of the machine is ahead.
    :param way: how the connection signs in.
    :param window: seconds in which nobody may come back.
    """

    spec: Mapping[str, Any] | None = None
    trouble: str | None = None
    revokes: bool = False
    skew: float = 0.0
    way: str = "aksk"
    window: float = 0.0


_HOW = {
    "429 with Retry-After": How({**_THROTTLE, "retry_after": RETRY_AFTER}, window=RETRY_AFTER),
    "429, window in the text": How(_THROTTLE, window=WINDOW),
    "500": How({"status": 500}),
    "502": How({"status": 502}),
    "503": How({"status": 503}),
    "504": How({"status": 504}),
    "connection refused": How(trouble="refused"),
    "no such name": How(trouble="name"),
    "untrusted certificate": How(trouble="certificate"),
    "no TLS there": How(trouble="no TLS"),
    "reset": How({"reset": True}),
    "stalled": How({"stall": 30.0}),
    "truncated": How({"truncate": True}),
    "not JSON": How({"raw": "<html>Be back soon</html>"}),
    "empty": How({"raw": ""}),
    "{}": How({"raw": "{}"}),
    "200 with an error code": How({"raw": json.dumps(_BUSY)}),
    "huge": How({"huge": 3 * 2**20}),
    "401, token over, by key": How(_RENEW),
    "401, token over, by password": How(_RENEW, way="password"),
    "token revoked, given": How(revokes=True, way="token"),
    "token revoked, by password": How(revokes=True, way="password"),
    "401, signature rejected": How(_refusal(401, "APIGW.0301", "verify aksk signature fail")),
    "403": How(_refusal(403, "APIGW.0302", "The user is not authorized")),
    "404": How(_refusal(404, "APIGW.0101", "The API does not exist")),
    "clock 20 min ahead": How(skew=_SKEW),
    "clock 20 min behind": How(skew=-_SKEW),
    "clock 20 min ahead, by password": How(skew=_SKEW, way="password"),
}
_TIMES = {"once": 1, "5 times": 5, "for ever": None}

_TABLE = r"""
fault                           | times    | look   | start   | HSS     | taken   | HSS took | write   | wrote   | back   | says
429 with Retry-After            | once     | green  | green 2 | green 2 |         |          | green 2 |         | green  | rate limit.*429
429, window in the text         | once     | green  | green 2 | green 2 |         |          | green 2 |         | green  | rate limit.*429
429, window in the text         | 5 times  | green  | green 6 | green 6 |         |          | red 5   |         | red 5  | rate limit.*429
429, window in the text         | for ever | late   | late    | late    |         |          | red 5   |         | red 5  | rate limit.*429
500                             | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | error.*500
500                             | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | error.*500
502                             | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | error.*502
502                             | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | error.*502
503                             | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | error.*503
503                             | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | error.*503
503                             | for ever | late   | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | error.*503
504                             | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | error.*504
504                             | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | error.*504
connection refused              | once     | green  | green 1 | green 1 |         |          | green 1 |         | green  | was refused
connection refused              | 5 times  | green  | green 1 | green 1 |         |          | red 0   |         | red 5  | was refused
connection refused              | for ever | late   | late 0  | late 0  |         |          | red 0   |         | red 5  | was refused
no such name                    | once     | green  | green 1 | green 1 |         |          | green 1 |         | green  | name can't be resolved
no such name                    | 5 times  | green  | green 1 | green 1 |         |          | red 0   |         | red 5  | name can't be resolved
no such name                    | for ever | late   | late 0  | late 0  |         |          | red 0   |         | red 5  | name can't be resolved
no TLS there                    | once     | green  | green 1 | green 1 |         |          | green 1 |         | green  | TLS failed
no TLS there                    | 5 times  | green  | green 1 | green 1 |         |          | red 0   |         | red 5  | TLS failed
no TLS there                    | for ever | late   | late 0  | late 0  |         |          | red 0   |         | red 5  | TLS failed
untrusted certificate           | for ever | red 1  | red 0   | red 0   |         |          | red 0   |         | red 1  | certificate.*"verify"
reset                           | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | connection broke|sent again on a new
reset                           | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | green  | connection broke
reset                           | for ever | late   | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 6  | connection broke
stalled                         | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | no reply in time
truncated                       | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | cut short|connection broke
truncated                       | 5 times  | green  | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | cut short|connection broke
not JSON                        | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | is not JSON
not JSON                        | for ever | late   | red 5   | red 1   | green 1 | red 1    | red 5   | green 5 | red 5  | is not JSON
empty                           | once     | green  | green 2 | red 1   | green 1 | red 1    | red 1   | green 1 | red 1  | no usable|still exists
{}                              | once     | green  | green 2 | red 1   | green 1 | red 1    | red 1   | green 1 | red 1  | no usable|still exists
{}                              | for ever | late   | red 5   | red 1   | green 1 | red 1    | red 1   | green 1 | red 1  | no usable|still exists
200 with an error code          | once     | red 1  | red 1   | red 1   |         |          | red 1   |         | red 1  | SVC.0099.*the backend is busy
huge                            | once     | green  | green 2 | red 1   | green 1 | red 1    | green 2 | green 2 | green  | larger than
401, token over, by key         | for ever | dead 1 | dead 1  | dead 1  |         |          | dead 1  |         | dead 1 | APIGW.0307
401, token over, by password    | once     | green  | green 2 | green 2 |         |          | green 2 |         | green  | again with new ones
401, token over, by password    | for ever | dead 2 | dead 2  | dead 2  |         |          | dead 2  |         | dead 2 | APIGW.0307
token revoked, given            | for ever | dead 1 | dead 1  | dead 1  |         |          | dead 1  |         | dead 1 | APIGW.0307.*token
token revoked, by password      | for ever | green  | green 2 | green 2 |         |          | green 2 |         | green  | again with new ones|Signed in
401, signature rejected         | for ever | dead 1 | dead 1  | dead 1  |         |          | dead 1  |         | dead 1 | signature.*Check access key
403                             | for ever | red 1  | red 1   | red 1   |         |          | red 1   |         | red 1  | 403.*permissions
404                             | for ever | red 1  | red 1   | red 1   |         |          | red 1   |         | red 1  | No such API.*endpoint
clock 20 min ahead              | for ever | dead 1 | dead 1  | dead 1  |         |          | dead 1  |         | dead 1 | clock is (1199|120[01]) s ahead
clock 20 min behind             | for ever | dead 1 | dead 1  | dead 1  |         |          | dead 1  |         | dead 1 | clock is (1199|120[01]) s behind
clock 20 min ahead, by password | for ever | green  | green 1 | green 1 |         |          | green 1 |         | green  | Signed in
"""  # noqa: E501 (a table is read across)


@dataclass(frozen=True)
class Cell:
    """What comes of a fault in one place.

    :param number: see above; None: as often as the fault strikes, or as time allows.
    """

    end: str
    number: int | None


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    :param times: how often it strikes; None: for ever.
    :param says: what the error says, or the log where all went well.
    """

    name: str
    how: How
    times: int | None
    cells: Mapping[str, Cell]
    says: str

    def __str__(self) -> str:
        return self.name


def _read() -> list[Fault]:
    head, *rows = [
        [cell.strip() for cell in re.split(r"\s\|(?=\s|$)", line)] for line in _TABLE.strip().splitlines()
    ]
    found = []
    for row in rows:
        fault, times, *cells = row[:-1]
        places = {
            place: Cell(end, int(number) if number else None)
            for place, text in zip(head[2:-1], cells, strict=True)
            if text
            for end, _, number in [text.partition(" ")]
        }
        found.append(Fault(f"{fault}, {times}", _HOW[fault], _TIMES[times], places, row[-1]))
    return found


FAULTS = _read()
