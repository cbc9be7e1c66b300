"""MRS: watch of a cluster's IAM user syncs for event triggers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import CONFIRM_SUCCESS, Phase, Service, Target
from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
from airflow_provider_cloudsync.api.services.mrs.iam_sync import (
    IAM_SYNC,
    IamSync,
    IamSyncSeen,
    iam_watch_target,
)
from airflow_provider_cloudsync.api.times import iso
from airflow_provider_cloudsync.api.waiting.watching import Ended, Memory, Reading, Watch
from airflow_provider_cloudsync.exceptions import ApiError


@dataclass(frozen=True, slots=True)
class IamFlag(IamSync):
    """Poll of a cluster's flag only: one call a poll, for watches without an end."""

    name: str = "mrs-flag"

    def observe(self, cloud: Cloud, target: Target) -> Flow[IamSyncSeen]:
        cluster_id = target["cluster_id"]
        try:
            flag = yield from is_iam_synchronizing(cloud, cluster_id)
        except ApiError as error:
            if error.status not in (400, 404):
                raise
            problem = yield from self._known_problem(cloud, cluster_id)
            if not problem:
                raise
            return IamSyncSeen(problem=problem)
        # What the flag of a cluster shows that is gone is not documented.
        problem = yield from self._known_problem(cloud, cluster_id)
        return IamSyncSeen(problem=problem, is_synchronizing=flag)


_SINCE = "since"


@dataclass(frozen=True, slots=True)
class FlagWatch:
    """Where the service shows no more than whether a run is under way. The memory is since when one is, in ms."""

    target: Target
    service: Service[Any] = field(default_factory=IamFlag)

    def read(self, memory: Memory | None, seen: IamSyncSeen, at: float) -> Reading:
        since = (memory or {}).get(_SINCE, 0)
        progress = IAM_SYNC.can_start(self.target, seen)
        if progress.phase is Phase.FAILED:
            return Reading({_SINCE: 0}, problem=progress.why, confirm_for=progress.confirm_for)
        if progress.phase is Phase.RUNNING:
            return Reading({_SINCE: since or round(at * 1000)})
        if not since:
            return Reading({_SINCE: 0})
        ids = {"cluster_id": self.target["cluster_id"]}
        why = f"The IAM user sync that was running at {iso(since)} has ended."
        # A flag that is down in one poll may be up in the next.
        ended = Ended(ids, iso(since, exactly=True), "ended", why, CONFIRM_SUCCESS, _SINCE, since)
        return Reading({_SINCE: 0}, (ended,))


def watch_cluster(cluster_id: str) -> Watch:
    """Return a watch of the IAM user syncs of an MRS cluster."""
    return FlagWatch(iam_watch_target(cluster_id))
