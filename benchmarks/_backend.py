"""A secrets backend that counts: all look-ups of connections come to these. Airflow imports it."""

from __future__ import annotations

from airflow.secrets import BaseSecretsBackend


class Counting(BaseSecretsBackend):
    """Knows no connection, and notes which ones it was asked for."""

    asked: list[str] = []  # noqa: RUF012 (of the process, since Airflow makes the instance)

    def get_conn_value(self, conn_id: str, *_: object) -> str | None:
        self.asked.append(conn_id)
        return None
