"""One look at what a service shows: by itself, shared by all waits for one target, or with others of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow, Shared, Together
from airflow_provider_cloudsync.api.model import Gatherable, Service, Target, is_gatherable
from airflow_provider_cloudsync.exceptions import CloudSyncError

#: So long a call of a look or a start waits for its turn under a quota (seconds). For longer it is given up and comes
#: back, so that the deadline is kept, and a start is preceded by a look that is not old.
_TURN_SOON = 3.0


def looks(cloud: Cloud, service: Service[Any], target: Target) -> Callable[[float], Shared | Together]:
    """What to yield for a look that is wanted in so many seconds; shared by all waits that it serves."""
    key = service.key(target)
    cloud = soon(cloud)
    if is_gatherable(service):
        all_of = service  # for the functions below
        group = service.group(target)
        together = ("looks", service.name, cloud.scope, group)
        # In the second half of a pause a look that others want comes as a gift.
        return lambda wait: Together(
            together, key, lambda keys: _look_at_all(cloud, all_of, group, keys), wait, soonest=wait / 2
        )
    alone = ("look", service.name, cloud.scope, key)
    make = partial(look, cloud, service, target)
    return lambda wait: Shared(alone, make, wait=wait)


def _look_at_all(
    cloud: Cloud, service: Gatherable[Any], group: Any, keys: Sequence[Any]
) -> Flow[dict[Any, tuple[float, Any] | CloudSyncError]]:
    at = cloud.clock()
    found = yield from service.observe_all(cloud, group, keys)
    return {key: seen if isinstance(seen, CloudSyncError) else (at, seen) for key, seen in found.items()}


def look(cloud: Cloud, service: Service[Any], target: Target) -> Flow[tuple[float, Any]]:
    """A look with the time at which it began."""
    at = cloud.clock()
    return at, (yield from service.observe(cloud, target))


def soon(cloud: Cloud) -> Cloud:
    """The same, but each call is made once, and does not wait for its turn for long."""
    return cloud.once(patience=_TURN_SOON)
