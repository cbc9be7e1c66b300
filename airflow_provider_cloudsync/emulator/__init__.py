"""A local stand-in for the cloud services that this provider calls, to try DAGs with no cloud account.

Run it as a process (``python -m airflow_provider_cloudsync.emulator``), in a thread of a test (`Emulator`), or through
the pytest fixture in `airflow_provider_cloudsync.emulator.fixtures`. It is a second witness of what the services do:
of the rest of the package it imports the request signing and nothing else, so that both can't share one mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_cloudsync.emulator.embedded import Emulator

__all__ = ["Emulator"]


def __getattr__(name: str) -> Any:
    # Lazily, because the HTTP server costs more import time than the whole provider.
    if name == "Emulator":
        from airflow_provider_cloudsync.emulator.embedded import Emulator

        return Emulator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
