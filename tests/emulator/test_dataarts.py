"""Member sync tasks: schedule, script, and what a reader sees of a run."""

from __future__ import annotations

import pytest

# 2026-11-21 08:00:00 UTC, the moment at which the emulators of these tests start.
START = 1_795_248_000
TASKS = "/v1/{p}/security/member-sync-tasks"
WORKSPACE = {"workspace": "example-workspace"}
HOUR = 3600


class Task:
    """One task with the fields that a test gives it."""

    def __init__(self, start, **fields):
        self.call = start({"dataarts": {"tasks": {"t": fields}}})

    def after(self, seconds):
        """Status and time of the last run then, the time in seconds from the start."""
        self.call.emulator.advance(seconds)
        task = self.call("GET", f"{TASKS}/t", headers=WORKSPACE).json()
        time = task["sync_time"]
        return task["sync_status"], None if time is None else time / 1000 - START

    @property
    def starts(self):
        runs = self.call.emulator.state()["dataarts"]["tasks"]["t"]["runs"]
        return [run["started"] - START for run in runs]


def every(period, interval=1, **fields):
    return {
        "schedule_status": "SCHEDULING",
        "schedule_period": period,
        "schedule_interval": interval,
        "seconds": 10,
        **fields,
    }


class TestProgress:
    def test_of_a_scheduled_task(self, start):
        task = Task(start, **every("MINUTE", sync_status="SYNC_FAIL", sync_time=-86_400))
        assert task.after(59.9) == ("SYNC_FAIL", -86_400)
        assert task.after(0.1) == ("SYNCING", 60)
        assert task.after(9.9) == ("SYNCING", 60)
        assert task.after(0.1) == ("SYNC_SUCCESS", 60)
        assert task.after(50) == ("SYNCING", 120)

    def test_of_scripted_runs(self, start):
        runs = [
            {"at": 20, "seconds": 5, "outcome": "SYNC_SUCCESS"},
            {"at": 5, "seconds": 10, "outcome": "SYNC_FAIL", "msg": "no such role"},
            {"at": 40, "seconds": None},
        ]
        task = Task(start, runs=runs)
        seen = [task.after(seconds) for seconds in (0, 5, 10, 5, 5, 15, 10_000)]
        assert seen == [
            ("NOT_SYNC", None),
            ("SYNCING", 5),
            ("SYNC_FAIL", 5),
            ("SYNCING", 20),
            ("SYNC_SUCCESS", 20),
            ("SYNCING", 40),
            ("SYNCING", 40),
        ]

    def test_the_log_belongs_to_the_run(self, start):
        task = Task(
            start, sync_msg="old", runs=[{"at": 5, "seconds": 1, "outcome": "SYNC_FAIL", "msg": "new"}]
        )
        texts = []
        for seconds in (0, 5, 1):
            task.call.emulator.advance(seconds)
            texts.append(task.call("GET", f"{TASKS}/t", headers=WORKSPACE).json()["sync_msg"])
        assert texts == ["old", "", "new"]

    def test_status_lags_behind_the_time(self, start):
        runs = [{"at": 5, "seconds": 10, "outcome": "SYNC_FAIL"}, {"at": 100, "seconds": 10}]
        task = Task(start, sync_status="SYNC_SUCCESS", sync_time=-60, status_lag=3, runs=runs)
        assert task.after(5) == ("SYNC_SUCCESS", 5)
        assert task.after(2.9) == ("SYNC_SUCCESS", 5)
        assert task.after(0.1) == ("SYNCING", 5)
        assert task.after(7) == ("SYNC_FAIL", 5)
        assert task.after(85) == ("SYNC_FAIL", 100)
        assert task.after(3) == ("SYNCING", 100)

    @pytest.mark.parametrize("status", ["UNKNOWN", "SOMETHING_NEW"])
    def test_odd_values(self, start, status):
        task = Task(
            start, sync_status=status, sync_time=1_710_901_516_000, runs=[{"at": 1, "outcome": status}]
        )
        assert task.after(0) == (status, 1_710_901_516 - START)
        assert task.after(11) == (status, 1)

    def test_outcomes_of_successive_runs(self, start):
        task = Task(start, **every("MINUTE", outcome=["SYNC_FAIL", "SYNC_SUCCESS"]))
        assert [task.after(70)[0], task.after(60)[0], task.after(60)[0]] == [
            "SYNC_FAIL",
            "SYNC_SUCCESS",
            "SYNC_SUCCESS",
        ]


class TestSchedule:
    @pytest.mark.parametrize(
        ("fields", "hours"),
        [
            (every("HOUR", 4), [4, 8, 12, 16, 20, 24]),
            (every("HOUR", 6, first_run_at=0), [0, 6, 12, 18, 24]),
            # It is 8 o'clock: a window that opens at 10 and closes at 12, end not included.
            (every("HOUR", schedule_start_hour=10, schedule_end_hour=12), [2, 3]),
            (every("HOUR", schedule_start_hour=22, schedule_end_hour=1), [14, 15, 16]),
            (every("HOUR", 5, schedule_start_hour=8, schedule_end_hour=24), [5, 10, 15, 24]),
            ({**every("HOUR"), "schedule_status": "NOT_SCHEDULE"}, []),
        ],
    )
    def test_of_a_day(self, start, fields, hours):
        task = Task(start, **fields)
        task.call.emulator.advance(24 * HOUR)
        assert task.starts == [hour * HOUR for hour in hours]

    @pytest.mark.parametrize("end", [0, 24])
    def test_all_day_runs_in_every_hour(self, start, end):
        task = Task(start, **every("HOUR", schedule_end_hour=end))
        task.call.emulator.advance(25 * HOUR)
        assert {(8 + start // HOUR) % 24 for start in task.starts} == set(range(24))
        assert task.call("GET", f"{TASKS}/t", headers=WORKSPACE).json()["schedule_end_hour"] == 0

    def test_the_interval_counts_from_a_manual_run_too(self, start):
        task = Task(start, **every("MINUTE", 10, runs=[{"at": 540, "seconds": 5}]))
        task.call.emulator.advance(1800)
        assert task.starts == [540, 1140, 1740]

    def test_a_manual_run_at_the_very_moment_takes_the_place_of_the_scheduled_one(self, start):
        task = Task(start, **every("MINUTE", runs=[{"at": 60, "outcome": "SYNC_FAIL"}]))
        task.call.emulator.advance(119)
        assert task.starts == [60]
        assert task.after(0)[0] == "SYNC_FAIL"

    def test_no_run_begins_within_another(self, start):
        task = Task(start, **every("MINUTE", seconds=90))
        task.call.emulator.advance(300)
        assert task.starts == [60, 150, 240]

    def test_a_long_jump(self, start):
        task = Task(start, **every("MINUTE"))
        assert task.after(30 * 24 * HOUR)[0] == "SYNCING"

    def test_the_default_tasks_run_at_once_and_at_all_hours(self, client):
        for _ in range(24):
            client.emulator.advance(HOUR)
            for name in ("example-member-sync", "pipeline-member-sync"):
                task = client.emulator.state()["dataarts"]["tasks"][name]
                assert client.emulator.clock.now() - task["sync_time"] / 1000 < 60


class TestReplies:
    FIELDS = (
        "cluster_id cluster_name cluster_type create_time create_user data_connection_id data_connection_name "
        "data_connection_workspace domain_id id instance_id project_id schedule_end_hour schedule_interval "
        "schedule_period schedule_start_hour schedule_status sync_msg sync_status sync_time update_time update_user"
    )

    def test_the_fields_are_those_of_the_documented_example(self, client):
        task = client("GET", f"{TASKS}/example-member-sync", headers=WORKSPACE).json()
        assert sorted(task) == self.FIELDS.split()
        assert task["sync_time"] == (START - 86_400) * 1000

    def test_runs_do_not_move_update_time(self, client):
        client.emulator.advance(70)
        task = client("GET", f"{TASKS}/example-member-sync", headers=WORKSPACE).json()
        assert task["update_time"] == task["create_time"] < task["sync_time"]

    @pytest.mark.parametrize("headers", [{}, {"workspace": ""}, {"workspace": "elsewhere"}])
    @pytest.mark.parametrize("path", [TASKS, f"{TASKS}/example-member-sync"])
    def test_workspace(self, client, path, headers):
        response = client("GET", path, headers=headers)
        assert (response.status_code, response.json()["errorCode"]) == (400, "DLS.6036")
        assert "error_code" not in response.json()

    def test_unknown_task(self, start):
        tasks = {"t": {"workspace": "b"}}
        client = start({"dataarts": {"workspaces": ["a", "b"], "tasks": tasks}})
        response = client("GET", f"{TASKS}/t", headers={"workspace": "a"})
        assert response.status_code == 400
        assert response.json()["error_code"].startswith("DLS.")
        assert client("GET", f"{TASKS}/t", headers={"workspace": "b"}).status_code == 200


class TestList:
    TASKS = {  # noqa: RUF012
        "a": {"cluster_name": "z", "cluster_type": "DWS", "sync_status": "SYNC_FAIL", "sync_time": -5},
        "b": {"cluster_name": "y", "schedule_status": "SCHEDULING", "sync_time": -9},
        "c": {"cluster_name": "x"},
    }

    @pytest.mark.parametrize(
        ("query", "total", "ids"),
        [
            ({}, 3, "abc"),
            ({"cluster_type": "DWS"}, 1, "a"),
            ({"cluster_name": "y"}, 1, "b"),
            ({"sync_status": "SYNC_FAIL"}, 1, "a"),
            ({"schedule_status": "NOT_SCHEDULE"}, 2, "ac"),
            ({"order_by": "CLUSTER_NAME"}, 3, "cba"),
            ({"order_by": "CLUSTER_NAME", "order_by_asc": "false"}, 3, "abc"),
            ({"order_by": "SYNC_TIME", "order_by_asc": "true"}, 3, "cba"),
            ({"limit": "1", "offset": "1"}, 3, "b"),
            ({"limit": "100", "offset": "3"}, 3, ""),
        ],
    )
    def test_filters(self, start, query, total, ids):
        client = start({"dataarts": {"tasks": self.TASKS}})
        document = client("GET", TASKS, headers=WORKSPACE, query=list(query.items())).json()
        assert (document["total"], "".join(task["id"] for task in document["tasks"])) == (total, ids)

    def test_a_page_has_ten_unless_asked(self, start):
        client = start({"dataarts": {"tasks": {f"t{number}": {} for number in range(12)}}})
        document = client("GET", TASKS, headers=WORKSPACE).json()
        assert (document["total"], len(document["tasks"])) == (12, 10)

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": "0"},
            {"limit": "101"},
            {"limit": "x"},
            {"offset": "-1"},
            {"order_by": "ID"},
            {"order_by": "SYNC_TIME", "order_by_asc": "True"},
        ],
    )
    def test_out_of_range(self, client, query):
        response = client("GET", TASKS, headers=WORKSPACE, query=list(query.items()))
        assert response.status_code == 400
        assert response.json()["error_code"].startswith("DLS.")
