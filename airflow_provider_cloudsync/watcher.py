"""An event trigger at work: looking without an end, and remembering what was reported.

The memory is kept in Airflow's asset state store (3.3 and later), and written only when Airflow had the time to store
the event itself. So no event is lost when a triggerer dies; if it dies in these seconds, the event comes twice, with
the same ``run`` in it. Airflow before 3.3 gives a trigger nothing to remember by: there, each start begins anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any

from airflow_provider_cloudsync.api.watches import Memory, News, Watch, next_news
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
#: What Airflow fails to answer is asked again after so many seconds, and so often before it is done without.
_ASK_AGAIN, _ASKS = 10.0, 6


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
        self._poll_interval = poll_interval
        # A trigger that several assets have is one to Airflow. It is given a store that knows the names of these, tells
        # them to nobody, and answers only where there is one.
        self._stores: list[Any] = (
            [] if store is None else list(getattr(store, "_by_name", {}).values()) or [store]
        )
        #: What is in the store, as far as this one knows.
        self._kept: Any = None
        self._due: float | None = None
        self._told: Hashable = None

    async def news(self, memory: Memory | None) -> News:
        """What there is to report, or to remember. Bears everything."""
        anew = False
        while True:
            cloud: Cloud | None = None
            rejected = False
            try:
                cloud = await self._cloud(anew=anew)
                news = await self._hook.arun(
                    next_news(cloud, self._watch, memory, poll_interval=self._poll_interval, due=self._due)
                )
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
                self._due, self._told = news.due, None
                return news
            anew, self._due = True, None
            if rejected and cloud is not None:
                await self._wait_for_another_key(cloud)
            else:
                await asyncio.sleep(_SELDOM)

    def _complain(self, why: str, kind: Hashable) -> None:
        """Once, and not each time.

        :param kind: tells this from other complaints.
        """
        if kind != self._told:
            self._told = kind
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
            try:
                if (await self._cloud()).credentials.identity != before.credentials.identity:
                    return
            except CloudSyncError:
                continue  # told at the next look

    async def _cloud(self, *, anew: bool = False) -> Cloud:
        """The connection. Looking it up asks Airflow, which may be restarting just now."""
        told = False
        while True:
            try:
                return await self._hook.acloud(anew=anew)
            except CloudSyncError:
                raise
            except Exception as error:
                if not told:
                    log.warning("The connection can't be looked up (%s); trying again.", type(error).__name__)
                told = True
                await asyncio.sleep(_ASK_AGAIN)

    async def recall(self) -> Memory | None:
        """What was written last; None if nothing was, or nothing is kept."""
        found = [await self._ask(store.aget, self._key) for store in self._stores]
        kept = [each for each in found if isinstance(each, dict) and each.get("version") == _MEMORY_VERSION]
        self._kept = max(kept, key=lambda each: each["at"], default=None)
        return None if self._kept is None else dict(self._kept["memory"])

    async def written_by_others(self) -> Memory | None:
        """What somebody else has written since this one read or wrote; None if nobody has."""
        before = self._kept
        memory = await self.recall()
        return None if self._kept == before else memory

    async def remember(self, memory: Memory, *, reported: bool) -> None:
        """Keep it, where there is something to keep it in.

        :param reported: whether an event was reported just now, which Airflow has to store first.
        """
        if self._stores and reported:
            await asyncio.sleep(_UNTIL_STORED)
            # It comes to Airflow on the same way as the event. The answer shows that the way is clear.
            await self.recall()
            await asyncio.sleep(_UNTIL_STORED)
        kept = {"version": _MEMORY_VERSION, "at": time.time(), "memory": dict(memory)}
        for store in self._stores:
            await self._ask(store.aset, self._key, kept)
            self._kept = kept

    async def _ask(self, ask: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        asked = 0
        while True:
            try:
                return await ask(*arguments)
            except Exception as error:
                asked += 1
                if asked >= _ASKS:
                    log.error(
                        "%s: what was reported can't be kept in Airflow (%s: %s), so an event may be left out or come "
                        "twice when the triggerer is restarted.",
                        self._subject,
                        type(error).__name__,
                        error,
                    )
                    return None
            await asyncio.sleep(_ASK_AGAIN)
