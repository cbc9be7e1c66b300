"""Everything that this package raises of its own accord.

::

    CloudSyncError
    ├── InvalidConnection     the Airflow connection lacks something or contradicts itself
    │   └── ConnectionNotFound  Airflow returns no connection of that ID, perhaps only for a moment
    ├── InvalidParameter      a parameter that no call could carry out (also a ValueError)
    ├── TransportError        no reply, so nothing is certain: refused, reset, timed out, cut short
    │   └── UnreadableReply   a reply came, but says nothing that can be relied on
    ├── ApiError              the service answered, and the answer is an error
    │   ├── Throttled         429: too many calls, nothing was carried out
    │   └── CredentialsRejected  401: never repeated, since five failures lock the key for everyone
    ├── SyncFailed            the synchronization ended, and not well
    ├── WaitTimedOut          the deadline came first; the synchronization may still be running
    └── InvalidEvent          a deferred task was resumed with something other than its trigger's report

They are plain Python and survive pickling. A trigger reports one as plain JSON (`to_report`), the resumed task
raises it again (`from_report`).
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

#: HTTP's own phrases ("notfound"): an intermediary may put one where a service has its error code.
_PHRASES = frozenset(re.sub(r"\W", "", each.phrase).lower() for each in HTTPStatus)
_STATUS_NUMBER = re.compile(r"^(?:0|[1-5]\d\d)(?!\d)")
#: The shortest numeric codes of the services have four digits: ``0023``, ``1101``, ``12000003``. A shorter number is
#: what any gateway writes, and so are zeros and negative numbers.
_NUMERIC_CODE = re.compile(r"(?!0+\Z)\d{4,}\Z", re.ASCII)

#: Attribute -> its name in stored reports, where they differ. Stored: never change one.
_STORED_NAMES = {"permanent": "lasting"}


class CloudSyncError(Exception):
    """The base of all errors of this package.

    :param message: what happened and what to do next, without any secret.
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

    def add_prefix(self, subject: str) -> None:
        """Say first what it is about: pages and alerts show the beginning of a message."""
        self.message = f"{subject}: {self.message}"
        self.args = (self.message,)

    def add_remark(self, remark: str) -> None:
        """Append what is subordinate to the cause."""
        self.message = f"{self.message} {remark}"
        self.args = (self.message,)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self).__name__, self.message, self._details())

    def _details(self) -> dict[str, Any]:
        """What beside the message makes this error, as plain JSON."""
        # Python keeps notes that others added under a name of its own; they are not ours to carry.
        details = {name: value for name, value in vars(self).items() if name != "message" and name[0] != "_"}
        return {_STORED_NAMES.get(name, name): value for name, value in details.items()}

    def to_report(self) -> dict[str, Any]:
        """Describe this error as plain JSON, for the event of a trigger."""
        return {"error": type(self).__name__, "message": self.message, "details": self._details()}


class InvalidConnection(CloudSyncError):
    """The connection lacks something or contradicts itself; says which field and what to put there."""


class ConnectionNotFound(InvalidConnection):
    """Airflow returned no connection of that ID; it can be back after a restart of the API server."""


class InvalidParameter(CloudSyncError, ValueError):
    """A parameter that no call could carry out; raised before anything is sent."""


class InvalidEvent(CloudSyncError):
    """A deferred task was resumed with something that is not the report of its trigger."""


class TransportError(CloudSyncError):
    """There was no usable reply, so it is not known what the service did.

    :param sent: False where the request certainly never left (no address, connection refused).
    :param permanent: True where another attempt cannot help, such as a certificate that is not trusted.
    """

    def __init__(self, message: str, *, sent: bool = True, permanent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.permanent = permanent


class UnreadableReply(TransportError):
    """A reply came, but it is cut short, is not JSON, or lacks what it must hold."""


class ApiError(CloudSyncError):
    """The service answered with an error.

    :param message: the whole sentence for the user.
    :param service: name of the service, as in the endpoint table.
    :param operation: name of the operation, in the service's own words.
    :param status: HTTP status.
    :param code: the service's or the gateway's error code, empty where the reply has none.
    :param detail: the service's own message.
    :param request_id: what the service's support asks for; empty where the reply has none.
    :param sent: False where the answer is to a call made beforehand, such as the look-up of the project.
    :param retry_after: seconds that the service asks to wait, None where it does not say.
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
        """Code and text of the service, as an error quotes them."""
        return quoted(self.code, self.detail)

    @property
    def facts(self) -> dict[str, Any]:
        """Fields that identify the reply, to raise another error about it."""
        names = ("service", "operation", "status", "code", "detail", "request_id", "sent")
        return {name: getattr(self, name) for name in names}

    @property
    def has_service_code(self) -> bool:
        """Return whether the body held an error code of the service or of its API gateway.

        Only such a code shows who answered. A bare HTTP status (``{"code": 404}``, ``{"code": "Not Found"}``) is what
        any proxy or load balancer writes; among the services, only IAM uses status numbers as its codes.
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
    """Too many calls; the service carried nothing out.

    :param limit: how many calls it takes in a window, where it says so.
    :param window: the length of that window in seconds.
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
    """The gateway does not accept the key or its signature."""


class SyncFailed(CloudSyncError):
    """The synchronization ended without success; the message says why."""


class WaitTimedOut(CloudSyncError):
    """The deadline came before the end.

    :param last_seen: what the last look at the service showed, in words.
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
    try:
        return known(message, **_arguments(report.get("details") or {}))
    except (TypeError, AttributeError):
        return known(message)
