"""Distinction of retry and clear: a retry continues the work of the tries before it.

It relies on these facts, each verified in a live Airflow (scheduler and worker of 2.11.2 and 3.3.2):

- ``max_tries`` is set when Airflow creates the task instance, and again when a user clears it: to the number of tries
  so far plus the ``retries`` of the DAG at that moment. A retry keeps it, also after the death of a worker, and so does
  an edit of the DAG file. Each mapped task instance has its own.
- ``retries`` in the worker is that of the present DAG file. Therefore ``max_tries - retries`` is wrong after an edit.
- ``dag_run.clear_number`` counts every clear of any task of the run on Airflow 3.3, and only clears of an ended run
  before. ``dag_run.start_date`` moves when an ended run is cleared; no task of an ended run waits for a retry.
- Airflow 2.11 does not change ``max_tries`` when it clears a task that is running in a worker. That counts as a retry:
  the work continues.
- The task state store (3.3 and later) survives retries and clears, and is deleted with the DAG run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TryMark:
    """Position of a try in the life of its task instance, as Airflow reports it.

    :param try_number: 1 for the first try; never reset.
    :param max_tries: the last try number but one that Airflow allows.
    :param clear_number: number of clears in the DAG run; None if Airflow does not report it.
    :param run_started: start of the DAG run in seconds since the epoch; None if Airflow does not report it.
    """

    try_number: int
    max_tries: int
    clear_number: int | None = None
    run_started: float | None = None

    @classmethod
    def of(cls, context: Context) -> TryMark:
        """Return the mark of the running try."""
        ti, run = context["ti"], context.get("dag_run")
        started = getattr(run, "start_date", None)
        return cls(
            try_number=int(ti.try_number),
            max_tries=int(getattr(ti, "max_tries", None) or 0),
            clear_number=getattr(run, "clear_number", None),
            run_started=started.timestamp() if isinstance(started, datetime) else None,
        )

    @classmethod
    def from_json(cls, data: Any) -> TryMark | None:
        """Read the result of `to_json`; None if there is no mark, as in tickets of older releases."""
        try:
            clears, started = data["clear_number"], data["run_started"]
            return cls(
                try_number=int(data["try_number"]),
                max_tries=int(data["max_tries"]),
                clear_number=None if clears is None else int(clears),
                run_started=None if started is None else float(started),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def to_json(self) -> Mapping[str, Any]:
        """Return the mark as plain JSON, for the task state store."""
        return asdict(self)

    def is_continued_by(self, now: TryMark, retries: int) -> bool:
        """Return whether `now` is the same try or a retry, without a clear in between.

        :param retries: the ``retries`` of the task now, for the one case in which ``max_tries`` does not move: a clear
            after ``retries`` was lowered by the number of tries so far.
        """
        if now.max_tries != self.max_tries or now.try_number < self.try_number:
            return False
        if None not in (now.run_started, self.run_started) and now.run_started != self.run_started:
            return False
        cleared_somewhere = (now.clear_number or 0) > (self.clear_number or 0)
        return not (cleared_somewhere and self.try_number <= now.max_tries - retries < now.try_number)


def is_retry(context: Context, retries: int, stored: TryMark | None = None) -> bool:
    """Return whether this try is a retry without a clear, so that it continues the work of a previous try.

    :param retries: the ``retries`` of the task now.
    :param stored: mark of the previous try. Without one (nothing is stored before Airflow 3.3) the history of the task
        instance decides on Airflow 2, and on other versions ``max_tries - retries``, which an edit of ``retries``
        between two tries falsifies.
    """
    now = TryMark.of(context)
    if stored is not None:
        return stored.is_continued_by(now, retries)
    if now.try_number <= 1:
        return False
    previous = _previous_try(context["ti"])
    if previous is not None:
        mark, succeeded = previous
        return not succeeded and mark.is_continued_by(now, retries)
    return now.try_number > max(now.max_tries - retries + 1, 1)


def _previous_try(ti: Any) -> tuple[TryMark, bool] | None:
    """Read the previous try from the history of a task instance on Airflow 2. Workers of Airflow 3 have no database.

    :return: its mark, and whether it succeeded: a green try has no retry. None if there is no such row.
    """
    if not type(ti).__module__.startswith("airflow.models."):
        return None
    try:
        from airflow.models.taskinstancehistory import TaskInstanceHistory as History
        from airflow.utils.session import create_session

        with create_session() as session:
            row = (
                session.query(History.max_tries, History.state)
                .filter_by(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
                .filter_by(try_number=ti.try_number - 1)
                .first()
            )
    except Exception as error:  # such as a worker without access to the database
        log.debug("Cannot read the history of the task instance: %r", error)
        return None
    if row is None or row[0] is None:
        return None
    return TryMark(ti.try_number - 1, int(row[0])), row[1] == "success"
