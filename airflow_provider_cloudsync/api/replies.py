"""Reading of replies: the data of the service, or an error that says what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.error_bodies import (
    Clean,
    error_code_of,
    find_error,
    is_all_error,
    is_of_caller,
    names_code,
)
from airflow_provider_cloudsync.api.messages import Request, Response
from airflow_provider_cloudsync.api.redaction import NO_SECRETS, Secrets
from airflow_provider_cloudsync.api.text import LONGEST_READ, one_line
from airflow_provider_cloudsync.api.throttling import throttle_limit, throttle_window
from airflow_provider_cloudsync.api.times import http_date
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CredentialsRejected,
    Throttled,
    UnreadableReply,
    shows_service,
)

#: COC writes one of these beside a result with status 200; everything else under error_code is an error.
_GOOD_CODES = ("", "0", "COC.00000000", "GOM.00000000")
#: Codes of the services themselves that mean "not allowed", whatever the status beside them.
_DENIED = ("12000136", "00000010", "HSS.0010", "HSS.0013")
#: Seconds between two clocks from which on a signature is refused, and from which on somebody should know.
MOST_SKEW, ODD_SKEW = 900.0, 60.0
#: What the gateway says before or instead of looking at the proof; 03xx but for 0301 and 0307 is after that.
_OF_GATEWAY = re.compile(r"API(GW|G)\.(0[0-24-9]|030[178])")
#: A request ID as the services write it. Anything else in its place may be an echo of the request.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")
#: The gateway's text for a locked access key, and IAM's for a locked user or account.
_KEY_LOCK = re.compile(r"\b(ak|access key)\b.{0,60}(\breach(ed|es)? the limit|\block)", re.IGNORECASE)
_USER_LOCK = re.compile(
    r"\b(user|account)\b.{0,60}\block(ed)?\b|\block(ed)?\b.{0,60}\b(user|account)\b", re.IGNORECASE
)

KEY_ADVICE = (
    "Check access key (Login), secret key (Password) and the clock of this machine. No retry: more than five failures "
    "in a row lock the key for 5 minutes."
)
_KEY_LOCKED = (
    "A task or a tool uses this key with a wrong secret key, and failures in a row lock it for some minutes. Find that "
    "task, wait 5 minutes, then clear this one."
)
_USER_LOCKED = (
    "A task or a tool uses a wrong password, and failed sign-ins lock the user. Find that task, wait until the lock "
    "ends (console: IAM, Security Settings, Login Authentication Policy), then clear this one."
)
#: For a page or plain text: every service answers with JSON.
_BY_INTERMEDIARY = (
    "The reply has no error code of the service: a proxy, a firewall or a load balancer sent it. Check the endpoint "
    "and the proxy of the connection."
)
_UNSIGNED = (
    "The reply has no error code of the service, so it may come from an intermediary, such as a proxy or a firewall: "
    "check the endpoint and the proxy of the connection"
)
#: Second advice for a reply without a service code, in case the service sent it.
_THEN = {
    400: ", then check the IDs and names given to the task.",
    401: ", then its credentials.",
    403: ", then the permissions of its user and the project.",
    404: ", then the ID, the region and the project.",
    429: ", then run fewer tasks in parallel, in case it is the rate limit of the service.",
}
#: Status -> cause and advice.
_CAUSES = {
    400: ("Request rejected", "Check the IDs and names given to the task."),
    403: ("Permission denied", "Check the permissions of the connection's user and the project."),
    404: ("Not found", "Check the ID, the region and the project of the connection."),
    405: ("Call not supported by the endpoint", "Check the endpoint of the connection."),
    429: (
        "The rate limit of the service is exhausted",
        "Run fewer tasks in parallel or raise poll_interval.",
    ),
}
_REDIRECT = "Signed requests do not follow redirects. Set the right endpoint in the connection."
_SERVICE_FAULT = "If it lasts, contact the service's support with the request ID."


@dataclass(slots=True)
class Reply:
    """A reply of a service.

    :param data: the JSON of the body, None where there is no body.
    :param request_id: for the service's support; empty where the reply has none.
    :param headers: reply headers. They may hold a token, so the repr omits them.
    :param sent_at: time at which the request was sent, in seconds since the epoch by this machine's clock.
    :param received_at: time at which the reply was complete.
    """

    status: int
    data: Any = field(repr=False)
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sent_at: float | None = None
    received_at: float | None = None

    @property
    def date(self) -> float | None:
        """Return the time of the service's clock, in seconds since the epoch; None where the reply has none."""
        return http_date(self.headers.get("date", ""))

    @property
    def clock(self) -> ServiceClock:
        """Return the service's clock and this machine's difference from it."""
        return ServiceClock.measured(self.date, self.sent_at, self.received_at)

    def field(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """Return a required field of the reply.

        :raises UnreadableReply: if the field is missing or of another type. A missing field never means "false".
        """
        value = self.data.get(name) if isinstance(self.data, dict) else None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise UnreadableReply(
                f'The reply has no usable "{name}". [request ID {self.request_id or "unknown"}]'
            )
        return value


def read(
    request: Request,
    response: Response,
    now: float | None = None,
    advice: str = KEY_ADVICE,
    secrets: Secrets = NO_SECRETS,
) -> Reply:
    """Turn a response into a reply.

    :param now: this machine's clock, in seconds since the epoch. The error of a rejected signature names a difference.
    :param advice: advice for rejected credentials.
    :param secrets: secrets that no text may show: those of the connection and those that the request carried.
    :raises Throttled: for 429.
    :raises CredentialsRejected: for 401.
    :raises ApiError: for every other error of the service or the gateway, also one with status 200.
    :raises UnreadableReply: if a success cannot be read.
    """
    clean, clean_code = secrets.redact, secrets.redact_code
    # The JSON itself is in no variable: error reporters show the variables of a frame.
    problem = response.parsed.problem
    request_id = _request_id(response, response.data, clean)
    if 200 <= response.status < 300:
        if problem:
            raise UnreadableReply(
                f"The reply is unusable ({response.status}, {len(response.body)} bytes) because it {problem}: "
                f"{_sentence(_excerpt(response.body, 120, clean))} {_place(request, request_id)}"
            )
        if _is_error(response.data):
            raise _error(
                ApiError,
                request,
                response,
                *find_error(response.data, clean, clean_code),
                request_id,
            )
        data = response.data if request.verbatim else response.redacted(secrets)
        return Reply(response.status, data, request_id, response.headers)
    code, detail = find_error(response.data, clean, clean_code)
    page = bool(problem) and not _is_malformed_json(response.body)
    if problem:
        detail = _excerpt(response.body, 400, clean)
        if response.truncated and _starts_as_json(response.body):
            detail = "the body is longer than the part that is read"
    if response.status == 429:
        more: dict[str, Any] = {
            "limit": throttle_limit(_text(response)),
            "window": throttle_window(_text(response)),
        }
        raise _error(Throttled, request, response, code, detail, request_id, page=page, **more)
    if response.status == 401 and code not in _DENIED:
        raise _error(
            CredentialsRejected,
            request,
            response,
            code,
            detail,
            request_id,
            page=page,
            advice=advice if rejects_credentials(response) else "",
            aside=_clocks(response, now),
        )
    if 300 <= response.status < 400:
        page, detail = False, "the endpoint redirects to another address"
    raise _error(ApiError, request, response, code, detail, request_id, page=page)


def _is_error(data: Any) -> bool:
    """Return whether the JSON of a success is an error all the same."""
    return isinstance(data, dict) and (error_code_of(data) not in _GOOD_CODES or is_all_error(data))


def said(response: Response, secrets: Secrets = NO_SECRETS) -> str:
    """Return the code and the text in the body of an error in one line, without secrets."""
    return " ".join(part for part in code_and_text(response, secrets) if part)


def code_and_text(response: Response, secrets: Secrets) -> tuple[str, str]:
    """Return the code and the text in the body of an error, JSON or not, without secrets."""
    clean = secrets.redact
    data, problem = response.parsed
    return (
        ("", _excerpt(response.body, 200, clean)) if problem else find_error(data, clean, secrets.redact_code)
    )


def lock_advice(text: str) -> str:
    """Return the advice for a lock that the text of an error names; empty if it names none."""
    if _KEY_LOCK.search(text):
        return _KEY_LOCKED
    return _USER_LOCKED if _USER_LOCK.search(text) else ""


def is_missing(error: ApiError, *codes: str) -> bool:
    """Return whether an error has a service code that proves that the target does not exist.

    A 404 alone proves nothing: a gateway or a proxy returns one for a wrong address, too (see `may_be_missing`).
    """
    return error.code in codes


def may_be_missing(error: ApiError) -> bool:
    """Return whether a second read has to decide if the target exists: a 404 that is not the gateway's own."""
    return error.status == 404 and not error.code.startswith("API")


def not_proven_missing(error: ApiError, second: str) -> ApiError:
    """Return the error for a 404 that a second read did not confirm.

    :param second: result of the second read, as a sentence.
    """
    return ApiError(
        f"404 without a known service code, which may come from a gateway or a proxy: {_sentence(error.said)} {second} "
        f"Check the endpoint, the region and the proxy of the connection. [{error.service} {error.operation}, request "
        f"ID {error.request_id or 'unknown'}]",
        **error.facts,
    )


def rejects_credentials(response: Response) -> bool:
    """Return whether a 401 is about the credentials, and not about a missing permission.

    A 401 without a service's code or form comes from an intermediary, such as an authenticating proxy.
    """
    if response.status != 401:
        return False
    data = response.data
    return is_of_caller(data, response.status) and find_error(data)[0] not in _DENIED


def accepts_credentials(response: Response) -> bool:
    """Return whether a reply shows that the credentials are valid: a success, or an error of the service itself.

    A gateway that throttles or has no such API, and a proxy that fails or redirects, may not have checked them.
    """
    if 200 <= response.status < 300:
        return True
    if not 400 <= response.status < 500 or response.status == 429 or rejects_credentials(response):
        return False
    data = response.data
    return names_code(data, response.status) and not _OF_GATEWAY.match(find_error(data)[0])


def _starts_as_json(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[")


def _excerpt(body: bytes, length: int, clean: Clean) -> str:
    """Return the beginning of a body that is not JSON. Malformed JSON is not shown, because it may hold keys."""
    if _is_malformed_json(body):
        return "malformed JSON (not shown)"
    return one_line(clean(body[:LONGEST_READ].decode("utf-8", "replace")), length)


def _is_malformed_json(body: bytes) -> bool:
    """Return whether a body that is not JSON was meant to be, such as a reply that was cut."""
    return not body.lstrip().startswith(b"<") and (b"{" in body or b"[" in body)


def _request_id(response: Response, data: Any, clean: Clean) -> str:
    """Return the request ID: the first one that looks like an ID and holds no secret."""
    named = [response.headers.get(name) for name in ("x-request-id", "x-iam-trace-id")]
    named.append(data.get("request_id") if isinstance(data, dict) else None)
    return next(
        (
            each
            for each in named
            if isinstance(each, str) and _REQUEST_ID.fullmatch(each) and clean(each) == each
        ),
        "",
    )


def date_of(response: Response) -> float | None:
    """Return the ``Date`` of a reply in seconds since the epoch; None where it has none."""
    return http_date(response.headers.get("date", ""))


def _clocks(response: Response, now: float | None) -> str:
    theirs = date_of(response)
    if theirs is None or now is None or abs(now - theirs) <= ODD_SKEW:
        return ""
    return (
        f"This machine's clock is {apart(now - theirs)}; signatures are rejected from {MOST_SKEW:.0f} s on."
    )


def apart(difference: float) -> str:
    """Return the difference of this machine's clock from the cloud's, in words.

    :param difference: this machine's time less the cloud's, in seconds.
    """
    return f"{abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the cloud's clock"


def _text(response: Response) -> str:
    """Return the unredacted text of an error, to read figures from. Never shown."""
    data, problem = response.parsed
    return _excerpt(response.body, 400, str) if problem else find_error(data)[1]


def _retry_after(response: Response) -> float | None:
    """Return the seconds to wait, from the ``Retry-After`` header or the text of a throttled call."""
    stated = response.headers.get("retry-after", "").strip()
    if stated.isdecimal():
        return float(stated)
    then, now = http_date(stated), date_of(response)
    return throttle_window(_text(response)) if then is None or now is None else max(then - now, 0.0)


def _sentence(text: str) -> str:
    return f"{text.rstrip('.') or 'no text'}."


def _place(request: Request, request_id: str) -> str:
    return f"[{request.name}, request ID {request_id or 'unknown'}]"


def _error(
    kind: type[ApiError],
    request: Request,
    response: Response,
    code: str,
    detail: str,
    request_id: str,
    *,
    page: bool = False,
    advice: str = "",
    aside: str = "",
    **more: Any,
) -> ApiError:
    cause, hint = _cause(request, response.status, code, detail, page=page, advice=advice)
    status = f"{response.status} {code}".rstrip()
    parts = (f"{cause} ({status}): {_sentence(detail)}", hint, aside, _place(request, request_id))
    return kind(
        " ".join(filter(None, parts)),
        service=request.service,
        operation=request.operation,
        status=response.status,
        code=code,
        detail=detail,
        request_id=request_id,
        retry_after=_retry_after(response) if response.status in (429, 503) else None,
        **more,
    )


def _cause(
    request: Request, status: int, code: str, detail: str, *, page: bool, advice: str
) -> tuple[str, str]:
    """Return the cause of an error and the advice, by sender, status, code and text."""
    if page:
        return "Rejected by an intermediary, not by the service", _BY_INTERMEDIARY
    lock = lock_advice(detail) if status in (400, 401, 403) else ""
    if lock:
        return "Access key locked" if lock is _KEY_LOCKED else "User locked", lock
    if advice:
        return "Access key rejected" if advice.endswith(KEY_ADVICE) else "Credentials rejected", advice
    if code.endswith(".0101") and status == 404:
        return "No such API at this address", "Check the region and the endpoint of the connection."
    if 400 <= status < 500 and not shows_service(request.service, status, code):
        return "Rejected without a service code", _UNSIGNED + _THEN.get(status, ".")
    if 300 <= status < 400:
        return "Redirected", _REDIRECT
    if status >= 500:
        return "Service error", _SERVICE_FAULT
    return _CAUSES.get(403 if code in _DENIED else status, ("Request rejected", ""))
