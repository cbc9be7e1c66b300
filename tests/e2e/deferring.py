"""Puts the mapped task of a DAG into Airflow's database as deferred: ``python deferring.py DAG_FILE WAITS``.

WAITS is a file of JSON: the arguments of a `SyncTrigger` for each of the task's instances. No worker runs, which would
take seconds of each instance.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow import __version__
from airflow.api.common.trigger_dag import trigger_dag
from airflow.models import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import update

from airflow_provider_cloudsync.triggers.sync import SyncTrigger

#: For a triggerer that is stuck; as the operators have it.
BACKSTOP = timedelta(hours=2)


def main(dag_file: str, waits: str) -> None:
    """Make a run, and defer all that is in it."""
    dag_id = load(dag_file)
    run_id = trigger_dag(dag_id, **_manually()).run_id
    defer(dag_id, run_id, json.loads(Path(waits).read_text(encoding="utf-8")))


def load(dag_file: str) -> str:
    """Make the DAG of a file known, and say its id."""
    if __version__.startswith("2."):
        from airflow.models.dagbag import DagBag

        bag = DagBag(dag_file)
        bag.sync_to_db()
    else:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

        manager = DagBundlesManager()
        manager.sync_bundles_to_db()
        (bundle,) = manager.get_all_dag_bundles()
        bundle.initialize()
        bag = BundleDagBag(dag_file, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle_version=None)
    (dag_id,) = bag.dag_ids
    return dag_id


def _manually() -> dict[str, Any]:
    if __version__.startswith("2."):
        return {"replace_microseconds": False}
    from airflow.utils.types import DagRunTriggeredByType

    return {"triggered_by": DagRunTriggeredByType.TEST}


def defer(dag_id: str, run_id: str, waits: list[dict[str, Any]]) -> None:
    """Leave the instances as a worker does that has handed its wait over."""
    with create_session() as session:
        triggers = [Trigger.from_object(SyncTrigger(**arguments)) for arguments in waits]
        session.add_all(triggers)
        session.flush()
        for map_index, trigger in enumerate(triggers):
            found = session.execute(
                update(TaskInstance)
                .where(
                    TaskInstance.dag_id == dag_id,
                    TaskInstance.run_id == run_id,
                    TaskInstance.map_index == map_index,
                )
                .values(
                    state=TaskInstanceState.DEFERRED,
                    try_number=1,
                    trigger_id=trigger.id,
                    trigger_timeout=trigger.created_date + BACKSTOP,
                    next_method="execute_complete",
                    next_kwargs={},
                )
            )
            assert found.rowcount == 1


if __name__ == "__main__":
    main(*sys.argv[1:])
