"""DataArts Studio: watch of a member sync task for event triggers."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.dataarts.member_sync import MEMBER_SYNC, member_sync_target
from airflow_provider_cloudsync.api.waiting.watching import TimedWatch, Watch


def watch_task(workspace: str, sync_task_id: str, *, catchup: bool) -> Watch:
    """Return a watch of the runs of a member sync task.

    :param catchup: report the last run, too, although it ended before the first poll.
    """
    target = member_sync_target(workspace, sync_task_id, synced_after=None)
    return TimedWatch(MEMBER_SYNC, target, "synced_after", catchup)
