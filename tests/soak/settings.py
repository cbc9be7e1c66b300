"""How long, how many, and by which dice: the settings of a soak."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Settings:
    """What a soak is asked for; all that happens by chance follows from the seed.

    :param seconds: how long it runs. It goes on a little for waits that are late.
    :param waits: how many waits are started in that time.
    :param seed: the same one makes the same plan.
    """

    seconds: float = 600.0
    waits: int = 2000
    seed: int = 1

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read SOAK_SECONDS, SOAK_WAITS and SOAK_SEED; without a seed there is a new one each time.

        :raises ValueError: for one that is no number, or too small to mean anything.
        """
        seconds, waits = float(env.get("SOAK_SECONDS") or 600), int(env.get("SOAK_WAITS") or 2000)
        if seconds < 10 or waits < 20:
            raise ValueError("A soak takes 10 seconds and 20 waits at the least.")
        return cls(seconds, waits, int(env.get("SOAK_SEED") or random.randrange(1, 10**6)))

    @property
    def last_arrival(self) -> float:
        """Seconds after the beginning at which the last wait is started."""
        return 0.8 * self.seconds

    @property
    def last_end(self) -> float:
        """Seconds after the beginning at which the last run has ended and the last deadline has passed."""
        return 0.93 * self.seconds

    @property
    def restarts(self) -> int:
        """How often a triggerer goes down and comes back."""
        return max(1, round(self.seconds / 45))
