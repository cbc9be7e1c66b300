"""Hooks in @task and @task.sensor: wait until an MRS cluster is up, and count its users."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param, task

from airflow_provider_cloudsync.hooks.mrs import MrsHook

with DAG(
    dag_id="example_cloudsync_taskflow",
    description="Hooks in @task and @task.sensor: wait for a cluster, list its users",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    params={"cluster_id": Param("example-cluster", type="string", description="ID of the MRS cluster")},
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):

    @task.sensor(poke_interval=30, timeout=timedelta(hours=1).total_seconds(), mode="reschedule")
    def cluster_is_up(params: dict) -> bool:
        """Wait for a state that no sensor of the package covers. For a sync, use the sensors of the package."""
        state = MrsHook().get_cluster(params["cluster_id"])["clusterState"]
        if state in ("terminated", "failed"):
            raise AirflowFailException(f"The cluster {params['cluster_id']} is {state}.")
        return state == "running"

    @task
    def users(params: dict) -> int:
        """Count the IAM users of the cluster. The names are not stored in XCom."""
        return len(MrsHook().get_synced_iam_users(params["cluster_id"])["user_names"])

    cluster_is_up() >> users()
