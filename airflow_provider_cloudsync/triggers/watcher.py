"""Loop of an event trigger: poll without an end, and store what was reported.

The memory is in Airflow's asset state store (3.3 and later). It is written after Airflow had the time to store the
event itself, so no event is lost when a triggerer dies. If it dies within these seconds, the event comes twice, with
the same ``run``. Airflow before 3.3 has no store for triggers: there, each start begins without a memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.text import one_line
from airflow_provider_cloudsync.api.waiting.watching import (
    Memory,
    Paused,
    PendingEnds,
    Watch,
    WatchUpdate,
    next_update,
)
from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL, ConnectionLookup
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, CredentialsRejected
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.flows import Cloud

log = logging.getLogger(__name__)

#: Version of the stored memory. A release that changes its form increases it.
_MEMORY_VERSION = 1
#: Seconds to wait, twice, until Airflow has stored an event. It takes about two.
_STORE_DELAY = 3.0
#: Seconds until the next poll after a permanent error: longer than a key lock.
_ERROR_PAUSE = 600.0
#: Seconds between checks whether a connection with a rejected key has a new one.
_NEW_KEY_PAUSE = 60.0
#: Greatest age in seconds of a connection look-up at the start and after an error.
_AGE_AT_START = 0.5
#: Seconds between attempts to reach Airflow's store, and the number of attempts: more at the start, where the memory is
#: not known.
_STORE_PAUSE, _STORE_ATTEMPTS, _STORE_ATTEMPTS_AT_START = 10.0, 6, 60
#: Seconds until an error that lasts is logged again.
_LOG_AGAIN = 86_400.0


class Watcher:
    """Polling loop of one event trigger.

    :param key: identifies what is watched; the memory is stored under it.
    :param connection: ID of the Airflow connection, region and project, as for a hook.
    :param poll_interval: seconds between polls.
    :param store: Airflow's asset state store; None if there is none.
    """

    def __init__(
        self,
        watch: Watch,
        *,
        key: str,
        connection: tuple[str, str | None, str | None],
        poll_interval: float,
        store: Any,
    ) -> None:
        self._watch = watch
        self._subject = watch.service.describe(watch.target)
        self._key = f"cloudsync_watch_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        conn_id, region, project_id = connection
        self._hook = CloudSyncHook(conn_id, region=region, project_id=project_id)
        self._lookup = ConnectionLookup(self._hook)
        #: Last state of the connection.
        self._cloud: Cloud | None = None
        self._poll_interval = poll_interval
        # Several assets can share a trigger. Its store then has one store for each of them, has no public access to
        # these, and works itself for a single asset only.
        self._stores: list[Any] = (
            [] if store is None else list(getattr(store, "_by_name", {}).values()) or [store]
        )
        self._pending = PendingEnds()
        #: Last known content of the store.
        self._stored: Any = None
        #: Memory that could not be written.
        self._unwritten: dict[str, Any] | None = None
        self._due: float | None = None
        self._logged: Hashable = None
        self._logged_at = 0.0

    async def next_news(self, memory: Memory | None) -> WatchUpdate:
        """Return the next ends to report or memory to store. Errors are logged, not raised."""
        cloud, misses = self._cloud, 0
        if cloud is not None:
            cloud = await self._lookup.refreshed(cloud)
        while True:
            rejected = False
            try:
                if cloud is None:
                    cloud = await self._lookup.read(max_age=_AGE_AT_START)
                news = await self._hook.arun(
                    next_update(
                        cloud,
                        self._watch,
                        memory,
                        poll_interval=self._poll_interval,
                        due=self._due,
                        polled=self._polled,
                        pause_at=cloud.clock() + REFRESH_INTERVAL,
                        misses=misses,
                        pending=self._pending,
                    )
                )
                if isinstance(news, Paused):
                    present, cloud = cloud, await self._lookup.refreshed(cloud)
                    self._due, misses = (news.due, news.misses) if cloud is present else (None, 0)
                    continue
            except CloudSyncError as error:
                # The text differs by the request ID.
                same = (error.status, error.code) if isinstance(error, ApiError) else str(error)
                self._log_failure(str(error), (type(error), same))
                rejected = isinstance(error, CredentialsRejected)
            except Exception as error:
                # Airflow restarts a trigger that raises at once, so the same error would occur every second.
                log.debug("The unexpected error:", exc_info=True)
                self._log_failure(f"unexpected error, {type(error).__name__}: {error}", type(error).__name__)
            else:
                self._due, self._logged, self._cloud = news.due, None, cloud
                return news
            before, cloud = cloud, None
            misses, self._due = 0, None
            if rejected and before is not None:
                await self._wait_for_new_key(before)
            else:
                await asyncio.sleep(_ERROR_PAUSE)

    def _polled(self) -> None:
        """Note a successful poll: the next error is logged."""
        self._logged = None

    def _log_failure(self, why: str, kind: Hashable) -> None:
        """Log an error when it first occurs, then once a day.

        :param kind: identifies the error.
        """
        now = time.time()
        if kind != self._logged or now - self._logged_at >= _LOG_AGAIN:
            self._logged, self._logged_at = kind, now
            log.error("%s Polling every %.0f minutes only. [%s]", why, _ERROR_PAUSE / 60, self._subject)

    async def _wait_for_new_key(self, before: Cloud) -> None:
        """Wait until the connection has a new key, or the rejected key may be sent again."""
        for _ in range(round(_ERROR_PAUSE / _NEW_KEY_PAUSE)):
            await asyncio.sleep(_NEW_KEY_PAUSE)
            if (await self._lookup.refreshed(before)).credentials.identity != before.credentials.identity:
                return

    async def load(self) -> Memory | None:
        """Return the stored memory; None if there is none.

        It retries for 10 minutes: a start without the memory would omit what has ended meanwhile.
        """
        try:
            self._stored = await self._newest(patient=True)
        except _StoreUnavailable:
            self._stored = None
        return _memory(self._stored)

    async def changes_of_others(self) -> Memory | None:
        """Return the memory if another process has changed it; None if not, or if the store cannot be read."""
        if self._unwritten is not None and not await self._write(self._unwritten):
            return None
        try:
            kept = await self._newest()
        except _StoreUnavailable:
            return None
        if kept == self._stored:
            return None
        self._stored = kept
        return _memory(kept)

    async def store(self, memory: Memory, *, reported: bool) -> None:
        """Store the memory, if there is a store.

        :param reported: an event was just reported, which Airflow has to store first.
        """
        if self._stores and reported:
            await asyncio.sleep(_STORE_DELAY)
            # This request uses the same channel as the event, so its reply shows that the channel works.
            with contextlib.suppress(_StoreUnavailable):
                await self._newest()
            await asyncio.sleep(_STORE_DELAY)
        await self._write({"version": _MEMORY_VERSION, "at": time.time(), "memory": dict(memory)})

    async def _newest(self, *, patient: bool = False) -> Any:
        """Return the newest valid content of the stores."""
        found = [await self._call(store.aget, self._key, patient=patient) for store in self._stores]
        return max(filter(_is_ours, found), key=lambda each: each["at"], default=None)

    async def _write(self, kept: dict[str, Any]) -> bool:
        """Write to all stores. Return False if one failed: the write is repeated before the next read."""
        self._unwritten = kept
        try:
            for store in self._stores:
                await self._call(store.aset, self._key, kept)
        except _StoreUnavailable:
            return False
        self._stored, self._unwritten = kept if self._stores else None, None
        return True

    async def _call(self, call: Callable[..., Awaitable[Any]], *arguments: Any, patient: bool = False) -> Any:
        failures = 0
        while True:
            try:
                return await call(*arguments)
            except Exception as error:
                failures += 1
                if failures == _STORE_ATTEMPTS:
                    log.error(
                        "Cannot access the asset state store (%s: %s). %s [%s]",
                        type(error).__name__,
                        one_line(str(error)),
                        "Retrying for some minutes before the watch begins."
                        if patient
                        else "An event may come twice if the triggerer is restarted now.",
                        self._subject,
                    )
                if failures >= (_STORE_ATTEMPTS_AT_START if patient else _STORE_ATTEMPTS):
                    raise _StoreUnavailable from error
            await asyncio.sleep(_STORE_PAUSE)


class _StoreUnavailable(Exception):
    """Airflow's asset state store did not answer."""


def _is_ours(kept: Any) -> bool:
    """Return whether content of the store has the form that this release writes. Other content is ignored."""
    return (
        isinstance(kept, dict)
        and kept.get("version") == _MEMORY_VERSION
        and isinstance(kept.get("at"), int | float)
        and isinstance(kept.get("memory"), dict)
        and all(type(value) is int for value in kept["memory"].values())
    )


def _memory(kept: Any) -> Memory | None:
    return None if kept is None else dict(kept["memory"])
