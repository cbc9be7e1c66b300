"""A driver for flows that answers each request by a function of it: no socket, no sleep, no clock but its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import (
    AcquireSlot,
    Cooldown,
    HttpRequest,
    Pause,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError

Answer = Callable[[HttpRequest], Any]


def drive(flow: Any, carry_out: Callable[[Any], Any]) -> Any:
    """Run a flow to its end: each message is carried out, and a `CloudSyncError` is raised in the flow."""
    try:
        message = next(flow)
        while True:
            try:
                result = carry_out(message)
            except CloudSyncError as error:
                message = flow.throw(error)
            else:
                message = flow.send(result)
    except StopIteration as end:
        return end.value


@dataclass
class Driver:
    """Answers each request by a function of it; time passes by pauses only."""

    answer: Answer
    now: float = 1_710_901_516.0
    sent: list[HttpRequest] = field(default_factory=list)
    shared: list[SingleFlight] = field(default_factory=list)

    def cloud(self, **more: Any) -> Cloud:
        given = {"region": "cn-north-4", "project_id": "p1", **more}
        return Cloud(KeyPair("ak", "sk"), lambda: self.now, **given)

    def run(self, flow: Any) -> Any:
        return drive(flow, self.carry_out)

    def carry_out(self, message: Any) -> Any:
        if isinstance(message, Pause):
            self.now += message.seconds
            return None
        if isinstance(message, AcquireSlot | Cooldown):
            return 0.0
        if isinstance(message, SingleFlight):
            self.shared.append(message)
            return self.run(message.make())
        assert isinstance(message, HttpRequest)
        self.sent.append(message)
        assert len(self.sent) < 30_000
        result = self.answer(message)
        if isinstance(result, CloudSyncError):
            raise result
        status, body = result if isinstance(result, tuple) else (200, result)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Response(status, self.headers(), raw)

    def headers(self) -> dict[str, str]:
        return {"x-request-id": f"r{len(self.sent)}"}

    def queries(self) -> list[dict[str, str]]:
        return [query(each) for each in self.sent]


def query(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
