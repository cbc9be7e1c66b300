"""Run when something has happened in the cloud, whoever started it (Airflow 3): members or users were synchronized."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.triggers.events import DataArtsMemberSyncTrigger, MrsIamSyncTrigger

REGION, WORKSPACE, SYNC_TASK_ID, CLUSTER_ID = (
    "cn-north-4",
    "example-workspace",
    "example-member-sync",
    "example-cluster",
)

# Airflow 2.11 has datasets, but nothing that watches them from outside, so there is no DAG then.
if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import AssetWatcher

    members = assets.dataarts_member_sync_task(
        REGION,
        WORKSPACE,
        SYNC_TASK_ID,
        watchers=[
            AssetWatcher(
                name="member_sync_ended",
                trigger=DataArtsMemberSyncTrigger(workspace=WORKSPACE, sync_task_id=SYNC_TASK_ID),
            )
        ],
    )
    users = assets.mrs_iam_users(
        REGION,
        CLUSTER_ID,
        # An IAM sync that comes and goes between two looks is not seen, so look more often than it is long.
        watchers=[
            AssetWatcher(
                name="iam_sync_ended", trigger=MrsIamSyncTrigger(cluster_id=CLUSTER_ID, poll_interval=20)
            )
        ],
    )

    with DAG(
        dag_id="example_cloudsync_events",
        description="Run after each member sync of a workspace and each IAM user sync of a cluster",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        schedule=members | users,
        catchup=False,
        tags=["cloudsync", "example"],
        doc_md=__doc__,
    ):

        @task
        def what_happened(triggering_asset_events: Any = None) -> list[str]:
            """Who was synchronized, and when; nothing if the DAG was started by hand."""
            happened = [
                event.extra["payload"] for events in triggering_asset_events.values() for event in events
            ]
            return [f"{each['service']}: {each['outcome']}, run {each['run']}" for each in happened]

        @task
        def refresh_grants(happened: list[str]) -> str:
            """The job that has to follow."""
            return f"refreshed after {len(happened)} events"

        refresh_grants(what_happened())
