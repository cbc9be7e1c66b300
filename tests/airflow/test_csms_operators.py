"""CSMS operators: what is written, what is told of before and after, and what survives a try that was killed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidParameter,
    SyncFailed,
    TransportError,
)
from airflow_provider_cloudsync.hooks.csms import CsmsHook
from airflow_provider_cloudsync.operators.csms import (
    CsmsCreateEventOperator,
    CsmsDeleteEventOperator,
    CsmsUpdateEventOperator,
)

TOPIC = "urn:smn:cn-north-4:e1000000000000000000000000000001:example-topic"
SMN = {"target_type": "SMN", "target_id": TOPIC, "target_name": "example-topic"}
OTHER = {"target_type": "SMN", "target_id": f"{TOPIC}-2", "target_name": "other-topic"}
ROTATED = ["SECRET_ROTATED"]
BOTH = ["SECRET_ROTATED", "SECRET_DELETED"]
THERE = {"state": "ENABLED", "event_types": BOTH, "notification": SMN}
CREATE, UPDATE, DELETE, SHOW = (
    "CreateSecretEvent",
    "UpdateSecretEvent",
    "DeleteSecretEvent",
    "ShowSecretEvent",
)
WRITES = {CREATE, UPDATE, DELETE}


@pytest.fixture
def start(start_world):
    def start(events: dict | None = None, **section):
        given = {"e": dict(THERE)} if events is None else events
        return start_world(csms={"events": given, "secrets": {}, "topics": [TOPIC], **section})

    return start


def update(**arguments) -> CsmsUpdateEventOperator:
    return CsmsUpdateEventOperator(**{"task_id": "t", "name": "e", **arguments})


def create(**arguments) -> CsmsCreateEventOperator:
    return CsmsCreateEventOperator(
        **{"task_id": "t", "name": "e", "event_types": BOTH, "notification": SMN, **arguments}
    )


def delete(**arguments) -> CsmsDeleteEventOperator:
    return CsmsDeleteEventOperator(**{"task_id": "t", "name": "e", **arguments})


def event(world, name: str = "e") -> dict | None:
    found = world.emulator.state()["csms"]["events"].get(name)
    return None if found is None else {key: found[key] for key in THERE}


def writes(world) -> list[dict]:
    return [entry for entry in world.calls() if entry["operation"] in WRITES]


def context(world, try_number: int = 1, *, began: float | None = None, **more) -> dict:
    found = world.context(try_number, **more)
    at = world.began if began is None else began
    return {**found, "dag_run": SimpleNamespace(start_date=datetime.fromtimestamp(at, UTC))}


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# --- update --------------------------------------------------------------------------------------------------------

UPDATES = [
    # id, what is asked for, fields that are written
    ("the state", {"state": "DISABLED"}, ["state"]),
    ("the types", {"event_types": ROTATED}, ["event_types"]),
    ("the topic", {"notification": OTHER}, ["notification"]),
    ("all three", {"state": "DISABLED", "event_types": ROTATED, "notification": OTHER}, list(THERE)),
    ("all given, one differs", {**THERE, "state": "DISABLED"}, ["state"]),
    ("all given, another differs", {**THERE, "event_types": ROTATED}, ["event_types"]),
    ("as it is", THERE, []),
    ("the state as it is", {"state": "ENABLED"}, []),
    ("the types in another order", {"event_types": BOTH[::-1]}, []),
    ("the types as a tuple", {"event_types": tuple(BOTH)}, []),
]


@pytest.mark.parametrize(
    ("wanted", "written"), [case[1:] for case in UPDATES], ids=[case[0] for case in UPDATES]
)
def test_update_writes_what_differs(start, wanted, written) -> None:
    world = start()
    result = world.run(update(**wanted))
    after = {
        **THERE,
        **{key: list(value) if isinstance(value, tuple) else value for key, value in wanted.items()},
    }
    assert result["before"] == THERE
    assert event(world) == result["after"]
    assert result["changed"] is bool(written)
    if written:
        (sent,) = writes(world)
        assert sent["body"] == {key: after[key] for key in written}
        assert result["after"] == after
    else:
        assert writes(world) == []
        assert len(world.calls()) == 1
    json.dumps(result)
    assert len(json.dumps(result)) < 1000


def test_setup_and_teardown_bring_back_what_was(start) -> None:
    world = start()
    muted = world.run(update(state="DISABLED", event_types=ROTATED, notification=OTHER))
    assert event(world) != THERE
    world.run(update(**muted["before"]))
    assert event(world) == THERE


@pytest.mark.parametrize("status", [404, 400])
@pytest.mark.parametrize("kind", ["update", "delete"])
def test_an_event_that_does_not_exist(start, status, kind) -> None:
    world = start({}, missing_status=status)
    task = update(state="DISABLED") if kind == "update" else delete()
    with pytest.raises(SyncFailed, match=r'CSMS event notification "e" not found.*cn-north-4'):
        world.run(task)
    assert writes(world) == []


@pytest.mark.parametrize(
    "wanted", [{"state": "DISABLED"}, {"event_types": ROTATED}, {"notification": OTHER}], ids=str
)
def test_a_write_that_is_taken_and_not_carried_out_fails(start, wanted) -> None:
    world = start(ignores_writes=True)
    with pytest.raises(SyncFailed, match="differs from the request") as raised:
        world.run(update(**wanted))
    (name,) = wanted
    assert name in str(raised.value)
    assert "Settings before the write" in str(raised.value)
    assert repr(THERE[name]) in str(raised.value)
    assert len(writes(world)) == 1


def test_a_service_that_resets_what_is_left_out_fails(start) -> None:
    world = start(resets_omitted=True)
    world.run(update(event_types=ROTATED))
    with pytest.raises(SyncFailed, match=r"event_types is .*SECRET_DELETED") as raised:
        world.run(update(state="DISABLED"))
    assert str(ROTATED) in str(raised.value)


@pytest.mark.parametrize(
    "store",
    [
        pytest.param(True, id="store"),
        pytest.param(
            False,
            id="no store",
            marks=pytest.mark.xfail(
                strict=True,
                reason="Without a store the next try sees the state as asked, and nothing of the reset.",
            ),
        ),
    ],
)
def test_a_reset_of_what_was_left_out_is_not_green_at_the_next_try(start, store) -> None:
    world = start(resets_omitted=True)
    world.run(update(event_types=ROTATED))
    with pytest.raises(SyncFailed):
        world.run(update(state="DISABLED", retries=1), context(world, 1, store=store, max_tries=1))
    with pytest.raises(CloudSyncError):
        world.run(update(state="DISABLED", retries=1), context(world, 2, store=store, max_tries=1))


SAYS_NOTHING = {"raw": "{}"}
LOST = [
    ("reset", {"reset": True}),
    ("502", {"status": 502}),
    ("500", {"status": 500}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>"}),
    ("no event", SAYS_NOTHING),
]
LOSS = pytest.mark.parametrize("fault", [case[1] for case in LOST], ids=[case[0] for case in LOST])
WHEN = pytest.mark.parametrize("when", ["before", "after"])
TIMES = pytest.mark.parametrize("times", [1, None], ids=["once", "always"])


@LOSS
@WHEN
@TIMES
class TestLostReplies:
    """Green where the write was carried out, whatever became of its reply; red where it was not."""

    def test_update(self, start, fault, when, times) -> None:
        world = start()
        world.emulator.faults([{"match": {"operation": UPDATE}, "when": when, "times": times, **fault}])
        if when == "before" and (times is None or fault == SAYS_NOTHING):
            with pytest.raises((TransportError, ApiError)):
                world.run(update(state="DISABLED"))
            assert event(world) == THERE
            return
        result = world.run(update(state="DISABLED"))
        after = {**THERE, "state": "DISABLED"}
        assert result == {"changed": True, "before": THERE, "after": after}
        assert event(world) == after

    def test_create(self, start, fault, when, times) -> None:
        world = start({})
        world.emulator.faults([{"match": {"operation": CREATE}, "when": when, "times": times, **fault}])
        if when == "before" and (times is None or fault == SAYS_NOTHING):
            with pytest.raises((TransportError, ApiError)):
                world.run(create())
            assert event(world) is None
            return
        assert world.run(create()) == {"changed": True, "before": None, "after": THERE}
        assert event(world) == THERE
        assert world.starts == 1

    def test_delete(self, start, fault, when, times) -> None:
        if fault in (SAYS_NOTHING, {"truncate": True}):
            pytest.skip("the reply to a deletion has no body")
        world = start()
        world.emulator.faults([{"match": {"operation": DELETE}, "when": when, "times": times, **fault}])
        if times is None and when == "before":
            with pytest.raises((TransportError, ApiError, SyncFailed)):
                world.run(delete())
            assert event(world) == THERE
            return
        assert world.run(delete()) == {"changed": True, "before": THERE, "after": None}
        assert event(world) is None


@pytest.mark.parametrize("operation", [UPDATE, CREATE, DELETE])
def test_a_deletion_or_write_that_only_says_so_is_red(start, operation) -> None:
    """A gateway that answers 200 for the service, which never hears of it."""
    world = start({} if operation == CREATE else None)
    good = {"event": {"name": "e", **THERE, "state": "DISABLED"}}
    world.emulator.faults([{"match": {"operation": operation}, "times": None, "raw": json.dumps(good)}])
    task = {UPDATE: update(state="DISABLED"), CREATE: create(), DELETE: delete()}[operation]
    with pytest.raises(SyncFailed, match="accepted"):
        world.run(task)


@pytest.mark.parametrize("operation", [UPDATE, CREATE, DELETE])
def test_a_throttled_write_is_sent_again(start, operation) -> None:
    world = start({} if operation == CREATE else None)
    world.emulator.faults(
        [{"match": {"operation": operation}, "times": 2, "throttle": {"limit": 9, "window": "1 minute"}}]
    )
    task = {UPDATE: update(state="DISABLED"), CREATE: create(), DELETE: delete()}[operation]
    assert world.run(task)["changed"] is True
    assert world.emulator.clock.now() - world.began >= 120


@pytest.mark.parametrize("operation", [UPDATE, CREATE, DELETE, SHOW])
def test_a_rejected_key_is_not_used_again(start, operation) -> None:
    """Five failures lock it for everyone."""
    world = start({} if operation == CREATE else None)
    refusal = {"status": 401, "body": {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"}}
    world.emulator.faults(
        [
            {"match": {"operation": operation}, "times": None, **refusal},
            *(
                []
                if operation == SHOW
                else [{"match": {"operation": SHOW}, "skip": 1, "times": None, **refusal}]
            ),
        ]
    )
    task = {UPDATE: update(state="DISABLED"), CREATE: create(), DELETE: delete(), SHOW: delete()}[operation]
    with pytest.raises(AirflowFailException):
        world.run(task)
    assert [entry["status"] for entry in world.calls()].count(401) == 1


@pytest.mark.parametrize("operation", [UPDATE, CREATE, DELETE, SHOW])
@pytest.mark.parametrize("status", [403, 400])
def test_a_refusal_says_why(start, operation, status) -> None:
    world = start({} if operation == CREATE else None)
    body = {"error": {"error_code": "CSMS.0002", "error_msg": "you may not do that"}}
    world.emulator.faults(
        [{"match": {"operation": operation}, "times": None, "status": status, "body": body}]
    )
    task = {UPDATE: update(state="DISABLED"), CREATE: create(), DELETE: delete(), SHOW: delete()}[operation]
    with pytest.raises(ApiError, match="you may not do that"):
        world.run(task)
    assert world.starts == 0


def test_a_read_back_that_comes_late_is_waited_for(start) -> None:
    world = start()
    old = json.dumps({"event": {"name": "e", **THERE}})
    world.emulator.faults([{"match": {"operation": SHOW}, "skip": 1, "times": 2, "raw": old}])
    assert world.run(update(state="DISABLED"))["changed"] is True
    assert len(writes(world)) == 1


# --- create --------------------------------------------------------------------------------------------------------


def test_create(start) -> None:
    world = start({})
    assert world.run(create()) == {"changed": True, "before": None, "after": THERE}
    (sent,) = writes(world)
    assert sent["body"] == {"name": "e", **THERE}


@pytest.mark.parametrize("types", [BOTH, BOTH[::-1]], ids=["same order", "another order"])
def test_create_what_is_there_as_asked(start, types) -> None:
    world = start()
    assert world.run(create(event_types=types)) == {"changed": False, "before": THERE, "after": THERE}
    assert writes(world) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"state": "DISABLED"}, ["state"]),
        ({"event_types": ROTATED}, ["event_types"]),
        ({"notification": OTHER}, ["notification"]),
        ({"state": "DISABLED", "notification": OTHER}, ["state and notification"]),
    ],
    ids=str,
)
def test_create_what_is_there_and_different(start, arguments, words) -> None:
    world = start()
    with pytest.raises(SyncFailed, match="already exists") as raised:
        world.run(create(**arguments))
    for word in words:
        assert word in str(raised.value)
    assert event(world) == THERE
    assert writes(world) == []


def test_create_where_a_stranger_was_faster(start) -> None:
    """Between our look and our write somebody creates one of that name, with another topic."""
    world = start()
    missing = {"status": 404, "body": {"error": {"error_code": "CSMS.0005", "error_msg": "no"}}}
    world.emulator.faults([{"match": {"operation": SHOW}, "times": 1, **missing}])
    with pytest.raises(CloudSyncError, match="exists already"):
        world.run(create(notification=OTHER))
    assert event(world) == THERE


# --- delete --------------------------------------------------------------------------------------------------------


def test_delete(start) -> None:
    world = start()
    assert world.run(delete()) == {"changed": True, "before": THERE, "after": None}
    assert event(world) is None


@pytest.mark.parametrize("status", [404, 400])
def test_delete_what_is_missing_and_may_be(start, status) -> None:
    world = start({}, missing_status=status)
    assert world.run(delete(ignore_missing=True)) == {"changed": False, "before": None, "after": None}
    assert writes(world) == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            {"status": 404, "body": {"error_code": "APIGW.0101", "error_msg": "no API"}}, id="gateway"
        ),
        pytest.param(
            {"status": 404, "body": {"error_code": "APIG.0101", "error_msg": "no API"}}, id="newer gateway"
        ),
        pytest.param({"status": 404, "body": "<html>404 Not Found</html>"}, id="a web server's page"),
        pytest.param({"status": 404, "body": ""}, id="nothing"),
        pytest.param({"status": 404, "body": {"detail": "Not Found"}}, id="a framework"),
        pytest.param({"status": 404, "body": {"code": 404}}, id="the status again"),
    ],
)
@pytest.mark.parametrize("operation", [SHOW, DELETE])
def test_a_wrong_address_is_no_event_that_is_missing(start, fault, operation) -> None:
    world = start()
    world.emulator.faults([{"match": {"operation": operation}, "times": None, **fault}])
    with pytest.raises(CloudSyncError):
        world.run(delete(ignore_missing=True))
    assert event(world) == THERE


NO_CODE = {"status": 404, "body": ""}


@pytest.mark.parametrize("kind", ["update", "delete", "create"])
def test_a_gateway_that_knows_no_path_for_some_seconds_does_no_harm(start, kind) -> None:
    world = start({} if kind == "create" else None)
    world.emulator.faults([{"match": {"operation": SHOW}, "times": 3, **NO_CODE}])
    task = {"update": update(state="DISABLED"), "delete": delete(), "create": create()}[kind]
    assert world.run(task)["changed"] is True
    assert (event(world) is None) is (kind == "delete")


@pytest.mark.parametrize("count", [0, 1, 60])
def test_what_is_missing_without_a_code_is_missing_by_the_list(start, count) -> None:
    """The list has two pages at the most."""
    world = start({f"other-{number}": dict(THERE) for number in range(count)})
    world.emulator.faults([{"match": {"operation": SHOW}, "times": None, **NO_CODE}])
    assert world.run(delete(ignore_missing=True)) == {"changed": False, "before": None, "after": None}
    with pytest.raises(SyncFailed, match=r'CSMS event notification "e" not found'):
        world.run(delete())


def test_a_wrong_address_for_all_paths_is_red(start) -> None:
    world = start({})
    world.emulator.faults([{"match": {"service": "csms"}, "times": None, **NO_CODE}])
    with pytest.raises(ApiError, match=r"404 without a known service code.*cannot be read either"):
        world.run(delete(ignore_missing=True))


@pytest.mark.parametrize("names", [["s1"], ["s1", "s2"], [f"s{number:02}" for number in range(30)]], ids=len)
def test_delete_names_the_secrets_that_are_in_the_way(start, names) -> None:
    world = start(secrets={name: {"event_name": "e"} for name in names} | {"other": {}})
    with pytest.raises(SyncFailed, match="while secrets subscribe to it") as raised:
        world.run(delete())
    for name in names[:10]:
        assert name in str(raised.value)
    assert "other" not in str(raised.value)
    assert ("and more" in str(raised.value)) is (len(names) > 10)
    assert len(str(raised.value)) < 700
    assert event(world) == THERE


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 400}, {"raw": "{}"}, {"reset": True}], ids=str)
def test_delete_without_the_right_to_list_secrets_says_what_the_service_says(start, fault) -> None:
    world = start(secrets={"s1": {"event_name": "e"}})
    world.emulator.faults([{"match": {"operation": "ListSecrets"}, "times": None, **fault}])
    with pytest.raises(ApiError, match="still referenced by a secret"):
        world.run(delete())


def test_deleted_and_still_there_is_red(start) -> None:
    world = start()
    world.emulator.faults([{"match": {"operation": DELETE}, "status": 204, "body": ""}])
    with pytest.raises(SyncFailed, match="still exists after"):
        world.run(delete())


# --- tries ---------------------------------------------------------------------------------------------------------


class TestTries:
    """A try that was killed after its write and before its result was stored; then the next one."""

    WANTED = {"state": "DISABLED", "retries": 1}  # noqa: RUF012
    AFTER = {**THERE, "state": "DISABLED"}  # noqa: RUF012

    def test_with_a_store_before_is_the_real_before(self, start) -> None:
        world = start()
        world.run(update(**self.WANTED), context(world, 1, store=True, max_tries=1))
        result = world.run(update(**self.WANTED), context(world, 2, store=True, max_tries=1))
        assert result == {"changed": True, "before": THERE, "after": self.AFTER}
        assert len(writes(world)) == 1

    @pytest.mark.parametrize("began", [0, -30, -3600], ids=["now", "soon before", "an hour before"])
    def test_without_a_store_before_is_not_known(self, start, caplog, began) -> None:
        world = start()
        at = world.began + began
        world.run(update(**self.WANTED), context(world, 1, began=at, max_tries=1))
        result = world.run(update(**self.WANTED), context(world, 2, began=at, max_tries=1))
        assert result == {"changed": False, "before": None, "after": self.AFTER}
        assert any("cannot be restored" in text for text in warnings(caplog))

    def test_without_a_store_nor_a_run_before_is_not_known(self, start) -> None:
        world = start()
        world.run(update(**self.WANTED), world.context(1, max_tries=1))
        assert world.run(update(**self.WANTED), world.context(2, max_tries=1))["before"] is None

    def test_without_a_store_and_without_a_change_in_this_run_before_is_known(self, start, caplog) -> None:
        world = start({"e": {**THERE, "state": "DISABLED", "update_time": -86_400}})
        result = world.run(update(**self.WANTED), context(world, 2, max_tries=1))
        assert result == {"changed": False, "before": self.AFTER, "after": self.AFTER}
        assert not any("restored" in text for text in warnings(caplog))

    def test_without_a_store_a_try_that_wrote_nothing_leaves_before_as_it_is(self, start) -> None:
        world = start()
        world.emulator.faults([{"match": {"operation": UPDATE}, "times": None, "status": 503}])
        with pytest.raises(ApiError):
            world.run(update(**self.WANTED), context(world, 1, max_tries=1))
        world.emulator.disarm()
        result = world.run(update(**self.WANTED), context(world, 2, max_tries=1))
        assert result == {"changed": True, "before": THERE, "after": self.AFTER}

    @pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
    def test_what_a_stranger_changed_between_two_tries_is_not_lost(self, start, store) -> None:
        """Our first try was refused; what it read is no longer what will be overwritten."""
        world = start()
        world.emulator.faults([{"match": {"operation": UPDATE}, "times": None, "status": 403}])
        with pytest.raises(ApiError):
            world.run(update(**self.WANTED), context(world, 1, store=store, max_tries=1))
        world.emulator.disarm()
        CsmsHook().update_event("e", event_types=ROTATED)
        result = world.run(update(**self.WANTED), context(world, 2, store=store, max_tries=1))
        assert result["before"] == {**THERE, "event_types": ROTATED}

    @pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
    def test_a_cleared_task_does_not_take_the_old_memory(self, start, store) -> None:
        world = start()
        world.run(update(**self.WANTED), context(world, 1, store=store, max_tries=1))
        CsmsHook().update_event("e", state="ENABLED", event_types=ROTATED)
        result = world.run(update(**self.WANTED), context(world, 2, store=store, max_tries=2))
        there = {**THERE, "event_types": ROTATED}
        assert result == {"changed": True, "before": there, "after": {**there, "state": "DISABLED"}}

    def test_a_retry_after_a_clear_tells_the_same_as_the_try_before_it(self, start) -> None:
        world = start()
        world.run(update(**self.WANTED), context(world, 1, store=True, max_tries=1))
        # Cleared: the event is as asked, so this try writes nothing; it is killed, and the next one is a retry.
        first = world.run(update(**self.WANTED), context(world, 2, store=True, max_tries=2))
        second = world.run(update(**self.WANTED), context(world, 3, store=True, max_tries=2))
        assert second == first
        assert len(writes(world)) == 1

    @pytest.mark.parametrize("number", [2, 3], ids=["cleared", "retry after that"])
    def test_what_a_stranger_changed_after_success_is_what_was_before(self, start, number) -> None:
        """Whoever clears the task later is not to restore what was before the time before."""
        world = start()
        world.run(update(**self.WANTED), context(world, 1, store=True, max_tries=1))
        world.emulator.advance(3600)
        CsmsHook().update_event("e", event_types=ROTATED)
        result = world.run(update(**self.WANTED), context(world, number, store=True, max_tries=2))
        assert result["before"] == {**self.AFTER, "event_types": ROTATED}

    def test_other_parameters_do_not_take_the_old_memory(self, start) -> None:
        world = start()
        world.run(update(**self.WANTED), context(world, 1, store=True, max_tries=1))
        result = world.run(update(event_types=ROTATED, retries=1), context(world, 2, store=True, max_tries=1))
        assert result["before"] == self.AFTER

    @pytest.mark.parametrize(
        "left", ["not json", "null", "[]", "{}", '{"of": "x"}', '{"before": 1, "of": null}', "5"]
    )
    def test_what_can_not_be_read_is_not_used(self, start, left) -> None:
        world = start()
        world.store["cloudsync_before"] = left
        result = world.run(update(**self.WANTED), context(world, 2, store=True, max_tries=1))
        assert result == {"changed": True, "before": THERE, "after": self.AFTER}

    def test_create_with_a_store(self, start) -> None:
        world = start({})
        world.run(create(retries=1), context(world, 1, store=True, max_tries=1))
        result = world.run(create(retries=1), context(world, 2, store=True, max_tries=1))
        assert result == {"changed": True, "before": None, "after": THERE}
        assert world.starts == 1

    def test_create_without_a_store_does_not_say_that_it_was_there_before(self, start) -> None:
        world = start({})
        world.run(create(retries=1), context(world, 1, max_tries=1))
        result = world.run(create(retries=1), context(world, 2, max_tries=1))
        assert world.starts == 1
        assert result["before"] is None

    def test_delete_with_a_store(self, start) -> None:
        world = start()
        world.run(delete(retries=1), context(world, 1, store=True, max_tries=1))
        result = world.run(delete(retries=1), context(world, 2, store=True, max_tries=1))
        assert result == {"changed": True, "before": THERE, "after": None}
        assert world.starts == 1

    def test_delete_without_a_store_says_that_it_may_have_been_us(self, start) -> None:
        world = start()
        world.run(delete(retries=1), context(world, 1, max_tries=1))
        with pytest.raises(SyncFailed, match="A previous try of this task may have deleted it"):
            world.run(delete(retries=1), context(world, 2, max_tries=1))
        world.run(delete(retries=1, ignore_missing=True), context(world, 2, max_tries=1))

    @pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
    def test_delete_of_what_never_was_stays_red_at_every_try(self, start, store) -> None:
        """Such as a name with a typing error."""
        world = start()
        for number in (1, 2, 3):
            with pytest.raises((SyncFailed, AirflowFailException), match="not found"):
                world.run(delete(name="f", retries=2), context(world, number, store=store, max_tries=2))

    def test_a_cleared_delete_of_what_is_gone_is_red_at_every_try(self, start) -> None:
        world = start()
        world.run(delete(retries=1), context(world, 1, store=True, max_tries=1))
        for number in (2, 3):
            with pytest.raises((SyncFailed, AirflowFailException), match="not found"):
                world.run(delete(retries=1), context(world, number, store=True, max_tries=2))

    def test_a_delete_that_was_refused_and_then_made_by_another_says_so(self, start) -> None:
        world = start(secrets={"s": {"event_name": "e"}})
        with pytest.raises(SyncFailed):
            world.run(delete(retries=1), context(world, 1, store=True, max_tries=1))
        with pytest.raises(SyncFailed):
            world.run(delete(retries=1), context(world, 2, store=True, max_tries=1))
        assert event(world) == THERE


# --- parameters ----------------------------------------------------------------------------------------------------

PARTS = ["target_type", "target_id", "target_name"]
NAMES = [
    "",
    "a b",
    "a/b",
    "..",
    "../x",
    "%2e%2e",
    "e?x=1",
    "e#x",
    "e\n",
    "é",
    "١٢",
    "工",
    "x" * 65,
    None,
    5.0,
    ["e"],
    "{{ var.value.x",
]
SETTINGS = [
    ("state in small letters", {"state": "enabled"}, "state"),
    ("state empty", {"state": ""}, "state"),
    ("state a flag", {"state": True}, "state"),
    ("state a list", {"state": ["ENABLED"]}, "state"),
    ("state with a line break", {"state": "ENABLED\n"}, "state"),
    ("no types", {"event_types": []}, "1 to 12 types"),
    ("13 types", {"event_types": [f"T{number}" for number in range(13)]}, "1 to 12 types"),
    ("a type twice", {"event_types": [*ROTATED, *BOTH]}, "more than once"),
    ("types as text", {"event_types": "SECRET_ROTATED"}, "list of names"),
    ("types as the text of a list", {"event_types": "['SECRET_ROTATED']"}, "list of names"),
    ("an empty type", {"event_types": [""]}, "event_types"),
    ("None for a type", {"event_types": [None]}, "event_types"),
    ("a type with a line break", {"event_types": ["SECRET\n"]}, "event_types"),
    ("a topic as text", {"notification": TOPIC}, "all three"),
    ("an empty topic", {"notification": {}}, "all three"),
    *[
        (f"no {part}", {"notification": {key: SMN[key] for key in PARTS if key != part}}, "all three")
        for part in PARTS
    ],
    *[(f"{part} is None", {"notification": {**SMN, part: None}}, part) for part in PARTS],
    *[(f"{part} is empty", {"notification": {**SMN, part: ""}}, part) for part in PARTS],
    *[(f"{part} has a line break", {"notification": {**SMN, part: "a\n"}}, part) for part in PARTS],
    ("one key more", {"notification": {**SMN, "extra": "x"}}, "nothing else"),
]


@pytest.mark.parametrize("make", [update, create], ids=["update", "create"])
@pytest.mark.parametrize(
    ("arguments", "words"), [case[1:] for case in SETTINGS], ids=[case[0] for case in SETTINGS]
)
def test_bad_settings_are_refused_before_anything_is_sent(start, make, arguments, words) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match=words):
        world.run(make(**arguments))
    assert world.calls() == []


@pytest.mark.parametrize("make", [update, create, delete], ids=["update", "create", "delete"])
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_bad_names_are_refused_before_anything_is_sent(start, make, name) -> None:
    world = start()
    more = {"state": "DISABLED"} if make is update else {}
    with pytest.raises(InvalidParameter, match="name"):
        world.run(make(name=name, **more))
    assert world.calls() == []


@pytest.mark.parametrize("name", ["{{ x }}", "a{% if x %}b{% endif %}"])
def test_a_name_that_is_a_template_is_checked_when_it_is_rendered(start, name) -> None:
    world = start()
    task = delete(name=name)
    task.name = None
    with pytest.raises(InvalidParameter, match="name"):
        world.run(task)
    assert world.calls() == []


def test_nothing_to_change_is_a_mistake(start) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match="nothing to change"):
        world.run(update())
    assert world.calls() == []


@pytest.mark.parametrize("field", list(THERE))
def test_create_with_a_template_that_rendered_to_none(start, field) -> None:
    world = start({})
    task = create(**{**THERE, field: "{{ x }}"})
    setattr(task, field, None)
    with pytest.raises(InvalidParameter):
        world.run(task)
    assert world.calls() == []


@pytest.mark.parametrize("field", list(THERE))
def test_update_with_a_template_that_rendered_to_none_is_not_green(start, field) -> None:
    """Such as a teardown that restores what another task was to tell."""
    world = start()
    given = {"state": "DISABLED", "event_types": ROTATED, "notification": OTHER, field: "{{ x }}"}
    task = update(**given)
    setattr(task, field, None)
    with pytest.raises(InvalidParameter, match=field):
        world.run(task)
    assert world.calls() == []


@pytest.mark.parametrize("unknown", ["SECRET_RENAMED", "secret_rotated"])
def test_an_unknown_type_is_sent_with_a_warning(start, caplog, unknown) -> None:
    world = start()
    with pytest.raises(ApiError, match=unknown):
        world.run(update(event_types=[*ROTATED, unknown]))
    assert any(unknown in text for text in warnings(caplog))
    assert writes(world)[0]["body"] == {"event_types": [*ROTATED, unknown]}


def test_an_unknown_kind_of_target_is_sent_with_a_warning(start, caplog) -> None:
    world = start()
    world.run(update(notification={**SMN, "target_type": "FunctionGraph"}))
    assert any("FunctionGraph" in text for text in warnings(caplog))


def test_no_secret_in_the_log(start, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    world = start()
    result = world.run(update(state="DISABLED"), context(world, 1, store=True))
    said = caplog.text + json.dumps([result, list(world.store.values())])
    for secret in (world.emulator.access_key, world.emulator.secret_key, "Signature="):
        assert secret not in said
