"""Results of shared work that may be taken again, kept for all threads and event loops of a process."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

IsFresh = Callable[[Any], bool]
#: Stands where there is no result.
NOTHING = object()
#: From so many results on, those that are over are looked for.
_MANY = 64


class ResultCache:
    """Results that may be taken again, and when the work for them began.

    One for all loops and threads of a process: a key that one of them has seen rejected is rejected for all.
    """

    def __init__(self) -> None:
        self._results: dict[Hashable, tuple[float, Any, float]] = {}
        self._sweep_at = _MANY

    def __len__(self) -> int:
        return len(self._results)

    def clear(self) -> None:
        """Drop all results."""
        self._results.clear()
        self._sweep_at = _MANY

    def find(self, key: Hashable, now: float, max_age: float, is_fresh: IsFresh | None) -> Any:
        """A result that may be taken, or `NOTHING`. See `AsyncSingleFlight.get`."""
        kept = self._results.get(key)
        if kept is None:
            return NOTHING
        fits = is_fresh(kept[1]) if is_fresh else now - kept[0] <= max_age
        return kept[1] if fits else NOTHING

    def keep(self, key: Hashable, began: float, result: Any, max_age: float | None) -> None:
        """Keep a result.

        :param max_age: seconds after which nobody takes it any more; None: it is asked itself.
        """
        self._results[key] = (began, result, math.inf if max_age is None else began + max_age)
        if len(self._results) >= self._sweep_at:
            # A thousand clusters a day are looked up, each once or twice.
            for over in [each for each, (_, _, ends) in list(self._results.items()) if ends < began]:
                self._results.pop(over, None)
            self._sweep_at = max(_MANY, 2 * len(self._results))
