"""Mute the notifications of an event while secrets are rotated, and restore them even if the rotation fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator

with DAG(
    dag_id="example_csms_event_maintenance",
    description="Mute an event notification of CSMS around a maintenance, with setup and teardown",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"event": Param("example-event", type="string", description="Name of the event notification")},
    tags=["cloudsync", "example"],
    doc_md=__doc__,
):
    mute = CsmsUpdateEventOperator(task_id="mute", name="{{ params.event }}", state="DISABLED")

    @task
    def rotate_secrets() -> str:
        """Replace this with the work that would cause many notifications."""
        return "rotated"

    # Not "ENABLED": an event that was disabled before stays disabled.
    restore = CsmsUpdateEventOperator(
        task_id="restore",
        name="{{ params.event }}",
        state="{{ ti.xcom_pull(task_ids='mute')['before']['state'] }}",
    )

    @task
    def report() -> str:
        """Give the DAG run its state: the teardown alone would hide that the work failed."""
        return "done"

    # A teardown also runs if the work fails. With on_failure_fail_dagrun, a failed teardown fails the DAG run.
    rotated = rotate_secrets()
    mute.as_setup() >> rotated >> restore.as_teardown(setups=mute, on_failure_fail_dagrun=True)
    rotated >> report()
