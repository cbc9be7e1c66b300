"""Who may call next, where a service documents a quota: what `Turn` and `Hold` mean. One queue for the process."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from airflow_provider_cloudsync.api.messages import Hold, Quota, Turn

#: A call takes its time to the service, and no two the same: the window is kept with so much to spare (seconds).
_MARGIN = 1.0
#: A reserved turn that nobody came for by so long after it is given up (seconds).
_LATE = 60.0


@dataclass(slots=True)
class _Queue:
    """The turns given out for one API: as many as its quota has, the newest last."""

    given: deque[float]
    reserved: dict[Hashable, float] = field(default_factory=dict)
    held_until: float = 0.0

    def turn(self, asked: Turn, now: float) -> float:
        """When its turn is, in the queue's time. Turns are given in the order in which they were asked for."""
        at = self.reserved.pop(asked.claim, None)
        if at is None or at < self.held_until or at < now - _LATE:
            at = self._next(asked.quota, now)
        if at - now > asked.patience:
            self.reserved = {claim: when for claim, when in self.reserved.items() if when >= now - _LATE}
            self.reserved[asked.claim] = at
        return at

    def _next(self, quota: Quota, now: float) -> float:
        at = max(now, self.held_until)
        if len(self.given) == quota.limit:
            at = max(at, self.given[0] + quota.seconds + _MARGIN)
        self.given.append(at)
        return at


class Turns:
    """The queues of a process, for threads and event loops alike.

    :param clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}

    def take(self, asked: Turn) -> float:
        """Seconds until the turn; above the asker's patience it is reserved and not taken."""
        with self._lock:
            now = self._clock()
            return max(self._queue(asked.key, asked.quota.limit).turn(asked, now) - now, 0.0)

    def hold(self, refused: Hold) -> None:
        """Give no turn for a while."""
        with self._lock:
            queue = self._queues.get(refused.key)
            if queue is not None:
                queue.held_until = max(queue.held_until, self._clock() + refused.seconds)

    def _queue(self, key: Hashable, limit: int) -> _Queue:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(deque(maxlen=limit))
        return queue
