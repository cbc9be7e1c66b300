"""Metrics, sent through Airflow's own (StatsD or OpenTelemetry, as configured there).

=========================  ==========================  =================================================================
metric                     tags                        counts
=========================  ==========================  =================================================================
`cloudsync.requests`       service, outcome            requests sent; outcome: ok, error, throttled, lost
`cloudsync.retries`        service                     requests and polls repeated after a fault
`cloudsync.shared_hits`    (none)                      calls served by the result of another caller
`cloudsync.waits`          service, phase              waits that began, succeeded, failed, timed out, broke (other
                                                       error) or were left (cancelled, moved elsewhere)
`cloudsync.waits.running`  service, host               gauge: waits in this triggerer
=========================  ==========================  =================================================================

Tags hold no IDs, so there are few series.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from functools import cache
from typing import Any

from airflow_provider_cloudsync.exceptions import WaitTimedOut

log = logging.getLogger(__name__)

#: Settings of Airflow that enable metrics.
_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")
_running: Counter[str] = Counter()


@cache
def _stats() -> Any:
    """Return Airflow's metrics; None if they are off. Cached: reading the settings is slow."""
    from airflow.providers.common.compat.sdk import Stats, conf

    enabled = any(conf.getboolean("metrics", name, fallback=False) for name in _SWITCHES)
    return Stats if enabled else None


def reset() -> None:
    """Set the gauges to 0 in a process without waits."""
    _running.clear()


def are_on() -> bool:
    """Return whether metrics are on, so that callers can skip costly work."""
    try:
        return _stats() is not None
    except Exception as error:
        log.debug("Cannot read whether metrics are on: %r", error)
        return False


@cache
def _host() -> str:
    return socket.gethostname()


def count(metric: str, number: int = 1, **tags: str) -> None:
    """Increase a counter. An error of the metrics never fails a task."""
    _emit("incr", metric, number, tags)


def _emit(method: str, metric: str, number: int, tags: dict[str, str]) -> None:
    try:
        if (stats := _stats()) is not None:
            getattr(stats, method)(f"cloudsync.{metric}", number, tags=tags)
    except Exception as error:
        log.debug("Cannot send the metric cloudsync.%s: %r", metric, error)


def outcome_of(status: int | None) -> str:
    """Return the outcome of a request by the HTTP status of its reply; None: no reply."""
    if status is None:
        return "lost"
    if status == 429:
        return "throttled"
    return "ok" if status < 400 else "error"


class Wait:
    """Context that counts a wait by its end.

    :param gauge: also show the number of present waits, for waits that share a process.
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
        """Set the verdict of the wait."""
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
        _emit("gauge", "waits.running", _running[self._service], tags)
