"""What one call costs: signed, checked and read, beside the HTTP library alone."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks._measure import CONN_ID, PROJECT_ID, child, connection, cpu
from benchmarks._server import serving
from benchmarks._table import Row, show

_CLUSTER = "7a0c0c38-d8ba-4d17-b0d2-569a254ac9ea"
_PATH = f"/v2/{PROJECT_ID}/clusters/{_CLUSTER}/iam-sync"
_IN_FLIGHT = 64
#: Ours and the bare calls take turns, so that a slow moment of the machine slows both.
_TURNS = 40
#: Calls that each of those in flight makes in a turn: that they begin and end together is not to count.
_EACH = 5


def blocking(url: str, calls: int) -> tuple[float, float]:
    """Seconds of CPU a call: a method of a hook, and a session of requests as it comes, its connection kept.

    The bare one does not even parse the reply.
    """
    import requests

    from airflow_provider_cloudsync.hooks.mrs import MrsHook

    hook = MrsHook(CONN_ID)
    session = requests.Session()
    assert hook.is_iam_synchronizing(_CLUSTER)
    assert session.get(url + _PATH).json()["is_synchronizing"]

    def ours(count: int) -> None:
        for _ in range(count):
            hook.is_iam_synchronizing(_CLUSTER)

    def bare(count: int) -> None:
        for _ in range(count):
            session.get(url + _PATH)

    each = calls // _TURNS
    turns = [(_cost(ours, each), _cost(bare, each)) for _ in range(_TURNS)]
    return median(cost for cost, _ in turns), median(cost for _, cost in turns)


def _cost(work: Callable[[int], None], count: int) -> float:
    began = cpu()
    work(count)
    return (cpu() - began) / count


def in_flight(url: str, calls: int) -> tuple[float, float]:
    """Seconds of CPU a call with many at once: ours, and a session of aiohttp as it comes."""
    import aiohttp

    from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

    async def main() -> tuple[float, float]:
        hook = CloudSyncHook(CONN_ID)
        cloud = await hook.acloud()

        async def ours(count: int) -> None:
            for _ in range(count):
                assert await hook.arun(is_iam_synchronizing(cloud, _CLUSTER))

        async with aiohttp.ClientSession() as session:

            async def bare(count: int) -> None:
                for _ in range(count):
                    async with session.get(url + _PATH) as reply:
                        assert (await reply.json())["is_synchronizing"]

            # All flows of a loop share a session while there is one: as in a triggerer, it is not opened for each turn.
            staying = asyncio.create_task(hook.arun(_staying()))
            await _costs(ours, 2), await _costs(bare, 2)
            count = calls // _EACH // _IN_FLIGHT
            turns = [(await _costs(ours, _EACH), await _costs(bare, _EACH)) for _ in range(count)]
            staying.cancel()
        return median(cost for cost, _ in turns), median(cost for _, cost in turns)

    return asyncio.run(main())


def _staying():
    from airflow_provider_cloudsync.api.messages import Pause

    yield Pause(3600.0)


async def _costs(work: Callable[[int], Awaitable[None]], each: int) -> float:
    began = cpu()
    await asyncio.gather(*(work(each) for _ in range(_IN_FLIGHT)))
    return (cpu() - began) / (each * _IN_FLIGHT)


def _row(figure: str, found: list[tuple[float, float]], reach: str, reached: Callable[[float], bool]) -> Row:
    ratios = [ours / bare for ours, bare in found]
    return Row(
        figure,
        f"{median(ours for ours, _ in found) * 1e6:.0f} µs",
        f"{median(bare for _, bare in found) * 1e6:.0f} µs",
        f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        reach,
        reached(median(ratios)),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.call", description=__doc__)
    parser.add_argument("--calls", type=int, default=8000, help="calls of each kind in each process")
    parser.add_argument("--repeat", type=int, default=3, help="processes")
    asked = parser.parse_args(arguments)
    with serving() as server:
        server.run_for(1e6)

        def measured(function: str) -> list[tuple[float, float]]:
            env = connection(server.url)
            where = f"benchmarks.call:{function}"
            return [child(where, env=env, url=server.url, calls=asked.calls) for _ in range(asked.repeat)]

        rows = [
            _row(
                "one blocking signed call, beside requests.Session().get",
                measured("blocking"),
                "less than 1.0",
                lambda ratio: ratio < 1.0,
            ),
            _row(
                f"async, {_IN_FLIGHT} in flight, beside aiohttp",
                measured("in_flight"),
                "at most 1.25",
                lambda ratio: ratio <= 1.25,
            ),
        ]
    show(
        "call: CPU of one call",
        rows,
        f"Medians of {asked.repeat} processes with {asked.calls} calls of either kind by turns; in brackets: extremes.",
    )


if __name__ == "__main__":
    main()
