"""COC: synchronize the resources of other clouds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import STATE_LAG, Startable, Target, Ticket
from airflow_provider_cloudsync.api.parameters import literal_text
from airflow_provider_cloudsync.operators.sync import CloudSyncOperator
from airflow_provider_cloudsync.tasks.waiter import NOT_GIVEN, NotGiven, resolve_omittable, seconds

__all__ = ["CocSyncMultiCloudResourcesOperator"]


class CocSyncMultiCloudResourcesOperator(CloudSyncOperator):
    """Synchronizes the resources of one account of another cloud into COC, or of every account there.

    Green means: each requested account has synchronized successfully since the start. The task fails if COC has no such
    vendor or account, or if one of several accounts fails; the message names it. COC is one service for a whole site:
    pass ``region`` if the connection's region is not that of your site's COC endpoint.

    The other parameters are those of `CloudSyncOperator`.

    :param vendor: ``AWS``, ``AZURE``, ``ALI``, ``HCS``, ``VMWARE``, ``OPENSTACK``, ``RMS`` or ``OTHER``. Templated.
    :param account_id: the vendor's own id of the account; omitted: every account of the vendor. Templated.
    :param settle_time: seconds or timedelta by which the status may lag behind the date of its run. An end that may be
        that of the previous run is confirmed for that long.
    """

    template_fields: Sequence[str] = ("vendor", "account_id", *CloudSyncOperator.template_fields)
    service: ClassVar[Startable[Any]] = services.named("coc")

    def __init__(
        self,
        *,
        vendor: str,
        account_id: str | NotGiven = NOT_GIVEN,
        settle_time: timedelta | float = STATE_LAG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vendor = literal_text(vendor, "vendor", 64)
        self.account_id = literal_text(account_id, "account_id", 64)
        self.settle_time = seconds(settle_time, "settle_time")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.coc.resource_sync import resources_target

        account_id = resolve_omittable(
            self.account_id, "account_id", consequence="every account would be synchronized"
        )
        return resources_target(self.vendor, account_id=account_id, settle=self.settle_time)

    def result(self, target: Target, ticket: Ticket) -> dict[str, Any]:
        from airflow_provider_cloudsync.api.services.coc.resource_sync import accounts_before

        return {
            "vendor": target["vendor"],
            "account_id": target["account_id"],
            # Unknown for a run that was adopted without a ticket.
            "accounts": len(accounts_before(ticket) or ()) or None,
            **super().result(target, ticket),
        }
