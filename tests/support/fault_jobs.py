"""What each service is asked for in the fault matrix: something that takes a while, started by us or by others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.csms import (
    CsmsCreateEventOperator,
    CsmsDeleteEventOperator,
    CsmsUpdateEventOperator,
)
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.coc import CocVendorAccountSyncSensor
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor
from airflow_provider_cloudsync.sensors.hss import HssClusterEventsSensor
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor

#: Seconds that a run takes.
RUN = 45.0


@dataclass(frozen=True)
class Job:
    """A service with runs.

    :param look: the operation that shows whether a run is over.
    :param theirs: the scenario in which somebody else's run ends `RUN` seconds from the beginning.
    :param start: the operation that starts a run; empty where none does.
    :param ours: the scenario in which what we start takes `RUN` seconds.
    :param looks: how often `look` is asked before the start.
    """

    look: str
    theirs: dict[str, Any]
    sensor: Callable[..., Any]
    start: str = ""
    ours: dict[str, Any] | None = None
    operator: Callable[..., Any] | None = None
    looks: int = 1


_FOREIGN = {"at": 0, "starts_after": 0, "seconds": RUN, "users": ["alice"]}
_TASK = {
    "workspace": "w",
    "schedule_status": "SCHEDULING",
    "schedule_period": "HOUR",
    "schedule_interval": 1,
    "sync_status": "SYNC_SUCCESS",
    "sync_time": -86400,
    "runs": [{"at": 5, "seconds": RUN - 5, "outcome": "SYNC_SUCCESS"}],
}
_ACCOUNT = {"account_id": "1"}


def _coc(**fields: Any) -> dict[str, Any]:
    return {"coc": {"accounts": {"row": {**_ACCOUNT, **fields}}, "resources": {}}}


def _hss(**fields: Any) -> dict[str, Any]:
    return {"hss": {"clusters": {"c": fields}}}


JOBS = {
    "mrs": Job(
        look="ListClusterSyncTaskStatus",
        looks=2,
        theirs={"clusters": {"c": {"foreign_runs": [_FOREIGN]}}},
        sensor=lambda world, **more: MrsIamSyncSensor(cluster_id="c", user_names=["alice"], **more),
        start="UpdateSyncIamUser",
        ours={"clusters": {"c": {"starts_after": 3, "seconds": RUN - 3}}},
        operator=lambda **more: MrsSyncIamUsersOperator(cluster_id="c", user_names=["alice"], **more),
    ),
    "dataarts": Job(
        look="ShowSecurityMemberSyncTask",
        theirs={"tasks": {"t": _TASK}},
        sensor=lambda world, **more: DataArtsMemberSyncTaskSensor(
            workspace="w", sync_task_id="t", synced_after=world.began, **more
        ),
    ),
    "hss": Job(
        look="ListClusterEvents",
        theirs=_hss(updates_at=[RUN]),
        sensor=lambda world, **more: HssClusterEventsSensor(
            cluster_id="c", updated_after=world.began, **more
        ),
        start="SyncClusterProtectionEvent",
        ours=_hss(seconds=RUN),
        operator=lambda **more: HssSyncClusterProtectionEventsOperator(
            cluster_id="c", wait_for_completion=True, **more
        ),
    ),
    "coc": Job(
        look="ListVendorAccount",
        looks=2,  # the page of accounts, and the end of the list
        theirs=_coc(foreign_runs=[{"at": 5, "seconds": RUN - 5}]),
        sensor=lambda world, **more: CocVendorAccountSyncSensor(
            vendor="AWS", account_id="1", synced_after=world.began, **more
        ),
        start="SyncMultiCloudResource",
        ours=_coc(starts_after=3, seconds=RUN - 3),
        operator=lambda **more: CocSyncMultiCloudResourcesOperator(vendor="AWS", account_id="1", **more),
    ),
}
STARTABLE = {name: job for name, job in JOBS.items() if job.operator is not None}

_TOPIC = "urn:smn:cn-north-4:e1000000000000000000000000000001:example-topic"
_SMN = {"target_type": "SMN", "target_id": _TOPIC, "target_name": "example-topic"}
EVENT = {"state": "ENABLED", "event_types": ["SECRET_ROTATED"], "notification": _SMN}
#: Reads the event, before a write and after it.
SHOW = "ShowSecretEvent"


@dataclass(frozen=True)
class Write:
    """A write of CSMS.

    :param sends: the operation.
    :param before: the event; None: there is none.
    :param after: likewise.
    """

    sends: str
    task: Callable[[], Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def section(self) -> dict[str, Any]:
        events = {} if self.before is None else {"e": self.before}
        return {"csms": {"events": events, "secrets": {}, "topics": [_TOPIC]}}


WRITES = {
    "create": Write(
        "CreateSecretEvent", lambda: CsmsCreateEventOperator(task_id="t", name="e", **EVENT), None, EVENT
    ),
    "update": Write(
        "UpdateSecretEvent",
        lambda: CsmsUpdateEventOperator(task_id="t", name="e", state="DISABLED"),
        EVENT,
        {**EVENT, "state": "DISABLED"},
    ),
    "delete": Write("DeleteSecretEvent", lambda: CsmsDeleteEventOperator(task_id="t", name="e"), EVENT, None),
}


def event_of(world: Any) -> dict[str, Any] | None:
    """What CSMS has, as far as it can be written."""
    found = world.emulator.state()["csms"]["events"].get("e")
    return found and {name: found[name] for name in EVENT}
