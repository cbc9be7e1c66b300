"""Maintenance that goes wrong: what was muted is heard again, as it was before."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_cloudsync.operators.csms import CsmsUpdateEventOperator


class KilledOnce(CsmsUpdateEventOperator):
    """Its first try is killed, as by the kernel, after the write and before it can say what there was before."""

    def execute(self, context):
        done = super().execute(context)
        if context["ti"].try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


def maintenance(name: str, kind: type[CsmsUpdateEventOperator], *, well: bool) -> None:
    """A DAG that mutes the event of its name, works, and restores it."""
    with DAG(name, start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False) as dag:
        mute = kind(task_id="mute", name=name, state="DISABLED", retries=1, retry_delay=timedelta(seconds=1))

        @task(retries=0)
        def work(well: bool) -> None:
            if not well:
                raise RuntimeError("the rotation failed")

        restore = CsmsUpdateEventOperator(
            task_id="restore",
            name=name,
            state="{{ ti.xcom_pull(task_ids='mute')['before']['state'] }}",
            retries=0,
        )

        @task
        def after() -> None:
            """What the DAG run is judged by, next to the teardown."""

        worked = work(well)
        mute.as_setup() >> worked >> restore.as_teardown(setups=mute, on_failure_fail_dagrun=True)
        worked >> after()
    globals()[name] = dag


maintenance("fails", CsmsUpdateEventOperator, well=False)
maintenance("was_off", CsmsUpdateEventOperator, well=True)
maintenance("dies", KilledOnce, well=True)
