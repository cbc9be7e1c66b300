"""Sending one request with requests, blocking. The library is not imported before the first one."""

from __future__ import annotations

import math
import os
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.transport.network import (
    CHECK,
    authorities,
    causes_of,
    is_rejected_certificate,
    proxy_refusal,
    usable_proxy,
    where,
)
from airflow_provider_cloudsync.transport.responses import (
    CHUNK,
    TRICKLE,
    Body,
    complete,
    sent_again,
    without_reply,
)

if TYPE_CHECKING:
    import requests

    from airflow_provider_cloudsync.transport.requests_adapter import Exchange

_threads = threading.local()
#: How http.client words the refusal of a proxy to open a tunnel.
_NO_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")


def send(request: HttpRequest, seconds: float = math.inf) -> Response:
    """Send it, and take in the whole reply.

    :param seconds: until the reply must be complete, whatever the timeouts say.
    :raises TransportError: if there is no usable one.
    """
    import requests
    import urllib3

    from airflow_provider_cloudsync.transport.requests_adapter import Exchange, exchanging

    http_settings = request.http_settings
    proxy, trusted = usable_proxy(request), authorities(http_settings, where(request))
    in_all = http_settings.connect_timeout + TRICKLE * http_settings.read_timeout
    exchange = Exchange(time.monotonic() + min(in_all, seconds))
    broken = (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        UnicodeError,
    )
    may_repeat = request.repeatable
    if request.method not in ("GET", "HEAD"):
        # On an idle connection that the server closes just then, the reply to a start would be lost.
        _blocking_session().close()
    while True:
        try:
            with exchanging(exchange):
                return complete(request, _send_once(request, exchange, proxy, trusted))
        except broken as error:
            if not (may_repeat and _was_closed_meanwhile(exchange, error)):
                raise _without_reply(request, exchange, error, proxied=proxy is not None) from None
        may_repeat = False
        sent_again(request)
        _blocking_session().close()  # the idle connections may have been closed, too
        exchange = Exchange(exchange.give_up)


def _send_once(request: HttpRequest, exchange: Exchange, proxy: str | None, trusted: str | bool) -> Response:
    import requests

    http_settings = request.http_settings
    prepared = requests.Request(
        request.method, request.url, headers=_as_sent(request.headers), data=request.body or None
    )
    with _blocking_session().send(
        prepared.prepare(),
        stream=True,
        allow_redirects=False,
        timeout=(http_settings.connect_timeout, http_settings.read_timeout),
        verify=trusted,
        proxies={"http": proxy, "https": proxy} if proxy else {},
    ) as reply:
        assert exchange.parser is not None
        body = Body(request, exchange.parser)
        for piece in _pieces(reply):
            body.add(piece)
            if body.truncated:
                break
            if time.monotonic() > exchange.give_up:
                raise TransportError(f"the reply was not complete in time: {where(request)}. {CHECK}")
        return body.response()


def close_sessions() -> None:
    """Drop the sessions of all threads. Connections of the calling thread are closed at once."""
    global _threads
    session = getattr(_threads, "session", None)
    if session is not None and _threads.pid == os.getpid():
        session.close()
    _threads = threading.local()


def _as_sent(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers in UTF-8, like the signed text. The library would use Latin-1, or fail."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _blocking_session() -> requests.Session:
    """The thread's session. A forked process gets its own, since two on one socket would read each other's replies."""
    if getattr(_threads, "pid", None) != os.getpid():
        import requests

        from airflow_provider_cloudsync.transport.requests_adapter import Adapter

        session = requests.Session()
        session.trust_env = False  # proxies are chosen here, and a .netrc would replace the signature
        session.mount("http://", Adapter())
        session.mount("https://", Adapter())
        _threads.session, _threads.pid = session, os.getpid()
    kept: requests.Session = _threads.session
    kept.cookies.clear()
    return kept


def _pieces(reply: requests.Response) -> Iterator[bytes]:
    """The body as it comes in, so that the time can be looked at between the pieces."""
    raw = reply.raw
    # urllib3 before 2 has no read1; its read waits until a piece is full.
    read = getattr(raw, "read1", raw.read)
    while piece := read(CHUNK, decode_content=False):
        yield piece


def _was_closed_meanwhile(exchange: Exchange, error: Exception) -> bool:
    """Return whether a reused connection was closed by the server before any byte of a reply arrived."""
    if not exchange.reused or (exchange.parser is not None and exchange.parser.received):
        return False
    closed = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
    return any(isinstance(each, closed) for each in causes_of(error))


def _without_reply(
    request: HttpRequest, exchange: Exchange, error: Exception, *, proxied: bool
) -> TransportError:
    refused = next(filter(None, (_NO_TUNNEL.match(str(each)) for each in causes_of(error))), None)
    if refused is not None:
        reason, permanent = proxy_refusal(int(refused[1]))
        return without_reply(request, error, sent=False, permanent=permanent, reason=reason)
    reason = exchange.parser.error if exchange.parser is not None else ""
    permanent = not exchange.sent and _is_lasting(error)
    return without_reply(
        request, error, sent=exchange.sent, permanent=permanent, reason=reason, proxied=proxied
    )


def _is_lasting(error: Exception) -> bool:
    """Return whether a retry of a request that was not sent is useless."""
    import requests
    import urllib3

    unusable = (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError, UnicodeError)
    return is_rejected_certificate(error) or isinstance(error, unusable)
