"""The account that a call to a service of the whole account is for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.api.flows import call
from airflow_provider_cloudsync.api.messages import HttpRequest, Request
from airflow_provider_cloudsync.api.retries import is_uncertain
from airflow_provider_cloudsync.api.services.iam import find_domain
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    TransportError,
)
from tests.support.driven import Driver

READ = Request("GET", "coc", "Read", "/v1/things", repeatable=True)
START = Request("POST", "coc", "Start", "/v1/things", repeatable=False, json={"a": 1})
REGIONAL = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)


def path(request: HttpRequest) -> str:
    return urlsplit(request.url).path


class TestDomain:
    def driver(self, domains: Any = None, identity: Any = None, status: int = 200) -> Driver:
        """IAM shows these accounts; STS says that the user is of this one."""

        def answer(request: HttpRequest) -> Any:
            if path(request) == "/v3/auth/domains":
                return status, domains if isinstance(domains, dict) else {"domains": domains}
            if path(request) == "/v5/caller-identity":
                return identity
            return {"ok": True}

        return Driver(answer)

    def test_given(self) -> None:
        driver = self.driver()
        driver.run(call(driver.cloud(domain_id="d1", find_domain=find_domain), READ))
        (sent,) = driver.sent
        assert sent.headers["X-Domain-Id"] == "d1"
        assert "X-Project-Id" not in sent.headers
        assert "x-domain-id" in sent.headers["Authorization"].partition("SignedHeaders=")[2]
        assert sent.url == "https://coc.myhuaweicloud.com/v1/things"

    def test_a_regional_service_is_told_its_project_only(self) -> None:
        driver = self.driver()
        driver.run(call(driver.cloud(domain_id="d1", find_domain=find_domain), REGIONAL))
        (sent,) = driver.sent
        assert "X-Domain-Id" not in sent.headers
        assert sent.headers["X-Project-Id"] == "p1"

    def test_looked_up(self) -> None:
        driver = self.driver([{"id": "d1", "name": "n"}])
        driver.run(call(driver.cloud(find_domain=find_domain), READ))
        lookup, sent = driver.sent
        assert lookup.url == "https://iam.cn-north-4.myhuaweicloud.com/v3/auth/domains"
        assert not {"X-Domain-Id", "X-Project-Id"} & set(lookup.headers)
        assert sent.headers["X-Domain-Id"] == "d1"
        (shared,) = [each for each in driver.shared if each.key[0] != "key"]
        assert shared.max_age > 0

    def test_asked_who_it_is(self) -> None:
        driver = self.driver([], {"account_id": "d2", "principal_id": "u"})
        driver.run(call(driver.cloud(find_domain=find_domain), READ))
        assert [path(each) for each in driver.sent] == [
            "/v3/auth/domains",
            "/v5/caller-identity",
            "/v1/things",
        ]
        assert driver.sent[-1].headers["X-Domain-Id"] == "d2"

    @pytest.mark.parametrize(
        ("domains", "identity"),
        [
            pytest.param([{"id": "d1"}, {"id": "d2"}], None, id="two"),
            pytest.param([], {"account_id": "../x"}, id="an id that leads elsewhere"),
            pytest.param([], {"account_id": ""}, id="an empty id"),
        ],
    )
    def test_not_exactly_one(self, domains, identity) -> None:
        driver = self.driver(domains, identity)
        with pytest.raises(InvalidConnection, match="domain_id"):
            driver.run(call(driver.cloud(find_domain=find_domain), READ))
        assert "/v1/things" not in map(path, driver.sent)

    @pytest.mark.parametrize(
        ("domains", "identity"),
        [
            pytest.param({}, None, id="no list"),
            pytest.param({"domains": None}, None, id="null"),
            pytest.param({"domains": {}}, None, id="an object"),
            pytest.param([], {}, id="no account"),
            pytest.param([], {"account_id": None}, id="null for an account"),
            pytest.param([], {"account_id": 5}, id="a number for an account"),
        ],
    )
    def test_a_look_up_that_says_nothing(self, domains, identity) -> None:
        driver = self.driver(domains, identity)
        with pytest.raises(CloudSyncError):
            driver.run(call(driver.cloud(find_domain=find_domain, attempts=1), READ))
        assert "/v1/things" not in map(path, driver.sent)

    @pytest.mark.parametrize("region", ["ap-southeast-3", "eu-west-101", "cn-north-4"])
    def test_in_every_region_of_coc(self, region) -> None:
        """Not each of them has STS; what is to be done is said all the same."""
        driver = self.driver([], {"account_id": "d2"})
        try:
            driver.run(call(driver.cloud(region=region, find_domain=find_domain), READ))
        except InvalidConnection as error:
            assert "domain_id" in error.message  # noqa: PT017
        else:
            assert driver.sent[-1].headers["X-Domain-Id"] == "d2"

    @pytest.mark.parametrize("request_", [READ, START], ids=["read", "start"])
    @pytest.mark.parametrize(("status", "kind"), [(401, CredentialsRejected), (403, ApiError)])
    def test_a_look_up_that_is_refused(self, request_, status, kind) -> None:
        driver = self.driver([], status=status)
        with pytest.raises(kind) as caught:
            driver.run(call(driver.cloud(find_domain=find_domain), request_))
        assert caught.value.operation == "KeystoneListAuthDomains"
        assert len(driver.sent) == 1

    @pytest.mark.parametrize(
        "trouble", [TransportError("lost"), (503, {}), (500, {})], ids=["lost", "503", "500"]
    )
    def test_a_start_whose_account_can_not_be_looked_up_was_not_sent(self, trouble) -> None:
        driver = Driver(lambda request: trouble)
        with pytest.raises(CloudSyncError) as caught:
            driver.run(call(driver.cloud(find_domain=find_domain), START))
        assert not is_uncertain(caught.value)
        assert {each.method for each in driver.sent} == {"GET"}
        assert len(driver.sent) <= driver.cloud().attempts

    def test_nobody_to_look_it_up(self) -> None:
        driver = self.driver()
        with pytest.raises(InvalidConnection, match='"domain_id"'):
            driver.run(call(driver.cloud(), READ))
        assert driver.sent == []

    @pytest.mark.parametrize(
        "given", [{"domain_id": "d1"}, {"find_domain": find_domain}], ids=["given", "looked up"]
    )
    def test_a_region_that_does_not_lead_there(self, given) -> None:
        driver = self.driver([{"id": "d1"}])
        with pytest.raises(InvalidConnection, match=r"ap-southeast-3, cn-north-4, eu-west-101.*region="):
            driver.run(call(driver.cloud(region="cn-south-1", **given), READ))
        assert "/v1/things" not in map(path, driver.sent)

    def test_scope_tells_accounts_apart(self) -> None:
        driver = self.driver()
        scopes = {
            driver.cloud(**more).scope
            for more in ({}, {"domain_id": "d1"}, {"domain_id": "d2"}, {"enterprise_project_id": "0"})
        }
        assert len(scopes) == 4
