"""The emulator's time: real, sped up, or stepped by a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: The most that one `advance` may skip; models catch up with all that happened meanwhile.
LONGEST_JUMP = 366 * 86_400.0


def instant(seconds: float) -> float:
    """`seconds` to the millisecond, so that sums taken in another order still mean the same moment."""
    return round(seconds, 3)


def milliseconds(seconds: float) -> int:
    """`seconds` as most services write times."""
    return round(seconds * 1000)


def utc_text(seconds: float) -> str:
    """`seconds` as IAM and its siblings write times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Clock:
    """Says what time it is in the emulated cloud.

    :param speed: how many emulated seconds pass in a real one.
    :param stepped: time stands still but for `advance`.
    :param start: emulated seconds since the epoch to begin at; the wall time unless given.
    :param wall: where the wall time comes from.
    :param ticks: where elapsed real time comes from.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        stepped: bool = False,
        start: float | None = None,
        wall: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed must be a positive number, not {speed!r}")
        self.speed = speed
        self.stepped = stepped
        self._start = start
        self._wall = wall
        self._ticks = ticks
        self.restart()

    def restart(self) -> None:
        """Begin anew at the start that was given, or at the wall time."""
        self.started = instant(self._wall() if self._start is None else self._start)
        self._began = self._ticks()
        self._added = 0.0

    def now(self) -> float:
        """Emulated seconds since the epoch."""
        passed = 0.0 if self.stepped else (self._ticks() - self._began) * self.speed
        return instant(self.started + self._added + passed)

    def gateway_now(self) -> float:
        """The time that signatures and quotas are held against.

        Clients sign with the wall time, so a sped-up clock would soon refuse each of them. In stepped mode a test gives
        the client this very clock.
        """
        return self.now() if self.stepped else instant(self._wall())

    def credential_now(self) -> float:
        """The time that keys and tokens begin and end by.

        Their holders go by the wall time, in which a sped-up one would be over long before its time. What was skipped
        counts, so that they end when a test says so.
        """
        return self.now() if self.stepped else instant(self._wall() + self._added)

    def advance(self, seconds: float) -> float:
        """Move ahead by `seconds` at once, and say what time it is then."""
        if not 0 <= seconds <= LONGEST_JUMP:
            raise ValueError(f"seconds must be from 0 to {LONGEST_JUMP:.0f} (a year), not {seconds!r}")
        self._added += seconds
        return self.now()
