"""What the buttons of tasks lead to, as Airflow's own REST API tells it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from tests.e2e.airflow_site import AirflowSite
from tests.e2e.records import TaskResult

CONSOLE = "https://console.huaweicloud.com/"
#: Task -> page of the console, in the region of the emulator's connection.
PAGES = {
    "example_cloudsync_pipeline.quiet": "dew/?region=cn-north-4",
    "example_cloudsync_pipeline.users_synced": "mrs/?region=cn-north-4",
    "example_cloudsync_pipeline.inventory_synced": "coc/?region=cn-north-4",
    "example_cloudsync_pipeline.events_requested": "hss2/?region=cn-north-4",
    "example_cloudsync_pipeline.members_synced": "dayu/?region=cn-north-4&workspace=example-workspace",
    "example_cloudsync_pipeline.audible": "dew/?region=cn-north-4",
}

Buttons = dict[str, dict[str, str | None]]


def buttons(site: AirflowSite, tasks: Iterable[TaskResult]) -> Buttons:
    """The links of each task, by "DAG id.task name"; None for a button that is off."""
    paths = {
        f"{task.dag_id}.{task.name}": f"dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}"
        f"/links?map_index={task.map_index}"
        for task in tasks
    }
    if site.is_3:
        return {name: site.api("GET", f"/api/v2/{path}")["extra_links"] for name, path in paths.items()}
    replies, ours = _by_airflow_2(site, paths)
    # Of the operators' code nothing is needed but the links.
    assert not [
        name for name in ours if name.startswith(("operators", "sensors", "transport", "api.", "tasks"))
    ]
    return replies


def _by_airflow_2(site: AirflowSite, paths: dict[str, str]) -> tuple[Buttons, list[str]]:
    """The same, and the modules of ours that were loaded for it: from Airflow 2's web application, without a server."""
    command = [sys.executable, "-c", _APPLICATION_2, json.dumps(paths)]
    output = site.processes.run("buttons", command, timeout=120.0)
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found["replies"], found["ours"]


_APPLICATION_2 = """
import json, os, sys
home = os.environ["AIRFLOW_HOME"]
with open(f"{home}/webserver_config.py", "w") as file:
    file.write('AUTH_ROLE_PUBLIC = "Admin"')
os.environ["AIRFLOW__WEBSERVER__CONFIG_FILE"] = file.name
os.environ["AIRFLOW__API__AUTH_BACKENDS"] = "airflow.api.auth.backend.default"
from airflow.www.app import create_app
client = create_app().test_client()
replies = {}
for name, path in json.loads(sys.argv[1]).items():
    reply = client.get(f"/api/v1/{path}")
    assert reply.status_code == 200, (path, reply.status_code, reply.text)
    replies[name] = reply.json
package = "airflow_provider_cloudsync."
ours = [name.removeprefix(package) for name in sys.modules if name.startswith(package)]
print()
print(json.dumps({"replies": replies, "ours": ours}))
"""
