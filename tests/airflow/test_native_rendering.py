"""Parameters after rendering by Airflow itself, with ``render_template_as_native_obj`` and without."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import CsmsCreateEventOperator, CsmsUpdateEventOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.tasks.rendering import as_written

#: Text that is a Python literal, so that native rendering makes something else of it.
ODD = ["1001", "1_000", "0x10", "1e3", "0b11", "007", "None", "True", "1_0", "0"]
PARAMS: dict[str, Any] = {
    "ids": [1001, 1002],
    "names": ["alice", "bob"],
    "number": 1001,
    "digits": "1001",
    "name": "alice",
    "nothing": None,
    "empty": "",
    "float": "1e3",
    "time": "2026-01-31T08:00:00+00:00",
    "no": False,
}


@pytest.fixture(params=[True, False], ids=["native", "text"])
def dag(request) -> DAG:
    return _dag(native=request.param)


@pytest.fixture
def native() -> DAG:
    return _dag(native=True)


def _dag(*, native: bool) -> DAG:
    return DAG(
        "d",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        schedule=None,
        render_template_as_native_obj=native,
    )


def rendered(task: Any) -> Any:
    task = copy.deepcopy(task)  # as Airflow prepares it for a run
    task.render_template_fields({"params": PARAMS})
    return task


# --- text of the DAG file ------------------------------------------------------------------------------------------

IDS: list[tuple[str, Callable[..., Any], str]] = [
    (
        "cluster_id",
        lambda value, **m: MrsSyncIamUsersOperator(cluster_id=value, user_names=["a"], **m),
        "mrs",
    ),
    (
        "cluster_id",
        lambda value, **m: MrsCancelIamSyncOperator(cluster_id=value, user_names=["a"], **m),
        "cancel",
    ),
    ("cluster_id", lambda value, **m: MrsIamSyncSensor(cluster_id=value, **m), "mrs sensor"),
    ("cluster_id", lambda value, **m: HssSyncClusterProtectionEventsOperator(cluster_id=value, **m), "hss"),
    (
        "enterprise_project_id",
        lambda value, **m: HssClusterEventsSensor(enterprise_project_id=value, updated_after=None, **m),
        "hss sensor",
    ),
    (
        "workspace",
        lambda value, **m: DataArtsMemberSyncTaskSensor(
            workspace=value, sync_task_id="t", synced_after=None, **m
        ),
        "workspace",
    ),
    (
        "sync_task_id",
        lambda value, **m: DataArtsMemberSyncTaskSensor(
            workspace="w", sync_task_id=value, synced_after=None, **m
        ),
        "task",
    ),
    (
        "account_id",
        lambda value, **m: CocSyncMultiCloudResourcesOperator(vendor="AWS", account_id=value, **m),
        "coc",
    ),
    (
        "account_id",
        lambda value, **m: CocVendorAccountSyncSensor(vendor="AWS", account_id=value, synced_after=None, **m),
        "coc sensor",
    ),
]
EACH_ID = pytest.mark.parametrize(
    ("field", "make"), [case[:2] for case in IDS], ids=[f"{case[2]} {case[0]}" for case in IDS]
)


@EACH_ID
@pytest.mark.parametrize("value", ODD)
def test_an_id_of_the_dag_file_stays_what_was_written(dag, field, make, value) -> None:
    task = rendered(make(value, task_id="t", dag=dag))
    assert task.target()[field] == value


@EACH_ID
@pytest.mark.parametrize("value", ODD)
def test_so_it_does_in_a_mapped_task(native, field, make, value) -> None:
    task = make(value, task_id="model")
    kinds = {"task_id", "dag", field}
    constant = {
        name: getattr(task, name)
        for name in (
            "cluster_id",
            "workspace",
            "sync_task_id",
            "vendor",
            "user_names",
            "updated_after",
            "synced_after",
        )
        if name in task.template_fields and name not in kinds and str(getattr(task, name)) != "not given"
    }
    mapped = (
        type(task)
        .partial(task_id="t", dag=native, **{field: value}, **constant)
        .expand(region=["cn-north-4"])
    )
    one = mapped.unmap({"region": "cn-north-4"})
    one.render_template_fields({"params": PARAMS})
    assert one.target()[field] == value
    assert one.region == "cn-north-4"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda **m: MrsSyncIamUsersOperator(cluster_id="c", **m), id="operator"),
        pytest.param(lambda **m: MrsCancelIamSyncOperator(cluster_id="c", **m), id="cancel"),
        pytest.param(lambda **m: MrsIamSyncSensor(cluster_id="c", **m), id="sensor"),
    ],
)
@pytest.mark.parametrize("field", ["user_names", "group_names"])
class TestNames:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            pytest.param(ODD, ODD, id="literals"),
            pytest.param(tuple(ODD), ODD, id="tuple"),
            pytest.param({"1_000", "alice"}, ["1_000", "alice"], id="set"),
            pytest.param(["1_000", "{{ params.name }}"], ["1_000", "alice"], id="beside a template"),
            pytest.param(["'alice'", "[1]", "1,2"], ["'alice'", "[1]", "1,2"], id="other literals of Python"),
        ],
    )
    def test_of_the_dag_file(self, dag, make, field, given, expected) -> None:
        task = rendered(make(task_id="t", dag=dag, **{field: given}))
        for _ in range(2):  # it is asked for several times
            assert task.target()[field] == expected

    @pytest.mark.parametrize(
        "kind", [iter, lambda names: (name for name in names), lambda n: dict.fromkeys(n).keys()]
    )
    def test_what_can_be_read_once(self, make, field, kind) -> None:
        """As a mapped task gets it from the output of another, or from a filter of Jinja."""
        task = make(task_id="t", **{field: "{{ x }}"})
        setattr(task, field, kind(["1_000", "bob"]))
        for _ in range(2):
            assert task.target()[field] == ["1_000", "bob"]
        with pytest.raises(InvalidParameter, match=f"^{field} must be a list, not "):
            make(task_id="t", **{field: kind(["1_000", "bob"])})

    @pytest.mark.parametrize(
        ("template", "expected"),
        [
            ("{{ params.ids }}", ["1001", "1002"]),
            ("{{ params.names }}", ["alice", "bob"]),
            ("{{ params.names | map('upper') }}", ["ALICE", "BOB"]),
            (["{{ params.number }}", "{{ params.digits }}x"], ["1001", "1001x"]),
        ],
        ids=str,
    )
    def test_of_a_template(self, native, make, field, template, expected) -> None:
        task = rendered(make(task_id="t", dag=native, **{field: template}))
        for _ in range(2):
            assert task.target()[field] == expected

    @pytest.mark.parametrize(
        "template",
        [
            *("{{ params.name }}", "{{ params.number }}", "{{ {'a': 1} }}", ["{{ params.float }}"]),
            *(["{{ params.nothing }}"], ["{{ params.no }}"]),
        ],
        ids=str,
    )
    def test_of_a_template_that_makes_something_else(self, native, make, field, template) -> None:
        task = rendered(make(task_id="t", dag=native, **{field: template}))
        with pytest.raises(InvalidParameter, match=field):
            task.target()


@pytest.mark.parametrize("value", ["20260131", "1769846400", "1769846400000", "2026-01-31"])
@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("updated_after", lambda **m: HssClusterEventsSensor(**m)),
        ("synced_after", lambda **m: CocVendorAccountSyncSensor(vendor="AWS", **m)),
        ("synced_after", lambda **m: DataArtsMemberSyncTaskSensor(workspace="w", sync_task_id="t", **m)),
    ],
    ids=["hss", "coc", "dataarts"],
)
def test_a_time_of_the_dag_file_is_the_same_with_and_without(field, make, value) -> None:
    found = {
        rendered(make(task_id="t", dag=_dag(native=native), **{field: value})).target()[field]
        for native in (True, False)
    }
    assert len(found) == 1


def test_settings_of_an_event(native) -> None:
    topic = {"target_type": "SMN", "target_id": "urn:smn:x", "target_name": "1_000"}
    task = rendered(
        CsmsCreateEventOperator(
            task_id="t", dag=native, name="1_000", event_types=["SECRET_ROTATED"], notification=topic
        )
    )
    assert (task.name, task.wanted()["notification"]) == ("1_000", topic)


def test_settings_of_an_event_from_templates(native) -> None:
    task = rendered(
        CsmsUpdateEventOperator(
            task_id="t",
            dag=native,
            name="{{ params.digits }}",
            notification={
                "target_type": "SMN",
                "target_id": "urn:smn:x",
                "target_name": "{{ params.digits }}",
            },
        )
    )
    assert task.wanted()["notification"]["target_name"] == "1001"


# --- the connection --------------------------------------------------------------------------------------------------


def make(**more: Any) -> Any:
    return MrsSyncIamUsersOperator(task_id="t", cluster_id="c", user_names=["a"], **more)


@pytest.mark.parametrize("field", ["cloudsync_conn_id", "region", "project_id"])
class TestConnection:
    @pytest.mark.parametrize("value", ["1001", "1_000", "{{ params.digits }}"])
    def test_digits(self, dag, field, value) -> None:
        task = rendered(make(dag=dag, **{field: value}))
        assert getattr(task.hook, field) == value.replace("{{ params.digits }}", "1001")

    @pytest.mark.parametrize(
        "value", ["{{ params.nothing }}", "{{ params.empty }}", "{{ '  ' }}", "{{ params.float }}"]
    )
    def test_a_template_that_makes_nothing_of_use(self, native, field, value) -> None:
        task = rendered(make(dag=native, **{field: value}))
        with pytest.raises(InvalidParameter, match=f"^{field} "):
            _ = task.hook

    @pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
    def test_nothing_in_the_dag_file(self, field, value) -> None:
        with pytest.raises(InvalidParameter, match=f"^{field} must be text that is not empty"):
            make(**{field: value})


def test_what_is_left_out_is_the_connections(dag) -> None:
    task = rendered(make(dag=dag))
    assert (task.hook.region, task.hook.project_id) == (None, None)


# --- outputs of tasks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["user_names", "cluster_id", "region", "group_names"])
def test_the_output_of_a_task_is_left_for_run_time(dag, field) -> None:
    up = make(dag=dag)
    arguments = {"cluster_id": "c", "user_names": ["a"], field: up.output}
    down = MrsSyncIamUsersOperator(task_id="down", dag=dag, **arguments)
    assert down.upstream_task_ids == {"t"}
    assert getattr(down, field) is up.output or getattr(down, field) == up.output


def test_an_output_among_names(dag) -> None:
    up = make(dag=dag)
    down = MrsSyncIamUsersOperator(task_id="down", dag=dag, cluster_id="c", user_names=["alice", up.output])
    assert down.upstream_task_ids == {"t"}


def test_tasks_mapped_over_an_output(dag) -> None:
    up = make(dag=dag)
    mapped = MrsSyncIamUsersOperator.partial(task_id="down", dag=dag, user_names=["a"]).expand(
        cluster_id=up.output
    )
    assert mapped.unmap({"cluster_id": "1001"}).target()["cluster_id"] == "1001"


# --- restoring -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written", "expected"),
    [
        pytest.param(1000, "1_000", "1_000", id="a number of a text"),
        pytest.param("a", "'a'", "'a'", id="a text of a text"),
        pytest.param(1000.0, "1e3", "1e3", id="a fraction of a text"),
        pytest.param(5, "1_000", 5, id="another number, set by hand"),
        pytest.param(True, "1", True, id="equal, but another type"),
        pytest.param(1000, "{{ x }}", 1000, id="of a template"),
        pytest.param(1000, "{# x #}1000", 1000, id="of a template's comment"),
        pytest.param([1000, 5], ["1_000", "{{ x }}"], ["1_000", 5], id="in a list"),
        pytest.param((1000,), ("1_000",), ("1_000",), id="in a tuple"),
        pytest.param([1000], ["1_000", "b"], [1000], id="a list of another length"),
        pytest.param({"a": [1000]}, {"a": ["1_000"]}, {"a": ["1_000"]}, id="deep inside"),
        pytest.param({"b": 1}, {"a": "1"}, {"b": 1}, id="another key"),
        pytest.param(None, "x" * 100_000, None, id="a long text"),
        pytest.param(None, "(" * 10_000, None, id="nested too deep"),
        pytest.param(None, "a\x00b", None, id="a zero byte"),
    ],
)
def test_as_written(value, written, expected) -> None:
    found = as_written(value, written)
    assert (found, type(found)) == (expected, type(expected))
