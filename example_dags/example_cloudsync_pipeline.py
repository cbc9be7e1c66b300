"""People first, then data: IAM users into the cluster, members into the workspace, then the job that needs both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor

with DAG(
    dag_id="example_cloudsync_pipeline",
    description="IAM users into MRS, members of DataArts Studio, then the job",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    # All tasks here wait without a worker slot, and have an end.
    default_args={"deferrable": True, "retries": 1, "retry_delay": timedelta(seconds=30)},
    params={
        "cluster_id": Param("pipeline-cluster", type="string", description="Id of the MRS cluster"),
        "workspace": Param("example-workspace", type="string", description="Id of the DataArts workspace"),
        "sync_task_id": Param(
            "pipeline-member-sync", type="string", description="Id of its member sync task"
        ),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    users_synced = MrsSyncIamUsersOperator(
        task_id="users_synced",
        cluster_id="{{ params.cluster_id }}",
        user_names=["alice", "bob", "carol"],
        timeout=timedelta(minutes=30),
    )

    # Members are synchronized by a schedule of the service, so there is nothing to start: only a run that began after
    # this DAG run did counts, however well the last one ended.
    members_synced = DataArtsMemberSyncTaskSensor(
        task_id="members_synced",
        workspace="{{ params.workspace }}",
        sync_task_id="{{ params.sync_task_id }}",
        synced_after="{{ dag_run.start_date }}",
        timeout=timedelta(hours=2).total_seconds(),
    )

    @task
    def load_data(users: dict) -> str:
        """The downstream job: runs only when people have their access."""
        return f"loading into {users['cluster_id']}"

    users_synced >> members_synced >> load_data(users_synced.output)
