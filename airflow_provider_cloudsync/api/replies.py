"""The one reading of replies: either what the service says, or an error that says what to do next.

The services and the gateways before them write errors in a dozen shapes: codes under ``error_code``, ``errorCode``
or ``code``, flat, nested under ``error``, or in a list under ``errors``; proxies send plain text or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.messages import Request, Response
from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.api.times import http_date
from airflow_provider_cloudsync.exceptions import ApiError, CredentialsRejected, Throttled, UnreadableReply

_CODES = ("error_code", "errorCode", "code")
_TEXTS = ("error_msg", "errorMsg", "error_description", "message")
#: COC writes one of these beside a result with status 200; everything else under error_code is an error.
_GOOD_CODES = ("", "0", "COC.00000000", "GOM.00000000")
#: Codes of the services themselves that mean "not allowed", whatever the status beside them.
_DENIED = ("12000136", "00000010", "HSS.0010", "HSS.0013")
#: Seconds between two clocks from which on a signature is refused, and from which on somebody should know.
MOST_SKEW, ODD_SKEW = 900.0, 60.0
_WINDOW = re.compile(r"time:\s*(\d+)?\s*(second|minute|hour|day)", re.IGNORECASE)
_LIMIT = re.compile(r"limit:\s*(\d{1,6})\b", re.IGNORECASE)
#: What the gateway says before or instead of looking at the proof; 03xx but for 0301 and 0307 is after that.
_OF_GATEWAY = re.compile(r"API(GW|G)\.(0[0-24-9]|030[178])")
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}

KEY_ADVICE = (
    "Check the key of the connection (access key in Login, secret key in Password), that it is active, and the clock "
    "of this machine. It was not sent again: more than five failures in a row lock the key for 5 minutes."
)
_STRANGER = (
    "The answer names no reason, so it may be of something on the way, such as a proxy that wants a login: check the "
    "endpoint and the proxy of the connection, then its key."
)
_HINTS = {
    400: "The request itself is refused: check the ids and names given to the task.",
    403: "The user of the connection is not allowed to do this: check its permissions and the project.",
    404: "It does not exist there: check the id, the region and the project of the connection.",
    405: "The endpoint does not take this call: check the endpoint of the connection.",
    429: "Too many calls for the service's quota: let fewer tasks work at once, or lengthen poll_interval.",
}


@dataclass(slots=True)
class Reply:
    """What a service says.

    :param data: the JSON of the body, None where there is no body.
    :param request_id: what the service's support asks for; empty where the reply has none.
    :param headers: of the reply. A token may be among them, so they are left out of its repr.
    :param sent_at: when the request was sent, and
    :param received_at: when the reply was there: seconds since the epoch, by this machine's clock.
    """

    status: int
    data: Any = field(repr=False)
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sent_at: float | None = None
    received_at: float | None = None

    @property
    def date(self) -> float | None:
        """The service's own clock, seconds since the epoch; None where the reply does not tell."""
        return http_date(self.headers.get("date", ""))

    @property
    def clock(self) -> ServiceClock:
        """The service's clock, and how far this machine's is from it."""
        return ServiceClock.measured(self.date, self.sent_at, self.received_at)

    def field(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """One field that the reply must have, of the type that it must be of.

        :raises UnreadableReply: if it is missing or something else. Missing is never taken for "false" or "none".
        """
        value = self.data.get(name) if isinstance(self.data, dict) else None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UnreadableReply(
                f'The reply (request id {self.request_id or "unknown"}) has no usable "{name}", so it says nothing.'
            )
        return value


def read(request: Request, response: Response, now: float | None = None, advice: str = KEY_ADVICE) -> Reply:
    """Turn a response into a reply.

    :param now: our own clock, seconds since the epoch. A rejected signature is told with how far it is off.
    :param advice: what to do where who asks is not accepted.
    :raises Throttled: for 429.
    :raises CredentialsRejected: for 401.
    :raises ApiError: for every other error of the service or the gateway, also one that comes with status 200.
    :raises UnreadableReply: if a success can't be read.
    """
    data, problem = response.parsed
    request_id = _request_id(response, data)
    if 200 <= response.status < 300:
        if problem:
            raise UnreadableReply(
                f"{_name(request)}: the reply (status {response.status}, {len(response.body)} bytes) {problem}: "
                f"{_excerpt(response.body, 120)}."
            )
        if isinstance(data, dict):
            code, other = data.get(_CODES[0]), data.get(_CODES[1])
            if (code and str(code) not in _GOOD_CODES) or (other and str(other) not in _GOOD_CODES):
                raise _error(ApiError, request, response, *find_error(data), request_id)
        return Reply(response.status, data, request_id, response.headers)
    code, detail = find_error(data)
    if problem:
        detail = _excerpt(response.body, 400)
        if response.truncated and _starts_as_json(response.body):
            detail = "its body was longer than what is read of it"
    if response.status == 429:
        limit = _LIMIT.search(detail)
        more: dict[str, Any] = {
            "limit": int(limit[1]) if limit else None,
            "window": throttle_window(detail),
        }
        raise _error(Throttled, request, response, code, detail, request_id, **more)
    if response.status == 401 and code not in _DENIED:
        raise _error(
            CredentialsRejected,
            request,
            response,
            code,
            detail,
            request_id,
            advice if rejects_proof(response) else _STRANGER,
            _clocks(response, now),
        )
    if 300 <= response.status < 400:
        detail = (
            "the endpoint redirects elsewhere, and a signed request does not follow; name the right endpoint"
        )
    raise _error(ApiError, request, response, code, detail, request_id)


def find_error(data: Any, depth: int = 8, most: int = 1000) -> tuple[str, str]:
    """The first error code and the message beside it, wherever they stand; empty strings where there are none.

    :param depth: how deep to look; a stranger decides how deep a reply goes.
    :param most: values to look at.
    """
    for value in islice(_walk(data, depth), most):
        if isinstance(value, dict):
            code = next((value[key] for key in _CODES if isinstance(value.get(key), str | int)), "")
            text = next((value[key] for key in _TEXTS if isinstance(value.get(key), str)), "")
            if code != "" or text:
                return one_line(str(code), 100), one_line(text)
    return "", ""


def _walk(data: Any, depth: int) -> Iterator[Any]:
    """A JSON value and those within it, each before its own members."""
    yield data
    if depth and isinstance(data, dict | list):
        for child in data.values() if isinstance(data, dict) else data:
            yield from _walk(child, depth - 1)


def said(response: Response) -> str:
    """What the body of an error says, whatever it is, without anything that may be a key."""
    data, problem = response.parsed
    return _excerpt(response.body, 200) if problem else " ".join(part for part in find_error(data) if part)


def is_missing(error: ApiError, *codes: str) -> bool:
    """Whether an error proves by a code of the service that what was asked for does not exist.

    A 404 alone proves nothing: a gateway or a proxy sends one for a wrong address, too (see `may_be_missing`).
    """
    return error.code in codes


def may_be_missing(error: ApiError) -> bool:
    """Whether a second read has to tell if what was asked for exists: a 404 that is not the gateway's own."""
    return error.status == 404 and not error.code.startswith("API")


def not_proven_missing(error: ApiError, second: str) -> ApiError:
    """The error for a 404 that a second read did not confirm.

    :param second: what the second read showed.
    """
    said = " ".join(part for part in (error.code, error.detail) if part) or "no text"
    return ApiError(
        f"404 without a known service code, which may come from a gateway or a proxy. {second} Check the endpoint, the "
        f"region and the proxy of the connection. [{error.service} {error.operation}: {said}, request ID "
        f"{error.request_id or 'unknown'}]",
        service=error.service,
        operation=error.operation,
        status=error.status,
        code=error.code,
        detail=error.detail,
        request_id=error.request_id,
        sent=error.sent,
    )


def rejects_proof(response: Response) -> bool:
    """Whether it is about who asks: a 401 that says so, but for the codes of services that mean a missing permission.

    One that says nothing is the page of something on the way, such as a proxy that wants a login.
    """
    if response.status != 401:
        return False
    code, text = find_error(response.data)
    return bool(code or text) and code not in _DENIED


def accepts_proof(response: Response) -> bool:
    """Whether it shows that the proof was looked at and is good: a success, or an error of the service behind it.

    A gateway that throttles or knows no such API, and a proxy that fails or redirects, need not have looked.
    """
    if 200 <= response.status < 300:
        return True
    if not 400 <= response.status < 500 or response.status == 429 or rejects_proof(response):
        return False
    code, _ = find_error(response.data)
    return bool(code) and not _OF_GATEWAY.match(code)


def throttle_window(text: str) -> float | None:
    """Seconds to wait after a throttle message such as ``limit:60,time:1 minute``; None where it names no window.

    The vendor's advice is the whole window, and 2 to 5 s where that is one second.
    """
    match = _WINDOW.search(text)
    if match is None:
        return None
    window = float(match[1] or 1) * _SECONDS[match[2].lower()]
    return max(window, 2.0)


def _starts_as_json(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[")


def _excerpt(body: bytes, length: int) -> str:
    """The beginning of what is not JSON, such as a proxy's page. Of spoilt JSON, nothing: there may be keys in it."""
    if not body.lstrip().startswith(b"<") and (b"{" in body or b"[" in body):
        return "spoilt JSON, it seems"
    return one_line(body.decode("utf-8", "replace"), length)


def _request_id(response: Response, data: Any) -> str:
    found = response.headers.get("x-request-id") or response.headers.get("x-iam-trace-id")
    if not found and isinstance(data, dict) and isinstance(data.get("request_id"), str):
        found = data["request_id"]
    return one_line(found, 100) if found else ""


def date_of(response: Response) -> float | None:
    """The clock of whoever replied, in seconds since the epoch; None where the reply does not tell."""
    return http_date(response.headers.get("date", ""))


def _clocks(response: Response, now: float | None) -> str:
    theirs = date_of(response)
    if theirs is None or now is None or abs(now - theirs) <= ODD_SKEW:
        return ""
    return f" This machine's clock is {apart(now - theirs)}, and a signature is refused from {MOST_SKEW:.0f} s on."


def apart(difference: float) -> str:
    """How far our clock is from the cloud's, in words.

    :param difference: ours less theirs, in seconds.
    """
    return f"{abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the cloud's clock"


def _retry_after(response: Response, detail: str) -> float | None:
    """Seconds, or a time by the service's own clock; else what the text of a throttle says."""
    stated = response.headers.get("retry-after", "").strip()
    if stated.isdecimal():
        return float(stated)
    then, now = http_date(stated), date_of(response)
    return throttle_window(detail) if then is None or now is None else max(then - now, 0.0)


def _name(request: Request) -> str:
    return f"{request.service} {request.operation}"


def _error(
    kind: type[ApiError],
    request: Request,
    response: Response,
    code: str,
    detail: str,
    request_id: str,
    advice: str = "",
    aside: str = "",
    **more: Any,
) -> ApiError:
    said = " ".join(part for part in (code, detail) if part) or "no text"
    hint = advice or _HINTS.get(403 if code in _DENIED else response.status)
    if hint is None and response.status >= 500:
        hint = "The fault is on the service's side; if it lasts, give its support the request id."
    if response.status == 401 and "limit" in detail.lower():
        hint = (
            "The key is locked for some minutes, because of failures in a row with it: a task or a tool uses it with a "
            "wrong secret key. Find that one, wait 5 minutes, then clear the task."
        )
    if code.endswith(".0101") and response.status == 404:
        hint = "No such API at this address: check the region and the endpoint of the connection."
    return kind(
        f"{_name(request)} was answered with {response.status}: {said} (request id {request_id or 'unknown'})."
        + (f" {hint}" if hint else "")
        + aside,
        service=request.service,
        operation=request.operation,
        status=response.status,
        code=code,
        detail=detail,
        request_id=request_id,
        retry_after=_retry_after(response, detail) if response.status in (429, 503) else None,
        **more,
    )
