"""Stand-in for the cloud, written without the emulator: raw HTTP over loopback, scripted by request and time.

A script returns an `Answer` for an `Ask`. Time is a number of seconds that moves only when a task pauses. Quirks wrap
the script and imitate gateways, proxies and servers between the task and the service.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: The cloud's clock at second 0 of each timeline: 2026-11-21T08:00:00Z.
EPOCH = 1_795_248_000.0
ACCESS_KEY, SECRET_KEY = "STANDINKEY", "stand-in-secret"


@dataclass(frozen=True)
class Ask:
    """A request as it arrived.

    :param at: seconds since `EPOCH` by the cloud's clock.
    :param nth: 1 for the first request with this method and path.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    at: float
    nth: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_start(self) -> bool:
        return self.method in ("POST", "DELETE")


@dataclass(frozen=True)
class Answer:
    """A reply.

    :param body: JSON value, or bytes to send unchanged.
    :param before: bytes in front of the reply, such as a 1xx.
    :param lost: close the connection in place of the reply.
    :param closes: close the connection after the reply without announcing it.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    before: bytes = b""
    lost: bool = False
    closes: bool = False

    @property
    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


Script = Callable[[Ask], Answer]
#: A quirk receives the request and the script behind it. A quirk that does not call the script keeps the request from
#: the service.
Quirk = Callable[[Ask, Script], Answer]
DateForm = Callable[[float], str | None]


def http_date(at: float) -> str:
    """Date header of a correct server."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC), usegmt=True)


class Killed(SystemExit):
    """Death of the process that waits."""


class Cloud:
    """Server that answers as a script says.

    :ivar at: seconds since `EPOCH`.
    :ivar kill_at: second at which the process that waits dies.
    :ivar asks: all requests.
    :ivar crashes: errors of the script itself.
    """

    def __init__(self, script: Script, quirks: Iterable[Quirk] = (), date: DateForm = http_date) -> None:
        self.at = 0.0
        self.kill_at: float | None = None
        self.asks: list[Ask] = []
        self.crashes: list[Exception] = []
        self._date = date
        for quirk in quirks:
            script = _wrapped(quirk, script)
        self._script = script
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Seconds since the epoch by the cloud's clock."""
        return EPOCH + self.at

    def advance(self, seconds: float) -> None:
        """Move the clock.

        :raises Killed: once, when second `kill_at` has come.
        """
        self.at += max(seconds, 0.0)
        if self.kill_at is not None and self.at >= self.kill_at:
            self.kill_at = None
            raise Killed

    @property
    def connection(self) -> str:
        """Value of ``AIRFLOW_CONN_...``."""
        extra = {
            "region": "cn-north-4",
            "project_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
            "domain_id": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
            "endpoint": self.url,
            "timeout": 5,
        }
        return json.dumps(
            {"conn_type": "cloudsync", "login": ACCESS_KEY, "password": SECRET_KEY, "extra": extra}
        )

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (ask := self._read(reader)) is not None:
                try:
                    answer = self._script(ask)
                except Exception as error:
                    self.crashes.append(error)
                    return
                if answer.lost:
                    return
                connection.sendall(answer.before + self._reply(answer))
                if answer.closes:
                    return

    def _read(self, reader: Any) -> Ask | None:
        line = reader.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers: dict[str, str] = {}
        while text := reader.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", 0)))
        method, target = line[0], urlsplit(line[1])
        with self._lock:
            nth = 1 + sum(each.method == method and each.path == target.path for each in self.asks)
            query = dict(parse_qsl(target.query, keep_blank_values=True))
            ask = Ask(method, target.path, query, json.loads(body) if body else None, self.at, nth, headers)
            self.asks.append(ask)
        return ask

    def _reply(self, answer: Answer) -> bytes:
        payload = answer.payload
        headers = {"Content-Type": "application/json", "X-Request-Id": "stand-in-1"}
        date = self._date(self.now())
        if date is not None:
            headers["Date"] = date
        headers |= answer.headers
        if answer.status != 204:
            headers.setdefault("Content-Length", str(len(payload)))
        lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + payload


def _wrapped(quirk: Quirk, script: Script) -> Script:
    return lambda ask: quirk(ask, script)


# Quirks.


def between(first: float, last: float, answer: Answer, *, where: str = "", method: str = "") -> Quirk:
    """Return an answer from second `first` to `last` in place of the service, for paths that contain `where`."""

    def quirk(ask: Ask, script: Script) -> Answer:
        hit = first <= ask.at < last and where in ask.path and method in ("", ask.method)
        return answer if hit else script(ask)

    return quirk


def nth(numbers: Iterable[int], answer: Answer, *, where: str = "", method: str = "GET") -> Quirk:
    """Return an answer in place of the service for the n-th request of a path."""
    wanted = set(numbers)

    def quirk(ask: Ask, script: Script) -> Answer:
        hit = ask.nth in wanted and where in ask.path and ask.method == method
        return answer if hit else script(ask)

    return quirk


def lost_start(ask: Ask, script: Script) -> Answer:
    """Lose the reply to the first start after the service accepted it."""
    answer = script(ask)
    return replace(answer, lost=True) if ask.is_start and ask.nth == 1 else answer


def start_never_arrives(ask: Ask, script: Script) -> Answer:
    """Close the connection of the first start before the service sees it."""
    return Answer(lost=True) if ask.is_start and ask.nth == 1 else script(ask)


def informed(before: bytes) -> Quirk:
    """Send bytes, such as a 1xx, in front of each reply."""
    return lambda ask, script: replace(script(ask), before=before)


def false_keep_alive(ask: Ask, script: Script) -> Answer:
    """Close each connection after one reply, without ``Connection: close``."""
    return replace(script(ask), closes=True)
