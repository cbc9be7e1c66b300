"""What is counted, through Airflow's own metrics (StatsD or OpenTelemetry, as it is configured there).

=========================  ==========================  =================================================================
metric                     tags                        counts
=========================  ==========================  =================================================================
`cloudsync.requests`       service, outcome            requests that were sent; outcome: ok, error, throttled, lost
`cloudsync.retries`        service                     requests and looks that are made again after a fault
`cloudsync.shared_hits`    (none)                      askers that were served by what another asked for, or had asked
`cloudsync.waits`          service, phase              waits that began, succeeded, failed, timed out, broke (by another
                                                       error) or were left (cancelled, or moved elsewhere)
`cloudsync.waits.running`  service, host               a gauge: waits in this triggerer
=========================  ==========================  =================================================================

Tags hold no ids, so there are few series.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from functools import cache
from typing import Any

from airflow_provider_cloudsync.exceptions import WaitTimedOut

log = logging.getLogger(__name__)

#: Any of them has Airflow count.
_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")
_running: Counter[str] = Counter()


@cache
def _stats() -> Any:
    """Airflow's; None where it is configured to count nothing, since to find that out each time costs what a signature
    does.
    """
    from airflow.providers.common.compat.sdk import Stats, conf

    counts = any(conf.getboolean("metrics", name, fallback=False) for name in _SWITCHES)
    return Stats if counts else None


def reset() -> None:
    """Set the gauges to 0, for a process in which no wait runs."""
    _running.clear()


def are_on() -> bool:
    """Return whether anything is counted; the question costs less than what is to be counted."""
    try:
        return _stats() is not None
    except Exception as error:
        log.debug("It is not known whether metrics are on: %r", error)
        return False


@cache
def _host() -> str:
    return socket.gethostname()


def count(what: str, number: int = 1, **tags: str) -> None:
    """Count something. Whatever becomes of that, no task fails of it."""
    _tell("incr", what, number, tags)


def _tell(how: str, what: str, number: int, tags: dict[str, str]) -> None:
    try:
        if (stats := _stats()) is not None:
            getattr(stats, how)(f"cloudsync.{what}", number, tags=tags)
    except Exception as error:
        log.debug("cloudsync.%s could not be told: %r", what, error)


def outcome_of(status: int | None) -> str:
    """Of a request, by the status of its reply; None: there was none."""
    if status is None:
        return "lost"
    if status == 429:
        return "throttled"
    return "ok" if status < 400 else "error"


class Wait:
    """Counts a wait while the context lasts, by how it ends.

    :param gauge: whether the waits that go on are shown, too: where they are in one process.
    """

    __slots__ = ("_gauge", "_phase", "_service")

    def __init__(self, service: str, *, gauge: bool = False) -> None:
        self._service = service
        self._gauge = gauge
        self._phase = "left"

    def __enter__(self) -> Wait:
        count("waits", service=self._service, phase="began")
        self._show(1)
        return self

    def ended(self, phase: str) -> None:
        """With a verdict."""
        self._phase = phase

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, WaitTimedOut):
            self._phase = "timed_out"
        elif isinstance(error, Exception):
            self._phase = "broke"
        count("waits", service=self._service, phase=self._phase)
        self._show(-1)

    def _show(self, change: int) -> None:
        if not self._gauge:
            return
        _running[self._service] += change
        tags = {"service": self._service, "host": _host()}
        _tell("gauge", "waits.running", _running[self._service], tags)
