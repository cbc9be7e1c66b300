"""How to reach a host, apart from any HTTP library: through which proxy, trusting whom, and what went wrong."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes, urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

from airflow_provider_cloudsync.api.endpoints import is_loopback
from airflow_provider_cloudsync.api.messages import HttpRequest, HttpSettings
from airflow_provider_cloudsync.api.redaction import secrets_in_proxy
from airflow_provider_cloudsync.exceptions import TransportError

#: Characters that end the authority of a URL, or that the libraries read differently.
_BREAKS_URL = re.compile(r"[^!-~]|[#/?\\\[\]]")
CHECK = "Check the endpoint, the network and the proxy of the connection."


def where(request: HttpRequest) -> str:
    """Name a request in an error."""
    parts = urlsplit(request.url)
    return f"{request.method} {parts.scheme}://{parts.netloc}{parts.path}"


def authorities(http_settings: HttpSettings, request: HttpRequest | str) -> str | bool:
    """The file or folder of certificate authorities to trust, one that can be read; False: trust anybody.

    :param request: what it is for; named in the error.
    :raises TransportError: if it can't be read.
    """
    if http_settings.verify is False:
        return False
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if http_settings.verify is not True:
        named = http_settings.verify
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
            permanent=True,
        ) from None
    return named


def ssl_context(authorities: str | bool) -> ssl.SSLContext | bool:
    """Return the TLS context of `authorities` for asyncio; a new one after the file has changed."""
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

    :return: its URL, with user and password percent-encoded.
    :raises TransportError: if it is no URL of a proxy.
    """
    scheme, host, _, _ = request.pieces()
    proxy = _proxy_for(scheme, host, request.http_settings)
    if proxy is None:
        return None
    if problem := proxy_problem(proxy):
        raise TransportError(
            f'the proxy {problem}; see "proxy" in the connection\'s Extra, or the environment: {where(request)}. '
            f"{CHECK}",
            sent=False,
            permanent=True,
        )
    start, _, rest = proxy.partition("://")
    credentials, at, place = rest.rpartition("@")
    # Both libraries are to read the same, whatever they make of a character that need not be encoded.
    user, colon, password = (quote(unquote_to_bytes(part), safe="") for part in credentials.partition(":"))
    return f"{start}://{user}{colon and ':'}{password}{at}{place.rstrip('/')}"


def proxy_problem(proxy: str) -> str:
    """Return what is wrong with a proxy URL, without any part of it; empty if it can be used."""
    scheme, _, rest = proxy.partition("://")
    credentials, at, place = rest.rpartition("@")
    if at and _BREAKS_URL.search(credentials):
        return (
            "has a user or password with a character that must be percent-encoded (# as %23, / as %2F, ? as %3F; "
            "likewise blanks, brackets and all that is not ASCII)"
        )
    try:
        parts = urlsplit(f"{scheme}://{place}")
        usable = scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path not in ("", "/") or parts.query or parts.fragment:
        return "must be a URL such as http://proxy.example.com:3128"
    return ""


def environment_secrets() -> tuple[str, ...]:
    """Return the passwords of the proxies that the environment names."""
    proxies = [_with_scheme(url) for name, url in getproxies_environment().items() if name != "no"]
    return tuple(dict.fromkeys(secret for proxy in proxies for secret in secrets_in_proxy(proxy)))


def proxy_authorization(proxy: str) -> dict[str, str]:
    """The header for a proxy with user and password: the bytes that are percent-encoded in its URL."""
    credentials, at, _ = proxy.partition("://")[2].rpartition("@")
    if not at:
        return {}
    user, _, password = credentials.partition(":")
    secret = b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return {"Proxy-Authorization": f"Basic {secret}"}


def proxy_refusal(status: int) -> tuple[str, bool]:
    """Return the reason of a proxy's refusal, and whether a retry is useless."""
    if status == 407:
        return "the proxy requires authentication (407); put user and password into its URL", True
    permanent = 200 <= status < 500 and status not in (408, 429)
    return f"the proxy refused to connect to the host (status {status})", permanent


def proxy_for(url: str, http_settings: HttpSettings) -> str | None:
    """The proxy that a request goes through: the connection's, else the environment's unless it exempts the host."""
    parts = urlsplit(url)
    return _proxy_for(parts.scheme, parts.netloc, http_settings)


def _proxy_for(scheme: str, netloc: str, http_settings: HttpSettings) -> str | None:
    if _is_loopback(netloc):
        return None  # plain http is allowed to this machine because it never leaves it
    if http_settings.proxy is not None:
        return _with_scheme(http_settings.proxy)
    proxies = getproxies_environment()
    if not proxies:
        return None
    if proxy_bypass_environment(netloc, proxies) or _is_exempt_address(netloc, proxies.get("no", "")):
        return None
    return _with_scheme(proxies.get(scheme) or proxies.get("all") or "")


@functools.lru_cache(maxsize=256)
def _is_exempt_address(netloc: str, exempt: str) -> bool:
    """Return whether the host is an IP address that NO_PROXY names, alone or by its network; urllib knows names only.

    :param exempt: the value of NO_PROXY, such as ``10.0.0.0/8, 10.1.2.3:443, fd00::/8, fd00::1, [fd00::1]:443``.
    """
    try:
        parts = urlsplit(f"//{netloc}")
        address, port = ipaddress.ip_address(parts.hostname or ""), parts.port
    except ValueError:
        return False
    return any(_is_within(address, port, each.strip()) for each in exempt.split(","))


def _is_within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int | None, entry: str) -> bool:
    with contextlib.suppress(ValueError):
        return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
    with contextlib.suppress(ValueError):  # with a port, or a name
        parts = urlsplit(f"//{entry}")
        return (
            parts.port is not None
            and port == parts.port
            and address == ipaddress.ip_address(parts.hostname or "")
        )
    return False


@functools.lru_cache(maxsize=256)
def _is_loopback(netloc: str) -> bool:
    return is_loopback(urlsplit(f"//{netloc}").hostname or "")


def is_near(origin: str) -> bool:
    """Return whether it is this machine.

    :param origin: scheme, host and port.
    """
    return _is_loopback(origin.partition("://")[2])


def _with_scheme(proxy: str) -> str | None:
    if not proxy:
        return None
    scheme, mark, rest = proxy.partition("://")
    return f"{scheme.lower()}://{rest}" if mark else f"http://{proxy}"


def lost(
    request: HttpRequest,
    error: Exception,
    *,
    sent: bool,
    permanent: bool,
    reason: str = "",
    proxied: bool = False,
) -> TransportError:
    """The error for a request that got no usable reply.

    :param error: the library's.
    :param sent: whether the request may have left.
    :param permanent: whether another attempt cannot help.
    :param reason: what went wrong, if that is known; else it is taken from the error.
    :param proxied: whether a proxy is on the way: then it may be the cause until the request has left.
    """
    reason = reason or f"{_reason(error, sent=sent, permanent=permanent)} ({type(error).__name__})"
    if proxied and not sent:
        reason = f"no connection through the proxy: {reason}"
    return TransportError(f"{reason}: {where(request)}. {CHECK}", sent=sent, permanent=permanent)


def is_rejected_certificate(error: BaseException) -> bool:
    """Return whether the certificate of the service, or of the proxy on the way there, was not accepted."""
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in causes_of(error))


def _reason(error: Exception, *, sent: bool, permanent: bool) -> str:
    """Which step on the way to the service failed, in words."""
    causes = list(causes_of(error))
    for each in causes:
        if isinstance(each, socket.gaierror):
            return "the host's name can't be resolved"
        if isinstance(each, ConnectionRefusedError):
            return "the connection was refused, so nothing listens there"
        # One of aiohttp is a subclass without the message.
        if isinstance(each, ssl.SSLCertVerificationError) and (why := getattr(each, "verify_message", "")):
            return f'the certificate was rejected: {why.rstrip(".")}; see "verify" in the connection\'s Extra'
    if permanent:
        return "the address can't be used"
    tls = [each for each in causes if isinstance(each, ssl.SSLError)]
    if tls:
        why = next(filter(None, (getattr(each, "reason", None) for each in tls)), "no reason given")
        return f"TLS failed: {why.replace('_', ' ').lower()}"
    if any(isinstance(each, TimeoutError) for each in causes) or "timed out" in str(error):
        return "no reply in time" if sent else "no connection in time"
    return "the connection broke" if sent else "no connection could be made"


def causes_of(error: BaseException | None, depth: int = 8) -> Iterator[BaseException]:
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
            yield from causes_of(each, depth - 1)
