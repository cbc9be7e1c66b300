"""The services as their documents describe them, in as few lines as that takes, with faults between them and us.

It shares no code with the emulator or the package, so that a misunderstanding has to be made twice to stay unseen.
Each thing is a function of time: a run is written down when it is accepted, and what shows of it is worked out when
somebody looks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.exceptions import CloudSyncError, TransportError
from tests.support.scripted_network import START, answer, http_date

#: After so many seconds a run that was accepted shows: MRS and COC by default (``settle_time``), HSS at its end.
SETTLE = 10.0
NEVER = 1e9
DAY = 86_400.0
NAMES = ("alice", "bob", "carol")
ACCOUNTS = ("1111", "2222")

#: What may become of a request. The word behind the comma says whether the service had done its work by then.
FAULTS = (
    "refused",
    "lost, undone",
    "lost, done",
    "lost, done later",
    "stalled, undone",
    "stalled, done",
    "408, undone",
    "500, done",
    "503, undone",
    "504, done",
    "429",
    "429, retry after 1",
    "429, retry after 45",
    "429, retry after 900",
    "429, one minute",
    "page, undone",
    "page, done",
    "cut, done",
    "slow, done",
)
_READ_TIMEOUT = 60.0


def _is_done(fault: str) -> bool:
    return fault.partition(", ")[2] in ("done", "done later")


@dataclass(frozen=True)
class Course:
    """How a run goes.

    :param shows_after: seconds until it shows; less than the documented time to settle.
    :param waits: COC: seconds as ``waiting`` before it is ``running``.
    :param lasts: seconds from then to its end.
    :param good: whether it brings about what was asked for.
    :param effect: MRS: how much of the run is over when names and flags change, 0 to 1.
    :param lag: seconds after the end until they do, though within the time to settle.
    :param created: HSS: whether a task is created at all.
    """

    shows_after: float = 1.0
    lasts: float = 20.0
    good: bool = True
    waits: float = 0.0
    effect: float = 1.0
    lag: float = 0.0
    created: bool = True


@dataclass(frozen=True)
class Stranger:
    """A run that somebody else starts.

    :param at: seconds after the beginning at which it is accepted.
    :param what: MRS: ``sync``, ``removal`` or ``full``.
    :param on: MRS: names; COC: accounts.
    """

    at: float
    course: Course = Course()
    what: str = "sync"
    on: tuple[str, ...] = ()


@dataclass(eq=False)
class Run:
    """A run that was accepted.

    :param shows: when the service begins to show it.
    :param effect: when it has changed what it changes.
    """

    course: Course
    accepted: float
    shows: float
    ends: float
    effect: float
    ours: bool
    what: str = "sync"
    on: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.course.good

    def is_over(self, now: float) -> bool:
        return now >= self.ends

    def overlaps(self, begin: float, end: float) -> bool:
        return self.accepted <= end and max(self.ends, self.effect) >= begin


def _run(course: Course, now: float, *, ours: bool, what: str = "sync", on: Iterable[str] = ()) -> Run:
    shows = now + course.shows_after
    ends = shows + course.waits + course.lasts
    return Run(course, now, shows, ends, ends, ours, what, tuple(on))


class Cluster:
    """MRS: one flag for all runs, whoever started them; one that says whether it is in line; and names.

    :param refuses_second: whether a start is refused as busy while a run is there, shown or not. If not, they go on
        side by side. Which of it is so is not documented.
    :param stays_in_line: whether a full sync that fails leaves ``is_synchronous`` as an earlier one made it.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        in_line: bool,
        refuses_second: bool,
        stays_in_line: bool,
        terminates_at: float | None,
    ) -> None:
        self.runs: list[Run] = []
        self._names = frozenset(names)
        self._in_line = in_line
        self._refuses_second = refuses_second
        self._stays_in_line = stays_in_line
        self._terminates_at = terminates_at

    def is_up(self, now: float) -> bool:
        return any(run.shows <= now < run.ends for run in self.runs) and not self.is_gone(now)

    def is_gone(self, now: float) -> bool:
        return self._terminates_at is not None and now >= self._terminates_at

    def names(self, now: float) -> frozenset[str]:
        found = set(self._names)
        for run in sorted(self.runs, key=lambda run: run.effect):
            if run.effect > now:
                break
            changes = [name for name in run.on if (name in found) == (run.what == "removal")]
            if not run.good:
                changes = changes[1:]  # one of them fails
            found ^= set(changes)
        return frozenset(found)

    def is_in_line(self, now: float) -> bool:
        changes = [(START - 1.0, self._in_line)]
        for run in self.runs:
            if run.what == "full" and run.good:
                changes.append((run.effect, True))
            elif run.what == "full" and not self._stays_in_line:
                changes.append((run.shows, False))
        return max(change for change in changes if change[0] <= now)[1]

    def reached(self, run_of: Run, now: float) -> bool:
        """Whether the cluster is as somebody wants it who asks for such a run."""
        if run_of.what == "full":
            return self.is_in_line(now)
        if run_of.what == "removal":
            return not set(run_of.on) & self.names(now)
        return set(run_of.on) <= self.names(now)

    def is_shown(self, run: Run, now: float) -> bool:
        """Whether what the cluster shows differs by this run from what it was before it."""
        before, changed = self.names(run.accepted), run.effect <= now and run.good
        if changed and run.what == "full":
            return not self.is_in_line(run.accepted)
        touched = set(run.on) & before if run.what == "removal" else set(run.on) - before
        return run.shows <= now < run.ends or (changed and bool(touched) and self.reached(run, now))

    def accept(self, now: float, course: Course, what: str, on: Iterable[str]) -> Run | None:
        if self._refuses_second and any(run.accepted <= now < run.ends for run in self.runs):
            return None
        return self._begin(course, now, ours=True, what=what, on=on)

    def meet(self, stranger: Stranger) -> None:
        self._begin(stranger.course, START + stranger.at, ours=False, what=stranger.what, on=stranger.on)

    def _begin(self, course: Course, now: float, *, ours: bool, what: str, on: Iterable[str]) -> Run:
        run = _run(course, now, ours=ours, what=what, on=NAMES if what == "full" else on)
        run.effect = run.shows + course.effect * (run.ends - run.shows)
        if course.lag:
            run.effect = max(run.ends, min(run.ends + course.lag, now + SETTLE - 0.1))
        self.runs.append(run)
        return run


class Events:
    """HSS: the one thing that shows is when the list of events was updated last."""

    def __init__(self, updated: float | None) -> None:
        self.runs: list[Run] = []
        self._updated = updated

    def updated(self, now: float) -> float | None:
        times = [run.ends for run in self.runs if run.good and run.is_over(now)]
        times += [self._updated] if self._updated is not None else []
        return max(times, default=None)

    def is_shown(self, run: Run, now: float) -> bool:
        return run.good and run.is_over(now)

    def accept(self, now: float, course: Course) -> Run | None:
        if not course.created:
            return None
        run = _run(course, now, ours=True)
        self.runs.append(run)
        return run

    def meet(self, stranger: Stranger) -> None:
        self.runs.append(_run(stranger.course, START + stranger.at, ours=False))


@dataclass
class Account:
    """COC: one row. It shows its last run, and keeps that until the next one shows.

    :param dates_start: whether ``sync_date`` is when a run starts, or when it ends; that is not documented.
    :param lag: seconds by which the status follows the date.
    :param failure_moves: whether a failed run moves the date at its end; that is not documented either.
    """

    row_id: str
    account_id: str
    status: str
    date: float | None
    dates_start: bool
    lag: float
    failure_moves: bool
    runs: list[Run] = field(default_factory=list)

    def shown(self, now: float) -> tuple[str, float | None]:
        """What its runs have written into it by now, each when it got that far."""
        states, dates = [(START - DAY, self.status)], [self.date] if self.date is not None else []
        for run in self.runs:
            begins = run.shows + run.course.waits
            marked = begins if self.dates_start else run.ends
            if run.course.waits:
                states.append((run.shows, "waiting"))
            states.append((min(begins + (self.lag if self.dates_start else 0.0), run.ends), "running"))
            states.append(
                (run.ends + (0.0 if self.dates_start else self.lag), "success" if run.good else "failed")
            )
            if marked <= now and (run.good or self.failure_moves or self.dates_start):
                dates.append(marked)
        # Of two at once the further one counts.
        order = ("waiting", "running", "success", "failed")
        _, status = max(
            (state for state in states if state[0] <= now),
            key=lambda state: (state[0], order.index(state[1])),
        )
        return status, max(dates, default=None)

    def is_under_way(self, now: float) -> bool:
        status, date = self.shown(now)
        return status == "running" or (status == "waiting" and date is not None)


class Accounts:
    """COC: the rows of a vendor."""

    def __init__(self, rows: list[Account]) -> None:
        self.rows = rows

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]

    def rows_of(self, on: tuple[str, ...]) -> list[Account]:
        return [row for row in self.rows if row.account_id in on]

    def is_shown(self, run: Run, now: float) -> bool:
        (row,) = self.rows_of(run.on)
        (state, date), (state_before, date_before) = row.shown(now), row.shown(run.accepted)
        moved = (date or 0.0) > (date_before or 0.0)
        return row.is_under_way(now) or moved or (state == "failed" and state_before != "failed")

    def accept(self, now: float, courses: Iterable[Course], on: tuple[str, ...]) -> list[Run]:
        runs = []
        for row, course in zip(self.rows_of(on), courses, strict=False):
            runs.append(_run(course, now, ours=True, on=(row.account_id,)))
            row.runs.append(runs[-1])
        return runs

    def meet(self, stranger: Stranger) -> None:
        for row in self.rows_of(stranger.on):
            row.runs.append(_run(stranger.course, START + stranger.at, ours=False, on=(row.account_id,)))


@dataclass
class MemberTask:
    """DataArts Studio: a task shows its last run: when it began, and, a moment later, the state.

    :param before: state and time of the last run before the beginning.
    """

    before: tuple[str, float | None]
    lag: float
    runs: list[Run] = field(default_factory=list)

    def meet(self, stranger: Stranger) -> None:
        self.runs.append(_run(stranger.course, START + stranger.at, ours=False))

    def last(self, now: float) -> Run | None:
        """The run that began last."""
        begun = [run for run in self.runs if run.shows <= now]
        return max(begun, key=lambda run: run.shows, default=None)

    def shown(self, now: float) -> tuple[str, float | None]:
        state, time = self.before
        for run in sorted((run for run in self.runs if run.shows <= now), key=lambda run: run.shows):
            time = run.shows
            if run.shows + self.lag <= now:
                state = "SYNCING"
            if max(run.ends, run.shows + self.lag) <= now:
                state = "SYNC_SUCCESS" if run.good else "SYNC_FAIL"
        return state, time


@dataclass(eq=False)
class Start:
    """A start that the service took.

    :param of: where one task has several: which of its starts it is.
    :param delivered: whether the reply came to the task.
    :param noted: whether the task lived to write that down.
    """

    at: float
    sent: float
    by: int
    request: int
    of: str
    runs: list[Run]
    delivered: bool = False
    noted: bool = False


@dataclass(frozen=True)
class Sent:
    """A request, and what became of it.

    :param begun: when it was sent.
    :param at: when the service had it.
    :param by: the try that it is of.
    :param delivered: whether its reply came.
    """

    method: str
    path: str
    begun: float
    at: float
    by: int
    request: int
    delivered: bool


def milliseconds(at: float) -> int:
    return round(at * 1000)


class Network:
    """What lies between a task and the services: it takes time, loses replies and answers by itself.

    :param latency: seconds that requests take, one after the other and round again; half of it each way.
    :param faults: number of a request -> what becomes of it.
    :param of_starts: what becomes of the requests that start something, in their order; None: what would anyway.
    :param outages: from, until (seconds after the beginning), and what becomes of all requests between.
    :param skew: seconds by which the services' clock is ahead of ours.
    """

    def __init__(
        self,
        clock: Any,
        *,
        latency: Iterable[float],
        faults: dict[int, str],
        of_starts: Iterable[str | None] = (),
        outages: Iterable[tuple[float, float, str]],
        skew: float,
    ) -> None:
        self._clock = clock
        self._latency = itertools.cycle(latency)
        self._faults = faults
        self._of_starts = iter(of_starts)
        self._outages = tuple(outages)
        self._count = itertools.count()
        self.skew = skew

    def fault(self, *, starts: bool) -> str | None:
        of_start = next(self._of_starts, None) if starts else None
        if of_start is not None:
            return of_start
        number = next(self._count)
        since = self._clock() - START
        during = (fault for begin, end, fault in self._outages if begin <= since < end)
        return self._faults.get(number, next(during, None))

    def way(self) -> float:
        """Seconds that a request takes there; and as long back."""
        return next(self._latency) / 2

    def reply(self, status: int, body: Any, **headers: str) -> Response:
        return answer(status, body, date=http_date(self._clock() + self.skew), **headers)

    def spoil(self, fault: str, reply: Response) -> Response | CloudSyncError:
        """What the task gets to see instead of a reply."""
        kind, _, more = fault.partition(", ")
        if kind == "refused":
            return TransportError("the connection was refused", sent=False)
        if kind in ("lost", "stalled"):
            return TransportError(f"no reply: {kind}")
        if kind == "page":
            return self.reply(200, b"<html>Please sign in</html>")
        if kind == "cut":
            return Response(reply.status, reply.headers, reply.body[:-2])
        if kind == "429":
            after = {"retry_after": more.removeprefix("retry after ")} if more.startswith("retry") else {}
            window = " limit:5,time:1 minute" if more == "one minute" else ""
            return self.reply(429, {"error_code": "APIGW.0308", "error_msg": f"Throttled.{window}"}, **after)
        return self.reply(int(kind), {"error_code": "APIGW.0601", "error_msg": "Internal error."})

    @staticmethod
    def detour(fault: str | None) -> float:
        """Seconds that a request takes longer to the service, and is answered then as any other."""
        return 15.0 if fault is not None and fault.startswith("slow") else 0.0

    @staticmethod
    def stalls(fault: str) -> float:
        """Seconds for which nothing comes."""
        return _READ_TIMEOUT if fault.startswith("stalled") else 0.0


class ImaginedCloud:
    """All services behind one network, answering a `tests.support.scripted_network.Stage`.

    :param machine: whose clock it is; told of each message, since that is when it may die.
    :param courses: how our runs go, in order; the last for all that follow.
    """

    def __init__(self, machine: Any, network: Network, service: Any, courses: tuple[Course, ...]) -> None:
        self._machine = machine
        self._network = network
        self.service = service
        self._courses = courses
        self.starts: list[Start] = []
        self.sent: list[Sent] = []
        #: The try that the requests are of, and how often the user had asked for the sync by then.
        self.by = self.request = 0

    def _pass(self, seconds: float) -> None:
        self._machine.now += seconds

    def answer(self, request: HttpRequest) -> Response | CloudSyncError:
        """What becomes of a request."""
        begun = self._machine.now
        self._machine.tick()
        way, fault = self._network.way(), self._network.fault(starts=request.method != "GET")
        path = urlsplit(request.url).path
        start: Start | None = None
        self._pass(way + self._network.detour(fault))
        at = self._machine.now
        reply = self._network.reply(200, {})
        if fault is None or _is_done(fault):
            reply, start = self._serve(request, at + self._delay(fault), begun)
        delivered = False
        try:
            self._machine.tick()
            self._pass(way)
            if fault is not None and not fault.startswith("slow"):
                self._pass(self._network.stalls(fault))
                return self._network.spoil(fault, reply)
            delivered = True
            return reply
        finally:
            if start is not None:
                start.delivered = delivered
            sent = Sent(request.method, path, begun, at, self.by, self.request, delivered)
            self.sent.append(sent)

    def _delay(self, fault: str | None) -> float:
        """What was lost on its way may arrive all the same, though not so late that its run shows too late."""
        if fault is None or not fault.endswith("later"):
            return 0.0
        return min(3.0, max(SETTLE - 0.1 - self._next_courses()[0].shows_after, 0.0))

    def _next_courses(self) -> tuple[Course, ...]:
        taken = len(self.starts)
        return self._courses[taken:] or self._courses[-1:]

    def _note(self, now: float, sent: float, of: str, runs: list[Run]) -> Start:
        start = Start(now, sent, self.by, self.request, of, runs)
        self.starts.append(start)
        return start

    def _serve(self, request: HttpRequest, now: float, sent: float) -> tuple[Response, Start | None]:
        path = urlsplit(request.url).path
        query = parse_qs(urlsplit(request.url).query)
        body = json.loads(request.body) if request.body else {}
        if request.method == "GET":
            return self._network.reply(200, self._read(path, query, now)), None
        course, *_ = courses = self._next_courses()
        if isinstance(self.service, Cluster):
            what = "removal" if request.method == "DELETE" else "full" if body.get("is_all_sync") else "sync"
            run = self.service.accept(now, course, what, body.get("user_names", ()))
            if run is None:
                busy = {"error_code": "12000012", "error_msg": "The cluster is busy."}
                return self._network.reply(400, busy), None
            start = self._note(now, sent, ",".join(run.on), [run])
            return self._network.reply(202, {"state": "synchronizing"}, x_request_id="r"), start
        if isinstance(self.service, Events):
            run = self.service.accept(now, course)
            start = None if run is None else self._note(now, sent, "", [run])
            return self._network.reply(200, {"synched": run is not None}, x_request_id="r"), start
        on = (body["account_id"],) if "account_id" in body else ACCOUNTS
        runs = self.service.accept(now, itertools.chain(courses, itertools.repeat(courses[-1])), on)
        return self._network.reply(200, {"data": "task"}, x_request_id="r"), self._note(now, sent, "", runs)

    def _read(self, path: str, query: dict[str, list[str]], now: float) -> Any:
        service = self.service
        if isinstance(service, Cluster):
            if path.endswith("/iam-sync"):
                return {"is_synchronizing": service.is_up(now)}
            if path.endswith("/is-synchronous"):
                return {"is_synchronous": service.is_in_line(now)}
            if path.endswith("/iam-sync-user"):
                return {"user_names": sorted(service.names(now)), "group_names": []}
            return {"cluster": {"clusterState": "terminated" if service.is_gone(now) else "running"}}
        if isinstance(service, Events):
            updated = service.updated(now)
            return {
                "total_num": 0,
                "last_update_time": None if updated is None else milliseconds(updated + self._network.skew),
                "data_list": [],
            }
        if isinstance(service, Accounts):
            rows = [self._row(row, now) for row in service.rows]
            return {"data": rows[int(query["offset"][0]) :], "total": len(rows)}
        state, time = service.shown(now)
        shown = {"id": "t", "sync_status": state, "sync_msg": "", "schedule_status": "SCHEDULING"}
        shown |= {} if time is None else {"sync_time": milliseconds(time + self._network.skew)}
        return shown if path.endswith("/t") else {"tasks": [shown], "total": 1}

    def _row(self, row: Account, now: float) -> dict[str, Any]:
        status, date = row.shown(now)
        written = None
        if date is not None:
            moment = datetime.fromtimestamp(date + self._network.skew, UTC)
            written = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "id": row.row_id,
            "vendor": "AWS",
            "account_id": row.account_id,
            "account_name": "",
            "sync_status": status,
            "sync_date": written,
            "failure_msg": "refused" if status == "failed" else None,
        }
