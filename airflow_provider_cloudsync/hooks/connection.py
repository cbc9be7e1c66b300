"""From an Airflow connection to a `Cloud`: every field checked, nothing looked up, nothing sent."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_cloudsync import __version__
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.endpoints import check_url, table
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Wiring
from airflow_provider_cloudsync.api.services.iam import find_domain, find_project
from airflow_provider_cloudsync.exceptions import InvalidConnection

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 60.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,256}")
#: What Airflow's API and form show in place of a secret; saved back, it is one no longer.
_MASKED = "***"


class AirflowConnection(Protocol):
    """The part of Airflow's Connection that is read."""

    conn_id: str
    login: str | None
    password: str | None

    @property
    def extra(self) -> str | None: ...


class _Fields:
    """The fields of one connection; each reader says what it expects where it finds something else."""

    def __init__(self, conn_id: str, values: Mapping[str, Any]) -> None:
        self._conn_id = conn_id
        self._values = values

    def wrong(self, text: str) -> InvalidConnection:
        return InvalidConnection(f'Connection "{self._conn_id}": {text}')

    def raw(self, name: str) -> Any:
        """The value; None where the form was left empty."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = value.strip()
            if value == _MASKED:
                raise self.wrong(
                    f'"{name}" is the mask {_MASKED}, not a value. Enter the value itself again.'
                )
        return None if value in ("", None) else value

    def text(self, name: str) -> str | None:
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise self.wrong(f'"{name}" must be text without spaces or line breaks.')
        return value

    def header(self, name: str) -> str | None:
        """Text that is sent in a header as it is."""
        value = self.text(name)
        if value is not None and not value.isascii():
            raise self.wrong(f'"{name}" holds a character that no key has; copy it anew.')
        return value

    def identifier(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _ID.fullmatch(value):
            raise self.wrong(f'"{name}" may hold letters, digits, hyphens and underscores only.')
        return value

    def flag(self, name: str) -> bool | None:
        value = self.raw(name)
        words = {"true": True, "false": False}
        if isinstance(value, str):
            value = words.get(value.lower(), value)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f'"{name}" must be true or false.')
        return value

    def seconds(self, name: str, default: float) -> float:
        value = self.raw(name)
        if value is None:
            return default
        try:
            number = float(value) if not isinstance(value, bool) else 0.0
        except (TypeError, ValueError, OverflowError):
            number = 0.0
        if not 1 <= number <= 600:
            raise self.wrong(f'"{name}" must be a number of seconds from 1 to 600.')
        return number

    def url(self, name: str, value: Any, *, allow_http: bool) -> str:
        try:
            if not isinstance(value, str):
                raise InvalidConnection(f'"{name}" must be a URL.')
            return check_url(value.strip(), field=name, allow_http=allow_http)
        except InvalidConnection as error:
            raise self.wrong(error.message) from None


def read_connection(
    connection: AirflowConnection,
    *,
    clock: Callable[[], float],
    region: str | None = None,
    project_id: str | None = None,
) -> Cloud:
    """The way into the cloud that a connection describes. Empty values count as unset.

    :param connection: Login is the access key, Password the secret key, the rest is in Extra; see
        `airflow_provider_cloudsync.connection_form.FIELDS`. One of the older Huawei provider works as it is.
    :param clock: seconds since the epoch.
    :param region: instead of the connection's region. The connection's project belongs to its own region, so it is
        looked up for another one.
    :param project_id: instead of the connection's project.
    :raises InvalidConnection: if it can't be used: says which field, and what to put there.
    """
    conn_id = connection.conn_id
    extra = _parse(connection.extra, conn_id, "Extra")
    fields = _Fields(conn_id, {**extra, "Login": connection.login, "Password": connection.password})
    given = _Fields(conn_id, {"region": region, "project_id": project_id})

    auth = fields.text("auth") or "aksk"
    if auth != "aksk":
        raise fields.wrong('"auth" must be "aksk": Login holds the access key, Password the secret key.')
    access_key, secret_key = fields.header("Login"), fields.text("Password")
    if not access_key or not secret_key:
        lacking = "access key in Login" if not access_key else "secret key in Password"
        raise fields.wrong(
            f"it has no {lacking}. Put in that of an IAM user (console: My Credentials, Access Keys)."
        )

    allow_http = bool(fields.flag("allow_http"))
    endpoint = fields.raw("endpoint")
    own_region = fields.identifier("region")
    wanted_region = given.identifier("region") or own_region
    own_project = fields.identifier("project_id") if wanted_region == own_region else None
    return Cloud(
        credentials=KeyPair(access_key, secret_key, fields.header("security_token")),
        clock=clock,
        region=wanted_region,
        project_id=given.identifier("project_id") or own_project,
        domain_id=fields.identifier("domain_id"),
        enterprise_project_id=fields.identifier("enterprise_project_id"),
        endpoint=None if endpoint is None else fields.url("endpoint", endpoint, allow_http=allow_http),
        endpoints=_endpoints(fields, conn_id, allow_http=allow_http),
        wiring=_wiring(fields, allow_http=allow_http),
        user_agent=f"airflow-provider-cloudsync/{__version__}",
        find_project=find_project,
        find_domain=find_domain,
    )


def _parse(text: Any, conn_id: str, name: str) -> Mapping[str, Any]:
    readable = True
    if isinstance(text, str):
        text = text.strip()
        try:
            text = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            readable = False
    if not readable:
        # Raised out here, since the error of the JSON module holds the text with all its secrets: not to be chained.
        raise InvalidConnection(f'Connection "{conn_id}": "{name}" is not JSON.')
    if text is None:
        return {}
    if not isinstance(text, Mapping):
        raise InvalidConnection(
            f'Connection "{conn_id}": "{name}" must be a JSON object, such as {{"region": "..."}}.'
        )
    return text


def _endpoints(fields: _Fields, conn_id: str, *, allow_http: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for service, url in _parse(fields.raw("endpoints"), conn_id, "endpoints").items():
        if service not in table():
            raise fields.wrong(
                f'"endpoints" names no service of ours with "{service}"; they are {", ".join(table())}.'
            )
        if url not in ("", None):
            found[service] = fields.url(f"endpoints.{service}", url, allow_http=allow_http)
    return found


def _wiring(fields: _Fields, *, allow_http: bool) -> Wiring:
    read_timeout = fields.seconds("timeout", _READ_TIMEOUT)
    proxy = fields.text("proxy")
    if proxy is not None and not _is_proxy(proxy):
        raise fields.wrong('"proxy" must be a URL such as http://proxy.example.com:3128.')
    return Wiring(
        connect_timeout=min(_CONNECT_TIMEOUT, read_timeout),
        read_timeout=read_timeout,
        verify=_verify(fields),
        proxy=proxy,
        allow_http=allow_http,
    )


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and bare


def _verify(fields: _Fields) -> bool | str:
    value = fields.raw("verify")
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        if not os.path.exists(value):
            raise fields.wrong(
                '"verify" must be true, false, or the path of a file or folder that is on this machine.'
            )
        return value
    flag = fields.flag("verify")
    return True if flag is None else flag
