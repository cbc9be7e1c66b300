"""What was seen in a soak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.soak.plan import Plan
from tests.soak.settings import Settings
from tests.soak.store import Event, Sample


@dataclass
class Record:
    """All that was seen, for the judge and the table.

    :param began: the beginning, in seconds since the epoch.
    :param ended: when the last wait had ended, or was given up.
    :param arrivals: when each wait was handed over, and
    :param ended_by_user: when some were ended; seconds since the epoch.
    :param killed: how many waits were in a triggerer when it was killed, each time.
    :param asked: likewise when it was asked to stop.
    :param stopped: of those that came to their own end, by process id, the tasks that they left behind.
    :param asked_pids: those that had to.
    :param requests: by operation.
    :param faults: by kind, as they struck.
    :param throttled: requests that the emulator refused for a quota, and not by a fault.
    :param rejected: requests with a proof that was no longer good.
    :param started: requests that set something off in the cloud.
    :param complaints: lines of the triggerers' logs that there should be none of.
    """

    settings: Settings
    plan: Plan
    began: float = 0.0
    ended: float = 0.0
    arrivals: dict[int, float] = field(default_factory=dict)
    ended_by_user: dict[int, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    stopped: dict[int, int] = field(default_factory=dict)
    asked_pids: list[int] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    throttled: int = 0
    rejected: int = 0
    tokens: int = 0
    revocations: int = 0
    started: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
