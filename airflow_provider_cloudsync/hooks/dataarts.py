"""DataArts Studio: member sync tasks."""

from __future__ import annotations

from typing import Unpack

from airflow_provider_cloudsync.api.services.dataarts import calls
from airflow_provider_cloudsync.api.services.dataarts.calls import MemberSyncFilters, MemberSyncTask
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["DataArtsHook", "MemberSyncFilters", "MemberSyncTask"]


class DataArtsHook(CloudSyncHook):
    """Calls of DataArts Studio (API version 1). None of them starts a member sync: schedule it, or use the console."""

    def get_member_sync_task(self, workspace: str, task_id: str) -> MemberSyncTask:
        """Return a member sync task (ShowSecurityMemberSyncTask). Its times are milliseconds since the epoch.

        :param workspace: ID of the workspace.
        :param task_id: ID of the task.
        """
        return self.run(calls.get_member_sync_task(self.cloud, workspace, task_id))

    def list_member_sync_tasks(
        self, workspace: str, **filters: Unpack[MemberSyncFilters]
    ) -> list[MemberSyncTask]:
        """Return all member sync tasks of a workspace (ListSecurityMemberSyncTasks).

        :param workspace: ID of the workspace.
        :param filters: ``cluster_type``, ``cluster_name``, ``sync_status``, ``schedule_status``, ``order_by``,
            ``order_by_asc``, as the service defines them.
        """
        return self.run(calls.list_member_sync_tasks(self.cloud, workspace, **filters))
