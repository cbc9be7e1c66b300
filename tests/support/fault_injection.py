"""Lets a fault of the table strike at a moment of a task, and counts how often it did."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cloudsync.api import pages
from airflow_provider_cloudsync.api.services.hss import calls
from airflow_provider_cloudsync.connection import reader as connections
from airflow_provider_cloudsync.emulator import scenario
from tests.support.broken_network import road
from tests.support.faults_table import Fault
from tests.support.sign_in_methods import connection

CONNECTION = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"
#: What a stalled case has to wait for in real time.
_READ_TIMEOUT = 0.5


class Strike:
    """One fault in one world.

    :param operation: the emulator's faults strike this one,
    :param skip: after so many of them,
    :param when: ``before`` the work or ``after`` it.
    :param after: all others strike what follows the n-th request of an operation: its name, and n.
    """

    def __init__(
        self,
        world: Any,
        fault: Fault,
        operation: str,
        *,
        skip: int = 0,
        when: str = "before",
        after: tuple[str, int],
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        stack: ExitStack,
    ) -> None:
        self._world, self._fault, self._after = world, fault, after
        self._is_on = False
        self._failed = 0
        self._skew = 0.0
        self._road: Any = None
        how = fault.how
        extra: dict[str, Any] = {"domain_id": scenario.DOMAIN_ID}
        if how.spec is not None:
            match = {"operation": operation}
            world.emulator.faults(
                [{"match": match, "skip": skip, "times": fault.times, "when": when, **how.spec}]
            )
            if "stall" in how.spec:
                _make_impatient(monkeypatch)
            if "huge" in how.spec:
                for lists in (pages, calls):
                    monkeypatch.setattr(lists, "MAX_LIST_REPLY", how.spec["huge"] // 2)
        else:
            world.before_each_reply(self._watch)
            now = world.emulator.clock.now
            monkeypatch.setattr(
                "airflow_provider_cloudsync.hooks.cloudsync.time",
                SimpleNamespace(time=lambda: now() + self._skew, monotonic=now),
            )
        if how.trouble is not None:
            self._road = stack.enter_context(road(world.emulator, how.trouble, folder, monkeypatch))
            extra |= self._road.extra
        monkeypatch.setenv(CONNECTION, connection(how.way, world.emulator, folder, **extra))

    @property
    def count(self) -> int:
        """How often it has struck."""
        if self._road is not None:
            return self._failed
        if self._fault.how.spec is not None:
            return sum(entry["fault"] is not None for entry in self._world.calls())
        return sum(entry["status"] == 401 for entry in self._world.calls())

    def end(self) -> None:
        """Let it strike no more."""
        self._world.emulator.disarm()
        if self._is_on:
            self._turn(on=False)

    def _watch(self, last: str) -> None:
        """After each request, answered or not."""
        operation, many = self._after
        if self._is_on:
            self._failed += 1
            if self._failed == self._fault.times:
                self._turn(on=False)
        elif not self._failed and len(self._world.calls(operation)) >= many:
            self._turn(on=True)

    def _turn(self, *, on: bool) -> None:
        self._is_on = on
        how = self._fault.how
        if on and how.revokes:
            self._world.emulator.revoke()
        self._skew = how.skew if on else 0.0
        if self._road is not None:
            self._road.set(broken=on)


def _make_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection takes no timeout below a second, and each stall lasts as long in real time."""
    http_settings = connections._http_settings

    def hasty(*arguments: Any, **named: Any) -> Any:
        usual = http_settings(*arguments, **named)
        return dataclasses.replace(usual, connect_timeout=_READ_TIMEOUT, read_timeout=_READ_TIMEOUT)

    monkeypatch.setattr(connections, "_http_settings", hasty)
