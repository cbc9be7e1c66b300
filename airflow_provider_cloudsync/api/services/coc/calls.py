"""COC: calls for resources and accounts of other clouds. One service for the whole Huawei Cloud account."""

from __future__ import annotations

import difflib
import functools
import logging
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.clocks import ServiceClock
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import Flow, Request
from airflow_provider_cloudsync.api.model import Probe
from airflow_provider_cloudsync.api.page_rows import Listing, text_of
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.parameters import checked_text, number_as_text
from airflow_provider_cloudsync.exceptions import InvalidParameter

log = logging.getLogger(__name__)

SERVICE = "coc"
VENDORS = ("RMS", "AWS", "AZURE", "ALI", "VMWARE", "OPENSTACK", "HCS", "OTHER")
#: Vendors that CountMultiCloudResources supports.
COUNTED_VENDORS = ("AWS", "AZURE", "ALI", "HCS")
_ACCOUNTS = Listing("data", "id", "accounts", 500, marked=True)


class VendorAccount(TypedDict, total=False):
    """Account of another cloud as the service sends it, without its access key (``ak``)."""

    id: str
    vendor: str
    account_id: str
    account_name: str
    domain_id: str
    sync_status: str
    sync_date: str
    failure_msg: str
    create_time: str
    update_time: str


class SyncTask(TypedDict):
    """Reply to a start: ID of a task that no API accepts."""

    data: str


def checked_vendor(vendor: Any) -> str:
    """Return a checked vendor. An unknown vendor passes with a warning."""
    name = checked_text(vendor, "vendor", 64)
    if name not in VENDORS:
        _warn_of(name)
    return name


@functools.cache  # once per process: a task checks its parameters several times
def _warn_of(vendor: str) -> None:
    near = difflib.get_close_matches(vendor.upper(), VENDORS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(VENDORS)}"
    log.warning('Unknown vendor "%s" (%s); sending it unchanged.', vendor, hint)


def checked_account(account_id: Any) -> str | None:
    """Return the checked ID of an account at its vendor; None: all accounts."""
    return None if account_id is None else checked_text(number_as_text(account_id), "account_id", 64)


def sync_resources(cloud: Cloud, vendor: str, account_id: str | None) -> Flow[tuple[SyncTask, str]]:
    """Start a synchronization of one account or of all (SyncMultiCloudResource). Returns reply and request ID."""
    body = {"vendor": vendor} | ({"account_id": account_id} if account_id is not None else {})
    path = "/v1/multicloud-resources/sync"
    reply = yield from call(
        cloud, Request("POST", SERVICE, "SyncMultiCloudResource", path, repeatable=False, json=body)
    )
    return {"data": str(reply.field("data", (str, int)))}, reply.request_id


def list_vendor_accounts(
    cloud: Cloud, vendor: str | None = None, account_id: str | None = None
) -> Flow[list[VendorAccount]]:
    """Return all accounts without their access keys (ListVendorAccount)."""
    accounts, _ = yield from poll_accounts(cloud, vendor, account_id)
    return accounts


def poll_accounts(
    cloud: Cloud, vendor: str | None = None, account_id: str | None = None
) -> Flow[tuple[list[VendorAccount], ServiceClock]]:
    """Return all accounts, and the clock of the service at the first page.

    Not documented: whether the service matches ``account_id`` exactly or as a prefix. This function matches exactly.
    """
    filters = (("vendor", vendor), ("account_id", account_id))
    query = tuple((name, value) for name, value in filters if value is not None)
    request = Request("GET", SERVICE, "ListVendorAccount", "/v1/vendor-account", repeatable=True, query=query)
    listed = yield from complete_list(cloud, request, _ACCOUNTS)
    rows = [_normalized(row_id, row, vendor) for row_id, row in listed.rows.items()]
    accounts = [
        row
        for row in rows
        if (vendor is None or str(row.get("vendor")).upper() == vendor.upper())
        and account_id in (None, row.get("account_id"))
    ]
    return accounts, listed.clock


def _normalized(row_id: str, row: dict[str, Any], vendor: str | None) -> VendorAccount:
    """Return a row without its keys, with IDs as text, and with the vendor as documented.

    :param vendor: filter of the list; used for a row without a vendor.
    """
    account = _without_keys(row)
    account["id"] = row_id
    if "account_id" in account:
        account["account_id"] = text_of(row, "account_id") or ""
    own = row.get("vendor")
    name = own.strip() if isinstance(own, str) else ""
    name = name.upper() if name.upper() in VENDORS else name or vendor or ""
    if name or "vendor" in account:
        account["vendor"] = name
    return account


def _without_keys(row: dict[str, Any]) -> VendorAccount:
    """Return a row without its keys, also masked in texts such as ``failure_msg``."""
    keys = [row[name] for name in ("ak", "sk") if isinstance(row.get(name), str) and row[name]]
    kept: dict[str, Any] = {}
    for name, value in row.items():
        for key in keys:
            value = value.replace(key, "***") if isinstance(value, str) else value
        if name not in ("ak", "sk"):
            kept[name] = value
    account: Any = kept
    return account  # type: ignore[no-any-return]


def count_resources(cloud: Cloud, vendor: str, resource_type: str | None = None) -> Flow[int]:
    """Return the number of resources of a vendor in COC (CountMultiCloudResources).

    :raises InvalidParameter: for vendors that the service cannot count.
    """
    if vendor in VENDORS and vendor not in COUNTED_VENDORS:
        raise InvalidParameter(f"COC counts resources of {', '.join(COUNTED_VENDORS)} only, not of {vendor}.")
    kind = None if resource_type is None else checked_text(resource_type, "resource_type", 256)
    filters = (("vendor", vendor), ("type", kind))
    query = tuple((name, value) for name, value in filters if value is not None)
    path = "/v1/multicloud-resources/count"
    reply = yield from call(
        cloud, Request("GET", SERVICE, "CountMultiCloudResources", path, repeatable=True, query=query)
    )
    count: int = reply.field("data", int)
    return count


PROBE = Probe(
    Request(
        "GET", SERVICE, "ListVendorAccount", "/v1/vendor-account", repeatable=True, query=(("limit", "1"),)
    ),
    needs="coc:vendorAccount:list to look, coc:instance:syncResources to synchronize",
)
