"""Sending one request with requests, blocking. The library is not imported before the first one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.exceptions import TransportError
from airflow_provider_cloudsync.reaching import CHECK, authorities, usable_proxy, where
from airflow_provider_cloudsync.receiving import CHUNK, TRICKLE, bound, complete, without_reply

if TYPE_CHECKING:
    import requests

_threads = threading.local()


def send(request: HttpRequest) -> Response:
    """Send it, and take in the whole reply.

    :raises TransportError: if there is no usable one.
    """
    import requests
    import urllib3

    wiring = request.wiring
    proxy, trusted = usable_proxy(request), authorities(wiring, where(request))
    give_up = time.monotonic() + wiring.connect_timeout + TRICKLE * wiring.read_timeout
    try:
        prepared = requests.Request(
            request.method, request.url, headers=_as_sent(request.headers), data=request.body or None
        )
        with _blocking_session().send(
            prepared.prepare(),
            stream=True,
            allow_redirects=False,
            timeout=(wiring.connect_timeout, wiring.read_timeout),
            verify=trusted,
            proxies={"http": proxy, "https": proxy} if proxy else {},
        ) as reply:
            body = _collect(_pieces(reply), request, give_up)
            received = {name.lower(): value for name, value in reply.headers.items()}
            return complete(request, Response(reply.status_code, received, body))
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
        sent, lasting = _requests_verdict(error)
        raise without_reply(request, error, sent=sent, lasting=lasting) from None


def close_sessions() -> None:
    """Drop the sessions of all threads. Connections of the calling thread are closed at once."""
    global _threads
    session = getattr(_threads, "session", None)
    if session is not None and _threads.pid == os.getpid():
        session.close()
    _threads = threading.local()


def _as_sent(headers: Mapping[str, str]) -> dict[str, str]:
    """As UTF-8, like the text that was signed; the library would take Latin-1, or fail."""
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _blocking_session() -> requests.Session:
    """The thread's session. A forked process gets its own, since two on one socket would read each other's replies."""
    if getattr(_threads, "pid", None) != os.getpid():
        import requests

        session = requests.Session()
        session.trust_env = False  # proxies are chosen here, and a .netrc would replace the signature
        _threads.session, _threads.pid = session, os.getpid()
    kept: requests.Session = _threads.session
    kept.cookies.clear()
    return kept


def _pieces(reply: requests.Response) -> Iterator[bytes]:
    """The body as it comes in, so that the time can be looked at between the pieces."""
    read = getattr(reply.raw, "read1", None)
    if read is None:  # urllib3 before 2 waits until a piece is full
        yield from reply.iter_content(CHUNK)
        return
    while piece := read(CHUNK, decode_content=True):
        yield piece


def _collect(chunks: Iterable[bytes], request: HttpRequest, give_up: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        bound(size, request)
        if time.monotonic() > give_up:
            raise TransportError(f"the reply was not complete in time: {where(request)}. {CHECK}")
    return b"".join(parts)


def _requests_verdict(error: Exception) -> tuple[bool, bool]:
    """Whether the request may have left, and whether trying again can't help."""
    import requests
    import urllib3

    if isinstance(error, requests.exceptions.SSLError):
        # Of the handshake or of a later record: only a bad certificate is certainly of the first.
        refused = "CERTIFICATE_VERIFY" in str(error).upper()
        return not refused, refused
    if isinstance(
        error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError | UnicodeError
    ):
        return False, True
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return False, False
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(cause, urllib3.exceptions.NewConnectionError), False
