"""Servers that hang, over real sockets: each way to wait ends soon after its deadline, and starts are not cut."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_cloudsync import metrics
from airflow_provider_cloudsync.api import flows
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import HttpSettings, Pause
from airflow_provider_cloudsync.api.model import Stage
from airflow_provider_cloudsync.api.services.mrs.iam_sync import IAM_SYNC, iam_sync_target
from airflow_provider_cloudsync.api.waiting import polling
from airflow_provider_cloudsync.api.waiting.starting import begin
from airflow_provider_cloudsync.exceptions import WaitTimedOut
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator
from airflow_provider_cloudsync.sensors.mrs import MrsIamSyncSensor
from airflow_provider_cloudsync.transport import drivers
from tests.support.raw_server import Peer, Script, Server

#: Seconds of a wait, and what its last poll has after that. All timeouts are far longer.
TIMEOUT, ANSWER_TIME, READ_TIMEOUT = 0.4, 0.4, 600.0
#: Seconds in which a start is sent.
START_TIMEOUT = 2.0
#: A reply that was cut by the limit. A server here gives up by itself after 10 s, which reads otherwise.
CUT = re.compile(r"No complete reply soon enough|no reply in time|not complete in time|no connection in time")

metrics.are_on()  # loads Airflow beforehand


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    drivers.reset()
    for module in (flows, polling):
        monkeypatch.setattr(module, "ANSWER_TIME", ANSWER_TIME)
    yield
    drivers.reset()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*scripts: Script) -> Server:
        servers.append(Server(scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


# --- servers that hang ----------------------------------------------------------------------------------------------


def silent(peer: Peer) -> None:
    peer.until_the_client_closes()


def dripping(head: bytes, drop: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.read()
        peer.send(head)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            peer.send(drop)
            time.sleep(0.02)

    return script


def reply(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


FLAG_DOWN = reply(b'{"is_synchronizing": false, "cluster_id": "c"}')
NO_NAMES = reply(b'{"user_names": [], "group_names": []}')
RUNNING = reply(b'{"cluster": {"clusterId": "c", "clusterState": "running"}}')
NEVER = "https://service.invalid"


def first_read_only(peer: Peer) -> None:
    peer.read()
    peer.send(FLAG_DOWN)
    peer.until_the_client_closes()


TUNNEL_DRIPS = dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x")


def tunnel_to_silence(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    peer.until_the_client_closes()


#: What happens, the script, and what the connection says, for a URL of the server.
STAGES: list[tuple[str, Script, Callable[[Server], dict[str, Any]]]] = [
    ("accepts and is silent", silent, lambda server: {"endpoint": server.url}),
    (
        "drips a head",
        dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        lambda server: {"endpoint": server.url},
    ),
    (
        "sends headers and drips a body",
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        lambda server: {"endpoint": server.url},
    ),
    (
        "answers 102 for ever",
        dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        lambda server: {"endpoint": server.url},
    ),
    (
        "is silent in the TLS handshake",
        silent,
        lambda server: {"endpoint": server.url.replace("http:", "https:")},
    ),
    ("is silent in CONNECT", silent, lambda server: {"endpoint": NEVER, "proxy": server.url}),
    ("drips in CONNECT", TUNNEL_DRIPS, lambda server: {"endpoint": NEVER, "proxy": server.url}),
    (
        "is silent behind CONNECT",
        tunnel_to_silence,
        lambda server: {"endpoint": NEVER, "proxy": server.url},
    ),
    ("is silent at the second read", first_read_only, lambda server: {"endpoint": server.url}),
    (
        "is silent at the sign-in",
        silent,
        lambda server: {"endpoint": server.url, "auth": "password", "domain_name": "d"},
    ),
]
each_stage = pytest.mark.parametrize(
    ("script", "extra"), [stage[1:] for stage in STAGES], ids=[stage[0] for stage in STAGES]
)


def connect(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]) -> None:
    given = {
        "conn_type": "cloudsync",
        "login": "AKAKAKAKAKAKAKAKAKAK",
        "password": "s" * 40,
        "extra": {"region": "r", "project_id": "p", "timeout": READ_TIMEOUT, "allow_http": True, **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(given))


# --- ways to wait ---------------------------------------------------------------------------------------------------


def context(began: datetime | None = None, **more: Any) -> dict[str, Any]:
    start = began or datetime.now(UTC)
    ti = SimpleNamespace(
        try_number=1,
        max_tries=0,
        start_date=start,
        xcom_push=lambda **_: None,
        get_first_reschedule_date=lambda context: began,
        # What Airflow 2.11 looks the first start up by.
        dag_id="dag",
        task_id="watch",
        run_id="run",
        map_index=-1,
    )
    return {"ti": ti, **more}


def sensor(**more: Any) -> MrsIamSyncSensor:
    return MrsIamSyncSensor(
        task_id="watch",
        cluster_id="c",
        user_names=["alice"],
        **{"timeout": TIMEOUT, "poke_interval": 0.05, **more},
    )


def blocking() -> str:
    with pytest.raises(AirflowSensorTimeout) as caught:
        sensor(deferrable=False).execute(context())
    return str(caught.value)


def rescheduled() -> str:
    """The pokes as Airflow makes them, each by another process."""
    began = datetime.now(UTC)
    told: list[str] = []
    while (datetime.now(UTC) - began).total_seconds() <= TIMEOUT:
        task = sensor(deferrable=False, mode="reschedule")
        assert task.poke(context(began, task_reschedule_count=len(told))) is False
        assert task._logged is not None
        told.append(task._logged.in_full)
    return told[-1]


def fire(deferred: TaskDeferred) -> Any:
    async def main() -> Any:
        (event,) = [event async for event in deferred.trigger.run()]
        return event.payload

    return asyncio.run(main())


def deferred() -> str:
    """The first poll in the worker takes all the time."""
    with pytest.raises(AirflowSensorTimeout) as caught:
        sensor(deferrable=True).execute(context())
    return str(caught.value)


def triggered() -> str:
    """The polls are the triggerer's."""
    task = sensor(deferrable=True)
    task._first_poll = lambda ticket, deadline: (ticket, polling.Progress(polling.Phase.RUNNING, "started"))  # type: ignore[method-assign]
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context())
    event = fire(caught.value)
    with pytest.raises(AirflowSensorTimeout) as ended:
        task.execute_complete(context(), event=event)
    return str(ended.value)


def operator() -> str:
    task = MrsSyncIamUsersOperator(
        task_id="sync", cluster_id="c", user_names=["alice"], deferrable=False, timeout=TIMEOUT
    )
    with pytest.raises(WaitTimedOut) as caught:
        task.execute(context())
    return str(caught.value)


WAYS = [blocking, rescheduled, deferred, triggered, operator]


@each_stage
@pytest.mark.parametrize("way", WAYS)
def test_a_wait_ends_whatever_the_server_does(serve, monkeypatch, script, extra, way) -> None:
    server = serve(script)
    connect(monkeypatch, extra(server))
    assert CUT.search(way()), "ended by something else than the limit"
    assert server.connections


# --- starts ---------------------------------------------------------------------------------------------------------


class SlowlySigned(KeyPair):
    """A key whose requests take a while to be signed, if they start something, as by a slow sign-in."""

    seconds = 0.0

    def sign_if_ready(self, request: Any, now: float) -> Any:
        return None if request.method == "POST" else super().sign_if_ready(request, now)

    def authenticate(self, request: Any, now: float) -> Any:
        yield Pause(self.seconds)
        return super().sign_if_ready(request, now)


class Cluster:
    """A cluster without any run whose starts are answered late, or not."""

    def __init__(self, answer_starts: threading.Event) -> None:
        self.starts = 0
        self._answer = answer_starts

    def __call__(self, peer: Peer) -> None:
        while (asked := peer.read()) is not None:
            if asked.line.startswith("POST"):
                self.starts += 1
                self._answer.wait(10)
                peer.send(reply(b'{"state": "synchronizing"}'))
            else:
                path = asked.line.split()[1].partition("?")[0]
                found = {"iam-sync": FLAG_DOWN, "iam-sync-user": NO_NAMES}
                peer.send(found.get(path.rpartition("/")[2], RUNNING))


def start(drive: Any, server: Server, key: KeyPair) -> Any:
    cloud = Cloud(
        key,
        time.time,
        endpoint=server.url,
        project_id="p",
        http_settings=HttpSettings(read_timeout=READ_TIMEOUT),
        monotonic=time.monotonic,
    ).until(time.time() + START_TIMEOUT)
    return drive(begin(cloud, IAM_SYNC, iam_sync_target("c", user_names=["alice"], settle=0.0)))


@pytest.fixture(params=["blocking", "asyncio"])
def drive(request: pytest.FixtureRequest) -> Any:
    return drivers.run if request.param == "blocking" else lambda flow: asyncio.run(drivers.arun(flow))


def test_a_start_is_not_cut(serve, drive) -> None:
    """A lost reply to a start is in doubt, so it has its read timeout whatever the deadline is."""
    late = threading.Event()
    cluster = Cluster(late)
    timer = threading.Timer(START_TIMEOUT + 2 * ANSWER_TIME, late.set)
    timer.start()
    ticket = start(drive, serve(cluster), KeyPair("A" * 20, "s" * 40))
    assert ticket.stage is Stage.STARTED
    assert cluster.starts == 1


@pytest.mark.parametrize("seconds", [START_TIMEOUT + ANSWER_TIME / 2, 60.0], ids=["late", "past the limit"])
def test_nothing_is_started_after_the_deadline(serve, drive, monkeypatch, seconds) -> None:
    at_once = threading.Event()
    at_once.set()
    cluster = Cluster(at_once)
    key = SlowlySigned("A" * 20, "s" * 40)
    monkeypatch.setattr(SlowlySigned, "seconds", seconds)
    with pytest.raises(WaitTimedOut, match="Nothing was started"):
        start(drive, serve(cluster), key)
    assert cluster.starts == 0
