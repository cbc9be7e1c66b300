"""Cases of the wire: what servers, gateways and proxies do to each reply, in every service."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from tests.airflow.real_world.cloud import (
    Answer,
    Ask,
    Quirk,
    Script,
    between,
    false_keep_alive,
    informed,
    lost_start,
    nth,
)
from tests.airflow.real_world.rows import Row
from tests.airflow.real_world.timelines import Account, Coc, DataArts, Hss, Mrs

_FOREVER = 1e9
_CRLF = "\r\n"
_RAN = ((30, "SYNCING", 30), (90, "SYNC_SUCCESS", None))
_ROW = Account(ours=((3, "running", 3), (60, "success", None)))
#: Task, service, second of the end.
JOBS: tuple[tuple[str, Callable[[], Any], float], ...] = (
    ("mrs", Mrs, 30),
    ("coc", partial(Coc, {"row": _ROW}), 60),
    ("hss", Hss, 40),
    ("dataarts sensor", partial(DataArts, theirs=_RAN), 90),
)


def _changed(change: Callable[[Answer], Answer]) -> Quirk:
    return lambda ask, script: change(script(ask))


def _with_headers(**headers: str) -> Quirk:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _changed(lambda answer: replace(answer, headers={**answer.headers, **named}))


def _packed(name: str) -> Quirk:
    def pack(answer: Answer) -> Answer:
        return replace(answer, body=gzip.compress(answer.payload), headers={"Content-Encoding": name})

    return _changed(pack)


def _body(change: Callable[[bytes], bytes]) -> Quirk:
    return _changed(lambda answer: replace(answer, body=change(answer.payload)))


def _cut(ask: Ask, script: Script) -> Answer:
    answer = script(ask)
    if 10 <= ask.at < 55 and not ask.is_start:
        size = str(len(answer.payload) + 10)
        return replace(answer, headers={"Content-Length": size}, closes=True)
    return answer


def _info(*lines: str) -> bytes:
    return "".join(line + _CRLF for line in (*lines, "")).encode()


_HARMLESS: dict[str, Quirk] = {
    "100 before each reply": informed(_info("HTTP/1.1 100 Continue")),
    "102 before each reply": informed(_info("HTTP/1.1 102 Processing")),
    "103 with headers before each reply": informed(
        _info("HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload")
    ),
    "three 1xx before each reply": informed(
        _info("HTTP/1.1 100 Continue")
        + _info("HTTP/1.1 102 Processing")
        + _info("HTTP/1.1 103 Early Hints", "A: b")
    ),
    "199 before each reply": informed(_info("HTTP/1.1 199 Odd")),
    "keep-alive that closes": false_keep_alive,
    "keep-alive header that closes": lambda ask, script: replace(
        script(ask), closes=True, headers={"Connection": "keep-alive", "Keep-Alive": "timeout=60"}
    ),
    "120 headers": _with_headers(**{f"X_Extra_{number}": "1" for number in range(120)}),
    "gzip": _packed("gzip"),
    "x-gzip": _packed("x-gzip"),
    "byte order mark": _body(lambda body: b"\xef\xbb\xbf" + body),
    "blanks around the body": _body(lambda body: b"\n\n " + body + b" \n"),
    "content type text": _with_headers(Content_Type="text/plain; charset=latin-1"),
    "cookies and a server name": _with_headers(Set_Cookie="a=b; Path=/", Server="nginx"),
    "unknown fields": _changed(
        lambda answer: (
            replace(answer, body={**answer.body, "extra": {"deep": [1, None]}, "error_code": None})
            if isinstance(answer.body, dict)
            else answer
        )
    ),
}

_THROTTLED = {"error_code": "APIGW.0308", "error_msg": "The throttling threshold has been reached"}
_PASSING: dict[str, Answer] = {
    "empty 502": Answer(b"", 502),
    "502 page": Answer(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"}),
    "503 that asks for 7 s": Answer(None, 503, {"Retry-After": "7"}),
    "503 that asks for a date": Answer(None, 503, {"Retry-After": "Sat, 21 Nov 2026 08:01:00 GMT"}),
    "503 that asks for nonsense": Answer(None, 503, {"Retry-After": "soon"}),
    "503 that asks for minus one": Answer(None, 503, {"Retry-After": "-1"}),
    "504 with JSON": Answer({"error_code": "APIGW.0201", "error_msg": "Backend timeout."}, 504),
    "500 of the service": Answer({"error_code": "12000004", "error_msg": "internal error"}, 500),
    "408": Answer(None, 408),
    "429 without a text": Answer(None, 429),
    "429 with a window of a minute": Answer(
        {**_THROTTLED, "error_msg": "policy user over ratelimit,limit:1,time:1 minute"}, 429
    ),
    "429 with a window of a day": Answer({**_THROTTLED, "error_msg": "limit:1,time:1 day"}, 429),
    "429 with a window of zero": Answer({**_THROTTLED, "error_msg": "limit:0,time:0 second"}, 429),
    "empty 200": Answer(b""),
    "200 null": Answer(b"null"),
    "200 list": Answer([]),
    "200 object without a field": Answer({}),
    "200 page of a portal": Answer(b"<html>please log in</html>", 200, {"Content-Type": "text/html"}),
    "half a JSON": Answer(b'{"is_synchronizing": fal'),
    "200 with NaN": Answer(b'{"total": NaN, "data": NaN, "is_synchronizing": NaN, "sync_status": NaN}'),
    "lost": Answer(lost=True),
    "404 without a code": Answer(None, 404),
}

_ERROR_TEXT = "role-xyz is frozen"
_ERRORS: dict[str, Any] = {
    "errCode": {"errCode": "X.0001", "errMsg": _ERROR_TEXT},
    "Code": {"Code": "X.0001", "Message": _ERROR_TEXT},
    "detail": {"detail": _ERROR_TEXT},
    "error": {"error": _ERROR_TEXT},
    "error object": {"error": {"code": "X.0001", "message": _ERROR_TEXT}},
    "errors": {"errors": [{"error_code": "X.0001", "error_msg": _ERROR_TEXT}]},
    "errors of texts": {"errors": [_ERROR_TEXT]},
    "bare text": _ERROR_TEXT,
    "description": {"error_code": "00000010", "error_description": _ERROR_TEXT},
    "list": [{"error_code": "X.0001", "error_msg": _ERROR_TEXT}],
}


def _echo(ask: Ask, script: Script) -> Answer:
    """Gateway that echoes all of a request in a 400."""
    said = {
        "error_code": "APIGW.0106",
        "error_msg": json.dumps(dict(ask.headers)),
        "request_id": ask.headers["authorization"],
    }
    return Answer(said, 400, {"X-Request-Id": ask.headers["authorization"]}) if ask.at >= 10 else script(ask)


ROWS = [
    *(
        Row(f"wire: {what}", task, service, over=over, by=over + 120, quirks=[quirk])
        for task, service, over in (JOBS[0], *JOBS[2:])
        for what, quirk in _HARMLESS.items()
    ),
    *(
        Row(
            f"wire: {what} for 45 s",
            task,
            service,
            over=over,
            timeout=7200,
            by=2400,
            quirks=[between(10, 55, answer, method="GET")],
        )
        for task, service, over in (JOBS[0], *JOBS[2:])
        for what, answer in _PASSING.items()
    ),
    *(
        Row(
            f"wire: {what} at the first look",
            task,
            service,
            over=over,
            timeout=7200,
            by=2400,
            quirks=[nth([1], answer)],
        )
        for task, service, over in JOBS[3:]
        for what, answer in _PASSING.items()
    ),
    *(
        Row("wire: body cut for 45 s", task, service, over=over, quirks=[_cut])
        for task, service, over in JOBS
    ),
    *(
        Row(
            f"B8 400 with text as {what}",
            task,
            service,
            red=_ERROR_TEXT,
            quirks=[between(10, _FOREVER, Answer(body, 400))],
        )
        for task, service, _ in (JOBS[1], JOBS[3])
        for what, body in _ERRORS.items()
    ),
    *(
        Row(
            "B8 block page of a proxy",
            task,
            service,
            red="did not come from|not .* from the service|proxy",
            quirks=[
                between(
                    10,
                    _FOREVER,
                    Answer(b"<html>Access denied by policy</html>", 403, {"Content-Type": "text/html"}),
                )
            ],
        )
        for task, service, _ in JOBS
    ),
    *(
        Row("C20 gateway that echoes", task, service, red="APIGW.0106", quirks=[_echo])
        for task, service, _ in JOBS
    ),
    *(
        Row(
            f"A3 {what} before a start whose reply is lost",
            task,
            service,
            over=over,
            quirks=[quirk, lost_start],
        )
        for task, service, over in JOBS[:2]
        for what, quirk in (("102", informed(_info("HTTP/1.1 102 Processing"))),)
    ),
    *(
        Row(
            f"start is answered with {what}",
            task,
            service,
            over=over,
            starts=1,
            timeout=7200,
            quirks=[nth([1], answer, method="POST")],
        )
        for task, service, over in JOBS[:2]
        for what, answer in (
            ("429", Answer(_THROTTLED, 429)),
            ("503", Answer(None, 503)),
            ("500", Answer(None, 500)),
            ("502 page", Answer(b"<html>502</html>", 502)),
            ("an empty 200", Answer(b"")),
        )
    ),
]
