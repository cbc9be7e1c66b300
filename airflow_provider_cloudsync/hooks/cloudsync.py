"""Base hook: an Airflow connection as access to Huawei Cloud."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit
from weakref import WeakValueDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_cloudsync.api.parameters import flag
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    ConnectionNotFound,
    CredentialsRejected,
    InvalidConnection,
    InvalidParameter,
)
from airflow_provider_cloudsync.transport.masking import amask_secret, mask_secret

# DAG files import hooks, so the modules of their work are imported at the first call.
if TYPE_CHECKING:
    import requests

    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Response
    from airflow_provider_cloudsync.connection.lookup import LookupWarnings

__all__ = ["CloudSyncHook"]

T = TypeVar("T")

#: Greatest age in seconds of a connection look-up that waits in a triggerer share.
_CONNECTION_AGE = 60.0
_PATH = re.compile(r"(/[A-Za-z0-9_.~%{}:@,=+-]+)+/?")
#: Timeout in seconds of each request of the Test button.
_TEST_TIMEOUT = 10.0


@dataclasses.dataclass(slots=True)
class _Read:
    """Result of a connection look-up, with the `Cloud` of each region and project."""

    connection: Any = dataclasses.field(repr=False)
    clouds: dict[tuple[str | None, str | None], Cloud] = dataclasses.field(default_factory=dict, repr=False)


#: Connection ID, region and project -> last `Cloud`, as long as a wait uses it.
_clouds: WeakValueDictionary[tuple[str, str | None, str | None], Cloud] = WeakValueDictionary()


class CloudSyncHook(BaseHook):
    """Calls Huawei Cloud with the settings of an Airflow connection.

    The connection is read at the first call, not at construction, so a DAG file may create a hook.

    :param cloudsync_conn_id: ID of the Airflow connection.
    :param region: overrides the connection's region, such as ``cn-north-4``.
    :param project_id: overrides the connection's project. If neither is set, it is looked up by the region.
    """

    conn_name_attr = "cloudsync_conn_id"
    default_conn_name = "cloudsync_default"
    conn_type = "cloudsync"
    hook_name = "Huawei Cloud Sync"

    def __init__(
        self,
        cloudsync_conn_id: str = default_conn_name,
        *,
        region: str | None = None,
        project_id: str | None = None,
    ) -> None:
        super().__init__()
        self.cloudsync_conn_id = cloudsync_conn_id
        self.region = region
        self.project_id = project_id
        #: Whether the connection was found before, perhaps by another process. If so, a missing one is waited for
        #: until the deadline of the task (seconds since the epoch).
        self.was_found_before, self.read_until = False, math.inf
        self._read_at = 0.0

    @cached_property
    def cloud(self) -> Cloud:
        """Access to the cloud. The first use reads the connection, blocking.

        :raises InvalidConnection: if the connection cannot be used.
        """
        return self._read_patiently() if self.was_found_before else self.read_cloud()

    def read_cloud(self) -> Cloud:
        """Read the connection, blocking, without a cache.

        :raises InvalidConnection: if the connection cannot be used.
        """
        try:
            connection = self.get_connection(self.cloudsync_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        cloud = self._cloud(connection)
        for secret in cloud.credentials.secrets:
            mask_secret(
                secret
            )  # Airflow masks secrets of the connection itself, but not those of the environment
        self.was_found_before = True
        self._read_at = time.time()
        return cloud

    def _read_patiently(self) -> Cloud:
        from airflow_provider_cloudsync.connection.lookup import read_patiently

        return read_patiently(self, self._warnings, self.read_until)  # type: ignore[no-any-return]

    @cached_property
    def _warnings(self) -> LookupWarnings:
        from airflow_provider_cloudsync.connection.lookup import LookupWarnings

        return LookupWarnings()

    def has_new_key(self) -> bool:
        """Read the connection again after its key was rejected. Return whether its credentials have changed.

        :raises InvalidConnection: if it cannot be used, or has been missing for 5 minutes.
        """
        before = self.cloud.credentials.identity
        self.cloud = self._read_patiently()
        return self.cloud.credentials.identity != before

    def refresh(self, max_age: float = 0.0) -> Cloud:
        """Read the connection again during a wait, blocking, and set `cloud`.

        `cloud` stays the same object if nothing has changed or the connection cannot be read.

        :param max_age: seconds; a more recent look-up is not repeated.
        """
        present = self.cloud
        if abs(time.time() - self._read_at) < max_age:
            return present
        try:
            found = self.read_cloud()
        except Exception as error:
            self._read_at = time.time()
            consequence = "The wait continues with the previous settings."
            self._warnings.warn(self.cloudsync_conn_id, error, consequence)
            return present
        if found == present:
            return present
        self.log.info('Connection "%s" has changed; the wait goes on with it.', self.cloudsync_conn_id)
        self.cloud = found
        return found

    async def acloud(self, *, max_age: float | None = None) -> Cloud:
        """Return `cloud` under asyncio. All calls within a minute share one look-up of the connection.

        An unchanged connection stays the same object, so that waits continue to share their polls.

        :param max_age: seconds; an older look-up is not used. None: 60.
        """
        from airflow_provider_cloudsync.transport import drivers

        read: _Read = await drivers.ashare(
            ("connection", self.cloudsync_conn_id),
            self._aread,
            max_age=_CONNECTION_AGE if max_age is None else max_age,
        )
        within = (self.region, self.project_id)
        found = read.clouds.get(within)
        if found is None:  # a thousand waits share one
            made = self._cloud(read.connection)
            key = (self.cloudsync_conn_id, *within)
            found = _clouds.get(key)
            if found is None or found != made:
                found = _clouds[key] = made
            read.clouds[within] = found
        return found

    async def _aread(self) -> _Read:
        return _Read(await self._aconnection())

    async def _aconnection(self) -> Any:
        from airflow.providers.common.compat.connection import get_async_connection

        try:
            connection = await get_async_connection(self.cloudsync_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        for secret in self._cloud(connection).credentials.secrets:
            await amask_secret(secret)
        return connection

    def _no_connection(self) -> ConnectionNotFound:
        return ConnectionNotFound(
            f'There is no connection "{self.cloudsync_conn_id}". Create one of the type "{self.hook_name}" '
            f"({self.conn_type}) with an access key in Login, its secret key in Password and the region in Extra, "
            "or set another connection (cloudsync_conn_id, --conn-id)."
        )

    def _cloud(self, connection: Any) -> Cloud:
        from airflow_provider_cloudsync.connection.reader import read_connection

        return read_connection(
            connection,
            clock=time.time,
            monotonic=time.monotonic,
            region=self.region,
            project_id=self.project_id,
        )

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of `airflow_provider_cloudsync.api`, blocking."""
        from airflow_provider_cloudsync.transport import drivers

        return drivers.run(flow)

    def arun(self, flow: Flow[T]) -> Coroutine[Any, Any, T]:
        """Run a flow under asyncio."""
        from airflow_provider_cloudsync.transport import drivers

        return drivers.arun(flow)

    def get_conn(self) -> requests.Session:
        """Return a requests session that authenticates each request, for calls of your own.

        It follows no redirect, keeps no cookies, has the timeouts of the connection, and sends to hosts of Huawei Cloud
        or of the connection only; plain http needs ``allow_http``. It does not fill in project IDs, and does not raise
        errors of services.

        A rejected key is not sent again for five minutes, by this session or by any task of the process. Other rejected
        credentials are refreshed, and the request is sent once more.

        :raises CredentialsRejected: by a call of the session, without sending, while a rejected key is blocked.
        :raises TransportError: by a call of the session, without sending, if the probe request of another task for
            the same key receives no reply in time.
        """
        from airflow_provider_cloudsync.api import endpoints, signing
        from airflow_provider_cloudsync.api.credentials import KeyPair, carries
        from airflow_provider_cloudsync.api.replies import rejects_credentials
        from airflow_provider_cloudsync.api.signins.password import Password
        from airflow_provider_cloudsync.transport import drivers, session

        cloud = self.cloud

        def authenticate(bare: HttpRequest) -> HttpRequest:
            parts = urlsplit(bare.url)
            endpoints.check_url(
                f"{parts.scheme}://{parts.netloc}", field="URL", allow_http=cloud.http_settings.allow_http
            )
            if not endpoints.is_ours(parts.netloc, cloud.endpoints, cloud.endpoint):
                raise InvalidConnection(
                    f"Unknown host {shown(parts.netloc)}: it is not a Huawei Cloud host and not in the connection's "
                    "endpoints. No credentials were sent. Add it to the endpoints of the connection if it is yours."
                )
            # The canonical query is signed, so it has to be sent in this form.
            query = signing.canonical_query(parse_qsl(parts.query, keep_blank_values=True))
            url = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
            headers = {**bare.headers, "Host": parts.netloc}
            project_id = cloud.project_id
            if project_id is None and isinstance(cloud.credentials, Password):
                project_id = drivers.run(cloud.find_project(cloud))  # a token is valid for one project
            if project_id in parts.path.split("/"):
                headers.setdefault("X-Project-Id", project_id)
            service = endpoints.service_at(parts.netloc, cloud.endpoints)
            prepared = dataclasses.replace(bare, url=url, headers=headers, service=service)
            return drivers.run(cloud.credentials.authenticate(prepared, cloud.clock()))

        credentials = cloud.credentials

        def guarded(request: HttpRequest, transmit: Callable[[HttpRequest], Response]) -> Response:
            def send(each: HttpRequest) -> Response:
                # A sign-in request does not use the session of the caller.
                return transmit(each) if each is request else drivers.send_blocking(each)

            return drivers.run(credentials.send(request, cloud.clock()), send)

        def exchange(request: HttpRequest, transmit: Callable[[HttpRequest], Response]) -> Response:
            if isinstance(credentials, KeyPair) and not carries(request, credentials):
                # The caller replaced the signature, so the reply proves nothing about this key.
                return transmit(request)
            response, refusal = None, None
            try:
                response = guarded(request, transmit)
            except CredentialsRejected as known:
                refusal = known
            rejected = response is None or rejects_credentials(response)
            if rejected and drivers.run(credentials.refresh(request, cloud.clock())):
                return guarded(authenticate(request), transmit)
            if response is None:
                assert refusal is not None
                raise refusal
            return response

        return session.session(authenticate, exchange, cloud.http_settings, cloud.user_agent)

    def request(
        self,
        method: str,
        service: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool | Sequence[str]] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """Call an API that this package has no method for.

        :param method: such as ``GET``.
        :param service: as in the endpoint table, such as ``mrs``.
        :param path: absolute and percent-encoded; ``{project_id}`` is replaced.
        :param query: values are encoded; a list repeats the name.
        :param json: body of the request.
        :param repeatable: safe to send again after a lost reply. None: True for GET and HEAD, which is wrong for some
            GETs of HSS that start work.
        :return: JSON of the reply; None if it has no body.
        :raises ApiError: if the service returns an error.
        """
        from airflow_provider_cloudsync.api import flows, messages

        if not _PATH.fullmatch(path) or any(part in (".", "..") for part in unquote(path).split("/")):
            raise InvalidParameter(
                f"path must be absolute, percent-encoded and without dot segments, not {shown(path)}."
            )
        if not (method.isascii() and method.isalpha()):
            raise InvalidParameter(f"method must be an HTTP method such as GET, not {shown(method)}.")
        if repeatable is not None:
            flag(repeatable, "repeatable")
        request = messages.Request(
            method=method.upper(),
            service=service,
            operation=f"{method.upper()} {path}",
            path=path,
            repeatable=method.upper() in ("GET", "HEAD") if repeatable is None else repeatable,
            query=tuple(_pairs(query or {})),
            headers=dict(headers or {}),
            json=json,
            max_reply=messages.MAX_LIST_REPLY,
            verbatim=True,
        )
        return self.run(flows.call(self.cloud, request)).data

    def test_connection(self) -> tuple[bool, str]:
        """Check identity, endpoints and permissions with read requests, for the Test button of Airflow's form.

        It ends with the first step that fails. A service without permission is reported, but is not a failure: few
        users need all services.
        """
        from airflow_provider_cloudsync.api.checkup import examine, verdict
        from airflow_provider_cloudsync.api.services import NAMES

        try:
            cloud = self.cloud
            http_settings = dataclasses.replace(
                cloud.http_settings,
                connect_timeout=min(cloud.http_settings.connect_timeout, _TEST_TIMEOUT),
                read_timeout=min(cloud.http_settings.read_timeout, _TEST_TIMEOUT),
            )
            findings = self.run(examine(dataclasses.replace(cloud, http_settings=http_settings), NAMES))
        except CloudSyncError as error:
            return False, error.message
        return verdict(findings)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return Airflow's own fields in the connection form of Airflow before 3.2."""
        from airflow_provider_cloudsync.connection import form

        return form.field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the fields of Extra in the connection form of Airflow before 3.2."""
        from airflow_provider_cloudsync.connection import form

        return form.widgets()


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            pairs.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
    return pairs
