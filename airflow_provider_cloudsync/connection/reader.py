"""Reader of an Airflow connection: makes a `Cloud` of it. Each field is checked; nothing is looked up or sent."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Protocol

from airflow_provider_cloudsync import __version__
from airflow_provider_cloudsync.api.credentials import Anonymous
from airflow_provider_cloudsync.api.endpoints import EXTRA_REGION, PARAMETER_REGION, table
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import HttpSettings
from airflow_provider_cloudsync.api.parameters import filled
from airflow_provider_cloudsync.api.services.iam import find_domain, find_project
from airflow_provider_cloudsync.api.times import zone_offset_ms
from airflow_provider_cloudsync.connection.credentials import read_credentials
from airflow_provider_cloudsync.connection.ignored_fields import warn_of_ignored
from airflow_provider_cloudsync.connection.values import ConnectionFields, Fields, parse_object
from airflow_provider_cloudsync.transport.network import environment_secrets, proxy_problem

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0
#: Accepted in ``endpoints``, though it is not in the endpoint table: the metadata service of a machine.
_METADATA = "metadata"


class AirflowConnection(Protocol):
    """Attributes of Airflow's Connection that are read."""

    conn_id: str
    login: str | None
    password: str | None

    @property
    def extra(self) -> str | None: ...


def read_connection(
    connection: AirflowConnection,
    *,
    clock: Callable[[], float],
    monotonic: Callable[[], float] | None = None,
    region: str | None = None,
    project_id: str | None = None,
) -> Cloud:
    """Return the `Cloud` that a connection describes. Empty values count as unset.

    :param connection: Login is the access key, Password the secret key, the rest is in Extra; see
        `airflow_provider_cloudsync.connection.fields.TABLE`. A connection of the older Huawei provider works unchanged.
    :param clock: seconds since the epoch.
    :param monotonic: seconds of a clock that never goes back; None: `clock`.
    :param region: overrides the connection's region. The connection's project belongs to its own region, so the project
        of another region is looked up.
    :param project_id: overrides the connection's project.
    :raises InvalidConnection: if the connection cannot be used. The error names the field and what to enter there.
    :raises InvalidParameter: if `region` or `project_id` is empty text.
    """
    for name, value in (("region", region), ("project_id", project_id)):
        if isinstance(value, str) and not value.strip():
            filled(value, name)
    conn_id = connection.conn_id
    extra = parse_object(connection.extra, conn_id, "Extra")
    fields = ConnectionFields(conn_id, extra, connection.login, connection.password)
    warn_of_ignored(connection, extra)
    parameters = Fields(conn_id, {"region": region, "project_id": project_id})

    allow_http = bool(fields.value("allow_http"))
    endpoint = fields.value("endpoint")
    own_region = fields.value("region")
    wanted_region = parameters.region("region", PARAMETER_REGION) or own_region
    own_project = fields.value("project_id") if wanted_region == own_region else None
    bare = Cloud(
        credentials=Anonymous(),
        clock=clock,
        monotonic=monotonic,
        region=wanted_region,
        region_source=EXTRA_REGION if region is None else PARAMETER_REGION,
        project_id=parameters.identifier("project_id") or own_project,
        domain_id=fields.value("domain_id"),
        enterprise_project_id=fields.value("enterprise_project_id"),
        service_zone_ms=_service_zone(fields),
        endpoint=None if endpoint is None else fields.url("endpoint", endpoint, allow_http=allow_http),
        endpoints=_endpoints(fields, allow_http=allow_http),
        http_settings=_http_settings(fields, allow_http=allow_http),
        user_agent=f"airflow-provider-cloudsync/{__version__}",
        find_project=find_project,
        find_domain=find_domain,
    )
    credentials, found = read_credentials(fields, bare)
    return dataclasses.replace(
        bare,
        credentials=credentials,
        # Project, account and endpoints found with the keys of the environment belong to them, as in the vendor's SDK.
        project_id=bare.project_id or (found.project_id if region is None else None),
        domain_id=bare.domain_id or found.domain_id,
        endpoints={**found.endpoints, **bare.endpoints},
    )


def _endpoints(fields: ConnectionFields, *, allow_http: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for service, url in fields.value("endpoints").items():
        known = (*table(), _METADATA)
        if service not in known:
            raise fields.wrong(
                f'Unknown service "{service}" in "endpoints". Known services: {", ".join(known)}.'
            )
        if url not in ("", None):
            found[service] = fields.url(f"endpoints.{service}", url, allow_http=allow_http)
    return found


def _http_settings(fields: ConnectionFields, *, allow_http: bool) -> HttpSettings:
    read_timeout = fields.value("timeout") or _READ_TIMEOUT
    proxy = fields.raw("proxy")
    if isinstance(proxy, str) and (problem := proxy_problem(proxy)):
        raise fields.wrong(f'"proxy" {problem}.')
    chosen = fields.value("proxy")
    return HttpSettings(
        connect_timeout=min(_CONNECT_TIMEOUT, read_timeout),
        read_timeout=read_timeout,
        verify=_verify(fields),
        proxy=chosen,
        allow_http=allow_http,
        secrets=environment_secrets() if chosen is None else (),
    )


def _service_zone(fields: ConnectionFields) -> int | None:
    value = fields.value("service_time_zone")
    if value is None:
        return None
    offset = zone_offset_ms(value)
    if offset is None:
        raise fields.wrong('"service_time_zone" must be Z or an offset from UTC such as +08:00.')
    return offset


def _verify(fields: ConnectionFields) -> bool | str:
    value = fields.value("verify")
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        if not os.path.exists(value):
            raise fields.wrong(
                '"verify" must be true, false, or the path of a file or folder on this machine.'
            )
        return value
    flag = fields.flag("verify")
    return True if flag is None else flag
