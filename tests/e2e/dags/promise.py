"""Tasks that end in each of the ways that the provider's promise speaks of."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.operators.coc import CocSyncMultiCloudResourcesOperator
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor


class KilledOnce(MrsSyncIamUsersOperator):
    """Its first try is killed, as by the kernel, when the sync is started and the wait begins."""

    def _wait(self, context, ticket, deadline):
        if context["ti"].try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._wait(context, ticket, deadline)


with DAG("promise", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False):
    soon = timedelta(seconds=1)
    MrsSyncIamUsersOperator(
        task_id="red", cluster_id="red", user_names=["alice", "bob"], deferrable=True, retries=0
    )
    MrsSyncIamUsersOperator(
        task_id="anew", cluster_id="anew", sync_all=True, deferrable=True, retries=1, retry_delay=soon
    )
    KilledOnce(task_id="killed", cluster_id="killed", user_names=["alice"], retries=1, retry_delay=soon)
    MrsSyncIamUsersOperator(
        task_id="overdue",
        cluster_id="overdue",
        user_names=["alice"],
        deferrable=True,
        timeout=15,
        retries=0,
    )
    CocSyncMultiCloudResourcesOperator(task_id="one_of_two", vendor="AWS", deferrable=True, retries=0)
    CocSyncMultiCloudResourcesOperator(task_id="nobody", vendor="AZURE", retries=0)
    HssSyncClusterProtectionEventsOperator(task_id="not_created", cluster_id="c", retries=0)
    DataArtsMemberSyncTaskSensor(
        task_id="rescheduled",
        workspace="w",
        sync_task_id="t",
        # A run each minute: none counts at the first poke, also on a busy machine.
        synced_after="{{ dag_run.start_date + macros.timedelta(seconds=60) }}",
        mode="reschedule",
        poke_interval=5,
        timeout=300,
    )
