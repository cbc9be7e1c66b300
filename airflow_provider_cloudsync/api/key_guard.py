"""Guard against locking an access key: more than five rejected requests in a row lock it for everyone who uses it.

A key without a recent verdict is probed: one request goes first, and its reply decides for all that wait. A host that
hangs must not hold up the others, so after a head start the next host sends a probe of its own: at most one a host,
and at most four in all before the first verdict, however many tasks there are. A rejected key is not sent again until
a lock on it would have ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache, partial

from airflow_provider_cloudsync.api.messages import PENDING, Flow, HttpRequest, Response, SingleFlight
from airflow_provider_cloudsync.api.redaction import NO_SECRETS
from airflow_provider_cloudsync.api.replies import accepts_credentials, code_and_text, rejects_credentials
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    TransportError,
    quoted,
)

#: More than five failures in a row lock a key for so many seconds, for everyone who uses it.
LOCK_TIME = 300.0
#: Seconds after an accepted request during which others are sent without a probe.
GOOD_FOR = 10.0
#: Seconds that a probe is given before another host may send one of its own.
HEAD_START = 2.0
#: Probes that may be unanswered at once: one fewer than the failures in a row that a key survives.
_MOST_PROBES = 4
#: How often a probe gives way to those of other hosts that bring no verdict.
_MOST_TURNS = 8
#: Some regions have MRS under .cn and all else under .com, with the same keys.
_SAME_KEYS = {"myhuaweicloud.cn": "myhuaweicloud.com"}


@dataclass(slots=True)
class _Verdict:
    """State of one access key at one cloud in this process. One object for all threads and event loops."""

    accepted_at: float = -math.inf
    rejected_at: float = -math.inf
    #: Accepted requests so far: whoever waited for one need not compare clocks.
    acceptances: int = 0

    def is_rejected(self, now: float) -> bool:
        return is_recent(self.rejected_at, now)

    def is_accepted(self, now: float, seen: int) -> bool:
        """Return whether the key is known to be good.

        :param seen: `acceptances` when the asker came.
        """
        return self.acceptances > seen or abs(now - self.accepted_at) < GOOD_FOR

    def note(self, response: Response, now: float) -> None:
        """Keep what a reply shows about the key."""
        if rejects_credentials(response):
            self.rejected_at = now
        elif accepts_credentials(response):
            self.accepted_at = max(self.accepted_at, now)
            self.acceptances += 1


@dataclass(slots=True)
class _Probe:
    """Result of a probe. Its sender takes the request and the response out; nobody else may read them.

    :param request: the request that was the probe; None: it was not sent, since the verdict was known by then.
    :param sent: method, URL and body of that request, to compare with those of the requests that wait for it.
    :param status: of a response that does not show whether the key is valid; 0: there was none.
    :param text: of that response, without secrets.
    """

    request: HttpRequest | None = field(default=None, repr=False)
    response: Response | None = field(default=None, repr=False)
    error: CloudSyncError | None = None
    sent: tuple[str, str, bytes] | None = field(default=None, repr=False)
    status: int = 0
    code: str = ""
    text: str = ""


def is_recent(at: float, now: float) -> bool:
    """Return whether a rejection at `at` may still lock the key.

    `at` may be slightly later than `now`, when the asker waited for the probe. A time far in the future comes from a
    wrong clock and is ignored.
    """
    return abs(now - at) < LOCK_TIME


def send_guarded(
    identity: str, request: HttpRequest, now: float, give_up_at: float | None = None
) -> Flow[Response]:
    """Send a request that is signed with a key, unless the key is known to be rejected.

    :param identity: of the key.
    :param now: seconds since the epoch.
    :param give_up_at: time (seconds since the epoch) until which the asker waits for the probe of another.
    :raises CredentialsRejected: without sending, if the key was rejected a moment ago.
    :raises TransportError: without sending, if the probe of another brought no verdict, or none in time.
    :raises ApiError: without sending, if the same request was the probe, and its reply is final.
    """
    host = request.pieces()[1]
    key = ("key", identity, _site(host))
    verdict: _Verdict = yield SingleFlight(key, _no_verdict, is_fresh=lambda kept: True)
    seen = verdict.acceptances
    if verdict.is_rejected(now):
        raise _known_rejection(request, now - verdict.rejected_at)
    if not verdict.is_accepted(now, seen):
        http_settings = request.http_settings
        wait = http_settings.connect_timeout + http_settings.read_timeout
        if give_up_at is not None:
            wait = max(min(wait, give_up_at - now), 0.0)
        probe: _Probe | object = yield SingleFlight(
            (*key, "probe", host),
            partial(_probe_here, key, verdict, request, now, wait),
            max_wait=wait,
        )
        if isinstance(probe, _Probe) and probe.request is request:
            return _own(probe)
        if verdict.is_rejected(now):
            raise _known_rejection(request, now - verdict.rejected_at)
        if not verdict.is_accepted(now, seen):
            raise _no_probe(request, probe)
    response: Response = yield request
    verdict.note(response, now)
    return response


def _own(probe: _Probe) -> Response:
    """The reply to the sender's own request."""
    response, error = probe.response, probe.error
    probe.request = probe.response = None
    if error is not None:
        raise error
    assert response is not None
    return response


def _probe_here(
    key: tuple[str, ...], verdict: _Verdict, request: HttpRequest, now: float, wait: float
) -> Flow[_Probe | object]:
    """The one probe of a host: first in line, or after a head start beside those of other hosts.

    :param wait: seconds that it may wait for others.
    """
    seen = verdict.acceptances
    for place in range(_MOST_PROBES):
        head_start = min(HEAD_START, wait)
        for _ in range(_MOST_TURNS):
            probe: _Probe | object = yield SingleFlight(
                (*key, "probe", place),
                partial(_probe, verdict, request, now, seen),
                max_wait=head_start,
            )
            known = verdict.is_rejected(now) or verdict.is_accepted(now, seen)
            if known or (isinstance(probe, _Probe) and probe.request is request):
                return probe
            if probe is PENDING:
                break
            # The probe of another host got no reply, or one that was not about the key.
        wait -= head_start
    return PENDING


def _probe(verdict: _Verdict, request: HttpRequest, now: float, seen: int) -> Flow[_Probe]:
    if verdict.is_rejected(now) or verdict.is_accepted(now, seen):
        return _Probe()  # another thread's probe ended while this one waited
    try:
        response = yield request
    except CloudSyncError as error:
        return _Probe(request, error=error)
    verdict.note(response, now)
    probe = _Probe(request, response)
    if not (accepts_credentials(response) or rejects_credentials(response)):
        probe.sent, probe.status = _content(request), response.status
        if request.secrets is not NO_SECRETS:  # without them, the text cannot be redacted
            probe.code, probe.text = code_and_text(response, request.secrets)
    return probe


@lru_cache(maxsize=256)
def _site(place: str) -> str:
    """The cloud that a host belongs to, which knows the same keys: its domain.

    An address or a name without a domain, such as that of an emulator, is a cloud of its own at each port.

    :param place: host with its port, if it has one.
    """
    labels = place.partition(":")[0].removesuffix(".").lower().split(".")
    if "[" in place or len(labels) < 2 or labels[-1].isdecimal():
        return place
    site = ".".join(labels[-2:])
    return _SAME_KEYS.get(site, site)


def _no_verdict() -> Flow[_Verdict]:
    return _Verdict()
    yield


def _name(request: HttpRequest) -> str:
    return f"{request.service or request.pieces()[1]} {request.method}"


def _known_rejection(request: HttpRequest, ago: float) -> CredentialsRejected:
    ago = max(ago, 0.0)
    return CredentialsRejected(
        f"{_name(request)} was not sent: the key of the connection was rejected {ago:.0f} s ago, and more than five "
        "failures in a row lock it for everyone. It is not tried again for "
        f"{max(LOCK_TIME - ago, 0.0):.0f} s. Correct the connection, then clear the task.",
        sent=False,
    )


def _content(request: HttpRequest) -> tuple[str, str, bytes]:
    return request.method, request.url, request.body


def _no_probe(request: HttpRequest, probe: _Probe | object) -> ApiError | TransportError:
    """Error of a request that waited for a probe that did not show whether the key is valid."""
    if not isinstance(probe, _Probe):
        return TransportError(
            f"{_name(request)} was not sent: the probe request for this access key is still unanswered. One request "
            "goes first, so that a wrong key is not locked. Check the endpoint and the network.",
            sent=False,
        )
    if probe.status:
        said = quoted(probe.code, probe.text)
        message = (
            f"The probe request for this access key was answered with {probe.status}, which does not show whether the "
            f"key is valid. {_name(request)} was not sent. Check the endpoint and the proxy. [{said}]"
        )
        is_final = 300 <= probe.status < 500 and probe.status != 429
        if is_final and probe.sent == _content(request):
            # The reply to this request would be the same. `delay_for` retries it where it may be another next time.
            return ApiError(
                message,
                service=request.service,
                status=probe.status,
                code=probe.code,
                detail=probe.text,
                sent=False,
            )
        return TransportError(message, sent=False)
    return TransportError(
        f"{_name(request)} was not sent: the probe request for this access key failed. {probe.error or ''}".strip(),
        sent=False,
        permanent=isinstance(probe.error, TransportError) and probe.error.permanent,
    )
