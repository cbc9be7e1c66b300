"""Reads of a poll that a rate limit interrupted. The next poll continues with the refused read.

A gateway may allow fewer calls per window than one poll needs. A poll that restarts from its first read would use up
each window for the same reads and never complete.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.replies import Reply

#: Seconds after the start of a poll for which its reads are stored.
_KEPT_FOR = 600.0


class Reads:
    """Reads of one poll, in order.

    :param at: start of the poll, seconds since the epoch. A poll that continues keeps this time.
    :param earlier: request and reply of each read of an earlier part of the poll.
    """

    __slots__ = ("_cache", "_earlier", "at")

    def __init__(self, at: float, earlier: Iterable[tuple[Hashable, Reply]] = ()) -> None:
        self.at = at
        self._earlier = list(earlier)
        self._cache: list[tuple[Hashable, Reply]] = []

    def take(self, request: Hashable) -> Reply | None:
        """Return the stored reply to a request, once. A repeated request is sent again."""
        for index, (known, reply) in enumerate(self._earlier):
            if known == request:
                self._cache.append(self._earlier.pop(index))
                return reply
        return None

    def add(self, request: Hashable, reply: Reply) -> None:
        """Store a reply."""
        self._cache.append((request, reply))

    def stopped(self) -> Reads:
        """Return the reads to continue with in the next part of the poll."""
        return Reads(self.at, [*self._cache, *self._earlier])


class Unfinished:
    """Store of the interrupted polls of a connection, by subject."""

    def __init__(self) -> None:
        self._reads: dict[Hashable, Reads] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def take(self, what: Hashable, now: float) -> Reads:
        """Return the reads of an interrupted poll, or those of a new one."""
        reads = self._reads.pop(what, None)
        return reads if reads is not None and 0 <= now - reads.at < _KEPT_FOR else Reads(now)

    def keep(self, what: Hashable, reads: Reads, now: float) -> None:
        """Store the reads of an interrupted poll, and drop expired ones."""
        self._reads = {key: each for key, each in self._reads.items() if 0 <= now - each.at < _KEPT_FOR}
        self._reads[what] = reads.stopped()
