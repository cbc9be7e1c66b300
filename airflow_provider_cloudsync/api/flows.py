"""The flow that every service is built of: a call. Lists, starting and waiting stand on it.

They are generators (see `airflow_provider_cloudsync.api.messages`) and read no clock of their own: the `Cloud` that is
handed to them brings one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any, TypeVar
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
from airflow_provider_cloudsync.api.unfinished import Reads, Unfinished
from airflow_provider_cloudsync.exceptions import (
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    Throttled,
    TransportError,
)

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Seconds after the deadline of a wait by which the reads of its last poll must be answered.
ANSWER_TIME = 30.0


def _no_project(cloud: Cloud) -> Flow[str]:
    raise InvalidConnection('The connection names no project. Put "project_id" into its Extra.')
    yield


def _no_domain(cloud: Cloud) -> Flow[str]:
    raise InvalidConnection('The connection names no account. Put "domain_id" into its Extra.')
    yield


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Cloud:
    """Where to go, as whom, and how patiently: all that a flow needs besides what it is about.

    :param region: such as ``cn-north-4``; may be None where an endpoint is given.
    :param region_source: where the region was set, for errors.
    :param project_id: filled into paths; None: `find_project` looks it up.
    :param domain_id: the account, for services that know no projects; None: `find_domain` looks it up.
    :param enterprise_project_id: for services that take one, where the task names none.
    :param endpoint: one URL for all services, instead of the table.
    :param endpoints: service -> URL, before `endpoint`.
    :param clock: seconds since the epoch.
    :param attempts: how often one request is tried at most.
    :param give_up_at: no pause between attempts reaches past this time (seconds since the epoch).
    :param answer_by: time by the clock of `elapsed` after which no read and no sign-in goes on; see
        `airflow_provider_cloudsync.api.limits.in_time`.
    :param patience: seconds that one call waits for its turn under a quota; then it is given up, and was not sent.
    :param user_agent: sent with each request; not signed.
    :param fresh: whether nothing that was looked up before is to be used, as for the reason that a wait ends with.
    :param service_zone_ms: milliseconds by which times that services send without a time zone are ahead of UTC;
        None: not known.
    :param reads: of the poll that this is for; see `airflow_provider_cloudsync.api.unfinished`.
    :param monotonic: seconds that never go back, to bound a wait while the clock is set; None: `clock`.
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
    reads: Reads | None = None
    monotonic: Callable[[], float] | None = None
    find_project: Callable[[Cloud], Flow[str]] = _no_project
    find_domain: Callable[[Cloud], Flow[str]] = _no_domain
    _cache: _Cache = field(init=False, repr=False, compare=False, default_factory=lambda: _Cache())

    def url(self, service: str) -> str:
        """Where a service answers."""
        region, source = self.region, self.region_source
        return base_url(service, region, source, overrides=self.endpoints, everywhere=self.endpoint)

    @property
    def scope(self) -> str:
        """Who asks where and how: what two tasks must have in common to share a reply."""
        made = self._cache
        if not made.scope:
            made.scope = self._scope()
        return made.scope

    def _scope(self) -> str:
        within = (
            *(self.region, self.project_id, self.domain_id, self.enterprise_project_id),
            self.service_zone_ms,
        )
        places = (self.endpoint, *sorted(self.endpoints.items()))
        return fingerprint(repr((self.credentials.identity, astuple(self.http_settings), within, places)))

    def until(self, deadline: float) -> Cloud:
        """The same, but no attempt waits past the deadline (seconds since the epoch)."""
        return self.answered_by(deadline)._with_max_queue_wait(give_up_at=deadline)

    def answered_by(self, deadline: float) -> Cloud:
        """The same, but no poll goes on for more than `ANSWER_TIME` after the deadline, or after now if that is later.

        :param deadline: seconds since the epoch.
        """
        left = max(deadline - self.clock(), 0.0)
        return self._with_max_queue_wait(answer_by=self.elapsed() + left + ANSWER_TIME)

    def once(self, *, max_queue_wait: float | None = None) -> Cloud:
        """The same without second attempts, for whoever paces the attempts itself."""
        max_queue_wait = self.max_queue_wait if max_queue_wait is None else max_queue_wait
        if self.fresh or any(each is not None for each in (self.give_up_at, self.answer_by, self.reads)):
            return self._with_max_queue_wait(attempts=1, max_queue_wait=max_queue_wait)
        # All waits of a connection have one between them.
        made = self._cache
        known = made.once.get(max_queue_wait)
        if known is None:
            known = made.once[max_queue_wait] = self._with_max_queue_wait(
                attempts=1, max_queue_wait=max_queue_wait
            )
        return known

    def uncached(self) -> Cloud:
        """The same, using nothing that was looked up before."""
        return self._with_max_queue_wait(fresh=True)

    @property
    def unfinished(self) -> Unfinished:
        """Polls that a rate limit stopped."""
        return self._cache.unfinished

    def reading(self, reads: Reads) -> Cloud:
        """The same for one poll."""
        return self._with_max_queue_wait(reads=reads)

    @property
    def time_to_answer(self) -> float | None:
        """Seconds until `answer_by`; None: no limit."""
        return None if self.answer_by is None else max(self.answer_by - self.elapsed(), 0.0)

    def elapsed(self) -> float:
        """Seconds from some moment on, which setting the machine's clock does not change."""
        return (self.monotonic or self.clock)()

    def _with_max_queue_wait(self, **changes: Any) -> Cloud:
        other = replace(self, **changes)
        object.__setattr__(other, "_cache", self._cache)
        return other


@dataclass(slots=True)
class _Cache:
    """What was made of a `Cloud` once, since each look wants it; those that `until` and `once` make have it, too.

    :param scope: empty: not yet.
    :param ways: service, header of the project or account, and its value -> what its calls have in common.
    :param once: patience -> the one without second attempts and without an end.
    """

    scope: str = ""
    ways: dict[tuple[str, str, str], _RequestDefaults] = field(default_factory=dict)
    once: WeakValueDictionary[float, Cloud] = field(default_factory=WeakValueDictionary)
    unfinished: Unfinished = field(default_factory=Unfinished)


@dataclass(slots=True)
class _RequestDefaults:
    """What all calls of a service have in common, of those that name one project or account, or none.

    :param base: the URL before the path.
    :param headers: of a request that brings none itself; shared, and never changed.
    :param fixed: names, in lower case, of those that a request can't override.
    """

    base: str
    headers: Mapping[str, str]
    fixed: frozenset[str]


def call(cloud: Cloud, request: Request) -> Flow[Reply]:
    """Make one call: scope it, authenticate, send, read the reply, and do it again where that is safe and of use.

    :raises CloudSyncError: what the last attempt that was sent ended with. This process's own rate limit is the cause
        only if it held back all attempts.
    """
    whose, named = _whose(cloud, request)
    within = named or ""
    if whose and not within:
        # First, since it costs nothing: where there is no address, nothing has to be looked up.
        cloud.url(request.service)
        find = cloud.find_project if whose == _PROJECT_HEADER else cloud.find_domain
        within = yield from beforehand(in_time(find(cloud), cloud.time_to_answer))
    way = _way(cloud, request.service, whose, within)
    prepared = _prepare(cloud, request, way, within)
    # Without the body, which tracebacks would show.
    reads = cloud.reads if prepared.repeatable and not prepared.body else None
    what = request.operation, prepared.url
    if reads is not None and (known := reads.take(what)) is not None:
        return known
    credentials = cloud.credentials
    quota, identity = request.quota, credentials.identity
    turn = AcquireSlot(
        # What a quota is kept for.
        (way.base, request.operation, "" if quota is not None and quota.by_address else identity),
        quota,
        claim=(identity, prepared.method, prepared.url, prepared.body),
    )
    attempt = 0
    in_doubt = renewed = False
    cause: CloudSyncError | None = None
    while True:
        attempt += 1
        try:
            if (wait := (yield turn)) > 0:
                yield from _wait_for_slot(cloud, request, turn, wait)
            # For each attempt anew: the date in a signature must not be old, and a token may have come to its end.
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
            except CredentialsRejected as known:  # others have seen that; it was not sent
                refusal = known
            if not renewed and (response is None or rejects_credentials(response)):
                renewed = yield from beforehand(
                    in_time(credentials.refresh(signed, cloud.clock()), cloud.time_to_answer)
                )
                if renewed:
                    log.info(
                        "%s was rejected; it is sent again with a new proof of who asks.", request.operation
                    )
                    attempt -= 1
                    continue
            if response is None:
                assert refusal is not None
                raise refusal
            reply = read(request, response, cloud.clock(), credentials.advice, secrets)
            reply.sent_at, reply.received_at = sent_at, cloud.clock()
        except CloudSyncError as error:
            if isinstance(error, Throttled) and error.sent:
                yield from _cool_down(turn, error)
            delay = delay_for(error, attempt, repeatable=request.repeatable)
            if in_doubt:
                error.in_doubt = True
            in_doubt = is_uncertain(error)
            held_back = is_held_back(error)
            is_late = cloud.give_up_at is not None and cloud.clock() + (delay or 0.0) > cloud.give_up_at
            if delay is None or attempt >= cloud.attempts or is_late:
                if cause is None or not held_back:
                    raise
                cause.add_remark(f"There was no further attempt. {error}")
                raise cause from None
            if not held_back:
                cause = error.with_traceback(None)  # or it would keep this frame, which keeps it
            log.info("Attempt %d of %s: %s Again in %.1f s.", attempt, request.operation, error, delay)
            yield Pause(delay, retry_of=request.service)
        else:
            if log.isEnabledFor(logging.DEBUG):
                made = request.service, request.operation, reply.status, reply.request_id
                log.debug("%s %s: %d (request id %s)", *made)
            if reads is not None:
                reads.add(what, reply)
            return reply


def _check_time(cloud: Cloud, request: Request) -> None:
    """Refuse to start anything after the deadline.

    :raises TransportError: if a sign-in, say, took until then.
    """
    assert cloud.give_up_at is not None
    if cloud.clock() > cloud.give_up_at:
        raise TransportError(
            f"{request.service} {request.operation} was not sent: the deadline passed while it was prepared.",
            sent=False,
        )


def _cool_down(turn: AcquireSlot, refusal: Throttled) -> Flow[None]:
    """What one is refused for, the others need not try; and what the refusal says of the quota is kept to."""
    told = Quota(refusal.limit, refusal.window) if refusal.limit and refusal.window else None
    window = refusal.retry_after
    if window is None and turn.quota is not None:
        window = turn.quota.seconds
    yield Cooldown(turn.key, None if window is None else min(window, LONGEST), told)


def _wait_for_slot(cloud: Cloud, request: Request, turn: AcquireSlot, wait: float) -> Flow[None]:
    """Wait until the call may be sent.

    :param wait: seconds, as it was told at first.
    :raises Throttled: if that is longer than whoever calls is patient.
    """
    began = cloud.clock()
    # Asked again after each pause: a refusal may have come in between, and holds for all.
    while wait > 0:
        now = cloud.clock()
        max_queue_wait = began + cloud.max_queue_wait - now
        if cloud.give_up_at is not None:
            max_queue_wait = min(max_queue_wait, cloud.give_up_at - now)
        if wait > max_queue_wait:
            quota = turn.quota
            limit = "" if quota is None else f"{quota.limit} calls per {quota.seconds:g} s, "
            raise Throttled(
                f"The rate limit of this API is exhausted ({limit}shared by all tasks of this process), so "
                f"{request.service} {request.operation} was not sent. Run fewer tasks in parallel or raise "
                "poll_interval.",
                retry_after=wait,
                service=request.service,
                operation=request.operation,
                sent=False,
            )
        log.debug("%s waits %.0f s for its turn, to keep the service's quota.", request.operation, wait)
        yield Pause(wait)
        wait = yield turn


_PROJECT_HEADER, _DOMAIN_HEADER = "X-Project-Id", "X-Domain-Id"


def _whose(cloud: Cloud, request: Request) -> tuple[str, str | None]:
    """The header that tells whose resources a request is about, and its value, if that is known; "": none is needed."""
    if "{project_id}" in request.path:
        return _PROJECT_HEADER, cloud.project_id
    if request.service in ACCOUNT_WIDE:
        return _DOMAIN_HEADER, cloud.domain_id
    return "", ""


def _prepare(cloud: Cloud, request: Request, way: _RequestDefaults, within: str) -> HttpRequest:
    headers = way.headers
    if request.headers:
        own = {
            name: value.strip() for name, value in request.headers.items() if name.lower() not in way.fixed
        }
        headers = {**headers, **own}
    url = way.base + request.path.replace("{project_id}", within)
    if request.query:
        url += "?" + canonical_query(request.query)
    body = b"" if request.json is None else json.dumps(request.json).encode()
    repeatable = request.repeatable and request.method in ("GET", "HEAD")
    return HttpRequest(
        request.method,
        url,
        headers,
        body,
        cloud.http_settings,
        request.service,
        repeatable,
        request.max_reply,
    )


def _way(cloud: Cloud, service: str, whose: str, within: str) -> _RequestDefaults:
    ways = cloud._cache.ways
    known = ways.get((service, whose, within))
    if known is not None:
        return known
    base = cloud.url(service)
    # As signed: left to the libraries, a default port would be dropped.
    fixed = {"Host": urlsplit(base).netloc, **({whose: within} if whose else {})}
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",  # the bound on a reply's size is to hold for what it unpacks to, too
        "User-Agent": cloud.user_agent,
        **fixed,
    }
    way = ways[service, whose, within] = _RequestDefaults(base, headers, frozenset(map(str.lower, fixed)))
    return way
