"""Run after each sync of members or IAM users in the cloud, regardless of who started it (Airflow 3)."""

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

# Airflow 2.11 has no watchers of datasets, so this file defines no DAG there.
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
        # A sync that begins and ends between two polls is not seen: poll_interval must be shorter than a sync.
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
            """Return each sync and its time; empty for a manual run."""
            happened = [
                event.extra["payload"] for events in triggering_asset_events.values() for event in events
            ]
            return [f"{each['service']}: {each['outcome']}, run {each['run']}" for each in happened]

        @task
        def refresh_grants(happened: list[str]) -> str:
            """Replace this with the job that follows."""
            return f"refreshed after {len(happened)} events"

        refresh_grants(what_happened())
