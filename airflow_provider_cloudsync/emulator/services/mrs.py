"""MapReduce Service: clusters, and the synchronization of IAM users into them.

A run is its times and what it will do; what a cluster shows at some moment is worked out from its runs, so that no
timer is needed and time may jump. The flag ``is_synchronizing`` stays false for a while after a run was accepted, as in
the cloud: who looks too early takes the run for finished.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_provider_cloudsync.emulator.messages import Call, Refused, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.service import Operation, Quota, Service
from airflow_provider_cloudsync.emulator.services.mrs_cluster import STATES, TERMINATED, Cluster, Run

CLUSTER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_NAMES = 1000
BAD_PARAMETER = "12000002"
NO_CLUSTER = "12000003"
BUSY = "12000012"
#: Unconfirmed for MRS; other services document it.
ALL_ENTERPRISE_PROJECTS = "all_granted_eps"
#: What ``clusterState`` of the list call accepts besides the states themselves.
STATE_GROUPS = {"existing": frozenset(STATES) - {TERMINATED}, "history": frozenset({TERMINATED})}


class Mrs(Service):
    """Clusters of the account's projects."""

    name = "mrs"
    default: ClassVar = {
        "clusters": {
            "example-cluster": {"seconds": 15, "starts_after": 1.5},
            "pipeline-cluster": {"seconds": 15, "starts_after": 1.5},
            "terminated-cluster": {"state": TERMINATED},
        }
    }

    def load(self, section: Reader) -> None:
        """Read the clusters."""
        self.clusters = {}
        for name, reader in section.entries("clusters").items():
            if not CLUSTER_ID.fullmatch(name):
                raise BadInput(
                    f"{reader.where}: a cluster id is 1 to 64 letters, digits, hyphens and underscores"
                )
            self.clusters[name] = Cluster(name, reader, self.account, self.clock.started)

    def state(self) -> dict[str, Any]:
        """The clusters with their runs."""
        now = self.clock.now()
        return {"clusters": {name: cluster.describe(now) for name, cluster in self.clusters.items()}}

    def misuse(self, text: str) -> Refused:
        """The parameter error of MRS."""
        return _refusal(BAD_PARAMETER, f"Invalid parameter: {text}")

    def _cluster(self, call: Call) -> Cluster:
        name = call.parts["cluster_id"]
        if not CLUSTER_ID.fullmatch(name):
            raise self.misuse("cluster_id must be 1 to 64 letters, digits, hyphens and underscores")
        cluster = self.clusters.get(name)
        # The v2 paths alone spell the keys of this one error in camel case.
        camel = call.path.startswith("/v2/")
        if cluster is None or cluster.project_id != call.parts["project_id"]:
            raise _refusal(NO_CLUSTER, f"The cluster {name} does not exist", camel=camel)
        if camel and cluster.state_at(self.clock.now()) == TERMINATED:
            raise _refusal(NO_CLUSTER, f"The cluster {name} does not exist any more", camel=True)
        return cluster

    def show_users(self, call: Call) -> Reply:
        """The users and groups that are in the cluster now."""
        users, groups, _ = self._cluster(call).contents(self.clock.now())
        return Reply({"user_names": users, "group_names": groups})

    def show_running(self, call: Call) -> Reply:
        """Return whether a run is under way, whoever started it."""
        return Reply({"is_synchronizing": self._cluster(call).is_synchronizing(self.clock.now())})

    def show_synchronous(self, call: Call) -> Reply:
        """Return whether a full synchronization succeeded last."""
        return Reply({"is_synchronous": self._cluster(call).contents(self.clock.now())[2]})

    def start(self, call: Call) -> Reply:
        """Start a run that brings users and groups in."""
        return self._run(call, "sync", "started")

    def cancel(self, call: Call) -> Reply:
        """Start a run that takes users and groups out."""
        return self._run(call, "cancel", "cancelled")

    def _run(self, call: Call, kind: str, effect: str) -> Reply:
        document = self.json_body(call)
        users, groups = (self._names(document, key) for key in ("user_names", "group_names"))
        full = document.get("is_all_sync", False) if kind == "sync" else False
        if not isinstance(full, bool):
            raise self.misuse("is_all_sync must be true or false")
        cluster = self._cluster(call)
        if not (full or users or groups):
            raise self.misuse("user_names or group_names is needed")
        now = self.clock.now()
        if cluster.busy(now):
            raise _refusal(BUSY, "The cluster is busy: a synchronization is under way")
        cluster.accept(Run(kind, now, users, groups, full=full, request_id=call.request_id))
        return Reply({"state": "synchronizing"}, 202, effect=effect)

    def _names(self, document: Mapping[str, Any], key: str) -> list[str]:
        names = document.get(key)
        if names is None:
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise self.misuse(f"{key} must be a list of names")
        if len(names) > MOST_NAMES:
            raise self.misuse(f"{key} holds more than {MOST_NAMES} names")
        return names

    def show_cluster(self, call: Call) -> Reply:
        """The details of a cluster; a terminated one still has them."""
        return Reply({"cluster": self._cluster(call).details(self.clock.now())})

    def list_clusters(self, call: Call) -> Reply:
        """A page of the project's clusters."""
        now = self.clock.now()
        rows = [
            each.details(now)
            for each in self.clusters.values()
            if each.project_id == call.parts["project_id"]
        ]
        for parameter, field in (
            ("clusterName", "clusterName"),
            ("enterpriseProjectId", "enterpriseProjectId"),
        ):
            if (wanted := call.asked(parameter)) not in (None, ALL_ENTERPRISE_PROJECTS):
                rows = [row for row in rows if row[field] == wanted]
        if (state := call.asked("clusterState")) is not None:
            states = STATE_GROUPS.get(state, frozenset({state}))
            rows = [row for row in rows if row["clusterState"] in states]
        size = self.whole_query(call, "pageSize", 10, 1, 2**31 - 2)
        page = self.whole_query(call, "currentPage", 1, 1, 2**31 - 2)
        return Reply({"clusterTotal": len(rows), "clusters": rows[(page - 1) * size : page * size]})

    _sync_user = "/v2/{project_id}/clusters/{cluster_id}/iam-sync-user"
    _sync = "/v2/{project_id}/clusters/{cluster_id}/iam-sync"
    _infos = "/v1.1/{project_id}/cluster_infos"
    operations = (
        Operation("UpdateSyncIamUser", "POST", _sync_user, start, Quota(60, 60)),
        Operation("CancelSyncIamUser", "DELETE", _sync_user, cancel, Quota(60, 60)),
        Operation("ShowSyncIamUser", "GET", _sync_user, show_users, Quota(1000, 60)),
        Operation("ListClusterSyncTaskStatus", "GET", _sync, show_running),
        Operation("ListClusterSyncStatus", "GET", _sync + "/is-synchronous", show_synchronous),
        Operation("ShowClusterDetails", "GET", _infos + "/{cluster_id}", show_cluster),
        Operation("ListClusters", "GET", _infos, list_clusters),
    )


def _refusal(code: str, text: str, *, camel: bool = False) -> Refused:
    keys = ("errorCode", "errorMsg") if camel else ("error_code", "error_msg")
    return Refused(Reply(dict(zip(keys, (code, text), strict=True)), 400))
