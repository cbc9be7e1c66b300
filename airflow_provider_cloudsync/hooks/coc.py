"""COC: resources of other clouds, and the accounts there."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.coc import calls
from airflow_provider_cloudsync.api.services.coc.calls import SyncTask, VendorAccount
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["CocHook", "SyncTask", "VendorAccount"]


class CocHook(CloudSyncHook):
    """Calls of COC (API version 1), a service of the whole account: it knows no projects.

    It is reached through one region of each site: ``cn-north-4``, ``ap-southeast-3`` or ``eu-west-101``; pass yours as
    ``region`` if the connection's is another one.
    """

    def sync_multicloud_resources(self, vendor: str, *, account_id: str | None = None) -> SyncTask:
        """Start a synchronization (SyncMultiCloudResource). The task id in the reply can't be asked about.

        :param vendor: ``AWS``, ``AZURE``, ``ALI``, ``HCS``, ``VMWARE``, ``OPENSTACK``, ``RMS`` or ``OTHER``.
        :param account_id: the vendor's own id of the account; None: every account of the vendor.
        """
        task, _ = self.run(
            calls.sync_resources(
                self.cloud,
                calls.checked_vendor(vendor),
                calls.checked_account(account_id),
            )
        )
        return task

    def list_vendor_accounts(
        self, *, vendor: str | None = None, account_id: str | None = None
    ) -> list[VendorAccount]:
        """The accounts with the state of their last synchronization (ListVendorAccount), without access keys.

        :param vendor: only its accounts.
        :param account_id: only accounts of exactly this id.
        """
        return self.run(
            calls.list_vendor_accounts(
                self.cloud,
                None if vendor is None else calls.checked_vendor(vendor),
                calls.checked_account(account_id),
            )
        )

    def count_multicloud_resources(self, vendor: str, *, resource_type: str | None = None) -> int:
        """How many resources COC holds of a vendor (CountMultiCloudResources).

        :param vendor: ``AWS``, ``AZURE``, ``ALI`` or ``HCS``; the others can't be counted.
        :param resource_type: only this type.
        """
        return self.run(calls.count_resources(self.cloud, calls.checked_vendor(vendor), resource_type))
