"""A real Airflow of one's own: fresh, on loopback, and gone without a trace afterwards."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.e2e.databases import Database, Sqlite
from tests.e2e.own_place import OwnPlace
from tests.e2e.processes import Processes
from tests.e2e.records import FINISHED, Records, TaskResult
from tests.e2e.site_settings import USER, free_port, settings

MARKER = "CLOUDSYNC_SITE"
#: A heartbeat older than this is not that of a process which works.
HEARTBEAT_AGE = 30.0
#: What a component that works at something writes its heartbeats as.
JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}
#: What a component that can be asked for something answers to anybody.
PATHS = {"api-server": "/api/v2/version", "webserver": "/health"}
#: What Airflow calls a component on its command line, where that is not its own name.
COMMANDS = {"worker": ("celery", "worker")}

Run = tuple[str, str]


class SiteError(AssertionError):
    """Airflow did not do what it was asked to; carries the ends of its logs."""


class AirflowSite(OwnPlace):
    """Runs Airflow's processes around one folder of DAGs, for a `with` block.

    Scheduler with LocalExecutor, triggerer, and on Airflow 3 API server and DAG processor, all with one file of SQLite,
    unless something else is said.

    :param dags: the folder of DAGs.
    :param env: more environment variables, such as connections, or another executor with what it needs.
    :param components: those to start, instead of the usual: "scheduler", "triggerer", "worker", ...; of a kind that
        there is more than one of with a number each, as in "worker-1".
    :param page: with the web page, for `USER` with `password`; Airflow 3 has it anyway, on its API server.
    :param database: where the metadata is.
    :param port: where the API server listens; some free one if not given.
    :param say: is told each step, as short text.
    :param boot_timeout: seconds until everything must be healthy.
    """

    kind = "airflow"

    def __init__(
        self,
        dags: Path,
        env: Mapping[str, str] | None = None,
        *,
        components: Iterable[str] | None = None,
        page: bool = False,
        database: Database | None = None,
        port: int | None = None,
        say: Callable[[str], None] = lambda text: None,
        boot_timeout: float = 120.0,
    ) -> None:
        self.version = version("apache-airflow")
        self.is_3 = not self.version.startswith("2.")
        self.dags = dags.resolve()
        self.url = f"http://127.0.0.1:{port or free_port()}"
        usual = ("scheduler", "triggerer", *(("dag-processor", "api-server") if self.is_3 else ()))
        self._components = usual if components is None else tuple(components)
        if page and not self.is_3:
            self._components += ("webserver",)
        self._database = database
        self._extra = dict(env or {})
        self._say = say
        self._boot_timeout = boot_timeout
        self._token = ""

    def _open(self) -> None:
        self.database = self._database or Sqlite(self.home / "airflow.db")
        made = settings(self.home, self.dags, self.url, self.database.url, is_3=self.is_3)
        self.password = made.password
        self.env = {**made.env, **self._extra, MARKER: str(self.home)}
        self.processes = Processes(self.env, MARKER, self.home / "output")
        self.records = Records(self.home, self.database)
        self._boot()

    def _end(self) -> None:
        if hasattr(self, "records"):
            self.records.stop()
        if hasattr(self, "processes"):
            self.processes.stop_all()
        if hasattr(self, "database"):
            self.database.close()

    # --- runs ---

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run and return its id."""
        return self.trigger_all([dag_id], conf)[0][1]

    def trigger_all(self, dag_ids: Iterable[str], conf: Mapping[str, Any] | None = None) -> list[Run]:
        """Start a run of each DAG, as good as at once."""
        if not self.is_3:
            argument = json.dumps({"dag_ids": list(dag_ids), "conf": dict(conf or {})})
            runs = self.processes.run("trigger", [sys.executable, "-c", TRIGGER_2, argument], 60.0)
            return [(dag, run) for dag, run in json.loads(runs.splitlines()[-1])]
        asked = {"logical_date": None, "conf": dict(conf or {})}
        return [
            (dag, self.api("POST", f"/api/v2/dags/{dag}/dagRuns", asked)["dag_run_id"]) for dag in dag_ids
        ]

    def wait(
        self,
        runs: Iterable[Run],
        timeout: float,
        watch: Callable[[list[TaskResult]], None] = lambda tasks: None,
    ) -> list[TaskResult]:
        """Wait until the runs have ended, successful or not, and return all their tasks.

        :param runs: (dag_id, run_id) each.
        :param watch: is given all the tasks once a second.
        """
        wanted = list(runs)

        def ended() -> bool:
            watch(self._tasks(wanted))
            return set(self.records.run_states(wanted).values()) <= {"success", "failed"}

        self._until(ended, timeout, lambda: f"not ended: {self._summary(wanted)}", pause=1.0)
        return self._tasks(wanted)

    def wait_for_state(
        self, run: Run, task_id: str, states: Iterable[str], timeout: float, map_index: int = -1
    ) -> TaskResult:
        """Wait until a task is in one of these states, or raise as soon as it has ended in another one."""
        wanted = set(states)

        def task() -> TaskResult | None:
            found = [t for t in self.records.tasks(*run) if (t.task_id, t.map_index) == (task_id, map_index)]
            return found[0] if found else None

        def there() -> bool:
            now = task()
            if now and now.state in FINISHED - wanted:
                raise SiteError(
                    f"{task_id} is {now.state}, not {sorted(wanted)}\n{self.task_log(run, task_id, map_index)}"
                )
            return now is not None and now.state in wanted

        self._until(
            there, timeout, lambda: f"{task_id} is not {sorted(wanted)}: {self._summary([run])}", pause=0.2
        )
        found = task()
        assert found is not None
        return found

    def task_log(self, run: Run, task_id: str, map_index: int = -1) -> str:
        """What a task logged in its worker, all attempts."""
        return self.records.logs(*run, task_id, map_index)

    def trigger_log(self, run: Run, task_id: str, map_index: int = -1) -> str:
        """What its triggers logged, all attempts."""
        return self.records.logs(*run, task_id, map_index, of="trigger")

    def xcom(self, run: Run, task_id: str, map_index: int = -1, key: str = "return_value") -> Any:
        """A value that a task left."""
        return self.records.xcom(*run, task_id, map_index, key)

    # --- DAGs, processes, API ---

    def wait_for_dags(self, dag_ids: Iterable[str] | None = None, timeout: float = 90.0) -> list[str]:
        """Wait until these DAGs (or those of every file of the folder) can be triggered, and return their ids.

        :raises SiteError: at the first DAG file that can't be imported, with its traceback.
        """
        names = None if dag_ids is None else set(dag_ids)
        files = {str(path.relative_to(self.dags)) for path in self.dag_files()}

        def parsed() -> set[str] | None:
            for file, trace in self.records.rows("select filename, stacktrace from import_error"):
                raise SiteError(f"{file} can't be imported:\n{trace}")
            rows = self.records.rows(
                "select d.dag_id, d.fileloc from dag d join serialized_dag s using (dag_id)"
            )
            if names is None:
                left = files - {str(Path(file).resolve().relative_to(self.dags)) for _, file in rows}
                return None if left else {dag for dag, _ in rows}
            return names if names <= {dag for dag, _ in rows} else None

        self._until(parsed, timeout, lambda: f"not all of {sorted(names or files)} were parsed", pause=0.3)
        return sorted(parsed() or ())

    def dag_files(self) -> list[Path]:
        """The files of the folder with DAGs for this Airflow; those that watch assets have none for Airflow 2."""
        found = sorted(path for path in self.dags.rglob("*.py") if _may_hold_a_dag(path))
        return [path for path in found if self.is_3 or "AssetWatcher" not in path.read_text(errors="replace")]

    def crash(self, component: str) -> None:
        """End a component ("scheduler", "worker-1", ...) as `kill -9` would, and its children with it."""
        self.processes.stop(component, grace=0)

    def start(self, component: str, env: Mapping[str, str] | None = None) -> None:
        """Start a component that was ended.

        :param env: more environment variables, for it alone.
        """
        # Logs are read from the disk; two of a kind would want the same port to serve them.
        options = {
            "api-server": ["--workers", "1"],
            "webserver": ["--workers", "1"],
            "scheduler": ["-s"],
            "triggerer": ["-s"],
            "worker": ["-s", "--celery-hostname", component],
        }
        kind = kind_of(component)
        command = [sys.executable, "-m", "airflow", *COMMANDS.get(kind, (kind,)), *options.get(kind, ())]
        self.processes.start(component, command, env=env)

    def api(self, method: str, path: str, body: Any = None, *, tries: int = 3) -> Any:
        """Call the REST API (Airflow 3).

        Its server notes each call on its event loop. With SQLite that can wait for a lock which is given back on the
        same loop; after five seconds the call fails, and is made again.
        """
        if not self._token and not path.startswith("/auth/"):
            login = {"username": USER, "password": self.password}
            self._token = self.api("POST", "/auth/token", login)["access_token"]
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with _OPENER.open(request, data, timeout=60) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code == 500 and "Database error" in text and tries > 1:
                return self.api(method, path, body, tries=tries - 1)
            raise SiteError(f"{method} {path}: {error.code} {text}\n{self.processes.tails()}") from None

    # --- inside ---

    def _boot(self) -> None:
        began = time.monotonic()
        self._say(f"Airflow {self.version}: making its database")
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        self.database.make(lambda: self.processes.run("migrate", migrate, self._boot_timeout))
        if "webserver" in self._components:
            names = [f"--{name}={USER}" for name in ("username", "firstname", "lastname", "email")]
            create = [*migrate[:3], "users", "create", "--role=Admin", *names, f"--password={self.password}"]
            self.processes.run("user", create, self._boot_timeout)
        self._say(f"starting {', '.join(self._components) or 'nothing else'}")
        for component in self._components:
            self.start(component)
        left = self._boot_timeout - (time.monotonic() - began)
        self._until(self._healthy, left, lambda: "Airflow is not healthy")
        self.records.start()
        self._say(f"healthy after {time.monotonic() - began:.0f} s")

    def _healthy(self) -> bool:
        jobs = Counter(JOBS[kind] for kind in map(kind_of, self._components) if kind in JOBS)
        alive = self.records.rows(
            "select job_type, count(*) from job where state = 'running' "
            f"and {self.database.age('latest_heartbeat')} < {HEARTBEAT_AGE} group by job_type"
        )
        if not jobs <= Counter(dict(alive)):
            return False
        return all(self._answers(PATHS[name]) for name in self._components if name in PATHS)

    def _answers(self, path: str) -> bool:
        try:
            _OPENER.open(self.url + path, timeout=10).close()
        except OSError:
            return False
        return True

    def _tasks(self, runs: Iterable[Run]) -> list[TaskResult]:
        return [task for run in runs for task in self.records.tasks(*run)]

    def _summary(self, runs: Iterable[Run]) -> str:
        return ", ".join(f"{t.dag_id}.{t.name}={t.state}" for t in self._tasks(runs)) or "no task yet"

    def _until(
        self, there: Callable[[], Any], timeout: float, what: Callable[[], str], pause: float = 0.25
    ) -> None:
        deadline = time.monotonic() + timeout
        while not there():
            self.processes.check()
            if time.monotonic() > deadline:
                raise SiteError(f"after {timeout:.0f} s: {what()}\n{self.processes.tails()}")
            time.sleep(pause)


#: No proxy of the environment has a say in what goes to loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

#: Airflow 2 has no API server here: one process triggers all, since each start of its CLI takes seconds.
TRIGGER_2 = """
import json, sys
from airflow.api.common.trigger_dag import trigger_dag
asked = json.loads(sys.argv[1])
runs = [trigger_dag(dag_id=dag, conf=asked["conf"], replace_microseconds=False) for dag in asked["dag_ids"]]
runs = [(run.dag_id, run.run_id) for run in runs]
print()
print(json.dumps(runs))
"""


def kind_of(component: str) -> str:
    """Of "worker-1" it is "worker"."""
    return component.rstrip("-0123456789")


def _may_hold_a_dag(path: Path) -> bool:
    """What Airflow itself goes by before it imports a file."""
    text = path.read_text(errors="replace").lower()
    return "dag" in text and "airflow" in text
