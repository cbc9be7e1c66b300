"""The probe of a key: no host that hangs holds up another, nobody waits past its own deadline, and no key is locked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api import key_guard
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.key_guard import HEAD_START, LOCK_TIME
from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings, Request, Response
from airflow_provider_cloudsync.api.replies import Reply
from airflow_provider_cloudsync.api.retries import delay_for
from airflow_provider_cloudsync.exceptions import ApiError, CredentialsRejected, TransportError
from airflow_provider_cloudsync.transport import coalescing, drivers
from tests.support.scripted_network import START, Stage, answer

READ = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)
HOSTS = {
    "mrs": "mrs",
    "hss": "hss",
    "csms": "kms",
    "dataartsstudio": "dayu",
    "iam": "iam",
    "sts": "sts",
    "coc": "coc",
}
REFUSED = answer(401, {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"})
GOOD = answer(200, {"ok": 1})

pytestmark = pytest.mark.usefixtures("no_chance")


def request(service: str) -> Request:
    return replace(READ, service=service)


class Timers:
    """In place of the loop's own: they end when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._set: list[tuple[float, Timer]] = []

    def __call__(self, seconds: float, what: Callable[[], object]) -> Timer:
        timer = Timer(what)
        self._set.append((self.now + seconds, timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, with all that happens in it."""
        end = self.now + seconds
        await settle()
        while due := [each for each in self._set if each[0] <= end and each[1].what is not None]:
            self.now, timer = min(due, key=lambda each: each[0])
            what, timer.what = timer.what, None
            assert what is not None
            what()
            await settle()
        self.now = end


class Timer:
    def __init__(self, what: Callable[[], object]) -> None:
        self.what: Callable[[], object] | None = what

    def cancel(self) -> None:
        self.what = None


async def settle() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


class World:
    """Hosts that hang until they are let go, under asyncio.

    :param hanging: names of hosts.
    """

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = stage
        self.timers = Timers()
        self.sent: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.answers: dict[str, Response | TransportError] = {}
        kept = coalescing.ResultCache()
        monkeypatch.setattr(
            drivers,
            "AsyncSingleFlight",
            lambda **_: coalescing.AsyncSingleFlight(stage.clock, kept=kept, timer=self.timers),
        )
        monkeypatch.setattr(drivers, "_asend", self._asend)
        # The import of the library takes a thread, and so time that no clock here knows of.
        monkeypatch.setattr(drivers, "make_ready", self._make_ready)

    async def _make_ready(self) -> None:
        pass

    async def _asend(self, session: Any, request: HttpRequest) -> Response:
        host = request.pieces()[1].partition(".")[0]
        self.sent.append(host)
        if host in self.gates:
            await self.gates[host].wait()
        found = self.answers.get(host, GOOD)
        if isinstance(found, TransportError):
            raise found
        return found

    def hang(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            self.gates[host] = asyncio.Event()

    def begin(self, service: str, path: str = READ.path, **more: Any) -> asyncio.Task[Any]:
        keys = KeyPair("AKIDAKIDAKIDAKID", "SKSKSKSK")
        given = {"region": "cn-north-4", "project_id": "p1", "domain_id": "d1", "attempts": 1, **more}
        cloud = Cloud(credentials=keys, clock=self.stage.clock, **given)
        return asyncio.create_task(drivers.arun(call(cloud, replace(request(service), path=path))))


@pytest.fixture
def world(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(stage, monkeypatch)


@pytest.mark.parametrize("hanging", [["hss"], ["hss", "kms"], ["hss", "kms", "dayu"]], ids="-".join)
def test_a_host_that_hangs_holds_up_another_for_no_longer_than_its_head_start(world, hanging):
    async def main() -> None:
        world.hang(hanging)
        services = {host: service for service, host in HOSTS.items()}
        hung = []
        for host in hanging:
            hung.append(world.begin(services[host]))
            await settle()
        asked = world.begin("mrs")
        await settle()
        assert world.sent == hanging[:1]
        await world.timers.advance(HEAD_START * len(hanging) - 0.1)
        assert "mrs" not in world.sent
        await world.timers.advance(0.2)
        assert (await asked).data == {"ok": 1}
        # The key is good: nobody has to wait any more, not even at the host that hangs.
        await settle()
        assert isinstance(await world.begin("iam"), Reply)
        assert not any(each.done() for each in hung)
        for gate in world.gates.values():
            gate.set()
        await world.timers.advance(HEAD_START)
        assert all(isinstance(each, Reply) for each in await asyncio.gather(*hung))
        assert Counter(world.sent) == {**dict.fromkeys(hanging, 1), "mrs": 1, "iam": 1}

    asyncio.run(main())


def test_a_thousand_with_a_wrong_key_at_hosts_that_all_hang(world):
    async def main() -> None:
        world.hang(HOSTS.values())
        world.answers = dict.fromkeys(HOSTS.values(), REFUSED)
        tasks = [world.begin(service) for service in list(HOSTS) * 143]
        await settle()
        counts = [len(world.sent)]
        for _ in range(6):
            await world.timers.advance(HEAD_START)
            counts.append(len(world.sent))
        assert counts == [1, 2, 3, 4, 4, 4, 4]
        for gate in world.gates.values():
            gate.set()
        await world.timers.advance(100)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert len(world.sent) == len(set(world.sent)) == 4
        assert {type(each) for each in errors} == {CredentialsRejected, TransportError}
        assert sum(each.sent for each in errors) == 4
        # Later ones are refused at once, at all hosts.
        for service in HOSTS:
            with pytest.raises(CredentialsRejected):
                await world.begin(service)
        assert len(world.sent) == 4

    asyncio.run(main())


@pytest.mark.parametrize("latency", [0.0, HEAD_START - 0.1])
def test_a_thousand_with_a_wrong_key_at_hosts_that_answer(world, latency):
    async def main() -> None:
        world.hang(HOSTS.values())
        world.answers = dict.fromkeys(HOSTS.values(), REFUSED)
        tasks = [world.begin(service) for service in list(HOSTS) * 143]
        await world.timers.advance(latency)
        for gate in world.gates.values():
            gate.set()
        await world.timers.advance(100)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(each) for each in errors} == {CredentialsRejected}
        assert len(world.sent) == 1

    asyncio.run(main())


def test_a_key_that_was_good_is_guarded_alike(world):
    """It may have been deactivated since, or this machine's clock been set."""

    async def main() -> None:
        await world.begin("mrs")
        world.stage.now += 60
        world.sent.clear()
        world.hang(HOSTS.values())
        world.answers = dict.fromkeys(HOSTS.values(), REFUSED)
        tasks = [world.begin(service) for service in list(HOSTS) * 20]
        await world.timers.advance(50)
        for gate in world.gates.values():
            gate.set()
        await world.timers.advance(100)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(world.sent) == len(set(world.sent)) == 4

    asyncio.run(main())


DEADLINES = [
    # id, what the cloud has, seconds after which the asker is told
    ("its own", {"give_up_at": START + 5.0}, 5.0),
    ("less than a head start", {"give_up_at": START + 1.0}, 1.0),
    ("over", {"give_up_at": START - 5.0}, 0.0),
    ("none, so its timeouts", {}, 70.0),
    ("later than its timeouts", {"give_up_at": START + 4000.0}, 70.0),
]


@pytest.mark.parametrize(("more", "seconds"), [pytest.param(*case[1:], id=case[0]) for case in DEADLINES])
def test_nobody_waits_for_a_probe_past_its_own_deadline(world, more, seconds):
    async def main() -> None:
        world.hang(["hss"])
        hung = world.begin("hss")
        await settle()
        asked = world.begin("hss", **more)
        await world.timers.advance(max(seconds - 0.1, 0.0))
        assert asked.done() is (seconds == 0)
        await world.timers.advance(0.2)
        with pytest.raises(
            TransportError, match="probe request for this access key is still unanswered"
        ) as caught:
            await asked
        assert (caught.value.sent, caught.value.permanent) == (False, False)
        assert world.sent == ["hss"]
        world.gates["hss"].set()
        assert isinstance(await hung, Reply)

    asyncio.run(main())


def test_a_deadline_bounds_the_wait_for_a_place_beside_four_that_hang(world):
    async def main() -> None:
        world.hang(HOSTS.values())
        tasks = []
        for service in ("hss", "csms", "dataartsstudio", "iam"):
            tasks.append(world.begin(service))
            await world.timers.advance(HEAD_START)
        await world.timers.advance(50)
        assert len(world.sent) == 4
        asked = world.begin("mrs", give_up_at=START + 3.0)
        await world.timers.advance(3.1)
        with pytest.raises(TransportError, match="still unanswered"):
            await asked
        for gate in world.gates.values():
            gate.set()
        assert all(isinstance(each, Reply) for each in await asyncio.gather(*tasks))

    asyncio.run(main())


def test_a_verdict_that_is_waited_for_holds_though_it_is_of_long_ago(world):
    """The first one began a minute before the second, and its clock is all that the verdict has."""

    async def main() -> None:
        world.hang(["mrs"])
        first = world.begin("mrs")
        await settle()
        world.stage.now += 60
        others = [world.begin("mrs") for _ in range(20)]
        await settle()
        world.gates["mrs"].set()
        assert all(isinstance(each, Reply) for each in await asyncio.gather(first, *others))
        assert len(world.sent) == 21

    asyncio.run(main())


def test_a_probe_without_a_verdict_gives_way_to_that_of_the_next_host(world):
    async def main() -> None:
        world.hang(["hss"])
        world.answers = {"hss": TransportError("broke"), "mrs": GOOD}
        first, second = world.begin("hss"), world.begin("mrs")
        await settle()
        assert world.sent == ["hss"]
        world.gates["hss"].set()
        assert isinstance(await second, Reply)
        with pytest.raises(TransportError, match="broke"):
            await first
        assert world.sent == ["hss", "mrs"]

    asyncio.run(main())


PAGE = b"<html>blocked by the proxy</html>"
NO_VERDICT = [
    # id, reply to the probe, error of a request that is the same as the probe, whether it is retried, text in it
    ("502", answer(502, PAGE), TransportError, True, "blocked by the proxy"),
    ("503", answer(503), TransportError, True, "no text"),
    ("throttled", answer(429, {"error_code": "APIGW.0308"}), TransportError, True, "APIGW.0308"),
    ("proxy's 403", answer(403, PAGE), ApiError, False, "blocked by the proxy"),
    ("proxy's 403 in JSON", answer(403, {"code": 1, "message": "blocked"}), ApiError, False, "1 blocked"),
    ("proxy's 400", answer(400, {"detail": "bad"}), ApiError, False, "bad"),
    ("proxy's 401", answer(401, PAGE), ApiError, False, "blocked by the proxy"),
    ("proxy's 404", answer(404, PAGE), ApiError, True, "blocked by the proxy"),
    ("gateway's 404", answer(404, {"error_code": "APIGW.0101"}), ApiError, False, "APIGW.0101"),
    ("timeout", answer(408, PAGE), ApiError, True, "blocked by the proxy"),
    ("redirect", answer(302, PAGE), ApiError, False, "blocked by the proxy"),
    ("echo of the key", answer(403, b"key AKIDAKIDAKIDAKID"), ApiError, False, "key ***"),
]


def check_no_verdict(error: Any, reply: Response, kind: type, retried: bool, text: str) -> None:
    assert type(error) is kind
    assert error.message.startswith(
        f"The probe request for this access key was answered with {reply.status}, which does not show whether the key "
        "is valid: "
    )
    assert error.message.endswith(". This request was not sent. Check the endpoint and the proxy. [mrs GET]")
    assert text in error.message
    assert "AKIDAKID" not in f"{error.message} {vars(error)}"
    assert error.sent is False
    assert (delay_for(error, 1) is not None) is retried


each_reply = pytest.mark.parametrize(
    ("reply", "kind", "retried", "text"), [pytest.param(*case[1:], id=case[0]) for case in NO_VERDICT]
)


@each_reply
def test_those_that_wait_are_told_what_the_probe_was_answered_with(world, reply, kind, retried, text):
    async def main() -> None:
        world.hang(["mrs"])
        world.answers = {"mrs": reply}
        first = world.begin("mrs")
        await settle()
        same, other = world.begin("mrs"), world.begin("mrs", "/v2/{project_id}/others")
        await settle()
        world.gates["mrs"].set()
        own, *errors = await asyncio.gather(first, same, other, return_exceptions=True)
        assert own.status == reply.status
        assert own.sent
        check_no_verdict(errors[0], reply, kind, retried, text)
        check_no_verdict(errors[1], reply, TransportError, True, text)
        assert world.sent == ["mrs"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        pytest.param(
            {"workspace": "b", "Authorization": "1"}, False, id="another workspace of DataArts Studio"
        ),
        pytest.param(
            {"workspace": "a", "Authorization": "2", "X-Sdk-Date": "d"}, True, id="another signature"
        ),
        pytest.param({"workspace": "a", "X-Project-Id": "p"}, False, id="another project"),
    ],
)
def test_requests_with_the_same_content(headers, same):
    """A final error of one request is not that of another workspace or project."""
    sent = {"workspace": "a", "Authorization": "1"}
    first = HttpRequest("GET", "https://d.example/x", sent, b"", HttpSettings())
    assert (key_guard._content(first) == key_guard._content(replace(first, headers=headers))) is same


def test_who_is_cancelled_takes_nobody_along(world):
    async def main() -> None:
        world.hang(["hss"])
        tasks = [world.begin("hss") for _ in range(3)]
        await settle()
        tasks[0].cancel()
        await settle()
        world.gates["hss"].set()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert all(isinstance(each, Reply) for each in others)

    asyncio.run(main())


# --- with threads --------------------------------------------------------------------------------------------------


def blocking(stage: Stage, service: str, path: str = READ.path, **more: Any) -> Any:
    given = {"region": "cn-north-4", "project_id": "p1", "domain_id": "d1", "attempts": 1, **more}
    keys = KeyPair("AKIDAKIDAKIDAKID", "SKSKSKSK")
    return call(Cloud(credentials=keys, clock=stage.clock, **given), replace(request(service), path=path))


@pytest.fixture
def threads(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    from tests.support.scripted_network import Threads

    monkeypatch.setattr(key_guard, "HEAD_START", 0.02)
    return Threads(stage)


def test_threads_are_not_held_up_either(stage, threads):
    stage.holds = lambda request: "hss" in request.url
    stage.answer = lambda request: GOOD
    ended, outcomes = threads.meanwhile(
        blocking(stage, "hss"),
        [blocking(stage, name) for name in ("mrs", "csms", "iam", "mrs")],
        wait_for=5,
    )
    assert ended == 4
    assert all(isinstance(each, Reply) for each in outcomes)


def test_threads_wait_no_longer_than_their_deadline(stage, threads):
    stage.holds = lambda request: True
    more = {"give_up_at": START + 0.05}
    ended, outcomes = threads.meanwhile(
        blocking(stage, "hss"), [blocking(stage, "hss", **more) for _ in range(5)], wait_for=5
    )
    assert ended == 5
    assert isinstance(outcomes[0], Reply)
    assert all("still unanswered" in str(each) and not each.sent for each in outcomes[1:])
    assert len(stage.sent) == 1


def test_threads_with_a_wrong_key(stage, threads):
    stage.holds = lambda request: True
    stage.answer = lambda request: REFUSED
    _, errors = threads.meanwhile(
        blocking(stage, "hss"), [blocking(stage, name) for name in list(HOSTS) * 4], wait_for=0.3
    )
    assert {type(each) for each in errors} <= {CredentialsRejected, TransportError}
    assert len(stage.sent) == len({each.pieces()[1] for each in stage.sent}) <= 4
    stage.now += LOCK_TIME - 1
    with pytest.raises(CredentialsRejected, match="was not sent"):
        drivers.run(blocking(stage, "mrs"))


@each_reply
def test_threads_are_told_what_the_probe_was_answered_with(stage, threads, reply, kind, retried, text):
    stage.holds = lambda request: True
    stage.answer = lambda request: reply
    _, (own, *errors) = threads.meanwhile(
        blocking(stage, "mrs"),
        [blocking(stage, "mrs"), blocking(stage, "mrs", "/v2/{project_id}/others")],
        wait_for=0.3,
    )
    assert own.status == reply.status
    if len(stage.sent) == 1:  # a thread that came late sends a probe of its own
        check_no_verdict(errors[0], reply, kind, retried, text)
        check_no_verdict(errors[1], reply, TransportError, True, text)


def test_the_reply_of_a_probe_is_kept_nowhere(world):
    async def main() -> None:
        world.answers = {"mrs": answer(200, {"secret": "S3CR3T"})}
        reply = await world.begin("mrs")
        assert json.dumps(reply.data) == '{"secret": "S3CR3T"}'
        kept = [each[1] for each in drivers._pool().shares._results._results.values()]
        assert [type(each).__name__ for each in kept] == ["_Verdict"]

    asyncio.run(main())
