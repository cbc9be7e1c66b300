"""Error tree of this package.

::

    CloudSyncError
    ├── InvalidConnection     the Airflow connection lacks something or contradicts itself
    │   └── ConnectionNotFound  Airflow returns no connection of that ID, perhaps only for a moment
    ├── InvalidParameter      a parameter that no request can use (also a ValueError)
    ├── TransportError        no usable reply, so the effect is unknown: refused, reset, timed out, cut short
    │   └── UnreadableReply   a reply that is malformed or incomplete
    ├── ApiError              the service returned an error
    │   ├── Throttled         429: rate limit exceeded, nothing was executed
    │   └── CredentialsRejected  401: not retried, since five failures lock the key for all its users
    ├── SyncFailed            the synchronization ended without success
    ├── WaitTimedOut          the deadline passed; the synchronization may still be running
    └── InvalidEvent          a deferred task was resumed with something other than its trigger's report

All of them can be pickled. A trigger reports an error as plain JSON (`to_report`), and the resumed task raises it again
(`from_report`).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

__all__ = [
    "ApiError",
    "CloudSyncError",
    "ConnectionNotFound",
    "CredentialsRejected",
    "InvalidConnection",
    "InvalidEvent",
    "InvalidParameter",
    "SyncFailed",
    "Throttled",
    "TransportError",
    "UnreadableReply",
    "WaitTimedOut",
]

#: HTTP reason phrases ("notfound"). An intermediary may use one in place of an error code.
_PHRASES = frozenset(re.sub(r"\W", "", each.phrase).lower() for each in HTTPStatus)
_STATUS_NUMBER = re.compile(r"^(?:0|[1-5]\d\d)(?!\d)")
#: The shortest numeric codes of the services have four digits: ``0023``, ``1101``, ``12000003``. A shorter number is
#: what any gateway writes, and so are zeros and negative numbers.
_NUMERIC_CODE = re.compile(r"(?!0+\Z)\d{4,}\Z", re.ASCII)

#: Attribute -> its name in stored reports, where they differ. Stored: never change one.
_STORED_NAMES = {"permanent": "lasting"}


class CloudSyncError(Exception):
    """Base of all errors of this package.

    :param message: cause, consequence and action, without any secret.
    """

    #: True if an attempt before the last one may have been carried out.
    _in_doubt = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def in_doubt(self) -> bool:
        """True if an attempt before the last one may have been carried out."""
        return self._in_doubt

    @in_doubt.setter
    def in_doubt(self, doubt: bool) -> None:
        self._in_doubt = doubt

    def add_prefix(self, cause: str) -> None:
        """Put the cause before the message: pages and alerts show the beginning only."""
        self.message = f"{cause}: {self.message}"
        self.args = (self.message,)

    def add_subject(self, subject: str) -> None:
        """Append where it happened, in square brackets: in those of the request ID if the message ends with them.

        :param subject: left out if it is empty or in the message already.
        """
        if not subject or subject in self.message:
            return
        text, bracket, inside = self.message.rpartition(" [")
        if bracket and inside.endswith("]") and "request ID" in inside:
            self.message = f"{text} [{subject}, {inside}"
        else:
            self.message = f"{self.message} [{subject}]"
        self.args = (self.message,)

    def add_remark(self, remark: str) -> None:
        """Insert a subordinate sentence before the place at the end of the message."""
        text, bracket, place = self.message.rpartition(" [")
        self.message = (
            f"{text} {remark} [{place}" if bracket and place[-1:] == "]" else f"{self.message} {remark}"
        )
        self.args = (self.message,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self).__name__, self.message, self._details())

    def _details(self) -> dict[str, Any]:
        """Return the attributes besides the message, as plain JSON."""
        # Names with an underscore are Python's own, such as the notes that other code added.
        details = {name: value for name, value in vars(self).items() if name != "message" and name[0] != "_"}
        return {_STORED_NAMES.get(name, name): value for name, value in details.items()}

    def to_report(self) -> dict[str, Any]:
        """Describe this error as plain JSON, for the event of a trigger."""
        return {"error": type(self).__name__, "message": self.message, "details": self._details()}


class InvalidConnection(CloudSyncError):
    """The connection is incomplete or contradicts itself. The message names the field and what to enter there."""


class ConnectionNotFound(InvalidConnection):
    """Airflow returned no connection of that ID. It may do so again after a restart of the API server."""


class InvalidParameter(CloudSyncError, ValueError):
    """A parameter that no request can use; raised before anything is sent."""


class InvalidEvent(CloudSyncError):
    """A deferred task was resumed with something that is not the report of its trigger."""


class TransportError(CloudSyncError):
    """No usable reply, so the effect of the request is unknown.

    :param sent: False if the request was certainly not sent (no address, connection refused).
    :param permanent: True if another attempt cannot help, such as with an untrusted certificate.
    """

    def __init__(self, message: str, *, sent: bool = True, permanent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.permanent = permanent


class UnreadableReply(TransportError):
    """A reply that is cut short, is not JSON, or lacks a required field."""


class ApiError(CloudSyncError):
    """The service returned an error.

    :param message: complete text for the user.
    :param service: name of the service, as in the endpoint table.
    :param operation: name of the operation, in the service's documentation.
    :param status: HTTP status.
    :param code: error code of the service or its gateway; empty if the reply has none.
    :param detail: text of the service.
    :param request_id: for the service's support; empty if the reply has none.
    :param sent: False if the error is of a preceding request, such as the look-up of the project.
    :param retry_after: seconds that the service asks to wait; None if it does not state them.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str = "",
        operation: str = "",
        status: int = 0,
        code: str = "",
        detail: str = "",
        request_id: str = "",
        sent: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.sent = sent
        self.service = service
        self.operation = operation
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id

    @property
    def said(self) -> str:
        """Code and text of the service, for an error."""
        return quoted(self.code, self.detail)

    @property
    def facts(self) -> dict[str, Any]:
        """Fields that identify the reply, to raise another error about it."""
        names = ("service", "operation", "status", "code", "detail", "request_id", "sent")
        return {name: getattr(self, name) for name in names}

    @property
    def has_service_code(self) -> bool:
        """Return whether the body held an error code of the service or of its API gateway.

        Only an error code proves the sender. A bare HTTP status (``{"code": 404}``, ``{"code": "Not Found"}``) may come
        from any proxy or load balancer; among the services, only IAM uses status numbers as its codes.
        """
        return shows_service(self.service, self.status, self.code)


def quoted(code: str, detail: str) -> str:
    """Return a service's code and text in one line."""
    return " ".join(part for part in (code, detail) if part) or "no text"


def shows_service(service: str, status: int, code: str) -> bool:
    """Return whether an error code can only be of the service or its gateway; see `ApiError.has_service_code`."""
    return is_service_code(code) or (service == "iam" and code == str(status))


def is_service_code(code: str) -> bool:
    """Return whether an error code says more than an HTTP status does."""
    plain = re.sub(r"[\W_]", "", code).lower().removeprefix("http")
    if plain.isdecimal():
        return _NUMERIC_CODE.match(code) is not None
    plain = _STATUS_NUMBER.sub("", plain)
    return bool(plain) and plain not in _PHRASES


class Throttled(ApiError):
    """Rate limit exceeded; the service executed nothing.

    :param limit: number of calls allowed in a window; None if not stated.
    :param window: length of that window in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        limit: int | None = None,
        window: float | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message, **fields)
        self.limit = limit
        self.window = window


class CredentialsRejected(ApiError):
    """The gateway rejects the key or its signature."""


class SyncFailed(CloudSyncError):
    """The synchronization ended without success; the message gives the reason."""


class WaitTimedOut(CloudSyncError):
    """The deadline passed before the end.

    :param last_seen: text of the last poll.
    """

    def __init__(self, message: str, *, last_seen: str = "") -> None:
        super().__init__(message)
        self.last_seen = last_seen


def _tree(root: type[CloudSyncError]) -> dict[str, type[CloudSyncError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def _rebuild(name: str, message: str, details: dict[str, Any]) -> CloudSyncError:
    return _tree(CloudSyncError)[name](message, **_arguments(details))


def _arguments(details: dict[str, Any]) -> dict[str, Any]:
    names = {stored: name for name, stored in _STORED_NAMES.items()}
    return {names.get(name, name): value for name, value in details.items()}


def from_report(report: dict[str, Any]) -> CloudSyncError:
    """Make the error that `CloudSyncError.to_report` described.

    A name that this release does not know (the report is of another one) becomes the base class, with its message.
    """
    known = _tree(CloudSyncError).get(str(report.get("error")))
    message = str(report.get("message") or "no message")
    if known is None:
        return CloudSyncError(f"{report.get('error')}: {message}")
    details = report.get("details")
    try:
        return known(message, **_arguments(details if isinstance(details, dict) else {}))
    except TypeError:  # details of another release
        return known(message)
