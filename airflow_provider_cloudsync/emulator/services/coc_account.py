"""One account at a cloud vendor that COC knows, and the synchronizations of its resources.

The row of the account is the only place where a synchronization shows: its task id leads nowhere. One after
the other the row shows nothing new, ``waiting``, ``running``, and how it ended.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider_cloudsync.emulator.account import DAY, Account
from airflow_provider_cloudsync.emulator.clock import instant, milliseconds
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader

VENDORS = ("RMS", "AWS", "AZURE", "ALI", "VMWARE", "OPENSTACK", "HCS", "OTHER")
STATES = ("waiting", "running", "success", "failed")
IGNORED = "ignored"
OUTCOMES = ("succeeded", "failed", "never_ends")
DATE_FORMATS = ("naive", "zulu", "ms")
#: A secret that must get into no log; of a shape that is easy to look for.
ACCESS_KEY = "AKIAEXAMPLEACCESSKEY"
FAILURE = "The vendor refused the access key of the account."


@dataclass(frozen=True)
class AccountSync:
    """A synchronization of the account.

    :param accepted: when it was asked for.
    :param shows: from when on the row shows ``waiting``.
    :param starts: from when on it shows ``running``.
    :param ends: None for never.
    """

    accepted: float
    shows: float
    starts: float
    ends: float | None
    outcome: str
    by: str
    task_id: str | None = None

    def over(self, now: float) -> bool:
        """Return whether it has ended."""
        return self.ends is not None and self.ends <= now

    def describe(self, now: float) -> dict[str, Any]:
        """The run as JSON."""
        over = self.over(now)
        return {
            "by": self.by,
            "task_id": self.task_id,
            "accepted": self.accepted,
            "started": self.starts if self.starts <= now else None,
            "ended": self.ends if over else None,
            "outcome": self.outcome if over else None,
        }


class VendorAccount:
    """An account as the scenario describes it.

    :param began: the emulated time that the scenario's offsets count from.
    """

    def __init__(self, cmdb_id: str, reader: Reader, account: Account, began: float) -> None:
        self.id = cmdb_id
        self._began = began
        self.vendor = reader.text("vendor", "AWS", choices=VENDORS)
        self.account_id = reader.text("account_id", reader.needed("account_id"))
        self.account_name = reader.text("account_name", self.account_id)
        self._access_key = reader.text("ak", ACCESS_KEY)
        self.domain_id = reader.text("domain_id", account.domain_id)
        self._initial = (
            reader.text("sync_status", "success", choices=STATES),
            reader.moment("sync_date", began, -DAY),
            reader.text("failure_msg", None),
        )
        self._shows_after = reader.number("shows_after", 1)
        self._starts_after = reader.number("starts_after", 1)
        self._seconds = reader.number("seconds", 10)
        self._outcomes = reader.series("outcome", "succeeded", choices=(*OUTCOMES, IGNORED))
        self._failure = reader.text("failure", FAILURE)
        self._clears_failure = reader.flag("clears_failure")
        self._dates_start = reader.text("dates", "end", choices=("end", "start")) == "start"
        self._lag = reader.number("status_lag", 0)
        if self._lag and not self._dates_start:
            raise BadInput(f'{reader.at("status_lag")} needs "dates": "start"')
        self._added_at = reader.number("added_at", None)
        self._removed_at = reader.number("removed_at", None)
        foreign = [self._foreign(each) for each in reader.children("foreign_runs")]
        self._scripted = deque(sorted(foreign, key=lambda run: run.accepted))
        self._runs: list[AccountSync] = []
        self._asked = 0
        reader.done()

    def _foreign(self, reader: Reader) -> AccountSync:
        at = instant(self._began + reader.number("at"))
        run = self._run(
            at,
            at,
            reader.number("starts_after", 0),
            reader.number("seconds", self._seconds),
            reader.text("outcome", "succeeded", choices=OUTCOMES),
        )
        reader.done()
        return run

    def _run(
        self,
        accepted: float,
        shows: float,
        waits: float,
        seconds: float,
        outcome: str,
        by: str = "foreign",
        task_id: str | None = None,
    ) -> AccountSync:
        starts = instant(shows + waits)
        # A status that lags behind must have caught up before the run is over.
        ends = None if outcome == "never_ends" else instant(starts + max(seconds, self._lag))
        return AccountSync(accepted, shows, starts, ends, outcome, by, task_id)

    def present(self, now: float) -> bool:
        """Return whether there is such an account at that time."""
        if self._added_at is not None and now < instant(self._began + self._added_at):
            return False
        return self._removed_at is None or now < instant(self._began + self._removed_at)

    def accept(self, now: float, task_id: str) -> bool:
        """Take in a synchronization; False when nothing comes of it."""
        self._catch_up(now)
        if self._busy(now):
            return False
        outcome = self._outcomes[min(self._asked, len(self._outcomes) - 1)]
        self._asked += 1
        if outcome == IGNORED:
            return False
        shows = instant(now + self._shows_after)
        run = self._run(now, shows, self._starts_after, self._seconds, outcome, "request", task_id)
        self._runs.append(run)
        return True

    def _busy(self, now: float) -> bool:
        """Return whether a run is under way, so that another one would have nothing to do."""
        # Waiting, on the other hand, is what an account shows at first that nobody has synchronized so far.
        return self._occupied(now) if self._runs else self._initial[0] == "running"

    def _occupied(self, now: float) -> bool:
        return bool(self._runs) and not self._runs[-1].over(now)

    def _catch_up(self, now: float) -> None:
        """Write down the runs of others that have begun since the last look."""
        while self._scripted and self._scripted[0].accepted <= now:
            run = self._scripted.popleft()
            # What runs at first without an end gives way to the script, which says how it goes on.
            if not self._occupied(run.accepted):
                self._runs.append(run)

    def succeeded(self, now: float) -> bool:
        """Return whether any run has brought in the vendor's resources by `now`."""
        self._catch_up(now)
        return any(run.over(now) and run.outcome == "succeeded" for run in self._runs)

    def _seen(self, now: float) -> tuple[str, float | None, str | None]:
        """Status, date and failure as the row shows them."""
        self._catch_up(now)
        status, date, failure = self._initial
        for run in self._runs:
            if now < run.shows:
                break
            if run.shows < run.starts:
                status = "waiting"
            if now < run.starts:
                break
            if self._dates_start:
                date = run.starts
                if now < instant(run.starts + self._lag):
                    break
            status = "running"
            if run.ends is None or now < run.ends:
                break
            if not self._dates_start:
                date = run.ends
            if run.outcome == "failed":
                status, failure = "failed", self._failure
            else:
                status, failure = "success", None if self._clears_failure else failure
        return status, date, failure

    def row(self, now: float, date_format: str) -> dict[str, Any]:
        """The account as the list shows it."""
        status, date, failure = self._seen(now)
        created = self._began - 30 * DAY
        return {
            "id": self.id,
            "vendor": self.vendor,
            "account_id": self.account_id,
            "account_name": self.account_name,
            "domain_id": self.domain_id,
            "ak": self._access_key,
            "sync_status": status,
            "failure_msg": failure,
            "sync_date": written(date, date_format),
            "create_time": written(created, date_format),
            # Unconfirmed: whether runs move it. Here they do not.
            "update_time": written(created, date_format),
        }

    def describe(self, now: float) -> dict[str, Any]:
        """All of the account as JSON, but for its access key."""
        status, date, failure = self._seen(now)
        return {
            "vendor": self.vendor,
            "account_id": self.account_id,
            "present": self.present(now),
            "sync_status": status,
            "sync_date": date,
            "failure_msg": failure,
            "runs": [run.describe(now) for run in self._runs],
        }


def written(time: float | None, date_format: str) -> str | int | None:
    """A time as text in UTC, with a ``Z`` or without, or as milliseconds; the real format is unconfirmed."""
    if time is None:
        return None
    if date_format == "ms":
        return milliseconds(time)
    text = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}Z" if date_format == "zulu" else text
