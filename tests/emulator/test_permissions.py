"""What a caller without permission is told, by each service in its own words."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator import scenario

GATEWAY = (403, "APIGW.0302")
#: An operation of each service, and what its refusal says.
CASES = [
    pytest.param("iam", "KeystoneListProjects", "/v3/projects", (403, 403), id="iam"),
    pytest.param("sts", "GetCallerIdentity", "/v5/caller-identity", (403, "STS.0403"), id="sts"),
    pytest.param("mrs", "ListClusters", "/v1.1/{p}/cluster_infos", GATEWAY, id="mrs"),
    pytest.param(
        "dataarts",
        "ListSecurityMemberSyncTasks",
        "/v1/{p}/security/member-sync-tasks",
        GATEWAY,
        id="dataarts",
    ),
    pytest.param(
        "hss",
        "ListClusterProtectionInfo",
        "/v5/{p}/cluster-protect/clusters?offset=0&limit=10",
        (400, "HSS.0013"),
        id="hss",
    ),
    pytest.param("coc", "ListVendorAccount", "/v1/vendor-account?limit=10", GATEWAY, id="coc"),
    pytest.param("csms", "ListSecretEvents", "/v1/{p}/csms/events", (403, "CSMS.0403"), id="csms"),
]


def ask(client, path):
    path, _, query = path.partition("?")
    pairs = [tuple(pair.split("=")) for pair in query.split("&") if pair]
    headers = {"workspace": "example-workspace", "X-Domain-Id": scenario.DOMAIN_ID}
    return client("GET", path, query=pairs, headers=headers)


def code(response):
    document = response.json()
    inner = document.get("error", document)
    return inner.get("error_code") or inner["code"]


@pytest.mark.parametrize(("service", "operation", "path", "refusal"), CASES)
@pytest.mark.parametrize("by", ["service", "operation"])
def test_denied(start, by, service, operation, path, refusal):
    client = start({"account": {"denied_actions": [service if by == "service" else operation]}})
    response = ask(client, path)
    assert (response.status_code, code(response)) == refusal
    # Who is not known learns nothing of permissions.
    assert client("GET", path.partition("?")[0], sign=False).status_code == 401


@pytest.mark.parametrize(("service", "operation", "path", "refusal"), CASES)
def test_others_are_not_concerned(start, service, operation, path, refusal):
    others = [case.values[0] for case in CASES if case.values[0] != service]
    assert ask(start({"account": {"denied_actions": others}}), path).status_code == 200


def test_nothing_happens(start):
    client = start({"account": {"denied_actions": ["UpdateSyncIamUser"]}})
    path = "/v2/{p}/clusters/example-cluster/iam-sync-user"
    assert client("POST", path, body={"is_all_sync": True}).status_code == 403
    assert client.emulator.state()["mrs"]["clusters"]["example-cluster"]["runs"] == []
    assert client("GET", path).status_code == 200


def test_to_act_as_an_agency(start):
    agency = {"name": "syncer", "domain_id": "1" * 32, "domain_name": "other"}
    client = start(
        {"account": {"agencies": [agency], "denied_actions": ["CreateTemporaryAccessKeyByAgency"]}}
    )
    role = {"agency_name": "syncer", "domain_name": "other"}
    body = {"auth": {"identity": {"methods": ["assume_role"], "assume_role": role}}}
    response = client("POST", "/v3.0/OS-CREDENTIAL/securitytokens", body=body)
    assert (response.status_code, code(response)) == (403, 403)
