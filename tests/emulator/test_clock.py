"""The four kinds of time: emulated, the gateway's, that of credentials, and the wall's."""

from __future__ import annotations

import pytest

from airflow_provider_cloudsync.emulator.clock import Clock, instant


class Hands:
    """A wall clock and a tick counter that a test moves, apart if it likes."""

    def __init__(self):
        self.wall, self.ticks = 1_000_000.0, 50.0

    def clock(self, **options):
        return Clock(wall=lambda: self.wall, ticks=lambda: self.ticks, **options)

    def pass_by(self, seconds):
        self.wall += seconds
        self.ticks += seconds


@pytest.mark.parametrize(
    ("options", "now", "gateway"),
    [
        ({}, 1_000_010, 1_000_010),
        ({"speed": 60}, 1_000_600, 1_000_010),
        ({"speed": 0.5}, 1_000_005, 1_000_010),
        ({"stepped": True}, 1_000_000, 1_000_000),
        ({"stepped": True, "start": 5}, 5, 5),
        ({"start": 5, "speed": 2}, 25, 1_000_010),
    ],
)
def test_ten_seconds_later(options, now, gateway):
    hands = Hands()
    clock = hands.clock(**options)
    hands.pass_by(10)
    assert (clock.now(), clock.gateway_now(), clock.credential_now()) == (now, gateway, gateway)
    assert clock.advance(7) == now + 7
    assert clock.gateway_now() == (gateway + 7 if clock.stepped else gateway)
    assert clock.credential_now() == gateway + 7


def test_restart_comes_back_to_the_wall_time():
    hands = Hands()
    clock = hands.clock(speed=60)
    clock.advance(1000)
    hands.pass_by(10)
    clock.restart()
    assert clock.now() == clock.credential_now() == clock.started == 1_000_010


def test_a_wall_clock_that_is_set_back_does_not_turn_time_back():
    hands = Hands()
    clock = hands.clock()
    hands.wall -= 3600
    hands.ticks += 1
    assert clock.now() == 1_000_001


def test_sums_in_another_order_are_the_same_instant():
    start = 1_795_248_000.0
    assert start + 0.7 + 0.2 + 0.4 != start + (0.7 + 0.2 + 0.4), "else this shows nothing"
    assert instant(instant(start + 0.7 + 0.2) + 0.4) == instant(start + (0.7 + 0.2 + 0.4))


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_no_such_speed(speed):
    with pytest.raises(ValueError, match="speed"):
        Clock(speed=speed)


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan"), 400 * 86_400])
def test_no_such_step(seconds):
    with pytest.raises(ValueError, match="seconds"):
        Clock(stepped=True).advance(seconds)
