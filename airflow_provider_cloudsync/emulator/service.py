"""What a service is to the rest of the emulator. A new one is a file in `services` and a line in its `SERVICES`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.account import Account
from airflow_provider_cloudsync.emulator.clock import Clock
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply, gateway_refusal
from airflow_provider_cloudsync.emulator.reading import Reader


@dataclass(frozen=True)
class Quota:
    """A documented limit of calls.

    :param per: whose calls are counted together, ``project`` or ``user``.
    """

    limit: int
    seconds: float
    per: str = "project"

    @property
    def window(self) -> str:
        """The window as the gateway's message writes it."""
        if self.seconds % 60 == 0:
            return f"{self.seconds / 60:g} minute"
        return f"{self.seconds:g} second"


@dataclass(frozen=True)
class Operation:
    """One call that a service answers.

    :param name: as the help center calls it.
    :param path: with placeholders, such as ``/v3/projects/{project_id}``.
    :param work: a function of the service and the call.
    :param public: it needs no credentials.
    :param chosen: whether it is this operation that a request asks for, where several share a path; the first that
        says yes is it.
    """

    name: str
    method: str
    path: str
    work: Callable[[Any, Call], Reply]
    quota: Quota | None = None
    public: bool = False
    chosen: Callable[[Call], bool] | None = None

    def takes(self, call: Call) -> bool:
        """Return whether a request to its path is for it."""
        return call.method == self.method and (self.chosen is None or self.chosen(call))

    def pattern(self) -> re.Pattern[str]:
        """What a request's path looks like when it is for this operation."""
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))


class Service(ABC):
    """A service's resources and what can be asked of them.

    :param section: the service's part of the scenario; reading it all is what validates it.
    """

    #: Its name in the journal, in faults and in the scenario.
    name: ClassVar[str]
    operations: ClassVar[tuple[Operation, ...]]
    #: Its part of the default scenario.
    default: ClassVar[Mapping[str, Any]] = {}
    #: The reply header that carries the request id.
    id_header: ClassVar[str] = "X-Request-Id"
    #: A token without a scope is good enough.
    takes_unscoped: ClassVar[bool] = False

    def __init__(self, section: Reader, account: Account, clock: Clock) -> None:
        self.account = account
        self.clock = clock
        self.load(section)
        section.done()

    @abstractmethod
    def load(self, section: Reader) -> None:
        """Build the resources that the scenario describes."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that a test may want to know of the resources, as JSON."""

    @abstractmethod
    def misuse(self, text: str) -> Refused:
        """The service's own words for a request that it can't read."""

    def denial(self, call: Call, operation: Operation) -> Refused:
        """What a caller is told who has no permission; the gateway's words, unless the service has its own."""
        text = f"The user is not authorized to access this API: no permission for {operation.name}"
        return gateway_refusal(403, "APIGW.0302", text, call.request_id)

    def json_body(self, call: Call) -> dict[str, Any]:
        """The JSON object in the body of `call`."""
        kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise self.misuse(f"Content-Type must be application/json, not {kind or 'absent'}")
        try:
            document = call.document
        except (ValueError, RecursionError):
            raise self.misuse("the request body is not JSON") from None
        if not isinstance(document, dict):
            raise self.misuse("the request body must be a JSON object")
        return document

    def whole_query(self, call: Call, name: str, default: int | None, least: int, most: int) -> int:
        """A query parameter that is a whole number within bounds; without a default it must be there."""
        text = call.asked(name)
        if text is None:
            if default is None:
                raise self.misuse(f"{name} is missing")
            return default
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not least <= int(text) <= most:
            raise self.misuse(f"{name} must be a whole number from {least} to {most}")
        return int(text)
