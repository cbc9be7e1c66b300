"""Protected clusters, their events, and the only sign of a synchronization: the time of the last update."""

from __future__ import annotations

import pytest

# 2026-11-21 08:00:00 UTC, the moment at which the emulators of these tests start.
START = 1_795_248_000
SYNC = "/v5/{p}/container/clusters/protection-event-sync"
EVENTS = "/v5/{p}/cluster-protect/events"
CLUSTERS = "/v5/{p}/cluster-protect/clusters"
PAGE = {"offset": "0", "limit": "200"}
DAY = 86_400


class Cloud:
    """A cloud of some clusters, and no quota to mind."""

    def __init__(self, start, clusters, **section):
        self.call = start({"quotas": False, "hss": {"clusters": clusters, **section}})

    def sync(self, **query):
        return self.call("POST", SYNC, query=list(query.items()))

    def list(self, **query):
        return self.call("GET", EVENTS, query=list({**PAGE, **query}.items())).json()

    def after(self, seconds, **query):
        """What the list says then: time of the last update, in seconds from the start, and count."""
        self.call.emulator.advance(seconds)
        document = self.list(**query)
        time = document.get("last_update_time")
        return None if time is None else round(time / 1000 - START, 3), document["total_num"]

    @property
    def effects(self):
        return [each["effect"] for each in self.call.emulator.requests() if each["method"] == "POST"]


class TestSync:
    def test_progress(self, start):
        cloud = Cloud(start, {"c": {"starts_after": 2, "seconds": 6, "events": 3, "brings": 2}})
        response = cloud.sync()
        assert (response.status_code, response.json()) == (200, {"synched": True})
        assert cloud.after(0) == (-DAY, 3)
        assert cloud.after(7.9) == (-DAY, 3)
        assert cloud.after(0.1) == (8, 5)
        assert cloud.after(10_000) == (8, 5)
        assert cloud.effects == ["started"]

    @pytest.mark.parametrize(
        ("fields", "synched", "seen"),
        [
            pytest.param({}, True, (8, 0), id="a-quiet-cluster-moves-the-time-all-the-same"),
            pytest.param({"brings": 3}, True, (8, 3), id="brings-events"),
            pytest.param({"last_update_time": None}, True, (8, 0), id="the-first-one-ever"),
            pytest.param({"outcome": "not_created"}, False, (-DAY, 0), id="no-task-is-created"),
            pytest.param({"outcome": "never_ends", "brings": 3}, True, (-DAY, 0), id="never-ends"),
        ],
    )
    def test_outcomes(self, start, fields, synched, seen):
        cloud = Cloud(start, {"c": fields})
        assert cloud.sync().json() == {"synched": synched}
        assert cloud.after(8) == seen
        assert cloud.effects == ["started" if synched else None]

    def test_successive_outcomes_and_the_last_stays(self, start):
        cloud = Cloud(start, {"c": {"outcome": ["not_created", "never_ends", "succeeded"], "seconds": 5}})
        seen = [(cloud.sync().json()["synched"], cloud.after(5)[0]) for _ in range(4)]
        assert seen == [(False, -DAY), (True, -DAY), (True, 15), (True, 20)]

    def test_one_during_another(self, start):
        cloud = Cloud(start, {"c": {"seconds": 10, "brings": 1}})
        cloud.sync()
        assert cloud.after(4) == (-DAY, 0)
        assert cloud.sync().json() == {"synched": True}
        assert cloud.after(6) == (10, 1)
        assert cloud.after(4) == (14, 2)

    @pytest.mark.parametrize(
        ("first", "seen"),
        [
            pytest.param(..., -DAY, id="usual"),
            pytest.param(None, None, id="never"),
            pytest.param(-3600, -3600, id="offset"),
            pytest.param(0, 0, id="just-now"),
            pytest.param(1_700_000_000_123, 1_700_000_000.123 - START, id="milliseconds"),
        ],
    )
    def test_the_time_at_first(self, start, first, seen):
        cloud = Cloud(start, {"c": {} if first is ... else {"last_update_time": first}})
        assert cloud.after(0)[0] == (None if seen is None else round(seen, 3))
        assert ("last_update_time" in cloud.list()) == (seen is not None)

    def test_somebody_else_s_updates(self, start):
        cloud = Cloud(start, {"c": {"updates_at": [30, 3], "seconds": 8}})
        cloud.sync()
        assert [cloud.after(seconds)[0] for seconds in (2.9, 0.1, 5, 22)] == [-DAY, 3, 8, 30]

    def test_odd_steps_add_up(self, start):
        cloud = Cloud(start, {"c": {"starts_after": 0.2, "seconds": 0.4}})
        cloud.call.emulator.advance(0.7)
        cloud.sync()
        assert [cloud.after(seconds)[0] for seconds in (0.5, 0.1)] == [-DAY, 1.3]

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({}, id="none"),
            pytest.param({"body": {}}, id="empty-object"),
            pytest.param({"data": b"nonsense"}, id="nonsense"),
            pytest.param({"headers": {"Content-Type": "text/plain"}}, id="of-another-type"),
        ],
    )
    def test_any_body_will_do(self, client, options):
        assert client("POST", SYNC, **options).json() == {"synched": True}

    def test_state_of_a_run(self, start):
        cloud = Cloud(start, {"c": {"starts_after": 2, "seconds": 6, "brings": 2}})
        request_id = cloud.sync().headers["X-Request-Id"]
        shown = []
        for seconds in (0, 2, 6):
            cloud.call.emulator.advance(seconds)
            (run,) = cloud.call.emulator.state()["hss"]["clusters"]["c"]["runs"]
            assert (run["request_id"], run["accepted"]) == (request_id, START)
            shown.append([run[key] and run[key] - START for key in ("started", "ended")] + [run["events"]])
        assert shown == [[None, None, 0], [2, None, 0], [2, 8, 2]]


class TestEnterpriseProjects:
    SEVERAL = {  # noqa: RUF012
        "a": {"events": 1, "last_update_time": -50},
        "b": {"events": 10, "last_update_time": -40, "enterprise_project_id": "7"},
        "c": {"events": 100, "last_update_time": -30, "enterprise_project_id": "8"},
        "d": {"events": 1000, "last_update_time": None},
    }

    @pytest.mark.parametrize(
        ("query", "time", "total"),
        [
            pytest.param({}, -50, 1001, id="only-the-default-one"),
            pytest.param({"enterprise_project_id": "0"}, -50, 1001, id="the-default-one-by-id"),
            pytest.param({"enterprise_project_id": "7"}, -40, 10, id="one"),
            pytest.param({"enterprise_project_id": "all_granted_eps"}, -40, 1011, id="all-that-are-granted"),
            pytest.param({"enterprise_project_id": "9"}, None, 0, id="unknown"),
            pytest.param({"cluster_id": "a"}, -50, 1, id="cluster"),
            pytest.param({"cluster_id": "d"}, None, 1000, id="cluster-that-was-never-updated"),
            pytest.param({"cluster_id": "b"}, None, 0, id="cluster-of-another-one"),
            pytest.param(
                {"cluster_id": "b", "enterprise_project_id": "7"}, -40, 10, id="cluster-with-its-own"
            ),
            pytest.param({"cluster_id": "none"}, None, 0, id="unknown-cluster"),
        ],
    )
    def test_list(self, start, query, time, total):
        cloud = Cloud(start, self.SEVERAL, denied_enterprise_projects=["8"])
        assert cloud.after(0, **query) == (time, total)

    @pytest.mark.parametrize(
        ("query", "answer"),
        [
            pytest.param({}, {"a", "d"}, id="only-the-default-one"),
            pytest.param({"enterprise_project_id": "all_granted_eps"}, {"a", "b", "d"}, id="all-granted"),
            pytest.param({"cluster_id": "a"}, {"a"}, id="cluster"),
            pytest.param({"cluster_id": "b", "enterprise_project_id": "7"}, {"b"}, id="cluster-with-its-own"),
            pytest.param({"enterprise_project_id": "9"}, set(), id="no-cluster-at-all"),
            pytest.param({"cluster_id": "b"}, "HSS.0011", id="cluster-of-another-one"),
            pytest.param({"cluster_id": "none"}, "HSS.0011", id="unknown-cluster"),
            pytest.param({"enterprise_project_id": "8"}, "HSS.0013", id="denied"),
            pytest.param({"enterprise_project_id": "8", "cluster_id": "c"}, "HSS.0013", id="denied-cluster"),
            pytest.param({"enterprise_project_id": ""}, "HSS.0001", id="empty"),
            pytest.param({"enterprise_project_id": "e" * 257}, "HSS.0001", id="too-long"),
        ],
    )
    def test_sync(self, start, query, answer):
        cloud = Cloud(start, self.SEVERAL, denied_enterprise_projects=["8"])
        response = cloud.sync(**query)
        state = cloud.call.emulator.state()["hss"]["clusters"]
        started = {name for name, cluster in state.items() if cluster["runs"]}
        if isinstance(answer, str):
            assert (response.status_code, response.json()["error_code"]) == (400, answer)
            assert started == set()
        else:
            assert response.json() == {"synched": bool(answer)}
            assert started == answer
        assert cloud.effects == ["started" if started else None]

    def test_some_of_them_get_no_task(self, start):
        cloud = Cloud(start, {"a": {"outcome": "not_created"}, "b": {}})
        assert cloud.sync().json() == {"synched": True}
        assert cloud.after(8, cluster_id="a") == (-DAY, 0)
        assert cloud.after(0, cluster_id="b") == (8, 0)

    @pytest.mark.parametrize("path", [EVENTS, CLUSTERS])
    @pytest.mark.parametrize("denied", ["0", "all_granted_eps"])
    def test_any_word_can_be_denied(self, start, path, denied):
        cloud = Cloud(start, {}, denied_enterprise_projects=[denied])
        query = [*PAGE.items(), *([] if denied == "0" else [("enterprise_project_id", denied)])]
        response = cloud.call("GET", path, query=query)
        assert (response.status_code, response.json()["error_code"]) == (400, "HSS.0013")

    def test_a_cluster_of_another_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        clusters = {"c": {"project_id": "2" * 32, "events": 1}}
        client = start({"account": {"projects": projects}, "hss": {"clusters": clusters}})
        query = [*PAGE.items()]
        assert client("GET", EVENTS, query=query).json()["total_num"] == 0
        other = client("GET", EVENTS.replace("{p}", "2" * 32), query=query).json()
        assert (other["total_num"], other["data_list"][0]["project_id"]) == (1, "2" * 32)
        assert client("POST", SYNC, query=[("cluster_id", "c")]).json()["error_code"] == "HSS.0011"


class TestPaging:
    @pytest.mark.parametrize("path", [EVENTS, CLUSTERS])
    @pytest.mark.parametrize(
        ("query", "status"),
        [
            pytest.param({"offset": "0", "limit": "10"}, 200, id="least"),
            pytest.param({"offset": "2000000", "limit": "200"}, 200, id="most"),
            pytest.param({"offset": "0", "limit": "9"}, 400, id="limit-too-small"),
            pytest.param({"offset": "0", "limit": "201"}, 400, id="limit-too-large"),
            pytest.param({"offset": "2000001", "limit": "10"}, 400, id="offset-too-large"),
            pytest.param({"offset": "-1", "limit": "10"}, 400, id="offset-too-small"),
            pytest.param({"offset": "0", "limit": "ten"}, 400, id="limit-no-number"),
            pytest.param({"offset": "", "limit": "10"}, 400, id="offset-empty"),
            pytest.param({"limit": "10"}, 400, id="no-offset"),
            pytest.param({"offset": "0"}, 400, id="no-limit"),
        ],
    )
    def test_bounds(self, client, path, query, status):
        response = client("GET", path, query=list(query.items()))
        assert response.status_code == status
        if status == 400:
            error = response.json()
            assert error.pop("error_description")
            assert error == {"error_code": "HSS.0001"}

    def test_pages_of_events_newest_first(self, start):
        clusters = {"a": {"events": 8, "last_update_time": -9}, "b": {"events": 4, "last_update_time": -5}}
        cloud = Cloud(start, clusters)
        first, second, third = (cloud.list(offset=offset, limit="10") for offset in ("0", "10", "20"))
        assert [page["total_num"] for page in (first, second, third)] == [12, 12, 12]
        owners = ["".join(row["cluster_id"] for row in page["data_list"]) for page in (first, second, third)]
        assert owners == ["bbbbaaaaaa", "aa", ""]
        ids = {row["event_id"] for page in (first, second) for row in page["data_list"]}
        assert len(ids) == 12

    def test_the_count_stops_at_ten_thousand(self, start):
        cloud = Cloud(start, {"c": {"events": 10_005}})
        document = cloud.list(offset="10000")
        assert (document["total_num"], len(document["data_list"])) == (10_000, 5)


class TestRows:
    def test_an_event_has_all_documented_fields(self, start):
        cloud = Cloud(start, {"c": {"name": "one", "events": 1, "last_update_time": -60}})
        (row,) = cloud.list()["data_list"]
        assert sorted(row) == [
            *("action", "cluster_id", "cluster_name", "create_time", "enterprise_project_id"),
            *("event_class_id", "event_content", "event_id", "event_name", "event_type", "handle_status"),
            *("policy_id", "policy_name", "project_id", "resource_info", "update_time"),
        ]
        assert sorted(row["resource_info"]) == [
            *("enforcement_action", "group", "kind", "message", "name", "namespace", "resource_name"),
            "version",
        ]
        assert (row["cluster_name"], row["enterprise_project_id"]) == ("one", "0")
        assert row["create_time"] == row["update_time"] == (START - 60) * 1000

    def test_events_by_script(self, start):
        events = [
            {"event_id": "e1", "handle_status": "handled", "event_type": 1000, "update_time": -5},
            {"event_name": "x", "create_time": 1_700_000_000_000, "resource_info": {"kind": "Deployment"}},
        ]
        cloud = Cloud(start, {"c": {"events": events}})
        first, second = cloud.list()["data_list"]
        assert (first["event_id"], first["handle_status"], first["event_type"]) == ("e1", "handled", 1000)
        assert (first["create_time"], first["update_time"]) == ((START - DAY) * 1000, (START - 5) * 1000)
        assert (second["event_name"], second["create_time"]) == ("x", 1_700_000_000_000)
        assert (second["resource_info"]["kind"], second["resource_info"]["version"]) == ("Deployment", "v1")

    def test_new_events_carry_the_end_of_their_sync(self, start):
        cloud = Cloud(start, {"c": {"brings": 1, "seconds": 8}})
        cloud.sync()
        cloud.call.emulator.advance(20)
        (row,) = cloud.list()["data_list"]
        assert row["create_time"] == row["update_time"] == (START + 8) * 1000

    def test_clusters(self, start):
        clusters = {
            "a": {"name": "one", "cluster_status": "Unavailable", "protect_status": "plugin error"},
            "b": {},
            "c": {"enterprise_project_id": "7"},
        }
        cloud = Cloud(start, clusters)
        document = cloud.call("GET", CLUSTERS, query=[*PAGE.items()]).json()
        assert document["total_num"] == 2
        seen = [
            [
                row[key]
                for key in ("cluster_id", "cluster_name", "cluster_status", "protect_status", "policy_num")
            ]
            for row in document["data_list"]
        ]
        assert seen == [
            ["a", "one", "Unavailable", "plugin error", 0],
            ["b", "b", "Available", "protected with policy", 1],
        ]
        assert {row["cluster_type"] for row in document["data_list"]} == {"cce"}


class TestQuota:
    @pytest.mark.parametrize("turn", [0, 1, 2], ids=["sync", "events", "clusters"])
    def test_five_a_minute_for_each_call(self, client, turn):
        calls = [("POST", SYNC), ("GET", EVENTS), ("GET", CLUSTERS)]
        method, path = calls[turn]
        query = [*PAGE.items()]
        assert [client(method, path, query=query).status_code for _ in range(6)] == [200] * 5 + [429]
        refused = client(method, path, query=query)
        assert "limit:5,time:1 minute" in refused.json()["error_msg"]
        other_method, other_path = calls[turn - 1]
        assert client(other_method, other_path, query=query).status_code == 200
        client.emulator.advance(60)
        assert client(method, path, query=query).status_code == 200

    def test_of_a_user_whatever_the_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        client = start({"account": {"projects": projects}})
        statuses = [
            client("POST", SYNC.replace("{p}", each["id"])).status_code for each in projects for _ in range(3)
        ]
        assert statuses == [200] * 5 + [429]


def test_the_default_clusters_end_soon(client):
    for name in ("example-container-cluster", "pipeline-container-cluster"):
        assert client("POST", SYNC, query=[("cluster_id", name)]).json() == {"synched": True}
    client.emulator.advance(8)
    shown = client.emulator.state()["hss"]["clusters"]
    assert {name: cluster["last_update_time"] - START for name, cluster in shown.items()} == {
        "example-container-cluster": 4,
        "pipeline-container-cluster": 4,
    }
