"""Ticket in Airflow's task state store (3.3 and later), from one try to the next.

Plain JSON under `TICKET_KEY`. Keys that 0.1.0 did not write are optional: ``end``, ``try``, ``at``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_cloudsync.api.model import TICKET_VERSION, Ticket
from airflow_provider_cloudsync.exceptions import InvalidEvent
from airflow_provider_cloudsync.tasks.tries import TryMark

#: Key in the task state store, which survives retries and clears. Never rename it.
TICKET_KEY = "cloudsync_ticket"


class End(StrEnum):
    """End that a green try has seen."""

    #: The service accepted the start; the task did not wait for the run.
    ACCEPTED = "accepted"
    #: The run has succeeded.
    COMPLETED = "completed"
    #: Stored by 0.1.0, which did not distinguish the two.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """Ticket with the origin of its storage.

    :param of: fingerprint of the task's parameters. Another fingerprint means another sync.
    :param at: time of storage in seconds since the epoch.
    :param mark: try that stored it; None if 0.1.0 did.
    :param end: end that this try has seen; None if it has seen none.
    """

    ticket: Ticket
    of: str
    at: float
    mark: TryMark | None = None
    end: End | None = None

    def to_text(self) -> str:
        """Return the text for the store."""
        stored: dict[str, Any] = {"ticket": self.ticket.to_json(), "of": self.of, "at": self.at}
        if self.mark is not None:
            stored["try"] = self.mark.to_json()
        if self.end is not None:
            stored |= {"ended": True, "end": self.end.value}  # "ended" is what 0.1.0 reads
        return json.dumps(stored)

    @classmethod
    def read(cls, text: str) -> StoredTicket | None:
        """Read what `to_text` or an older release wrote; None if this release cannot read it."""
        try:
            left = json.loads(text)
            ticket = Ticket.from_json(left["ticket"])
            return cls(
                ticket=ticket,
                of=left["of"],
                at=float(left.get("at", ticket.started_at)),
                mark=TryMark.from_json(left.get("try")),
                end=End(left.get("end", End.UNKNOWN)) if left.get("ended") else None,
            )
        except (InvalidEvent, ValueError, TypeError, KeyError, AttributeError):
            return None


def is_of_other_version(text: str) -> bool:
    """Return whether another release wrote an unreadable ticket, so that its run may be active."""
    try:
        return bool(json.loads(text)["ticket"]["version"] != TICKET_VERSION)
    except (ValueError, TypeError, KeyError):
        return False


def mark_of(text: str) -> TryMark | None:
    """Return the mark of the try that stored a ticket, also of an unreadable one."""
    try:
        return TryMark.from_json(json.loads(text).get("try"))
    except (ValueError, AttributeError):
        return None
