"""An emulator whose time stands still, and a client that signs with that time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import requests

from airflow_provider_cloudsync.api import signing
from airflow_provider_cloudsync.emulator import Emulator

#: A round moment, so that times in assertions are readable: 2026-11-21 08:00:00 UTC.
START = 1_795_248_000.0


@dataclass
class Client:
    """Sends signed requests over a real socket, in whatever wrong way a test asks for."""

    emulator: Emulator
    access_key: str
    secret_key: str
    session: requests.Session = field(default_factory=requests.Session)
    extra_headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        query: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        skew: float = 0.0,
        sign: bool = True,
        sent: dict[str, str] | None = None,
        timeout: float = 10.0,
    ) -> requests.Response:
        """:param headers: signed ones. :param sent: added, or changed, after signing."""
        content = data if data is not None else b"" if body is None else json.dumps(body).encode()
        path = path.replace("{p}", self.emulator.project_id)
        pairs = query or []
        host = self.emulator.url.removeprefix("http://")
        all_headers = {
            "Host": host,
            "Content-Type": "application/json",
            **self.extra_headers,
            **(headers or {}),
        }
        if sign:
            all_headers |= signing.sign(
                method,
                path,
                pairs,
                all_headers,
                content,
                access_key=self.access_key,
                secret_key=self.secret_key,
                now=self.emulator.clock.gateway_now() + skew,
            )
        all_headers |= sent or {}
        text = signing.canonical_query(pairs)
        url = self.emulator.url + path + (f"?{text}" if text else "")
        return self.session.request(
            method, url, data=content or None, headers=all_headers, timeout=timeout, allow_redirects=False
        )

    def using(self, key: dict[str, str]) -> Client:
        """The same client with temporary keys, in the form that IAM and the metadata service give them."""
        extra = {"X-Security-Token": key["securitytoken"]}
        return replace(self, access_key=key["access"], secret_key=key["secret"], extra_headers=extra)

    def log_in(self, scope: Any = None, **user: Any) -> requests.Response:
        """Asks for a token for the password; for the main project unless told otherwise."""
        emulator = self.emulator
        known = {"name": emulator.user, "password": emulator.password}
        document = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {**known, "domain": {"name": emulator.domain_name}, **user}},
            },
            "scope": scope or {"project": {"id": emulator.project_id}},
        }
        return self("POST", "/v3/auth/tokens", body={"auth": document}, sign=False)

    def with_token(self, token: str, method: str, path: str, **options: Any) -> requests.Response:
        """Sends a request with a token in place of a signature."""
        headers = {"X-Auth-Token": token, **options.pop("headers", {})}
        return self(method, path, sign=False, headers=headers, **options)

    def control(
        self, method: str, name: str, body: Any = None, *, data: str | None = None
    ) -> requests.Response:
        """:param data: instead of `body`, as it is."""
        headers = {"X-Emulator-Token": self.emulator.control_token, "Content-Type": "application/json"}
        url = f"{self.emulator.url}/_emulator/{name}"
        return self.session.request(method, url, json=body, data=data, headers=headers, timeout=10)


Start = Callable[..., Client]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an emulator with a scenario, and gives a client of it."""
    open_clients: list[Client] = []

    def begin(scenario: Any = None, **options: Any) -> Client:
        options = {"stepped": True, "start": START, **options}
        emulator = Emulator(scenario, **options)
        emulator.start()
        client = Client(emulator, emulator.access_key, emulator.secret_key)
        client.session.trust_env = False
        open_clients.append(client)
        return client

    yield begin
    for client in open_clients:
        client.session.close()
        client.emulator.stop()


@pytest.fixture
def client(start: Start) -> Client:
    """A client of an emulator with the default scenario."""
    return start()


@dataclass
class Sdk:
    """The vendor SDK's own clients, led to the emulator."""

    emulator: Emulator

    def keys(self, *, secret_key: str | None = None, project: bool = True) -> Any:
        """What it signs regional services' requests with; without a project it looks for one."""
        from huaweicloudsdkcore.auth.credentials import BasicCredentials

        emulator = self.emulator
        keys = BasicCredentials(emulator.access_key, secret_key or emulator.secret_key)
        return keys.with_project_id(emulator.project_id) if project else keys.with_iam_endpoint(emulator.url)

    def global_keys(self) -> Any:
        """What it signs global services' requests with; it looks for the account's id."""
        from huaweicloudsdkcore.auth.credentials import GlobalCredentials

        emulator = self.emulator
        return GlobalCredentials(emulator.access_key, emulator.secret_key).with_iam_endpoint(emulator.url)

    def connect(self, kind: Any, keys: Any = None, *, region: Any = None) -> Any:
        """A client of the class `kind`."""
        from huaweicloudsdkcore.http.http_config import HttpConfig

        config = HttpConfig.get_default_config()
        config.timeout = (5, 5)
        builder = kind.new_builder().with_http_config(config).with_credentials(keys or self.keys())
        return (
            builder.with_region(region) if region else builder.with_endpoints([self.emulator.url])
        ).build()


@pytest.fixture
def sdk(start: Start) -> Sdk:
    """The vendor SDK, with an emulator of the default scenario."""
    credentials = pytest.importorskip("huaweicloudsdkcore.auth.credentials")
    # It remembers projects and accounts for the whole process, by key and region.
    credentials.Credentials._CACHE.clear()
    # It signs with the wall time, so the stepped clock has to begin there.
    return Sdk(start(start=time.time()).emulator)
