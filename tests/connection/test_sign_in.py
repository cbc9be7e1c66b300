"""Each way to sign in, through real connections, in all ways to wait, for many lifetimes of what it brings."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    TaskDeferred,
    redact,
)

from airflow_provider_cloudsync.emulator import Emulator, scenario
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    InvalidConnection,
)
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from airflow_provider_cloudsync.hooks.coc import CocHook
from airflow_provider_cloudsync.hooks.mrs import MrsHook
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from tests.support.sign_in_methods import (
    OTHER_DOMAIN,
    OTHER_PROJECT,
    SIGN_INS,
    WAYS,
    account,
    connection,
    project_of,
)

CONNECTION = "AIRFLOW_CONN_CLOUDSYNC_DEFAULT"
MODES = ("blocking", "deferred", "poked")

pytestmark = pytest.mark.usefixtures("told")


@pytest.fixture
def enter(start_world, monkeypatch, tmp_path):
    """Starts a world in which one way leads in, with one cluster whose runs take so long."""

    def start(way: str, seconds: float = 60.0, *, extra: dict[str, Any] | None = None, **more: Any) -> Any:
        cluster = {"seconds": seconds, "project_id": project_of(way)}
        world = start_world({"c": cluster}, **account(**more))
        monkeypatch.setenv(CONNECTION, connection(way, world.emulator, tmp_path, **(extra or {})))
        return world

    return start


def wait(world: Any, mode: str, *, every: float, seconds: float) -> None:
    """Synchronize, or watch somebody else's synchronization, to its end."""
    if mode != "poked":
        task = MrsSyncIamUsersOperator(
            task_id="sync",
            cluster_id="c",
            user_names=["alice"],
            deferrable=mode == "deferred",
            timeout=seconds * 2,
            poll_interval=every,
        )
        world.run(task)
        return
    MrsHook().sync_iam_users("c", user_names=["alice"])
    world.poke(
        lambda: MrsIamSyncSensor(task_id="watch", cluster_id="c", user_names=["alice"]),
        every=every,
        at_most=seconds * 2,
    )


def statuses(world: Any) -> list[int]:
    return [entry["status"] for entry in world.calls()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
def test_each_way_in_each_wait(enter, way, mode) -> None:
    world = enter(way)
    wait(world, mode, every=20, seconds=60)
    assert set(statuses(world)) <= {200, 201, 202}
    assert {entry["auth"] for entry in world.calls()} <= {"valid", "none"}
    assert world.starts == 1
    if way in SIGN_INS:
        # The task and its triggerer are processes of their own.
        assert 1 <= len(world.calls(SIGN_INS[way][1])) <= 2
    synced = next(entry for entry in world.calls() if entry["effect"] == "started")
    assert f"/{project_of(way)}/" in synced["path"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", SIGN_INS)
def test_a_wait_of_many_lifetimes(enter, way, mode) -> None:
    life, operation = SIGN_INS[way]
    many = 12
    world = enter(way, many * life)
    wait(world, mode, every=life / 20, seconds=many * life)
    passed = world.emulator.clock.now() - world.began
    assert passed >= many * life
    assert 401 not in statuses(world)
    sign_ins = len(world.calls(operation))
    # Each is renewed once, when a fifth of its life is left; the task before the deferral is one more.
    assert passed / life <= sign_ins <= passed / (0.79 * life) + 3
    assert world.starts == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", SIGN_INS)
def test_all_is_revoked_in_the_middle_of_a_wait(enter, way, mode) -> None:
    world = enter(way, 1200.0)
    looks = []

    def revoke(operation: str) -> None:
        if operation == "ListClusterSyncTaskStatus":
            looks.append(operation)
            if len(looks) in (5, 11, 17):
                world.emulator.revoke()

    world.before_each_reply(revoke)
    wait(world, mode, every=40, seconds=1200)
    assert statuses(world).count(401) == 3
    assert 4 <= len(world.calls(SIGN_INS[way][1])) <= 5
    assert world.starts == 1


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
def test_revoked_by_a_change_of_permissions(enter, mode) -> None:
    """What the service does by itself within half an hour of a change, said by the scenario."""
    world = enter("password", 1000.0, revoke_tokens_at=[200, 500, 800])
    wait(world, mode, every=30, seconds=1000)
    assert statuses(world).count(401) == 3


@pytest.mark.parametrize("mode", MODES)
def test_revoked_between_the_look_and_the_start(enter, mode) -> None:
    world = enter("password")
    revoked = []

    def revoke(operation: str) -> None:
        if operation == "ShowSyncIamUser" and not revoked:
            revoked.append(world.emulator.revoke())

    world.before_each_reply(revoke)
    wait(world, mode, every=20, seconds=60)
    assert world.starts == 1


@pytest.mark.parametrize("way", SIGN_INS)
def test_both_drivers_agree(enter, way) -> None:
    """The same calls under both, apart from the one sign-in more of the triggerer."""

    def calls(mode: str) -> list[tuple[str, str, int]]:
        world = enter(way, 5000.0)
        wait(world, mode, every=300, seconds=5000)
        return [(entry["operation"], entry["path"], entry["status"]) for entry in world.calls()]

    blocking, deferred = calls("blocking"), calls("deferred")
    assert set(blocking) == set(deferred)
    assert (
        0
        <= sum(each[0] == SIGN_INS[way][1] for each in deferred)
        - sum(each[0] == SIGN_INS[way][1] for each in blocking)
        <= 1
    )


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
def test_a_given_token_that_ends_is_the_error(enter, mode) -> None:
    world = enter("token", 5000.0)
    with pytest.raises(AirflowFailException, match=r"APIGW\.0307"):
        wait(world, mode, every=300, seconds=5000)
    assert statuses(world).count(401) == 1
    assert world.calls("KeystoneCreateUserTokenByPassword")[1:] == []


class TestScopes:
    def test_a_password_s_tokens(self, enter) -> None:
        """For the project where a service works in one, for the account where it does not."""
        world = enter("password")
        MrsHook().is_iam_synchronizing("c")
        CocHook().list_vendor_accounts(vendor="AWS")
        MrsHook().is_iam_synchronizing("c")
        first, _, second, *_ = world.calls()
        tokens = world.calls("KeystoneCreateUserTokenByPassword")
        assert [entry["body"]["auth"]["scope"] for entry in tokens] == [
            {"project": {"id": scenario.PROJECT_ID}},
            {"domain": {"name": scenario.DOMAIN_NAME}},
        ]
        assert (first["operation"], second["operation"]) == ("KeystoneCreateUserTokenByPassword",) * 2
        assert set(statuses(world)) == {200, 201}

    def test_a_password_s_project_is_looked_up_as_the_account(self, enter, monkeypatch, tmp_path) -> None:
        world = enter("password", extra={"project_id": None})
        MrsHook().is_iam_synchronizing("c")
        assert [entry["operation"] for entry in world.calls()] == [
            "KeystoneCreateUserTokenByPassword",
            "KeystoneListProjects",
            "KeystoneCreateUserTokenByPassword",
            "ListClusterSyncTaskStatus",
        ]

    def test_an_agency_s_project_and_account_are_its_own(self, enter) -> None:
        world = enter("agency", extra={"project_id": None})
        MrsHook().is_iam_synchronizing("c")
        assert world.calls()[-1]["path"].startswith(f"/v2/{OTHER_PROJECT}/")
        CocHook().list_vendor_accounts(vendor="AWS")
        assert world.calls()[-1]["headers"]["x-domain-id"] == OTHER_DOMAIN

    @pytest.mark.parametrize("way", WAYS)
    def test_get_conn(self, enter, way) -> None:
        world = enter(way)
        with CloudSyncHook().get_conn() as session:
            url = f"{world.emulator.url}/v2/{project_of(way)}/clusters/c/iam-sync"
            for _ in range(2):
                assert session.get(url).json() == {"is_synchronizing": False}
        assert len(world.calls(SIGN_INS.get(way, (0, "none"))[1])) == (1 if way in SIGN_INS else 0)

    @pytest.mark.parametrize("way", SIGN_INS)
    @pytest.mark.parametrize("stream", [False, True])
    def test_get_conn_refreshes_what_was_revoked(self, enter, way, stream) -> None:
        world = enter(way)
        with CloudSyncHook().get_conn() as session:
            url = f"{world.emulator.url}/v2/{project_of(way)}/clusters/c/iam-sync"
            assert session.get(url).json() == {"is_synchronizing": False}
            revoked = {"error_code": "APIGW.0307", "error_msg": "The token must be updated"}
            match = {"operation": "ListClusterSyncTaskStatus"}
            world.emulator.faults([{"match": match, "status": 401, "body": revoked, "times": 1}])
            reply = session.get(url, stream=stream)
            assert (reply.status_code, reply.json()) == (200, {"is_synchronizing": False})
        sign_ins = world.calls(SIGN_INS[way][1])
        assert len(sign_ins) == 2
        assert [entry["status"] for entry in world.calls("ListClusterSyncTaskStatus")] == [200, 401, 200]

    @pytest.mark.parametrize("way", ["aksk", "temporary", "ecs", "oidc", "sts", "agency"])
    def test_derived_signing(self, enter, way) -> None:
        world = enter(way, extra={"signing": "V11-HMAC-SHA256"})
        wait(world, "deferred", every=20, seconds=60)
        signed = [entry for entry in world.calls() if "authorization" in entry["headers"]]
        signed = [
            entry for entry in signed if entry["service"] not in ("iam", "sts")
        ]  # as the vendor's client does
        assert {entry["auth"] for entry in signed} == {"valid"}
        assert {entry["headers"]["authorization"].split()[0] for entry in signed} == {"V11-HMAC-SHA256"}
        CocHook().list_vendor_accounts(vendor="AWS")
        assert "/globe/coc," in world.calls()[-1]["headers"]["authorization"]


class TestEchoed:
    """A service that echoes the sign-in: nothing of it reaches the database, by a trigger's report, or a log."""

    @pytest.mark.parametrize("mode", ["deferred", "blocking"])
    @pytest.mark.parametrize("status", [400, 401, 403, 502])
    def test_a_password(self, enter, caplog, mode, status) -> None:
        caplog.set_level("DEBUG")
        world = enter("password")
        echo = {
            "error_code": "IAM.0011",
            "error_msg": f"cannot read {json.dumps({'password': scenario.PASSWORD})}",
        }
        task = MrsIamSyncSensor(
            task_id="watch", cluster_id="c", user_names=["alice"], deferrable=mode == "deferred", timeout=60
        )
        fault = {
            "match": {"operation": SIGN_INS["password"][1]},
            "times": None,
            "status": status,
            "body": echo,
        }
        shown: list[Any] = []
        if mode == "deferred":
            with pytest.raises(TaskDeferred) as deferred:
                task.execute(world.context())
            revoked = {"error_code": "APIGW.0307", "error_msg": "The token must be updated"}
            match = {"operation": "ListClusterSyncTaskStatus"}
            world.emulator.faults([{"match": match, "status": 401, "body": revoked, "times": None}, fault])
            event = world.fire(deferred.value)
            shown.append(event)
            with pytest.raises((CloudSyncError, AirflowFailException, AirflowSensorTimeout)) as error:
                task.execute_complete(world.context(), event=event)
        else:
            world.emulator.faults([fault])
            with pytest.raises(CloudSyncError) as error:
                MrsHook().is_iam_synchronizing("c")
        shown += [str(error.value), vars(error.value), caplog.text]
        assert world.calls(SIGN_INS["password"][1])
        assert scenario.PASSWORD not in repr(shown)
        if status != 502:
            assert "***" in repr(shown)


class TestRefused:
    #: Way -> what is wrong in the connection, and where that shows.
    WRONG = (
        pytest.param("aksk", {}, {"password": "wrong"}, id="aksk"),
        pytest.param("password", {}, {"password": "wrong"}, id="password"),
        pytest.param("password", {}, {"login": "nobody"}, id="user"),
        pytest.param("password", {"domain_name": "nowhere"}, {}, id="account"),
        pytest.param("oidc", {"id_token": "wrong"}, {}, id="oidc"),
        pytest.param("sts", {"id_token": "wrong"}, {}, id="sts"),
        pytest.param("agency", {}, {"password": "wrong"}, id="agency"),
    )

    @pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
    @pytest.mark.parametrize(("way", "extra", "fields"), WRONG)
    def test_a_hundred_tasks_do_not_lock_anybody(
        self, enter, monkeypatch, tmp_path, way, extra, fields, deferrable
    ) -> None:
        world = enter(way, password_failures=5)
        changed = json.loads(connection(way, world.emulator, tmp_path))
        if "id_token" in extra:
            (tmp_path / "id-token").write_text(extra["id_token"])
        else:
            changed["extra"] |= extra
        monkeypatch.setenv(CONNECTION, json.dumps(changed | fields))
        hook = MrsHook()
        if deferrable:

            async def main() -> list[Any]:
                from airflow_provider_cloudsync.api.services.mrs import iam_sync

                cloud = await hook.acloud()
                return await asyncio.gather(
                    *(hook.arun(iam_sync.is_iam_synchronizing(cloud, "c")) for _ in range(100)),
                    return_exceptions=True,
                )

            errors = asyncio.run(main())
        else:
            errors = []
            for _ in range(100):
                with pytest.raises(CredentialsRejected) as caught:
                    MrsHook().is_iam_synchronizing("c")
                errors.append(caught.value)
        assert {type(error) for error in errors} == {CredentialsRejected}
        assert statuses(world) == [401]
        keys = world.emulator.state()["keys"]
        assert not any(key["locked_until"] for key in keys)

    @pytest.mark.parametrize(
        ("agencies", "way", "says"),
        [
            pytest.param({"trusts": ["somebody"]}, "agency", "403", id="the agency trusts others"),
            pytest.param({"name": "another"}, "agency", "404", id="no such agency"),
        ],
    )
    def test_an_agency_that_does_not_let_in(self, enter, agencies, way, says) -> None:
        from tests.support.sign_in_methods import AGENCY

        enter(way, agencies=[{**AGENCY, **agencies}])
        with pytest.raises(ApiError, match=says) as caught:
            MrsHook().is_iam_synchronizing("c")
        assert caught.value.operation == "CreateTemporaryAccessKeyByAgency"
        assert caught.value.sent is False

    def test_a_machine_without_an_agency(self, start_world, monkeypatch, tmp_path) -> None:
        world = start_world({"c": {}}, metadata={"agency": False})
        monkeypatch.setenv(CONNECTION, connection("ecs", world.emulator, tmp_path))
        with pytest.raises(InvalidConnection, match="no agency"):
            MrsHook().is_iam_synchronizing("c")

    @pytest.mark.parametrize("status", [404, 405, 503])
    def test_an_old_metadata_service(self, start_world, monkeypatch, tmp_path, status) -> None:
        world = start_world({"c": {}}, metadata={"version": 1, "old_status": status})
        monkeypatch.setenv(CONNECTION, connection("ecs", world.emulator, tmp_path))
        assert MrsHook().is_iam_synchronizing("c") is False


class TestTestConnection:
    """The button in Airflow's form."""

    @pytest.mark.parametrize("way", WAYS)
    def test_it_works(self, enter, way) -> None:
        world = enter(way, denied_actions=["hss"])
        works, text = CloudSyncHook().test_connection()
        assert works is True, text
        assert "hss: not allowed" in text
        assert {entry["method"] for entry in world.calls() if entry["auth"] == "valid"} - {"POST"} == {"GET"}
        assert world.starts == 0

    @pytest.mark.parametrize(
        ("way", "extra", "says"),
        [
            pytest.param("password", {"domain_name": "nowhere"}, "Sign-in with a password", id="password"),
            pytest.param("oidc", {"idp_id": "another"}, "404", id="provider"),
            pytest.param("oidc", {"id_token_file": "/no/such"}, "FileNotFoundError", id="file"),
            pytest.param("sts", {"oidc_agency_urn": "another"}, "403", id="agency of STS"),
            pytest.param("agency", {"agency": "another@other"}, "404", id="agency"),
            pytest.param("ecs", {"endpoints": {"metadata": "http://127.0.0.1:1"}}, "refused", id="no ECS"),
            pytest.param("token", {"token": "MIIabc"}, "APIGW.0307", id="token"),
        ],
    )
    def test_the_step_is_signing_in(self, enter, way, extra, says) -> None:
        enter(way, extra=extra)
        works, text = CloudSyncHook().test_connection()
        assert works is False
        assert text.startswith("sign-in: ")
        assert says in text

    @pytest.mark.parametrize("way", ["password", "oidc", "sts", "agency"])
    def test_signing_in_does_not_take_for_long_either(self, enter, monkeypatch, way) -> None:
        from airflow_provider_cloudsync.transport import drivers

        enter(way)
        seen = []
        real = drivers._send
        monkeypatch.setattr(
            drivers, "_send", lambda request, *limit: seen.append(request) or real(request, *limit)
        )
        CloudSyncHook().test_connection()
        assert {request.http_settings.read_timeout <= 10 for request in seen} == {True}

    @pytest.mark.parametrize("way", ["password", "oidc", "sts"])
    def test_nor_does_a_sign_in_that_is_throttled(self, enter, way) -> None:
        world = enter(way)
        fault = {"throttle": {"limit": 1, "window": "5 minutes"}, "retry_after": 300, "times": None}
        world.emulator.faults([{**fault, "match": {"method": "POST"}}])
        works, text = CloudSyncHook().test_connection()
        assert (works, "429" in text) == (False, True)
        assert world.emulator.clock.now() - world.began < 30


@pytest.mark.parametrize("mode", ["blocking", "deferred"])
@pytest.mark.parametrize("way", SIGN_INS)
def test_airflow_masks_what_comes_in(enter, told, way, mode) -> None:
    """Of all that a sign-in brings, nothing can be logged, whichever driver has brought it."""
    wait(enter(way), mode, every=20, seconds=60)
    assert told
    for secret in told:
        transport_masks(mode, secret)
        assert secret not in str(redact(f"a line with {secret} in it"))


def transport_masks(mode: str, secret: str) -> None:
    """Tell the masker as the driver does."""
    from airflow_provider_cloudsync.transport import masking

    if mode == "blocking":
        masking.mask_secret(secret)
    else:
        asyncio.run(masking.amask_secret(secret))


@pytest.mark.parametrize("length", [1, 128, 129, 4000])
def test_what_the_masker_is_told_stays_small(monkeypatch, length) -> None:
    """It keeps all for ever, in one expression that it compiles anew for each, and a triggerer lives for months.

    The end of a long token is as good: without its signature the rest is of no use to anybody.
    """
    from airflow.providers.common.compat import sdk

    from airflow_provider_cloudsync.transport import masking

    masked: list[str] = []
    monkeypatch.setattr(sdk, "mask_secret", masked.append)
    secret = "".join(chr(97 + i * i % 26) for i in range(length))
    masking.mask_secret(secret)
    asyncio.run(masking.amask_secret(secret))
    assert len(masked) == 2
    for each in masked:
        assert secret.endswith(each)
        assert len(each) == (length if length <= 128 else 64)


# --- the vendor SDK as the witness ---------------------------------------------------------------------------------


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    # The SDK signs with the wall time, so the emulator's time has to begin there.
    with Emulator(stepped=True, start=time.time()) as running:
        yield running


@pytest.mark.parametrize("service", ["mrs", "hss", "csms", "coc"])
def test_derived_signatures_are_the_vendors(emulator, monkeypatch, service) -> None:
    """The SDK's own header for the request that we sent: the same scope and signature, byte for byte."""
    pytest.importorskip("huaweicloudsdkcore")
    from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest

    from airflow_provider_cloudsync.api.flows import call
    from airflow_provider_cloudsync.api.services import find_probe
    from airflow_provider_cloudsync.transport import drivers

    monkeypatch.setenv(
        CONNECTION,
        json.dumps(
            {
                **json.loads(emulator.connection),
                "extra": {
                    **json.loads(emulator.connection)["extra"],
                    "signing": "V11-HMAC-SHA256",
                    "domain_id": emulator.domain_id,
                },
            }
        ),
    )
    sent = []
    real = drivers._send
    monkeypatch.setattr(
        drivers, "_send", lambda request, *limit: sent.append(request) or real(request, *limit)
    )
    hook = CloudSyncHook()
    hook.run(call(hook.cloud, find_probe(service).request))
    (ours,) = sent
    _, _, tail = ours.url.partition("://")
    path, _, query = tail[tail.index("/") :].partition("?")
    names = ours.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    signed = {name: value for name, value in ours.headers.items() if name.lower() in names}
    kind, scope = (
        (GlobalCredentials, emulator.domain_id)
        if service == "coc"
        else (BasicCredentials, emulator.project_id)
    )
    keys = kind(emulator.access_key, emulator.secret_key, scope).with_derived_predicate(lambda request: True)
    keys._derived_auth_service_name = service
    keys._region_id = "globe" if service == "coc" else emulator.region
    theirs = keys.sign_request(
        SdkRequest(
            method=ours.method,
            schema="http",
            host=signed["Host"],
            resource_path=path,
            query_params=[tuple(pair.split("=")) for pair in query.split("&")] if query else [],
            header_params=dict(signed),
            body=ours.body.decode() or "",
        )
    )
    assert theirs.header_params["Authorization"] == ours.headers["Authorization"]
    assert emulator.requests()[-1]["auth"] == "valid"
