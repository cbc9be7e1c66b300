"""Who is answered: the name in Host, and token, type and origin of control requests."""

from __future__ import annotations

import socket

import pytest
import requests

from airflow_provider_cloudsync.emulator import Emulator
from airflow_provider_cloudsync.emulator.access import Access, checked_host, checked_token
from airflow_provider_cloudsync.emulator.messages import Call

TOKEN = "fixed-token"
READS = [("GET", "state"), ("GET", "requests"), ("GET", "faults")]
CHANGES = [
    ("POST", "reset", None),
    ("POST", "revoke", None),
    ("POST", "advance", '{"seconds": 5}'),
    ("POST", "faults", '{"faults": [{"status": 503}]}'),
    ("DELETE", "faults", None),
]
JSON = {"Content-Type": "application/json"}


def exchange(emulator, text):
    """The status that raw bytes get, and the whole reply."""
    host, _, port = emulator.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(text.encode("latin-1"))
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    return int(received.split(b" ")[1]), received.decode()


def head(target, *lines, method="GET"):
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "Connection: close", "", ""])


@pytest.fixture(scope="module")
def emulator():
    with Emulator(
        stepped=True, allowed_hosts=["Emulator", "c.example", "10.0.0.7", "[fd00::7]"], control_token=TOKEN
    ) as running:
        yield running


class TestHost:
    @pytest.mark.parametrize(
        "path", ["/v3/projects", "/_emulator/state", "/openstack/latest/securitykey", "/x"]
    )
    @pytest.mark.parametrize(
        ("host", "known"),
        [
            ("localhost", True),
            ("LOCALHOST:1", True),
            ("localhost.", True),
            ("127.0.0.1:65535", True),
            ("127.9.8.7", True),
            ("[::1]", True),
            ("[::1]:80", True),
            ("[0:0:0:0:0:0:0:1]:80", True),
            ("emulator:8000", True),
            ("C.example.", True),
            ("10.0.0.7:8000", True),
            ("[FD00:0::7]:8000", True),
            ("evil.example", False),
            ("evil.example:80", False),
            ("localhost.evil.example", False),
            ("127.0.0.1.evil.example", False),
            ("evil.c.example", False),
            ("128.0.0.1", False),
            ("0.0.0.0", False),
            ("[::]", False),
            ("[fd00::8]", False),
            ("127.1", False),
            ("0x7f000001", False),
            ("localhost@evil.example", False),
            ("evil.example@localhost", False),
            ("localhost:80:80", False),
            ("localhost:x", False),
            ("localhost, evil.example", False),
            ("local host", False),
            ("\u00e9mulator", False),
            ("[::1", False),
            ("::1", False),
            ("", False),
        ],
    )
    def test_names(self, emulator, host, known, path):
        before = emulator.requests()
        status, reply = exchange(emulator, head(path, f"Host: {host}", f"X-Emulator-Token: {TOKEN}"))
        assert (status not in (400, 421)) is known
        if not known:
            assert emulator.requests() == before, "nothing of it gets through"
            assert "evil" not in reply.partition("\r\n\r\n")[0]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(head("/v3/projects"), id="none"),
            pytest.param("GET /v3/projects HTTP/1.0\r\n\r\n", id="none-1.0"),
            pytest.param(head("/v3/projects", "Host: localhost", "Host: evil.example"), id="two"),
            pytest.param(
                head("/v3/projects", "Host: evil.example", "Host: localhost"), id="two-other-way-round"
            ),
            pytest.param(head("http://evil.example/v3/projects", "Host: localhost"), id="absolute"),
            pytest.param(head("http://localhost/_emulator/state", "Host: localhost"), id="absolute-control"),
            pytest.param(head("*", "Host: localhost", method="OPTIONS"), id="asterisk"),
            pytest.param(head("localhost:80", "Host: localhost", method="CONNECT"), id="connect"),
        ],
    )
    def test_other_ways_to_name_a_host(self, emulator, text):
        before = emulator.requests()
        assert exchange(emulator, text)[0] in (400, 404, 421)
        assert emulator.requests() == before

    def test_the_refusal_says_what_to_do(self, emulator):
        status, reply = exchange(emulator, head("/", "Host: evil.example"))
        assert status == 421
        assert "The host 'evil.example' is not allowed." in reply
        assert "--allow-host NAME" in reply

    @pytest.mark.parametrize(
        ("host", "named", "bound", "known"),
        [
            ("0.0.0.0", "10.1.2.3:80", "10.1.2.3", True),
            ("0.0.0.0", "10.1.2.4:80", "10.1.2.3", False),
            ("0.0.0.0", "evil.example", "10.1.2.3", False),
            ("::", "10.1.2.3", "::ffff:10.1.2.3", True),
            ("::", "[fe80::1]", "fe80::1%eth0", True),
            ("box.example", "box.example:80", "10.1.2.3", True),
            ("box.example", "10.1.2.3", "10.1.2.3", True),
            ("box.example", "other.example", "10.1.2.3", False),
            ("192.0.2.1", "192.0.2.1", None, True),
            ("127.0.0.1", "evil.example", None, False),
        ],
    )
    def test_the_address_that_it_listens_on(self, host, named, bound, known):
        call = Call("GET", "/", [], {"host": named}, b"")
        assert (Access(host).refuse_host(call, bound) is None) is known


class TestControl:
    @pytest.mark.parametrize("route", [*READS, *CHANGES], ids=lambda route: " ".join(route[:2]))
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            pytest.param({}, 401, id="no-token"),
            pytest.param({"X-Emulator-Token": ""}, 401, id="empty"),
            pytest.param({"X-Emulator-Token": TOKEN.upper()}, 401, id="other-case"),
            pytest.param({"X-Emulator-Token": TOKEN[:-1]}, 401, id="shorter"),
            pytest.param({"X-Emulator-Token": "\u00e9".encode()}, 401, id="not-ascii"),
            pytest.param({"Authorization": f"Bearer {TOKEN}"}, 401, id="elsewhere"),
            pytest.param({"X-Emulator-Token": TOKEN}, 200, id="token"),
            pytest.param(
                {"X-Emulator-Token": TOKEN, "Origin": "http://localhost:3000"}, 200, id="own-origin"
            ),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": "http://[::1]:3000"}, 200, id="own-v6"),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": "https://127.0.0.1"}, 200, id="own-address"),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": "https://evil.example"}, 403, id="origin"),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": "null"}, 403, id="origin-null"),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": ""}, 403, id="origin-empty"),
            pytest.param({"X-Emulator-Token": TOKEN, "Origin": "http://[::1"}, 403, id="origin-malformed"),
            pytest.param(
                {"X-Emulator-Token": TOKEN, "Origin": "http://localhost@evil.x"}, 403, id="origin-user"
            ),
            pytest.param(
                {"X-Emulator-Token": TOKEN, "Origin": "http://localhost.evil.x"}, 403, id="origin-sub"
            ),
            pytest.param({"Origin": "http://localhost:3000"}, 401, id="own-origin-without-token"),
        ],
    )
    def test_token_and_origin(self, emulator, route, headers, status):
        method, name, *body = route
        before = emulator.state()
        url = f"{emulator.url}/_emulator/{name}"
        data = body[0] if body else None
        response = requests.request(method, url, data=data, headers={**JSON, **headers}, timeout=5)
        assert response.status_code == status
        assert TOKEN not in response.text
        assert not [header for header in response.headers if header.lower().startswith("access-control-")]
        if status != 200:
            assert emulator.state() == before

    @pytest.mark.parametrize("route", CHANGES, ids=lambda route: " ".join(route[:2]))
    @pytest.mark.parametrize(
        ("kind", "accepted"),
        [
            ("application/json", True),
            ("Application/JSON; charset=utf-8", True),
            ("text/plain", False),
            ("application/x-www-form-urlencoded", False),
            ("multipart/form-data; boundary=x", False),
            ("text/plain; application/json", False),
            ("application/json, text/plain", False),
            ("application/jsonx", False),
            (None, False),
        ],
    )
    def test_content_type(self, emulator, route, kind, accepted):
        method, name, body = route
        body = body or ("{}" if name == "reset" else "a=1" if method == "POST" else "x")
        headers = {"X-Emulator-Token": TOKEN, **({"Content-Type": kind} if kind else {})}
        before = emulator.state()
        url = f"{emulator.url}/_emulator/{name}"
        response = requests.request(method, url, data=body, headers=headers, timeout=5)
        assert response.status_code == (200 if accepted else 415)
        if not accepted:
            assert "must be application/json" in response.json()["error"]
            assert emulator.state() == before

    @pytest.mark.parametrize("name", ["reset", "revoke"])
    def test_a_post_without_a_body_needs_the_type_too(self, emulator, name):
        """A page may send it to any site."""
        headers = {"X-Emulator-Token": TOKEN}
        response = requests.post(f"{emulator.url}/_emulator/{name}", headers=headers, timeout=5)
        assert response.status_code == 415

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "TRACE"])
    @pytest.mark.parametrize("name", ["reset", "revoke", "advance"])
    def test_other_methods_change_nothing(self, emulator, method, name):
        before = emulator.state()
        headers = {"X-Emulator-Token": TOKEN, **JSON}
        url = f"{emulator.url}/_emulator/{name}"
        response = requests.request(method, url, headers=headers, timeout=5)
        assert response.status_code in (400, 405)
        assert emulator.state() == before

    @pytest.mark.parametrize("path", ["/_emulator/reset", "/v3/projects", "/openstack/latest/securitykey"])
    def test_a_preflight_is_refused(self, emulator, path):
        headers = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-emulator-token",
            "Access-Control-Request-Private-Network": "true",
        }
        response = requests.options(emulator.url + path, headers=headers, timeout=5)
        assert response.status_code >= 400
        assert not [header for header in response.headers if header.lower().startswith("access-control-")]

    @pytest.mark.parametrize(
        ("remote", "status"),
        [
            ("127.0.0.1", None),
            ("::1", None),
            ("::ffff:127.0.0.1", None),
            ("127.9.9.9", None),
            ("10.0.0.7", 403),
            ("::ffff:10.0.0.7", 403),
            ("fe80::1%eth0", 403),
            (None, 403),
        ],
    )
    def test_for_this_machine_only(self, remote, status):
        access = Access("127.0.0.1", token=TOKEN)
        refusal = access.refuse_control(
            Call("GET", "/_emulator/state", [], {"x-emulator-token": TOKEN}, b""), remote
        )
        assert (refusal and refusal.status) == status

    def test_a_token_sent_to_a_service_is_not_shown(self, emulator):
        headers = {"X-Emulator-Token": TOKEN}
        requests.get(f"{emulator.url}/v3/projects", headers=headers, timeout=5)
        assert emulator.requests()[-1]["headers"]["x-emulator-token"] == "***"

    def test_a_refused_request_is_not_read(self, emulator):
        """Its body would be, for half a minute, without a token."""
        lines = ("Host: localhost", "Content-Type: application/json", "Content-Length: 4000000")
        host, _, port = emulator.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(head("/_emulator/reset", *lines, method="POST").encode())
            assert raw.recv(12) == b"HTTP/1.1 401"


class TestSettings:
    def test_a_token_of_each_emulator(self):
        tokens = {Emulator().control_token for _ in range(3)}
        assert len(tokens) == 3
        assert all(len(token) >= 32 for token in tokens)

    @pytest.mark.parametrize("token", ["", "a b", "a\n", "\u00e9", "x" * 257, "\x7f"])
    def test_tokens_that_fit_in_no_header(self, token):
        with pytest.raises(ValueError, match="1 to 256 printable ASCII") as refused:
            checked_token(token)
        assert not token or token not in str(refused.value)

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("Emulator", "emulator"),
            ("a.b.", "a.b"),
            ("::1", "::1"),
            ("[FD00:0::1]", "fd00::1"),
            ("10.0.0.1",) * 2,
        ],
    )
    def test_hosts(self, name, known):
        assert checked_host(name) == known

    @pytest.mark.parametrize(
        "name", ["", "a:80", "http://a", "[::1]:80", "*", "*.example", "a b", "a,b", "a/b"]
    )
    def test_no_hosts(self, name):
        with pytest.raises(ValueError, match="is not a host name"):
            checked_host(name)
