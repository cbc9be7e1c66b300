"""Every call of the typed hooks is, on the wire, the call that the vendor SDK's client makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkdataartsstudio import v1 as dataarts
from huaweicloudsdkmrs import v1 as mrs1
from huaweicloudsdkmrs import v2 as mrs2

from airflow_provider_cloudsync.emulator import scenario
from airflow_provider_cloudsync.exceptions import ApiError
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.hooks.dataarts import DataArtsHook
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from tests.support.sdk_comparison import emulator, first_pages, hook, sdk, wire

__all__ = ["emulator"]

CLUSTER = "example-cluster"
WORKSPACE = "example-workspace"
TASK = "example-member-sync"


def update(**fields: Any) -> Any:
    return mrs2.UpdateSyncIamUserRequest(CLUSTER, mrs2.UpdateSyncRequest(**fields))


def cancel(**fields: Any) -> Any:
    return mrs2.CancelSyncIamUserRequest(CLUSTER, mrs2.CancelSyncRequest(**fields))


PEOPLE = ["alice", "工", 'quo"te', "a b"]
Call = Callable[[Any], Any]
MRS: list[tuple[str, Call, Any, Call]] = [
    (
        "sync users",
        lambda ours: ours.sync_iam_users(CLUSTER, user_names=PEOPLE),
        mrs2.MrsClient,
        lambda theirs: theirs.update_sync_iam_user(update(is_all_sync=False, user_names=PEOPLE)),
    ),
    (
        "sync groups",
        lambda ours: ours.sync_iam_users(CLUSTER, group_names=["engineers"]),
        mrs2.MrsClient,
        lambda theirs: theirs.update_sync_iam_user(update(is_all_sync=False, group_names=["engineers"])),
    ),
    (
        "sync users and groups",
        lambda ours: ours.sync_iam_users(CLUSTER, user_names=("bob", "alice"), group_names=["engineers"]),
        mrs2.MrsClient,
        lambda theirs: theirs.update_sync_iam_user(
            update(is_all_sync=False, user_names=["bob", "alice"], group_names=["engineers"])
        ),
    ),
    (
        "sync all",
        lambda ours: ours.sync_iam_users(CLUSTER, sync_all=True),
        mrs2.MrsClient,
        lambda theirs: theirs.update_sync_iam_user(update(is_all_sync=True)),
    ),
    (
        "cancel",
        lambda ours: ours.cancel_iam_sync(CLUSTER, user_names=["alice"], group_names=["engineers"]),
        mrs2.MrsClient,
        lambda theirs: theirs.cancel_sync_iam_user(cancel(user_names=["alice"], group_names=["engineers"])),
    ),
    (
        "cancel users",
        lambda ours: ours.cancel_iam_sync(CLUSTER, user_names=PEOPLE),
        mrs2.MrsClient,
        lambda theirs: theirs.cancel_sync_iam_user(cancel(user_names=PEOPLE)),
    ),
    (
        "is synchronizing",
        lambda ours: ours.is_iam_synchronizing(CLUSTER),
        mrs2.MrsClient,
        lambda theirs: theirs.list_sync_status(mrs2.ListSyncStatusRequest(CLUSTER)),
    ),
    (
        "is synchronous",
        lambda ours: ours.is_iam_synchronous(CLUSTER),
        mrs2.MrsClient,
        lambda theirs: theirs.list_sync_requirements(mrs2.ListSyncRequirementsRequest(CLUSTER)),
    ),
    (
        "synced users",
        lambda ours: ours.get_synced_iam_users(CLUSTER),
        mrs2.MrsClient,
        lambda theirs: theirs.show_sync_iam_user(mrs2.ShowSyncIamUserRequest(CLUSTER)),
    ),
    (
        "cluster",
        lambda ours: ours.get_cluster(CLUSTER),
        mrs1.MrsClient,
        lambda theirs: theirs.show_cluster_details(mrs1.ShowClusterDetailsRequest(CLUSTER)),
    ),
]
FILTERS = [
    {},
    {"cluster_type": "MRS"},
    {"cluster_name": "example cluster+工&x=1"},
    {"sync_status": "SYNC_SUCCESS", "schedule_status": "SCHEDULING"},
    {"order_by": "SYNC_TIME", "order_by_asc": True},
    {"order_by": "CLUSTER_NAME", "order_by_asc": False, "cluster_type": "DWS"},
    {"cluster_type": None},
]


class TestMrs:
    @pytest.mark.parametrize(
        ("ours", "client", "theirs"), [pytest.param(*case[1:], id=case[0]) for case in MRS]
    )
    def test_same_on_the_wire(self, emulator, monkeypatch, ours, client, theirs):
        ours(hook(MrsHook, emulator, monkeypatch))
        (first,) = emulator.requests()
        emulator.reset()
        theirs(sdk(client, emulator))
        (second,) = emulator.requests()
        assert wire(first) == wire(second)
        assert first["auth"] == "valid"
        assert first["status"] in (200, 202)

    def test_every_call_of_the_hook_is_compared(self):
        own = {name for name in vars(MrsHook) if not name.startswith("_")}
        assert own == {
            "sync_iam_users",
            "cancel_iam_sync",
            "is_iam_synchronizing",
            "is_iam_synchronous",
            "get_synced_iam_users",
            "get_cluster",
        }

    def test_what_the_calls_return(self, emulator, monkeypatch):
        ours = hook(MrsHook, emulator, monkeypatch)
        assert ours.is_iam_synchronizing(CLUSTER) is False
        assert ours.is_iam_synchronous(CLUSTER) is False
        assert ours.get_synced_iam_users(CLUSTER) == {"user_names": [], "group_names": []}
        assert ours.sync_iam_users(CLUSTER, user_names=["alice"]) == {"state": "synchronizing"}
        emulator.advance(2)
        assert ours.is_iam_synchronizing(CLUSTER) is True
        emulator.advance(20)
        assert ours.get_synced_iam_users(CLUSTER) == {"user_names": ["alice"], "group_names": ["analysts"]}
        assert ours.cancel_iam_sync(CLUSTER, user_names=["alice"]) == {"state": "synchronizing"}
        assert ours.get_cluster("terminated-cluster")["clusterState"] == "terminated"

    def test_an_unknown_cluster_under_either_key(self, emulator, monkeypatch):
        ours = hook(MrsHook, emulator, monkeypatch)
        for read in (ours.is_iam_synchronizing, ours.get_cluster):
            with pytest.raises(ApiError) as caught:
                read("no-such-cluster")
            assert (caught.value.status, caught.value.code) == (400, "12000003")
            assert caught.value.request_id == emulator.requests()[-1]["request_id"]


class TestDataArts:
    def test_a_task(self, emulator, monkeypatch):
        task = hook(DataArtsHook, emulator, monkeypatch).get_member_sync_task(WORKSPACE, TASK)
        theirs = sdk(dataarts.DataArtsStudioClient, emulator).show_security_member_sync_task(
            dataarts.ShowSecurityMemberSyncTaskRequest(WORKSPACE, TASK)
        )
        first, second = emulator.requests()
        assert wire(first) == wire(second)
        assert first["headers"]["workspace"] == WORKSPACE
        assert first["auth"] == "valid"
        shown = theirs.to_dict()
        assert {name: shown[name] for name in task} == task

    @pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: ",".join(filters) or "none")
    def test_the_list(self, emulator, monkeypatch, filters):
        tasks = hook(DataArtsHook, emulator, monkeypatch).list_member_sync_tasks(WORKSPACE, **filters)
        theirs = sdk(dataarts.DataArtsStudioClient, emulator).list_security_member_sync_tasks(
            dataarts.ListSecurityMemberSyncTasksRequest(WORKSPACE, limit=100, offset=0, **filters)
        )
        # One page, the end of the list if there is a page, and the SDK's.
        assert len(emulator.requests()) == (3 if tasks else 2)
        first, second = first_pages(emulator.requests())
        assert wire(first) == wire(second)
        assert [task["id"] for task in tasks] == [task.id for task in theirs.tasks]

    def test_every_call_of_the_hook_is_compared(self):
        own = {name for name in vars(DataArtsHook) if not name.startswith("_")}
        assert own == {"get_member_sync_task", "list_member_sync_tasks"}


class TestTemporaryKeys:
    def test_same_on_the_wire(self, emulator, monkeypatch):
        connection = json.loads(emulator.connection)
        connection |= {"login": scenario.TEMPORARY_ACCESS_KEY, "password": scenario.TEMPORARY_SECRET_KEY}
        connection["extra"]["security_token"] = scenario.SECURITY_TOKEN
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
        MrsHook().is_iam_synchronizing(CLUSTER)
        keys = BasicCredentials(
            scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY, emulator.project_id
        ).with_security_token(scenario.SECURITY_TOKEN)
        sdk(mrs2.MrsClient, emulator, keys).list_sync_status(mrs2.ListSyncStatusRequest(CLUSTER))
        first, second = emulator.requests()
        assert wire(first) == wire(second)
        assert first["auth"] == "valid"
        assert "x-security-token" in first["headers"]


#: The emulator answers the path and ignores what it does not know of the query, but checks the signature of all of it.
ODD_QUERIES = [
    [("a", "b")],
    [("a", "")],
    [("", "a")],
    [("a", "1"), ("a", "2"), ("a", "10"), ("A", "0")],
    [("blank", "x y"), ("plus", "x+y"), ("percent", "100%"), ("escape", "%41")],
    [("reserved", "!#$&'()*+,/:;=?@[]~"), ("quo", "\"'`<>\\^{|}")],
    [("工", "北京 ключ 😀"), ("é", "e\u0301")],
    [("z", "é"), ("z", "~"), ("z", "z")],
    [("long", "x" * 5000)],
    [("control", "a\tb\nc\x00")],
]


@pytest.mark.parametrize("pairs", ODD_QUERIES, ids=[str(pairs)[:40] for pairs in ODD_QUERIES])
class TestOddQueries:
    PATH = "/v2/{project_id}/clusters/example-cluster/iam-sync"

    def check(self, emulator, pairs):
        (entry,) = emulator.requests()
        assert entry["auth"] == "valid"
        assert entry["status"] == 200
        assert sorted(map(tuple, entry["query"])) == sorted(pairs)

    def test_request(self, emulator, monkeypatch, pairs):
        query: dict[str, list[str]] = {}
        for name, value in pairs:
            query.setdefault(name, []).append(value)
        assert hook(CloudSyncHook, emulator, monkeypatch).request("GET", "mrs", self.PATH, query=query) == {
            "is_synchronizing": False
        }
        self.check(emulator, pairs)

    def test_get_conn(self, emulator, monkeypatch, pairs):
        with hook(CloudSyncHook, emulator, monkeypatch).get_conn() as session:
            url = emulator.url + self.PATH.replace("{project_id}", emulator.project_id)
            assert session.get(url, params=pairs).json() == {"is_synchronizing": False}
        self.check(emulator, pairs)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/{project_id}/clusters/a%20b/iam-sync",
        "/v2/{project_id}/clusters/%E5%B7%A5/iam-sync",
        "/v2/{project_id}/clusters/a~b/iam-sync",
        "/v2/{project_id}/clusters/a%7Eb/iam-sync",
        "/v2/{project_id}/clusters/a+b,c=d:e@f/iam-sync",
        "/v2/{project_id}/clusters/a%2Fb/iam-sync",
        "/v2/{project_id}/clusters/a%252Fb/iam-sync",
        "/v2/{project_id}/clusters/{x}/iam-sync",
        "/v2/{project_id}/clusters/50%/iam-sync",
        "/v2/{project_id}/clusters/example-cluster/",
        "/v2/{project_id}/clusters/..a/iam-sync",
        "/v2/{project_id}/clusters/%2e%2e/iam-sync",
        "/v2/{project_id}/clusters/%2e/iam-sync",
    ],
)
def test_odd_paths_are_signed_as_they_are_sent(emulator, monkeypatch, path):
    """They lead nowhere; what counts is that no gateway takes the signature for a wrong one and counts a failure."""
    from airflow_provider_cloudsync.exceptions import InvalidParameter

    try:
        hook(CloudSyncHook, emulator, monkeypatch).request("GET", "mrs", path, query={"a": "b c"})
    except InvalidParameter:
        assert emulator.requests() == []
    except ApiError:
        assert [entry["auth"] for entry in emulator.requests()] == ["valid"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [None, {}, [], {"名": ["值", 1, None, True]}, "text", 0, False], ids=repr)
def test_bodies_are_signed_as_they_are_sent(emulator, monkeypatch, method, body):
    ours = hook(CloudSyncHook, emulator, monkeypatch)
    with pytest.raises(ApiError):
        ours.request(method, "mrs", "/v2/{project_id}/nothing", json=body)
    with ours.get_conn() as session:
        session.request(method, f"{emulator.url}/v2/{emulator.project_id}/nothing", json=body)
    entries = emulator.requests()
    assert [entry["auth"] for entry in entries] == ["valid", "valid"]
    assert entries[0]["body"] == body


@pytest.mark.parametrize("value", ["工作区", "é", "a  b", "plain"])
def test_headers_are_signed_as_they_are_sent(emulator, monkeypatch, value):
    ours = hook(CloudSyncHook, emulator, monkeypatch)
    path = "/v1/{project_id}/security/member-sync-tasks"
    with pytest.raises(ApiError):
        ours.request("GET", "dataartsstudio", path, headers={"workspace": value}, repeatable=False)
    (entry,) = emulator.requests()
    assert entry["auth"] == "valid"
