"""HSS: synchronize the protection events of container clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import Startable, Target, Ticket
from airflow_provider_cloudsync.api.parameters import literal_id
from airflow_provider_cloudsync.operators.sync import CloudSyncOperator
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, resolve_omittable

__all__ = ["HssSyncClusterProtectionEventsOperator"]


class HssSyncClusterProtectionEventsOperator(CloudSyncOperator):
    """Synchronizes the protection events of one container cluster, or of all.

    Green means that HSS created a task for it; the service reports no more. With ``wait_for_completion=True`` it means
    that the list of events was updated afterwards. The duration of that is not documented: set a long ``timeout``.

    The other parameters are those of `CloudSyncOperator`.

    :param cluster_id: id of the cluster; omitted: every cluster of the enterprise project. Templated.
    :param enterprise_project_id: omitted: the connection's. ``0`` is the default enterprise project,
        ``all_granted_eps`` are all that the user may read. Templated.
    :param wait_for_completion: default False, unlike in the other operators.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "enterprise_project_id",
        *CloudSyncOperator.template_fields,
    )
    service: ClassVar[Startable[Any]] = services.named("hss")

    def __init__(
        self,
        *,
        cluster_id: str | NotGiven = NOT_GIVEN,
        enterprise_project_id: str | NotGiven = NOT_GIVEN,
        wait_for_completion: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(wait_for_completion=wait_for_completion, **kwargs)
        self.cluster_id = literal_id(cluster_id, "cluster_id")
        self.enterprise_project_id = literal_id(enterprise_project_id, "enterprise_project_id")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.hss.event_sync import events_target

        return events_target(
            cluster_id=resolve_omittable(
                self.cluster_id, "cluster_id", consequence="every cluster would be synchronized"
            ),
            enterprise_project_id=resolve_omittable(
                self.enterprise_project_id,
                "enterprise_project_id",
                consequence="the connection's would be synchronized",
            ),
        )

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        return {"cluster_id": target["cluster_id"], **super().result(target, ticket)}
