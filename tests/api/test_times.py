"""Times as services send them, and how two of them compare."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.clocks import ServiceClock, age_s
from airflow_provider_cloudsync.api.times import (
    as_text,
    earliest_ms,
    epoch_ms,
    has_moved,
    http_date,
    is_unreadable,
    iso,
    lacks_zone,
    ms_or_none,
    read_service_time,
)

MS = 1_710_901_516_000
HOUR = 3_600_000
WALL = "2024-03-20 02:25:16"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(MS, MS, id="ms"),
        pytest.param(MS // 1000, MS, id="s"),
        pytest.param(str(MS), MS, id="ms as text"),
        pytest.param("2024-03-20T02:25:16", None, id="without a zone"),
        pytest.param("2024-03-20T02:25:16Z", MS, id="zulu"),
        pytest.param("2024-03-20T10:25:16.000+08:00", MS, id="another zone"),
        pytest.param("2024-03-20 02:25:16 UTC", MS, id="with blanks"),
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param(0, None, id="zero"),
        pytest.param("0", None, id="zero as text"),
        pytest.param(-1, None, id="negative"),
        pytest.param(True, None, id="flag"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param(10**400, None, id="beyond measure"),
        pytest.param(MS * 1000, MS, id="microseconds"),
        pytest.param(MS * 10**6, MS, id="nanoseconds"),
        pytest.param("Wed, 20 Mar 2024 02:25:16 GMT", MS, id="an HTTP date"),
        pytest.param("2024/03/20 10:25:16 +0800", MS, id="slashes"),
        pytest.param("2024-03-20T02:25:16,000Z", MS, id="a comma"),
        pytest.param("2024-02-31T02:25:16Z", None, id="no such day"),
        pytest.param("soon", None, id="text"),
        pytest.param({}, None, id="object"),
        pytest.param([MS], None, id="list"),
    ],
)
def test_ms_or_none(value, expected):
    assert ms_or_none(value) == expected


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.none(), st.lists(st.integers())))
@settings(max_examples=300, deadline=None)
def test_a_service_s_time_is_ms_or_none(value):
    found = ms_or_none(value)
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MS, "2024-03-20T02:25:16+00:00"),
        (MS + 999, "2024-03-20T02:25:16+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
        (10**18, "1000000000000000000 ms"),
        (10**400, f"{10**400} ms"),
    ],
    ids=["a time", "fractions", "the epoch", "too large", "beyond measure"],
)
def test_iso(value, text):
    assert iso(value) == text


@given(st.integers(10**12, 10**13 - 1))
@settings(max_examples=100, deadline=None)
def test_iso_is_read_back_to_the_second(ms):
    assert epoch_ms(iso(ms), "t") == ms // 1000 * 1000


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (MS, MS + 1, True),
        (MS, MS, False),
        (MS, MS - 1, False),
        (None, MS, True),
        (MS, None, False),
        (None, None, False),
        (WALL, "2024-03-20 02:25:17", True),
        (WALL, "2024-03-20T02:25:16.000", False),
        (WALL, "2024-03-20 02:25:15", False),
        (WALL, MS + HOUR, None),
        (MS, "2024-03-20 12:00:00", None),
        ("soon", "later", True),
        ("soon", "soon", False),
        ("soon", WALL, None),
        (MS, "soon", None),
    ],
)
def test_whether_a_time_has_moved(before, after, moved):
    assert has_moved(before, after) is moved


@pytest.mark.parametrize(
    ("value", "zoneless", "unreadable", "earliest", "text"),
    [
        (MS, False, False, MS, "2024-03-20T02:25:16+00:00"),
        (WALL, True, False, MS - 14 * HOUR, "'2024-03-20 02:25:16' (no time zone)"),
        ("2024-03-20 10:25:16 CST", False, True, None, "'2024-03-20 10:25:16 CST' (not readable)"),
        ("soon", False, True, None, "'soon' (not readable)"),
        (None, False, False, None, "never"),
        (
            "Wed Mar 20 02:25:16 2024",
            True,
            False,
            MS - 14 * HOUR,
            "'Wed Mar 20 02:25:16 2024' (no time zone)",
        ),
        ("Wed, 20 Mar 2024 02:25:16 GMT", False, False, MS, "2024-03-20T02:25:16+00:00"),
        (20240320, False, True, None, "'20240320' (not readable)"),
    ],
)
def test_what_is_certain_of_a_time(value, zoneless, unreadable, earliest, text):
    time = read_service_time(value)
    assert lacks_zone(time) is zoneless
    assert is_unreadable(time) is unreadable
    assert earliest_ms(time) == earliest
    assert as_text(time) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 20 Mar 2024 02:25:16 GMT", MS / 1000),
        ("Wed, 20 Mar 2024 02:25:16 -0000", MS / 1000),
        ("Wed, 20 Mar 2024 02:25:16", MS / 1000),
        ("Wed, 20 Mar 2024 10:25:16 +0800", MS / 1000),
        ("Wednesday, 20-Mar-24 02:25:16 GMT", MS / 1000),
        ("", None),
        ("soon", None),
        ("Wed, 99 Mar 2024 02:25:16 GMT", None),
    ],
)
def test_a_date_header_is_utc_whatever_this_machine_s_zone(text, seconds, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    import time

    time.tzset()
    try:
        assert http_date(text) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("date", "sent", "received", "ahead"),
    [
        # id: Date in whole seconds, so a second and the time that the reply took explain a difference
        (1000.0, 1000.2, 1000.9, 0.0),
        (1000.0, 999.9, 1030.0, 0.0),
        (1000.0, 1060.0, 1060.0, 59.0),
        (1000.0, 940.0, 940.0, -60.0),
        (1000.0, 1002.0, 1004.0, 1.0),
        (1000.0, 1003.0, 1033.0, 2.0),
        (1000.0, 910.0, 940.0, -60.0),
        (None, 1.0, 2.0, 0.0),
        (1000.0, None, None, 0.0),
    ],
)
def test_how_far_this_machine_s_clock_is_ahead(date, sent, received, ahead):
    clock = ServiceClock.measured(date, sent, received)
    assert clock.ahead == ahead
    assert clock.now == (None if date is None else round(date * 1000))


@pytest.mark.parametrize(
    ("time", "now", "own", "since", "age"),
    [
        (MS, MS + 60_000, MS / 1000 + 50, None, 50),
        (MS, MS + 50_000, MS / 1000 + 60, None, 50),
        (MS, None, MS / 1000 + 60, None, 60),
        (MS, MS + 60_000, MS / 1000 + 60, MS / 1000 + 57, 3),
        (MS, MS - 60_000, MS / 1000 + 60, None, 0),
        (WALL, MS + 60_000, MS / 1000 + 60, None, 0),
        (None, MS, MS / 1000, None, 0),
    ],
)
def test_the_age_is_the_least_that_any_witness_shows(time, now, own, since, age):
    assert age_s(time, ServiceClock(now), own, since) == age
