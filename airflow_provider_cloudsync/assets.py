"""Assets of synchronized targets: ``cloudsync://`` URIs, with helpers to build, normalize and check them.

The helpers return an asset (Airflow 3) or a dataset (Airflow 2.11). Other arguments (``watchers``, ``extra``, ``name``,
``group``) are passed to that class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.parameters import identifier
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import InvalidParameter

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

__all__ = [
    "coc_vendor",
    "coc_vendor_account",
    "csms_event",
    "dataarts_member_sync_task",
    "hss_cluster_events",
    "mrs_iam_users",
]

SCHEME = "cloudsync"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def mrs_iam_users(region: str, cluster_id: str, **options: Any) -> Asset:
    """Return the asset of the IAM users and groups in an MRS cluster.

    :param region: such as ``cn-north-4``.
    :raises InvalidParameter: for an invalid region or ID, as in all of these functions.
    """
    return _asset("mrs_iam_users", options, region=region, cluster_id=cluster_id)


def dataarts_member_sync_task(region: str, workspace: str, sync_task_id: str, **options: Any) -> Asset:
    """Return the asset of the members that a member sync task of a DataArts workspace synchronizes."""
    ids = {"region": region, "workspace": workspace, "sync_task_id": sync_task_id}
    return _asset("dataarts_member_sync_task", options, **ids)


def coc_vendor(vendor: str, **options: Any) -> Asset:
    """Return the asset of the resources of all accounts of another cloud in COC."""
    return _asset("coc_vendor", options, vendor=vendor)


def coc_vendor_account(vendor: str, account_id: str, **options: Any) -> Asset:
    """Return the asset of the resources of one account of another cloud in COC.

    :param account_id: the vendor's own ID of the account.
    """
    return _asset("coc_vendor_account", options, vendor=vendor, account_id=account_id)


def hss_cluster_events(region: str, cluster_id: str | None = None, **options: Any) -> Asset:
    """Return the asset of the protection events of a container cluster in HSS.

    :param cluster_id: None: all clusters.
    """
    if cluster_id is None:
        return _asset("hss_events", options, region=region)
    return _asset("hss_cluster_events", options, region=region, cluster_id=cluster_id)


def csms_event(region: str, name: str, **options: Any) -> Asset:
    """Return the asset of an event notification of CSMS."""
    return _asset("csms_event", options, region=region, name=name)


def create_asset(*, kind: str, extra: Any = None, **ids: Any) -> Asset:
    """Return an asset of a kind. Airflow calls it for the lineage of hooks.

    :param kind: name of one of the functions above.
    :param ids: IDs in its URI.
    """
    return _asset(kind, {"extra": extra}, **ids)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the normal form of a URI of this scheme. Airflow calls it for each asset.

    Service and region become lower case. In an ID everything but letters, digits and ``-._~`` is percent-encoded.

    :raises InvalidParameter: for a URI of no known form, or with an invalid ID.
    """
    normal = urlsplit(make_uri(*read_uri(uri)))
    return uri._replace(scheme=normal.scheme, netloc=normal.netloc, path=normal.path, query="", fragment="")


def make_uri(kind: str, ids: Mapping[str, Any]) -> str:
    """Return the URI of an asset.

    :param ids: not encoded.
    :raises InvalidParameter: for an unknown kind, and for invalid IDs.
    """
    if kind not in (kinds := uri_paths()):
        raise InvalidParameter(f"Unknown kind of asset {shown(kind)}. Known kinds: {', '.join(kinds)}.")
    names = _names_in(kinds[kind])
    if set(ids) != set(names):
        raise InvalidParameter(f"An asset of the kind {kind} needs exactly {' and '.join(names)}.")
    encoded = {name: quote(_checked(kind, name, ids[name]), safe="") for name in names}
    return f"{SCHEME}://{kinds[kind].format(**encoded)}"


def read_uri(uri: SplitResult) -> tuple[str, dict[str, str]]:
    """Return the kind of asset that a URI stands for, and the IDs in it, not encoded.

    :raises InvalidParameter: if it stands for nothing here.
    """
    if uri.query:
        raise InvalidParameter(f"A {SCHEME} URI takes no query string: {shown(uri.geturl())}.")
    segments = [uri.netloc.lower(), *uri.path.strip("/").split("/")]
    for kind, path in uri_paths().items():
        pattern = path.split("/")
        if len(pattern) == len(segments) and all(
            part.startswith("{") or part == segment for part, segment in zip(pattern, segments, strict=True)
        ):
            found = zip(pattern, segments, strict=True)
            ids = {part.strip("{}"): _decoded(segment) for part, segment in found if part.startswith("{")}
            return kind, {name: _checked(kind, name, value) for name, value in ids.items()}
    forms = ", ".join(f"{SCHEME}://{path}" for path in uri_paths().values())
    raise InvalidParameter(f"Not an asset of this provider: {shown(uri.geturl())}. Known forms: {forms}.")


def stands_for(uri: str, service: str, target: Mapping[str, Any], region: str | None) -> bool:
    """Return whether a URI stands for the target of a task.

    :param service: the service's name, as in a ticket.
    :param target: as in a ticket.
    :param region: None: not known, so only the IDs are compared.
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        return False
    try:
        kind, ids = read_uri(parts)
    except InvalidParameter:  # Airflow 2.11 accepts it
        return False
    its_region = ids.pop("region", None)
    if region is not None and its_region not in (None, region.lower()):
        return False
    return (kind, ids) == identify(service, target)


def identify(service: str, target: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the kind of asset that stands for a target, and its IDs without the region, which no target has.

    :param service: the service's name, as in a ticket.
    :return: None if nothing stands for it.
    """
    entry = services.find_entry(service)
    kind = None if entry is None else entry.asset_of(target)
    if kind is None:
        return None
    return kind, {name: target[name] for name in _names_in(uri_paths()[kind]) if name != "region"}


def uri_paths() -> dict[str, str]:
    """Return the path of the URI, without the scheme, of each kind of asset."""
    return {kind: path for entry in services.entries().values() for kind, path in entry.asset_paths.items()}


def _names_in(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _asset(kind: str, options: Mapping[str, Any], **ids: Any) -> Asset:
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=make_uri(kind, ids), **options)


def _decoded(segment: str) -> str:
    try:
        if _BROKEN_ESCAPE.search(segment):
            raise ValueError("no escape")
        return unquote(segment, errors="strict")
    except ValueError:
        raise InvalidParameter(f"{shown(segment)} is not percent-encoded UTF-8.") from None


def _checked(kind: str, name: str, value: Any) -> str:
    """Return an ID of a URI, checked by its service."""
    if value is None:
        raise InvalidParameter(f"{name} is None. An asset of the kind {kind} needs it.")
    if name == "region":
        return identifier(value, "region").lower()
    entry = next(each for each in services.entries().values() if kind in each.asset_paths)
    reference = entry.asset_checks.get(name)
    checked: str = identifier(value, name) if reference is None else entry.load(reference)(value)
    if checked in (".", ".."):
        # URI parsers resolve these as path segments, encoded or not.
        raise InvalidParameter(f"{name} cannot be {checked!r} in a URI.")
    return checked
