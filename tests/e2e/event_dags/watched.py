"""DAGs that run when something has happened in the cloud: Airflow 3 only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
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

        @task(inlets=[asset])
        def new_runs(
            asset: Any = asset, triggering_asset_events: Any = None, inlet_events: Any = None
        ) -> list[str]:
            """As in the guide: the runs that no earlier event was about."""
            events = triggering_asset_events[asset]
            first = min(event.timestamp for event in events)
            before = {
                event.extra["payload"]["run"] for event in inlet_events[asset] if event.timestamp < first
            }
            new = {event.extra["payload"]["run"] for event in events} - before
            if not new:
                raise AirflowSkipException("Reported before.")
            return sorted(new)

        tell()
        new_runs()
