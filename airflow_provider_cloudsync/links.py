"""The button of a task that opens the console of Huawei Cloud.

Airflow 3 shows what stands in an XCom, and never runs code of ours in its API server; Airflow 2 asks `ConsoleLink` in
its webserver. So the worker leaves the URL in that XCom as soon as it knows it, and everybody reads it there.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskInstanceKey

__all__ = ["ConsoleLink"]

log = logging.getLogger(__name__)

#: Stored DAGs name it (Airflow 3). Never rename it.
XCOM_KEY = "cloudsync_console"


class ConsoleLink(BaseOperatorLink):
    """Leads from a task to the page of the service that it works with."""

    name = "Open in Huawei Cloud"

    @property
    def xcom_key(self) -> str:
        """Where Airflow 3 finds the URL."""
        return XCOM_KEY

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The URL; empty where there is none, which disables the button.

        Airflow 3 calls this at the end of each leg of a task, and stores what comes: None would show as a link "None".
        """
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=XCOM_KEY) or "")


def leave(context: Context, url: str) -> None:
    """Store a task's URL. A button is not worth a failed task."""
    try:
        context["ti"].xcom_push(key=XCOM_KEY, value=url)
    except Exception as error:
        log.warning("The link to the console could not be stored: %r", error)
