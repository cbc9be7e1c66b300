"""DataArts Studio: wait for a run of a member sync task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from airflow_provider_cloudsync.api import services
from airflow_provider_cloudsync.api.model import STATE_LAG, Service, Target
from airflow_provider_cloudsync.api.parameters import literal_id, literal_time, one_of
from airflow_provider_cloudsync.sensors.sync import CloudSyncSensor
from airflow_provider_cloudsync.tasks.waiter import resolve_nullable, seconds

__all__ = ["DataArtsMemberSyncTaskSensor"]


class DataArtsMemberSyncTaskSensor(CloudSyncSensor):
    """Waits until a member sync task of DataArts Studio has run.

    No API call starts a run: runs come from the task's schedule or from the console. A task shows the state of its last
    run only, so ``synced_after`` gives the earliest run to accept.

    The other parameters are those of `CloudSyncSensor`.

    :param workspace: id of the workspace. Templated.
    :param sync_task_id: id of the member sync task. Templated.
    :param synced_after: earliest start of a run to accept: a datetime, ISO 8601 text, or seconds or milliseconds since
        the epoch, such as ``"{{ dag_run.start_date }}"``. None: accept the last run of any date. Templated.
    :param if_unscheduled: behavior if the task's schedule is off and there is no acceptable run: ``warn`` logs a
        warning and waits for a run that is started by hand, ``fail`` fails the sensor.
    :param settle_time: seconds or timedelta by which the status may lag behind the date of its run. An end that may be
        that of the previous run is confirmed for that long.
    """

    template_fields: Sequence[str] = (
        "workspace",
        "sync_task_id",
        "synced_after",
        *CloudSyncSensor.template_fields,
    )
    service: ClassVar[Service[Any]] = services.named("dataarts")

    def __init__(
        self,
        *,
        workspace: str,
        sync_task_id: str,
        synced_after: datetime | str | float | None,
        if_unscheduled: Literal["warn", "fail"] = "warn",
        settle_time: timedelta | float = STATE_LAG,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workspace = literal_id(workspace, "workspace")
        self.sync_task_id = literal_id(sync_task_id, "sync_task_id")
        self.synced_after = literal_time(synced_after, "synced_after")
        self.any_run = synced_after is None
        self.if_unscheduled = one_of(if_unscheduled, "if_unscheduled", ("warn", "fail"))
        self.settle_time = seconds(settle_time, "settle_time")

    def target(self) -> Target:
        from airflow_provider_cloudsync.api.services.dataarts.member_sync import member_sync_target

        after = resolve_nullable(
            self.synced_after,
            "synced_after",
            none_in_dag=self.any_run,
            consequence="any old run would be accepted",
        )
        return member_sync_target(
            self.workspace,
            self.sync_task_id,
            synced_after=after,
            if_unscheduled=self.if_unscheduled,
            settle=self.settle_time,
        )
