"""Entry of a service in the registry: light, so that a DAG file pays for the services that it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

#: A definition in a module of the service's folder, such as ``calls:PROBE``. Imported when it is used.
Reference = str


def _no_asset(target: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """One service, as its folder declares it.

    :param package: the folder's dotted name.
    :param probe: the harmless read that the ``check`` command sends.
    :param syncs: name in tickets -> the `Service` that is waited for. Stored: never rename one.
    :param asset_paths: kind of asset -> path of its URI, without the scheme. Stored: never change one.
    :param asset_checks: ID in a path -> check that returns the ID or raises `InvalidParameter`.
    :param asset_of: returns the kind of asset that a target stands for; None: no asset.
    """

    package: str
    probe: Reference
    syncs: Mapping[str, Reference] = field(default_factory=dict)
    asset_paths: Mapping[str, str] = field(default_factory=dict)
    asset_checks: Mapping[str, Reference] = field(default_factory=dict)
    asset_of: Callable[[Mapping[str, Any]], str | None] = _no_asset

    def load(self, reference: Reference) -> Any:
        """Import the module of a reference and return what it refers to."""
        module, name = reference.split(":")
        return getattr(import_module(f"{self.package}.{module}"), name)
