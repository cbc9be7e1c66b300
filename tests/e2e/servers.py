"""PostgreSQL and Redis of one's own: fresh, on loopback, and gone without a trace afterwards."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.e2e.own_place import OwnPlace
from tests.e2e.processes import Processes
from tests.e2e.site_settings import free_port, inherited

MARKER = "CLOUDSYNC_SERVERS"
#: Seconds until each must answer.
BOOT_TIMEOUT = 60.0
#: Seconds for PostgreSQL to clean up after itself.
GRACE = 15.0
#: PostgreSQL refuses to run as root; it runs as the first of these that there is then, and Redis as well.
OTHERS = ("postgres", "nobody")
REDIS = """
bind 127.0.0.1
port {port}
requirepass {password}
dir {home}
save ""
appendonly no
"""


class Servers(OwnPlace):
    """Runs both for a `with` block, with passwords that are made anew.

    :param postgres_options: more of them, as on its command line. The database and its user are called "airflow".
    """

    kind = "servers"

    def __init__(self, postgres_options: Sequence[str] = ()) -> None:
        self._options = postgres_options
        self.postgres_port, self.redis_port = free_port(), free_port()
        self.postgres_password, self.redis_password = secrets.token_hex(16), secrets.token_hex(16)

    def _open(self) -> None:
        self._as_other = _give_to_another(self.home)
        self._processes = Processes({**inherited(), MARKER: str(self.home)}, MARKER, self.home)
        self._start_redis()
        self._start_postgres()
        self._until("redis", self._redis_answers)
        self._until("postgres", self._postgres_answers)
        self._make_database()

    def _end(self) -> None:
        if hasattr(self, "_processes"):
            self._processes.stop_all(GRACE)

    def _start_redis(self) -> None:
        text = REDIS.format(port=self.redis_port, password=self.redis_password, home=self.home)
        self._processes.start(
            "redis", [*self._as_other, program("redis-server"), str(self._secret("redis.conf", text))]
        )

    def _start_postgres(self) -> None:
        data = str(self.home / "postgres")
        password = self._secret("password", self.postgres_password)
        made = ["-D", data, "-U", "airflow", "-A", "scram-sha-256", "--pwfile", str(password)]
        initdb = [*self._as_other, program("initdb"), *made, "-E", "UTF8", "--no-locale", "--no-sync"]
        self._processes.run("initdb", initdb, BOOT_TIMEOUT)
        chosen = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            # What is lost with the machine need not be on its disk; nor may a killed server leave shared memory behind.
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
        }
        options = [text for name, value in chosen.items() for text in ("-c", f"{name}={value}")]
        command = [program("postgres"), "-D", data, "-p", str(self.postgres_port), *options, *self._options]
        self._processes.start("postgres", [*self._as_other, *command])

    def _secret(self, name: str, text: str) -> Path:
        """A file that only its owner can read."""
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        home = self.home.stat()
        os.chown(path, home.st_uid, home.st_gid)
        return path

    def _redis_answers(self) -> bool:
        import redis

        try:
            with redis.Redis(port=self.redis_port, password=self.redis_password) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _postgres_answers(self) -> bool:
        import psycopg2

        try:
            self._connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def _make_database(self) -> None:
        connection = self._connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("create database airflow")
        connection.close()

    def _connect(self):
        import psycopg2

        return psycopg2.connect(
            host="127.0.0.1",
            port=self.postgres_port,
            user="airflow",
            password=self.postgres_password,
            dbname="postgres",
            connect_timeout=10,
        )

    def _until(self, name: str, there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT
        while not there():
            self._processes.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer\n{self._processes.tail(name)}")
            time.sleep(0.1)


def program(name: str) -> str:
    """Where a server's program is.

    :raises FileNotFoundError: nowhere.
    """
    # Debian keeps PostgreSQL's away from the path.
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = shutil.which(name) or (str(packaged[-1]) if packaged else None)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def major(name: str) -> int:
    """The major version of a server's program."""
    text = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+)\.\d", text)[1])


def _give_to_another(home: Path) -> list[str]:
    """Give a folder to an unprivileged user, and say how to run a command as that one; nothing to do if not root."""
    if os.geteuid():
        return []
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = next(users[name] for name in OTHERS if name in users)
    os.chown(home, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
