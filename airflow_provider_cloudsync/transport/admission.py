"""Letting many begin one after the other, where all would begin at once: what keeps an event loop from being late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context

#: So many begin before the loop sees to everything else.
_AT_ONCE = 4


class Admission:
    """A queue before whatever begins work in an event loop.

    A thousand timers that end in the same moment would be one turn of the loop, in which nothing else is seen to, for a
    good part of a second. Behind this queue they take turns, a few in each, and none waits for longer than the others'
    work.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[Context, Callable[[], object]]] = deque()
        self._begun = 0

    def admit(self, what: Callable[[], object]) -> None:
        """Have it called now or soon, in the order in which they came, and in the context of who asks: of its task's
        log.
        """
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        if self._begun < _AT_ONCE:
            self._begun += 1
            what()
        else:
            self._queue.append((copy_context(), what))

    def _next(self) -> None:
        queue = self._queue
        self._begun = min(_AT_ONCE, len(queue))
        try:
            for _ in range(self._begun):
                context, what = queue.popleft()
                context.run(what)
        finally:
            if self._begun:
                asyncio.get_running_loop().call_soon(self._next)
