"""Whatever stands in a connection, for every way to sign in: it is taken, or refused as `InvalidConnection`."""

from __future__ import annotations

import json
import pickle
import traceback
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.connection import default_chain
from airflow_provider_cloudsync.connection.fields import FIELDS
from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.exceptions import InvalidConnection, InvalidParameter

WAYS = ("aksk", "password", "token", "ecs", "oidc", None)
MARK = "S3CR3T"


@dataclass
class Given:
    login: Any
    password: Any
    extra: Any
    conn_id: str = "my_conn"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**310)
    | st.floats()
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ODD = st.sampled_from(
    [
        *("", " ", "***", " *** ", "\t\n", "null", "true", "0", "{}", "[]", '{"mrs": 1}', "NaN"),
        *("\x00", "a\x00b", "\ud800", "\udcff", "\u202e", "\u2028", "é", "ключ", "١٢", "😀", "a\r\nX: 1"),
        *("~", "~nobody/x", "/", "/dev/null", "../x", "a@b", "@", "a@", "@b", "a@b@c", "V11-HMAC-SHA256"),
        *("http://h", "https://h", "https://[", "https://h:x", "https://h:99999", "https://u:p@h", "ftp://h"),
        *("https://\ud800", "https://" + "a" * 300, "x" * 70_000, "é" * 5000, f"{MARK} {MARK}", f"{MARK}\n"),
        *(MARK, f"https://u:{MARK}@h", [MARK], {"x": MARK}, {"mrs": f"https://u:{MARK}@h"}),
        *(10**400, -1, 0, 1e308, True, [], {}, [[]], {"": ""}, {"metadata": "x"}, {"metadata": "http://h"}),
    ]
)
VALUE = st.one_of(ODD, JSON, st.text(max_size=30))
GOOD = {
    "region": "cn-north-4",
    "project_id": "p1",
    "domain_id": "d1",
    "domain_name": "acct",
    "token": "t",
    "id_token_file": "/no/such/file",
    "idp_id": "idp",
    "agency": "name@account",
    "signing": "V11-HMAC-SHA256",
}
EXTRA = st.dictionaries(st.sampled_from([*FIELDS, "other"]), VALUE, max_size=6)
FIELD = st.one_of(st.none(), ODD, st.text(max_size=20), JSON)


def as_text(extra: dict[str, Any]) -> str:
    return json.dumps(extra)


def read(login: Any, password: Any, extra: Any, **more: Any) -> None:
    try:
        cloud = read_connection(Given(login, password, extra), clock=lambda: 0.0, **more)
    except InvalidConnection as caught:
        error = caught
    else:
        hash(cloud.scope)
        assert isinstance(cloud.credentials.identity, str)
        assert isinstance(cloud.credentials.who, str)
        assert repr(cloud)
        return
    assert error.message.startswith(
        ('Connection "', "The profile file ", "OIDC settings of the environment ")
    )
    assert len(error.message) < 1000
    assert pickle.loads(pickle.dumps(error)).message == error.message
    assert MARK not in "".join(traceback.format_exception(error))
    each: BaseException | None = error
    while each is not None:
        assert MARK not in f"{each!r} {vars(each)} {getattr(each, 'doc', '')}"
        each = each.__cause__ or each.__context__


@pytest.fixture(autouse=True)
def _no_keys_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(default_chain, "_PROFILE", str(tmp_path / "none"))


FUZZ = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck]
)


@pytest.mark.parametrize("auth", WAYS)
@given(login=FIELD, password=FIELD, extra=EXTRA, good=st.booleans())
@FUZZ
def test_any_values(auth, login, password, extra, good):
    """With the rest as it should be, so that each is looked at."""
    base = dict(GOOD) if good else {}
    read(login, password, as_text({**base, "auth": auth, **extra}))


@pytest.mark.parametrize("auth", WAYS)
@pytest.mark.parametrize("name", [*FIELDS, "Login", "Password"])
@given(value=VALUE)
@settings(FUZZ, max_examples=40)
def test_any_value_in_one_field(auth, name, value):
    fields = {**GOOD, "auth": auth, "Login": "user", "Password": "pw", name: value}
    login, password = fields.pop("Login"), fields.pop("Password")
    read(login, password, as_text(fields))


@given(login=FIELD, password=FIELD, extra=st.one_of(ODD, JSON, st.text(max_size=50), st.binary(max_size=20)))
@example(login="a", password="b", extra="[" * 100_000)
@example(login="a", password="b", extra='{"a":' * 100_000)
@example(login="a", password="b", extra='{"timeout": 1' + "0" * 400 + "}")
@example(login="a", password="b", extra='{"timeout": 1' + "0" * 5000 + "}")
@example(login="a", password="b", extra='{"auth": "password", "auth": "token"}')
@FUZZ
def test_any_extra(login, password, extra):
    read(login, password, extra)


@given(region=FIELD, project_id=FIELD)
@FUZZ
def test_any_argument_of_the_hook(region, project_id):
    empty = any(isinstance(value, str) and not value.strip() for value in (region, project_id))
    with pytest.raises(InvalidParameter) if empty else nullcontext():
        read("a", "b", as_text(GOOD), region=region, project_id=project_id)


NAMES = ("SDK_AK", "SDK_SK", "SDK_SECURITY_TOKEN", "SDK_PROJECT_ID", "SDK_DOMAIN_ID", "SDK_IDP_ID")
NAMES += ("SDK_ID_TOKEN_FILE", "OIDC_PROVIDER_URN", "OIDC_AGENCY_URN", "OIDC_TOKEN_FILE")
SETTABLE = st.one_of(ODD.filter(lambda value: isinstance(value, str)), st.text(max_size=20)).filter(
    lambda value: "\x00" not in value and not any(0xD800 <= ord(each) < 0xDC80 for each in value)
)


@given(
    environment=st.dictionaries(
        st.sampled_from(NAMES),
        SETTABLE.filter(lambda value: not any("\ue000" > each > "\udcff" for each in value)),
    )
)
@FUZZ
def test_any_environment(environment):
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in environment.items():
            monkeypatch.setenv(f"HUAWEICLOUD_{name}", value)
        read(None, None, as_text({"region": "cn-north-4"}))


@given(
    content=st.one_of(
        st.binary(max_size=80), st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace"))
    )
)
@example(content=b"[basic]\nak = " + MARK.encode() + b"\nsk")
@example(content=f"[basic]\nak = A\nsk = {MARK}\n [basic]".encode())
@example(content=b"[DEFAULT]\nak = A\nsk = B\n[basic]\n")
@example(content=b"[basic]\nak: A\nsk: %(ak)s\n")
@FUZZ
def test_any_profile(content, tmp_path):
    path = tmp_path / "profile"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(default_chain, "_PROFILE", str(path))
        read(None, None, as_text({"region": "cn-north-4"}))
