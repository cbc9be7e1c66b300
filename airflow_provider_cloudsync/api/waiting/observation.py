"""One look at what a service shows: by itself, shared by all waits for one target, or with others of a list."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.limits import in_time
from airflow_provider_cloudsync.api.messages import Batched, Flow, SingleFlight
from airflow_provider_cloudsync.api.model import Gatherable, Service, Target, is_gatherable
from airflow_provider_cloudsync.exceptions import CloudSyncError, Throttled

T = TypeVar("T")

#: So long a call of a look or a start waits for its turn under a quota (seconds). For longer it is given up and comes
#: back, so that the deadline is kept, and a start is preceded by a look that is not old.
_MAX_QUEUE_WAIT = 3.0


class Poller:
    """What to yield for the next look; shared by all waits that it serves.

    :param cloud: each call is made once, and does not wait for its turn for long.
    """

    __slots__ = ("_cloud", "_key", "_service", "_target")

    def __init__(self, cloud: Cloud, service: Service[Any], target: Target) -> None:
        self._cloud = soon(cloud)
        self._service = service
        self._target = target
        what = service.group(target) if is_gatherable(service) else service.key(target)
        self._key = ("looks", service.name, cloud.scope, what)

    def after(self, wait: float, *, last: bool = False, limit: float | None = None) -> SingleFlight | Batched:
        """A look that is wanted in so many seconds.

        :param limit: seconds after which this wait, but no other, is without an answer; None: no limit.
        :param last: whether the reason that it shows is what the wait ends with: nothing in it is to be of earlier.
        """
        if is_gatherable(self._service):
            all_of = partial(_poll_all, self._cloud, self._service, self._key[-1])
            # In the second half of a pause a look that others want comes as a gift.
            return Batched(
                self._key, self._service.key(self._target), all_of, wait, soonest=wait / 2, limit=limit
            )
        cloud, key = (self._cloud.uncached(), (*self._key, "last")) if last else (self._cloud, self._key)
        return SingleFlight(key, partial(look, cloud, self._service, self._target), wait=wait, limit=limit)


def _poll_all(
    cloud: Cloud, service: Gatherable[Any], group: Any, keys: Sequence[Any]
) -> Flow[dict[Any, tuple[float, Any] | CloudSyncError]]:
    at, found = yield from _resumable(
        cloud, (service.name, group), lambda within: service.observe_all(within, group, keys)
    )
    return {key: seen if isinstance(seen, CloudSyncError) else (at, seen) for key, seen in found.items()}


def look(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """A look with the time at which it began."""
    what = (service.name, service.key(target))
    return (yield from _resumable(cloud, what, lambda within: service.observe(within, target)))


def _resumable(cloud: Cloud, what: Hashable, observe: Callable[[Cloud], Flow[T]]) -> Flow[tuple[float, T]]:
    """A poll that goes on with the read that a rate limit refused the last time."""
    if cloud.fresh:
        at = cloud.clock()
        return at, (yield from observe(cloud))
    reads = cloud.unfinished.take(what, cloud.clock())
    try:
        return reads.at, (yield from observe(cloud.reading(reads)))
    except Throttled:
        cloud.unfinished.keep(what, reads, cloud.clock())
        raise


def look_in_time(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """A look of its own, with no second attempts, that ends by ``cloud.answer_by``."""
    return (yield from in_time(look(soon(cloud), service, target), cloud.time_to_answer))


def soon(cloud: Cloud) -> Cloud:
    """The same, but each call is made once, and does not wait for its turn for long."""
    return cloud.once(max_queue_wait=_MAX_QUEUE_WAIT)
