"""``check``, as a command: what it prints, what it exits with, and that it prints no secret."""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from airflow_provider_cloudsync import cli, get_provider_info
from airflow_provider_cloudsync.emulator import Emulator, scenario
from airflow_provider_cloudsync.hooks.cloudsync import CloudSyncHook
from tests.support.sign_in_methods import WAYS, account, connection
from tests.transport.test_drivers import make_certificate

ROOT = Path(__file__).parents[1]
SERVICES = ("mrs", "dataarts", "hss", "coc", "csms")


def newest() -> bool:
    import airflow

    return Version(airflow.__version__) >= Version("3.2")


@pytest.fixture
def start(monkeypatch) -> Iterator[Callable[..., Emulator]]:
    running: list[Emulator] = []

    def begin(scene: Any = None, **options: Any) -> Emulator:
        emulator = Emulator(scene, **{"stepped": True, "start": time.time(), **options})
        emulator.start()
        running.append(emulator)
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", emulator.connection)
        return emulator

    yield begin
    for emulator in running:
        emulator.stop()


@pytest.fixture
def change(monkeypatch) -> Callable[..., None]:
    """Changes the connection: ``login`` and ``password``, everything else in Extra."""

    def do(emulator: Emulator, **changes: Any) -> None:
        given = json.loads(emulator.connection)
        for name, value in changes.items():
            (given if name in ("login", "password") else given["extra"])[name] = value
        monkeypatch.setenv("AIRFLOW_CONN_CLOUDSYNC_DEFAULT", json.dumps(given))

    return do


class Check:
    """Runs the command and takes its output apart."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        status = cli.main(["check", *arguments])
        captured = self._capsys.readouterr()
        self.text = captured.out + captured.err
        lines = [line for line in captured.out.splitlines() if line[:7].strip() in ("ok", "FAILED", "--")]
        return status, {line[7:18].strip(): (line[:7].strip(), line[18:]) for line in lines}


@pytest.fixture
def check(capsys) -> Check:
    return Check(capsys)


def test_all_is_well(start, check):
    emulator = start()
    status, lines = check()
    assert status == 0
    assert list(lines) == [
        *("connection", "region", "identity", "sign-in", "clock", "account", "project"),
        *SERVICES,
    ]
    assert lines["connection"] == ("--", "cloudsync_default")
    assert lines["region"] == ("--", emulator.region)
    assert lines["account"] == ("ok", emulator.domain_id)
    assert emulator.project_id in lines["project"][1]
    assert {lines[name] for name in SERVICES if name != "dataarts"} == {("ok", f"allowed at {emulator.url}")}
    assert lines["dataarts"][0] == "--"
    assert {entry["method"] for entry in emulator.requests()} == {"GET"}
    for secret in (emulator.access_key, emulator.secret_key, emulator.password):
        assert secret not in check.text


@pytest.mark.parametrize("way", WAYS)
def test_each_way_in(start, check, monkeypatch, tmp_path, way):
    emulator = start(account())
    monkeypatch.setenv("AIRFLOW_CONN_MINE", connection(way, emulator, tmp_path))
    status, lines = check("--conn-id", "mine", "--service", "mrs")
    assert status == 0, check.text
    assert lines["mrs"][0] == "ok"
    secrets = (emulator.secret_key, emulator.password, scenario.TEMPORARY_SECRET_KEY, scenario.SECURITY_TOKEN)
    for secret in (*secrets, "an.id.token", "MII"):
        assert secret not in check.text


FORGED = "ok     hss        allowed at https://hss.example.com"
BREAKS = {"LF": "\n", "CR": "\r", "NEL": "\x85", "LS": "\u2028"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"region": None}, id="the project"),
        pytest.param({}, id="a project of another region"),
        pytest.param({"project_id": "f" * 32}, id="no such project"),
        pytest.param({"project_id": None}, id="no project of the region"),
    ],
)
@pytest.mark.parametrize("mark", BREAKS.values(), ids=BREAKS)
def test_a_project_s_name_forges_no_line(start, check, change, changes, mark):
    """Whoever may name projects must not say in the check's own words what is in order."""
    emulator = start()
    change(emulator, **changes)
    evil = f"name{mark}{FORGED}{mark}\x1b[2K\x1b]0;title\x07\u202e\x00" + "A" * 1000
    emulator.faults(
        [
            {
                "match": {"operation": "KeystoneListAuthProjects"},
                "status": 200,
                "times": 2,
                "body": {"projects": [{"id": emulator.project_id, "name": evil}]},
            },
            {"match": {"service": "mrs"}, "status": 403, "body": {"error_msg": evil}},
        ]
    )
    _, lines = check("--service", "mrs")
    assert "name ok hss allowed" in lines["project"][1]
    assert "hss" not in lines
    steps = ("connection", "region", "identity", "sign-in", "clock", "account", "project", "mrs")
    assert tuple(lines) == steps
    printed = [line for line in check.text.split("\n") if line.startswith(("ok ", "FAILED ", "-- "))]
    assert len(printed) == len(steps)
    for line in printed:
        assert line.isprintable()
        assert len(line) < 1000
    assert CloudSyncHook().test_connection()[1].isprintable()


def test_only_the_services_that_are_named(start, check):
    emulator = start()
    status, lines = check("--service", "hss", "--service", "coc")
    assert (status, [name for name in lines if name in SERVICES]) == (0, ["hss", "coc"])
    assert not {"ListClusters", "ListSecretEvents"} & {entry["operation"] for entry in emulator.requests()}


def test_another_region_and_project(start, check):
    start()
    status, lines = check("--region", "cn-north-1", "--service", "mrs")
    assert (status, lines["region"][1], lines["project"][0]) == (1, "cn-north-1", "FAILED")
    status, lines = check("--project-id", "f" * 32, "--service", "mrs")
    assert (status, lines["project"][0]) == (1, "FAILED")


STEPS = [
    # id, changes of the connection, step that fails, words
    ("key", {"password": "S3CR3T"}, "sign-in", ["401", "Check access key"]),
    ("unknown key", {"login": "UNKNOWN"}, "sign-in", ["401"]),
    ("refused", {"endpoint": "http://127.0.0.1:1"}, "sign-in", ["refused", "nothing listens"]),
    ("project", {"project_id": "f" * 32}, "project", ["no project"]),
    ("region", {"project_id": None, "region": "nowhere-1"}, "project", ["nowhere-1"]),
    ("no connection like this", {"endpoint": "nonsense"}, "connection", ['"endpoint" must be a URL']),
    ("mask", {"password": "***"}, "connection", ["mask"]),
    ("plain http", {"endpoint": "http://mrs.example.com"}, "connection", ["plain http"]),
    ("a file of authorities that is not there", {"verify": "/no/such"}, "connection", ['"verify"']),
    ("no account of this name", {"auth": "password", "domain_name": "S3CR3T"}, "sign-in", ["password"]),
]


@pytest.mark.parametrize(
    ("changes", "step", "words"), [pytest.param(*case[1:], id=case[0]) for case in STEPS]
)
def test_each_step(start, check, change, changes, step, words):
    emulator = start()
    change(emulator, **changes)
    status, lines = check("--service", "mrs")
    assert status == 1
    assert lines[step][0] == "FAILED"
    for word in words:
        assert word in lines[step][1]
    if changes.get("domain_name") is None:
        assert "S3CR3T" not in check.text
    assert emulator.secret_key not in check.text
    assert "Traceback" not in check.text


def test_a_host_that_can_not_be_resolved(start, check, change, monkeypatch):
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    change(start(), endpoint="https://iam.nowhere.invalid")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    status, lines = check("--service", "mrs")
    assert (status, lines["sign-in"][0]) == (1, "FAILED")
    assert "the host's name can't be resolved" in lines["sign-in"][1]


def test_no_tls_where_it_is_asked_for(start, check, change):
    emulator = start()
    change(emulator, endpoint=emulator.url.replace("http://", "https://"))
    status, lines = check("--service", "mrs")
    assert (status, lines["sign-in"][0]) == (1, "FAILED")
    assert "TLS" in lines["sign-in"][1]


def test_a_certificate_that_nobody_vouches_for(start, check, change, tmp_path):
    """Not the same as no TLS: here `verify` is of help."""
    certificate = make_certificate(tmp_path, "127.0.0.1")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
                certificate.context.wrap_socket(peer, server_side=True).close()
            except ssl.SSLError:
                continue
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    change(start(), endpoint=f"https://127.0.0.1:{listener.getsockname()[1]}")
    status, lines = check("--service", "mrs")
    listener.close()
    assert (status, lines["sign-in"][0]) == (1, "FAILED")
    assert "certificate" in lines["sign-in"][1]
    assert '"verify"' in lines["sign-in"][1]


@pytest.mark.parametrize("off", [-3600, 3600])
def test_the_clock_is_off(start, check, off):
    start(start=time.time() + off)
    status, lines = check("--service", "mrs")
    assert (status, lines["sign-in"][0]) == (1, "FAILED")
    assert "clock" in lines["sign-in"][1]
    assert "s off" in lines["sign-in"][1]


def test_an_account_by_sts(start, check):
    emulator = start({"account": {"lists_domains": False}})
    status, lines = check("--service", "coc")
    assert (status, lines["account"]) == (0, ("ok", emulator.domain_id))


@pytest.mark.parametrize(
    ("denied", "service", "needs"),
    [
        ("mrs", "mrs", "mrs:cluster:"),
        ("dataarts", "dataarts", "workspace"),
        ("hss", "hss", "HSS"),
        ("coc", "coc", "coc:"),
        ("csms", "csms", "csms:event:list"),
    ],
)
def test_a_permission(start, check, denied, service, needs):
    start({"account": {"denied_actions": [denied]}})
    status, lines = check()
    assert status == 1
    assert lines[service][0] == "FAILED"
    assert "Ask for: " in lines[service][1]
    assert needs in lines[service][1]
    others = {name: lines[name][0] for name in SERVICES if name != service}
    assert "FAILED" not in others.values(), others
    assert check("--service", next(iter(others)))[0] == 0


def test_signing_in_is_denied(start, check):
    start({"account": {"denied_actions": ["KeystoneListAuthProjects"]}})
    status, lines = check("--service", "mrs")
    assert (status, lines["sign-in"][0]) == (1, "FAILED")
    assert "403" in lines["sign-in"][1]


def test_there_is_no_such_connection(check):
    status, lines = check("--conn-id", "nobody_made_it")
    assert status == 1
    assert 'no connection "nobody_made_it"' in lines["connection"][1]


@pytest.mark.parametrize(
    "arguments",
    [[], ["check", "--service", "obs"], ["check", "--nonsense"], ["check", "--conn-id"], ["other"]],
    ids=" ".join,
)
def test_bad_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: python -m airflow_provider_cloudsync" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["check", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in ("--conn-id", "--service", "--region", "--project-id", "cloudsync_default", *SERVICES):
        assert name in text


def test_the_services_that_can_be_named_are_those_with_a_probe():
    from airflow_provider_cloudsync.api.services import NAMES

    assert set(cli._options()["--service"]["choices"]) == set(NAMES)


def test_of_airflow_s_command_the_status_is_what_it_exits_with(start):
    start()
    for conn_id, status in (("cloudsync_default", 0), ("nobody_made_it", 1)):
        arguments = argparse.Namespace(conn_id=conn_id, service=["mrs"], region=None, project_id=None)
        with pytest.raises(SystemExit) as end:
            cli.check(arguments)
        assert end.value.code == status


@pytest.mark.skipif(not newest(), reason="this Airflow has no commands of providers")
class TestAirflowsCommand:
    def test_it_is_what_the_provider_info_names(self):
        from airflow.cli.cli_config import ActionCommand, GroupCommand

        (path,) = get_provider_info()["cli"]
        assert path == f"{cli.__name__}.{cli.get_commands.__name__}"
        (group,) = cli.get_commands()
        assert isinstance(group, GroupCommand)
        assert group.name == "cloudsync"
        (command,) = group.subcommands
        assert isinstance(command, ActionCommand)
        assert command.name == "check"
        assert [argument.flags[0] for argument in command.args] == list(cli._options())

    def test_airflow_s_parser_takes_it(self):
        from airflow.cli.cli_parser import AirflowHelpFormatter, _add_command

        parser = argparse.ArgumentParser(formatter_class=AirflowHelpFormatter)
        commands = parser.add_subparsers(dest="subcommand")
        for command in cli.get_commands():
            _add_command(commands, command)
        found = parser.parse_args(["cloudsync", "check", "--conn-id", "x", "--service", "mrs"])
        assert (found.conn_id, found.service, found.region) == ("x", ["mrs"], None)

    def test_it_is_the_same_check(self, start, monkeypatch):
        start()
        (group,) = cli.get_commands()
        arguments = argparse.Namespace(
            conn_id="cloudsync_default", service=["mrs"], region=None, project_id=None
        )
        with pytest.raises(SystemExit) as end:
            group.subcommands[0].func(arguments)
        assert end.value.code == 0


@pytest.mark.skipif(newest(), reason="an older Airflow is meant")
def test_an_older_airflow_knows_nothing_of_it():
    from airflow.providers_manager import ProvidersManager

    assert not hasattr(ProvidersManager(), "cli_command_functions")


def test_importing_it_imports_nothing():
    """Airflow imports it at each start of its command line."""
    code = "import sys, airflow_provider_cloudsync.cli; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    top = {name.partition(".")[0] for name in done.stdout.split()}
    assert not top & {"airflow", "argparse", "requests", "aiohttp", "json", "asyncio", "ssl", "logging"}
    own = {name for name in done.stdout.split() if name.startswith("airflow_provider_cloudsync")}
    assert own == {"airflow_provider_cloudsync", "airflow_provider_cloudsync.cli"}


def test_as_a_module(start):
    """`python -m`, in a process of its own: the output is on stdout and the status is the command's."""
    import os

    emulator = start(stepped=False, start=None)
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_cloudsync", "check", "--service", "mrs"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"allowed at {emulator.url}" in done.stdout
    for secret in (emulator.secret_key, emulator.access_key):
        assert secret not in done.stdout + done.stderr
