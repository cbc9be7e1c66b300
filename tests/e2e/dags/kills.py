"""Syncs whose tasks, workers, triggerer and scheduler do not live as long as they do."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.api.services.mrs import IamSync
from airflow_provider_cloudsync.operators.mrs import MrsSyncIamUsersOperator


@dataclass(frozen=True)
class Deadly(IamSync):
    """A service that kills its process, as the kernel would, at one point.

    :param at: "looking": before anything is stored. "storing": the ticket is stored, the start not sent. "started":
        it was accepted, and that is not stored. "waiting": in the middle of the wait.
    """

    at: str = ""

    def observe(self, cloud, target):
        self._die("looking")
        return (yield from super().observe(cloud, target))

    def start(self, cloud, target):
        self._die("storing")
        receipt = yield from super().start(cloud, target)
        self._die("started")
        return receipt

    def judge(self, ticket, seen, now):
        self._die("waiting")
        return super().judge(ticket, seen, now)

    def _die(self, at: str) -> None:
        if self.at == at:
            os.kill(os.getpid(), signal.SIGKILL)


class FirstTry(MrsSyncIamUsersOperator):
    """Its first try waits in the worker, and is different from the next in what is given as `first`."""

    def __init__(self, *, first: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = first

    def execute(self, context):
        if context["ti"].try_number == 1:
            self.deferrable = False
            self.timeout = self.first.get("timeout", self.timeout)
            self.service = Deadly(at=self.first.get("dies", ""))
        return super().execute(context)


def sync(name: str, kind: type[MrsSyncIamUsersOperator] = MrsSyncIamUsersOperator, **more: Any) -> None:
    """A sync of the cluster of its name."""
    kind(
        task_id=name,
        cluster_id=name,
        user_names=["alice"],
        settle_time=4,
        poll_interval=2,
        deferrable=True,
        retries=1,
        retry_delay=timedelta(seconds=1),
        **more,
    )


with DAG("kills", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None, catchup=False):
    for at in ("looking", "storing", "started", "waiting"):
        sync(f"dies_{at}", FirstTry, first={"dies": at})
    sync("out_of_time", FirstTry, first={"timeout": 12.0})
    sync("killed_by_user", FirstTry, first={})
    sync("scheduler_dies", FirstTry, first={})
    for name in (
        "reply_lost",
        "request_lost",
        "marked_failed",
        "marked_success",
        "cleared",
        "failed_then_cleared",
        "success_then_cleared",
    ):
        sync(name)
