"""Whether a soak was held: each report against the plan, and what the triggerers still hold in the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from statistics import median
from typing import Any

from tests.soak.plan import NEVER, Wait, Window
from tests.soak.record import Record
from tests.soak.store import Event, Sample
from tests.soak.triggerers import STEADY

#: Seconds from a look to its report in the store: a slow look, and two rounds of a triggerer.
LOOK = 15.0
#: Seconds that two clocks, or two roundings, may differ.
SKEW = 0.25
#: Seconds that a user's word takes to the triggerer.
WORD = 3.0
#: A report may come after so many pauses between looks, since faults in a row make some of these miss; and so many
#: seconds later for a restart. HSS lets five looks a minute through, and those of both triggerers count.
PAUSES, DELAY, DELAY_OF_HSS = 4, 60.0, 240.0
#: Up to so many KiB a minute memory counts as flat: half a KiB for each look. A process that has just begun grows, and
#: a short time tells nothing (share of the time, seconds).
FLAT, WARM_UP, SHORTEST = 512.0, 0.35, 200.0
#: Of so many samples it is told.
MOST_SAMPLES = 400


@dataclass
class Judgement:
    """What came of it.

    :param ends: how many waits ended how.
    :param problems: all that is wrong, by kind.
    :param latest: for how long, at the most, a wait could have been reported that was not (seconds).
    :param slope: of the memory of the triggerer that stays, in KiB a minute; None where it ran too short to tell.
    """

    ends: Counter[str] = field(default_factory=Counter)
    problems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    latest: float = 0.0
    slope: float | None = None
    sockets: int = 0
    tasks: int = 0

    @property
    def held(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.problems.values())


def judge(record: Record) -> Judgement:
    """Everything."""
    found = Judgement()
    events: dict[int, list[Event]] = defaultdict(list)
    for event in record.events:
        events[event.wait].append(event)
    for wait in record.plan.waits:
        _judge_wait(record, wait, events.pop(wait.number, []), found)
    for number in events:
        found.problems["wrong"].append(f"wait {number} is unknown")
    found.problems["starts"] += record.started
    found.problems["log"] += record.complaints
    _judge_stops(record, found)
    _judge_leaks(record, found)
    _judge_memory(record, found)
    return found


# --- reports ------------------------------------------------------------------------------------------------------


def _judge_wait(record: Record, wait: Wait, events: list[Event], found: Judgement) -> None:
    ended = record.ended_by_user.get(wait.number)
    if ended is not None:
        found.ends["ended by a user"] += 1
        if late := [event for event in events if event.at > ended + WORD]:
            found.problems["wrong"].append(
                f"{wait.key} reported {late[0].at - ended:.1f} s after a user ended it"
            )
        return
    if len(events) != 1:
        found.problems["twice" if events else "never"].append(
            f"{wait.key} reported {len(events)} times; planned: {_planned(wait)}"
        )
    if not events:
        return
    verdict, why = _verdict(events[0])
    found.ends[verdict] += 1
    if kind := _complaint(record, wait, events[0], verdict, why):
        at = events[0].at - record.began
        found.problems[kind].append(f"{wait.key}, {verdict} at {at:.1f}: {why}; planned: {_planned(wait)}")
        return
    found.latest = max(found.latest, _in_vain(record, wait, events[0].at - record.began))


def _verdict(event: Event) -> tuple[str, str]:
    report = event.payload
    if report is None:
        return "no event", ""
    if report["error"] is None:
        return report["phase"], report["why"]
    error = report["error"]
    name = "timed out" if error["error"] == "WaitTimedOut" else error["error"]
    return name, error["message"]


def _complaint(record: Record, wait: Wait, event: Event, verdict: str, why: str) -> str | None:
    """The kind of what is wrong with a report, if anything."""
    at = event.at - record.began
    if event.payload is None or not _is_of(wait, event.payload, record.began):
        return "wrong"
    if verdict == "timed out":
        if at < wait.deadline - SKEW:
            return "early"
    elif verdict not in ("succeeded", "failed"):
        return "wrong"
    else:
        seen = [window for window in wait.shows if window.verdict == verdict and window.says in why]
        if not any(window.start - SKEW <= at <= window.end + LOOK for window in seen):
            return "early" if any(window.start > at for window in seen) else "wrong"
    return "late" if at > _limit(record, wait) else None


def _is_of(wait: Wait, report: dict[str, Any], began: float) -> bool:
    """Whether the report is this wait's own."""
    names = ("ticket", "deadline", "try_number")
    return all(report[name] == value for name, value in wait.arguments(began).items() if name in names)


def _limit(record: Record, wait: Wait) -> float:
    """By when it must have reported."""
    delay = DELAY_OF_HSS if wait.service == "hss" else DELAY
    first = _possible(record, wait, 0.0)
    pause = wait.pause(first) if first != NEVER else 0.0
    return min(_possible(record, wait, PAUSES * pause + delay), wait.deadline + delay)


def _possible(record: Record, wait: Wait, after: float) -> float:
    """When it could look and see the end for so many seconds altogether."""
    for start, end in _open(wait, _begins(record, wait)):
        if end - start > after or end == NEVER:
            return start + after
        after -= end - start
    return NEVER


def _in_vain(record: Record, wait: Wait, at: float) -> float:
    """For how many seconds it could have been reported before that."""
    open_for = sum(max(min(end, at) - start, 0.0) for start, end in _open(wait, _begins(record, wait)))
    return max(open_for, at - wait.deadline)


def _begins(record: Record, wait: Wait) -> float:
    return max(record.arrivals[wait.number] - record.began, wait.not_before)


def _open(wait: Wait, begins: float) -> Iterator[tuple[float, float]]:
    for window in wait.shows:
        if window.end > begins:
            yield max(window.start, begins), window.end


def _planned(wait: Wait) -> str:
    def told(window: Window) -> str:
        return f"{window.verdict} from {window.start:.1f} to {window.end:.1f}"

    shows = ", ".join(map(told, wait.shows)) or "no end"
    return f"{shows}; arrives {wait.arrives:.1f}, deadline {wait.deadline:.1f}"


# --- what is left ---------------------------------------------------------------------------------------------------


def _judge_stops(record: Record, found: Judgement) -> None:
    for pid in record.asked_pids:
        left = record.stopped.get(pid, -1)
        if left < 0:
            found.problems["stops"].append("a triggerer that was asked to stop did not")
        elif left:
            found.problems["tasks"].append(f"{left} tasks were left behind by a triggerer that stopped")


def _judge_leaks(record: Record, found: Judgement) -> None:
    """Each triggerer at its end, against what it held before its first wait."""
    by_pid: dict[int, list[Sample]] = defaultdict(list)
    for sample in record.samples:
        by_pid[sample.pid].append(sample)
    for samples in by_pid.values():
        first, last = samples[0], samples[-1]
        if last.at < record.ended + 1:
            continue  # killed, or stopped, while waits were in it
        before = min(
            (sample.tasks for sample in by_pid[_oldest(record)] if not sample.waits), default=first.tasks
        )
        found.sockets += last.sockets
        found.tasks += max(last.tasks - before, 0)
        if last.sockets:
            found.problems["sockets"].append(f"{last.triggerer}: {last.sockets} sockets are open")
        if last.tasks > before:
            found.problems["tasks"].append(
                f"{last.triggerer}: {last.tasks} tasks, {before} before the first wait"
            )


def _oldest(record: Record) -> int:
    return next(sample.pid for sample in record.samples if sample.triggerer == STEADY)


def _judge_memory(record: Record, found: Judgement) -> None:
    """How the memory of the triggerer that stays grows while as many waits come as go.

    By the median of all slopes between two samples: a reply that is too large takes 16 MiB for some seconds.
    """
    first = record.began + WARM_UP * record.settings.seconds
    last = record.began + record.settings.last_arrival
    samples = [each for each in record.samples if each.triggerer == STEADY and first <= each.at <= last]
    if not samples or samples[-1].at - samples[0].at < SHORTEST:
        return
    some = samples[:: len(samples) // MOST_SAMPLES + 1]
    found.slope = median((b.rss - a.rss) / 1024 / (b.at - a.at) * 60 for a, b in combinations(some, 2))
    if found.slope > FLAT:
        found.problems["memory"].append(f"it grows by {found.slope:.0f} KiB a minute")
