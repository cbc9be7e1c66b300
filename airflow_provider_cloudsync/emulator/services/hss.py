"""Host Security Service: the protection events of container clusters, and their synchronization.

A synchronization has no id and no status. All that shows its end is the time of the last update, which moves
even when no event came; a quiet cluster has nothing else to show.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.clock import milliseconds
from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import Reader
from airflow_provider_cloudsync.emulator.service import Operation, Quota, Service
from airflow_provider_cloudsync.emulator.services.hss_cluster import ProtectedCluster

BAD_PARAMETER = "HSS.0001"
NO_RESOURCE = "HSS.0011"
NO_PERMISSION = "HSS.0013"
DEFAULT_ENTERPRISE_PROJECT = "0"
ALL_ENTERPRISE_PROJECTS = "all_granted_eps"
#: The count of a list goes no further.
MOST_COUNTED = 10_000


class Hss(Service):
    """Protected clusters of the account's projects."""

    name = "hss"
    default: ClassVar = {
        "clusters": {
            "example-container-cluster": {"seconds": 4},
            "pipeline-container-cluster": {"seconds": 4},
        },
    }

    def load(self, section: Reader) -> None:
        """Read the clusters."""
        self.denied = section.names("denied_enterprise_projects")
        self.clusters = {
            name: ProtectedCluster(name, reader, self.account, self.clock.started)
            for name, reader in section.entries("clusters").items()
        }

    def state(self) -> dict[str, Any]:
        """The clusters with their synchronizations."""
        now = self.clock.now()
        return {"clusters": {name: cluster.describe(now) for name, cluster in self.clusters.items()}}

    def misuse(self, text: str) -> Refused:
        """The parameter error of HSS."""
        return _refusal(BAD_PARAMETER, f"Invalid parameter: {text}")

    def denial(self, call: Call, operation: Operation) -> Refused:
        """The permission error of HSS, which is a 400 like all others."""
        return _refusal(NO_PERMISSION, f"No permission for {operation.name}")

    def _clusters(self, call: Call) -> list[ProtectedCluster]:
        """The clusters of the enterprise projects that `call` is about."""
        asked = call.asked("enterprise_project_id")
        if asked is None:
            asked = DEFAULT_ENTERPRISE_PROJECT
        if not 1 <= len(asked) <= 256:
            raise self.misuse("enterprise_project_id must have 1 to 256 characters")
        if asked in self.denied:
            raise _refusal(NO_PERMISSION, f"No permission for the enterprise project {asked}")
        clusters = [each for each in self.clusters.values() if each.project_id == call.parts["project_id"]]
        if asked == ALL_ENTERPRISE_PROJECTS:
            # All that are granted, that is: the others are left out without a word.
            return [each for each in clusters if each.enterprise_project_id not in self.denied]
        return [each for each in clusters if each.enterprise_project_id == asked]

    def sync(self, call: Call) -> Reply:
        """Start a synchronization of one cluster, or of all of the enterprise project."""
        clusters = self._clusters(call)
        if (wanted := call.asked("cluster_id")) is not None:
            clusters = [each for each in clusters if each.id == wanted]
            if not clusters:
                raise _refusal(NO_RESOURCE, f"The cluster {wanted} does not exist")
        # Unconfirmed: what the answer is when there is no cluster at all, or when only some get a task.
        now = self.clock.now()
        created = [each.accept(now, call.request_id) for each in clusters]
        return Reply({"synched": any(created)}, effect="started" if any(created) else None)

    def list_events(self, call: Call) -> Reply:
        """A page of events, the newest first, and the time of the last update of the clusters asked for."""
        offset, limit = self._page(call)
        clusters = self._clusters(call)
        if (wanted := call.asked("cluster_id")) is not None:
            clusters = [each for each in clusters if each.id == wanted]
        now = self.clock.now()
        events = [event for cluster in clusters for event in cluster.events(now)]
        events.sort(key=lambda event: int(event["update_time"]), reverse=True)
        body: dict[str, Any] = {"total_num": min(len(events), MOST_COUNTED)}
        # Unconfirmed: its unit, and that it is about the clusters asked for rather than the whole project.
        updates = [time for cluster in clusters if (time := cluster.last_update(now)) is not None]
        if updates:
            body["last_update_time"] = milliseconds(max(updates))
        return Reply({**body, "data_list": events[offset : offset + limit]})

    def list_clusters(self, call: Call) -> Reply:
        """A page of the protected clusters."""
        offset, limit = self._page(call)
        rows = [cluster.details() for cluster in self._clusters(call)]
        return Reply({"total_num": min(len(rows), MOST_COUNTED), "data_list": rows[offset : offset + limit]})

    def _page(self, call: Call) -> tuple[int, int]:
        offset = self.whole_query(call, "offset", None, 0, 2_000_000)
        # A page of less than ten is out of range too.
        return offset, self.whole_query(call, "limit", None, 10, 200)

    # Documented: five calls a minute, for each call of this service and each user.
    _quota = Quota(5, 60, "user")
    operations = (
        Operation(
            "SyncClusterProtectionEvent",
            "POST",
            "/v5/{project_id}/container/clusters/protection-event-sync",
            sync,
            _quota,
        ),
        Operation("ListClusterEvents", "GET", "/v5/{project_id}/cluster-protect/events", list_events, _quota),
        Operation(
            "ListClusterProtectionInfo",
            "GET",
            "/v5/{project_id}/cluster-protect/clusters",
            list_clusters,
            _quota,
        ),
    )


def _refusal(code: str, text: str) -> Refused:
    # HSS calls its text a description, which the vendor SDK does not read: there the code gets lost.
    return Refused(Reply({"error_code": code, "error_description": text}, 400))
