"""Watches of event triggers: find the runs that have ended since the last report.

The `judge` of a service decides what has ended. The memory of a watch holds what was reported. It is small and plain
JSON, so another process can continue the watch without duplicates or gaps. A service shows its last run only: if
several runs end between two polls, the watch sees the last one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from airflow_provider_cloudsync.api.clocks import OWN_TIME_KEY
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Flow
from airflow_provider_cloudsync.api.model import (
    CONFIRM_FAILURE,
    CONFIRM_SUCCESS,
    Phase,
    Progress,
    Service,
    Stage,
    Target,
    Ticket,
)
from airflow_provider_cloudsync.api.redaction import Secrets
from airflow_provider_cloudsync.api.retries import LONGEST, delay_for
from airflow_provider_cloudsync.api.waiting.observation import Poller
from airflow_provider_cloudsync.api.waiting.polling import LOST_POLLS
from airflow_provider_cloudsync.exceptions import CloudSyncError, SyncFailed, Throttled

log = logging.getLogger(__name__)

Memory = Mapping[str, int]

#: Seconds before the first poll, so that watches that begin together share it.
_GATHER = 2.0
#: Number of failed polls in a row after which the failure is logged as a warning.
_TOO_MANY = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """Run that has ended.

    :param ids: the synchronized object.
    :param run: identity of the run, equal for all observers: the service's own time of the run. If the service returns
        none: the time at which a poll first saw it.
    :param outcome: ``succeeded``, ``failed``, or ``ended`` if the service does not report it.
    :param confirm_for: seconds for which polls must show the end before it is reported.
    :param memory_key: key in the memory that the run changes.
    :param before: value of that key until the run is reported.
    """

    ids: Mapping[str, Any]
    run: str
    outcome: str
    why: str
    confirm_for: float = 0.0
    memory_key: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of one poll of a watch.

    :param memory: the new memory.
    :param ended: runs to report.
    :param problem: why no run can ever end there; empty if one can.
    :param confirm_for: seconds for which polls must show the problem.
    :param warnings: remarks that change nothing, each with its subject.
    """

    memory: Memory
    ended: tuple[Ended, ...] = ()
    problem: str = ""
    confirm_for: float = 0.0
    warnings: tuple[str, ...] = ()


class Watch(Protocol):
    """Service and target of a watch, and the reading of a poll."""

    @property
    def service(self) -> Service[Any]:
        """Return the service to poll."""

    @property
    def target(self) -> Target:
        """Return the target to poll."""

    def read(self, memory: Memory | None, seen: Any, at: float) -> Reading:
        """Return the runs that ended since the last report. Pure.

        :param memory: None at the first poll: runs that ended before it are not reported.
        :param at: start of the poll, in seconds since the epoch.
        """


@dataclass(frozen=True, slots=True)
class TimedWatch:
    """Watch of a service that returns the time of the last run. The memory holds the last reported time, in ms.

    :param target: its `bound` is not used.
    :param bound: field of the target with the earliest time of a run to accept.
    :param catchup: report the last run even if it ended before the first poll.
    """

    service: Service[Any]
    target: Target
    bound: str
    catchup: bool = False

    def targets_in(self, seen: Any) -> Mapping[str, Target]:
        """Return each target that has its own runs, by its key in the memory."""
        return {"": self.target}

    def read(self, memory: Memory | None, seen: Any, at: float) -> Reading:
        known = dict(memory or {})
        ended: list[Ended] = []
        warnings: list[str] = []
        problem, confirm_for = "", 0.0
        for name, target in (self.targets_in(seen) or {"": self.target}).items():
            if name not in known:
                # A target that appears after the first poll has all its runs reported.
                known[name] = self._before(target, seen, at) if memory is None else 0
            progress = self._judge(target, known[name] + 1, seen, at)
            if progress.warning:
                warnings.append(f"{self.service.describe(target)}: {progress.warning}")
            run, shown = progress.run, progress.run_text
            if progress.phase is not Phase.RUNNING and run is not None and shown and run > known[name]:
                outcome, hold = progress.phase.value, progress.confirm_for
                ended.append(
                    Ended(
                        self._ids(target),
                        shown,
                        outcome,
                        progress.why,
                        confirm_for=hold,
                        memory_key=name,
                        before=known[name],
                    )
                )
                known[name] = run
            elif progress.phase is Phase.FAILED:
                problem, confirm_for = progress.why, progress.confirm_for
        return Reading(known, tuple(ended), problem, confirm_for, tuple(warnings))

    def _before(self, target: Target, seen: Any, at: float) -> int:
        """Return the run that counts as reported at the first poll: the last one, unless it is still running."""
        progress = self._judge(target, None, seen, at)
        if progress.run is None:
            return 0
        usual = CONFIRM_SUCCESS if progress.phase is Phase.SUCCEEDED else CONFIRM_FAILURE
        # If the end needs a longer confirmation, the state may still belong to the previous run.
        ended = progress.phase is not Phase.RUNNING and progress.confirm_for <= usual
        return progress.run if ended and not self.catchup else progress.run - 1

    def _judge(self, target: Target, bound: int | None, seen: Any, at: float) -> Progress:
        # The bound is a time by the clock of the service.
        baseline = {OWN_TIME_KEY: True}
        watching = Ticket(self.service.name, {**target, self.bound: bound}, Stage.WATCHING, at, baseline)
        return self.service.judge(watching, seen, at)

    def _ids(self, target: Target) -> dict[str, Any]:
        how = (self.bound, "if_unscheduled", "settle")
        return {name: value for name, value in target.items() if name not in how}


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """Ended runs to report, or a changed memory to store.

    :param due: time of the next poll, in seconds since the epoch.
    """

    ended: tuple[Ended, ...]
    memory: Memory
    due: float


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing to report yet. The caller reads the connection again and continues the watch.

    :param due: time of the next poll, in seconds since the epoch.
    :param misses: failed polls in a row.
    """

    due: float
    misses: int


def next_update(
    cloud: Cloud,
    watch: Watch,
    memory: Memory | None,
    *,
    poll_interval: float,
    due: float | None = None,
    polled: Callable[[], object] = lambda: None,
    pause_at: float | None = None,
    misses: int = 0,
    pending: PendingEnds | None = None,
) -> Flow[WatchUpdate | Paused]:
    """Poll until a confirmed change. Temporary failures are retried without limit.

    :param memory: memory of the watch; None: the watch begins.
    :param poll_interval: seconds between polls, at least `min_poll_interval` of the service.
    :param due: time of the next poll; None: after a short wait to share it.
    :param polled: called after each successful poll.
    :param pause_at: seconds since the epoch after which it returns `Paused`; sooner if several polls in a row fail.
        None: never.
    :param misses: failed polls in a row so far, from `Paused`.
    :param pending: ends that an earlier call saw and did not confirm yet.
    :raises SyncFailed: if no run can ever end there, such as in a deleted cluster.
    :raises CloudSyncError: for a permanent failure.
    """
    poller = Poller(cloud, watch.service, watch.target)
    pause = max(poll_interval, watch.service.min_poll_interval)
    subject = watch.service.describe(watch.target)
    if due is None:
        due = cloud.clock() + _GATHER
    pending = PendingEnds() if pending is None else pending
    while True:
        try:
            # A clock that is set back does not stop the watch.
            at, seen = yield poller.after(min(max(due - cloud.clock(), 0.0), max(pause, LONGEST)))
        except CloudSyncError as error:
            waits_for_turn = isinstance(error, Throttled) and not error.status
            misses += not waits_for_turn
            delay = delay_for(error, max(misses, 1))
            if delay is None:
                raise
            if misses in (1, _TOO_MANY) and not waits_for_turn:
                log.log(
                    logging.INFO if misses == 1 else logging.WARNING,
                    "Poll failed (%d in a row); the watch continues. %s [%s]",
                    misses,
                    error,
                    subject,
                )
            due = cloud.clock() + (delay if waits_for_turn else max(delay, pause))
            many = not waits_for_turn and misses % LOST_POLLS == 0
            if pause_at is not None and (many or cloud.clock() >= pause_at):
                return Paused(due, misses)
            continue
        misses = 0
        due = cloud.clock() + pause
        reading = _redacted(cloud, watch.read(memory, seen, at))
        for warning in reading.warnings:
            _warn(warning)
        reading = pending.confirmed(reading, at)
        if pending.certain_at is not None:
            due = min(due, max(pending.certain_at, cloud.clock() + watch.service.min_poll_interval))
        if reading.problem:
            raise SyncFailed(f"{reading.problem} [{subject}]")
        polled()
        if reading.ended or reading.memory != memory:
            return WatchUpdate(reading.ended, reading.memory, due)
        if pause_at is not None and pending.certain_at is None and cloud.clock() >= pause_at:
            return Paused(due, 0)


class PendingEnds:
    """Ended runs that a later poll must confirm, each with the earliest time of that poll.

    :ivar certain_at: the earliest of these times; None: nothing is pending.
    """

    def __init__(self) -> None:
        self._certain_at: dict[tuple[Any, ...], float] = {}
        self.certain_at: float | None = None

    def confirmed(self, reading: Reading, at: float) -> Reading:
        """Return the reading without unconfirmed runs. Their memory keys keep the value before."""
        shown: dict[tuple[str, ...], float] = {
            (each.memory_key, each.run, each.outcome): each.confirm_for for each in reading.ended
        }
        if reading.problem:
            shown["problem", reading.problem] = reading.confirm_for
        before, self._certain_at = self._certain_at, {}
        for key, confirm_for in shown.items():
            certain_at = min(before.get(key, at + confirm_for), at + confirm_for)
            if at < certain_at:
                self._certain_at[key] = certain_at
        self.certain_at = min(self._certain_at.values(), default=None)
        open_ = [
            each for each in reading.ended if (each.memory_key, each.run, each.outcome) in self._certain_at
        ]
        problem = "" if ("problem", reading.problem) in self._certain_at else reading.problem
        memory = {**reading.memory, **{each.memory_key: each.before for each in open_}}
        return Reading(memory, tuple(each for each in reading.ended if each not in open_), problem)


def _redacted(cloud: Cloud, reading: Reading) -> Reading:
    """Return a reading whose texts show no secret of the connection."""
    clean = Secrets(tuple(cloud.credentials.secrets)).redact_text
    ended = tuple(replace(each, why=clean(each.why)) for each in reading.ended)
    return replace(
        reading, ended=ended, problem=clean(reading.problem), warnings=tuple(map(clean, reading.warnings))
    )


@functools.lru_cache(maxsize=1000)  # once per process: many watches of one target may repeat the same warning
def _warn(warning: str) -> None:
    log.warning("%s", warning)
