"""HSS: watch of protection events for event triggers."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.hss.event_sync import EVENT_SYNC, events_watch_target
from airflow_provider_cloudsync.api.waiting.watching import TimedWatch, Watch


def watch_events(cluster_id: str | None, enterprise_project_id: str | None, *, catchup: bool) -> Watch:
    """Return a watch of the updates of the protection events of one container cluster, or of all.

    :param catchup: report the last update, too, although it came before the first poll.
    """
    target = events_watch_target(
        cluster_id=cluster_id, enterprise_project_id=enterprise_project_id, updated_after=None
    )
    return TimedWatch(EVENT_SYNC, target, "updated_after", catchup)
