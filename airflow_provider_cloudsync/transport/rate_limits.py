"""Rate limiter shared by all tasks of a process, for the services that document a quota."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from airflow_provider_cloudsync.api.messages import AcquireSlot, Cooldown, Quota

#: A call takes its time to the service, and no two the same: the window is kept with so much to spare (seconds).
_MARGIN = 1.0
#: Who is told to come back in a while comes back after this at the latest (seconds).
_LONGEST_ABSENCE = 600.0
#: Who is not back by so long after that has given up, and those behind move up (seconds).
_LATE = 10.0
#: Nobody is let through for so long after a refusal that names no time, and at the most (seconds).
_UNTOLD, _LONGEST_UNTOLD = 1.0, 60.0


@dataclass(slots=True)
class _Queue:
    """The calls to one API that were let through last, and those that wait, first come first served.

    :param quota: None while none is known: then nobody waits but for a refusal.
    :param sent: when calls were let through: as many as the quota has, the newest last.
    :param expires_at: when a quota that only a refusal named is forgotten. A poll can need more calls than it allows,
        and would never be complete.
    :param waiting: what is to be sent -> by when whoever wants to is back. In the order in which they came.
    """

    quota: Quota | None = None
    sent: deque[float] = field(default_factory=deque)
    waiting: dict[Hashable, float] = field(default_factory=dict)
    expires_at: float = math.inf
    held_until: float = 0.0
    last_untold: float = 0.0
    swept_at: float = 0.0

    def keep(self, quota: Quota | None) -> None:
        """From now on, unless it is known already."""
        if quota is not None and quota != self.quota:
            self.quota = quota
            self.sent = deque(self.sent, maxlen=quota.limit)

    def take(self, claim: Hashable, now: float) -> float:
        """Return the seconds until a slot is free; 0: the slot is taken."""
        if now >= self.expires_at:
            self.quota, self.expires_at = None, math.inf
            self.sent.clear()
            self.waiting.clear()
        if self.quota is None:
            # As if it had a place: nobody knows how many may go at once, so all come back at some time after.
            return self.held_until - now if self.held_until > now else 0.0
        self._sweep(now)
        self.waiting.setdefault(claim, now)
        wait = self._nth(self._place(claim, now), self.quota, now) - now
        if wait > 0:
            self.waiting[claim] = now + min(wait, _LONGEST_ABSENCE) + _LATE
            return wait
        del self.waiting[claim]
        self.sent.append(now)
        return 0.0

    def hold(self, seconds: float | None, now: float) -> None:
        """Let nobody through for so long; None: twice as long as the last time, if that is not long ago."""
        if seconds is None:
            if now < self.held_until:
                return  # of a call that was under way when the last one was refused
            in_a_row = now <= self.held_until + 2 * self.last_untold
            seconds = min(2 * self.last_untold, _LONGEST_UNTOLD) if in_a_row and self.last_untold else _UNTOLD
            self.last_untold = seconds
        self.held_until = max(self.held_until, now + seconds)

    def _sweep(self, now: float) -> None:
        """Forget who never came back. Now and then, since a thousand may wait."""
        if now - self.swept_at < _LATE:
            return
        self.swept_at = now
        gone = [claim for claim, back_by in self.waiting.items() if back_by < now - _LONGEST_ABSENCE]
        for claim in gone:
            del self.waiting[claim]

    def _place(self, claim: Hashable, now: float) -> int:
        """Return the number of claims that come first. A late claim does not count, but keeps its place."""
        place = 0
        for other, back_by in self.waiting.items():
            if other == claim:
                break
            place += back_by >= now
        return place

    def _nth(self, place: int, quota: Quota, now: float) -> float:
        """Return the time at which a claim at that place gets its slot, if all before it take theirs."""
        begin, window = max(now, self.held_until), quota.seconds + _MARGIN
        rounds, seat = divmod(place, quota.limit)
        free = quota.limit - len(self.sent)
        first = begin if seat < free else max(begin, self.sent[seat - free] + window)
        return first + rounds * window


class RateLimiter:
    """The queues of a process, for threads and event loops alike.

    :param clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}

    def clear(self) -> None:
        """Drop all queues, and the lock, even if it is held."""
        self._lock = threading.Lock()
        self._queues = {}

    def take(self, asked: AcquireSlot) -> float:
        """Return the seconds until a slot is free; 0: the slot is taken. Otherwise ask again after that time."""
        if asked.quota is None and asked.key not in self._queues:
            return 0.0
        with self._lock:
            queue = self._queues.get(asked.key)
            if queue is None:
                queue = self._queues[asked.key] = _Queue()
            if asked.quota is not None:
                queue.keep(asked.quota)
                queue.expires_at = math.inf
            return queue.take(asked.claim, self._clock())

    def hold(self, refused: Cooldown) -> None:
        """Let nobody through for a while; those who wait keep their places."""
        with self._lock:
            queue = self._queues.setdefault(refused.key, _Queue())
            is_named_only = queue.quota is None or queue.expires_at < math.inf
            if queue.quota is None:
                queue.keep(refused.quota)
            queue.hold(refused.seconds, self._clock())
            if is_named_only and queue.quota is not None:
                queue.expires_at = queue.held_until + queue.quota.seconds + _MARGIN
