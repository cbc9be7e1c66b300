"""Says as JSON which tasks of a folder of DAGs are declared deferrable: ``python declared.py FOLDER``."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any


def declared(folder: str) -> dict[str, list[str]]:
    """Ids of the deferrable tasks, by DAG id."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag
    bag = DagBag(folder)
    return {name: [t.task_id for t in dag.tasks if _is_deferrable(t)] for name, dag in bag.dags.items()}


def _is_deferrable(task: Any) -> bool:
    if not hasattr(task, "partial_kwargs"):
        # What does not wait does not defer.
        return getattr(task, "wait_for_completion", True) and bool(getattr(task, "deferrable", False))
    if "deferrable" in task.partial_kwargs:
        return bool(task.partial_kwargs["deferrable"])
    parameter = inspect.signature(task.operator_class.__init__).parameters.get("deferrable")
    return parameter is not None and parameter.default is True


if __name__ == "__main__":
    found = json.dumps(declared(sys.argv[1]))
    # Airflow may log into the same output, before and after.
    print(f"\nDECLARED {found}")
