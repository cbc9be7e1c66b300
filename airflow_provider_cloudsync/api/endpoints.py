"""Endpoints: URLs of services by region.

The table beside this file is generated from the region tables of the vendor's SDK (service -> region -> hosts).
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.exceptions import InvalidConnection

#: Account-wide services: no project in the path; the account is sent in ``X-Domain-Id``.
ACCOUNT_WIDE = frozenset({"coc"})
_LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?|[\w-]{1,63}")
#: Python accepts text beside the brackets of an IPv6 address; no HTTP library can connect to such a host.
_AUTHORITY = re.compile(r"(\[[^][]+\]|[^][]+)(:\d*)?")
#: The vendor's client falls back to this host for regions without an IAM host of their own.
_GLOBAL_IAM = "iam.myhuaweicloud.com"


#: Sources of a region, for errors.
PARAMETER_REGION, EXTRA_REGION = "task parameter region", 'Extra "region" of the connection'


@lru_cache(maxsize=1)
def table() -> Mapping[str, Mapping[str, list[str]]]:
    """Return the endpoint table: service -> region -> hosts."""
    loaded: Mapping[str, Mapping[str, list[str]]] = json.loads(
        Path(__file__).with_name("endpoints.json").read_text(encoding="utf-8")
    )
    return loaded


def base_url(
    service: str,
    region: str | None,
    source: str = EXTRA_REGION,
    *,
    overrides: Mapping[str, str] | None = None,
    everywhere: str | None = None,
) -> str:
    """Return the base URL of a service, without a trailing slash.

    :param source: source of the region, for the error.
    :param overrides: service -> URL, from the connection's ``endpoints``.
    :param everywhere: one URL for all services, from the connection's ``endpoint``.
    :raises InvalidConnection: if no endpoint is known.
    """
    named = (overrides or {}).get(service) or everywhere
    if named:
        return named.rstrip("/")
    if not region:
        raise InvalidConnection(
            f'No region is set, so the endpoint of {service} is unknown. Set "region" (such as "cn-north-4") in '
            "the connection's Extra, or pass region= to the operator."
        )
    regions = table().get(service)
    if regions is None:
        raise InvalidConnection(
            f'No endpoint is known for the service "{service}" (known: {", ".join(sorted(table()))}). '
            f'Set its URL in the connection\'s Extra: {{"endpoints": {{"{service}": "https://..."}}}}.'
        )
    if region in regions:
        return f"https://{regions[region][0]}"
    if region not in regions_known():
        raise InvalidConnection(
            f"{unknown_region(region, source)} For a private cloud, set the URL of {service} in the connection's "
            f'Extra: {{"endpoints": {{"{service}": "https://..."}}}}.'
        )
    if service == "iam":
        return f"https://{_GLOBAL_IAM}"
    if service in ACCOUNT_WIDE:
        raise InvalidConnection(
            f'Region "{region}" ({source}) has no endpoint of {service}, which serves a whole site from one region '
            f"({', '.join(sorted(regions))}). Pass the region of your account's site as region= to the task, or set "
            f'the URL in the connection\'s Extra: {{"endpoints": {{"{service}": "https://..."}}}}.'
        )
    near = difflib.get_close_matches(region, regions, n=3)
    hint = f"Similar names: {', '.join(near)}." if near else f"Available in: {', '.join(sorted(regions))}."
    raise InvalidConnection(
        f'{service} is not available in region "{region}" ({source}). {hint} For another site or a private cloud, set '
        f'the URL in the connection\'s Extra: {{"endpoints": {{"{service}": "https://..."}}}}.'
    )


@lru_cache(maxsize=1)
def regions_known() -> frozenset[str]:
    """Return the names of all regions of the endpoint table."""
    return frozenset(region for regions in table().values() for region in regions)


def near_region(region: object) -> str | None:
    """Return the most similar region of a misspelled name: in upper case, with underscores, with a typo."""
    plain = re.sub(r"[\s_-]+", "-", str(region).strip().lower())
    if plain in regions_known():
        return plain
    near = difflib.get_close_matches(plain, sorted(regions_known()), n=1, cutoff=0.7)
    return near[0] if near else None


def unknown_region(region: object, source: str) -> str:
    """Return the text of an error about a region that the endpoint table does not have.

    :param source: source of the region.
    """
    near = near_region(region)
    hint = f"Did you mean {near}?" if near else 'Regions are named like "cn-north-4".'
    return f'Unknown region "{one_line(str(region), 80)}" ({source}). {hint}'


def service_at(host: str, overrides: Mapping[str, str]) -> str:
    """The service that answers at a host, the other way round; where the table has none, the host's first label.

    :param host: with the port, if it has one.
    :param overrides: service -> URL, from the connection's ``endpoints``.
    """
    named = {urlsplit(url).netloc: service for service, url in overrides.items()}
    of_table = (service for service, hosts in table().items() if any(host in each for each in hosts.values()))
    return named.get(host) or next(of_table, host.partition(".")[0])


def is_ours(host: str, overrides: Mapping[str, str], everywhere: str | None) -> bool:
    """Return whether a host may see credentials: a Huawei Cloud host, or one that the connection names.

    :param host: with the port, if it has one.
    """
    if host in {urlsplit(url).netloc for url in (*overrides.values(), everywhere or "")}:
        return True
    name = host.rpartition(":")[0] if host.endswith(":443") else host
    return any(name.endswith(f".{site}") for site in _sites())


@lru_cache(maxsize=1)
def _sites() -> frozenset[str]:
    """Such as myhuaweicloud.com."""
    hosts = (host for regions in table().values() for each in regions.values() for host in each)
    return frozenset(".".join(host.split(".")[-2:]) for host in hosts)


def check_url(url: str, *, field: str, allow_http: bool = False) -> str:
    """Return the URL of an endpoint: https, or plain http to this machine or where it is allowed.

    :param field: connection field of the URL, for the error.
    :raises InvalidConnection: if the URL cannot be used.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    plain = (
        host is not None
        and _is_host(host)
        and url.isprintable()
        and not any(mark in url for mark in (" ", "?", "#", "@", "\\"))
        and _AUTHORITY.fullmatch(parts.netloc)
    )
    if host is None or parts.scheme not in ("https", "http") or not plain:
        raise InvalidConnection(
            f'"{field}" must be a URL such as https://mrs.cn-north-4.myhuaweicloud.com, without user, query or spaces.'
        )
    if parts.scheme == "http" and not (allow_http or is_loopback(host)):
        raise InvalidConnection(
            f'"{field}" is plain http, so anyone on the network path could read and change requests. Use '
            'https, or set "allow_http": true in the connection\'s Extra if this is intended.'
        )
    return url.rstrip("/")


def _is_host(host: str) -> bool:
    """Return whether a host is an address or a name with labels of 1 to 63 characters."""
    return ":" in host or all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
