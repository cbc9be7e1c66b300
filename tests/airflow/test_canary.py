"""A secret of its own in each place that a connection can have one, and a search for it wherever it must not come."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cloudsync.connection import default_chain
from airflow_provider_cloudsync.emulator import scenario
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.transport import drivers
from tests.support.certificates import make_certificate
from tests.support.sign_in_methods import AGENCY_URN, OTHER_PROJECT, account, connection, project_of

CONNECTION = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"
SECRET_KEY = "CANARYofthesecretkey0123456789abcdefghij"
TEMPORARY_KEY = "CANARYofthetemporarykey0123456789abcdefg"
SECURITY_TOKEN = "CANARYofthesecuritytoken" + "0123456789abcdef" * 4
PASSWORD = "CANARYofthepassword"
ID_TOKEN = "CANARYoftheidtoken.0123456789.abcdef"
PROXY = "CANARYoftheproxy"
#: In the journal and in `who`, but in no log and no error.
ACCESS_KEY = "CANARYACCESSKEY00001"
TEMPORARY_ACCESS_KEY = "CANARYTEMPORARYKEY01"
CANARIES = (
    *(SECRET_KEY, TEMPORARY_KEY, SECURITY_TOKEN, PASSWORD, ID_TOKEN, PROXY),
    *(ACCESS_KEY, TEMPORARY_ACCESS_KEY),
)
WAYS = (
    *("aksk", "temporary", "password", "token", "ecs", "oidc", "sts", "agency"),
    *("environment", "profile", "environment, agency"),
)


def scene(**more: Any) -> dict[str, Any]:
    keys = [
        {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY},
        {
            "access_key": TEMPORARY_ACCESS_KEY,
            "secret_key": TEMPORARY_KEY,
            "security_token": SECURITY_TOKEN,
        },
    ]
    provider = {"id": "idp", "urn": "urn:idp", "id_tokens": [ID_TOKEN], "agency_urns": [AGENCY_URN]}
    given = {"keys": keys, "password": PASSWORD, "identity_providers": [provider], **more}
    return account(**given)


async def _nothing(secret: str) -> None:
    pass


class Place:
    """Where everything that a run leaves behind is collected."""

    def __init__(self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        self._caplog = caplog
        self.obtained: set[str] = set()
        self.left: dict[str, str] = {}
        self.objects: list[Any] = []
        for name in ("_send", "_asend"):
            monkeypatch.setattr(drivers, name, self._listening(getattr(drivers, name), name == "_asend"))
        # The masker would hide in the logs what must not get there in the first place.
        monkeypatch.setattr(drivers, "mask_secret", lambda secret: None)
        monkeypatch.setattr(drivers, "amask_secret", _nothing)
        caplog.set_level(logging.DEBUG)
        for logger in list(logging.root.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger):
                monkeypatch.setattr(logger, "level", logging.DEBUG)
                monkeypatch.setattr(logger, "disabled", False)

    def _listening(self, send: Any, is_async: bool) -> Any:
        def note(request: Any, response: Any) -> Any:
            self.objects += [request, response]
            if request.headers.get("X-Auth-Token"):
                self.obtained.add(request.headers["X-Auth-Token"])
            self.obtained.add(request.headers.get("Authorization", "Signature=").rpartition("Signature=")[2])
            self.obtained.add(response.headers.get("x-subject-token", ""))
            if request.url.endswith("/api/token") and response.body.isascii() and b" " not in response.body:
                self.obtained.add(response.body.decode().strip())
            with contextlib.suppress(ValueError):
                data = json.loads(response.body)
                keys = data.get("credential") or data.get("credentials") or {}
                names = ("secret", "securitytoken", "secret_access_key", "security_token")
                self.obtained |= {keys[name] for name in names if name in keys}
            return response

        if is_async:

            async def asending(session: Any, request: Any) -> Any:
                self.objects.append(request)
                return note(request, await send(session, request))

            return asending

        def sending(request: Any, *limit: float) -> Any:
            self.objects.append(request)
            return note(request, send(request, *limit))

        return sending

    def leave(self, where: str, what: Any) -> None:
        self.left[where] = self.left.get(where, "") + "\n" + (what if isinstance(what, str) else repr(what))

    def error(self, error: BaseException) -> None:
        self.objects.append(error)
        self.leave("traceback", "".join(traceback.format_exception(error)))
        each: BaseException | None = error
        while each is not None:
            self.leave("error", f"{each} {each!r} {each.args!r} {vars(each)!r}")
            if isinstance(each, CloudSyncError):
                self.leave("report", json.dumps(each.to_report()))
                self.leave("pickled error", repr(pickle.dumps(each)))
            each = each.__cause__ or each.__context__

    def logs(self) -> None:
        formatter = logging.Formatter()
        for record in self._caplog.records:
            if record.name.startswith("airflow_provider_cloudsync.emulator"):
                continue
            self.leave("log", formatter.format(record))
            self.leave("log record", repr(vars(record)))

    def words(self) -> None:
        """What the objects of this package, that can be reached from those at hand, say of themselves."""
        for each in reachable([*self.objects, vars(drivers)["_single_flight"], drivers._rate_limiter]):
            self.leave(f"repr of {type(each).__name__}", f"{each!r} {each!s}")

    def search(self) -> None:
        self.logs()
        self.words()
        secrets = {*CANARIES, *(each for each in self.obtained if len(each) > 16)}
        found = [
            (where, secret[:30]) for where, text in self.left.items() for secret in secrets if secret in text
        ]
        assert found == []


def reachable(roots: list[Any]) -> Iterator[Any]:
    """Objects of this package, through containers, attributes and closures."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, str | bytes | int | float | type(None) | type):
            continue
        seen.add(id(each))
        own = type(each).__module__.startswith("airflow_provider_cloudsync") and not type(
            each
        ).__module__.startswith("airflow_provider_cloudsync.emulator")
        if own:
            yield each
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += each
        elif callable(each) and getattr(each, "__closure__", None):
            waiting += [cell.cell_contents for cell in each.__closure__ if _filled(cell)]
        elif own:
            if dataclasses.is_dataclass(each):
                waiting += [getattr(each, field.name, None) for field in dataclasses.fields(each)]
            waiting += list(getattr(each, "__dict__", {}).values())


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


@pytest.fixture
def place(caplog, monkeypatch) -> Place:
    return Place(caplog, monkeypatch)


def prepare(way: str, world: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """A connection with canaries in it, or with nothing and canaries on the machine."""
    base = {"environment": "aksk", "profile": "aksk", "environment, agency": "agency"}.get(way, way)
    given = json.loads(connection(base, world.emulator, folder, proxy=f"http://user:{PROXY}@proxy.invalid"))
    if way == "temporary":
        given |= {"login": TEMPORARY_ACCESS_KEY, "password": TEMPORARY_KEY}
        given["extra"]["security_token"] = SECURITY_TOKEN
    if base in ("oidc", "sts"):
        (folder / "id-token").write_text(ID_TOKEN)
    if way in ("environment", "environment, agency", "profile"):
        given |= {"login": None, "password": None}
        wrong = changes.pop("password", None)
        secret = wrong or SECRET_KEY
        if way == "profile":
            path = folder / "profile"
            path.write_text(f"[basic]\nak = {ACCESS_KEY}\nsk = {secret}\n")
            monkeypatch.setattr(default_chain, "_PROFILE", str(path))
        else:
            monkeypatch.setenv("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
            monkeypatch.setenv("HUAWEICLOUD_SDK_SK", secret)
    for name, value in changes.items():
        if name in ("login", "password"):
            given[name] = value
        else:
            given["extra"][name] = value
    monkeypatch.setenv(CONNECTION, json.dumps(given))


def go(world: Any, place: Place, mode: str) -> None:
    """One task to its end, and the button in the form, with all that they leave."""
    task = MrsSyncIamUsersOperator(
        task_id="sync",
        cluster_id="c",
        user_names=["alice"],
        deferrable=mode == "deferred",
        timeout=600,
        poll_interval=20,
    )
    context = world.context(store=True)
    try:
        place.leave("XCom", json.dumps(world.run(task, context)))
    except Exception as error:
        place.error(error)
    for deferral in world.deferrals:
        place.leave("trigger", repr(deferral.trigger.serialize()))
        place.leave("trigger's repr", f"{deferral.trigger!r} {deferral.kwargs!r} {deferral!r}")
    place.leave("event", world.events)
    place.leave("store", dict(world.store))
    place.leave("rendered fields", {name: getattr(task, name) for name in task.template_fields})
    place.objects += [task, getattr(task, "hook", None), *world.deferrals, world.events]
    hook = CloudSyncHook()
    try:
        place.objects += [hook, hook.cloud]
        place.leave("test_connection", hook.test_connection())
    except CloudSyncError as error:
        place.error(error)


DISTURBANCES: dict[str, Any] = {
    "none": [],
    "500 of all": [{"status": 500, "body": {"error_msg": "internal"}, "times": None}],
    "503, a page": [{"status": 503, "body": "<html>busy</html>", "times": None}],
    "broken JSON": [{"truncate": True, "times": None}],
    "no JSON": [{"raw": "<html>log in", "times": None}],
    "401 of all": [{"status": 401, "body": {"error_code": "APIGW.0301", "error_msg": "no"}, "times": None}],
    "403 of all": [{"status": 403, "body": {"error_msg": "no"}, "times": None}],
    "429 of all": [{"throttle": {"limit": 1, "window": "1 second"}, "times": None}],
    "resets": [{"reset": True, "times": None}],
    "a redirect": [{"status": 302, "headers": {"Location": "https://elsewhere.invalid"}, "times": None}],
    "later: 500": [{"status": 500, "body": {"error_msg": "internal"}, "times": None, "skip": 6}],
    "later: 401": [{"status": 401, "body": {"error_msg": "no"}, "times": None, "skip": 6}],
}


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
@pytest.mark.parametrize("way", WAYS)
def test_all_goes_well(start_world, place, monkeypatch, tmp_path, way, mode) -> None:
    world = start_world({"c": {"project_id": project_of(base_of(way)), "seconds": 60}}, **scene())
    prepare(way, world, tmp_path, monkeypatch)
    go(world, place, mode)
    assert world.starts == 1
    assert "error" not in place.left
    place.search()


def base_of(way: str) -> str:
    return "agency" if "agency" in way else way


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
@pytest.mark.parametrize("name", [name for name in DISTURBANCES if name != "none"])
@pytest.mark.parametrize("way", ["temporary", "password", "ecs", "oidc", "sts", "environment, agency"])
def test_the_cloud_is_in_trouble(start_world, place, monkeypatch, tmp_path, way, name, mode) -> None:
    world = start_world({"c": {"project_id": project_of(base_of(way)), "seconds": 60}}, **scene())
    prepare(way, world, tmp_path, monkeypatch)
    world.emulator.faults(DISTURBANCES[name])
    go(world, place, mode)
    place.search()


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("ecs", "token")])
def test_the_secret_is_wrong(start_world, place, monkeypatch, tmp_path, way, mode) -> None:
    """What is wrong by one letter is still a secret."""
    wrong = {"keys": [{"access_key": ACCESS_KEY, "secret_key": "another"}], "password": "another"}
    wrong["identity_providers"] = [{"id": "idp", "urn": "urn:idp", "id_tokens": ["another"]}]
    world = start_world({"c": {"project_id": project_of(base_of(way))}}, **scene(**wrong))
    secret = PASSWORD if way == "password" else TEMPORARY_KEY if way == "temporary" else SECRET_KEY
    prepare(way, world, tmp_path, monkeypatch, **({} if way in ("oidc", "sts") else {"password": secret}))
    go(world, place, mode)
    assert "error" in place.left
    place.search()


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["refused", "TLS"])
def test_nobody_is_there(start_world, place, monkeypatch, tmp_path, way, where, mode) -> None:
    # One authority instead of the usual 140: each of very many connections reads them.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", make_certificate(tmp_path, "127.0.0.1").path)
    world = start_world({"c": {}}, **scene())
    url = world.emulator.url.replace("http://", "https://") if where == "TLS" else "http://127.0.0.1:1"
    endpoints = {"metadata": url} if way == "ecs" else None
    prepare(way, world, tmp_path, monkeypatch, endpoint=url, endpoints=endpoints)
    go(world, place, mode)
    assert "error" in place.left
    place.search()


@pytest.mark.parametrize("way", ["oidc", "sts"])
@pytest.mark.parametrize(
    "content",
    [f"{ID_TOKEN} {ID_TOKEN}", f"{ID_TOKEN}\n{ID_TOKEN}", f"{ID_TOKEN}ключ", "\x00" + ID_TOKEN],
    ids=["two words", "two lines", "another script", "null"],
)
def test_a_spoilt_file(start_world, place, monkeypatch, tmp_path, way, content) -> None:
    world = start_world({"c": {}}, **scene())
    prepare(way, world, tmp_path, monkeypatch)
    (tmp_path / "id-token").write_text(content, encoding="utf-8")
    go(world, place, "blocking")
    assert "error" in place.left
    place.search()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"password": f"{SECRET_KEY} {SECRET_KEY}"}, id="password"),
        pytest.param({"security_token": f"{SECURITY_TOKEN}\n{SECURITY_TOKEN}"}, id="security token"),
        pytest.param({"auth": "token", "token": f"{SECURITY_TOKEN} x"}, id="token"),
        pytest.param({"auth": "password", "domain_name": "d", "password": f"{PASSWORD}\x00"}, id="user's"),
        pytest.param({"proxy": f"user:{PROXY}@proxy"}, id="proxy"),
        pytest.param({"endpoint": f"https://user:{PROXY}@host"}, id="endpoint"),
        pytest.param({"auth": SECRET_KEY}, id="in the wrong field"),
        pytest.param({"agency": SECRET_KEY}, id="in the agency"),
        pytest.param({"idp_id": f"{ID_TOKEN}/", "auth": "oidc", "id_token_file": "/x"}, id="in the provider"),
    ],
)
def test_a_connection_that_can_not_be_used(start_world, place, monkeypatch, tmp_path, changes) -> None:
    world = start_world({"c": {}}, **scene())
    prepare("aksk", world, tmp_path, monkeypatch, **changes)
    go(world, place, "blocking")
    assert "error" in place.left
    place.search()


def test_the_search_finds_what_is_there(place) -> None:
    """Or all of the above would say nothing."""
    logging.getLogger("aiohttp.client").debug("header %s", SECRET_KEY)
    with pytest.raises(AssertionError, match="CANARYofthesecretkey"):
        place.search()
    place.left.clear()
    place._caplog.clear()
    place.error(CloudSyncError(f"there is {PASSWORD} in it"))
    with pytest.raises(AssertionError, match="CANARYofthepassword"):
        place.search()


def test_scene_is_what_the_emulator_has(start_world) -> None:
    world = start_world({"c": {}}, **scene())
    assert (world.emulator.access_key, world.emulator.secret_key) == (ACCESS_KEY, SECRET_KEY)
    assert world.emulator.password == PASSWORD
    assert OTHER_PROJECT != scenario.PROJECT_ID
