"""What there is to wait for: the services' parts of the scenario, and what a look at each target would tell when.

The rules are those of the services as the scenario describes them, written down once more and independently of the
judges of the package.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_provider_cloudsync.api.model import Stage, Ticket
from airflow_provider_cloudsync.api.services.coc.resource_sync import resources_target, resources_watch_target
from airflow_provider_cloudsync.api.services.dataarts.member_sync import member_sync_target
from airflow_provider_cloudsync.api.services.hss.event_sync import events_watch_target
from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_sync_target, iam_watch_target
from tests.soak.plan import NEVER, Draw, Plan, Window
from tests.soak.settings import Settings

#: Seconds after a start in which an MRS cluster may not show the run yet.
SETTLE = 10.0
#: DataArts and COC: what changed less than so long ago is not trusted.
FRESH = 5.0
PROJECTS = tuple(f"e100000000000000000000000000000{number}" for number in range(1, 5))
CONNECTIONS = ("soak_keys", "soak_password", "soak_look_up")
VENDORS = ("AWS", "AZURE", "ALI", "VMWARE", "OPENSTACK", "HCS", "OTHER")
#: All accounts of this one are waited for together.
WHOLE_VENDOR = "RMS"
#: Much shorter than in the cloud, but not so short that all that Airflow's masker keeps of each token shows as a leak.
TOKEN_SECONDS = 60.0


def make_plan(settings: Settings) -> Plan:
    """Draw everything."""
    draw = Draw(settings, random.Random(settings.seed))
    share = settings.waits / 100
    # HSS bears a look in 15 seconds.
    long_enough = settings.seconds >= 60
    scenario: dict[str, Any] = {
        "account": {
            "token_seconds": TOKEN_SECONDS,
            "projects": [
                {"id": project, "name": "cn-north-4" + (f"_team{number}" if number else "")}
                for number, project in enumerate(PROJECTS)
            ],
        },
        "mrs": {"clusters": _mrs(draw, round(45 * share))},
        "dataarts": {"workspaces": WORKSPACES, "tasks": _dataarts(draw, round(70 * share))},
        "coc": {"accounts": _coc(draw, round((97 if long_enough else 100) * share))},
        "hss": {"clusters": _hss(draw, settings.waits)},
        "csms": {"events": {}, "secrets": {}},
    }
    sections = (("mrs", "clusters"), ("dataarts", "tasks"), ("coc", "accounts"), ("hss", "clusters"))
    return Plan(
        scenario,
        tuple(sorted(draw.waits, key=lambda wait: wait.arrives)),
        sum(len(scenario[service][kind]) for service, kind in sections),
    )


def _without(windows: list[Window], start: float, end: float) -> list[Window]:
    """The windows but for a time in which something else is in sight."""
    cut = []
    for window in windows:
        before = Window(window.start, min(window.end, start), window.verdict, window.says)
        after = Window(max(window.start, end), window.end, window.verdict, window.says)
        cut += [each for each in (before, after) if each.start < each.end]
    return sorted(cut, key=lambda each: each.start)


def _scope(draw: Draw) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Whose a target is: the connection of its waits, what these say of the project, and what the scenario says."""
    connection = draw.rng.choice(CONNECTIONS)
    if connection == "soak_look_up" or draw.rng.random() < 0.4:
        return connection, {}, {}
    project = draw.rng.choice(PROJECTS[1:])
    return connection, {"project_id": project}, {"project_id": project}


def _ticket(
    service: str,
    target: Callable[[float], dict[str, Any]],
    stage: Stage,
    at: float,
    began: float,
    **more: Any,
) -> Ticket:
    return Ticket(service, target(began), stage, began + at, **more)


# --- MRS ----------------------------------------------------------------------------------------------------------


def _mrs(draw: Draw, waits: int) -> dict[str, Any]:
    """Clusters with one run that is waited for, and now and then a later one that only stands in the way."""
    clusters: dict[str, Any] = {}
    enough = len(draw.waits) + waits
    number = 0
    while len(draw.waits) < enough:
        name, number = f"m{number}", number + 1
        connection, of_wait, of_cluster = _scope(draw)
        there = draw.rng.random() > 0.03
        start, end = draw.run()
        outcome = draw.one_of(("succeeded", 0.6), ("failed", 0.14), ("partial", 0.14), ("never_ends", 0.12))
        full = outcome != "partial" and draw.rng.random() < 0.25
        users = {"full": True} if full else {"users": ["alice", "bob"]}
        runs = [{"at": start, "seconds": end - start, "outcome": outcome, "missing": ["bob"], **users}]
        later = None
        if draw.rng.random() < 0.25 and outcome != "never_ends":
            gap, length = draw.rng.uniform(0.005, 0.1), draw.rng.uniform(0.005, 0.07)
            later = (end + gap * draw.settings.seconds, length * draw.settings.seconds)
            runs.append({"at": later[0], "seconds": later[1], "users": ["carol"]})
        if there:
            clusters[name] = {"foreign_runs": runs, **of_cluster}
        for _ in range(min(draw.rng.choice((1, 3, 4, 6)), enough - len(draw.waits))):
            _wait_for_cluster(draw, name, connection, of_wait, (start, end, outcome), full, there, later)
    return clusters


def _wait_for_cluster(
    draw: Draw,
    name: str,
    connection: str,
    more: dict[str, Any],
    run: tuple[float, float, str],
    full: bool,
    there: bool,
    later: tuple[float, float] | None,
) -> None:
    start, end, outcome = run
    arrives = draw.soon_after(start, end)
    kind = draw.one_of((Stage.STARTED, 0.65), (Stage.WATCHING, 0.2), (Stage.QUEUED, 0.15))
    names = {} if full else {"user_names": ["alice", "bob"]}
    details: dict[str, Any] = {}
    if kind is Stage.WATCHING:
        target = iam_watch_target(name, **names)
    else:
        target = iam_sync_target(name, sync_all=full, settle=SETTLE, **names)
        missing = [] if full else ["alice", "bob"]
        details["baseline"] = {"missing_users": missing, "missing_groups": [], "is_synchronous": False}
    if kind is Stage.QUEUED:
        details = {"hold": 2.0}
    ticket = partial(_ticket, "mrs", lambda began: target, kind, arrives, **details)
    if not there:
        shows = [Window(0.0, NEVER, "failed", name)]
    elif outcome == "never_ends":
        shows = []
    elif kind is Stage.QUEUED:
        shows = [Window(max(end, arrives + details["hold"]), NEVER, "succeeded")]
    elif outcome == "succeeded":
        # Names that were missing and are there now tell at once; of a whole cluster there is no such sign.
        known = max(end, arrives + SETTLE) if full and kind is Stage.STARTED else end
        shows = [Window(known, NEVER, "succeeded")]
    elif kind is Stage.WATCHING:
        shows = []
    else:
        says = "not in line" if full else "bob"
        shows = [Window(max(end, arrives + SETTLE), NEVER, "failed", says)]
    if there and later:
        shows = _without(shows, later[0], later[0] + later[1])
    draw.wait("mrs", connection, arrives, ticket, shows, **more)


# --- DataArts -----------------------------------------------------------------------------------------------------


def _dataarts(draw: Draw, enough: int) -> dict[str, Any]:
    """Member sync tasks with up to three runs one after the other; each wait is for one of them, or any later."""
    tasks: dict[str, Any] = {}
    while len(draw.waits) < enough:
        name = f"d{len(tasks)}"
        connection, of_wait, of_task = _scope(draw)
        runs = _runs_of_task(draw, name)
        tasks[name] = {
            "workspace": _workspace(name),
            "sync_status": draw.rng.choice(("NOT_SYNC", "SYNC_SUCCESS", "SYNC_FAIL")),
            "sync_time": -7200,
            "sync_msg": "of long ago",
            "status_lag": draw.rng.choice((0, 2)),
            "runs": [
                {"at": at, "seconds": None if end == NEVER else end - at, "outcome": outcome, "msg": message}
                for at, end, outcome, message in runs
            ],
            **of_task,
        }
        for _ in range(min(draw.rng.choice((2, 4, 6)), enough - len(draw.waits))):
            _wait_for_task(draw, name, connection, of_wait, runs)
    return tasks


TaskRun = tuple[float, float, str, str]
#: The tasks of each share pages of a list.
WORKSPACES = [f"w{number}" for number in range(6)]


def _workspace(task: str) -> str:
    return WORKSPACES[int(task[1:]) % len(WORKSPACES)]


def _runs_of_task(draw: Draw, name: str) -> list[TaskRun]:
    runs: list[TaskRun] = []
    start, end = draw.run()
    while True:
        message = f"of {name}, run {len(runs)}"
        if draw.rng.random() < 0.1:
            return [*runs, (start, NEVER, "SYNC_SUCCESS", message)]
        runs.append((start, end, draw.one_of(("SYNC_SUCCESS", 0.65), ("SYNC_FAIL", 0.35)), message))
        start = end + draw.rng.uniform(0.05, 0.2) * draw.settings.seconds
        end = start + draw.length() / 3
        if end > draw.settings.last_end or len(runs) == 3 or draw.rng.random() < 0.4:
            return runs


def _wait_for_task(draw: Draw, name: str, connection: str, more: dict[str, Any], runs: list[TaskRun]) -> None:
    possible = [number for number, run in enumerate(runs) if run[0] <= draw.settings.last_arrival]
    first = draw.rng.choice(possible)
    start, end = runs[first][:2]
    # Some are there before the run is.
    arrives = max(
        0.0, draw.soon_after(start, end) - draw.rng.choice((0.0, 0.02, 0.1)) * draw.settings.seconds
    )
    fails = arrives < start and draw.rng.random() < 0.1

    def target(began: float) -> dict[str, Any]:
        after = round((began + start) * 1000) - 1500
        unscheduled = "fail" if fails else "warn"
        return member_sync_target(_workspace(name), name, synced_after=after, if_unscheduled=unscheduled)

    counting = runs[first:]
    until = [run[0] for run in counting[1:]] + [NEVER]
    shows = [
        Window(max(end, at + FRESH), then, "succeeded" if outcome == "SYNC_SUCCESS" else "failed", says)
        for (at, end, outcome, says), then in zip(
            [(*run[:3], "" if run[2] == "SYNC_SUCCESS" else run[3]) for run in counting], until, strict=True
        )
        if max(end, at + FRESH) < then
    ]
    if fails:
        # No schedule, so no run is to be expected: it need not wait.
        busy = [(max(run[0], 0.0), run[1]) for run in runs[:first]]
        idle = [Window(0.0, start, "failed", "NOT_SCHEDULE")]
        for at, over in busy:
            idle = _without(idle, at, over)
        shows = sorted([*idle, *shows], key=lambda window: window.start)
    ticket = partial(_ticket, "dataarts", target, Stage.WATCHING, arrives)
    draw.wait("dataarts", connection, arrives, ticket, shows, **more)


# --- COC ----------------------------------------------------------------------------------------------------------

DAY = 86_400


def _coc(draw: Draw, enough: int) -> dict[str, Any]:
    """Accounts with one run each, of vendors whose accounts are waited for one by one; and one vendor as a whole."""
    accounts: dict[str, Any] = {}
    ends: dict[str, tuple[float, str]] = {}
    for number in range(5):
        start, end = draw.run()
        outcome = "failed" if draw.rng.random() < 0.2 else "succeeded"
        ends[f"r{number}"] = (end, outcome)
        accounts[f"r{number}"] = _account(WHOLE_VENDOR, f"r{number}", start, end, outcome)
    for _ in range(max(1, (enough - len(draw.waits)) // 20)):
        _wait_for_vendor(draw, ends)
    while len(draw.waits) < enough:
        name = f"a{len(accounts)}"
        start, end = draw.run()
        outcome = draw.one_of(("succeeded", 0.6), ("failed", 0.28), ("never_ends", 0.12))
        vendor = VENDORS[len(accounts) % len(VENDORS)]
        accounts[name] = _account(vendor, name, start, end, outcome)
        for _ in range(min(draw.rng.choice((1, 3, 6)), enough - len(draw.waits))):
            _wait_for_account(draw, vendor, name, start, end, outcome)
    return accounts


def _account(vendor: str, name: str, start: float, end: float, outcome: str) -> dict[str, Any]:
    run = {"at": start, "starts_after": 1, "seconds": max(end - start - 1, 0.5), "outcome": outcome}
    return {"vendor": vendor, "account_id": name, "failure": f"refused {name}", "foreign_runs": [run]}


def _known(end: float) -> float:
    """When an end is old enough at the earliest; dates are without fractions of a second."""
    return end + FRESH - 1


def _baseline(names: list[str], began: float) -> dict[str, Any]:
    return {"accounts": {name: ["success", int(began - DAY) * 1000] for name in names}}


def _wait_for_account(draw: Draw, vendor: str, name: str, start: float, end: float, outcome: str) -> None:
    end = max(end, start + 1.5)
    arrives = draw.soon_after(start, end)
    watching = draw.rng.random() < 0.3

    def ticket(began: float) -> Ticket:
        if watching:
            after = int(began + start) * 1000
            target = resources_watch_target(vendor, account_id=name, synced_after=after)
            return Ticket("coc", target, Stage.WATCHING, began + arrives)
        target, baseline = resources_target(vendor, account_id=name), _baseline([name], began)
        return Ticket("coc", target, Stage.STARTED, began + arrives, baseline=baseline)

    verdict, says = ("failed", f"refused {name}") if outcome == "failed" else ("succeeded", name)
    shows = [] if outcome == "never_ends" else [Window(_known(end), NEVER, verdict, says)]
    # Keys differ by vendor only, so that its accounts share looks: they need one connection.
    connection = CONNECTIONS[VENDORS.index(vendor) % len(CONNECTIONS)]
    draw.wait("coc", connection, arrives, ticket, shows)


def _wait_for_vendor(draw: Draw, ends: dict[str, tuple[float, str]]) -> None:
    last = max(end for end, _ in ends.values())
    arrives = draw.soon_after(0.0, last)
    failed = [name for name, (_, outcome) in ends.items() if outcome == "failed"]

    def ticket(began: float) -> Ticket:
        baseline = _baseline(list(ends), began)
        return Ticket(
            "coc", resources_target(WHOLE_VENDOR), Stage.STARTED, began + arrives, baseline=baseline
        )

    verdict, says = ("failed", f"refused {failed[0]}") if failed else ("succeeded", "r0")
    draw.wait("coc", CONNECTIONS[0], arrives, ticket, [Window(_known(last), NEVER, verdict, says)])


# --- HSS ----------------------------------------------------------------------------------------------------------


def _hss(draw: Draw, enough: int) -> dict[str, Any]:
    """Two clusters, since the list of their events bears five calls a minute; the second one is never updated."""
    update = 0.35 * draw.settings.seconds

    def target(name: str, began: float) -> dict[str, Any]:
        return events_watch_target(cluster_id=name, updated_after=int(began * 1000))

    while len(draw.waits) < enough:
        updated = draw.rng.random() < 0.7
        name = "h0" if updated else "h1"
        arrives = draw.soon_after(0.0, draw.settings.last_arrival)
        ticket = partial(_ticket, "hss", partial(target, name), Stage.WATCHING, arrives)
        shows = [Window(update, NEVER, "succeeded")] if updated else []
        # The others leave room for those whose end is near: both triggerers' looks count.
        interval = None if updated else 0.1 * draw.settings.seconds
        draw.wait("hss", CONNECTIONS[0], arrives, ticket, shows, floor=15.0, poll_interval=interval)
    return {"h0": {"updates_at": [update]}, "h1": {}}
