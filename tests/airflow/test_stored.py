"""What earlier releases left behind: deferred tasks, their reports and their tickets, each of a task of its own.

``stored/`` has one file for each release that wrote something new, with what that release wrote in each of the scenes
below: the arguments of triggers, the events of triggers, and what is in the task state store. What was written while a
release was being made has a fourth number.

**Never edit a file there, and never delete one**: people have tasks that were deferred by that release, and these must
end well under this one. `test_what_this_release_writes_is_stored` says when to add a file, and adds it.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, TaskDeferred
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cloudsync import __version__
from airflow_provider_cloudsync.api.model import Ticket
from airflow_provider_cloudsync.api.services.mrs import iam_sync
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent, SyncFailed, WaitTimedOut
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.operators.sync import TICKET_KEY
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.triggers.sync import Report

FOLDER = Path(__file__).parent / "stored"
#: 2026-11-21 08:00:00 UTC, when each scene begins: tickets have absolute times.
BEGIN = 1_795_248_000.0
ADD = "ADD_STORED_FILE"
FOREIGN = {"at": 0, "starts_after": 0, "seconds": 40}
TASK = {
    "workspace": "w",
    "schedule_status": "SCHEDULING",
    "first_run_at": 86_400,
    "sync_status": "SYNC_SUCCESS",
    "sync_time": -3600,
    "runs": [{"at": 60, "seconds": 30, "outcome": "SYNC_SUCCESS"}],
}


@dataclass(frozen=True)
class Scene:
    """A task in the emulated cloud, and what becomes of it.

    :param cloud: the scenario.
    :param fails: what the task ends with; None: it is green.
    :param faults: armed when the task is deferred.
    :param starts: how many starts there are in all.
    """

    cloud: dict[str, Any]
    make: Any
    arguments: dict[str, Any]
    fails: type[Exception] | None = None
    faults: tuple[dict[str, Any], ...] = ()
    starts: int = 1

    def task(self, timeout: float = 600) -> Any:
        return self.make(task_id="t", deferrable=True, retries=1, timeout=timeout, **self.arguments)


def _mrs(**cluster: Any) -> dict[str, Any]:
    return {"clusters": {"c": {"starts_after": 2, "seconds": 60, **cluster}}}


def _hss(**cluster: Any) -> dict[str, Any]:
    return {"hss": {"clusters": {"c": {"starts_after": 5, "seconds": 30, **cluster}}}}


def _coc(**account: Any) -> dict[str, Any]:
    row = {"account_id": "111", "starts_after": 5, "seconds": 60, **account}
    return {"coc": {"accounts": {"row-1": row}}}


ALICE = {"cluster_id": "c", "user_names": ["alice"]}
ACCOUNT = {"vendor": "AWS", "account_id": "111"}
EVENTS = {"cluster_id": "c", "wait_for_completion": True}
SCENES = {
    "mrs": Scene(_mrs(), MrsSyncIamUsersOperator, ALICE),
    "mrs full": Scene(_mrs(), MrsSyncIamUsersOperator, {"cluster_id": "c", "sync_all": True}),
    "mrs in parts": Scene(
        _mrs(),
        MrsSyncIamUsersOperator,
        {"cluster_id": "c", "user_names": ["alice", "bob", "carol"]},
        starts=2,
    ),
    "mrs after another": Scene(_mrs(foreign_runs=[FOREIGN]), MrsSyncIamUsersOperator, ALICE),
    "mrs failed": Scene(_mrs(outcome=["failed", "succeeded"]), MrsSyncIamUsersOperator, ALICE, SyncFailed),
    "mrs too slow": Scene(_mrs(seconds=5000), MrsSyncIamUsersOperator, ALICE, WaitTimedOut),
    "mrs key rejected": Scene(
        _mrs(),
        MrsSyncIamUsersOperator,
        ALICE,
        AirflowFailException,
        faults=({"match": {"service": "mrs"}, "times": None, "status": 401},),
    ),
    "mrs removal": Scene(_mrs(synced_users=["alice"]), MrsCancelIamSyncOperator, ALICE),
    "mrs watched": Scene(
        _mrs(foreign_runs=[{"at": 30, "seconds": 60, "users": ["alice"]}]), MrsIamSyncSensor, ALICE, starts=0
    ),
    "hss": Scene(_hss(), HssSyncClusterProtectionEventsOperator, EVENTS),
    "hss watched": Scene(
        _hss(updates_at=[90]),
        HssClusterEventsSensor,
        {"cluster_id": "c", "updated_after": BEGIN},
        starts=0,
    ),
    "coc": Scene(_coc(), CocSyncMultiCloudResourcesOperator, ACCOUNT),
    "coc after another": Scene(_coc(foreign_runs=[FOREIGN]), CocSyncMultiCloudResourcesOperator, ACCOUNT),
    "coc watched": Scene(
        _coc(foreign_runs=[{"at": 30, "seconds": 60}]),
        CocVendorAccountSyncSensor,
        {**ACCOUNT, "synced_after": BEGIN},
        starts=0,
    ),
    "dataarts watched": Scene(
        {"tasks": {"t": TASK}},
        DataArtsMemberSyncTaskSensor,
        {"workspace": "w", "sync_task_id": "t", "synced_after": BEGIN},
        starts=0,
    ),
    "dataarts too slow": Scene(
        {"tasks": {"t": {**TASK, "runs": []}}},
        DataArtsMemberSyncTaskSensor,
        {"workspace": "w", "sync_task_id": "t", "synced_after": BEGIN},
        AirflowSensorTimeout,
        starts=0,
    ),
}


@pytest.fixture(autouse=True)
def _few_names_a_request(monkeypatch) -> None:
    """So that a task of several parts is a short one."""
    monkeypatch.setattr(iam_sync, "NAMES_PER_REQUEST", 2)


def _order(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in path.stem.split("."))


FILES = sorted(FOLDER.glob("*.json"), key=_order)
RELEASES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
#: Everything that is stored: release, name of the scene, and what was written there.
WRITTEN = [
    pytest.param(scene, written, id=f"{release}: {scene}")
    for release, scenes in RELEASES.items()
    for scene, written in scenes.items()
]
EACH = pytest.mark.parametrize(("name", "written"), WRITTEN)


class Killed(BaseException):
    pass


def is_hss_in_doubt(name: str, stage: str, started: int) -> bool:
    """HSS shows no run, so a start whose reply is not known is made again by a retry."""
    return name.startswith("hss") and stage == "starting" and started > 0


def stages(store: list[str]) -> list[str]:
    """The stage of each ticket that was stored."""
    return [json.loads(value)["ticket"]["stage"] for value in store]


def defer(act: Callable[[], Any]) -> TaskDeferred | None:
    """The deferral that something leads to; None where it comes to an end."""
    try:
        act()
    except TaskDeferred as deferral:
        return deferral
    return None


def stored_trigger(written: dict[str, Any], number: int, **changes: Any) -> Any:
    """A trigger as a triggerer makes it from what is stored."""
    path, arguments = copy.deepcopy(written["triggers"][number])
    return import_string(path)(**arguments | changes)


def first_try(world: Any) -> dict[str, Any]:
    """The context of a try that may be retried once."""
    return world.context(store=True, max_tries=1)


def begin(start_world: Any, scene: Scene) -> tuple[Any, TaskDeferred]:
    """The scene up to the first deferral."""
    world = start_world(at=BEGIN, **scene.cloud)
    deferral = defer(lambda: scene.task().execute(first_try(world)))
    assert deferral is not None
    world.emulator.faults(list(scene.faults))
    return world, deferral


def play(
    world: Any, scene: Scene, deferral: TaskDeferred, resume: Callable[[int, TaskDeferred], Any]
) -> None:
    """The rest of the scene.

    :param resume: makes the event with which the task goes on after a deferral, the first of which is number 0.
    """
    found: TaskDeferred | None = deferral
    number = 0
    while found is not None:
        event = resume(number, found)
        context = first_try(world)
        found = defer(lambda: scene.task().execute_complete(context, event=event))  # noqa: B023
        number += 1


def ends_as_it_should(scene: Scene) -> Any:
    return contextlib.nullcontext() if scene.fails is None else pytest.raises(scene.fails)


# --- what is stored ends well -----------------------------------------------------------------------------------------


@EACH
def test_a_deferred_wait_ends_under_this_release(start_world, name, written) -> None:
    scene = SCENES[name]
    world, deferral = begin(start_world, scene)

    def resume(number: int, found: TaskDeferred) -> Any:
        found.trigger = stored_trigger(written, number)
        return world.fire(found)

    with ends_as_it_should(scene):
        play(world, scene, deferral, resume)
    assert world.starts == scene.starts


@EACH
def test_a_report_is_read_by_this_release(start_world, name, written) -> None:
    scene = SCENES[name]
    world, deferral = begin(start_world, scene)

    def resume(number: int, found: TaskDeferred) -> Any:
        world.fire(found)  # the time goes by
        return copy.deepcopy(written["events"][number])

    with ends_as_it_should(scene):
        play(world, scene, deferral, resume)
    assert world.starts == scene.starts


@pytest.mark.parametrize(
    ("name", "step", "written"),
    [
        pytest.param(
            scene, step, written["store"], id=f"{release}: {scene}, {stages(written['store'])[step]} ({step})"
        )
        for release, scenes in RELEASES.items()
        for scene, written in scenes.items()
        for step in range(len(written["store"]))
    ],
)
def test_a_ticket_in_the_store_is_taken_up(start_world, name, step, written) -> None:
    """The try before died right after it had written that, and whatever it did until it wrote again."""
    scene = SCENES[name]
    world = start_world(at=BEGIN, **scene.cloud)
    expected = stages(written)
    steps = []

    def dying(key: str, value: str, **_: Any) -> None:
        if len(steps) > step:
            raise Killed
        # What that release did not write yet is passed over.
        if stages([value]) == expected[len(steps) : len(steps) + 1]:
            steps.append(value)

    world.store.set = dying
    with contextlib.suppress(Killed, CloudSyncError):
        deferral = defer(lambda: scene.task().execute(first_try(world)))
        play(world, scene, deferral, lambda number, found: world.fire(found))
    del world.store.set
    started = world.starts
    world.store[TICKET_KEY] = written[step]
    world.run(scene.task(timeout=7200), world.context(2, store=True, max_tries=1))
    assert started >= (expected[step] != "queued")
    # Where the run fails there is another one, be it that of the retry or that of a start whose reply is not known.
    again = scene.fails is SyncFailed or is_hss_in_doubt(name, expected[step], started)
    assert world.starts == max(scene.starts, started) + again


# --- what this release writes -----------------------------------------------------------------------------------------


def record(world: Any, scene: Scene) -> dict[str, Any]:
    """What is written in a scene, as Airflow keeps it."""
    triggers, events, store = [], [], []
    keep = world.store.set
    world.store.set = lambda key, value, **more: (store.append(value), keep(key, value, **more))
    deferral = defer(lambda: scene.task().execute(first_try(world)))
    world.emulator.faults(list(scene.faults))

    def resume(number: int, found: TaskDeferred) -> Any:
        triggers.append(found.trigger.serialize())
        events.append(world.fire(found))
        return events[-1]

    with ends_as_it_should(scene):
        play(world, scene, deferral, resume)
    return json.loads(json.dumps({"triggers": triggers, "events": events, "store": store}))


def shape(value: Any) -> Any:
    """What fields there are, and of what types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, str) and value.startswith("{"):
        return shape(json.loads(value))
    return type(value).__name__


def test_what_this_release_writes_is_stored(start_world) -> None:
    """What is written differs from what the last file shows: store it in a new one, and keep the old ones."""
    written = {name: record(start_world(at=BEGIN, **scene.cloud), scene) for name, scene in SCENES.items()}
    newest = RELEASES[FILES[-1].stem] if FILES else {}
    if os.environ.get(ADD) and shape(written) != shape(newest):
        with (FOLDER / f"{__version__}.json").open("x", encoding="utf-8") as file:
            json.dump(written, file, indent=1)
            file.write("\n")
        return
    assert shape(written) == shape(newest), (
        f"store it: {ADD}=1 pytest {__file__}; never edit a file that is there"
    )


# --- what this release can't read -------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("kind", ["trigger", "argument", "ticket"])
def test_a_deferral_by_a_later_release_ends_with_a_clear_error(start_world, name, written, kind) -> None:
    """After a downgrade: nothing is asked, nothing is started, nothing is green."""
    scene = SCENES[name]
    world, deferral = begin(start_world, scene)
    before = len(world.calls())
    _, arguments = written["triggers"][0]
    deferral.trigger = stored_trigger(
        written,
        0,
        **{
            "trigger": {"version": 99},
            "argument": {"patience": "endless"},
            "ticket": {"ticket": arguments["ticket"] | {"version": 99}},
        }[kind],
    )
    event = world.fire(deferral)
    with pytest.raises(InvalidEvent, match="Clear the task"):
        scene.task().execute_complete(world.context(store=True), event=event)
    assert len(world.calls()) == before


@EACH
def test_a_report_of_a_later_release_ends_with_a_clear_error(start_world, name, written) -> None:
    world, _ = begin(start_world, SCENES[name])
    before = len(world.calls())
    with pytest.raises(InvalidEvent, match="Clear the task"):
        SCENES[name].task().execute_complete(world.context(), event=written["events"][0] | {"version": 99})
    assert len(world.calls()) == before


NOTHING = [None, [], {}, "done", "", 7, True, [{"version": 1}], {"version": 1}, {"version": "1"}]


@EACH
def test_no_report_at_all_ends_with_a_clear_error(start_world, name, written) -> None:
    scene = SCENES[name]
    world, _ = begin(start_world, scene)
    before = len(world.calls())
    for event in NOTHING:
        with pytest.raises(InvalidEvent, match="Clear the task"):
            scene.task().execute_complete(world.context(store=True), event=event)
    with pytest.raises(InvalidEvent, match="Clear the task"):
        scene.task().execute_complete(world.context(store=True))
    assert len(world.calls()) == before


#: What can stand in an event in place of something else.
JUNK: tuple[Any, ...] = (None, True, -1, "", "x", [], {}, {"x": 1})
STARTS = (
    "UpdateSyncIamUser",
    "CancelSyncIamUser",
    "SyncClusterProtectionEvent",
    "SyncMultiCloudResource",
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in an event there is anything."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [
        *([path] if path else []),
        *(found for key, each in inner for found in _paths(each, (*path, key))),
    ]


def _kind(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def damaged(event: dict[str, Any], path: tuple[Any, ...], junk: Any) -> dict[str, Any]:
    """The event with something else at one place; ``...``: with nothing there."""
    changed = copy.deepcopy(event)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    if junk is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = junk
    return changed


def damages(event: dict[str, Any], where: str) -> list[tuple[tuple[Any, ...], Any]]:
    """Each field of a part of the event, and what may be there of a wrong type, or nothing."""
    parts = ("ticket.target", "ticket.later", "ticket.baseline", "ticket")
    found = []
    for path in _paths(event):
        label = ".".join(map(str, path))
        part = next((part for part in parts if label.startswith(part)), "report")
        value: Any = event
        for key in path:
            value = value[key]
        if part == where:
            found += [(path, junk) for junk in (..., *JUNK) if _kind(junk) is not _kind(value)]
    return found


def starts_of(world: Any, since: int = 0) -> list[Any]:
    """What was sent in the starts, whether or not they were taken."""
    return [call["body"] for call in world.calls()[since:] if call["operation"] in STARTS]


def outcome(world: Any, scene: Scene, event: Any) -> tuple[str, list[Any]]:
    """How a task ends that is resumed with an event when its run is over; and the starts that it sent."""
    known = len(world.calls())
    try:
        scene.task().execute_complete(world.context(), event=copy.deepcopy(event))
        how = "green"
    except TaskDeferred:
        how = "deferred"
    except (CloudSyncError, AirflowException):
        how = "a clear error"
    sent = starts_of(world, known)
    if sent:
        world.emulator.reset()
        world.emulator.advance(200)
    return how, sent


def check_damaged(world: Any, scene: Scene, event: Any, changed: Any) -> None:
    """A clear error and no start; or what the event comes to, where what was damaged is of no use for that."""
    try:
        found = outcome(world, scene, changed)
    except Exception as error:
        pytest.fail(f"no clear error, but {error!r}")
    assert found == ("a clear error", []) or found == outcome(world, scene, event)


@pytest.mark.parametrize(
    "part",
    [
        "report",
        "ticket",
        "ticket.target",
        "ticket.later",
        "ticket.baseline",
    ],
)
def test_a_damaged_report_is_never_more_than_an_error(start_world, part) -> None:
    wrong = []
    for scenes in RELEASES.values():
        for name, written in scenes.items():
            world, _ = begin(start_world, SCENES[name])
            world.emulator.reset()
            world.emulator.advance(200)
            for event in written["events"]:
                for path, junk in damages(event, part):
                    try:
                        check_damaged(world, SCENES[name], event, damaged(event, path, junk))
                    except (AssertionError, pytest.fail.Exception) as error:
                        wrong.append((name, path, junk, str(error).splitlines()[0]))
    assert not wrong


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def events(draw: Any) -> Any:
    """Anything at all; or a real event with anything at some places."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    scenes = draw(st.sampled_from(list(RELEASES.values())))
    event = draw(st.sampled_from([each for written in scenes.values() for each in written["events"]]))
    for _ in range(draw(st.integers(1, 4))):
        paths = _paths(event)
        if paths:
            event = damaged(event, draw(st.sampled_from(paths)), draw(JSON | st.just(...)))
    return event


@given(events())
def test_whatever_comes_is_read_or_refused(event) -> None:
    with contextlib.suppress(InvalidEvent):
        report = Report.from_json(event)
        report.to_json()
        Ticket.from_json(report.ticket).to_json()


@pytest.mark.parametrize("name", ["mrs", "hss", "coc"])
def test_a_ticket_of_a_later_release_in_the_store_starts_nothing(start_world, name) -> None:
    """A retry after a downgrade, while the run goes on."""
    scene = SCENES[name]
    world, _ = begin(start_world, scene)
    kept = json.loads(world.store[TICKET_KEY])
    kept["ticket"]["version"] = 99
    world.store[TICKET_KEY] = json.dumps(kept)
    with contextlib.suppress(InvalidEvent):
        world.run(scene.task(), world.context(2, store=True, max_tries=1))
    assert len(starts_of(world)) == 1
