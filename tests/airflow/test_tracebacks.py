"""What an error shows to whoever looks into its frames, as reporters of errors do: no secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_cloudsync
from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
from airflow_provider_cloudsync.exceptions import CloudSyncError
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from tests.support.sign_in_methods import ID_TOKEN, WAYS, account, connection, project_of

PACKAGE = str(Path(airflow_provider_cloudsync.__file__).parent)
pytestmark = pytest.mark.usefixtures("told")

FAULTS = {
    "401": {"status": 401, "body": {"error_code": "APIGW.0301", "error_msg": "verify aksk signature fail"}},
    "403": {"status": 403, "body": {"error_code": "X", "error_msg": "no"}},
    "429": {"status": 429},
    "500": {"status": 500},
    "nothing in it": {"status": 200, "body": {}},
    "no JSON": {"status": 200, "body": "<html>log in</html>"},
    "no connection": {"reset": True},
    "cut short": {"truncate": True, "when": "after"},
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and all that it came of."""
    seen: set[int] = set()
    to_come = [error]
    while to_come:
        each = to_come.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            to_come += [each.__cause__, each.__context__]
            yield each


def shown(error: BaseException) -> Iterator[tuple[str, str]]:
    """Where -> what can be seen of an error: its text, and the locals of this package's frames."""
    for each in chain(error):
        yield type(each).__name__, f"{each} {each!r} {vars(each)}"
        trace = each.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code.co_filename.startswith(PACKAGE):
                for name, value in trace.tb_frame.f_locals.items():
                    yield f"{name} in {code.co_qualname}", repr(value)
            trace = trace.tb_next


def caught(driver: str) -> CloudSyncError:
    """What a look ends with."""
    hook = MrsHook()

    async def alook() -> Any:
        return await hook.arun(is_iam_synchronizing((await hook.acloud()).once(), "c"))

    def look() -> Any:
        if driver == "asyncio":
            return asyncio.run(alook())
        return hook.run(is_iam_synchronizing(hook.cloud.once(), "c"))

    with pytest.raises(CloudSyncError) as error:
        look()
    return error.value


#: Way -> requests before that of the look itself.
BEFORE = {"password": 1, "sts": 1, "agency": 1, "oidc": 2, "ecs": 2}
STRIKES = [(way, skip) for way in WAYS for skip in sorted({0, BEFORE.get(way, 0)})]


@pytest.mark.parametrize("driver", ["blocking", "asyncio"])
@pytest.mark.parametrize(("way", "skip"), STRIKES)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_frame_holds_a_secret(start_world, monkeypatch, tmp_path, told, way, skip, driver, fault) -> None:
    """Neither what the connection has nor what a sign-in has brought."""
    world = start_world({"c": {"project_id": project_of(way)}}, **account())
    given = json.loads(connection(way, world.emulator, tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(given))
    world.emulator.faults([{**FAULTS[fault], "skip": skip, "times": None}])
    error = caught(driver)
    # What stands in for a token in an odd reply is no secret.
    obtained = [each for each in told if len(each) > 20]
    extra = given["extra"]
    secrets = [given["password"], extra.get("token"), extra.get("security_token"), ID_TOKEN, *obtained]
    found = {where for where, text in shown(error) if any(secret in text for secret in secrets if secret)}
    assert found == set()
