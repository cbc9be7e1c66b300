"""The button of a task: each operator and sensor has it, as soon as it is known where it leads, in its own XCom."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import airflow
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator, TaskDeferred

from airflow_provider_cloudsync import get_provider_info
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.links import XCOM_KEY, ConsoleLink
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import (
    CsmsCreateEventOperator,
    CsmsDeleteEventOperator,
    CsmsUpdateEventOperator,
)
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor

IS_3 = not airflow.__version__.startswith("2.")
NAME = "Open in Huawei Cloud"
SITE = "https://console.huaweicloud.com"
TOPIC = {"target_type": "SMN", "target_id": "urn:smn:r:p:t", "target_name": "t"}

#: What a user can put into a DAG, with the least that it needs, and where its button leads.
TASKS = [
    (MrsSyncIamUsersOperator, {"cluster_id": "c", "user_names": ["alice"]}, "mrs/?region=cn-north-4"),
    (MrsCancelIamSyncOperator, {"cluster_id": "c", "user_names": ["alice"]}, "mrs/?region=cn-north-4"),
    (HssSyncClusterProtectionEventsOperator, {"cluster_id": "c"}, "hss2/?region=cn-north-4"),
    (CocSyncMultiCloudResourcesOperator, {"vendor": "AWS"}, "coc/?region=cn-north-4"),
    (
        CsmsCreateEventOperator,
        {"name": "e", "event_types": ["SECRET_ROTATED"], "notification": TOPIC},
        "dew/?region=cn-north-4",
    ),
    (CsmsUpdateEventOperator, {"name": "e", "state": "DISABLED"}, "dew/?region=cn-north-4"),
    (CsmsDeleteEventOperator, {"name": "e"}, "dew/?region=cn-north-4"),
    (MrsIamSyncSensor, {"cluster_id": "c", "user_names": ["alice"]}, "mrs/?region=cn-north-4"),
    (
        DataArtsMemberSyncTaskSensor,
        {"workspace": "w", "sync_task_id": "t", "synced_after": None},
        "dayu/?region=cn-north-4&workspace=w",
    ),
    (CocVendorAccountSyncSensor, {"vendor": "AWS", "synced_after": None}, "coc/?region=cn-north-4"),
    (HssClusterEventsSensor, {"cluster_id": "c", "updated_after": None}, "hss2/?region=cn-north-4"),
]
EACH = pytest.mark.parametrize(("kind", "given", "page"), TASKS, ids=[kind.__name__ for kind, *_ in TASKS])


def at(endpoint: str, region: str | None = "cn-north-4", **extra) -> str:
    fields = {"endpoint": endpoint, "project_id": "p", **extra, **({"region": region} if region else {})}
    return json.dumps({"conn_type": "cloudsync", "login": "AK", "password": "SK-secret", "extra": fields})


def all_classes() -> set[type]:
    info = get_provider_info()
    modules = [
        name for kind in ("operators", "sensors") for each in info[kind] for name in each["python-modules"]
    ]
    found = {
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type) and issubclass(value, BaseOperator) and value.__module__ == name
    }
    return {each for each in found if not getattr(each, "__abstractmethods__", None)}


def test_the_table_has_every_operator_and_sensor() -> None:
    assert {kind for kind, *_ in TASKS} == all_classes()


def through_json(dag):
    """As the scheduler and the web server have it."""
    from airflow.serialization import serialized_objects

    # Airflow 3 has told apart what serializes from what comes of it.
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    serialization = getattr(serialized_objects, name)
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))


@EACH
def test_every_task_has_the_button_after_it_was_stored_as_json(kind, given, page) -> None:
    first, *others = given
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:
        kind(task_id="plain", **given)
        constant = {name: given[name] for name in others}
        kind.partial(task_id="mapped", **constant).expand(**{first: [given[first], "other"]})
    read = through_json(dag)
    assert len(read.task_dict) == 2
    for task in read.task_dict.values():
        links = {link.name: link for link in task.operator_extra_links}
        assert list(links) == [NAME]
        if IS_3:
            assert links[NAME].xcom_key == XCOM_KEY
        else:
            assert isinstance(links[NAME], ConsoleLink)


def test_airflow_knows_the_link() -> None:
    from airflow.providers_manager import ProvidersManager

    path = f"{ConsoleLink.__module__}.{ConsoleLink.__name__}"
    assert get_provider_info()["extra-links"] == [path]
    assert path in ProvidersManager().extra_links_class_names


@EACH
def test_it_is_there_before_the_first_request_and_though_the_task_fails(
    kind, given, page, start_world
) -> None:
    world = start_world()
    world.emulator.faults([{"times": None, "status": 403}])
    with pytest.raises((CloudSyncError, AirflowFailException)):
        kind(task_id="t", **given).execute(world.context())
    assert world.emulator.requests()
    assert world.xcoms == [(XCOM_KEY, f"{SITE}/{page}", 0)]


WAITING = [row for row in TASKS if "Csms" not in row[0].__name__]


@pytest.mark.parametrize(("kind", "given", "page"), WAITING, ids=[kind.__name__ for kind, *_ in WAITING])
def test_it_is_there_while_the_task_is_deferred(kind, given, page, start_world) -> None:
    world = start_world(
        clusters={"c": {"seconds": 60, "synced_users": ["alice"] if "Cancel" in kind.__name__ else []}},
        tasks={"t": {"workspace": "w"}},
        hss={"clusters": {"c": {"seconds": 60}}},
        coc={"accounts": {"row": {"vendor": "AWS", "account_id": "1", "seconds": 60}}},
    )
    waits = {"wait_for_completion": True} if "Operator" in kind.__name__ else {}
    new = {name: "2099-01-01T00:00:00+00:00" for name in given if name.endswith("_after")}
    with pytest.raises(TaskDeferred):
        kind(task_id="t", deferrable=True, **{**given, **new}, **waits).execute(world.context())
    assert [xcom[:2] for xcom in world.xcoms] == [(XCOM_KEY, f"{SITE}/{page}")]


@EACH
def test_no_button_where_nobody_knows_where_to(kind, given, page, start_world, monkeypatch) -> None:
    world = start_world()
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", at(world.emulator.url, region=None))
    with pytest.raises((CloudSyncError, AirflowFailException)):
        kind(task_id="t", **given).execute(world.context())
    assert world.xcoms == []


def test_the_region_of_the_task_counts(start_world) -> None:
    world = start_world(clusters={"c": {}})
    with pytest.raises(CloudSyncError):
        MrsSyncIamUsersOperator(
            task_id="t", cluster_id="gone", sync_all=True, region="eu-west-101", project_id="p"
        ).execute(world.context())
    assert world.xcoms[0][1] == "https://console.eu.huaweicloud.com/mrs/?region=eu-west-101"


def test_a_sensor_that_pokes_leaves_it_once(start_world) -> None:
    world = start_world(clusters={"c": {}})
    sensor = MrsIamSyncSensor(task_id="t", cluster_id="c", user_names=["alice"])
    assert not sensor.poke(world.context())
    assert not sensor.poke(world.context())
    assert len(world.xcoms) == 1


def test_a_task_goes_on_if_airflow_does_not_take_it(start_world, caplog) -> None:
    world = start_world(clusters={"c": {"seconds": 5}})
    context = world.context()

    def broken(**_) -> None:
        raise RuntimeError("the store is away")

    context["ti"].xcom_push = broken
    task = MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"])
    assert task.execute(context)["users"] == 1
    assert "the store is away" in caplog.text


def test_nothing_secret_is_in_it(start_world, monkeypatch) -> None:
    world = start_world(clusters={"c": {"seconds": 5}})
    monkeypatch.setenv(
        "AIRFLOW_CONN_CLOUDSYNC_DEFAULT",
        at(world.emulator.url, domain_id="d0", security_token="token-secret"),
    )
    with pytest.raises((CloudSyncError, AirflowFailException)):
        MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["alice"]).execute(world.context())
    assert [value for _, value, _ in world.xcoms] == [f"{SITE}/mrs/?region=cn-north-4"]


@pytest.mark.parametrize(("stored", "shown"), [(f"{SITE}/mrs/", f"{SITE}/mrs/"), (None, ""), ("", "")])
def test_the_link_is_what_was_stored_and_none_is_empty_text(stored, shown, monkeypatch) -> None:
    """On Airflow 3 a None would be shown as a link "None"."""
    from airflow.providers.common.compat.sdk import XCom

    asked = []

    def get_value(*, ti_key, key):
        asked.append((ti_key, key))
        return stored

    monkeypatch.setattr(XCom, "get_value", get_value)
    key = SimpleNamespace()
    assert ConsoleLink().get_link(None, ti_key=key) == shown
    assert asked == [(key, XCOM_KEY)]
