"""The vendor SDK's client of HSS works against the emulator unchanged."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("huaweicloudsdkhss")

from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkhss import v5 as hss

CLUSTER = "example-container-cluster"


@pytest.fixture
def client(sdk):
    return sdk.connect(hss.HssClient)


def events(client, **query):
    return client.list_cluster_events(hss.ListClusterEventsRequest(**{"offset": 0, "limit": 10, **query}))


def test_a_sync_from_start_to_end(sdk, client):
    before = events(client, cluster_id=CLUSTER)
    reply = client.sync_cluster_protection_event(
        hss.SyncClusterProtectionEventRequest(enterprise_project_id="all_granted_eps", cluster_id=CLUSTER)
    )
    assert (reply.status_code, reply.synched) == (200, True)
    assert events(client, cluster_id=CLUSTER).last_update_time == before.last_update_time
    sdk.emulator.advance(4)
    after = events(client, cluster_id=CLUSTER)
    assert isinstance(after.last_update_time, int)
    assert after.last_update_time - before.last_update_time == (86_400 + 4) * 1000
    assert (after.total_num, after.data_list) == (0, [])


def test_a_sync_that_is_not_created_is_no_error(sdk, client):
    sdk.emulator.reset({"hss": {"clusters": {CLUSTER: {"outcome": "not_created"}}}})
    reply = client.sync_cluster_protection_event(hss.SyncClusterProtectionEventRequest())
    assert (reply.status_code, reply.synched) == (200, False)


def test_pages_of_events(sdk, client):
    sdk.emulator.reset({"hss": {"clusters": {CLUSTER: {"events": 15}}}})
    first, second = (events(client, offset=offset) for offset in (0, 10))
    assert (first.total_num, len(first.data_list), len(second.data_list)) == (15, 10, 5)
    event = second.data_list[-1]
    assert all(getattr(event, name) is not None for name in event.openapi_types)
    assert all(getattr(event.resource_info, name) is not None for name in event.resource_info.openapi_types)


def test_no_update_so_far(sdk, client):
    sdk.emulator.reset({"hss": {"clusters": {CLUSTER: {"last_update_time": None}}}})
    assert events(client).last_update_time is None


def test_clusters(client):
    reply = client.list_cluster_protection_info(
        hss.ListClusterProtectionInfoRequest(enterprise_project_id="0", offset=0, limit=10)
    )
    assert [cluster.cluster_id for cluster in reply.data_list] == [CLUSTER, "pipeline-container-cluster"]
    assert {cluster.protect_status for cluster in reply.data_list} == {"protected with policy"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param({"cluster_id": "none"}, "HSS.0011", id="unknown-cluster"),
        pytest.param({"enterprise_project_id": "7"}, "HSS.0013", id="denied"),
    ],
)
def test_its_exception_has_the_code_in_the_text_only(sdk, client, query, code):
    sdk.emulator.reset({"hss": {"denied_enterprise_projects": ["7"]}})
    with pytest.raises(ClientRequestException) as caught:
        client.sync_cluster_protection_event(hss.SyncClusterProtectionEventRequest(**query))
    # It looks for error_msg, which is not there, and falls back to the status and the raw body.
    assert (caught.value.status_code, caught.value.error_code) == (400, "400")
    assert json.loads(caught.value.error_msg)["error_code"] == code
    assert caught.value.request_id == sdk.emulator.requests()[0]["request_id"]


def test_the_quota(client):
    for _ in range(5):
        events(client)
    with pytest.raises(ClientRequestException) as caught:
        events(client)
    # It takes any 429 for a failed retry and does not look into the reply.
    assert (caught.value.status_code, caught.value.error_code) == (429, "429")
