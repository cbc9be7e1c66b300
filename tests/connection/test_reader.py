"""From an Airflow connection to the cloud: which are taken, which are refused and how, and the hook on top of it."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from airflow.providers.common.compat.sdk import Connection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync import __version__
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import HttpSettings
from airflow_provider_cloudsync.connection.fields import FIELDS
from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CredentialsRejected,
    InvalidConnection,
    InvalidParameter,
    TransportError,
)
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.transport import coalescing, drivers


@dataclass
class Given:
    """A connection as Airflow hands it over."""

    login: Any = "AKIDAKID"
    password: Any = "SKSKSKSK"
    extra: Any = None
    conn_id: str = "my_conn"


def given_extra(**extra: Any) -> Given:
    return Given(extra=json.dumps(extra))


def read(connection: Any, **more: Any) -> Cloud:
    return read_connection(connection, clock=time.time, **more)


def refused(connection: Any, **more: Any) -> InvalidConnection:
    with pytest.raises(InvalidConnection) as caught:
        read(connection, **more)
    return caught.value


# --- taken ---------------------------------------------------------------------------------------------------------

NORMAL = {"region": "cn-north-4", "project_id": "p1"}
TAKEN = [
    # id, extra, what the cloud is then, besides the usual
    ("nothing at all", {}, {}),
    ("region and project", NORMAL, NORMAL),
    ("region", {"region": "cn-north-4"}, {"region": "cn-north-4"}),
    (
        "one of the older Huawei provider",
        {**NORMAL, "obs_bucket": "b", "enterprise_project_id": "0", "iam_domain_id": "d"},
        {**NORMAL, "enterprise_project_id": "0"},
    ),
    ("account", {"domain_id": "d1"}, {"domain_id": "d1"}),
    ("account with blanks around", {"domain_id": " d1\n"}, {"domain_id": "d1"}),
    ("enterprise project", {"enterprise_project_id": "ep-1"}, {"enterprise_project_id": "ep-1"}),
    (
        "every enterprise project",
        {"enterprise_project_id": "all_granted_eps"},
        {"enterprise_project_id": "all_granted_eps"},
    ),
    ("the default enterprise project", {"enterprise_project_id": "0"}, {"enterprise_project_id": "0"}),
    ("empty form values", dict.fromkeys(FIELDS, ""), {}),
    ("null form values", dict.fromkeys(FIELDS), {}),
    ("blank form values", dict.fromkeys(FIELDS, "  \t"), {}),
    ("blanks around", {"region": " cn-north-4\n", "project_id": " p1 "}, NORMAL),
    ("fields of the future", {**NORMAL, "unknown": {"a": [1]}, "agencies": "x"}, NORMAL),
    ("auth", {"auth": "aksk"}, {}),
    ("endpoint", {"endpoint": "https://e.example/"}, {"endpoint": "https://e.example"}),
    ("endpoint here", {"endpoint": "http://127.0.0.1:8080"}, {"endpoint": "http://127.0.0.1:8080"}),
    ("endpoints", {"endpoints": {"mrs": "https://m"}}, {"endpoints": {"mrs": "https://m"}}),
    ("endpoints as text", {"endpoints": '{"mrs": "https://m/"}'}, {"endpoints": {"mrs": "https://m"}}),
    (
        "endpoints, some unset",
        {"endpoints": {"mrs": "https://m", "iam": "", "hss": None}},
        {"endpoints": {"mrs": "https://m"}},
    ),
    ("no endpoints", {"endpoints": {}}, {}),
    ("no endpoints as text", {"endpoints": "{}"}, {}),
    ("no endpoints as null text", {"endpoints": "null"}, {}),
]


@pytest.mark.parametrize(("extra", "expected"), [pytest.param(*case[1:], id=case[0]) for case in TAKEN])
def test_taken(extra, expected):
    cloud = read(given_extra(**extra))
    assert cloud.credentials == KeyPair("AKIDAKID", "SKSKSKSK")
    assert cloud.http_settings == HttpSettings()
    usual = {"region": None, "project_id": None, "endpoint": None, "endpoints": {}}
    usual |= {"domain_id": None, "enterprise_project_id": None}
    assert {name: getattr(cloud, name) for name in usual} == {**usual, **expected}
    assert cloud.user_agent == f"airflow-provider-cloudsync/{__version__}"
    assert cloud.clock is time.time


@pytest.mark.parametrize("extra", [None, "", " ", "{}", "null", {}, {"region": None}], ids=repr)
def test_extra_in_any_form_of_nothing(extra):
    assert read(Given(extra=extra)).region is None


def test_the_keys_without_the_blanks_of_a_paste():
    cloud = read(Given(" AKIDAKID\n", "\tSKSKSKSK ", json.dumps({"security_token": " TOKEN "})))
    assert cloud.credentials == KeyPair("AKIDAKID", "SKSKSKSK", "TOKEN")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        pytest.param({}, HttpSettings(), id="default"),
        pytest.param({"timeout": 30}, HttpSettings(read_timeout=30.0), id="timeout"),
        pytest.param({"timeout": "30"}, HttpSettings(read_timeout=30.0), id="timeout as text"),
        pytest.param(
            {"timeout": 2.5}, HttpSettings(connect_timeout=2.5, read_timeout=2.5), id="short timeout"
        ),
        pytest.param({"timeout": 1}, HttpSettings(connect_timeout=1.0, read_timeout=1.0), id="least"),
        pytest.param({"timeout": 600}, HttpSettings(read_timeout=600.0), id="most"),
        pytest.param({"verify": True}, HttpSettings(), id="verify"),
        pytest.param({"verify": False}, HttpSettings(verify=False), id="no verify"),
        pytest.param({"verify": "false"}, HttpSettings(verify=False), id="no verify as text"),
        pytest.param({"verify": "False"}, HttpSettings(verify=False), id="no verify as Python has it"),
        pytest.param({"verify": " TRUE "}, HttpSettings(), id="verify as text"),
        pytest.param({"verify": __file__}, HttpSettings(verify=__file__), id="a file"),
        pytest.param({"verify": "/"}, HttpSettings(verify="/"), id="a folder"),
        pytest.param({"proxy": "http://p:3128"}, HttpSettings(proxy="http://p:3128"), id="proxy"),
        pytest.param(
            {"proxy": "https://u:p%40@p/"}, HttpSettings(proxy="https://u:p%40@p/"), id="proxy with user"
        ),
        pytest.param({"allow_http": True}, HttpSettings(allow_http=True), id="allow_http"),
        pytest.param({"allow_http": "true"}, HttpSettings(allow_http=True), id="allow_http as text"),
        pytest.param({"allow_http": "false"}, HttpSettings(), id="no allow_http as text"),
    ],
)
def test_wiring(extra, expected):
    assert read(given_extra(**extra)).http_settings == expected


@pytest.mark.parametrize("endpoint", ["http://mrs.example.com", "http://10.0.0.1:8080"])
def test_plain_http_where_it_is_allowed(endpoint):
    assert read(given_extra(endpoint=endpoint, allow_http=True)).endpoint == endpoint
    assert read(given_extra(endpoints={"mrs": endpoint}, allow_http=True)).endpoints == {"mrs": endpoint}
    error = refused(given_extra(endpoint=endpoint))
    assert "plain http" in error.message
    assert '"endpoint"' in error.message
    assert '"endpoints.mrs"' in refused(given_extra(endpoints={"mrs": endpoint})).message


class TestRegionAndProject:
    EXTRA: dict[str, Any] = {"region": "cn-north-4", "project_id": "p1"}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("given", "region", "project"),
        [
            pytest.param({}, "cn-north-4", "p1", id="the connection's"),
            pytest.param({"region": "cn-north-4"}, "cn-north-4", "p1", id="same region"),
            pytest.param({"region": "cn-north-1"}, "cn-north-1", None, id="another region: no project"),
            pytest.param({"region": "cn-north-1", "project_id": "p2"}, "cn-north-1", "p2", id="both"),
            pytest.param({"project_id": "p2"}, "cn-north-4", "p2", id="another project"),
            pytest.param({"region": None, "project_id": None}, "cn-north-4", "p1", id="None is unset"),
            pytest.param({"region": " cn-north-4 "}, "cn-north-4", "p1", id="blanks around"),
        ],
    )
    def test_override(self, given, region, project):
        cloud = read(given_extra(**self.EXTRA), **given)
        assert (cloud.region, cloud.project_id) == (region, project)

    def test_a_region_for_a_connection_without(self):
        # Whose project that is can't be told, but it is not of another region for sure.
        cloud = read(given_extra(project_id="p1"), region="cn-north-4")
        assert cloud.region == "cn-north-4"

    def test_another_region_is_of_the_same_account(self):
        extra = {**self.EXTRA, "domain_id": "d1", "enterprise_project_id": "ep-1"}
        cloud = read(given_extra(**extra), region="cn-north-1")
        assert (cloud.project_id, cloud.domain_id, cloud.enterprise_project_id) == (None, "d1", "ep-1")

    @pytest.mark.parametrize("name", ["region", "project_id"])
    @pytest.mark.parametrize(
        "value", ["a b", "../x", "a/b", "{{ region }}", 5, ["a"], "***", "a\nb", "x" * 300]
    )
    def test_override_that_is_none(self, name, value):
        assert name in refused(given_extra(**self.EXTRA), **{name: value}).message


# --- refused -------------------------------------------------------------------------------------------------------

REFUSED = [
    # id, connection, what the error says
    ("no login", Given(login=None), ["access key in Login", "My Credentials"]),
    ("empty login", Given(login=""), ["access key in Login"]),
    ("blank login", Given(login="  "), ["access key in Login"]),
    ("no password", Given(password=None), ["secret key in Password"]),
    ("empty password", Given(password=""), ["secret key in Password"]),
    ("neither", Given(login=None, password=None), ["No credentials. Set Login (AK)"]),
    ("masked login", Given(login="***"), ['"Login" is the mask ***']),
    ("masked password", Given(password="***"), ['"Password" is the mask ***']),
    ("masked token", given_extra(security_token="***"), ['"security_token" is the mask']),
    ("masked region", given_extra(region=" *** "), ['"region" is the mask']),
    ("login with a blank", Given(login="A B"), ['"Login"', "without spaces"]),
    ("login with a line break", Given(login="A\r\nX: 1"), ['"Login"']),
    ("login of another script", Given(login="ключ"), ['"Login"']),
    ("token of another script", given_extra(security_token="ключ"), ['"security_token"']),
    ("password with a line break", Given(password="A\nB"), ['"Password"']),
    ("login a number", Given(login=5), ['"Login"']),
    ("token a number", given_extra(security_token=5), ['"security_token"']),
    ("token a list", given_extra(security_token=["x"]), ['"security_token"']),
    ("extra not JSON", Given(extra="region=cn-north-4"), ['"Extra" is not JSON']),
    ("extra cut short", Given(extra='{"region": '), ['"Extra" is not JSON']),
    ("extra a list", Given(extra="[]"), ['"Extra" must be a JSON object']),
    ("extra a text", Given(extra='"x"'), ['"Extra" must be a JSON object']),
    ("extra a number", Given(extra="5"), ['"Extra" must be a JSON object']),
    ("extra true", Given(extra="true"), ['"Extra" must be a JSON object']),
    ("extra nested too deep", Given(extra='{"a":' * 100_000), ['"Extra"']),
    ("auth", given_extra(auth="oauth2"), ['"auth" must be one of aksk, password, token, ecs, oidc']),
    ("auth of a later release", given_extra(auth="pod"), ['"auth"']),
    ("auth in capitals", given_extra(auth="AKSK"), ['"auth"']),
    ("auth a number", given_extra(auth=1), ['"auth"']),
    ("auth a list", given_extra(auth=["aksk"]), ['"auth"']),
    ("region with a blank", given_extra(region="cn north"), ['"region"']),
    ("region with a slash", given_extra(region="cn/north"), ['"region"']),
    ("region with a dot", given_extra(region="evil.example.com"), ['"region"']),
    ("region a number", given_extra(region=4), ['"region"']),
    ("region an object", given_extra(region={}), ['"region"']),
    ("project with a slash", given_extra(project_id="../../x"), ['"project_id"']),
    ("project a number", given_extra(project_id=5), ['"project_id"']),
    ("project true", given_extra(project_id=True), ['"project_id"']),
    ("account with a blank", given_extra(domain_id="a b"), ['"domain_id"']),
    ("account with a slash", given_extra(domain_id="../x"), ['"domain_id"']),
    ("account with a line break within", given_extra(domain_id="a\r\nX-Evil: 1"), ['"domain_id"']),
    ("account of another script", given_extra(domain_id="١٢"), ['"domain_id"']),
    ("account a number", given_extra(domain_id=5), ['"domain_id"']),
    ("account masked", given_extra(domain_id="***"), ['"domain_id" is the mask']),
    ("a zone by its name", given_extra(service_time_zone="Asia/Shanghai"), ['"service_time_zone"', "+08:00"]),
    ("a zone that there is not", given_extra(service_time_zone="+15:00"), ['"service_time_zone"']),
    ("a zone as a number", given_extra(service_time_zone=8), ['"service_time_zone"']),
    ("enterprise project a number", given_extra(enterprise_project_id=0), ['"enterprise_project_id"']),
    ("enterprise project false", given_extra(enterprise_project_id=False), ['"enterprise_project_id"']),
    (
        "enterprise project with a query",
        given_extra(enterprise_project_id="0&x=1"),
        ['"enterprise_project_id"'],
    ),
    ("enterprise project a list", given_extra(enterprise_project_id=["0"]), ['"enterprise_project_id"']),
    ("endpoint without scheme", given_extra(endpoint="mrs.example.com"), ['"endpoint" must be a URL']),
    ("endpoint a number", given_extra(endpoint=5), ['"endpoint" must be a URL']),
    ("endpoint an object", given_extra(endpoint={"mrs": "https://m"}), ['"endpoint" must be a URL']),
    ("endpoint with a user", given_extra(endpoint="https://u:SECRET@e"), ['"endpoint" must be a URL']),
    ("endpoint false", given_extra(endpoint=False), ['"endpoint" must be a URL']),
    ("endpoints a list", given_extra(endpoints=["https://m"]), ['"endpoints" must be a JSON object']),
    ("endpoints a URL", given_extra(endpoints="https://m"), ['"endpoints" is not JSON']),
    ("endpoints of no service", given_extra(endpoints={"obs": "https://o"}), ['"obs"', "mrs"]),
    ("endpoints, not a URL", given_extra(endpoints={"mrs": "m"}), ['"endpoints.mrs" must be a URL']),
    ("endpoints, a number", given_extra(endpoints={"mrs": 5}), ['"endpoints.mrs" must be a URL']),
    ("endpoints, masked", given_extra(endpoints={"mrs": "***"}), ['"endpoints.mrs"']),
    ("timeout zero", given_extra(timeout=0), ['"timeout"', "1 to 600"]),
    ("timeout negative", given_extra(timeout=-1), ['"timeout"']),
    ("timeout too long", given_extra(timeout=601), ['"timeout"']),
    ("timeout endless", Given(extra='{"timeout": Infinity}'), ['"timeout"']),
    ("timeout not a number", Given(extra='{"timeout": NaN}'), ['"timeout"']),
    ("timeout beyond measure", Given(extra='{"timeout": 1%s}' % ("0" * 400)), ['"timeout"']),
    ("timeout a text", given_extra(timeout="a minute"), ['"timeout"']),
    ("timeout true", given_extra(timeout=True), ['"timeout"']),
    ("timeout a list", given_extra(timeout=[60]), ['"timeout"']),
    ("verify no such file", given_extra(verify="/no/such/file"), ['"verify"', "path"]),
    ("verify a word", given_extra(verify="yes"), ['"verify"']),
    ("verify a zero byte", given_extra(verify="a\x00b"), ['"verify"']),
    ("verify a number", given_extra(verify=1), ['"verify"']),
    ("verify a list", given_extra(verify=[]), ['"verify"']),
    ("proxy without scheme", given_extra(proxy="proxy:3128"), ['"proxy" must be a URL']),
    ("proxy of SOCKS", given_extra(proxy="socks5://proxy"), ['"proxy" must be a URL']),
    ("proxy with a path", given_extra(proxy="http://proxy/path"), ['"proxy" must be a URL']),
    ("proxy with a blank", given_extra(proxy="http://pro xy"), ['"proxy"']),
    ("proxy with no such port", given_extra(proxy="http://proxy:99999"), ['"proxy" must be a URL']),
    ("proxy with no host", given_extra(proxy="http://user:SECRET@"), ['"proxy" must be a URL']),
    ("proxy with half an address", given_extra(proxy="http://[::1"), ['"proxy" must be a URL']),
    ("proxy a number", given_extra(proxy=3128), ['"proxy"']),
    ("allow_http a word", given_extra(allow_http="yes"), ['"allow_http" must be true or false']),
    ("allow_http a number", given_extra(allow_http=1), ['"allow_http" must be true or false']),
]


@pytest.mark.parametrize(("connection", "says"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refused(connection, says):
    error = refused(connection)
    assert error.message.startswith('Connection "my_conn": ')
    assert error.message.isprintable()
    assert len(error.message) < 400
    for text in says:
        assert text in error.message


# --- secrets -------------------------------------------------------------------------------------------------------

MARK = "S3CR3T"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def assert_no_secret(error: BaseException) -> None:
    for each in chain(error):
        # JSONDecodeError keeps the whole text as an attribute, which error trackers send home.
        assert MARK not in f"{each} {each!r} {each.args} {vars(each)} {getattr(each, 'doc', '')}"


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(Given(extra=f"token={MARK}"), id="extra that is no JSON"),
        pytest.param(Given(extra=f'{{"security_token": "{MARK}",'), id="extra cut short"),
        pytest.param(Given(extra=json.dumps([MARK])), id="extra a list"),
        pytest.param(Given(login=f"{MARK}\n{MARK}"), id="login"),
        pytest.param(Given(password=f"{MARK} {MARK}"), id="password"),
        pytest.param(Given(login=f"{MARK}", password=""), id="no password"),
        pytest.param(given_extra(security_token=f"{MARK} {MARK}"), id="token"),
        pytest.param(given_extra(security_token=[MARK]), id="token in a list"),
        pytest.param(given_extra(proxy=f"http://user:{MARK}@pro xy"), id="proxy"),
        pytest.param(given_extra(proxy=f"user:{MARK}@proxy"), id="proxy without scheme"),
        pytest.param(given_extra(endpoint=f"https://user:{MARK}@e"), id="endpoint"),
        pytest.param(
            given_extra(endpoint=f"https://user:{MARK}@[::1"), id="endpoint that can't be taken apart"
        ),
        pytest.param(given_extra(endpoints=f"https://user:{MARK}@e"), id="endpoints that are no JSON"),
        pytest.param(given_extra(endpoints={"mrs": f"https://user:{MARK}@e"}), id="endpoints"),
        pytest.param(given_extra(timeout=MARK), id="timeout"),
        pytest.param(given_extra(verify=MARK), id="verify"),
        pytest.param(given_extra(auth=MARK), id="auth"),
        pytest.param(given_extra(allow_http=MARK), id="allow_http"),
        pytest.param(given_extra(region=f"{MARK} x"), id="region"),
    ],
)
def test_no_secret_in_the_error(connection):
    assert_no_secret(refused(connection))


def test_no_secret_in_the_repr_of_the_cloud():
    extra = {"security_token": MARK, "proxy": f"http://u:{MARK}@p", **NORMAL}
    cloud = read(Given(f"{MARK}AK", f"{MARK}SK", json.dumps(extra)))
    assert MARK not in repr(cloud)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
VALUE = st.one_of(
    JSON,
    st.sampled_from(
        [
            "***",
            "",
            " ",
            "true",
            "http://h",
            "https://h",
            "https://[",
            "http://h:x",
            "cn-north-4",
            "a" * 5000,
            f"https://u:{MARK}@h",
            f"{MARK}\n",
            f"{MARK} ",
            MARK,
            [MARK],
        ]
    ),
)
EXTRA = st.dictionaries(
    st.one_of(st.sampled_from([*FIELDS, "other"]), st.text(max_size=5)), VALUE, max_size=6
).map(json.dumps)
TEXT = st.one_of(
    st.none(), st.text(max_size=20), st.sampled_from([MARK, f" {MARK}", f"{MARK}\r\n{MARK}", "***"])
)


@given(
    login=TEXT,
    password=TEXT,
    extra=st.one_of(st.none(), EXTRA, st.text(max_size=30), JSON),
    region=st.one_of(st.none(), st.text(max_size=10)),
    project_id=st.one_of(st.none(), st.text(max_size=10)),
)
@example(login="a", password="b", extra='{"timeout": 1%s}' % ("0" * 400), region=None, project_id=None)
@example(login="a", password="b", extra="[" * 100_000, region=None, project_id=None)
@example(login="a", password="b", extra=f'{{"x": "{MARK}"', region=None, project_id=None)
@settings(max_examples=600, deadline=None)
def test_anything_is_either_taken_or_refused(login, password, extra, region, project_id):
    try:
        cloud = read(Given(login, password, extra), region=region, project_id=project_id)
    except InvalidParameter:
        assert any(value is not None and not value.strip() for value in (region, project_id))
        return
    except InvalidConnection as caught:
        error = caught
    else:
        # The region and the like are no secrets, so a mark put there may be seen.
        assert MARK not in repr(cloud.credentials)
        hash(cloud.scope)
        return
    assert error.message.startswith('Connection "my_conn": ')
    assert_no_secret(error)


# --- the hook ------------------------------------------------------------------------------------------------------


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(stepped=True, start=time.time()) as running:
        yield running


class Connect:
    """Puts a connection to the emulator into the environment, changed as asked."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self._monkeypatch = monkeypatch

    def __call__(self, conn_id: str = "cloudsync_default", **changes: Any) -> None:
        connection = json.loads(self.emulator.connection)
        for name, value in changes.items():
            if name in ("login", "password"):
                connection[name] = value
            else:
                connection["extra"][name] = value
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


@pytest.fixture
def connect(emulator, monkeypatch) -> Connect:
    connection = Connect(emulator, monkeypatch)
    connection()
    return connection


STATUS = "/v2/{project_id}/clusters/example-cluster/iam-sync"


class TestReadingTheConnection:
    def test_airflows_own_connection(self):
        connection = Connection(
            conn_id="my_conn",
            conn_type="cloudsync",
            login="AKIDAKID",
            password="SKSKSKSK",
            extra=json.dumps(NORMAL),
        )
        cloud = read(connection)
        assert cloud.credentials == KeyPair("AKIDAKID", "SKSKSKSK")
        assert (cloud.region, cloud.project_id) == ("cn-north-4", "p1")

    def test_as_a_uri(self, monkeypatch):
        monkeypatch.setenv(
            "AIRFLOW_CONN_URI", "cloudsync://AK:S%2FK%2B@/?region=cn-north-4&project_id=p1&timeout=30"
        )
        cloud = CloudSyncHook("uri").cloud
        assert cloud.credentials == KeyPair("AK", "S/K+")
        assert (cloud.region, cloud.project_id, cloud.http_settings.read_timeout) == (
            "cn-north-4",
            "p1",
            30.0,
        )

    def test_not_before_it_is_needed(self):
        hook = CloudSyncHook("does_not_exist", region="cn-north-4", project_id="p")
        assert (hook.cloudsync_conn_id, hook.region, hook.project_id) == ("does_not_exist", "cn-north-4", "p")

    def test_once(self, connect, monkeypatch):
        hook = CloudSyncHook()
        first = hook.cloud
        monkeypatch.delenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT")
        assert hook.cloud is first

    def test_the_hooks_own_region_and_project(self, connect, emulator):
        assert CloudSyncHook(region="cn-north-1").cloud.project_id is None
        assert CloudSyncHook(region="cn-north-1").cloud.region == "cn-north-1"
        assert CloudSyncHook(project_id="other").cloud.project_id == "other"
        assert CloudSyncHook().cloud.project_id == emulator.project_id


class TestAsync:
    def test_the_same_as_blocking(self, connect):
        cloud = asyncio.run(CloudSyncHook().acloud())
        assert cloud.scope == CloudSyncHook().cloud.scope
        assert cloud.credentials == CloudSyncHook().cloud.credentials

    def test_one_look_up_for_many(self, connect, monkeypatch):
        lookups = []
        real = CloudSyncHook._aconnection

        async def counted(self):
            lookups.append(self.cloudsync_conn_id)
            return await real(self)

        monkeypatch.setattr(CloudSyncHook, "_aconnection", counted)
        connect("other")

        async def main() -> list[Cloud]:
            hooks = [
                CloudSyncHook(region=region) for region in ("cn-north-4", "cn-north-1") for _ in range(50)
            ]
            return await asyncio.gather(*[hook.acloud() for hook in [*hooks, CloudSyncHook("other")]])

        clouds = asyncio.run(main())
        assert sorted(lookups) == ["cloudsync_default", "other"]
        assert {cloud.region for cloud in clouds} == {"cn-north-4", "cn-north-1"}

    def test_each_event_loop_reads_it(self, connect):
        """A process has several where `dag.test()` is called more than once, and the connection may differ by then."""
        keys = []
        for key in ("FIRSTKEY", "SECONDKEY"):
            connect(login=key)
            cloud = asyncio.run(CloudSyncHook().acloud())
            keys.append(cloud.credentials.access_key)
        assert keys == ["FIRSTKEY", "SECONDKEY"]

    def test_what_was_read_before_a_rejection_is_not_taken_for_another_region_either(
        self, connect, monkeypatch
    ):
        """The time of a connection is when it was read, and not when something was made of it."""
        now = 1000.0
        monkeypatch.setattr(
            drivers, "AsyncSingleFlight", lambda **_: coalescing.AsyncSingleFlight(lambda: now)
        )

        async def main() -> list[str]:
            nonlocal now
            one, other = (CloudSyncHook(region=region) for region in ("cn-north-4", "cn-north-1"))
            found = [await one.acloud()]
            connect(login="ANOTHERKEY")
            now += 40
            found.append(await other.acloud())
            now += 1
            found.append(await other.acloud(max_age=0.5))
            now += 30
            found.append(await one.acloud())
            return [each.credentials.access_key for each in found]

        keys = asyncio.run(main())
        assert keys[0] == keys[1] != keys[2] == keys[3] == "ANOTHERKEY"

    def test_a_look_up_that_fails_is_an_error_and_not_kept(self, connect, monkeypatch):
        async def main() -> Cloud:
            hook = CloudSyncHook("not_there_yet")
            with pytest.raises(Exception, match="not_there_yet"):
                await asyncio.wait_for(hook.acloud(), 10)
            connect("not_there_yet")
            return await asyncio.wait_for(hook.acloud(), 10)

        assert asyncio.run(main()).region == "cn-north-4"

    def test_whatever_a_look_up_fails_with_the_trigger_hears_of_it(self, monkeypatch):
        """The task SDK's AirflowRuntimeError and others can't be copied."""

        class Unavailable(Exception):
            def __init__(self, code: int, text: str) -> None:
                super().__init__(f"{text}: {code:d}")

        async def fail(self):
            raise Unavailable(500, "the API server is away")

        monkeypatch.setattr(CloudSyncHook, "_aconnection", fail)

        complaints = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, complaint: complaints.append(complaint)
            )
            try:
                await asyncio.wait_for(CloudSyncHook().acloud(), 10)
            finally:
                gc.collect()

        with pytest.raises(Unavailable, match="away"):
            asyncio.run(main())
        assert complaints == []

    def test_a_bad_connection(self, connect):
        connect(password="***")
        with pytest.raises(InvalidConnection, match="mask"):
            asyncio.run(CloudSyncHook().acloud())

    def test_a_flow(self, connect):
        from airflow_provider_cloudsync.api.services.mrs import iam_sync

        async def main() -> bool:
            hook = CloudSyncHook()
            return await hook.arun(iam_sync.is_iam_synchronizing(await hook.acloud(), "example-cluster"))

        assert asyncio.run(main()) is False


class TestRequest:
    def test_the_json_of_the_reply(self, connect):
        assert CloudSyncHook().request("GET", "mrs", STATUS) == {"is_synchronizing": False}

    def test_method_in_lower_case(self, connect, emulator):
        CloudSyncHook().request("get", "mrs", STATUS)
        assert emulator.requests()[0]["method"] == "GET"

    def test_body_query_and_headers(self, connect, emulator):
        query = {"list": ["b", "a"], "flag": True, "off": False, "number": 5, "text": "x y", "tuple": ("c",)}
        CloudSyncHook().request(
            "POST",
            "mrs",
            "/v2/{project_id}/clusters/example-cluster/iam-sync-user",
            query=query,
            json={"is_all_sync": True},
            headers={"X-Own": "1"},
        )
        (entry,) = emulator.requests()
        assert sorted(map(tuple, entry["query"])) == [
            ("flag", "true"),
            ("list", "a"),
            ("list", "b"),
            ("number", "5"),
            ("off", "false"),
            ("text", "x y"),
            ("tuple", "c"),
        ]
        assert (entry["body"], entry["headers"]["x-own"]) == ({"is_all_sync": True}, "1")
        assert (entry["auth"], entry["effect"]) == ("valid", "started")

    def test_the_project_is_looked_up_where_the_connection_has_none(self, connect, emulator):
        connect(project_id=None)
        for _ in range(3):
            CloudSyncHook().request("GET", "mrs", STATUS)
        assert [entry["operation"] for entry in emulator.requests()] == [
            "KeystoneListProjects",
            *["ListClusterSyncTaskStatus"] * 3,
        ]

    @pytest.mark.parametrize(
        ("method", "repeatable", "sends"),
        [
            ("GET", None, 2),
            ("GET", True, 2),
            ("GET", False, 1),
            ("HEAD", None, 2),
            ("POST", None, 1),
            ("POST", True, 2),
            ("PUT", None, 1),
            ("DELETE", None, 1),
        ],
    )
    def test_what_is_sent_again(self, connect, emulator, monkeypatch, method, repeatable, sends):
        monkeypatch.setattr(drivers.time, "sleep", lambda seconds: None)
        emulator.faults([{"reset": True, "times": 1}, {"status": 200, "body": {}, "times": None}])
        hook = CloudSyncHook()
        if sends == 1:
            with pytest.raises(TransportError):
                hook.request(method, "mrs", STATUS, repeatable=repeatable)
        else:
            hook.request(method, "mrs", STATUS, repeatable=repeatable)
        assert len(emulator.requests()) == sends

    def test_a_wrong_key_is_sent_once(self, connect, emulator):
        connect(password="wrong")
        with pytest.raises(CredentialsRejected) as caught:
            CloudSyncHook().request("GET", "mrs", STATUS)
        assert len(emulator.requests()) == 1
        assert caught.value.code == "APIGW.0301"
        assert "wrong" not in repr(vars(caught.value))
        assert emulator.access_key not in repr(vars(caught.value))

    def test_a_reply_without_a_body(self, connect, emulator):
        emulator.faults([{"status": 204, "body": ""}])
        assert CloudSyncHook().request("DELETE", "mrs", STATUS) is None

    def test_an_error(self, connect):
        with pytest.raises(ApiError) as caught:
            CloudSyncHook().request("GET", "mrs", "/v2/{project_id}/nothing")
        assert (caught.value.status, caught.value.operation) == (404, "GET /v2/{project_id}/nothing")

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/",
            "v2/x",
            "//evil.example.com/x",
            "https://evil.example.com/x",
            "/v2/../x",
            "/v2/./x",
            "/v2/%2e%2e/x",
            "/v2/x?a=1",
            "/v2/x#a",
            "/v2/a b",
            "/v2/x\r\nHost: evil",
            "/v2/x\n",
            "/v2/工",
            "/v2/x\\y",
            "/v2/x/..",
        ],
    )
    def test_paths_that_are_refused(self, connect, emulator, path):
        with pytest.raises(InvalidParameter, match="path must be"):
            CloudSyncHook().request("GET", "mrs", path)
        assert emulator.requests() == []

    @pytest.mark.parametrize("method", ["", "GET /x HTTP/1.1\r\nX: 1", "G T", "GÉT", "GET\n"])
    def test_methods_that_are_refused(self, connect, emulator, method):
        with pytest.raises(InvalidParameter, match="method must be"):
            CloudSyncHook().request(method, "mrs", STATUS)
        assert emulator.requests() == []

    @pytest.mark.parametrize(
        "headers",
        [{"X": "a\r\nY: b"}, {"X: a\r\nY": "b"}, {"X Y": "b"}, {"": "b"}, {"X": 5}, {"X": None}],
        ids=repr,
    )
    def test_headers_that_are_refused(self, connect, emulator, headers):
        with pytest.raises(InvalidParameter, match="header"):
            CloudSyncHook().request("GET", "mrs", STATUS, headers=headers)
        assert emulator.requests() == []

    @pytest.mark.parametrize("value", [" a", "a ", "  a  b  "])
    def test_blanks_around_a_header_do_no_harm(self, connect, emulator, value):
        CloudSyncHook().request("GET", "mrs", STATUS, headers={"workspace": value})
        assert emulator.requests()[0]["auth"] == "valid"

    def test_a_service_that_is_not_known(self, monkeypatch):
        monkeypatch.setenv(
            "AIRFLOW_CONN_CLOUDSYNC_DEFAULT",
            json.dumps({"conn_type": "cloudsync", "login": "a", "password": "b", "extra": NORMAL}),
        )
        with pytest.raises(InvalidConnection, match='service "obs"'):
            CloudSyncHook().request("GET", "obs", "/v1/x")


class TestGetConn:
    @pytest.fixture
    def reached(self, monkeypatch) -> list[requests.PreparedRequest]:
        """What would have been sent."""
        sent: list[requests.PreparedRequest] = []

        def send(adapter: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
            sent.append(request)
            reply = requests.Response()
            reply.status_code = 200
            return reply

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        return sent

    def url(self, emulator: Emulator, path: str = STATUS) -> str:
        return emulator.url + path.replace("{project_id}", emulator.project_id)

    def test_a_session_that_signs(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            assert isinstance(session, requests.Session)
            assert session.get(self.url(emulator)).json() == {"is_synchronizing": False}
            assert session.post(self.url(emulator) + "-user", json={"user_names": ["工"]}).status_code == 202
            assert (
                session.delete(
                    self.url(emulator) + "-user", data='{"user_names": ["工"]}'.encode()
                ).status_code
                == 400
            )
        entries = emulator.requests()
        assert [entry["auth"] for entry in entries] == ["valid"] * 3
        assert entries[0]["headers"]["user-agent"].startswith("airflow-provider-cloudsync/")
        assert entries[1]["body"] == {"user_names": ["工"]}

    def test_a_query_in_the_url(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            session.get(self.url(emulator) + "?b=x y&a=1&c=+&d=~%7E&b=", params={"e": "ü"})
        (entry,) = emulator.requests()
        assert entry["auth"] == "valid"
        assert sorted(map(tuple, entry["query"])) == [
            ("a", "1"),
            ("b", ""),
            ("b", "x y"),
            ("c", " "),
            ("d", "~~"),
            ("e", "ü"),
        ]

    def test_each_request_is_signed_anew(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            proofs = set()
            for path in ("", "?a=1", "?a=2"):
                proofs.add(session.get(self.url(emulator) + path).request.headers["Authorization"])
        assert len(proofs) == 3

    def test_headers_of_the_caller(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            session.headers["workspace"] = "w"
            session.get(
                self.url(emulator), headers={"X-Project-Id": emulator.project_id, "User-Agent": "own"}
            )
        (entry,) = emulator.requests()
        assert entry["auth"] == "valid"
        assert (entry["headers"]["workspace"], entry["headers"]["user-agent"]) == ("w", "own")

    def test_temporary_keys(self, connect, emulator):
        from airflow_provider_cloudsync.emulator import scenario

        connect(
            login=scenario.TEMPORARY_ACCESS_KEY,
            password=scenario.TEMPORARY_SECRET_KEY,
            security_token=scenario.SECURITY_TOKEN,
        )
        with CloudSyncHook().get_conn() as session:
            assert session.get(self.url(emulator)).status_code == 200

    def test_no_redirect(self, connect, emulator):
        emulator.faults(
            [{"status": 302, "headers": {"Location": emulator.url + "/elsewhere"}, "times": None}]
        )
        with CloudSyncHook().get_conn() as session:
            assert session.get(self.url(emulator)).status_code == 302
            assert session.get(self.url(emulator), allow_redirects=True).status_code == 302
        assert len(emulator.requests()) == 2

    @pytest.mark.parametrize("url", ["http://mrs.example.com/x", "http://10.0.0.1/x", "ftp://127.0.0.1/x"])
    def test_no_plain_http_elsewhere(self, connect, url):
        with (
            CloudSyncHook().get_conn() as session,
            pytest.raises((InvalidConnection, requests.RequestException)),
        ):
            session.get(url, timeout=0.001)

    def test_plain_http_is_refused_before_anything_is_sent(self, connect):
        with CloudSyncHook().get_conn() as session, pytest.raises(InvalidConnection, match="plain http"):
            session.get("http://mrs.nowhere.invalid/x")

    @pytest.mark.parametrize(
        "url",
        [
            "https://myhuaweicloud.com.evil.example/x",
            "https://mrs.cn-north-4.myhuaweicloud.com.evil.example/x",
            "https://evilmyhuaweicloud.com/x",
            "https://mrs.cn-north-4.myhuaweicloud.com:8443/x",
            "https://mrs.cn-north-4.myhuaweicloud.com@evil.example/x",
            "https://user:word@mrs.cn-north-4.myhuaweicloud.com/x",
            "https://evil.example\\@mrs.cn-north-4.myhuaweicloud.com/x",
            "https://evil.example%2f.myhuaweicloud.com/x",
            "https://evil.example%00.myhuaweicloud.com/x",
            "https://evil.example;.myhuaweicloud.com/x",
            "https://evil.example?.myhuaweicloud.com/x",
            "https://evil.example#.myhuaweicloud.com/x",
            "https://evil.example/.myhuaweicloud.com/x",
            "https://evil.example/x",
            "https://[::1].myhuaweicloud.com/x",
            "http://127.0.0.1:1/x",
            "http://localhost/x",
        ],
    )
    def test_a_stranger_s_host_sees_no_proof(self, connect, reached, url):
        connect(allow_http=True)
        with (
            CloudSyncHook().get_conn() as session,
            pytest.raises((InvalidConnection, requests.exceptions.InvalidURL)),
        ):
            session.get(url)
        assert reached == []

    @pytest.mark.parametrize("changes", [{"auth": "token", "token": "S3CR3T"}, {"security_token": "S3CR3T"}])
    def test_nor_a_token(self, connect, reached, changes):
        connect(**changes, **({"login": None, "password": None} if "auth" in changes else {}))
        with CloudSyncHook().get_conn() as session:
            with pytest.raises(InvalidConnection, match=r"Unknown host 'evil\.example'") as caught:
                session.get("https://evil.example/x")
            assert "S3CR3T" not in caught.value.message
            session.get("https://obs.cn-north-4.myhuaweicloud.com/x")
        assert [urlsplit(each.url).netloc for each in reached] == ["obs.cn-north-4.myhuaweicloud.com"]

    @pytest.mark.parametrize(
        "url",
        [
            "https://obs.cn-north-4.myhuaweicloud.com/x",
            "https://MRS.CN-North-4.MyHuaweiCloud.com/x",
            "https://mrs.cn-north-4.myhuaweicloud.com:443/x",
            "https://coc.myhuaweicloud.com/x",
            "https://iam.eu-west-101.myhuaweicloud.eu/x",
            "https://mrs.ap-southeast-1.myhuaweicloud.cn/x",
            "https://big-data.example.com:8443/x",
            "https://kms.example.com/prefix/x",
        ],
    )
    def test_hosts_of_the_vendor_and_of_the_connection_do(self, connect, reached, url):
        """Also those of services that the table does not know."""
        connect(
            endpoints={"mrs": "https://big-data.example.com:8443", "csms": "https://kms.example.com/prefix"}
        )
        with CloudSyncHook().get_conn() as session:
            session.get(url)
        assert [each.url.lower() for each in reached] == [url.lower()]
        assert all("Authorization" in each.headers for each in reached)

    def test_no_netrc(self, connect, emulator, monkeypatch, tmp_path):
        (tmp_path / ".netrc").write_text("default login eve password secret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        with CloudSyncHook().get_conn() as session:
            assert (
                session.get(self.url(emulator)).request.headers["Authorization"].startswith("SDK-HMAC-SHA256")
            )
        assert emulator.requests()[0]["auth"] == "valid"

    def test_the_connections_timeouts(self, connect, emulator):
        connect(timeout=1)
        seen = []
        with CloudSyncHook().get_conn() as session:
            adapter = session.get_adapter(emulator.url)
            send = adapter.send
            adapter.send = lambda *args, **more: seen.append(more["timeout"]) or send(*args, **more)
            session.get(self.url(emulator))
            session.get(self.url(emulator), timeout=7)
        assert seen == [(1.0, 1.0), 7]

    @pytest.mark.parametrize(
        ("proxy", "says"),
        [
            ("http://u:#MARK@proxy:1", "must be percent-encoded"),
            ("socks5://u:MARK@proxy:1", "must be a URL such as"),
            ("http://u:MARK@proxy:99999", "must be a URL such as"),
        ],
    )
    def test_a_bad_proxy_of_the_environment(self, connect, emulator, monkeypatch, proxy, says):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with CloudSyncHook().get_conn() as session, pytest.raises(TransportError, match=says) as caught:
            session.get("https://mrs.cn-north-4.myhuaweicloud.com" + STATUS.replace("{project_id}", "p"))
        assert "MARK" not in str(caught.value)
        assert emulator.requests() == []

    def test_a_body_that_is_streamed_can_not_be_signed(self, connect, emulator):
        with CloudSyncHook().get_conn() as session, pytest.raises(TypeError, match="streamed"):
            session.post(self.url(emulator), data=iter([b"a"]))
        assert emulator.requests() == []


class TestGuardOfSessions:
    """A session of `get_conn` can lock no key: it is told what tasks have seen, and tells them what it sees."""

    def url(self, emulator: Emulator) -> str:
        return emulator.url + STATUS.replace("{project_id}", emulator.project_id)

    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            drivers, "_single_flight", coalescing.BlockingSingleFlight(kept=coalescing.ResultCache())
        )

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_loop_with_a_wrong_key_sends_it_once(self, connect, emulator, stream):
        connect(password="wrong")
        for _ in range(3):
            with CloudSyncHook().get_conn() as session:
                for _ in range(10):
                    if not emulator.requests():
                        reply = session.get(self.url(emulator), stream=stream)
                        assert reply.status_code == 401
                        assert "APIGW.0301" in b"".join(reply.iter_content(7)).decode()
                        assert reply.json()["error_code"] == "APIGW.0301"
                    with pytest.raises(CredentialsRejected, match="so this request was not sent") as caught:
                        session.get(self.url(emulator), stream=stream)
                    assert not caught.value.sent
        assert len(emulator.requests()) == 1

    @pytest.mark.parametrize("method", ["get", "post", "delete"])
    def test_whatever_it_sends(self, connect, emulator, method):
        connect(password="wrong")
        with CloudSyncHook().get_conn() as session:
            url = self.url(emulator) + "-user"
            assert getattr(session, method)(url).status_code == 401
            for again in ("get", "post", "delete"):
                with pytest.raises(CredentialsRejected):
                    getattr(session, again)(url)
        assert len(emulator.requests()) == 1

    def test_a_prepared_request(self, connect, emulator):
        connect(password="wrong")
        with CloudSyncHook().get_conn() as session:
            prepared = session.prepare_request(requests.Request("GET", self.url(emulator)))
            assert session.send(prepared, stream=True).status_code == 401
            with pytest.raises(CredentialsRejected):
                session.send(prepared, stream=True)

    def test_threads(self, connect, emulator):
        connect(password="wrong")
        hook = CloudSyncHook()
        assert hook.cloud

        def ask(_: int) -> int:
            with hook.get_conn() as session:
                try:
                    return session.get(self.url(emulator)).status_code
                except CredentialsRejected:
                    return 0

        with ThreadPoolExecutor(16) as pool:
            assert sorted(pool.map(ask, range(50))) == [0] * 49 + [401]
        assert len(emulator.requests()) == 1

    def test_what_a_task_has_seen_holds_for_a_session_and_the_other_way_round(self, connect, emulator):
        for first in ("task", "session"):
            connect(password=f"wrong-{first}")
            before = len(emulator.requests())
            hook = CloudSyncHook()

            def task(hook: CloudSyncHook = hook) -> None:
                hook.request("GET", "mrs", STATUS)

            def session(hook: CloudSyncHook = hook) -> None:
                with hook.get_conn() as opened:
                    if opened.get(self.url(emulator)).status_code == 401:
                        raise CredentialsRejected("401")

            for each in (task, session, task, session) if first == "task" else (session, task, session, task):
                with pytest.raises(CredentialsRejected):
                    each()
            assert len(emulator.requests()) == before + 1

    def test_a_page_of_a_proxy_is_no_rejection(self, connect, emulator):
        emulator.faults([{"status": 401, "body": "<html>log in</html>", "times": 2}])
        with CloudSyncHook().get_conn() as session:
            assert [session.get(self.url(emulator)).status_code for _ in range(3)] == [401, 401, 200]

    def test_a_proof_of_the_caller_s_own_says_nothing_about_the_key(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            assert session.get(self.url(emulator), auth=lambda request: request).status_code == 401
            assert session.get(self.url(emulator)).status_code == 200

    def test_a_success_that_is_streamed_is_left_unread(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            reply = session.get(self.url(emulator), stream=True)
            assert vars(reply)["_content"] is False
            assert b"".join(reply.iter_content(5)) == session.get(self.url(emulator)).content

    def test_an_error_of_the_library_passes_through_and_holds_nobody_up(self, connect, emulator):
        with CloudSyncHook().get_conn() as session:
            emulator.faults([{"reset": True, "times": 1}])
            with pytest.raises(requests.exceptions.ConnectionError):
                session.get(self.url(emulator))
            assert session.get(self.url(emulator)).status_code == 200

    def test_an_endless_401_that_is_streamed(self, connect, emulator, monkeypatch):
        """It is not read to its end to see whose it is."""
        reply = requests.Response()
        reply.status_code = 401
        reply.raw = SimpleNamespace(
            stream=lambda size, **_: iter(lambda: b"x" * size, None), close=lambda: None
        )
        reply.raw.release_conn = lambda: None
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", lambda *_, **__: reply)
        with CloudSyncHook().get_conn() as session:
            assert len(session.get(self.url(emulator), stream=True).content) < 100_000


class TestTestConnection:
    """The button in Airflow's form."""

    def test_it_works(self, connect, emulator):
        works, text = CloudSyncHook().test_connection()
        assert works is True
        assert emulator.region in text
        assert "Allowed: mrs, hss, coc, csms. dataarts: answers" in text
        assert [entry["operation"] for entry in emulator.requests()] == [
            "KeystoneListAuthProjects",
            "KeystoneListAuthDomains",
            "ListClusters",
            "ListSecurityMemberSyncTasks",
            "ListClusterEvents",
            "ListVendorAccount",
            "ListSecretEvents",
        ]
        assert {entry["method"] for entry in emulator.requests()} == {"GET"}

    @pytest.mark.parametrize(
        ("changes", "works", "says"),
        [
            pytest.param({}, True, ["Signed in", '"cn-north-4"'], id="all of it"),
            pytest.param(
                {"project_id": None},
                True,
                ["Signed in", 'the one of region "cn-north-4"'],
                id="project by region",
            ),
            pytest.param(
                {"project_id": "f" * 32}, False, ["no project ffff", "It has: cn-north-4"], id="wrong project"
            ),
            pytest.param(
                {"project_id": None, "region": "cn-north-1"},
                False,
                ["no project of its user", '"cn-north-1"'],
                id="region",
            ),
            pytest.param({"project_id": None, "region": None}, False, ["region"], id="neither"),
            pytest.param({"password": "wrong"}, False, ["401", "Check access key"], id="wrong key"),
            pytest.param({"login": "UNKNOWN"}, False, ["401"], id="unknown key"),
            pytest.param({"password": "***"}, False, ["mask"], id="mask"),
            pytest.param(
                {"endpoint": "http://127.0.0.1:1"}, False, ["refused", "nothing listens"], id="nobody there"
            ),
            pytest.param({"endpoint": "nonsense"}, False, ['"endpoint" must be a URL'], id="no URL"),
        ],
    )
    def test_what_it_says(self, connect, changes, works, says):
        connect(**changes)
        result, text = CloudSyncHook().test_connection()
        assert result is works
        for each in says:
            assert each in text
        assert "None" not in text

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"projects": None}, id="null"),
            pytest.param({"projects": [{}]}, id="a project without anything"),
            pytest.param({"projects": [{"id": 1}]}, id="a project without a name"),
            pytest.param({"projects": ["x", None]}, id="no projects"),
            pytest.param({"projects": [{"id": [], "name": []}]}, id="lists"),
            pytest.param({"projects": [{"id": None, "name": None}]}, id="nulls"),
            pytest.param("<html>log in</html>", id="a login page"),
        ],
    )
    def test_a_reply_that_says_nothing(self, connect, emulator, body):
        emulator.faults([{"status": 200, "body": body, "times": None}])
        works, text = CloudSyncHook().test_connection()
        assert works is False
        assert text.startswith("sign-in: ")
        assert sum(entry["operation"] == "KeystoneListAuthProjects" for entry in emulator.requests()) == 1

    def test_it_asks_once_and_not_for_long(self, connect, emulator, monkeypatch):
        emulator.faults([{"status": 503, "times": None}])
        seen = []
        real = drivers._send
        monkeypatch.setattr(
            drivers,
            "_send",
            lambda request, *limit: seen.append(request.http_settings) or real(request, *limit),
        )
        works, text = CloudSyncHook().test_connection()
        assert works is False
        operations = [entry["operation"] for entry in emulator.requests()]
        assert len(operations) == len(set(operations))
        assert "503" in text
        assert {(each.connect_timeout <= 10, each.read_timeout <= 10) for each in seen} == {(True, True)}

    def test_no_connection(self):
        works, text = CloudSyncHook("does_not_exist").test_connection()
        assert works is False
        assert 'no connection "does_not_exist"' in text


STS = {"auth": "oidc", "id_token_file": "/t", "oidc_provider_urn": "p", "oidc_agency_urn": "a"}


class TestForm:
    def test_every_field_of_the_form_is_read(self):
        """Each field makes a difference, so none is there for nothing."""
        values = {
            "region": "cn-north-4",
            "project_id": "p1",
            "domain_id": "d1",
            "enterprise_project_id": "ep-1",
            "security_token": "t",
            "endpoint": "https://e",
            "endpoints": {"mrs": "https://m"},
            "service_time_zone": "+08:00",
            "timeout": 5,
            "verify": False,
            "proxy": "http://p",
            "allow_http": True,
            "agency": "name@account",
            "signing": "V11-HMAC-SHA256",
        }
        #: Fields of one way to sign in -> what else it needs.
        of_a_way: dict[str, tuple[Any, dict[str, Any]]] = {
            "domain_name": ("account", {"auth": "password"}),
            "token": ("other", {"auth": "token", "token": "t"}),
            "id_token_file": ("/other", {"auth": "oidc", "idp_id": "i", "id_token_file": "/t"}),
            "idp_id": ("other", {"auth": "oidc", "idp_id": "i", "id_token_file": "/t"}),
            "oidc_provider_urn": ("other", STS),
            "oidc_agency_urn": ("other", STS),
        }
        for name in FIELDS:
            if name == "auth":
                refused(given_extra(auth="x"))
                continue
            value, beside = of_a_way.get(name) or (values[name], {})
            if name == "domain_name":
                assert '"domain_name"' in refused(given_extra(**beside)).message
                beside = {**beside, name: "another"}
            plain, cloud = read(given_extra(**beside)), read(given_extra(**{**beside, name: value}))
            assert (cloud.scope, cloud.credentials) != (plain.scope, plain.credentials), name

    def test_behaviour(self):
        behaviour = CloudSyncHook.get_ui_field_behaviour()
        assert behaviour["relabeling"]["login"] == "Access key (AK) or user"
        assert "login" not in behaviour["hidden_fields"]
        assert "password" not in behaviour["hidden_fields"]
