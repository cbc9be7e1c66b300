"""One cluster that HSS protects: its protection events, and the synchronizations that bring them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cloudsync.emulator.account import DAY, Account
from airflow_provider_cloudsync.emulator.clock import instant, milliseconds
from airflow_provider_cloudsync.emulator.reading import Reader

OUTCOMES = ("succeeded", "not_created", "never_ends")
CLUSTER_STATES = ("Available", "Unavailable")
PROTECT_STATES = (
    "unprotected",
    "plugin error",
    "protected with policy",
    "deploy policy failed",
    "protected without policy",
    "uninstall failed",
    "uninstall",
)
#: More than the 10,000 up to which the service counts.
MOST_EVENTS = 20_000
#: The text fields of an event that a scenario may set, with what they are otherwise.
EVENT_TEXTS = {
    "event_name": "Privileged container",
    "event_class_id": "cluster_protect_0001",
    "event_content": "A privileged container was created",
    "policy_id": "0e3b1f0c-1111-4c5f-9c2e-000000000001",
    "policy_name": "example-policy",
    "action": "deny",
}
RESOURCE_TEXTS = {
    "enforcement_action": "deny",
    "group": "",
    "message": "privileged containers are not allowed",
    "name": "example-constraint",
    "namespace": "default",
    "version": "v1",
    "kind": "Pod",
    "resource_name": "example-pod",
}


@dataclass(frozen=True)
class EventSync:
    """A synchronization of the events.

    :param accepted: when it was asked for.
    :param ends: when its effect is there; None for never.
    :param events: what it brings then.
    """

    accepted: float
    starts: float
    ends: float | None
    request_id: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def over(self, now: float) -> bool:
        """Return whether it has ended."""
        return self.ends is not None and self.ends <= now

    def describe(self, now: float) -> dict[str, Any]:
        """The run as JSON."""
        over = self.over(now)
        return {
            "request_id": self.request_id,
            "accepted": self.accepted,
            "started": self.starts if self.starts <= now else None,
            "ended": self.ends if over else None,
            "events": len(self.events) if over else 0,
        }


class ProtectedCluster:
    """A cluster as the scenario describes it.

    :param began: the emulated time that the scenario's offsets count from.
    """

    def __init__(self, cluster_id: str, reader: Reader, account: Account, began: float) -> None:
        self.id = cluster_id
        self._began = began
        self.project_id = reader.text("project_id", account.main_project)
        self.enterprise_project_id = reader.text("enterprise_project_id", "0")
        self._name = reader.text("name", cluster_id)
        self._status = reader.text("cluster_status", "Available", choices=CLUSTER_STATES)
        self._protection = reader.text("protect_status", "protected with policy", choices=PROTECT_STATES)
        self._first_update = reader.moment("last_update_time", began, -DAY)
        self._updates = [instant(began + at) for at in reader.numbers("updates_at")]
        self._starts_after = reader.number("starts_after", 0)
        self._seconds = reader.number("seconds", 8)
        self._brings = reader.whole("brings", 0, most=MOST_EVENTS)
        self._outcomes = reader.series("outcome", "succeeded", choices=OUTCOMES)
        self._asked = self._made = 0
        self._first_events = [self._event(each, self._first_update) for each in _first_events(reader)]
        self._runs: list[EventSync] = []
        reader.done()

    def _event(self, reader: Reader, at: float | None) -> dict[str, Any]:
        """A new event, with what the scenario says of it."""
        self._made += 1
        made = self._began if at is None else at
        resource = reader.child("resource_info")
        event = {
            "event_id": reader.text("event_id", f"{self.id}-event-{self._made}"),
            **{name: reader.text(name, usual) for name, usual in EVENT_TEXTS.items()},
            "event_type": reader.whole("event_type", 14_002, least=1000, most=30_000),
            "cluster_id": self.id,
            "cluster_name": self._name,
            "project_id": self.project_id,
            "enterprise_project_id": self.enterprise_project_id,
            "handle_status": reader.text("handle_status", "unhandled", choices=("unhandled", "handled")),
            **{
                name: milliseconds(reader.moment(name, self._began, made - self._began) or 0.0)
                for name in ("create_time", "update_time")
            },
            "resource_info": {name: resource.text(name, usual) for name, usual in RESOURCE_TEXTS.items()},
        }
        resource.done()
        reader.done()
        return event

    def accept(self, now: float, request_id: str) -> bool:
        """Start a synchronization, unless its outcome is that none is created.

        What a second one does while the first is under way is not documented; here they go on side by side.
        """
        outcome = self._outcomes[min(self._asked, len(self._outcomes) - 1)]
        self._asked += 1
        if outcome == "not_created":
            return False
        starts = instant(now + self._starts_after)
        if outcome == "never_ends":
            self._runs.append(EventSync(now, starts, None, request_id))
            return True
        ends = instant(starts + self._seconds)
        events = [self._event(Reader({}, ""), ends) for _ in range(self._brings)]
        self._runs.append(EventSync(now, starts, ends, request_id, events))
        return True

    def events(self, now: float) -> list[dict[str, Any]]:
        """The events that are there by `now`, the oldest first."""
        return self._first_events + [event for run in self._runs if run.over(now) for event in run.events]

    def last_update(self, now: float) -> float | None:
        """When the events were last brought up to date, be it that nothing came of it; None for never."""
        times = [run.ends for run in self._runs if run.ends is not None and run.over(now)]
        times += [at for at in self._updates if at <= now]
        if self._first_update is not None:
            times.append(self._first_update)
        return max(times, default=None)

    def details(self) -> dict[str, Any]:
        """The cluster as the list of protected clusters shows it."""
        return {
            "cluster_id": self.id,
            "cluster_name": self._name,
            "cluster_version": "v1.29",
            "cluster_status": self._status,
            "protect_status": self._protection,
            "cluster_type": "cce",
            "policy_num": 1 if self._protection == "protected with policy" else 0,
        }

    def describe(self, now: float) -> dict[str, Any]:
        """All of the cluster as JSON."""
        return {
            **self.details(),
            "enterprise_project_id": self.enterprise_project_id,
            "last_update_time": self.last_update(now),
            "events": len(self.events(now)),
            "runs": [run.describe(now) for run in self._runs],
        }


def _first_events(reader: Reader) -> list[Reader]:
    if isinstance(reader.raw("events"), list):
        return reader.children("events")
    return [Reader({}, "")] * reader.whole("events", 0, most=MOST_EVENTS)
