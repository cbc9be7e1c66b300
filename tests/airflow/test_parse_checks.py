"""What is refused when a DAG file is parsed: flags that are text, and literals that no call could carry out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.api.services.dataarts import calls, member_sync
from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.hooks.mrs import MrsHook
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
from airflow_provider_cloudsync.triggers import events
from tests.airflow.test_triggers_events import on_3

SMN = {"target_type": "SMN", "target_id": "urn:smn:x", "target_name": "x"}
KINDS: dict[type[Any], dict[str, Any]] = {
    MrsSyncIamUsersOperator: {"cluster_id": "c", "user_names": ["a"]},
    MrsCancelIamSyncOperator: {"cluster_id": "c", "user_names": ["a"]},
    HssSyncClusterProtectionEventsOperator: {},
    CocSyncMultiCloudResourcesOperator: {"vendor": "AWS"},
    CsmsCreateEventOperator: {"name": "e", "event_types": ["SECRET_ROTATED"], "notification": SMN},
    CsmsUpdateEventOperator: {"name": "e", "state": "ENABLED"},
    CsmsDeleteEventOperator: {"name": "e"},
    MrsIamSyncSensor: {"cluster_id": "c"},
    HssClusterEventsSensor: {"updated_after": None},
    CocVendorAccountSyncSensor: {"vendor": "AWS", "synced_after": None},
    DataArtsMemberSyncTaskSensor: {"workspace": "w", "sync_task_id": "t", "synced_after": None},
}
WAITING = [kind for kind in KINDS if not kind.__name__.startswith("Csms")]
STARTING = [kind for kind in WAITING if kind.__name__.endswith("Operator")]
SENSORS = [kind for kind in KINDS if kind.__name__.endswith("Sensor")]
FLAGS = [
    *((kind, "deferrable") for kind in WAITING),
    *((kind, "wait_for_completion") for kind in STARTING),
    *((kind, flag) for kind in SENSORS for flag in ("soft_fail", "never_fail")),
    (MrsSyncIamUsersOperator, "sync_all"),
    (CsmsDeleteEventOperator, "ignore_missing"),
]
EACH_FLAG = pytest.mark.parametrize(
    ("kind", "flag"), FLAGS, ids=[f"{kind.__name__} {flag}" for kind, flag in FLAGS]
)


def make(kind: type[Any], **more: Any) -> Any:
    return kind(**{"task_id": "t", **KINDS[kind], **more})


@EACH_FLAG
@pytest.mark.parametrize("value", ["false", "true", "", "{{ params.x }}", 0, 1, None], ids=repr)
def test_a_flag_that_is_no_bool(kind, flag, value) -> None:
    with pytest.raises(InvalidParameter, match=f"^{flag} must be True or False .bool., not .*not templated"):
        make(kind, **{flag: value})


@EACH_FLAG
def test_a_flag_of_default_args(kind, flag) -> None:
    with (
        pytest.raises(InvalidParameter, match=f"^{flag} must be"),
        DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, default_args={flag: "no"}),
    ):
        make(kind)


@EACH_FLAG
def test_a_flag_of_a_mapped_task(kind, flag) -> None:
    constant = dict(KINDS[kind])
    name, value = constant.popitem() if constant else ("cluster_id", "c")
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None):
        mapped = kind.partial(task_id="t", **{flag: "no"}, **constant).expand(**{name: [value]})
        with pytest.raises(InvalidParameter, match=f"^{flag} must be"):
            mapped.unmap({name: value})


@EACH_FLAG
def test_the_output_of_a_task_is_no_flag(kind, flag) -> None:
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None):
        up = make(CsmsDeleteEventOperator, task_id="up")
        with pytest.raises(InvalidParameter, match=f"^{flag} must be"):
            make(kind, **{flag: up.output})


@EACH_FLAG
@pytest.mark.parametrize("value", [True, False])
def test_a_flag(kind, flag, value) -> None:
    more = {"user_names": KINDS[kind]["user_names"]} if flag == "sync_all" and not value else {}
    arguments = {**KINDS[kind], flag: value}
    if flag == "sync_all" and value:
        del arguments["user_names"]
    assert (
        getattr(kind(task_id="t", **arguments, **{k: v for k, v in more.items() if k not in arguments}), flag)
        is value
    )


LITERALS = [
    # kind, arguments, what the error begins with
    (MrsSyncIamUsersOperator, {"user_names": "alice"}, "user_names must be a list"),
    (MrsSyncIamUsersOperator, {"group_names": "staff"}, "group_names must be a list"),
    (MrsSyncIamUsersOperator, {"user_names": {"alice": 1}}, "user_names must be a list"),
    (MrsSyncIamUsersOperator, {"user_names": b"alice"}, "user_names must be a list"),
    (MrsSyncIamUsersOperator, {"user_names": ["alice", 1.5]}, "user_names holds 1.5"),
    (MrsSyncIamUsersOperator, {"cluster_id": 1.5}, "cluster_id must be"),
    (MrsCancelIamSyncOperator, {"user_names": "alice"}, "user_names must be a list"),
    (MrsIamSyncSensor, {"group_names": "staff"}, "group_names must be a list"),
    (CsmsUpdateEventOperator, {"state": "enabled"}, "state must be"),
    (CsmsUpdateEventOperator, {"state": True}, "state must be"),
    (CsmsUpdateEventOperator, {"event_types": "SECRET_ROTATED"}, "event_types must be a list"),
    (CsmsUpdateEventOperator, {"event_types": []}, "event_types must hold 1 to 12"),
    (CsmsUpdateEventOperator, {"event_types": ["A", "A"]}, "event_types holds 'A' more than once"),
    (CsmsUpdateEventOperator, {"event_types": ["{{ x }}", ""]}, "event_types holds ''"),
    (CsmsUpdateEventOperator, {"notification": {"target_type": "SMN"}}, "notification must hold"),
    (CsmsUpdateEventOperator, {"notification": {"target_type": "{{ x }}"}}, "notification must hold"),
    (CsmsUpdateEventOperator, {"notification": "urn:smn:x"}, "notification must hold"),
    (CsmsUpdateEventOperator, {"notification": {**SMN, "target_id": ""}}, "target_id must be text"),
    (CsmsCreateEventOperator, {"state": "ON"}, "state must be"),
    (CsmsCreateEventOperator, {"event_types": "SECRET_ROTATED"}, "event_types must be a list"),
    (CsmsCreateEventOperator, {"notification": {}}, "notification must hold"),
    (CsmsDeleteEventOperator, {"name": "a/b"}, "name must be"),
    *(
        (kind, {"vendor": value}, "vendor must be text")
        for kind in KINDS
        if "vendor" in KINDS[kind]
        for value in ("", " AWS", "a\nb", ["AWS"])
    ),
    *(
        (kind, {"account_id": value}, "account_id must be text")
        for kind in KINDS
        if "vendor" in KINDS[kind]
        for value in ("", "1 ", 1.5)
    ),
    *(
        (kind, {name: value}, f"{name} must be a point in time")
        for kind in SENSORS
        for name in ("synced_after", "updated_after")
        if name in KINDS[kind]
        for value in ("yesterday", "", "12", 12, True, "None", [datetime(2026, 1, 1, tzinfo=UTC)])
    ),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "begins"), LITERALS, ids=[f"{kind.__name__} {more}" for kind, more, _ in LITERALS]
)
def test_a_literal_that_no_call_could_carry_out(kind, arguments, begins) -> None:
    with pytest.raises(InvalidParameter) as caught:
        make(kind, **arguments)
    assert caught.value.message.startswith(begins)


def test_nothing_to_change() -> None:
    with pytest.raises(InvalidParameter, match="nothing to change"):
        CsmsUpdateEventOperator(task_id="t", name="e")


TEMPLATES = [
    (MrsSyncIamUsersOperator, {"user_names": "{{ params.x }}"}),
    (MrsSyncIamUsersOperator, {"user_names": ["{{ params.x }}", "alice"], "cluster_id": "{{ params.c }}"}),
    (CsmsUpdateEventOperator, {"state": "{{ params.x }}"}),
    (CsmsUpdateEventOperator, {"event_types": "{{ params.x }}", "notification": "{{ params.y }}"}),
    (CsmsUpdateEventOperator, {"notification": {**SMN, "target_id": "{{ params.x }}"}}),
    (CsmsCreateEventOperator, {"event_types": ["{{ params.x }}"] * 2}),
    (CocVendorAccountSyncSensor, {"vendor": "{{ params.x }}", "synced_after": "{{ dag_run.start_date }}"}),
    (DataArtsMemberSyncTaskSensor, {"synced_after": "{% if a %}{{ b }}{% endif %}"}),
]


@pytest.mark.parametrize(
    ("kind", "arguments"), TEMPLATES, ids=[f"{kind.__name__} {more}" for kind, more in TEMPLATES]
)
def test_a_template_is_left_for_run_time(kind, arguments) -> None:
    task = make(kind, **arguments)
    assert {name: getattr(task, name) for name in arguments} == arguments


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_unknown_word_of_the_service_is_no_matter_of_the_dag_file(kind, caplog) -> None:
    """It is sent as it is, with a warning when the task runs; a parse says nothing."""
    words = {
        "vendor": "CLOUD9",
        "event_types": ["SECRET_RENAMED"],
        "notification": {**SMN, "target_type": "MQ"},
    }
    make(kind, **{name: value for name, value in words.items() if name in KINDS[kind]})
    assert caplog.text == ""


# --- hooks and triggers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["false", 0, None], ids=repr)
def test_flags_of_hooks(value) -> None:
    with pytest.raises(InvalidParameter, match=r"^sync_all must be"):
        MrsHook().sync_iam_users("c", sync_all=value)
    if value is not None:
        with pytest.raises(InvalidParameter, match=r"^repeatable must be"):
            CloudSyncHook().request("GET", "mrs", "/v2/x", repeatable=value)
        with pytest.raises(InvalidParameter, match=r"^order_by_asc must be"):
            next(calls.list_member_sync_tasks(None, "w", order_by_asc=value))  # type: ignore[arg-type]


EVENT_TRIGGERS: dict[str, dict[str, Any]] = {
    "DataArtsMemberSyncTrigger": {"workspace": "w", "sync_task_id": "t"},
    "CocVendorAccountSyncTrigger": {"vendor": "AWS"},
    "HssClusterEventsTrigger": {},
}


@on_3
@pytest.mark.parametrize("name", EVENT_TRIGGERS)
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("catchup", value) for value in ("false", 1, None)),
        *(
            (argument, value)
            for argument in ("region", "project_id", "cloudsync_conn_id")
            for value in ("", " ")
        ),
    ],
)
def test_event_triggers(name, argument, value) -> None:
    """A TypeError, since anything else would end the whole triggerer."""
    with pytest.raises(TypeError, match=f"^{argument} must be"):
        getattr(events, name)(**EVENT_TRIGGERS[name], **{argument: value})


@pytest.mark.parametrize("value", [date(2026, 1, 1)])
def test_a_date_is_checked_like_any_other_time(value) -> None:
    """Whether it is one is for the reading of times to say; not for a later run."""
    try:
        member_sync.member_sync_target("w", "t", synced_after=value)
    except InvalidParameter:
        with pytest.raises(InvalidParameter):
            make(DataArtsMemberSyncTaskSensor, synced_after=value)
    else:
        make(DataArtsMemberSyncTaskSensor, synced_after=value)
