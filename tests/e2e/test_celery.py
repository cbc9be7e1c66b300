"""The deployment of docs/deployment/compose.yaml without containers: two workers, two triggerers, one of each killed.

`make e2e-celery`; nothing of it is in `make test`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_cloudsync.emulator.scenario import default_scenario
from tests.e2e import airflow_site, compose, servers
from tests.e2e.airflow_site import COMMANDS, JOBS, AirflowSite, kind_of
from tests.e2e.databases import Postgres
from tests.e2e.demo import EXAMPLES, complaint, declared_deferrable, say
from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.records import TaskResult
from tests.e2e.servers import Servers, major
from tests.e2e.site_settings import free_port

pytestmark = pytest.mark.celery

MANY = {f"many-{number}" for number in range(200)}
#: The cloud lets these fail, each time.
BROKEN = {f"many-{number}" for number in range(0, 200, 40)}
#: As many tries as the DAG allows.
TRIES = 4
#: So many are deferred when a worker and a triggerer are killed.
DEFERRED = 100
#: Longer than the test: the clock of the cloud is put forward when all has happened.
HOUR = 3600.0
TIMEOUT = 900.0
#: Of the services of compose.yaml those that are Airflow, and go on.
KINDS = {"api-server", *JOBS, "worker"}
#: The pace of the test: whoever is dead is replaced soon. All else is as in compose.yaml.
PACE = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
}
WAITING = (
    "select ti.map_index, t.triggerer_id from task_instance ti join trigger t on ti.trigger_id = t.id "
    "where ti.dag_id = 'many' and ti.state = 'deferred'"
)
RUNNING = "select dag_id, run_id, task_id, map_index, pid from task_instance where state = 'running'"


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run it all once, and keep what each test looks at."""
    files = tmp_path_factory.mktemp("celery")
    with (
        EmulatorProcess(scenario=scenario()) as emulator,
        Servers(compose_services({})["postgres"].command[1:]) as both,
    ):
        port = free_port()
        addresses = {
            "@postgres:5432/": f"@127.0.0.1:{both.postgres_port}/",
            "@redis:6379/": f"@127.0.0.1:{both.redis_port}/",
            "//api-server:8080/": f"//127.0.0.1:{port}/",
        }
        passwords = {"POSTGRES_PASSWORD": both.postgres_password, "REDIS_PASSWORD": both.redis_password}
        found = compose_services(passwords | emulator.connection_env)
        env = on_loopback(found["worker"].environment, addresses)
        with AirflowSite(
            dags(files),
            env | PACE,
            components=[name for kind in found if kind in KINDS for name in found[kind].containers],
            database=Postgres(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]),
            port=port,
            say=say,
            boot_timeout=240,
        ) as site:
            kept = run(site, emulator)
            homes = [site.home, both.home]
        return kept | {"ports": [port, both.postgres_port, both.redis_port], "homes": homes}


def run(site: AirflowSite, emulator: EmulatorProcess) -> dict[str, Any]:
    """Let all DAGs run, and kill a worker and a triggerer in the middle."""

    def hours_pass(_: list[TaskResult]) -> None:
        emulator.control("POST", "advance", {"seconds": HOUR})

    names = site.wait_for_dags()
    deferrable = declared_deferrable(site)
    runs = site.trigger_all(names)
    say(f"running {', '.join(names)}")
    soon(site, lambda: is_the_middle(site))
    waiting = dict(site.records.rows(WAITING))
    pids = site.processes.pids("worker-1")
    site.crash("worker-1")
    site.crash("triggerer-1")
    killed = [tuple(key) for *key, pid in site.records.rows(RUNNING) if pid in pids]
    say(f"killed worker-1 with {len(killed)} tasks, and triggerer-1; {len(waiting)} tasks were deferred")
    tasks = site.wait(runs, TIMEOUT, hours_pass)
    (dead, *_), *_ = site.records.rows(
        "select id from job where job_type = 'TriggererJob' order by latest_heartbeat"
    )
    say("all have ended")
    secret = json.loads(emulator.details["connection"])["password"]
    logs = [path for path in site.home.rglob("*.log") if path.is_file()]
    return {
        "tasks": tasks,
        "complaints": {f"{t.dag_id}.{t.name}": c for t in tasks if (c := complaint(t, deferrable))},
        "killed": killed,
        "waiting": waiting,
        "waited": {task.map_index: triggerers(site, task) for task in tasks if task.dag_id == "many"},
        "astray": astray(site.processes.log_dir / "triggerer-2.log"),
        "dead": dead,
        "journal": emulator.journal(),
        "leaks": [path.name for path in logs if secret in path.read_text(errors="replace")],
        "logs": {
            task.map_index: site.task_log((task.dag_id, task.run_id), task.task_id, task.map_index)
            for task in tasks
            if task.dag_id == "many"
        },
    }


def is_the_middle(site: AirflowSite) -> bool:
    """Enough tasks wait, in both triggerers, and the worker that is to die works at something."""
    waiting = site.records.rows(WAITING)
    pids = site.processes.pids("worker-1")
    return (
        len(waiting) >= DEFERRED
        and len({triggerer for _, triggerer in waiting} - {None}) == 2
        and any(pid in pids for *_, pid in site.records.rows(RUNNING))
    )


def triggerers(site: AirflowSite, task: TaskResult) -> set[int]:
    """Those in which a task has waited, by their logs."""
    folder = site.records.log_dir(task.dag_id, task.run_id, task.task_id, task.map_index)
    return {int(path.name.split(".")[-2]) for path in folder.glob("attempt=*.log.trigger.*.log")}


def astray(log: Path) -> set[int]:
    """Which of the two hundred waits have lines in a triggerer's own log.

    A wait that ends at its first look may be over for Airflow before it has read the line; then it stands there.
    """
    return {
        int(number)
        for number in re.findall(r"cluster many-(\d+): succeeded", log.read_text(errors="replace"))
    }


def scenario() -> dict[str, Any]:
    """What the examples need, and two hundred clusters that are slow."""
    made = default_scenario()
    clusters = {name: {"seconds": HOUR, "outcome": "succeeded"} for name in MANY}
    clusters |= {name: {"seconds": HOUR, "outcome": "failed"} for name in BROKEN}
    made["mrs"]["clusters"] |= clusters
    return {"mrs": made["mrs"]}


def dags(files: Path) -> Path:
    """A folder with the examples and the mapped task."""
    folder = files / "dags"
    folder.mkdir()
    for path in (*EXAMPLES.glob("*.py"), Path(__file__).parent / "dags/many.py"):
        shutil.copy(path, folder)
    return folder


def compose_services(given: Mapping[str, str]) -> dict[str, compose.Service]:
    """The services of compose.yaml, with keys that are made anew, and "" for what is not given."""
    keys = {
        "POSTGRES_PASSWORD": "",
        "REDIS_PASSWORD": "",
        "AIRFLOW_CONN_CLOUDSYNC_DEFAULT": "",
        "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "API_SECRET_KEY": secrets.token_urlsafe(32),
        "JWT_SECRET": secrets.token_urlsafe(48),
    }
    return compose.services(keys | dict(given))


def on_loopback(environment: Mapping[str, str], addresses: Mapping[str, str]) -> dict[str, str]:
    """The environment of a container, with addresses that lead to the same on this machine."""
    env = dict(environment)
    for name in env:
        for inside, here in addresses.items():
            env[name] = env[name].replace(inside, here)
    return env


def soon(site: AirflowSite, there: Callable[[], bool]) -> None:
    """Wait for it."""
    end = time.monotonic() + TIMEOUT
    while not there():
        site.processes.check()
        assert time.monotonic() < end, site.processes.tails()
        time.sleep(0.5)


def mapped(outcome: dict[str, Any]) -> dict[str, TaskResult]:
    """The instances of the mapped task, by the cluster of each."""
    return {f"many-{task.map_index}": task for task in outcome["tasks"] if task.dag_id == "many"}


def effects(outcome: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    """How often each thing took effect in the cloud: operation, path, and what else was asked for."""
    return Counter(
        (entry["operation"], entry["path"], json.dumps([entry["query"], entry["body"]], sort_keys=True))
        for entry in outcome["journal"]
        if entry["effect"] is not None
    )


def starts(outcome: dict[str, Any]) -> dict[str, int]:
    """How often a sync was started in each of the many clusters."""
    found = {path.split("/")[-2]: count for (_, path, _), count in effects(outcome).items()}
    return {name: found.get(name, 0) for name in MANY}


def test_every_example_ends_well_and_really_defers(outcome: dict[str, Any]) -> None:
    assert {task.dag_id for task in outcome["tasks"]} == {path.stem for path in EXAMPLES.glob("*.py")} | {
        "many"
    }
    examples = {name: text for name, text in outcome["complaints"].items() if not name.startswith("many.")}
    assert examples == {}


def test_two_hundred_end_as_the_cloud_lets_them(outcome: dict[str, Any]) -> None:
    tasks = mapped(outcome)
    assert tasks.keys() == MANY
    wrong = {
        name: outcome["logs"][task.map_index]
        for name, task in tasks.items()
        if task.state != ("failed" if name in BROKEN else "success")
    }
    assert wrong == {}
    # What was killed when its sync had begun may find it over.
    blocking = {task.map_index for task in tasks.values() if not task.deferred}
    assert blocking <= {index for *_, index in outcome["killed"]}


def test_each_is_started_once(outcome: dict[str, Any]) -> None:
    found = starts(outcome)
    assert {name: count for name, count in found.items() if name not in BROKEN and count != 1} == {}
    # A run that failed is started again by each retry.
    assert {name: count for name, count in found.items() if name in BROKEN and not 1 <= count <= TRIES} == {}
    others = {what: count for what, count in effects(outcome).items() if "/many-" not in what[1]}
    assert {what: count for what, count in others.items() if count != 1} == {}
    assert len(others) > 5


def test_what_the_dead_worker_worked_at_was_tried_again(outcome: dict[str, Any]) -> None:
    tasks = {(t.dag_id, t.run_id, t.task_id, t.map_index): t for t in outcome["tasks"]}
    assert outcome["killed"]
    for key in outcome["killed"]:
        assert tasks[key].try_number > 1, key


def test_the_other_triggerer_went_on_with_the_waits_of_the_dead_one(outcome: dict[str, Any]) -> None:
    of_the_dead = {index for index, triggerer in outcome["waiting"].items() if triggerer == outcome["dead"]}
    assert of_the_dead
    (other,) = set(outcome["waiting"].values()) - {outcome["dead"], None}
    # Some that it had taken it may not have begun.
    went_on = {index for index in of_the_dead if other in outcome["waited"][index]} | outcome["astray"]
    assert of_the_dead - went_on == set()
    assert any(outcome["dead"] in outcome["waited"][index] for index in of_the_dead)


def test_no_log_holds_the_secret_key(outcome: dict[str, Any]) -> None:
    assert outcome["leaks"] == []


def test_nothing_is_left(outcome: dict[str, Any]) -> None:
    for port in outcome["ports"]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, port
    assert [home for home in outcome["homes"] if home.exists()] == []
    marks = {airflow_site.MARKER, servers.MARKER}
    homes = {str(home) for home in outcome["homes"]}
    for process in psutil.process_iter():
        try:
            left = {process.environ().get(mark) for mark in marks} & homes
        except psutil.Error:
            continue
        assert not left, process


@pytest.mark.parametrize(("program", "service"), [("postgres", "postgres"), ("redis-server", "redis")])
def test_the_servers_are_those_of_the_images(program: str, service: str) -> None:
    tag = compose_services({})[service].image.partition(":")[2]
    assert major(program) == int(tag.partition(".")[0])


def test_the_commands_are_those_of_the_containers() -> None:
    for kind in KINDS:
        assert compose_services({})[kind].command == COMMANDS.get(kind_of(kind), (kind,))
