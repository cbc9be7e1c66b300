"""Types of waiting: tickets, progress, and the protocols that a service implements."""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, TypeVar

from airflow_provider_cloudsync.api.times import ServiceTime, iso, order_ms
from airflow_provider_cloudsync.exceptions import CloudSyncError, InvalidEvent

if TYPE_CHECKING:
    from airflow_provider_cloudsync.api.consoles import Console
    from airflow_provider_cloudsync.api.flows import Cloud
    from airflow_provider_cloudsync.api.messages import Flow, Request

Target = Mapping[str, Any]
Seen = TypeVar("Seen")

#: Version in every ticket. A reader refuses other versions.
TICKET_VERSION = 1
#: Seconds for which polls must show an end before it counts: a success, a failure, and a missing target.
#: A single poll can catch a state that is being written, or a list that lacks a row.
CONFIRM_SUCCESS, CONFIRM_FAILURE, CONFIRM_ABSENCE = 5.0, 15.0, 30.0
#: Seconds by which a state may lag behind the time of its run. Not documented; 38 s were measured between a
#: ``sync_time`` and the first log line of its run.
STATE_LAG = 45.0
#: Key in the baseline of a ticket: the run, or the rows, that polls of this wait saw running.
RAN_KEY = "ran"


class Phase(StrEnum):
    """State of a synchronization. Unknown, empty and missing are never SUCCEEDED."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Verdict of one poll: the phase and the reason.

    :param why: the reason, for logs and errors.
    :param warning: a remark that does not change the phase; logged once.
    :param run: for a sync that another party starts: the service's own time of the judged run, in ms since the epoch.
        It identifies the run. None if the service returns no time.
    :param run_as_sent: that time as the service sent it, if it has no time zone; `run` then only orders runs.
    :param confirm_for: seconds for which later polls must show the same end before it counts; 0: one poll decides.
    :param absent: the phase is FAILED because the target was not found. The state of the run is unknown, so a retry
        must poll before it starts.
    :param lost: the poll failed, so nothing new is known.
    """

    phase: Phase
    why: str
    warning: str = ""
    run: int | None = None
    confirm_for: float = 0.0
    absent: bool = False
    lost: bool = False
    run_as_sent: str = ""

    @property
    def run_text(self) -> str | None:
        """Return the time of the run: ISO 8601 in UTC, or as the service sent it if it has no time zone."""
        if self.run is None:
            return None
        return f"{self.run_as_sent} (no time zone)" if self.run_as_sent else iso(self.run, exactly=True)

    def of_run(self, *times: ServiceTime) -> Progress:
        """Return the same verdict for the latest of these runs."""
        ordered = [(order, time) for time in times if (order := order_ms(time)) is not None]
        run, time = max(ordered, key=lambda each: each[0], default=(None, None))
        return replace(self, run=run, run_as_sent=time if isinstance(time, str) else "")

    @property
    def in_full(self) -> str:
        """Return the reason with the warning."""
        return f"{self.why} {self.warning}".strip()


class Stage(StrEnum):
    """Stage of a ticket."""

    #: Nothing was sent yet; another run may be active.
    QUEUED = "queued"
    #: The start is about to be sent, or was sent and its reply is unknown.
    STARTING = "starting"
    #: The service accepted the start, or showed the run.
    STARTED = "started"
    #: This task starts nothing; it waits for a run that another party starts.
    WATCHING = "watching"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Record from which any process can judge a synchronization later.

    :param service: name of the service, a key of `syncs` in its `ServiceEntry`.
    :param target: the object to synchronize, plain JSON.
    :param stage: see `Stage`.
    :param started_at: time just before the start was sent, or at which the watch began; seconds since the epoch, by the
        clock of this machine.
    :param baseline: state of the service before the start, as far as `judge` needs it; plain JSON.
    :param later: targets to start after this one (a request carries a limited number of names).
    :param receipt: reply of the service to the start, for logs and results; empty if unknown.
    :param hold: seconds after `started_at` in which a queued ticket stays queued, whatever a poll shows. The run that
        blocks it may not be visible yet, and an immediate start would be refused again.
    :param restarted: this start follows a failed run that may belong to another task. There is one such start in a
        chain of retries.
    """

    service: str
    target: Target
    stage: Stage
    started_at: float
    baseline: Mapping[str, Any] = field(default_factory=dict)
    later: tuple[Target, ...] = ()
    receipt: Mapping[str, Any] = field(default_factory=dict)
    hold: float = 0.0
    restarted: bool = False

    @property
    def wait(self) -> tuple[Stage, float, int]:
        """Return the identity of this wait among all waits of a task."""
        return self.stage, self.started_at, len(self.later)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON for a trigger or a store. It is a deep copy."""
        return {
            "version": TICKET_VERSION,
            "service": self.service,
            "target": deepcopy(dict(self.target)),
            "stage": self.stage.value,
            "started_at": self.started_at,
            "baseline": deepcopy(dict(self.baseline)),
            "later": [deepcopy(dict(target)) for target in self.later],
            "receipt": deepcopy(dict(self.receipt)),
            "hold": self.hold,
            "restarted": self.restarted,
        }

    @classmethod
    def from_json(cls, data: Any) -> Ticket:
        """Read the output of `to_json`.

        :raises InvalidEvent: if the data is malformed, or of another version.
        """
        if not isinstance(data, Mapping) or data.get("version") != TICKET_VERSION:
            version = data.get("version") if isinstance(data, Mapping) else None
            raise InvalidEvent(
                f"Unreadable ticket of version {version!r}: this release of airflow-provider-cloudsync reads version "
                f"{TICKET_VERSION}. Clear the task to start it again."
            )
        try:
            started_at = float(data["started_at"])
            if not 0 <= started_at < 10**11:
                raise ValueError("started_at is no time")
            return cls(
                service=data["service"],
                target=_object(data["target"]),
                stage=Stage(data["stage"]),
                started_at=started_at,
                baseline=_object(data["baseline"]),
                later=tuple(_object(target) for target in _list(data["later"])),
                receipt=_object(data["receipt"]),
                hold=float(data["hold"]),
                restarted=data.get("restarted") is True,  # optional: 0.1.0 did not write it
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidEvent(
                f"The ticket is damaged ({error!r}). Clear the task to start it again."
            ) from error


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError("an object is expected")
    return _read(json.dumps(dict(value)))


@lru_cache(maxsize=64)
def _read(text: str) -> dict[str, Any]:
    """Return a shared object. Do not modify it: all tickets of one target in a process share it to save memory."""
    return {sys.intern(name): each for name, each in json.loads(text).items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return value


class Service(Protocol[Seen]):
    """Service that can be polled. `judge` is pure, and the only place that defines "done"."""

    @property
    def name(self) -> str:
        """Return the name in tickets. Never rename it."""

    @property
    def min_poll_interval(self) -> float:
        """Return the minimum number of seconds between two polls of one target, from the rate limit of the service."""

    @property
    def console(self) -> Console:
        """Return the page of the vendor's console that shows a run."""

    def describe(self, target: Target) -> str:
        """Return the target for a message."""

    def key(self, target: Target) -> Hashable:
        """Return the part of the target that `observe` depends on. Waits with equal keys share one poll."""

    def observe(self, cloud: Cloud, target: Target) -> Flow[Seen]:
        """Poll the current state of the service."""

    def learn(self, ticket: Ticket, seen: Seen) -> Ticket:
        """Return the ticket with facts that later polls may not show, such as that a run was active.

        Return the same ticket if there is nothing to add.
        """

    def judge(self, ticket: Ticket, seen: Seen, now: float) -> Progress:
        """Return the verdict for the ticket.

        :param now: start of the poll, in seconds since the epoch.
        """


class Batchable(Service[Seen], Protocol[Seen]):
    """Service that polls many targets with one call. A `key` is unique within a `group`."""

    def group(self, target: Target) -> Hashable:
        """Return the group of the target. Waits with equal groups can share calls."""

    def observe_all(
        self, cloud: Cloud, group: Any, keys: Sequence[Any]
    ) -> Flow[Mapping[Any, Seen | CloudSyncError]]:
        """Poll the state of the targets with these keys, or the error of each. The result may hold other keys."""


def is_batchable(service: Service[Any]) -> TypeGuard[Batchable[Any]]:
    """Return whether the service polls in batches. Checks one name: a protocol check takes longer than a poll."""
    return hasattr(service, "observe_all")


class Startable(Service[Seen], Protocol[Seen]):
    """Service that can also be started."""

    def settle(self, target: Target) -> float:
        """Return the seconds after a start in which the run may not be visible yet."""

    def split(self, target: Target) -> list[Target]:
        """Return the target in pieces that fit into one request each, to be started one after the other."""

    def identity(self, target: Target) -> Target:
        """Return the target without wait options. Equal for two tries of the same synchronization."""

    def can_start(self, target: Target, seen: Seen) -> Progress:
        """Return whether a run can start. SUCCEEDED: now; RUNNING: another run is active; FAILED: never."""

    def is_satisfied_by_running(self, target: Target, seen: Seen) -> bool:
        """Return whether a run is active that covers the whole target, as far as the service shows."""

    def baseline(self, target: Target, seen: Seen) -> Mapping[str, Any]:
        """Return the state before the start, as far as `judge` and `has_started` need it."""

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        """Send the start once and return the receipt: plain JSON with ``request_id``."""

    def is_busy(self, error: CloudSyncError) -> bool:
        """Return whether the service refused a start because another run is active."""

    def has_started(self, ticket: Ticket, seen: Seen) -> bool:
        """Return whether the poll shows a run that began after the ticket was taken."""

    def would_be_visible(self, ticket: Ticket) -> bool:
        """Return whether a successful run would be visible afterwards, because the baseline lacked its result."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Harmless read that checks access of a connection to a service.

    :param needs: the missing permission, for the message.
    :param denied: codes of the service that mean "access denied" with another status than 403.
    :param unsure: codes of an answer that only shows that the service is reachable.
    """

    request: Request
    needs: str
    denied: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
