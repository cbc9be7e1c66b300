"""The services as far as the benchmarks ask them: few replies, given fast, by a process of its own.

The package's emulator would be the wrong floor: it checks signatures, scopes and quotas, and that would be most of what
is measured. Here nothing is checked. Everything that it shows is one synchronization, which ends when it was told to.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks._measure import ROOT

#: How many items the lists have.
ROWS = 1000
#: As `benchmarks._waits` numbers them.
_CLUSTER = re.compile(r"-(\d{12})(?:/|$)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD = (
    "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "Connection: keep-alive\r\nServer: api-gateway\r\nX-Request-Id: 0d9a7a6f1c5b4e0e8a4f2f0c8f1f2a3b\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubdomains;\r\nX-Content-Type-Options: nosniff\r\n\r\n"
)


def task_id(number: int) -> str:
    return f"member-sync-task-{number:05}"


def account_id(number: int) -> str:
    return f"{100_000_000_000 + number}"


@dataclass(slots=True)
class World:
    """What the services show, and what they were asked.

    :param began: seconds since the epoch.
    :param ends_at: by the monotonic clock, which is the same in all processes.
    :param ending: of so many clusters it ends then, in all others it goes on.
    :param asked_running: requests before that.
    :param first_done: when the first one came after that.
    :param looked: path of a cluster's flag -> when it was asked for last.
    """

    connections: int = 0
    most_connections: int = 0
    began: float = field(default_factory=time.time)
    ends_at: float = math.inf
    ending: int = 0
    asked_running: int = 0
    first_done: float = math.inf
    polled: dict[str, float] = field(default_factory=dict)

    def is_running(self, path: str, now: float) -> bool:
        """Whether what is asked for runs, and note that it was asked for."""
        if path.endswith("/iam-sync"):
            self.polled[path] = now
        if now < self.ends_at:
            self.asked_running += 1
            return True
        self.first_done = min(self.first_done, now)
        cluster = _CLUSTER.search(path)
        return cluster is not None and int(cluster[1]) >= self.ending


class Services:
    """One world after the other, for all who are connected."""

    def __init__(self) -> None:
        self.world = World()

    def opened(self, count: int) -> None:
        self.world.connections += count
        self.world.most_connections = max(self.world.most_connections, self.world.connections)

    def reply(self, target: str) -> bytes:
        parts = urlsplit(target)
        if parts.path == "/_report":
            return _encoded(asdict(self.world))
        if parts.path == "/_run":
            seconds, ending = parts.query.split(",")
            ends_at, there = time.monotonic() + float(seconds), self.world.connections
            self.world = World(there, there, ends_at=ends_at, ending=int(ending))
            return _encoded(ends_at)
        running = self.world.is_running(parts.path, time.monotonic())
        return _shown(parts.path, parts.query, running, int(self.world.began * 1000))


@cache
def _shown(path: str, query: str, running: bool, began: int) -> bytes:
    return _encoded(content(path, parse_qs(query), running, began))


def content(path: str, query: dict[str, list[str]], running: bool, began: int) -> Any:
    """What a service shows of a run that began then (in ms)."""
    match path.strip("/").split("/"):
        case ["v2", _, "clusters", _, "iam-sync"]:
            return {"is_synchronizing": running}
        case ["v2", _, "clusters", _, "iam-sync", "is-synchronous"]:
            return {"is_synchronous": not running}
        case ["v2", _, "clusters", _, "iam-sync-user"]:
            return {"user_names": [] if running else ["alice", "bob"], "group_names": []}
        case ["v1.1", _, "cluster_infos", cluster]:
            return {"cluster": {"clusterId": cluster, "clusterName": "bench", "clusterState": "running"}}
        case ["v1", _, "security", "member-sync-tasks"]:
            offset, limit = _page(query)
            numbers = range(offset, min(offset + min(limit, 100), ROWS))
            return {"total": ROWS, "tasks": [_member_task(number, running, began) for number in numbers]}
        case ["v1", _, "security", "member-sync-tasks", task]:
            return _member_task(int(task.rpartition("-")[2]), running, began)
        case ["v1", "vendor-account"]:
            offset, limit = _page(query)
            numbers = range(offset, min(offset + min(limit, 500), ROWS))
            return {"total": ROWS, "data": [_account(number, running, began) for number in numbers]}
        case ["api", "v2", "accounts", _, "runs", run]:  # dbt Cloud
            return {"data": {"id": int(run), "status": 3 if running else 10}}
        case ["api", _, "jobs", "runs", "get"]:  # Databricks
            ended = {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
            return {
                "run_id": 1,
                "state": {"life_cycle_state": "RUNNING", "state_message": ""} if running else ended,
            }
        case [*_, "jobs", job]:  # Airbyte
            return {
                "jobId": int(job),
                "status": "running" if running else "succeeded",
                "jobType": "sync",
                "startTime": "2026-11-21T08:00:00Z",
                "connectionId": "bench",
            }
    raise LookupError(f"no reply for {path}")


def _page(query: dict[str, list[str]]) -> tuple[int, int]:
    return int(query.get("offset", ["0"])[0]), int(query.get("limit", ["100"])[0])


def _member_task(number: int, running: bool, began: int) -> dict[str, Any]:
    return {
        "id": task_id(number),
        "project_id": "0123456789abcdef0123456789abcdef",
        "domain_id": "0123456789abcdef0123456789abcdef",
        "instance_id": "0123456789abcdef0123456789abcdef",
        "data_connection_id": "0123456789abcdef0123456789abcdef",
        "data_connection_name": f"connection_{number}",
        "cluster_id": f"cluster-{number}",
        "cluster_name": f"cluster_{number}",
        "cluster_type": "MRS",
        "schedule_start_hour": 0,
        "schedule_end_hour": 23,
        "schedule_period": "HOUR",
        "schedule_interval": 1,
        "schedule_status": "SCHEDULING",
        "sync_status": "SYNCING" if running else "SYNC_SUCCESS",
        "sync_msg": "",
        "sync_time": began,
        "create_time": began - 86_400_000,
        "create_user": "bench",
    }


def _account(number: int, running: bool, began: int) -> dict[str, Any]:
    return {
        "id": f"row-{number:05}",
        "vendor": "AWS",
        "account_id": account_id(number),
        "account_name": f"account {number}",
        "domain_id": "0123456789abcdef0123456789abcdef",
        "ak": f"AKIA{number:016}",
        "sync_status": "running" if running else "success",
        "sync_date": str(began),
        "failure_msg": "",
        "create_time": str(began - 86_400_000),
        "update_time": str(began),
    }


def _encoded(content: Any) -> bytes:
    body = json.dumps(content).encode()
    return _HEAD.format(date="{date}", length=len(body)).encode() + body


class _Conversation(asyncio.Protocol):
    """One connection. What bodies say does not matter here."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._unread = b""
        #: Those of the benchmark itself do not.
        self._counts = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._counts:
            self._services.opened(-1)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            announced = _LENGTH.search(head)
            whole = end + 4 + (int(announced[1]) if announced else 0)
            if len(self._unread) < whole:
                return
            self._unread = self._unread[whole:]
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, target: str) -> None:
        if not self._counts and not target.startswith("/_"):
            self._counts = True
            self._services.opened(1)
        date = formatdate(time.time(), usegmt=True).encode()
        self._transport.write(self._services.reply(target).replace(b"{date}", date, 1))


class Server:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run_for(self, seconds: float, ending: int = 10**6) -> float:
        """Begin a synchronization, forget the last one, and say when it will end by the monotonic clock.

        :param ending: in so many clusters.
        """
        ends_at: float = self._control(f"/_run?{seconds},{ending}")
        return ends_at

    def report(self) -> World:
        """What it was asked since then."""
        return World(**self._control("/_report"))

    def _control(self, target: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + target, timeout=30) as reply:
            return json.load(reply)


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a process of its own. It ends with us, however we end."""
    command = [sys.executable, "-m", "benchmarks._server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        try:
            yield Server(process.stdout.readline().strip())
        finally:
            process.stdin.close()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    services = Services()
    listening = await loop.create_server(lambda: _Conversation(services), "127.0.0.1", 0, backlog=2048)
    host, port = listening.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    closed = asyncio.Event()
    loop.add_reader(sys.stdin, closed.set)
    await closed.wait()


if __name__ == "__main__":
    asyncio.run(_main())
