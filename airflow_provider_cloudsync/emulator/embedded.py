"""The emulator in a thread of its own, for tests and for the command line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from aiohttp import web

from airflow_provider_cloudsync.emulator import app
from airflow_provider_cloudsync.emulator.access import Access, is_loopback
from airflow_provider_cloudsync.emulator.clock import Clock
from airflow_provider_cloudsync.emulator.connections import IDLE_TIMEOUT, Connections
from airflow_provider_cloudsync.emulator.world import Cloud

T = TypeVar("T")
#: How long requests may go on after `stop`; only stalled and delayed ones take that long.
_GRACE = 0.1


class Emulator:
    """A running emulator.

    Use it as a context manager; the account's data are attributes then. What belongs to the account is read from the
    scenario of the moment, so a `reset` may change it.

    :param scenario: see `airflow_provider_cloudsync.emulator.scenario`; an object, a file, or nothing for the default.
    :param host: the address to listen on.
    :param port: the port, or 0 for any that is free.
    :param speed: how many emulated seconds pass in a real one.
    :param stepped: emulated time moves by `advance` only; give clients ``clock.now`` as their time.
    :param start: emulated seconds since the epoch to begin at.
    :param allow_remote: accept a host that other machines can reach. Anyone who reaches it can use it.
    :param allowed_hosts: names in the ``Host`` header that are accepted besides those of loopback and the address that
        it listens on, such as the name of a container.
    :param control_token: what requests to the control API must carry in ``X-Emulator-Token``; random unless given.
    :raises BadInput: the scenario makes no sense.
    :raises ValueError: another parameter makes no sense.
    """

    def __init__(
        self,
        scenario: Mapping[str, Any] | str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        stepped: bool = False,
        start: float | None = None,
        allow_remote: bool = False,
        allowed_hosts: Iterable[str] = (),
        control_token: str | None = None,
    ) -> None:
        if not allow_remote and not is_loopback(host):
            raise ValueError(
                f"{host} can be reached by other machines; listen on 127.0.0.1, or allow remote access"
            )
        self.clock = Clock(speed=speed, stepped=stepped, start=start)
        self._access = Access(host, allowed_hosts=allowed_hosts, token=control_token)
        self._cloud = Cloud(scenario, self.clock)
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns once the socket is open.

        :raises OSError: the address can't be listened on.
        """
        if self._thread is not None:
            raise RuntimeError("the emulator is running already")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloudsync-emulator", daemon=True)
        self._thread.start()
        try:
            self._port = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except BaseException:
            self.stop()
            raise

    async def _open(self) -> int:
        # Cancelling a handler when its client leaves ends stalls and delays that nobody waits for any more.
        self._runner = web.AppRunner(
            app.build(self._cloud, self._access),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_GRACE,
            keepalive_timeout=IDLE_TIMEOUT,
            max_line_size=app.MAX_LINE,
            max_field_size=app.MAX_LINE,
            auto_decompress=False,  # no service takes a compressed body, which may be far larger than it looks
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._server = await asyncio.get_running_loop().create_server(
            Connections(self._runner.server), self._host, self._port, backlog=128
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def stop(self) -> None:
        """Close the socket and end the thread; a second call does nothing."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _within(self, work: Callable[[], T]) -> T:
        """Run `work` in the server's thread, so that no request is half way through meanwhile."""
        if self._loop is None:
            return work()

        async def task() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(task(), self._loop).result()

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """The journal's entries after number `since`."""
        return self._within(lambda: self._cloud.world.journal.entries(since))

    def state(self) -> dict[str, Any]:
        """Everything there is in the emulated cloud."""
        return self._within(lambda: self._cloud.world.state())

    def reset(self, scenario: Mapping[str, Any] | str | Path | None = None) -> None:
        """Begin anew, with another scenario or with the one of the beginning."""
        self._within(lambda: self._cloud.reset(scenario))

    def faults(self, specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Arm more faults, and say which are armed then."""

        def arm() -> list[dict[str, Any]]:
            self._cloud.world.faults.arm(specs)
            return self._cloud.world.faults.describe()

        return self._within(arm)

    def disarm(self) -> None:
        """Forget all faults."""
        self._within(lambda: self._cloud.world.faults.disarm())

    def revoke(self) -> dict[str, int]:
        """End all tokens and temporary keys, and say how many these were."""
        return self._within(lambda: self._cloud.world.account.credentials.revoke())

    def advance(self, seconds: float) -> float:
        """Move the emulated time ahead, and say what it is then."""
        return self._within(lambda: self.clock.advance(seconds))

    @property
    def url(self) -> str:
        """Where it listens."""
        # What listens everywhere is reached here on loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def control_token(self) -> str:
        """What requests to the control API must carry in the header ``X-Emulator-Token``."""
        return self._access.token

    @property
    def access_key(self) -> str:
        """The first permanent key of the account."""
        return self._key[0]

    @property
    def secret_key(self) -> str:
        """The secret key that belongs to it."""
        return self._key[1]

    @property
    def _key(self) -> tuple[str, str]:
        keys = self._cloud.world.account.credentials.keys()
        return next(
            ((key.access_key, key.secret_key) for key in keys if key.security_token is None), ("", "")
        )

    @property
    def project_id(self) -> str:
        """The project to work in."""
        return self._cloud.world.account.main_project

    @property
    def region(self) -> str:
        """The region that the account's main project is in."""
        return self._cloud.world.account.region

    @property
    def domain_id(self) -> str:
        """The account's id."""
        return self._cloud.world.account.domain.id

    @property
    def domain_name(self) -> str:
        """The account's name, which a password is sent with."""
        return self._cloud.world.account.domain.name

    @property
    def user(self) -> str:
        """The IAM user that can have tokens."""
        return self._cloud.world.account.user

    @property
    def password(self) -> str:
        """The password of that user."""
        return self._cloud.world.account.password

    @property
    def connection(self) -> str:
        """A value for the environment variable ``AIRFLOW_CONN_CLOUDSYNC_DEFAULT``."""
        extra = {"region": self.region, "project_id": self.project_id, "endpoint": self.url}
        return json.dumps(
            {"conn_type": "cloudsync", "login": self.access_key, "password": self.secret_key, "extra": extra}
        )

    def details(self) -> dict[str, str]:
        """The attributes above, as the command line prints them."""
        names = (
            "url",
            "access_key",
            "secret_key",
            "project_id",
            "region",
            "domain_id",
            "domain_name",
            "user",
        )
        return {name: getattr(self, name) for name in (*names, "password", "connection", "control_token")}
