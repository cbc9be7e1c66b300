"""The limit of one asker: it ends that asker's wait, and nobody else's."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import pytest

from airflow_provider_cloudsync.api.messages import Batched, Flow, HttpSettings, Pause, SingleFlight
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport import drivers
from tests.support.raw_server import Peer, Script
from tests.support.wire_drivers import (
    answers,
    http,
    raw_reply,
    silent,
)
from tests.support.wire_drivers import drive as drive
from tests.support.wire_drivers import serve as serve

SOON = 0.2
SLOW = HttpSettings(connect_timeout=60.0, read_timeout=60.0)
CUT = "No complete reply soon enough|no reply in time|not complete in time"


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    drivers.reset()
    yield
    drivers.reset()


def read(url: str) -> Flow[int]:
    reply = yield http(url, http_settings=SLOW)
    return reply.status


def read_all(url: str, parts: Any) -> Flow[dict[Any, int]]:
    status = yield from read(url)
    return dict.fromkeys(parts, status)


def alone(url: str, limit: float | None) -> SingleFlight:
    return SingleFlight("one", lambda: read(url), limit=limit)


def common(url: str, limit: float | None) -> Batched:
    return Batched("many", f"part for {limit}", lambda parts: read_all(url, parts), limit=limit)


def nested(url: str, limit: float | None) -> SingleFlight:
    """As the poll that signs in first."""
    return SingleFlight(
        "outer", lambda: ask(SingleFlight("inner", lambda: read(url), is_fresh=lambda _: True)), limit=limit
    )


def paused(url: str, limit: float | None) -> SingleFlight:
    return SingleFlight("pause", lambda: ask(Pause(60.0)), limit=limit)


def ask(message: Any) -> Flow[Any]:
    return (yield message)


each_message = pytest.mark.parametrize("message", [alone, common, nested])


@pytest.mark.parametrize("message", [alone, common, nested, paused])
def test_it_ends_the_wait_of_a_single_asker(serve, drive, message) -> None:
    """And what it waited for: nobody else wants it."""
    server = serve(silent)
    with pytest.raises(TransportError, match=CUT):
        drive(ask(message(server.url, SOON)))
    assert all(ended.wait(5) for ended in server.ended)


@each_message
@pytest.mark.parametrize("limit", [None, 30.0])
def test_it_is_no_matter_where_there_is_a_reply(serve, drive, message, limit) -> None:
    assert drive(ask(message(serve(answers(raw_reply())).url, limit))) == 200


def answers_after(event: threading.Event) -> Script:
    """Reply to one request when an event is set."""

    def script(peer: Peer) -> None:
        peer.read()
        event.wait(10)
        peer.send(raw_reply())
        peer.until_the_client_closes()

    return script


@each_message
@pytest.mark.parametrize("other", [None, 30.0])
def test_one_read_serves_who_has_more_time(serve, message, other) -> None:
    """The read goes on after the first asker has left, and is the only one."""
    left = threading.Event()
    server = serve(answers_after(left))

    async def hasty() -> None:
        with pytest.raises(TransportError, match=CUT):
            await drivers.arun(ask(message(server.url, SOON)))
        left.set()

    async def main() -> int:
        patient = asyncio.ensure_future(drivers.arun(ask(message(server.url, other))))
        await asyncio.gather(hasty(), hasty(), patient)
        return patient.result()

    assert asyncio.run(main()) == 200
    assert len(server.requests) == 1


def test_a_thread_waits_no_longer_for_another_one(serve) -> None:
    """Such as for its sign-in, which goes on."""
    left = threading.Event()
    server = serve(answers_after(left))
    results: list[Any] = []
    asked = threading.Event()

    def sign_in() -> Flow[int]:
        asked.set()
        return (yield from read(server.url))

    shared = SingleFlight("sign-in", sign_in, is_fresh=lambda _: True)
    other = threading.Thread(target=lambda: results.append(drivers.run(ask(shared))))
    other.start()
    assert asked.wait(5)
    with pytest.raises(TransportError, match=CUT):
        drivers.run(ask(SingleFlight("poll", lambda: ask(shared), limit=SOON)))
    left.set()
    other.join(10)
    assert results == [200]
    assert len(server.requests) == 1
    # What it brought is there for all.
    assert drivers.run(ask(SingleFlight("poll", lambda: ask(shared), limit=SOON))) == 200


def test_of_nested_limits_the_first_one_counts(serve, drive) -> None:
    server = serve(silent)
    inner = SingleFlight("inner", lambda: read(server.url), limit=60.0)
    with pytest.raises(TransportError, match=CUT):
        drive(ask(SingleFlight("outer", lambda: ask(inner), limit=SOON)))


def test_a_flow_of_its_own_has_no_limit(serve) -> None:
    assert drivers.run(read(serve(answers(raw_reply())).url), end=math.inf) == 200
