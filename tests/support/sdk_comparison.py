"""What the tests of wire equality share: the hook and the vendor SDK's client before one emulator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("huaweicloudsdkcore")

from huaweicloudsdkcore.auth.credentials import BasicCredentials, Credentials, GlobalCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig

from airflow_provider_cloudsync.emulator import Emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    # The SDK and the hook sign with the wall time, so the emulator's time has to begin there.
    with Emulator(stepped=True, start=time.time()) as running:
        yield running


def hook(kind: type[Any], emulator: Emulator, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> Any:
    connection = json.loads(emulator.connection)
    connection["extra"] |= extra
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
    return kind()


def sdk(builder: Any, emulator: Emulator, keys: BasicCredentials | None = None) -> Any:
    config = HttpConfig.get_default_config()
    config.timeout = (5, 5)
    keys = keys or BasicCredentials(emulator.access_key, emulator.secret_key, emulator.project_id)
    return (
        builder.new_builder()
        .with_http_config(config)
        .with_credentials(keys)
        .with_endpoints([emulator.url])
        .build()
    )


def first_pages(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests without those for the next page of a list, which the SDK leaves to its user."""
    return [
        entry
        for entry in entries
        if not any(
            name == "marker" or (name == "offset" and value != "0")
            for name, value in map(tuple, entry["query"])
        )
    ]


def wire(entry: dict[str, Any]) -> dict[str, Any]:
    """What of a request must be the same, whoever sends it."""
    headers = entry["headers"]
    # The SDK writes a charset behind the type of some bodies; it says nothing that JSON does not.
    headers["content-type"] = headers["content-type"].partition(";")[0]
    named = ("host", "content-type", "x-project-id", "x-domain-id", "workspace", "x-security-token")
    return {
        "method": entry["method"],
        "path": entry["path"],
        "query": sorted(map(tuple, entry["query"])),
        "body": entry["body"],
        "headers": {name: headers[name] for name in named if name in headers},
        "auth": entry["auth"],
        "status": entry["status"],
        "operation": entry["operation"],
    }


def global_keys(emulator: Emulator, domain_id: str | None = None) -> GlobalCredentials:
    """What the SDK signs requests to a service of the whole account with; without the id it looks for it."""
    Credentials._CACHE.clear()  # it remembers accounts for the whole process, by key
    keys = GlobalCredentials(emulator.access_key, emulator.secret_key, domain_id)
    return keys.with_iam_endpoint(emulator.url)
