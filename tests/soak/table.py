"""What a soak prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from tests.soak.judge import FLAT, Judgement
from tests.soak.record import Record
from tests.soak.targets import TOKEN_SECONDS
from tests.soak.triggerers import STEADY

#: So many problems of a kind are told one by one.
TOLD = 10


def table(record: Record, found: Judgement) -> str:
    """All that was held, and what was not."""
    rows = list(_rows(record, found))
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    lines = [f"{name:{widths[0]}}  {value:>{widths[1]}}  {more}".rstrip() for name, value, more in rows]
    for kind, problems in found.problems.items():
        lines += [f"{kind}: {problem}" for problem in problems[:TOLD]]
        if len(problems) > TOLD:
            lines.append(f"{kind}: and {len(problems) - TOLD} more")
    return "\n".join(lines)


def _rows(record: Record, found: Judgement) -> Iterator[tuple[str, str, str]]:
    plan, seconds = record.plan, record.ended - record.began
    services = Counter(wait.service for wait in plan.waits)
    at_once = f"{_most_at_once(record):,} at once, for {plan.targets} targets: {_listed(services)}"
    yield "waits", f"{len(plan.waits):,}", at_once
    for end, count in found.ends.most_common():
        yield f"  {end}", f"{count:,}", ""
    requests = record.requests.total()
    yield "requests", f"{requests:,}", f"{requests / seconds:.0f} a second, {record.throttled} over a quota"
    yield "faults", f"{record.faults.total():,}", _listed(record.faults)
    lives = f"lives of {TOKEN_SECONDS:.0f} s, {record.revocations} revocations"
    yield "sign-ins", f"{record.tokens:,}", f"{lives}, {record.rejected} requests with a token that had ended"
    caught = sum(record.killed) + sum(record.asked)
    restarts = (
        f"{len(record.killed)} killed, {len(record.asked)} asked to stop; {caught:,} waits were in them"
    )
    yield "restarts", str(len(record.killed) + len(record.asked)), restarts
    wrong = sum(len(found.problems[kind]) for kind in ("wrong", "early", "late", "never", "twice"))
    kinds = ", ".join(f"{kind} {len(found.problems[kind])}" for kind in ("early", "late", "never", "twice"))
    yield "wrong verdicts", str(wrong), f"{kinds}; the latest came {found.latest:.0f} s after it could"
    yield "starts", str(len(record.started)), "a wait starts nothing"
    yield "leaked sockets", str(found.sockets), ""
    yield "leaked tasks", str(found.tasks), f"{len(found.problems['stops'])} stops failed"
    yield "complaints", str(len(record.complaints)), "in the triggerers' logs"
    memory = max((sample.rss for sample in record.samples if sample.triggerer == STEADY), default=0) / 2**20
    slope = "-" if found.slope is None else f"{found.slope:+.0f}"
    flat = "too short to tell" if found.slope is None else f"flat is up to {FLAT:.0f}"
    yield "memory slope", slope, f"KiB a minute ({flat}), {memory:.0f} MiB at most"


def _most_at_once(record: Record) -> int:
    """The most waits that were open at the same time."""
    ends = {event.wait: event.at for event in record.events} | record.ended_by_user
    changes = [(at, 1) for at in record.arrivals.values()] + [(at, -1) for at in ends.values()]
    return max(accumulate(change for _, change in sorted(changes)), default=0)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
