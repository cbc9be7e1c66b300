"""One secret event of CSMS: what it subscribes to, whom it notifies, and a record of each notification."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from airflow_provider_cloudsync.emulator.account import DAY, Account
from airflow_provider_cloudsync.emulator.clock import milliseconds
from airflow_provider_cloudsync.emulator.reading import BadInput, Reader

EVENT_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
EVENT_TYPES = (
    "SECRET_VERSION_CREATED",
    "SECRET_VERSION_EXPIRED",
    "SECRET_ROTATED",
    "SECRET_DELETED",
    "SECRET_ROTATED_FAILED",
)
MOST_EVENT_TYPES = 12
STATES = ("ENABLED", "DISABLED")
NOTIFICATION_FIELDS = ("target_type", "target_id", "target_name")
TOPIC = "urn:smn:cn-north-4:e1000000000000000000000000000001:example-topic"
NOTIFICATION = {"target_type": "SMN", "target_id": TOPIC, "target_name": "example-topic"}
#: What can be changed, in the order in which the service shows it.
CHANGEABLE = ("state", "event_types", "notification")


class SecretEvent:
    """An event as it stands.

    :param fields: those of `CHANGEABLE`.
    """

    def __init__(
        self,
        name: str,
        project_id: str,
        fields: Mapping[str, Any],
        created: float,
        *,
        event_id: str = "",
        updated: float | None = None,
    ) -> None:
        self.name = name
        self.project_id = project_id
        self.event_id = event_id or str(uuid5(NAMESPACE_URL, f"{project_id}/{name}"))
        self.created = created
        self.updated = created if updated is None else updated
        self._original = copy.deepcopy(dict(fields))
        self._fields = copy.deepcopy(dict(fields))

    def changed(self, fields: Mapping[str, Any], now: float) -> dict[str, Any]:
        """The event as a client would see it after a write of `fields`; nothing is stored."""
        return copy.deepcopy({**self.show(), **fields, "update_time": milliseconds(now)})

    def update(self, fields: Mapping[str, Any], now: float, *, resets_omitted: bool) -> None:
        """Store a write; what it leaves out stays as it is, or goes back to what it was on creation.

        Unconfirmed: both of these, and that a write which changes nothing moves the time of the update too.
        """
        if resets_omitted:
            self._fields |= {name: self._original[name] for name in ("event_types", "notification")}
        self._fields |= copy.deepcopy(dict(fields))
        self.updated = now

    def subscribes(self, event_type: str) -> bool:
        """Return whether something of that type sets off a notification now."""
        return self._fields["state"] == "ENABLED" and event_type in self._fields["event_types"]

    def show(self) -> dict[str, Any]:
        """The event as the service shows it. Its times are milliseconds, whatever the documents say."""
        return {
            "name": self.name,
            "event_id": self.event_id,
            **copy.deepcopy(self._fields),
            "create_time": milliseconds(self.created),
            "update_time": milliseconds(self.updated),
        }

    def record(
        self,
        event_type: str,
        at: float,
        secret: str,
        secret_type: str,
        topics: Collection[str],
        delivered: bool,
    ) -> dict[str, Any]:
        """The record of a notification: only now it turns out whether the topic is any good."""
        notification = self._fields["notification"]
        good = notification["target_type"] == "SMN" and notification["target_id"] in topics
        return {
            "event_name": self.name,
            "trigger_event_type": event_type,
            "create_time": milliseconds(at),
            "secret_name": secret,
            "secret_type": secret_type,
            "notification_target_name": notification["target_name"],
            "notification_target_id": notification["target_id"],
            "notification_content": f"{event_type}: the secret {secret}",
            "notification_status": ("SUCCESS" if delivered else "FAIL") if good else "INVALID",
        }


def read_event(name: str, reader: Reader, account: Account, began: float) -> SecretEvent:
    """The event that the scenario describes; it is older than the emulator."""
    if not EVENT_NAME.fullmatch(name):
        raise BadInput(f"{reader.where}: a name is 1 to 64 letters, digits, hyphens and underscores")
    types = reader.names("event_types", EVENT_TYPES)
    if fault := event_types_fault(types):
        raise BadInput(f"{reader.at('event_types')} {fault}")
    created = reader.moment("create_time", began, -30 * DAY) or began
    fields = {
        "state": reader.text("state", "ENABLED", choices=STATES),
        "event_types": types,
        "notification": _read_notification(reader),
    }
    event = SecretEvent(
        name,
        reader.text("project_id", account.main_project),
        fields,
        created,
        event_id=reader.text("event_id"),
        updated=reader.moment("update_time", began, created - began),
    )
    reader.done()
    return event


def _read_notification(reader: Reader) -> dict[str, str]:
    if "notification" not in reader:
        return dict(NOTIFICATION)
    inner = reader.child("notification")
    notification = {key: inner.text(key, inner.needed(key)) for key in NOTIFICATION_FIELDS}
    inner.done()
    return notification


def event_types_fault(types: Any) -> str | None:
    """What is wrong with a list of event types, if anything."""
    if not isinstance(types, list) or not 1 <= len(types) <= MOST_EVENT_TYPES:
        return f"must be a list of 1 to {MOST_EVENT_TYPES} types"
    for each in types:
        if not isinstance(each, str) or each not in EVENT_TYPES:
            return f"holds {each!r}; known are {', '.join(EVENT_TYPES)}"
    return "holds a type twice" if len(set(types)) < len(types) else None
