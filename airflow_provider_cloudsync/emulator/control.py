"""The control API under ``/_emulator/``: read the state of the emulator, and change it.

`airflow_provider_cloudsync.emulator.access` checks who asks before a request gets here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_cloudsync.emulator.clock import LONGEST_JUMP
from airflow_provider_cloudsync.emulator.messages import Call, Reply
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader, parse_document
from airflow_provider_cloudsync.emulator.world import Cloud

PREFIX = "/_emulator/"


class Control:
    """Answers control requests."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._actions: dict[tuple[str, str], Callable[[Call], Any]] = {
            ("GET", "state"): lambda call: cloud.world.state(),
            ("GET", "requests"): self._requests,
            ("POST", "reset"): self._reset,
            ("POST", "faults"): self._arm,
            ("GET", "faults"): lambda call: self._armed(),
            ("DELETE", "faults"): self._disarm,
            ("POST", "advance"): self._advance,
            ("POST", "revoke"): lambda call: cloud.world.account.credentials.revoke(),
        }

    def answer(self, call: Call) -> Reply:
        """The reply; 400 with a clear text when the request makes no sense."""
        name = call.path.removeprefix(PREFIX)
        action = self._actions.get((call.method, name))
        if action is None:
            known = ", ".join(f"{method} {PREFIX}{path}" for method, path in self._actions)
            methods = [method for method, path in self._actions if path == name]
            return Reply({"error": f"there is only {known}"}, 405 if methods else 404)
        try:
            return Reply(action(call))
        except BadInput as error:
            return Reply({"error": str(error)}, 400)

    def _requests(self, call: Call) -> Any:
        since = call.asked("since") or "0"
        if not (since.isascii() and since.isdigit()):
            raise BadInput(f"since must be a whole number, not {since!r}")
        return {"requests": self._cloud.world.journal.entries(int(since))}

    def _reset(self, call: Call) -> Any:
        if call.body:
            # An object and nothing else: to `reset` a text would be the name of a file to read.
            self._cloud.reset(Reader(_document(call), "").fields)
        else:
            self._cloud.reset()
        return {"now": self._cloud.clock.now()}

    def _arm(self, call: Call) -> Any:
        reader = Reader(_document(call), "")
        specs = reader.needed("faults")
        reader.done()
        self._cloud.world.faults.arm(specs)
        return self._armed()

    def _armed(self) -> Any:
        return {"faults": self._cloud.world.faults.describe()}

    def _disarm(self, call: Call) -> Any:
        self._cloud.world.faults.disarm()
        return self._armed()

    def _advance(self, call: Call) -> Any:
        reader = Reader(_document(call), "")
        reader.needed("seconds")
        seconds = reader.number("seconds", most=LONGEST_JUMP)
        reader.done()
        return {"now": self._cloud.clock.advance(seconds)}


def _document(call: Call) -> Any:
    return parse_document(call.body, "the request body")
