"""How things are measured: each in a fresh process, in seconds of CPU, and in bytes."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: For the connection that all benchmarks use.
CONN_ID = "bench"
PROJECT_ID = "0123456789abcdef0123456789abcdef"
_TICK = 0.01


class Child:
    """A function of the benchmarks, at work in a process of its own."""

    def __init__(
        self,
        function: str,
        *,
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> None:
        self._name = function
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks._child", function, json.dumps(arguments)],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> Any:
        """What the function returned.

        :raises RuntimeError: if it failed.
        """
        out, err = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"{self._name} failed:\n{err[-4000:]}")
        return json.loads(out.splitlines()[-1])


def child(function: str, **arguments: Any) -> Any:
    """Call a function, such as ``"benchmarks.call:bare"``, in a fresh process. See `Child`."""
    return Child(function, **arguments).result()


def connection(url: str, *, access_key: str = "BENCHMARKACCESSKEY00") -> dict[str, str]:
    """The environment in which Airflow knows a connection to a server of ours."""
    extra = {"region": "cn-north-4", "project_id": PROJECT_ID, "domain_id": PROJECT_ID, "endpoint": url}
    described = {
        "conn_type": "cloudsync",
        "login": access_key,
        "password": "benchmark-secret",
        "extra": extra,
    }
    return {f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(described)}


def cpu() -> float:
    """Seconds of CPU that this process has used, its threads and the system on its behalf included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


@dataclass(slots=True)
class Lag:
    """By how much an event loop was late, each hundredth of a second.

    :param late: seconds by the clock. On a machine that others use, too, some of them are theirs.
    :param busy: seconds of CPU that the loop itself used meanwhile: what it is answerable for.
    """

    late: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Of the running loop, while the context lasts."""

        async def tick() -> None:
            while True:
                due, used = time.monotonic() + _TICK, time.thread_time()
                await asyncio.sleep(_TICK)
                self.late.append(time.monotonic() - due)
                self.busy.append(time.thread_time() - used)

        ticker = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticker.cancel()

    def summary(self) -> dict[str, float]:
        return {
            "lag_p99": percentile(self.late, 0.99),
            "lag_max": max(self.late),
            "busy_p99": percentile(self.busy, 0.99),
            "busy_max": max(self.busy),
        }


def percentile(values: list[float], share: float) -> float:
    """The value that so great a share of them does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
