"""Guard against locking an access key: more than five rejected requests in a row lock it for everyone who uses it.

A key without a recent verdict is probed: one request goes first, and its reply decides for all that wait. A host that
hangs must not block the others, so after a head start the next host sends its own probe: at most one per host, and at
most four in total before the first verdict. A rejected key is not sent again until a lock on it would have ended.
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

#: Seconds for which more than five failures in a row lock a key.
LOCK_TIME = 300.0
#: Seconds after an accepted request during which others are sent without a probe.
GOOD_FOR = 10.0
#: Seconds after which another host may send its own probe.
HEAD_START = 2.0
#: Headers that prove who asks, and differ for the same content.
_PROOF_HEADERS = frozenset({"authorization", "x-auth-token", "x-security-token", "x-sdk-date"})
#: Maximum number of unanswered probes: one fewer than the failures in a row that do not lock a key.
_MOST_PROBES = 4
#: Maximum number of probes of other hosts without a verdict that one place waits for.
_MOST_ROUNDS = 8
#: Some regions have MRS under .cn and all else under .com, with the same keys.
_SAME_KEYS = {"myhuaweicloud.cn": "myhuaweicloud.com"}


@dataclass(slots=True)
class _Verdict:
    """State of one access key at one cloud in this process. One object for all threads and event loops."""

    accepted_at: float = -math.inf
    rejected_at: float = -math.inf
    #: Number of accepted requests. A waiter compares it instead of clocks.
    acceptances: int = 0

    def is_rejected(self, now: float) -> bool:
        return is_recent(self.rejected_at, now)

    def is_accepted(self, now: float, seen: int) -> bool:
        """Return whether the key is known to be good.

        :param seen: `acceptances` when the caller began to wait.
        """
        return self.acceptances > seen or abs(now - self.accepted_at) < GOOD_FOR

    def note(self, response: Response, now: float) -> None:
        """Store the verdict of a reply about the key."""
        if rejects_credentials(response):
            self.rejected_at = now
        elif accepts_credentials(response):
            self.accepted_at = max(self.accepted_at, now)
            self.acceptances += 1


@dataclass(slots=True)
class _Probe:
    """Result of a probe. Only its sender reads the request and the response, and removes them.

    :param request: the request that was the probe; None: not sent, because the verdict was already known.
    :param sent: content of that request (see `_content`), to compare with the requests that wait for it.
    :param status: of a response that does not show whether the key is valid; 0: there was none.
    :param text: of that response, without secrets.
    """

    request: HttpRequest | None = field(default=None, repr=False)
    response: Response | None = field(default=None, repr=False)
    error: CloudSyncError | None = None
    sent: tuple[object, ...] | None = field(default=None, repr=False)
    status: int = 0
    code: str = ""
    text: str = ""


def is_recent(at: float, now: float) -> bool:
    """Return whether a rejection at `at` may still lock the key.

    `at` may be slightly later than `now` if the caller waited for the probe. A time far in the future comes from a
    wrong clock and is ignored.
    """
    return abs(now - at) < LOCK_TIME


def send_guarded(
    identity: str, request: HttpRequest, now: float, give_up_at: float | None = None
) -> Flow[Response]:
    """Send a request that is signed with a key, unless the key is known to be rejected.

    :param identity: identity of the key.
    :param now: seconds since the epoch.
    :param give_up_at: time (seconds since the epoch) until which the caller waits for another task's probe.
    :raises CredentialsRejected: without sending, if the key was rejected recently.
    :raises TransportError: without sending, if another task's probe returned no verdict in time.
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
    """Return the reply to the sender's own request."""
    response, error = probe.response, probe.error
    probe.request = probe.response = None
    if error is not None:
        raise error
    assert response is not None
    return response


def _probe_here(
    key: tuple[str, ...], verdict: _Verdict, request: HttpRequest, now: float, wait: float
) -> Flow[_Probe | object]:
    """Run the one probe of a host: first in line, or after a head start beside those of other hosts.

    :param wait: maximum seconds to wait for other probes.
    """
    seen = verdict.acceptances
    for place in range(_MOST_PROBES):
        head_start = min(HEAD_START, wait)
        for _ in range(_MOST_ROUNDS):
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
            # Another host's probe got no reply, or one without a verdict about the key.
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
    """Return the cloud of a host, within which keys are the same: its domain.

    An address or a name without a domain, such as that of an emulator, is a separate cloud at each port.

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
        f"Access key rejected {ago:.0f} s ago, so this request was not sent: more than five failures in a row lock the "
        f"key for everyone. It is not tried again for {max(LOCK_TIME - ago, 0.0):.0f} s. Correct the connection, then "
        f"clear the task. [{_name(request)}]",
        sent=False,
    )


def _content(request: HttpRequest) -> tuple[object, ...]:
    """Return what makes two requests the same: all but the proof of who asks. A workspace may stand in a header."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _PROOF_HEADERS}
    return request.method, request.url, request.body, tuple(sorted(headers.items()))


def _no_probe(request: HttpRequest, probe: _Probe | object) -> ApiError | TransportError:
    """Error of a request that waited for a probe that did not show whether the key is valid."""
    if not isinstance(probe, _Probe):
        return TransportError(
            "The probe request for this access key is still unanswered, so this request was not sent. One request goes "
            f"first, so that a wrong key is not locked. Check the endpoint and the network. [{_name(request)}]",
            sent=False,
        )
    if probe.status:
        message = (
            f"The probe request for this access key was answered with {probe.status}, which does not show whether the "
            f"key is valid: {quoted(probe.code, probe.text).rstrip('.')}. This request was not sent. Check the "
            f"endpoint and the proxy. [{_name(request)}]"
        )
        is_final = 300 <= probe.status < 500 and probe.status != 429
        if is_final and probe.sent == _content(request):
            # The reply to this request would be the same. `delay_for` retries it where the next reply may differ.
            return ApiError(
                message,
                service=request.service,
                status=probe.status,
                code=probe.code,
                detail=probe.text,
                sent=False,
            )
        return TransportError(message, sent=False)
    cause = f": {probe.error.message.rstrip('.')}" if probe.error else ""
    return TransportError(
        f"The probe request for this access key failed{cause}. This request was not sent. [{_name(request)}]",
        sent=False,
        permanent=isinstance(probe.error, TransportError) and probe.error.permanent,
    )
