"""What a scenario may say, and what is said of one that is wrong."""

from __future__ import annotations

import json

import pytest

from airflow_provider_cloudsync.emulator import scenario
from airflow_provider_cloudsync.emulator.clock import Clock
from airflow_provider_cloudsync.emulator.reading import BadInput
from airflow_provider_cloudsync.emulator.world import Cloud


def state(source):
    return Cloud(source, Clock(stepped=True)).world.state()


def test_the_default_one():
    shown = state(None)
    assert len(scenario.PROJECT_ID) == 32
    assert {name: each["state"] for name, each in shown["mrs"]["clusters"].items()} == {
        "example-cluster": "running",
        "pipeline-cluster": "running",
        "terminated-cluster": "terminated",
    }
    assert list(shown["dataarts"]["tasks"]) == ["example-member-sync", "pipeline-member-sync"]
    assert list(shown["hss"]["clusters"]) == ["example-container-cluster", "pipeline-container-cluster"]
    accounts = shown["coc"]["accounts"].values()
    assert [(each["vendor"], each["account_id"]) for each in accounts] == [
        ("AWS", "111122223333"),
        ("AWS", "444455556666"),
        ("HCS", "example-hcs-account"),
    ]
    assert list(shown["csms"]["events"]) == ["example-event", "pipeline-event"]
    assert shown["csms"]["secrets"] == {"pipeline-secret": "pipeline-event"}
    assert list(shown["iam"]["iam_users"]) == ["alice", "bob", "carol"]


def test_what_is_left_out_stays_as_it_is_by_default():
    shown = state({"account": {"region": "cn-east-3"}, "mrs": {"clusters": {"x": {}}}})
    assert (shown["iam"]["region"], shown["iam"]["domain_name"]) == ("cn-east-3", "emulator")
    assert list(shown["mrs"]["clusters"]) == ["x"]
    assert "example-member-sync" in shown["dataarts"]["tasks"]
    # The default secret refers to an event that is gone then; that is no reason to complain.
    assert list(state({"csms": {"events": {"x": {}}}})["csms"]["events"]) == ["x"]


def test_nobody_can_change_the_default_one():
    first = scenario.default_scenario()
    first["mrs"]["clusters"].clear()
    first["account"]["keys"].clear()
    scenario.complete({"account": {"region": "x"}})
    assert scenario.default_scenario()["mrs"]["clusters"]
    assert scenario.default_scenario()["account"]["keys"]
    assert scenario.default_scenario()["account"]["region"] == scenario.REGION


@pytest.mark.parametrize(
    ("projects", "main"),
    [
        ([], ""),
        ([{"id": "1", "name": "other"}], "1"),
        ([{"id": "1", "name": "other"}, {"id": "2", "name": "cn-north-4"}], "2"),
    ],
)
def test_the_project_to_work_in(projects, main):
    assert Cloud({"account": {"projects": projects}}, Clock()).world.account.main_project == main


def cluster(**fields):
    return {"mrs": {"clusters": {"c": fields}}}


def task(**fields):
    return {"dataarts": {"tasks": {"t": fields}}}


def protected(**fields):
    return {"hss": {"clusters": {"c": fields}}}


def vendor_account(**fields):
    return {"coc": {"accounts": {"a": {"account_id": "1", **fields}}}}


def event(**fields):
    return {"csms": {"events": {"e": fields}}}


def fired(**fields):
    return {"csms": {"secrets": {"s": {}}, "fired": [fields]}}


def agency(*before, **fields):
    return {"account": {"agencies": [*before, fields]}}


def provider(*before, **fields):
    return {"account": {"identity_providers": [*before, fields]}}


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ([], "the document must be an object, not a list"),
        (
            {"ecs": {}},
            "ecs is not known; the sections are account, quotas, iam, sts, metadata, mrs, dataarts, hss,",
        ),
        ({"mrs": []}, "mrs must be an object, not a list"),
        ({"mrs": {"cluster": {}}}, "mrs.cluster is not known; known here: clusters"),
        ({"mrs": {"clusters": []}}, "mrs.clusters must be an object"),
        ({"mrs": {"clusters": {"a b": {}}}}, "mrs.clusters.a b: a cluster id is"),
        (cluster(seconds="15"), "mrs.clusters.c.seconds must be a number, not the string '15'"),
        (cluster(seconds=-1), "mrs.clusters.c.seconds must be from 0"),
        (cluster(seconds=True), "mrs.clusters.c.seconds must be a number, not a truth value"),
        (cluster(seconds=None), "mrs.clusters.c.seconds must be a number, not null"),
        (cluster(seconds=10**400), "mrs.clusters.c.seconds must be from 0"),
        (cluster(start_after=1), "mrs.clusters.c.start_after is not known"),
        (cluster(state="up"), "mrs.clusters.c.state must be one of starting, running"),
        (cluster(outcome="fails"), "mrs.clusters.c.outcome.result must be one of succeeded, failed"),
        (cluster(outcome=["failed", "x"]), "mrs.clusters.c.outcome[1].result must be one of"),
        (cluster(outcome=[]), "mrs.clusters.c.outcome must not be an empty list"),
        (cluster(outcome=5), "mrs.clusters.c.outcome must be an object"),
        (cluster(outcome="partial"), "mrs.clusters.c.outcome: a partial run needs the names"),
        (cluster(synced_users="alice"), "mrs.clusters.c.synced_users must be a list of strings"),
        (cluster(is_synchronous="yes"), "mrs.clusters.c.is_synchronous must be true or false"),
        (cluster(safe_mode=2), "mrs.clusters.c.safe_mode must be from 0 to 1"),
        (cluster(foreign_runs=[{"from": 0}]), "mrs.clusters.c.foreign_runs[0].from is not known"),
        (task(workspace="w"), "dataarts.tasks.t.workspace: 'w' is not in dataarts.workspaces"),
        (task(schedule_period="DAY"), "dataarts.tasks.t.schedule_period must be one of MINUTE, HOUR"),
        (task(schedule_interval=0), "dataarts.tasks.t.schedule_interval must be from 1 to 1000"),
        (task(schedule_end_hour=25), "dataarts.tasks.t.schedule_end_hour must be from 0 to 24"),
        (task(schedule_status="ON"), "dataarts.tasks.t.schedule_status must be one of"),
        (task(runs=[{"at": 1, "second": 1}]), "dataarts.tasks.t.runs[0].second is not known"),
        (task(outcome=[]), "dataarts.tasks.t.outcome must be a string, or a list"),
        (task(sync_time="now"), "dataarts.tasks.t.sync_time must be a number"),
        ({"hss": {"cluster": {}}}, "hss.cluster is not known"),
        ({"hss": {"denied_enterprise_projects": "7"}}, "hss.denied_enterprise_projects must be a list"),
        (protected(seconds="8"), "hss.clusters.c.seconds must be a number"),
        (protected(starts_after=-1), "hss.clusters.c.starts_after must be from 0"),
        (protected(brings=-1), "hss.clusters.c.brings must be from 0 to 20000"),
        (protected(cluster_status="Up"), "hss.clusters.c.cluster_status must be one of Available"),
        (protected(protect_status="yes"), "hss.clusters.c.protect_status must be one of unprotected, plugin"),
        (protected(last_update_time="now"), "hss.clusters.c.last_update_time must be a number"),
        (protected(last_update_time=float("nan")), "hss.clusters.c.last_update_time must be from"),
        (protected(outcome="failed"), "hss.clusters.c.outcome must be one of succeeded, not_created"),
        (protected(outcome=["succeeded", "x"]), "hss.clusters.c.outcome[1] must be one of succeeded"),
        (protected(outcome=[]), "hss.clusters.c.outcome must be a string, or a list"),
        (protected(updates_at=5), "hss.clusters.c.updates_at must be a list of numbers, not the number 5"),
        (protected(updates_at=[1, "2"]), "hss.clusters.c.updates_at[1] must be a number"),
        (protected(events="3"), "hss.clusters.c.events must be a whole number"),
        (protected(events=20_001), "hss.clusters.c.events must be from 0 to 20000"),
        (protected(events=[5]), "hss.clusters.c.events[0] must be an object"),
        (protected(events=[{"name": "x"}]), "hss.clusters.c.events[0].name is not known"),
        (protected(events=[{"event_type": 999}]), "hss.clusters.c.events[0].event_type must be from 1000"),
        (protected(events=[{"handle_status": "x"}]), "hss.clusters.c.events[0].handle_status must be one of"),
        (protected(events=[{"resource_info": {"x": 1}}]), "hss.clusters.c.events[0].resource_info.x is not"),
        (protected(cluster_id="x"), "hss.clusters.c.cluster_id is not known"),
        ({"coc": {"accounts": {"a": {}}}}, "coc.accounts.a.account_id is missing"),
        ({"coc": {"date_format": "iso"}}, "coc.date_format must be one of naive, zulu, ms"),
        ({"coc": {"loose_filter": "yes"}}, "coc.loose_filter must be true or false"),
        ({"coc": {"resources": {"RMS": {}}}}, "coc.resources.RMS: only those of AWS, AZURE, ALI, HCS"),
        ({"coc": {"resources": {"AWS": 5}}}, "coc.resources.AWS must be an object"),
        ({"coc": {"resources_after": {"AWS": {"x": 1.5}}}}, "coc.resources_after.AWS.x must be a whole"),
        (vendor_account(vendor="GCP"), "coc.accounts.a.vendor must be one of RMS, AWS"),
        (vendor_account(account_id=1), "coc.accounts.a.account_id must be a string"),
        (vendor_account(sync_status="SUCCESS"), "coc.accounts.a.sync_status must be one of waiting, running"),
        (vendor_account(sync_date="now"), "coc.accounts.a.sync_date must be a number"),
        (vendor_account(outcome="success"), "coc.accounts.a.outcome must be one of succeeded, failed"),
        (vendor_account(dates="begin"), "coc.accounts.a.dates must be one of end, start"),
        (vendor_account(status_lag=3), 'coc.accounts.a.status_lag needs "dates": "start"'),
        (vendor_account(clears_failure=1), "coc.accounts.a.clears_failure must be true or false"),
        (
            vendor_account(foreign_runs=[{"outcome": "ignored"}]),
            "coc.accounts.a.foreign_runs[0].outcome must",
        ),
        (vendor_account(foreign_runs=[{"shows_after": 1}]), "coc.accounts.a.foreign_runs[0].shows_after is"),
        (vendor_account(removed_at="x"), "coc.accounts.a.removed_at must be a number"),
        (vendor_account(secret="x"), "coc.accounts.a.secret is not known"),
        ({"csms": {"topics": "urn"}}, "csms.topics must be a list of strings"),
        ({"csms": {"missing_status": 403}}, "csms.missing_status must be 400 or 404"),
        ({"csms": {"missing_status": "404"}}, "csms.missing_status must be a whole number"),
        ({"csms": {"ignores_writes": 1}}, "csms.ignores_writes must be true or false"),
        ({"csms": {"events": {"a.b": {}}}}, "csms.events.a.b: a name is 1 to 64 letters"),
        ({"csms": {"secrets": {"s": {"event": "e"}}}}, "csms.secrets.s.event is not known"),
        ({"csms": {"secrets": {"s": {"secret_type": "X"}}}}, "csms.secrets.s.secret_type must be one of"),
        (event(state="on"), "csms.events.e.state must be one of ENABLED, DISABLED"),
        (event(event_types=[]), "csms.events.e.event_types must be a list of 1 to 12 types"),
        (event(event_types=["X"]), "csms.events.e.event_types holds 'X'; known are"),
        (event(event_types=["SECRET_ROTATED"] * 2), "csms.events.e.event_types holds a type twice"),
        (event(notification={"target_id": "x"}), "csms.events.e.notification.target_type is missing"),
        (event(create_time="x"), "csms.events.e.create_time must be a number"),
        (event(name="x"), "csms.events.e.name is not known"),
        (fired(type="SECRET_ROTATED"), "csms.fired[0].secret_name is missing"),
        (fired(secret_name="t", type="SECRET_ROTATED"), "csms.fired[0].secret_name: there is no secret 't'"),
        (fired(secret_name="s"), "csms.fired[0].type is missing"),
        (fired(secret_name="s", type="X"), "csms.fired[0].type must be one of SECRET_VERSION_CREATED"),
        (fired(secret_name="s", type="SECRET_ROTATED", on=1), "csms.fired[0].on is not known"),
        ({"account": {"lists_domains": "no"}}, "account.lists_domains must be true or false"),
        ({"account": {"projects": [{"name": "x"}]}}, "account.projects[0].id is missing"),
        ({"account": {"projects": [{"id": "1"}, {"id": "1"}]}}, "account.projects[1].id '1' is there twice"),
        ({"account": {"keys": [{"access_key": "a"}]}}, "account.keys[0].secret_key is missing"),
        (
            {"account": {"iam_users": {"x": {"groups": ["none"]}}}},
            "account.iam_users.x.groups: 'none' is not in",
        ),
        ({"account": {"iam_users": {"x": {"group": []}}}}, "account.iam_users.x.group is not known"),
        ({"account": {"zone": 1}}, "account.zone is not known"),
        ({"account": {"token_seconds": -1}}, "account.token_seconds must be from 0"),
        ({"account": {"revoke_tokens_at": 5}}, "account.revoke_tokens_at must be a list of numbers"),
        ({"account": {"revoke_tokens_at": [1, "2"]}}, "account.revoke_tokens_at[1] must be a number"),
        ({"account": {"password_failures": 0.5}}, "account.password_failures must be a whole number"),
        ({"account": {"password_lock_seconds": -1}}, "account.password_lock_seconds must be from 0"),
        ({"account": {"denied_actions": "mrs"}}, "account.denied_actions must be a list of strings"),
        (
            {"account": {"denied_actions": ["Sync"]}},
            "account.denied_actions: 'Sync' is not known; known are Assume",
        ),
        (agency(), "account.agencies[0].name is missing"),
        (agency(name="a", domain_name="o"), "account.agencies[0].domain_id is missing"),
        (agency(name="a", domain_id=1), "account.agencies[0].domain_id must be a string"),
        (agency(name="a", trusts="all"), "account.agencies[0].trusts must be a list of strings"),
        (agency(name="a", domain_id="o", projects=[{}]), "account.agencies[0].projects[0].id is missing"),
        (agency(name="a", projects=[]), "account.agencies[0].projects is not known"),
        (agency({"name": "a"}, name="a"), "account.agencies[1].name: emulator has an agency 'a' already"),
        (provider(), "account.identity_providers[0].id is missing"),
        (provider(id="p", id_tokens="x"), "account.identity_providers[0].id_tokens must be a list of"),
        (provider(id="p", agency_urns="x"), "account.identity_providers[0].agency_urns must be a list of"),
        (provider(id="p", keys=[]), "account.identity_providers[0].keys is not known"),
        (provider({"id": "p"}, id="p"), "account.identity_providers[1].id 'p' is there twice"),
        ({"metadata": {"version": 3}}, "metadata.version must be from 1 to 2"),
        ({"metadata": {"old_status": 500}}, "metadata.old_status must be one of 404, 405, 503, not 500"),
        ({"metadata": {"no_agency_status": 403}}, "metadata.no_agency_status must be one of 401, 404"),
        ({"metadata": {"agency": "ecs"}}, "metadata.agency must be true or false"),
        ({"metadata": {"key_seconds": "1h"}}, "metadata.key_seconds must be a number"),
        ({"metadata": {"keys": 1}}, "metadata.keys is not known"),
        ({"sts": {"region": 1}}, "sts.region is not known"),
        ({"iam": {"users": []}}, "iam.users is not known"),
        ({"quotas": "off"}, "quotas must be an object"),
        ({"quotas": {"SyncUsers": False}}, "quotas.SyncUsers is not known; the operations are"),
        ({"quotas": {"ListClusters": {"limit": -1}}}, "quotas.ListClusters.limit must be 0 or more"),
        ({"quotas": {"ListClusters": {"rate": 1}}}, "quotas.ListClusters.rate is not known"),
    ],
)
def test_complaints(source, complaint):
    with pytest.raises(BadInput) as caught:
        state(source)
    assert complaint in str(caught.value)


class TestFile:
    def test_is_read(self, tmp_path):
        path = tmp_path / "scenario.json"
        path.write_text(json.dumps(cluster(name="ü")), encoding="utf-8")
        assert list(state(str(path))["mrs"]["clusters"]) == ["c"]
        assert list(state(path)["mrs"]["clusters"]) == ["c"]

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"{", "is not JSON"),
            (b"\xff", "is not JSON"),
            (None, "cannot be read"),
            (b"[" * 100_000, "is not JSON"),
            (b'{"mrs": ' + b"[" * 50 + b"]" * 50 + b"}", "50 levels of objects and lists at most"),
            (b" " * 2**22 + b"{}", "4194304 bytes at most"),
        ],
    )
    def test_that_is_no_use(self, tmp_path, content, complaint):
        path = tmp_path / "scenario.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BadInput, match=complaint):
            state(path)

    def test_that_has_no_end(self):
        with pytest.raises(BadInput, match="4194304 bytes at most"):
            state("/dev/zero")


def test_an_object_that_contains_itself():
    source = {"mrs": {}}
    source["mrs"]["clusters"] = source
    with pytest.raises(BadInput, match="the scenario must have 50 levels"):
        state(source)
