"""HSS: protection events of container clusters."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.hss import calls, event_sync
from airflow_provider_cloudsync.api.services.hss.calls import ClusterEvent, SyncCreated
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["ClusterEvent", "HssHook", "SyncCreated"]


class HssHook(CloudSyncHook):
    """Calls of HSS (API version 5).

    HSS takes 5 calls a minute of each API from one user or one IP. Calls of one process wait for their turn.

    All take ``cluster_id`` (if None, every cluster of the enterprise project) and ``enterprise_project_id`` (if None,
    the connection's; ``0`` is the default one, ``all_granted_eps`` stands for all that the user may see).
    """

    def sync_cluster_protection_events(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> SyncCreated:
        """Ask for a synchronization (SyncClusterProtectionEvent).

        :return: ``synched``: whether the service created a task for it, and no more. False comes without an error.
        """
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        created, _ = self.run(calls.sync_events(self.cloud, target))
        return created

    def list_cluster_events(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> list[ClusterEvent]:
        """All protection events (ListClusterEvents), 200 a page. Over 1,000 events it takes a minute per 1,000."""
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        return self.run(calls.list_cluster_events(self.cloud, target))

    def get_cluster_events_update_time(
        self, *, cluster_id: str | None = None, enterprise_project_id: str | None = None
    ) -> int | None:
        """When the events were updated last, in milliseconds since the epoch; None: never (ListClusterEvents)."""
        target = event_sync.events_target(cluster_id=cluster_id, enterprise_project_id=enterprise_project_id)
        return self.run(calls.get_last_update_time(self.cloud, target))
