"""A call and the project's look-up, driven by hand: no socket, no sleep, no clock but ours."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.api import retries
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.endpoints import EXTRA_REGION, PARAMETER_REGION
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import (
    AcquireSlot,
    Cooldown,
    HttpRequest,
    HttpSettings,
    Pause,
    Request,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.api.services.iam import OWN_PROJECTS, find_project, list_projects, projects_in
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
    Throttled,
    TransportError,
    UnreadableReply,
)
from tests.support.driven import drive

NOW = 1_573_789_015.0
READ = Request("GET", "mrs", "Read", "/v2/{project_id}/things", repeatable=True)
START = Request("POST", "mrs", "Start", "/v2/{project_id}/things", repeatable=False, json={"a": [1, "工"]})


@pytest.fixture(autouse=True)
def _least_pauses(monkeypatch):
    """Chance always decides for the shortest pause."""

    class Least:
        random = staticmethod(lambda: 0.0)
        uniform = staticmethod(lambda low, high: low)

    monkeypatch.setattr(retries, "random", Least)


def answer(status: int = 200, body: Any = None, **headers: str) -> Response:
    raw = b"" if body is None else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


Answer = Response | CloudSyncError | Callable[[HttpRequest], Response | CloudSyncError]


@dataclass
class Driver:
    """Answers a flow out of a script; time passes by its pauses only."""

    script: list[Answer]
    now: float = NOW
    sent: list[HttpRequest] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    shared: list[SingleFlight] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def run(self, flow: Any) -> Any:
        return drive(flow, self.carry_out)

    def carry_out(self, message: Any) -> Any:
        if isinstance(message, Pause):
            self.pauses.append(message.seconds)
            self.now += message.seconds
            return None
        if isinstance(message, AcquireSlot | Cooldown):
            return 0.0
        if isinstance(message, SingleFlight):
            self.shared.append(message)
            return self.run(message.make())
        assert isinstance(message, HttpRequest)
        self.sent.append(message)
        result = self.script.pop(0)
        result = result(message) if callable(result) else result
        if isinstance(result, CloudSyncError):
            raise result
        return result

    def cloud(self, **more: Any) -> Cloud:
        given = {"region": "cn-north-4", "project_id": "p1", **more}
        return Cloud(credentials=KeyPair("ak", "sk"), clock=self.clock, **given)


def outcome(driver: Driver, flow: Any) -> Any:
    try:
        return driver.run(flow)
    except CloudSyncError as error:
        return error


class TestPreparing:
    def sent(self, request: Request, **more: Any) -> HttpRequest:
        driver = Driver([answer(200, {})])
        driver.run(call(driver.cloud(**more), request))
        return driver.sent[0]

    def test_a_read(self):
        sent = self.sent(READ)
        assert (sent.method, sent.url, sent.body) == (
            "GET",
            "https://mrs.cn-north-4.myhuaweicloud.com/v2/p1/things",
            b"",
        )
        assert {**sent.headers, "Authorization": None} == {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "airflow-provider-cloudsync",
            "X-Project-Id": "p1",
            "Host": "mrs.cn-north-4.myhuaweicloud.com",
            "X-Sdk-Date": "20191115T033655Z",
            "Authorization": None,
        }

    def test_a_body_is_json_in_ascii(self):
        sent = self.sent(START)
        assert sent.body == b'{"a": [1, "\\u5de5"]}'
        assert json.loads(sent.body) == START.json

    def test_an_empty_object_is_a_body(self):
        assert self.sent(replace(START, json={})).body == b"{}"

    def test_the_query_is_canonical(self):
        sent = self.sent(replace(READ, query=(("b", "x y"), ("a", "+"), ("a", ""))))
        assert urlsplit(sent.url).query == "a=&a=%2B&b=x%20y"

    def test_a_path_without_a_project_has_no_project_header(self):
        sent = self.sent(replace(READ, service="iam", path="/v3/projects"), project_id=None)
        assert "X-Project-Id" not in sent.headers
        assert sent.url == "https://iam.cn-north-4.myhuaweicloud.com/v3/projects"

    def test_headers_of_the_request(self):
        sent = self.sent(replace(READ, headers={"workspace": "w"}))
        assert sent.headers["workspace"] == "w"
        assert ";workspace;" in sent.headers["Authorization"]

    @pytest.mark.parametrize("written", [str, str.lower, str.upper])
    def test_headers_of_the_request_change_neither_the_host_nor_the_project(self, written):
        own = {written("Host"): "elsewhere.example", written("X-Project-Id"): "p2", "User-Agent": "mine"}
        sent = self.sent(replace(READ, headers=own)).headers
        names = [name.lower() for name in sent]
        assert len(names) == len(set(names))
        assert (sent["Host"], sent["X-Project-Id"]) == ("mrs.cn-north-4.myhuaweicloud.com", "p1")
        assert sent["User-Agent"] == "mine"

    def test_a_request_with_headers_leaves_those_of_the_next_alone(self):
        driver = Driver([answer(), answer()])
        cloud = driver.cloud()
        for headers in ({"workspace": "w"}, {}):
            driver.run(call(cloud, replace(READ, headers=headers)))
        assert ["workspace" in sent.headers for sent in driver.sent] == [True, False]

    def test_the_wiring_travels_along(self):
        http_settings = HttpSettings(read_timeout=5.0, proxy="http://p")
        assert self.sent(READ, http_settings=http_settings).http_settings is http_settings

    @pytest.mark.parametrize(
        ("endpoint", "url", "host"),
        [
            ("https://h.example:8443", "https://h.example:8443/v2/p1/things", "h.example:8443"),
            ("https://h.example:443", "https://h.example:443/v2/p1/things", "h.example:443"),
            ("http://[::1]:8080", "http://[::1]:8080/v2/p1/things", "[::1]:8080"),
            ("https://h.example/prefix/", "https://h.example/prefix/v2/p1/things", "h.example"),
        ],
    )
    def test_endpoints(self, endpoint, url, host):
        sent = self.sent(READ, endpoint=endpoint)
        assert (sent.url, sent.headers["Host"]) == (url, host)

    def test_a_security_token(self):
        driver = Driver([answer(200, {})])
        cloud = replace(driver.cloud(), credentials=KeyPair("ak", "sk", "token"))
        driver.run(call(cloud, READ))
        assert driver.sent[0].headers["X-Security-Token"] == "token"

    def test_no_region_is_an_error_before_anything_is_sent(self):
        driver = Driver([])
        with pytest.raises(InvalidConnection, match="No region is set"):
            driver.run(call(driver.cloud(region=None), READ))
        assert (driver.sent, driver.pauses) == ([], [])

    def test_no_project_and_none_to_look_up(self):
        driver = Driver([])
        with pytest.raises(InvalidConnection, match="project_id"):
            driver.run(call(driver.cloud(project_id=None), READ))
        assert driver.sent == []


def error_reply(status, **headers):
    return answer(status, {"error_code": "X.1", "error_msg": "m"}, **headers)


THROTTLE = answer(429, {"error_code": "APIGW.0308", "error_msg": "limit:60,time:1 minute"})
LOST = TransportError("lost")
NEVER_LEFT = TransportError("refused", sent=False)
LASTING = TransportError("certificate", sent=False, permanent=True)

FAULTS = [
    # id, fault, kind of error, sends of a read, pauses of a read, sends of a start
    ("400", error_reply(400), ApiError, 1, [], 1),
    ("401", error_reply(401), CredentialsRejected, 1, [], 1),
    ("403", error_reply(403), ApiError, 1, [], 1),
    ("404", error_reply(404), ApiError, 1, [], 1),
    ("302", error_reply(302), ApiError, 1, [], 1),
    ("200 with an error", error_reply(200), ApiError, 1, [], 1),
    ("408", error_reply(408), ApiError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("500", error_reply(500), ApiError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("502", error_reply(502), ApiError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("503", error_reply(503), ApiError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("504", error_reply(504), ApiError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("429", error_reply(429), Throttled, 5, [0.5, 1.0, 2.0, 4.0], 5),
    ("429 with a window", THROTTLE, Throttled, 5, [60.0] * 4, 5),
    ("429 with Retry-After", error_reply(429, retry_after="3"), Throttled, 5, [3.0] * 4, 5),
    ("not JSON", Response(200, {}, b"<html>"), UnreadableReply, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("reply lost", LOST, TransportError, 5, [0.5, 1.0, 2.0, 4.0], 1),
    ("never left", NEVER_LEFT, TransportError, 5, [0.5, 1.0, 2.0, 4.0], 5),
    ("certificate", LASTING, TransportError, 1, [], 1),
]


@pytest.mark.parametrize(
    ("fault", "kind", "reads", "pauses", "starts"), [pytest.param(*case[1:], id=case[0]) for case in FAULTS]
)
class TestAttempts:
    def test_a_read_that_never_succeeds(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        with pytest.raises(CloudSyncError) as caught:
            driver.run(call(driver.cloud(), READ))
        assert type(caught.value) is kind
        assert (len(driver.sent), driver.pauses) == (reads, pauses)

    def test_a_start_that_never_succeeds(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        with pytest.raises(CloudSyncError) as caught:
            driver.run(call(driver.cloud(), START))
        assert type(caught.value) is kind
        assert (len(driver.sent), len(driver.pauses)) == (starts, starts - 1)

    def test_one_attempt_is_one(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        with pytest.raises(kind):
            driver.run(call(driver.cloud().once(), READ))
        assert (len(driver.sent), driver.pauses) == (1, [])

    def test_no_pause_past_the_deadline(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        with pytest.raises(kind):
            driver.run(call(driver.cloud().until(NOW + 1.0), READ))
        assert driver.now <= NOW + 1.0
        assert len(driver.sent) == 1 + len(driver.pauses)
        assert driver.pauses == [pause for pause in pauses[:1] if pause <= 1.0]

    def test_a_deadline_that_is_over_allows_one_attempt(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        with pytest.raises(kind):
            driver.run(call(driver.cloud().until(NOW - 10.0), READ))
        assert (len(driver.sent), driver.pauses) == (1, [])

    def test_a_success_at_last(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault, answer(200, {"ok": True})])
        result = outcome(driver, call(driver.cloud(), READ))
        if reads > 1:
            assert result.data == {"ok": True}
            assert driver.pauses == pauses[:1]
        else:
            assert type(result) is kind

    def test_each_attempt_is_signed_anew(self, fault, kind, reads, pauses, starts):
        driver = Driver([fault] * 9)
        outcome(driver, call(driver.cloud(), READ))
        proofs = [sent.headers["Authorization"] for sent in driver.sent]
        dates = [sent.headers["X-Sdk-Date"] for sent in driver.sent]
        moments = [NOW]
        for pause in driver.pauses:
            moments.append(moments[-1] + pause)
        from airflow_provider_cloudsync.api.signing import format_date

        assert dates == [format_date(moment) for moment in moments]
        # The same second is the same signature, another one is another.
        assert len(set(proofs)) == len(set(dates))


def test_errors_may_differ_from_attempt_to_attempt():
    driver = Driver([LOST, error_reply(503), THROTTLE, NEVER_LEFT, answer(200, {"ok": 1})])
    assert driver.run(call(driver.cloud(), READ)).data == {"ok": 1}
    assert driver.pauses == [0.5, 1.0, 60.0, 4.0]


def test_a_401_ends_the_attempts():
    driver = Driver([error_reply(503), error_reply(401), answer(200, {})])
    with pytest.raises(CredentialsRejected):
        driver.run(call(driver.cloud(), READ))
    assert len(driver.sent) == 2


def test_a_reply_lost_after_a_throttled_start_is_not_sent_again():
    driver = Driver([THROTTLE, LOST, answer(200, {})])
    with pytest.raises(TransportError, match="lost"):
        driver.run(call(driver.cloud(), START))
    assert len(driver.sent) == 2


def test_a_bug_is_not_swallowed():
    """What is none of our errors passes through, and is never retried."""
    flow = call(Driver([]).cloud(), READ)
    next(flow)
    with pytest.raises(ZeroDivisionError):
        flow.throw(ZeroDivisionError())


def test_an_abandoned_call_ends():
    flow = call(Driver([]).cloud(), READ)
    next(flow)
    flow.close()
    assert inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED


def test_the_log_says_what_failed_and_holds_no_secret(caplog):
    caplog.set_level(logging.DEBUG)
    driver = Driver(
        [error_reply(503, x_request_id="rid"), answer(200, {"secret": "SECRET"}, x_request_id="r2")]
    )
    cloud = replace(driver.cloud(), credentials=KeyPair("AKIDAKID", "SKSKSKSK", "TOKTOKTOK"))
    driver.run(call(cloud, READ))
    assert [record.levelname for record in caplog.records] == ["INFO", "DEBUG"]
    assert "Attempt 1 failed: Service error (503 X.1): m." in caplog.text
    assert "rid" in caplog.text
    assert "r2" in caplog.text
    assert not any(text in caplog.text for text in ("AKID", "SKSK", "TOKTOK", "SECRET", "Signature"))


def test_scope_tells_who_must_not_share():
    cloud = Driver([]).cloud()
    assert cloud.scope == replace(cloud, attempts=1, give_up_at=5.0, user_agent="x").scope
    assert hash(cloud.scope) == hash(replace(cloud).scope)
    others = [
        replace(cloud, credentials=KeyPair("other", "sk")),
        replace(cloud, region="cn-north-1"),
        replace(cloud, project_id="p2"),
        replace(cloud, project_id=None),
        replace(cloud, endpoint="https://e"),
        replace(cloud, endpoints={"mrs": "https://e"}),
        replace(cloud, http_settings=HttpSettings(verify=False)),
        replace(cloud, http_settings=HttpSettings(proxy="http://p")),
    ]
    assert len({cloud.scope, *(other.scope for other in others)}) == 1 + len(others)
    assert "sk" not in repr(cloud.scope).replace("aksk:", "")


# --- the project ---------------------------------------------------------------------------------------------------


def projects(*ids, name="cn-north-4"):
    return answer(200, {"projects": [{"id": each, "name": name} for each in ids]})


class TestProject:
    def test_it_is_looked_up_and_filled_in(self):
        driver = Driver([projects("found"), answer(200, {})])
        driver.run(call(driver.cloud(project_id=None, find_project=find_project), READ))
        lookup, read = driver.sent
        assert lookup.url == "https://iam.cn-north-4.myhuaweicloud.com/v3/projects?name=cn-north-4"
        assert "X-Project-Id" not in lookup.headers
        assert read.url.endswith("/v2/found/things")
        assert read.headers["X-Project-Id"] == "found"

    def test_it_is_shared_by_who_asks_where(self):
        def key(**more):
            driver = Driver([projects("found", name=more.get("region", "cn-north-4"))])
            driver.run(find_project(driver.cloud(**{"project_id": None, **more})))
            (shared,) = [each for each in driver.shared if each.key[0] == "project"]
            assert shared.max_age > 0
            assert shared.wait == 0
            return shared.key

        assert key() == key()
        assert key() != key(region="cn-north-1")
        assert key() != key(endpoint="https://e")

    @pytest.mark.parametrize(
        ("ids", "says"),
        [
            pytest.param([], ["no project", '"cn-north-4"', "project_id"], id="none"),
            pytest.param(["a", "b"], ["2 projects (a, b)", "project_id"], id="two"),
            pytest.param(list("abcdefg"), ["7 projects (a, b, c, d, e)"], id="many"),
        ],
    )
    def test_not_exactly_one(self, ids, says):
        driver = Driver([projects(*ids)])
        with pytest.raises(InvalidConnection) as caught:
            driver.run(call(driver.cloud(project_id=None, find_project=find_project), READ))
        assert len(driver.sent) == 1
        assert driver.pauses == []
        for text in says:
            assert text in caught.value.message

    @pytest.mark.parametrize(
        ("names", "found"),
        [
            pytest.param(["cn-north-4_dev", "cn-north-4"], "p1", id="a sub-project before it"),
            pytest.param(["cn-north-4", "cn-north-4_dev", "cn-north-44"], "p0", id="others after it"),
            pytest.param(["cn-north-4_dev"], None, id="a sub-project only"),
            pytest.param(["CN-NORTH-4"], None, id="upper case"),
            pytest.param(["cn-north-4 "], None, id="a blank after it"),
        ],
    )
    def test_names_are_compared_exactly(self, names, found):
        reply = answer(200, {"projects": [{"id": f"p{n}", "name": name} for n, name in enumerate(names)]})
        driver = Driver([reply, answer(200, {})])
        cloud = driver.cloud(project_id=None, find_project=find_project)
        if found is None:
            with pytest.raises(InvalidConnection, match="no project"):
                driver.run(call(cloud, READ))
        else:
            driver.run(call(cloud, READ))
            assert driver.sent[1].headers["X-Project-Id"] == found

    @pytest.mark.parametrize(
        ("region", "near"),
        [
            ("cn-noth-4", "cn-north-4"),
            ("CN-NORTH-4", "cn-north-4"),
            ("cn_north_4", "cn-north-4"),
            ("ap-southest-3", "ap-southeast-3"),
            ("my-private-1", None),
        ],
    )
    @pytest.mark.parametrize("source", [PARAMETER_REGION, EXTRA_REGION])
    def test_a_region_of_no_project_is_named_with_where_it_was_set(self, region, near, source):
        driver = Driver([projects()])
        cloud = driver.cloud(
            region=region,
            region_source=source,
            project_id=None,
            endpoint="https://e",
            find_project=find_project,
        )
        with pytest.raises(InvalidConnection) as caught:
            driver.run(call(cloud, READ))
        message = caught.value.message
        assert f'"{region}" ({source})' in message
        assert message.startswith(f'Unknown region "{region}"') is (near is not None)
        assert ("Did you mean" in message) is (near is not None)
        assert f"Did you mean {near}?" in message or near is None

    def test_a_region_of_a_private_cloud_works_as_before(self):
        driver = Driver([projects("found", name="CN-NORTH-4"), answer(200, {})])
        cloud = driver.cloud(
            region="CN-NORTH-4", project_id=None, endpoint="https://e", find_project=find_project
        )
        driver.run(call(cloud, READ))
        assert driver.sent[1].headers["X-Project-Id"] == "found"

    def test_no_region_to_look_it_up_by(self):
        driver = Driver([])
        cloud = driver.cloud(region=None, project_id=None, endpoint="https://e", find_project=find_project)
        with pytest.raises(InvalidConnection, match="No project and no region"):
            driver.run(call(cloud, READ))
        assert driver.sent == []

    def test_a_look_up_that_fails_for_a_moment_is_made_again(self):
        driver = Driver([error_reply(503), projects("found"), answer(200, {"ok": 1})])
        cloud = driver.cloud(project_id=None, find_project=find_project)
        assert driver.run(call(cloud, READ)).data == {"ok": 1}

    @pytest.mark.parametrize("request_", [READ, START], ids=["read", "start"])
    @pytest.mark.parametrize("fault", [error_reply(401), error_reply(403)], ids=["401", "403"])
    def test_a_look_up_that_is_refused(self, request_, fault):
        driver = Driver([fault] * 9)
        cloud = driver.cloud(project_id=None, find_project=find_project)
        with pytest.raises(ApiError) as caught:
            driver.run(call(cloud, request_))
        assert caught.value.operation == "KeystoneListProjects"
        assert ('Set "project_id"' in caught.value.message) is (fault.status == 403)
        assert len(driver.sent) == 1

    @pytest.mark.parametrize("fault", [error_reply(503), LOST, THROTTLE], ids=["503", "lost", "429"])
    def test_a_look_up_that_never_succeeds_keeps_to_the_number_of_attempts(self, fault):
        """The call around it must not multiply the attempts of the look-up."""
        driver = Driver([fault] * 50)
        cloud = driver.cloud(project_id=None, find_project=find_project)
        with pytest.raises(CloudSyncError):
            driver.run(call(cloud, READ))
        assert len(driver.sent) <= cloud.attempts

    def test_a_start_whose_project_can_not_be_looked_up_was_not_sent(self):
        """Whoever started must not be told that the start may have been taken."""
        from airflow_provider_cloudsync.api.retries import is_uncertain

        driver = Driver([LOST] * 50)
        cloud = driver.cloud(project_id=None, find_project=find_project)
        error = outcome(driver, call(cloud, START))
        assert {sent.method for sent in driver.sent} == {"GET"}
        assert not is_uncertain(error)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param({"projects": [{"name": "cn-north-4"}]}, id="no id"),
            pytest.param({"projects": [{"id": None, "name": "cn-north-4"}]}, id="id null"),
            pytest.param({"projects": [{"id": 5, "name": "cn-north-4"}]}, id="id a number"),
            pytest.param({"projects": [{"id": "", "name": "cn-north-4"}]}, id="id empty"),
            pytest.param({"projects": [{"id": "../../x", "name": "cn-north-4"}]}, id="id leads elsewhere"),
            pytest.param({"projects": ["p1"]}, id="text for an object"),
            pytest.param({"projects": [None, None]}, id="nulls"),
            pytest.param({"projects": {}}, id="an object"),
            pytest.param({}, id="nothing"),
        ],
    )
    def test_a_look_up_that_says_nothing_usable(self, reply):
        driver = Driver([answer(200, reply)] * 50)
        cloud = driver.cloud(project_id=None, find_project=find_project)
        with pytest.raises(CloudSyncError):
            driver.run(call(cloud, READ))
        assert {urlsplit(sent.url).path for sent in driver.sent} == {"/v3/projects"}

    def test_lists(self):
        driver = Driver([projects("a", "b")])
        reply = driver.run(call(driver.cloud(), OWN_PROJECTS))
        assert [each["id"] for each in projects_in(reply)] == ["a", "b"]
        driver.script = [projects("a")]
        driver.run(list_projects(driver.cloud(), "name with blank"))
        assert [urlsplit(sent.url)[2:4] for sent in driver.sent] == [
            ("/v3/auth/projects", ""),
            ("/v3/projects", "name=name%20with%20blank"),
        ]
