"""The HTTP side: requests in, through the world, replies out, and faults on the way."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from typing import Any

from aiohttp import web

from airflow_provider_cloudsync.emulator import wire
from airflow_provider_cloudsync.emulator.access import Access
from airflow_provider_cloudsync.emulator.connections import Connection
from airflow_provider_cloudsync.emulator.control import PREFIX, Control
from airflow_provider_cloudsync.emulator.faults import Fault
from airflow_provider_cloudsync.emulator.messages import Call, Reply, gateway_refusal, query_pairs
from airflow_provider_cloudsync.emulator.service import Service
from airflow_provider_cloudsync.emulator.world import Cloud, World

#: The gateway's documented sizes.
MAX_BODY = 12 * 1024 * 1024
MAX_LINE = 32 * 1024


def build(cloud: Cloud, access: Access) -> web.Application:
    """The application that serves `cloud` to those that `access` admits."""
    app = web.Application(client_max_size=MAX_BODY)
    # One route for all: the services' own tables say what exists, and what does not gets the gateway's words.
    app.router.add_route("*", "/{anything:.*}", _Front(cloud, access).handle)
    return app


class _Front:
    def __init__(self, cloud: Cloud, access: Access) -> None:
        self._cloud = cloud
        self._access = access
        self._control = Control(cloud)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        call = Call(request.method, path, query_pairs(query), headers, b"")
        connection = Connection.of(request)
        if connection is not None:
            connection.head_complete()
        refusal = self._refusal(request, call)
        if refusal is None:
            try:
                call.body = await request.read()
            except web.HTTPRequestEntityTooLarge:
                text = "The request body is too large"
                refusal = gateway_refusal(413, "APIGW.0201", text, call.request_id).reply
        if refusal is not None:
            refused = wire.response(refusal, {"X-Request-Id": call.request_id})
            refused.force_close()  # what is left of the body is not read
            return refused
        if connection is not None:
            connection.body_complete()
        try:
            if path.startswith(PREFIX):
                return wire.response(self._control.answer(call), {})
            return await self._serve(request, call)
        finally:
            if connection is not None:
                connection.answered()

    def _refusal(self, request: web.Request, call: Call) -> Reply | None:
        """The refusal of a request that is not answered at all, from what its head shows."""
        bound = request.transport and request.transport.get_extra_info("sockname")
        refusal = self._access.refuse_host(call, bound[0] if bound else None)
        if refusal is None and call.path.startswith(PREFIX):
            refusal = self._access.refuse_control(call, request.remote)
        return refusal

    async def _serve(self, request: web.Request, call: Call) -> web.StreamResponse:
        world = self._cloud.world
        route = world.route(call)
        service, operation = (route[0].name, route[1].name) if route else (None, None)
        entry = world.journal.open(call, time=world.clock.now(), service=service, operation=operation)
        entry["auth"] = world.gateway.verdict(call)
        headers = _headers(world, call, route[0] if route else None)
        if fault := world.faults.pick("before", call, service, operation):
            spoilt = await _strike(request, call, entry, fault, None, headers)
            if spoilt is not None:
                return spoilt
        reply = world.serve(call, route, entry)
        if fault := world.faults.pick("after", call, service, operation):
            spoilt = await _strike(request, call, entry, fault, reply, headers)
            if spoilt is not None:
                return spoilt
        entry["status"] = reply.status
        return wire.response(reply, headers)


def _headers(world: World, call: Call, service: Service | None) -> dict[str, str]:
    date = formatdate(world.clock.now(), usegmt=True)
    return {"Date": date, service.id_header if service else "X-Request-Id": call.request_id}


async def _strike(
    request: web.Request,
    call: Call,
    entry: dict[str, Any],
    fault: Fault,
    reply: Reply | None,
    headers: dict[str, str],
) -> web.StreamResponse | None:
    """Let a fault have its way; None when the request goes on after it."""
    entry["fault"] = fault.injected()
    if fault.action == "delay":
        await asyncio.sleep(fault.value)
        return None
    if fault.action in ("truncate", "huge"):
        # These begin as a reply like any other.
        entry["status"] = reply.status if reply and fault.action == "truncate" else 200
    other = wire.replacement(fault, call.request_id)
    if other is not None:
        entry["status"] = other.status
        return wire.response(other, headers)
    return await wire.spoil(request, fault, reply, headers)
