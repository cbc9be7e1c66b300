"""Large bodies under asyncio: parsed in a thread, one at a time, and none keeps the others from their replies."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api import messages
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY
from airflow_provider_cloudsync.api.services import iam
from airflow_provider_cloudsync.api.services.csms import calls as csms_calls
from airflow_provider_cloudsync.api.services.dataarts import calls as dataarts_calls
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport import asynchronous, drivers, responses
from tests.support.raw_server import Peer, Script
from tests.support.wire_drivers import (
    answers,
    http,
    one,
    raw_reply,
)

LARGE = json.dumps(["x" * 100] * 3000).encode()
ERROR = raw_reply(b'{"error_code": "X.1", "error_msg": "m", "more": "' + b"y" * 100_000 + b'"}', "503 Busy")


@pytest.fixture
def parsed_in(monkeypatch) -> list[bool]:
    """Whether each body was parsed in the main thread."""
    found: list[bool] = []
    original = messages.parse_body

    def parse(*body: Any, **settings: Any) -> Any:
        found.append(threading.current_thread() is threading.main_thread())
        return original(*body, **settings)

    monkeypatch.setattr(messages, "parse_body", parse)
    return found


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(raw_reply(b'{"a": 1}'), [True], id="small"),
        pytest.param(raw_reply(json.dumps(["x" * 100] * 100).encode()), [True], id="not small"),
        pytest.param(raw_reply(json.dumps(["x" * 100] * 200).encode()), [False], id="slow"),
        pytest.param(raw_reply(LARGE), [False], id="large"),
        pytest.param(ERROR, [False], id="error that was cut off"),
        pytest.param(
            raw_reply(gzip.compress(LARGE), "200 OK", "Content-Encoding: gzip"),
            [False],
            id="large, packed small",
        ),
    ],
)
def test_where_a_body_is_parsed(serve, parsed_in, reply, expected):
    response = asyncio.run(drivers.arun(one(http(serve(answers(reply)).url))))
    assert response.data
    assert response.data is response.data
    assert parsed_in == expected


@pytest.mark.parametrize("size", [responses.LARGE - 100, responses.LARGE, responses.LARGE + 1, 900_000])
def test_what_is_read_of_a_success(serve, drive, size):
    body = b'"' + b"x" * (size - 2) + b'"'
    response = drive(one(http(serve(answers(raw_reply(body))).url)))
    assert (len(response.body), len(response.data), response.truncated) == (size, size - 2, False)


def test_one_large_body_at_a_time(serve, monkeypatch):
    """Others wait for it, and small ones do not. All of them come in the end."""
    at_work: list[int] = []
    most: list[int] = []
    original = responses.Body.response

    def response(self: responses.Body) -> Any:
        at_work.append(1)
        most.append(len(at_work))
        try:
            return original(self)
        finally:
            at_work.pop()

    monkeypatch.setattr(responses.Body, "response", response)
    server = serve(answers(raw_reply(LARGE)))

    async def main() -> list[Any]:
        return await asyncio.gather(*(drivers.arun(one(http(server.url))) for _ in range(20)))

    assert all(len(reply.data) == 3000 for reply in asyncio.run(main()))
    assert most == [1] * 20


def stalling(stalled: threading.Event) -> Script:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(raw_reply(b'["' + b"x" * 300_000, length=400_000))
        stalled.set()
        peer.until_the_client_closes()

    return script


def test_a_large_body_that_stalls_does_not_stop_the_others(serve):
    stalled = threading.Event()

    slow, large, small = (
        serve(stalling(stalled)),
        serve(answers(raw_reply(LARGE))),
        serve(answers(raw_reply(b"{}"))),
    )
    hasty = messages.HttpSettings(connect_timeout=0.3, read_timeout=0.3)

    async def main() -> list[Any]:
        first = asyncio.create_task(drivers.arun(one(http(slow.url, http_settings=hasty))))
        assert await asyncio.to_thread(stalled.wait, 5)
        others = (drivers.arun(one(http(server.url))) for server in (large, small))
        return await asyncio.gather(first, *others, return_exceptions=True)

    lost, *replies = asyncio.run(main())
    assert isinstance(lost, TransportError)
    assert [reply.status for reply in replies] == [200, 200]


@pytest.mark.parametrize("hosts", [1, 3])
def test_hosts_that_stall_do_not_delay_a_large_body_of_another_host(serve, hosts):
    """They stall as long as they like: the other host is read meanwhile."""
    begun = [threading.Event() for _ in range(hosts)]
    slow = [serve(stalling(each)) for each in begun]
    large = serve(answers(raw_reply(LARGE)))

    async def main() -> Any:
        stalled = [asyncio.create_task(drivers.arun(one(http(each.url)))) for each in slow]
        for each in begun:
            assert await asyncio.to_thread(each.wait, 5)
        reply = await drivers.arun(one(http(large.url)))
        assert not any(each.done() for each in stalled)
        for each in stalled:
            each.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)
        return reply

    assert len(asyncio.run(main()).data) == 3000


def test_a_place_is_given_back_whatever_happens(serve):
    server = serve(answers(raw_reply(LARGE)))

    async def main() -> None:
        keeper = asyncio.create_task(drivers.arun(one(http(server.url))))
        await keeper

        def flow() -> Any:
            for _ in range(3):
                with pytest.raises(TransportError):
                    yield replace(http(server.url), max_reply=200_000)
            session = drivers._pool().session
            assert session is not None
            assert session.host(server.url + "/").large_bodies._value == asynchronous._LARGE_BODIES
            return (yield http(server.url)).status

        assert await drivers.arun(flow()) == 200

    asyncio.run(main())


def test_which_calls_need_long_replies():
    """Lists do; a state, a start and a sign-in do not."""
    assert iam.OWN_PROJECTS.max_reply == MAX_LIST_REPLY
    assert dataarts_calls._request("List", "w").max_reply == MAX_LIST_REPLY
    assert dataarts_calls._request("Show", "w", "/id").max_reply == messages.MAX_REPLY
    assert csms_calls._request("GET", "ShowSecretEvent", "/").max_reply == messages.MAX_REPLY


def test_one_body_that_is_not_small_in_a_turn_of_the_loop(serve, monkeypatch):
    """The replies of many waits may come at once. Each takes some milliseconds of the loop."""
    turns: list[int] = []
    turn = 0
    original = responses.Body.response

    def response(self: responses.Body) -> Any:
        turns.append(turn)
        return original(self)

    monkeypatch.setattr(responses.Body, "response", response)
    server = serve(answers(raw_reply(b'"' + b"x" * 4000 + b'"')))

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def main() -> None:
        counting = asyncio.create_task(count())
        await asyncio.gather(*(drivers.arun(one(http(server.url))) for _ in range(20)))
        counting.cancel()

    asyncio.run(main())
    assert len(set(turns)) == 20
