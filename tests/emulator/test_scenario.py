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
    assert list(shown["iam"]["iam_users"]) == ["alice", "bob", "carol"]


def test_what_is_left_out_stays_as_it_is_by_default():
    shown = state({"account": {"region": "cn-east-3"}, "mrs": {"clusters": {"x": {}}}})
    assert (shown["iam"]["region"], shown["iam"]["domain_name"]) == ("cn-east-3", "emulator")
    assert list(shown["mrs"]["clusters"]) == ["x"]
    assert "example-member-sync" in shown["dataarts"]["tasks"]


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


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ([], "the document must be an object, not a list"),
        ({"ecs": {}}, "ecs is not known; the sections are account, quotas, iam, mrs, dataarts"),
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
        ({"account": {"projects": [{"name": "x"}]}}, "account.projects[0].id is missing"),
        ({"account": {"projects": [{"id": "1"}, {"id": "1"}]}}, "account.projects[1].id '1' is there twice"),
        ({"account": {"keys": [{"access_key": "a"}]}}, "account.keys[0].secret_key is missing"),
        (
            {"account": {"iam_users": {"x": {"groups": ["none"]}}}},
            "account.iam_users.x.groups: 'none' is not in",
        ),
        ({"account": {"iam_users": {"x": {"group": []}}}}, "account.iam_users.x.group is not known"),
        ({"account": {"zone": 1}}, "account.zone is not known"),
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
        ("content", "complaint"), [(b"{", "is not JSON"), (b"\xff", "is not JSON"), (None, "can't be read")]
    )
    def test_that_is_no_use(self, tmp_path, content, complaint):
        path = tmp_path / "scenario.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BadInput, match=complaint):
            state(path)
