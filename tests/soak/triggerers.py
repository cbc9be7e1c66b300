"""The two triggerers of a soak: one stays, so that its memory can be watched; the other goes down again and again."""

from __future__ import annotations

import base64
import json
import random
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.e2e.processes import Processes
from tests.e2e.site_settings import inherited
from tests.soak.chaos import Restart
from tests.soak.record import Record
from tests.soak.store import Store
from tests.soak.targets import PROJECTS

MARKER = "CLOUDSYNC_SOAK"
STEADY, SHAKY = "steady", "shaky"
CLASSPATH = "airflow_provider_cloudsync.triggers.sync.SyncTrigger"
#: Seconds until one must be up, and until one must be down that was asked to stop.
BOOT, GRACE = 60.0, 20.0
#: What a log should not hold.
COMPLAINT = re.compile(
    "Traceback|Unclosed|never retrieved|destroyed but it is pending|never awaited|[Uu]nexpected error"
)


class Triggerers:
    """Both of them.

    :param home: a folder of their own.
    :param store: where their waits are.
    """

    def __init__(self, home: Path, emulator: dict[str, Any], store: Store, record: Record) -> None:
        self._database = home / "soak.db"
        self._logs = home / "output"
        self._processes = Processes(_environment(home, emulator), MARKER, self._logs)
        self._store = store
        self._record = record
        self._rng = random.Random(record.settings.seed + 2)
        self._pids: dict[str, int] = {}

    def begin(self) -> None:
        """Start both; returns when they are up."""
        self.start(STEADY)
        self.start(SHAKY)
        end = time.monotonic() + BOOT
        while not {STEADY, SHAKY} <= {sample.triggerer for sample in self._store.samples()}:
            self.check()
            assert time.monotonic() < end, self._processes.tails()
            time.sleep(0.2)

    def start(self, name: str) -> None:
        """Start one."""
        command = [sys.executable, "-m", "tests.soak.triggerer", name, str(self._database)]
        self._pids[name] = self._processes.start(name, command).pid

    def check(self) -> None:
        """Raise where one ended that nobody stopped."""
        self._processes.check()

    def take(self, number: int, arguments: dict[str, Any]) -> None:
        """A wait comes: it goes to the one that has fewer, be it down for a moment."""
        owner = min((STEADY, SHAKY), key=self._store.open_of)
        self._store.defer(number, CLASSPATH, arguments, owner, time.time())

    def go_down(self, restart: Restart) -> None:
        """Stop or kill the one that does not stay; the other one may take over some of its waits."""
        waits = self._store.numbers_of(SHAKY)
        pid = self._pids.pop(SHAKY)
        self._processes.stop(SHAKY, grace=GRACE if restart.gently else 0)
        if restart.gently:
            self._record.asked_pids.append(pid)
        (self._record.asked if restart.gently else self._record.killed).append(len(waits))
        moved = [number for number in sorted(waits) if self._rng.random() < restart.moves]
        self._store.hand_over(moved, STEADY)

    def come_back(self) -> None:
        """Start it again."""
        self.start(SHAKY)

    def end(self) -> None:
        """Ask both to stop, and read what they logged."""
        for name, pid in list(self._pids.items()):
            self._record.asked_pids.append(pid)
            self._processes.stop(name, grace=GRACE)
        self._pids.clear()
        self._record.complaints += [line for line in self._lines() if COMPLAINT.search(line)]

    def close(self) -> None:
        """End whatever still runs."""
        self._processes.stop_all()

    def _lines(self) -> Iterator[str]:
        for path in sorted(self._logs.glob("*.log")):
            with path.open(errors="replace") as log:
                yield from (line.strip() for line in log)


def _environment(home: Path, emulator: dict[str, Any]) -> dict[str, str]:
    """What both are started with: the connections in it."""
    common = {"endpoint": emulator["url"], "region": emulator["region"], "timeout": 3}
    keys = {"login": emulator["access_key"], "password": emulator["secret_key"]}
    user = {"login": emulator["user"], "password": emulator["password"]}
    by_password = {"auth": "password", "domain_name": emulator["domain_name"]}
    connections = {
        "soak_keys": {**keys, "extra": {**common, "project_id": PROJECTS[0]}},
        "soak_password": {**user, "extra": {**common, **by_password, "project_id": PROJECTS[0]}},
        "soak_look_up": {**keys, "extra": common},
    }
    found = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps({"conn_type": "cloudsync", **each})
        for name, each in connections.items()
    }
    return {
        **inherited(),
        **found,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        MARKER: str(home),
    }
