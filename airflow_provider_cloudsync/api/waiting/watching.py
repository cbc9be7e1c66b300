"""Watching without an end: which runs of others have ended since the last report, and how to look for the next one.

What has ended is for each service's own `judge` to say. What was reported is the memory of a watch: small and plain
JSON, so that whoever goes on with the watch elsewhere reports nothing twice and leaves nothing out. A service shows its
last run only: of several that end between two looks, the last one is seen.
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

#: The first look waits so long (seconds), for a hundred watches that begin together are to have one.
_GATHER = 2.0
#: After so many looks in a row that failed it is more than a fault that passes.
_TOO_MANY = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended.

    :param ids: what was synchronized.
    :param run: tells it from all other runs of that, whoever sees it: the service's own time of the run; where the
        service tells none, when it was first seen.
    :param outcome: ``succeeded``, ``failed``, or ``ended`` where the service does not say.
    :param confirm_for: seconds for which it has to show before it is reported.
    :param part: the key in the memory that it changes, and
    :param before: what the memory has there until it is reported.
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
    """What a look comes to.

    :param memory: from now on.
    :param ended: the news.
    :param problem: why nothing can ever end there; empty where something can.
    :param confirm_for: seconds for which the problem has to show.
    :param warnings: what the user should know although it decides nothing, each with what it is about.
    """

    memory: Memory
    ended: tuple[Ended, ...] = ()
    problem: str = ""
    confirm_for: float = 0.0
    warnings: tuple[str, ...] = ()


class Watch(Protocol):
    """What is watched, and how to read it."""

    @property
    def service(self) -> Service[Any]:
        """How to look."""

    @property
    def target(self) -> Target:
        """Where to look."""

    def read(self, memory: Memory | None, seen: Any, at: float) -> Reading:
        """What is new. Pure.

        :param memory: None where nothing was ever seen: what has ended before the first look is no news.
        :param at: when the look began, in seconds since the epoch.
        """


@dataclass(frozen=True, slots=True)
class TimedWatch:
    """Where the service tells a time of the last run. The memory is that of the last one reported, in ms.

    :param target: its `bound` is not used.
    :param bound: the field of the target with the time from which on a run counts.
    :param catchup: whether the last run is news even if it had ended before the first look.
    """

    service: Service[Any]
    target: Target
    bound: str
    catchup: bool = False

    def targets_in(self, seen: Any) -> Mapping[str, Target]:
        """Each target that has runs of its own, by its name in the memory."""
        return {"": self.target}

    def read(self, memory: Memory | None, seen: Any, at: float) -> Reading:
        known = dict(memory or {})
        ended: list[Ended] = []
        warnings: list[str] = []
        problem, confirm_for = "", 0.0
        for name, target in (self.targets_in(seen) or {"": self.target}).items():
            if name not in known:
                # Of what came after the first look, everything is news.
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
        """The run that counts as reported at the first look: the last one, unless it goes on."""
        progress = self._judge(target, None, seen, at)
        if progress.run is None:
            return 0
        usual = CONFIRM_SUCCESS if progress.phase is Phase.SUCCEEDED else CONFIRM_FAILURE
        # Where it takes longer to confirm, the state may still be that of the run before.
        ended = progress.phase is not Phase.RUNNING and progress.confirm_for <= usual
        return progress.run if ended and not self.catchup else progress.run - 1

    def _judge(self, target: Target, bound: int | None, seen: Any, at: float) -> Progress:
        # The bound is a time that the service itself has told.
        baseline = {OWN_TIME_KEY: True}
        watching = Ticket(self.service.name, {**target, self.bound: bound}, Stage.WATCHING, at, baseline)
        return self.service.judge(watching, seen, at)

    def _ids(self, target: Target) -> dict[str, Any]:
        how = (self.bound, "if_unscheduled", "settle")
        return {name: value for name, value in target.items() if name not in how}


@dataclass(frozen=True, slots=True)
class WatchUpdate:
    """Something to report, or to remember.

    :param due: when the next look is, in seconds since the epoch.
    """

    ended: tuple[Ended, ...]
    memory: Memory
    due: float


@dataclass(frozen=True, slots=True)
class Paused:
    """No news yet; the connection is to be read again, and the watch to be continued.

    :param due: when the next look is, in seconds since the epoch.
    :param misses: lost polls in a row.
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
    """Poll until there are news, which further polls confirm. Faults that may pass are tolerated without an end.

    :param memory: of the watch; None: it begins.
    :param poll_interval: seconds between looks; what the service's quota asks for still holds.
    :param due: when the next look is; None: soon.
    :param looked: called after each look that brought something good.
    :param pause_at: seconds since the epoch after which it returns `Paused`; sooner if several polls in a row are lost.
        None: never.
    :param misses: lost polls in a row before, from `Paused`.
    :param pending: ends that an earlier call has seen and not yet confirmed.
    :raises SyncFailed: if nothing can ever end there, such as in a cluster that was deleted.
    :raises CloudSyncError: for a fault that will not pass by itself.
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
    """Ended runs that another poll has to confirm: from when on it makes them certain.

    :ivar certain_at: the earliest of these times; None: nothing is pending.
    """

    def __init__(self) -> None:
        self._certain_at: dict[tuple[Any, ...], float] = {}
        self.certain_at: float | None = None

    def confirmed(self, reading: Reading, at: float) -> Reading:
        """The reading without what is not certain yet; its memory is as before there."""
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


@functools.lru_cache(maxsize=1000)  # once a process: a hundred watches may be of one thing, and have no end
def _warn(warning: str) -> None:
    log.warning("%s", warning)
