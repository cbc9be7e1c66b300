"""Apache Airflow provider for the synchronizations of Huawei Cloud services.

This module is imported by every command of Airflow, so it imports nothing else.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """What Airflow asks of a provider: its connection type and what it is made of.

    Airflow from 3.2 calls this for every command, and an error here breaks them all; so it is made of plain data.
    """
    from airflow_provider_cloudsync.connection_form import FIELDS, HIDDEN, PLACEHOLDERS, RELABELING

    package = "airflow_provider_cloudsync"
    mrs, dataarts = "Huawei Cloud MRS", "Huawei Cloud DataArts Studio"
    return {
        "package-name": "airflow-provider-cloudsync",
        "name": "Huawei Cloud Sync",
        "description": "Starts the synchronizations of Huawei Cloud services and waits until they are really done.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": name, "external-doc-url": url, "tags": ["service"]}
            for name, url in (
                (mrs, "https://support.huaweicloud.com/intl/en-us/mrs/"),
                (dataarts, "https://support.huaweicloud.com/intl/en-us/dataartsstudio/"),
            )
        ],
        "connection-types": [
            {
                "connection-type": "cloudsync",
                "hook-class-name": f"{package}.hooks.cloudsync.CloudSyncHook",
                "hook-name": "Huawei Cloud Sync",
                "conn-fields": FIELDS,
                "ui-field-behaviour": {
                    "hidden-fields": HIDDEN,
                    "relabeling": RELABELING,
                    "placeholders": PLACEHOLDERS,
                },
            }
        ],
        "hooks": [
            {"integration-name": mrs, "python-modules": [f"{package}.hooks.mrs"]},
            {"integration-name": dataarts, "python-modules": [f"{package}.hooks.dataarts"]},
        ],
        "operators": [{"integration-name": mrs, "python-modules": [f"{package}.operators.mrs"]}],
        "sensors": [
            {"integration-name": mrs, "python-modules": [f"{package}.sensors.mrs"]},
            {"integration-name": dataarts, "python-modules": [f"{package}.sensors.dataarts"]},
        ],
        "triggers": [
            {"integration-name": name, "python-modules": [f"{package}.triggers.sync"]}
            for name in (mrs, dataarts)
        ],
    }
