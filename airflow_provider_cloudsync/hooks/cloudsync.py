"""The hook beneath all others: an Airflow connection as a way into Huawei Cloud."""

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

# DAG files import hooks, to use them in tasks. What a hook does its work with is imported when it does.
if TYPE_CHECKING:
    import requests

    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Response
    from airflow_provider_cloudsync.connection.lookup import LookupWarnings

__all__ = ["CloudSyncHook"]

T = TypeVar("T")

#: A connection is read again after that many seconds in a triggerer, where a thousand tasks ask for it.
_CONNECTION_AGE = 60.0
#: After a rejected key it is not to be older than that; a thousand tasks may ask because of one.
_PATH = re.compile(r"(/[A-Za-z0-9_.~%{}:@,=+-]+)+/?")
_HOW_LONG_A_TEST_MAY_TAKE = 10.0


@dataclasses.dataclass(slots=True)
class _Read:
    """A connection as it was read, and what was made of it, by region and project."""

    connection: Any = dataclasses.field(repr=False)
    clouds: dict[tuple[str | None, str | None], Cloud] = dataclasses.field(default_factory=dict, repr=False)


#: Connection ID, region and project -> what was last made of the connection, as long as a wait uses it.
_clouds: WeakValueDictionary[tuple[str, str | None, str | None], Cloud] = WeakValueDictionary()


class CloudSyncHook(BaseHook):
    """Talks to Huawei Cloud with what an Airflow connection says.

    The connection is read at the first call, never at construction, so a hook may be made while a DAG is parsed.

    :param cloudsync_conn_id: the Airflow connection.
    :param region: instead of the connection's region, such as ``cn-north-4``.
    :param project_id: instead of the connection's project; looked up by the region where neither names one.
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
        #: Whether the connection was found before, perhaps by another process: then it is waited for if it is missing.
        self.was_found_before = False
        #: Deadline of the task (seconds since the epoch): a missing connection is not waited for past it.
        self.read_until = math.inf
        self._read_at = 0.0

    @cached_property
    def cloud(self) -> Cloud:
        """The way into the cloud. Poller the connection up, blocking.

        :raises InvalidConnection: if the connection can't be used.
        """
        return self._read_patiently() if self.was_found_before else self.read_cloud()

    def read_cloud(self) -> Cloud:
        """Read the connection, blocking, whatever was read before.

        :raises InvalidConnection: if the connection cannot be used.
        """
        try:
            connection = self.get_connection(self.cloudsync_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        cloud = self._cloud(connection)
        for secret in cloud.credentials.secrets:
            mask_secret(secret)  # Airflow knows those of the connection, but not those that a machine has
        self.was_found_before = True
        self._read_at = time.time()
        return cloud

    def _read_patiently(self) -> Cloud:
        from airflow_provider_cloudsync.connection.lookup import read_patiently

        cloud: Cloud = read_patiently(self, self._warnings, self.read_until)
        return cloud

    @cached_property
    def _warnings(self) -> LookupWarnings:
        from airflow_provider_cloudsync.connection.lookup import LookupWarnings

        return LookupWarnings()

    def has_new_key(self) -> bool:
        """Look the connection up again, after its key was rejected: whether it has other credentials now.

        :raises InvalidConnection: if it cannot be used, or has been missing for 5 minutes.
        """
        before = self.cloud.credentials.identity
        self.cloud = self._read_patiently()
        return self.cloud.credentials.identity != before

    def refresh(self, max_age: float = 0.0) -> Cloud:
        """Read the connection again for a wait that goes on, blocking, and keep it as `cloud`.

        It stays the same object if nothing has changed, or if the connection cannot be read.

        :param max_age: seconds; a connection that was read later than that is not read again.
        """
        present = self.cloud
        if abs(time.time() - self._read_at) < max_age:
            return present
        try:
            found = self.read_cloud()
        except Exception as error:
            self._read_at = time.time()
            consequence = "The wait goes on with what was read before."
            self._warnings.warn(self.cloudsync_conn_id, error, consequence)
            return present
        if found == present:
            return present
        self.log.info('Connection "%s" has changed; the wait goes on with it.', self.cloudsync_conn_id)
        self.cloud = found
        return found

    async def acloud(self, *, max_age: float | None = None) -> Cloud:
        """The same under asyncio. All who ask within a minute share one look-up of the connection.

        An unchanged connection stays the same object, so that waits go on sharing their polls.

        :param max_age: seconds; an older look-up is not used. None: a minute.
        """
        from airflow_provider_cloudsync.transport import drivers

        read: _Read = await drivers.ashare(
            ("connection", self.cloudsync_conn_id),
            self._aread,
            max_age=_CONNECTION_AGE if max_age is None else max_age,
        )
        within = (self.region, self.project_id)
        found = read.clouds.get(within)
        if found is None:  # a thousand waits have one between them
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
            "or name another one (cloudsync_conn_id, --conn-id)."
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
        """Drive a flow of `airflow_provider_cloudsync.api` to its end, blocking."""
        from airflow_provider_cloudsync.transport import drivers

        return drivers.run(flow)

    def arun(self, flow: Flow[T]) -> Coroutine[Any, Any, T]:
        """Drive a flow to its end under asyncio."""
        from airflow_provider_cloudsync.transport import drivers

        return drivers.arun(flow)

    def get_conn(self) -> requests.Session:
        """A requests session that authenticates each request, for calls of your own.

        It follows no redirect, keeps no cookies, has the connection's timeouts, talks to plain http only where the
        connection allows it, and to hosts of Huawei Cloud or of the connection only. Fill project ids in yourself.

        A rejected key is not sent again for five minutes, by this session or by any task of the process; with a way to
        sign in, a rejected request is sent once more with fresh credentials. Errors of the services are left to you.

        :raises CredentialsRejected: by the session's calls, without sending, while the key counts as rejected.
        :raises TransportError: by the session's calls, without sending, if the probe request of another task for the
            same key is not answered in time.
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
                    f"{shown(parts.netloc)} is none of Huawei Cloud's hosts, and the connection does not name it: it "
                    "is not to see a token or a signature. If it is meant, name it in the connection's endpoints."
                )
            # What is signed is the canonical query, so that is what has to be sent.
            query = signing.canonical_query(parse_qsl(parts.query, keep_blank_values=True))
            url = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
            headers = {**bare.headers, "Host": parts.netloc}
            project_id = cloud.project_id
            if project_id is None and isinstance(cloud.credentials, Password):
                project_id = drivers.run(cloud.find_project(cloud))  # its tokens are for one project
            if project_id in parts.path.split("/"):
                headers.setdefault("X-Project-Id", project_id)
            service = endpoints.service_at(parts.netloc, cloud.endpoints)
            prepared = dataclasses.replace(bare, url=url, headers=headers, service=service)
            return drivers.run(cloud.credentials.authenticate(prepared, cloud.clock()))

        credentials = cloud.credentials

        def guarded(request: HttpRequest, transmit: Callable[[HttpRequest], Response]) -> Response:
            def send(each: HttpRequest) -> Response:
                # A sign-in may come between; it does not go through the user's session.
                return transmit(each) if each is request else drivers.send_blocking(each)

            return drivers.run(credentials.send(request, cloud.clock()), send)

        def exchange(request: HttpRequest, transmit: Callable[[HttpRequest], Response]) -> Response:
            if isinstance(credentials, KeyPair) and not carries(request, credentials):
                # The caller has replaced the proof, so it says nothing about this key.
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
        """Make a call that this package has no method for.

        :param method: such as ``GET``.
        :param service: as in the endpoint table, such as ``mrs``.
        :param path: absolute and percent-encoded; ``{project_id}`` in it is filled in.
        :param query: values are encoded; a list stands for a repeated name.
        :param json: the body.
        :param repeatable: whether it is safe to send it again after a lost reply. If None, only GET and HEAD are, but
            beware: some GETs of HSS start work.
        :return: the JSON of the reply, None where it has no body.
        :raises ApiError: if the service answers with an error.
        """
        from airflow_provider_cloudsync.api import flows, messages

        if not _PATH.fullmatch(path) or any(part in (".", "..") for part in unquote(path).split("/")):
            raise InvalidParameter(
                f"path must be absolute, percent-encoded and without dots, not {shown(path)}."
            )
        if not (method.isascii() and method.isalpha()):
            raise InvalidParameter(f"method must be one of HTTP, such as GET, not {shown(method)}.")
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
        """Where the connection leads and what is allowed there, for the button in Airflow's form: harmless reads only.

        It fails with the first step that fails; a service that is not allowed is told, and is no failure, since hardly
        anybody needs all.
        """
        from airflow_provider_cloudsync.api.checkup import examine, verdict
        from airflow_provider_cloudsync.api.services import NAMES

        try:
            cloud = self.cloud
            http_settings = dataclasses.replace(
                cloud.http_settings,
                connect_timeout=min(cloud.http_settings.connect_timeout, _HOW_LONG_A_TEST_MAY_TAKE),
                read_timeout=min(cloud.http_settings.read_timeout, _HOW_LONG_A_TEST_MAY_TAKE),
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
