"""Where a site keeps its metadata: in a file of SQLite, or on a PostgreSQL server."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Protocol


class Database(Protocol):
    """What a site asks of its metadata database.

    `url` is as Airflow takes it; `Error` is what its driver raises.
    """

    url: str
    Error: type[Exception]

    def make(self, migrate: Callable[[], object]) -> None:
        """Fill it with Airflow's tables; `migrate` is how Airflow does that."""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask, with a `?` for each value. Points in time and JSON come as text."""

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns."""

    def age(self, column: str) -> str:
        """SQL for the seconds since a point in time."""

    def close(self) -> None:
        """Give back what is open."""


class Sqlite:
    """A file.

    :param path: where it is, or will be.
    """

    Error: type[Exception] = sqlite3.Error
    #: The database that the first migration made.
    _empty: ClassVar[list[bytes]] = []

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"

    def make(self, migrate: Callable[[], object]) -> None:
        """Make it; the second one of this process is a copy, which saves many seconds."""
        if not self._empty:
            migrate()
            self._empty.append(self._path.read_bytes())
        self._path.write_bytes(self._empty[0])
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("pragma journal_mode=wal")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns."""
        return {row[1] for row in self.rows(f"pragma table_info({table})")}

    def age(self, column: str) -> str:
        """SQL for the seconds since a point in time."""
        return f"(julianday('now') - julianday({column})) * 86400"

    def close(self) -> None:
        """Nothing stays open."""


class Postgres:
    """A server that runs; its driver is only where the celery environment is.

    :param url: as Airflow takes it.
    """

    def __init__(self, url: str) -> None:
        import psycopg2

        self.url = url
        self.Error: type[Exception] = psycopg2.Error
        # Each connection is a process of the server, so there is one for all who ask.
        self._connection: Any = None
        self._lock = threading.Lock()

    def make(self, migrate: Callable[[], object]) -> None:
        """Let Airflow do it."""
        migrate()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask."""
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = _connect(self.url)
            with self._connection.cursor() as cursor:
                cursor.execute(query.replace("?", "%s"), values or None)
                found: list[tuple[Any, ...]] = cursor.fetchall()
                return found

    def columns(self, table: str) -> set[str]:
        """The names of a table's columns."""
        query = "select column_name from information_schema.columns where table_name = ?"
        return {name for (name,) in self.rows(query, table)}

    def age(self, column: str) -> str:
        """SQL for the seconds since a point in time."""
        return f"extract(epoch from now() - {column})"

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _connect(url: str) -> Any:
    import psycopg2
    from psycopg2 import extensions, extras

    connection = psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=10)
    connection.autocommit = True
    text = extensions.new_type((1184,), "MOMENT", extensions.UNICODE)
    extensions.register_type(text, connection)
    extras.register_default_json(connection, loads=lambda value: value)
    extras.register_default_jsonb(connection, loads=lambda value: value)
    return connection
