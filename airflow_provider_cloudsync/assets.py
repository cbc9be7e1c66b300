"""Assets for what is synchronized: ``cloudsync://`` URIs, made by helpers, normalized, and refused where they can't be.

The helpers make an asset of Airflow 3 and a dataset of Airflow 2.11. Whatever else they are passed (``watchers``,
``extra``, ``name``, ``group``) goes to that class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.parameters import identifier
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import InvalidParameter

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

SCHEME = "cloudsync"
#: What an asset may stand for -> its URI after the scheme. The names are those of the helpers below.
PATHS: dict[str, str] = {
    "mrs_iam_users": "mrs/{region}/clusters/{cluster_id}/iam-users",
    "dataarts_member_sync_task": "dataarts/{region}/workspaces/{workspace}/member-sync-tasks/{sync_task_id}",
    # COC is one service for a whole site, so there is no region in it.
    "coc_vendor": "coc/vendors/{vendor}",
    "coc_vendor_account": "coc/vendors/{vendor}/accounts/{account_id}",
    "hss_cluster_events": "hss/{region}/clusters/{cluster_id}/events",
    "hss_events": "hss/{region}/events",
    "csms_event": "csms/{region}/events/{name}",
}
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def mrs_iam_users(region: str, cluster_id: str, **options: Any) -> Asset:
    """The IAM users and groups in an MRS cluster.

    :param region: such as ``cn-north-4``.
    :raises InvalidParameter: for a region or an id that can't be; so do all of these.
    """
    return _asset("mrs_iam_users", options, region=region, cluster_id=cluster_id)


def dataarts_member_sync_task(region: str, workspace: str, sync_task_id: str, **options: Any) -> Asset:
    """The members that a member sync task of a DataArts workspace brings into its cluster."""
    ids = {"region": region, "workspace": workspace, "sync_task_id": sync_task_id}
    return _asset("dataarts_member_sync_task", options, **ids)


def coc_vendor(vendor: str, **options: Any) -> Asset:
    """The resources of all accounts of another cloud in COC."""
    return _asset("coc_vendor", options, vendor=vendor)


def coc_vendor_account(vendor: str, account_id: str, **options: Any) -> Asset:
    """The resources of one account of another cloud in COC.

    :param account_id: the vendor's own id of the account.
    """
    return _asset("coc_vendor_account", options, vendor=vendor, account_id=account_id)


def hss_cluster_events(region: str, cluster_id: str | None = None, **options: Any) -> Asset:
    """The protection events of a container cluster in HSS.

    :param cluster_id: None: those of all clusters.
    """
    if cluster_id is None:
        return _asset("hss_events", options, region=region)
    return _asset("hss_cluster_events", options, region=region, cluster_id=cluster_id)


def csms_event(region: str, name: str, **options: Any) -> Asset:
    """An event notification of CSMS."""
    return _asset("csms_event", options, region=region, name=name)


def create_asset(*, kind: str, extra: Any = None, **ids: Any) -> Asset:
    """What Airflow calls to make an asset of this scheme, for the lineage of hooks.

    :param kind: what it stands for: one of `PATHS`.
    :param ids: what is in its URI.
    """
    return _asset(kind, {"extra": extra}, **ids)


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """What Airflow calls to normalize a URI of this scheme: one way to write each asset.

    Service and region become lower case, and what stands in an id but letters, digits and ``-._~`` percent-encoded.

    :raises InvalidParameter: for a URI that is of no asset here, or has an id that can't be.
    """
    normal = urlsplit(make_uri(*read_uri(uri)))
    return uri._replace(scheme=normal.scheme, netloc=normal.netloc, path=normal.path, query="", fragment="")


def make_uri(kind: str, ids: Mapping[str, Any]) -> str:
    """The URI of an asset.

    :param ids: not encoded.
    :raises InvalidParameter: for a kind that there is none of, and for ids that can't be.
    """
    path = PATHS.get(kind)
    if path is None:
        raise InvalidParameter(f"There is no kind {shown(kind)} of assets; there are {', '.join(PATHS)}.")
    wanted = re.findall(r"{(\w+)}", path)
    if set(ids) != set(wanted):
        raise InvalidParameter(f"An asset of the kind {kind} is made of {' and '.join(wanted)}.")
    encoded = {name: quote(_CHECKS[name](ids[name]), safe="") for name in wanted}
    return f"{SCHEME}://{path.format(**encoded)}"


def read_uri(uri: SplitResult) -> tuple[str, dict[str, str]]:
    """What a URI stands for, and the ids in it, not encoded.

    :raises InvalidParameter: if that is nothing here.
    """
    if uri.query:
        raise InvalidParameter(f"A {SCHEME} URI has nothing behind its path, as {shown(uri.geturl())} has.")
    segments = [uri.netloc.lower(), *uri.path.strip("/").split("/")]
    for kind, path in PATHS.items():
        pattern = path.split("/")
        if len(pattern) == len(segments) and all(
            part.startswith("{") or part == segment for part, segment in zip(pattern, segments, strict=True)
        ):
            found = zip(pattern, segments, strict=True)
            ids = {part.strip("{}"): _decoded(segment) for part, segment in found if part.startswith("{")}
            return kind, {name: _CHECKS[name](value) for name, value in ids.items()}
    forms = ", ".join(f"{SCHEME}://{path}" for path in PATHS.values())
    raise InvalidParameter(f"{shown(uri.geturl())} is no asset of this provider. These are: {forms}.")


def stands_for(uri: str, service: str, target: Mapping[str, Any], region: str | None) -> bool:
    """Return whether a URI is that of what a task synchronizes.

    :param service: the service's name, as in a ticket.
    :param target: as in a ticket.
    :param region: None: not known, so that the ids alone tell.
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        return False
    try:
        kind, ids = read_uri(parts)
    except InvalidParameter:  # Airflow 2.11 lets it through
        return False
    its_region = ids.pop("region", None)
    if region is not None and its_region not in (None, region.lower()):
        return False
    return (kind, ids) == identify(service, target)


def identify(service: str, target: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The kind of asset that stands for the target of a service, and its ids but the region, which no target has.

    :return: None where nothing stands for it.
    """
    if service == "coc":
        kind = "coc_vendor" if target["account_id"] is None else "coc_vendor_account"
    elif service == "hss":
        kind = "hss_events" if target["cluster_id"] is None else "hss_cluster_events"
    elif service in _KINDS:
        kind = _KINDS[service]
    else:
        return None
    names = re.findall(r"{(\w+)}", PATHS[kind])
    return kind, {name: target[name] for name in names if name != "region"}


#: Service of a ticket -> what its target is, where that is always the same.
_KINDS = {
    "mrs": "mrs_iam_users",
    "mrs-cancel": "mrs_iam_users",
    "dataarts": "dataarts_member_sync_task",
    "csms": "csms_event",
}


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


def _region(value: Any) -> str:
    return identifier(value, "region").lower()


def _account(value: Any) -> str:
    if value is None:
        raise InvalidParameter("account_id is None; for all accounts there is coc_vendor.")
    return _no_dots(services.coc_calls.checked_account(value) or "", "account_id")


def _no_dots(value: str, name: str) -> str:
    """Programs that read URIs take these for steps in a path, whether encoded or not."""
    if value in (".", ".."):
        raise InvalidParameter(f"{name} can't be {value!r}.")
    return value


_CHECKS: dict[str, Callable[[Any], str]] = {
    "region": _region,
    "cluster_id": lambda value: identifier(value, "cluster_id"),
    "workspace": lambda value: identifier(value, "workspace"),
    "sync_task_id": lambda value: identifier(value, "sync_task_id"),
    "vendor": lambda value: _no_dots(services.coc_calls.checked_vendor(value), "vendor"),
    "account_id": _account,
    "name": lambda value: services.csms_calls.checked_name(value),
}
