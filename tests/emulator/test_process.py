"""The emulator as a process, as a thread, and as a fixture."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from airflow_provider_cloudsync.emulator import Emulator, fixtures

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "airflow_provider_cloudsync.emulator"]
KEYS = [
    "url",
    "access_key",
    "secret_key",
    "project_id",
    "region",
    "domain_id",
    "domain_name",
    "user",
    "password",
    "connection",
    "control_token",
]


def state_of(url, token, session=requests):
    return session.get(f"{url}/_emulator/state", headers={"X-Emulator-Token": token}, timeout=5)


@contextlib.contextmanager
def started(*arguments, **variables):
    """A process of the emulator, ended with the block."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments):
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )


class TestCommand:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_start_and_end(self, tmp_path, number):
        scenario = tmp_path / "s.json"
        scenario.write_text('{"mrs": {"clusters": {"x": {}}}}')
        arguments = ["--port", "0", "--speed", "60", "--scenario", str(scenario)]
        with started(*arguments) as process:
            details = json.loads(process.stdout.readline())
            assert list(details) == KEYS
            state = state_of(details["url"], details["control_token"]).json()
            assert (state["clock"]["speed"], list(state["mrs"]["clusters"])) == (60, ["x"])
            process.send_signal(number)
            rest, complaints = process.communicate(timeout=10)
        assert (process.returncode, rest, complaints) == (0, "", "")
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(details["url"], timeout=5)

    @pytest.mark.parametrize(
        ("variable", "arguments", "token"),
        [
            ("of-the-environment", [], "of-the-environment"),
            ("of-the-environment", ["--control-token", "of-the-line"], "of-the-line"),
            ("", ["--control-token", "of-the-line"], "of-the-line"),
            ("", [], None),
        ],
    )
    def test_a_fixed_token_and_another_name(self, variable, arguments, token):
        arguments = [*arguments, "--allow-host", "emulator", "--allow-host", "10.0.0.7"]
        with started(*arguments, CLOUDSYNC_EMULATOR_TOKEN=variable) as process:
            details = json.loads(process.stdout.readline())
            headers = {"X-Emulator-Token": details["control_token"], "Host": "emulator:8000"}
            url = f"{details['url']}/_emulator/state"
            assert requests.get(url, headers=headers, timeout=5).status_code == 200
            assert requests.get(url, headers={**headers, "Host": "x"}, timeout=5).status_code == 421
        if token is None:
            assert len(details["control_token"]) >= 32
        else:
            assert details["control_token"] == token

    @pytest.mark.parametrize(
        ("arguments", "warned"),
        [
            (["--allow-remote", "--host", "0.0.0.0"], True),
            (["--allow-remote", "--host", "127.0.0.2"], False),
            (["--allow-remote"], False),
        ],
    )
    def test_a_warning_that_others_can_reach_it(self, arguments, warned):
        with started(*arguments) as process:
            json.loads(process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            _, complaints = process.communicate(timeout=10)
        assert ("WARNING: listening on 0.0.0.0" in complaints) is warned
        assert bool(complaints) is warned

    @pytest.mark.parametrize(
        ("arguments", "variable", "complaint"),
        [
            (["--control-token", "my secret"], "", "1 to 256 printable ASCII characters"),
            ([], "my secret", "CLOUDSYNC_EMULATOR_TOKEN: The control token must"),
            (["--allow-host", "a:80"], "", "'a:80' is not a host name"),
            (["--allow-host", ""], "", "'' is not a host name"),
        ],
    )
    def test_refused_tokens_and_names(self, arguments, variable, complaint):
        with started(*arguments, CLOUDSYNC_EMULATOR_TOKEN=variable) as process:
            said, complaints = process.communicate(timeout=10)
        assert (process.returncode, said) == (2, "")
        assert complaint in complaints
        assert "my secret" not in complaints

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--host", "0.0.0.0"], "add --allow-remote"),
            (["--host", "example.org"], "add --allow-remote"),
            (["--port", "99999"], "99999 is no port"),
            (["--speed", "0"], "0 is no speed"),
            (["--speed", "fast"], "fast is no speed"),
            (["--scenario", "/no/such/file"], "cannot be read"),
            (["--scenario", "{}"], "mrs.clusters.x.secnds is not known"),
        ],
    )
    def test_refusals(self, tmp_path, arguments, complaint):
        scenario = tmp_path / "s.json"
        scenario.write_text('{"mrs": {"clusters": {"x": {"secnds": 5}}}}')
        done = run(*[argument.replace("{}", str(scenario)) for argument in arguments])
        assert (done.returncode, done.stdout) == (2, "")
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = run("--port", str(taken.getsockname()[1]))
        assert (done.returncode, done.stdout) == (1, "")
        assert "cannot listen on 127.0.0.1" in done.stderr
        assert "Traceback" not in done.stderr


class TestEmbedded:
    def test_connection(self, client):
        emulator = client.emulator
        assert json.loads(emulator.connection) == {
            "conn_type": "cloudsync",
            "login": emulator.access_key,
            "password": emulator.secret_key,
            "extra": {"region": "cn-north-4", "project_id": emulator.project_id, "endpoint": emulator.url},
        }
        assert list(emulator.details()) == KEYS

    def test_stop_leaves_nothing(self):
        threads, files = set(threading.enumerate()), os.listdir("/proc/self/fd")
        emulator = Emulator()
        with emulator:
            # A connection that is kept alive must not keep the server.
            with requests.Session() as session:
                assert state_of(emulator.url, emulator.control_token, session).status_code == 200
                emulator.stop()
            emulator.stop()
        assert set(threading.enumerate()) == threads
        assert len(os.listdir("/proc/self/fd")) == len(files)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(emulator.url.rpartition(":")[2])), timeout=5)

    def test_what_happened_can_be_read_after_the_end(self):
        with Emulator() as emulator:
            requests.get(emulator.url + "/nowhere", timeout=5)
        assert [entry["status"] for entry in emulator.requests()] == [404]

    def test_a_second_start(self, client):
        with pytest.raises(RuntimeError, match="running already"):
            client.emulator.start()

    def test_a_start_after_the_end_keeps_the_port(self):
        emulator = Emulator()
        urls = []
        for _ in range(2):
            with emulator:
                urls.append(emulator.url)
                assert state_of(emulator.url, emulator.control_token).status_code == 200
        assert urls[0] == urls[1]

    def test_a_port_in_use(self, client):
        threads = set(threading.enumerate())
        with pytest.raises(OSError, match="in use"):
            Emulator(port=int(client.emulator.url.rpartition(":")[2])).start()
        assert set(threading.enumerate()) == threads

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.org"])
    def test_remote_hosts_need_a_word(self, host):
        with pytest.raises(ValueError, match="can be reached by other machines"):
            Emulator(host=host)

    @pytest.mark.parametrize(
        ("host", "remote"), [("localhost", False), ("127.0.0.2", False), ("0.0.0.0", True)]
    )
    def test_hosts(self, host, remote):
        with Emulator(host=host, allow_remote=remote) as emulator:
            assert state_of(emulator.url, emulator.control_token).status_code == 200

    def test_sped_up(self):
        with Emulator(speed=100_000) as emulator:
            first = emulator.state()["clock"]["now"]
            while emulator.state()["clock"]["now"] < first + 1000:
                pass


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import airflow_provider_cloudsync.emulator", ["aiohttp", "airflow", "requests"]),
        ("from airflow_provider_cloudsync.emulator import Emulator", ["airflow", "requests"]),
    ],
)
def test_imports(statement, absent):
    """A second witness takes nothing but the signing from the package."""
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    loaded = done.stdout.split()
    assert not set(absent) & set(loaded)
    package = "airflow_provider_cloudsync"
    ours = {
        name for name in loaded if name.startswith(package) and not name.startswith(f"{package}.emulator")
    }
    assert ours <= {package, f"{package}.api", f"{package}.api.signing"}


class TestFixture:
    def test_leads_airflow_to_it(self, cloudsync_emulator):
        assert os.environ[fixtures.CONNECTION_VARIABLE] == cloudsync_emulator.connection
        assert state_of(cloudsync_emulator.url, cloudsync_emulator.control_token).status_code == 200

    @pytest.mark.cloudsync_emulator({"mrs": {"clusters": {"x": {}}}}, speed=30)
    def test_options(self, cloudsync_emulator):
        state = cloudsync_emulator.state()
        assert (state["clock"]["speed"], list(state["mrs"]["clusters"])) == (30, ["x"])

    def test_is_gone_afterwards(self):
        assert fixtures.CONNECTION_VARIABLE not in os.environ
        assert "cloudsync-emulator" not in [thread.name for thread in threading.enumerate()]
