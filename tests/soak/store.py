"""Where waits are between their deferral and their report: what the metadata database is to real triggerers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
create table wait (
    id integer primary key, classpath text, arguments text, owner text, arrived real, closed real, ended_by_user integer
);
create index open_waits on wait (owner, closed);
create table event (wait integer, at real, triggerer text, payload text);
create table sample (triggerer text, pid integer, at real, rss integer, sockets integer, tasks integer, waits integer);
create table stopped (triggerer text, pid integer, at real, tasks integer);
"""


@dataclass(frozen=True)
class Event:
    """What a trigger reported.

    :param payload: its event; None where it ended without one.
    """

    wait: int
    at: float
    payload: dict[str, Any] | None


@dataclass(frozen=True)
class Sample:
    """How a triggerer was at a time; sockets are those of the internet, tasks those of its event loop."""

    triggerer: str
    pid: int
    at: float
    rss: int
    sockets: int
    tasks: int
    waits: int


class Store:
    """The database, which several processes use at once.

    :param path: its file.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        # Each statement is a transaction of its own, so that a process that is killed leaves no half of one.
        self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._database.execute("pragma synchronous = off")
        if create:
            self._database.execute("pragma journal_mode = wal")
            self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._database.execute(query, values).fetchall()

    # --- what the conductor does, as scheduler, worker and user ---

    def defer(self, number: int, classpath: str, arguments: dict[str, Any], owner: str, at: float) -> None:
        """A task hands its wait over."""
        text = json.dumps(arguments)
        self._rows("insert into wait values (?, ?, ?, ?, ?, null, 0)", number, classpath, text, owner, at)

    def end_by_user(self, number: int, at: float) -> None:
        """A user ends the task, unless its wait has been reported."""
        self._rows(
            "update wait set closed = ?, ended_by_user = 1 where id = ? and closed is null", at, number
        )

    def open_of(self, owner: str) -> int:
        """How many waits a triggerer has."""
        count: int = self._rows("select count(*) from wait where owner = ? and closed is null", owner)[0][0]
        return count

    def hand_over(self, numbers: Iterable[int], owner: str) -> None:
        """Another triggerer goes on with them."""
        self._database.executemany(
            "update wait set owner = ? where id = ?", [(owner, each) for each in numbers]
        )

    def left(self) -> int:
        """How many waits are open."""
        count: int = self._rows("select count(*) from wait where closed is null")[0][0]
        return count

    def arrivals(self) -> dict[int, float]:
        """When each wait was really handed over."""
        return dict(self._rows("select id, arrived from wait"))

    def ended_by_user(self) -> dict[int, float]:
        """The waits that a user ended, and when."""
        return dict(self._rows("select id, closed from wait where ended_by_user"))

    def events(self) -> list[Event]:
        """All reports, in order."""
        rows = self._rows("select wait, at, payload from event order by at")
        return [Event(wait, at, json.loads(text)) for wait, at, text in rows]

    def samples(self) -> list[Sample]:
        """All samples, in order."""
        rows = self._rows("select triggerer, pid, at, rss, sockets, tasks, waits from sample order by at")
        return [Sample(*row) for row in rows]

    def stopped(self) -> dict[int, int]:
        """The processes that came to their own end when they were asked to, and the tasks that each left behind."""
        return dict(self._rows("select pid, tasks from stopped"))

    # --- what a triggerer does ---

    def numbers_of(self, owner: str) -> set[int]:
        """The open waits of a triggerer."""
        return {row[0] for row in self._rows("select id from wait where owner = ? and closed is null", owner)}

    def fetch(self, number: int) -> tuple[str, dict[str, Any]]:
        """What a wait's trigger is made of: its class path and arguments."""
        ((classpath, text),) = self._rows("select classpath, arguments from wait where id = ?", number)
        return classpath, json.loads(text)

    def report(self, number: int, at: float, triggerer: str, payload: Any) -> None:
        """The trigger of a wait has fired; as in Airflow, only what still waits is resumed. All is written down."""
        self._database.execute("begin immediate")
        self._rows("insert into event values (?, ?, ?, ?)", number, at, triggerer, json.dumps(payload))
        self._rows("update wait set closed = ? where id = ? and closed is null", at, number)
        self._database.execute("commit")

    def note(self, sample: Sample) -> None:
        """Write a sample down."""
        row = (
            sample.triggerer,
            sample.pid,
            sample.at,
            sample.rss,
            sample.sockets,
            sample.tasks,
            sample.waits,
        )
        self._rows("insert into sample values (?, ?, ?, ?, ?, ?, ?)", *row)

    def note_stop(self, triggerer: str, pid: int, at: float, tasks: int) -> None:
        """Write down that a process came to its own end."""
        self._rows("insert into stopped values (?, ?, ?, ?)", triggerer, pid, at, tasks)
