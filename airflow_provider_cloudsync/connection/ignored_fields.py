"""Warnings about fields of a connection that this provider does not read, such as a misspelled one."""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Mapping
from typing import Any

from airflow_provider_cloudsync.api.text import shown
from airflow_provider_cloudsync.connection.fields import TABLE

log = logging.getLogger(__name__)

#: Prefix of the names that the form of old versions of Airflow stored.
_OLD_PREFIX = "extra__"
_STANDARD = {
    "host": 'Host (use "endpoint" in Extra)',
    "port": 'Port (use "endpoint" in Extra)',
    "schema": "Schema",
}


def warn_of_ignored(connection: Any, extra: Mapping[str, Any]) -> None:
    """Log, once per process, the names of fields that have a value and are not read. Never log a value."""
    ignored = [text for name, text in _STANDARD.items() if getattr(connection, name, None)]
    ignored += [
        _with_hint(name) for name, value in extra.items() if name not in TABLE and value not in ("", None)
    ]
    if ignored:
        _warn(connection.conn_id, tuple(ignored))


def _with_hint(name: str) -> str:
    plain = name.removeprefix(_OLD_PREFIX).partition("__")[2] if name.startswith(_OLD_PREFIX) else name
    near = difflib.get_close_matches(plain.strip().lower(), TABLE, n=1)
    return f"{shown(name)} (did you mean {near[0]}?)" if near else shown(name)


@functools.lru_cache(maxsize=256)  # once per process: each wait reads its connection
def _warn(conn_id: str, ignored: tuple[str, ...]) -> None:
    log.warning('Connection "%s" has fields that are ignored: %s.', conn_id, ", ".join(ignored))
