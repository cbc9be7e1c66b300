"""The emulator's side of a soak: faults, revocations, and what its journal tells."""

from __future__ import annotations

from typing import Any

from tests.e2e.emulator_process import EmulatorProcess
from tests.soak.record import Record

#: A request that is younger may still be under way (seconds).
UNDER_WAY = 8.0
TOKEN = "KeystoneCreateUserTokenByPassword"


class SoakedCloud:
    """The emulator of a soak.

    :param record: is told what the journal says.
    """

    def __init__(self, emulator: EmulatorProcess, record: Record) -> None:
        self._emulator = emulator
        self._record = record
        self._read = 0

    def begin(self) -> float:
        """Bring about what is planned, and say when that was: seconds since the epoch."""
        now: float = self._emulator.control("POST", "reset", self._record.plan.scenario)["now"]
        return now

    def arm(self, faults: list[dict[str, Any]]) -> None:
        """Other faults than those so far. These go: a fault that has struck is still looked at with each request."""
        self._emulator.control("DELETE", "faults")
        if faults:
            self._emulator.control("POST", "faults", {"faults": faults})

    def revoke(self) -> None:
        """End all tokens."""
        self._emulator.control("POST", "revoke")
        self._record.revocations += 1

    def harvest(self, now: float | None = None) -> None:
        """Count what came in since the last time.

        :param now: seconds since the epoch, to leave out what may still be under way.
        """
        found = self._emulator.control("GET", f"requests?since={self._read}")["requests"]
        for entry in found:
            if now is not None and entry["time"] > now - UNDER_WAY:
                return
            self._read = entry["n"]
            self._count(entry)

    def _count(self, entry: dict[str, Any]) -> None:
        record, operation = self._record, str(entry["operation"])
        record.requests[operation] += 1
        if fault := entry["fault"]:
            kind = next(name for name in fault if name != "when")
            record.faults[str(fault[kind]) if kind == "status" else kind] += 1
        elif entry["status"] == 429:
            record.throttled += 1
        record.rejected += entry["status"] == 401
        record.tokens += operation == TOKEN and entry["status"] == 201
        if entry["effect"] is not None:
            record.started.append(f"{entry['method']} {entry['path']}: {entry['effect']}")
