"""The emulator as users start it: a process of its own, reached over a socket."""

from __future__ import annotations

import json
import selectors
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.e2e.processes import ProcessDied, Processes, Unkillable
from tests.e2e.site_settings import inherited

MARKER = "CLOUDSYNC_EMULATOR"
#: Seconds until it must have said where it is.
BOOT_TIMEOUT = 30.0


class EmulatorProcess:
    """Runs `python -m airflow_provider_cloudsync.emulator` for a `with` block.

    :param options: command-line options, such as `("--speed", "10")`.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._signals = Unkillable()
        self.details: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._signals.__enter__()
        try:
            self._home = Path(tempfile.mkdtemp(prefix="cloudsync-emulator-"))
            self._processes = Processes({**inherited(), MARKER: str(self._home)}, MARKER, self._home)
            command = [
                sys.executable,
                "-m",
                "airflow_provider_cloudsync.emulator",
                "--port",
                "0",
                *self._options,
            ]
            self.details = json.loads(self._first_line(command))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._signals.closing()
        try:
            if hasattr(self, "_processes"):
                self._processes.stop_all()
        finally:
            if hasattr(self, "_home"):
                shutil.rmtree(self._home, ignore_errors=True)
            self._signals.__exit__()

    @property
    def connection_env(self) -> dict[str, str]:
        """The variable that makes it Airflow's default connection."""
        return {"AIRFLOW_CONN_CLOUDSYNC_DEFAULT": self.details["connection"]}

    def journal(self) -> list[dict[str, Any]]:
        """Every request that it was sent, oldest first."""
        found = self.control("GET", "requests")
        entries: list[dict[str, Any]] = found["requests"]
        return entries

    def control(self, method: str, name: str, body: Any = None) -> Any:
        """Call its control API: `state`, `requests`, `reset`, `faults`, `advance`."""
        url = f"{self.details['url']}/_emulator/{name}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def _first_line(self, command: list[str]) -> bytes:
        process = self._processes.start("emulator", command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(BOOT_TIMEOUT) else b""
        if not line:
            raise ProcessDied(f"the emulator said nothing\n{self._processes.tail('emulator')}")
        return line
