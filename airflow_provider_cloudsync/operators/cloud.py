"""Base of all operators: the connection, and state that tries of a task share."""

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
    """Base of operators that use a connection to Huawei Cloud.

    :param cloudsync_conn_id: ID of the Airflow connection. Templated.
    :param region: overrides the connection's region. Templated.
    :param project_id: overrides the connection's project. Templated.
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


def has_state_store(context: Context) -> bool:
    """Return whether this Airflow has a task state store (3.3 and later), which tries share."""
    return context.get("task_state_store") is not None


def load_state(context: Context, key: str) -> str | None:
    """Return what a previous try stored in Airflow's task state store; None if there is no store (before 3.3)."""
    store = context.get("task_state_store")
    stored = None if store is None else store.get(key, default=None)
    return None if stored is None else str(stored)


def store_state(context: Context, key: str, value: str) -> None:
    """Store a value for later tries, if there is a store."""
    store = context.get("task_state_store")
    if store is not None:
        store.set(key, value)


def delete_state(context: Context, key: str) -> None:
    """Delete a stored value, if there is a store."""
    store = context.get("task_state_store")
    if store is not None:
        store.delete(key)
