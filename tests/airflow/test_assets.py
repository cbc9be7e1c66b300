"""Asset URIs: one way to write each, everything odd encoded, everything that can't be refused."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_cloudsync import assets
from airflow_provider_cloudsync.api.services import sync_names
from airflow_provider_cloudsync.api.services.coc.resource_sync import resources_target
from airflow_provider_cloudsync.api.services.dataarts.member_sync import member_sync_target
from airflow_provider_cloudsync.api.services.hss.event_sync import events_target
from airflow_provider_cloudsync.api.services.mrs.iam_sync import iam_sync_target
from airflow_provider_cloudsync.exceptions import InvalidParameter

R = "cn-north-4"
MRS = "cloudsync://mrs/cn-north-4/clusters/c-1/iam-users"
DATAARTS = "cloudsync://dataarts/cn-north-4/workspaces/w_1/member-sync-tasks/T1"
AWS = "cloudsync://coc/vendors/AWS"
HSS = "cloudsync://hss/cn-north-4/events"
HSS_ONE = "cloudsync://hss/cn-north-4/clusters/c/events"
CSMS = "cloudsync://csms/cn-north-4/events/rotated"

MADE = [
    ("mrs", assets.mrs_iam_users, (R, "c-1"), MRS),
    ("region in capitals", assets.mrs_iam_users, ("CN-North-4", "c-1"), MRS),
    ("id of digits", assets.mrs_iam_users, (R, 12), "cloudsync://mrs/cn-north-4/clusters/12/iam-users"),
    ("dataarts", assets.dataarts_member_sync_task, (R, "w_1", "T1"), DATAARTS),
    ("vendor", assets.coc_vendor, ("AWS",), AWS),
    ("account", assets.coc_vendor_account, ("AWS", "111"), f"{AWS}/accounts/111"),
    ("account, a number", assets.coc_vendor_account, ("AWS", 111), f"{AWS}/accounts/111"),
    (
        "odd account",
        assets.coc_vendor_account,
        ("AWS", "a/b?c#d%e f"),
        f"{AWS}/accounts/a%2Fb%3Fc%23d%25e%20f",
    ),
    ("Chinese", assets.coc_vendor_account, ("AWS", "账号"), f"{AWS}/accounts/%E8%B4%A6%E5%8F%B7"),
    ("hss", assets.hss_cluster_events, (R,), HSS),
    ("hss, one cluster", assets.hss_cluster_events, (R, "c"), HSS_ONE),
    ("csms", assets.csms_event, (R, "rotated"), CSMS),
]


@pytest.mark.parametrize(("make", "ids", "uri"), [row[1:] for row in MADE], ids=[row[0] for row in MADE])
def test_helper(make, ids, uri) -> None:
    made = make(*ids)
    assert isinstance(made, Asset)
    assert made.uri == uri
    # Airflow itself has normalized it, by the provider's own function, which has nothing more to do.
    assert Asset(uri=uri).uri == uri
    assert assets.sanitize_uri(urlsplit(uri)).geturl() == uri


NOT_MADE = [
    ("slash in a cluster", assets.mrs_iam_users, (R, "a/b"), "cluster_id must be"),
    ("no cluster", assets.mrs_iam_users, (R, None), "cluster_id is None"),
    ("empty cluster", assets.mrs_iam_users, (R, ""), "cluster_id must be"),
    ("template", assets.mrs_iam_users, (R, "{{ params.cluster_id }}"), "cluster_id must be"),
    ("no region", assets.mrs_iam_users, (None, "c"), "region is None"),
    ("odd region", assets.mrs_iam_users, ("cn north", "c"), "region must be"),
    ("workspace", assets.dataarts_member_sync_task, (R, "w w", "t"), "workspace must be"),
    ("task", assets.dataarts_member_sync_task, (R, "w", "t?"), "sync_task_id must be"),
    ("empty vendor", assets.coc_vendor, ("",), "vendor must be"),
    ("dots", assets.coc_vendor_account, ("AWS", ".."), "account_id cannot be"),
    ("control character", assets.coc_vendor_account, ("AWS", "a\nb"), "account_id must be"),
    (
        "no account",
        assets.coc_vendor_account,
        ("AWS", None),
        "account_id is None. An asset of the kind coc_vendor_account needs it",
    ),
    ("hss cluster", assets.hss_cluster_events, (R, "c/.."), "cluster_id must be"),
    ("event", assets.csms_event, (R, "a b"), "name of an event must be"),
]


@pytest.mark.parametrize(
    ("make", "ids", "words"), [row[1:] for row in NOT_MADE], ids=[row[0] for row in NOT_MADE]
)
def test_what_is_refused_says_why(make, ids, words) -> None:
    with pytest.raises(InvalidParameter, match=words):
        make(*ids)


SANITIZED = [
    ("scheme and service in capitals", "CloudSync://MRS/cn-north-4/clusters/c-1/iam-users", MRS),
    ("region in capitals", "cloudsync://mrs/CN-NORTH-4/clusters/c-1/iam-users", MRS),
    ("slash at the end", f"{MRS}/", MRS),
    ("encoded without a need", "cloudsync://mrs/cn-north-4/clusters/%63-1/iam-users", MRS),
    ("small hexadecimals", f"{AWS}/accounts/a%2fb", f"{AWS}/accounts/a%2Fb"),
    ("not encoded", f"{AWS}/accounts/a b", f"{AWS}/accounts/a%20b"),
    ("fragment", f"{CSMS}#x", CSMS),
]


@pytest.mark.parametrize(("uri", "normal"), [row[1:] for row in SANITIZED], ids=[row[0] for row in SANITIZED])
def test_sanitized(uri, normal) -> None:
    assert Asset(uri=uri).uri == normal


REFUSED = [
    ("no such service", "cloudsync://ecs/cn-north-4/servers/s", "Known forms: cloudsync://mrs/"),
    ("nothing", "cloudsync://", "Not an asset of this provider"),
    ("a part is missing", "cloudsync://mrs/cn-north-4/clusters/c", "Not an asset of this provider"),
    ("too much", f"{MRS}/more", "Not an asset of this provider"),
    ("empty id", "cloudsync://mrs/cn-north-4/clusters//iam-users", "cluster_id must be"),
    ("odd id", "cloudsync://mrs/cn-north-4/clusters/a%2Fb/iam-users", "cluster_id must be"),
    ("broken escape", f"{AWS}/accounts/a%2", "not percent-encoded"),
    ("not UTF-8", f"{AWS}/accounts/%ff", "not percent-encoded"),
    ("query", f"{MRS}?a=b", "takes no query string"),
    ("port", "cloudsync://mrs:80/cn-north-4/clusters/c-1/iam-users", "Not an asset of this provider"),
    ("dots", f"{AWS}/accounts/%2e%2e", "account_id cannot be"),
]


@pytest.mark.parametrize(("uri", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(uri, words) -> None:
    with pytest.raises(ValueError, match=words):
        assets.sanitize_uri(urlsplit(uri))


@pytest.mark.filterwarnings("error::UserWarning")
def test_airflow_calls_the_sanitizer() -> None:
    """It refuses the URI (Airflow 3), or warns that it will (2.11)."""
    with pytest.raises((ValueError, UserWarning), match="Not an asset of this provider"):
        Asset(uri="cloudsync://ecs/x")


def test_each_kind_has_a_helper_and_can_be_made_by_the_factory() -> None:
    for kind, path in assets.uri_paths().items():
        ids = dict.fromkeys(re.findall(r"{(\w+)}", path), "x")
        made = assets.create_asset(kind=kind, **ids)
        assert assets.read_uri(urlsplit(made.uri)) == (kind, ids)
        assert kind == "hss_events" or callable(getattr(assets, kind))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "ecs_server"}, "Unknown kind of asset 'ecs_server'"),
        ({"kind": "coc_vendor"}, "needs exactly vendor"),
        ({"kind": "coc_vendor", "vendor": "AWS", "region": "r"}, "needs exactly vendor"),
    ],
)
def test_the_factory_refuses(arguments, words) -> None:
    with pytest.raises(InvalidParameter, match=words):
        assets.create_asset(**arguments)


def test_more_goes_to_airflow() -> None:
    assert assets.csms_event(R, "rotated", extra={"owner": "team"}).extra == {"owner": "team"}


TARGETS = {
    "mrs": iam_sync_target("c-1", sync_all=True),
    "mrs-cancel": iam_sync_target("c-1", sync_all=True),
    "dataarts": member_sync_target("w_1", "T1", synced_after=None),
    "coc": resources_target("AWS"),
    "hss": events_target(),
}
STANDS_FOR = [
    # uri, service, target, region, whether it is the one
    (MRS, "mrs", TARGETS["mrs"], R, True),
    (MRS, "mrs", TARGETS["mrs"], None, True),
    (MRS, "mrs", TARGETS["mrs"], "CN-NORTH-4", True),
    (MRS, "mrs-cancel", TARGETS["mrs"], R, True),
    (MRS, "mrs", TARGETS["mrs"], "eu-west-101", False),
    (MRS, "mrs", iam_sync_target("c-2", sync_all=True), R, False),
    (DATAARTS, "dataarts", TARGETS["dataarts"], R, True),
    (DATAARTS, "mrs", TARGETS["mrs"], R, False),
    (AWS, "coc", TARGETS["coc"], R, True),
    (f"{AWS}/accounts/a%2Fb", "coc", resources_target("AWS", account_id="a/b"), R, True),
    (f"{AWS}/accounts/1", "coc", TARGETS["coc"], R, False),
    (AWS, "coc", resources_target("AWS", account_id="1"), R, False),
    (HSS, "hss", TARGETS["hss"], R, True),
    (HSS_ONE, "hss", events_target(cluster_id="c"), R, True),
    (HSS_ONE, "hss", TARGETS["hss"], R, False),
    (CSMS, "csms", {"name": "rotated"}, R, True),
    (CSMS, "csms", {"name": "other"}, R, False),
    ("s3://bucket/key", "mrs", TARGETS["mrs"], R, False),
    ("cloudsync://mrs/x", "mrs", TARGETS["mrs"], R, False),
]


@pytest.mark.parametrize(("uri", "service", "target", "region", "is_it"), STANDS_FOR)
def test_stands_for(uri, service, target, region, is_it) -> None:
    assert assets.stands_for(uri, service, target, region) is is_it


def test_every_service_has_an_asset() -> None:
    assert set(TARGETS) == set(sync_names())
    for service, target in TARGETS.items():
        assert assets.identify(service, target)[0] in assets.uri_paths()


def test_a_service_that_somebody_adds_needs_none() -> None:
    assert assets.identify("hss-images", {"registry_id": "1"}) is None
    assert not assets.stands_for(MRS, "hss-images", {"registry_id": "1"}, R)
