"""The vendor SDK's own clients work against the emulator unchanged."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    SdkException,
    ServerResponseException,
)
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkdataartsstudio import v1 as dataarts
from huaweicloudsdkmrs import v1 as mrs1
from huaweicloudsdkmrs import v2 as mrs

from airflow_provider_cloudsync.emulator import scenario

CLUSTER = "example-cluster"


@pytest.fixture(autouse=True)
def _no_remembered_projects():
    # The SDK remembers project ids for the whole process, by key and region.
    BasicCredentials._CACHE.clear()
    GlobalCredentials._CACHE.clear()


@pytest.fixture
def emulator(start):
    # The SDK signs with the wall time, so the stepped clock has to begin there.
    return start(start=time.time()).emulator


def credentials(emulator, *, secret_key=None, project=True):
    keys = BasicCredentials(emulator.access_key, secret_key or emulator.secret_key)
    return keys.with_project_id(emulator.project_id) if project else keys.with_iam_endpoint(emulator.url)


def connect(module, emulator, keys=None, *, region=None):
    config = HttpConfig.get_default_config()
    config.timeout = (5, 5)
    kind = getattr(module, "MrsClient", None) or module.DataArtsStudioClient
    builder = kind.new_builder().with_http_config(config).with_credentials(keys or credentials(emulator))
    return (builder.with_region(region) if region else builder.with_endpoints([emulator.url])).build()


class TestMrs:
    def test_a_named_sync_from_start_to_end(self, emulator):
        client = connect(mrs, emulator)
        body = mrs.UpdateSyncRequest(user_names=["alice"], group_names=["engineers"])
        reply = client.update_sync_iam_user(mrs.UpdateSyncIamUserRequest(CLUSTER, body))
        assert (reply.status_code, reply.state) == (202, "synchronizing")

        shown = []
        for seconds in (0, 1.5, 15):
            emulator.advance(seconds)
            shown.append(client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER)).is_synchronizing)
        assert shown == [False, True, False]
        held = client.show_sync_iam_user(mrs.ShowSyncIamUserRequest(CLUSTER))
        assert held.user_names == ["alice"]
        assert sorted(held.group_names) == ["analysts", "engineers"]

    def test_a_full_sync_makes_the_cluster_synchronous(self, emulator):
        client = connect(mrs, emulator)
        client.update_sync_iam_user(
            mrs.UpdateSyncIamUserRequest(CLUSTER, mrs.UpdateSyncRequest(is_all_sync=True))
        )
        before = client.list_sync_requirements(mrs.ListSyncRequirementsRequest(CLUSTER)).is_synchronous
        emulator.advance(16.5)
        after = client.list_sync_requirements(mrs.ListSyncRequirementsRequest(CLUSTER)).is_synchronous
        assert (before, after) == (False, True)

    def test_cancel_sends_a_body_with_delete(self, emulator):
        emulator.reset({"mrs": {"clusters": {CLUSTER: {"synced_users": ["alice", "bob"]}}}})
        client = connect(mrs, emulator)
        reply = client.cancel_sync_iam_user(
            mrs.CancelSyncIamUserRequest(CLUSTER, mrs.CancelSyncRequest(user_names=["alice"]))
        )
        assert reply.status_code == 202
        emulator.advance(16.5)
        assert client.show_sync_iam_user(mrs.ShowSyncIamUserRequest(CLUSTER)).user_names == ["bob"]
        assert emulator.requests()[0]["effect"] == "cancelled"

    @pytest.mark.parametrize(
        ("cluster", "code"),
        [("no-such-cluster", "12000003"), ("terminated-cluster", "12000003"), ("a.b", "12000002")],
    )
    def test_refusals_arrive_as_the_sdk_s_exception(self, emulator, cluster, code):
        with pytest.raises(ClientRequestException) as caught:
            connect(mrs, emulator).list_sync_status(mrs.ListSyncStatusRequest(cluster))
        assert (caught.value.status_code, caught.value.error_code) == (400, code)
        assert caught.value.request_id == emulator.requests()[0]["request_id"]

    def test_details_and_list_of_v1(self, emulator):
        client = connect(mrs1, emulator)
        shown = client.show_cluster_details(mrs1.ShowClusterDetailsRequest("terminated-cluster")).cluster
        assert shown.cluster_state == "terminated"
        listed = client.list_clusters(mrs1.ListClustersRequest(cluster_state="existing", page_size="1"))
        assert listed.cluster_total == 2
        assert [each.cluster_id for each in listed.clusters] == [CLUSTER]


class TestDataArts:
    def test_show(self, emulator):
        client = connect(dataarts, emulator)
        request = dataarts.ShowSecurityMemberSyncTaskRequest("example-workspace", "example-member-sync")
        before = client.show_security_member_sync_task(request)
        emulator.advance(65)
        during = client.show_security_member_sync_task(request)
        assert (before.sync_status, during.sync_status) == ("SYNC_SUCCESS", "SYNCING")
        assert during.sync_time - before.sync_time == (86_400 + 60) * 1000

    def test_list_with_every_filter(self, emulator):
        reply = connect(dataarts, emulator).list_security_member_sync_tasks(
            dataarts.ListSecurityMemberSyncTasksRequest(
                workspace="example-workspace",
                limit=1,
                offset=1,
                cluster_type="MRS",
                sync_status="SYNC_SUCCESS",
                schedule_status="SCHEDULING",
                order_by="CLUSTER_NAME",
                order_by_asc=False,
            )
        )
        assert (reply.total, [task.id for task in reply.tasks]) == (2, ["example-member-sync"])

    def test_unknown_workspace(self, emulator):
        request = dataarts.ShowSecurityMemberSyncTaskRequest("elsewhere", "example-member-sync")
        with pytest.raises(ClientRequestException) as caught:
            connect(dataarts, emulator).show_security_member_sync_task(request)
        assert caught.value.error_code == "DLS.6036"


class TestProjectLookup:
    def look_up(self, emulator):
        region = Region(scenario.REGION, emulator.url)
        client = connect(mrs, emulator, credentials(emulator, project=False), region=region)
        return client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))

    def test_by_region(self, emulator):
        assert self.look_up(emulator).is_synchronizing is False
        assert [each["operation"] for each in emulator.requests()] == [
            "KeystoneListProjects",
            "ListClusterSyncTaskStatus",
        ]

    @pytest.mark.parametrize(
        ("projects", "complaint"),
        [
            ([], "Confirm that the project exists"),
            (
                [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "cn-north-4"}],
                "Multiple project ids",
            ),
        ],
    )
    def test_by_region_without_a_single_answer(self, emulator, projects, complaint):
        emulator.reset(
            {"account": {"projects": projects}, "mrs": {"clusters": {}}, "dataarts": {"tasks": {}}}
        )
        with pytest.raises(SdkException, match=complaint):
            self.look_up(emulator)

    def test_domain(self, emulator):
        keys = GlobalCredentials(emulator.access_key, emulator.secret_key).with_iam_endpoint(emulator.url)
        client = connect(mrs, emulator)
        assert keys.process_auth_params(client.get_http_client(), "") is not None
        assert keys.domain_id == emulator.domain_id


class TestCredentials:
    def ask(self, emulator, keys):
        return connect(mrs, emulator, keys).list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))

    def test_wrong_secret_key(self, emulator):
        with pytest.raises(ClientRequestException) as caught:
            self.ask(emulator, credentials(emulator, secret_key="wrong"))
        assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")

    def temporary(self, emulator, token):
        keys = BasicCredentials(
            scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY, emulator.project_id
        )
        return keys.with_security_token(token) if token else keys

    def test_temporary_keys(self, emulator):
        assert self.ask(emulator, self.temporary(emulator, scenario.SECURITY_TOKEN)).is_synchronizing is False

    @pytest.mark.parametrize("token", [None, "of-another-key"])
    def test_temporary_keys_need_their_token(self, emulator, token):
        with pytest.raises(ClientRequestException) as caught:
            self.ask(emulator, self.temporary(emulator, token))
        assert caught.value.error_code == "APIGW.0301"

    def test_a_server_error_keeps_its_code(self, emulator):
        emulator.faults([{"status": 503}])
        with pytest.raises(ServerResponseException) as caught:
            self.ask(emulator, credentials(emulator))
        assert (caught.value.status_code, caught.value.error_code) == (503, "APIGW.0613")
