"""One IAM user sync of MRS, waited for in each way: an operator and a sensor, in the worker and in the triggerer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor

Wait = Callable[..., None]


def operator_wait(cluster_id: str, interval: float) -> Wait:
    """Return a wait of the operator, to be called with the world and ``deferrable``."""

    def operate(world: Any, *, deferrable: bool) -> None:
        task = MrsSyncIamUsersOperator(
            task_id="sync",
            cluster_id=cluster_id,
            user_names=["alice"],
            deferrable=deferrable,
            poll_interval=interval,
        )
        world.run(task)

    return operate


def sensor_wait(cluster_id: str, interval: float, timeout: float) -> Wait:
    """Return a wait of the sensor, to be called with the world and ``deferrable``."""

    def watch(world: Any, *, deferrable: bool) -> None:
        MrsHook().sync_iam_users(cluster_id, user_names=["alice"])
        task = MrsIamSyncSensor(
            task_id="watch",
            cluster_id=cluster_id,
            user_names=["alice"],
            deferrable=deferrable,
            poke_interval=interval,
            timeout=timeout,
        )
        world.run(task)

    return watch


def each_wait(operate: Wait, watch: Wait) -> pytest.MarkDecorator:
    """Return the mark that runs a test with ``wait`` and ``deferrable`` of each way."""
    return pytest.mark.parametrize(
        ("wait", "deferrable"),
        [
            pytest.param(operate, False, id="blocking"),
            pytest.param(operate, True, id="deferred"),
            pytest.param(watch, False, id="poking"),
            pytest.param(watch, True, id="deferred sensor"),
        ],
    )
