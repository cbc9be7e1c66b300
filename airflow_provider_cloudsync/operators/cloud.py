"""What all operators have in common: the connection, and a memory from one try to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_cloudsync.tasks import waiter
from airflow_provider_cloudsync.tasks.tries import TryMark, is_retry

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["CloudOperator"]


class CloudOperator(waiter.Waiter, BaseOperator):
    """Works in Huawei Cloud with what an Airflow connection says.

    :param cloudsync_conn_id: the Airflow connection. Templated.
    :param region: instead of the connection's region. Templated.
    :param project_id: instead of the connection's project. Templated.
    """

    template_fields: Sequence[str] = ("cloudsync_conn_id", "region", "project_id")
    ui_color = "#fde8e8"

    def __init__(
        self,
        *,
        cloudsync_conn_id: str = "cloudsync_default",
        region: str | None = None,
        project_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cloudsync_conn_id = cloudsync_conn_id
        self.region = region
        self.project_id = project_id

    def is_retry(self, context: Context, stored: TryMark | None = None) -> bool:
        """Return whether this try continues what a previous try may have left behind.

        :param stored: the mark of that try, if it is known.
        """
        return is_retry(context, self.retries or 0, stored)


def has_memory(context: Context) -> bool:
    """Return whether this Airflow has a task state store (3.3 and later), which tries share."""
    return context.get("task_state_store") is not None


def recall(context: Context, key: str) -> str | None:
    """What an earlier try stored in Airflow's task state store; None on Airflow before 3.3, which has none."""
    store = context.get("task_state_store")
    stored = None if store is None else store.get(key, default=None)
    return None if stored is None else str(stored)


def remember(context: Context, key: str, value: str) -> None:
    """Store something for the tries to come, where there is a store."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(key, value)


def forget(context: Context, key: str) -> None:
    """Take it out of the store again."""
    store = context.get("task_state_store")
    if store is not None:
        store.delete(key)
