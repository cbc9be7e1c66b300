"""The vendor SDK's own clients work against the emulator unchanged; some have files of their own."""

from __future__ import annotations

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    SdkException,
    ServerResponseException,
)
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkdataartsstudio import v1 as dataarts
from huaweicloudsdkmrs import v1 as mrs1
from huaweicloudsdkmrs import v2 as mrs

from airflow_provider_cloudsync.emulator import scenario

CLUSTER = "example-cluster"


class TestMrs:
    def test_a_named_sync_from_start_to_end(self, sdk):
        client = sdk.connect(mrs.MrsClient)
        body = mrs.UpdateSyncRequest(user_names=["alice"], group_names=["engineers"])
        reply = client.update_sync_iam_user(mrs.UpdateSyncIamUserRequest(CLUSTER, body))
        assert (reply.status_code, reply.state) == (202, "synchronizing")

        shown = []
        for seconds in (0, 1.5, 15):
            sdk.emulator.advance(seconds)
            shown.append(client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER)).is_synchronizing)
        assert shown == [False, True, False]
        held = client.show_sync_iam_user(mrs.ShowSyncIamUserRequest(CLUSTER))
        assert held.user_names == ["alice"]
        assert sorted(held.group_names) == ["analysts", "engineers"]

    def test_a_full_sync_makes_the_cluster_synchronous(self, sdk):
        client = sdk.connect(mrs.MrsClient)
        client.update_sync_iam_user(
            mrs.UpdateSyncIamUserRequest(CLUSTER, mrs.UpdateSyncRequest(is_all_sync=True))
        )
        before = client.list_sync_requirements(mrs.ListSyncRequirementsRequest(CLUSTER)).is_synchronous
        sdk.emulator.advance(16.5)
        after = client.list_sync_requirements(mrs.ListSyncRequirementsRequest(CLUSTER)).is_synchronous
        assert (before, after) == (False, True)

    def test_cancel_sends_a_body_with_delete(self, sdk):
        sdk.emulator.reset({"mrs": {"clusters": {CLUSTER: {"synced_users": ["alice", "bob"]}}}})
        client = sdk.connect(mrs.MrsClient)
        reply = client.cancel_sync_iam_user(
            mrs.CancelSyncIamUserRequest(CLUSTER, mrs.CancelSyncRequest(user_names=["alice"]))
        )
        assert reply.status_code == 202
        sdk.emulator.advance(16.5)
        assert client.show_sync_iam_user(mrs.ShowSyncIamUserRequest(CLUSTER)).user_names == ["bob"]
        assert sdk.emulator.requests()[0]["effect"] == "cancelled"

    @pytest.mark.parametrize(
        ("cluster", "code"),
        [("no-such-cluster", "12000003"), ("terminated-cluster", "12000003"), ("a.b", "12000002")],
    )
    def test_refusals_arrive_as_the_sdk_s_exception(self, sdk, cluster, code):
        with pytest.raises(ClientRequestException) as caught:
            sdk.connect(mrs.MrsClient).list_sync_status(mrs.ListSyncStatusRequest(cluster))
        assert (caught.value.status_code, caught.value.error_code) == (400, code)
        assert caught.value.request_id == sdk.emulator.requests()[0]["request_id"]

    def test_details_and_list_of_v1(self, sdk):
        client = sdk.connect(mrs1.MrsClient)
        shown = client.show_cluster_details(mrs1.ShowClusterDetailsRequest("terminated-cluster")).cluster
        assert shown.cluster_state == "terminated"
        listed = client.list_clusters(mrs1.ListClustersRequest(cluster_state="existing", page_size="1"))
        assert listed.cluster_total == 2
        assert [each.cluster_id for each in listed.clusters] == [CLUSTER]


class TestDataArts:
    def test_show(self, sdk):
        client = sdk.connect(dataarts.DataArtsStudioClient)
        request = dataarts.ShowSecurityMemberSyncTaskRequest("example-workspace", "example-member-sync")
        before = client.show_security_member_sync_task(request)
        sdk.emulator.advance(65)
        during = client.show_security_member_sync_task(request)
        assert (before.sync_status, during.sync_status) == ("SYNC_SUCCESS", "SYNCING")
        assert during.sync_time - before.sync_time == (86_400 + 60) * 1000

    def test_list_with_every_filter(self, sdk):
        reply = sdk.connect(dataarts.DataArtsStudioClient).list_security_member_sync_tasks(
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

    def test_unknown_workspace(self, sdk):
        request = dataarts.ShowSecurityMemberSyncTaskRequest("elsewhere", "example-member-sync")
        with pytest.raises(ClientRequestException) as caught:
            sdk.connect(dataarts.DataArtsStudioClient).show_security_member_sync_task(request)
        assert caught.value.error_code == "DLS.6036"


class TestProjectLookup:
    def look_up(self, sdk):
        region = Region(scenario.REGION, sdk.emulator.url)
        client = sdk.connect(mrs.MrsClient, sdk.keys(project=False), region=region)
        return client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))

    def test_by_region(self, sdk):
        assert self.look_up(sdk).is_synchronizing is False
        assert [each["operation"] for each in sdk.emulator.requests()] == [
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
    def test_by_region_without_a_single_answer(self, sdk, projects, complaint):
        sdk.emulator.reset(
            {"account": {"projects": projects}, "mrs": {"clusters": {}}, "dataarts": {"tasks": {}}}
        )
        with pytest.raises(SdkException, match=complaint):
            self.look_up(sdk)


class TestCredentials:
    def ask(self, sdk, keys):
        return sdk.connect(mrs.MrsClient, keys).list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))

    def test_wrong_secret_key(self, sdk):
        with pytest.raises(ClientRequestException) as caught:
            self.ask(sdk, sdk.keys(secret_key="wrong"))
        assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")

    def temporary(self, sdk, token):
        keys = BasicCredentials(
            scenario.TEMPORARY_ACCESS_KEY, scenario.TEMPORARY_SECRET_KEY, sdk.emulator.project_id
        )
        return keys.with_security_token(token) if token else keys

    def test_temporary_keys(self, sdk):
        assert self.ask(sdk, self.temporary(sdk, scenario.SECURITY_TOKEN)).is_synchronizing is False

    @pytest.mark.parametrize("token", [None, "of-another-key"])
    def test_temporary_keys_need_their_token(self, sdk, token):
        with pytest.raises(ClientRequestException) as caught:
            self.ask(sdk, self.temporary(sdk, token))
        assert caught.value.error_code == "APIGW.0301"

    def test_a_server_error_keeps_its_code(self, sdk):
        sdk.emulator.faults([{"status": 503}])
        with pytest.raises(ServerResponseException) as caught:
            self.ask(sdk, sdk.keys())
        assert (caught.value.status_code, caught.value.error_code) == (503, "APIGW.0613")
