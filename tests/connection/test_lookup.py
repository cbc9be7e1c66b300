"""A connection that is edited, or that Airflow does not return for a while, while tasks wait with it."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat import connection as compat
from airflow.providers.common.compat.sdk import (
    AirflowNotFoundException,
    AirflowSensorTimeout,
    BaseHook,
)

from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
from airflow_provider_cloudsync.exceptions import (
    ConnectionNotFound,
    InvalidConnection,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.transport import drivers
from airflow_provider_cloudsync.triggers.events import DataArtsMemberSyncTrigger
from airflow_provider_cloudsync.triggers.sync import Report, SyncTrigger
from tests.airflow.test_triggers_events import BEGIN, AssetStore, look_until, member, on_3, run
from tests.support.idle_clock import Idle
from tests.support.mrs_waits import each_wait, operator_wait, sensor_wait

CONNECTION = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"
SECONDS, INTERVAL = 1300.0, 30.0


operate = operator_wait("c", INTERVAL)
EACH_WAIT = each_wait(operate, sensor_wait("c", INTERVAL, 2 * SECONDS))


class Moving:
    """An endpoint with two addresses, of which the first one can go away. The connection can be edited, or missing.

    :param at: after how many requests something happens.
    """

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.now = world.emulator.clock.now
        self.dead = False
        self.requests: list[tuple[float, str]] = []
        self.at: tuple[int, Callable[[], Any]] = (10**9, lambda: None)
        self.missing_until = -math.inf
        self.failure: Exception = AirflowNotFoundException("The conn_id isn't defined")
        self.look_ups = 0
        self._monkeypatch = monkeypatch
        send, asend = drivers._send, drivers._asend
        read, aread = BaseHook.get_connection.__func__, compat.get_async_connection

        def sending(request: Any, *limit: float) -> Any:
            self._note(request)
            return send(request, *limit)

        async def asending(session: Any, request: Any) -> Any:
            self._note(request)
            return await asend(session, request)

        asynchronous = []

        def reading(cls: Any, conn_id: str) -> Any:
            if not asynchronous:  # by which Airflow 2.11 reads a connection under asyncio, too
                self._look_up()
            return read(cls, conn_id)

        async def areading(conn_id: str) -> Any:
            self._look_up()
            asynchronous.append(conn_id)
            try:
                return await aread(conn_id)
            finally:
                asynchronous.pop()

        monkeypatch.setattr(drivers, "_send", sending)
        monkeypatch.setattr(drivers, "_asend", asending)
        monkeypatch.setattr(BaseHook, "get_connection", classmethod(reading))
        monkeypatch.setattr(compat, "get_async_connection", areading)

    def _look_up(self) -> None:
        self.look_ups += 1
        if self.now() < self.missing_until:
            raise self.failure

    def _note(self, request: Any) -> None:
        where = "new" if "localhost" in request.url else "old"
        self.requests.append((self.now(), where))
        if len(self.requests) == self.at[0]:
            self.at[1]()
        if where == "old" and self.dead:
            raise TransportError("the connection was refused", sent=False)

    def edit(self, **extra: Any) -> None:
        """Another address, which works, in the connection."""
        connection = json.loads(self.world.emulator.connection)
        connection["extra"]["endpoint"] = connection["extra"]["endpoint"].replace("127.0.0.1", "localhost")
        connection["extra"] |= extra
        self._monkeypatch.setenv(CONNECTION, json.dumps(connection))

    def times(self, where: str) -> list[float]:
        return [at for at, each in self.requests if each == where]


@pytest.fixture
def moving(start_world, monkeypatch) -> Moving:
    world = start_world({"c": {"seconds": SECONDS}})
    return Moving(world, monkeypatch)


# --- edits -----------------------------------------------------------------------------------------------------------


@EACH_WAIT
def test_a_wait_leaves_a_dead_endpoint_when_the_connection_is_corrected(moving, wait, deferrable) -> None:
    def move() -> None:
        moving.dead = True
        moving.edit()

    moving.at = (12, move)
    wait(moving.world, deferrable=deferrable)
    assert moving.world.starts == 1
    lost = [at for at in moving.times("old") if at >= moving.times("old")[11]]
    assert len(lost) <= 6
    assert moving.times("new")[0] - lost[0] <= 200


@EACH_WAIT
def test_a_wait_on_a_dead_endpoint_goes_on_until_the_connection_is_corrected(
    moving, wait, deferrable
) -> None:
    corrected = []

    def die() -> None:
        moving.dead = True
        moving.at = (len(moving.requests) + 16, correct)

    def correct() -> None:
        corrected.append(moving.now())
        moving.edit()

    moving.at = (12, die)
    wait(moving.world, deferrable=deferrable)
    # Lost polls come at most each minute, and after five of them the connection is read.
    assert moving.times("new")[0] - corrected[0] <= 400


@EACH_WAIT
def test_an_edit_is_seen_within_ten_minutes(moving, wait, deferrable) -> None:
    moving.at = (12, moving.edit)
    wait(moving.world, deferrable=deferrable)
    assert moving.world.starts == 1
    edited = moving.requests[11][0]
    assert edited < moving.times("new")[0] <= edited + 680
    where = [each for _, each in moving.requests]
    assert "old" not in where[where.index("new") :]


@EACH_WAIT
@pytest.mark.parametrize(
    "extra", [{"region": "not a region"}, {"timeout": "soon"}], ids=["region", "timeout"]
)
def test_an_edit_that_can_not_be_used_does_no_harm(moving, caplog, wait, deferrable, extra) -> None:
    moving.at = (12, lambda: moving.edit(**extra))
    wait(moving.world, deferrable=deferrable)
    assert moving.world.starts == 1
    warnings = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert 1 <= len(warnings) <= SECONDS / 600
    assert all(next(iter(extra)) in each for each in warnings)


@EACH_WAIT
def test_an_unchanged_connection_is_read_seldom_and_polled_as_before(moving, wait, deferrable) -> None:
    wait(moving.world, deferrable=deferrable)
    assert moving.look_ups <= 3 + SECONDS / 600
    polls = len(moving.world.calls("ListClusterSyncTaskStatus"))
    assert polls <= SECONDS / INTERVAL + 15


# --- missing ---------------------------------------------------------------------------------------------------------


class Unavailable(Exception):
    """As the task SDK has it where the API server is away."""


EACH_FAILURE = pytest.mark.parametrize(
    "failure",
    [AirflowNotFoundException("The conn_id isn't defined"), Unavailable("503: the API server is away")],
    ids=["missing", "an error"],
)


@EACH_WAIT
@EACH_FAILURE
def test_a_running_wait_does_not_need_its_connection_again(moving, wait, deferrable, failure) -> None:
    def lose() -> None:
        moving.failure, moving.missing_until = failure, math.inf

    moving.at = (12, lose)
    wait(moving.world, deferrable=deferrable)
    assert moving.world.starts == 1


def trigger(moving: Moving, **more: Any) -> SyncTrigger:
    target = iam_sync_target("c", user_names=["alice"])
    ticket = Ticket(IAM_SYNC.name, target, Stage.WATCHING, moving.now())
    arguments: dict[str, Any] = {
        "deadline": moving.now() + 2 * SECONDS,
        "cloudsync_conn_id": "cloudsync_default",
        "poll_interval": INTERVAL,
    }
    return SyncTrigger(ticket=ticket.to_json(), **arguments | more)


def fire(made: SyncTrigger) -> Any:
    async def first() -> Any:
        return await anext(made.run())

    return Report.from_json(asyncio.run(first()).payload).ended


class TestMissingWhenATriggerBegins:
    """Its task had it, so it is only away."""

    @EACH_FAILURE
    @pytest.mark.parametrize("seconds", [5, 120, 280])
    def test_for_some_minutes(self, moving, failure, seconds) -> None:
        MrsHook().sync_iam_users("c", user_names=["alice"])
        moving.failure, moving.missing_until = failure, moving.now() + seconds
        assert fire(trigger(moving)).phase is Phase.SUCCEEDED

    def test_for_good(self, moving, caplog) -> None:
        began = moving.now()
        moving.missing_until = math.inf
        assert isinstance(fire(trigger(moving)), ConnectionNotFound)
        assert 280 <= moving.now() - began <= 310
        assert moving.requests == []

    def test_until_the_deadline_where_it_is_near(self, moving) -> None:
        moving.missing_until = math.inf
        began = moving.now()
        assert isinstance(fire(trigger(moving, deadline=began + 60)), ConnectionNotFound)
        assert moving.now() - began <= 60

    def test_an_airflow_that_never_answers(self, moving, caplog) -> None:
        moving.missing_until, moving.failure = math.inf, Unavailable("503: the API server is away")
        began = moving.now()
        ended = fire(trigger(moving, deadline=began + 3600))
        assert isinstance(ended, WaitTimedOut)
        assert "503: the API server is away" in ended.message
        assert 'Connection "cloudsync_default"' in ended.message
        assert 3580 <= moving.now() - began <= 3600
        warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert len(warnings) == 6  # one each 10 minutes
        assert all("503: the API server is away" in each.getMessage() for each in warnings)

    def test_a_connection_that_can_not_be_used_is_told_at_once(self, moving) -> None:
        began = moving.now()
        moving.edit(auth="none")
        assert isinstance(fire(trigger(moving)), InvalidConnection)
        assert moving.now() == began

    def test_the_text_of_a_parser_is_not_told(self, moving, caplog) -> None:
        moving.missing_until = moving.now() + 25
        moving.failure = ValueError("Port could not be cast to integer value as 'S3CR3T'")
        fire(trigger(moving, deadline=moving.now() + 100))
        assert "cannot be read" in caplog.text
        assert "S3CR3T" not in caplog.text


def test_an_edit_in_the_minute_before_a_deferral_counts(moving) -> None:
    """Whatever other waits of the triggerer have read before."""
    MrsHook().sync_iam_users("c", user_names=["alice"])

    async def main() -> Any:
        await CloudSyncHook().acloud()
        moving.world.emulator.advance(30)
        moving.edit()
        begun = len(moving.requests)
        event = await anext(trigger(moving).run())
        assert {where for _, where in moving.requests[begun:]} == {"new"}
        return Report.from_json(event.payload).ended

    assert asyncio.run(main()).phase is Phase.SUCCEEDED


def test_triggers_that_begin_together_read_once(moving) -> None:
    MrsHook().sync_iam_users("c", user_names=["alice"])
    moving.look_ups = 0

    async def main() -> None:
        await asyncio.gather(*(anext(trigger(moving).run()) for _ in range(100)))

    asyncio.run(main())
    # All read it again each 10 minutes, too.
    assert moving.look_ups <= 2 + SECONDS / 600
    assert len(moving.world.calls("ListClusterSyncTaskStatus")) <= SECONDS / INTERVAL + 20


def test_an_unchanged_connection_is_the_same_object(moving) -> None:
    async def main() -> None:
        hook = CloudSyncHook()
        found = [await hook.acloud(max_age=0.001)]
        moving.world.emulator.advance(3600)
        found.append(await CloudSyncHook().acloud())
        assert found[0] is found[1]
        moving.edit()
        moving.world.emulator.advance(1)
        found.append(await hook.acloud(max_age=0.001))
        assert found[2] is not found[0]
        assert found[2] != found[0]

    asyncio.run(main())
    assert moving.look_ups == 3


# --- the hook, blocking ----------------------------------------------------------------------------------------------


class TestHook:
    def test_a_connection_that_was_never_there_is_told_at_once(self, moving) -> None:
        began = moving.now()
        moving.missing_until = math.inf
        with pytest.raises(ConnectionNotFound):
            _ = CloudSyncHook().cloud
        assert (moving.now(), moving.look_ups) == (began, 1)

    @EACH_FAILURE
    def test_one_that_was_there_is_waited_for(self, moving, failure) -> None:
        hook = CloudSyncHook()
        hook.was_found_before = True
        moving.failure, moving.missing_until = failure, moving.now() + 200
        assert hook.cloud.region == "cn-north-4"

    @EACH_FAILURE
    def test_but_not_for_ever(self, moving, failure) -> None:
        hook = CloudSyncHook()
        hook.was_found_before = True
        began = moving.now()
        moving.failure, moving.missing_until = failure, math.inf
        with pytest.raises((ConnectionNotFound, Unavailable)):
            _ = hook.cloud
        assert 280 <= moving.now() - began <= 310

    @EACH_FAILURE
    def test_nor_past_the_deadline_of_its_task(self, moving, failure) -> None:
        hook = CloudSyncHook()
        hook.was_found_before = True
        began = moving.now()
        hook.read_until = began + 25
        moving.failure, moving.missing_until = failure, math.inf
        with pytest.raises((ConnectionNotFound, Unavailable)):
            _ = hook.cloud
        assert moving.now() - began == 20

    def test_after_a_rejected_key_it_keeps_what_it_has(self, moving) -> None:
        hook = CloudSyncHook()
        before = hook.cloud
        moving.missing_until = math.inf
        with pytest.raises(ConnectionNotFound):
            hook.has_new_key()
        assert hook.cloud is before

    def test_a_refresh_keeps_the_same_object_where_nothing_changed(self, moving) -> None:
        hook = CloudSyncHook()
        before = hook.cloud
        assert hook.refresh() is before
        assert moving.look_ups == 2
        assert hook.refresh(600) is before
        assert moving.look_ups == 2
        moving.edit()
        assert hook.refresh() is hook.cloud is not before

    def test_a_refresh_that_fails_is_told_once_in_ten_minutes(self, moving, caplog) -> None:
        hook = CloudSyncHook()
        before = hook.cloud
        moving.failure, moving.missing_until = Unavailable("503: away"), math.inf
        for _ in range(60):
            assert hook.refresh() is before
            moving.world.emulator.advance(30)
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert len(warnings) == 3
        assert all("503: away" in each for each in warnings)


# --- rescheduled sensors ---------------------------------------------------------------------------------------------


def sensor(**more: Any) -> MrsIamSyncSensor:
    return MrsIamSyncSensor(
        task_id="watch", cluster_id="c", user_names=["alice"], mode="reschedule", poke_interval=120, **more
    )


class TestRescheduled:
    """Each poke is of another process."""

    @pytest.mark.parametrize(
        ("count", "started", "waits"),
        [
            pytest.param(0, 0, False, id="the first poke"),
            pytest.param(0, 600, False, id="the first poke, after a long start"),
            pytest.param(3, 0, True, id="a later one"),
            pytest.param(None, 5, False, id="before Airflow 3, the first poke"),
            pytest.param(None, 600, True, id="before Airflow 3, a later one"),
        ],
    )
    def test_a_missing_connection(self, moving, count, started, waits) -> None:
        context = moving.world.context()
        if count is not None:
            context["task_reschedule_count"] = count
        start = datetime.fromtimestamp(moving.now(), UTC) - timedelta(seconds=started)
        context["ti"] = SimpleNamespace(**{**vars(context["ti"]), "start_date": start})
        moving.missing_until = moving.now() + 100
        if waits:
            assert sensor().poke(context) is False
        else:
            with pytest.raises(ConnectionNotFound):
                sensor().poke(context)


# --- the end of a deferral -------------------------------------------------------------------------------------------


def test_a_task_that_is_resumed_waits_for_its_connection(start_world, monkeypatch) -> None:
    names = [f"user-{n}" for n in range(1001)]  # two runs
    world = start_world(
        {"c": {"seconds": 60}}, account={"iam_users": {name: {"groups": []} for name in names}}
    )
    moving = Moving(world, monkeypatch)
    task = MrsSyncIamUsersOperator(
        task_id="sync", cluster_id="c", user_names=names, deferrable=True, timeout=10 * SECONDS
    )
    real = moving.world.fire

    def fire_and_lose(deferral: Any) -> Any:
        event = real(deferral)
        moving.missing_until = moving.now() + 60
        task.__dict__.pop("hook", None)  # another process
        return event

    moving.world.fire = fire_and_lose
    moving.world.run(task)
    assert moving.world.starts == 2


def test_a_sensor_whose_airflow_never_answers_times_out(moving) -> None:
    task = MrsIamSyncSensor(
        task_id="watch", cluster_id="c", user_names=["alice"], deferrable=True, timeout=600
    )
    MrsHook().sync_iam_users("c", user_names=["alice"])
    real = moving.world.fire

    def lose(deferral: Any) -> Any:
        moving.failure, moving.missing_until = Unavailable("503: away"), math.inf
        return real(deferral)

    moving.world.fire = lose
    with pytest.raises(AirflowSensorTimeout, match="503: away"):
        moving.world.run(task)


# --- event triggers --------------------------------------------------------------------------------------------------


#: Each run ends well, and lasts for 30 s.
RUNS = range(100, 4000, 500)


@on_3
class TestWatcher:
    @pytest.fixture
    def moving(self, start_world, monkeypatch) -> Moving:
        world = start_world(at=BEGIN, **member(*(run(at) for at in RUNS)))
        world.idle = Idle(world.emulator, monkeypatch)
        return Moving(world, monkeypatch)

    def reported(self, moving: Moving) -> int:
        made = DataArtsMemberSyncTrigger(workspace="w", sync_task_id="t")
        (found,) = look_until(moving.world, 4200, [made], AssetStore())
        return len(found)

    def test_it_leaves_a_dead_endpoint_when_the_connection_is_corrected(self, moving) -> None:
        def move() -> None:
            moving.dead = True
            moving.edit()

        moving.at = (30, move)
        assert self.reported(moving) == len(RUNS)
        assert len([at for at in moving.times("old") if at >= moving.requests[29][0]]) <= 6

    def test_an_edit_is_seen_within_ten_minutes(self, moving) -> None:
        moving.at = (30, moving.edit)
        assert self.reported(moving) == len(RUNS)
        assert moving.times("new")[0] <= moving.requests[29][0] + 680

    @EACH_FAILURE
    def test_a_connection_that_is_away(self, moving, caplog, failure) -> None:
        moving.failure, moving.missing_until = failure, moving.now() + 250
        assert self.reported(moving) >= len(RUNS) - 1  # what ended before the first look is no news
        assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
        (warning,) = [each for each in caplog.records if "cannot be read" in each.getMessage()]
        assert str(failure)[:10] in warning.getMessage() or "There is no connection" in warning.getMessage()

    def test_while_it_watches_it_does_not_need_its_connection_again(self, moving, caplog) -> None:
        def lose() -> None:
            moving.missing_until = math.inf

        moving.at = (30, lose)
        assert self.reported(moving) == len(RUNS)
        warnings = [each for each in caplog.records if "cannot be read" in each.getMessage()]
        assert 1 <= len(warnings) <= 12
