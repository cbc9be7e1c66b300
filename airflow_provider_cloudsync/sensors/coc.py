"""COC: wait for a synchronization of another cloud's resources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import STATE_LAG, Service, Target
from airflow_provider_cloudsync.api.parameters import literal_text, literal_time
from airflow_provider_cloudsync.sensors.sync import CloudSyncSensor
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, given, rendered, seconds

__all__ = ["CocVendorAccountSyncSensor"]


class CocVendorAccountSyncSensor(CloudSyncSensor):
    """Waits until an account of another cloud, or every account there, has synchronized successfully.

    A failed run that counts fails the sensor, naming the account; so does an account that COC does not have.

    The other parameters are those of `CloudSyncSensor`.

    :param vendor: ``AWS``, ``AZURE``, ``ALI``, ``HCS``, ``VMWARE``, ``OPENSTACK``, ``RMS`` or ``OTHER``. Templated.
    :param account_id: the vendor's own id of the account; if not given, every account of the vendor. Templated.
    :param synced_after: only a run with a ``sync_date`` then or later counts: a datetime, ISO 8601 text, or seconds or
        milliseconds since the epoch, such as ``"{{ dag_run.start_date }}"``. None: the last run counts, whenever it
        was. Templated.
    :param settle_time: seconds or timedelta by which the status may lag behind the date of its run. An end that may be
        the old one is confirmed for so long.
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
            account_id=given(self.account_id, "account_id", otherwise="every account would be waited for"),
            synced_after=rendered(
                self.synced_after,
                "synced_after",
                left_out=self.any_run,
                otherwise="any old run would count",
            ),
            settle=self.settle_time,
        )
