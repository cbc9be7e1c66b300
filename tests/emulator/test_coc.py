"""Vendor accounts: what their rows show of a synchronization, and whom the calls are for."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from airflow_provider_cloudsync.emulator import scenario

# 2026-11-21 08:00:00 UTC, the moment at which the emulators of these tests start.
START = 1_795_248_000
SYNC = "/v1/multicloud-resources/sync"
COUNT = "/v1/multicloud-resources/count"
ACCOUNTS = "/v1/vendor-account"
DAY = 86_400
OLD = -DAY
DOMAIN = {"X-Domain-Id": scenario.DOMAIN_ID}


def seconds(text):
    """A row's time as seconds from the start."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp() - START)


class Cloud:
    """A cloud of some accounts at AWS, and a client that says whose they are."""

    def __init__(self, start, accounts, **section):
        accounts = {
            name: {"account_id": name, "shows_after": 1, "starts_after": 2, "seconds": 10, **fields}
            for name, fields in accounts.items()
        }
        self.call = start({"coc": {"accounts": accounts, "resources": {}, **section}})
        self.call.extra_headers = DOMAIN

    def sync(self, vendor="AWS", **body):
        return self.call("POST", SYNC, body={"vendor": vendor, **body})

    def rows(self, **query):
        return self.call("GET", ACCOUNTS, query=[("limit", "500"), *query.items()]).json()["data"]

    def after(self, passed, name="a"):
        """Status and date of the account then, the date in seconds from the start."""
        self.call.emulator.advance(passed)
        (row,) = [row for row in self.rows() if row["account_id"] == name]
        date = row["sync_date"]
        return row["sync_status"], None if date is None else seconds(date)

    @property
    def effects(self):
        return [each["effect"] for each in self.call.emulator.requests() if each["method"] == "POST"]


class TestSync:
    def test_progress(self, start):
        cloud = Cloud(start, {"a": {}})
        response = cloud.sync(account_id="a")
        assert response.status_code == 200
        assert str(UUID(response.json()["data"])) == response.json()["data"]
        assert cloud.after(0) == ("success", OLD)
        assert cloud.after(0.9) == ("success", OLD)
        assert cloud.after(0.1) == ("waiting", OLD)
        assert cloud.after(1.9) == ("waiting", OLD)
        assert cloud.after(0.1) == ("running", OLD)
        assert cloud.after(9.9) == ("running", OLD)
        assert cloud.after(0.1) == ("success", 13)
        assert cloud.after(10_000) == ("success", 13)
        assert cloud.effects == ["started"]

    @pytest.mark.parametrize(
        ("fields", "seen"),
        [
            pytest.param({}, ["success", "waiting", "running", "success"], id="succeeded"),
            pytest.param({"outcome": "failed"}, ["success", "waiting", "running", "failed"], id="failed"),
            pytest.param({"outcome": "never_ends"}, ["success", "waiting", "running", "running"], id="never"),
            pytest.param({"outcome": "ignored"}, ["success"] * 4, id="ignored"),
            pytest.param({"sync_status": "failed"}, ["failed", "waiting", "running", "success"], id="stale"),
            pytest.param({"sync_status": "waiting"}, ["waiting"] * 2 + ["running", "success"], id="new"),
            pytest.param({"starts_after": 0}, ["success", "running", "running", "success"], id="no-waiting"),
            pytest.param({"shows_after": 0}, ["waiting", "waiting", "running", "success"], id="at-once"),
            pytest.param({"shows_after": 12}, ["success"] * 3 + ["waiting"], id="late"),
            pytest.param({"seconds": 0}, ["success", "waiting", "success", "success"], id="very-fast"),
        ],
    )
    def test_outcomes(self, start, fields, seen):
        cloud = Cloud(start, {"a": fields})
        cloud.sync()
        assert [cloud.after(passed)[0] for passed in (0.5, 1, 2, 10)] == seen
        assert cloud.effects == [None if fields.get("outcome") == "ignored" else "started"]

    @pytest.mark.parametrize(
        ("fields", "seen"),
        [
            pytest.param({}, [OLD, OLD, 13], id="end"),
            pytest.param({"outcome": "failed"}, [OLD, OLD, 13], id="end-of-a-failed-one"),
            pytest.param({"outcome": "never_ends"}, [OLD, OLD, OLD], id="end-that-never-comes"),
            pytest.param({"dates": "start"}, [OLD, 3, 3], id="start"),
            pytest.param({"dates": "start", "outcome": "never_ends"}, [OLD, 3, 3], id="start-without-an-end"),
            pytest.param({"sync_date": None}, [None, None, 13], id="never-before"),
            pytest.param({"sync_date": -60}, [-60, -60, 13], id="offset"),
            pytest.param({"sync_date": (START - 7) * 1000}, [-7, -7, 13], id="milliseconds"),
        ],
    )
    def test_what_the_date_marks(self, start, fields, seen):
        cloud = Cloud(start, {"a": fields})
        cloud.sync()
        assert [cloud.after(passed)[1] for passed in (2.9, 1, 10)] == seen

    def test_status_lags_behind_the_date(self, start):
        cloud = Cloud(
            start, {"a": {"dates": "start", "status_lag": 4, "starts_after": 0, "outcome": "failed"}}
        )
        cloud.sync()
        assert cloud.after(0.9) == ("success", OLD)
        assert cloud.after(0.1) == ("success", 1)
        assert cloud.after(3.9) == ("success", 1)
        assert cloud.after(0.1) == ("running", 1)
        assert cloud.after(6) == ("failed", 1)

    def test_a_lag_that_is_longer_than_the_run(self, start):
        cloud = Cloud(start, {"a": {"dates": "start", "status_lag": 20, "outcome": "failed"}})
        cloud.sync()
        assert [cloud.after(passed) for passed in (3, 19.9, 0.1)] == [
            ("waiting", 3),
            ("waiting", 3),
            ("failed", 3),
        ]

    def test_successive_outcomes_and_the_last_stays(self, start):
        cloud = Cloud(start, {"a": {"outcome": ["failed", "ignored", "succeeded"]}})
        seen = []
        for _ in range(4):
            cloud.sync()
            seen.append(cloud.after(20))
        assert seen == [("failed", 13), ("failed", 13), ("success", 53), ("success", 73)]
        assert cloud.effects == ["started", None, "started", "started"]

    @pytest.mark.parametrize(
        "passed",
        [
            pytest.param(0, id="accepted"),
            pytest.param(1, id="waiting"),
            pytest.param(3, id="running"),
            pytest.param(12.999, id="about-to-end"),
        ],
    )
    def test_one_during_another_does_nothing_new(self, start, passed):
        cloud = Cloud(start, {"a": {"outcome": ["succeeded", "failed"]}})
        first = cloud.sync().json()["data"]
        cloud.call.emulator.advance(passed)
        second = cloud.sync()
        assert second.status_code == 200
        assert second.json()["data"] != first
        assert cloud.after(13 - passed) == ("success", 13)
        assert cloud.effects == ["started", None]
        assert cloud.sync().status_code == 200
        assert cloud.after(13) == ("failed", 26)

    def test_an_account_that_runs_at_first_goes_on(self, start):
        cloud = Cloud(start, {"a": {"sync_status": "running"}})
        assert cloud.sync().status_code == 200
        assert cloud.after(100) == ("running", OLD)
        assert cloud.effects == [None]

    @pytest.mark.parametrize(
        ("fields", "texts"),
        [
            pytest.param({}, [None, None, None, None], id="none"),
            pytest.param({"failure_msg": "old"}, ["old"] * 4, id="old-text-stays-after-a-success"),
            pytest.param(
                {"failure_msg": "old", "clears_failure": True}, ["old", "old", None, None], id="is-cleared"
            ),
            pytest.param(
                {"failure_msg": "old", "failure": "new", "outcome": ["failed", "succeeded"]},
                ["old", "old", "new", "new"],
                id="new-text-of-a-failed-one",
            ),
            pytest.param(
                {"failure": "new", "outcome": ["failed", "succeeded"], "clears_failure": True},
                [None, None, "new", None],
                id="is-cleared-by-the-next",
            ),
        ],
    )
    def test_failure_text(self, start, fields, texts):
        cloud = Cloud(start, {"a": fields})
        seen = []
        for passed in (0, 5, 8):
            if passed == 5:
                cloud.sync()
            cloud.call.emulator.advance(passed)
            seen.append(cloud.rows()[0]["failure_msg"])
        cloud.sync()
        cloud.call.emulator.advance(20)
        seen.append(cloud.rows()[0]["failure_msg"])
        assert seen == texts

    def test_odd_steps_add_up(self, start):
        cloud = Cloud(start, {"a": {"shows_after": 0.1, "starts_after": 0.2, "seconds": 0.4}})
        cloud.call.emulator.advance(0.7)
        cloud.sync()
        assert [cloud.after(passed)[0] for passed in (0.1, 0.2, 0.4)] == ["waiting", "running", "success"]

    def test_a_jump_over_everything(self, start):
        cloud = Cloud(start, {"a": {}})
        cloud.sync()
        assert cloud.after(300 * DAY) == ("success", 13)

    def test_state_of_a_run(self, start):
        cloud = Cloud(start, {"a": {"outcome": "failed"}})
        task_id = cloud.sync().json()["data"]
        shown = []
        for passed in (0, 3, 10):
            cloud.call.emulator.advance(passed)
            (run,) = cloud.call.emulator.state()["coc"]["accounts"]["a"]["runs"]
            assert (run["task_id"], run["accepted"], run["by"]) == (task_id, START, "request")
            shown.append([run[key] and run[key] - START for key in ("started", "ended")] + [run["outcome"]])
        assert shown == [[None, None, None], [3, None, None], [3, 13, "failed"]]


class TestOthers:
    def test_somebody_else_s_runs(self, start):
        foreign = [
            {"at": 40, "seconds": 5, "outcome": "failed"},
            {"at": 5, "seconds": 10, "starts_after": 1},
            {"at": 60, "outcome": "never_ends"},
        ]
        cloud = Cloud(start, {"a": {"foreign_runs": foreign}})
        assert [cloud.after(passed) for passed in (4, 1, 1, 10, 24, 5, 15)] == [
            ("success", OLD),
            ("waiting", OLD),
            ("running", OLD),
            ("success", 16),
            ("running", 16),
            ("failed", 45),
            ("running", 45),
        ]

    def test_a_sync_during_somebody_else_s(self, start):
        cloud = Cloud(start, {"a": {"foreign_runs": [{"at": 5, "seconds": 10}], "outcome": "failed"}})
        cloud.call.emulator.advance(6)
        cloud.sync()
        assert cloud.after(9) == ("success", 15)
        assert cloud.after(100) == ("success", 15)
        assert cloud.effects == [None]

    def test_what_runs_at_first_can_end_by_script(self, start):
        cloud = Cloud(start, {"a": {"sync_status": "running", "foreign_runs": [{"at": 0, "seconds": 5}]}})
        cloud.sync()
        assert [cloud.after(passed) for passed in (0, 5)] == [("running", OLD), ("success", 5)]
        cloud.sync()
        assert cloud.after(13) == ("success", 18)
        assert cloud.effects == [None, "started"]

    @pytest.mark.parametrize("looks", [False, True], ids=["in-one-jump", "step-by-step"])
    def test_somebody_else_s_during_a_sync(self, start, looks):
        cloud = Cloud(start, {"a": {"foreign_runs": [{"at": 5, "seconds": 10, "outcome": "failed"}]}})
        cloud.sync()
        for _ in range(8):
            cloud.call.emulator.advance(2)
            if looks:
                cloud.rows()
        assert cloud.after(0) == ("success", 13)

    @pytest.mark.parametrize(
        ("fields", "present"),
        [
            pytest.param({}, [True, True, True], id="always"),
            pytest.param({"added_at": 5}, [False, True, True], id="added"),
            pytest.param({"removed_at": 10}, [True, True, False], id="removed"),
            pytest.param({"added_at": 5, "removed_at": 10}, [False, True, False], id="both"),
        ],
    )
    def test_accounts_come_and_go(self, start, fields, present):
        cloud = Cloud(start, {"a": fields})
        seen = []
        for passed in (0, 5, 5):
            cloud.call.emulator.advance(passed)
            seen.append(bool(cloud.rows()))
            cloud.sync()
        assert seen == present
        # One that comes while another is under way does nothing.
        first = present.index(True)
        assert cloud.effects == [None] * first + ["started"] + [None] * (2 - first)

    def test_removed_during_a_sync(self, start):
        cloud = Cloud(start, {"a": {"removed_at": 6}})
        cloud.sync()
        cloud.call.emulator.advance(6)
        assert cloud.rows() == []


class TestWhichAccounts:
    SEVERAL = {  # noqa: RUF012
        "a1": {"account_id": "111"},
        "a2": {"account_id": "1112"},
        "h1": {"account_id": "111", "vendor": "HCS"},
    }

    @pytest.mark.parametrize(
        ("body", "started"),
        [
            pytest.param({"vendor": "AWS"}, {"a1", "a2"}, id="all-of-the-vendor"),
            pytest.param({"vendor": "AWS", "account_id": ""}, {"a1", "a2"}, id="empty-is-all"),
            pytest.param({"vendor": "AWS", "account_id": None}, {"a1", "a2"}, id="null-is-all"),
            pytest.param({"vendor": "AWS", "account_id": "111"}, {"a1"}, id="one"),
            pytest.param({"vendor": "HCS", "account_id": "111"}, {"h1"}, id="same-id-elsewhere"),
            pytest.param({"vendor": "AWS", "account_id": "a1"}, set(), id="a-cmdb-id-is-no-account-id"),
            pytest.param({"vendor": "AWS", "account_id": "11"}, set(), id="no-prefix"),
            pytest.param({"vendor": "AWS", "account_id": "x" * 64}, set(), id="unknown-account"),
            pytest.param({"vendor": "OTHER"}, set(), id="vendor-without-accounts"),
        ],
    )
    def test_of_a_sync(self, start, body, started):
        # A loose filter is about the list only.
        cloud = Cloud(start, self.SEVERAL, loose_filter=True)
        response = cloud.call("POST", SYNC, body=body)
        assert response.status_code == 200
        assert UUID(response.json()["data"])
        state = cloud.call.emulator.state()["coc"]["accounts"]
        assert {name for name, row in state.items() if row["runs"]} == started
        assert cloud.effects == ["started" if started else None]

    def test_one_is_ignored_and_one_is_not(self, start):
        cloud = Cloud(start, {"a": {"outcome": "ignored"}, "b": {}})
        cloud.sync()
        assert (cloud.after(13, "a"), cloud.after(0, "b")) == (("success", OLD), ("success", 13))
        assert cloud.effects == ["started"]

    @pytest.mark.parametrize("vendor", ["RMS", "AWS", "AZURE", "ALI", "VMWARE", "OPENSTACK", "HCS", "OTHER"])
    def test_every_known_vendor(self, start, vendor):
        cloud = Cloud(start, {"a": {"vendor": vendor}})
        assert cloud.sync(vendor).status_code == 200
        assert cloud.effects == ["started"]
        assert [row["vendor"] for row in cloud.rows(vendor=vendor)] == [vendor]

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"body": {"vendor": "GCP"}}, id="unknown-vendor"),
            pytest.param({"body": {"vendor": "aws"}}, id="vendor-in-lower-case"),
            pytest.param({"body": {"vendor": ["AWS"]}}, id="vendor-no-text"),
            pytest.param({"body": {"account_id": "111"}}, id="no-vendor"),
            pytest.param({"body": {"vendor": "AWS", "account_id": "x" * 65}}, id="account-too-long"),
            pytest.param({"body": {"vendor": "AWS", "account_id": 111}}, id="account-no-text"),
            pytest.param({"body": ["AWS"]}, id="no-object"),
            pytest.param({"data": b"{"}, id="no-json"),
            pytest.param({}, id="no-body"),
            pytest.param(
                {"body": {"vendor": "AWS"}, "headers": {"Content-Type": "text/plain"}}, id="no-type"
            ),
        ],
    )
    def test_misuse_of_a_sync(self, start, options):
        cloud = Cloud(start, self.SEVERAL)
        response = cloud.call("POST", SYNC, **options)
        assert (response.status_code, response.json()["error_code"]) == (400, "COC.00010002")
        assert cloud.effects == [None]


class TestList:
    SEVERAL = {  # noqa: RUF012
        "3": {"account_id": "111", "account_name": "one"},
        "1": {"account_id": "1112", "account_name": "two"},
        "2": {"account_id": "9", "vendor": "HCS", "account_name": "one"},
    }

    @pytest.mark.parametrize(
        ("query", "total", "ids"),
        [
            pytest.param({}, 3, "123", id="all"),
            pytest.param({"vendor": "AWS"}, 2, "13", id="vendor"),
            pytest.param({"vendor": "ALI"}, 0, "", id="vendor-without-accounts"),
            pytest.param({"account_id": "111"}, 1, "3", id="account"),
            pytest.param({"account_id": "11"}, 0, "", id="no-prefix"),
            pytest.param(
                {"account_id": "", "vendor": "", "account_name": "", "marker": ""}, 3, "123", id="empty"
            ),
            pytest.param({"account_id": "3"}, 0, "", id="a-cmdb-id-is-no-account-id"),
            pytest.param({"account_name": "one"}, 2, "23", id="name"),
            pytest.param({"account_name": "one", "vendor": "HCS"}, 1, "2", id="name-and-vendor"),
            pytest.param({"limit": "1"}, 3, "1", id="first-page"),
            pytest.param({"limit": "1", "marker": "1"}, 3, "2", id="page-after-a-marker"),
            pytest.param({"limit": "2", "marker": "3"}, 3, "", id="page-after-the-last"),
            pytest.param({"limit": "2", "offset": "1"}, 3, "23", id="offset"),
            pytest.param({"offset": "2147483647"}, 3, "", id="largest-offset"),
        ],
    )
    def test_filters_and_pages(self, start, query, total, ids):
        cloud = Cloud(start, self.SEVERAL)
        document = cloud.call("GET", ACCOUNTS, query=list({"limit": "500", **query}.items())).json()
        assert (document["total"], "".join(row["id"] for row in document["data"])) == (total, ids)

    def test_a_loose_account_filter_takes_a_prefix(self, start):
        cloud = Cloud(start, self.SEVERAL, loose_filter=True)
        assert [row["id"] for row in cloud.rows(account_id="111")] == ["1", "3"]

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param({}, id="no-limit"),
            pytest.param({"limit": "0"}, id="limit-too-small"),
            pytest.param({"limit": "501"}, id="limit-too-large"),
            pytest.param({"limit": "x"}, id="limit-no-number"),
            pytest.param({"limit": "1", "offset": "x"}, id="offset-no-number"),
            pytest.param({"limit": "1", "offset": "-1"}, id="offset-negative"),
            pytest.param({"limit": "1", "offset": "2147483648"}, id="offset-too-large"),
            pytest.param({"limit": "1", "vendor": "GCP"}, id="unknown-vendor"),
            pytest.param({"limit": "1", "account_id": "x" * 65}, id="account-too-long"),
        ],
    )
    def test_misuse(self, start, query):
        response = Cloud(start, self.SEVERAL).call("GET", ACCOUNTS, query=list(query.items()))
        assert (response.status_code, response.json()["error_code"]) == (400, "COC.00010002")

    def test_a_row_has_all_documented_fields(self, client):
        rows = client("GET", ACCOUNTS, headers=DOMAIN, query=[("limit", "1")]).json()["data"]
        assert rows == [
            {
                "id": "c0c00000000000000000000000000001",
                "vendor": "AWS",
                "account_id": "111122223333",
                "account_name": "example-aws",
                "domain_id": scenario.DOMAIN_ID,
                "ak": "AKIAEXAMPLEACCESSKEY",
                "sync_status": "success",
                "failure_msg": None,
                "sync_date": "2026-11-20T08:00:00Z",
                "create_time": "2026-10-22T08:00:00Z",
                "update_time": "2026-10-22T08:00:00Z",
            }
        ]

    @pytest.mark.parametrize(
        ("date_format", "text"),
        [
            pytest.param("naive", "2026-11-21T08:00:13", id="naive"),
            pytest.param("zulu", "2026-11-21T08:00:13Z", id="zulu"),
            pytest.param("ms", (START + 13) * 1000, id="ms"),
        ],
    )
    def test_dates(self, start, date_format, text):
        cloud = Cloud(start, {"a": {}}, date_format=date_format)
        before = cloud.rows()[0]
        cloud.sync()
        cloud.call.emulator.advance(20)
        after = cloud.rows()[0]
        assert after["sync_date"] == text
        # Runs leave these as they are.
        assert [before[key] for key in ("create_time", "update_time")] == [
            after[key] for key in ("create_time", "update_time")
        ]

    def test_the_access_key_is_in_no_journal_and_no_state(self, start):
        cloud = Cloud(start, {"a": {"ak": "AKIAGREPPABLE"}})
        assert cloud.rows()[0]["ak"] == "AKIAGREPPABLE"
        emulator = cloud.call.emulator
        assert "AKIAGREPPABLE" not in str(emulator.state()) + str(emulator.requests())


class TestCount:
    RESOURCES = {"AWS": {"cloudservers": 3, "instances": 4}, "HCS": {"cloudservers": 7}}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            pytest.param({"vendor": "AWS"}, 7, id="all"),
            pytest.param({"vendor": "AWS", "type": "instances"}, 4, id="type"),
            pytest.param({"vendor": "AWS", "type": "clusters"}, 0, id="other-type"),
            pytest.param({"vendor": "HCS", "region_id_list": "x", "name_list": "y"}, 7, id="lists"),
            pytest.param({"vendor": "ALI"}, 0, id="vendor-without-resources"),
            pytest.param({"vendor": "AZURE", "resource_id_list": "z"}, 0, id="another"),
        ],
    )
    def test_filters(self, start, query, count):
        cloud = Cloud(start, {}, resources=self.RESOURCES)
        assert cloud.call("GET", COUNT, query=list(query.items())).json() == {"data": count}

    @pytest.mark.parametrize("vendor", ["RMS", "VMWARE", "OPENSTACK", "OTHER", "GCP", "", None])
    def test_other_vendors_can_t_be_counted(self, start, vendor):
        query = [] if vendor is None else [("vendor", vendor)]
        response = Cloud(start, {}).call("GET", COUNT, query=query)
        assert (response.status_code, response.json()["error_code"]) == (400, "COC.00010002")

    @pytest.mark.parametrize(
        ("fields", "counts"),
        [
            pytest.param({}, [3, 9], id="succeeded"),
            pytest.param({"outcome": "failed"}, [3, 3], id="failed"),
            pytest.param({"outcome": "never_ends"}, [3, 3], id="never-ends"),
            pytest.param({"outcome": ["succeeded", "failed"]}, [3, 9], id="and-stays"),
            pytest.param({"vendor": "HCS"}, [3, 3], id="another-vendor-s"),
        ],
    )
    def test_after_a_sync(self, start, fields, counts):
        after = {"AWS": {"cloudservers": 9}}
        cloud = Cloud(start, {"a": fields}, resources={"AWS": {"cloudservers": 3}}, resources_after=after)
        query = [("vendor", "AWS")]
        cloud.sync(fields.get("vendor", "AWS"))
        seen = []
        for passed in (12, 2):
            cloud.call.emulator.advance(passed)
            seen.append(cloud.call("GET", COUNT, query=query).json()["data"])
        assert seen == counts


class TestScope:
    CALLS = (
        ("POST", SYNC, {"body": {"vendor": "AWS"}}),
        ("GET", ACCOUNTS, {"query": [("limit", "1")]}),
        ("GET", COUNT, {"query": [("vendor", "AWS")]}),
    )

    @pytest.mark.parametrize(("method", "path", "options"), CALLS, ids=["sync", "list", "count"])
    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            pytest.param(DOMAIN, 200, None, id="account"),
            pytest.param({"X-Project-Id": scenario.PROJECT_ID}, 200, None, id="project"),
            pytest.param({**DOMAIN, "X-Project-Id": "f" * 32}, 200, None, id="both"),
            pytest.param({}, 400, "COC.00010014", id="neither"),
            pytest.param({"X-Project-Id": "f" * 32}, 400, "COC.00010014", id="unknown-project"),
            pytest.param({"X-Domain-Id": "f" * 32}, 403, "APIGW.0302", id="another-account"),
        ],
    )
    def test_of_a_signed_request(self, client, method, path, options, headers, status, code):
        response = client(method, path, headers=headers, **options)
        assert (response.status_code, response.json().get("error_code")) == (status, code)
        assert response.headers["X-request-id"]

    @pytest.mark.parametrize("scope", ["domain", "project"])
    def test_a_token_needs_no_header(self, client, scope):
        wanted = {"domain": {"id": scenario.DOMAIN_ID}, "project": {"id": scenario.PROJECT_ID}}
        user = {
            "name": scenario.USER,
            "password": scenario.PASSWORD,
            "domain": {"name": scenario.DOMAIN_NAME},
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {scope: wanted[scope]}}}
        token = client("POST", "/v3/auth/tokens", body=body, sign=False).headers["X-Subject-Token"]
        for method, path, options in self.CALLS:
            response = client(method, path, sign=False, headers={"X-Auth-Token": token}, **options)
            assert response.status_code == 200

    def test_the_request_id_has_its_own_spelling(self, client):
        raw = client("GET", ACCOUNTS, query=[("limit", "1")], headers=DOMAIN)
        assert "X-request-id" in list(raw.headers)
        assert raw.headers["X-request-id"] == client.emulator.requests()[0]["request_id"]


def test_the_default_accounts_end_soon(client):
    client("POST", SYNC, body={"vendor": "AWS"}, headers=DOMAIN)
    client.emulator.advance(12)
    accounts = client.emulator.state()["coc"]["accounts"].values()
    assert {each["account_id"]: each["sync_date"] - START for each in accounts} == {
        "111122223333": 12,
        "444455556666": 12,
        "example-hcs-account": OLD,
    }
