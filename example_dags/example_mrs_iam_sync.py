"""Bring IAM users into an MRS cluster, and use what came of it."""

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
        "cluster_id": Param("example-cluster", type="string", description="Id of the MRS cluster"),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    # Green means: no sync runs in the cluster any more, and alice, bob and the group are in it.
    sync_users = MrsSyncIamUsersOperator(
        task_id="sync_users",
        cluster_id="{{ params.cluster_id }}",
        user_names=["alice", "bob"],
        group_names=["analysts"],
        deferrable=True,  # waits in the triggerer; no worker slot is taken meanwhile
        timeout=timedelta(minutes=30),
        retries=1,  # takes up the sync of the try before, if that is still there
    )

    @task
    def report(synced: dict) -> str:
        """What the operator returns is small; the users themselves are in the cluster."""
        return f"{synced['users']} users and {synced['groups']} groups are in {synced['cluster_id']}"

    report(sync_users.output)
