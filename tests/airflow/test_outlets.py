"""What the event of an outlet is told, in each way of waiting, and that others are told nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.exceptions import SyncFailed
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from tests.support.airflow_world import World

try:
    from airflow.sdk.execution_time.context import OutletEventAccessors
except ImportError:  # Airflow 2
    from airflow.utils.context import OutletEventAccessors

#: 2026-11-21 08:00:00 UTC.
BEGIN = 1_795_248_000.0
R = "cn-north-4"
CLOUD: dict[str, Any] = {
    "clusters": {"c": {"seconds": 60}, "d": {"synced_users": ["alice"], "is_synchronous": True}},
    "tasks": {"t": {"workspace": "w", "runs": [{"at": 60, "seconds": 30}]}},
    "hss": {"clusters": {"c": {"starts_after": 5, "seconds": 30, "updates_at": [90]}}},
    "coc": {
        "accounts": {
            "row-1": {"account_id": "111", "seconds": 60, "foreign_runs": [{"at": 30, "seconds": 60}]}
        }
    },
    "csms": {"events": {"rotated": {"state": "ENABLED"}}},
}
#: Whatever the task is about, none of these stands for it.
OTHERS = [
    assets.mrs_iam_users(R, "other"),
    assets.mrs_iam_users("eu-west-101", "c"),
    assets.hss_cluster_events("eu-west-101", "c"),
    assets.hss_cluster_events(R),
    assets.coc_vendor("HCS"),
    assets.coc_vendor_account("AWS", "222"),
    assets.csms_event("eu-west-101", "rotated"),
    assets.dataarts_member_sync_task(R, "w", "other"),
    Asset(uri="s3://bucket/key"),
    AssetAlias("alias"),
]
#: Times, and what only the service knows.
ANY = object()
ENDS = {"started_at": ANY, "ended_at": ANY, "request_id": ANY}
USERS = {"cluster_id": "c", "sync_all": False, "users": 2, "groups": 0}
ALICE_BOB = ["alice", "bob"]
MRS, HSS = assets.mrs_iam_users(R, "c"), assets.hss_cluster_events(R, "c")
ACCOUNT = assets.coc_vendor_account("AWS", "111")
OPERATORS = [
    (
        "mrs",
        MrsSyncIamUsersOperator,
        {"cluster_id": "c", "user_names": ALICE_BOB},
        MRS,
        {"service": "mrs", "outcome": "succeeded", **USERS, **ENDS},
    ),
    (
        "mrs, region of the task",
        MrsSyncIamUsersOperator,
        {"cluster_id": "c", "user_names": ALICE_BOB, "region": R, "project_id": None},
        MRS,
        {"service": "mrs", "outcome": "succeeded", **USERS, **ENDS},
    ),
    (
        "mrs, not waited for",
        MrsSyncIamUsersOperator,
        {"cluster_id": "c", "user_names": ALICE_BOB, "wait_for_completion": False},
        MRS,
        {"service": "mrs", "outcome": "accepted", **USERS, **ENDS, "ended_at": None},
    ),
    (
        "mrs removal",
        MrsCancelIamSyncOperator,
        {"cluster_id": "d", "user_names": ["alice"]},
        assets.mrs_iam_users(R, "d"),
        {"service": "mrs-cancel", "outcome": "succeeded", "cluster_id": "d", "users": 1, "groups": 0, **ENDS},
    ),
    (
        "coc account",
        CocSyncMultiCloudResourcesOperator,
        {"vendor": "AWS", "account_id": "111"},
        ACCOUNT,
        {
            "service": "coc",
            "outcome": "succeeded",
            "vendor": "AWS",
            "account_id": "111",
            "accounts": 1,
            **ENDS,
        },
    ),
    (
        "coc vendor",
        CocSyncMultiCloudResourcesOperator,
        {"vendor": "AWS"},
        assets.coc_vendor("AWS"),
        {
            "service": "coc",
            "outcome": "succeeded",
            "vendor": "AWS",
            "account_id": None,
            "accounts": 1,
            **ENDS,
        },
    ),
    (
        "hss",
        HssSyncClusterProtectionEventsOperator,
        {"cluster_id": "c", "wait_for_completion": True},
        HSS,
        {"service": "hss", "outcome": "succeeded", "cluster_id": "c", **ENDS},
    ),
]
SEEN = {"outcome": "succeeded", "run": ANY, "seen_at": ANY}
SENSORS = [
    (
        "mrs",
        MrsIamSyncSensor,
        {"cluster_id": "d", "user_names": ["alice"]},
        assets.mrs_iam_users(R, "d"),
        # The service tells no time.
        {"service": "mrs", "cluster_id": "d", **SEEN, "run": None},
    ),
    (
        "dataarts",
        DataArtsMemberSyncTaskSensor,
        {"workspace": "w", "sync_task_id": "t", "synced_after": BEGIN},
        assets.dataarts_member_sync_task(R, "w", "t"),
        {
            "service": "dataarts",
            "workspace": "w",
            "sync_task_id": "t",
            **SEEN,
            "run": "2026-11-21T08:01:00.000+00:00",
        },
    ),
    (
        "coc",
        CocVendorAccountSyncSensor,
        {"vendor": "AWS", "account_id": "111", "synced_after": BEGIN},
        ACCOUNT,
        {
            "service": "coc",
            "vendor": "AWS",
            "account_id": "111",
            **SEEN,
            "run": "2026-11-21T08:01:30.000+00:00",
        },
    ),
    (
        "hss",
        HssClusterEventsSensor,
        {"cluster_id": "c", "updated_after": BEGIN},
        HSS,
        {"service": "hss", "cluster_id": "c", **SEEN, "run": "2026-11-21T08:01:30.000+00:00"},
    ),
]


@pytest.fixture
def world(start_world) -> World:
    return start_world(at=BEGIN, **CLOUD)


def told(context: dict[str, Any], outlets: list[Any]) -> dict[str, Any]:
    """What Airflow would store with the event of each outlet, where there is anything."""
    events = context["outlet_events"]
    found = {each.uri: events[each].extra for each in outlets if not isinstance(each, AssetAlias)}
    assert all(not events[each].extra for each in outlets if isinstance(each, AssetAlias))
    return {uri: json.loads(json.dumps(extra)) for uri, extra in found.items() if extra}


def matches(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name] == value if value is not ANY else found[name] for name, value in expected.items()
    )


def in_context(world: World, **more: Any) -> dict[str, Any]:
    return {**world.context(**more), "outlet_events": OutletEventAccessors()}


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
@pytest.mark.parametrize(
    ("make", "arguments", "asset", "expected"),
    [row[1:] for row in OPERATORS],
    ids=[row[0] for row in OPERATORS],
)
def test_operator(world, make, arguments, asset, expected, deferrable) -> None:
    outlets = [*OTHERS, asset]
    context = in_context(world)
    task = make(task_id="t", deferrable=deferrable, outlets=outlets, **arguments)
    result = world.run(task, context)
    found = told(context, outlets)
    assert set(found) == {asset.uri}
    assert set(found[asset.uri]) == {"cloudsync"}
    happened = found[asset.uri]["cloudsync"]
    assert matches(happened, expected), happened
    assert result.items() <= happened.items()


@pytest.mark.parametrize("mode", ["blocking", "rescheduled", "deferred"])
@pytest.mark.parametrize(
    ("make", "arguments", "asset", "expected"), [row[1:] for row in SENSORS], ids=[row[0] for row in SENSORS]
)
def test_sensor(world, make, arguments, asset, expected, mode) -> None:
    outlets = [*OTHERS, asset]

    def sensor() -> Any:
        return make(
            task_id="t",
            deferrable=mode == "deferred",
            mode="reschedule" if mode == "rescheduled" else "poke",
            poke_interval=20,
            timeout=3600,
            outlets=outlets,
            **arguments,
        )

    context = in_context(world)
    if mode == "rescheduled":
        while not sensor().poke(context):
            assert told(context, outlets) == {}
            context = in_context(world)  # the next look is another process's
            world.emulator.advance(20)
    else:
        world.run(sensor(), context)
    found = told(context, outlets)
    assert set(found) == {asset.uri}
    assert matches(found[asset.uri]["cloudsync"], expected), found


def test_csms(world) -> None:
    asset = assets.csms_event(R, "rotated")
    context = in_context(world)
    task = CsmsUpdateEventOperator(task_id="t", name="rotated", state="DISABLED", outlets=[*OTHERS, asset])
    task.execute(context)
    found = told(context, [*OTHERS, asset])
    assert set(found) == {asset.uri}
    happened = found[asset.uri]["cloudsync"]
    expected = {
        "service": "csms",
        "name": "rotated",
        "outcome": "succeeded",
        "changed": True,
        "ended_at": ANY,
    }
    # Not whom it notifies.
    assert matches(happened, {**expected, "state_before": "ENABLED", "state_after": "DISABLED"}), happened


def test_a_task_that_fails_tells_nothing(start_world) -> None:
    world = start_world(clusters={"c": {"seconds": 60, "outcome": "failed"}})
    context = in_context(world)
    task = MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"], outlets=[MRS])
    with pytest.raises(SyncFailed):
        world.run(task, context)
    assert told(context, [MRS]) == {}


def test_the_users_own_extra_stays(world) -> None:
    context = in_context(world)
    context["outlet_events"][MRS].extra["mine"] = 1
    world.run(
        MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"], outlets=[MRS]), context
    )
    assert set(told(context, [MRS])[MRS.uri]) == {"mine", "cloudsync"}


@pytest.mark.parametrize("outlets", [[], OTHERS], ids=["none", "others"])
def test_without_an_outlet_of_its_own_a_task_looks_nothing_up(world, monkeypatch, outlets) -> None:
    """A deferred task that comes back needs no connection to end."""
    context = in_context(world)
    task = MrsSyncIamUsersOperator(
        task_id="t", cluster_id="x", user_names=["alice"], deferrable=True, outlets=outlets
    )
    monkeypatch.setattr(CloudSyncHook, "cloud", property(lambda self: pytest.fail("looked up")))
    task.annotate_outlet_events(context, "mrs", {"cluster_id": "x"}, {})
    assert told(context, outlets) == {}


def test_a_connection_that_is_away_makes_no_green_task_red(world, monkeypatch, caplog) -> None:
    def away(self: Any) -> Any:
        raise RuntimeError("the API server is not there")

    context = in_context(world)
    task = MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"], outlets=[MRS])
    monkeypatch.setattr(CloudSyncHook, "cloud", property(away))
    task.annotate_outlet_events(context, "mrs", {"cluster_id": "c"}, {"outcome": "succeeded"})
    assert told(context, [MRS])[MRS.uri]["cloudsync"]["outcome"] == "succeeded"
    assert "Region unknown (RuntimeError)" in caplog.text


def test_a_reference_that_airflow_cannot_resolve_makes_no_green_task_red(world, caplog) -> None:
    class Events:
        def __getitem__(self, key: Any) -> Any:
            raise RuntimeError("no such asset")

    task = MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"], outlets=[MRS])
    world.run(task, {**world.context(), "outlet_events": Events()})
    assert f"Cannot annotate asset event {MRS.uri} (RuntimeError)" in caplog.text
