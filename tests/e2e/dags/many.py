"""Two hundred syncs of one task, each of a cluster of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator

with DAG("many", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False):
    MrsSyncIamUsersOperator.partial(
        task_id="sync",
        user_names=["alice"],
        deferrable=True,
        timeout=timedelta(hours=2),
        retries=3,
        retry_delay=timedelta(seconds=1),
    ).expand(cluster_id=[f"many-{number}" for number in range(200)])
