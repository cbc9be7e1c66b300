"""The service's clock, as its replies show it, and what follows for times that users give.

Freshness is measured on the service's clock. A user's time, such as the start of a DAG run, comes from Airflow's clock.
Signatures pass with up to 15 minutes between the two, so the difference is measured at each reply and corrected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_cloudsync.api.times import (
    ServiceTime,
    earliest_ms,
    has_moved,
    instant_ms,
    iso,
    lacks_zone,
    order_ms,
)

#: Seconds between the clocks. Below the first nothing is corrected, since ``Date`` has whole seconds. From the second
#: on there is a warning. Where a machine is further ahead than the third, a run that counts only by the corrected time
#: is refused. Rows and ``Date`` of one service differ by no more than the third.
_NEGLIGIBLE, _NOTABLE, _INTOLERABLE = 2.0, 5.0, 60.0
#: Keys in the baseline of a ticket that watches: the difference of the clocks in seconds, where its bound was given;
#: that another machine polls from now on, so that the difference stays as it is; that the bound is a time of the
#: service itself; what the first poll of the wait showed.
AHEAD_KEY, FIXED_KEY, OWN_TIME_KEY, FIRST_KEY = "clock_ahead", "clock_fixed", "service_time", "first"


@dataclass(frozen=True, slots=True)
class ServiceClock:
    """The service's clock at one reply.

    :param now: its ``Date`` in milliseconds since the epoch; None where the reply has none.
    :param ahead: seconds by which this machine's clock is ahead of it, negative where it is behind; 0 where the time
        that the reply took explains the difference.
    """

    now: int | None = None
    ahead: float = 0.0

    @classmethod
    def measured(cls, date: float | None, sent_at: float | None, received_at: float | None) -> ServiceClock:
        """The clock that a reply shows.

        :param date: its ``Date``, seconds since the epoch.
        :param sent_at: when the request was sent, and
        :param received_at: when its reply was there, by this machine's clock.
        """
        if date is None:
            return cls()
        ahead = 0.0
        if sent_at is not None and received_at is not None:
            # Date is cut to whole seconds, and may be of any moment between the two.
            least, most = sent_at - date - 1.0, received_at - date
            # A slow reply shows less, never more.
            ahead = max(least, 0.0) or min(most, 0.0)
        return cls(round(date * 1000), ahead)


#: Of a reply that shows none.
NO_CLOCK = ServiceClock()


@dataclass(frozen=True, slots=True)
class Fresh:
    """Verdict whether a run counts for a wait that names the earliest run to accept.

    :param counts: None: the clocks differ too much to tell.
    :param warning: for the user.
    """

    counts: bool | None
    warning: str = ""


def is_fresh(
    baseline: Mapping[str, Any], after: int | None, time: ServiceTime, clock: ServiceClock, key: str = ""
) -> Fresh:
    """Return whether a service's time is not before the earliest one that a user accepts.

    :param baseline: of the ticket; see `learn_clock`.
    :param after: the user's time in milliseconds since the epoch; None: any run counts.
    :param time: of the run, as the service shows it.
    :param clock: the service's clock at this poll.
    :param key: of the row that the time is of, where there are several.
    """
    if after is None:
        return Fresh(True)
    if baseline.get(OWN_TIME_KEY):
        order = order_ms(time)
        return Fresh(order is not None and order >= after)
    # Where the machine that read the user's time measured nothing, it may be right, or wrong like the present one. So
    # only a correction that makes the bound stricter is applied.
    ahead = baseline.get(AHEAD_KEY, min(clock.ahead, 0.0) if baseline.get(FIXED_KEY) else clock.ahead)
    warning = ""
    uncorrected = after
    if abs(ahead) >= _NEGLIGIBLE:
        after -= round(ahead * 1000)
    if abs(ahead) >= _NOTABLE:
        side = "ahead of" if ahead > 0 else "behind"
        warning = (
            f"This machine's clock is {abs(ahead):.0f} s {side} the cloud's clock. The earliest run to accept is "
            f"corrected to {iso(after)}. Set the clock."
        )
    instant = instant_ms(time)
    if ahead > _INTOLERABLE and instant is not None and after <= instant < uncorrected:
        # Date may be wrong in place of this machine's clock, and the two disagree on this run only.
        return Fresh(None, f"This machine's clock is {ahead:.0f} s ahead of the cloud's clock.")
    if instant is not None:
        return Fresh(instant >= after, warning)
    if not lacks_zone(time):
        return Fresh(False, warning)
    earliest = earliest_ms(time)
    assert earliest is not None
    if earliest >= after or _began_during_the_wait(baseline, after, time, key):
        return Fresh(True, warning)
    return Fresh(
        False,
        f"The service's time {time} has no time zone and can be 14 h off, so it cannot be compared with {iso(after)}. "
        f"A run counts once its time changes during this wait. Set service_time_zone in the connection if you know the "
        f"zone. {warning}".strip(),
    )


def learn_clock(
    baseline: Mapping[str, Any], after: int | None, times: Mapping[str, ServiceTime], clock: ServiceClock
) -> Mapping[str, Any]:
    """The baseline of a ticket that watches, with what its first poll shows.

    That is the difference of the clocks on the machine where the user's time was read, and times without a time zone,
    to see them change.

    :param times: of each row that the wait is about.
    """
    if after is None or baseline.get(OWN_TIME_KEY):
        return baseline
    learned: dict[str, Any] = {}
    known = baseline.get(AHEAD_KEY)
    is_measurable = clock.now is not None and not baseline.get(FIXED_KEY)
    if is_measurable and (known is None or abs(clock.ahead) < abs(known)):
        # One Date may be wrong; what two clocks agree on is the least that any reply shows.
        learned[AHEAD_KEY] = clock.ahead
    if not _saw_before(baseline, after) and any(lacks_zone(time) for time in times.values()):
        learned[FIRST_KEY] = {"now": clock.now, "times": dict(times)}
    return {**baseline, **learned} if learned else baseline


def has_moved_since(before: ServiceTime, after: ServiceTime, taken: int | None) -> bool:
    """Return whether a service's time is later than it was in the baseline.

    :param before: None: the baseline had none, which may have been a gap. Then the time has to be of the time since.
    :param taken: the service's clock when the baseline was taken, in ms; None: not known.
    """
    if before is None and after is not None and taken is not None:
        earliest = earliest_ms(after)
        return earliest is not None and earliest >= taken - _INTOLERABLE * 1000
    return has_moved(before, after) is True


def lag_left(
    lag: float, time: ServiceTime, clock: ServiceClock, now: float, since: float | None = None
) -> float:
    """Seconds for which a service may still show the state of the run before, at most `lag`.

    The machine that wrote the time may be behind that of ``Date`` by a minute, so a young run is given all of `lag`.

    :param lag: seconds by which the state may lag behind the time of its run.
    :param time: of the run; see `age_s` for the others.
    """
    return min(max(lag + _INTOLERABLE - age_s(time, clock, now, since), 0.0), lag)


def age_s(time: ServiceTime, clock: ServiceClock, now: float, since: float | None = None) -> float:
    """Seconds since a service's time, as few as any witness shows; 0 where that is not certain.

    One difference is not relied upon: ``Date`` and a row may be written by machines whose clocks differ.

    :param now: this machine's clock, seconds since the epoch.
    :param since: the time cannot be earlier than this, such as the start; None: nothing is known of that.
    """
    instant = instant_ms(time)
    if instant is None:
        return 0.0
    witnesses = [now - instant / 1000]
    if clock.now is not None:
        witnesses.append((clock.now - instant) / 1000)
    if since is not None:
        witnesses.append(now - since)
    return max(min(witnesses), 0.0)


def handed_over(baseline: Mapping[str, Any], *, lost: bool = False) -> Mapping[str, Any]:
    """The baseline of a ticket that another machine goes on with: its clock is not the one to be measured.

    :param lost: whether all polls of this machine were lost, so that nothing was measured.
    """
    return {**baseline, FIXED_KEY: True} if lost or AHEAD_KEY in baseline else baseline


def _began_during_the_wait(baseline: Mapping[str, Any], after: int, time: ServiceTime, key: str) -> bool:
    """Return whether a time changed since the first poll, which was not before the earliest run to accept."""
    if not _saw_before(baseline, after):
        return False
    times = baseline[FIRST_KEY].get("times", {})
    return key in times and has_moved(times[key], time) is True


def _saw_before(baseline: Mapping[str, Any], after: int) -> bool:
    """Return whether the first poll is known, and was not before the earliest run to accept."""
    first = baseline.get(FIRST_KEY)
    # Date has whole seconds.
    return isinstance(first, Mapping) and first.get("now") is not None and first["now"] + 1000 > after
