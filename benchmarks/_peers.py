"""Other providers of the same kind, where they are installed: what they import, and how they wait.

`benchmarks/peers.txt` pins them; `make bench PEERS=1` installs them beside an Airflow of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

#: Name -> the module of an operator that starts something and waits for it.
OPERATORS = {
    "Huawei, the older provider": "airflow.providers.huawei.cloud.operators.dataarts",
    "dbt Cloud": "airflow.providers.dbt.cloud.operators.dbt",
    "Databricks": "airflow.providers.databricks.operators.databricks",
    "Airbyte": "airflow.providers.airbyte.operators.airbyte",
    "Fivetran": "fivetran_provider_async.operators",
}


def connections(url: str) -> dict[str, str]:
    """The environment in which they find their connections, all to one server of ours."""
    parts = urlsplit(url)
    described = {
        "dbt": {"conn_type": "dbt_cloud", "login": "1", "password": "token", "host": parts.netloc},
        "databricks": {
            "conn_type": "databricks",
            "schema": "http",
            "host": parts.hostname,
            "port": parts.port,
            "password": "token",
        },
        "airbyte": {"conn_type": "airbyte", "host": url},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(each) for name, each in described.items()}


def _dbt(number: int, interval: float) -> Any:
    from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
    from airflow.providers.dbt.cloud.triggers.dbt import DbtCloudRunJobTrigger

    # It knows https only; without TLS it is cheaper than it would be.
    DbtCloudHook.get_request_url_params = staticmethod(
        lambda tenant, endpoint, *_, **__: (f"http://{tenant}/api/v2/accounts/{endpoint}", {})
    )
    return DbtCloudRunJobTrigger(
        conn_id="dbt", run_id=number + 1, end_time=time.time() + 7200, poll_interval=interval, account_id=1
    )


def _databricks(number: int, interval: float) -> Any:
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    return DatabricksExecutionTrigger(
        run_id=number + 1, databricks_conn_id="databricks", polling_period_seconds=interval
    )


def _airbyte(number: int, interval: float) -> Any:
    from airflow.providers.airbyte.triggers.airbyte import AirbyteSyncTrigger

    return AirbyteSyncTrigger(
        job_id=number + 1, conn_id="airbyte", end_time=time.time() + 7200, poll_interval=interval
    )


#: Name -> the trigger that waits for one run.
TRIGGERS: Mapping[str, Callable[[int, float], Any]] = {
    "dbt Cloud": _dbt,
    "Databricks": _databricks,
    "Airbyte": _airbyte,
}


def wait(name: str, interval: float) -> Callable[[int, list[float]], Coroutine[Any, Any, None]]:
    """See `benchmarks._waits`."""

    async def one(number: int, ended: list[float]) -> None:
        async for event in TRIGGERS[name](number, interval).run():
            assert event.payload.get("status", "success") == "success"
            ended.append(time.monotonic())
            return

    return one
