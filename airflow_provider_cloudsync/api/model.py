"""The vocabulary of waiting: tickets, progress, and what each service has to say about itself."""

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

#: Written into every ticket; a reader refuses what it was not made for, rather than guess.
TICKET_VERSION = 1
#: Seconds for which an end has to show before it counts: a success, a failure, and that something is not there.
#: One poll can show a state that is just being written, or a list that lacks a row.
CONFIRM_SUCCESS, CONFIRM_FAILURE, CONFIRM_ABSENCE = 5.0, 15.0, 30.0
#: Seconds by which a state may lag behind the time of its run. Not documented; 38 s were seen between a ``sync_time``
#: and the first log line of its run (fact sheet, section 5).
STATE_LAG = 45.0
#: Key in the baseline of a ticket: the run, or the rows, that were seen under way during the wait.
RAN_KEY = "ran"


class Phase(StrEnum):
    """Where a synchronization stands. Unknown, empty and missing are never SUCCEEDED."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """A verdict: the phase, and why in the user's words.

    :param warning: something that the user should know although it decides nothing; logged once.
    :param run: of a sync that somebody else starts: the service's own time of the run that is judged, in ms since the
        epoch. It tells one run from another. None where the service tells no time.
    :param run_as_sent: that time as the service sent it, where it has no time zone; `run` only orders it then.
    :param confirm_for: seconds for which later polls have to come to the same end before it counts; 0: one poll
        decides.
    :param absent: whether it failed because the target was not found. Nothing is known about the run itself then, so a
        retry must look before it starts.
    :param lost: whether the poll was lost, so that nothing new is known.
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
        """The time of the run: ISO 8601 in UTC; as the service sent it where it has no time zone."""
        if self.run is None:
            return None
        return f"{self.run_as_sent} (no time zone)" if self.run_as_sent else iso(self.run, exactly=True)

    def of_run(self, *times: ServiceTime) -> Progress:
        """The same verdict, of the latest of these runs."""
        ordered = [(order, time) for time in times if (order := order_ms(time)) is not None]
        run, time = max(ordered, key=lambda each: each[0], default=(None, None))
        return replace(self, run=run, run_as_sent=time if isinstance(time, str) else "")

    @property
    def in_full(self) -> str:
        """The reason with the warning."""
        return f"{self.why} {self.warning}".strip()


class Stage(StrEnum):
    """What a ticket is for."""

    #: Another run is in the way; ours has not been sent.
    QUEUED = "queued"
    #: Our start is about to be sent, or was sent and its reply is not known.
    STARTING = "starting"
    #: The service accepted our start, or showed that our run is there.
    STARTED = "started"
    #: We start nothing: we watch what somebody else starts.
    WATCHING = "watching"


@dataclass(frozen=True, slots=True)
class Ticket:
    """All that is needed to judge a synchronization later, elsewhere and without memory.

    :param service: name of the service in `airflow_provider_cloudsync.api.services.SERVICES`.
    :param target: what is synchronized, plain JSON.
    :param stage: see `Stage`.
    :param started_at: seconds since the epoch, our clock: when the start was about to be sent, or the watch began.
    :param baseline: what the service showed before, as far as the judgement needs it; plain JSON.
    :param later: targets still to be started after this one (a request has a limit of names).
    :param receipt: what the service said to the start, for logs and results; empty where that is not known.
    :param hold: seconds after `started_at` in which a queued ticket stays queued, whatever is seen: the run in its way
        may not show yet, and to ask again at once would be to ask without end.
    :param restarted: whether this start follows a run that failed and may not have been ours. There is one such start
        in a chain of retries.
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
        """Return what tells this wait from the others of a task."""
        return self.stage, self.started_at, len(self.later)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for a trigger or a store. It belongs to whoever asks: nothing in it is the ticket's own."""
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
        """Read what `to_json` wrote.

        :raises InvalidEvent: if it is something else, or of a version that this release does not know.
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
    """Not to be changed: a thousand tickets in one process may be of one target, and have this one between them."""
    return {sys.intern(name): each for name, each in json.loads(text).items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return value


class Service(Protocol[Seen]):
    """What can be watched. `judge` is pure and memoryless, and the only place that knows what "done" means."""

    @property
    def name(self) -> str:
        """Its key in `airflow_provider_cloudsync.api.services.SERVICES`."""

    @property
    def min_poll_interval(self) -> float:
        """Seconds between two looks at one target that the service's quota bears."""

    @property
    def console(self) -> Console:
        """Where a person looks at a run."""

    def describe(self, target: Target) -> str:
        """Name the target in a sentence."""

    def key(self, target: Target) -> Hashable:
        """What `observe` depends on: waits with equal keys share one look."""

    def observe(self, cloud: Cloud, target: Target) -> Flow[Seen]:
        """What the service shows now."""

    def learn(self, ticket: Ticket, seen: Seen) -> Ticket:
        """The ticket with what this poll shows and later polls may not, such as that a run was under way; the same
        ticket where there is nothing to learn.
        """

    def judge(self, ticket: Ticket, seen: Seen, now: float) -> Progress:
        """What that means for the ticket. `now` is when the look began, in seconds since the epoch."""


class Gatherable(Service[Seen], Protocol[Seen]):
    """What is looked at with one call for many targets, where several waits meet. A `key` is within a `group`."""

    def group(self, target: Target) -> Hashable:
        """What the target is a part of: waits with equal groups can share calls."""

    def observe_all(
        self, cloud: Cloud, group: Any, keys: Sequence[Any]
    ) -> Flow[Mapping[Any, Seen | CloudSyncError]]:
        """What the service shows now of the targets with these keys, or why it does not; others may be among them."""


def is_gatherable(service: Service[Any]) -> TypeGuard[Gatherable[Any]]:
    """Return whether it is polled so. By one name: to ask Python for all of the protocol takes longer than a poll."""
    return hasattr(service, "observe_all")


class Startable(Service[Seen], Protocol[Seen]):
    """What can be started, too."""

    def settle(self, target: Target) -> float:
        """Seconds after a start in which the service may not show the run yet."""

    def split(self, target: Target) -> list[Target]:
        """The target in pieces that one request can carry, to be started one after the other."""

    def identity(self, target: Target) -> Target:
        """What is synchronized, without how to wait for it: equal for two tries that are about the same."""

    def can_start(self, target: Target, seen: Seen) -> Progress:
        """Return whether a run could start: SUCCEEDED now, RUNNING another is in the way, FAILED never."""

    def is_satisfied_by_running(self, target: Target, seen: Seen) -> bool:
        """Return whether a run is under way that brings about all that the target asks for, as far as it shows."""

    def baseline(self, target: Target, seen: Seen) -> Mapping[str, Any]:
        """What `judge` and `has_started` will have to know of the time before the start."""

    def start(self, cloud: Cloud, target: Target) -> Flow[Mapping[str, Any]]:
        """Send the start, once. Returns the receipt: plain JSON, ``request_id`` in it."""

    def is_busy(self, error: CloudSyncError) -> bool:
        """Return whether the service refused a start because another run is in the way."""

    def has_started(self, ticket: Ticket, seen: Seen) -> bool:
        """Return whether it shows that a run began after the ticket was taken."""

    def would_be_visible(self, ticket: Ticket) -> bool:
        """Return whether a run that ended well would show afterwards, because the baseline was short of its goal."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A harmless read that tells whether the user of a connection may work with a service.

    :param needs: the permission to ask for where it may not.
    :param denied: codes of the service that mean "not allowed" although the status is not 403.
    :param unsure: codes of an answer that shows that the service was reached, and no more.
    """

    request: Request
    needs: str
    denied: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
