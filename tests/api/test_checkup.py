"""Where a connection leads: each step failing, each service denied, and one line of it all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.checkup import Finding, examine, verdict
from airflow_provider_cloudsync.api.credentials import Anonymous, KeyPair, Token
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import HttpRequest
from airflow_provider_cloudsync.api.services import NAMES, find_probe
from airflow_provider_cloudsync.api.services.iam import find_domain, find_project
from airflow_provider_cloudsync.api.signins.password import Password
from airflow_provider_cloudsync.exceptions import CloudSyncError, TransportError
from tests.support.scripted_network import DRIVERS, Stage, answer, http_date

PROJECTS = [{"id": "p1", "name": "cn-north-4"}, {"id": "p2", "name": "cn-north-1"}]
HOSTS = {"kms": "csms", "dayu": "dataarts"}
EVERYTHING = tuple(NAMES)
ACCESS_KEY, SECRET_KEY = "HPUAAAAAAAAAAAAAWXYZ", "S3CR3Tsk"

pytestmark = pytest.mark.usefixtures("no_chance")


class Site:
    """IAM and the services; what differs is given by the name of a service or the last part of a path of IAM."""

    def __init__(self, stage: Stage, **replies: Any) -> None:
        self.stage = stage
        self.replies = {
            "projects": answer(200, {"projects": PROJECTS}),
            "domains": answer(200, {"domains": [{"id": "d1"}]}),
            "dataarts": answer(400, {"error_code": "DLS.6036", "error_msg": "no workspace"}),
            **replies,
        }
        self.skew = 0.0
        stage.answer = self

    def __call__(self, request: HttpRequest) -> Any:
        name = self.name(request)
        reply = self.replies.get(name, answer(200, {}))
        if isinstance(reply, Exception):
            return reply
        return replace(reply, headers={"date": http_date(self.stage.now - self.skew), **reply.headers})

    def name(self, request: HttpRequest) -> str:
        parts = urlsplit(request.url)
        host = parts.netloc.partition(".")[0].partition("-")[0]
        if host in ("iam", "sts"):
            return parts.path.rsplit("/", 1)[1]
        return HOSTS.get(host, host)

    @property
    def asked(self) -> list[str]:
        return [self.name(each) for each in self.stage.sent]


def cloud(stage: Stage, **more: Any) -> Cloud:
    given = {
        "region": "cn-north-4",
        "project_id": "p1",
        "credentials": KeyPair(ACCESS_KEY, SECRET_KEY),
        **more,
    }
    return Cloud(clock=stage.clock, find_project=find_project, find_domain=find_domain, attempts=1, **given)


def look(
    stage: Stage, services: Any = EVERYTHING, driver: str = "blocking", **more: Any
) -> dict[str, Finding]:
    told: list[Finding] = []
    findings = stage.drive(driver, examine(cloud(stage, **more), services, told.append))
    assert told == findings
    assert SECRET_KEY not in repr(findings)
    assert ACCESS_KEY not in repr(findings)
    for each in findings:
        assert each.text
        assert each.text.isprintable()
    return {each.step: each for each in findings}


@pytest.mark.parametrize("driver", DRIVERS)
def test_all_is_well(stage, driver):
    site = Site(stage)
    found = look(stage, driver=driver)
    assert list(found) == ["identity", "sign-in", "clock", "account", "project", *NAMES]
    assert found["identity"] == Finding("identity", None, "access key HPUA...WXYZ")
    oks = [each.ok for step, each in found.items() if step != "identity"]
    assert oks == [
        True,
        True,
        True,
        True,
        True,
        None,
        True,
        True,
        True,
    ]  # DataArts shows it with a workspace only
    assert site.asked == ["projects", "domains", *NAMES]
    assert {each.method for each in stage.sent} == {"GET"}
    assert "https://kms.cn-north-4.myhuaweicloud.com" in found["csms"].text


def test_only_what_is_asked_for(stage):
    site = Site(stage)
    look(stage, ["hss"])
    assert site.asked == ["projects", "domains", "hss"]


# --- signing in ----------------------------------------------------------------------------------------------------

REFUSED = {
    "error_code": "APIGW.0301",
    "error_msg": "Incorrect IAM authentication: verify aksk signature fail",
}
LOCKED = {"error_code": "APIGW.0301", "error_msg": "AK access failed to reach the limit, forbidden"}
OFF = {"error_code": "APIGW.0301", "error_msg": "X-Sdk-Date is 3600 s off, signature expired"}
SIGN_INS = [
    # id, what becomes of the first request, what is said, whether the services are asked all the same
    (
        "DNS",
        TransportError("GET https://iam: the host's name can't be resolved", sent=False),
        "resolved",
        True,
    ),
    ("refused", TransportError("the connection was refused", sent=False), "refused", True),
    ("TLS", TransportError("certificate", sent=False, permanent=True), "certificate", True),
    ("timeout", TransportError("no reply in time"), "in time", True),
    ("key", answer(401, REFUSED), "Check access key", False),
    ("locked", answer(401, LOCKED), "Access key locked", False),
    ("clock", answer(401, OFF), "clock", False),
    ("forbidden", answer(403, {"error": {"code": 403, "message": "no"}}), "403", True),
    ("503", answer(503), "503", True),
    ("429", answer(429, {"error_msg": "limit:1,time:1 minute"}), "429", True),
    ("redirect", answer(302, b"", location="https://x"), "redirects", True),
    ("login page", answer(200, b"<html>log in</html>"), "not JSON", True),
    ("empty", answer(200), "projects", True),
    ("no list", answer(200, {"projects": {}}), "projects", True),
    ("odd project", answer(200, {"projects": [{"id": "../x", "name": "n"}]}), "Unusable project", True),
]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("fault", "says", "goes_on"), [pytest.param(*case[1:], id=case[0]) for case in SIGN_INS]
)
def test_signing_in_fails(stage, driver, fault, says, goes_on):
    site = Site(stage, projects=fault)
    found = look(stage, driver=driver)
    assert found["sign-in"].ok is False
    assert says in found["sign-in"].text
    assert "account" not in found
    assert "project" not in found
    # After a rejected key nothing more is sent: each would be one more failure towards a lock.
    assert [name for name in site.asked[1:] if name != "domains"] == (list(NAMES) if goes_on else [])
    works, text = verdict(found.values())
    assert works is False
    assert text == f"sign-in: {found['sign-in'].text}"


def test_no_region_and_no_project(stage):
    found = look(stage, region=None, project_id=None)
    assert stage.sent == []
    assert (found["sign-in"].ok, verdict(found.values())[0]) == (False, False)
    assert "region" in found["sign-in"].text
    assert found["mrs"] == Finding("mrs", None, "not asked, since the project is not known")


@pytest.mark.parametrize(
    ("skew", "ok", "says"),
    [
        (0, True, "0 s"),
        (59, True, "59 s ahead of"),
        (-59, True, "59 s behind"),
        (61, None, "61 s ahead of"),
        (-899, None, "899 s behind"),
        (901, False, "Set its clock"),
        (-86400, False, "86400 s behind the cloud's clock"),
    ],
)
def test_the_clock(stage, skew, ok, says):
    site = Site(stage)
    site.skew = skew
    found = look(stage, credentials=Token("t"))
    assert found["clock"].ok is ok
    assert says in found["clock"].text
    assert verdict(found.values())[0] is (ok is not False)


def test_a_cloud_that_does_not_tell_its_time(stage):
    stage.answer = lambda request: answer(200, {"projects": PROJECTS, "domains": []})
    assert "clock" not in look(stage)


# --- account and project -------------------------------------------------------------------------------------------

ACCOUNTS = [
    # id, domain_id of the connection, reply of IAM, reply of STS, verdict, what is said
    ("found", None, {"domains": [{"id": "d9"}]}, {}, True, "d9"),
    ("said", "d1", None, None, None, "d1, as the connection says"),
    ("by STS", None, {"domains": []}, {"account_id": "d7"}, True, "d7"),
    ("two", None, {"domains": [{"id": "a"}, {"id": "b"}]}, {}, None, "2 accounts"),
    ("none", None, {"domains": []}, {"account_id": ""}, None, "needed for COC only"),
    ("odd", None, {"domains": [{"id": "../x"}, None, 5]}, {"account_id": "d7"}, True, "d7"),
    ("no list", None, {"domains": "x"}, {}, None, "needed for COC only"),
]


@pytest.mark.parametrize(
    ("given", "iam", "sts", "ok", "says"), [pytest.param(*case[1:], id=case[0]) for case in ACCOUNTS]
)
def test_the_account(stage, given, iam, sts, ok, says):
    Site(stage, **{"domains": answer(200, iam), "caller-identity": answer(200, sts)})
    found = look(stage, domain_id=given)
    assert found["account"].ok is ok
    assert says in found["account"].text
    assert verdict(found.values())[0] is True


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_an_account_that_is_not_told_is_no_failure(stage, status):
    Site(stage, domains=answer(status, {"error": {"code": status, "message": "no"}}))
    found = look(stage, ["mrs"])
    assert found["account"].ok is None


OWN = [
    # id, connection, projects, verdict, words
    ("named", {"project_id": "p1"}, PROJECTS, True, ['p1 is "cn-north-4"']),
    ("not the user's", {"project_id": "p9"}, PROJECTS, False, ["no project p9", "cn-north-1, cn-north-4"]),
    ("of another region", {"project_id": "p2"}, PROJECTS, False, ['"cn-north-1"', '"cn-north-4"', "agree"]),
    (
        "a part of a region's",
        {"project_id": "p3"},
        [*PROJECTS, {"id": "p3", "name": "cn-north-4_team"}],
        True,
        ["cn-north-4_team"],
    ),
    ("by region", {"project_id": None}, PROJECTS, True, ['p1, the one of region "cn-north-4"']),
    (
        "none of the region",
        {"project_id": None, "region": "eu-west-0"},
        PROJECTS,
        False,
        ["no project of its user"],
    ),
    (
        "two of the region",
        {"project_id": None},
        [*PROJECTS, {"id": "p4", "name": "cn-north-4"}],
        False,
        ["2 pro"],
    ),
    ("no project at all", {"project_id": None}, [], False, ["It has: none"]),
    (
        "neither",
        {"project_id": None, "region": None, "endpoint": "https://mrs.example"},
        PROJECTS,
        False,
        ["neither a region nor a project"],
    ),
]


@pytest.mark.parametrize(
    ("connection", "projects", "ok", "words"), [pytest.param(*case[1:], id=case[0]) for case in OWN]
)
def test_the_project(stage, connection, projects, ok, words):
    site = Site(stage, projects=answer(200, {"projects": projects}))
    if "endpoint" in connection:
        site.name = lambda request: urlsplit(request.url).path.rsplit("/", 1)[1]
    found = look(stage, ["mrs"], **connection)
    assert found["project"].ok is ok
    for word in words:
        assert word in found["project"].text
    assert verdict(found.values())[0] is ok
    if connection["project_id"] is None:
        assert (found["mrs"].ok is None) is not ok


def test_a_hundred_projects_are_not_all_told(stage):
    many = [{"id": f"x{n}", "name": f"region-{n:03}"} for n in range(100)]
    Site(stage, projects=answer(200, {"projects": many}))
    assert look(stage)["project"].text.count("region-") <= 10


# --- services ------------------------------------------------------------------------------------------------------

DENIALS = {
    "mrs": answer(403, {"error_code": "MRS.0403", "error_msg": "no permission"}),
    "dataarts": answer(403, {"error_code": "DLS.0403", "error_msg": "no permission"}),
    "hss": answer(400, {"error_code": "HSS.0013", "error_msg": "no permission"}),
    "coc": answer(403, {"error_code": "COC.0403", "error_msg": "no permission"}),
    "csms": answer(403, {"error": {"error_code": "CSMS.0403", "error_msg": "no permission"}}),
}


@pytest.mark.parametrize("service", DENIALS)
def test_a_service_that_is_denied(stage, service):
    Site(stage, **{service: DENIALS[service]})
    found = look(stage)
    assert found[service].ok is False
    assert f"Ask for: {find_probe(service).needs}" in found[service].text
    others = [each.ok for step, each in found.items() if step in NAMES and step != service]
    assert False not in others
    works, text = verdict(found.values())
    assert works is True  # hardly anybody needs all services
    assert f"{service}: not allowed" in text


@pytest.mark.parametrize("code", ["HSS.0010", "HSS.0013", "00000010"])
def test_codes_of_hss_that_mean_denied(stage, code):
    Site(stage, hss=answer(400, {"error_code": code, "error_description": "no"}))
    assert "Ask for" in look(stage, ["hss"])["hss"].text


def test_mrs_says_401_for_a_permission(stage):
    Site(stage, mrs=answer(401, {"error_code": "12000136", "error_msg": "no permission"}))
    found = look(stage)
    assert f"Ask for: {find_probe('mrs').needs}" in found["mrs"].text
    assert [found[name].ok for name in NAMES] == [False, None, True, True, True]


@pytest.mark.parametrize(
    ("fault", "ok", "says"),
    [
        pytest.param(
            answer(429, {"error_code": "APIGW.0308", "error_msg": "limit:5,time:1 minute"}),
            False,
            "too often",
            id="429",
        ),
        pytest.param(answer(429, b"slow down"), False, "by an intermediary", id="429 of a proxy"),
        pytest.param(answer(500), False, "500", id="500"),
        pytest.param(
            answer(404, {"error_code": "APIGW.0101", "error_msg": "x"}), False, "No such API", id="404"
        ),
        pytest.param(
            TransportError("the host's name can't be resolved", sent=False), False, "resolved", id="DNS"
        ),
        pytest.param(answer(200, b"<html>"), False, "not JSON", id="a login page"),
        pytest.param(answer(302), False, "redirects", id="redirect"),
        pytest.param(answer(403, {"error_code": "X.1"}), False, "Ask for", id="403"),
        pytest.param(answer(403), False, "may come from an intermediary", id="403 and nothing else"),
        pytest.param(answer(403, b"<html>blocked</html>"), False, "by an intermediary", id="403 of a proxy"),
    ],
)
def test_a_service_that_can_not_be_asked(stage, fault, ok, says):
    Site(stage, mrs=fault)
    found = look(stage)
    assert found["mrs"].ok is ok
    assert says in found["mrs"].text
    assert [found[name].ok for name in ("dataarts", "hss", "coc", "csms")] == [None, True, True, True]


def test_a_key_that_is_rejected_in_the_middle(stage):
    Site(stage, hss=answer(401, REFUSED))
    found = look(stage)
    assert [found[name].ok for name in NAMES] == [True, None, False, False, False]
    assert sum("401" in found[name].text for name in NAMES) == 1
    assert len(stage.sent) == 2 + 3


def test_a_service_without_an_endpoint(stage):
    Site(stage)
    found = look(stage, region="eu-west-0", project_id="p1")
    assert found["hss"].ok is False
    assert "eu-west-0" in found["hss"].text


@pytest.mark.parametrize("driver", DRIVERS)
def test_by_password(stage, driver):
    site = Site(stage)
    body = {"token": {"expires_at": "2030-01-01T00:00:00.000000Z"}}
    site.replies["tokens"] = answer(201, body, x_subject_token="t")
    ask = cloud(stage, credentials=Anonymous())
    way = Password(ask=ask, user="me", password=SECRET_KEY, domain_name="acct")
    found = look(stage, driver=driver, credentials=way)
    assert found["identity"].text == "IAM user me of account acct"
    assert all(each.ok is not False for each in found.values())
    # One token for the account, one for the project.
    assert site.asked.count("tokens") == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["projects", "domains", "id", "name", "x", "error_code"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    replies=st.dictionaries(
        st.sampled_from(["projects", "domains", "caller-identity", *NAMES]),
        st.tuples(st.sampled_from([200, 400, 401, 403, 404, 500]), JSON),
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_back(replies):
    with pytest.MonkeyPatch.context() as monkeypatch:
        stage = Stage(monkeypatch)
        Site(stage, **{name: answer(status, body) for name, (status, body) in replies.items()})
        found = look(stage)
        works, text = verdict(found.values())
        assert isinstance(works, bool)
        assert json.dumps(text)


def test_only_this_package_s_errors_are_findings(stage):
    class Bug(Exception):
        pass

    def reply(request):
        raise Bug

    stage.answer = reply
    with pytest.raises(Bug):
        look(stage)
    assert not issubclass(Bug, CloudSyncError)


@pytest.mark.parametrize("password", ["hunter2", "S3CR3T-pass word/7"])
@pytest.mark.parametrize(
    "replies",
    [
        {"tokens": "error"},
        {"projects": "error"},
        {"domains": "error"},
        {"mrs": "error"},
        {"projects": "names"},
        {"domains": "names"},
    ],
    ids=lambda replies: "-".join(*replies.items()),
)
def test_no_password_is_printed(stage, replies, password):
    """Whatever echoes it: an error, or the names in a success."""
    token_too = "" if "tokens" in replies else ", sent with TOKEN-1"
    error = answer(400, {"error_msg": f"cannot read {json.dumps({'password': password})}{token_too}"})
    named = {
        "projects": answer(200, {"projects": [{"id": "p9", "name": password}]}),
        "domains": answer(200, {"domains": [{"id": "d1"}]}),
    }
    token = answer(201, {"token": {"expires_at": "2027-01-01T00:00:00Z"}}, x_subject_token="TOKEN-1")
    site = Site(stage, tokens=token)
    for name, what in replies.items():
        site.replies[name] = error if what == "error" else named[name]
    ask = Cloud(credentials=Anonymous(), clock=stage.clock, region="cn-north-4")
    credentials = Password(ask=ask, user="u", password=password, domain_name="d")
    found = look(stage, credentials=credentials)
    told = repr(found) + verdict(found.values())[1]
    for secret in (password, json.dumps(password)[1:-1], "TOKEN-1"):
        assert secret not in told
