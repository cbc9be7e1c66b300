"""MRS: synchronizing IAM users into a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_cloudsync.api.services.mrs import calls, iam_sync, runs
from airflow_provider_cloudsync.api.services.mrs.calls import Cluster, SyncedIamUsers, SyncState
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["Cluster", "MrsHook", "SyncState", "SyncedIamUsers"]


class MrsHook(CloudSyncHook):
    """Calls of MRS (API version 2, clusters: version 1.1).

    The user of the connection needs the action ``mrs:cluster:syncUser``, or the role Tenant Administrator; MRS
    Administrator alone is not sufficient.
    """

    def sync_iam_users(
        self,
        cluster_id: str,
        *,
        user_names: Sequence[str] | None = None,
        group_names: Sequence[str] | None = None,
        sync_all: bool = False,
    ) -> SyncState:
        """Start a synchronization (UpdateSyncIamUser). ``synchronizing`` in the reply means accepted only.

        More than 1,000 names take several runs; the call waits for each run but the last.

        :param user_names: IAM users, with their groups.
        :param group_names: IAM user groups.
        :param sync_all: all users and groups, instead of names.
        :raises InvalidParameter: for both names and ``sync_all``, or neither.
        """
        target = iam_sync.iam_sync_target(
            cluster_id, user_names=user_names, group_names=group_names, sync_all=sync_all
        )
        return self.run(runs.send_all(self.cloud, iam_sync.IAM_SYNC, target))

    def cancel_iam_sync(
        self,
        cluster_id: str,
        *,
        user_names: Sequence[str] | None = None,
        group_names: Sequence[str] | None = None,
    ) -> SyncState:
        """Remove synchronized users and groups from the cluster (CancelSyncIamUser). A running sync continues."""
        target = iam_sync.iam_cancel_target(cluster_id, user_names=user_names, group_names=group_names)
        return self.run(runs.send_all(self.cloud, iam_sync.IAM_CANCEL, target))

    def is_iam_synchronizing(self, cluster_id: str) -> bool:
        """Return whether a synchronization of any caller runs in the cluster (ListClusterSyncTaskStatus)."""
        return self.run(calls.is_iam_synchronizing(self.cloud, cluster_id))

    def is_iam_synchronous(self, cluster_id: str) -> bool:
        """Return whether the cluster matches IAM (ListClusterSyncStatus), perhaps since an earlier sync."""
        return self.run(calls.is_iam_synchronous(self.cloud, cluster_id))

    def get_synced_iam_users(self, cluster_id: str) -> SyncedIamUsers:
        """Return the users and groups that the cluster has from IAM (ShowSyncIamUser)."""
        return self.run(calls.get_synced_iam_users(self.cloud, cluster_id))

    def get_cluster(self, cluster_id: str) -> Cluster:
        """Return the cluster (ShowClusterDetails). A deleted one has the ``clusterState`` ``terminated``."""
        return self.run(calls.get_cluster(self.cloud, cluster_id))
