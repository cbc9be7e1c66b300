"""MRS: the calls, one function each (API version 2 for the synchronization, version 1.1 for clusters)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypedDict

from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Flow, Quota, Request
from airflow_provider_cloudsync.api.model import Probe, Target
from airflow_provider_cloudsync.api.page_rows import Listing
from airflow_provider_cloudsync.api.pages import complete_list
from airflow_provider_cloudsync.api.parameters import identifier
from airflow_provider_cloudsync.api.replies import is_missing, may_be_missing, not_proven_missing
from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, UnreadableReply

#: How many names one request may carry. Documented for the cancellation; a start is held to it, too.
NAMES_PER_REQUEST = 1000
#: How often the names may be read, for a tenant. Of the other reads no figure is known.
_NAMES_QUOTA = Quota(1000, 60.0)
NO_SUCH_CLUSTER = "12000003"
_CLUSTERS = Listing(
    "clusters",
    "clusterId",
    "clusters",
    100,
    total="clusterTotal",
    size="pageSize",
    position="currentPage",
    numbered=True,
)
_CLUSTERS_PATH = "/v1.1/{project_id}/cluster_infos"
#: Enterprise projects to list clusters of. Without one, the service lists those of the default one only.
_ENTERPRISE_PROJECTS = (None, "all_granted_eps")
_TERMINATED = "terminated"
#: The only documented state of a reply.
_ACCEPTED = "synchronizing"


class SyncedIamUsers(TypedDict):
    """The reply to ShowSyncIamUser: what the cluster has."""

    user_names: list[str]
    group_names: list[str]


class SyncState(TypedDict):
    """The reply to UpdateSyncIamUser and CancelSyncIamUser. ``synchronizing`` means accepted, and no more."""

    state: str


class Cluster(TypedDict, total=False):
    """The fields of a cluster that are of use here; the service sends more of them."""

    clusterId: str
    clusterName: str
    clusterState: str
    clusterVersion: str
    enterpriseProjectId: str
    safeMode: int
    createAt: str
    updateAt: str


def _request(
    method: str, operation: str, cluster_id: str, path: str, *, repeatable: bool = True, json: Any = None
) -> Request:
    base = f"/v2/{{project_id}}/clusters/{identifier(cluster_id, 'cluster_id')}"
    return Request(method, "mrs", operation, base + path, repeatable, json=json)


def is_iam_synchronizing(cloud: Cloud, cluster_id: str) -> Flow[bool]:
    """Return whether an IAM synchronization runs in the cluster, whoever started it (ListClusterSyncTaskStatus)."""
    request = _request("GET", "ListClusterSyncTaskStatus", cluster_id, "/iam-sync")
    flag: bool = (yield from call(cloud, request)).field("is_synchronizing", bool)
    return flag


def is_iam_synchronous(cloud: Cloud, cluster_id: str) -> Flow[bool]:
    """Return whether the cluster is in line with IAM after a full synchronization (ListClusterSyncStatus)."""
    request = _request("GET", "ListClusterSyncStatus", cluster_id, "/iam-sync/is-synchronous")
    flag: bool = (yield from call(cloud, request)).field("is_synchronous", bool)
    return flag


def get_synced_iam_users(cloud: Cloud, cluster_id: str) -> Flow[SyncedIamUsers]:
    """The users and groups that the cluster has from IAM (ShowSyncIamUser)."""
    request = _request("GET", "ShowSyncIamUser", cluster_id, "/iam-sync-user")
    reply = yield from call(cloud, replace(request, quota=_NAMES_QUOTA, max_reply=MAX_LIST_REPLY))
    data = reply.data if isinstance(reply.data, dict) else {}
    lists = [data.get("user_names"), data.get("group_names")]
    # An empty list may be left out, but a reply with neither says nothing.
    if lists == [None, None] or not all(names is None or _is_names(names) for names in lists):
        raise UnreadableReply(
            f"No usable lists of names in the reply to ShowSyncIamUser. [request ID {reply.request_id or 'unknown'}]"
        )
    return {"user_names": lists[0] or [], "group_names": lists[1] or []}


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def get_cluster(cloud: Cloud, cluster_id: str) -> Flow[Cluster]:
    """The cluster (ShowClusterDetails of version 1.1). One that was deleted still answers, as ``terminated``."""
    path = f"{_CLUSTERS_PATH}/{identifier(cluster_id, 'cluster_id')}"
    reply = yield from call(cloud, Request("GET", "mrs", "ShowClusterDetails", path, repeatable=True))
    cluster: Cluster = reply.field("cluster", dict)
    if not isinstance(cluster.get("clusterState"), str):
        raise UnreadableReply(
            f"No clusterState in the reply to ShowClusterDetails. [request ID {reply.request_id or 'unknown'}]"
        )
    return cluster


def find_cluster(cloud: Cloud, cluster_id: str) -> Flow[Cluster | None]:
    """The same; None if there is no such cluster, by the service's own code or by the complete lists of clusters.

    :raises ApiError: for a 404 that may be of a gateway, if a list has the cluster or cannot be read. The row of a
        terminated cluster is proof enough, and is returned.
    """
    try:
        return (yield from get_cluster(cloud, cluster_id))
    except ApiError as error:
        if is_missing(error, NO_SUCH_CLUSTER):
            return None
        if not may_be_missing(error):
            raise
        for project in _ENTERPRISE_PROJECTS:
            try:
                clusters = yield from list_clusters(cloud, project)
            except CloudSyncError as unread:
                raise not_proven_missing(
                    error, f"The list of clusters cannot be read either: {unread}"
                ) from unread
            if (listed := clusters.get(cluster_id)) is None:
                continue
            if listed.get("clusterState") == _TERMINATED:
                return listed
            raise not_proven_missing(error, f"The list of clusters contains {cluster_id}.") from None
        return None


def list_clusters(cloud: Cloud, enterprise_project_id: str | None = None) -> Flow[Mapping[str, Cluster]]:
    """All clusters of the project by their ids (ListClusters).

    :param enterprise_project_id: None: those of the default enterprise project; ``all_granted_eps``: of all.
    """
    query = () if enterprise_project_id is None else (("enterpriseProjectId", enterprise_project_id),)
    request = Request("GET", "mrs", "ListClusters", _CLUSTERS_PATH, repeatable=True, query=query)
    return (yield from complete_list(cloud, request, _CLUSTERS)).rows


def send_sync(cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
    """Start one synchronization (UpdateSyncIamUser), at most `NAMES_PER_REQUEST` names."""
    return (
        yield from _change(cloud, "POST", "UpdateSyncIamUser", target, {"is_all_sync": target["sync_all"]})
    )


def send_cancel(cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
    """Remove synchronized names from the cluster (CancelSyncIamUser), at most `NAMES_PER_REQUEST`."""
    return (yield from _change(cloud, "DELETE", "CancelSyncIamUser", target, {}))


def _change(
    cloud: Cloud, method: str, operation: str, target: Target, body: dict[str, Any]
) -> Flow[Mapping[str, Any]]:
    if target["user_names"]:
        body["user_names"] = target["user_names"]
    if target["group_names"]:
        body["group_names"] = target["group_names"]
    request = _request(method, operation, target["cluster_id"], "/iam-sync-user", repeatable=False, json=body)
    reply = yield from call(cloud, request)
    state = reply.field("state", str)
    if state != _ACCEPTED:
        raise UnreadableReply(
            f'Unrecognized state {shown(state)} in the reply to {operation}: only "{_ACCEPTED}" means that the request '
            f"was accepted. [request ID {reply.request_id or 'unknown'}]"
        )
    return {"request_id": reply.request_id, "state": state}


PROBE = Probe(
    Request(
        "GET",
        "mrs",
        "ListClusters",
        _CLUSTERS_PATH,
        repeatable=True,
        query=(("pageSize", "1"), ("currentPage", "1")),
    ),
    needs="mrs:cluster:list and mrs:cluster:get to look, mrs:cluster:syncUser to synchronize; or Tenant Administrator",
    denied=("12000136",),
)
