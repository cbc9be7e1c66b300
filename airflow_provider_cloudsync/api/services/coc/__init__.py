"""COC: resources of other clouds, and the accounts there."""

from __future__ import annotations

from airflow_provider_cloudsync.api.services.entry import ServiceEntry

ENTRY = ServiceEntry(
    package=__name__,
    probe="calls:PROBE",
    syncs={"coc": "resource_sync:RESOURCE_SYNC"},
    # COC serves a whole site, so its URIs have no region.
    asset_paths={
        "coc_vendor": "coc/vendors/{vendor}",
        "coc_vendor_account": "coc/vendors/{vendor}/accounts/{account_id}",
    },
    asset_checks={"vendor": "calls:checked_vendor", "account_id": "calls:checked_account"},
    asset_of=lambda target: "coc_vendor" if target["account_id"] is None else "coc_vendor_account",
)
