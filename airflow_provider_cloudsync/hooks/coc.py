"""COC: resources of other clouds, and the accounts there."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.coc import calls
from airflow_provider_cloudsync.api.services.coc.calls import SyncTask, VendorAccount
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

__all__ = ["CocHook", "SyncTask", "VendorAccount"]


class CocHook(CloudSyncHook):
    """Calls of COC (API version 1), a service of the whole account, without projects.

    Each site has one COC region: ``cn-north-4``, ``ap-southeast-3`` or ``eu-west-101``. Pass it as ``region`` if the
    connection has another one.
    """

    def sync_multicloud_resources(self, vendor: str, *, account_id: str | None = None) -> SyncTask:
        """Start a synchronization (SyncMultiCloudResource). The task ID in the reply cannot be queried.

        :param vendor: ``AWS``, ``AZURE``, ``ALI``, ``HCS``, ``VMWARE``, ``OPENSTACK``, ``RMS`` or ``OTHER``.
        :param account_id: the vendor's own ID of the account; None: every account of the vendor.
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
        """Return accounts with the state of their last synchronization (ListVendorAccount), without access keys.

        :param vendor: only accounts of this vendor.
        :param account_id: only accounts with exactly this ID.
        """
        return self.run(
            calls.list_vendor_accounts(
                self.cloud,
                None if vendor is None else calls.checked_vendor(vendor),
                calls.checked_account(account_id),
            )
        )

    def count_multicloud_resources(self, vendor: str, *, resource_type: str | None = None) -> int:
        """Return the number of resources of a vendor in COC (CountMultiCloudResources).

        :param vendor: ``AWS``, ``AZURE``, ``ALI`` or ``HCS``; COC cannot count those of others.
        :param resource_type: only resources of this type.
        """
        return self.run(calls.count_resources(self.cloud, calls.checked_vendor(vendor), resource_type))
