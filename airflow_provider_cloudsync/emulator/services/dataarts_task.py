"""One member sync task of DataArts Studio, and the runs that its schedule and the scenario's script give it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_cloudsync.emulator.account import Account
from airflow_provider_cloudsync.emulator.clock import instant, milliseconds
from airflow_provider_cloudsync.emulator.reading import Reader

SCHEDULE_STATES = ("NOT_SCHEDULE", "SCHEDULING")
PERIODS = {"MINUTE": 60, "HOUR": 3600}
#: A jump over years must not fill the memory with runs.
KEPT_RUNS = 200


@dataclass(frozen=True)
class TaskRun:
    """A run of the task; `ends` is None when it never does."""

    starts: float
    ends: float | None
    outcome: str
    message: str
    by: str

    def describe(self, now: float) -> dict[str, Any]:
        """The run as JSON."""
        over = self.ends is not None and self.ends <= now
        return {
            "by": self.by,
            "started": self.starts,
            "ended": self.ends if over else None,
            "outcome": self.outcome if over else None,
        }


class MemberSyncTask:
    """A task as the scenario describes it.

    :param began: the emulated time that the scenario's offsets count from.
    """

    def __init__(self, task_id: str, reader: Reader, account: Account, began: float) -> None:
        self.id = task_id
        self.workspace = reader.text("workspace", "example-workspace")
        self.project_id = reader.text("project_id", account.main_project)
        self._began = began
        self._seconds = reader.number("seconds", 10)
        self._outcomes = reader.series("outcome", "SYNC_SUCCESS")
        self._lag = reader.number("status_lag", 0)
        initial_time = reader.moment("sync_time", began)
        self._initial = (
            reader.text("sync_status", "NOT_SYNC"),
            None if initial_time is None else milliseconds(initial_time),
            reader.text("sync_msg"),
        )
        self._read_schedule(reader)
        self._scripted = deque(
            sorted((self._script(each) for each in reader.children("runs")), key=lambda run: run.starts)
        )
        created = milliseconds(began - 30 * 86_400)
        self._fixed: dict[str, Any] = {
            "id": task_id,
            "project_id": self.project_id,
            "domain_id": account.domain_id,
            "instance_id": reader.text("instance_id", "e0000000000000000000000000000001"),
            "data_connection_workspace": reader.text("data_connection_workspace", self.workspace),
            "data_connection_id": reader.text("data_connection_id", "e0000000000000000000000000000002"),
            "data_connection_name": reader.text("data_connection_name", "example-connection"),
            "cluster_id": reader.text("cluster_id", reader.text("cluster_name", "example-cluster")),
            "cluster_name": reader.text("cluster_name", "example-cluster"),
            "cluster_type": reader.text("cluster_type", "MRS", choices=("MRS", "DWS")),
            "create_time": created,
            "create_user": account.user,
            # Runs leave it as it is: the cloud's own example shows that.
            "update_time": created,
            "update_user": account.user,
        }
        self._runs: deque[TaskRun] = deque(maxlen=KEPT_RUNS)
        self._scheduled = 0
        reader.done()

    def _read_schedule(self, reader: Reader) -> None:
        self._schedule_status = reader.text("schedule_status", "NOT_SCHEDULE", choices=SCHEDULE_STATES)
        self._period = reader.text("schedule_period", "HOUR", choices=PERIODS)
        self._interval = reader.whole("schedule_interval", 1, least=1, most=1000)
        self._start_hour = reader.whole("schedule_start_hour", 0, most=23)
        # The hours are a half-open window, so that no end within 0..23 includes the last hour: the same hour twice
        # (or 24, which is shown as 0) is the whole day.
        self._end_hour = reader.whole("schedule_end_hour", 0, most=24) % 24
        self._first_run_at = reader.number("first_run_at", self._interval * PERIODS[self._period])

    def _script(self, reader: Reader) -> TaskRun:
        starts = instant(self._began + reader.number("at"))
        seconds = reader.number("seconds", self._seconds if "seconds" not in reader.keys() else None)
        run = TaskRun(
            starts,
            None if seconds is None else instant(starts + seconds),
            reader.text("outcome", "SYNC_SUCCESS"),
            reader.text("msg"),
            "script",
        )
        reader.done()
        return run

    def show(self, now: float) -> dict[str, Any]:
        """The task as the service shows it."""
        self._catch_up(now)
        status, time, message = self._seen(now)
        return {
            **self._fixed,
            "schedule_start_hour": self._start_hour,
            "schedule_end_hour": self._end_hour,
            "schedule_period": self._period,
            "schedule_interval": self._interval,
            "schedule_status": self._schedule_status,
            "sync_status": status,
            "sync_msg": message,
            "sync_time": time,
        }

    def describe(self, now: float) -> dict[str, Any]:
        """All of the task as JSON."""
        return {
            **self.show(now),
            "workspace": self.workspace,
            "runs": [run.describe(now) for run in self._runs],
        }

    def _seen(self, now: float) -> tuple[str, int | None, str]:
        if not self._runs:
            return self._initial
        run = self._runs[-1]
        time = milliseconds(run.starts)
        if now < instant(run.starts + self._lag):
            before = self._runs[-2] if len(self._runs) > 1 else None
            return (
                (before.outcome, time, before.message)
                if before
                else (self._initial[0], time, self._initial[2])
            )
        if run.ends is None or now < run.ends:
            return "SYNCING", time, ""
        return run.outcome, time, run.message

    def _catch_up(self, now: float) -> None:
        """Write down the runs that have started since the last look."""
        while True:
            due = self._next_scheduled()
            if self._scripted and (due is None or self._scripted[0].starts <= due):
                if self._scripted[0].starts > now:
                    return
                self._runs.append(self._scripted.popleft())
            elif due is not None and due <= now:
                outcome = self._outcomes[min(self._scheduled, len(self._outcomes) - 1)]
                self._scheduled += 1
                message = _log(due, outcome)
                self._runs.append(TaskRun(due, instant(due + self._seconds), outcome, message, "schedule"))
            else:
                return

    def _next_scheduled(self) -> float | None:
        """When the schedule starts the next run: an interval after the last one, however that was started."""
        if self._schedule_status != "SCHEDULING":
            return None
        if not self._runs:
            return self._in_window(instant(self._began + self._first_run_at))
        last = self._runs[-1]
        if last.ends is None:
            return None
        return self._in_window(max(instant(last.starts + self._interval * PERIODS[self._period]), last.ends))

    def _in_window(self, time: float) -> float:
        if self._start_hour == self._end_hour:
            return time
        moment = datetime.fromtimestamp(time, UTC)
        open_hours = (self._end_hour - self._start_hour) % 24
        if (moment.hour - self._start_hour) % 24 < open_hours:
            return time
        opens = moment.replace(hour=self._start_hour, minute=0, second=0, microsecond=0)
        return (opens if opens > moment else opens + timedelta(days=1)).timestamp()


def _log(starts: float, outcome: str) -> str:
    moment = datetime.fromtimestamp(starts, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"[{moment}] ===> Member synchronization finished: {outcome}"
