"""COC: wait for a synchronization of another cloud's resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import STATE_LAG, Service, Target
from airflow_provider_cloudsync.api.parameters import literal_text, literal_time
from airflow_provider_cloudsync.sensors.sync import CloudSyncSensor
from airflow_provider_cloudsync.tasks.waiter import (
    NOT_GIVEN,
    NotGiven,
    resolve_nullable,
    resolve_omittable,
    seconds,
)

__all__ = ["CocVendorAccountSyncSensor"]


class CocVendorAccountSyncSensor(CloudSyncSensor):
    """Waits until an account of another cloud, or every account there, has synchronized successfully.

    The sensor fails if an accepted run failed, and names the account; it also fails if COC has no such account.

    The other parameters are those of `CloudSyncSensor`.

    :param vendor: ``AWS``, ``AZURE``, ``ALI``, ``HCS``, ``VMWARE``, ``OPENSTACK``, ``RMS`` or ``OTHER``. Templated.
    :param account_id: the vendor's own id of the account; omitted: every account of the vendor. Templated.
    :param synced_after: earliest ``sync_date`` to accept: a datetime, ISO 8601 text, or seconds or milliseconds since
        the epoch, such as ``"{{ dag_run.start_date }}"``. None: accept the last run of any date. Templated.
    :param settle_time: seconds or timedelta by which the status may lag behind the date of its run. An end that may be
        that of the previous run is confirmed for that long.
    """

    template_fields: Sequence[str] = (
        "vendor",
        "account_id",
        "synced_after",
        *CloudSyncSensor.template_fields,
    )
    service: ClassVar[Service[Any]] = services.named("coc")

    def __init__(
        self,
        *,
        vendor: str,
        account_id: str | NotGiven = NOT_GIVEN,
        synced_after: datetime | str | float | None,
        settle_time: timedelta | float = STATE_LAG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vendor = literal_text(vendor, "vendor", 64)
        self.account_id = literal_text(account_id, "account_id", 64)
        self.any_run = synced_after is None
        self.synced_after = literal_time(synced_after, "synced_after")
        self.settle_time = seconds(settle_time, "settle_time")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.coc.resource_sync import resources_watch_target

        return resources_watch_target(
            self.vendor,
            account_id=resolve_omittable(
                self.account_id, "account_id", consequence="every account would be waited for"
            ),
            synced_after=resolve_nullable(
                self.synced_after,
                "synced_after",
                none_in_dag=self.any_run,
                consequence="any old run would be accepted",
            ),
            settle=self.settle_time,
        )
