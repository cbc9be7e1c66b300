"""HSS: protection events of container clusters."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.hss import calls, event_sync
from airflow_provider_cloudsync.api.services.hss.calls import ClusterEvent, SyncCreated
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["ClusterEvent", "HssHook", "SyncCreated"]


class HssHook(CloudSyncHook):
    """Calls of HSS (API version 5).

    HSS allows 5 calls a minute of each API from one user or IP address. Calls of one process wait for the rate limit.

    Common parameters: ``cluster_id`` (None: every cluster of the enterprise project) and ``enterprise_project_id``
    (None: the connection's; ``0`` is the default one, ``all_granted_eps`` are all that the user may read).
    """

    def sync_cluster_protection_events(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> SyncCreated:
        """Request a synchronization (SyncClusterProtectionEvent).

        :return: ``synched``: True if the service created a task for it. False is returned without an error.
        """
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        created, _ = self.run(calls.sync_events(self.cloud, target))
        return created

    def list_cluster_events(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> list[ClusterEvent]:
        """Return all protection events (ListClusterEvents), 200 a page. More than 1,000 take a minute per 1,000."""
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        return self.run(calls.list_cluster_events(self.cloud, target))

    def get_cluster_events_update_time(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> int | None:
        """Return the last update of the events in milliseconds since the epoch; None: never (ListClusterEvents)."""
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        return self.run(calls.get_last_update_time(self.cloud, target))
