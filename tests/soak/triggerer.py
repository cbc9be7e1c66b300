"""A triggerer: Airflow's own runner of triggers around the store: ``python -m tests.soak.triggerer NAME STORE``.

Everything between a trigger's arguments and its event is Airflow's. What is left out is the database, which takes
seconds of each task.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from airflow import __version__
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger

from tests.soak.store import Sample, Store

AIRFLOW_3 = not __version__.startswith("2.")
#: Seconds between two looks into the store, between two samples, and between two collections of garbage.
LOOK, SAMPLE, COLLECT = 0.5, 1.0, 10.0
#: Seconds that a stop may take.
GRACE = 10.0


class Runner(TriggerRunner):
    """Airflow's, without a supervisor: its queues are looked into from the main thread, as in Airflow 2."""

    loop: asyncio.AbstractEventLoop
    #: How many tasks were left when all had been cancelled; -1 before the end.
    left_behind = -1

    async def arun(self) -> None:
        """Note the loop, so that its tasks can be counted."""
        self.loop = asyncio.get_running_loop()
        await super().arun()

    def run_all(self) -> None:
        """The whole life of the loop. What its end cancels must end then."""
        with asyncio.Runner() as runner:
            runner.run(self.arun())
            for task in (tasks := asyncio.all_tasks(self.loop)):
                task.cancel()
            runner.run(_ended(tasks))
            self.left_behind = len(asyncio.all_tasks(self.loop))

    if AIRFLOW_3:

        async def init_comms(self) -> None:
            """There is nobody to talk to."""
            self.comms_decoder = SimpleNamespace(_reader_task=asyncio.create_task(asyncio.Event().wait()))

        async def sync_state_to_supervisor(self, finished_ids: list[int]) -> None:
            """The main thread looks itself."""

    def add(self, number: int, classpath: str, arguments: dict[str, Any]) -> None:
        """Run a trigger, by way of what the database would hold of it."""
        row = Trigger(classpath=classpath, kwargs=arguments)
        if AIRFLOW_3:
            from airflow.executors.workloads import RunTrigger

            self.to_create.append(
                RunTrigger(id=number, classpath=classpath, encrypted_kwargs=row.encrypted_kwargs)
            )
            return
        trigger = self.get_trigger_by_classpath(classpath)(**row.kwargs)
        trigger.task_instance = SimpleNamespace(
            dag_id="soak",
            run_id="soak",
            task_id="wait",
            map_index=number,
            try_number=1,
            trigger_timeout=datetime.now(UTC) + timedelta(days=1),
        )
        trigger.trigger_id = number
        self.to_create.append((number, trigger))


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE / 2)


class Triggerer:
    """What the supervisor's loop does.

    :param name: whose waits it takes.
    """

    def __init__(self, name: str, store: Store) -> None:
        self._name = name
        self._store = store
        self._runner = Runner()
        self._thread = threading.Thread(target=self._runner.run_all, name="runner", daemon=True)
        self._taken: set[int] = set()
        self._reported: set[int] = set()
        self._process = psutil.Process()

    def run(self) -> int:
        """Until it is asked to end."""
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        self._thread.start()
        sampled = collected = 0.0
        while not asked.wait(LOOK) and self._thread.is_alive():
            self._exchange()
            if time.monotonic() - collected >= COLLECT:
                # Or memory would go up and down with what Python has not got round to.
                gc.collect()
                collected = time.monotonic()
            if time.monotonic() - sampled >= SAMPLE:
                self._sample()
                sampled = time.monotonic()
        if not self._thread.is_alive():
            return 1
        self._runner.stop = True
        self._thread.join(GRACE)
        # What has fired meanwhile is not reported: a real one's would be lost as well, and fires again elsewhere.
        self._store.note_stop(self._name, os.getpid(), time.time(), self._runner.left_behind)
        return 0

    def _exchange(self) -> None:
        mine = self._store.numbers_of(self._name)
        for number in sorted(mine - self._taken):
            self._runner.add(number, *self._store.fetch(number))
        for number in self._taken - mine - self._reported:
            self._runner.to_cancel.append(number)
        self._taken = (self._taken & mine) | mine
        self._reported &= mine
        while self._runner.events:
            entry = self._runner.events.popleft()
            self._report(entry[0], entry[1].payload)
        while self._runner.failed_triggers:
            number, error = self._runner.failed_triggers.popleft()
            print(f"wait {number} failed: {error!r}", flush=True)
            self._report(number, None)

    def _report(self, number: int, payload: Any) -> None:
        self._reported.add(number)
        self._store.report(number, time.time(), self._name, payload)

    def _sample(self) -> None:
        if not hasattr(self._runner, "loop"):
            return
        self._store.note(
            Sample(
                triggerer=self._name,
                pid=os.getpid(),
                at=time.time(),
                rss=self._process.memory_info().rss,
                sockets=len(self._process.net_connections("inet")),
                tasks=len(asyncio.all_tasks(self._runner.loop)),
                waits=len(self._runner.triggers),
            )
        )


if __name__ == "__main__":
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
    sys.exit(Triggerer(sys.argv[1], Store(Path(sys.argv[2]))).run())
