"""Alarms on a clock that moves when somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_cloudsync.transport.coalescing import Later


class Jump:
    """An alarm that goes off as soon as all who are about to ask for the same have asked; then its time has passed."""

    def __init__(
        self, advance: Callable[[float], object], seconds: float, what: Callable[[], object]
    ) -> None:
        self._steps = [lambda: advance(seconds), lambda: None, what]
        self._handle = asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._steps.pop(0)()
        if self._steps:
            self._handle = asyncio.get_running_loop().call_soon(self._step)

    def cancel(self) -> None:
        self._handle.cancel()


def jumps(advance: Callable[[float], object]) -> Later:
    """In place of `airflow_provider_cloudsync.transport.coalescing.later`.

    :param advance: moves the clock by so many seconds.
    """
    return lambda seconds, what: Jump(advance, seconds, what)
