"""Event triggers for `AssetWatcher` (Airflow 3.0 and later): a run that somebody else started has ended.

An event trigger has no end: one that ends, or raises, is started again by Airflow within a second or two. So these bear
what may pass, say once what will not, and look seldom then. All that watch by one connection share their looks, as
deferred tasks do, in each version of Airflow: hundreds of watches of one workspace cost what one costs.
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
    """Triggers are made of what is stored, and the only error that does not end the whole triggerer is this one."""
    try:
        yield
    except InvalidParameter as error:
        raise TypeError(error.message) from None


class CloudSyncEventTrigger(BaseEventTrigger):
    """Reports each run that ends, for ever.

    :param cloudsync_conn_id: the Airflow connection.
    :param region: instead of the connection's.
    :param project_id: instead of the connection's.
    :param poll_interval: seconds or timedelta between looks; not below what the service's quota bears.
    """

    #: What the payload of an event calls the service, as in the extra of the event of an outlet.
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
                "Event triggers are for AssetWatcher, which came with Airflow 3.0. On this version, let a scheduled "
                "DAG begin with one of the sensors."
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
        """What is watched, checked."""

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Those of this class, as plain JSON."""

    def wanted(self, outcome: str) -> bool:
        """Return whether a run that ended so is reported."""
        return True

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as Airflow stores them. Equal watches are one trigger to it."""
        common = ("cloudsync_conn_id", "region", "project_id", "poll_interval")
        arguments = {**self.arguments(), **{name: getattr(self, name) for name in common}}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Report, remember, look on."""
        from airflow_provider_cloudsync.triggers.watcher import Watcher

        path, arguments = self.serialize()
        # How it is watched may be changed without beginning anew.
        of = {name: value for name, value in arguments.items() if name not in ("poll_interval", "catchup")}
        watcher = Watcher(
            self.watch(),
            key=f"{path} {json.dumps(of, sort_keys=True)}",
            connection=(self.cloudsync_conn_id, self.region, self.project_id),
            poll_interval=self.poll_interval,
            store=getattr(self, "asset_state_store", None),
        )
        memory = await watcher.recall()
        while True:
            news = await watcher.news(memory)
            reported = [each for each in news.ended if self.wanted(each.outcome)]
            if reported and (others := await watcher.written_by_others()) is not None:
                memory = others  # another triggerer goes on with this, which was thought to be dead
                continue
            for ended in reported:
                yield TriggerEvent(self._payload(ended))  # type: ignore[no-untyped-call]
            memory = news.memory
            await watcher.remember(memory, reported=bool(reported))

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

    :param workspace: id of the workspace.
    :param sync_task_id: id of the member sync task.
    :param outcome: which runs are reported: ``succeeded``, ``failed`` or ``any``.
    :param catchup: where nothing is known of an earlier report, report the last run, too, although it had ended before
        the first look.
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

    def wanted(self, outcome: str) -> bool:
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
    :param account_id: the vendor's own id of the account; None: every account, with an event for each.
    :param outcome: which syncs are reported: ``succeeded``, ``failed`` or ``any``.
    :param catchup: where nothing is known of an earlier report, report the last sync, too, although it had ended before
        the first look.
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

    def wanted(self, outcome: str) -> bool:
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

    HSS takes five looks a minute from one user or address, of everybody's clusters together.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param cluster_id: id of the cluster; None: all clusters of the enterprise project.
    :param enterprise_project_id: None: the connection's.
    :param catchup: where nothing is known of an earlier report, report the last update, too, although it came before
        the first look.
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
    """Reports ends of IAM user syncs in an MRS cluster, whoever started them and however they went.

    A cluster shows whether a sync is under way, and no more. So one that begins and ends between two looks is not seen,
    and two that follow each other between two looks are one: look more often (`poll_interval`) than syncs are long.

    The other parameters are those of `CloudSyncEventTrigger`.

    :param cluster_id: id of the cluster.
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
