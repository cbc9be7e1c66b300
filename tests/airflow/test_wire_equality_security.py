"""Every call of the hooks of HSS, COC and CSMS is, on the wire, the call that the vendor SDK's client makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcoc import v1 as coc
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkcsms import v1 as csms
from huaweicloudsdkhss import v5 as hss

from airflow_provider_cloudsync.hooks.coc import CocHook
from airflow_provider_cloudsync.hooks.csms import CsmsHook
from airflow_provider_cloudsync.hooks.hss import HssHook
from tests.support.sdk_comparison import emulator, first_pages, global_keys, hook, sdk, wire

__all__ = ["emulator"]

CLUSTER, EVENT = "example-cluster", "example-event"
Call = Callable[[Any], Any]


def own(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def events(**query: Any) -> Any:
    return hss.ListClusterEventsRequest(**{"offset": 0, "limit": 200, **query})


PROJECT = {"enterprise_project_id": "all_granted_eps"}
HSS: list[tuple[str, str, dict[str, Any], Call]] = [
    # method of the hook, its arguments, call of the SDK
    (
        "sync one",
        "sync_cluster_protection_events",
        {"cluster_id": CLUSTER},
        lambda it: it.sync_cluster_protection_event(
            hss.SyncClusterProtectionEventRequest(cluster_id=CLUSTER)
        ),
    ),
    (
        "sync all",
        "sync_cluster_protection_events",
        {},
        lambda it: it.sync_cluster_protection_event(hss.SyncClusterProtectionEventRequest()),
    ),
    (
        "sync with a project",
        "sync_cluster_protection_events",
        {"cluster_id": CLUSTER, **PROJECT},
        lambda it: it.sync_cluster_protection_event(
            hss.SyncClusterProtectionEventRequest(cluster_id=CLUSTER, **PROJECT)
        ),
    ),
    (
        "list",
        "list_cluster_events",
        {"cluster_id": CLUSTER},
        lambda it: it.list_cluster_events(events(cluster_id=CLUSTER)),
    ),
    ("list all", "list_cluster_events", {}, lambda it: it.list_cluster_events(events())),
    (
        "list with a project",
        "list_cluster_events",
        {"enterprise_project_id": "0"},
        lambda it: it.list_cluster_events(events(enterprise_project_id="0")),
    ),
    (
        "update time",
        "get_cluster_events_update_time",
        {"cluster_id": CLUSTER, **PROJECT},
        lambda it: it.list_cluster_events(events(cluster_id=CLUSTER, limit=10, **PROJECT)),
    ),
]


class TestHss:
    @pytest.mark.parametrize(
        ("method", "arguments", "theirs"), [pytest.param(*case[1:], id=case[0]) for case in HSS]
    )
    def test_same_on_the_wire(self, emulator, monkeypatch, method, arguments, theirs):
        emulator.reset({"hss": {"clusters": {CLUSTER: {}, "other": {"enterprise_project_id": "ep-1"}}}})
        getattr(hook(HssHook, emulator, monkeypatch), method)(**arguments)
        theirs(sdk(hss.HssClient, emulator))
        first, second = emulator.requests()
        assert wire(first) == wire(second)
        assert (first["auth"], first["status"]) == ("valid", 200)

    def test_every_call_of_the_hook_is_compared(self):
        assert own(HssHook) == {case[1] for case in HSS}

    def test_what_the_calls_return(self, emulator, monkeypatch):
        emulator.reset({"hss": {"clusters": {"c": {"brings": 2, "seconds": 8, "last_update_time": None}}}})
        ours = hook(HssHook, emulator, monkeypatch)
        assert ours.get_cluster_events_update_time(cluster_id="c") is None
        assert ours.sync_cluster_protection_events(cluster_id="c") == {"synched": True}
        emulator.advance(8)
        at = ours.get_cluster_events_update_time(cluster_id="c")
        assert at == round((emulator.clock.started + 8) * 1000)
        found = ours.list_cluster_events(cluster_id="c")
        theirs = sdk(hss.HssClient, emulator).list_cluster_events(events(cluster_id="c"))
        assert theirs.last_update_time == at
        assert [each["event_id"] for each in found] == [each.event_id for each in theirs.data_list]
        assert len(found) == 2

    def test_a_sync_that_was_not_created_is_told(self, emulator, monkeypatch):
        emulator.reset({"hss": {"clusters": {"c": {"outcome": "not_created"}}}})
        assert hook(HssHook, emulator, monkeypatch).sync_cluster_protection_events() == {"synched": False}


def start(**fields: Any) -> Any:
    return coc.SyncMultiCloudResourceRequest(coc.SyncMultiCloudResourceRequestBody(**fields))


def accounts(**query: Any) -> Any:
    return coc.ListVendorAccountRequest(**{"limit": 500, "offset": "0", **query})


ACCOUNT = "111122223333"
COC: list[tuple[str, Call, Call]] = [
    (
        "sync one",
        lambda it: it.sync_multicloud_resources("AWS", account_id=ACCOUNT),
        lambda it: it.sync_multi_cloud_resource(start(vendor="AWS", account_id=ACCOUNT)),
    ),
    (
        "sync all",
        lambda it: it.sync_multicloud_resources("HCS"),
        lambda it: it.sync_multi_cloud_resource(start(vendor="HCS")),
    ),
    (
        "accounts",
        lambda it: it.list_vendor_accounts(),
        lambda it: it.list_vendor_account(accounts()),
    ),
    (
        "accounts of a vendor",
        lambda it: it.list_vendor_accounts(vendor="AWS"),
        lambda it: it.list_vendor_account(accounts(vendor="AWS")),
    ),
    (
        "one account",
        lambda it: it.list_vendor_accounts(vendor="AWS", account_id=ACCOUNT),
        lambda it: it.list_vendor_account(accounts(vendor="AWS", account_id=ACCOUNT)),
    ),
    (
        "an account of odd letters",
        lambda it: it.list_vendor_accounts(account_id="a b+工&x=1"),
        lambda it: it.list_vendor_account(accounts(account_id="a b+工&x=1")),
    ),
    (
        "count",
        lambda it: it.count_multicloud_resources("AWS"),
        lambda it: it.count_multi_cloud_resources(coc.CountMultiCloudResourcesRequest(vendor="AWS")),
    ),
    (
        "count of a type",
        lambda it: it.count_multicloud_resources("HCS", resource_type="cloudservers"),
        lambda it: it.count_multi_cloud_resources(
            coc.CountMultiCloudResourcesRequest(vendor="HCS", type="cloudservers")
        ),
    ),
]


class TestCoc:
    def compare(self, emulator, monkeypatch, ours, theirs, *, looked_up: bool) -> list[dict[str, Any]]:
        """What the hook sends and what the SDK sends, the look-up of the account included."""
        given = None if looked_up else emulator.domain_id
        ours(hook(CocHook, emulator, monkeypatch, **({} if looked_up else {"domain_id": given})))
        first = first_pages(emulator.requests())
        emulator.reset()
        if looked_up:  # only in a region does it look
            from huaweicloudsdkcore.http.http_config import HttpConfig

            builder = coc.CocClient.new_builder().with_http_config(HttpConfig.get_default_config())
            keys = global_keys(emulator)
            theirs(builder.with_credentials(keys).with_region(Region(emulator.region, emulator.url)).build())
        else:
            theirs(sdk(coc.CocClient, emulator, global_keys(emulator, given)))
        second = emulator.requests()
        assert [entry["operation"] for entry in first] == [entry["operation"] for entry in second]
        assert wire(first[-1]) == wire(second[-1])
        assert {entry["auth"] for entry in first} == {"valid"}
        assert {entry["status"] for entry in first} == {200}
        return first

    @pytest.mark.parametrize(("ours", "theirs"), [pytest.param(*case[1:], id=case[0]) for case in COC])
    def test_same_on_the_wire(self, emulator, monkeypatch, ours, theirs):
        (sent,) = self.compare(emulator, monkeypatch, ours, theirs, looked_up=False)
        assert sent["headers"]["x-domain-id"] == emulator.domain_id
        assert "x-project-id" not in sent["headers"]

    @pytest.mark.parametrize(("ours", "theirs"), [pytest.param(*case[1:], id=case[0]) for case in COC])
    def test_same_on_the_wire_with_the_account_looked_up(self, emulator, monkeypatch, ours, theirs):
        lookup, sent = self.compare(emulator, monkeypatch, ours, theirs, looked_up=True)
        assert lookup["operation"] == "KeystoneListAuthDomains"
        assert sent["headers"]["x-domain-id"] == emulator.domain_id

    def test_every_call_of_the_hook_is_compared(self):
        called = {name for case in COC for name in case[1].__code__.co_names if name in own(CocHook)}
        assert own(CocHook) == called

    def test_what_the_calls_return(self, emulator, monkeypatch):
        ours = hook(CocHook, emulator, monkeypatch)
        assert len(ours.sync_multicloud_resources("AWS")["data"]) == 36
        assert ours.count_multicloud_resources("AWS") == 3
        rows = ours.list_vendor_accounts(vendor="AWS", account_id=ACCOUNT)
        theirs = sdk(coc.CocClient, emulator, global_keys(emulator, emulator.domain_id))
        (row,) = theirs.list_vendor_account(accounts(account_id=ACCOUNT)).data
        assert [each["id"] for each in rows] == [row.id]
        assert row.ak
        assert "ak" not in rows[0]
        assert row.ak not in json.dumps(rows)


TOPIC = {"target_type": "SMN", "target_id": "urn:smn:cn-north-4:p:t", "target_name": "t"}
TYPES = ["SECRET_ROTATED", "SECRET_DELETED"]


def put(**fields: Any) -> Any:
    return csms.UpdateSecretEventRequest(EVENT, csms.UpdateSecretEventRequestBody(**fields))


def post(**fields: Any) -> Any:
    return csms.CreateSecretEventRequest(
        csms.CreateSecretEventRequestBody(notification=csms.Notification(**TOPIC), **fields)
    )


CSMS: list[tuple[str, Call, Call]] = [
    (
        "create",
        lambda it: it.create_event("new", event_types=TYPES, notification=TOPIC),
        lambda it: it.create_secret_event(post(name="new", event_types=TYPES, state="ENABLED")),
    ),
    (
        "create disabled",
        lambda it: it.create_event("new", event_types=tuple(TYPES), notification=TOPIC, state="DISABLED"),
        lambda it: it.create_secret_event(post(name="new", event_types=TYPES, state="DISABLED")),
    ),
    (
        "get",
        lambda it: it.get_event(EVENT),
        lambda it: it.show_secret_event(csms.ShowSecretEventRequest(EVENT)),
    ),
    (
        "list",
        lambda it: it.list_events(),
        lambda it: it.list_secret_events(csms.ListSecretEventsRequest(limit="50")),
    ),
    (
        "update the state",
        lambda it: it.update_event(EVENT, state="DISABLED"),
        lambda it: it.update_secret_event(put(state="DISABLED")),
    ),
    (
        "update the types",
        lambda it: it.update_event(EVENT, event_types=TYPES),
        lambda it: it.update_secret_event(put(event_types=TYPES)),
    ),
    (
        "update all",
        lambda it: it.update_event(EVENT, state="ENABLED", event_types=TYPES, notification=TOPIC),
        lambda it: it.update_secret_event(
            put(state="ENABLED", event_types=TYPES, notification=csms.Notification(**TOPIC))
        ),
    ),
    (
        "delete",
        lambda it: it.delete_event(EVENT),
        lambda it: it.delete_secret_event(csms.DeleteSecretEventRequest(EVENT)),
    ),
    (
        "records",
        lambda it: it.list_notification_records(),
        lambda it: it.list_notification_records(csms.ListNotificationRecordsRequest()),
    ),
]


class TestCsms:
    @pytest.mark.parametrize(("ours", "theirs"), [pytest.param(*case[1:], id=case[0]) for case in CSMS])
    def test_same_on_the_wire(self, emulator, monkeypatch, ours, theirs):
        ours(hook(CsmsHook, emulator, monkeypatch))
        (first,) = first_pages(emulator.requests())
        emulator.reset()
        theirs(sdk(csms.CsmsClient, emulator))
        (second,) = emulator.requests()
        assert wire(first) == wire(second)
        assert first["auth"] == "valid"
        assert first["status"] in (200, 204)

    def test_every_call_of_the_hook_is_compared(self):
        called = {name for case in CSMS for name in case[1].__code__.co_names if name in own(CsmsHook)}
        assert own(CsmsHook) == called

    @pytest.mark.parametrize("inclusive", [True, False])
    @pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 99, 100, 101, 260])
    def test_a_long_list_is_whole(self, emulator, monkeypatch, inclusive, count):
        named = {f"event-{number:03}": {} for number in range(count)}
        emulator.reset({"csms": {"events": named, "secrets": {}, "marker_inclusive": inclusive}})
        found = hook(CsmsHook, emulator, monkeypatch).list_events()
        assert [each["name"] for each in found] == list(named)
        assert len(emulator.requests()) <= count // 49 + 2

    def test_what_the_calls_return(self, emulator, monkeypatch):
        ours = hook(CsmsHook, emulator, monkeypatch)
        made = ours.create_event("new", event_types=TYPES, notification=TOPIC)
        assert made == ours.get_event("new")
        assert ours.update_event("new", state="DISABLED")["state"] == "DISABLED"
        assert ours.delete_event("new") is None
        assert ours.list_notification_records() == []
        assert made["create_time"] > 10**12
