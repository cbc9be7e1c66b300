"""Airflow as far as a task notices it: tries, deferrals, retries, clears, a store; and processes that die.

The operators, the sensors and the trigger are the real ones, and so are both drivers. Each process makes the task
anew, as Airflow does from the DAG file.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    TaskDeferred,
)

from airflow_provider_cloudsync.api.messages import HttpRequest, Response
from airflow_provider_cloudsync.api.services.mrs import iam_sync
from airflow_provider_cloudsync.api.waiting.polling import LONGEST_HOLD
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsCancelIamSyncOperator, MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.transport import coalescing, drivers, rate_limits
from tests.support.imagined_cloud import (
    ACCOUNTS,
    NAMES,
    Account,
    Accounts,
    Cluster,
    Course,
    Events,
    ImaginedCloud,
    MemberTask,
    Network,
    Stranger,
)
from tests.support.scripted_network import START, Stage

CONNECTION = {
    "conn_type": "cloudsync",
    "login": "AK",
    "password": "SK",
    "extra": {"region": "cn-north-4", "project_id": "p", "domain_id": "d"},
}
MOST_TRIES = 6
#: Requests that one look takes at the most.
ONE_LOOK = 5
FOR_EVER = 1e10


class Died(asyncio.CancelledError):
    """The process is gone. Nothing in it is to notice, so it is no Exception."""


class Machine(Stage):
    """A stage for one process after the other, each of which may die at any message.

    :param deaths: for each process, after how many messages it dies; None: it does not.
    """

    def __init__(self, patch: pytest.MonkeyPatch, deaths: tuple[int | None, ...] = ()) -> None:
        super().__init__(patch)
        self._patch = patch
        self._deaths = iter(deaths)
        self._left: int | None = None
        self.main: asyncio.Task[Any] | None = None
        self.deadline = FOR_EVER
        #: Messages so far.
        self.ticks = 0
        #: Since the process began and the deadline was over: seconds of pauses, and requests.
        self.idled, self.requests = 0.0, 0
        stepped = SimpleNamespace(time=self.clock, monotonic=self.clock, sleep=self.pause)
        for module in (
            "tasks.waiter",
            "hooks.cloudsync",
            "operators.sync",
            "sensors.sync",
            "connection.lookup",
        ):
            patch.setattr(f"airflow_provider_cloudsync.{module}.time", stepped)
        patch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(CONNECTION))

    def boot(self) -> None:
        """A new process: it knows nothing of what the one before shared, nor of its calls."""
        self._left = next(self._deaths, None)
        self.main = None
        self.idled, self.requests = 0.0, 0
        self._patch.setattr(drivers, "_single_flight", coalescing.BlockingSingleFlight(clock=self.clock))
        self._patch.setattr(drivers, "_rate_limiter", rate_limits.RateLimiter(clock=self.clock))

    def tick(self) -> None:
        self.ticks += 1
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self._left = None
            if self.main is not None:
                self.main.cancel()  # whichever of its tasks was at work
            raise Died

    def pause(self, seconds: float) -> None:
        self.tick()
        self.idled += max(self.now + seconds - max(self.now, self.deadline), 0.0)
        super().pause(seconds)

    def arun(self, make: Callable[[], Any]) -> Any:
        """Run a coroutine in an event loop of its own, until it ends or the process dies."""

        async def main() -> Any:
            self.main = asyncio.current_task()
            return await make()

        try:
            return asyncio.run(main())
        except asyncio.CancelledError:
            raise Died from None


class Store(dict[str, str]):
    """Airflow's task state store, as far as it is used."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, default)

    def set(self, key: str, value: str) -> None:
        self._life.machine.tick()
        self[key] = value
        if self._life.cloud.starts and json.loads(value)["ticket"]["stage"] == "started":
            self._life.cloud.starts[-1].noted = True
        self._life.machine.tick()


@dataclass(frozen=True)
class ProgressLog:
    """What happens to one task.

    :param work: one of `SYNCS` or `WATCHES`.
    :param there: MRS: names that are in the cluster at first.
    :param in_line: MRS: ``is_synchronous`` at first.
    :param updated: seconds before the beginning of the last update or run that the service shows; None: never.
    :param after: sensors: seconds after the beginning from which on a run counts; None: any.
    :param deaths: see `Machine`.
    :param downtime: seconds from each end of a try, or of a triggerer, to what comes next.
    :param clears: for each end of a try, whether the user clears the task then.
    :param stale: whether a retry is resumed with the report of the try before, as Airflow 3.0 does.
    :param deferrable: a sensor that is not is rescheduled: each of its looks is another process's.

    The others are those of the operators, of `ImaginedCloud`, of `Network` and of the services there.
    """

    work: str = "names"
    there: tuple[str, ...] = ()
    in_line: bool = False
    updated: float | None = 3600.0
    refuses_second: bool = True
    stays_in_line: bool = False
    terminates_at: float | None = None
    dates_start: bool = False
    status_lag: float = 0.0
    failure_moves: bool = True
    ours: tuple[Course, ...] = (Course(),)
    strangers: tuple[Stranger, ...] = ()
    latency: tuple[float, ...] = (0.1,)
    faults: tuple[tuple[int, str], ...] = ()
    of_starts: tuple[str | None, ...] = ()
    outages: tuple[tuple[float, float, str], ...] = ()
    skew: float = 0.0
    deaths: tuple[int | None, ...] = ()
    downtime: tuple[float, ...] = (5.0,)
    clears: tuple[bool, ...] = ()
    stale: bool = False
    store: bool = True
    deferrable: bool = False
    retries: int = 2
    timeout: float = 600.0
    poll_interval: float | None = None
    if_running: str = "attach"
    waits: bool = True
    after: float | None = 0.0


@dataclass(frozen=True)
class Work:
    """What a task is for.

    :param parts: the starts that it takes, by the names in them.
    :param accounts: COC: the accounts that it is about.
    """

    service: str
    make: Any
    arguments: dict[str, Any]
    parts: tuple[str, ...] = ("",)
    what: str = "sync"
    accounts: tuple[str, ...] = ()


_BOTH = {"cluster_id": "c", "user_names": ["alice", "bob"]}
_ALL = {"cluster_id": "c", "user_names": list(NAMES)}
SYNCS = {
    "names": Work("mrs", MrsSyncIamUsersOperator, _BOTH, ("alice,bob",)),
    "parts": Work("mrs", MrsSyncIamUsersOperator, _ALL, ("alice,bob", "carol")),
    "full": Work(
        "mrs", MrsSyncIamUsersOperator, {"cluster_id": "c", "sync_all": True}, (",".join(NAMES),), "full"
    ),
    "removal": Work("mrs", MrsCancelIamSyncOperator, _BOTH, ("alice,bob",), "removal"),
    "events": Work("hss", HssSyncClusterProtectionEventsOperator, {}),
    "account": Work(
        "coc",
        CocSyncMultiCloudResourcesOperator,
        {"vendor": "AWS", "account_id": ACCOUNTS[0]},
        accounts=ACCOUNTS[:1],
    ),
    "accounts": Work("coc", CocSyncMultiCloudResourcesOperator, {"vendor": "AWS"}, accounts=ACCOUNTS),
}
WATCHES = {
    "watched names": Work("mrs", MrsIamSyncSensor, _BOTH, ("alice,bob",)),
    "watched cluster": Work("mrs", MrsIamSyncSensor, {"cluster_id": "c"}, (",".join(NAMES),), "full"),
    "watched events": Work("hss", HssClusterEventsSensor, {"updated_after": None}),
    "watched account": Work(
        "coc",
        CocVendorAccountSyncSensor,
        {"vendor": "AWS", "account_id": ACCOUNTS[0], "synced_after": None},
        accounts=ACCOUNTS[:1],
    ),
    "watched accounts": Work(
        "coc", CocVendorAccountSyncSensor, {"vendor": "AWS", "synced_after": None}, accounts=ACCOUNTS
    ),
    "watched members": Work(
        "dataarts",
        DataArtsMemberSyncTaskSensor,
        {"workspace": "w", "sync_task_id": "t", "synced_after": None},
    ),
}


def service_of(story: ProgressLog, service: str) -> Cluster | Events | Accounts | MemberTask:
    """The service as the story finds it."""
    last = None if story.updated is None else START - story.updated
    if service == "hss":
        return Events(last)
    if service == "coc":
        first = ("waiting" if last is None else "success", last)
        odd = (story.dates_start, story.status_lag, story.failure_moves)
        return Accounts([Account(f"row of {account}", account, *first, *odd) for account in ACCOUNTS])
    if service == "dataarts":
        return MemberTask(("NOT_SYNC" if last is None else "SYNC_SUCCESS", last), story.status_lag)
    return Cluster(
        story.there,
        in_line=story.in_line,
        refuses_second=story.refuses_second,
        stays_in_line=story.stays_in_line,
        terminates_at=None if story.terminates_at is None else START + story.terminates_at,
    )


@dataclass(frozen=True)
class Try:
    """How a try ended.

    :param request: how often the user had asked for the sync by then: a clear asks anew, where it starts anew.
    """

    number: int
    request: int
    ended: float
    how: str
    why: str = ""


@dataclass
class Life:
    """A task, try after try, until it is green, red, or the story ends."""

    story: ProgressLog
    patch: pytest.MonkeyPatch
    tries: list[Try] = field(default_factory=list)
    #: When each try began, and which of them were the first after a clear.
    tries_begun: list[float] = field(default_factory=list)
    cleared: set[int] = field(default_factory=set)
    #: What the guides say is not guaranteed, where it came to that.
    excused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        story = self.story
        self.machine = Machine(self.patch, story.deaths)
        network = Network(
            self.machine.clock,
            latency=story.latency,
            faults=dict(story.faults),
            of_starts=story.of_starts,
            outages=story.outages,
            skew=story.skew,
        )
        self.work = (SYNCS | WATCHES)[story.work]
        self.service = service_of(story, self.work.service)
        for stranger in story.strangers:
            self.service.meet(stranger)
        self.cloud = ImaginedCloud(self.machine, network, self.service, story.ours)
        self.machine.answer = self._answer
        self.store = Store(self)
        self._downtime = itertools.cycle(story.downtime)
        self._report: Any = None
        self.patch.setattr(iam_sync, "NAMES_PER_REQUEST", 2)

    def task(self) -> Any:
        """The operator or sensor, as each process makes it from the DAG file."""
        story, arguments = self.story, dict(self.work.arguments)
        if story.work in SYNCS:
            arguments |= {
                "timeout": story.timeout,
                "poll_interval": story.poll_interval,
                "if_running": story.if_running,
                "wait_for_completion": story.waits,
            }
        else:
            arguments |= {"timeout": story.timeout, "poke_interval": story.poll_interval}
            for name in {"synced_after", "updated_after"} & arguments.keys():
                arguments[name] = self.counts_from
        return self.work.make(task_id="t", deferrable=story.deferrable, retries=story.retries, **arguments)

    @property
    def counts_from(self) -> float | None:
        """Sensors: from when on a run counts, by Airflow's clock."""
        return None if self.story.after is None else START + self.story.after

    def live(self) -> None:
        clears = iter(self.story.clears)
        most, request = self.story.retries, 0
        for number in range(1, MOST_TRIES + 1):
            self.cloud.by, self.cloud.request = number, request
            self.tries_begun.append(self.machine.now)
            how, why = self._try(number, most)
            self.tries.append(Try(number, request, self.machine.now, how, why))
            cleared = next(clears, False)
            if not cleared and (how not in ("failed", "died") or number > most):
                return
            self.machine.now += next(self._downtime)
            if cleared:
                self.cleared.add(number + 1)
                most = number + self.story.retries
                # Without a store nothing is known of what the tries before it did.
                request += how == "green" or not self.story.store or self.is_over(self.machine.now)

    def is_over(self, now: float) -> bool:
        """Whether nothing of the task's own goes on."""
        return all(run.is_over(now) for start in self.cloud.starts for run in start.runs)

    def _try(self, number: int, most: int) -> tuple[str, str]:
        ti = SimpleNamespace(try_number=number, max_tries=most, xcom_push=lambda **_: None)
        context: dict[str, Any] = {"ti": ti}
        if self.story.store:
            context["task_state_store"] = self.store
        self.machine.deadline = self.machine.now + self.story.timeout
        report = self._report if self.story.stale and not self.story.store else None
        self._report = None
        while True:
            self.machine.boot()
            try:
                result = self._process(context, report)
            except TaskDeferred as deferral:
                self._check_end()
                report = self._report = self._wait_for(deferral)
                if report is None:
                    return "failed", "the triggerer was away for too long"
                continue
            except Died:
                return "died", ""
            except AirflowFailException as error:
                self._check_end()
                return "failed for good", str(error)
            except (CloudSyncError, AirflowSensorTimeout) as error:
                self._check_end()
                return "failed", f"{type(error).__name__}: {error}"
            self._check_end()
            json.dumps(result)
            return "green", ""

    def _process(self, context: dict[str, Any], report: Any) -> Any:
        """What a worker does."""
        if report is not None:
            return self.task().execute_complete(context, event=report)
        if self.story.work in SYNCS or self.story.deferrable:
            return self.task().execute(context)
        # Rescheduled: Airflow ends that by itself.
        while not self.task().poke(context):
            if self.machine.now >= self.machine.deadline:
                raise AirflowSensorTimeout("the sensor's own time is up")
            self.machine.now += self.story.poll_interval or 60.0
            self.machine.boot()
        return None

    def _wait_for(self, deferral: TaskDeferred) -> Any:
        """The report of a trigger, which each new triggerer makes from what Airflow keeps; None: it came too late."""
        path, arguments = deferral.trigger.serialize()
        kept = json.dumps(arguments)
        backstop = self.machine.now + deferral.timeout.total_seconds()

        async def fire() -> Any:
            (payload,) = [each.payload async for each in import_string(path)(**json.loads(kept)).run()]
            return payload

        while self.machine.now < backstop:
            self.machine.boot()
            try:
                report = self.machine.arun(fire)
            except Died:
                self.machine.now += next(self._downtime)
                continue
            self._check_end()
            return json.loads(json.dumps(report))
        return None

    def _answer(self, request: HttpRequest) -> Response | CloudSyncError:
        late = self.machine.now > self.machine.deadline
        self.machine.requests += late
        assert not late or request.method == "GET", "started after the deadline"
        return self.cloud.answer(request)

    def _check_end(self) -> None:
        """By its deadline and one poll: what was on the wire comes to its end, and there is a last look."""
        # A quota is waited for 3 s, and no longer. A poke before the deadline stays to confirm what it sees.
        rescheduled = self.story.work in WATCHES and not self.story.deferrable
        most = 3.1 + (LONGEST_HOLD if rescheduled else 0.0)
        assert self.machine.idled <= most, f"idled for {self.machine.idled} s after the deadline"
        # Who takes up an earlier try's run looks for it, then at where it stands, and then waits: each time once.
        assert self.machine.requests <= 3 * ONE_LOOK, f"{self.machine.requests} requests after the deadline"
