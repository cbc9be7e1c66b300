"""The vendor SDK's client of COC, and its search for the account's id, work unchanged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("huaweicloudsdkcoc")

from huaweicloudsdkcoc import v1 as coc
from huaweicloudsdkcore.auth.internal import StsHelper
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.region.region import Region

from airflow_provider_cloudsync.emulator import scenario

ACCOUNT = "111122223333"


def connect(sdk):
    # It looks for the account's id only when it is told a region.
    return sdk.connect(coc.CocClient, sdk.global_keys(), region=Region(scenario.REGION, sdk.emulator.url))


@pytest.fixture
def client(sdk):
    return connect(sdk)


def sync(client, vendor="AWS", account_id=None):
    body = coc.SyncMultiCloudResourceRequestBody(vendor=vendor, account_id=account_id)
    return client.sync_multi_cloud_resource(coc.SyncMultiCloudResourceRequest(body=body))


def accounts(client, **query):
    return client.list_vendor_account(coc.ListVendorAccountRequest(**{"limit": 500, **query}))


def test_a_sync_from_start_to_end(sdk, client):
    (before,) = accounts(client, account_id=ACCOUNT).data
    reply = sync(client, account_id=ACCOUNT)
    assert (reply.status_code, len(reply.data)) == (200, 36)
    seen = []
    for seconds in (0, 1, 1, 10):
        sdk.emulator.advance(seconds)
        (row,) = accounts(client, vendor="AWS", account_id=ACCOUNT, account_name="example-aws").data
        seen.append(row.sync_status)
    assert seen == ["success", "waiting", "running", "success"]
    assert row.sync_date - before.sync_date == timedelta(days=1, seconds=12)
    assert row.ak == "AKIAEXAMPLEACCESSKEY"


@pytest.mark.parametrize("date_format", ["naive", "zulu"])
def test_dates_are_parsed(sdk, client, date_format):
    sdk.emulator.reset({"coc": {"date_format": date_format}})
    row = accounts(client).data[0]
    began = datetime.fromtimestamp(int(sdk.emulator.clock.started), UTC)
    assert row.sync_date == began - timedelta(days=1)
    assert row.create_time == row.update_time == began - timedelta(days=30)


def test_pages_and_the_request_id(sdk, client):
    reply = accounts(client, limit=2)
    assert (reply.total, len(reply.data)) == (3, 2)
    assert reply.x_request_id == sdk.emulator.requests()[-1]["request_id"]
    rest = accounts(client, limit=2, marker=reply.data[-1].id)
    assert [row.vendor for row in rest.data] == ["HCS"]
    assert [row.vendor for row in accounts(client, offset="2").data] == ["HCS"]


def test_count(sdk, client):
    request = coc.CountMultiCloudResourcesRequest(
        vendor="AWS", type="cloudservers", resource_id_list=["a", "b"], region_id_list=["c"]
    )
    assert client.count_multi_cloud_resources(request).data == 3


@pytest.mark.parametrize("vendor", ["GCP", None])
def test_refusals_arrive_as_its_exception(sdk, client, vendor):
    with pytest.raises(ClientRequestException) as caught:
        sync(client, vendor)
    assert (caught.value.status_code, caught.value.error_code) == (400, "COC.00010002")
    assert caught.value.request_id == sdk.emulator.requests()[-1]["request_id"]


class TestScope:
    def headers(self, sdk):
        sent = sdk.emulator.requests()[-1]["headers"]
        return {name: sent.get(name) for name in ("x-domain-id", "x-project-id")}

    def test_global_keys_send_the_account(self, sdk, client):
        accounts(client)
        assert self.headers(sdk) == {"x-domain-id": sdk.emulator.domain_id, "x-project-id": None}

    def test_regional_keys_send_the_project(self, sdk):
        accounts(sdk.connect(coc.CocClient, sdk.keys()))
        assert self.headers(sdk) == {"x-domain-id": None, "x-project-id": sdk.emulator.project_id}

    def test_the_account_is_looked_up(self, sdk, client):
        accounts(client)
        operations = [each["operation"] for each in sdk.emulator.requests()]
        assert operations == ["KeystoneListAuthDomains", "ListVendorAccount"]

    def test_an_empty_list_of_accounts_leads_to_the_caller_s_identity(self, sdk, monkeypatch):
        sdk.emulator.reset({"account": {"lists_domains": False}})
        monkeypatch.setenv(StsHelper.STS_ENDPOINT_ENV_NAME, sdk.emulator.url)
        accounts(connect(sdk))
        operations = [each["operation"] for each in sdk.emulator.requests()]
        assert operations == ["KeystoneListAuthDomains", "GetCallerIdentity", "ListVendorAccount"]
        assert self.headers(sdk)["x-domain-id"] == sdk.emulator.domain_id

    def test_an_identity_that_is_refused(self, sdk, monkeypatch):
        sdk.emulator.reset({"account": {"lists_domains": False}})
        sdk.emulator.faults([{"status": 403, "match": {"operation": "GetCallerIdentity"}}])
        monkeypatch.setenv(StsHelper.STS_ENDPOINT_ENV_NAME, sdk.emulator.url)
        with pytest.raises(SdkException, match="Failed to get domain id"):
            connect(sdk)
