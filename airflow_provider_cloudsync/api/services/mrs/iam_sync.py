"""MRS: synchronizing IAM users into a cluster; what to make of what a cluster shows.

A cluster shows one flag for all its synchronizations, whoever started them (``is_synchronizing``), one that says
whether it was ever brought in line (``is_synchronous``), and the names that it has. There is no run id, no time and no
reason of a failure; these facts and what follows from them are what `IamSync.judge` is about.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, SingleFlight
from airflow_provider_cloudsync.api.model import (
    CONFIRM_FAILURE,
    CONFIRM_SUCCESS,
    RAN_KEY,
    Phase,
    Progress,
    Stage,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.parameters import (
    IAM_SETTLE,
    flag,
    identifier,
    names,
    names_or_all,
)
from airflow_provider_cloudsync.api.replies import is_missing
from airflow_provider_cloudsync.api.services.mrs.calls import (
    NAMES_PER_REQUEST,
    NO_SUCH_CLUSTER,
    find_cluster,
    get_synced_iam_users,
    is_iam_synchronizing,
    is_iam_synchronous,
    send_cancel,
    send_sync,
)
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    InvalidParameter,
    UnreadableReply,
)

_CONSOLE = Console("the operation log of the cluster in the MRS console", "mrs", "mrs")
_NO_REASON = f"MRS reports no reason: look at {_CONSOLE}"
#: States of a cluster in which no synchronization can run any more.
_GONE = ("terminating", "terminated", "failed")
_CLUSTER_BUSY = "12000012"
#: Seconds until a cluster whose flag is up is looked up again.
_CLUSTER_AGE = 300.0


def iam_sync_target(
    cluster_id: str,
    *,
    user_names: Any = None,
    group_names: Any = None,
    sync_all: bool = False,
    settle: float = IAM_SETTLE,
) -> dict[str, Any]:
    """Return the target of a synchronization, checked.

    :param settle: seconds after a start in which a flag that is down may only mean that the run is not up yet.
    :raises InvalidParameter: for ids and names that can't be, and unless it is either names or all.
    """
    users, groups = names(user_names, "user_names"), names(group_names, "group_names")
    names_or_all(sync_all=flag(sync_all, "sync_all"), named=bool(users or groups))
    return {
        "cluster_id": identifier(cluster_id, "cluster_id"),
        "user_names": users,
        "group_names": groups,
        "sync_all": sync_all,
        "settle": settle,
    }


def iam_cancel_target(cluster_id: str, *, user_names: Any = None, group_names: Any = None) -> dict[str, Any]:
    """Whom to remove, checked."""
    named = names(user_names, "user_names") + names(group_names, "group_names")
    names_or_all(sync_all=None, named=bool(named))
    return iam_sync_target(cluster_id, user_names=user_names, group_names=group_names)


def iam_watch_target(cluster_id: str, *, user_names: Any = None, group_names: Any = None) -> dict[str, Any]:
    """Return the target of a watch, checked. Without names it is the whole cluster; an empty list is an error."""
    users, groups = names(user_names, "user_names"), names(group_names, "group_names")
    if not (users or groups) and not (user_names is None and group_names is None):
        raise InvalidParameter(
            "user_names and group_names are empty. To wait for the whole cluster, omit both."
        )
    return {
        "cluster_id": identifier(cluster_id, "cluster_id"),
        "user_names": users,
        "group_names": groups,
        "sync_all": not (users or groups),
        "settle": 0.0,
    }


@dataclass(frozen=True, slots=True)
class IamSyncSeen:
    """State of a cluster at one poll.

    :param problem: why no synchronization can run there; empty where it can.
    :param is_synchronous: None where it was not asked for: a run is under way, or names are asked about.
    """

    problem: str = ""
    is_synchronizing: bool = False
    is_synchronous: bool | None = None
    user_names: frozenset[str] = frozenset()
    group_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IamSync:
    """Synchronizing IAM users into a cluster, as something to start and to wait for."""

    name: str = "mrs"
    min_poll_interval: float = 2.0
    console: Console = _CONSOLE

    def describe(self, target: Target) -> str:
        return f"IAM user sync of MRS cluster {target['cluster_id']}"

    def key(self, target: Target) -> Hashable:
        # A poll for names does not ask whether the whole cluster is synchronous.
        return target["cluster_id"], target["sync_all"]

    def settle(self, target: Target) -> float:
        return float(target["settle"])

    def split(self, target: Target) -> list[Target]:
        users, groups = target["user_names"], target["group_names"]
        step = NAMES_PER_REQUEST
        return [
            {**target, "user_names": users[at : at + step], "group_names": groups[at : at + step]}
            for at in range(0, max(len(users), len(groups), 1), step)
        ]

    def observe(self, cloud: Cloud, target: Target) -> Flow[IamSyncSeen]:
        """While a run is under way one request tells so; only then is it worth asking for the rest.

        What the flags of an unknown cluster look like is not documented, and "false" could be taken for an end. So
        where they say that nothing runs, or refuse to say, the cluster itself is looked up.
        """
        cluster_id = target["cluster_id"]
        try:
            is_running = yield from is_iam_synchronizing(cloud, cluster_id)
        except ApiError as error:
            return (yield from self._explained(cloud, cluster_id, error))
        if is_running:
            return IamSyncSeen(
                is_synchronizing=True, problem=(yield from self._known_problem(cloud, cluster_id))
            )
        problem = yield from self._problem(cloud, cluster_id)
        if problem:
            return IamSyncSeen(problem=problem)
        try:
            has = yield from get_synced_iam_users(cloud, cluster_id)
            synchronous = (yield from is_iam_synchronous(cloud, cluster_id)) if target["sync_all"] else None
            # Once more: a run may have come up in between, and names show before it has ended.
            is_running = yield from is_iam_synchronizing(cloud, cluster_id)
        except ApiError as error:
            return (yield from self._explained(cloud, cluster_id, error))
        if is_running:
            return IamSyncSeen(is_synchronizing=True)
        return IamSyncSeen(
            is_synchronous=synchronous,
            user_names=frozenset(has["user_names"]),
            group_names=frozenset(has["group_names"]),
        )

    def _explained(self, cloud: Cloud, cluster_id: str, error: ApiError) -> Flow[IamSyncSeen]:
        """Look the cluster up after the service refused another read of it.

        :raises ApiError: `error`, if it is not explained by the state of the cluster.
        :raises UnreadableReply: if the service denies and shows the cluster at the same time.
        """
        if error.status not in (400, 404):
            raise error
        problem = yield from self._problem(cloud, cluster_id)
        if problem:
            return IamSyncSeen(problem=problem)
        if is_missing(error, NO_SUCH_CLUSTER):
            raise UnreadableReply(
                f"Contradictory replies: ShowClusterDetails returns MRS cluster {cluster_id}, and {error}"
            ) from error
        raise error

    def _known_problem(self, cloud: Cloud, cluster_id: str) -> Flow[str]:
        """While a run is up the cluster is looked up now and then: its flag may stay when it is gone."""
        if not cloud.fresh:
            key = ("cluster", cloud.scope, cluster_id)
            problem: str = yield SingleFlight(
                key, lambda: self._problem(cloud, cluster_id), max_age=_CLUSTER_AGE
            )
            if not problem:
                return ""
        # A kept result must not confirm itself.
        return (yield from self._problem(cloud, cluster_id))

    def _problem(self, cloud: Cloud, cluster_id: str) -> Flow[str]:
        cluster = yield from find_cluster(cloud, cluster_id)
        if cluster is None:
            return (
                f"MRS cluster {cluster_id} not found in region {cloud.region or 'unnamed'}, project "
                f"{cloud.project_id or 'of the region'}. Check cluster_id, region and project_id."
            )
        state = cluster["clusterState"].strip().lower()
        if state in _GONE:
            return f"MRS cluster {cluster_id} is {state}, so nothing can be synchronized into it."
        return ""

    def identity(self, target: Target) -> Target:
        return {name: value for name, value in target.items() if name != "settle"}

    def can_start(self, target: Target, seen: IamSyncSeen) -> Progress:
        if seen.problem:
            return _no_cluster(seen)
        if seen.is_synchronizing:
            return Progress(
                Phase.RUNNING,
                "Another IAM user sync is running in the cluster. This one starts when that one ends.",
            )
        return Progress(Phase.SUCCEEDED, "No IAM user sync is running in the cluster.")

    def is_satisfied_by_running(self, target: Target, seen: IamSyncSeen) -> bool:
        return seen.is_synchronizing and not seen.problem

    def baseline(self, target: Target, seen: IamSyncSeen) -> Mapping[str, Any]:
        users, groups = _missing(target, seen)
        return {"missing_users": users, "missing_groups": groups, "is_synchronous": seen.is_synchronous}

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        return (yield from send_sync(cloud, target))

    def is_busy(self, error: CloudSyncError) -> bool:
        return isinstance(error, ApiError) and error.code == _CLUSTER_BUSY

    def has_started(self, ticket: Ticket, seen: IamSyncSeen) -> bool:
        if seen.is_synchronizing or seen.problem:
            return seen.is_synchronizing
        if (
            ticket.target["sync_all"]
            and seen.is_synchronous
            and ticket.baseline.get("is_synchronous") is False
        ):
            return True
        users, groups = _missing(ticket.target, seen)
        return bool(
            _missing_before(ticket, "users") - set(users) or _missing_before(ticket, "groups") - set(groups)
        )

    def would_be_visible(self, ticket: Ticket) -> bool:
        if ticket.target["sync_all"]:
            return ticket.baseline.get("is_synchronous") is False
        return bool(_missing_before(ticket, "users") or _missing_before(ticket, "groups"))

    def learn(self, ticket: Ticket, seen: IamSyncSeen) -> Ticket:
        """Record that a run was under way since the start. When it is no longer, it has ended."""
        if ticket.stage is not Stage.STARTED or not seen.is_synchronizing or ticket.baseline.get(RAN_KEY):
            return ticket
        return replace(ticket, baseline={**ticket.baseline, RAN_KEY: True})

    def judge(self, ticket: Ticket, seen: IamSyncSeen, now: float) -> Progress:
        """Return the progress with the time for which its end has to last.

        A flag that is not set yet looks like one that is not set any more. So each end has to last for as long as the
        flag may take, unless a run was seen under way.
        """
        if seen.problem:
            return _no_cluster(seen)
        if seen.is_synchronizing:
            return Progress(Phase.RUNNING, "An IAM user sync is running in the cluster.")
        if ticket.target["sync_all"]:
            return self._judge_full(ticket, seen)
        users, groups = _missing(ticket.target, seen)
        if not users and not groups:
            known = "missing_users" in ticket.baseline and not self.would_be_visible(ticket)
            why = "All requested users and groups are in the cluster, and no sync is running."
            why += (
                " They were present before the start, too, so the result of this run is not visible."
                if known
                else ""
            )
            return Progress(Phase.SUCCEEDED, why, confirm_for=_confirm_time(ticket, CONFIRM_SUCCESS))
        absent = _listed("user", users) + _listed("group", groups)
        if ticket.stage is Stage.WATCHING:
            return Progress(Phase.RUNNING, f"Not in the cluster yet: {', '.join(absent)}.")
        why = f"Not in the cluster after the sync: {', '.join(absent)}. {_NO_REASON}"
        why += ", and check that the names exist in IAM."
        return Progress(Phase.FAILED, why, confirm_for=_confirm_time(ticket, CONFIRM_FAILURE))

    def _judge_full(self, ticket: Ticket, seen: IamSyncSeen) -> Progress:
        if seen.is_synchronous:
            why = "The cluster is in sync with IAM, and no sync is running."
            return Progress(Phase.SUCCEEDED, why, confirm_for=_confirm_time(ticket, CONFIRM_SUCCESS))
        if ticket.stage is Stage.WATCHING:
            return Progress(Phase.RUNNING, "The cluster is not in sync with IAM yet.")
        why = f"The cluster is not in sync with IAM after the full sync. {_NO_REASON}."
        return Progress(Phase.FAILED, why, confirm_for=_confirm_time(ticket, CONFIRM_FAILURE))


def _no_cluster(seen: IamSyncSeen) -> Progress:
    return Progress(Phase.FAILED, seen.problem, confirm_for=CONFIRM_FAILURE, absent=True)


def _confirm_time(ticket: Ticket, confirm_for: float) -> float:
    """Seconds for which an end has to show.

    Counted by whoever polls, from its own first poll: the clock that ``started_at`` is of may be another machine's.
    """
    if ticket.stage is Stage.WATCHING or ticket.baseline.get(RAN_KEY):
        return confirm_for
    return max(confirm_for, float(ticket.target["settle"]))


def _missing_before(ticket: Ticket, kind: Literal["users", "groups"]) -> set[str]:
    """The names that were not there before the start; none where that is not known."""
    return set(ticket.baseline.get(f"missing_{kind}") or ())


def _missing(target: Target, seen: IamSyncSeen) -> tuple[list[str], list[str]]:
    users = [name for name in target["user_names"] if name not in seen.user_names]
    groups = [name for name in target["group_names"] if name not in seen.group_names]
    return users, groups


def _listed(kind: Literal["user", "group"], missing: list[str]) -> list[str]:
    """Names for a sentence: the first ten, and how many more."""
    if not missing:
        return []
    shown = ", ".join(f'"{name}"' for name in missing[:10])
    more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
    return [f"{kind}{'s' if len(missing) > 1 else ''} {shown}{more}"]


@dataclass(frozen=True, slots=True)
class IamCancel(IamSync):
    """Removing synchronized IAM users from a cluster: a run like a synchronization, with the opposite end."""

    name: str = "mrs-cancel"

    def describe(self, target: Target) -> str:
        return f"Removal of synchronized IAM users from MRS cluster {target['cluster_id']}"

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        return (yield from send_cancel(cloud, target))

    def has_started(self, ticket: Ticket, seen: IamSyncSeen) -> bool:
        if seen.is_synchronizing or seen.problem:
            return seen.is_synchronizing
        users, groups = _missing(ticket.target, seen)
        return "missing_users" in ticket.baseline and bool(
            set(users) - _missing_before(ticket, "users") or set(groups) - _missing_before(ticket, "groups")
        )

    def would_be_visible(self, ticket: Ticket) -> bool:
        named = {*ticket.target["user_names"]} - _missing_before(ticket, "users")
        return bool(named or {*ticket.target["group_names"]} - _missing_before(ticket, "groups"))

    def judge(self, ticket: Ticket, seen: IamSyncSeen, now: float) -> Progress:
        if seen.problem:
            return _no_cluster(seen)
        if seen.is_synchronizing:
            return Progress(Phase.RUNNING, "An IAM user sync or removal is running in the cluster.")
        users = [name for name in ticket.target["user_names"] if name in seen.user_names]
        groups = [name for name in ticket.target["group_names"] if name in seen.group_names]
        if not users and not groups:
            why = (
                "The names are no longer in the cluster, and no sync is running."
                if self.has_started(ticket, seen)
                else "None of the names is in the cluster, and no sync is running."
            )
            return Progress(Phase.SUCCEEDED, why, confirm_for=_confirm_time(ticket, CONFIRM_SUCCESS))
        present = ", ".join(_listed("user", users) + _listed("group", groups))
        why = f"Still in the cluster after the removal: {present}. {_NO_REASON}."
        return Progress(Phase.FAILED, why, confirm_for=_confirm_time(ticket, CONFIRM_FAILURE))


IAM_SYNC = IamSync()
IAM_CANCEL = IamCancel()
