"""COC: synchronizing the resources of other clouds; what to make of what the accounts show.

The start returns a task id that no call takes. What can be watched is the row of each account: its ``sync_status``,
and ``sync_date``, which moves with each run. A row keeps the result of its last run, so an old success, and an old
``failure_msg``, look like new ones but for the date.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Request
from airflow_provider_cloudsync.api.model import Phase, Probe, Progress, Stage, Target, Ticket
from airflow_provider_cloudsync.api.services.coc_calls import (
    SERVICE,
    VendorAccount,
    checked_account,
    checked_vendor,
    look_at_accounts,
    sync_resources,
)
from airflow_provider_cloudsync.api.services.parameters import epoch_ms, iso, ms_or_none
from airflow_provider_cloudsync.api.text import one_line, shown
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent

_CONSOLE = Console("the COC console, at the vendor's accounts", SERVICE, "coc")
#: Seconds after a start in which the rows may not show it yet.
_SETTLE = 10.0
#: Whether ``sync_date`` is when a run starts or when it ends is not documented. If it is the start, the status may
#: follow a moment later, and until then an old one would look like the new run's (seconds).
_STATUS_LAG = 5.0
_UNDER_WAY = ("waiting", "running")


def resources_target(vendor: str, *, account_id: str | None = None) -> dict[str, Any]:
    """What to synchronize, checked.

    :param account_id: the vendor's own id of the account; None: every account of the vendor.
    """
    return {"vendor": checked_vendor(vendor), "account_id": checked_account(account_id)}


def resources_watch_target(
    vendor: str, *, account_id: str | None = None, synced_after: Any
) -> dict[str, Any]:
    """What to watch, checked.

    :param synced_after: only a run with a ``sync_date`` then or later counts; None: the last one, whenever it was.
    """
    after = None if synced_after is None else epoch_ms(synced_after, "synced_after")
    return {**resources_target(vendor, account_id=account_id), "synced_after": after}


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """One account as a look shows it.

    :param row_id: COC's own id; several rows may have the same `account_id`.
    :param sync_date: in ms; text where it can't be read; None where there is none.
    """

    row_id: str
    account_id: str
    account_name: str
    sync_status: str
    sync_date: int | str | None
    failure_msg: str = ""

    @property
    def label(self) -> str:
        """For a sentence."""
        name = f" ({one_line(self.account_name, 60)})" if self.account_name else ""
        return f'"{one_line(self.account_id, 64)}"{name}'

    @property
    def is_under_way(self) -> bool:
        """Whether a run is going on or queued. One that was never synchronized is ``waiting``, too."""
        return self.sync_status == "running" or (self.sync_status == "waiting" and self.sync_date is not None)


@dataclass(frozen=True, slots=True)
class Seen:
    """All accounts of a vendor, by the vendor's id.

    :param now: the service's clock in ms; None where it does not tell.
    """

    accounts: Mapping[str, tuple[AccountSeen, ...]]
    now: int | None = None

    @classmethod
    def of(cls, rows: Iterable[AccountSeen], now: int | None = None) -> Seen:
        """What a look at these rows shows."""
        found: dict[str, tuple[AccountSeen, ...]] = {}
        for row in rows:
            found[row.account_id] = (*found.get(row.account_id, ()), row)
        return cls(found, now)

    def of_target(self, target: Target) -> list[AccountSeen]:
        """The rows that a target is about."""
        if target["account_id"] is not None:
            return list(self.accounts.get(target["account_id"], ()))
        return [row for rows in self.accounts.values() for row in rows]


def _seen(row: VendorAccount) -> AccountSeen:
    message, date = row.get("failure_msg"), row.get("sync_date")
    readable = ms_or_none(date)
    return AccountSeen(
        row_id=row["id"],
        account_id=str(row.get("account_id") or ""),
        account_name=str(row.get("account_name") or ""),
        sync_status=str(row.get("sync_status") or ""),
        sync_date=readable if readable is not None else one_line(str(date), 60) if date else None,
        failure_msg=message if isinstance(message, str) else "",
    )


@dataclass(frozen=True, slots=True)
class ResourceSync:
    """Synchronizing the resources of another cloud, as something to start and to wait for."""

    name: str = "coc"
    floor: float = 2.0
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

    def essence(self, target: Target) -> Target:
        return target

    def observe(self, cloud: Cloud, target: Target) -> Flow[Seen]:
        """All accounts of the vendor, so that the waits for any of them share one look."""
        rows, date = yield from look_at_accounts(cloud, target["vendor"])
        return Seen.of(map(_seen, rows), None if date is None else int(date * 1000))

    def admit(self, target: Target, seen: Seen) -> Progress:
        rows = seen.of_target(target)
        if not rows:
            return _no_account(target, seen)
        busy = [row.label for row in rows if row.is_under_way]
        if busy:
            return Progress(
                Phase.RUNNING, f"A sync of {_some(busy)} is under way; ours starts when it has ended."
            )
        return Progress(Phase.SUCCEEDED, "No sync is under way.")

    def covers(self, target: Target, seen: Seen) -> bool:
        rows = seen.of_target(target)
        return bool(rows) and all(row.is_under_way for row in rows)

    def baseline(self, target: Target, seen: Seen) -> Mapping[str, Any]:
        rows = seen.of_target(target)
        return {"accounts": {row.row_id: [row.sync_status, row.sync_date] for row in rows}}

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        task, request_id = yield from sync_resources(cloud, target["vendor"], target["account_id"])
        return {"request_id": request_id, "task_id": task["data"]}

    def is_busy(self, error: CloudSyncError) -> bool:
        return False

    def evidence(self, ticket: Ticket, seen: Seen) -> bool:
        rows, known = seen.of_target(ticket.target), accounts_before(ticket)
        return any(row.is_under_way or _is_new(known, row) for row in rows)

    def leaves_trace(self, ticket: Ticket) -> bool:
        # sync_date moves with each run. But an account that waits for its first one looks the same before and after,
        # and of a date that can't be read nobody knows what it does.
        known = accounts_before(ticket) or {}
        return all(status != "waiting" and not isinstance(date, str) for status, date in known.values())

    def judge(self, ticket: Ticket, seen: Seen, now: float) -> Progress:
        """All accounts have to end before one that failed fails the whole, so that the message names all of them."""
        rows = seen.of_target(ticket.target)
        dates = [row.sync_date for row in rows if isinstance(row.sync_date, int)]
        return replace(self._judge(ticket, seen, rows), run=max(dates, default=None))

    def _judge(self, ticket: Ticket, seen: Seen, rows: list[AccountSeen]) -> Progress:
        if not rows:
            return _no_account(ticket.target, seen)
        known, warning = accounts_before(ticket), ""
        gone = sorted({*(known or ())} - {row.row_id for row in rows})
        open_: list[str] = []
        failed = [f'the one with COC\'s id "{one_line(each, 64)}" is no longer there' for each in gone]
        of = len(rows) + len(gone)
        for row in rows:
            if row.sync_status not in (*_UNDER_WAY, "success", "failed"):
                status = shown(row.sync_status)
                warning = f"The status {status} is not known to this release; waiting on, until the deadline."
            elif isinstance(row.sync_date, str):
                date = shown(row.sync_date)
                warning = (
                    f"The sync_date {date} can't be read, so it is hard to tell a new run from an old one."
                )
            if _is_newcomer(known, row):
                warning = f"{row.label} was added since the start; it is not waited for."
            elif row.sync_status not in ("success", "failed") or not _counts(ticket, known, row):
                open_.append(f"{row.label} {_state(row)}")
            elif _is_just_changed(row, seen.now):
                open_.append(f"{row.label} changed only just now")
            elif row.sync_status == "failed":
                failed.append(f"{row.label}: {one_line(row.failure_msg, 300) or 'no reason given'}")
        told = f"Failed: {_some(failed).rstrip('.')}." if failed else ""
        if open_:
            why = f"Waited for, of {of}: {_some(open_)}. {told}".strip()
            return Progress(Phase.RUNNING, why, warning)
        if failed:
            return Progress(Phase.FAILED, f"{len(failed)} of {of} accounts. {told}", warning)
        return Progress(Phase.SUCCEEDED, f"Synchronized: {_some([row.label for row in rows])}.", warning)


def _no_account(target: Target, seen: Seen) -> Progress:
    """An empty list is no success."""
    vendor = target["vendor"]
    if target["account_id"] is None:
        return Progress(Phase.FAILED, f"COC has no account of {vendor}. Add one in the COC console first.")
    there = [row.label for rows in seen.accounts.values() for row in rows]
    has = f"it has {_some(there)}" if there else "it has none"
    wanted = shown(target["account_id"])
    return Progress(Phase.FAILED, f"COC has no account {wanted} of {vendor} ({has}).")


#: Status and date of each account before the start; None if it was not asked for: what a run ends with that was adopted
#: while it was seen running is its own.
Known = Mapping[str, tuple[Any, Any]] | None


def accounts_before(ticket: Ticket) -> Known:
    """What a ticket says of it.

    :raises InvalidEvent: if that can't be read any more.
    """
    accounts = ticket.baseline.get("accounts")
    if accounts is None:
        return None
    try:
        return {name: (status, date) for name, (status, date) in accounts.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidEvent(
            "The ticket is damaged: what COC showed before the start can't be read. Clear the task to start it anew."
        ) from error


def _is_new(known: Known, row: AccountSeen) -> bool:
    """Whether a row shows what was not there before the start."""
    if known is None:
        return True
    status, date = known.get(row.row_id, (None, None))
    if isinstance(row.sync_date, int) and isinstance(date, int):
        moved = row.sync_date > date
    else:
        moved = row.sync_date is not None and row.sync_date != date
    # Whether a failure moves the date is not documented. A new failure tells itself from an old success, at least.
    return moved or (row.sync_status == "failed" and status not in (None, "failed"))


def _counts(ticket: Ticket, known: Known, row: AccountSeen) -> bool:
    """Whether the end that a row shows is of a run that was asked for."""
    if ticket.stage is not Stage.WATCHING:
        return _is_new(known, row)
    after = ticket.target["synced_after"]
    return after is None or (isinstance(row.sync_date, int) and row.sync_date >= after)


def _is_newcomer(known: Known, row: AccountSeen) -> bool:
    """Whether it came after the start and no run has touched it: nobody was asked to synchronize it."""
    return known is not None and row.row_id not in known and row.sync_date is None


def _is_just_changed(row: AccountSeen, now: int | None) -> bool:
    """By the service's own clock: ours may be wrong."""
    if now is None or not isinstance(row.sync_date, int):
        return False
    return abs(now - row.sync_date) < _STATUS_LAG * 1000


def _state(row: AccountSeen) -> str:
    date = row.sync_date
    last = (
        "never synchronized" if date is None else f"of {iso(date) if isinstance(date, int) else shown(date)}"
    )
    return f"is {one_line(row.sync_status, 40) or 'without a status'}, {last}"


def _some(labels: list[str]) -> str:
    """The first ten, and how many more."""
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return ", ".join(labels[:10]) + more


RESOURCE_SYNC = ResourceSync()

PROBE = Probe(
    Request(
        "GET", SERVICE, "ListVendorAccount", "/v1/vendor-account", repeatable=True, query=(("limit", "1"),)
    ),
    needs="coc:vendorAccount:list to look, coc:instance:syncResources to synchronize",
)
