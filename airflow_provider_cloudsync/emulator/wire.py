"""The last step to the socket: a reply sent as it should be, or spoilt as a fault demands."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import TypeVar

from aiohttp import web

from airflow_provider_cloudsync.emulator.faults import Fault
from airflow_provider_cloudsync.emulator.messages import Reply, gateway_refusal
from airflow_provider_cloudsync.emulator.quotas import throttled

_Answer = TypeVar("_Answer", bound=web.StreamResponse)
_CHUNK = b"x" * 65_536
#: The gateway's own code and words by status, for a fault that gives none.
_USUAL = {
    400: ("APIGW.0201", "Bad request"),
    401: ("APIGW.0301", "Incorrect IAM authentication"),
    403: ("APIGW.0302", "The user is not authorized to access this API"),
    404: ("APIGW.0101", "The API does not exist"),
    429: ("APIGW.0308", "Too many requests"),
    500: ("APIGW.0601", "Internal error"),
    502: ("APIGW.0202", "The backend is unavailable"),
    503: ("APIGW.0613", "The service is unavailable"),
    504: ("APIGW.0203", "The backend timed out"),
}


def response(reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    """The reply as the HTTP library wants it."""
    content, kind = reply.content()
    return _dress(web.Response(status=reply.status, body=content), kind, headers, reply.headers)


def _dress(answer: _Answer, kind: str, *layers: Mapping[str, str]) -> _Answer:
    # Names are compared without case: a fault's own content-type replaces the usual one, however it is spelt.
    answer.headers["Content-Type"] = kind
    for layer in layers:
        answer.headers.update(layer)
    return answer


def replacement(fault: Fault, request_id: str) -> Reply | None:
    """The reply that a fault puts in the place of the real one; None when it spoils the connection instead."""
    if fault.action == "status":
        body = fault.body
        if body is None and fault.value in _USUAL:
            body = gateway_refusal(fault.value, *_USUAL[fault.value], request_id).reply.body
        return Reply(body, fault.value, fault.headers)
    if fault.action == "throttle":
        return throttled(fault.value["limit"], fault.value["window"], fault.retry_after, request_id)
    if fault.action == "raw":
        return Reply(fault.value)
    return None


async def spoil(
    request: web.Request, fault: Fault, reply: Reply | None, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Do to the connection what the fault says.

    :param reply: the real reply, when there is one already.
    """
    if fault.action == "truncate":
        return await _truncate(request, reply or Reply({"state": "this is cut off"}), headers)
    if fault.action == "huge":
        return await _huge(request, fault.value, headers)
    if fault.action == "stall":
        # Ends at once when the client leaves: the server cancels the handler then.
        await asyncio.sleep(fault.value)
        if request.transport is not None:
            request.transport.close()
    else:
        _reset(request)
    # Goes nowhere; the HTTP library wants something returned.
    return web.Response()


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    # A linger time of zero makes the kernel send RST in place of FIN.
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _truncate(request: web.Request, reply: Reply, headers: Mapping[str, str]) -> web.StreamResponse:
    content, kind = reply.content()
    content = content or b"  "
    cut = _dress(web.StreamResponse(status=reply.status), kind, headers, reply.headers)
    cut.content_length = len(content)
    cut.force_close()
    await cut.prepare(request)
    await cut.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


async def _huge(request: web.Request, size: int, headers: Mapping[str, str]) -> web.StreamResponse:
    # Chunked, so that a client can't refuse it by its declared length and has to count.
    flood = _dress(web.StreamResponse(), "application/json", headers)
    flood.enable_chunked_encoding()
    await flood.prepare(request)
    start, end = b'{"padding":"', b'"}'
    left = max(size - len(start) - len(end), 0)
    try:
        await flood.write(start)
        while left > 0:
            await flood.write(_CHUNK[:left])
            left -= len(_CHUNK)
        await flood.write(end)
    except ConnectionError:
        pass  # the client has had enough
    return flood
