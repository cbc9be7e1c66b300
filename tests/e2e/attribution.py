"""Which task sent which request, as far as the requests themselves tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.records import TaskResult

#: Clocks of one machine, but of two processes.
SLACK = 1.0


@dataclass
class Attribution:
    """Requests by task. Those that two tasks may both have sent (polls are shared) and those of nobody in particular
    (the lookup of a project, a token) are counted apart, so that all counts add up to the journal.
    """

    by_task: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    shared: Counter[str] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)

    def of(self, task: TaskResult) -> int:
        """How many requests were this task's alone."""
        return self.by_task[_key(task)]


def attribute(
    journal: Iterable[Mapping[str, Any]], tasks: Iterable[TaskResult], common: Iterable[str]
) -> Attribution:
    """Give each request to the task that was at work then and whose rendered fields name most of what it names.

    :param journal: the emulator's entries, in real time.
    :param common: values that say nothing about who sent a request, such as the project's id.
    """
    ignored = set(common)
    candidates = [(task, set(_leaves(task.fields)) - ignored) for task in tasks]
    found = Attribution()
    for entry in journal:
        named = _named(entry)
        scores = {
            _key(task): len(values & named)
            for task, values in candidates
            if values & named and _at_work(task, float(entry["time"]))
        }
        best = [key for key, score in scores.items() if score == max(scores.values())]
        if len(best) == 1:
            found.by_task[best[0]] += 1
        else:
            label = f"{entry.get('service') or '?'} {entry.get('operation') or entry['path']}"
            (found.shared if best else found.other)[label] += 1
    return found


def _key(task: TaskResult) -> tuple[str, str, str, int]:
    return task.dag_id, task.run_id, task.task_id, task.map_index


def _at_work(task: TaskResult, moment: float) -> bool:
    if task.started is None:
        return False
    return task.started - SLACK <= moment and (task.ended is None or moment <= task.ended + SLACK)


def _named(entry: Mapping[str, Any]) -> set[str]:
    headers = dict(entry.get("headers") or {})
    return {
        *str(entry["path"]).split("/"),
        *_leaves(entry.get("query")),
        *_leaves(entry.get("body")),
        # DataArts Studio takes the workspace as a header.
        *(value for name, value in headers.items() if name.lower() == "workspace"),
    }


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str) and value:
        yield value
