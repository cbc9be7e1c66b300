"""The flow of one API call. Lists, starts and waits are built of it.

Flows are generators (see `airflow_provider_cloudsync.api.messages`). They read no clock; `Cloud` has one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from airflow_provider_cloudsync.api.credentials import Credentials, fingerprint
from airflow_provider_cloudsync.api.endpoints import ACCOUNT_WIDE, EXTRA_REGION, base_url
from airflow_provider_cloudsync.api.limits import beforehand, in_time
from airflow_provider_cloudsync.api.messages import (
    AcquireSlot,
    Cooldown,
    Flow,
    HttpRequest,
    HttpSettings,
    Pause,
    Quota,
    Request,
    Response,
)
from airflow_provider_cloudsync.api.redaction import secrets_of
from airflow_provider_cloudsync.api.replies import Reply, read, rejects_credentials
from airflow_provider_cloudsync.api.retries import LONGEST, delay_for, is_held_back, is_uncertain
from airflow_provider_cloudsync.api.signing import canonical_query
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    Throttled,
    TransportError,
)

log = logging.getLogger(__name__)

#: Seconds after the deadline of a wait by which the reads of its last poll must be answered.
ANSWER_TIME = 30.0


def _no_project(cloud: Cloud) -> Flow[str]:
    raise InvalidConnection('No project is set. Set "project_id" in the connection\'s Extra.')
    yield


def _no_domain(cloud: Cloud) -> Flow[str]:
    raise InvalidConnection('No account is set. Set "domain_id" in the connection\'s Extra.')
    yield


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Cloud:
    """Endpoints, credentials, timeouts and clock: the context of all calls of one connection.

    :param region: such as ``cn-north-4``; may be None where an endpoint is given.
    :param region_source: where the region was set, for errors.
    :param project_id: filled into paths; None: `find_project` looks it up.
    :param domain_id: the account, for services without projects; None: `find_domain` looks it up.
    :param enterprise_project_id: default for services that take one.
    :param endpoint: one URL for all services, instead of the table.
    :param endpoints: service -> URL; takes precedence over `endpoint`.
    :param clock: seconds since the epoch.
    :param attempts: maximum number of attempts of one request.
    :param give_up_at: time (seconds since the epoch) at which the last attempt begins.
    :param answer_by: time by the clock of `elapsed` at which reads and sign-ins end.
    :param max_queue_wait: seconds that one call waits for a slot of the rate limiter before it fails unsent.
    :param user_agent: sent with each request; not signed.
    :param fresh: whether cached results are ignored, as for the reason that a wait ends with.
    :param service_zone_ms: milliseconds by which services' times without a time zone are ahead of UTC; None: unknown.
    :param monotonic: clock in seconds that is never set back, to bound a wait; None: `clock`.
    """

    credentials: Credentials
    clock: Callable[[], float]
    region: str | None = None
    region_source: str = EXTRA_REGION
    project_id: str | None = None
    domain_id: str | None = None
    enterprise_project_id: str | None = None
    endpoint: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    http_settings: HttpSettings = field(default_factory=HttpSettings)
    attempts: int = 5
    give_up_at: float | None = None
    answer_by: float | None = None
    max_queue_wait: float = LONGEST
    user_agent: str = "airflow-provider-cloudsync"
    fresh: bool = False
    service_zone_ms: int | None = None
    monotonic: Callable[[], float] | None = None
    find_project: Callable[[Cloud], Flow[str]] = _no_project
    find_domain: Callable[[Cloud], Flow[str]] = _no_domain
    _cache: _Cache = field(init=False, repr=False, compare=False, default_factory=lambda: _Cache())

    def url(self, service: str) -> str:
        """Return the base URL of a service."""
        region, source = self.region, self.region_source
        return base_url(service, region, source, overrides=self.endpoints, everywhere=self.endpoint)

    @property
    def scope(self) -> str:
        """Return the key under which two tasks share a reply: identity, endpoints, project and HTTP settings."""
        if not self._cache.scope:
            self._cache.scope = self._scope()
        return self._cache.scope

    def _scope(self) -> str:
        within = (
            *(self.region, self.project_id, self.domain_id, self.enterprise_project_id),
            self.service_zone_ms,
        )
        places = (self.endpoint, *sorted(self.endpoints.items()))
        return fingerprint(repr((self.credentials.identity, astuple(self.http_settings), within, places)))

    def until(self, deadline: float) -> Cloud:
        """Return a copy whose attempts all begin before the deadline (seconds since the epoch)."""
        return self.answered_by(deadline)._copy(give_up_at=deadline)

    def answered_by(self, deadline: float) -> Cloud:
        """Return a copy whose polls end `ANSWER_TIME` after the deadline, or after now if that is later.

        :param deadline: seconds since the epoch.
        """
        left = max(deadline - self.clock(), 0.0)
        return self._copy(answer_by=self.elapsed() + left + ANSWER_TIME)

    def once(self, *, max_queue_wait: float | None = None) -> Cloud:
        """Return a copy without retries, for callers that retry themselves."""
        max_queue_wait = self.max_queue_wait if max_queue_wait is None else max_queue_wait
        if self.fresh or any(each is not None for each in (self.give_up_at, self.answer_by)):
            return self._copy(attempts=1, max_queue_wait=max_queue_wait)
        # One copy for all waits of a connection.
        copies = self._cache.once
        known = copies.get(max_queue_wait)
        if known is None:
            known = copies[max_queue_wait] = self._copy(attempts=1, max_queue_wait=max_queue_wait)
        return known

    def uncached(self) -> Cloud:
        """Return a copy that ignores cached results."""
        return self._copy(fresh=True)

    @property
    def time_to_answer(self) -> float | None:
        """Seconds until `answer_by`; None: no limit."""
        return None if self.answer_by is None else max(self.answer_by - self.elapsed(), 0.0)

    def elapsed(self) -> float:
        """Return seconds of a monotonic clock, where there is one."""
        return (self.monotonic or self.clock)()

    def _copy(self, **changes: Any) -> Cloud:
        other = replace(self, **changes)
        object.__setattr__(other, "_cache", self._cache)
        return other


@dataclass(slots=True)
class _Cache:
    """Values computed once per connection; copies of a `Cloud` share them.

    :param scope: empty until it is computed.
    :param defaults: service, scope header and its value -> request defaults.
    :param once: `max_queue_wait` -> copy without retries and without a deadline.
    """

    scope: str = ""
    defaults: dict[tuple[str, str, str], _RequestDefaults] = field(default_factory=dict)
    once: WeakValueDictionary[float, Cloud] = field(default_factory=WeakValueDictionary)


@dataclass(slots=True)
class _RequestDefaults:
    """Base URL and headers of all calls of a service within one project or account.

    :param headers: headers of a request that adds none; shared, never changed.
    :param fixed: names, in lower case, of headers that a request cannot override.
    """

    base: str
    headers: Mapping[str, str]
    fixed: frozenset[str]


def call(cloud: Cloud, request: Request) -> Flow[Reply]:
    """Make one call: scope it, authenticate, send, read the reply, and retry where that is safe.

    :raises CloudSyncError: the error of the last attempt that was sent. The rate limit of this process is the cause
        only if it held back all attempts.
    """
    header, scope = _scope_header(cloud, request)
    if header and not scope:
        cloud.url(request.service)  # fails without a call if there is no endpoint
        find = cloud.find_project if header == _PROJECT_HEADER else cloud.find_domain
        scope = yield from beforehand(in_time(find(cloud), cloud.time_to_answer))
    defaults = _defaults(cloud, request.service, header, scope)
    prepared = _prepare(cloud, request, defaults, scope)
    credentials = cloud.credentials
    quota, identity = request.quota, credentials.identity
    slot = AcquireSlot(
        (defaults.base, request.operation, "" if quota is not None and quota.by_address else identity),
        quota,
        claim=(identity, prepared.method, prepared.url, prepared.body),
    )
    attempt = 0
    in_doubt = refreshed = False
    cause: CloudSyncError | None = None
    while True:
        attempt += 1
        try:
            if (wait := (yield slot)) > 0:
                yield from _wait_for_slot(cloud, request, slot, wait)
            # For each attempt: a signature has a date, and a token may have expired.
            signed = credentials.sign_if_ready(prepared, cloud.clock())
            if signed is None:
                signed = yield from beforehand(
                    in_time(credentials.authenticate(prepared, cloud.clock()), cloud.time_to_answer)
                )
            if not request.repeatable and cloud.give_up_at is not None:
                _check_time(cloud, request)
            secrets = secrets_of(
                (*credentials.secrets, *signed.http_settings.secrets),
                signed.headers,
                request.json,
                request.query,
                signed.http_settings.proxy,
            )
            signed.secrets, signed.verbatim = secrets, request.verbatim
            response: Response | None = None
            refusal: CredentialsRejected | None = None
            sent_at = cloud.clock()
            try:
                response = yield from credentials.send(signed, sent_at, cloud.give_up_at)
            except CredentialsRejected as known:  # by an earlier request; this one was not sent
                refusal = known
            if not refreshed and (response is None or rejects_credentials(response)):
                refresh = credentials.refresh(signed, cloud.clock())
                refreshed = yield from beforehand(in_time(refresh, cloud.time_to_answer))
                if refreshed:
                    log.info("Credentials rejected. Sending %s again with new ones.", request.operation)
                    attempt -= 1
                    continue
            if response is None:
                assert refusal is not None
                raise refusal
            reply = read(request, response, cloud.clock(), credentials.advice, secrets)
            reply.sent_at, reply.received_at = sent_at, cloud.clock()
        except CloudSyncError as error:
            if isinstance(error, Throttled) and error.sent:
                yield from _cool_down(slot, error)
            delay = delay_for(error, attempt, repeatable=request.repeatable)
            if in_doubt:
                error.in_doubt = True
            in_doubt = is_uncertain(error)
            held_back = is_held_back(error)
            is_late = cloud.give_up_at is not None and cloud.clock() + (delay or 0.0) > cloud.give_up_at
            if delay is None or attempt >= cloud.attempts or is_late:
                if cause is None or not held_back:
                    raise
                cause.add_remark(f"No further attempt was sent: {error}")
                raise cause from None
            if not held_back:
                cause = error.with_traceback(None)  # a traceback would keep this frame alive
            log.info("Attempt %d failed: %s Retrying in %.1f s.", attempt, error, delay)
            yield Pause(delay, retry_of=request.service)
        else:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("%s: %d (request ID %s)", request.name, reply.status, reply.request_id)
            return reply


def _check_time(cloud: Cloud, request: Request) -> None:
    """Refuse to send a start after the deadline.

    :raises TransportError: if the deadline passed, for example during a sign-in.
    """
    assert cloud.give_up_at is not None
    if cloud.clock() > cloud.give_up_at:
        raise TransportError(
            f"The deadline passed before this start was sent. Nothing was started. [{request.name}]",
            sent=False,
        )


def _cool_down(slot: AcquireSlot, refusal: Throttled) -> Flow[None]:
    """Hold back all calls of this API, and apply the quota that the refusal states."""
    stated = Quota(refusal.limit, refusal.window) if refusal.limit and refusal.window else None
    window = refusal.retry_after
    if window is None and slot.quota is not None:
        window = slot.quota.seconds
    yield Cooldown(slot.key, None if window is None else min(window, LONGEST), stated)


def _wait_for_slot(cloud: Cloud, request: Request, slot: AcquireSlot, wait: float) -> Flow[None]:
    """Wait until the call may be sent.

    :param wait: seconds that the rate limiter returned at first.
    :raises Throttled: if the wait is longer than `Cloud.max_queue_wait`, or ends after the deadline.
    """
    began = cloud.clock()
    # Asked again after each pause: a cooldown may have begun meanwhile.
    while wait > 0:
        now = cloud.clock()
        max_queue_wait = began + cloud.max_queue_wait - now
        if cloud.give_up_at is not None:
            max_queue_wait = min(max_queue_wait, cloud.give_up_at - now)
        if wait > max_queue_wait:
            quota = slot.quota
            limit = "" if quota is None else f"{quota.limit} calls per {quota.seconds:g} s, "
            raise Throttled(
                f"The rate limit of this API is exhausted ({limit}shared by all tasks of this process). The call was "
                f"not sent. Run fewer tasks in parallel or raise poll_interval. [{request.name}]",
                retry_after=wait,
                service=request.service,
                operation=request.operation,
                sent=False,
            )
        log.debug("Rate limit: waiting %.0f s before %s.", wait, request.operation)
        yield Pause(wait)
        wait = yield slot


_PROJECT_HEADER, _DOMAIN_HEADER = "X-Project-Id", "X-Domain-Id"


def _scope_header(cloud: Cloud, request: Request) -> tuple[str, str]:
    """Return the scope header of a request and its value; an empty name: none is needed; an empty value: unknown."""
    if "{project_id}" in request.path:
        return _PROJECT_HEADER, cloud.project_id or ""
    if request.service in ACCOUNT_WIDE:
        return _DOMAIN_HEADER, cloud.domain_id or ""
    return "", ""


def _prepare(cloud: Cloud, request: Request, defaults: _RequestDefaults, scope: str) -> HttpRequest:
    headers = defaults.headers
    if request.headers:
        own = {
            name: value.strip()
            for name, value in request.headers.items()
            if name.lower() not in defaults.fixed
        }
        headers = {**headers, **own}
    url = defaults.base + request.path.replace("{project_id}", scope)
    if request.query:
        url += "?" + canonical_query(request.query)
    body = b"" if request.json is None else json.dumps(request.json).encode()
    repeatable = request.repeatable and request.method in ("GET", "HEAD")
    return HttpRequest(
        *(request.method, url, headers, body, cloud.http_settings, request.service, repeatable),
        max_reply=request.max_reply,
    )


def _defaults(cloud: Cloud, service: str, header: str, scope: str) -> _RequestDefaults:
    known = cloud._cache.defaults.get((service, header, scope))
    if known is not None:
        return known
    base = cloud.url(service)
    # Host is set as it is signed: the HTTP libraries would drop a default port.
    fixed = {"Host": urlsplit(base).netloc, **({header: scope} if header else {})}
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # the bound on a reply's size must hold for the unpacked body
        "User-Agent": cloud.user_agent,
        **fixed,
    }
    made = _RequestDefaults(base, headers, frozenset(map(str.lower, fixed)))
    cloud._cache.defaults[service, header, scope] = made
    return made
