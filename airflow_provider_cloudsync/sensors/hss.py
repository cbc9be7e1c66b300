"""HSS: wait for an update of the protection events of container clusters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import Service, Target
from airflow_provider_cloudsync.api.parameters import literal_id, literal_time
from airflow_provider_cloudsync.sensors.sync import CloudSyncSensor
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, resolve_nullable, resolve_omittable

__all__ = ["HssClusterEventsSensor"]


class HssClusterEventsSensor(CloudSyncSensor):
    """Waits until the list of protection events was updated. An update may bring no new events.

    The other parameters are those of `CloudSyncSensor`.

    :param cluster_id: id of the cluster; omitted: all clusters of the enterprise project. Templated.
    :param updated_after: earliest update to accept: a datetime, ISO 8601 text, or seconds or milliseconds since the
        epoch, such as ``"{{ dag_run.start_date }}"``. None: accept the last update of any date. Templated.
    :param enterprise_project_id: omitted: the connection's. Templated.
    """

    template_fields: Sequence[str] = (
        "cluster_id",
        "updated_after",
        "enterprise_project_id",
        *CloudSyncSensor.template_fields,
    )
    service: ClassVar[Service[Any]] = services.named("hss")

    def __init__(
        self,
        *,
        cluster_id: str | NotGiven = NOT_GIVEN,
        updated_after: datetime | str | float | None,
        enterprise_project_id: str | NotGiven = NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_id = literal_id(cluster_id, "cluster_id")
        self.any_update = updated_after is None
        self.updated_after = literal_time(updated_after, "updated_after")
        self.enterprise_project_id = literal_id(enterprise_project_id, "enterprise_project_id")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.hss.event_sync import events_watch_target

        return events_watch_target(
            cluster_id=resolve_omittable(
                self.cluster_id, "cluster_id", consequence="an update of any cluster would be accepted"
            ),
            enterprise_project_id=resolve_omittable(
                self.enterprise_project_id,
                "enterprise_project_id",
                consequence="an update in the connection's would be accepted",
            ),
            updated_after=resolve_nullable(
                self.updated_after,
                "updated_after",
                none_in_dag=self.any_update,
                consequence="any old update would be accepted",
            ),
        )
