"""Runs a soak: waits that come one after the other, and all the trouble that is planned for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.own_place import OwnPlace
from tests.soak.chaos import make_steps
from tests.soak.cloud import SoakedCloud
from tests.soak.record import Record
from tests.soak.settings import Settings
from tests.soak.store import Store
from tests.soak.targets import make_plan
from tests.soak.triggerers import Triggerers

#: Seconds that the last waits have after the last end.
DRAIN = 150.0
#: Seconds between two looks at the emulator's journal, and between two words of progress.
HARVEST, WORD = 5.0, 60.0
#: Seconds that the triggerers are left alone in the end, to let go of what they hold.
REST = 2.5
Act = Callable[[], Any]


class Soak(OwnPlace):
    """One soak, for a `with` block.

    :param say: is told how it goes.
    """

    kind = "soak"

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda text: None) -> None:
        self._settings = settings
        self._say = say
        self._owned: list[Any] = []
        self.record = Record(settings, make_plan(settings))

    def _open(self) -> None:
        emulator = EmulatorProcess().__enter__()
        self._owned.append(emulator)
        self._store = Store(self.home / "soak.db", create=True)
        self._owned.append(self._store)
        self._triggerers = Triggerers(self.home, emulator.details, self._store, self.record)
        self._owned.append(self._triggerers)
        self._cloud = SoakedCloud(emulator, self.record)

    def _end(self) -> None:
        while self._owned:
            self._owned.pop().close()

    def run(self) -> Record:
        """All of it."""
        record = self.record
        self._triggerers.begin()
        self._say("the triggerers are up")
        record.began = self._cloud.begin()
        for at, act in self._agenda():
            self._sleep_until(record.began + at)
            act()
        end = max(record.began + self._settings.last_end, time.time()) + DRAIN
        while self._store.left() and time.time() < end:
            self._sleep_until(time.time() + 0.2)
        record.ended = time.time()
        self._sleep_until(record.ended + REST)
        self._cloud.harvest()
        self._triggerers.end()
        record.arrivals = self._store.arrivals()
        record.ended_by_user = self._store.ended_by_user()
        record.events = self._store.events()
        record.samples = self._store.samples()
        record.stopped = self._store.stopped()
        return record

    def _agenda(self) -> list[tuple[float, Act]]:
        """All there is to do, and when: seconds after the beginning."""
        agenda: list[tuple[float, Act]] = []
        for wait in self.record.plan.waits:
            agenda.append((wait.arrives, self._defer(wait)))
            if wait.ended_at is not None:
                agenda.append((wait.ended_at, self._end_by_user(wait.number)))
        for step in make_steps(self._settings):
            if step.what == "faults":
                agenda.append((step.at, lambda faults=step.details: self._cloud.arm(faults)))
            elif step.what == "revoke":
                agenda.append((step.at, self._cloud.revoke))
            else:
                agenda.append((step.at, lambda restart=step.details: self._triggerers.go_down(restart)))
                agenda.append((step.at + step.details.down, self._triggerers.come_back))
        last = self._settings.last_end
        agenda.append((last, lambda: self._cloud.arm([])))
        for number in range(1, int(last / HARVEST) + 1):
            agenda.append((number * HARVEST, lambda: self._cloud.harvest(time.time())))
        for number in range(1, int(last / WORD) + 1):
            agenda.append((number * WORD, self._tell))
        return sorted(agenda, key=lambda each: each[0])

    def _defer(self, wait: Any) -> Act:
        return lambda: self._triggerers.take(wait.number, wait.arguments(self.record.began))

    def _end_by_user(self, number: int) -> Act:
        return lambda: self._store.end_by_user(number, time.time())

    def _tell(self) -> None:
        record, left = self.record, self._store.left()
        self._say(
            f"{left:,} wait, {record.requests.total():,} requests, {record.faults.total():,} faults, "
            f"{len(record.killed) + len(record.asked)} restarts"
        )

    def _sleep_until(self, moment: float) -> None:
        self._triggerers.check()
        while (left := moment - time.time()) > 0:
            time.sleep(min(left, 1.0))
            self._triggerers.check()
