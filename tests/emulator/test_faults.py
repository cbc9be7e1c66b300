"""Each kind of fault over a real socket, and which requests it strikes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import requests

from airflow_provider_cloudsync.emulator.reading import BadInput

STATUS = "/v2/{p}/clusters/example-cluster/iam-sync"
SYNC = "/v2/{p}/clusters/example-cluster/iam-sync-user"
EVERYBODY = {"is_all_sync": True}


class TestActions:
    @pytest.mark.parametrize(
        ("fault", "status", "text", "header"),
        [
            ({"status": 503}, 503, '"APIGW.0613"', None),
            ({"status": 418}, 418, "", None),
            (
                {"status": 502, "body": "<html>bad gateway</html>"},
                502,
                "<html>bad gateway</html>",
                "text/html",
            ),
            (
                {"status": 500, "body": {"error_code": "12000004"}},
                500,
                '{"error_code": "12000004"}',
                "application/json",
            ),
            ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, 302, "", None),
            ({"status": 500, "body": "x", "headers": {"content-type": "text/x"}}, 500, "x", "text/x"),
            ({"raw": "<html>log in</html>"}, 200, "<html>log in</html>", "text/html"),
            ({"raw": ""}, 200, "", None),
            ({"throttle": {"limit": 5, "window": "1 second"}}, 429, "limit:5,time:1 second", None),
            ({"throttle": {}}, 429, "limit:60,time:1 minute", None),
        ],
    )
    def test_another_reply(self, client, fault, status, text, header):
        client.emulator.faults([fault])
        response = client("GET", STATUS)
        assert response.status_code == status
        assert text in response.text
        assert bool(response.text) == bool(text)
        if header:
            assert response.headers["Content-Type"] == header
        (entry,) = client.emulator.requests()
        assert (entry["status"], entry["auth"]) == (status, "valid")
        assert entry["fault"]["when"] == "before"
        assert client("GET", STATUS).json() == {"is_synchronizing": False}

    def test_retry_after(self, client):
        client.emulator.faults([{"throttle": {}, "retry_after": 3}, {"throttle": {}}])
        assert client("GET", STATUS).headers["Retry-After"] == "3"
        assert "Retry-After" not in client("GET", STATUS).headers

    def test_reset_is_a_real_one(self, client):
        client.emulator.faults([{"reset": True}])
        host, _, port = client.emulator.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                raw.recv(1)

    def test_truncate(self, client):
        client.emulator.faults([{"truncate": True, "when": "after"}])
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            client("GET", STATUS)

    @pytest.mark.parametrize("size", [1000, 5_000_000])
    def test_huge(self, client, size):
        client.emulator.faults([{"huge": size}])
        response = client("GET", STATUS)
        assert len(response.content) == size
        assert "Content-Length" not in response.headers
        assert set(response.json()["padding"]) == {"x"}

    def test_huge_ends_when_the_client_has_enough(self, client):
        client.emulator.faults([{"huge": 10**12}])
        host, _, port = client.emulator.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        client.emulator.stop()
        assert time.monotonic() - began < 20  # aiohttp, left to itself, gives such a reply a minute

    def test_stall_drops_in_the_end(self, client):
        client.emulator.faults([{"stall": 0.05}])
        with pytest.raises(requests.exceptions.ConnectionError):
            client("GET", STATUS)
        assert client.emulator.requests()[0]["status"] is None

    def test_stall_ends_when_the_client_leaves(self, client):
        client.emulator.faults([{"stall": 1000, "times": None}])
        with client.session, pytest.raises(requests.exceptions.ReadTimeout):
            client("GET", STATUS, timeout=0.05)
        end = time.monotonic() + 2
        while asyncio.all_tasks(client.emulator._loop) and time.monotonic() < end:
            time.sleep(0.005)
        assert not asyncio.all_tasks(client.emulator._loop), "the handler still sleeps"

    def test_stop_does_not_wait_for_a_stall(self, client):
        client.emulator.faults([{"stall": 1000}])
        failures = []

        def ask():
            try:
                client("GET", STATUS)
            except requests.exceptions.ConnectionError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not client.emulator.requests():
            time.sleep(0.005)
        client.emulator.stop()
        thread.join(2)
        assert len(failures) == 1

    def test_delay(self, client):
        client.emulator.faults([{"delay": 0.1}])
        began = time.monotonic()
        assert client("GET", STATUS).json() == {"is_synchronizing": False}
        assert time.monotonic() - began >= 0.1
        assert client.emulator.requests()[0]["fault"] == {"when": "before", "delay": 0.1}


class TestWhen:
    @pytest.mark.parametrize(
        "action", [{"reset": True}, {"status": 504}, {"stall": 0.01}, {"truncate": True}]
    )
    @pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
    def test_whether_the_work_was_done(self, client, action, when, runs):
        client.emulator.faults([{**action, "when": when}])
        with contextlib.suppress(requests.exceptions.RequestException):
            client("POST", SYNC, body=EVERYBODY)
        assert len(client.emulator.state()["mrs"]["clusters"]["example-cluster"]["runs"]) == runs
        assert client.emulator.requests()[0]["effect"] == ("started" if runs else None)

    def test_a_fault_before_is_ahead_of_the_credentials(self, client):
        client.emulator.faults([{"status": 503}])
        assert client("GET", STATUS, skew=5000).status_code == 503
        assert client.emulator.requests()[0]["auth"] == "invalid"
        assert client.emulator.state()["keys"][0]["failures"] == 0


class TestMatch:
    @pytest.mark.parametrize(
        ("match", "struck"),
        [
            ({}, [True, True, True]),
            ({"operation": "UpdateSyncIamUser"}, [False, True, False]),
            ({"service": "iam"}, [False, False, True]),
            ({"method": "GET"}, [True, False, True]),
            ({"path": "*/iam-sync"}, [True, False, False]),
            ({"path": "/v3/projects"}, [False, False, True]),
            ({"path": "*/v3"}, [False, False, False]),
            ({"service": "mrs", "method": "GET"}, [True, False, False]),
            ({"service": "mrs", "path": "/v3/*"}, [False, False, False]),
        ],
    )
    def test_which(self, client, match, struck):
        client.emulator.faults([{"match": match, "status": 503, "times": None}])
        calls = [("GET", STATUS), ("POST", SYNC), ("GET", "/v3/projects")]
        assert [client(*call, body={}).status_code == 503 for call in calls] == struck

    @pytest.mark.parametrize(
        ("options", "statuses"),
        [
            ({}, [503, 200, 200, 200]),
            ({"times": 2}, [503, 503, 200, 200]),
            ({"times": None}, [503, 503, 503, 503]),
            ({"skip": 1}, [200, 503, 200, 200]),
            ({"skip": 2, "times": 5}, [200, 200, 503, 503]),
        ],
    )
    def test_how_often(self, client, options, statuses):
        client.emulator.faults([{"status": 503, **options}])
        assert [client("GET", STATUS).status_code for _ in range(4)] == statuses

    def test_one_after_another(self, client):
        client.emulator.faults([{"status": 500}, {"status": 502}])
        armed = client.emulator.faults([{"status": 504}])
        assert [fault["status"] for fault in armed] == [500, 502, 504]
        assert [client("GET", STATUS).status_code for _ in range(4)] == [500, 502, 504, 200]
        assert client.emulator.faults([]) == []

    def test_an_unknown_path_can_be_struck(self, client):
        client.emulator.faults([{"match": {"path": "/nowhere*"}, "status": 503}])
        assert client("GET", "/nowhere").status_code == 503

    def test_control_is_spared(self, client):
        client.emulator.faults([{"status": 503, "times": None}])
        assert client.control("GET", "state").status_code == 200

    @pytest.mark.parametrize("end", ["disarm", "reset"])
    def test_an_end_to_all(self, client, end):
        client.emulator.faults([{"status": 503, "times": None}])
        getattr(client.emulator, end)()
        assert client("GET", STATUS).status_code == 200


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({}, r"faults\[0\] must hold exactly one of status, .*has none"),
        ({"status": 503, "reset": True}, "has status and reset"),
        ({"status": 99}, r"faults\[0\].status must be from 200 to 599, not 99"),
        ({"status": "503"}, "status must be a whole number, not the string '503'"),
        ({"status": 503, "statu": 1}, r"faults\[0\].statu is not known"),
        ({"reset": False}, r"faults\[0\].reset can only be true"),
        ({"stall": -1}, "stall must be from 0"),
        ({"stall": float("nan")}, "stall must be from 0"),
        ({"huge": 0}, "huge must be 1 or more"),
        ({"raw": 5}, "raw must be a string"),
        ({"throttle": True}, "throttle must be an object"),
        ({"throttle": {"limits": 5}}, r"faults\[0\].throttle.limits is not known"),
        ({"reset": True, "retry_after": 3}, "retry_after is not known"),
        ({"reset": True, "times": 0}, "times must be 1 or more"),
        ({"reset": True, "skip": -1}, "skip must be 0 or more"),
        ({"reset": True, "when": "during"}, "when must be one of before, after"),
        (
            {"reset": True, "match": {"operation": "SyncUsers"}},
            r"match.operation must be one of .*UpdateSyncIamUser",
        ),
        (
            {"reset": True, "match": {"service": "ecs"}},
            "match.service must be one of coc, csms, dataarts, hss",
        ),
        ({"reset": True, "match": {"method": "get"}}, "match.method must be one of GET"),
        ({"reset": True, "match": {"path": "(a+)+$"}}, r"match.path must be a whole path .* not a regular"),
        ({"reset": True, "match": {"path": "/v3/"}}, r"no operation has the path '/v3/'.*write '\*/v3/\*'"),
        ({"reset": True, "match": {"path": "/example-cluster/"}}, r"write '\*/example-cluster/\*'"),
        ({"reset": True, "match": {"path": 5}}, "match.path must be a string"),
        ({"reset": True, "match": {"url": "x"}}, "match.url is not known"),
        ({"status": 503, "headers": {"X": "a\r\nb"}}, "headers.X must be a single line"),
        ("reset", r"faults\[0\] must be an object"),
    ],
)
def test_complaints(client, fault, complaint):
    with pytest.raises(BadInput, match=complaint):
        client.emulator.faults([fault])
    with pytest.raises(BadInput):
        client.emulator.faults([{"status": 503}, fault])
    assert client.emulator.faults([]) == [], "all are armed or none"
