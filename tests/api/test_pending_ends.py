"""Ends that a watch has yet to confirm, while the watch is interrupted, goes wrong or moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.waiting import watching
from airflow_provider_cloudsync.api.waiting.watching import (
    Memory,
    Paused,
    PendingEnds,
    WatchUpdate,
    next_update,
)
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, TransportError
from tests.api.test_watching import (
    ALL,
    BAD,
    EVENTS,
    GOES_ON,
    MEMBER,
    MRS,
    OK,
    T0,
    T1,
    T2,
    accounts,
    flag,
    row,
    task,
    updated,
)

#: What happens between two polls.
LOST, REFUSED, MOVED = "a lost poll", "a lasting error", "another triggerer"
Step = Any


class Watching:
    """A watch as the triggerer keeps it, on a clock that moves when the watch waits.

    :param reads_often: whether the connection is read again whenever the flow lets that happen.
    """

    def __init__(self, watch: watching.Watch, *, reads_often: bool) -> None:
        self.now = T2 / 1000 + 3600
        self.watch, self.reads_often = watch, reads_often
        self.reported: list[tuple[str, str]] = []
        self.memory: Memory | None = None
        self.readings = 0
        self._begin()

    def _begin(self) -> None:
        self.pending = PendingEnds()
        self._go_on(None)

    def _go_on(self, due: float | None, misses: int = 0) -> None:
        self.readings += 1
        cloud = Cloud(KeyPair(f"AK{self.readings}", "secret"), lambda: self.now, endpoint="http://x")
        self._flow = next_update(
            cloud,
            self.watch,
            self.memory,
            poll_interval=60,
            due=due,
            pause_at=0.0 if self.reads_often else None,
            misses=misses,
            pending=self.pending,
        )
        self._asked = next(self._flow)

    def take(self, step: Step) -> None:
        if step == MOVED:
            self._flow.close()
            self._begin()
            return
        self.now += self._asked.wait  # type: ignore[union-attr]
        if step == LOST:
            self._continue(lambda: self._flow.throw(TransportError("no reply in time")))
        elif step == REFUSED:
            with pytest.raises(CloudSyncError):
                self._flow.throw(ApiError("no permission", service="s", operation="o", status=403))
            self.now += 600
            self._go_on(None)
        else:
            self._continue(lambda: self._flow.send((self.now, step)))

    def _continue(self, do: Callable[[], Any]) -> None:
        try:
            self._asked = do()
        except StopIteration as end:
            ended: WatchUpdate | Paused = end.value
            misses = 0
            if isinstance(ended, WatchUpdate):
                self.memory = ended.memory
                self.reported += [(each.run, each.outcome) for each in ended.ended]
            else:
                misses = ended.misses
            self._go_on(ended.due, misses)


BETWEEN: list[tuple[str, list[Step]]] = [
    ("nothing", []),
    ("a lost poll", [LOST]),
    ("many lost polls", [LOST] * 7),
    ("a lasting error", [REFUSED]),
    ("a lost poll and a lasting error", [LOST, REFUSED, LOST]),
    ("another triggerer", [MOVED]),
    ("a lost poll and another triggerer", [LOST, MOVED, LOST]),
]

TWO_OLD = accounts(row("1", "success", T0), row("2", "success", T0))
ONE_NEW = accounts(row("1", "success", T1), row("2", "success", T0))
TWO_NEW = accounts(row("1", "success", T1), row("2", "failed", T1))
#: id, watch, polls before, the poll that shows an end for the first time, the polls after, outcomes that are reported.
ENDS: list[tuple[str, watching.Watch, list[Step], Step, list[Step], list[str]]] = [
    ("a success", MEMBER, [task(OK, T0)], task(OK, T1), [task(OK, T1)] * 4, ["succeeded"]),
    ("a failure", MEMBER, [task(OK, T0)], task(BAD, T1), [task(BAD, T1)] * 4, ["failed"]),
    (
        "a success that was a failure",
        MEMBER,
        [task(OK, T0)],
        task(OK, T1),
        [task(BAD, T1)] * 4,
        ["failed"],
    ),
    (
        "a success that goes on",
        MEMBER,
        [task(OK, T0)],
        task(OK, T1),
        [task(GOES_ON, T1), *[task(OK, T1)] * 4],
        ["succeeded"],
    ),
    ("an account", ALL, [TWO_OLD], ONE_NEW, [ONE_NEW] * 4, ["succeeded"]),
    ("two accounts", ALL, [TWO_OLD], ONE_NEW, [TWO_NEW] * 6, ["succeeded", "failed"]),
    ("events", EVENTS, [updated(T0)], updated(T1), [updated(T1)] * 4, ["succeeded"]),
    ("a flag", MRS, [flag(False), flag(True)], flag(False), [flag(False)] * 4, ["ended"]),
    (
        "a flag that comes up again",
        MRS,
        [flag(False), flag(True)],
        flag(False),
        [flag(True), *[flag(False)] * 4],
        ["ended"],
    ),
]


@pytest.mark.parametrize("reads_often", [False, True], ids=["", "connection read often"])
@pytest.mark.parametrize("between", [each[1] for each in BETWEEN], ids=[each[0] for each in BETWEEN])
@pytest.mark.parametrize(
    ("watch", "before", "end", "after", "outcomes"), [each[1:] for each in ENDS], ids=[e[0] for e in ENDS]
)
def test_an_end_is_reported_once(watch, before, end, after, outcomes, between, reads_often) -> None:
    watching = Watching(watch, reads_often=reads_often)
    for step in (*before, end, *between, *after):
        watching.take(step)
    assert [outcome for _, outcome in watching.reported] == outcomes
    assert len(set(watching.reported)) == len(outcomes)


@pytest.mark.parametrize("reads_often", [False, True], ids=["", "connection read often"])
@pytest.mark.parametrize(
    "between", [[], [LOST], [REFUSED]], ids=["nothing", "a lost poll", "a lasting error"]
)
@pytest.mark.parametrize(("status", "outcome"), [(OK, "succeeded"), (BAD, "failed")])
def test_what_was_seen_before_an_interruption_counts(status, outcome, between, reads_often) -> None:
    """One more poll is enough, if it comes late enough; the count does not start again."""
    watching = Watching(MEMBER, reads_often=reads_often)
    for step in (task(OK, T0), task(status, T1), *between, task(status, T1)):
        watching.take(step)
    assert [each for _, each in watching.reported] == [outcome]


def test_each_of_several_watches_has_ends_of_its_own() -> None:
    """They share the polls. A watch that begins after an end does not report it, and leaves the others alone."""
    first, second = (Watching(MEMBER, reads_often=True) for _ in range(2))
    for step in (task(OK, T0), task(OK, T1)):
        first.take(step)
        second.take(step)
    second.take(LOST)
    late = Watching(MEMBER, reads_often=True)
    for step in [task(OK, T1)] * 3:
        for each in (first, second, late):
            each.take(step)
    assert [len(each.reported) for each in (first, second, late)] == [1, 1, 0]
