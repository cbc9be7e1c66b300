"""The emulated cloud as a whole: its state, and the way of a request through it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from airflow_provider_cloudsync.emulator import scenario as scenarios
from airflow_provider_cloudsync.emulator.account import Account
from airflow_provider_cloudsync.emulator.clock import Clock
from airflow_provider_cloudsync.emulator.faults import Faults
from airflow_provider_cloudsync.emulator.gateway import Gateway
from airflow_provider_cloudsync.emulator.journal import Journal
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply, gateway_refusal
from airflow_provider_cloudsync.emulator.quotas import Quotas
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Service
from airflow_provider_cloudsync.emulator.services import SERVICES


class World:
    """All that one scenario brings about.

    :param scenario: a complete one.
    :raises BadInput: it makes no sense; the text names the key.
    """

    def __init__(self, scenario: Mapping[str, Any], clock: Clock) -> None:
        self.clock = clock
        self.account = Account(Reader(scenario["account"], "account"), clock)
        self.services = [
            service(Reader(scenario[service.name], service.name), self.account, clock) for service in SERVICES
        ]
        self._routes = [
            (operation.pattern(), operation, service)
            for service in self.services
            for operation in service.operations
        ]
        operations = {operation.name: operation for _, operation, _ in self._routes}
        self._check_denied([*operations, *(service.name for service in self.services)])
        self.gateway = Gateway(self.account, clock)
        self.quotas = Quotas(scenario["quotas"], operations, clock)
        self.journal = Journal()
        self.faults = Faults(
            [service.name for service in self.services],
            list(operations),
            lambda path: any(pattern.fullmatch(path) for pattern, _, _ in self._routes),
        )

    def _check_denied(self, known: list[str]) -> None:
        for name in self.account.denied_actions:
            if name not in known:
                raise BadInput(
                    f"account.denied_actions: {name!r} is not known; known are {', '.join(sorted(known))}"
                )

    def route(self, call: Call) -> tuple[Service, Operation] | None:
        """Who answers `call`; fills in the parts of its path."""
        for pattern, operation, service in self._routes:
            found = pattern.fullmatch(call.path)
            if found and operation.takes(call):
                call.parts = {name: unquote(text) for name, text in found.groupdict().items()}
                return service, operation
        return None

    def serve(self, call: Call, route: tuple[Service, Operation] | None, entry: dict[str, Any]) -> Reply:
        """The whole way of a request, but for faults."""
        try:
            if route is None:
                text = "The API does not exist or has not been published in the environment"
                raise gateway_refusal(404, "APIGW.0101", text, call.request_id)
            service, operation = route
            if not operation.public:
                call.identity = self.gateway.authenticate(call)
                self.gateway.check_scope(call, call.identity)
                if not service.takes_unscoped:
                    self.gateway.check_token_use(call, call.identity)
            self.quotas.admit(operation, call)
            if {operation.name, service.name}.intersection(self.account.denied_actions):
                raise service.denial(call, operation)
            reply = operation.work(service, call)
        except Refused as refused:
            return refused.reply
        entry["effect"] = reply.effect
        return reply

    def state(self) -> dict[str, Any]:
        """Everything there is, as JSON, without secrets."""
        clock = self.clock
        return {
            "clock": {
                "now": clock.now(),
                "started": clock.started,
                "speed": clock.speed,
                "stepped": clock.stepped,
            },
            "keys": self.gateway.state(),
            "faults": self.faults.describe(),
            **{service.name: service.state() for service in self.services},
        }


class Cloud:
    """The world of the moment, and how to begin another.

    :param source: the scenario to begin with, and to come back to.
    """

    def __init__(self, source: Mapping[str, Any] | str | Path | None, clock: Clock) -> None:
        self.clock = clock
        self._original = scenarios.load(source)
        self.world = World(self._original, clock)

    def reset(self, source: Mapping[str, Any] | str | Path | None = None) -> None:
        """Begin anew with another scenario, or with the one of the beginning; a bad one changes nothing."""
        scenario = self._original if source is None else scenarios.load(source)
        World(scenario, self.clock)
        self.clock.restart()
        self.world = World(scenario, self.clock)
