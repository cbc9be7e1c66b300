"""Clusters and their synchronization runs, on a clock that stands still but for the test."""

from __future__ import annotations

import pytest

CLUSTER = "/v2/{p}/clusters/c"
ALICE = {"user_names": ["alice"]}
EVERYBODY = {"is_all_sync": True}
BOTH_GROUPS = ["analysts", "engineers"]


class Cluster:
    """One cluster with the fields that a test gives it."""

    def __init__(self, start, **fields):
        self.call = start({"mrs": {"clusters": {"c": {"starts_after": 2, "seconds": 10, **fields}}}})

    def sync(self, body):
        return self.call("POST", f"{CLUSTER}/iam-sync-user", body=body)

    def cancel(self, body):
        return self.call("DELETE", f"{CLUSTER}/iam-sync-user", body=body)

    def after(self, seconds):
        """What the service shows then: running, synchronous, users, groups."""
        self.call.emulator.advance(seconds)
        running = self.call("GET", f"{CLUSTER}/iam-sync").json()["is_synchronizing"]
        synchronous = self.call("GET", f"{CLUSTER}/iam-sync/is-synchronous").json()["is_synchronous"]
        held = self.call("GET", f"{CLUSTER}/iam-sync-user").json()
        return running, synchronous, held["user_names"], held["group_names"]

    @property
    def runs(self):
        return self.call.emulator.state()["mrs"]["clusters"]["c"]["runs"]


class TestProgress:
    def test_of_a_run(self, start):
        cluster = Cluster(start)
        response = cluster.sync(ALICE)
        assert (response.status_code, response.json()) == (202, {"state": "synchronizing"})
        nothing = (False, [], [])
        assert cluster.after(0) == (False, *nothing)
        assert cluster.after(1.9) == (False, *nothing)
        assert cluster.after(0.1) == (True, *nothing)
        assert cluster.after(9.9) == (True, *nothing)
        assert cluster.after(0.1) == (False, False, ["alice"], ["analysts"])

    @pytest.mark.parametrize(
        ("fields", "body", "shown"),
        [
            ({}, ALICE, (False, False, ["alice"], ["analysts"])),
            ({"brings_groups": False}, ALICE, (False, False, ["alice"], [])),
            ({}, {"group_names": ["engineers"]}, (False, False, [], ["engineers"])),
            ({}, {"user_names": ["alice", "mallory"]}, (False, False, ["alice"], ["analysts"])),
            ({}, EVERYBODY, (False, True, ["alice", "bob", "carol"], BOTH_GROUPS)),
            ({"outcome": "failed"}, ALICE, (False, False, [], [])),
            ({"outcome": "failed", "is_synchronous": True}, EVERYBODY, (False, False, [], [])),
            ({"outcome": "failed", "is_synchronous": True}, ALICE, (False, True, [], [])),
            (
                {"outcome": "partial", "missing": ["bob", "engineers"]},
                EVERYBODY,
                (False, False, ["alice", "carol"], ["analysts"]),
            ),
            ({"outcome": "never_ends"}, EVERYBODY, (True, False, [], [])),
            ({"synced_users": ["zoe"]}, ALICE, (False, False, ["zoe", "alice"], ["analysts"])),
        ],
    )
    def test_outcomes(self, start, fields, body, shown):
        cluster = Cluster(start, **fields)
        assert cluster.sync(body).status_code == 202
        assert cluster.after(12) == shown

    def test_successive_runs_and_the_last_outcome_stays(self, start):
        outcomes = ["failed", {"result": "partial", "missing": ["alice"]}, "succeeded"]
        cluster = Cluster(start, outcome=outcomes, brings_groups=False)
        users = []
        for _ in range(4):
            assert cluster.sync({"user_names": ["alice", "bob"]}).status_code == 202
            users.append(cluster.after(12)[2])
        assert users == [[], ["bob"], ["bob", "alice"], ["bob", "alice"]]

    @pytest.mark.parametrize(
        ("fields", "left"),
        [
            ({}, (["bob"], [])),
            ({"cancel_outcome": "failed"}, (["alice", "bob"], ["analysts"])),
            ({"cancel_outcome": "partial", "missing": ["analysts"]}, (["bob"], ["analysts"])),
        ],
    )
    def test_cancel_is_a_run_too(self, start, fields, left):
        cluster = Cluster(start, synced_users=["alice", "bob"], synced_groups=["analysts"], **fields)
        body = {"user_names": ["alice", "nobody"], "group_names": ["analysts"]}
        response = cluster.cancel(body)
        assert (response.status_code, response.json()) == (202, {"state": "synchronizing"})
        assert cluster.after(11.9)[0] is True
        assert cluster.after(0.1)[2:] == left

    def test_someone_else_s_run(self, start):
        foreign = [{"at": 5, "seconds": 10, "users": ["zoe"], "groups": []}]
        cluster = Cluster(start, foreign_runs=foreign)
        assert cluster.after(0)[0] is False
        assert cluster.after(5)[0] is True
        assert cluster.sync(ALICE).json()["error_code"] == "12000012"
        assert cluster.after(10)[:3] == (False, False, ["zoe"])
        assert cluster.sync(ALICE).status_code == 202
        assert [run["by"] for run in cluster.runs] == ["foreign", "request"]

    def test_someone_else_s_full_run(self, start):
        cluster = Cluster(start, foreign_runs=[{"at": 0, "seconds": 1, "full": True}])
        assert cluster.after(1) == (False, True, ["alice", "bob", "carol"], BOTH_GROUPS)

    @pytest.mark.parametrize("seconds", [0, 1, 2, 11.999])
    @pytest.mark.parametrize("way", ["sync", "cancel"])
    def test_busy_until_the_end(self, start, seconds, way):
        cluster = Cluster(start)
        cluster.sync(ALICE)
        cluster.call.emulator.advance(seconds)
        response = getattr(cluster, way)(ALICE)
        assert (response.status_code, response.json()["error_code"]) == (400, "12000012")
        assert len(cluster.runs) == 1

    def test_state_of_a_run(self, start):
        cluster = Cluster(start, outcome="partial", missing=["bob"])
        request_id = cluster.sync({"user_names": ["alice", "bob"]}).headers["X-Request-Id"]
        (run,) = cluster.runs
        assert (run["request_id"], run["started"], run["ended"], run["effective_users"]) == (
            request_id,
            None,
            None,
            [],
        )
        cluster.after(12)
        (run,) = cluster.runs
        times = [run[key] - run["accepted"] for key in ("started", "ended")]
        assert (times, run["outcome"], run["effective_users"]) == ([2, 12], "partial", ["alice"])

    def test_odd_steps_add_up(self, start):
        # As floats, the end of this run comes out a hair later than the same steps of the clock.
        cluster = Cluster(start, starts_after=0.2, seconds=0.4)
        cluster.call.emulator.advance(0.7)
        cluster.sync(ALICE)
        assert [cluster.after(seconds)[0] for seconds in (0.2, 0.4)] == [True, False]


class TestTermination:
    def test_at_a_time(self, start):
        cluster = Cluster(start, terminates_at=5)
        details = "/v1.1/{p}/cluster_infos/c"
        before = cluster.call("GET", details).json()["cluster"]
        cluster.sync(ALICE)
        cluster.call.emulator.advance(5)
        after = cluster.call("GET", details).json()["cluster"]
        assert (before["clusterState"], after["clusterState"]) == ("running", "terminated")
        assert int(after["updateAt"]) - int(before["updateAt"]) == 5
        for path in ("iam-sync", "iam-sync-user", "iam-sync/is-synchronous"):
            assert cluster.call("GET", f"{CLUSTER}/{path}").json()["errorCode"] == "12000003"
        assert cluster.sync(ALICE).json()["errorCode"] == "12000003"


class TestRefusals:
    @pytest.mark.parametrize(
        ("path", "code", "key"),
        [
            ("/v2/{p}/clusters/none/iam-sync", "12000003", "errorCode"),
            ("/v2/{p}/clusters/none/iam-sync-user", "12000003", "errorCode"),
            ("/v1.1/{p}/cluster_infos/none", "12000003", "error_code"),
            ("/v2/{p}/clusters/a.b/iam-sync", "12000002", "error_code"),
            ("/v2/{p}/clusters/" + "a" * 65 + "/iam-sync", "12000002", "error_code"),
            ("/v1.1/{p}/cluster_infos/%20", "12000002", "error_code"),
            ("/v1.1/{p}/cluster_infos?pageSize=0", "12000002", "error_code"),
            ("/v1.1/{p}/cluster_infos?currentPage=x", "12000002", "error_code"),
        ],
    )
    def test_of_reads(self, client, path, code, key):
        path, _, query = path.partition("?")
        response = client("GET", path, query=[tuple(query.split("="))] if query else [])
        assert (response.status_code, response.json()[key]) == (400, code)

    @pytest.mark.parametrize("method", ["POST", "DELETE"])
    @pytest.mark.parametrize(
        ("options", "status"),
        [
            ({"body": {}}, 400),
            ({"body": {"user_names": [], "group_names": []}}, 400),
            ({"body": {"user_names": None}}, 400),
            ({"body": {"user_names": "alice"}}, 400),
            ({"body": {"user_names": ["alice", 5]}}, 400),
            ({"body": {"user_names": [""]}}, 400),
            ({"body": {"user_names": ["n"] * 1001}}, 400),
            ({"body": {"group_names": ["n"] * 1001}}, 400),
            ({"body": {"user_names": ["n"] * 1000, "group_names": ["n"] * 1000}}, 202),
            ({"body": ["alice"]}, 400),
            ({"data": b"{not json"}, 400),
            ({"data": b'"\xff"'}, 400),
            ({"data": b"[" * 100_000}, 400),
            ({}, 400),
            ({"body": ALICE, "headers": {"Content-Type": "text/plain"}}, 400),
            ({"body": ALICE, "headers": {"Content-Type": "application/json;charset=UTF-8"}}, 202),
            ({"body": {**ALICE, "unknown": 1}}, 202),
        ],
    )
    def test_of_writes(self, start, method, options, status):
        cluster = Cluster(start)
        response = cluster.call(method, f"{CLUSTER}/iam-sync-user", **options)
        assert response.status_code == status
        assert len(cluster.runs) == (status == 202)
        if status == 400:
            assert response.json()["error_code"] == "12000002"

    @pytest.mark.parametrize("value", ["true", 1, None])
    def test_is_all_sync_is_a_truth_value(self, start, value):
        response = Cluster(start).sync({"is_all_sync": value, **ALICE})
        assert response.json()["error_code"] == "12000002"

    def test_a_cluster_of_another_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        scenario = {"account": {"projects": projects}, "mrs": {"clusters": {"c": {"project_id": "2" * 32}}}}
        client = start(scenario)
        assert client("GET", f"{CLUSTER}/iam-sync").json()["errorCode"] == "12000003"
        assert client("GET", f"{CLUSTER}/iam-sync".replace("{p}", "2" * 32)).status_code == 200


class TestList:
    CLUSTERS = {  # noqa: RUF012
        "a": {"name": "one"},
        "b": {"state": "terminated"},
        "c": {"state": "frozen", "enterprise_project_id": "7"},
    }

    @pytest.mark.parametrize(
        ("query", "total", "ids"),
        [
            ({}, 3, "abc"),
            ({"clusterName": "one"}, 1, "a"),
            ({"clusterState": "existing"}, 2, "ac"),
            ({"clusterState": "history"}, 1, "b"),
            ({"clusterState": "frozen"}, 1, "c"),
            ({"enterpriseProjectId": "7"}, 1, "c"),
            ({"enterpriseProjectId": "all_granted_eps"}, 3, "abc"),
            ({"pageSize": "2", "currentPage": "2"}, 3, "c"),
        ],
    )
    def test_filters(self, start, query, total, ids):
        client = start({"mrs": {"clusters": self.CLUSTERS}})
        document = client("GET", "/v1.1/{p}/cluster_infos", query=list(query.items())).json()
        found = "".join(each["clusterId"] for each in document["clusters"])
        assert (document["clusterTotal"], found) == (total, ids)

    def test_times_are_seconds_as_text(self, client):
        cluster = client("GET", "/v1.1/{p}/cluster_infos/example-cluster").json()["cluster"]
        for key in ("createAt", "updateAt"):
            assert isinstance(cluster[key], str)
            assert len(cluster[key]) == 10
