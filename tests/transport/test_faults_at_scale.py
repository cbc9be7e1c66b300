"""Many waits, and a fault that is the business of some of them only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import HttpSettings
from airflow_provider_cloudsync.api.model import Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_watch_target
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.emulator import Emulator, scenario
from airflow_provider_cloudsync.exceptions import WaitTimedOut
from airflow_provider_cloudsync.transport import drivers
from tests.support.raw_server import Peer, Server
from tests.support.stepped_loop import World, worlds

OTHER_KEY = KeyPair(scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY, scenario.SECURITY_TOKEN)
FLAG, TOKEN = "ListClusterSyncTaskStatus", "KeystoneCreateUserTokenByPassword"


@pytest.fixture
def world(monkeypatch) -> Iterator[Callable[..., World]]:
    yield from worlds(monkeypatch)


def clusters(count: int) -> dict[str, Any]:
    """Where nobody has been synchronized yet."""
    return {"mrs": {"clusters": {f"c{number}": {} for number in range(count)}}}


def watch(here: World, cloud: Cloud, number: int, *, seconds: float = 600.0) -> Any:
    """Wait for a name that does not come."""
    target = iam_watch_target(f"c{number}", user_names=["alice"])
    return until_done(
        cloud,
        IAM_SYNC,
        Ticket("mrs", target, Stage.WATCHING, here.now()),
        deadline=here.began + seconds,
        poll_interval=20,
    )


def with_password(here: World, user: str) -> Cloud:
    bare = replace(here.cloud(), credentials=Anonymous())
    way = Password(
        ask=bare, user=user, password=here.emulator.password, domain_name=here.emulator.domain_name
    )
    return replace(bare, credentials=way)


def looks_at(here: World, numbers: range) -> list[float]:
    paths = {f"/clusters/c{number}/iam-sync" for number in numbers}
    found = [each for each in here.emulator.requests() if each["operation"] == FLAG and each["status"] == 200]
    return [each["time"] for each in found if each["path"][each["path"].index("/clusters") :] in paths]


def test_fifty_waits_ask_a_throttled_sign_in_as_seldom_as_one(world) -> None:
    """One refusal follows the other, and none says for how long."""
    here = world({}, **clusters(50))
    here.emulator.faults([{"match": {"operation": TOKEN}, "status": 429, "body": "slow down", "times": 7}])
    cloud = with_password(here, here.emulator.user)
    ends = here.all_at_once([watch(here, cloud, number, seconds=200) for number in range(50)])
    sign_ins = here.times(TOKEN)
    assert len(sign_ins) == 8
    assert sign_ins[-1] - sign_ins[0] >= 110  # 1, 2, 4 and so on up to 60
    assert {type(ended) for _, ended in ends} == {WaitTimedOut}
    assert looks_at(here, range(50))


def test_a_429_of_one_account_slows_that_account_alone(world) -> None:
    here = world({}, **clusters(20))
    good, throttled = range(10), range(10, 20)
    window = {"throttle": {"limit": 1, "window": "5 minute"}}
    here.emulator.faults([{"match": {"operation": FLAG, "path": "*/c15/*"}, "times": 1, **window}])
    other = replace(
        here.cloud(),
        credentials=KeyPair(
            scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY, scenario.SECURITY_TOKEN
        ),
    )
    flows = [watch(here, here.cloud(), number) for number in good]
    flows += [watch(here, other, number) for number in throttled]
    here.all_at_once(flows)
    refused = next(each["time"] for each in here.emulator.requests() if each["status"] == 429)
    meanwhile = [at for at in looks_at(here, good) if refused < at < refused + 300]
    assert len(meanwhile) >= 10 * 2 * (300 / 20 - 1)  # the flag is read twice when it is down
    in_flight = 1.0
    assert not [at for at in looks_at(here, throttled) if refused + in_flight < at < refused + 300]
    assert [at for at in looks_at(here, throttled) if at > refused + 300]


@pytest.fixture
def emulator() -> Any:
    with Emulator(clusters(1)) as emulator:
        yield emulator


def of(emulator: Emulator, url: str) -> Cloud:
    return Cloud(
        KeyPair(emulator.access_key, emulator.secret_key),
        emulator.clock.now,
        project_id=emulator.project_id,
        endpoint=url,
        http_settings=HttpSettings(read_timeout=60.0),
    )


def until(there: Callable[[], object]) -> None:
    while not there():
        time.sleep(0.01)


def hear_and_say_nothing(peer: Peer) -> None:
    peer.read()
    peer.until_the_client_closes()


def test_an_endpoint_that_hangs_does_not_delay_the_others_and_nothing_stays(emulator: Emulator) -> None:
    async def main() -> tuple[list[bool], int, int]:
        silent = Server((hear_and_say_nothing,))
        try:
            here, dead = of(emulator, emulator.url), of(emulator, silent.url)
            assert await drivers.arun(is_iam_synchronizing(here, "c0")) is False
            hanging = [
                asyncio.create_task(drivers.arun(is_iam_synchronizing(dead, f"c{number}")))
                for number in range(200)
            ]
            await asyncio.to_thread(until, lambda: silent.connections)
            flags = [drivers.arun(is_iam_synchronizing(here, "c0")) for _ in range(100)]
            found = await asyncio.wait_for(asyncio.gather(*flags), 30)
            assert not any(task.done() for task in hanging)
            most = silent.connections
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            return found, most, len(drivers._pool().shares)
        finally:
            silent.close()

    found, most, left = asyncio.run(main())
    assert found == [False] * 100
    assert most <= 32
    assert left == 0


def test_when_the_last_waiter_leaves_nothing_of_it_stays(emulator: Emulator) -> None:
    target = iam_watch_target("c0", user_names=["alice"])

    async def main() -> tuple[int, Any, int]:
        def wait() -> Any:
            now = emulator.clock.now()
            ticket = Ticket("mrs", target, Stage.WATCHING, now)
            return until_done(of(emulator, emulator.url), IAM_SYNC, ticket, deadline=now + 600)

        waits = [asyncio.create_task(drivers.arun(wait())) for _ in range(100)]
        await asyncio.to_thread(until, emulator.requests)
        assert len(drivers._pool().shares) > 0
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        pool = drivers._pool()
        return len(pool.shares), pool.session, len(asyncio.all_tasks())

    assert asyncio.run(main()) == (0, None, 1)
