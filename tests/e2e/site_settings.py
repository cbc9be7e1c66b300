"""The environment of an `AirflowSite`: everything fresh, on loopback, quick, and silent towards the outside."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

USER = "admin"

#: Nothing of these reaches the processes: the developer's own Airflow, Python path and proxies.
NOT_INHERITED = (
    "AIRFLOW",
    "_AIRFLOW",
    "HUAWEICLOUD",
    "CLOUD_SDK",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "CLOUDSYNC",
    "PYTEST",  # Airflow's loggers are slow where it finds these
)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

BOTH = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__PARALLELISM": "8",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    # Look again soon ...
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    # ... but do not read the same DAG files again and again.
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "300",
}

AIRFLOW_3 = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    "API__HOST": "127.0.0.1",
    "API__WORKERS": "1",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    # A supervisor that lingers after its task has deferred makes the scheduler fail the task when the trigger is quick.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}

AIRFLOW_2 = {
    "CORE__EXECUTOR": "LocalExecutor",
    "SCHEDULER__DAG_DIR_LIST_INTERVAL": "300",
    # A killed task that is found a second time, before the first report of it is read, fails without its retry.
    "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "20",
    "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
}


@dataclass(frozen=True)
class Settings:
    """What `settings` made."""

    env: dict[str, str]
    password: str


def settings(home: Path, dags: Path, url: str, database_url: str, *, is_3: bool) -> Settings:
    """The environment for Airflow's processes, with secrets that are made anew."""
    temp = home / "tmp"
    temp.mkdir()
    # Without it each process would write one of its own on its start.
    (home / "airflow.cfg").touch()
    password = secrets.token_urlsafe(12)
    users = home / "passwords.json"
    users.write_text(json.dumps({USER: password}))
    users.chmod(0o600)
    own = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE__SQL_ALCHEMY_CONN": database_url,
        "WEBSERVER__SECRET_KEY" if not is_3 else "API__SECRET_KEY": secrets.token_urlsafe(32),
    }
    if is_3:
        own |= {
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(users),
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "API__BASE_URL": url,
            "API__PORT": url.rpartition(":")[2],
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        }
    else:
        own |= {"WEBSERVER__BASE_URL": url, "WEBSERVER__WEB_SERVER_PORT": url.rpartition(":")[2]}
    chosen = BOTH | (AIRFLOW_3 if is_3 else AIRFLOW_2) | own
    env = inherited() | {f"AIRFLOW__{name}": value for name, value in chosen.items()}
    env |= {"AIRFLOW_HOME": str(home), "TMPDIR": str(temp), "SCARF_ANALYTICS": "false"}
    # Airflow 2 would have one task at a time with SQLite. With a write-ahead log they do not get into each other's way.
    env["_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK"] = "1"
    return Settings(env, password)


def inherited() -> dict[str, str]:
    """The environment without what could make a run here differ from one elsewhere."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(NOT_INHERITED) and name.lower() not in PROXIES
    }
    # Airflow starts `airflow` by its bare name here and there.
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    env["NO_PROXY"] = "*"
    return env


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
