"""Single poll of a service: alone, shared by all waits for one target, or batched with other targets of a list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.limits import in_time
from airflow_provider_cloudsync.api.messages import Batched, Flow, SingleFlight
from airflow_provider_cloudsync.api.model import Batchable, Service, Target, is_batchable
from airflow_provider_cloudsync.exceptions import CloudSyncError

#: Maximum seconds for which a call of a poll or a start waits in the queue of a rate limit. After that it fails and is
#: retried, so that deadlines hold and the poll before a start is recent.
_MAX_QUEUE_WAIT = 3.0


class Poller:
    """Factory of the message to yield for the next poll. All waits for the same target share the poll.

    :param cloud: each call is sent once, with a short wait in the queue of a rate limit.
    """

    __slots__ = ("_cloud", "_key", "_service", "_target")

    def __init__(self, cloud: Cloud, service: Service[Any], target: Target) -> None:
        self._cloud = single_attempt(cloud)
        self._service = service
        self._target = target
        what = service.group(target) if is_batchable(service) else service.key(target)
        self._key = ("looks", service.name, cloud.scope, what)

    def after(self, wait: float, *, last: bool = False, limit: float | None = None) -> SingleFlight | Batched:
        """Return the message for a poll.

        :param wait: seconds until the poll.
        :param last: this is the last poll of the wait, so it uses no cached results.
        :param limit: seconds after which this wait stops waiting for the reply (other waits do not); None: no limit.
        """
        if is_batchable(self._service):
            all_of = partial(_poll_all, self._cloud, self._service, self._key[-1])
            # In the second half of the pause this wait joins a poll of other waits.
            return Batched(
                self._key, self._service.key(self._target), all_of, wait, soonest=wait / 2, limit=limit
            )
        cloud, key = (self._cloud.uncached(), (*self._key, "last")) if last else (self._cloud, self._key)
        return SingleFlight(
            key, partial(poll_once, cloud, self._service, self._target), wait=wait, limit=limit
        )


def _poll_all(
    cloud: Cloud, service: Batchable[Any], group: Any, keys: Sequence[Any]
) -> Flow[dict[Any, tuple[float, Any] | CloudSyncError]]:
    at = cloud.clock()
    found = yield from service.observe_all(cloud, group, keys)
    return {key: seen if isinstance(seen, CloudSyncError) else (at, seen) for key, seen in found.items()}


def poll_once(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """Poll once. Returns the start of the poll and the state."""
    at = cloud.clock()
    return at, (yield from service.observe(cloud, target))


def poll_in_time(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """Poll once, unshared and without retries, until ``cloud.answer_by`` at most."""
    return (yield from in_time(poll_once(single_attempt(cloud), service, target), cloud.time_to_answer))


def single_attempt(cloud: Cloud) -> Cloud:
    """Return a cloud that sends each call once, with a short wait in the queue of a rate limit."""
    return cloud.once(max_queue_wait=_MAX_QUEUE_WAIT)
