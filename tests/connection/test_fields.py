"""Fields of a connection that are misspelled, not read, or copied along with a line break."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_cloudsync.api.endpoints import EXTRA_REGION, PARAMETER_REGION, table
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.connection import ignored_fields
from airflow_provider_cloudsync.connection.fields import FIELDS
from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidConnection, InvalidParameter
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

MARK = "S3CR3T"


@dataclass
class Given:
    """A connection as Airflow hands it over."""

    login: Any = "AK"
    password: Any = "SK"
    extra: Any = None
    host: Any = None
    port: Any = None
    schema: Any = None
    conn_id: str = "my_conn"


def read(connection: Any = None, *, extra: dict[str, Any] | None = None, **more: Any) -> Cloud:
    given = connection or Given(extra=json.dumps(extra or {}))
    return read_connection(given, clock=time.time, **more)


@pytest.fixture(autouse=True)
def _nothing_was_said() -> None:
    ignored_fields._warn.cache_clear()


# --- what is not read ------------------------------------------------------------------------------------------------

IGNORED = [
    # id, connection, what the warning says
    ("misspelled", Given(extra='{"regoin": "S3CR3T"}'), ["'regoin' (did you mean region?)"]),
    ("another case", Given(extra='{"Region": "S3CR3T"}'), ["'Region' (did you mean region?)"]),
    ("a hyphen", Given(extra='{"project-id": "S3CR3T"}'), ["'project-id' (did you mean project_id?)"]),
    ("nothing like it", Given(extra='{"foo": "S3CR3T"}'), ["'foo'."]),
    ("several", Given(extra='{"foo": 1, "regoin": {"a": "S3CR3T"}}'), ["'foo', 'regoin' (did you mean"]),
    ("the old form", Given(extra='{"extra__cloudsync__region": "S3CR3T"}'), ["did you mean region?"]),
    ("the old form of another", Given(extra='{"extra__http__proxy": "S3CR3T"}'), ["did you mean proxy?"]),
    ("host", Given(host="S3CR3T"), ['Host (use "endpoint" in Extra)']),
    ("port", Given(port=8443), ["Port"]),
    ("schema", Given(schema="S3CR3T"), ["Schema"]),
    ("a line break in the name", Given(extra='{"a\\nb": "S3CR3T"}'), ["'a\\nb'"]),
]


@pytest.mark.parametrize(
    ("connection", "says"), [case[1:] for case in IGNORED], ids=[case[0] for case in IGNORED]
)
def test_what_is_ignored_is_named_once_and_never_its_value(caplog, connection, says) -> None:
    for _ in range(3):
        read(connection)
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert 'Connection "my_conn" has fields that are ignored' in record.getMessage()
    assert MARK not in record.getMessage()
    assert "\n" not in record.getMessage()
    for text in says:
        assert text in record.getMessage()


@pytest.mark.parametrize(
    "connection",
    [
        Given(),
        Given(extra=json.dumps(dict.fromkeys(FIELDS))),
        Given(extra='{"regoin": "", "foo": null}', host="", port=None, schema=""),
        Given(extra='{"region": "cn-north-4"}'),
    ],
    ids=["nothing", "every field", "empty ones", "a good one"],
)
def test_nothing_is_said_where_nothing_is_ignored(caplog, connection) -> None:
    read(connection)
    assert caplog.text == ""


def test_each_connection_is_told_of(caplog) -> None:
    for conn_id in ("one", "other", "one"):
        read(Given(extra='{"foo": 1}', conn_id=conn_id))
    assert len(caplog.records) == 2


def test_airflows_own_connection(caplog) -> None:
    read(Connection(conn_id="uri", uri=f"cloudsync://AK:SK@{MARK}.example.com:8443/?regoin=cn-north-4"))
    (record,) = [each for each in caplog.records if each.name == ignored_fields.__name__]
    assert "Host" in record.getMessage()
    assert "'regoin' (did you mean region?)" in record.getMessage()
    assert MARK.lower() not in record.getMessage().lower()


# --- line breaks -----------------------------------------------------------------------------------------------------

PASSWORD = {"auth": "password", "domain_name": "account", "region": "cn-north-4"}


@pytest.mark.parametrize(
    "password", [f"{MARK}\n", f"{MARK}\r\n", f"{MARK}\r", f"{MARK} \n", f"{MARK}\n\n"], ids=repr
)
def test_a_password_that_ends_in_a_line_break_is_refused_before_anything_is_sent(password) -> None:
    with pytest.raises(InvalidConnection, match='"Password" ends in a line break') as caught:
        read(Given("alice", password, json.dumps(PASSWORD)))
    assert MARK not in caught.value.message


@pytest.mark.parametrize("password", [f"\n{MARK}", f"{MARK}\t", f"a\n{MARK}"], ids=repr)
def test_so_is_one_with_another_control_character(password) -> None:
    with pytest.raises(InvalidConnection, match='"Password"') as caught:
        read(Given("alice", password, json.dumps(PASSWORD)))
    assert MARK not in caught.value.message


@pytest.mark.parametrize("password", ["secret", " secret ", "se cret", "пароль", "secret " * 9], ids=repr)
def test_every_other_password_is_sent_as_it_is(password) -> None:
    assert read(Given("alice", password, json.dumps(PASSWORD))).credentials.password == password  # type: ignore[attr-defined]


TRIMMED = [
    ("access key", Given(login="AK\n"), "access_key", "AK"),
    ("secret key", Given(password="SK\r\n"), "secret_key", "SK"),
    ("security token", Given(extra='{"security_token": "T\\n"}'), "security_token", "T"),
    ("IAM token", Given(extra='{"auth": "token", "token": "T\\n"}'), "value", "T"),
    ("user", Given("alice\n", "pw", json.dumps(PASSWORD)), "user", "alice"),
    ("account", Given("alice", "pw", json.dumps({**PASSWORD, "domain_name": "a b\n"})), "domain_name", "a b"),
]


@pytest.mark.parametrize(
    ("connection", "name", "value"), [case[1:] for case in TRIMMED], ids=[case[0] for case in TRIMMED]
)
def test_what_never_ends_in_a_line_break_is_read_without(connection, name, value) -> None:
    assert getattr(read(connection).credentials, name) == value


# --- regions ---------------------------------------------------------------------------------------------------------

MISSPELLED = [
    ("cn-noth-4", "cn-north-4"),
    ("CN-NORTH-4", "cn-north-4"),
    ("cn_north_4", "cn-north-4"),
    ("Cn North 4", "cn-north-4"),
    ("cn--north-4", "cn-north-4"),
    ("ap-southest-3", "ap-southeast-3"),
    ("eu-west101", "eu-west-101"),
]


def _ask(cloud: Cloud) -> str:
    return cloud.url("mrs")


@pytest.mark.parametrize(("region", "near"), MISSPELLED)
@pytest.mark.parametrize(
    ("extra", "source"), [(False, PARAMETER_REGION), (True, EXTRA_REGION)], ids=["parameter", "connection"]
)
def test_a_misspelled_region_is_named_with_the_near_one(region, near, extra, source) -> None:
    with pytest.raises(InvalidConnection) as caught:
        _ask(read(extra={"region": region}) if extra else read(extra={"region": "cn-north-1"}, region=region))
    assert f'Unknown region "{region}" ({source}). Did you mean {near}?' in caught.value.message


@pytest.mark.parametrize("extra", [{"endpoint": "https://e"}, {"endpoints": {"mrs": "https://e"}}], ids=str)
@pytest.mark.parametrize("region", ["my-region-1", "CN-NORTH-4", "cn_north_4", "cn-noth-4"])
def test_any_region_with_an_endpoint_of_its_own_works(region, extra) -> None:
    """As in a private cloud."""
    assert _ask(read(extra={**extra, "region": region})) == "https://e"
    assert _ask(read(extra=extra, region=region)) == "https://e"


@pytest.mark.parametrize("service", sorted(table()))
def test_every_region_of_the_table_is_known(service) -> None:
    for region in table()[service]:
        assert read(extra={"region": region}).url(service).startswith("https://")


@pytest.mark.parametrize("name", ["region", "project_id"])
@pytest.mark.parametrize("value", ["", " ", "\n"], ids=repr)
class TestEmpty:
    """An empty parameter is not the connection's: nobody meant that."""

    def test_reading(self, name, value) -> None:
        with pytest.raises(InvalidParameter, match=f"^{name} must be text that is not empty"):
            read(extra={"region": "cn-north-4"}, **{name: value})

    def test_a_hook(self, name, value, monkeypatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", "cloudsync://AK:SK@/?region=cn-north-4")
        with pytest.raises(CloudSyncError, match=f"^{name} must be text that is not empty"):
            _ = CloudSyncHook(**{name: value}).cloud
