"""The documented limits of calls, kept per operation over a sliding window."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from airflow_provider_cloudsync.emulator.clock import Clock, instant
from airflow_provider_cloudsync.emulator.messages import Call, Reply, gateway_refusal
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Quota


class Quotas:
    """Counts calls and refuses those that are too many.

    :param setting: the scenario's word: true, false, or objects that override single operations.
    :param operations: all operations, by name.
    """

    def __init__(self, setting: Any, operations: Mapping[str, Operation], clock: Clock) -> None:
        self._clock = clock
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._quotas = {name: each.quota for name, each in operations.items() if each.quota is not None}
        if setting is False:
            self._quotas = {}
        elif setting is not True:
            self._override(setting, operations)

    def _override(self, setting: Any, operations: Mapping[str, Operation]) -> None:
        reader = Reader(setting, "quotas")
        for name in reader.keys():
            if name not in operations:
                known = ", ".join(sorted(operations))
                raise BadInput(f"quotas.{name} is not known; the operations are {known}")
            if reader.raw(name) is False:
                self._quotas.pop(name, None)
                continue
            row = reader.child(name)
            usual = operations[name].quota or Quota(0, 60)
            self._quotas[name] = Quota(
                row.whole("limit", usual.limit),
                row.number("seconds", usual.seconds),
                row.text("per", usual.per, choices=("project", "user")),
            )
            row.done()

    def admit(self, operation: Operation, call: Call) -> None:
        """Count `call`, or refuse it when as many as allowed came within the window; a refused one is not counted."""
        quota = self._quotas.get(operation.name)
        if quota is None:
            return
        user = call.identity.user_id if call.identity else ""
        holder = call.parts.get("project_id", "") if quota.per == "project" else user
        now = self._clock.gateway_now()
        calls = self._calls.setdefault((operation.name, holder), deque())
        while calls and calls[0] <= instant(now - quota.seconds):
            calls.popleft()
        if len(calls) >= quota.limit:
            raise gateway_refusal(
                429, "APIGW.0308", throttle_text(quota.limit, quota.window), call.request_id
            )
        calls.append(now)


def throttle_text(limit: int, window: str) -> str:
    """The message of a throttled call; clients read the figures out of it."""
    return f"Too many requests: policy user over ratelimit,limit:{limit},time:{window}"


def throttled(limit: int, window: str, retry_after: float | None, request_id: str) -> Reply:
    """The gateway's 429, with ``Retry-After`` if wanted."""
    reply = gateway_refusal(429, "APIGW.0308", throttle_text(limit, window), request_id).reply
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Reply(reply.body, 429, headers)
