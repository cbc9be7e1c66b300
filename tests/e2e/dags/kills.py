"""Syncs whose tasks, workers, triggerer and scheduler do not live as long as they do."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_cloudsync.api.services.mrs.iam_sync import IamSync
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

    def __init__(self, *, first: dict[str, Any], edited: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = first
        self.edited = edited

    def execute(self, context):
        if context["ti"].try_number > 1:
            # The DAG file was edited meanwhile, and the scheduler has not read it yet.
            self.retries = self.retries if self.edited is None else self.edited
            return super().execute(context)
        self.deferrable = self.first.get("deferrable", False)
        self.timeout = self.first.get("timeout", self.timeout)
        self.wait_for_completion = self.first.get("waits", True)
        self.service = Deadly(at=self.first.get("dies", ""))
        result = super().execute(context)
        if self.first.get("dies") == "accepted":
            os.kill(os.getpid(), signal.SIGKILL)
        return result


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
    sync("out_of_time", FirstTry, first={"timeout": 12.0}, edited=0)
    sync("accepted_then_waits", FirstTry, first={"waits": False, "dies": "accepted"})
    for name in ("cleared", "green_then_cleared"):
        sync(name, FirstTry, first={"deferrable": True}, edited=5)
    sync("killed_by_user", FirstTry, first={})
    sync("scheduler_dies", FirstTry, first={})
    for name in (
        "reply_lost",
        "request_lost",
        "marked_failed",
        "marked_success",
        "failed_then_cleared",
        "success_then_cleared",
    ):
        sync(name)
