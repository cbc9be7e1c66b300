"""A gateway that allows fewer calls than one poll needs: each poll goes on with the read that was refused."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.transport import drivers
from tests.support.mrs_waits import each_wait, operator_wait, sensor_wait

REFUSAL = b'{"error_code": "APIGW.0308", "error_msg": "The throttling threshold has been reached"}'


class Gateway:
    """Allows one call a minute, of each API or of all together.

    :param per_api: whether each API has a limit of its own.
    :param told: whether a refusal says for how long.
    """

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch, *, per_api: bool, told: bool) -> None:
        self._now = world.emulator.clock.now
        self._last: dict[str, float] = {}
        self._per_api, self._told = per_api, told
        self.refused = Counter[str]()
        send, asend = drivers._send, drivers._asend

        def sending(request: HttpRequest, *limit: float) -> Response:
            return self._refusal(request) or send(request, *limit)

        async def asending(session: Any, request: HttpRequest) -> Response:
            return self._refusal(request) or await asend(session, request)

        monkeypatch.setattr(drivers, "_send", sending)
        monkeypatch.setattr(drivers, "_asend", asending)

    def _refusal(self, request: HttpRequest) -> Response | None:
        api = f"{request.method} {urlsplit(request.url).path}" if self._per_api else ""
        left = self._last.get(api, -60.0) + 60 - self._now()
        if left > 0:
            self.refused[api] += 1
            return Response(429, {"retry-after": str(round(left) + 1)} if self._told else {}, REFUSAL)
        self._last[api] = self._now()
        return None


HOUR = 3600.0


@pytest.mark.parametrize("told", [True, False], ids=["with Retry-After", "without"])
@each_wait(operator_wait("c", 5.0), sensor_wait("c", 5.0, HOUR))
def test_one_call_a_minute_of_each_api(start_world, monkeypatch, wait, deferrable, told) -> None:
    """A poll of MRS reads the flag twice."""
    world = start_world({"c": {"seconds": 60}})
    gateway = Gateway(world, monkeypatch, per_api=True, told=told)
    wait(world, deferrable=deferrable)
    assert gateway.refused, "never refused"
    assert world.starts == 1


@pytest.mark.parametrize("deferrable", [False, True], ids=["poking", "deferred sensor"])
def test_one_call_a_minute_of_all(start_world, monkeypatch, deferrable) -> None:
    """Each minute brings one read further."""
    world = start_world({"c": {"seconds": 60}})
    wait = sensor_wait("c", 5.0, HOUR)
    MrsHook().sync_iam_users("c", user_names=["alice"])
    monkeypatch.setattr(MrsHook, "sync_iam_users", lambda *_, **__: None)
    gateway = Gateway(world, monkeypatch, per_api=False, told=True)
    wait(world, deferrable=deferrable)
    assert gateway.refused
