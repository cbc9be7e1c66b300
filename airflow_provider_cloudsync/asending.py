"""Sending one request with aiohttp, under asyncio. The library is not imported before the first one."""

from __future__ import annotations

import asyncio
import importlib
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.reaching import authorities, ssl_context, usable_proxy, where
from airflow_provider_cloudsync.receiving import CHUNK, TRICKLE, bound, complete, without_reply

if TYPE_CHECKING:
    import aiohttp

#: A token comes in a header of up to 32 KiB, more than the library takes by itself.
_LONGEST_HEADER = 64 * 1024
_CONNECTIONS = 32
_ready = False


async def make_ready() -> None:
    """Import the library, which takes longer than an event loop may stand still; so in a thread."""
    global _ready
    if not _ready:
        # All who come meanwhile wait in threads, too: it is in sys.modules long before it can be used.
        await asyncio.to_thread(importlib.import_module, "aiohttp")
        _ready = True


def open_session() -> aiohttp.ClientSession:
    """A session for all flows of an event loop."""
    import aiohttp

    opened = aiohttp.ClientSession(
        # For each host: one that hangs is not to take the connections of the others.
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS),
        max_field_size=_LONGEST_HEADER,
        max_line_size=_LONGEST_HEADER,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    # aiohttp sends a GET or DELETE again by itself where a kept connection breaks. Whether that is safe is for the
    # flow to say: some GETs start work.
    opened._retry_connection = False
    return opened


async def asend(session: aiohttp.ClientSession, request: HttpRequest) -> Response:
    """Send it, and take in the whole reply.

    :raises TransportError: if there is no usable one.
    """
    import aiohttp
    import yarl

    wiring = request.wiring
    proxy = usable_proxy(request)
    secure = proxy is not None or not request.url.startswith("http:")
    context = ssl_context(authorities(wiring, where(request))) if secure else True
    try:
        async with session.request(
            request.method,
            yarl.URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            timeout=_timeout(wiring.connect_timeout, wiring.read_timeout),
            ssl=context,
            proxy=proxy,
        ) as reply:
            headers = {name.lower(): value for name, value in reply.headers.items()}
            announced = headers.get("content-length", "")
            if announced.isdecimal() and "content-encoding" not in headers:
                bound(int(announced), request)
                body = await reply.read()
            else:
                body = await _bounded(reply.content, request)
            return complete(request, Response(reply.status, headers, body))
    except (aiohttp.ClientError, TimeoutError, OSError, UnicodeError) as error:
        sent, lasting = _aiohttp_verdict(error)
        raise without_reply(request, error, sent=sent, lasting=lasting) from None


@lru_cache(maxsize=64)
def _timeout(connect: float, read: float) -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(total=connect + TRICKLE * read, sock_connect=connect, sock_read=read)


async def _bounded(content: aiohttp.StreamReader, request: HttpRequest) -> bytes:
    """A body whose length is not known before."""
    parts: list[bytes] = []
    size = 0
    async for chunk in content.iter_chunked(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        bound(size, request)
    return b"".join(parts)


def _aiohttp_verdict(error: Exception) -> tuple[bool, bool]:
    """Whether the request may have left, and whether trying again can't help."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return False, True
    if isinstance(error, aiohttp.InvalidURL | UnicodeError):
        return False, True
    unconnected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
    )
    return not isinstance(error, unconnected), False
