"""Secret events, their rules, and the records of what they set off."""

from __future__ import annotations

import copy
from uuid import UUID

import pytest

# 2026-11-21 08:00:00 UTC, the moment at which the emulators of these tests start.
START = 1_795_248_000
EVENTS = "/v1/{p}/csms/events"
EVENT = EVENTS + "/example-event"
RECORDS = "/v1/{p}/csms/notification-records"
SECRETS = "/v1/{p}/secrets"
DAY = 86_400
TOPIC = "urn:smn:cn-north-4:e1000000000000000000000000000001:example-topic"
NOTIFICATION = {"target_type": "SMN", "target_id": TOPIC, "target_name": "example-topic"}
OTHER = {"target_type": "SMN", "target_id": "urn:smn:other", "target_name": "other"}
TYPES = [
    "SECRET_VERSION_CREATED",
    "SECRET_VERSION_EXPIRED",
    "SECRET_ROTATED",
    "SECRET_DELETED",
    "SECRET_ROTATED_FAILED",
]
NEW = {"name": "new", "event_types": TYPES[:2], "state": "ENABLED", "notification": NOTIFICATION}


def error(response):
    """Status and code of a refusal, in the envelope of this service."""
    document = response.json()
    assert list(document) == ["error"]
    assert sorted(document["error"]) == ["error_code", "error_msg"]
    return response.status_code, document["error"]["error_code"]


def effects(client):
    return [each["effect"] for each in client.emulator.requests()]


class TestCreate:
    def test_an_event(self, client):
        client.emulator.advance(5)
        response = client("POST", EVENTS, body=NEW)
        assert response.status_code == 200
        event = response.json()["event"]
        assert str(UUID(event.pop("event_id")))
        assert event == {**NEW, "create_time": (START + 5) * 1000, "update_time": (START + 5) * 1000}
        assert client("GET", f"{EVENTS}/new").json() == response.json()
        assert effects(client) == ["created", None]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"name": "a" * 64}, id="longest-name"),
            pytest.param({"name": "A-z_0"}, id="all-kinds-of-characters"),
            pytest.param({"event_types": TYPES}, id="all-types"),
            pytest.param({"event_types": TYPES[3:4]}, id="one-type"),
            pytest.param({"state": "DISABLED"}, id="disabled"),
            pytest.param({"notification": OTHER}, id="a-topic-that-does-not-exist"),
            pytest.param({"unknown": 1}, id="unknown-field"),
        ],
    )
    def test_what_is_taken(self, client, change):
        response = client("POST", EVENTS, body={**NEW, **change})
        assert response.status_code == 200
        wanted = {**NEW, **change}
        wanted.pop("unknown", None)
        assert response.json()["event"].items() >= wanted.items()

    @pytest.mark.parametrize("field", ["name", "event_types", "state", "notification"])
    @pytest.mark.parametrize("value", [..., None], ids=["left-out", "null"])
    def test_every_field_is_needed(self, client, field, value):
        body = copy.deepcopy(NEW)
        if value is ...:
            del body[field]
        else:
            body[field] = value
        assert error(client("POST", EVENTS, body=body)) == (400, "CSMS.0002")
        assert effects(client) == [None]

    def test_a_name_that_is_taken(self, client):
        body = {**NEW, "name": "example-event", "state": "DISABLED"}
        assert error(client("POST", EVENTS, body=body)) == (400, "CSMS.0002")
        assert client("GET", EVENT).json()["event"]["state"] == "ENABLED"

    @pytest.mark.parametrize(
        "name", ["", "a" * 65, "a.b", "a b", "ä", "a/b", "a\n", 5, ["a"]], ids=lambda name: repr(name)[:8]
    )
    def test_bad_names(self, client, name):
        assert error(client("POST", EVENTS, body={**NEW, "name": name})) == (400, "CSMS.0002")


BAD_FIELDS = [
    pytest.param({"event_types": []}, id="no-types"),
    pytest.param({"event_types": [TYPES[0], TYPES[0]]}, id="the-same-type-twice"),
    pytest.param({"event_types": ["SECRET_READ"]}, id="unknown-type"),
    pytest.param({"event_types": [f"T{number}" for number in range(13)]}, id="thirteen-types"),
    pytest.param({"event_types": TYPES[0]}, id="types-no-list"),
    pytest.param({"event_types": [5]}, id="type-no-text"),
    pytest.param({"event_types": [[]]}, id="type-a-list"),
    pytest.param({"state": "enabled"}, id="state-in-lower-case"),
    pytest.param({"state": True}, id="state-a-truth-value"),
    pytest.param({"state": []}, id="state-a-list"),
    pytest.param({"notification": {"target_id": TOPIC}}, id="only-the-id"),
    pytest.param({"notification": {**NOTIFICATION, "target_name": None}}, id="no-name"),
    pytest.param({"notification": {**NOTIFICATION, "target_type": ""}}, id="empty-type"),
    pytest.param({"notification": {**NOTIFICATION, "target_id": 5}}, id="id-no-text"),
    pytest.param({"notification": {}}, id="empty-notification"),
    pytest.param({"notification": TOPIC}, id="notification-no-object"),
]


class TestFieldRules:
    @pytest.mark.parametrize("change", BAD_FIELDS)
    @pytest.mark.parametrize(("method", "path"), [("POST", EVENTS), ("PUT", EVENT)], ids=["create", "update"])
    def test_bad_fields(self, client, method, path, change):
        before = client.emulator.state()["csms"]
        body = {**NEW, **change} if method == "POST" else change
        assert error(client(method, path, body=body)) == (400, "CSMS.0002")
        assert client.emulator.state()["csms"] == before
        assert effects(client) == [None]

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"data": b"{"}, id="no-json"),
            pytest.param({"body": []}, id="no-object"),
            pytest.param({}, id="no-body"),
            pytest.param({"body": {}, "headers": {"Content-Type": "text/plain"}}, id="no-type"),
        ],
    )
    @pytest.mark.parametrize(("method", "path"), [("POST", EVENTS), ("PUT", EVENT)], ids=["create", "update"])
    def test_bad_bodies(self, client, method, path, options):
        assert error(client(method, path, **options)) == (400, "CSMS.0004")


class TestUpdate:
    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"state": "DISABLED"}, id="state"),
            pytest.param({"event_types": ["SECRET_DELETED", "SECRET_ROTATED"]}, id="types-as-a-whole"),
            pytest.param({"notification": OTHER}, id="notification"),
            pytest.param({"state": "DISABLED", "event_types": TYPES[:1], "notification": OTHER}, id="all"),
            pytest.param({}, id="nothing"),
            pytest.param({"state": None, "event_types": None, "notification": None}, id="nulls"),
        ],
    )
    def test_what_is_left_out_stays(self, client, fields):
        before = client("GET", EVENT).json()["event"]
        client.emulator.advance(5)
        response = client("PUT", EVENT, body=fields)
        sent = {key: value for key, value in fields.items() if value is not None}
        expected = {**before, **sent, "update_time": (START + 5) * 1000}
        assert (response.status_code, response.json()["event"]) == (200, expected)
        assert client("GET", EVENT).json()["event"] == expected
        assert effects(client) == [None, "updated", None]

    def test_name_and_id_can_t_be_changed(self, client):
        before = client("GET", EVENT).json()["event"]
        client("PUT", EVENT, body={"name": "x", "event_id": "y", "create_time": 5})
        after = client("GET", EVENT).json()["event"]
        assert [after[key] for key in ("name", "event_id", "create_time")] == [
            before[key] for key in ("name", "event_id", "create_time")
        ]

    def test_a_write_that_is_ignored(self, start):
        client = start({"csms": {"ignores_writes": True}})
        before = client("GET", EVENT).json()["event"]
        client.emulator.advance(5)
        fields = {"state": "DISABLED", "event_types": TYPES[:1]}
        response = client("PUT", EVENT, body=fields)
        assert response.json()["event"] == {**before, **fields, "update_time": (START + 5) * 1000}
        assert client("GET", EVENT).json()["event"] == before
        assert effects(client) == [None, None, None]

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            pytest.param({"state": "DISABLED"}, ("DISABLED", TYPES[:2], NOTIFICATION), id="state-only"),
            pytest.param({"event_types": TYPES[3:]}, ("ENABLED", TYPES[3:], NOTIFICATION), id="types-only"),
            pytest.param({"notification": OTHER}, ("ENABLED", TYPES[:2], OTHER), id="notification-only"),
        ],
    )
    def test_a_write_that_resets_what_it_leaves_out(self, start, fields, expected):
        client = start({"csms": {"resets_omitted": True}})
        client("POST", EVENTS, body=NEW)
        client("PUT", f"{EVENTS}/new", body={"event_types": TYPES, "notification": OTHER})
        event = client("PUT", f"{EVENTS}/new", body=fields).json()["event"]
        assert (event["state"], event["event_types"], event["notification"]) == expected
        assert client("GET", f"{EVENTS}/new").json()["event"] == event


class TestDelete:
    def test_for_good(self, client):
        response = client("DELETE", EVENT)
        assert (response.status_code, response.content) == (204, b"")
        assert error(client("GET", EVENT)) == (404, "CSMS.0005")
        assert error(client("DELETE", EVENT)) == (404, "CSMS.0005")
        assert effects(client) == ["deleted", None, None]

    def test_not_while_a_secret_refers_to_it(self, client):
        response = client("DELETE", f"{EVENTS}/pipeline-event")
        assert error(response) == (400, "CSMS.0002")
        assert "referenced" in response.json()["error"]["error_msg"]
        assert client("GET", f"{EVENTS}/pipeline-event").status_code == 200
        assert effects(client) == [None, None]

    def test_its_name_is_free_again(self, client):
        first = client("GET", EVENT).json()["event"]
        client("DELETE", EVENT)
        again = client("POST", EVENTS, body={**NEW, "name": "example-event"})
        assert again.status_code == 200
        assert again.json()["event"]["create_time"] > first["create_time"]


class TestMissing:
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    @pytest.mark.parametrize(
        ("section", "status"),
        [({}, 404), ({"missing_status": 404}, 404), ({"missing_status": 400}, 400)],
        ids=["usual", "404", "400"],
    )
    def test_status(self, start, method, section, status):
        client = start({"csms": section})
        response = client(method, f"{EVENTS}/none", body={"state": "ENABLED"} if method == "PUT" else None)
        assert error(response) == (status, "CSMS.0005")

    @pytest.mark.parametrize("name", ["a.b", "a%20b", "a" * 65, "%C3%A4"])
    def test_bad_names(self, client, name):
        assert error(client("GET", f"{EVENTS}/{name}")) == (400, "CSMS.0002")

    def test_an_event_of_another_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        events = {"e": {"project_id": "2" * 32}}
        secrets = {"s": {"event_name": "e"}}
        client = start({"account": {"projects": projects}, "csms": {"events": events, "secrets": secrets}})
        assert error(client("GET", f"{EVENTS}/e")) == (404, "CSMS.0005")
        assert client("GET", EVENTS).json()["events"] == []
        other = EVENTS.replace("{p}", "2" * 32)
        assert [each["name"] for each in client("GET", other).json()["events"]] == ["e"]
        assert client("POST", EVENTS, body={**NEW, "name": "e"}).status_code == 200
        # The secret of that name belongs to the first project, and so to the first project's event.
        assert client("DELETE", f"{other}/e").status_code == 204
        assert error(client("DELETE", f"{EVENTS}/e")) == (400, "CSMS.0002")


class TestPaging:
    SEVERAL = {name: {} for name in "dbeac"}  # noqa: RUF012
    REFERRING = {name: {"event_name": "e" if name != "x" else None} for name in "zyxwv"}  # noqa: RUF012

    def pages(self, client, path, key, limit, most=9):
        """The names of each page, as a client gets them that follows the markers."""
        seen, marker = [], None
        while len(seen) < most:
            query = [("limit", str(limit)), *([("marker", marker)] if marker else [])]
            document = client("GET", path, query=query).json()
            names = "".join(each["name"] for each in document[key])
            info = document["page_info"]
            assert info["current_count"] == len(names)
            assert info["previous_marker"] == (names[0] if names and marker else None)
            seen.append(names)
            marker = info["next_marker"]
            if marker is None:
                break
            assert marker == names[-1]
        return seen

    @pytest.mark.parametrize(
        ("inclusive", "limit", "pages"),
        [
            pytest.param(True, 2, ["ab", "bc", "cd", "de"], id="inclusive"),
            pytest.param(True, 4, ["abcd", "de"], id="inclusive-larger"),
            pytest.param(True, 5, ["abcde"], id="inclusive-all"),
            pytest.param(True, 500, ["abcde"], id="inclusive-most"),
            pytest.param(True, 1, ["a"] * 9, id="inclusive-never-gets-on"),
            pytest.param(False, 2, ["ab", "cd", "e"], id="exclusive"),
            pytest.param(False, 1, ["a", "b", "c", "d", "e"], id="exclusive-one-by-one"),
            pytest.param(False, 5, ["abcde"], id="exclusive-all"),
        ],
    )
    def test_of_events(self, start, inclusive, limit, pages):
        section = {"events": self.SEVERAL, **({} if inclusive else {"marker_inclusive": False})}
        client = start({"csms": section})
        assert self.pages(client, EVENTS, "events", limit) == pages

    def test_of_secrets(self, start):
        client = start({"csms": {"events": {}, "secrets": self.REFERRING, "marker_inclusive": False}})
        assert self.pages(client, SECRETS, "secrets", 2) == ["vw", "xy", "z"]

    @pytest.mark.parametrize(
        ("marker", "names"),
        [
            pytest.param("bb", "cde", id="between"),
            pytest.param("zz", "", id="after-all"),
            pytest.param("", "abcde", id="empty"),
        ],
    )
    def test_a_marker_that_is_no_event(self, start, marker, names):
        client = start({"csms": {"events": self.SEVERAL}})
        document = client("GET", EVENTS, query=[("marker", marker)]).json()
        assert "".join(each["name"] for each in document["events"]) == names
        assert document["page_info"]["next_marker"] is None

    def test_a_marker_outlives_its_event(self, start):
        client = start({"csms": {"events": self.SEVERAL}})
        client("DELETE", f"{EVENTS}/b")
        document = client("GET", EVENTS, query=[("marker", "b")]).json()
        assert "".join(each["name"] for each in document["events"]) == "cde"

    def test_fifty_on_a_page_unless_asked(self, start):
        client = start({"csms": {"events": {f"e{number:02}": {} for number in range(60)}}})
        info = client("GET", EVENTS).json()["page_info"]
        assert info == {"next_marker": "e49", "previous_marker": None, "current_count": 50}

    @pytest.mark.parametrize("path", [EVENTS, SECRETS])
    @pytest.mark.parametrize("limit", ["0", "501", "x", "-1", "1.5", ""])
    def test_limits(self, client, path, limit):
        assert error(client("GET", path, query=[("limit", limit)])) == (400, "CSMS.0002")


class TestSecrets:
    def test_of_an_event(self, start):
        secrets = {
            "s1": {"event_name": "e"},
            "s2": {"event_name": "f", "secret_type": "RDS-FG"},
            "s3": {"event_name": None},
        }
        client = start({"csms": {"events": {"e": {}, "f": {}}, "secrets": secrets}})
        rows = client("GET", SECRETS, query=[("event_name", "f")]).json()["secrets"]
        assert [(row["name"], row["secret_type"], row["event_subscriptions"]) for row in rows] == [
            ("s2", "RDS-FG", ["f"])
        ]
        everything = client("GET", SECRETS).json()["secrets"]
        assert [(row["name"], row["event_subscriptions"]) for row in everything] == [
            ("s1", ["e"]),
            ("s2", ["f"]),
            ("s3", []),
        ]
        assert client("GET", SECRETS, query=[("event_name", "g")]).json()["secrets"] == []


class TestRecords:
    def cloud(self, start, *fired, **fields):
        event = {"event_types": ["SECRET_ROTATED"], **fields}
        secrets = {
            "s": {"event_name": "e", "secret_type": "GaussDB-FG"},
            "alone": {},
            "astray": {"event_name": "none"},
        }
        firings = [{"secret_name": "s", "type": "SECRET_ROTATED", **each} for each in fired]
        return start({"csms": {"events": {"e": event}, "secrets": secrets, "fired": firings}})

    def statuses(self, client):
        return [row["notification_status"] for row in client("GET", RECORDS).json()["records"]]

    def test_a_record(self, start):
        client = self.cloud(start, {"at": 5})
        client.emulator.advance(4.9)
        assert client("GET", RECORDS).json() == {
            "records": [],
            "page_info": {"next_marker": None, "previous_marker": None, "current_count": 0},
        }
        client.emulator.advance(0.1)
        document = client("GET", RECORDS).json()
        (record,) = document["records"]
        assert "SECRET_ROTATED" in record.pop("notification_content")
        assert record == {
            "event_name": "e",
            "trigger_event_type": "SECRET_ROTATED",
            "create_time": (START + 5) * 1000,
            "secret_name": "s",
            "secret_type": "GaussDB-FG",
            "notification_target_name": "example-topic",
            "notification_target_id": TOPIC,
            "notification_status": "SUCCESS",
        }
        assert document["page_info"]["current_count"] == 1

    @pytest.mark.parametrize(
        ("fired", "fields", "statuses"),
        [
            pytest.param({}, {}, ["SUCCESS"], id="delivered"),
            pytest.param({"delivered": False}, {}, ["FAIL"], id="not-delivered"),
            pytest.param({}, {"notification": OTHER}, ["INVALID"], id="no-such-topic"),
            pytest.param({"delivered": False}, {"notification": OTHER}, ["INVALID"], id="neither"),
            pytest.param(
                {}, {"notification": {**NOTIFICATION, "target_type": "FG"}}, ["INVALID"], id="no-topic-at-all"
            ),
            pytest.param({}, {"state": "DISABLED"}, [], id="disabled"),
            pytest.param({"type": "SECRET_DELETED"}, {}, [], id="another-type"),
            pytest.param({"secret_name": "alone"}, {}, [], id="secret-without-event"),
            pytest.param({"secret_name": "astray"}, {}, [], id="secret-of-an-event-that-is-not-there"),
        ],
    )
    def test_whether_there_is_one(self, start, fired, fields, statuses):
        client = self.cloud(start, {"at": 5, **fired}, **fields)
        client.emulator.advance(5)
        assert self.statuses(client) == statuses

    def test_the_event_counts_as_it_was_then(self, start):
        client = self.cloud(start, *({"at": at} for at in (40, 10, 20, 30)))
        for body in (
            {"state": "DISABLED"},
            {"state": "ENABLED", "notification": OTHER},
            {"event_types": ["SECRET_DELETED"]},
        ):
            client.emulator.advance(12)
            client("PUT", f"{EVENTS}/e", body=body)
        client.emulator.advance(100)
        assert self.statuses(client) == ["INVALID", "SUCCESS"]
        times = [row["create_time"] / 1000 - START for row in client("GET", RECORDS).json()["records"]]
        assert times == [30, 10]

    def test_of_an_event_made_in_time(self, start):
        client = start(
            {
                "csms": {
                    "events": {},
                    "secrets": {"s": {"event_name": "new"}},
                    "fired": [{"at": at, "secret_name": "s", "type": TYPES[0]} for at in (5, 15)],
                }
            }
        )
        client.emulator.advance(10)
        client("POST", EVENTS, body=NEW)
        client.emulator.advance(10)
        assert self.statuses(client) == ["SUCCESS"]

    def test_they_are_kept_for_three_months(self, start):
        client = self.cloud(start, {"at": 0}, {"at": 10})
        shown = []
        for seconds in (10, 90 * DAY - 10, 1, 10):
            client.emulator.advance(seconds)
            shown.append(len(self.statuses(client)))
        assert shown == [2, 2, 1, 0]

    def test_only_the_newest_can_be_seen(self, start):
        client = self.cloud(start, *({"at": at} for at in range(60)))
        client.emulator.advance(100)
        document = client("GET", RECORDS, query=[("limit", "100"), ("marker", "s")]).json()
        times = [row["create_time"] / 1000 - START for row in document["records"]]
        assert times == list(range(59, 9, -1))
        assert document["page_info"] == {"next_marker": "s", "previous_marker": None, "current_count": 50}
        assert len(client.emulator.state()["csms"]["records"]) == 60

    def test_of_another_project(self, start):
        projects = [{"id": "1" * 32, "name": "cn-north-4"}, {"id": "2" * 32, "name": "b"}]
        section = {
            "events": {"e": {"project_id": "2" * 32}},
            "secrets": {"s": {"event_name": "e", "project_id": "2" * 32}},
            "fired": [{"at": 0, "secret_name": "s", "type": "SECRET_ROTATED"}],
        }
        client = start({"account": {"projects": projects}, "csms": section})
        assert self.statuses(client) == []
        assert len(client("GET", RECORDS.replace("{p}", "2" * 32)).json()["records"]) == 1


class TestScenario:
    def test_the_default_events(self, client):
        events = client("GET", EVENTS).json()["events"]
        assert [each.pop("name") for each in events] == ["example-event", "pipeline-event"]
        assert len({each.pop("event_id") for each in events}) == 2
        created = (START - 30 * DAY) * 1000
        usual = {
            "state": "ENABLED",
            "event_types": TYPES,
            "notification": NOTIFICATION,
            "create_time": created,
            "update_time": created,
        }
        assert events == [usual, usual]
        referring = client("GET", SECRETS, query=[("event_name", "pipeline-event")]).json()["secrets"]
        assert [each["name"] for each in referring] == ["pipeline-secret"]

    def test_fields_by_script(self, start):
        fields = {
            "state": "DISABLED",
            "event_types": TYPES[:1],
            "notification": OTHER,
            "event_id": "bb6a3d22-dc93-47ac-b5bd-88df7ad35f1e",
            "create_time": 1_581_507_580_000,
            "update_time": -60,
        }
        client = start({"csms": {"events": {"e": fields}}})
        expected = {"name": "e", **fields, "update_time": (START - 60) * 1000}
        assert client("GET", f"{EVENTS}/e").json()["event"] == expected
