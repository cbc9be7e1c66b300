"""Timeouts of an event loop, with one timer for all requests under way.

A timer for each request, reset with each part of the reply, costs more than the request's signature.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType

#: Least time between two checks of all that is under way (seconds).
_APART = 0.01


class Deadlines:
    """Timeouts of one event loop, with one timer for all of them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._under_way: set[Deadline] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = math.inf

    def __len__(self) -> int:
        """Return the number of timeouts under way."""
        return len(self._under_way)

    def within(self, seconds: float, first: float = math.inf) -> Deadline:
        """A context whose body is ended by a `TimeoutError` if it takes longer.

        :param first: seconds that it has at first, if it is not to be moved.
        """
        return Deadline(self, seconds, first)

    def close(self) -> None:
        """To be called when nothing is under way any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._rings_at = None, math.inf

    def _ring_by(self, at: float) -> None:
        if at < self._rings_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._rings_at = self._loop.call_at(at, self._ring), at

    def _ring(self, turns: int = 2) -> None:
        self._alarm, self._rings_at = None, math.inf
        if turns:
            # Where the loop stood still, what was waited for may be there already: whoever is woken by it goes first.
            self._loop.call_soon(self._ring, turns - 1)
            return
        now = self._loop.time()
        for each in list(self._under_way):
            if each.at <= now:
                each.end()
        left = [each.at for each in self._under_way]
        if left:
            self._ring_by(max(min(left), now + _APART))


class Deadline:
    """Timeout of one body; see `Deadlines.within`.

    :ivar at: when the body is ended, by the loop's clock. May be moved by `move`.
    """

    __slots__ = ("_all", "_is_over", "_latest", "_others", "_task", "at")

    def __init__(self, all_of: Deadlines, seconds: float, first: float) -> None:
        self._all = all_of
        self._is_over = False
        self.restart(seconds, first)

    def restart(self, seconds: float, first: float) -> None:
        """Count from now. The new end must not be earlier than the old one."""
        now = self._all._loop.time()
        self._latest = now + seconds
        self.at = self._latest if first > seconds else now + first

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._others = task.cancelling()
        everyone = self._all
        everyone._under_way.add(self)
        if self.at < everyone._rings_at:
            everyone._ring_by(self.at)
        return self

    def move(self, seconds: float) -> None:
        """Set the seconds that are left, at most those of the start."""
        everyone = self._all
        self.at = min(self._latest, everyone._loop.time() + seconds)
        if self.at < everyone._rings_at:
            everyone._ring_by(self.at)

    def end(self) -> None:
        """End the body: its time has passed."""
        self._is_over = True
        self._all._under_way.discard(self)
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_over:
            self._all._under_way.discard(self)
        elif self._task.uncancel() <= self._others and kind is asyncio.CancelledError:
            # Nobody else wants the task to end.
            raise TimeoutError from error
