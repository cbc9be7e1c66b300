"""The flows that every service is built of: a call, and the pages of a list. Starting and waiting stand on them.

They are generators (see `airflow_provider_cloudsync.api.messages`) and read no clock of their own: the `Cloud` that is
handed to them brings one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_cloudsync.api.credentials import Credentials
from airflow_provider_cloudsync.api.endpoints import base_url
from airflow_provider_cloudsync.api.messages import Flow, HttpRequest, Pause, Request, Wiring
from airflow_provider_cloudsync.api.replies import Reply, read
from airflow_provider_cloudsync.api.retries import delay_for
from airflow_provider_cloudsync.api.signing import canonical_query
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidConnection,
    TransportError,
    UnreadableReply,
)

log = logging.getLogger(__name__)

#: A list that goes on for longer does not end: the service repeats itself.
_MOST_ITEMS = 1_000_000


def _no_project(cloud: Cloud) -> Flow[str]:
    raise InvalidConnection('The connection names no project. Put "project_id" into its Extra.')
    yield


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where to go, as whom, and how patiently: all that a flow needs besides what it is about.

    :param region: such as ``cn-north-4``; may be None where an endpoint is given.
    :param project_id: filled into paths; None: `find_project` looks it up.
    :param endpoint: one URL for all services, instead of the table.
    :param endpoints: service -> URL, before `endpoint`.
    :param clock: seconds since the epoch.
    :param attempts: how often one request is tried at most.
    :param give_up_at: no pause between attempts reaches past this time (seconds since the epoch).
    :param user_agent: sent with each request; not signed.
    """

    credentials: Credentials
    clock: Callable[[], float]
    region: str | None = None
    project_id: str | None = None
    endpoint: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    wiring: Wiring = field(default_factory=Wiring)
    attempts: int = 5
    give_up_at: float | None = None
    user_agent: str = "airflow-provider-cloudsync"
    find_project: Callable[[Cloud], Flow[str]] = _no_project

    def url(self, service: str) -> str:
        """Where a service answers."""
        return base_url(service, self.region, overrides=self.endpoints, everywhere=self.endpoint)

    @property
    def scope(self) -> Hashable:
        """Who asks where and how: what two tasks must have in common to share a reply."""
        places = (self.region, self.project_id, self.endpoint, *sorted(self.endpoints.items()))
        return (self.credentials.identity, self.wiring, places)

    def until(self, deadline: float) -> Cloud:
        """The same, but no attempt waits past the deadline (seconds since the epoch)."""
        return replace(self, give_up_at=deadline)

    def once(self) -> Cloud:
        """The same without second attempts, for whoever paces the attempts itself."""
        return replace(self, attempts=1)


def call(cloud: Cloud, request: Request) -> Flow[Reply]:
    """Make one call: scope it, authenticate, send, read the reply, and do it again where that is safe and of use.

    :raises CloudSyncError: what the last attempt ended with.
    """
    prepared = yield from _prepare(cloud, request)
    attempt = 0
    while True:
        attempt += 1
        try:
            # Signed for each attempt: the date in the signature must not be old.
            response = yield (yield from cloud.credentials.authorize(prepared, cloud.clock()))
            reply = read(request, response)
        except CloudSyncError as error:
            delay = delay_for(error, attempt, repeatable=request.repeatable)
            if delay is None or attempt >= cloud.attempts:
                raise
            if cloud.give_up_at is not None and cloud.clock() + delay > cloud.give_up_at:
                raise
            log.info("Attempt %d of %s: %s Again in %.1f s.", attempt, request.operation, error, delay)
            yield Pause(delay)
        else:
            log.debug(
                "%s %s: %d (request id %s)",
                request.service,
                request.operation,
                reply.status,
                reply.request_id,
            )
            return reply


def _prepare(cloud: Cloud, request: Request) -> Flow[HttpRequest]:
    path = request.path
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # the bound on a reply's size is to hold for what it unpacks to, too
        "User-Agent": cloud.user_agent,
        **{name: value.strip() for name, value in request.headers.items()},
    }
    if "{project_id}" in path:
        project_id = cloud.project_id or (yield from _look_up_project(cloud))
        path = path.replace("{project_id}", project_id)
        headers["X-Project-Id"] = project_id
    base = cloud.url(request.service)
    # As signed: left to the libraries, a default port would be dropped.
    headers["Host"] = urlsplit(base).netloc
    query = canonical_query(request.query)
    body = b"" if request.json is None else json.dumps(request.json).encode()
    return HttpRequest(
        method=request.method,
        url=base + path + ("?" + query if query else ""),
        headers=headers,
        body=body,
        wiring=cloud.wiring,
    )


def _look_up_project(cloud: Cloud) -> Flow[str]:
    try:
        return (yield from cloud.find_project(cloud))
    except (TransportError, ApiError) as error:
        error.sent = False  # whatever became of the look-up, the request that it is for was not sent
        raise


def pages(cloud: Cloud, request: Request, *, items: str, limit: int) -> Flow[list[Any]]:
    """Every item of a list that is paged by ``limit`` and ``offset``.

    :param items: the field of the reply that holds the items of a page.
    :param limit: items a page, as many as the service allows.
    """
    found: list[Any] = []
    while len(found) < _MOST_ITEMS:
        # By what came, not by what was asked for: a service may have a lower limit of its own.
        offset = len(found)
        query = (*request.query, ("limit", str(limit)), ("offset", str(offset)))
        reply = yield from call(cloud, replace(request, query=query))
        page = reply.field(items, list)
        found.extend(page)
        total = reply.data.get("total")
        if not page or (len(found) >= total if isinstance(total, int) else len(page) < limit):
            return found
    raise UnreadableReply(
        f"{request.service} {request.operation}: the list has no end after {len(found)} items."
    )
