"""The vendor SDK's own ways to come by credentials work unchanged, as does its other signature."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcoc import v1 as coc
from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.auth.internal import MetadataAccessor, OidcStsAccessor
from huaweicloudsdkcore.auth.provider import MetadataCredentialProvider, OidcStsCredentialProvider
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcsms import v1 as csms
from huaweicloudsdkdataartsstudio import v1 as dataarts
from huaweicloudsdkhss import v5 as hss
from huaweicloudsdkmrs import v2 as mrs

from airflow_provider_cloudsync.emulator import scenario

OTHER = "d2000000000000000000000000000002"
PROJECT = "e2000000000000000000000000000002"
AGENCY = {
    "name": "syncer",
    "domain_id": OTHER,
    "domain_name": "other",
    "projects": [{"id": PROJECT, "name": scenario.REGION}],
}
AGENCY_URN = f"iam::{OTHER}:agency:syncer"
PROVIDER = {
    "id": "idp",
    "urn": "iam::1:oidcProvider:idp",
    "id_tokens": ["a.b.c"],
    "agency_urns": [AGENCY_URN],
}
CLUSTER = "example-cluster"


def operations(sdk):
    return [each["operation"] for each in sdk.emulator.requests()]


def ask(sdk, keys, *, cluster=CLUSTER, region=False):
    where = Region(scenario.REGION, sdk.emulator.url) if region else None
    client = sdk.connect(mrs.MrsClient, keys, region=where)
    return client.list_sync_status(mrs.ListSyncStatusRequest(cluster)).is_synchronizing


@pytest.fixture
def id_token(tmp_path):
    """A file with an id token, as a pod has one; there is a line end in it."""
    path = tmp_path / "id-token"
    path.write_text("a.b.c\n")
    return path


class TestFederation:
    @pytest.fixture(autouse=True)
    def _provider(self, sdk):
        sdk.emulator.reset({"account": {"identity_providers": [PROVIDER]}})

    def keys(self, sdk, id_token, kind=BasicCredentials):
        keys = kind().with_idp_id("idp").with_id_token_file(str(id_token))
        return keys.with_iam_endpoint(sdk.emulator.url)

    def test_of_a_regional_service(self, sdk, id_token):
        keys = self.keys(sdk, id_token)
        assert ask(sdk, keys, region=True) is False
        assert operations(sdk) == [
            "CreateTokenWithIdToken",
            "CreateTemporaryAccessKeyByToken",
            "KeystoneListProjects",
            "ListClusterSyncTaskStatus",
        ]
        assert keys.project_id == scenario.PROJECT_ID

    def test_of_a_global_service(self, sdk, id_token):
        keys = self.keys(sdk, id_token, GlobalCredentials)
        client = sdk.connect(coc.CocClient, keys, region=Region(scenario.REGION, sdk.emulator.url))
        assert client.list_vendor_account(coc.ListVendorAccountRequest(limit=500)).total == 3
        assert keys.domain_id == scenario.DOMAIN_ID

    def test_an_id_token_that_is_refused(self, sdk, id_token):
        id_token.write_text("another")
        with pytest.raises(ClientRequestException) as caught:
            ask(sdk, self.keys(sdk, id_token).with_project_id(scenario.PROJECT_ID))
        # The number in IAM's errors is the SDK's code as well.
        assert (caught.value.status_code, caught.value.error_code) == (401, 401)

    def test_one_key_lasts(self, sdk, id_token):
        keys = self.keys(sdk, id_token).with_project_id(scenario.PROJECT_ID)
        client = sdk.connect(mrs.MrsClient, keys)
        for _ in range(3):
            client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))
        assert operations(sdk).count("CreateTemporaryAccessKeyByToken") == 1
        sdk.emulator.advance(6 * 3600)
        with pytest.raises(ClientRequestException) as caught:
            client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))
        assert caught.value.error_code == "APIGW.0301"


class TestSts:
    @pytest.fixture(autouse=True)
    def _provider(self, sdk):
        clusters = {CLUSTER: {}, "theirs": {"project_id": PROJECT}}
        account = {"identity_providers": [PROVIDER], "agencies": [AGENCY]}
        sdk.emulator.reset({"account": account, "mrs": {"clusters": clusters}})

    def keys(self, sdk, token="a.b.c", **options):
        keys = BasicCredentials().with_sts_endpoint(sdk.emulator.url).with_iam_endpoint(sdk.emulator.url)
        keys.sts_accessor = OidcStsAccessor(PROVIDER["urn"], AGENCY_URN, token, "session", **options)
        return keys

    def test_act_in_the_account_of_the_agency(self, sdk):
        keys = self.keys(sdk)
        assert ask(sdk, keys, cluster="theirs", region=True) is False
        assert keys.project_id == PROJECT
        assert operations(sdk) == [
            "AssumeAgencyWithOIDC",
            "KeystoneListProjects",
            "ListClusterSyncTaskStatus",
        ]

    def test_a_key_that_ends_soon_is_renewed_each_time(self, sdk):
        client = sdk.connect(mrs.MrsClient, self.keys(sdk, duration_seconds=2399).with_project_id(PROJECT))
        for _ in range(2):
            client.list_sync_status(mrs.ListSyncStatusRequest("theirs"))
        assert operations(sdk).count("AssumeAgencyWithOIDC") == 2

    @pytest.mark.parametrize(
        ("options", "expected"),
        [({"token": "x"}, "401,.*STS.0401"), ({"duration_seconds": 60}, "400,.*STS.0400")],
    )
    def test_refusals_arrive_as_its_exception(self, sdk, options, expected):
        with pytest.raises(SdkException, match=f"status_code:{expected}"):
            ask(sdk, self.keys(sdk, **options).with_project_id(PROJECT))

    def test_by_environment(self, sdk, id_token, monkeypatch):
        values = {
            "OIDC_PROVIDER_URN": PROVIDER["urn"],
            "OIDC_AGENCY_URN": AGENCY_URN,
            "OIDC_TOKEN_FILE": str(id_token),
            "OIDC_DURATION_SECONDS": "43200",
            "SDK_PROJECT_ID": PROJECT,
            "SDK_STS_ENDPOINT": sdk.emulator.url,
        }
        for name, value in values.items():
            monkeypatch.setenv(f"HUAWEICLOUD_{name}", value)
        assert ask(sdk, OidcStsCredentialProvider.get_basic().get_credentials(), cluster="theirs") is False
        body = sdk.emulator.requests()[0]["body"]
        assert (body["agency_session_name"], body["id_token"]) == ("oidc-sts-session", "***")


def test_keys_of_an_agency(sdk, start):
    """The SDK's core can't get these, but use them it can."""
    clusters = {"theirs": {"project_id": PROJECT}}
    scene = {"account": {"agencies": [AGENCY]}, "mrs": {"clusters": clusters}}
    client = start(scene, start=time.time())
    sdk.emulator = client.emulator
    role = {"agency_name": "syncer", "domain_name": "other", "duration_seconds": 3600}
    body = {"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}
    given = client("POST", "/v3.0/OS-CREDENTIAL/securitytokens", body=body).json()["credential"]
    keys = BasicCredentials(given["access"], given["secret"]).with_security_token(given["securitytoken"])
    keys.with_iam_endpoint(client.emulator.url)
    assert ask(sdk, keys, cluster="theirs", region=True) is False
    assert keys.project_id == PROJECT
    client.emulator.advance(3600)
    with pytest.raises(ClientRequestException, match="expired"):
        ask(sdk, keys, cluster="theirs")


class TestMetadata:
    def keys(self, sdk, monkeypatch, **metadata):
        sdk.emulator.reset({"metadata": metadata})
        monkeypatch.setattr(MetadataAccessor, "_METADATA_ENDPOINT", sdk.emulator.url)
        return MetadataCredentialProvider.get_basic().get_credentials().with_project_id(scenario.PROJECT_ID)

    @pytest.mark.parametrize(
        ("metadata", "first"),
        [
            pytest.param({}, "CreateMetadataToken", id="token"),
            pytest.param({"version": 1}, "CreateMetadataToken", id="404"),
            pytest.param({"version": 1, "old_status": 405}, "CreateMetadataToken", id="405"),
            pytest.param({"version": 1, "old_status": 503}, "CreateMetadataToken", id="503"),
        ],
    )
    def test_both_versions(self, sdk, monkeypatch, metadata, first):
        assert ask(sdk, self.keys(sdk, monkeypatch, **metadata)) is False
        assert operations(sdk) == [first, "ShowSecurityKey", "ListClusterSyncTaskStatus"]
        with_token = "x-metadata-token" in sdk.emulator.requests()[1]["headers"]
        assert with_token == (metadata.get("version", 2) == 2)

    def test_keys_that_end_soon_are_renewed_each_time(self, sdk, monkeypatch):
        keys = self.keys(sdk, monkeypatch, key_seconds=2300)
        for _ in range(2):
            assert ask(sdk, keys) is False
        assert operations(sdk).count("ShowSecurityKey") == 3

    def test_a_token_that_has_ended_is_renewed(self, sdk, monkeypatch):
        keys = self.keys(sdk, monkeypatch, key_seconds=2300, token_seconds=60)
        sdk.emulator.advance(60)
        assert ask(sdk, keys) is False
        assert operations(sdk)[2:5] == ["ShowSecurityKey", "CreateMetadataToken", "ShowSecurityKey"]

    @pytest.mark.parametrize("status", [401, 404])
    @pytest.mark.parametrize("version", [1, 2])
    def test_no_agency(self, sdk, monkeypatch, version, status):
        with pytest.raises(ClientRequestException, match="configure Cloud Service Agency") as caught:
            self.keys(sdk, monkeypatch, version=version, agency=False, no_agency_status=status)
        assert caught.value.status_code == status
        # It does not take this for a token that has ended.
        assert operations(sdk) == ["CreateMetadataToken", "ShowSecurityKey"]


#: By the name that the derived key is for: a client, and a call that needs nothing.
DERIVED = {
    "mrs": (mrs.MrsClient, lambda client: client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))),
    "hss": (
        hss.HssClient,
        lambda client: client.list_cluster_protection_info(
            hss.ListClusterProtectionInfoRequest(offset=0, limit=10)
        ),
    ),
    "dataartsstudio": (
        dataarts.DataArtsStudioClient,
        lambda client: client.list_security_member_sync_tasks(
            dataarts.ListSecurityMemberSyncTasksRequest(workspace="example-workspace")
        ),
    ),
    "csms": (csms.CsmsClient, lambda client: client.list_secret_events(csms.ListSecretEventsRequest())),
    "coc": (
        coc.CocClient,
        lambda client: client.list_vendor_account(coc.ListVendorAccountRequest(limit=10)),
    ),
}


class TestDerivedSignature:
    def keys(self, sdk, service, **options):
        keys = sdk.global_keys() if service == "coc" else sdk.keys(**options)
        # None of these services' clients brings a name for this, so without one the SDK refuses to sign.
        keys._derived_auth_service_name = service
        return keys.with_derived_predicate(lambda request: True)

    def connect(self, sdk, service, **options):
        region = Region(scenario.REGION, sdk.emulator.url)
        return sdk.connect(DERIVED[service][0], self.keys(sdk, service, **options), region=region)

    @pytest.mark.parametrize("service", DERIVED)
    def test_is_accepted(self, sdk, service):
        assert DERIVED[service][1](self.connect(sdk, service)).status_code == 200
        entry = sdk.emulator.requests()[-1]
        shown = entry["headers"]["authorization"]
        region = "globe" if service == "coc" else scenario.REGION
        assert shown.startswith(f"V11-HMAC-SHA256 Credential={scenario.ACCESS_KEY}/")
        assert f"/{region}/{service}, SignedHeaders=" in shown

    def test_with_a_body(self, sdk):
        client = self.connect(sdk, "mrs")
        body = mrs.UpdateSyncRequest(user_names=["alice"])
        assert client.update_sync_iam_user(mrs.UpdateSyncIamUserRequest(CLUSTER, body)).status_code == 202

    def test_a_wrong_key(self, sdk):
        client = self.connect(sdk, "mrs", secret_key="wrong")
        with pytest.raises(ClientRequestException) as caught:
            client.list_sync_status(mrs.ListSyncStatusRequest(CLUSTER))
        assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
