"""Quota that the text of a throttled call names: calls in a window of time."""

from __future__ import annotations

import re

#: No pause is longer, whatever a reply asks for: a typing error in a header must not stop a wait for a day (seconds).
LONGEST = 600.0
#: A call in each second needs no more patience than that: the vendor advises 2 to 5 s.
_SHORTEST = 2.0
_IS = r"\s*[:\uff1a=]\s*"
_WINDOW = re.compile(
    rf"(?:time|period|window|\u65f6\u95f4|\u5468\u671f){_IS}(?P<number>\d+(?:\.\d+)?)?\s*"
    r"(?P<unit>milliseconds?|millis|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
    rf"|(?:time|period|window|\u65f6\u95f4|\u5468\u671f){_IS}(?P<amount>\d+(?:\.\d+)?)?\s*"
    r"(?P<sign>\u6beb\u79d2|\u79d2|\u5206|\u5c0f\u65f6|\u65f6|\u5929|\u65e5)",
    re.IGNORECASE,
)
_LIMIT = re.compile(rf"(?:limit|\u9650\u5236|\u6b21\u6570){_IS}(\d{{1,6}})\b", re.IGNORECASE)
#: By the beginning of a unit, the longer ones first.
_SECONDS = {
    "milli": 0.001,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "\u6beb": 0.001,
    "\u79d2": 1.0,
    "\u5206": 60.0,
    "\u5c0f": 3600.0,
    "\u65f6": 3600.0,
    "\u5929": 86400.0,
    "\u65e5": 86400.0,
}


def throttle_window(text: str) -> float | None:
    """Seconds to wait after a throttle message such as ``limit:60,time:1 minute``; None where it names no window.

    The vendor's advice is the whole window, and 2 to 5 s where that is one second. A window of hours is no reason to
    be blind for hours: 10 minutes is the most.
    """
    match = _WINDOW.search(text)
    if match is None:
        return None
    unit = (match["unit"] or match["sign"]).lower()
    seconds = next(each for start, each in _SECONDS.items() if unit.startswith(start))
    return min(max(float(match["number"] or match["amount"] or 1) * seconds, _SHORTEST), LONGEST)


def throttle_limit(text: str) -> int | None:
    """Return the calls that a throttle message allows in its window; None where it names no number."""
    match = _LIMIT.search(text)
    return int(match[1]) if match else None
