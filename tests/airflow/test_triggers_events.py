"""Event triggers at work, against the emulator: what they report, what they survive, and what they cost."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat import connection as compat
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_cloudsync.api.waiting.watching import WatchUpdate
from airflow_provider_cloudsync.triggers import watcher
from airflow_provider_cloudsync.triggers.events import (
    CloudSyncEventTrigger,
    CocVendorAccountSyncTrigger,
    DataArtsMemberSyncTrigger,
    HssClusterEventsTrigger,
    MrsIamSyncTrigger,
)
from tests.support.airflow_world import World
from tests.support.idle_clock import Idle

#: 2026-11-21 08:00:00 UTC.
BEGIN = 1_795_248_000.0
MEMBER = {"workspace": "w", "sync_task_id": "t"}
ACCOUNT = {"vendor": "AWS", "account_id": "111"}
KINDS = [
    (DataArtsMemberSyncTrigger, MEMBER),
    (CocVendorAccountSyncTrigger, ACCOUNT),
    (HssClusterEventsTrigger, {"cluster_id": "c"}),
    (MrsIamSyncTrigger, {"cluster_id": "c"}),
]

on_3 = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="event triggers are for Airflow 3")


class AssetStore:
    """Airflow's asset state store, as far as it is used: it outlives triggers.

    :param failures: so many calls fail first.
    """

    def __init__(self, failures: int = 0) -> None:
        self.kept: dict[str, str] = {}
        self.failures = failures
        self.writes = 0

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the API server is not there")

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.writes += 1
        self.kept[key] = json.dumps(value)


@pytest.fixture
def begin(start_world, monkeypatch) -> Callable[..., World]:
    """Makes a world in which time passes when all who watch wait for it."""

    def begin(**scenario: Any) -> World:
        world = start_world(at=BEGIN, **scenario)
        world.idle = Idle(world.emulator, monkeypatch)
        return world

    return begin


async def stop(tasks: list[asyncio.Task[None]]) -> list[Any]:
    """As a triggerer that ends."""
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def look_until(
    world: World, seconds: float, triggers: Iterable[CloudSyncEventTrigger], store: Any = None
) -> list[list[dict[str, Any]]]:
    """What each of them reports until the world is so many seconds old; then all are stopped as by a kill."""

    async def follow(trigger: CloudSyncEventTrigger, found: list[dict[str, Any]]) -> None:
        path, arguments = trigger.serialize()
        made = import_string(path)(**json.loads(json.dumps(arguments)))  # as a triggerer makes it
        made.asset_state_store = store
        async for event in made.run():
            found.append(json.loads(json.dumps(event.payload)))

    async def main() -> list[list[dict[str, Any]]]:
        found: list[list[dict[str, Any]]] = []
        tasks = []
        for trigger in triggers:
            found.append([])
            tasks.append(asyncio.create_task(follow(trigger, found[-1])))
        await world.idle.until(lambda: world.emulator.clock.now() >= BEGIN + seconds)
        ended = await stop(tasks)
        assert [end for end in ended if not isinstance(end, asyncio.CancelledError)] == []
        return found

    return asyncio.run(main())


def run(at: float, seconds: float = 30, outcome: str = "SYNC_SUCCESS") -> dict[str, Any]:
    return {"at": at, "seconds": seconds, "outcome": outcome, "msg": f"{outcome} at {at}"}


def member(*runs: dict[str, Any], **task: Any) -> dict[str, Any]:
    old = {"sync_status": "SYNC_SUCCESS", "sync_time": -3600}
    return {
        "dataarts": {"workspaces": ["w"], "tasks": {"t": {"workspace": "w", **old, "runs": [*runs], **task}}}
    }


def account(*runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    row = {"account_id": "111", "sync_status": "success", "sync_date": -3600, "foreign_runs": [*runs], **more}
    return {"coc": {"accounts": {"row-1": row}}}


def moment(at: float) -> str:
    return datetime.fromtimestamp(BEGIN + at, UTC).isoformat(timespec="milliseconds")


FAILS = run(300, outcome="SYNC_FAIL")
CASES = [
    # id, scenario, trigger, arguments, what is reported: time of the run and outcome
    ("a member sync", member(run(100)), DataArtsMemberSyncTrigger, MEMBER, [(100, "succeeded")]),
    (
        "two",
        member(run(100), run(400)),
        DataArtsMemberSyncTrigger,
        MEMBER,
        [(100, "succeeded"), (400, "succeeded")],
    ),
    ("none but the old one", member(), DataArtsMemberSyncTrigger, MEMBER, []),
    (
        "the old one, caught up",
        member(),
        DataArtsMemberSyncTrigger,
        {**MEMBER, "catchup": True},
        [(-3600, "succeeded")],
    ),
    (
        "a failure is not asked for",
        member(FAILS, run(500)),
        DataArtsMemberSyncTrigger,
        MEMBER,
        [(500, "succeeded")],
    ),
    (
        "failures only",
        member(run(100), FAILS),
        DataArtsMemberSyncTrigger,
        {**MEMBER, "outcome": "failed"},
        [(300, "failed")],
    ),
    (
        "any end",
        member(run(100), FAILS),
        DataArtsMemberSyncTrigger,
        {**MEMBER, "outcome": "any"},
        [(100, "succeeded"), (300, "failed")],
    ),
    (
        "a lagging state",
        member(run(100, 90), status_lag=4),
        DataArtsMemberSyncTrigger,
        MEMBER,
        [(100, "succeeded")],
    ),
    (
        "an account",
        account({"at": 100, "seconds": 60}),
        CocVendorAccountSyncTrigger,
        ACCOUNT,
        [(160, "succeeded")],
    ),
    (
        "each account of the vendor",
        account({"at": 100, "seconds": 60}),
        CocVendorAccountSyncTrigger,
        {"vendor": "AWS"},
        [(160, "succeeded")],
    ),
    (
        "an account that fails",
        account({"at": 100, "seconds": 60, "outcome": "failed"}),
        CocVendorAccountSyncTrigger,
        {**ACCOUNT, "outcome": "failed"},
        [(160, "failed")],
    ),
    (
        "updates of events",
        {"hss": {"clusters": {"c": {"updates_at": [90, 400]}}}},
        HssClusterEventsTrigger,
        {"cluster_id": "c"},
        [(90, "succeeded"), (400, "succeeded")],
    ),
]


@on_3
@pytest.mark.parametrize(
    ("scenario", "make", "arguments", "reports"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_reports(begin, scenario, make, arguments, reports) -> None:
    world = begin(**scenario)
    (found,) = look_until(world, 900, [make(**arguments)], AssetStore())
    told = [(each["run"], each["outcome"]) for each in found]
    assert told == [(moment(at), end) for at, end in reports]


@on_3
def test_the_end_of_an_iam_sync(begin) -> None:
    world = begin(
        mrs={"clusters": {"c": {"foreign_runs": [{"at": 100, "seconds": 200, "users": ["alice"]}]}}}
    )
    (found,) = look_until(world, 900, [MrsIamSyncTrigger(cluster_id="c", poll_interval=20)], AssetStore())
    (only,) = found
    assert (only["service"], only["cluster_id"], only["outcome"]) == ("mrs", "c", "ended")
    # The service tells no time: when it was first seen.
    assert moment(100) < only["run"] < moment(125)
    # Who looks for ever looks at one flag, and now and then whether the cluster is there.
    asked = Counter(each["operation"] for each in world.calls())
    assert set(asked) == {"ListClusterSyncTaskStatus", "ShowClusterDetails"}
    assert asked["ShowClusterDetails"] <= 4 < asked["ListClusterSyncTaskStatus"]


@on_3
def test_what_an_event_says(begin) -> None:
    world = begin(**member(FAILS))
    (((only,)),) = look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER, outcome="any")])
    assert "Sync failed: SYNC_FAIL at 300" in only["why"]
    assert {name: value for name, value in only.items() if name not in ("why", "seen_at")} == {
        "service": "dataarts",
        "workspace": "w",
        "sync_task_id": "t",
        "run": moment(300),
        "outcome": "failed",
    }
    assert moment(330)[:19] <= only["seen_at"][:19] <= moment(410)[:19]


# --- restarts ---------------------------------------------------------------------------------------------------------

TWO = member(run(100), run(1000))
RESTARTS = [
    # id, whether there is a store, catchup, the old one's end, reports before, when the new one begins, reports after
    ("remembered", True, False, 600, [100], 600, [1000]),
    ("one ended in between", True, False, 600, [100], 1200, [1000]),
    ("one goes on in between", True, False, 1010, [100], 1011, [1000]),
    ("killed before the first end", True, False, 110, [], 700, [100, 1000]),
    ("catch-up is for the first time", True, True, 600, [-3600, 100], 700, [1000]),
    # Without a store each start is the first.
    ("no store", False, False, 600, [100], 600, [1000]),
    ("no store, one ended in between", False, False, 600, [100], 1200, []),
    ("no store, one goes on in between", False, False, 1010, [100], 1011, [1000]),
    ("no store, catch-up", False, True, 600, [-3600, 100], 700, [100, 1000]),
]


def times(found: list[dict[str, Any]]) -> list[str]:
    return [each["run"] for each in found]


def moments(at: list[int]) -> list[str]:
    return [moment(each) for each in at]


@on_3
@pytest.mark.parametrize(
    ("stored", "catchup", "end", "before", "start", "after"),
    [each[1:] for each in RESTARTS],
    ids=[each[0] for each in RESTARTS],
)
def test_another_triggerer_goes_on(begin, stored, catchup, end, before, start, after) -> None:
    world = begin(**TWO)
    store = AssetStore() if stored else None
    trigger = DataArtsMemberSyncTrigger(**MEMBER, catchup=catchup, poll_interval=20)
    (first,) = look_until(world, end, [trigger], store)
    world.emulator.advance(max(BEGIN + start - world.emulator.clock.now(), 0))
    (second,) = look_until(world, 1500, [trigger], store)
    assert times(first) == moments(before)
    assert times(second) == moments(after)


@on_3
def test_killed_before_airflow_has_stored_the_event_it_comes_again_and_says_so(begin) -> None:
    world = begin(**member(run(100)))
    store = AssetStore()
    trigger = DataArtsMemberSyncTrigger(**MEMBER)

    async def killed_at_once() -> Any:
        trigger.asset_state_store = store
        reports = trigger.run()
        first = asyncio.ensure_future(anext(reports))
        await world.idle.until(first.done)
        await reports.aclose()
        return first.result().payload

    first = asyncio.run(killed_at_once())
    (found,) = look_until(world, 900, [trigger], store)
    assert times(found) == [first["run"]] == [moment(100)]


@on_3
def test_the_memory_is_written_only_when_the_event_had_time_to_be_stored(begin) -> None:
    world = begin(**member(run(100)))
    store = AssetStore()
    log: list[tuple[str, float]] = []
    write = store.aset

    async def aset(key: str, value: Any) -> None:
        log.append(("written", world.emulator.clock.now()))
        await write(key, value)

    store.aset = aset
    trigger = DataArtsMemberSyncTrigger(**MEMBER)

    async def follow() -> None:
        trigger.asset_state_store = store
        async for _ in trigger.run():
            log.append(("reported", world.emulator.clock.now()))

    async def main() -> None:
        task = asyncio.create_task(follow())
        await world.idle.until(lambda: len(log) == 3)
        await stop([task])

    asyncio.run(main())
    assert [what for what, _ in log] == ["written", "reported", "written"]
    assert log[2][1] - log[1][1] >= 5


@on_3
def test_how_it_is_watched_may_be_changed_without_beginning_anew(begin) -> None:
    world = begin(**TWO)
    store = AssetStore()
    look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    world.emulator.advance(600)
    changed = DataArtsMemberSyncTrigger(**MEMBER, poll_interval=20, catchup=True)
    (found,) = look_until(world, 1500, [changed], store)
    assert times(found) == [moment(1000)]


@on_3
def test_what_is_watched_for_does_not_share_a_memory(begin) -> None:
    world = begin(**member(FAILS, run(500)))
    store = AssetStore()
    each = [
        DataArtsMemberSyncTrigger(**MEMBER, outcome=outcome) for outcome in ("succeeded", "failed", "any")
    ]
    found = look_until(world, 900, each, store)
    assert [times(reports) for reports in found] == [moments([500]), moments([300]), moments([300, 500])]


@on_3
def test_what_another_triggerer_has_reported_in_the_meantime_is_not_reported_again(begin) -> None:
    """It was thought that this one is dead."""
    world = begin(**member(run(100), run(400)))
    store = AssetStore()
    read = store.aget

    async def aget(key: str, default: Any = None) -> Any:
        found = await read(key, default)
        if found is not None and BEGIN + 130 < world.emulator.clock.now() < BEGIN + 300:
            await store.aset(key, {**found, "memory": {"": int(BEGIN + 100) * 1000}})
        return await read(key, default)

    store.aget = aget
    (found,) = look_until(world, 900, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    assert times(found) == [moment(400)]


@on_3
def test_a_trigger_of_several_assets_remembers_with_each(begin) -> None:
    world = begin(**TWO)
    one, other = AssetStore(), AssetStore()
    both = SimpleNamespace(_by_name={"one": one, "other": other})
    look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER)], both)
    assert one.kept == other.kept != {}
    world.emulator.advance(600)
    # An asset has been added, which knows nothing, and one is gone.
    later = SimpleNamespace(_by_name={"other": other, "third": AssetStore()})
    (found,) = look_until(world, 1500, [DataArtsMemberSyncTrigger(**MEMBER)], later)
    assert times(found) == [moment(1000)]


@on_3
@pytest.mark.parametrize(
    ("failures", "told", "reported"),
    [(3, False, [400, 1200]), (30, True, [400, 1200]), (10_000, True, [1200])],
    ids=["for a while", "for some minutes", "for good"],
)
def test_airflow_does_not_answer(begin, caplog, failures, told, reported) -> None:
    world = begin(**member(run(400), run(1200)))
    (found,) = look_until(world, 1800, [DataArtsMemberSyncTrigger(**MEMBER)], AssetStore(failures))
    assert times(found) == [moment(each) for each in reported]
    assert ("Cannot access the asset state store" in caplog.text) is told


class Flaky(AssetStore):
    """Fails to write, while it is told to."""

    refuses = False

    async def aset(self, key: str, value: Any) -> None:
        if self.refuses:
            raise OSError("the database is away")
        await super().aset(key, value)


@on_3
def test_what_could_not_be_written_is_not_taken_for_the_memory_of_others(begin) -> None:
    """And is made up for."""
    world = begin(**member(run(100), run(1000), run(1900)))
    store = Flaky()
    (first,) = look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    store.refuses = True
    (second,) = look_until(world, 2500, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    assert times(first) == [moment(100)]
    assert times(second) == [moment(1000), moment(1900)]


@on_3
@pytest.mark.parametrize(
    "spoilt",
    [
        {"version": 1},
        {"version": 1, "at": "x", "memory": {}},
        {"version": 1, "at": 1.0, "memory": {"": "x"}},
        7,
    ],
)
def test_what_somebody_edited_in_the_store_counts_as_nothing(begin, spoilt) -> None:
    world = begin(**member(run(100), run(1000)))
    store = AssetStore()
    look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    for key in store.kept:
        store.kept[key] = json.dumps(spoilt)
    (found,) = look_until(world, 1500, [DataArtsMemberSyncTrigger(**MEMBER)], store)
    assert times(found) == [moment(1000)]


# --- faults -----------------------------------------------------------------------------------------------------------

SHOW = "ShowSecurityMemberSyncTask"


@on_3
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429},
        {"reset": True},
        {"raw": "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"},
    ],
    ids=["503", "429", "reset", "a page"],
)
def test_faults_that_may_pass_are_borne(begin, caplog, fault) -> None:
    caplog.set_level(logging.INFO, "airflow_provider_cloudsync")
    world = begin(**member(run(100), run(900)))
    world.emulator.faults([{"match": {"operation": SHOW}, "times": 5, **fault}])
    (found,) = look_until(world, 1500, [DataArtsMemberSyncTrigger(**MEMBER)], AssetStore())
    assert moment(900) in times(found)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert caplog.text.count("Poll failed (") == 1


@on_3
@pytest.mark.parametrize("watchers", [1, 3])
@pytest.mark.parametrize("outcome", ["SYNC_SUCCESS", "SYNC_FAIL"])
@pytest.mark.parametrize("lost", [0, 1, 5, 12])
def test_an_end_stays_pending_while_the_connection_is_read_again(
    begin, monkeypatch, watchers, outcome, lost
) -> None:
    """One poll after the interruption confirms it, for each watcher of the target."""
    world = begin(**member(run(300, outcome=outcome)))
    # At 2, 62, ... 302 s; that at 362 s shows the end first.
    shown = 7
    world.emulator.faults(
        [{"match": {"operation": SHOW}, "skip": shown, "times": lost, "status": 503}] if lost else []
    )
    real = watcher.next_update
    polls: list[int] = []

    def counted(*arguments: Any, **more: Any) -> Any:
        news = yield from real(*arguments, **{**more, "pause_at": 0.0})
        if isinstance(news, WatchUpdate) and news.ended:
            polls.append(len(world.calls()))
        return news

    monkeypatch.setattr(watcher, "next_update", counted)
    watching = [DataArtsMemberSyncTrigger(**MEMBER, outcome="any") for _ in range(watchers)]
    found = look_until(world, 2000, watching, AssetStore())
    assert [times(each) for each in found] == [[moment(300)]] * watchers
    assert polls == [shown + lost + 1] * watchers


LASTING = [
    # id, trigger, scenario, faults, words of the one line
    (
        "no permission",
        MEMBER,
        member(run(100)),
        [{"match": {"operation": SHOW}, "times": None, "status": 403}],
        "403",
    ),
    ("no such task", {**MEMBER, "sync_task_id": "x"}, member(run(100)), [], "DLS.4106"),
    ("no such workspace", {**MEMBER, "workspace": "x"}, member(run(100)), [], "DLS.6036"),
    ("no connection", {**MEMBER, "cloudsync_conn_id": "none"}, member(run(100)), [], 'no connection "none"'),
    (
        "key rejected",
        MEMBER,
        member(run(100)),
        [{"match": {"operation": SHOW}, "times": None, "status": 401}],
        "key",
    ),
]


@on_3
@pytest.mark.parametrize(
    ("arguments", "scenario", "faults", "words"),
    [each[1:] for each in LASTING],
    ids=[each[0] for each in LASTING],
)
def test_a_lasting_error_is_told_once_and_looked_at_seldom(
    begin, caplog, arguments, scenario, faults, words
) -> None:
    world = begin(**scenario)
    world.emulator.faults(faults)
    (found,) = look_until(world, 7200, [DataArtsMemberSyncTrigger(**arguments)], AssetStore())
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1, errors
    assert words in errors[0]
    assert found == []
    assert len(world.calls()) <= 14  # two hours


@on_3
def test_it_goes_on_when_the_error_is_mended(begin) -> None:
    world = begin(**member(run(100), run(4000)))
    world.emulator.faults([{"match": {"operation": SHOW}, "times": 3, "status": 403}])
    (found,) = look_until(world, 5000, [DataArtsMemberSyncTrigger(**MEMBER)], AssetStore())
    assert moment(4000) in times(found)


@on_3
def test_a_rejected_key_that_is_replaced_is_noticed_within_a_minute_or_two(begin, monkeypatch) -> None:
    world = begin(**member(run(400)))
    good = json.loads(world.emulator.connection)
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps({**good, "password": "wrong"}))
    ask = compat.get_async_connection

    async def answer(conn_id: str) -> Any:
        if world.emulator.clock.now() > BEGIN + 200:
            monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(good))
        return await ask(conn_id)

    monkeypatch.setattr(compat, "get_async_connection", answer)
    (found,) = look_until(world, 600, [DataArtsMemberSyncTrigger(**MEMBER)], AssetStore())
    assert times(found) == [moment(400)]


@on_3
def test_an_unexpected_error_does_not_end_it(begin, monkeypatch, caplog) -> None:
    world = begin(**member(run(100), run(2000)))
    news, wrong = watcher.next_update, iter([True, True])

    def sometimes(*arguments: Any, **more: Any) -> Any:
        if next(wrong, False):
            raise ZeroDivisionError("a bug")
        return news(*arguments, **more)

    monkeypatch.setattr(watcher, "next_update", sometimes)
    (found,) = look_until(world, 3000, [DataArtsMemberSyncTrigger(**MEMBER)], AssetStore())
    assert times(found) == [moment(2000)]
    assert caplog.text.count("ZeroDivisionError: a bug") == 1


# --- cost -------------------------------------------------------------------------------------------------------------


@on_3
@pytest.mark.parametrize("same", [True, False], ids=["of one task", "of a hundred tasks"])
def test_a_hundred_watchers_of_a_workspace_are_one_poll(begin, monkeypatch, same) -> None:
    names = ["t"] * 100 if same else [f"t{number}" for number in range(100)]
    tasks = {name: {"workspace": "w", "runs": [run(100)]} for name in names}
    world = begin(dataarts={"workspaces": ["w"], "tasks": tasks})
    looked_up = []
    ask = compat.get_async_connection

    async def answer(conn_id: str) -> Any:
        looked_up.append(conn_id)
        return await ask(conn_id)

    monkeypatch.setattr(compat, "get_async_connection", answer)
    watching = [DataArtsMemberSyncTrigger(workspace="w", sync_task_id=name) for name in names]
    found = look_until(world, 600, watching)
    assert [times(reports) for reports in found] == [[moment(100)]] * 100
    looks = [each["operation"] for each in world.calls()]
    # At 2, 62, ... 602 s: each a page of the list, or the one task.
    assert set(looks) == {SHOW if same else "ListSecurityMemberSyncTasks"}
    assert len(looks) <= 11
    # One for each minute in which anybody asked.
    assert len(looked_up) <= 3


# --- arguments --------------------------------------------------------------------------------------------------------


@on_3
@pytest.mark.parametrize(("make", "arguments"), KINDS)
def test_arguments_are_plain_and_make_the_same_trigger_again(make, arguments) -> None:
    path, written = make(**arguments, cloudsync_conn_id="other", region="r", poll_interval=30).serialize()
    again = import_string(path)(**json.loads(json.dumps(written)))
    assert again.serialize() == (path, written)
    assert {**written, **arguments} == written
    assert (written["cloudsync_conn_id"], written["region"], written["poll_interval"]) == ("other", "r", 30.0)


@on_3
@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (DataArtsMemberSyncTrigger, {"workspace": "a b", "sync_task_id": "t"}, "workspace must be"),
        (DataArtsMemberSyncTrigger, {**MEMBER, "outcome": "good"}, "outcome must be"),
        (DataArtsMemberSyncTrigger, {**MEMBER, "poll_interval": 0}, "poll_interval must be"),
        (CocVendorAccountSyncTrigger, {"vendor": ""}, "vendor must be"),
        (HssClusterEventsTrigger, {"cluster_id": "{{ x }}"}, "cluster_id must be"),
        (MrsIamSyncTrigger, {"cluster_id": None}, "cluster_id must be"),
        (MrsIamSyncTrigger, {"cluster_id": "c", "patience": 1}, "patience"),
    ],
)
def test_what_cannot_be_is_refused_when_the_dag_is_parsed(make, arguments, words) -> None:
    """With a TypeError: any other error, should it ever come in a triggerer, would end that."""
    with pytest.raises(TypeError, match=words):
        make(**arguments)


@on_3
def test_airflow_takes_them_for_watchers() -> None:
    from airflow.sdk import Asset, AssetWatcher

    from airflow_provider_cloudsync import assets

    watching = AssetWatcher(name="members", trigger=DataArtsMemberSyncTrigger(**MEMBER))
    made = assets.dataarts_member_sync_task("cn-north-4", "w", "t", watchers=[watching])
    assert isinstance(made, Asset)
    assert made.watchers == [watching]


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="about Airflow 2")
@pytest.mark.parametrize(("make", "arguments"), KINDS)
def test_airflow_2_has_no_watchers(make, arguments) -> None:
    with pytest.raises(RuntimeError, match=r"need AssetWatcher \(Airflow 3\.0 and later\)"):
        make(**arguments)
