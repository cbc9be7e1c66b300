"""An event trigger at work: looking without an end, and remembering what was reported.

The memory is kept in Airflow's asset state store (3.3 and later), and written only when Airflow had the time to store
the event itself. So no event is lost when a triggerer dies; if it dies in these seconds, the event comes twice, with
the same ``run`` in it. Airflow before 3.3 gives a trigger nothing to remember by: there, each start begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.waiting.watching import (
    Memory,
    News,
    Paused,
    PendingEnds,
    Watch,
    next_news,
)
from airflow_provider_cloudsync.connection.lookup import REFRESH_INTERVAL, ConnectionLookup
from airflow_provider_cloudsync.exceptions import ApiError, CloudSyncError, CredentialsRejected
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.flows import Cloud

log = logging.getLogger(__name__)

#: Of what is kept. A later release that writes something else counts up.
_MEMORY_VERSION = 1
#: An event is in Airflow's database about two seconds after it was reported; it is given this time twice (seconds).
_UNTIL_STORED = 3.0
#: After an error that will not pass by itself, the next look is so much later (seconds): longer than a key is locked.
_SELDOM = 600.0
#: So often it is looked whether a connection whose key is rejected has another one (seconds).
_ANOTHER_KEY = 60.0
#: Greatest age in seconds of a look-up of the connection at the start, and after an error.
_AGE_AT_START = 0.5
#: What Airflow fails to answer is asked again after so many seconds, and so often before it is done without; oftener
#: at first, when nothing is known.
_ASK_AGAIN, _ASKS, _ASKS_AT_FIRST = 10.0, 6, 60
#: An error that lasts is told again after so many seconds.
_TOLD_AGAIN = 86_400.0


class Watcher:
    """Looks on behalf of one event trigger.

    :param key: tells what is watched from all else that is; the memory is kept under it.
    :param connection: id of the Airflow connection, region and project, as for a hook.
    :param poll_interval: seconds between looks.
    :param store: Airflow's asset state store, where there is one.
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
        #: What the connection described last.
        self._cloud: Cloud | None = None
        self._poll_interval = poll_interval
        # A trigger that several assets have is one to Airflow. It is given a store that knows the names of these, tells
        # them to nobody, and answers only where there is one.
        self._stores: list[Any] = (
            [] if store is None else list(getattr(store, "_by_name", {}).values()) or [store]
        )
        self._pending = PendingEnds()
        #: What is in the store, as far as this one knows.
        self._results: Any = None
        #: What could not be written.
        self._unwritten: dict[str, Any] | None = None
        self._due: float | None = None
        self._told: Hashable = None
        self._told_at = 0.0

    async def news(self, memory: Memory | None) -> News:
        """What there is to report, or to remember. Bears everything."""
        cloud, misses = self._cloud, 0
        if cloud is not None:
            cloud = await self._lookup.refreshed(cloud)
        while True:
            rejected = False
            try:
                if cloud is None:
                    cloud = await self._lookup.read(max_age=_AGE_AT_START)
                news = await self._hook.arun(
                    next_news(
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
                # Each reply has a request id of its own.
                same = (error.status, error.code) if isinstance(error, ApiError) else str(error)
                self._complain(str(error), (type(error), same))
                rejected = isinstance(error, CredentialsRejected)
            except Exception as error:
                # Whatever it is: a trigger that raises is started again at once, and would come here each second.
                log.debug("The unexpected error:", exc_info=True)
                self._complain(f"unexpected error, {type(error).__name__}: {error}", type(error).__name__)
            else:
                self._due, self._told, self._cloud = news.due, None, cloud
                return news
            before, cloud = cloud, None
            misses, self._due = 0, None
            if rejected and before is not None:
                await self._wait_for_another_key(before)
            else:
                await asyncio.sleep(_SELDOM)

    def _polled(self) -> None:
        """A look that brought something: whatever goes wrong from now on is told."""
        self._told = None

    def _complain(self, why: str, kind: Hashable) -> None:
        """Once a day, and not each time.

        :param kind: tells this from other complaints.
        """
        now = time.time()
        if kind != self._told or now - self._told_at >= _TOLD_AGAIN:
            self._told, self._told_at = kind, now
            log.error(
                "%s can't be watched, and is looked at every %.0f minutes only: %s",
                self._subject,
                _SELDOM / 60,
                why,
            )

    async def _wait_for_another_key(self, before: Cloud) -> None:
        """Until the connection has one, or the rejected one may be tried again."""
        for _ in range(round(_SELDOM / _ANOTHER_KEY)):
            await asyncio.sleep(_ANOTHER_KEY)
            if (await self._lookup.refreshed(before)).credentials.identity != before.credentials.identity:
                return

    async def recall(self) -> Memory | None:
        """What was written last; None if nothing was, or nothing is kept. Waits long for Airflow's answer: who begins
        anew instead leaves out what has ended meanwhile.
        """
        try:
            self._results = await self._newest(patient=True)
        except _NoAnswer:
            self._results = None
        return _memory(self._results)

    async def written_by_others(self) -> Memory | None:
        """What somebody else has written since this one read or wrote; None if nobody has, or it can't be told."""
        if self._unwritten is not None and not await self._write(self._unwritten):
            return None
        try:
            kept = await self._newest()
        except _NoAnswer:
            return None
        if kept == self._results:
            return None
        self._results = kept
        return _memory(kept)

    async def remember(self, memory: Memory, *, reported: bool) -> None:
        """Keep it, where there is something to keep it in.

        :param reported: whether an event was reported just now, which Airflow has to store first.
        """
        if self._stores and reported:
            await asyncio.sleep(_UNTIL_STORED)
            # It comes to Airflow on the same way as the event. The answer shows that the way is clear.
            with contextlib.suppress(_NoAnswer):
                await self._newest()
            await asyncio.sleep(_UNTIL_STORED)
        await self._write({"version": _MEMORY_VERSION, "at": time.time(), "memory": dict(memory)})

    async def _newest(self, *, patient: bool = False) -> Any:
        """What is in the store, if it is something of ours."""
        found = [await self._ask(store.aget, self._key, patient=patient) for store in self._stores]
        return max(filter(_is_ours, found), key=lambda each: each["at"], default=None)

    async def _write(self, kept: dict[str, Any]) -> bool:
        """Return whether it was written everywhere; if not, that is made up for before the store is read again."""
        self._unwritten = kept
        try:
            for store in self._stores:
                await self._ask(store.aset, self._key, kept)
        except _NoAnswer:
            return False
        self._results, self._unwritten = kept if self._stores else None, None
        return True

    async def _ask(self, ask: Callable[..., Awaitable[Any]], *arguments: Any, patient: bool = False) -> Any:
        asked = 0
        while True:
            try:
                return await ask(*arguments)
            except Exception as error:
                asked += 1
                if asked == _ASKS:
                    log.error(
                        "%s: Airflow does not answer what is kept there of the reports (%s: %s); %s.",
                        self._subject,
                        type(error).__name__,
                        error,
                        "it is asked again for some minutes before the watch begins"
                        if patient
                        else "an event may come twice if the triggerer is restarted now",
                    )
                if asked >= (_ASKS_AT_FIRST if patient else _ASKS):
                    raise _NoAnswer from error
            await asyncio.sleep(_ASK_AGAIN)


class _NoAnswer(Exception):
    """Of Airflow's store."""


def _is_ours(kept: Any) -> bool:
    """Return whether it is what this release writes; anything else, such as what somebody edited, counts as nothing."""
    return (
        isinstance(kept, dict)
        and kept.get("version") == _MEMORY_VERSION
        and isinstance(kept.get("at"), int | float)
        and isinstance(kept.get("memory"), dict)
        and all(type(value) is int for value in kept["memory"].values())
    )


def _memory(kept: Any) -> Memory | None:
    return None if kept is None else dict(kept["memory"])
