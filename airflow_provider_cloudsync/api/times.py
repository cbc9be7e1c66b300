"""Points in time: those that users give, and those that services send.

A user's time is read strictly: whatever is not clearly a time is refused. A service's time is read leniently, since the
documents state neither unit nor time zone (fact sheet, sections 3 to 6): numbers or their text, in seconds or finer,
ISO 8601 text, HTTP dates. A service's time without a time zone can be up to 14 hours off, so it stays text:
`instant_ms` does not read it, and `has_moved` compares it only with another of its kind.
"""

from __future__ import annotations

import calendar
import contextlib
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from airflow_provider_cloudsync.api.text import one_line, shown
from airflow_provider_cloudsync.exceptions import InvalidParameter

#: From 2001 to 2286, in seconds and in milliseconds. Another number is something else, such as a date in digits.
_FROM, _TO, _MS_FROM, _MS_TO = 10**9, 10**10, 10**12, 10**13
#: A service's number may be finer: microseconds and nanoseconds of the same years, divided by this.
_FINER = ((10**15, 10**16, 10**3), (10**18, 10**19, 10**6))
#: The time zones of the world are at most so many hours behind and ahead of UTC.
HOURS_BEHIND, HOURS_AHEAD = 12, 14
_HOUR_MS = 3_600_000
_DATE_TIME = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r" ?(Z|z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_ZONE = re.compile(r"Z|z|UTC|GMT|[+-]\d{2}:?[0-5]\d")

#: A service's time: milliseconds since the epoch where that is certain; its text where it has no time zone or cannot be
#: read; None where there is none.
ServiceTime = int | str | None


def epoch_ms(value: Any, name: str) -> int:
    """A user's point in time as milliseconds since the epoch.

    :param value: a datetime (without a zone it counts as UTC), ISO 8601 text, or a number or its text: seconds since
        the epoch, or milliseconds.
    :param name: of the parameter, for the error.
    :raises InvalidParameter: for anything else.
    """
    if isinstance(value, str):
        text = value.strip()
        # Eight digits are a date, as {{ ds_nodash }} renders it, and no number of seconds.
        is_number = text.replace(".", "", 1).isdecimal() and len(text) != 8
        with contextlib.suppress(ValueError):
            value = float(text) if is_number else datetime.fromisoformat(text)
    if isinstance(value, datetime):
        # In whole numbers: as a float, the last millisecond would be lost now and then.
        moment: datetime = value
        with contextlib.suppress(OverflowError):  # the years 1 and 9999 in some zones
            moment = value.astimezone(UTC) if value.tzinfo else value
        return calendar.timegm(moment.timetuple()) * 1000 + moment.microsecond // 1000
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_time(value):
        return round(value if value >= _MS_FROM else value * 1000)
    raise InvalidParameter(
        f"{name} must be a point in time: a datetime, ISO 8601 text such as 2026-01-31T08:00:00+00:00, or seconds or "
        f"milliseconds since the epoch; not {shown(value)}."
    )


def ms_or_none(value: Any) -> int | None:
    """A service's time as milliseconds since the epoch; None where there is none, or none that is certain."""
    return instant_ms(read_service_time(value))


def read_service_time(value: Any, zone_ms: int | None = None) -> ServiceTime:
    """Read a field of a reply that holds a time, in whichever form the service sends it.

    :param value: null, an empty text and 0 mean that there is none.
    :param zone_ms: milliseconds by which times without a time zone are ahead of UTC; None: not known.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _number_ms(value) if value else None
    if not isinstance(value, str):
        return one_line(repr(value), 60) if value else None
    text = value.strip()
    if not text or text.lower() in ("null", "none", "-"):
        return None
    if text.replace(".", "", 1).isdecimal():
        number = float(text) if "." in text else int(text[:20])
        return _number_ms(number) if number else None
    parsed = _parse(text)
    if parsed is not None and (parsed[1] or zone_ms is not None):
        return parsed[0] if parsed[1] else parsed[0] - (zone_ms or 0)
    return one_line(text, 60)


def zone_offset_ms(text: str) -> int | None:
    """Milliseconds by which a time zone is ahead of UTC; None if it is none.

    :param text: ``Z``, ``UTC`` or an offset such as ``+08:00``.
    """
    found = _ZONE.fullmatch(text.strip())
    if found is None:
        return None
    offset = _offset_ms(found[0])
    return offset if -HOURS_BEHIND * _HOUR_MS <= offset <= HOURS_AHEAD * _HOUR_MS else None


def instant_ms(time: ServiceTime) -> int | None:
    """Milliseconds since the epoch of a service's time; None where there is none, or where it has no time zone."""
    return time if isinstance(time, int) else None


def earliest_ms(time: ServiceTime) -> int | None:
    """The earliest instant that a service's time can mean: without a time zone it may be 14 hours earlier than in UTC.

    :return: None where it cannot be read at all.
    """
    if isinstance(time, str):
        wall = _wall_ms(time)
        return None if wall is None else wall - HOURS_AHEAD * _HOUR_MS
    return time


def lacks_zone(time: ServiceTime) -> bool:
    """Return whether it is a readable time without a time zone."""
    return isinstance(time, str) and _wall_ms(time) is not None


def is_unreadable(time: ServiceTime) -> bool:
    """Return whether something is there that is no time in any known form."""
    return isinstance(time, str) and _wall_ms(time) is None


def order_ms(time: ServiceTime) -> int | None:
    """A number that orders a service's times of one form: without a time zone, as if it were UTC."""
    return _wall_ms(time) if isinstance(time, str) else time


def has_moved(before: ServiceTime, after: ServiceTime) -> bool | None:
    """Return whether a service's time is later than it was; None where the two cannot be compared.

    :param before: None: there was none, so that any time is later.
    """
    if after is None:
        return False
    if before is None:
        return True
    if isinstance(before, int) and isinstance(after, int):
        return after > before
    if before == after:
        return False
    if isinstance(before, str) and isinstance(after, str):
        first, second = _wall_ms(before), _wall_ms(after)
        if first is None and second is None:
            return True  # texts of no known form: all that can be seen is that it is another one
        if first is not None and second is not None:
            return second > first
    return None


def iso(ms: int, *, exactly: bool = False) -> str:
    """Milliseconds since the epoch as ISO 8601 text in UTC.

    :param exactly: to the millisecond.
    """
    try:
        moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
        return moment.isoformat(timespec="milliseconds" if exactly else "seconds")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def as_text(time: ServiceTime) -> str:
    """A service's time for a message."""
    if isinstance(time, int):
        return iso(time)
    if time is None:
        return "never"
    return f"{shown(time)} (no time zone)" if lacks_zone(time) else f"{shown(time)} (not readable)"


def http_date(text: str) -> float | None:
    """Seconds since the epoch of a ``Date`` header; None where it is none. Without a time zone it is UTC (RFC 9110)."""
    return _http_date(text) if text else None


@lru_cache(maxsize=16)  # a thousand replies of one second have the same
def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number_ms(number: float) -> ServiceTime:
    if _is_time(number):
        return round(number if number >= _MS_FROM else number * 1000)
    for least, most, parts in _FINER:
        if least <= number < most:
            return int(number // parts)
    return one_line(repr(number), 60)


@lru_cache(maxsize=1024)  # each poll reads the same times of the same rows
def _parse(text: str) -> tuple[int, bool] | None:
    """Milliseconds since the epoch (without a time zone, as if in UTC), and whether there is a time zone."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return _parse_in_words(text) if text[:1].isalpha() else None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    numbers = (int(each or 0) for each in (year, month, day, hour, minute, second))
    try:
        wall = calendar.timegm(datetime(*numbers, tzinfo=UTC).timetuple()) * 1000  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    wall += int((fraction or "0").ljust(3, "0")[:3])
    if not zone:
        return wall, False
    return wall - _offset_ms(zone), True


def _parse_in_words(text: str) -> tuple[int, bool] | None:
    """Return the same for a date such as ``Wed, 20 Mar 2024 02:25:16 GMT``."""
    moment = _http_date(text)
    if moment is None:
        return None
    has_zone = parsedate_to_datetime(text).tzinfo is not None or text.endswith("-0000")
    return round(moment * 1000), has_zone


def _offset_ms(zone: str) -> int:
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (1 if zone[0] == "+" else -1) * minutes * 60_000


def _wall_ms(text: str) -> int | None:
    parsed = _parse(text)
    return None if parsed is None or parsed[1] else parsed[0]


def _is_time(number: float) -> bool:
    return _FROM <= number < _TO or _MS_FROM <= number < _MS_TO
