"""Return whether to send a request again, and when: one answer to both."""

from __future__ import annotations

import random

from airflow_provider_cloudsync.api.throttling import LONGEST as LONGEST
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    CloudSyncError,
    CredentialsRejected,
    Throttled,
    TransportError,
)

_GROWTH_CEILING = 30.0


def delay_for(error: CloudSyncError, attempt: int, *, repeatable: bool = True) -> float | None:
    """Seconds until the next attempt, or None if there should be none.

    :param error: what the attempt ended with.
    :param attempt: how many attempts there were, 1 after the first.
    :param repeatable: whether sending the request twice does no more than sending it once. One that is not is sent
        again only where the service certainly did nothing: it was throttled, or the request never left.
    """
    if isinstance(error, CredentialsRejected):
        return None  # more than five failures in a row lock the key for everyone who uses it
    asked: float | None = None
    if isinstance(error, TransportError):
        may_pass = not error.permanent
    elif isinstance(error, ApiError):
        may_pass = isinstance(error, Throttled) or error.status >= 500 or error.status == 408
        # A gateway that is being reconfigured answers 404 for a while; a service says what does not exist.
        may_pass = may_pass or (error.status == 404 and not error.has_service_code)
        asked = error.retry_after
    else:
        return None
    harmless = repeatable or isinstance(error, Throttled) or not error.sent
    if not may_pass or not harmless:
        return None
    return _growing(attempt) if asked is None else min(max(asked, 0.0), LONGEST) + random.random()


def is_uncertain(error: CloudSyncError) -> bool:
    """Return whether a request that ended so may have been carried out all the same, by this attempt or one before."""
    if error.in_doubt:
        return True
    if isinstance(error, TransportError):
        return error.sent
    return isinstance(error, ApiError) and error.sent and (error.status >= 500 or error.status == 408)


def is_held_back(error: CloudSyncError) -> bool:
    """Return whether a call was held back by this process's own rate limit.

    A throttled sign-in was not sent either, but has a status.
    """
    return isinstance(error, Throttled) and not error.status


def _growing(attempt: int) -> float:
    # Half of it by chance, so that those who failed together do not come back together.
    return min(2.0 ** min(attempt - 1, 10), _GROWTH_CEILING) * random.uniform(0.5, 1.0)
