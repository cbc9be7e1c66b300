"""How to reach a host, apart from any HTTP library: through which proxy, trusting whom, and what went wrong."""

from __future__ import annotations

import functools
import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

from airflow_provider_cloudsync.api.endpoints import is_loopback
from airflow_provider_cloudsync.api.messages import HttpRequest, Wiring
from airflow_provider_cloudsync.exceptions import TransportError

CHECK = "Check the endpoint, the network and the proxy of the connection."


def where(request: HttpRequest) -> str:
    """Name a request in an error."""
    parts = urlsplit(request.url)
    return f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"


def authorities(wiring: Wiring, request: HttpRequest | str) -> str | bool:
    """The file or folder of certificate authorities to trust, one that can be read; False: trust anybody.

    :param request: what it is for; named in the error.
    :raises TransportError: if it can't be read.
    """
    if wiring.verify is False:
        return False
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if wiring.verify is not True:
        named = wiring.verify
    if not named:
        import certifi

        return certifi.where()
    try:
        ssl_context(named)
    except OSError:  # ssl.SSLError among them
        raise TransportError(
            'the certificate authorities of "verify" in the connection\'s Extra, or of REQUESTS_CA_BUNDLE in the '
            f"environment, can't be read from their file: {request if isinstance(request, str) else where(request)}. "
            f"{CHECK}",
            sent=False,
            lasting=True,
        ) from None
    return named


def ssl_context(authorities: str | bool) -> ssl.SSLContext | bool:
    """What asyncio wants for `authorities`; made anew when the file changes."""
    if isinstance(authorities, bool):
        return authorities
    return _ssl_context(authorities, os.stat(authorities).st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _ssl_context(path: str, changed_at: int) -> ssl.SSLContext:
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def usable_proxy(request: HttpRequest) -> str | None:
    """The proxy for a request. A bad one is told here: the libraries would show it, with its password.

    :raises TransportError: if it is no URL of a proxy.
    """
    scheme, host, _, _ = request.pieces()
    proxy = _proxy_for(scheme, host, request.wiring)
    if proxy is None:
        return None
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise TransportError(
            'the proxy is not a URL such as http://proxy.example.com:3128; see "proxy" in the connection\'s Extra, or '
            f"the environment: {where(request)}. {CHECK}",
            sent=False,
            lasting=True,
        )
    return proxy


def proxy_for(url: str, wiring: Wiring) -> str | None:
    """The proxy that a request goes through: the connection's, else the environment's unless it exempts the host."""
    parts = urlsplit(url)
    return _proxy_for(parts.scheme, parts.netloc, wiring)


def _proxy_for(scheme: str, netloc: str, wiring: Wiring) -> str | None:
    if _is_loopback(netloc):
        return None  # plain http is allowed to this machine because it never leaves it
    if wiring.proxy is not None:
        return _with_scheme(wiring.proxy)
    proxies = getproxies_environment()
    if not proxies:
        return None
    if proxy_bypass_environment(netloc, proxies):
        return None
    return _with_scheme(proxies.get(scheme) or proxies.get("all") or "")


@functools.lru_cache(maxsize=256)
def _is_loopback(netloc: str) -> bool:
    return is_loopback(urlsplit(f"//{netloc}").hostname or "")


def is_near(origin: str) -> bool:
    """Whether it is this machine.

    :param origin: scheme, host and port.
    """
    return _is_loopback(origin.partition("://")[2])


def _with_scheme(proxy: str) -> str | None:
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def lost(request: HttpRequest, error: Exception, *, sent: bool, lasting: bool) -> TransportError:
    """The error for a request that got no usable reply.

    :param error: the library's.
    :param sent: whether the request may have left.
    :param lasting: whether trying again can't help.
    """
    text = f"{_reason(error, sent=sent, lasting=lasting)} ({type(error).__name__}): {where(request)}. {CHECK}"
    return TransportError(text, sent=sent, lasting=lasting)


def _reason(error: Exception, *, sent: bool, lasting: bool) -> str:
    """Which step on the way to the service failed, in words."""
    causes = list(_causes(error))
    if any(isinstance(each, socket.gaierror) for each in causes):
        return "the host's name can't be resolved"
    if any(isinstance(each, ConnectionRefusedError) for each in causes):
        return "the connection was refused, so nothing listens there"
    if lasting:
        return "the certificate or the address can't be accepted; see \"verify\" in the connection's Extra"
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "no TLS could be agreed on"
    if any(isinstance(each, TimeoutError) for each in causes) or "timed out" in str(error):
        return "no reply in time" if sent else "no connection in time"
    return "the connection broke" if sent else "no connection could be made"


def _causes(error: BaseException | None, depth: int = 8) -> Iterator[BaseException]:
    """An error and what it is made of; the libraries keep the first cause in various places."""
    if error is None or not depth:
        return
    yield error
    inner = (
        error.__cause__,
        error.__context__,
        getattr(error, "reason", None),
        getattr(error, "os_error", None),
    )
    for each in (*inner, *error.args):
        if isinstance(each, BaseException):
            yield from _causes(each, depth - 1)
