"""Refresh the protection events of a container cluster, and count the unhandled ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.hooks.hss import HssHook
from airflow_provider_cloudsync.operators.hss import HssSyncClusterProtectionEventsOperator

with DAG(
    dag_id="example_hss_cluster_events",
    description="Synchronize cluster protection events of HSS and wait until the list is updated",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    params={
        "cluster_id": Param(
            "example-container-cluster", type="string", description="ID of the container cluster"
        ),
    },
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    # HSS confirms only that it has created a task. The next task needs the events, so wait for the updated list.
    sync_events = HssSyncClusterProtectionEventsOperator(
        task_id="sync_events",
        cluster_id="{{ params.cluster_id }}",
        wait_for_completion=True,
        deferrable=True,
        timeout=timedelta(minutes=20),
    )

    @task
    def unhandled_events(synced: dict) -> int:
        """Count the unhandled events. The events are not stored in XCom."""
        events = HssHook().list_cluster_events(cluster_id=synced["cluster_id"])
        return sum(event["handle_status"] == "unhandled" for event in events)

    unhandled_events(sync_events.output)
