"""Reads of a poll that a rate limit stopped, so that the next poll goes on with the read that was refused.

A gateway may allow fewer calls in its window than one poll needs. A poll that began again from its first read would use
up each window for the same reads, and would never be complete.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.replies import Reply

#: Seconds after the beginning of a poll for which its reads are kept.
_KEPT_FOR = 600.0


class Reads:
    """The reads of one poll, in their order.

    :param at: when the poll began, seconds since the epoch. A poll that goes on with its reads began then, too.
    :param earlier: request and reply of each read that an earlier part of the poll made.
    """

    __slots__ = ("_cache", "_earlier", "at")

    def __init__(self, at: float, earlier: Iterable[tuple[Hashable, Reply]] = ()) -> None:
        self.at = at
        self._earlier = list(earlier)
        self._cache: list[tuple[Hashable, Reply]] = []

    def take(self, request: Hashable) -> Reply | None:
        """Return the reply that an earlier part of the poll received. A request that the poll repeats is sent again."""
        for index, (known, reply) in enumerate(self._earlier):
            if known == request:
                self._cache.append(self._earlier.pop(index))
                return reply
        return None

    def add(self, request: Hashable, reply: Reply) -> None:
        """Keep a reply."""
        self._cache.append((request, reply))

    def stopped(self) -> Reads:
        """Return the reads for the next part of the poll."""
        return Reads(self.at, [*self._cache, *self._earlier])


class Unfinished:
    """Polls of a connection that a rate limit stopped, by what they are of."""

    def __init__(self) -> None:
        self._reads: dict[Hashable, Reads] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def take(self, what: Hashable, now: float) -> Reads:
        """Return the reads of a poll to go on with, or of a new one."""
        reads = self._reads.pop(what, None)
        return reads if reads is not None and 0 <= now - reads.at < _KEPT_FOR else Reads(now)

    def keep(self, what: Hashable, reads: Reads, now: float) -> None:
        """Keep the reads of a poll that was stopped, and drop those that are too old."""
        self._reads = {key: each for key, each in self._reads.items() if 0 <= now - each.at < _KEPT_FOR}
        self._reads[what] = reads.stopped()
