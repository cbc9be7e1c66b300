"""Wait for a member sync task of DataArts Studio, which runs on its own schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor

with DAG(
    dag_id="example_dataarts_member_sync",
    description="Wait until a member sync task has run since this DAG run began",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    params={
        "workspace": Param("example-workspace", type="string", description="ID of the DataArts workspace"),
        "sync_task_id": Param("example-member-sync", type="string", description="ID of its member sync task"),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    # No API starts a member sync. Only a run that begins after this DAG run counts, so an old success does not.
    members_synced = DataArtsMemberSyncTaskSensor(
        task_id="members_synced",
        workspace="{{ params.workspace }}",
        sync_task_id="{{ params.sync_task_id }}",
        synced_after="{{ dag_run.start_date }}",
        if_unscheduled="fail",  # do not wait for a manual run
        deferrable=True,
        timeout=timedelta(hours=2).total_seconds(),
    )

    @task
    def grant_access() -> str:
        """Replace this with the job that needs the members."""
        return "members are in place"

    members_synced >> grant_access()
