"""Link of a task to the console of Huawei Cloud.

Airflow 3 reads the URL from an XCom and runs no code of this package in its API server. Airflow 2 calls `ConsoleLink`
in its web server. Therefore the worker stores the URL in that XCom as soon as it is known.
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
    """Link from a task to the console page of its service."""

    name = "Open in Huawei Cloud"

    @property
    def xcom_key(self) -> str:
        """Key of the XCom in which Airflow 3 finds the URL."""
        return XCOM_KEY

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL; empty if there is none, which disables the button.

        Airflow 3 calls this whenever a task ends or defers, and stores the result: None would show as a link "None".
        """
        from airflow.providers.common.compat.sdk import XCom

        return str(XCom.get_value(ti_key=ti_key, key=XCOM_KEY) or "")


def store_url(context: Context, url: str) -> None:
    """Store the console URL of a task. A failure is logged only, since the link is optional."""
    try:
        context["ti"].xcom_push(key=XCOM_KEY, value=url)
    except Exception as error:
        log.warning("Cannot store the link to the console: %r", error)
