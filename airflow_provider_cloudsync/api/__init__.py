"""What is said to the cloud and made of its replies: without input and output, and without Airflow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api import credentials as credentials
    from airflow_provider_cloudsync.api import endpoints as endpoints
    from airflow_provider_cloudsync.api import flows as flows
    from airflow_provider_cloudsync.api import messages as messages
    from airflow_provider_cloudsync.api import signing as signing
    from airflow_provider_cloudsync.api.waiting import polling as polling
    from airflow_provider_cloudsync.api.waiting import starting as starting

#: What hooks, operators and sensors have as ``api.flows``: it is imported when it is used, and not when a DAG file is
#: parsed.
_WHEN_USED = ("credentials", "endpoints", "flows", "messages", "polling", "signing", "waiting")


def __getattr__(name: str) -> Any:
    if name in _WHEN_USED:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
