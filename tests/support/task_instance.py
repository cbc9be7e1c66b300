"""A task instance whose numbers move as Airflow moves them: tries, ``max_tries`` and the clears of its DAG run.

`tests/e2e/test_kills.py` sees the same in a live Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from airflow_provider_cloudsync.tasks.tries import TryMark

_BEGAN = datetime(2026, 11, 21, 8, tzinfo=UTC)


@dataclass
class Life:
    """One task instance on Airflow 3.3.

    :param retries: that of the DAG file now; an edit changes nothing else.
    """

    retries: int = 2
    try_number: int = 1
    max_tries: int = -1
    clears: int = 0
    run_starts: int = 0

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    def retry(self) -> None:
        self.try_number += 1

    def edit(self, retries: int) -> None:
        self.retries = retries

    def clear(self, *, ended_run: bool = False) -> None:
        self.max_tries = self.try_number + self.retries
        self.try_number += 1
        self.clears += 1
        self.run_starts += ended_run

    def clear_another(self) -> None:
        """Clear another task of the DAG run."""
        self.clears += 1

    def do(self, *steps: Any) -> None:
        """Take steps, each a name or a pair of a name and its argument."""
        for step in steps:
            name, argument = step if isinstance(step, tuple) else (step, None)
            if name == "clear ended run":
                self.clear(ended_run=True)
            elif argument is not None:
                getattr(self, name)(argument)
            else:
                getattr(self, name.replace(" ", "_"))()

    @property
    def run(self) -> Any:
        """The DAG run as the context of a task has it."""
        started = _BEGAN + timedelta(hours=self.run_starts)
        return SimpleNamespace(clear_number=self.clears, start_date=started)

    @property
    def numbers(self) -> dict[str, Any]:
        """The arguments of `World.context`."""
        return {"try_number": self.try_number, "max_tries": self.max_tries, "run": self.run}

    @property
    def mark(self) -> TryMark:
        ti = SimpleNamespace(try_number=self.try_number, max_tries=self.max_tries)
        return TryMark.of({"ti": ti, "dag_run": self.run})
