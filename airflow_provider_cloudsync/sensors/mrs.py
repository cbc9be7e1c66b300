"""MRS: wait for an IAM user sync of another caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import Service, Target
from airflow_provider_cloudsync.api.parameters import literal_id, literal_names
from airflow_provider_cloudsync.sensors.sync import CloudSyncSensor
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, resolve_omittable

__all__ = ["MrsIamSyncSensor"]


class MrsIamSyncSensor(CloudSyncSensor):
    """Waits until no IAM user sync is running in an MRS cluster and the cluster has the names.

    Without names it waits until ``is_synchronous`` is true. An earlier full sync may have caused that: the service
    returns no time. To be sure of a new sync, start it with `MrsSyncIamUsersOperator`.

    The other parameters are those of `CloudSyncSensor`.

    :param cluster_id: id of the cluster. Templated.
    :param user_names: IAM users that the cluster must have. Templated.
    :param group_names: IAM user groups that the cluster must have. Templated.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "user_names",
        "group_names",
        *CloudSyncSensor.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"user_names": "json", "group_names": "json"}
    service: ClassVar[Service[Any]] = services.named("mrs")

    def __init__(
        self,
        *,
        cluster_id: str,
        user_names: Sequence[str] | NotGiven = NOT_GIVEN,
        group_names: Sequence[str] | NotGiven = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = literal_id(cluster_id, "cluster_id")
        self.user_names = literal_names(user_names, "user_names")
        self.group_names = literal_names(group_names, "group_names")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_watch_target

        return iam_watch_target(
            self.cluster_id,
            user_names=resolve_omittable(
                self.user_names, "user_names", consequence="no user would be waited for"
            ),
            group_names=resolve_omittable(
                self.group_names, "group_names", consequence="no group would be waited for"
            ),
        )
