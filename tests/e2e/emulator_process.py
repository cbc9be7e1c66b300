"""The emulator as users start it: a process of its own, reached over a socket."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from typing import Any

from tests.e2e.own_place import OwnPlace
from tests.e2e.processes import ProcessDied, Processes
from tests.e2e.site_settings import inherited

MARKER = "CLOUDSYNC_EMULATOR"
#: Seconds until it must have said where it is.
BOOT_TIMEOUT = 30.0


class EmulatorProcess(OwnPlace):
    """Runs `python -m airflow_provider_cloudsync.emulator` for a `with` block.

    :param options: command-line options, such as `("--speed", "10")`.
    :param scenario: what its world is like; that of its own if not given.
    """

    kind = "emulator"

    def __init__(self, *options: str, scenario: Mapping[str, Any] | None = None) -> None:
        self._options = options
        self._scenario = scenario
        self.details: dict[str, Any] = {}

    def _open(self) -> None:
        self._processes = Processes({**inherited(), MARKER: str(self.home)}, MARKER, self.home)
        command = [sys.executable, "-m", "airflow_provider_cloudsync.emulator", "--port", "0", *self._options]
        if self._scenario is not None:
            path = self.home / "scenario.json"
            path.write_text(json.dumps(self._scenario), encoding="utf-8")
            command += ["--scenario", str(path)]
        self.details = json.loads(self._first_line(command))

    def _end(self) -> None:
        if hasattr(self, "_processes"):
            self._processes.stop_all()

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
        headers = {
            "Content-Type": "application/json",
            "X-Emulator-Token": self.details["control_token"],
        }
        request = urllib.request.Request(url, data, headers, method=method)
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
