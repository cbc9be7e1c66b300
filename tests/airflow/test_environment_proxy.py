"""The password of a proxy that the environment names: in no text of a reply, whatever the proxy echoes."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from airflow_provider_cloudsync.api.services.mrs.calls import is_iam_synchronizing
from airflow_provider_cloudsync.exceptions import ApiError
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from tests.support.wire_drivers import _no_kept_session, answers, raw_reply, serve

__all__ = ["_no_kept_session", "serve"]

PASSWORD = "pr0xyS3%40cr3t"
PLAIN = "pr0xyS3@cr3t"
BASIC = base64.b64encode(f"user:{PLAIN}".encode()).decode()
ECHO = json.dumps({"error_code": "X.1", "error_msg": f"denied: user:{PLAIN}, {PASSWORD}, Basic {BASIC}"})


@pytest.mark.parametrize("mode", ["blocking", "asyncio"])
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("http_proxy", "http://user:{}@{}"),
        ("HTTP_PROXY", "HTTP://user:{}@{}"),
        ("all_proxy", "http://user:{}@{}"),
        ("http_proxy", "user:{}@{}"),
    ],
)
def test_an_echo(serve, monkeypatch, mode, name, form):
    proxy = serve(answers(raw_reply(ECHO.encode(), "403 Forbidden")))
    monkeypatch.setenv(name, form.format(PASSWORD, proxy.address))
    extra = {
        "region": "cn-north-4",
        "project_id": "p1",
        "endpoint": "http://service.invalid",
        "allow_http": True,
    }
    connection = {"conn_type": "cloudsync", "login": "ak", "password": "sk" * 20, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(connection))
    hook = CloudSyncHook()
    run = hook.run if mode == "blocking" else lambda flow: asyncio.run(hook.arun(flow))
    with pytest.raises(ApiError) as caught:
        run(is_iam_synchronizing(hook.cloud, "c1"))
    text = f"{caught.value.message} {caught.value!r} {hook.cloud!r}"
    assert "denied: user:***" in text
    for secret in (PLAIN, PASSWORD, BASIC):
        assert secret not in text
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {BASIC}"
