"""What goes wrong, and when: drawn before the beginning, so that the same seed makes the same trouble."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.soak.settings import Settings

SERVICES = ("mrs", "dataarts", "coc", "hss", "iam")
#: Seconds between two handfuls of faults.
EVERY = 4.0
#: More than is taken of a reply.
HUGE = 17 * 1024 * 1024
#: None of these says anything of a run, though some are good JSON.
UNREADABLE = (
    "<html>busy</html>",
    "not json",
    "",
    "[]",
    "{}",
    "null",
    '{"state": ',
    '{"is_synchronizing": "no"}',
)


@dataclass(frozen=True)
class Step:
    """Something to do at a time.

    :param at: seconds after the beginning.
    :param what: ``faults`` (what is armed until the next ones), ``revoke``, or ``restart``.
    :param details: the faults; or of a restart how, how long it is down, and the share of its waits that move.
    """

    at: float
    what: str
    details: Any = None


@dataclass(frozen=True)
class Restart:
    """One triggerer goes down and comes back.

    :param gently: whether it is asked to, instead of killed.
    :param down: seconds until it is started again.
    :param moves: the share of its waits that another one goes on with.
    """

    gently: bool
    down: float
    moves: float


def make_steps(settings: Settings) -> list[Step]:
    """All trouble, in order."""
    rng = random.Random(settings.seed + 1)
    steps = [*_faults(settings, rng), *_restarts(settings, rng)]
    pause = max(settings.seconds / 9, 8.0)
    at = rng.uniform(0.5, 1.0) * pause
    while at < settings.last_end:
        steps.append(Step(at, "revoke"))
        at += rng.uniform(0.6, 1.4) * pause
    return sorted(steps, key=lambda step: step.at)


def _faults(settings: Settings, rng: random.Random) -> list[Step]:
    steps = []
    at = 0.5
    first = True
    while at < settings.last_end:
        outage = rng.random() < 0.04
        faults = [_outage(rng)] if outage else [_fault(rng) for _ in range(rng.randint(4, 9))]
        if first:
            # They are rare, and a short soak is to have some, too.
            faults += [{"match": {"service": service}, "huge": HUGE} for service in ("mrs", "dataarts")]
        steps.append(Step(at, "faults", faults))
        first = False
        at += EVERY
    return steps


def _outage(rng: random.Random) -> dict[str, Any]:
    """A service, or all of them, for as long as it stays armed."""
    match = {"service": rng.choice(SERVICES)} if rng.random() < 0.8 else {}
    how = rng.choice(({"status": 503}, {"status": 502}, {"reset": True}))
    return {"match": match, "times": None, **how}


def _fault(rng: random.Random) -> dict[str, Any]:
    """One that strikes some request among the next."""
    kinds: list[tuple[dict[str, Any], float]] = [
        ({"status": rng.choice((500, 502, 503, 504))}, 25),
        # The quota that it tells is kept to from then on, so it must be one that leaves room for a thousand waits.
        ({"throttle": {"limit": 1000, "window": f"{rng.randint(1, 8)} second"}}, 10),
        ({"throttle": {"limit": 1000, "window": "1 minute"}, "retry_after": rng.randint(1, 5)}, 8),
        ({"reset": True}, 14),
        ({"stall": 60}, 8),
        ({"truncate": True}, 12),
        ({"raw": rng.choice(UNREADABLE)}, 14),
        ({"delay": rng.uniform(0.2, 2.5)}, 10),
        ({"huge": HUGE}, 0.5),
    ]
    how = rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
    after = "delay" in how or "truncate" in how or "reset" in how
    return {
        "match": {"service": rng.choices(SERVICES, (10, 7, 5, 1, 3))[0]},
        "when": rng.choice(("before", "after")) if after else "before",
        "skip": rng.randint(0, 40),
        "times": rng.choice((1, 1, 1, 2, 3)),
        **how,
    }


def _restarts(settings: Settings, rng: random.Random) -> list[Step]:
    each = (settings.last_end - 0.15 * settings.seconds) / settings.restarts
    steps = []
    for number in range(settings.restarts):
        at = 0.15 * settings.seconds + (number + rng.uniform(0.2, 0.8)) * each
        # The first one is killed: a short soak has no more than that.
        down = rng.uniform(0.2, min(4.0, settings.seconds / 20))
        restart = Restart(number > 0 and rng.random() < 0.35, down, rng.choice((0.0, 0.0, 0.3)))
        steps.append(Step(at, "restart", restart))
    return steps
