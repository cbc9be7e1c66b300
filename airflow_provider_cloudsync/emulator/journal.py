"""The journal: each request that came in, with what became of it and without its secrets."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

from airflow_provider_cloudsync.emulator.masking import masked_body, masked_headers
from airflow_provider_cloudsync.emulator.messages import Call

#: Enough for any test; without an end a forgotten process would eat the machine.
KEPT = 100_000


class Journal:
    """The requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0

    def open(self, call: Call, *, time: float, service: str | None, operation: str | None) -> dict[str, Any]:
        """Note a request on its arrival; what comes of it is filled in later by the caller."""
        self._count += 1
        entry = {
            "n": self._count,
            "time": time,
            "service": service,
            "operation": operation,
            "method": call.method,
            "path": call.path,
            "query": [list(pair) for pair in call.query],
            "headers": masked_headers(call.headers),
            "body": masked_body(call.body),
            "auth": "none",
            "status": None,
            "effect": None,
            "fault": None,
            "request_id": call.request_id,
        }
        self._entries.append(entry)
        return entry

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """Copies of the entries that came after number `since`."""
        return [copy.deepcopy(entry) for entry in self._entries if entry["n"] > since]
