"""A thousand waits for a few hundred clusters; the test puts them into the database as deferred."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator

with DAG("thousand", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False):
    MrsSyncIamUsersOperator.partial(task_id="wait", user_names=["alice"], deferrable=True).expand(
        cluster_id=[f"c{number % 250}" for number in range(1000)]
    )
