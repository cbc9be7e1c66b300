"""IAM's own rules; what a token is good for is in test_gateway."""

from __future__ import annotations

import copy

import pytest

from airflow_provider_cloudsync.emulator import scenario

PROJECTS = [
    {"id": "1" * 32, "name": "cn-north-4"},
    {"id": "2" * 32, "name": "cn-north-4_sub"},
    {"id": "3" * 32, "name": "cn-east-3", "enabled": False},
]
RIGHT = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {
                "user": {
                    "name": scenario.USER,
                    "password": scenario.PASSWORD,
                    "domain": {"name": scenario.DOMAIN_NAME},
                }
            },
        },
        "scope": {"project": {"id": scenario.PROJECT_ID}},
    }
}


def changed(path, value):
    """The right document with one thing in it replaced; `...` takes it away."""
    document = copy.deepcopy(RIGHT)
    *way, last = path.split(".")
    inner = document
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return document


class TestProjects:
    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({}, "123"),
            ({"name": "cn-north-4"}, "1"),
            ({"name": "nowhere"}, ""),
            ({"enabled": "true"}, "12"),
            ({"enabled": "false"}, "3"),
            ({"domain_id": scenario.DOMAIN_ID}, "123"),
            ({"domain_id": "0"}, ""),
            ({"parent_id": "0"}, ""),
            ({"page": "2", "per_page": "2"}, "3"),
            ({"page": "3", "per_page": "2"}, ""),
        ],
    )
    def test_filters(self, start, query, ids):
        client = start({"account": {"projects": PROJECTS}})
        response = client("GET", "/v3/projects", query=list(query.items()))
        assert "".join(each["id"][0] for each in response.json()["projects"]) == ids
        assert response.headers["X-IAM-Trace-Id"]
        assert "X-Request-Id" not in response.headers

    @pytest.mark.parametrize("query", [{"enabled": "yes"}, {"page": "1"}, {"page": "1", "per_page": "5001"}])
    def test_misuse(self, client, query):
        response = client("GET", "/v3/projects", query=list(query.items()))
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["title"]) == (400, 400, "Bad Request")

    def test_own_projects_and_account(self, start):
        client = start({"account": {"projects": PROJECTS}})
        own = client("GET", "/v3/auth/projects").json()["projects"]
        assert [each["id"][0] for each in own] == ["1", "2"]
        (domain,) = client("GET", "/v3/auth/domains").json()["domains"]
        assert (domain["id"], domain["name"]) == (scenario.DOMAIN_ID, "emulator")

    @pytest.mark.parametrize(("lists", "count"), [(True, 1), (False, 0)], ids=["usual", "empty-list"])
    def test_who_may_not_list_accounts_can_ask_who_it_is(self, start, lists, count):
        client = start({"account": {"lists_domains": lists, "user_id": "7" * 32}})
        domains = client("GET", "/v3/auth/domains")
        assert (domains.status_code, len(domains.json()["domains"])) == (200, count)
        assert client("GET", "/v5/caller-identity").json() == {
            "account_id": scenario.DOMAIN_ID,
            "principal_id": "7" * 32,
            "principal_urn": f"iam::{scenario.DOMAIN_ID}:user:{scenario.USER}",
        }

    def test_nobody_has_no_identity(self, client):
        assert client("GET", "/v5/caller-identity", sign=False).status_code == 401


class TestToken:
    USER = "auth.identity.password.user"

    @pytest.mark.parametrize(
        ("document", "status"),
        [
            (RIGHT, 201),
            (changed(f"{USER}.password", "wrong"), 401),
            (changed(f"{USER}.name", "nobody"), 401),
            (changed(f"{USER}.domain", {"name": "elsewhere"}), 401),
            (changed("auth.scope", {"project": {"id": "f" * 32}}), 401),
            (changed("auth.scope", {"domain": {"name": "elsewhere"}}), 401),
            (changed("auth.scope", {"domain": {"id": scenario.DOMAIN_ID}}), 201),
            (changed("auth.scope", {"domain": {}}), 400),
            (
                changed(
                    "auth.scope", {"project": {"id": scenario.PROJECT_ID}, "domain": {"name": "emulator"}}
                ),
                400,
            ),
            (changed("auth.scope", ...), 400),
            (changed(f"{USER}.password", 5), 400),
            (changed(f"{USER}.domain", ...), 400),
            (changed("auth.identity.methods", ["totp"]), 400),
            (changed("auth", "x"), 400),
            ([], 400),
        ],
    )
    def test_rules(self, client, document, status):
        response = client("POST", "/v3/auth/tokens", body=document, sign=False)
        assert response.status_code == status
        assert ("X-Subject-Token" in response.headers) == (status == 201)
        if status != 201:
            assert response.json()["error"]["code"] == status

    def test_two_projects_of_one_name_can_t_be_told_apart(self, start):
        client = start({"account": {"projects": [PROJECTS[0], {**PROJECTS[1], "name": "cn-north-4"}]}})
        document = changed("auth.scope", {"project": {"name": "cn-north-4"}})
        assert client("POST", "/v3/auth/tokens", body=document, sign=False).status_code == 401
