"""DataArts Studio: the tasks that synchronize members into clusters. They can only be read; runs come by themselves."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Quota, Service
from airflow_provider_cloudsync.emulator.services.dataarts_task import MemberSyncTask

NO_WORKSPACE = "DLS.6036"
# The real codes of these two are not documented; what matters is that they are DLS codes under HTTP 400.
NO_TASK = "DLS.4106"
BAD_PARAMETER = "DLS.1000"
FILTERS = ("cluster_type", "cluster_name", "sync_status", "schedule_status")
ORDERS = ("CLUSTER_NAME", "CREATE_TIME", "UPDATE_TIME", "SYNC_TIME")
DAY = 86_400
SCHEDULED = {
    "workspace": "example-workspace",
    "schedule_status": "SCHEDULING",
    "schedule_period": "MINUTE",
    "schedule_interval": 1,
    "seconds": 10,
    "sync_status": "SYNC_SUCCESS",
    "sync_time": -DAY,
}


class DataArts(Service):
    """Workspaces and their member sync tasks."""

    name = "dataarts"
    default: ClassVar = {
        "workspaces": ["example-workspace"],
        "tasks": {
            "example-member-sync": {**SCHEDULED, "cluster_name": "example-cluster"},
            "pipeline-member-sync": {**SCHEDULED, "cluster_name": "pipeline-cluster"},
        },
    }

    def load(self, section: Reader) -> None:
        """Read the workspaces and tasks."""
        self.workspaces = section.names("workspaces")
        self.tasks = {}
        for name, reader in section.entries("tasks").items():
            task = MemberSyncTask(name, reader, self.account, self.clock.started)
            if task.workspace not in self.workspaces:
                raise BadInput(
                    f"{reader.at('workspace')}: {task.workspace!r} is not in {section.at('workspaces')}"
                )
            self.tasks[name] = task

    def state(self) -> dict[str, Any]:
        """The tasks with their runs."""
        now = self.clock.now()
        tasks = {name: task.describe(now) for name, task in self.tasks.items()}
        return {"workspaces": self.workspaces, "tasks": tasks}

    def misuse(self, text: str) -> Refused:
        """The parameter error of DataArts."""
        return _refusal(BAD_PARAMETER, f"Invalid parameter: {text}")

    def _tasks(self, call: Call) -> list[MemberSyncTask]:
        workspace = call.headers.get("workspace", "")
        if workspace not in self.workspaces:
            # This one error comes in camel case.
            text = "The workspace does not exist" if workspace else "The workspace is missing"
            raise Refused(Reply({"errorCode": NO_WORKSPACE, "errorMsg": text}, 400))
        project = call.parts["project_id"]
        return [
            each for each in self.tasks.values() if (each.workspace, each.project_id) == (workspace, project)
        ]

    def show_task(self, call: Call) -> Reply:
        """One task."""
        for task in self._tasks(call):
            if task.id == call.parts["task_id"]:
                return Reply(task.show(self.clock.now()))
        raise _refusal(NO_TASK, "The member synchronization task does not exist")

    def list_tasks(self, call: Call) -> Reply:
        """A page of the workspace's tasks."""
        now = self.clock.now()
        rows = [task.show(now) for task in self._tasks(call)]
        limit = self.whole_query(call, "limit", 10, 1, 100)
        offset = self.whole_query(call, "offset", 0, 0, 2**31 - 1)
        for name in FILTERS:
            if (wanted := call.asked(name)) is not None:
                rows = [row for row in rows if row[name] == wanted]
        rows = self._ordered(call, rows)
        return Reply({"total": len(rows), "tasks": rows[offset : offset + limit]})

    def _ordered(self, call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        order, ascending = call.asked("order_by"), call.asked("order_by_asc")
        if ascending not in (None, "true", "false"):
            raise self.misuse("order_by_asc must be true or false")
        if order is None:
            return rows
        if order not in ORDERS:
            raise self.misuse(f"order_by must be one of {', '.join(ORDERS)}")
        field = order.lower()
        # A task that never ran has no sync_time; it goes before all others.
        return sorted(
            rows, key=lambda row: (row[field] is not None, row[field]), reverse=ascending == "false"
        )

    _path = "/v1/{project_id}/security/member-sync-tasks"
    operations = (
        Operation("ListSecurityMemberSyncTasks", "GET", _path, list_tasks, Quota(40, 10, "user")),
        Operation(
            "ShowSecurityMemberSyncTask", "GET", _path + "/{task_id}", show_task, Quota(40, 10, "user")
        ),
    )


def _refusal(code: str, text: str) -> Refused:
    return Refused(Reply({"error_code": code, "error_msg": text}, 400))
