"""Keys that a machine has for the vendor's SDK, for connections that name none."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.signins.agency import Agency
from airflow_provider_cloudsync.api.signins.oidc import IdToken, StsIdToken
from airflow_provider_cloudsync.connection import default_chain
from airflow_provider_cloudsync.connection.reader import read_connection
from airflow_provider_cloudsync.connection.token_file import TokenFile
from airflow_provider_cloudsync.exceptions import InvalidConnection

MARK = "S3CR3T"
STATIC = {"HUAWEICLOUD_SDK_AK": "ENVAK", "HUAWEICLOUD_SDK_SK": "envsk"}
IDP = {"HUAWEICLOUD_SDK_IDP_ID": "idp", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "/env/token"}
OIDC = {
    "HUAWEICLOUD_OIDC_PROVIDER_URN": "urn:p",
    "HUAWEICLOUD_OIDC_AGENCY_URN": "urn:a",
    "HUAWEICLOUD_OIDC_TOKEN_FILE": "/oidc/token",
}
BASIC = "[basic]\nak = FILEAK\nsk = filesk\nproject_id = p-file\n"
GLOBAL = "[global]\nak = GLOBALAK\nsk = globalsk\ndomain_id = d-file\n"


@dataclass
class Given:
    login: Any = None
    password: Any = None
    extra: Any = None
    conn_id: str = "my_conn"


@pytest.fixture
def profile(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "credentials"
    monkeypatch.setattr(default_chain, "_PROFILE", str(path))
    return path


@pytest.fixture(autouse=True)
def _nothing_there(monkeypatch) -> None:
    for name in list(os.environ):
        if name.startswith("HUAWEICLOUD"):
            monkeypatch.delenv(name)


def put(monkeypatch: pytest.MonkeyPatch, *environments: dict[str, str]) -> None:
    for environment in environments:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)


def read(connection: Any = None, **extra: Any) -> Cloud:
    given = connection or Given(extra=json.dumps({"region": "cn-north-4", **extra}))
    return read_connection(given, clock=time.time)


def refused(connection: Any = None, **extra: Any) -> InvalidConnection:
    with pytest.raises(InvalidConnection) as caught:
        read(connection, **extra)
    return caught.value


# --- each alone ----------------------------------------------------------------------------------------------------

PROJECT = {"HUAWEICLOUD_SDK_PROJECT_ID": "p-env"}
DOMAIN = {"HUAWEICLOUD_SDK_DOMAIN_ID": "d-env"}
SESSION = {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "envtoken"}
ALONE = [
    # id, environment, profile file, credentials, project, account
    ("static", STATIC, None, KeyPair("ENVAK", "envsk"), None, None),
    ("temporary", STATIC | SESSION, None, KeyPair("ENVAK", "envsk", "envtoken"), None, None),
    ("with a project", STATIC | PROJECT, None, KeyPair("ENVAK", "envsk"), "p-env", None),
    ("with an account", STATIC | DOMAIN, None, KeyPair("ENVAK", "envsk"), None, "d-env"),
    ("with both", STATIC | PROJECT | DOMAIN, None, KeyPair("ENVAK", "envsk"), "p-env", "d-env"),
    ("blanks around", {n: f" {v}\n" for n, v in STATIC.items()}, None, KeyPair("ENVAK", "envsk"), None, None),
    ("identity provider", IDP, None, ("idp", "/env/token"), None, None),
    ("identity provider, project", IDP | PROJECT, None, ("idp", "/env/token"), "p-env", None),
    ("identity provider before keys", IDP | STATIC, None, ("idp", "/env/token"), None, None),
    ("STS", OIDC, None, ("urn:p", "urn:a", "/oidc/token"), None, None),
    ("profile, basic", {}, BASIC, KeyPair("FILEAK", "filesk"), "p-file", None),
    ("profile, global", {}, GLOBAL, KeyPair("GLOBALAK", "globalsk"), None, "d-file"),
    (
        "profile, with a mark of the byte order",
        {},
        "\ufeff" + BASIC,
        KeyPair("FILEAK", "filesk"),
        "p-file",
        None,
    ),
    ("profile, both", {}, GLOBAL + BASIC, KeyPair("FILEAK", "filesk"), "p-file", None),
    (
        "profile, temporary",
        {},
        "[basic]\nak=A\nsk=S\nsecurity_token=T\n",
        KeyPair("A", "S", "T"),
        None,
        None,
    ),
    (
        "profile, identity provider",
        {},
        "[basic]\nidp_id=i\nid_token_file=/file/token\n",
        ("i", "/file/token"),
        None,
        None,
    ),
    (
        "profile, percent signs are nothing special",
        {},
        "[basic]\nak=A\nsk=a%(b)s%%c\n",
        KeyPair("A", "a%(b)s%%c"),
        None,
        None,
    ),
    (
        "profile, other sections",
        {},
        "[other]\nak=X\nsk=Y\n" + BASIC,
        KeyPair("FILEAK", "filesk"),
        "p-file",
        None,
    ),
    (
        "profile, basic without keys",
        {},
        "[basic]\nproject_id=p\n" + GLOBAL,
        KeyPair("GLOBALAK", "globalsk"),
        None,
        "d-file",
    ),
    # the order
    ("STS before the environment", OIDC | STATIC, BASIC, ("urn:p", "urn:a", "/oidc/token"), None, None),
    ("environment before the profile", STATIC, BASIC, KeyPair("ENVAK", "envsk"), None, None),
    (
        "half an STS counts as none",
        {"HUAWEICLOUD_OIDC_PROVIDER_URN": "u"},
        BASIC,
        KeyPair("FILEAK", "filesk"),
        "p-file",
        None,
    ),
    (
        "half a key counts as none",
        {"HUAWEICLOUD_SDK_AK": "A"},
        BASIC,
        KeyPair("FILEAK", "filesk"),
        "p-file",
        None,
    ),
    (
        "empty values count as none",
        dict.fromkeys(STATIC | OIDC | IDP, ""),
        BASIC,
        KeyPair("FILEAK", "filesk"),
        "p-file",
        None,
    ),
]


def shape(credentials: Any) -> Any:
    if isinstance(credentials, IdToken):
        assert isinstance(credentials.read, TokenFile)
        return credentials.idp_id, credentials.read.path
    if isinstance(credentials, StsIdToken):
        assert isinstance(credentials.read, TokenFile)
        return credentials.provider_urn, credentials.agency_urn, credentials.read.path
    return credentials


@pytest.mark.parametrize(
    ("environment", "file", "credentials", "project", "domain"),
    [pytest.param(*case[1:], id=case[0]) for case in ALONE],
)
def test_found(monkeypatch, profile, environment, file, credentials, project, domain):
    put(monkeypatch, environment)
    if file is not None:
        profile.write_text(file)
    cloud = read()
    assert shape(cloud.credentials) == credentials
    assert (cloud.project_id, cloud.domain_id) == (project, domain)


def test_check_tells_where_keys_were_found(monkeypatch, profile):
    """Whoever has a key in the environment and another in the file wants to know which of them was rejected."""
    profile.write_text(BASIC)
    assert read().credentials.who.endswith(f"found in {profile}, [basic]")
    put(monkeypatch, STATIC)
    assert read().credentials.who.endswith("found in the environment (HUAWEICLOUD_SDK_...)")


def test_a_profile_elsewhere(monkeypatch, profile, tmp_path):
    profile.write_text(GLOBAL)
    other = tmp_path / "other"
    other.write_text(BASIC)
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(other))
    assert read().credentials == KeyPair("FILEAK", "filesk")


def test_the_profile_in_the_home_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(default_chain, "_PROFILE", "~/.huaweicloud/credentials")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".huaweicloud").mkdir()
    (tmp_path / ".huaweicloud" / "credentials").write_text(BASIC)
    assert read().credentials == KeyPair("FILEAK", "filesk")


# --- what goes before ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(Given("CONNAK", "connsk"), id="keys of the connection"),
        pytest.param(Given("CONNAK", "connsk", '{"auth": "aksk"}'), id="asked for"),
    ],
)
def test_the_connection_goes_before(monkeypatch, profile, connection):
    put(monkeypatch, STATIC, OIDC, IDP, PROJECT, DOMAIN)
    profile.write_text(BASIC)
    cloud = read(connection)
    assert cloud.credentials == KeyPair("CONNAK", "connsk")
    # What lies beside the keys of a machine is not of the connection's account.
    assert (cloud.project_id, cloud.domain_id) == (None, None)


@pytest.mark.parametrize(
    "connection", [Given(login="CONNAK"), Given(password="connsk")], ids=["no secret key", "no access key"]
)
def test_half_a_key_of_the_connection_is_not_made_up_for(monkeypatch, profile, connection):
    put(monkeypatch, STATIC)
    message = refused(connection).message
    assert re.match('Connection "my_conn": No (secret key in Password|access key in Login)', message)


@pytest.mark.parametrize("auth", ["password", "token", "oidc"])
def test_other_ways_are_not_made_up_for(monkeypatch, profile, auth):
    put(monkeypatch, STATIC, OIDC)
    assert f'"auth": "{auth}" needs' in refused(auth=auth).message


def test_the_connection_s_project_and_account_go_before(monkeypatch, profile):
    put(monkeypatch, STATIC, PROJECT, DOMAIN)
    cloud = read(project_id="p-conn", domain_id="d-conn")
    assert (cloud.project_id, cloud.domain_id) == ("p-conn", "d-conn")


def test_another_region_has_another_project(monkeypatch, profile):
    put(monkeypatch, STATIC, PROJECT, DOMAIN)
    given = Given(extra='{"region": "cn-north-4"}')
    cloud = read_connection(given, clock=time.time, region="cn-north-1")
    assert (cloud.project_id, cloud.domain_id) == (None, "d-env")
    cloud = read_connection(given, clock=time.time, project_id="p-task")
    assert cloud.project_id == "p-task"


def test_an_agency_on_top(monkeypatch, profile):
    put(monkeypatch, STATIC, PROJECT, DOMAIN)
    cloud = read(agency="syncer@other")
    assert isinstance(cloud.credentials, Agency)
    assert cloud.credentials.ask.credentials == KeyPair("ENVAK", "envsk")
    assert (cloud.project_id, cloud.domain_id) == (None, None)


def test_derived_signing(monkeypatch, profile):
    put(monkeypatch, STATIC)
    assert read(signing="V11-HMAC-SHA256").credentials.derived_for_region == "cn-north-4"


def test_nothing_at_all(monkeypatch, profile):
    message = refused().message
    for text in (
        "No credentials",
        "Set Login (AK)",
        '"auth"',
        "HUAWEICLOUD_SDK_AK",
        "~/.huaweicloud/credentials",
    ):
        assert text in message


# --- what can't be used --------------------------------------------------------------------------------------------

BROKEN = [
    # id, content of the profile file
    ("no section", f"ak = A\nsk = {MARK}\n"),
    ("no assignment", f"[basic]\nak = A\n{MARK}\n"),
    ("a section not closed", f"[basic\nsk = {MARK}\n"),
    ("a name twice", f"[basic]\nak = A\nsk = {MARK}\nsk = {MARK}\n"),
    ("a section twice", f"[basic]\nak = A\nsk = {MARK}\n[basic]\nak = A\n"),
    ("not UTF-8", b"[basic]\nak = A\nsk = \xff\xfe" + MARK.encode()),
    ("a line that goes on", f"[basic]\nak = A\nsk = {MARK}\n    {MARK}\n"),
    ("a blank within", f"[basic]\nak = A\nsk = {MARK} {MARK}\n"),
    ("a mask", "[basic]\nak = A\nsk = ***\n"),
    ("another script", f"[basic]\nak = {MARK}ключ\nsk = {MARK}\n"),
    ("a project that leads elsewhere", f"[basic]\nak = A\nsk = {MARK}\nproject_id = ../x\n"),
    ("JSON", json.dumps({"basic": {"ak": "A", "sk": MARK}})),
    ("UTF-16", f"[basic]\nak = A\nsk = {MARK}\n".encode("utf-16")),
    ("null bytes", f"[basic]\nak = A\nsk = {MARK}\x00x\n"),
]


def assert_no_secret(error: BaseException | None) -> None:
    while error is not None:
        told = [f"{error} {error!r} {error.args} {vars(error)}"]
        told += [str(getattr(error, name, "")) for name in ("doc", "line", "errors", "source", "object")]
        assert MARK not in " ".join(told)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("content", [pytest.param(case[1], id=case[0]) for case in BROKEN])
def test_nothing_of_a_broken_profile_is_told(profile, content):
    profile.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = refused()
    assert str(profile) in error.message
    assert len(error.message) < 400
    assert_no_secret(error)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_SK": f"{MARK} {MARK}"}, id="a blank within"),
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_AK": f"{MARK}\n{MARK}"}, id="a line break"),
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_AK": f"{MARK}é"}, id="another script"),
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_SECURITY_TOKEN": f"{MARK}\t{MARK}"}, id="token"),
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_PROJECT_ID": "../x"}, id="project"),
        pytest.param({**IDP, "HUAWEICLOUD_SDK_IDP_ID": "a/b"}, id="identity provider"),
        pytest.param({**OIDC, "HUAWEICLOUD_OIDC_AGENCY_URN": "a b"}, id="agency"),
        pytest.param({**STATIC, "HUAWEICLOUD_SDK_SK": f"{MARK}\udcff"}, id="bytes that are no text"),
    ],
)
def test_an_environment_that_can_not_be_used(monkeypatch, profile, environment):
    put(monkeypatch, environment)
    error = refused()
    assert "environment" in error.message
    assert_no_secret(error)


def test_a_broken_profile_is_no_matter_where_keys_come_first(monkeypatch, profile):
    profile.write_text("broken")
    put(monkeypatch, STATIC)
    assert read().credentials == KeyPair("ENVAK", "envsk")
    assert read(Given("A", "B")).credentials == KeyPair("A", "B")


def test_a_profile_that_is_a_folder(profile):
    profile.mkdir()
    assert "No credentials" in refused().message


def test_a_profile_of_a_user_that_is_not_there(monkeypatch):
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "~no-such-user-at-all/credentials")
    refused()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_profile_that_can_not_be_read(profile):
    profile.write_text(BASIC)
    profile.chmod(0)
    refused()


# --- through the hook ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agency", [None, "syncer@other"], ids=["keys", "an agency on top"])
def test_airflow_masks_keys_of_the_machine(monkeypatch, profile, agency):
    """It knows those of its connections, but not these."""
    from airflow_provider_cloudsync.hooks import cloudsync

    told: list[str] = []
    monkeypatch.setattr(cloudsync, "mask_secret", told.append)
    put(monkeypatch, STATIC, SESSION)
    extra = {"region": "cn-north-4", "agency": agency}
    monkeypatch.setenv("AIRFLOW_CONN_BARE", json.dumps({"conn_type": "cloudsync", "extra": extra}))
    assert cloudsync.CloudSyncHook("bare").cloud
    assert set(told) == {"envsk", "envtoken"}
