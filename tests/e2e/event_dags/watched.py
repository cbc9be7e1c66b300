"""DAGs that run when something has happened in the cloud: Airflow 3 only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, AssetWatcher, task

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.triggers.events import DataArtsMemberSyncTrigger, MrsIamSyncTrigger

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
#: Seconds between two looks.
EVERY = 2

members = assets.dataarts_member_sync_task(
    "cn-north-4",
    "w",
    "t",
    watchers=[
        AssetWatcher(
            name="runs",
            trigger=DataArtsMemberSyncTrigger(
                workspace="w", sync_task_id="t", outcome="any", poll_interval=EVERY
            ),
        )
    ],
)
users = assets.mrs_iam_users(
    "cn-north-4",
    "c",
    watchers=[AssetWatcher(name="syncs", trigger=MrsIamSyncTrigger(cluster_id="c", poll_interval=EVERY))],
)

for name, asset in (("members", members), ("users", users)):
    with DAG(name, start_date=BEGIN, schedule=[asset], catchup=False):

        @task
        def tell(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
            """What the run was started by."""
            return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

        tell()
