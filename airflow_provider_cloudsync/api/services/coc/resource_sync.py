"""COC: synchronize the resources of other clouds.

The start returns a task ID that no API accepts. Polls read the row of each account: its ``sync_status``, and
``sync_date``, which changes with each run. A row keeps the result of its last run, so only the date distinguishes a new
success or ``failure_msg`` from an old one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.clocks import (
    NO_CLOCK,
    ServiceClock,
    has_moved_since,
    is_fresh,
    lag_left,
    learn_clock,
)
from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import (
    CONFIRM_ABSENCE,
    CONFIRM_FAILURE,
    CONFIRM_SUCCESS,
    RAN_KEY,
    STATE_LAG,
    Phase,
    Progress,
    Stage,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.services.coc.calls import (
    SERVICE,
    VendorAccount,
    checked_account,
    checked_vendor,
    poll_accounts,
    sync_resources,
)
from airflow_provider_cloudsync.api.text import one_line, shown
from airflow_provider_cloudsync.api.times import (
    ServiceTime,
    as_text,
    earliest_ms,
    epoch_ms,
    is_unreadable,
    read_service_time,
)
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent

_CONSOLE = Console("the COC console, at the vendor's accounts", SERVICE, "coc")
#: Seconds after a start in which the rows may not show the run.
_SETTLE = 10.0
_UNDER_WAY = ("waiting", "running")
_ENDED = ("success", "failed")
#: Key in the baseline: clock of the service when the baseline was taken, in ms.
_DATE_KEY = "date"


def resources_target(
    vendor: str, *, account_id: str | None = None, settle: float = STATE_LAG
) -> dict[str, Any]:
    """Return the checked target of a synchronization.

    :param account_id: the vendor's own ID of the account; None: all accounts of the vendor.
    :param settle: seconds by which ``sync_status`` may lag behind ``sync_date``.
    """
    return {"vendor": checked_vendor(vendor), "account_id": checked_account(account_id), "settle": settle}


def resources_watch_target(
    vendor: str, *, account_id: str | None = None, synced_after: Any, settle: float = STATE_LAG
) -> dict[str, Any]:
    """Return the checked target of a wait.

    :param synced_after: earliest ``sync_date`` of a run to accept; None: accept the last run at any time.
    :param settle: see `resources_target`.
    """
    after = None if synced_after is None else epoch_ms(synced_after, "synced_after")
    return {**resources_target(vendor, account_id=account_id, settle=settle), "synced_after": after}


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """State of an account at one poll.

    :param row_id: COC's own ID; several rows may have the same `account_id`.
    :param sync_date: see `airflow_provider_cloudsync.api.times.ServiceTime`.
    """

    row_id: str
    account_id: str
    account_name: str
    sync_status: str
    sync_date: ServiceTime
    failure_msg: str = ""

    @property
    def label(self) -> str:
        """Return the account for a message."""
        named = self.account_name and self.account_name != self.account_id
        name = f" ({one_line(self.account_name, 60)})" if named else ""
        return f"{one_line(self.account_id, 64)}{name}"

    @property
    def is_under_way(self) -> bool:
        """Return whether a run is active or queued. An account that was never synchronized is ``waiting``, too."""
        return self.sync_status == "running" or (self.sync_status == "waiting" and self.sync_date is not None)


@dataclass(frozen=True, slots=True)
class Seen:
    """State of all accounts of a vendor, by the vendor's ID.

    :param clock: clock of the service at the first page.
    """

    accounts: Mapping[str, tuple[AccountSeen, ...]]
    clock: ServiceClock = NO_CLOCK

    @classmethod
    def of(cls, rows: Iterable[AccountSeen], clock: ServiceClock = NO_CLOCK) -> Seen:
        """Return the state that these rows show."""
        found: dict[str, tuple[AccountSeen, ...]] = {}
        for row in rows:
            found[row.account_id] = (*found.get(row.account_id, ()), row)
        return cls(found, clock)

    def of_target(self, target: Target) -> list[AccountSeen]:
        """Return the rows of a target."""
        if target["account_id"] is not None:
            return list(self.accounts.get(target["account_id"], ()))
        return [row for rows in self.accounts.values() for row in rows]


def _seen(row: VendorAccount, zone_ms: int | None = None) -> AccountSeen:
    message = row.get("failure_msg")
    return AccountSeen(
        row_id=row["id"],
        account_id=str(row.get("account_id") or ""),
        account_name=str(row.get("account_name") or ""),
        sync_status=str(row.get("sync_status") or "").strip().lower(),
        sync_date=read_service_time(row.get("sync_date"), zone_ms),
        failure_msg=message if isinstance(message, str) else "",
    )


@dataclass(frozen=True, slots=True)
class ResourceSync:
    """Starts a synchronization of resources of another cloud and waits for its end."""

    name: str = "coc"
    min_poll_interval: float = 2.0
    console: Console = _CONSOLE

    def describe(self, target: Target) -> str:
        account = target["account_id"]
        which = f"account {account}" if account is not None else "all accounts"
        return f"Resource sync of {which} of {target['vendor']}"

    def key(self, target: Target) -> Hashable:
        return str(target["vendor"])

    def settle(self, target: Target) -> float:
        return _SETTLE

    def split(self, target: Target) -> list[Target]:
        return [target]

    def identity(self, target: Target) -> Target:
        return {name: value for name, value in target.items() if name != "settle"}

    def observe(self, cloud: Cloud, target: Target) -> Flow[Seen]:
        """Poll all accounts of the vendor, so that all waits for the vendor share one poll."""
        rows, clock = yield from poll_accounts(cloud, target["vendor"])
        return Seen.of([_seen(row, cloud.service_zone_ms) for row in rows], clock)

    def can_start(self, target: Target, seen: Seen) -> Progress:
        rows = seen.of_target(target)
        if not rows:
            return _no_account(target, seen)
        busy = [row.label for row in rows if row.is_under_way]
        if busy:
            return Progress(
                Phase.RUNNING,
                f"Another sync is running: {_first_ten(busy)}. This one starts when that one ends.",
            )
        return Progress(Phase.SUCCEEDED, "No sync is running.")

    def is_satisfied_by_running(self, target: Target, seen: Seen) -> bool:
        rows = seen.of_target(target)
        return bool(rows) and all(row.is_under_way for row in rows)

    def baseline(self, target: Target, seen: Seen) -> Mapping[str, Any]:
        rows = seen.of_target(target)
        accounts = {row.row_id: [row.sync_status, row.sync_date] for row in rows}
        return {"accounts": accounts, _DATE_KEY: seen.clock.now}

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        task, request_id = yield from sync_resources(cloud, target["vendor"], target["account_id"])
        return {"request_id": request_id, "task_id": task["data"]}

    def is_busy(self, error: CloudSyncError) -> bool:
        return False

    def has_started(self, ticket: Ticket, seen: Seen) -> bool:
        known = accounts_before(ticket)
        return any(row.is_under_way or _is_new(ticket, known, row) for row in seen.of_target(ticket.target))

    def would_be_visible(self, ticket: Ticket) -> bool:
        # sync_date changes with each run. But an account before its first run looks the same before and after the
        # start, and an unreadable date may not change.
        known = accounts_before(ticket) or {}
        return all(status != "waiting" and not is_unreadable(date) for status, date in known.values())

    def learn(self, ticket: Ticket, seen: Seen) -> Ticket:
        """Store which accounts were running, and the clock that the times of a watch are compared with."""
        if ticket.stage is Stage.QUEUED:
            return ticket
        rows = seen.of_target(ticket.target)
        baseline = ticket.baseline
        known = baseline.get(RAN_KEY, {})
        ran = {**known, **{row.row_id: row.sync_date for row in rows if row.is_under_way}}
        if ran != known:
            baseline = {**baseline, RAN_KEY: ran}
        if ticket.stage is Stage.WATCHING:
            times = {row.row_id: row.sync_date for row in rows}
            baseline = learn_clock(baseline, ticket.target["synced_after"], times, seen.clock)
        return ticket if baseline is ticket.baseline else replace(ticket, baseline=baseline)

    def judge(self, ticket: Ticket, seen: Seen, now: float) -> Progress:
        """Return the verdict. FAILED only after all accounts have ended, so that the message names all failures."""
        rows = seen.of_target(ticket.target)
        return self._judge(ticket, seen, rows, now).of_run(*(row.sync_date for row in rows))

    def _judge(self, ticket: Ticket, seen: Seen, rows: list[AccountSeen], now: float) -> Progress:
        if not rows:
            return _no_account(ticket.target, seen)
        known, warning = accounts_before(ticket), ""
        gone = sorted({*(known or ())} - {row.row_id for row in rows})
        waiting: list[str] = []
        failed = [f"account row {one_line(each, 64)} was removed from COC" for each in gone]
        of = len(rows) + len(gone)
        confirm_for = CONFIRM_SUCCESS
        for row in rows:
            counts, about = _counts(ticket, known, row, seen)
            warning = about or _row_warning(row) or warning
            if counts is None:
                failed.append(f"{row.label}: {about} Set the clock")
            elif _was_added_later(ticket, known, row):
                of -= 1
                warning = f"Ignoring account {row.label}: it was added after the start."
            elif row.sync_status not in _ENDED or not counts:
                waiting.append(f"{row.label}: {_state(row)}")
            else:
                confirm_for = max(confirm_for, _lag_left(ticket, known, row, seen, now))
                if row.sync_status == "failed":
                    failed.append(f"{row.label}: {one_line(row.failure_msg, 300) or 'no reason given'}")
        vendor = ticket.target["vendor"]
        if waiting:
            why = f"{of - len(waiting) - len(failed)} of {of} accounts done. {_first_ten(waiting)}."
            if failed:
                why += f" Failed: {_first_ten(failed).rstrip('.')}."
            return Progress(Phase.RUNNING, why, warning)
        if failed:
            only_gone = len(failed) == len(gone)
            hold = max(confirm_for, CONFIRM_ABSENCE if gone else CONFIRM_FAILURE)
            why = (
                f"Sync failed for {len(failed)} of {of} {vendor} accounts: {_first_ten(failed).rstrip('.')}."
            )
            return Progress(Phase.FAILED, why, warning, confirm_for=hold, absent=only_gone)
        why = f"Synchronized: {_first_ten([row.label for row in rows])}."
        return Progress(Phase.SUCCEEDED, why, warning, confirm_for=confirm_for)


def _no_account(target: Target, seen: Seen) -> Progress:
    """Return a FAILED that needs confirmation: one poll of an empty list proves nothing."""
    vendor = target["vendor"]
    if target["account_id"] is None:
        why = f"COC has no account of {vendor}. Add one in the COC console first."
    else:
        there = [row.label for rows in seen.accounts.values() for row in rows]
        has = f"known: {_first_ten(there)}" if there else "it has none"
        why = f"COC has no account {shown(target['account_id'])} of {vendor} ({has})."
    return Progress(Phase.FAILED, why, confirm_for=CONFIRM_ABSENCE, absent=True)


#: Status and date of each account before the start; None for an adopted run, whose end is its own because a poll saw it
#: running.
Known = Mapping[str, tuple[Any, Any]] | None


def accounts_before(ticket: Ticket) -> Known:
    """Return status and date of each account before the start, from the ticket.

    :raises InvalidEvent: if they are malformed.
    """
    accounts = ticket.baseline.get("accounts")
    if accounts is None:
        return None
    try:
        return {name: (status, date) for name, (status, date) in accounts.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidEvent(
            "The ticket is damaged: unreadable baseline of the COC accounts. Clear the task to start it again."
        ) from error


def _is_new(ticket: Ticket, known: Known, row: AccountSeen) -> bool:
    """Return whether a row has changed since the start."""
    if known is None or row.row_id in ticket.baseline.get(RAN_KEY, {}):
        return True
    if row.row_id not in known:
        return _began_since(ticket, row)
    status, date = known[row.row_id]
    taken = ticket.baseline.get(_DATE_KEY) if status == row.sync_status else None
    # Not documented: whether a failure changes the date. A failure after a success is new in any case.
    return has_moved_since(date, row.sync_date, taken) or (
        row.sync_status == "failed" and status not in (None, "failed")
    )


def _began_since(ticket: Ticket, row: AccountSeen) -> bool:
    """Return whether the run of a row that is not in the baseline began after it, by the clock of the service."""
    taken, earliest = ticket.baseline.get(_DATE_KEY), earliest_ms(row.sync_date)
    return taken is not None and earliest is not None and earliest >= taken


def _counts(ticket: Ticket, known: Known, row: AccountSeen, seen: Seen) -> tuple[bool | None, str]:
    """Return whether the end of a row belongs to an accepted run (None: unknown), and a warning."""
    if ticket.stage is not Stage.WATCHING:
        return _is_new(ticket, known, row), ""
    after = ticket.target["synced_after"]
    fresh = is_fresh(ticket.baseline, after, row.sync_date, seen.clock, row.row_id)
    return fresh.counts, fresh.warning


def _was_added_later(ticket: Ticket, known: Known, row: AccountSeen) -> bool:
    """Return whether a row was added after the start and shows no run since: the start did not include it."""
    return (
        known is not None
        and row.row_id not in known
        and not row.is_under_way
        and not _is_new(ticket, known, row)
    )


def _lag_left(ticket: Ticket, known: Known, row: AccountSeen, seen: Seen, now: float) -> float:
    """Return the seconds for which the status may still belong to the previous run: ``sync_date`` can change first."""
    ran = ticket.baseline.get(RAN_KEY, {})
    if row.row_id in ran and (ticket.stage is not Stage.WATCHING or ran[row.row_id] == row.sync_date):
        return 0.0  # in a watch, only for the run that a poll saw running
    status = (known or {}).get(row.row_id, (row.sync_status, None))[0]
    if status != row.sync_status:
        return 0.0  # the status was written after the start
    since = None if ticket.stage is Stage.WATCHING else ticket.started_at
    lag = float(ticket.target.get("settle", STATE_LAG))
    return lag_left(lag, row.sync_date, seen.clock, now, since)


def _row_warning(row: AccountSeen) -> str:
    if row.sync_status not in (*_UNDER_WAY, *_ENDED):
        status = shown(row.sync_status)
        return f"Unrecognized sync_status {status} of {row.label}. The wait continues until its deadline."
    if is_unreadable(row.sync_date):
        return f"Unreadable sync_date {shown(row.sync_date)} of {row.label}: a new run cannot be told from an old one."
    return ""


def _state(row: AccountSeen) -> str:
    date = row.sync_date
    last = "never synchronized" if date is None else f"last sync {as_text(date)}"
    return f"{one_line(row.sync_status, 40) or 'no status'}; {last}"


def _first_ten(labels: list[str]) -> str:
    """Return the first ten labels, and the number of the others."""
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return ", ".join(labels[:10]) + more


RESOURCE_SYNC = ResourceSync()
