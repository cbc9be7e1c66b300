"""The same waits in each mode, and what stands around a task: limits, rules, mapping, days that are backfilled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.dataarts import DataArtsMemberSyncTaskSensor

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
REGION = "cn-north-4"
#: How a sensor waits.
MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "defer": {"deferrable": True}}


def sync(name: str, **more: Any) -> MrsSyncIamUsersOperator:
    """A sync of the cluster of its name, which is an outlet."""
    outlets = [assets.mrs_iam_users(REGION, name), assets.mrs_iam_users(REGION, "another")]
    return MrsSyncIamUsersOperator(
        task_id=name, cluster_id=name, user_names=["alice"], retries=0, outlets=outlets, **more
    )


def wait(name: str, sync_task: str, **more: Any) -> DataArtsMemberSyncTaskSensor:
    """A sensor that looks at a member sync task every ten seconds: Airflow on a busy machine fails a task that is
    rescheduled sooner, while the process of the look before is still being reaped.
    """
    return DataArtsMemberSyncTaskSensor(
        task_id=name,
        workspace="w",
        sync_task_id=sync_task,
        synced_after=None,
        poke_interval=10,
        timeout=600,
        outlets=[assets.dataarts_member_sync_task(REGION, "w", sync_task)],
        **more,
    )


with DAG("modes", start_date=BEGIN, schedule=None, catchup=False):
    # What takes longest comes first.
    late = sync("late", execution_timeout=timedelta(seconds=25), priority_weight=9)
    sync("late_deferred", execution_timeout=timedelta(seconds=35), deferrable=True, priority_weight=9)
    late >> sync("if_failed", trigger_rule="one_failed", deferrable=True)
    late >> sync("if_well")

    for how, mode in MODES.items():
        wait(f"good_{how}", "good", retries=0, **mode)
        wait(f"bad_{how}", "bad", retries=1, **mode)
        soft = wait(f"soft_{how}", "bad", retries=0, soft_fail=True, **mode)
        soft >> sync(f"after_{how}")
    soft >> sync("in_spite", trigger_rule="none_failed", deferrable=True)

    @task(retries=0)
    def clusters(dag_run=None) -> list[str]:
        """As many as the run was asked for."""
        return [f"c{number}" for number in range(dag_run.conf["clusters"])]

    @task(retries=0, trigger_rule="all_done")
    def arrived(results) -> list[str]:
        """Where the syncs went well."""
        return [result["cluster_id"] for result in results]

    mapped = MrsSyncIamUsersOperator.partial(
        task_id="mapped",
        user_names=["alice"],
        retries=0,
        deferrable=True,
        outlets=[assets.mrs_iam_users(REGION, "c1")],
    ).expand(cluster_id=clusters())
    arrived(mapped.output)

# It has an end, so that it has no runs but those that are backfilled.
with DAG("days", start_date=BEGIN, end_date=BEGIN + timedelta(days=1), schedule="@daily", catchup=False):
    sync("each_day", deferrable=True)
