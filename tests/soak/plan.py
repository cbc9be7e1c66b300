"""What is going to happen in a soak, and so what each of its waits has to report: the oracle.

It knows the services by their scenario only, and asks nothing of the code under test but the form of a ticket. All
times are seconds after the beginning, as in the scenario.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.api.model import Ticket
from tests.soak.settings import Settings

NEVER = math.inf
#: A wait whose run will end does not get near its deadline.
FAR = 3600.0
#: How often a wait is given up in time, and how often a user ends its task (shares of those that have room for it).
IMPATIENT, ENDED_BY_USER = 0.12, 0.06


@dataclass(frozen=True)
class Window:
    """A time in which whoever looks learns how the run ended.

    :param verdict: ``succeeded`` or ``failed``.
    :param says: what has to be in the reason, so that no wait is told what another one's run did.
    """

    start: float
    end: float
    verdict: str
    says: str = ""


@dataclass(frozen=True)
class Wait:
    """One wait.

    :param arrives: when the task is deferred; its ticket is as old.
    :param ticket: makes the ticket, given the time of the beginning.
    :param shows: when a look tells an end, and which; in order. At all other times the run goes on.
    :param not_before: when it looks first.
    :param ended_at: when a user ends the task.
    """

    number: int
    service: str
    connection: str
    arrives: float
    ticket: Callable[[float], Ticket]
    shows: tuple[Window, ...]
    deadline: float
    not_before: float
    floor: float = 2.0
    project_id: str | None = None
    poll_interval: float | None = None
    ended_at: float | None = None

    @property
    def key(self) -> str:
        """For a message."""
        return f"wait {self.number} ({self.service})"

    def arguments(self, began: float) -> dict[str, Any]:
        """What its trigger is made of."""
        return {
            "ticket": self.ticket(began).to_json(),
            "deadline": began + self.deadline,
            "cloudsync_conn_id": self.connection,
            "project_id": self.project_id,
            "poll_interval": self.poll_interval,
            "not_before": began + self.not_before,
            "try_number": 1 + self.number % 3,
        }

    def pause(self, at: float) -> float:
        """Seconds until its next look, if it looks at that time."""
        usual = min(max(at - self.arrives, 0.0) / 10, 60.0)
        return max(self.floor, usual if self.poll_interval is None else self.poll_interval)


@dataclass
class Draw:
    """The dice, and the waits that they have made so far."""

    settings: Settings
    rng: random.Random
    waits: list[Wait] = field(default_factory=list)

    def arrival(self) -> float:
        """When a run begins: many at first, so that soon as many wait as will for the rest of the time."""
        first = 0.08 * self.settings.seconds
        if self.rng.random() < 0.5:
            return self.rng.uniform(0, first)
        return self.rng.uniform(first, self.settings.last_arrival)

    def length(self) -> float:
        """How long a run takes: seconds, or most of the time that there is."""
        longest = 0.8 * self.settings.seconds
        if self.rng.random() < 0.2:
            return math.exp(self.rng.uniform(math.log(2), math.log(longest)))
        return self.rng.uniform(0.4, 1.0) * longest

    def run(self) -> tuple[float, float]:
        """Beginning and end of a run."""
        start = self.arrival()
        return start, min(start + self.length(), self.settings.last_end)

    def soon_after(self, start: float, end: float) -> float:
        """When one of those comes that wait for a run."""
        end = min(end, self.settings.last_arrival)
        return min(start + self.rng.random() ** 3 * max(end - start, 0.0), self.settings.last_arrival)

    def one_of(self, *shares: tuple[Any, float]) -> Any:
        """One of some, by their shares."""
        return self.rng.choices([each for each, _ in shares], [share for _, share in shares])[0]

    def wait(
        self,
        service: str,
        connection: str,
        arrives: float,
        ticket: Callable[[float], Ticket],
        shows: list[Window],
        **more: Any,
    ) -> None:
        """Add a wait: how long it has patience is settled here."""
        not_before = arrives + self.rng.choice((0.0, 0.0, 0.01 * self.settings.seconds))
        # What shows for a while only may be missed.
        lasts = bool(shows) and shows[-1].end == NEVER
        ends = next((window.start for window in shows if window.end > not_before), NEVER) if lasts else NEVER
        deadline, ended_at = self._patience(not_before, ends)
        chosen = self.rng.uniform(0.01, 0.03) * self.settings.seconds
        more.setdefault("poll_interval", chosen if self.rng.random() < 0.4 else None)
        self.waits.append(
            Wait(
                number=len(self.waits),
                service=service,
                connection=connection,
                arrives=arrives,
                ticket=ticket,
                shows=tuple(shows),
                deadline=deadline,
                not_before=not_before,
                ended_at=ended_at,
                **more,
            )
        )

    def _patience(self, begins: float, ends: float) -> tuple[float, float | None]:
        """Its deadline, and when a user ends it."""
        last = min(ends, self.settings.last_end)
        room, roll = last - begins, self.rng.random()
        if room > 5 and roll < ENDED_BY_USER:
            return FAR, begins + self.rng.uniform(0.1, 0.9) * room
        if ends == NEVER or (room > 10 and roll < IMPATIENT + ENDED_BY_USER):
            return begins + max(self.rng.uniform(0.4, 1.0) * room, 1.0), None
        return FAR, None


@dataclass(frozen=True)
class Plan:
    """The scenario, and the waits in the order in which they come."""

    scenario: dict[str, Any]
    waits: tuple[Wait, ...]
    targets: int
