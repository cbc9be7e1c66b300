"""DataArts Studio: member sync tasks."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.entry import ServiceEntry

ENTRY = ServiceEntry(
    package=__name__,
    probe="calls:PROBE",
    syncs={"dataarts": "member_sync:MEMBER_SYNC"},
    asset_paths={
        "dataarts_member_sync_task": "dataarts/{region}/workspaces/{workspace}/member-sync-tasks/{sync_task_id}"
    },
    asset_of=lambda target: "dataarts_member_sync_task",
)
