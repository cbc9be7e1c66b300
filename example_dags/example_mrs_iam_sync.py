"""Synchronize IAM users into an MRS cluster, and use the result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator

with DAG(
    dag_id="example_mrs_iam_sync",
    description="Synchronize IAM users into an MRS cluster and wait until they are there",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    params={
        "cluster_id": Param("example-cluster", type="string", description="ID of the MRS cluster"),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    # Green means that no sync is running in the cluster, and that alice, bob and the group are in it.
    sync_users = MrsSyncIamUsersOperator(
        task_id="sync_users",
        cluster_id="{{ params.cluster_id }}",
        user_names=["alice", "bob"],
        group_names=["analysts"],
        deferrable=True,  # wait in the triggerer, without a worker slot
        timeout=timedelta(minutes=30),
        retries=1,  # a retry continues with the sync of the try before
    )

    @task
    def report(synced: dict) -> str:
        """Use the result of the operator: numbers and IDs, no names."""
        return f"{synced['users']} users and {synced['groups']} groups are in {synced['cluster_id']}"

    report(sync_users.output)
