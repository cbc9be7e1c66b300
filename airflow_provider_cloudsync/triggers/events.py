"""Event triggers for `AssetWatcher` (Airflow 3.0 and later): a run of another caller has ended.

An event trigger has no end: Airflow restarts one that ends or raises within two seconds. Therefore these triggers
tolerate temporary faults, and log a permanent one once and poll rarely until it is fixed. All watches of one connection
share their polls, as deferred tasks do: hundreds of watches of one workspace cost as much as one.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.triggers.base import TriggerEvent

from airflow_provider_cloudsync.api.parameters import filled, flag, one_of
from airflow_provider_cloudsync.api.times import iso
from airflow_provider_cloudsync.exceptions import InvalidParameter
from airflow_provider_cloudsync.tasks import waiter

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.waiting.watching import Ended, Watch

__all__ = [
    "CloudSyncEventTrigger",
    "CocVendorAccountSyncTrigger",
    "DataArtsMemberSyncTrigger",
    "HssClusterEventsTrigger",
    "MrsIamSyncTrigger",
]

Outcome = Literal["succeeded", "failed", "any"]


@contextmanager
def _as_type_error() -> Iterator[None]:
    """Raise parameter errors as TypeError: from a stored trigger, any other error ends the whole triggerer."""
    try:
        yield
    except InvalidParameter as error:
        raise TypeError(error.message) from None


class CloudSyncEventTrigger(BaseEventTrigger):
    """Reports each run that ends. It has no end itself.

    :param cloudsync_conn_id: ID of the Airflow connection.
    :param region: overrides the connection's region.
    :param project_id: overrides the connection's project.
    :param poll_interval: seconds or timedelta between polls; at least what the service's rate limit allows.
    """

    #: Name of the service in the payload of an event, as in the extra of an outlet's event.
    service: str

    def __init__(
        self,
        *,
        cloudsync_conn_id: str = "cloudsync_default",
        region: str | None = None,
        project_id: str | None = None,
        poll_interval: timedelta | float = 60.0,
    ) -> None:
        if not AIRFLOW_V_3_0_PLUS:
            raise RuntimeError(
                "Event triggers need AssetWatcher (Airflow 3.0 and later). On this version, begin a scheduled DAG with "
                "one of the sensors."
            )
        super().__init__()  # type: ignore[no-untyped-call]
        self.cloudsync_conn_id = cloudsync_conn_id
        self.region = region
        self.project_id = project_id
        with _as_type_error():
            for name in ("region", "project_id"):
                if getattr(self, name) is not None:
                    filled(getattr(self, name), name)
            filled(cloudsync_conn_id, "cloudsync_conn_id")
            flag(getattr(self, "catchup", False), "catchup")
            self.poll_interval = waiter.seconds(poll_interval, "poll_interval")
            self.watch()

    @abstractmethod
    def watch(self) -> Watch:
        """Return what is watched, checked."""

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of this class, as plain JSON."""

    def is_reported(self, outcome: str) -> bool:
        """Return whether a run with this outcome is reported."""
        return True

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, which Airflow stores. Equal watches are one trigger in Airflow."""
        common = ("cloudsync_conn_id", "region", "project_id", "poll_interval")
        arguments = {**self.arguments(), **{name: getattr(self, name) for name in common}}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll, report and store, without an end."""
        from airflow_provider_cloudsync.triggers.watcher import Watcher

        path, arguments = self.serialize()
        # A change of these two keeps the stored memory.
        of = {name: value for name, value in arguments.items() if name not in ("poll_interval", "catchup")}
        watcher = Watcher(
            self.watch(),
            key=f"{path} {json.dumps(of, sort_keys=True)}",
            connection=(self.cloudsync_conn_id, self.region, self.project_id),
            poll_interval=self.poll_interval,
            store=getattr(self, "asset_state_store", None),
        )
        memory = await watcher.load()
        while True:
            news = await watcher.next_news(memory)
            reported = [each for each in news.ended if self.is_reported(each.outcome)]
            if reported and (others := await watcher.changes_of_others()) is not None:
                memory = others  # another triggerer has taken over this trigger
                continue
            for ended in reported:
                yield TriggerEvent(self._payload(ended))  # type: ignore[no-untyped-call]
            memory = news.memory
            await watcher.store(memory, reported=bool(reported))

    def _payload(self, ended: Ended) -> dict[str, Any]:
        return {
            "service": self.service,
            **ended.ids,
            "run": ended.run,
            "outcome": ended.outcome,
            "why": ended.why,
            "seen_at": iso(round(time.time() * 1000)),
        }


class DataArtsMemberSyncTrigger(CloudSyncEventTrigger):
    """Reports runs of a member sync task of DataArts Studio that have ended.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param workspace: ID of the workspace.
    :param sync_task_id: ID of the member sync task.
    :param outcome: which runs are reported: ``succeeded``, ``failed`` or ``any``.
    :param catchup: if there is no memory of earlier reports, also report the last run that ended before the first
        poll.
    """

    service = "dataarts"

    def __init__(
        self,
        *,
        workspace: str,
        sync_task_id: str,
        outcome: Outcome = "succeeded",
        catchup: bool = False,
        **kwargs: Any,
    ) -> None:
        self.workspace = workspace
        self.sync_task_id = sync_task_id
        self.outcome = outcome
        self.catchup = catchup
        super().__init__(**kwargs)

    def watch(self) -> Watch:
        from airflow_provider_cloudsync.api.services.dataarts.watch import watch_task

        one_of(self.outcome, "outcome", ("succeeded", "failed", "any"))
        return watch_task(self.workspace, self.sync_task_id, catchup=self.catchup)

    def is_reported(self, outcome: str) -> bool:
        return self.outcome in ("any", outcome)

    def arguments(self) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "sync_task_id": self.sync_task_id,
            "outcome": self.outcome,
            "catchup": self.catchup,
        }


class CocVendorAccountSyncTrigger(CloudSyncEventTrigger):
    """Reports syncs of an account of another cloud into COC that have ended.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param vendor: such as ``AWS``; see `CocVendorAccountSyncSensor`.
    :param account_id: the vendor's own ID of the account; None: every account, with an event for each.
    :param outcome: which syncs are reported: ``succeeded``, ``failed`` or ``any``.
    :param catchup: if there is no memory of earlier reports, also report the last sync that ended before the first
        poll.
    """

    service = "coc"

    def __init__(
        self,
        *,
        vendor: str,
        account_id: str | None = None,
        outcome: Outcome = "succeeded",
        catchup: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vendor = vendor
        self.account_id = account_id
        self.outcome = outcome
        self.catchup = catchup
        super().__init__(**kwargs)

    def watch(self) -> Watch:
        from airflow_provider_cloudsync.api.services.coc.watch import watch_accounts

        one_of(self.outcome, "outcome", ("succeeded", "failed", "any"))
        return watch_accounts(self.vendor, self.account_id, catchup=self.catchup)

    def is_reported(self, outcome: str) -> bool:
        return self.outcome in ("any", outcome)

    def arguments(self) -> dict[str, Any]:
        return {
            "vendor": self.vendor,
            "account_id": self.account_id,
            "outcome": self.outcome,
            "catchup": self.catchup,
        }


class HssClusterEventsTrigger(CloudSyncEventTrigger):
    """Reports updates of the protection events of a container cluster in HSS, with or without new events.

    HSS allows five polls a minute from one user or IP address, for all clusters together.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param cluster_id: ID of the cluster; None: all clusters of the enterprise project.
    :param enterprise_project_id: None: the connection's.
    :param catchup: if there is no memory of earlier reports, also report the last update before the first poll.
    """

    service = "hss"

    def __init__(
        self,
        *,
        cluster_id: str | None = None,
        enterprise_project_id: str | None = None,
        catchup: bool = False,
        **kwargs: Any,
    ) -> None:
        self.cluster_id = cluster_id
        self.enterprise_project_id = enterprise_project_id
        self.catchup = catchup
        super().__init__(**kwargs)

    def watch(self) -> Watch:
        from airflow_provider_cloudsync.api.services.hss.watch import watch_events

        return watch_events(self.cluster_id, self.enterprise_project_id, catchup=self.catchup)

    def arguments(self) -> dict[str, Any]:
        return {
            "cluster_id": self.cluster_id,
            "enterprise_project_id": self.enterprise_project_id,
            "catchup": self.catchup,
        }


class MrsIamSyncTrigger(CloudSyncEventTrigger):
    """Reports ends of IAM user syncs in an MRS cluster, of any caller and with any outcome.

    A cluster shows only whether a sync is active. A sync that begins and ends between two polls is not seen, and two
    syncs in a row may be reported as one. Set ``poll_interval`` below the duration of a sync.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param cluster_id: ID of the cluster.
    """

    service = "mrs"

    def __init__(self, *, cluster_id: str, **kwargs: Any) -> None:
        self.cluster_id = cluster_id
        super().__init__(**kwargs)

    def watch(self) -> Watch:
        from airflow_provider_cloudsync.api.services.mrs.watch import watch_cluster

        return watch_cluster(self.cluster_id)

    def arguments(self) -> dict[str, Any]:
        return {"cluster_id": self.cluster_id}
