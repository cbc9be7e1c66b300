"""COC synchronizations in all ways of waiting: the same verdicts, one start each, and never an access key."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidConnection,
    InvalidEvent,
    InvalidParameter,
    SyncFailed,
    TransportError,
    WaitTimedOut,
)
from airflow_provider_cloudsync.hooks.coc import CocHook
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
SYNC, LIST = "SyncMultiCloudResource", "ListVendorAccount"
START, LOOK = {"operation": SYNC}, {"operation": LIST}
THROTTLE = {"throttle": {"limit": 60, "window": "1 minute"}}
AK = "AKIANEVERINANYLOG000"
FAILURE = "The vendor refused the access key of the account."


#: Stands in a table for a parameter that is left out.
OUT = object()


def given(**arguments) -> dict:
    return {name: value for name, value in arguments.items() if value is not OUT}


def sync(deferrable: bool = False, **arguments) -> CocSyncMultiCloudResourcesOperator:
    usual = {"task_id": "sync", "vendor": "AWS", "account_id": "111", "deferrable": deferrable}
    return CocSyncMultiCloudResourcesOperator(**given(**{**usual, **arguments}))


def every(deferrable: bool = False, **arguments) -> CocSyncMultiCloudResourcesOperator:
    return sync(deferrable, **{"account_id": OUT, **arguments})


@pytest.fixture
def start(start_world):
    """A world with accounts, named by COC's ids; each has the vendor's id that it is told, or 111, 222 and so on."""

    def start(*accounts: dict, section: dict | None = None, **sections):
        rows = {
            f"row-{number}": {"account_id": f"{number}" * 3, "seconds": 20, "ak": AK, **fields}
            for number, fields in enumerate(accounts or ({},), 1)
        }
        return start_world(coc={"accounts": rows, "resources": {}, **(section or {})}, **sections)

    return start


def account(world, number: int = 1) -> dict:
    return world.emulator.state()["coc"]["accounts"][f"row-{number}"]


def runs(world, number: int = 1) -> list[str]:
    """Who started the runs of an account."""
    return [run["by"] for run in account(world, number)["runs"]]


def connect(world, monkeypatch, **extra) -> None:
    connection = json.loads(world.emulator.connection)
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))


FOREIGN = {"at": 0, "seconds": 60}
#: The date is that of the run's start, and for a moment the status is still the last run's.
LAGGING = {"dates": "start", "status_lag": 4, "starts_after": 0}
SCENARIOS = [
    # id, accounts, arguments of the operator, error, words of the message, starts
    ("plain", [{}], {}, None, [], 1),
    ("shows late", [{"shows_after": 8}], {}, None, [], 1),
    ("waits long", [{"starts_after": 200}], {}, None, [], 1),
    ("takes long", [{"seconds": 1500}], {}, None, [], 1),
    ("over at once", [{"shows_after": 0, "starts_after": 0, "seconds": 0}], {}, None, [], 1),
    ("never synchronized before", [{"sync_status": "waiting", "sync_date": None}], {}, None, [], 1),
    ("failed before", [{"sync_status": "failed", "failure_msg": "old"}], {}, None, [], 1),
    ("an old failure text stays", [{"failure_msg": "old"}], {}, None, [], 1),
    ("the date is that of the start", [{"dates": "start"}], {}, None, [], 1),
    ("the status lags behind the date", [{**LAGGING, "seconds": 60}], {}, None, [], 1),
    ("every account", [{}, {"seconds": 90}], {"account_id": OUT}, None, [], 1),
    ("one of several", [{}, {"outcome": "failed"}], {}, None, [], 1),
    ("one whose id begins another's", [{}, {"account_id": "1112", "outcome": "failed"}], {}, None, [], 1),
    ("other vendors", [{}, {"vendor": "ALI", "outcome": "failed"}], {"account_id": OUT}, None, [], 1),
    (
        "a stale success, and nothing comes of the start",
        [{"outcome": "ignored"}],
        {"timeout": 600},
        WaitTimedOut,
        ["success; last sync ", "0 of 1 accounts"],
        0,
    ),
    (
        "a stale success, and the run fails",
        [{"outcome": "failed"}],
        {},
        SyncFailed,
        ["111", FAILURE, "AWS"],
        1,
    ),
    (
        "fails with the state lagging",
        [{**LAGGING, "outcome": "failed"}],
        {},
        SyncFailed,
        [FAILURE],
        1,
    ),
    (
        "a stale failure, and the run fails anew",
        [{"sync_status": "failed", "failure_msg": "old", "outcome": "failed"}],
        {},
        SyncFailed,
        [FAILURE],
        1,
    ),
    (
        "a stale failure, and nothing comes",
        [{"sync_status": "failed", "failure_msg": "old", "outcome": "ignored"}],
        {"timeout": 600},
        WaitTimedOut,
        ["failed; last sync "],
        0,
    ),
    ("never ends", [{"outcome": "never_ends"}], {"timeout": 600}, WaitTimedOut, ["running"], 1),
    (
        "one of two fails",
        [{}, {"outcome": "failed"}],
        {"account_id": OUT},
        SyncFailed,
        ["1 of 2", "222", FAILURE],
        1,
    ),
    (
        "one fails at once, the other takes long and is waited for",
        [{"seconds": 300, "outcome": "failed"}, {"outcome": "failed", "seconds": 1}],
        {"account_id": OUT},
        SyncFailed,
        ["2 of 2", "111", "222"],
        1,
    ),
    (
        "one fails, the other never ends",
        [{"outcome": "never_ends"}, {"outcome": "failed"}],
        {"account_id": OUT, "timeout": 600},
        WaitTimedOut,
        ["111", "running", "Failed: 222"],
        1,
    ),
    (
        "one of two is passed over",
        [{}, {"outcome": "ignored"}],
        {"account_id": OUT, "timeout": 600},
        WaitTimedOut,
        ["222"],
        1,
    ),
    ("goes away", [{"removed_at": 10}], {}, SyncFailed, ["no account", "111"], 1),
    (
        "one of two goes away",
        [{}, {"removed_at": 10}],
        {"account_id": OUT},
        SyncFailed,
        ["was removed", "row-2"],
        1,
    ),
    ("unknown account", [{}], {"account_id": "999"}, SyncFailed, ["no account '999' of AWS", "111"], 0),
    ("the name for the id", [{"account_name": "prod"}], {"account_id": "prod"}, SyncFailed, ["prod"], 0),
    ("COC's id for the vendor's", [{}], {"account_id": "row-1"}, SyncFailed, ["no account"], 0),
    ("the beginning of an id", [{}], {"account_id": "11"}, SyncFailed, ["no account '11'"], 0),
    ("a vendor without accounts", [{}], {"vendor": "ALI", "account_id": OUT}, SyncFailed, ["ALI"], 0),
    ("unknown vendor", [{}], {"vendor": "GCP"}, ApiError, ["COC.00010002", "vendor"], 0),
    ("vendor in small letters", [{}], {"vendor": "aws"}, ApiError, ["COC.00010002"], 0),
    ("another runs first", [{"foreign_runs": [FOREIGN]}], {}, None, [], 1),
    ("another is queued first", [{"foreign_runs": [{**FOREIGN, "starts_after": 40}]}], {}, None, [], 1),
    (
        "another runs first, and fail was asked for",
        [{"foreign_runs": [FOREIGN]}],
        {"if_running": "fail"},
        SyncFailed,
        ["another run is active"],
        0,
    ),
    (
        "another never ends",
        [{"foreign_runs": [{"at": 0, "outcome": "never_ends"}]}],
        {"timeout": 600},
        WaitTimedOut,
        ["This one starts when"],
        0,
    ),
    (
        "another of the same vendor's accounts runs",
        [{}, {"foreign_runs": [{"at": 0, "seconds": 4000}]}],
        {},
        None,
        [],
        1,
    ),
    (
        "another fails first",
        [{"foreign_runs": [{**FOREIGN, "outcome": "failed"}]}],
        {},
        None,
        [],
        1,
    ),
]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("accounts", "arguments", "error", "words", "starts"),
    [case[1:] for case in SCENARIOS],
    ids=[case[0] for case in SCENARIOS],
)
def test_verdict(start, deferrable, accounts, arguments, error, words, starts) -> None:
    world = start(*accounts)
    task = sync(deferrable, **arguments)
    if error is None:
        result = world.run(task)
        assert set(result) == {"vendor", "account_id", "accounts", "started_at", "ended_at", "request_id"}
        assert result["request_id"] == world.calls(SYNC)[-1]["request_id"]
        assert result["accounts"] == sum(
            row["vendor"] == "AWS" and arguments.get("account_id", "111") in (OUT, row["account_id"])
            for row in world.emulator.state()["coc"]["accounts"].values()
        )
        (mine,) = [run for run in account(world)["runs"] if run["by"] == "request"]
        assert mine["outcome"] == "succeeded"
        assert len(json.dumps(result)) < 400
    else:
        with pytest.raises(error) as raised:
            world.run(task)
        for word in words:
            assert word in str(raised.value)
    assert world.starts == starts
    assert len(world.calls(SYNC)) <= 1
    assert AK not in json.dumps([world.events, list(world.store.values())])


@BOTH_WAYS
def test_what_is_not_there_is_not_started(start, deferrable) -> None:
    """The service gives a task id for an account that it does not have, which looks like a start."""
    world = start()
    with pytest.raises(SyncFailed):
        world.run(sync(deferrable, account_id="999"))
    assert world.calls(SYNC) == []


@BOTH_WAYS
def test_a_deadline_is_kept_to_one_poll(start, deferrable) -> None:
    world = start({"outcome": "never_ends"})
    with pytest.raises(WaitTimedOut):
        world.run(sync(deferrable, timeout=600))
    assert 600 <= world.emulator.clock.now() - world.began < 605


@BOTH_WAYS
@pytest.mark.parametrize("date_format", ["naive", "zulu", "ms"])
@pytest.mark.parametrize("outcome", ["succeeded", "failed", "ignored"])
def test_every_form_of_a_date(start, deferrable, date_format, outcome) -> None:
    world = start({"outcome": outcome}, section={"date_format": date_format})
    task = sync(deferrable, timeout=300)
    if outcome == "succeeded":
        world.run(task)
    else:
        with pytest.raises(SyncFailed if outcome == "failed" else WaitTimedOut):
            world.run(task)


@BOTH_WAYS
def test_without_waiting_it_is_green_when_accepted(start, deferrable) -> None:
    world = start({"outcome": "never_ends"})
    result = world.run(sync(deferrable, wait_for_completion=False))
    assert result["ended_at"] is None
    assert world.starts == 1
    assert world.deferrals == []


@pytest.mark.parametrize("vendor", ["GCP", "aws"])
def test_an_unknown_vendor_is_sent_with_a_warning(start, caplog, vendor) -> None:
    from airflow_provider_cloudsync.api.services.coc import calls

    calls._warn_of.cache_clear()
    world = start()
    with pytest.raises(ApiError):
        world.run(sync(vendor=vendor))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    (said,) = [text for text in warnings if vendor in text]
    assert ("did you mean AWS?" in said) is (vendor == "aws")
    assert {dict(entry["query"])["vendor"] for entry in world.calls(LIST)} == {vendor}


def test_a_row_of_the_future_vendor_is_taken(start) -> None:
    """A vendor that only the service knows works like the others."""
    world = start({"vendor": "OTHER"})
    world.run(sync(vendor="OTHER"))
    assert world.calls(SYNC)[0]["body"] == {"vendor": "OTHER", "account_id": "111"}


@pytest.mark.parametrize("loose", [False, True])
def test_a_filter_that_matches_beginnings_does_no_harm(start, loose) -> None:
    rows = [{"outcome": "failed", "account_id": "1112"}, {"account_id": "111"}]
    world = start(*rows, section={"loose_filter": loose})
    assert [row["account_id"] for row in CocHook().list_vendor_accounts(account_id="111")] == ["111"]
    world.run(sync())
    assert world.starts == 1


@BOTH_WAYS
def test_one_row_of_an_account_that_is_there_twice_fails(start, deferrable) -> None:
    world = start({}, {"account_id": "111", "outcome": "failed"})
    with pytest.raises(SyncFailed, match="1 of 2"):
        world.run(sync(deferrable))


@BOTH_WAYS
def test_many_accounts_are_read_to_the_last_page(start, deferrable) -> None:
    rows = [{"account_id": f"a{number:04}"} for number in range(620)]
    rows[619] |= {"outcome": "failed"}
    world = start(*rows)
    with pytest.raises(SyncFailed, match=r"1 of 620.*a0619"):
        world.run(every(deferrable))


@BOTH_WAYS
@pytest.mark.parametrize(
    "late",
    [
        pytest.param({"sync_status": "waiting", "sync_date": None}, id="never synchronized"),
        pytest.param({}, id="with a success that came along"),
    ],
)
def test_a_row_that_was_added_meanwhile_is_not_ours(start, deferrable, late) -> None:
    """Nobody was asked to synchronize it."""
    world = start({"seconds": 60}, {"added_at": 10, **late})
    world.run(every(deferrable, timeout=300))
    assert world.starts == 1


def test_a_row_that_was_added_meanwhile_hides_no_failure(start) -> None:
    late = {"added_at": 10, "sync_status": "waiting", "sync_date": None}
    world = start({"seconds": 60, "outcome": "failed"}, late)
    with pytest.raises(SyncFailed, match="111"):
        world.run(every())


def test_an_account_of_digits_that_was_rendered_to_a_number(start) -> None:
    """As with render_template_as_native_obj=True."""
    world = start()
    task = sync(account_id="{{ x }}")
    task.account_id = 111
    assert world.run(task)["account_id"] == "111"


# --- the clock -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew", [-300, -30, 30, 300])
@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_wrong_clock_changes_no_verdict(start, monkeypatch, skew, outcome) -> None:
    """The machine of the worker is off by less than a signature bears."""
    world = start({**LAGGING, "outcome": outcome})
    now = world.emulator.clock.now
    monkeypatch.setattr(
        "airflow_provider_cloudsync.hooks.cloudsync.time",
        SimpleNamespace(time=lambda: now() + skew, monotonic=now),
    )
    if outcome == "succeeded":
        world.run(sync())
    else:
        with pytest.raises(SyncFailed):
            world.run(sync())
    assert account(world)["runs"][0]["ended"] is not None


# --- faults --------------------------------------------------------------------------------------------------------

FAULTS = [
    ("throttled, window in the text", THROTTLE),
    ("throttled, Retry-After", {**THROTTLE, "retry_after": 3}),
    ("429 without a window", {"status": 429}),
    ("503", {"status": 503}),
    ("500", {"status": 500}),
    ("reset", {"reset": True}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>maintenance</html>"}),
    ("empty object", {"raw": "{}"}),
    ("null", {"raw": "null"}),
    ("null for the list", {"raw": '{"data": null, "total": 0}'}),
    ("a row that is none", {"raw": '{"data": [null], "total": 1}'}),
    ("a row without an id", {"raw": '{"data": [{"sync_status": "success"}], "total": 1}'}),
]
FAULT = pytest.mark.parametrize("fault", [case[1] for case in FAULTS], ids=[case[0] for case in FAULTS])


#: Requests of a look: the one page of accounts, and the end of the list.
A_LOOK = 2


@BOTH_WAYS
@FAULT
@pytest.mark.parametrize("skip", [0, 1, A_LOOK, A_LOOK + 1])
def test_faults_of_a_look_are_borne(start, deferrable, fault, skip) -> None:
    world = start({"seconds": 200})
    world.emulator.faults([{"match": LOOK, "skip": skip, "times": 4, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert account(world)["runs"][0]["outcome"] == "succeeded"


@BOTH_WAYS
@FAULT
def test_faults_without_end_are_ended_by_the_deadline(start, deferrable, fault) -> None:
    world = start()
    world.emulator.faults([{"match": LOOK, "skip": A_LOOK, "times": None, **fault}])
    with pytest.raises(WaitTimedOut, match="last poll failed"):
        world.run(sync(deferrable, timeout=300))
    assert world.emulator.clock.now() - world.began < 310
    assert world.starts == 1


ODD = [
    ("empty status", {"sync_status": ""}),
    ("null status", {"sync_status": None}),
    ("status of the future", {"sync_status": "partial"}),
    ("status a number", {"sync_status": 1}),
    ("no status", {}),
]


@BOTH_WAYS
@pytest.mark.parametrize("fields", [case[1] for case in ODD], ids=[case[0] for case in ODD])
def test_a_status_that_is_not_known_is_never_green(start, deferrable, fields, caplog) -> None:
    world = start()
    row = {"id": "row-1", "vendor": "AWS", "account_id": "111", "sync_date": 1_999_999_999_999, **fields}
    world.emulator.faults(
        [{"match": LOOK, "skip": 1, "times": None, "raw": json.dumps({"data": [row], "total": 1})}]
    )
    with pytest.raises(WaitTimedOut, match="Unrecognized sync_status"):
        world.run(sync(deferrable, timeout=300))
    assert world.starts == 1


LOST = [
    ("reset", {"reset": True}),
    ("502", {"status": 502}),
    ("504", {"status": 504}),
    ("500", {"status": 500}),
    ("truncated", {"truncate": True}),
    ("not JSON", {"raw": "<html>"}),
]
#: The task id is of no use, so its absence is no harm.
NO_ID = [{"raw": "{}"}, {"raw": '{"data": null}'}, {"raw": '{"data": 5}'}, {"raw": '{"data": {}}'}]


@BOTH_WAYS
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [case[1] for case in LOST], ids=[case[0] for case in LOST])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"sync_status": "failed", "failure_msg": "old"}, id="one that failed before"),
        pytest.param({"sync_status": "waiting", "sync_date": None}, id="one never synchronized"),
        pytest.param({"shows_after": 8}, id="one that shows late"),
    ],
)
def test_a_start_whose_reply_is_lost_runs_once(start, deferrable, when, fault, fields) -> None:
    world = start(fields)
    world.emulator.faults([{"match": START, "when": when, **fault}])
    world.run(sync(deferrable))
    assert world.starts == 1
    assert len(world.calls(SYNC)) == (1 if when == "after" else 2)
    assert runs(world) == ["request"]


@BOTH_WAYS
@pytest.mark.parametrize("fault", NO_ID, ids=str)
def test_an_acceptance_without_a_usable_task_id(start, deferrable, fault) -> None:
    world = start()
    world.emulator.faults([{"match": START, "when": "after", **fault}])
    world.run(sync(deferrable))
    assert (world.starts, len(world.calls(SYNC))) == (1, 1)


@BOTH_WAYS
def test_a_lost_start_of_all_whose_first_is_over_at_once(start, deferrable) -> None:
    quick = {"shows_after": 0, "starts_after": 0, "seconds": 0}
    world = start(quick, {"seconds": 60})
    world.emulator.faults([{"match": START, "when": "after", "reset": True}])
    world.run(every(deferrable))
    assert world.starts == 1
    assert runs(world, 1) == runs(world, 2) == ["request"]


def test_a_start_that_never_gets_through_says_why(start) -> None:
    world = start()
    world.emulator.faults([{"match": START, "times": None, "reset": True}])
    with pytest.raises(TransportError, match="connection broke"):
        world.run(sync())
    assert world.starts == 0


@BOTH_WAYS
@pytest.mark.parametrize("times", [1, 3])
def test_a_throttled_start_is_sent_again(start, deferrable, times) -> None:
    world = start()
    world.emulator.faults([{"match": START, "times": times, **THROTTLE}])
    world.run(sync(deferrable))
    assert world.starts == 1
    sent = [entry["time"] for entry in world.calls(SYNC)]
    assert all(later - sooner >= 60 for sooner, later in itertools.pairwise(sent))


@BOTH_WAYS
def test_another_run_that_comes_up_while_ours_is_throttled_is_not_taken_for_ours(start, deferrable) -> None:
    world = start({"foreign_runs": [{"at": 30, "seconds": 60}]})
    world.emulator.faults([{"match": START, "times": 1, **THROTTLE}])
    world.run(sync(deferrable))
    assert runs(world) == ["foreign", "request"]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({"status": 401, "body": {"error_code": "APIGW.0301"}}, AirflowFailException, id="key"),
        pytest.param(
            {"status": 401, "body": {"error_code": "common.01010001"}}, AirflowFailException, id="COC"
        ),
        pytest.param({"status": 403, "body": {"error_code": "APIGW.0302"}}, ApiError, id="permission"),
        pytest.param({"status": 400, "body": {"error_code": "COC.00010014"}}, ApiError, id="scope"),
    ],
)
@pytest.mark.parametrize("match", [LOOK, START], ids=["look", "start"])
def test_what_will_not_pass_ends_it_at_once(start, deferrable, fault, error, match) -> None:
    world = start({"seconds": 60})
    world.emulator.faults([{"match": match, "times": None, **fault}])
    with pytest.raises(error) as raised:
        world.run(sync(deferrable))
    assert str(fault["status"]) in str(raised.value)
    assert sum(entry["fault"] is not None for entry in world.calls()) == 1
    assert world.starts == 0


@pytest.mark.parametrize("code", ["COC.00000000", "GOM.00000000"])
def test_a_good_code_beside_a_result_is_no_error(start, code) -> None:
    world = start()
    body = {"error_code": code, "provider_code": "", "data": "task-1"}
    world.emulator.faults([{"match": START, "when": "after", "raw": json.dumps(body)}])
    assert world.run(sync(True))["request_id"]
    assert world.starts == 1


# --- retries -------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


class TestRetries:
    @BOTH_WAYS
    @pytest.mark.parametrize("later", [0, 5, 15, 600])
    @pytest.mark.parametrize("sent", [True, False], ids=["after the start", "before the start"])
    @pytest.mark.parametrize(
        "fields", [{}, {"sync_status": "waiting", "sync_date": None}], ids=["known", "new"]
    )
    def test_worker_killed_around_the_start(self, start, deferrable, sent, later, fields) -> None:
        world = start({"seconds": 120, **fields})

        class Dying(type(world.store)):
            def set(self, key, value, **_):
                if json.loads(value)["ticket"]["stage"] == "started" and sent:
                    raise Killed
                super().set(key, value)
                if not sent:
                    raise Killed

        plain, world.store = world.store, Dying()
        with pytest.raises(Killed):
            world.run(sync(deferrable), world.context(1, store=True))
        plain.update(world.store)
        world.store = plain
        world.emulator.advance(later)
        world.run(sync(deferrable), world.context(2, store=True))
        assert world.starts == 1
        assert account(world)["sync_status"] == "success"

    @BOTH_WAYS
    @pytest.mark.parametrize("store", [True, False], ids=["store", "no store"])
    def test_takes_up_a_run_that_is_under_way(self, start, deferrable, store) -> None:
        world = start({"seconds": 300})
        with pytest.raises(WaitTimedOut):
            world.run(sync(deferrable, timeout=60), world.context(1, store=store))
        world.run(sync(deferrable), world.context(2, store=store))
        assert world.starts == 1

    @BOTH_WAYS
    def test_without_a_store_what_it_takes_up_may_fail(self, start, deferrable) -> None:
        """Nobody can tell whose run it was, so ours is started then."""
        world = start({"seconds": 300, "outcome": ["failed", "succeeded"]})
        with pytest.raises(WaitTimedOut):
            world.run(sync(deferrable, timeout=60), world.context(1))
        world.run(sync(deferrable), world.context(2))
        assert runs(world) == ["request", "request"]

    @BOTH_WAYS
    def test_without_a_store_an_old_success_beside_the_run_that_is_taken_up_is_none(
        self, start, deferrable
    ) -> None:
        """The try before never got so far as to start; a stranger synchronizes one of the two accounts."""
        world = start({"foreign_runs": [{"at": 0, "seconds": 100}]}, {})
        with contextlib.suppress(CloudSyncError):
            world.run(every(deferrable, timeout=600), world.context(2))
            assert account(world, 2)["sync_date"] > world.began

    def test_with_a_store_takes_the_result_of_a_run_that_ended(self, start) -> None:
        world = start({"seconds": 300})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        world.emulator.advance(1200)
        world.run(sync(), world.context(2, store=True))
        assert world.starts == 1

    def test_starts_anew_after_a_failure(self, start) -> None:
        world = start({"outcome": ["failed", "succeeded"]})
        with pytest.raises(SyncFailed):
            world.run(sync(), world.context(1, store=True))
        world.run(sync(), world.context(2, store=True))
        assert world.starts == 2

    def test_starts_anew_when_cleared_after_success(self, start) -> None:
        world = start()
        world.run(sync(), world.context(1, store=True))
        assert world.store
        world.run(sync(), world.context(2, store=True, max_tries=1))
        assert world.starts == 2

    def test_a_ticket_of_another_account_is_not_used(self, start) -> None:
        world = start({"seconds": 300}, {})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        world.run(sync(account_id="222"), world.context(2, store=True))
        assert [entry["body"]["account_id"] for entry in world.calls(SYNC)] == ["111", "222"]

    def test_a_damaged_baseline_in_the_store_does_no_harm(self, start) -> None:
        world = start({"seconds": 300})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        kept = json.loads(world.store["cloudsync_ticket"])
        kept["ticket"]["baseline"] = {"accounts": {"row-1": ["success", "soon"]}}
        world.store["cloudsync_ticket"] = json.dumps(kept)
        with contextlib.suppress(CloudSyncError):
            world.run(sync(), world.context(2, store=True))

    @pytest.mark.parametrize("accounts", [5, [5], {"row-1": None}, {"row-1": ["success"]}], ids=str)
    def test_a_baseline_that_can_t_be_read_is_for_the_user_to_clear(self, start, accounts) -> None:
        world = start({"seconds": 300})
        with pytest.raises(WaitTimedOut):
            world.run(sync(timeout=60), world.context(1, store=True))
        kept = json.loads(world.store["cloudsync_ticket"])
        kept["ticket"]["baseline"] = {"accounts": accounts}
        world.store["cloudsync_ticket"] = json.dumps(kept)
        with pytest.raises(InvalidEvent, match="Clear the task"):
            world.run(sync(), world.context(2, store=True))
        assert world.starts == 1
        world.emulator.advance(600)
        world.run(sync(), world.context(3, store=True, max_tries=2))
        assert world.starts == 2


# --- secrets -------------------------------------------------------------------------------------------------------


def everything_said(world, caplog, capfd, *more) -> str:
    out, err = capfd.readouterr()
    records = [
        json.dumps([record.getMessage(), repr(vars(record).get("args")), repr(record.exc_info)])
        for record in caplog.records
    ]
    return "\n".join(
        [out, err, *records, json.dumps([world.events, list(world.store.values())]), *map(repr, more)]
    )


@BOTH_WAYS
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="succeeds"),
        pytest.param({"outcome": "failed"}, id="fails"),
        pytest.param({"outcome": "never_ends"}, id="times out"),
        pytest.param({"foreign_runs": [FOREIGN]}, id="queued"),
        pytest.param({"removed_at": 10}, id="vanishes"),
    ],
)
def test_no_access_key_anywhere(start, deferrable, fields, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    world = start(fields, {"outcome": "failed"})
    said: list = []
    for task in (sync(deferrable, timeout=300), every(deferrable, timeout=300)):
        try:
            said.append(world.run(task, world.context(1, store=True)))
        except (CloudSyncError, AirflowFailException) as error:
            said += [error, vars(error), str(error), error.__cause__, error.__context__]
    said += [deferral.trigger.serialize() for deferral in world.deferrals]
    said += [CocHook().list_vendor_accounts(vendor="AWS"), CocHook().list_vendor_accounts()]
    assert "111" in repr(said)
    assert AK not in everything_said(world, caplog, capfd, *said)
    assert AK not in json.dumps([deferral.trigger.serialize()[1] for deferral in world.deferrals])


BROKEN = f'{{"data": [{{"ak": "{AK}", "id": "row-1"'
ECHO = {"error_code": "COC.1", "error_msg": "bad row"}


@BOTH_WAYS
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"raw": BROKEN}, id="a list that breaks off"),
        pytest.param({"status": 400, "body": BROKEN}, id="an error that is no JSON"),
        pytest.param({"raw": json.dumps({"data": [{"ak": AK}], "total": 1})}, id="a row without an id"),
        pytest.param({"status": 400, "body": {**ECHO, "row": {"ak": AK}}}, id="beside an error"),
    ],
)
def test_no_access_key_out_of_a_broken_reply(start, deferrable, fault, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    world = start()
    world.emulator.faults([{"match": LOOK, "skip": 1, "times": None, **fault}])
    with pytest.raises((CloudSyncError, AirflowFailException)) as raised:
        world.run(sync(deferrable, timeout=120), world.context(1, store=True))
    assert AK not in everything_said(world, caplog, capfd, raised.value, vars(raised.value))


def test_no_access_key_out_of_a_failure_text(start, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    world = start({"outcome": "failed", "failure": f"InvalidClientTokenId: {AK} is not valid"})
    with pytest.raises(SyncFailed, match="InvalidClientTokenId") as raised:
        world.run(sync())
    assert AK not in everything_said(world, caplog, capfd, raised.value)


# --- the account, on the wire --------------------------------------------------------------------------------------


class TestDomain:
    DOMAIN = "d1000000000000000000000000000001"

    def headers(self, world) -> set:
        entries = [entry for entry in world.calls() if entry["service"] == "coc"]
        assert entries
        assert not any("x-project-id" in entry["headers"] for entry in entries)
        return {entry["headers"].get("x-domain-id") for entry in entries}

    @BOTH_WAYS
    def test_given(self, start, monkeypatch, deferrable) -> None:
        world = start()
        connect(world, monkeypatch, domain_id=self.DOMAIN)
        world.run(sync(deferrable))
        assert self.headers(world) == {self.DOMAIN}
        assert {entry["service"] for entry in world.calls()} == {"coc"}

    @BOTH_WAYS
    @pytest.mark.parametrize("listed", [True, False], ids=["shown", "asked who it is"])
    def test_looked_up_once(self, start, deferrable, listed) -> None:
        world = start(account={"lists_domains": listed})
        world.run(sync(deferrable))
        assert self.headers(world) == {self.DOMAIN}
        lookups = [entry["operation"] for entry in world.calls() if entry["service"] != "coc"]
        once = ["KeystoneListAuthDomains", *([] if listed else ["GetCallerIdentity"])]
        assert lookups == once

    def test_of_another_account(self, start, monkeypatch) -> None:
        world = start()
        connect(world, monkeypatch, domain_id="d" * 32)
        with pytest.raises(ApiError, match="403"):
            world.run(sync())
        assert world.starts == 0

    @BOTH_WAYS
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            pytest.param({"status": 403}, ApiError, id="403"),
            pytest.param({"raw": '{"domains": [{"id": "a"}, {"id": "b"}]}'}, InvalidConnection, id="two"),
        ],
    )
    def test_a_look_up_that_fails(self, start, deferrable, fault, error) -> None:
        world = start()
        world.emulator.faults([{"match": {"operation": "KeystoneListAuthDomains"}, "times": None, **fault}])
        with pytest.raises(error):
            world.run(sync(deferrable))
        assert {entry["service"] for entry in world.calls()} == {"iam"}

    @BOTH_WAYS
    @pytest.mark.parametrize("row", ['{"id": "../x"}', '{"id": ""}', '{"id": 5}', "{}", "null"])
    def test_an_id_that_can_not_be_one_is_not_sent(self, start, deferrable, row) -> None:
        world = start()
        fault = {"raw": f'{{"domains": [{row}]}}'}
        world.emulator.faults([{"match": {"operation": "KeystoneListAuthDomains"}, "times": None, **fault}])
        world.run(sync(deferrable))  # who the user is says the account, too
        assert self.headers(world) == {self.DOMAIN}

    @BOTH_WAYS
    def test_a_look_up_that_fails_for_a_while(self, start, deferrable) -> None:
        world = start()
        world.emulator.faults(
            [{"match": {"operation": "KeystoneListAuthDomains"}, "times": 7, "status": 503}]
        )
        world.run(sync(deferrable))
        assert world.starts == 1

    @pytest.mark.parametrize("kind", ["operator", "sensor"])
    def test_a_region_that_does_not_lead_there(self, start, monkeypatch, kind) -> None:
        world = start()
        connect(world, monkeypatch, endpoint=None, region="cn-south-1", endpoints={"iam": world.emulator.url})
        task = sync() if kind == "operator" else sensor(world, "deferred")
        with pytest.raises(InvalidConnection, match=r"coc.*cn-north-4.*region="):
            world.run(task)
        assert world.starts == 0


# --- parameters ----------------------------------------------------------------------------------------------------

PARAMETERS = [
    ("empty vendor", {"vendor": ""}, "vendor"),
    ("no vendor", {"vendor": None}, "vendor"),
    ("vendor with a blank", {"vendor": "AWS "}, "vendor"),
    ("vendor with a line break", {"vendor": "AWS\n"}, "vendor"),
    ("vendor a list", {"vendor": ["AWS"]}, "vendor"),
    ("empty account", {"account_id": ""}, "account_id"),
    ("blank account", {"account_id": "  "}, "account_id"),
    ("account a fraction", {"account_id": 111.0}, "account_id"),
    ("account a flag", {"account_id": True}, "account_id"),
    ("None for an account", {"account_id": None}, "account_id"),
    ("account too long", {"account_id": "1" * 65}, "account_id"),
    ("account with an escape", {"account_id": "\x1b[1m"}, "account_id"),
]


@pytest.mark.parametrize("kind", ["operator", "sensor"])
@pytest.mark.parametrize(
    ("arguments", "word"), [case[1:] for case in PARAMETERS], ids=[case[0] for case in PARAMETERS]
)
def test_bad_input_is_refused_before_anything_is_sent(start, kind, arguments, word) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match=word):
        world.run(sync(**arguments) if kind == "operator" else sensor(world, "deferred", **arguments))
    assert world.calls() == []


@pytest.mark.parametrize(
    ("make", "field", "harm"),
    [
        pytest.param(lambda: sync(account_id="{{ x }}"), "account_id", "every account", id="operator"),
        pytest.param(
            lambda: CocVendorAccountSyncSensor(
                task_id="t", vendor="AWS", account_id="{{ x }}", synced_after=None
            ),
            "account_id",
            "every account",
            id="sensor",
        ),
        pytest.param(
            lambda: CocVendorAccountSyncSensor(task_id="t", vendor="AWS", synced_after="{{ x }}"),
            "synced_after",
            "any old run",
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


# --- the sensor ----------------------------------------------------------------------------------------------------


def sensor(world, mode: str, **arguments) -> CocVendorAccountSyncSensor:
    usual = {
        "task_id": "wait",
        "vendor": "AWS",
        "account_id": "111",
        "synced_after": world.began,
        "timeout": 7200,
    }
    return CocVendorAccountSyncSensor(**given(**{**usual, "deferrable": mode == "deferred", **arguments}))


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


RUN = {"at": 100, "seconds": 30}
BAD = {**RUN, "outcome": "failed"}
NEVER = {**RUN, "outcome": "never_ends"}
ALL = {"account_id": OUT}
SENSOR_CASES = [
    # id, accounts, arguments, error, words, seconds until the verdict at the least
    ("a run comes", [{"foreign_runs": [RUN]}], {}, None, [], 130),
    ("a run comes, dated by its start", [{"foreign_runs": [RUN], "dates": "start"}], {}, None, [], 130),
    ("a stale success", [{}], {"timeout": 600}, AirflowSensorTimeout, [], 600),
    (
        "a stale failure, then a success",
        [{"sync_status": "failed", "foreign_runs": [RUN]}],
        {},
        None,
        [],
        130,
    ),
    ("a run fails", [{"foreign_runs": [BAD]}], {}, AirflowFailException, [FAILURE, "111"], 130),
    ("never ends", [{"foreign_runs": [NEVER]}], {"timeout": 600}, AirflowSensorTimeout, [], 600),
    ("any run counts", [{}], {"synced_after": None}, None, [], 0),
    (
        "any run counts, and the last one failed",
        [{"sync_status": "failed", "failure_msg": "old"}],
        {"synced_after": None},
        AirflowFailException,
        ["old"],
        0,
    ),
    (
        "any run counts, and there was none",
        [{"sync_status": "waiting", "sync_date": None}],
        {"synced_after": None, "timeout": 600},
        AirflowSensorTimeout,
        [],
        600,
    ),
    (
        "never synchronized",
        [{"sync_status": "waiting", "sync_date": None}],
        {"timeout": 600},
        AirflowSensorTimeout,
        [],
        600,
    ),
    (
        "success without a date",
        [{"sync_date": None}],
        {"timeout": 600},
        AirflowSensorTimeout,
        [],
        600,
    ),
    ("all", [{"foreign_runs": [RUN]}, {"foreign_runs": [{**RUN, "at": 300}]}], ALL, None, [], 330),
    (
        "one of two fails",
        [{"foreign_runs": [RUN]}, {"foreign_runs": [BAD]}],
        ALL,
        AirflowFailException,
        ["1 of 2", "222"],
        130,
    ),
    (
        "one of two does not come",
        [{"foreign_runs": [RUN]}, {}],
        {**ALL, "timeout": 600},
        AirflowSensorTimeout,
        [],
        600,
    ),
    ("unknown account", [{}], {"account_id": "999"}, AirflowFailException, ["no account"], 0),
    ("a vendor without accounts", [{}], {"vendor": "HCS", **ALL}, AirflowFailException, ["HCS"], 0),
    ("unknown vendor", [{}], {"vendor": "GCP"}, ApiError, ["COC.00010002"], 0),
]


@pytest.mark.parametrize(
    ("accounts", "arguments", "error", "words", "least"),
    [case[1:] for case in SENSOR_CASES],
    ids=[case[0] for case in SENSOR_CASES],
)
def test_sensor(start, mode, accounts, arguments, error, words, least) -> None:
    world = start(*accounts)
    if error is None:
        wait(world, mode, **arguments)
    else:
        with pytest.raises(error) as raised:
            wait(world, mode, **arguments)
        for word in words:
            assert word in str(raised.value)
    # A poll each minute, and `settle_time` from the first one that shows the end.
    assert least <= world.emulator.clock.now() - world.began <= least + 110
    assert {entry["method"] for entry in world.calls()} == {"GET"}


@pytest.mark.parametrize("how", ["blocking", "deferred"])
def test_a_timeout_says_what_was_last_seen(start, how) -> None:
    world = start()
    with pytest.raises(AirflowSensorTimeout, match=r"success; last sync "):
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
def test_synced_after_in_all_its_forms(start, given) -> None:
    world = start({"foreign_runs": [RUN]})
    wait(world, "deferred", synced_after=given(world.began))
    assert world.emulator.clock.now() - world.began >= 130


@pytest.mark.parametrize("how", ["failed", "timed out"])
def test_soft_fail_skips_a_deferred_sensor(start, how) -> None:
    world = start({"foreign_runs": [BAD] if how == "failed" else []})
    with pytest.raises(AirflowSkipException):
        world.run(sensor(world, "deferred", soft_fail=True, timeout=600))


@pytest.mark.parametrize("value", ["yesterday", "", "None", True])
def test_what_is_no_time_is_refused_before_anything_is_sent(start, mode, value) -> None:
    world = start()
    with pytest.raises(InvalidParameter, match="synced_after"):
        wait(world, mode, synced_after=value)
    assert world.calls() == []


def test_there_is_no_default_for_what_counts() -> None:
    with pytest.raises(Exception, match="synced_after"):
        CocVendorAccountSyncSensor(task_id="t", vendor="AWS")


def test_a_wait_of_several_accounts_is_one_poll(start, monkeypatch) -> None:
    """What is shared is the vendor's list, whichever account a wait is for."""
    world = start({}, {}, {})
    triggers = []
    for number in (1, 2, 3):
        with pytest.raises(TaskDeferred) as deferred:
            sensor(world, "deferred", account_id=f"{number}" * 3, timeout=300).execute(world.context())
        triggers.append(deferred.value.trigger)
    from airflow_provider_cloudsync.api.services import find_service

    keys = {find_service("coc").key(trigger.ticket["target"]) for trigger in triggers}
    assert len(keys) == 1


# --- dates without a time zone ---------------------------------------------------------------------------------------


def wait_rescheduled(world, *, store: bool, **arguments) -> None:
    """Each poke is another process."""
    usual = {"task_id": "wait", "vendor": "AWS", "account_id": "111", "synced_after": world.began}
    for _ in range(10):
        task = CocVendorAccountSyncSensor(**{**usual, "mode": "reschedule", **arguments})
        if task.poke(world.context(store=store)):
            return
        world.emulator.advance(60)
    raise AirflowSensorTimeout(f"no verdict in time. {task._logged.in_full}")


def naive(start):
    return start({"foreign_runs": [RUN]}, section={"date_format": "naive"})


ALL_WAYS = pytest.mark.parametrize("how", ["blocking", "deferred", "rescheduled"])


def wait_so(world, how: str, **arguments) -> None:
    if how == "rescheduled":
        wait_rescheduled(world, store=False, **arguments)
    else:
        wait(world, how, **arguments)


@ALL_WAYS
def test_a_run_whose_date_has_no_zone_counts_if_it_began_during_the_wait(start, how) -> None:
    world = naive(start)
    if how == "rescheduled":  # on Airflow 3.3 and later
        wait_rescheduled(world, store=True)
        assert json.loads(world.store["cloudsync_learned"])["target"]["vendor"] == "AWS"
    else:
        wait(world, how)
    assert 130 <= world.emulator.clock.now() - world.began < 300


@ALL_WAYS
def test_a_run_of_unknown_zone_does_not_count(start, how) -> None:
    """It may be of hours ago, as in Beijing."""
    world = naive(start)
    world.emulator.advance(200)
    with pytest.raises(AirflowSensorTimeout, match="no time zone"):
        wait_so(world, how, timeout=600, synced_after=world.began - 7200)


@ALL_WAYS
@pytest.mark.parametrize(("zone", "error"), [("Z", None), ("+08:00", AirflowSensorTimeout)])
def test_a_zone_that_the_connection_names(start, how, zone, error, monkeypatch) -> None:
    world = naive(start)
    connection = json.loads(world.emulator.connection)
    connection["extra"]["service_time_zone"] = zone
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
    world.emulator.advance(200)
    with nullcontext() if error is None else pytest.raises(error):
        wait_so(world, how, timeout=600)
