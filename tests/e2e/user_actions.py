"""What a user does to tasks on Airflow's page: marks them failed or success, or clears them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from urllib.parse import quote

from tests.e2e.airflow_site import AirflowSite, Run


def act(site: AirflowSite, run: Run, wanted: Mapping[str, str]) -> None:
    """Do to tasks of a run what is wanted.

    :param wanted: "failed", "success" or "cleared", by task id.
    """
    dag_id, run_id = run
    if not site.is_3:
        argument = json.dumps([dag_id, run_id, dict(wanted)])
        site.processes.run("user", [sys.executable, "-c", USER_2, argument], 60.0)
        return
    dag = f"/api/v2/dags/{dag_id}"
    for task_id, state in wanted.items():
        if state == "cleared":
            asked = {"dag_run_id": run_id, "task_ids": [task_id], "only_failed": False, "dry_run": False}
            site.api("POST", f"{dag}/clearTaskInstances", asked)
        else:
            path = f"{dag}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
            site.api("PATCH", path, {"new_state": state})


#: The same by what the page of Airflow 2 calls, since no web server runs there.
USER_2 = """
import json, sys
from airflow.models.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.utils.session import create_session
dag_id, run_id, wanted = json.loads(sys.argv[1])
dag = DagBag(read_dags_from_db=True).get_dag(dag_id)
with create_session() as session:
    for task_id, state in wanted.items():
        if state == "cleared":
            found = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id, task_id=task_id)
            clear_task_instances(found.all(), session, dag=dag)
        else:
            dag.set_task_instance_state(task_id=task_id, run_id=run_id, state=state, session=session)
"""
