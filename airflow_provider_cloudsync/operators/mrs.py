"""MRS: synchronize IAM users into a cluster, or remove synchronized ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import Startable, Target, Ticket
from airflow_provider_cloudsync.api.parameters import (
    IAM_SETTLE,
    flag,
    literal_id,
    literal_names,
    names_or_all,
)
from airflow_provider_cloudsync.operators.sync import CloudSyncOperator
from airflow_provider_cloudsync.tasks import waiter

__all__ = ["MrsCancelIamSyncOperator", "MrsSyncIamUsersOperator"]

_RENDERERS = {"user_names": "json", "group_names": "json"}
_NO_USERS, _NO_GROUPS = "no user would be included", "no group would be included"


class MrsSyncIamUsersOperator(CloudSyncOperator):
    """Synchronizes IAM users and groups into an MRS cluster, and waits until the cluster has them.

    Green means: no sync is running in the cluster, and it has each requested user and group; after a full sync:
    ``is_synchronous`` is true. A cluster runs one sync at a time, so a sync of another caller is waited for first
    (``if_running``). No API call stops a running sync: it continues if the task is terminated.

    The other parameters are those of `CloudSyncOperator`.

    :param cluster_id: id of the cluster. Templated.
    :param user_names: IAM users, with their groups. More than 1,000 names take several runs. Templated.
    :param group_names: IAM user groups. Templated.
    :param sync_all: synchronize all users and groups, instead of names.
    :param settle_time: seconds or timedelta after the start during which a false ``is_synchronizing`` may mean that the
        run has not begun.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "user_names",
        "group_names",
        *CloudSyncOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = _RENDERERS
    service: ClassVar[Startable[Any]] = services.named("mrs")

    def __init__(
        self,
        *,
        cluster_id: str,
        user_names: Sequence[str] | waiter.NotGiven = waiter.NOT_GIVEN,
        group_names: Sequence[str] | waiter.NotGiven = waiter.NOT_GIVEN,
        sync_all: bool = False,
        settle_time: timedelta | float = IAM_SETTLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sync_all = flag(sync_all, "sync_all")
        names_or_all(
            sync_all=sync_all, named=not (user_names is waiter.NOT_GIVEN and group_names is waiter.NOT_GIVEN)
        )
        self.cluster_id = literal_id(cluster_id, "cluster_id")
        self.user_names = literal_names(user_names, "user_names")
        self.group_names = literal_names(group_names, "group_names")
        self.settle_time = waiter.seconds(settle_time, "settle_time")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_sync_target

        return iam_sync_target(
            self.cluster_id,
            user_names=waiter.resolve_omittable(self.user_names, "user_names", consequence=_NO_USERS),
            group_names=waiter.resolve_omittable(self.group_names, "group_names", consequence=_NO_GROUPS),
            sync_all=self.sync_all,
            settle=self.settle_time,
        )

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        return {
            "cluster_id": target["cluster_id"],
            "sync_all": target["sync_all"],
            "users": len(target["user_names"]),
            "groups": len(target["group_names"]),
            **super().result(target, ticket),
        }


class MrsCancelIamSyncOperator(CloudSyncOperator):
    """Removes synchronized IAM users and groups from an MRS cluster, and waits until they are removed.

    The service calls this "canceling the synchronization". It does not stop a running sync.

    The other parameters are those of `CloudSyncOperator`.

    :param cluster_id: id of the cluster. Templated.
    :param user_names: users to remove. More than 1,000 names take several runs. Templated.
    :param group_names: groups to remove. Templated.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "user_names",
        "group_names",
        *CloudSyncOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = _RENDERERS
    service: ClassVar[Startable[Any]] = services.named("mrs-cancel")

    def __init__(
        self,
        *,
        cluster_id: str,
        user_names: Sequence[str] | waiter.NotGiven = waiter.NOT_GIVEN,
        group_names: Sequence[str] | waiter.NotGiven = waiter.NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        names_or_all(
            sync_all=None, named=not (user_names is waiter.NOT_GIVEN and group_names is waiter.NOT_GIVEN)
        )
        self.cluster_id = literal_id(cluster_id, "cluster_id")
        self.user_names = literal_names(user_names, "user_names")
        self.group_names = literal_names(group_names, "group_names")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_cancel_target

        return iam_cancel_target(
            self.cluster_id,
            user_names=waiter.resolve_omittable(self.user_names, "user_names", consequence=_NO_USERS),
            group_names=waiter.resolve_omittable(self.group_names, "group_names", consequence=_NO_GROUPS),
        )

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        return {
            "cluster_id": target["cluster_id"],
            "users": len(target["user_names"]),
            "groups": len(target["group_names"]),
            **super().result(target, ticket),
        }
