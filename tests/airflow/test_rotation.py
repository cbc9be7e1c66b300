"""A key is replaced while tasks wait: the connection has the new one, and the old one is no longer good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat import connection as compat
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook

from airflow_provider_cloudsync.api.model import Phase, Ticket
from airflow_provider_cloudsync.api.model import Stage as TicketStage
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
from airflow_provider_cloudsync.exceptions import CredentialsRejected
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.triggers.sync import Report, SyncTrigger
from tests.support.mrs_waits import each_wait, operator_wait, sensor_wait
from tests.support.sign_in_methods import account, connection

CONNECTION = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"
#: What looks at whether a run is over.
LOOK = "ListClusterSyncTaskStatus"
SECONDS = 600.0


operate = operator_wait("c0", 20)
EACH_WAIT = each_wait(operate, sensor_wait("c0", 20, 2 * SECONDS))


@pytest.fixture
def begin(start_world, monkeypatch, tmp_path) -> Callable[..., Any]:
    """Starts a world; at each of the looks that are named, one of the ways in takes the place of the one before."""

    def start(*ways: str, at_looks: tuple[int, ...], changed: bool = True, clusters: int = 1) -> Any:
        world = start_world({f"c{n}": {"seconds": SECONDS} for n in range(clusters)}, **account())

        def connect(way: str) -> None:
            monkeypatch.setenv(CONNECTION, connection(way, world.emulator, tmp_path))

        connect(ways[0])
        to_come, looks = list(zip(at_looks, ways[1:], strict=True)), []

        def rotate(operation: str) -> None:
            looks.append(operation)
            if to_come and looks.count(LOOK) == to_come[0][0]:
                _, way = to_come.pop(0)
                world.emulator.revoke()
                if changed:
                    connect(way)

        world.before_each_reply(rotate)
        return world

    return start


def rejections(world: Any) -> int:
    return sum(entry["status"] == 401 for entry in world.calls())


@EACH_WAIT
@pytest.mark.parametrize(
    ("ways", "at_looks"),
    [
        pytest.param(("temporary", "aksk"), (5,), id="keys"),
        pytest.param(("token", "token", "token", "aksk"), (3, 6, 9), id="again and again"),
        pytest.param(("token", "password"), (5,), id="another way in"),
    ],
)
def test_the_wait_goes_on_with_the_new_one(begin, wait, deferrable, ways, at_looks) -> None:
    world = begin(*ways, at_looks=at_looks)
    wait(world, deferrable=deferrable)
    assert rejections(world) == len(at_looks)
    assert world.starts == 1


@EACH_WAIT
def test_where_the_connection_has_the_same_one_it_fails_for_good(begin, wait, deferrable) -> None:
    """Each retry would be one more failure, and five lock the key."""
    world = begin("temporary", "temporary", at_looks=(5,), changed=False)
    with pytest.raises(AirflowFailException):
        wait(world, deferrable=deferrable)
    assert rejections(world) == 1


@EACH_WAIT
def test_where_the_new_one_is_wrong_it_fails_for_good(begin, wait, deferrable, monkeypatch) -> None:
    world = begin("temporary", "temporary", at_looks=(5,), changed=False)
    wrong = {**json.loads(world.emulator.connection), "password": "mistyped"}
    looks = []

    def mistype(operation: str) -> None:
        looks.append(operation)
        if looks.count(LOOK) == 5:
            monkeypatch.setenv(CONNECTION, json.dumps(wrong))

    world.before_each_reply(mistype)
    with pytest.raises(AirflowFailException):
        wait(world, deferrable=deferrable)
    assert rejections(world) == 2


def test_a_blocking_wait_reads_the_connection_once_more(begin, monkeypatch) -> None:
    """Once because of the rejection, and once because 10 minutes have passed."""
    world = begin("temporary", "aksk", at_looks=(5,))
    read, real = [], BaseHook.get_connection.__func__

    def counted(cls: Any, conn_id: str) -> Any:
        read.append(conn_id)
        return real(cls, conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(counted))
    operate(world, deferrable=False)
    assert len(read) == 3


class TestThousand:
    """A thousand deferred waits of one triggerer."""

    @pytest.fixture
    def read(self, monkeypatch) -> list[str]:
        """How often the connection was read."""
        found, real = [], compat.get_async_connection

        async def counted(conn_id: str) -> Any:
            found.append(conn_id)
            return await real(conn_id)

        monkeypatch.setattr(compat, "get_async_connection", counted)
        return found

    def fire(self, world: Any, clusters: int = 10, waits: int = 1000) -> list[Any]:
        """What so many waits on so many clusters come to."""
        now = world.emulator.clock.now()
        targets = [iam_sync_target(f"c{n}", user_names=["alice"]) for n in range(clusters)]
        for target in targets:
            MrsHook().sync_iam_users(target["cluster_id"], user_names=["alice"])
        tickets = [Ticket(IAM_SYNC.name, target, TicketStage.WATCHING, now).to_json() for target in targets]
        triggers = [
            SyncTrigger(
                ticket=tickets[n % clusters],
                deadline=now + 2 * SECONDS,
                cloudsync_conn_id="cloudsync_default",
                poll_interval=20,
            )
            for n in range(waits)
        ]

        async def main() -> list[Any]:
            events = await asyncio.gather(*(anext(trigger.run()) for trigger in triggers))
            return [Report.from_json(event.payload).ended for event in events]

        return asyncio.run(main())

    def test_all_go_on_and_the_connection_is_read_once_or_twice(self, begin, read) -> None:
        world = begin("temporary", "aksk", at_looks=(15,), clusters=10)
        assert {ended.phase for ended in self.fire(world)} == {Phase.SUCCEEDED}
        assert rejections(world) <= 10
        # Every minute for new waits, and because of the rejection.
        assert 2 <= len(read) <= 5  # a busy machine takes some minutes for all of it

    def test_with_the_same_key_all_end(self, begin, read) -> None:
        world = begin("temporary", "temporary", at_looks=(15,), changed=False, clusters=10)
        assert {type(ended) for ended in self.fire(world)} == {CredentialsRejected}
        assert rejections(world) <= 10
        assert 2 <= len(read) <= 3
