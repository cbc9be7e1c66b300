"""What really became of each task, read from Airflow's metadata database and its log files."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e.databases import Database

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class TaskResult:
    """One task instance.

    :param states_seen: every state it was seen in, in order, looked at twice a second.
    :param triggers: how many logs of triggers it has: one for each attempt that was deferred, and triggerer.
    :param reschedules: how often it gave its slot back and was poked again.
    :param fields: its rendered template fields.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    started: float | None
    ended: float | None
    states_seen: tuple[str, ...]
    triggers: int
    reschedules: int
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task's id, with the index of a mapped task."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def seconds(self) -> float | None:
        """From its first start to its end, all waiting included."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    @property
    def deferred(self) -> bool:
        """Whether a trigger really waited for it."""
        return self.triggers > 0 or "deferred" in self.states_seen

    @property
    def mode(self) -> str:
        """How it waited, from what was seen and not from what it was told to do; "" where it never ran."""
        if not self.try_number:
            return ""
        if self.deferred:
            return "deferred"
        rescheduled = self.reschedules or "up_for_reschedule" in self.states_seen
        return "rescheduled" if rescheduled else "blocking"


class Records:
    """Reads the metadata database, and watches it in the background so that no state is missed.

    :param home: the AIRFLOW_HOME.
    :param database: the metadata database.
    :param interval: seconds between two looks of the background watch.
    """

    def __init__(self, home: Path, database: Database, interval: float = 0.5) -> None:
        self._database = database
        self._logs = home / "logs"
        self._interval = interval
        self._seen: dict[Key, list[str]] = {}
        self._started: dict[Key, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._watching, name="records", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._watch.start()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self._database.rows(query, *values)

    def run_states(self, runs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """States of DAG runs, by (dag_id, run_id)."""
        found = {
            (dag, run): state for dag, run, state in self.rows("select dag_id, run_id, state from dag_run")
        }
        return {run: found.get(run, "none") for run in runs}

    def tasks(self, dag_id: str, run_id: str) -> list[TaskResult]:
        """The task instances of a run as they are now, in the order of their starts."""
        self._look()
        same = self._reschedules_of_task()
        rows = self.rows(
            "select dag_id, run_id, task_id, map_index, state, try_number, start_date, end_date, "
            f"(select count(*) from task_reschedule r where {same}) "
            "from task_instance ti where dag_id = ? and run_id = ? order by start_date, task_id, map_index",
            dag_id,
            run_id,
        )
        fields = self._fields(dag_id, run_id)
        results = []
        for *names, state, tries, start, end, reschedules in rows:
            key: Key = tuple(names)
            with self._lock:
                seen = tuple(self._seen.get(key, ()))
                started = self._started.get(key, _epoch(start))
            results.append(
                TaskResult(
                    *key,
                    state=state,
                    try_number=tries,
                    started=started,
                    ended=_epoch(end),
                    states_seen=seen,
                    triggers=len(list(self.log_dir(*key).glob("attempt=*.log.trigger.*.log"))),
                    reschedules=reschedules,
                    fields=fields.get(key, {}),
                )
            )
        return results

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, key: str = "return_value"
    ) -> Any:
        """A value that a task left, or None."""
        rows = self.rows(
            "select value from xcom where dag_id = ? and run_id = ? and task_id = ? and map_index = ? and key = ?",
            *(dag_id, run_id, task_id, map_index, key),
        )
        value: Any = rows[0][0] if rows else "null"
        while isinstance(value, bytes | str):
            try:
                value = json.loads(value)
            except ValueError:
                break
        return value

    def log_dir(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Path:
        """Where the logs of a task instance are."""
        path = self._logs / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return path if map_index < 0 else path / f"map_index={map_index}"

    def logs(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, of: str = "task") -> str:
        """All attempts' logs of a task instance as text: of the "task" or of its "trigger"."""
        files = sorted(self.log_dir(dag_id, run_id, task_id, map_index).glob("attempt=*.log*"))
        wanted = [path for path in files if (".trigger." in path.name) == (of == "trigger")]
        return "\n".join(_readable(line) for path in wanted for line in path.read_text().splitlines())

    def _reschedules_of_task(self) -> str:
        if "ti_id" in self._database.columns("task_reschedule"):  # Airflow 3
            return "r.ti_id = ti.id"
        return " and ".join(f"r.{name} = ti.{name}" for name in ("dag_id", "run_id", "task_id", "map_index"))

    def _fields(self, dag_id: str, run_id: str) -> dict[Key, dict[str, Any]]:
        rows = self.rows(
            "select dag_id, run_id, task_id, map_index, rendered_fields from rendered_task_instance_fields "
            "where dag_id = ? and run_id = ?",
            dag_id,
            run_id,
        )
        return {(dag, run, task, index): json.loads(text) for dag, run, task, index, text in rows}

    def _watching(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._look()
            except self._database.Error:
                continue  # busy, or not made yet: the next look comes soon

    def _look(self) -> None:
        rows = self.rows("select dag_id, run_id, task_id, map_index, state, start_date from task_instance")
        with self._lock:
            for *names, state, start in rows:
                key: Key = tuple(names)
                seen = self._seen.setdefault(key, [])
                if state and (not seen or seen[-1] != state):
                    seen.append(state)
                if (started := _epoch(start)) is not None:
                    self._started[key] = min(started, self._started.get(key, started))


def _epoch(text: str | None) -> float | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _readable(line: str) -> str:
    """A line of a log of Airflow 3, which is JSON, as text; any other line as it is."""
    try:
        entry = json.loads(line)
        moment, level, event = entry.pop("timestamp", ""), entry.pop("level", ""), entry.pop("event", "")
    except (ValueError, AttributeError):
        return line
    text = f"{moment} {level.upper()} {event}"
    for error in entry.get("error_detail") or ():
        for frame in error.get("frames", ())[-3:]:
            text += f"\n    {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}"
        text += f"\n  {error.get('exc_type')}: {error.get('exc_value')}"
    return text
