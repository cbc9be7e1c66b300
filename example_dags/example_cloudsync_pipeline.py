"""Synchronize users, members, resources of other clouds and security events; then load data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor

with DAG(
    dag_id="example_cloudsync_pipeline",
    description="All five services: mute notifications, synchronize, load, restore",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    # Waits take no worker slot.
    default_args={"deferrable": True, "retries": 1, "retry_delay": timedelta(seconds=30)},
    params={
        "cluster_id": Param("pipeline-cluster", type="string", description="ID of the MRS cluster"),
        "workspace": Param("example-workspace", type="string", description="ID of the DataArts workspace"),
        "sync_task_id": Param(
            "pipeline-member-sync", type="string", description="ID of its member sync task"
        ),
        "container_cluster_id": Param(
            "pipeline-container-cluster", type="string", description="ID of the container cluster in HSS"
        ),
        "vendor": Param("HCS", type="string", description="The other cloud"),
        "event": Param("pipeline-event", type="string", description="Name of the CSMS event notification"),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    quiet = CsmsUpdateEventOperator(task_id="quiet", name="{{ params.event }}", state="DISABLED")

    users_synced = MrsSyncIamUsersOperator(
        task_id="users_synced",
        cluster_id="{{ params.cluster_id }}",
        user_names=["alice", "bob", "carol"],
        timeout=timedelta(minutes=30),
    )

    inventory_synced = CocSyncMultiCloudResourcesOperator(
        task_id="inventory_synced", vendor="{{ params.vendor }}", timeout=timedelta(hours=1)
    )

    # No later task needs the events, so it is enough that HSS has accepted the request.
    events_requested = HssSyncClusterProtectionEventsOperator(
        task_id="events_requested", cluster_id="{{ params.container_cluster_id }}"
    )

    # A schedule of the service starts the member sync. Only a run that begins after this DAG run counts.
    members_synced = DataArtsMemberSyncTaskSensor(
        task_id="members_synced",
        workspace="{{ params.workspace }}",
        sync_task_id="{{ params.sync_task_id }}",
        synced_after="{{ dag_run.start_date }}",
        timeout=timedelta(hours=2).total_seconds(),
    )

    @task
    def load_data(users: dict, inventory: dict) -> str:
        """Replace this with the job that needs all syncs."""
        return f"{users['users']} users and {inventory['accounts']} accounts of {inventory['vendor']} are in place"

    audible = CsmsUpdateEventOperator(
        task_id="audible",
        name="{{ params.event }}",
        state="{{ ti.xcom_pull(task_ids='quiet')['before']['state'] }}",
    )

    @task
    def publish(loaded: str) -> str:
        """Give the DAG run its state: the teardown alone would hide a failure before it."""
        return loaded

    loaded = load_data(users_synced.output, inventory_synced.output)
    quiet.as_setup() >> [users_synced, inventory_synced, events_requested] >> members_synced >> loaded
    loaded >> audible.as_teardown(setups=quiet, on_failure_fail_dagrun=True)
    publish(loaded)
