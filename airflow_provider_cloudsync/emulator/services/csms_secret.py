"""The secrets of CSMS as far as events need them: what refers to an event, and what sets one off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airflow_provider_cloudsync.emulator.account import DAY, Account
from airflow_provider_cloudsync.emulator.clock import instant, milliseconds
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader
from airflow_provider_cloudsync.emulator.services.csms_event import EVENT_TYPES

SECRET_TYPES = ("COMMON", "RDS", "RDS-FG", "GaussDB-FG")


class Secret:
    """A secret without its value. It subscribes to one event at most, which may not be there."""

    def __init__(self, name: str, reader: Reader, account: Account, began: float) -> None:
        self.name = name
        self.project_id = reader.text("project_id", account.main_project)
        self.event_name = reader.text("event_name", None)
        self.secret_type = reader.text("secret_type", "COMMON", choices=SECRET_TYPES)
        self._created = milliseconds(began - 30 * DAY)
        reader.done()

    def show(self) -> dict[str, Any]:
        """The secret as the service shows it."""
        return {
            "id": str(uuid5(NAMESPACE_URL, f"{self.project_id}/secrets/{self.name}")),
            "name": self.name,
            "state": "ENABLED",
            "kms_key_id": "e0000000000000000000000000000003",
            "description": "",
            "create_time": self._created,
            "update_time": self._created,
            "secret_type": self.secret_type,
            "auto_rotation": False,
            "event_subscriptions": [self.event_name] if self.event_name else [],
            "enterprise_project_id": "0",
        }


@dataclass(frozen=True)
class Firing:
    """Something that happens to a secret.

    :param delivered: whether the notification gets through, if its topic is good.
    """

    at: float
    secret: Secret
    event_type: str
    delivered: bool


def read_firing(reader: Reader, secrets: Mapping[str, Secret], began: float) -> Firing:
    """What the scenario says will happen."""
    name = reader.text("secret_name", reader.needed("secret_name"))
    if name not in secrets:
        raise BadInput(f"{reader.at('secret_name')}: there is no secret {name!r}")
    firing = Firing(
        instant(began + reader.number("at")),
        secrets[name],
        reader.text("type", reader.needed("type"), choices=EVENT_TYPES),
        reader.flag("delivered", True),
    )
    reader.done()
    return firing
