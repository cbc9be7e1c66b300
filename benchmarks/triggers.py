"""What a thousand waits cost a triggerer, and how late they end, beside a bare loop of aiohttp."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks import _lookups, _peers
from benchmarks._measure import Child, child, connection
from benchmarks._server import ROWS, Server, serving
from benchmarks._table import Row, show

#: Seconds between two looks of a wait. Ten times as many waits look four times more seldom, or a core would be full.
_INTERVAL, _SELDOM = 5.0, 20.0
#: For memory, which does not depend on it.
_OFTEN = 3.0
#: What is to be reached on one cluster is said for so many seconds.
_MINUTE = 62.0
#: Enough to count requests; enough for a second look of those who look seldom.
_SHORT, _HALF = 17.0, 32.0
_MINUTES = 10
_Figures = Mapping[str, Any]


class _Runs:
    """Measurements of one run, all against one server."""

    def __init__(self, server: Server, count: int, seconds: float) -> None:
        self._server = server
        self._count = count
        self._seconds = seconds

    def __call__(self, kind: str, **other: Any) -> _Figures:
        arguments = {"count": self._count, "interval": _INTERVAL, "seconds": self._seconds, **other}
        env = {**connection(self._server.url), **_peers.connections(self._server.url)}
        return child("benchmarks._waits:wait_for", kind=kind, url=self._server.url, env=env, **arguments)

    def kib_each(self, kind: str) -> float:
        """Memory of a wait."""
        found: float = child(
            "benchmarks._waits:bytes_each",
            kind=kind,
            url=self._server.url,
            env=connection(self._server.url),
            count=self._count,
            interval=_OFTEN,
        )
        return found / 1024


def _one_cluster(runs: _Runs, count: int) -> list[Row]:
    with serving() as other:
        # At the same time, on a server of its own: it costs next to nothing.
        alone = Child(
            "benchmarks._waits:wait_for",
            kind="one cluster",
            url=other.url,
            env=connection(other.url),
            count=1,
            interval=_INTERVAL,
            seconds=_MINUTE,
        )
        many = runs("one cluster", seconds=_MINUTE)
        one = alone.result()
    size, idle = runs.kib_each("one cluster"), runs.kib_each("idle")
    name = f"{count} waits on one cluster"
    return [
        Row(
            f"{name}: requests",
            f"{many['requests']}",
            f"{one['requests']}",
            reach="as for one wait",
            met=many["requests"] <= one["requests"] + 2,
        ),
        Row(
            f"{name}: CPU in {_MINUTE:.0f} s",
            f"{many['cpu']:.2f} s",
            reach="1.5 s",
            met=many["cpu"] <= 1.5,
        ),
        Row(
            f"{name}: memory",
            f"{size:.1f} KiB each",
            f"{idle:.1f} KiB, idle",
            reach="4 KiB each",
            met=size <= 4,
        ),
        Row(
            f"{name}: last fired after the poll",
            f"{many['last_after_poll']:.3f} s",
            reach="0.2 s",
            met=not many["stuck"] and many["last_after_poll"] <= 0.2,
        ),
    ]


def _listed(runs: _Runs, kind: str, page: int, count: int) -> Row:
    found = runs(kind, seconds=_SHORT)
    looks = int(_SHORT / _INTERVAL) + 1
    pages = math.ceil(ROWS / page)
    return Row(
        f"{count} waits on {kind}: requests of {looks} looks",
        f"{found['requests']}, {_ended(found)}",
        f"{looks * pages} pages",
        f"{found['requests'] / looks / pages:.2f}",
        "pages, not reads",
        # A look of its own for those who came while the first one was under way.
        found["requests"] <= (looks + 2) * pages,
    )


def _ended(found: _Figures) -> str:
    """How the waits ended, in words."""
    stuck = f", {found['stuck']} never" if found["stuck"] else ""
    return f"last fired {found['last_after_end']:.1f} s after the end{stuck}"


def _many_clusters(runs: _Runs, count: int, pairs: int) -> tuple[list[Row], float]:
    """The rows, and the CPU of the bare loop."""
    found = [(runs("clusters"), runs("bare")) for _ in range(pairs)]
    size = runs.kib_each("clusters")

    def of(name: str, which: int = 0) -> float:
        return median(pair[which][name] for pair in found)

    ratio = median(ours["cpu"] / bare["cpu"] for ours, bare in found)
    name = f"{count} waits on as many clusters"
    latest = _INTERVAL + 0.5
    rows = [
        Row(
            f"{name}: CPU",
            f"{of('cpu'):.2f} s, {of('requests'):.0f} requests",
            f"{of('cpu', 1):.2f} s, {of('requests', 1):.0f}",
            f"{ratio:.2f}",
            "at most 1.4",
            ratio <= 1.4,
        ),
        Row(
            f"{name}: connections",
            f"{of('connections'):.0f}",
            f"{of('connections', 1):.0f}",
            reach="32",
            met=of("connections") <= 32,
        ),
        _lag(f"{name}: loop lag p99", of("lag_p99"), of("lag_p99", 1), of("busy_p99"), 0.030),
        _lag(f"{name}: loop lag, most", of("lag_max"), of("lag_max", 1), of("busy_max"), 0.200),
        Row(
            f"{name}: last fired after the end",
            f"{of('last_after_end'):.2f} s",
            f"{of('last_after_end', 1):.2f} s",
            reach=f"{latest:g} s",
            met=not of("stuck") and of("last_after_end") <= latest,
        ),
        Row(f"{name}: memory", f"{size:.1f} KiB each", reach="12 KiB each", met=size <= 12),
    ]
    return rows, of("cpu", 1)


def _lag(figure: str, ours: float, bare: float | None, busy: float, most: float) -> Row:
    """A row of event-loop lag, with what of it is our own doing."""
    return Row(
        figure,
        f"{ours * 1000:.0f} ms (own CPU {busy * 1000:.0f})",
        "" if bare is None else f"{bare * 1000:.0f} ms",
        reach=f"{most * 1000:.0f} ms",
        met=ours <= most,
    )


def _very_many(runs: _Runs, few_count: int, count: int) -> list[Row]:
    # MRS lets the names be read a thousand times a minute, so no more waits than that can end at once.
    found = runs("clusters", count=count, interval=_SELDOM, seconds=_HALF, ending=min(count, 1000))
    few = runs("clusters", count=few_count, interval=_SELDOM, seconds=_HALF)
    each, base = found["cpu"] / count, few["cpu"] / few_count
    name = f"{count} waits, each {_SELDOM:.0f} s"
    return [
        Row(
            f"{name}: CPU of a wait",
            f"{each * 1e3:.2f} ms",
            f"{base * 1e3:.2f} ms ({few_count})",
            f"{each / base:.2f}",
            "linear (at most 1.2)",
            each / base <= 1.2,
        ),
        _lag(f"{name}: loop lag p99", found["lag_p99"], None, found["busy_p99"], 0.200),
        Row(
            f"{name}: ends",
            _ended(found),
            reach="none stuck",
            met=not found["stuck"],
        ),
    ]


def _looked_up() -> list[Row]:
    env = {**connection("http://127.0.0.1:1"), **_lookups.ENVIRONMENT}
    found = child("benchmarks._lookups:in_a_triggerer", env=env, minutes=_MINUTES)
    return [
        Row(
            f"look-ups of a connection in {_MINUTES} min of waits",
            f"{found['regular']}",
            reach="one a minute",
            met=found["regular"] <= _MINUTES + 1,
        ),
        Row(
            "a corrected key, 1 s after the rejection",
            "is read" if found["corrected"] else "is not read",
            reach="read at once",
            met=found["corrected"],
        ),
    ]


def _others(runs: _Runs, python: str, bare: float) -> list[Row]:
    rows = []
    for name in _peers.TRIGGERS:
        found = runs(name, python=python)
        rows.append(
            Row(
                f"{name}: CPU",
                f"{found['cpu']:.2f} s, lag p99 {found['lag_p99'] * 1000:.0f} ms, {found['connections']} connections",
                f"{bare:.2f} s",
                f"{found['cpu'] / bare:.2f}",
            )
        )
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triggers", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="waits")
    parser.add_argument("--seconds", type=float, default=42.0, help="how long the longer measurements last")
    parser.add_argument("--pairs", type=int, default=2, help="measurements of many clusters, ours and bare")
    parser.add_argument(
        "--very-many", type=int, default=10_000, help="waits in the largest measurement; 0: none"
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", help="a Python that has the peers of benchmarks/peers.txt"
    )
    asked = parser.parse_args(arguments)
    with serving() as server:
        runs = _Runs(server, asked.count, asked.seconds)
        many, bare = _many_clusters(runs, asked.count, asked.pairs)
        rows = [
            *_one_cluster(runs, asked.count),
            _listed(runs, "member sync tasks", 100, asked.count),
            _listed(runs, "vendor accounts", 500, asked.count),
            *many,
            *(_very_many(runs, asked.count, asked.very_many) if asked.very_many else []),
            *_looked_up(),
            *(_others(runs, asked.peers, bare) if asked.peers else []),
        ]
    show(
        f"triggers: waits that look each {_INTERVAL:.0f} s",
        rows,
        f"Floors: medians of {asked.pairs} pairs of {asked.seconds:.0f} s; the bare loop asks for the flag only.",
        "CPU includes start, imports and a ticker of 10 ms. Lag is by the clock: other work on the machine shows.",
        "Memory by tracemalloc; idle: a trigger that only keeps its arguments.",
        "All syncs end at once; each wait sees that at its next look.",
    )


if __name__ == "__main__":
    main()
