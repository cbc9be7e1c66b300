"""From a service and a region to a URL."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_cloudsync.api import endpoints
from airflow_provider_cloudsync.api.endpoints import (
    base_url,
    check_url,
    is_loopback,
    is_ours,
    service_at,
    table,
)
from airflow_provider_cloudsync.exceptions import InvalidConnection

ROWS = [(service, region, hosts) for service, regions in table().items() for region, hosts in regions.items()]
IAM_WITHOUT_A_ROW = [
    "af-north-1",
    "ap-southeast-5",
    "cn-north-11",
    "cn-south-4",
    "cn-southwest-3",
    "ru-northwest-2",
]


def test_the_table_is_the_file():
    path = Path(endpoints.__file__).with_name("endpoints.json")
    assert table() == json.loads(path.read_text(encoding="utf-8"))


def test_what_the_table_covers():
    assert {service: len(regions) for service, regions in table().items()} == {
        "mrs": 33,
        "hss": 32,
        "csms": 30,
        "iam": 28,
        "dataartsstudio": 26,
        "sts": 12,
        "coc": 3,
    }


@pytest.mark.parametrize(
    ("service", "region", "hosts"), ROWS, ids=[f"{service}-{region}" for service, region, _ in ROWS]
)
def test_each_row(service, region, hosts):
    assert len(hosts) == 1
    assert base_url(service, region) == f"https://{hosts[0]}"
    assert check_url(base_url(service, region), field="endpoint") == base_url(service, region)
    assert service_at(hosts[0], {}) == service


def test_the_service_at_another_host():
    own = {"mrs": "https://big-data.example.com:8443", "csms": "https://kms.cn-north-4.myhuaweicloud.com/dew"}
    assert service_at("big-data.example.com:8443", own) == "mrs"
    assert service_at("kms.cn-north-4.myhuaweicloud.com", own) == "csms"
    assert service_at("ecs.cn-north-4.myhuaweicloud.com", own) == "ecs"


OWN = {"mrs": "https://big-data.example.com:8443", "iam": "https://[2001:db8::1]/prefix"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((hosts[0], True) for _, _, hosts in ROWS),
        ("obs.cn-north-4.myhuaweicloud.com", True),
        ("anything.else.myhuaweicloud.cn", True),
        ("anything.myhuaweicloud.eu", True),
        ("mrs.cn-north-4.myhuaweicloud.com:443", True),
        ("big-data.example.com:8443", True),
        ("[2001:db8::1]", True),
        ("everywhere.example.com", True),
        ("myhuaweicloud.com", False),
        ("evilmyhuaweicloud.com", False),
        ("evil-myhuaweicloud.com", False),
        ("myhuaweicloud.com.evil.example", False),
        ("mrs.cn-north-4.myhuaweicloud.com.evil.example", False),
        ("mrs.cn-north-4.myhuaweicloud.com:8443", False),
        ("mrs.cn-north-4.myhuaweicloud.com:80", False),
        ("mrs.cn-north-4.myhuaweicloud.com:443@evil.example", False),
        ("mrs.cn-north-4.myhuaweicloud.com@evil.example", False),
        ("evil.example:443", False),
        ("mrs.cn-north-4.myhuaweicloud.org", False),
        ("big-data.example.com", False),
        ("big-data.example.com:443", False),
        ("more.big-data.example.com:8443", False),
        ("sub.everywhere.example.com", False),
        ("127.0.0.1", False),
        ("127.0.0.1:8080", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_whose_host_it_is(host, expected):
    assert is_ours(host, OWN, "https://everywhere.example.com") is expected


@pytest.mark.parametrize(
    ("service", "region", "url"),
    [
        ("mrs", "cn-north-4", "https://mrs.cn-north-4.myhuaweicloud.com"),
        ("mrs", "ap-southeast-1", "https://mrs.ap-southeast-1.myhuaweicloud.cn"),
        ("mrs", "ap-southeast-4", "https://mrs.ap-southeast-4.myhuaweicloud.cn"),
        ("mrs", "ru-northwest-2", "https://mrs.ru-northwest-2.myhuaweicloud.cn"),
        ("mrs", "eu-west-101", "https://mrs.eu-west-101.myhuaweicloud.eu"),
        ("dataartsstudio", "cn-north-4", "https://dayu.cn-north-4.myhuaweicloud.com"),
        ("dataartsstudio", "eu-west-101", "https://dayu.eu-west-101.myhuaweicloud.com"),
        ("csms", "cn-north-4", "https://kms.cn-north-4.myhuaweicloud.com"),
        ("hss", "eu-west-101", "https://hss.eu-west-101.myhuaweicloud.eu"),
        ("iam", "eu-west-101", "https://iam.eu-west-101.myhuaweicloud.eu"),
        ("coc", "cn-north-4", "https://coc.myhuaweicloud.com"),
        ("coc", "ap-southeast-3", "https://coc-intl.myhuaweicloud.com"),
        ("coc", "eu-west-101", "https://coc-eu-west-101-open-api.myhuaweicloud.eu"),
    ],
)
def test_documented_exceptions(service, region, url):
    assert base_url(service, region) == url


@pytest.mark.parametrize("region", IAM_WITHOUT_A_ROW)
def test_iam_without_a_row_is_the_global_one(region):
    assert base_url("iam", region) == "https://iam.myhuaweicloud.com"


@pytest.mark.parametrize(
    ("service", "region", "says"),
    [
        pytest.param("mrs", None, ["No region is set", "cn-north-4", "Extra"], id="no region"),
        pytest.param("mrs", "", ["No region is set"], id="empty region"),
        pytest.param(
            "mrs", "cn-north4", ['Unknown region "cn-north4"', "Did you mean cn-north-4?"], id="typing error"
        ),
        pytest.param("mrs", "ap-southeast", ["Did you mean ap-southeast-"], id="cut short"),
        pytest.param("mrs", "xx", ['Unknown region "xx"', "cn-north-4", "endpoints"], id="nothing like it"),
        pytest.param(
            "mrs",
            "cn-south-2",
            ['mrs is not available in region "cn-south-2" (Extra "region"', "cn-south-1"],
            id="not there",
        ),
        pytest.param(
            "csms", "eu-west-101", ["csms is not available in region", "endpoints", '"csms"'], id="no CSMS"
        ),
        pytest.param(
            "iam", "nowhere-1", ['Unknown region "nowhere-1"', '"iam"'], id="IAM of no region at all"
        ),
        pytest.param("obs", "cn-north-4", ['service "obs"', "mrs", "endpoints"], id="no such service"),
    ],
)
def test_unknown_places(service, region, says):
    with pytest.raises(InvalidConnection) as caught:
        base_url(service, region)
    for text in says:
        assert text in caught.value.message


@pytest.mark.parametrize(
    ("service", "region", "overrides", "everywhere", "url"),
    [
        pytest.param("mrs", "cn-north-4", {"mrs": "https://m"}, None, "https://m", id="by service"),
        pytest.param("mrs", "cn-north-4", None, "https://all", "https://all", id="everywhere"),
        pytest.param(
            "mrs", "cn-north-4", {"mrs": "https://m"}, "https://all", "https://m", id="service first"
        ),
        pytest.param("iam", "cn-north-4", {"mrs": "https://m"}, "https://all", "https://all", id="another's"),
        pytest.param(
            "iam",
            "cn-north-4",
            {"mrs": "https://m"},
            None,
            "https://iam.cn-north-4.myhuaweicloud.com",
            id="the table for the others",
        ),
        pytest.param("mrs", None, {"mrs": "https://m"}, None, "https://m", id="no region needed"),
        pytest.param("mrs", "nowhere", None, "https://all", "https://all", id="any region"),
        pytest.param("obs", None, {"obs": "https://o"}, None, "https://o", id="any service"),
        pytest.param("mrs", None, {"mrs": "https://m/x//"}, None, "https://m/x", id="slashes at the end go"),
    ],
)
def test_overrides(service, region, overrides, everywhere, url):
    assert base_url(service, region, overrides=overrides, everywhere=everywhere) == url


GOOD = [
    ("https://mrs.example.com", False),
    ("https://mrs.example.com/", False),
    ("https://mrs.example.com:8443/prefix", False),
    ("https://10.0.0.1", False),
    ("https://[2001:db8::1]:443", False),
    ("http://127.0.0.1:8080", False),
    ("http://127.9.9.9", False),
    ("http://localhost:1", False),
    ("http://[::1]:8080", False),
    ("http://[::1]:1", False),
    ("http://mrs.example.com", True),
    ("http://10.0.0.1", True),
]


@pytest.mark.parametrize(("url", "allow_http"), GOOD, ids=[url for url, _ in GOOD])
def test_urls_that_can_be_used(url, allow_http):
    assert check_url(url, field="endpoint", allow_http=allow_http) == url.rstrip("/")


BAD = [
    "",
    "mrs.example.com",
    "//mrs.example.com",
    "ftp://mrs.example.com",
    "https://",
    "https:///path",
    "https:mrs.example.com",
    "https://user@mrs.example.com",
    "https://user:secret@mrs.example.com",
    "https://mrs.example.com?a=1",
    "https://mrs.example.com#a",
    "https://mrs.example.com/a b",
    " https://mrs.example.com",
    "https://mrs.example.com\nX-Injected: 1",
    "https://mrs.example.com\\@evil",
    "https://mrs.example.com\x00",
    "https://mrs.example.com:99999",
    "https://mrs.example.com:port",
    "https://[::1",
    "https://[not-an-address]",
    # Brackets belong around the whole host.
    "http://127.0.0.1[::1]:1",
    "http://[::1]127.0.0.1:1",
    "http://[::1].example.com",
    "http://[::1]1",
    "https://[::1]]",
    "https://mrs[::1].example.com",
    "https://mrs].example.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    # No host of these can be looked up; found out here it is an error of the connection.
    "https://mrs..example.com",
    "https://.example.com",
    "https://*.example.com",
    "https://" + "a" * 64 + ".example.com",
]


@pytest.mark.parametrize("url", BAD, ids=[repr(url)[:50] for url in BAD])
@pytest.mark.parametrize("allow_http", [False, True])
def test_urls_that_can_not(url, allow_http):
    with pytest.raises(InvalidConnection, match='"endpoint" must be a URL') as caught:
        check_url(url, field="endpoint", allow_http=allow_http)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://mrs.example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
        "http://[2001:db8::1]",
        "http://2130706433",
    ],
)
def test_plain_http_elsewhere(url):
    with pytest.raises(InvalidConnection, match="plain http") as caught:
        check_url(url, field="endpoint")
    assert "allow_http" in caught.value.message
    assert check_url(url, field="endpoint", allow_http=True) == url


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("192.168.0.1", False),
        ("localhost.", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_is_loopback(host, expected):
    assert is_loopback(host) is expected
