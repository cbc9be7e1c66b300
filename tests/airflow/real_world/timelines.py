"""What each service shows as a function of time. Times are seconds since `cloud.EPOCH`, or since the last start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.airflow.real_world.cloud import EPOCH, Answer, Ask

Spans = Iterable[tuple[float, float]]
TimeForm = Callable[[float], Any]


def within(spans: Spans, at: float | None) -> bool:
    return at is not None and any(first <= at < last for first, last in spans)


# Forms of a service's time; each takes seconds since the epoch.


def iso_z(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_micro(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def iso_beijing(at: float) -> str:
    return datetime.fromtimestamp(at, timezone(timedelta(hours=8))).strftime("%Y-%m-%dT%H:%M:%S+0800")


def beijing_without_zone(at: float) -> str:
    return datetime.fromtimestamp(at, timezone(timedelta(hours=8))).strftime("%Y-%m-%d %H:%M:%S")


def utc_without_zone(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def ms(at: float) -> int:
    return round(at * 1000)


def ms_text(at: float) -> str:
    return str(ms(at))


def ms_float(at: float) -> float:
    return at * 1000.0


def seconds(at: float) -> int:
    return int(at)


def seconds_text(at: float) -> str:
    return str(int(at))


def micros(at: float) -> int:
    return round(at * 1_000_000)


ZONED: tuple[TimeForm, ...] = (
    iso_z,
    iso_micro,
    iso_beijing,
    ms,
    ms_text,
    ms_float,
    seconds,
    seconds_text,
    micros,
)


@dataclass
class Service:
    """A scripted service.

    :ivar starts: seconds at which it accepted a start.
    :param refuses: answer to each start, in place of accepting it.
    """

    refuses: Answer | None = field(default=None, kw_only=True)
    starts: list[float] = field(default_factory=list, init=False)

    def __call__(self, ask: Ask) -> Answer:
        if ask.is_start:
            if self.refuses is not None:
                return self.refuses
            self.starts.append(ask.at)
            return self.accepted(ask)
        return self.shown(ask, ask.at, ask.at - self.starts[-1] if self.starts else None)

    def accepted(self, ask: Ask) -> Answer:
        raise NotImplementedError

    def shown(self, ask: Ask, at: float, since: float | None) -> Answer:
        """Answer to a read.

        :param since: seconds since the last start; None before it.
        """
        raise NotImplementedError


@dataclass
class Mrs(Service):
    """A cluster.

    :param flag: spans since the start in which ``is_synchronizing`` is true; `theirs`: spans since `EPOCH`.
    :param names: spans since the start in which `brings` are readable; `there`: spans since `EPOCH`.
    :param good_start: number of the start from which on names are brought; earlier runs bring none.
    :param synchronous: spans since `EPOCH` of ``is_synchronous``; `synchronized`: spans since the start.
    """

    flag: Spans = ((2, 30),)
    theirs: Spans = ()
    names: Spans = ((29, 1e9),)
    there: Spans = ()
    brings: Sequence[str] = ("alice",)
    others: Sequence[str] = ("zoe",)
    good_start: int = 1
    synchronous: Spans = ()
    synchronized: Spans = ()
    state: Callable[[float], str] = lambda at: "running"

    def accepted(self, ask: Ask) -> Answer:
        return Answer({"state": "synchronizing"}, 202)

    def shown(self, ask: Ask, at: float, since: float | None) -> Answer:
        if ask.path.endswith("/is-synchronous"):
            return Answer(
                {"is_synchronous": within(self.synchronous, at) or within(self.synchronized, since)}
            )
        if ask.path.endswith("/iam-sync"):
            return Answer({"is_synchronizing": within(self.flag, since) or within(self.theirs, at)})
        if ask.path.endswith("/iam-sync-user"):
            brought = within(self.names, since) and len(self.starts) >= self.good_start
            names = [*self.others, *(self.brings if brought or within(self.there, at) else ())]
            return Answer({"user_names": names, "group_names": []})
        if "/cluster_infos/" in ask.path:
            return Answer({"cluster": {"clusterId": "c", "clusterName": "c", "clusterState": self.state(at)}})
        if ask.path.endswith("/cluster_infos"):
            rows = [{"clusterId": "c", "clusterState": self.state(at)}]
            return Answer({"clusterTotal": 1, "clusters": rows if ask.query["currentPage"] == "1" else []})
        return Answer({"error_code": "APIGW.0101", "error_msg": "no such API"}, 404)


#: Step of a run: when, status, and the date that is written then (None: the date stays).
Step = tuple[float, str, float | None]


def shown_step(
    before: Step, theirs: Sequence[Step], ours: Sequence[Step], at: float, since: float | None
) -> tuple[str, float | None]:
    """Status and date, the latter in seconds since `EPOCH`. Steps of `ours` are relative to the last start."""
    status, date = before[1], before[2]
    steps = [step for step in theirs if step[0] <= at]
    if since is not None:
        start = at - since
        steps += [
            (start + when, state, None if written is None else start + written)
            for when, state, written in ours
            if when <= since
        ]
    for _, state, written in sorted(steps, key=lambda step: step[0]):
        status, date = state, date if written is None else written
    return status, date


@dataclass
class Account:
    """A row of COC. The default is one that was synchronized a day ago.

    :param hidden: spans since `EPOCH` in which the list lacks it.
    :param extra: further fields of the row.
    """

    account_id: Any = "1001"
    before: Step = (0, "success", -86_400.0)
    theirs: Sequence[Step] = ()
    ours: Sequence[Step] = ()
    hidden: Spans = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


Pager = Callable[[list[dict[str, Any]], Ask], dict[str, Any]]


def honest_pages(rows: list[dict[str, Any]], ask: Ask, most: int = 500) -> dict[str, Any]:
    """Pages by offset, of at most `most` rows."""
    first = int(ask.query.get("offset", 0))
    if "marker" in ask.query:
        ids = [str(row["id"]) for row in rows]
        first = ids.index(ask.query["marker"]) + 1 if ask.query["marker"] in ids else len(rows)
    page = rows[first : first + min(int(ask.query.get("limit", most)), most)]
    return {"data": page, "total": len(rows)}


@dataclass
class Coc(Service):
    """Accounts of AWS.

    :param form: how ``sync_date`` is written.
    :param pages: what a request for a page brings of all rows.
    """

    accounts: Mapping[str, Account] = field(default_factory=lambda: {"row": Account()})
    form: TimeForm = iso_z
    pages: Pager = honest_pages

    def accepted(self, ask: Ask) -> Answer:
        return Answer({"data": "task-1"})

    def shown(self, ask: Ask, at: float, since: float | None) -> Answer:
        rows = []
        for row_id, account in self.accounts.items():
            if within(account.hidden, at):
                continue
            status, date = shown_step(account.before, account.theirs, account.ours, at, since)
            rows.append(
                {
                    "id": row_id,
                    "vendor": "AWS",
                    "account_id": account.account_id,
                    "account_name": f"name of {row_id}",
                    "ak": "AKIAEXAMPLE",
                    "sync_status": status,
                    "sync_date": None if date is None else self.form(EPOCH + date),
                    "failure_msg": "the vendor denied access" if status.lower() == "failed" else None,
                    **account.extra,
                }
            )
        return Answer(self.pages(rows, ask))


@dataclass
class DataArts(Service):
    """A member sync task.

    :param extra: further fields, a function of the time.
    """

    before: Step = (0, "SYNC_SUCCESS", -86_400.0)
    theirs: Sequence[Step] = ()
    form: TimeForm = ms
    extra: Callable[[float], Mapping[str, Any]] = lambda at: {}
    lacks: Sequence[str] = ()

    def shown(self, ask: Ask, at: float, since: float | None) -> Answer:
        status, date = shown_step(self.before, self.theirs, (), at, None)
        task = {
            "id": "t",
            "schedule_status": "SCHEDULING",
            "sync_status": status,
            "sync_time": None if date is None else self.form(EPOCH + date),
            "sync_msg": "role is not granted" if status.upper() == "SYNC_FAIL" else "",
            **self.extra(at),
        }
        for name in self.lacks:
            del task[name]
        return Answer(task if ask.path.endswith("/t") else {"total": 1, "tasks": [task]})


@dataclass
class Hss(Service):
    """A list of protection events.

    :param moves: seconds since `EPOCH` at which the list is updated by itself; `ours`: seconds since the start.
    """

    moves: Sequence[float] = (-3600.0,)
    ours: Sequence[float] = (40.0,)
    form: TimeForm = ms
    extra: Mapping[str, Any] = field(default_factory=lambda: {"total_num": 0})
    synched: Any = True

    def accepted(self, ask: Ask) -> Answer:
        return Answer({"synched": self.synched})

    def shown(self, ask: Ask, at: float, since: float | None) -> Answer:
        moves = [move for move in self.moves if move <= at]
        if since is not None:
            moves += [at - since + move for move in self.ours if move <= since]
        last = max(moves, default=None)
        shown = None if last is None else self.form(EPOCH + last)
        return Answer({"data_list": [], "last_update_time": shown, **self.extra})
