"""Connection of a long wait: read again every 10 minutes, and retried if it is missing while Airflow restarts."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.exceptions import CloudSyncError, ConnectionNotFound, WaitTimedOut

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

log = logging.getLogger(__name__)

#: Seconds after which a wait reads its connection again: an endpoint, a proxy or a key may have been corrected.
REFRESH_INTERVAL = 600.0
#: Seconds between two attempts to read a connection that Airflow does not return.
_RETRY_PAUSE = 10.0
#: Attempts before a connection counts as deleted: with the pauses, 5 minutes. A restart of the API server is shorter.
_ATTEMPTS = 30
#: Seconds until a failure that lasts is logged again.
_WARN_AGAIN = 600.0


class LookupWarnings:
    """Warnings about a connection that cannot be read: the first at once, then one each 10 minutes."""

    def __init__(self) -> None:
        self._warned_at = -math.inf

    def warn(self, conn_id: str, error: Exception, consequence: str) -> None:
        """Log the failure of a look-up with its text."""
        now = time.time()
        if abs(now - self._warned_at) >= _WARN_AGAIN:
            self._warned_at = now
            log.warning('Connection "%s" cannot be read. %s %s', conn_id, consequence, reason(error))


def reason(error: Exception) -> str:
    """Return the text of a failed look-up for a log."""
    if isinstance(error, CloudSyncError):
        return error.message
    if isinstance(error, ValueError):  # of a parser: it can quote the connection, secrets included
        return f"{type(error).__name__}: the stored connection cannot be parsed (text withheld)."
    return f"{type(error).__name__}: {one_line(str(error))}"


def read_patiently(hook: CloudSyncHook, warnings: LookupWarnings, deadline: float = math.inf) -> Any:
    """Return a connection that was there before, blocking. Retry for 5 minutes if Airflow does not return it.

    :param deadline: seconds since the epoch after which there is no further attempt.
    :raises ConnectionNotFound: if it is still missing then.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return hook.read_cloud()
        except Exception as error:
            is_late = time.time() + _RETRY_PAUSE > deadline
            if attempt == _ATTEMPTS or is_late or not _may_pass(error):
                raise
            warnings.warn(hook.cloudsync_conn_id, error, f"Retrying every {_RETRY_PAUSE:.0f} s.")
        time.sleep(_RETRY_PAUSE)
    raise AssertionError("unreachable")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, ConnectionNotFound) or not isinstance(error, CloudSyncError)


class ConnectionLookup:
    """Connection of a wait under asyncio, in a trigger.

    :param hook: names the connection.
    :param deadline: seconds since the epoch after which there is no further attempt.
    """

    def __init__(self, hook: CloudSyncHook, *, deadline: float = math.inf) -> None:
        self._hook = hook
        self._deadline = deadline
        self._warnings = LookupWarnings()

    async def read(self, *, max_age: float | None = None) -> Cloud:
        """Return what the connection describes. It was there when the trigger was made, so it may only be missing for
        a moment: a missing one is retried for 5 minutes, other failures of Airflow until the deadline.

        :param max_age: seconds; an older look-up of another wait is not used. None: a minute.
        :raises InvalidConnection: if the connection is missing or cannot be used.
        :raises WaitTimedOut: if Airflow did not answer before the deadline.
        """
        missing = 0
        while True:
            try:
                return await self._hook.acloud(max_age=max_age)
            except Exception as error:
                # A connection that cannot be parsed or decrypted is as good as missing.
                lasts = isinstance(error, ConnectionNotFound | ValueError)
                missing = missing + 1 if lasts else 0
                if missing >= _ATTEMPTS or not _may_pass(error):
                    raise
                if time.time() + _RETRY_PAUSE > self._deadline:
                    if isinstance(error, CloudSyncError):
                        raise
                    raise self._too_late(error) from None
                self._warnings.warn(
                    self._hook.cloudsync_conn_id, error, f"Retrying every {_RETRY_PAUSE:.0f} s."
                )
            await asyncio.sleep(_RETRY_PAUSE)

    async def refreshed(self, present: Cloud) -> Cloud:
        """Return what the connection describes now; `present` if that is the same or cannot be read."""
        try:
            found = await self._hook.acloud()
        except Exception as error:
            self._warnings.warn(
                self._hook.cloudsync_conn_id, error, "The wait goes on with what was read before."
            )
            return present
        if found is not present:
            log.info('Connection "%s" has changed; the wait goes on with it.', self._hook.cloudsync_conn_id)
        return found

    def _too_late(self, error: Exception) -> WaitTimedOut:
        return WaitTimedOut(
            f'Connection "{self._hook.cloudsync_conn_id}" could not be read before the deadline, so the service was '
            "not polled. A sync that was started goes on. Check Airflow's API server and secrets backend, then clear "
            f"the task. {reason(error)}"
        )
