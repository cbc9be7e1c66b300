"""Apache Airflow provider for synchronizations of Huawei Cloud services.

Every command of Airflow imports this module, so it imports nothing else.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]

_PACKAGE = "airflow_provider_cloudsync"
_DOCS = "https://support.huaweicloud.com/intl/en-us/"
#: Name of a service's modules -> its title, its path in the vendor's documentation, its kinds of modules.
_SERVICES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cloudsync": ("Huawei Cloud", "", ("hooks",)),  # connection, and API calls without a method of their own
    "mrs": ("Huawei Cloud MRS", "mrs/", ("hooks", "operators", "sensors")),
    "dataarts": ("Huawei Cloud DataArts Studio", "dataartsstudio/", ("hooks", "sensors")),
    "hss": ("Huawei Cloud HSS", "hss2.0/", ("hooks", "operators", "sensors")),
    "coc": ("Huawei Cloud COC", "coc/", ("hooks", "operators", "sensors")),
    "csms": ("Huawei Cloud CSMS", "dew/", ("hooks", "operators")),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata for Airflow: its connection type, modules and asset URIs.

    Airflow from 3.2 calls this for every command, and an error here breaks all of them. Therefore it is plain data.
    """
    from airflow_provider_cloudsync.connection.fields import FIELDS, HIDDEN, PLACEHOLDERS, RELABELING

    def modules(kind: str) -> list[dict[str, Any]]:
        return [
            {"integration-name": title, "python-modules": [f"{_PACKAGE}.{kind}.{service}"]}
            for service, (title, _, kinds) in _SERVICES.items()
            if kind in kinds
        ]

    asset_uris = {
        "schemes": ["cloudsync"],
        "handler": f"{_PACKAGE}.assets.sanitize_uri",
        "factory": f"{_PACKAGE}.assets.create_asset",
    }
    return {
        "package-name": "airflow-provider-cloudsync",
        "name": "Huawei Cloud Sync",
        "description": "Starts synchronizations of Huawei Cloud services and waits until they have really ended.",
        "versions": [__version__],
        "integrations": [
            {"integration-name": title, "external-doc-url": f"{_DOCS}{path}", "tags": ["service"]}
            for title, path, _ in _SERVICES.values()
        ],
        "connection-types": [
            {
                "connection-type": "cloudsync",
                "hook-class-name": f"{_PACKAGE}.hooks.cloudsync.CloudSyncHook",
                "hook-name": "Huawei Cloud Sync",
                "conn-fields": FIELDS,
                "ui-field-behaviour": {
                    "hidden-fields": HIDDEN,
                    "relabeling": RELABELING,
                    "placeholders": PLACEHOLDERS,
                },
            }
        ],
        "cli": [f"{_PACKAGE}.cli.get_commands"],
        "hooks": modules("hooks"),
        "operators": modules("operators"),
        "sensors": modules("sensors"),
        "extra-links": [f"{_PACKAGE}.links.ConsoleLink"],
        "triggers": [
            {
                "integration-name": title,
                "python-modules": [f"{_PACKAGE}.triggers.sync", f"{_PACKAGE}.triggers.events"],
            }
            for title, _, kinds in _SERVICES.values()
            if "sensors" in kinds  # each wait in a worker is possible in a triggerer, too
        ],
        "asset-uris": [asset_uris],
        "dataset-uris": [asset_uris],  # name in Airflow 2.11
    }
