"""Faults by script: which requests, how many of them, and what becomes of each.

A fault is an object with exactly one action:

``status``
    Another reply with this status, and with ``body`` and ``headers`` if given.
``throttle``
    A reply 429, with the ``limit`` and ``window`` of this object in its text, and ``retry_after`` if given.
``reset``, ``truncate``
    ``true``: the connection is reset, or ends in the middle of the reply.
``stall``
    Seconds without a reply, after which the connection ends.
``raw``, ``huge``
    A reply with this text, or with so many bytes.
``delay``
    Seconds until the request goes on as usual.

``match`` says which requests: ``operation``, ``service``, ``method`` and ``path``. The path is a whole one, in which
``*`` stands for any text, such as ``/v2/*/iam-sync``. ``skip`` of them pass first, then ``times`` of them (1; ``null``
for no end) are hit, before or after the service has worked (``when``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.emulator.messages import Call
from airflow_provider_cloudsync.emulator.paths import PathPattern, read_pattern
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader, check_depth

#: What can be done to a request; a fault does exactly one of these.
ACTIONS = ("status", "throttle", "reset", "stall", "truncate", "raw", "huge", "delay")
WHEN = ("before", "after")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")


@dataclass
class Fault:
    """A fault that is armed.

    :param action: one of `ACTIONS`.
    :param value: what the action is about: a status, seconds, a text, a number of bytes, limit and window.
    :param skip: so many matching requests pass first.
    :param times: then it strikes so often; None for ever.
    """

    action: str
    value: Any
    when: str
    skip: int
    times: int | None
    operation: str | None
    service: str | None
    method: str | None
    path: PathPattern | None
    headers: dict[str, str]
    body: Any
    retry_after: float | None
    matched: int = 0
    struck: int = 0

    def concerns(self, call: Call, service: str | None, operation: str | None) -> bool:
        """Return whether the request is one of those that it is for."""
        return (
            self.operation in (None, operation)
            and self.service in (None, service)
            and self.method in (None, call.method)
            and (self.path is None or self.path.matches(call.path))
        )

    @property
    def spent(self) -> bool:
        """Return whether it has struck as often as it should."""
        return self.times is not None and self.struck >= self.times

    def injected(self) -> dict[str, Any]:
        """What the journal says of it."""
        return {"when": self.when, self.action: self.value}

    def describe(self) -> dict[str, Any]:
        """The fault as JSON."""
        match = {"operation": self.operation, "service": self.service, "method": self.method}
        match["path"] = self.path.text if self.path else None
        return {
            "match": {key: value for key, value in match.items() if value is not None},
            **self.injected(),
            "skip": self.skip,
            "times": self.times,
            "matched": self.matched,
            "struck": self.struck,
        }


class Faults:
    """The armed faults, in the order given.

    :param services: names that a fault may name.
    :param operations: likewise; a misspelt name would be a fault that never strikes.
    :param is_known: tells whether an operation has a path.
    """

    def __init__(
        self,
        services: Collection[str],
        operations: Collection[str],
        is_known: Callable[[str], bool],
    ) -> None:
        self._is_known = is_known
        self._services = sorted(services)
        self._operations = sorted(operations)
        self._armed: list[Fault] = []

    def arm(self, specs: Any) -> None:
        """Add faults: all of them, or none when one is wrong.

        :raises BadInput: one is wrong.
        """
        check_depth(specs, "faults")
        readers = Reader({"faults": specs}, "").children("faults")
        self._armed.extend([self._read(reader) for reader in readers])

    def disarm(self) -> None:
        """Forget all faults."""
        self._armed.clear()

    def describe(self) -> list[dict[str, Any]]:
        """The faults that can still strike."""
        return [fault.describe() for fault in self._armed if not fault.spent]

    def pick(self, when: str, call: Call, service: str | None, operation: str | None) -> Fault | None:
        """The fault that strikes this request at this point, if any; it is counted."""
        for fault in self._armed:
            if fault.when != when or fault.spent or not fault.concerns(call, service, operation):
                continue
            fault.matched += 1
            if fault.matched > fault.skip:
                fault.struck += 1
                return fault
        return None

    def _read(self, reader: Reader) -> Fault:
        chosen = [action for action in ACTIONS if action in reader]
        if len(chosen) != 1:
            said = f"has {' and '.join(chosen)}" if chosen else "has none"
            raise BadInput(f"{reader.where} must hold exactly one of {', '.join(ACTIONS)}; it {said}")
        action = chosen[0]
        value = _action_value(reader, action)
        match = reader.child("match")
        pattern = match.text("path", None)
        times = None if reader.raw("times", 1) is None else reader.whole("times", 1, least=1)
        fault = Fault(
            action,
            value,
            reader.text("when", "before", choices=WHEN),
            reader.whole("skip", 0),
            times,
            match.text("operation", None, choices=self._operations),
            match.text("service", None, choices=self._services),
            match.text("method", None, choices=METHODS),
            None if pattern is None else read_pattern(pattern, match.at("path"), self._is_known),
            _headers(reader.child("headers")) if action == "status" else {},
            reader.raw("body") if action == "status" else None,
            reader.number("retry_after", None) if action == "throttle" else None,
        )
        match.done()
        reader.done()
        return fault


def _action_value(reader: Reader, action: str) -> Any:
    if action == "status":
        return reader.whole("status", least=200, most=599)
    if action == "throttle":
        inner = reader.child("throttle")
        value = {"limit": inner.whole("limit", 60), "window": inner.text("window", "1 minute")}
        inner.done()
        return value
    if action == "raw":
        return reader.text("raw")
    if action == "huge":
        return reader.whole("huge", least=1)
    if action in ("stall", "delay"):
        return reader.number(action)
    if not reader.flag(action):
        raise BadInput(f"{reader.at(action)} can only be true")
    return True


def _headers(reader: Reader) -> dict[str, str]:
    headers = {name: reader.text(name) for name in reader.keys()}
    for name, value in headers.items():
        if any(character in name + value for character in "\r\n\0"):
            raise BadInput(f"{reader.at(name)} must be a single line")
    return headers
