"""One MRS cluster and its synchronization runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.emulator.account import Account
from airflow_provider_cloudsync.emulator.clock import instant
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader

TERMINATED = "terminated"
STATES = (
    "starting",
    "running",
    TERMINATED,
    "failed",
    "abnormal",
    "terminating",
    "frozen",
    "scaling-out",
    "scaling-in",
)
RESULTS = ("succeeded", "failed", "partial", "never_ends")


@dataclass(frozen=True)
class Outcome:
    """How a run will end.

    :param missing: the names that a ``partial`` one leaves out.
    """

    result: str = "succeeded"
    missing: tuple[str, ...] = ()


@dataclass
class Run:
    """A synchronization run.

    :param kind: ``sync`` brings names in, ``cancel`` takes them out.
    :param accepted: when it was asked for.
    :param starts: from when on ``is_synchronizing`` shows it.
    :param ends: when its effect is there; None for never.
    """

    kind: str
    accepted: float
    users: list[str]
    groups: list[str]
    full: bool = False
    by: str = "request"
    request_id: str | None = None
    starts: float = 0.0
    ends: float | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def over(self, now: float) -> bool:
        """Return whether it has ended."""
        return self.ends is not None and self.ends <= now

    def moved(self, names: list[str]) -> list[str]:
        """Those of `names` that the run really brings in or takes out."""
        if self.outcome.result == "succeeded":
            return names
        return [name for name in names if name not in self.outcome.missing] if self._partial else []

    @property
    def _partial(self) -> bool:
        return self.outcome.result == "partial"

    def describe(self, now: float) -> dict[str, Any]:
        """The run as JSON; what it did only once it is over."""
        over = self.over(now)
        return {
            "kind": self.kind,
            "by": self.by,
            "full": self.full,
            "request_id": self.request_id,
            "accepted": self.accepted,
            "started": self.starts if self.starts <= now else None,
            "ended": self.ends if over else None,
            "users": self.users,
            "groups": self.groups,
            "outcome": self.outcome.result if over else None,
            "effective_users": self.moved(self.users) if over else [],
            "effective_groups": self.moved(self.groups) if over else [],
        }


class Cluster:
    """A cluster as the scenario describes it.

    :param began: the emulated time that the scenario's offsets count from.
    """

    def __init__(self, cluster_id: str, reader: Reader, account: Account, began: float) -> None:
        self.id = cluster_id
        self._account = account
        self._began = began
        self.project_id = reader.text("project_id", account.main_project)
        self._name = reader.text("name", cluster_id)
        self._version = reader.text("version", "MRS 3.3.0-LTS.1")
        self._state = reader.text("state", "running", choices=STATES)
        self._safe_mode = reader.whole("safe_mode", 1, most=1)
        self._enterprise_project = reader.text("enterprise_project_id", "0")
        self._starts_after = reader.number("starts_after", 1.5)
        self._seconds = reader.number("seconds", 15)
        self._brings_groups = reader.flag("brings_groups", True)
        self._users = reader.names("synced_users")
        self._groups = reader.names("synced_groups")
        self._synchronous = reader.flag("is_synchronous")
        self._terminates_at = reader.number("terminates_at", None)
        missing = reader.names("missing")
        self._outcomes = _outcomes(reader, "outcome", missing)
        self._cancel_outcomes = _outcomes(reader, "cancel_outcome", missing)
        self._runs = [self._foreign(each) for each in reader.children("foreign_runs")]
        reader.done()

    def _foreign(self, reader: Reader) -> Run:
        at = instant(self._began + reader.number("at"))
        starts = instant(at + reader.number("starts_after", 0))
        full = reader.flag("full")
        # What the scenario writes down is what appears, whoever is an IAM user.
        users = reader.names("users", list(self._account.groups_of) if full else [])
        groups = reader.names("groups", self._account.groups if full else [])
        outcome = _outcomes(reader, "outcome", reader.names("missing"))[0]
        seconds = reader.number("seconds", self._seconds)
        ends = None if outcome.result == "never_ends" else instant(starts + seconds)
        reader.done()
        return Run("sync", at, users, groups, full, by="foreign", starts=starts, ends=ends, outcome=outcome)

    def state_at(self, now: float) -> str:
        """``clusterState`` at that time."""
        if self._terminates_at is not None and now >= instant(self._began + self._terminates_at):
            return TERMINATED
        return self._state

    def busy(self, now: float) -> bool:
        """Return whether a run was accepted and is not over; a new one is refused then, shown or not."""
        return any(run.accepted <= now and not run.over(now) for run in self._runs)

    def is_synchronizing(self, now: float) -> bool:
        """The flag as the service shows it: late."""
        return any(run.starts <= now and not run.over(now) for run in self._runs)

    def contents(self, now: float) -> tuple[list[str], list[str], bool]:
        """Users, groups and ``is_synchronous``, after all runs that are over by `now`."""
        users, groups = dict.fromkeys(self._users), dict.fromkeys(self._groups)
        synchronous = self._synchronous
        over = [run for run in self._runs if run.over(now)]
        for run in sorted(over, key=lambda each: each.ends or 0.0):
            for held, names in ((users, run.moved(run.users)), (groups, run.moved(run.groups))):
                for name in names:
                    if run.kind == "cancel":
                        held.pop(name, None)
                    else:
                        held[name] = None
            if run.full:
                synchronous = run.outcome.result == "succeeded"
        return list(users), list(groups), synchronous

    def accept(self, run: Run) -> None:
        """Take in a run that was asked for: settle whom it concerns, how it will end, and when."""
        if run.kind == "sync":
            self._resolve(run)
        outcomes = self._outcomes if run.kind == "sync" else self._cancel_outcomes
        earlier = sum(1 for each in self._runs if each.by == "request" and each.kind == run.kind)
        run.outcome = outcomes[min(earlier, len(outcomes) - 1)]
        run.starts = instant(run.accepted + self._starts_after)
        run.ends = None if run.outcome.result == "never_ends" else instant(run.starts + self._seconds)
        self._runs.append(run)

    def _resolve(self, run: Run) -> None:
        """Only users and groups that the account has can get into the cluster; a misspelt name never appears."""
        known = self._account.groups_of
        if run.full:
            run.users, run.groups = list(known), list(self._account.groups)
            return
        users = [name for name in dict.fromkeys(run.users) if name in known]
        groups = [name for name in run.groups if name in self._account.groups]
        if self._brings_groups:
            groups += [group for user in users for group in known[user]]
        run.users, run.groups = users, list(dict.fromkeys(groups))

    def details(self, now: float) -> dict[str, Any]:
        """The cluster as ``cluster_infos`` shows it; times are seconds, as text."""
        ended = self.state_at(now) == TERMINATED and self._terminates_at is not None
        changed = self._began + (self._terminates_at or 0.0) if ended else self._began
        return {
            "clusterId": self.id,
            "clusterName": self._name,
            "clusterVersion": self._version,
            "clusterState": self.state_at(now),
            "clusterType": 0,
            "stageDesc": "",
            "errorInfo": "",
            "scale": "",
            "safeMode": self._safe_mode,
            "enterpriseProjectId": self._enterprise_project,
            "tenantId": self.project_id,
            "masterNodeNum": "2",
            "coreNodeNum": "3",
            "totalNodeNum": "5",
            "createAt": str(int(self._began - 86_400)),
            "updateAt": str(int(changed)),
        }

    def describe(self, now: float) -> dict[str, Any]:
        """All of the cluster as JSON."""
        users, groups, synchronous = self.contents(now)
        return {
            "state": self.state_at(now),
            "is_synchronizing": self.is_synchronizing(now),
            "is_synchronous": synchronous,
            "user_names": users,
            "group_names": groups,
            "runs": [run.describe(now) for run in self._runs if run.accepted <= now],
        }


def _outcomes(reader: Reader, key: str, missing: list[str]) -> list[Outcome]:
    """How successive runs end; the last goes on for good."""
    given = reader.raw(key, "succeeded")
    rows = given if isinstance(given, list) else [given]
    if not rows:
        raise BadInput(f"{reader.at(key)} must not be an empty list")
    outcomes = []
    for index, row in enumerate(rows):
        where = f"{reader.at(key)}[{index}]" if isinstance(given, list) else reader.at(key)
        each = Reader({"result": row} if isinstance(row, str) else row, where)
        result = each.text("result", "succeeded", choices=RESULTS)
        names = each.names("missing", missing)
        each.done()
        if result == "partial" and not names:
            raise BadInput(f"{where}: a partial run needs the names in `missing`")
        outcomes.append(Outcome(result, tuple(names)))
    return outcomes
