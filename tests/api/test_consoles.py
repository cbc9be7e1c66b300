"""From a service, a region and a target to a page of the console: the right site, or none."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.credentials import Anonymous
from airflow_provider_cloudsync.api.endpoints import table
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.services import find_service, sync_names
from airflow_provider_cloudsync.api.services.csms.changes import CONSOLE
from airflow_provider_cloudsync.exceptions import InvalidConnection

CHINA, INTERNATIONAL, EUROPE = (
    "https://console.huaweicloud.com",
    "https://console-intl.huaweicloud.com",
    "https://console.eu.huaweicloud.com",
)
HOSTS = {urlsplit(site).netloc for site in (CHINA, INTERNATIONAL, EUROPE)}
CONSOLES = {name: find_service(name).console for name in sync_names()} | {"csms": CONSOLE}
TARGETS = {
    "mrs": {"cluster_id": "c"},
    "mrs-cancel": {"cluster_id": "c"},
    "hss": {"cluster_id": None, "enterprise_project_id": None},
    "coc": {"vendor": "AWS", "account_id": "1"},
    "dataarts": {"workspace": "w", "sync_task_id": "t"},
    "csms": {"name": "e"},
}

PAGES = [
    ("mrs", "cn-north-4", f"{CHINA}/mrs/?region=cn-north-4"),
    ("mrs", "ap-southeast-3", f"{INTERNATIONAL}/mrs/?region=ap-southeast-3"),
    ("mrs", "la-north-2", f"{INTERNATIONAL}/mrs/?region=la-north-2"),
    ("mrs", "eu-west-101", f"{EUROPE}/mrs/?region=eu-west-101"),
    ("mrs-cancel", "cn-south-1", f"{CHINA}/mrs/?region=cn-south-1"),
    ("mrs-cancel", "tr-west-1", f"{INTERNATIONAL}/mrs/?region=tr-west-1"),
    ("mrs-cancel", "eu-west-101", f"{EUROPE}/mrs/?region=eu-west-101"),
    ("hss", "cn-east-3", f"{CHINA}/hss2/?region=cn-east-3"),
    ("hss", "af-south-1", f"{INTERNATIONAL}/hss2/?region=af-south-1"),
    ("hss", "eu-west-101", f"{EUROPE}/hss2/?region=eu-west-101"),
    ("coc", "cn-north-4", f"{CHINA}/coc/?region=cn-north-4"),
    ("coc", "ap-southeast-3", f"{INTERNATIONAL}/coc/?region=ap-southeast-3"),
    ("coc", "eu-west-101", f"{EUROPE}/coc/?region=eu-west-101"),
    ("dataarts", "cn-north-4", f"{CHINA}/dayu/?region=cn-north-4&workspace=w"),
    ("dataarts", "sa-brazil-1", f"{INTERNATIONAL}/dayu/?region=sa-brazil-1&workspace=w"),
    ("dataarts", "eu-west-101", f"{EUROPE}/dayu/?region=eu-west-101&workspace=w"),
    ("csms", "cn-southwest-2", f"{CHINA}/dew/?region=cn-southwest-2"),
    ("csms", "me-east-1", f"{INTERNATIONAL}/dew/?region=me-east-1"),
]
#: Regions of the table whose console is a partner's, or not known.
OTHERS = {"eu-west-0", "ae-ad-1", "my-kualalumpur-1", "ru-moscow-1", "ru-northwest-2"}


def cloud(region: str | None = None, **where) -> Cloud:
    return Cloud(Anonymous(), lambda: 0.0, region=region, **where)


@pytest.mark.parametrize(("service", "region", "url"), PAGES)
def test_the_page_of_a_service_in_a_region(service: str, region: str, url: str) -> None:
    assert CONSOLES[service].url(cloud(region), TARGETS[service]) == url


def test_every_service_has_a_row_for_each_site_that_it_is_on() -> None:
    rows = {(service, urlsplit(url).netloc) for service, _, url in PAGES}
    missing = {(service, host) for service in CONSOLES for host in HOSTS} - rows
    assert missing == {("csms", urlsplit(EUROPE).netloc)}
    assert "eu-west-101" not in table()["csms"]


@pytest.mark.parametrize("service", CONSOLES)
def test_every_region_of_the_table_has_one_of_the_three_sites_or_none(service: str) -> None:
    console = CONSOLES[service]
    for region in table()[console.service]:
        url = console.url(cloud(region), TARGETS[service])
        assert (url is None) == (region in OTHERS)
        if url is not None:
            parts = urlsplit(url)
            assert parts.scheme == "https"
            assert parts.netloc in HOSTS
            assert parse_qs(parts.query)["region"] == [region]


GATEWAY = "https://gateway.example.com"
WHERE = [
    ("own URL, no region", None, {"endpoint": GATEWAY}, None),
    ("own URL, a region of one's own", "my-region-1", {"endpoint": GATEWAY}, None),
    ("own URL, a region where a partner runs it", "ae-ad-1", {"endpoint": GATEWAY}, None),
    ("own URL before a known region", "cn-north-4", {"endpoint": GATEWAY}, "cn-north-4"),
    ("own URL for this service", None, {"endpoints": {"mrs": GATEWAY}}, None),
    ("own URL for another service", "cn-east-3", {"endpoints": {"hss": GATEWAY}}, "cn-east-3"),
    (
        "the vendor's URL, no region",
        None,
        {"endpoints": {"mrs": "https://mrs.cn-south-1.myhuaweicloud.com"}},
        "cn-south-1",
    ),
    (
        "the vendor's URL of another region",
        "cn-north-4",
        {"endpoints": {"mrs": "https://mrs.eu-west-101.myhuaweicloud.eu:443"}},
        "eu-west-101",
    ),
    ("a partner's URL", "cn-north-4", {"endpoint": "https://mrs.ae-ad-1.myhuaweicloud.com"}, None),
]


@pytest.mark.parametrize(("region", "where", "found"), [row[1:] for row in WHERE], ids=[r[0] for r in WHERE])
def test_the_region_is_where_the_service_is_reached(region, where, found) -> None:
    url = CONSOLES["mrs"].url(cloud(region, **where), TARGETS["mrs"])
    assert (url and parse_qs(urlsplit(url).query)["region"]) == (found and [found])


def test_a_region_that_does_not_tell_where_the_service_is_has_no_page() -> None:
    for region in (None, "cn-nowhere-9"):
        with pytest.raises(InvalidConnection):
            CONSOLES["mrs"].url(cloud(region), TARGETS["mrs"])


HOSTILE = [
    "w&region=eu-west-101",
    "w#//evil.example.com",
    "@evil.example.com/",
    "//evil.example.com",
    "../../evil",
    "https://evil.example.com/?x=",
    "javascript:alert(1)",
    'w" onclick="x',
    "空间 1\r\nLocation: x",
    "%2f%2e",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_in_its_place(name: str) -> None:
    url = CONSOLES["dataarts"].url(cloud("cn-north-4"), {"workspace": name})
    assert url is not None
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path, parts.fragment) == (
        "https",
        urlsplit(CHINA).netloc,
        "/dayu/",
        "",
    )
    assert parse_qs(parts.query) == {"region": ["cn-north-4"], "workspace": [name]}
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(" \"'<>\\")


def test_nothing_else_of_the_target_is_in_the_page() -> None:
    console = Console("somewhere", "mrs", "mrs", parameters=("a", "b"))
    url = console.url(cloud("cn-north-4"), {"a": "1", "b": None, "secret": "s3cret"})
    assert url == f"{CHINA}/mrs/?region=cn-north-4&a=1"


def test_as_text_it_is_its_words() -> None:
    for console in CONSOLES.values():
        assert f"look at {console}." == f"look at {console.words}."
        assert dataclasses.replace(console) == console


def test_the_guide_has_every_page_and_region() -> None:
    guide = (Path(__file__).parents[2] / "docs/links.md").read_text(encoding="utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("|")]
    assert {f"/{console.path}/" for console in CONSOLES.values()} == set(
        re.findall(r"`(/\w+/)`", "\n".join(rows))
    )
    shown = {
        region: f"https://{host}"
        for regions, host in re.findall(r"\| (.*) \| `(console.*)` \|", "\n".join(rows))
        for region in re.findall(r"`([^`]+)`", regions)
    }
    for _, region, url in PAGES:
        (site,) = [shown[each] for each in shown if region.startswith(each.removesuffix("..."))]
        assert url.startswith(f"{site}/")
    assert not [
        region for region in OTHERS if any(region.startswith(each.removesuffix("...")) for each in shown)
    ]
