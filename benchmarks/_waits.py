"""Many waits in one event loop, as a triggerer has them, or as a bare loop of aiohttp would do the same."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from benchmarks import _peers
from benchmarks._measure import CONN_ID, PROJECT_ID, Lag, cpu
from benchmarks._server import ROWS, Server, account_id, task_id

#: As many connections as the package allows itself.
_CONNECTIONS = 32
#: So many seconds after all should have ended, who has not counts as stuck.
_PATIENCE = 30.0
#: Ends one wait with success, and writes down when. One coroutine, as Airflow has for each trigger.
Wait = Callable[[int, list[float]], Coroutine[Any, Any, None]]


def cluster_id(number: int) -> str:
    return f"7a0c0c38-d8ba-4d17-b0d2-{number:012}"


def _ticket(kind: str, number: int) -> Any:
    from airflow_provider_cloudsync.api.model import Stage, Ticket
    from airflow_provider_cloudsync.api.services.coc import resource_sync
    from airflow_provider_cloudsync.api.services.dataarts import member_sync
    from airflow_provider_cloudsync.api.services.mrs import iam_sync

    now = time.time()
    if kind == "member sync tasks":
        target = member_sync.member_sync_target("bench", task_id(number % ROWS), synced_after=now - 3600)
        return Ticket("dataarts", target, Stage.WATCHING, now)
    if kind == "vendor accounts":
        target = resource_sync.resources_watch_target(
            "AWS", account_id=account_id(number % ROWS), synced_after=now - 3600
        )
        return Ticket("coc", target, Stage.WATCHING, now)
    cluster = cluster_id(0 if kind == "one cluster" else number)
    target = iam_sync.iam_sync_target(cluster, user_names=["alice", "bob"])
    before = {"missing_users": ["alice", "bob"], "missing_groups": [], "is_synchronous": False}
    return Ticket(
        "mrs", target, Stage.STARTED, now, before, receipt={"request_id": "0d9a7a6f1c5b4e0e8a4f2f0c8"}
    )


def _ours(kind: str, numbers: range, interval: float) -> Wait:
    from airflow.triggers.base import BaseTrigger

    class Idle(BaseTrigger):
        """The least that a trigger can be: it keeps its arguments, and waits."""

        def __init__(self, **arguments: Any) -> None:
            super().__init__()
            self.arguments = arguments

        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "Idle", self.arguments

        async def run(self) -> AsyncIterator[Any]:
            yield await asyncio.get_running_loop().create_future()

    # Text, as Airflow stores it: what it becomes belongs to the trigger, and is made when that is.
    stored = {
        number: json.dumps(
            {
                "ticket": _ticket(kind, number).to_json(),
                "deadline": time.time() + 7200,
                "cloudsync_conn_id": CONN_ID,
                "poll_interval": interval,
            }
        )
        for number in numbers
    }

    async def wait(number: int, ended: list[float]) -> None:
        from airflow_provider_cloudsync.triggers.sync import SyncTrigger

        trigger = (Idle if kind == "idle" else SyncTrigger)(**json.loads(stored[number]))
        async for event in trigger.run():
            assert event.payload["phase"] == "succeeded"
            ended.append(time.monotonic())

    return wait


def _bare(url: str, interval: float) -> Wait:
    """A thousand loops around one session: what somebody would write who cares for nothing but the flag."""
    sessions: list[Any] = []

    async def wait(number: int, ended: list[float]) -> None:
        import aiohttp

        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS)))
        address = f"{url}/v2/{PROJECT_ID}/clusters/{cluster_id(number)}/iam-sync"
        while True:
            async with sessions[0].get(address) as reply:
                shown = await reply.json()
            if not shown["is_synchronizing"]:
                ended.append(time.monotonic())
                return
            await asyncio.sleep(interval)

    return wait


def _wait(kind: str, url: str, numbers: range, interval: float) -> Wait:
    if kind == "bare":
        return _bare(url, interval)
    if kind in _peers.TRIGGERS:
        return _peers.wait(kind, interval)
    return _ours(kind, numbers, interval)


def _as_in_a_triggerer() -> None:
    """What a triggerer has imported before any trigger comes. Its log lines are written, to nowhere."""
    import airflow.jobs.triggerer_job_runner  # noqa: F401

    nowhere = logging.StreamHandler(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    nowhere.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[nowhere], force=True)
    gc.collect()  # the garbage of those imports is not to be swept at our expense


async def _start(wait: Wait, numbers: range, ended: list[float]) -> list[asyncio.Task[None]]:
    tasks = []
    for number in numbers:
        await asyncio.sleep(0)  # as the triggerer does, for each
        tasks.append(asyncio.create_task(wait(number, ended)))
    return tasks


def wait_for(
    kind: str, url: str, count: int, interval: float, seconds: float, ending: int | None = None
) -> dict[str, Any]:
    """Wait for what runs for so long, and say what it cost until then, and how late the ends were.

    :param kind: what the waits are for; "bare": clusters, without us; or one of the peers.
    :param ending: so many of the clusters, in the others it goes on; None: all.
    """
    ending = count if ending is None else ending
    _as_in_a_triggerer()
    server = Server(url)
    wait = _wait(kind, url, range(count), interval)
    server.report()  # what that imports is no trigger's
    lag = Lag()
    ended: list[float] = []

    async def main() -> tuple[float, float, int]:
        with lag.measured():
            await asyncio.sleep(0.1)
            ends_at = server.run_for(seconds, ending)
            began = cpu()
            tasks = await _start(wait, range(count), ended)
            await asyncio.sleep(ends_at - time.monotonic())
            used = cpu() - began
            _, late = await asyncio.wait(tasks[:ending], timeout=interval + _PATIENCE)
        polled = server.report().polled.values()
        alive = sum(at > time.monotonic() - 2 * interval for at in polled)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return ends_at, used, len(late) + max(count - ending - alive, 0)

    ends_at, used, stuck = asyncio.run(main())
    if len(ended) + stuck < ending:
        raise RuntimeError(f"{ending - stuck - len(ended)} waits ended, but not well")
    report = server.report()
    return {
        "cpu": used,
        "requests": report.asked_running,
        "connections": report.most_connections,
        **lag.summary(),
        "stuck": stuck,
        "last_after_end": max(ended, default=math.nan) - ends_at,
        "last_after_poll": max(ended, default=math.nan) - report.first_done,
    }


def bytes_each(kind: str, url: str, count: int, interval: float) -> float:
    """Bytes that one more wait takes, by tracemalloc, when all have looked and sleep.

    A hundred other waits are there before, so that connections and everything else that is there once does not count.

    :param kind: see `wait_for`; "idle": triggers that do nothing.
    """
    _as_in_a_triggerer()
    others = range(count, count + 100)
    wait = _wait(kind, url, range(count + 100), interval)

    async def main() -> float:
        Server(url).run_for(1e6)
        tasks = await _start(wait, others, [])
        await asyncio.sleep(2 * interval)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        tasks += await _start(wait, range(count), [])
        await asyncio.sleep(2.5 * interval)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return (after - before) / count

    tracemalloc.start()
    return asyncio.run(main())
