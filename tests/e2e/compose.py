"""What docs/deployment/compose.yaml says, for tests that run the same without containers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[2] / "docs/deployment/compose.yaml"
#: "$$" stands for "$"; "${NAME:-text}" has a default, "${NAME:?text}" has to be given.
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


@dataclass(frozen=True)
class Service:
    """One service, with its variables filled in.

    :param replicas: how many containers of it there are.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    replicas: int

    @property
    def containers(self) -> list[str]:
        """A name for each container: the service's own if there is only one."""
        if self.replicas == 1:
            return [self.name]
        return [f"{self.name}-{number}" for number in range(1, self.replicas + 1)]


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """All services by name.

    :param variables: what compose takes from its environment.
    :raises KeyError: one that has to be given is not.
    """
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: _service(name, filled(each, variables)) for name, each in document["services"].items()}


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """A value of the file with its variables filled in, at whatever depth."""
    if isinstance(value, dict):
        return {name: filled(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        dollar, name, kind, text = match.groups()
        if dollar:
            return "$"
        return variables.get(name) or text if kind == "-" else variables[name]

    return _VARIABLE.sub(fill, value)


def _service(name: str, found: Mapping[str, Any]) -> Service:
    command = found.get("command", [])
    return Service(
        name=name,
        image=found["image"],
        command=tuple(command.split() if isinstance(command, str) else command),
        environment=found.get("environment", {}),
        replicas=found.get("deploy", {}).get("replicas", 1),
    )
