"""HSS synchronizations and updates, in all ways of waiting: one verdict, one start, and never six calls a minute."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidParameter,
    SyncFailed,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.hooks.hss import HssHook
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
SYNC, LIST = "SyncClusterProtectionEvent", "ListClusterEvents"
START, LOOK = {"operation": SYNC}, {"operation": LIST}
THROTTLE = {"throttle": {"limit": 5, "window": "1 minute"}}


#: Stands in a table for a parameter that is left out.
OUT = object()


def given(**arguments) -> dict:
    return {name: value for name, value in arguments.items() if value is not OUT}


def sync(deferrable: bool = False, **arguments) -> HssSyncClusterProtectionEventsOperator:
    usual = {"task_id": "sync", "cluster_id": "c", "wait_for_completion": True, "deferrable": deferrable}
    return HssSyncClusterProtectionEventsOperator(**given(**{**usual, **arguments}))


@pytest.fixture
def start(start_world):
    def start(cluster: dict | None = None, **sections):
        hss = {"clusters": {"c": {"seconds": 30, **(cluster or {})}}, **sections.pop("hss", {})}
        return start_world(hss=hss, **sections)

    return start


def cluster(world, name: str = "c") -> dict:
    return world.emulator.state()["hss"]["clusters"][name]


def connect(world, monkeypatch, **extra) -> None:
    connection = json.loads(world.emulator.connection)
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))


SCENARIOS = [
    # id, cluster, arguments of the operator, error, words of the message, starts
    ("plain", {}, {}, None, [], 1),
    ("over at once", {"seconds": 0}, {}, None, [], 1),
    ("begins late", {"starts_after": 120}, {}, None, [], 1),
    ("takes long", {"seconds": 1500}, {}, None, [], 1),
    ("a quiet cluster: no event comes", {"brings": 0}, {}, None, [], 1),
    ("events come", {"brings": 30}, {}, None, [], 1),
    ("never updated before", {"last_update_time": None}, {}, None, [], 1),
    ("every cluster", {}, {"cluster_id": OUT}, None, [], 1),
    (
        "no task was created",
        {"outcome": "not_created"},
        {},
        SyncFailed,
        ["synched: false", "HSS cluster c", "request ID", "Nothing was started"],
        0,
    ),
    (
        "no task was created, and nobody waits",
        {"outcome": "not_created"},
        {"wait_for_completion": False},
        SyncFailed,
        ["synched: false"],
        0,
    ),
    (
        "never ends, and the update of yesterday does not count",
        {"outcome": "never_ends"},
        {"timeout": 600},
        WaitTimedOut,
        ["no update since the start", "HSS cluster c", "continues"],
        1,
    ),
    (
        "never ends and was never updated",
        {"outcome": "never_ends", "last_update_time": None},
        {"timeout": 600},
        WaitTimedOut,
        ["has no update yet"],
        1,
    ),
    ("unknown cluster", {}, {"cluster_id": "nope"}, ApiError, ["HSS.0011", "nope"], 0),
    ("unknown project", {}, {"project_id": "f" * 32}, ApiError, ["403"], 0),
    (
        "an enterprise project that is not ours",
        {},
        {"enterprise_project_id": "denied"},
        ApiError,
        ["HSS.0013"],
        0,
    ),
]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("fields", "arguments", "error", "words", "starts"),
    [case[1:] for case in SCENARIOS],
    ids=[case[0] for case in SCENARIOS],
)
def test_verdict(start, deferrable, fields, arguments, error, words, starts) -> None:
    world = start(fields, hss={"denied_enterprise_projects": ["denied"]})
    before = cluster(world)["last_update_time"]
    if error is None:
        result = world.run(sync(deferrable, **arguments))
        assert set(result) == {"cluster_id", "started_at", "ended_at", "request_id"}
        assert result["request_id"] == world.calls(SYNC)[-1]["request_id"]
        assert result["started_at"] <= result["ended_at"]
        assert (before or 0) < cluster(world)["last_update_time"]
        assert len(json.dumps(result)) < 300
    else:
        with pytest.raises(error) as raised:
            world.run(sync(deferrable, **arguments))
        for word in words:
            assert word in str(raised.value)
    assert world.starts == starts
    assert len(world.calls(SYNC)) <= 1


@BOTH_WAYS
def test_a_deadline_is_kept_to_one_poll(start, deferrable) -> None:
    world = start({"outcome": "never_ends"})
    with pytest.raises(WaitTimedOut):
        world.run(sync(deferrable, timeout=600))
    assert 600 <= world.emulator.clock.now() - world.began < 661


@BOTH_WAYS
@pytest.mark.parametrize("outcome", ["succeeded", "never_ends"])
def test_without_waiting_it_is_green_when_a_task_was_created(start, deferrable, outcome) -> None:
    world = start({"outcome": outcome})
    result = world.run(
        HssSyncClusterProtectionEventsOperator(task_id="t", cluster_id="c", deferrable=deferrable)
    )
    assert result["ended_at"] is None
    assert world.starts == 1
    assert world.deferrals == []
    assert [entry["operation"] for entry in world.calls()] == [LIST, SYNC]


@BOTH_WAYS
def test_the_second_try_after_a_refusal_starts_anew(start, deferrable) -> None:
    world = start({"outcome": ["not_created", "succeeded"]})
    with pytest.raises(SyncFailed):
        world.run(sync(deferrable), world.context(1, store=True))
    world.run(sync(deferrable), world.context(2, store=True))
    assert world.starts == 1


@pytest.mark.parametrize("seconds", [1, 5])
@pytest.mark.parametrize("how", ["blocking", "deferred", "sensor"])
def test_an_impatient_user_still_keeps_the_quota(start, how, seconds) -> None:
    world = start({"seconds": 400, "updates_at": [400]}, quotas=True)
    if how == "sensor":
        HssClusterEventsSensor(
            task_id="t", cluster_id="c", updated_after=world.began, poke_interval=seconds, deferrable=False
        ).execute(world.context())
    else:
        world.run(sync(how == "deferred", poll_interval=seconds))
    looks = [entry["time"] for entry in world.calls(LIST)]
    assert {entry["status"] for entry in world.calls()} == {200}
    assert all(sum(at <= each < at + 60 for each in looks) <= 5 for at in looks)
    assert world.emulator.clock.now() - world.began < 480


# --- faults --------------------------------------------------------------------------------------------------------

FAULTS = [
    ("throttled, window in the text", THROTTLE),
    ("throttled, Retry-After", {**THROTTLE, "retry_after": 3}),
    ("429 that names no window", {"status": 429, "body": {"error_code": "APIGW.0308", "error_msg": "no"}}),
    ("503", {"status": 503}),
    ("500", {"status": 500, "body": {"error_code": "HSS.0041", "error_description": "internal"}}),
    ("reset", {"reset": True}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>maintenance</html>"}),
    ("empty object", {"raw": "{}"}),
    ("an update without a list", {"raw": '{"last_update_time": 1999999999999}'}),
    ("null", {"raw": "null"}),
]
FAULT = pytest.mark.parametrize("fault", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])


@BOTH_WAYS
@FAULT
@pytest.mark.parametrize("skip", [0, 1], ids=["first look", "later"])
def test_faults_of_a_look_are_borne(start, deferrable, fault, skip) -> None:
    world = start({"seconds": 200})
    world.emulator.faults([{"match": LOOK, "skip": skip, "times": 3, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert cluster(world)["runs"][0]["ended"] is not None


@BOTH_WAYS
@FAULT
def test_faults_without_end_are_ended_by_the_deadline(start, deferrable, fault) -> None:
    world = start({"seconds": 20})
    world.emulator.faults([{"match": LOOK, "skip": 1, "times": None, **fault}])
    with pytest.raises(WaitTimedOut, match="last poll failed"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - world.began < 300 + 61
    assert world.starts == 1


@BOTH_WAYS
@FAULT
def test_faults_from_the_first_look_on(start, deferrable, fault) -> None:
    world = start()
    world.emulator.faults([{"match": LOOK, "times": None, **fault}])
    with pytest.raises(WaitTimedOut, match="no poll succeeded"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - world.began <= 300
    assert world.starts == 0


LOST = [
    ("reset", {"reset": True}),
    ("502", {"status": 502}),
    ("504", {"status": 504}),
    ("500", {"status": 500}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>"}),
    ("no word of it", {"raw": "{}"}),
    ("text for a truth value", {"raw": '{"synched": "true"}'}),
    ("a number for a truth value", {"raw": '{"synched": 1}'}),
    ("null for a truth value", {"raw": '{"synched": null}'}),
]
LOSS = pytest.mark.parametrize("fault", [case[1] for case in LOST], ids=[case[0] for case in LOST])


@BOTH_WAYS
@LOSS
@pytest.mark.parametrize("waits", [True, False], ids=["waits", "does not wait"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_start_of_which_nobody_can_tell_is_not_sent_twice_and_not_green(
    start, deferrable, fault, waits, when
) -> None:
    """The list of events moves by itself, too, so nothing shows whether the start was accepted."""
    world = start()
    world.emulator.faults([{"match": START, "when": when, **fault}])
    with pytest.raises((TransportError, ApiError)):
        world.run(sync(deferrable, wait_for_completion=waits))
    assert world.starts == (when == "after")
    assert len(world.calls(SYNC)) == 1


@BOTH_WAYS
@pytest.mark.parametrize("outcome", ["never_ends", "succeeded"])
def test_a_lost_start_that_shows_late_is_not_sent_twice(start, deferrable, outcome) -> None:
    world = start({"seconds": 300, "outcome": outcome})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    with pytest.raises((TransportError, WaitTimedOut)):
        world.run(sync(deferrable))
    assert world.starts == 1


def test_a_lost_reply_that_says_no_is_no_start(start) -> None:
    world = start({"outcome": "not_created"})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    with pytest.raises(CloudSyncError):
        world.run(sync())
    assert world.starts == 0


@BOTH_WAYS
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("fault", "least"),
    [
        pytest.param(THROTTLE, 60, id="window in the text"),
        pytest.param({**THROTTLE, "retry_after": 20}, 20, id="Retry-After"),
        pytest.param({"status": 429}, 60, id="no window: the documented one"),
    ],
)
def test_a_throttled_start_is_sent_again_after_the_window(start, deferrable, times, fault, least) -> None:
    world = start()
    world.emulator.faults([{"match": START, "times": times, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    sent = [entry["time"] for entry in world.calls(SYNC)]
    assert len(sent) == times + 1
    assert all(later - sooner >= least for sooner, later in itertools.pairwise(sent))


@BOTH_WAYS
def test_a_start_that_is_throttled_for_ever_is_ended_by_the_deadline(start, deferrable) -> None:
    world = start()
    world.emulator.faults([{"match": START, "times": None, **THROTTLE}])
    with pytest.raises(WaitTimedOut, match="429"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - world.began <= 300
    assert world.starts == 0


@BOTH_WAYS
@pytest.mark.parametrize("skip", [0, 1], ids=["first look", "later"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({"status": 401, "body": {"error_code": "APIGW.0301"}}, AirflowFailException, id="key"),
        pytest.param({"status": 403, "body": {"error_code": "APIGW.0302"}}, ApiError, id="permission"),
        pytest.param(
            {"status": 400, "body": {"error_code": "HSS.0013", "error_description": "no permission"}},
            ApiError,
            id="enterprise project",
        ),
        pytest.param({"status": 404, "body": {"error_code": "APIGW.0101"}}, ApiError, id="no such API"),
    ],
)
def test_what_will_not_pass_ends_the_wait_at_once(start, deferrable, skip, fault, error) -> None:
    world = start({"seconds": 60})
    world.emulator.faults([{"match": LOOK, "skip": skip, "times": None, **fault}])
    with pytest.raises(error) as raised:
        world.run(sync(deferrable))
    assert str(fault["status"]) in str(raised.value)
    assert sum(entry["fault"] is not None for entry in world.calls()) == 1
    assert world.starts == skip


def test_a_typing_error_in_a_header_does_not_stop_everybody_for_a_day(start) -> None:
    world = start()
    world.emulator.faults([{"match": LOOK, "times": 1, **THROTTLE, "retry_after": 86_400}])
    HssHook().get_cluster_events_update_time(cluster_id="c")
    assert world.emulator.clock.now() - world.began < 1200


@BOTH_WAYS
def test_a_typing_error_in_a_header_does_not_fail_the_wait(start, deferrable) -> None:
    world = start({"seconds": 60})
    world.emulator.faults([{"match": LOOK, "skip": 1, "times": 1, **THROTTLE, "retry_after": 86_400}])
    world.run(sync(deferrable, timeout=3600))
    assert world.starts == 1


# --- retries -------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def kill_around_the_start(world, *, sent: bool, task) -> None:
    """The ticket is stored, and it is not known whether the start went out."""

    class Dying(type(world.store)):
        def set(self, key, value, **_):
            if json.loads(value)["ticket"]["stage"] == "started" and sent:
                raise Killed
            super().set(key, value)
            if not sent:
                raise Killed

    plain, world.store = world.store, Dying()
    with pytest.raises(Killed):
        world.run(task, world.context(1, store=True))
    plain.update(world.store)
    world.store = plain
    assert world.starts == int(sent)


class TestRetries:
    @BOTH_WAYS
    @pytest.mark.parametrize("waits", [True, False], ids=["waits", "does not wait"])
    @pytest.mark.parametrize("later", [2, 40, 300])
    @pytest.mark.parametrize("sent", [True, False], ids=["after the start", "before the start"])
    def test_worker_killed_around_the_start(self, start, deferrable, sent, later, waits) -> None:
        world = start()
        task = {"wait_for_completion": waits}
        kill_around_the_start(world, sent=sent, task=sync(deferrable, **task))
        world.emulator.advance(later)
        world.run(sync(deferrable, **task), world.context(2, store=True))
        # Nothing shows whether it was accepted, so the retry starts the refresh again.
        assert world.starts == 1 + sent

    @BOTH_WAYS
    def test_with_a_store_takes_up_what_was_started(self, start, deferrable) -> None:
        world = start({"seconds": 600})
        with pytest.raises(WaitTimedOut):
            world.run(sync(deferrable, timeout=60), world.context(1, store=True))
        world.run(sync(deferrable), world.context(2, store=True))
        assert world.starts == 1

    def test_with_a_store_takes_the_result_of_a_run_that_ended(self, start) -> None:
        world = start({"seconds": 600})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        world.emulator.advance(1200)
        world.run(sync(), world.context(2, store=True))
        assert world.starts == 1

    def test_starts_anew_when_cleared_after_success(self, start) -> None:
        world = start()
        world.run(sync(), world.context(1, store=True))
        assert world.store
        world.run(sync(), world.context(2, store=True, max_tries=1))
        assert world.starts == 2

    def test_without_a_store_nothing_shows_that_a_run_is_under_way(self, start) -> None:
        """The service has no sign of a run, so a retry on Airflow before 3.3 can but ask again."""
        world = start({"seconds": 600})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1))
        world.run(sync(), world.context(2))
        assert world.starts == 2

    def test_a_ticket_of_another_cluster_is_not_used(self, start_world) -> None:
        world = start_world(hss={"clusters": {"c": {"seconds": 600}, "d": {"seconds": 30}}})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        world.run(sync(cluster_id="d"), world.context(2, store=True))
        assert [len(cluster(world, name)["runs"]) for name in "cd"] == [1, 1]

    def test_a_report_of_an_earlier_try_is_not_taken(self, start) -> None:
        world = start({"outcome": ["never_ends", "succeeded"]})
        with pytest.raises(WaitTimedOut):
            world.run(sync(True, timeout=60))
        stale = world.events[-1]
        sync().execute_complete(world.context(2), event=stale)
        assert world.starts == 2


# --- what goes on the wire -----------------------------------------------------------------------------------------

PROJECTS = [
    # id, connection's, task's, sent
    ("neither", None, OUT, None),
    ("the connection's", "ep-1", OUT, "ep-1"),
    ("the task's", None, "ep-2", "ep-2"),
    ("both: the task's", "ep-1", "ep-2", "ep-2"),
    ("the default one in so many words", "ep-1", "0", "0"),
    ("all", None, "all_granted_eps", "all_granted_eps"),
    ("empty in the form is unset", "", OUT, None),
]


@pytest.mark.parametrize("kind", ["operator", "sensor", "hook"])
@pytest.mark.parametrize(
    ("of_connection", "of_task", "sent"), [case[1:] for case in PROJECTS], ids=[case[0] for case in PROJECTS]
)
def test_enterprise_project(start, monkeypatch, kind, of_connection, of_task, sent) -> None:
    world = start({"enterprise_project_id": sent or "0"})
    connect(world, monkeypatch, enterprise_project_id=of_connection)
    if kind == "operator":
        world.run(sync(True, enterprise_project_id=of_task))
    elif kind == "sensor":
        world.run(
            HssClusterEventsSensor(
                **given(task_id="t", cluster_id="c", updated_after=None, enterprise_project_id=of_task)
            )
        )
    else:
        hook = HssHook()
        project = given(enterprise_project_id=of_task)
        hook.get_cluster_events_update_time(cluster_id="c", **project)
        hook.list_cluster_events(**project)
        hook.sync_cluster_protection_events(**project)
    assert {dict(entry["query"]).get("enterprise_project_id") for entry in world.calls()} == {sent}
    assert world.starts == int(kind != "sensor")


def test_a_look_is_one_short_page(start) -> None:
    world = start({"events": 3000})
    world.run(sync())
    assert {dict(entry["query"])["limit"] for entry in world.calls(LIST)} == {"10"}
    assert {dict(entry["query"])["offset"] for entry in world.calls(LIST)} == {"0"}
    (sent,) = world.calls(SYNC)
    assert sent["body"] is None
    assert dict(sent["query"]) == {"cluster_id": "c"}


PARAMETERS = [
    ("empty id", {"cluster_id": ""}, "cluster_id"),
    ("path trick", {"cluster_id": "../x"}, "cluster_id"),
    ("query trick", {"cluster_id": "c&enterprise_project_id=all_granted_eps"}, "cluster_id"),
    ("line break", {"cluster_id": "c\n"}, "cluster_id"),
    ("not text", {"cluster_id": 7.5}, "cluster_id"),
    ("a flag", {"cluster_id": True}, "cluster_id"),
    ("None", {"cluster_id": None}, "cluster_id"),
    ("None for an enterprise project", {"enterprise_project_id": None}, "enterprise_project_id"),
    ("empty enterprise project", {"enterprise_project_id": ""}, "enterprise_project_id"),
    ("enterprise project with a blank", {"enterprise_project_id": "a b"}, "enterprise_project_id"),
]


def make_either(kind: str, **arguments):
    if kind == "operator":
        return sync(**arguments)
    return HssClusterEventsSensor(**{"task_id": "t", "cluster_id": "c", "updated_after": None, **arguments})


@pytest.mark.parametrize("kind", ["operator", "sensor"])
@pytest.mark.parametrize(
    ("arguments", "word"), [case[1:] for case in PARAMETERS], ids=[case[0] for case in PARAMETERS]
)
def test_bad_input_is_refused_before_anything_is_sent(start, kind, arguments, word) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match=word):
        world.run(make_either(kind, **arguments))
    assert world.calls() == []


@pytest.mark.parametrize(
    ("make", "field", "harm"),
    [
        pytest.param(lambda: sync(cluster_id="{{ x }}"), "cluster_id", "every cluster", id="operator"),
        pytest.param(
            lambda: HssClusterEventsSensor(task_id="t", cluster_id="{{ x }}", updated_after=None),
            "cluster_id",
            "any cluster",
            id="sensor",
        ),
        pytest.param(
            lambda: sync(enterprise_project_id="{{ x }}"),
            "enterprise_project_id",
            "connection's",
            id="project",
        ),
        pytest.param(
            lambda: HssClusterEventsSensor(task_id="t", cluster_id="c", updated_after="{{ x }}"),
            "updated_after",
            "any old update",
            id="time",
        ),
    ],
)
def test_a_template_that_renders_to_none_does_not_mean_everything(start, make, field, harm) -> None:
    world = start()
    task = make()
    setattr(task, field, None)
    with pytest.raises(InvalidParameter, match=f"{field} is .*None.*{harm}"):
        task.execute(world.context())
    assert world.calls() == []


def test_an_id_of_digits_that_was_rendered_to_a_number(start_world) -> None:
    """As with render_template_as_native_obj=True."""
    world = start_world(hss={"clusters": {"7": {"seconds": 10}}})
    task = sync(cluster_id="{{ x }}", enterprise_project_id="{{ y }}")
    task.cluster_id, task.enterprise_project_id = 7, 0
    assert world.run(task)["cluster_id"] == "7"


# --- the sensor ----------------------------------------------------------------------------------------------------


def sensor(world, mode: str, **arguments) -> HssClusterEventsSensor:
    usual = {"task_id": "wait", "cluster_id": "c", "updated_after": world.began, "timeout": 7200}
    return HssClusterEventsSensor(**given(**{**usual, "deferrable": mode == "deferred", **arguments}))


def wait(world, mode: str, **arguments) -> None:
    if mode == "deferred":
        world.run(sensor(world, mode, **arguments))
    elif mode == "poked":
        try:
            world.poke(lambda: sensor(world, mode, **arguments), at_most=arguments.get("timeout", 7200))
        except TimeoutError:
            raise AirflowSensorTimeout("no verdict in time") from None
    else:
        sensor(world, mode, poke_interval=20, **arguments).execute(world.context())


@pytest.fixture(params=["blocking", "poked", "deferred"])
def mode(request) -> str:
    return request.param


SENSOR_CASES = [
    # id, cluster, arguments, error, words, seconds until the verdict at the least
    ("an update comes", {"updates_at": [100]}, {}, None, [], 100),
    ("an update without events", {"updates_at": [100], "events": 0}, {}, None, [], 100),
    ("the first update ever", {"updates_at": [100], "last_update_time": None}, {}, None, [], 100),
    ("an old update", {}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("never updated", {"last_update_time": None}, {"timeout": 600}, AirflowSensorTimeout, [], 600),
    (
        "never updated, and any counts",
        {"last_update_time": None},
        {"timeout": 600, "updated_after": None},
        AirflowSensorTimeout,
        [],
        600,
    ),
    ("any update counts", {}, {"updated_after": None}, None, [], 0),
    ("of any cluster", {"updates_at": [100]}, {"cluster_id": OUT}, None, [], 100),
    ("unknown cluster", {}, {"cluster_id": "nope", "timeout": 600}, AirflowSensorTimeout, [], 600),
    ("not ours", {}, {"enterprise_project_id": "denied"}, ApiError, ["HSS.0013"], 0),
]


@pytest.mark.parametrize(
    ("fields", "arguments", "error", "words", "least"),
    [case[1:] for case in SENSOR_CASES],
    ids=[case[0] for case in SENSOR_CASES],
)
def test_sensor(start, mode, fields, arguments, error, words, least) -> None:
    world = start(fields, hss={"denied_enterprise_projects": ["denied"]})
    if error is None:
        wait(world, mode, **arguments)
    else:
        with pytest.raises(error) as raised:
            wait(world, mode, **arguments)
        for word in words:
            assert word in str(raised.value)
    assert least <= world.emulator.clock.now() - world.began <= least + 70
    assert {entry["method"] for entry in world.calls()} == {"GET"}


@pytest.mark.parametrize("how", ["blocking", "deferred"])
def test_a_timeout_says_what_was_last_seen(start, how) -> None:
    world = start()
    with pytest.raises(AirflowSensorTimeout, match=r"Waiting for an update at .*was last updated at"):
        wait(world, how, timeout=300)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda now: datetime.fromtimestamp(now, UTC), id="datetime"),
        pytest.param(lambda now: str(datetime.fromtimestamp(now, UTC)), id="as a template renders it"),
        pytest.param(lambda now: now, id="seconds"),
        pytest.param(lambda now: int(now * 1000), id="milliseconds"),
    ],
)
def test_updated_after_in_all_its_forms(start, given) -> None:
    world = start({"updates_at": [100]})
    wait(world, "deferred", updated_after=given(world.began))
    assert world.emulator.clock.now() - world.began >= 100


@FAULT
def test_faults_of_a_sensor_s_look_are_borne(start, mode, fault) -> None:
    world = start({"updates_at": [100]})
    world.emulator.faults([{"match": LOOK, "skip": 1, "times": 3, **fault}])
    wait(world, mode)
    assert world.emulator.clock.now() - world.began >= 100


def test_soft_fail_skips_a_deferred_sensor_that_timed_out(start) -> None:
    world = start()
    with pytest.raises(AirflowSkipException):
        world.run(sensor(world, "deferred", soft_fail=True, timeout=300))


@pytest.mark.parametrize("value", ["yesterday", "", "None", True])
def test_what_is_no_time_is_refused_before_anything_is_sent(start, mode, value) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match="updated_after"):
        wait(world, mode, updated_after=value)
    assert world.calls() == []


def test_there_is_no_default_for_what_counts() -> None:
    with pytest.raises(Exception, match="updated_after"):
        HssClusterEventsSensor(task_id="t", cluster_id="c")
