"""Starting and waiting, with a scripted driver: no socket, and a clock that moves when a flow pauses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Pause, Shared
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Ticket
from airflow_provider_cloudsync.api.waiting import check, next_pause, until_done
from airflow_provider_cloudsync.exceptions import (
    ApiError,
    InvalidEvent,
    Throttled,
    TransportError,
    WaitTimedOut,
)

RUNNING = Progress(Phase.RUNNING, "on its way")
DONE = Progress(Phase.SUCCEEDED, "there")

CONSOLE = Console("its console", "mrs", "mrs")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scripted:
    """A service that ends some seconds after the start, or shows what it is told to."""

    clock: Clock
    ends_after: float = 1e9
    floor: float = 2.0
    console: Console = CONSOLE
    name: str = "scripted"
    errors: list = field(default_factory=list)
    warning: str = ""
    looks: list = field(default_factory=list)

    def describe(self, target):
        return "It"

    def key(self, target):
        return "it"

    def observe(self, cloud, target):
        self.looks.append(self.clock.now)
        if self.errors:
            error = self.errors.pop(0)
            if error:
                raise error
        return self.clock.now
        yield

    def judge(self, ticket, seen, now):
        if seen - ticket.started_at >= self.ends_after:
            return DONE
        return Progress(Phase.RUNNING, RUNNING.why, self.warning)


def drive(flow, clock: Clock):
    """Do what a flow asks for, in no time."""
    try:
        message = next(flow)
        while True:
            try:
                if isinstance(message, Pause):
                    clock.now += message.seconds
                    result = None
                else:
                    assert isinstance(message, Shared)
                    clock.now += message.wait
                    result = drive(message.make(), clock)
            except Exception as error:
                message = flow.throw(error)
            else:
                message = flow.send(result)
    except StopIteration as end:
        return end.value


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait(service: Scripted, clock: Clock, **arguments):
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    return drive(until_done(cloud, service, ticket, **{"deadline": clock.now + 1e6, **arguments}), clock)


@pytest.mark.parametrize(
    ("length", "late", "polls"),
    [(10, 2, 7), (60, 6, 25), (600, 60, 50), (3600, 60, 100)],
    ids=["10 s", "1 min", "10 min", "1 h"],
)
def test_adaptive_polling_is_soon_for_short_syncs_and_cheap_for_long_ones(clock, length, late, polls) -> None:
    service = Scripted(clock, ends_after=length)
    began = clock.now
    assert wait(service, clock) == DONE
    assert clock.now - began - length <= late
    assert len(service.looks) <= polls


@pytest.mark.parametrize(
    ("waited", "floor", "chosen", "pause"),
    [
        (0, 2, None, 2),
        (19, 2, None, 2),
        (300, 2, None, 30),
        (3600, 2, None, 60),
        (0, 15, None, 15),
        (3600, 90, None, 90),
        (3600, 2, 5, 5),
        (0, 15, 5, 15),
    ],
)
def test_next_pause(waited, floor, chosen, pause) -> None:
    assert next_pause(waited, floor, chosen) == pause


def test_the_deadline_has_a_last_look_and_then_ends_the_wait(clock) -> None:
    service = Scripted(clock)
    began = clock.now
    with pytest.raises(WaitTimedOut, match="on its way") as raised:
        wait(service, clock, deadline=began + 100)
    assert service.looks[-1] == began + 100
    assert raised.value.last_seen == "on its way"


def test_a_sync_that_ends_with_the_deadline_is_seen(clock) -> None:
    service = Scripted(clock, ends_after=100)
    assert wait(service, clock, deadline=clock.now + 100) == DONE


def test_a_deadline_in_the_past_has_one_look(clock) -> None:
    service = Scripted(clock, ends_after=0)
    assert wait(service, clock, deadline=clock.now - 50) == DONE
    with pytest.raises(WaitTimedOut):
        wait(Scripted(clock), clock, deadline=clock.now - 50)


def test_no_look_before_it_may(clock) -> None:
    service = Scripted(clock, ends_after=0)
    began = clock.now
    wait(service, clock, not_before=began + 6, poll_interval=3)
    (look,) = service.looks
    assert began + 6 <= look <= began + 6 + 1.5


def first_looks(clock: Clock, count: int, **arguments) -> list[float]:
    """When waits that begin in the same moment look first, in seconds from the earliest allowed."""
    began, found = clock.now, []
    for _ in range(count):
        clock.now = began
        service = Scripted(clock, ends_after=0)
        wait(service, clock, not_before=began + 6, **arguments)
        found.append(service.looks[0] - began - 6)
    return found


@pytest.mark.parametrize(("poll_interval", "latest"), [(3, 1.5), (10, 5), (60, 5), (None, 1)])
def test_waits_that_begin_together_do_not_look_together(clock, poll_interval, latest) -> None:
    looks = first_looks(clock, 200, poll_interval=poll_interval)
    assert min(looks) >= 0
    assert max(looks) <= latest
    assert max(looks) - min(looks) > 0.8 * latest
    assert len({round(look, 3) for look in looks}) > 150


def test_a_wait_in_the_worker_looks_at_once(clock) -> None:
    service = Scripted(clock, ends_after=0)
    began = clock.now
    wait(service, clock, poll_interval=60)
    assert service.looks == [began]


def pauses(clock: Clock, **arguments) -> list[float]:
    service = Scripted(clock, ends_after=3600)
    wait(service, clock, **arguments)
    return [after - before for before, after in pairwise(service.looks)]


def test_adaptive_pauses_differ_a_little_and_never_go_below_what_the_service_bears(clock) -> None:
    one, other = pauses(clock), pauses(clock)
    assert one != other
    assert min(one) >= Scripted.floor
    assert max(one) <= 60
    assert min(one[-10:]) >= 57


def test_chosen_pauses_are_as_chosen(clock) -> None:
    assert set(pauses(clock, poll_interval=30)) == {30}


PASSING = [
    TransportError("lost"),
    Throttled("slow down", retry_after=7),
    ApiError("internal", status=503),
    ApiError("internal", status=500),
]
LASTING = [ApiError("no", status=403), ApiError("gone", status=404), TransportError("TLS", lasting=True)]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_may_pass_is_borne(clock, error) -> None:
    service = Scripted(clock, ends_after=10, errors=[error] * 8)
    assert wait(service, clock) == DONE


@pytest.mark.parametrize("error", LASTING, ids=str)
def test_what_will_not_pass_ends_the_wait(clock, error) -> None:
    service = Scripted(clock, errors=[None, error])
    with pytest.raises(type(error)):
        wait(service, clock)
    assert len(service.looks) == 2


def test_a_throttle_stretches_the_pause_but_never_past_the_deadline(clock) -> None:
    began = clock.now
    service = Scripted(clock, errors=[Throttled("slow down", retry_after=500)] * 9)
    with pytest.raises(WaitTimedOut, match="slow down"):
        wait(service, clock, deadline=began + 100)
    assert clock.now == began + 100


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_one_bad_poke_decides_nothing(clock, error) -> None:
    service = Scripted(clock, errors=[error])
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    progress = drive(check(Cloud(KeyPair("ak", "sk"), clock), service, ticket), clock)
    assert progress.phase is Phase.RUNNING
    assert str(error) in progress.why


def test_the_log_has_a_line_for_a_change_and_one_each_ten_minutes(clock, caplog) -> None:
    caplog.set_level(logging.INFO)
    wait(Scripted(clock, ends_after=3600, warning="mind you"), clock)
    lines = [record for record in caplog.records if record.name.endswith("story")]
    assert sum(record.levelno == logging.WARNING for record in lines) == 1
    assert 7 <= sum(record.levelno == logging.INFO for record in lines) <= 9


@pytest.mark.parametrize("stage", list(Stage))
def test_a_ticket_survives_json(stage) -> None:
    import json

    ticket = Ticket("mrs", {"a": 1}, stage, 12.5, {"b": [1]}, ({"a": 2},), {"request_id": "r"})
    assert Ticket.from_json(json.loads(json.dumps(ticket.to_json()))) == ticket


@pytest.mark.parametrize(
    "data",
    [
        None,
        "text",
        [],
        {},
        {"version": 2},
        {"version": 1},
        {
            "version": 1,
            "service": "mrs",
            "target": 7,
            "stage": "started",
            "started_at": 0,
            "baseline": {},
            "later": [],
        },
        {
            "version": 1,
            "service": "mrs",
            "target": {},
            "stage": "dreaming",
            "started_at": 0,
            "baseline": {},
            "later": [],
            "receipt": {},
        },
    ],
    ids=str,
)
def test_what_is_no_ticket_is_refused(data) -> None:
    with pytest.raises(InvalidEvent, match=r"[Cc]lear the task"):
        Ticket.from_json(data)


def test_a_timeout_after_failed_looks_says_what_was_seen_before_them(clock) -> None:
    service = Scripted(clock, errors=[None, *[TransportError("lost")] * 99], warning="mind you")
    with pytest.raises(WaitTimedOut, match=r"last look failed: lost Before that: on its way mind you"):
        wait(service, clock, deadline=clock.now + 100)


def lines_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("story")]


def test_an_outage_is_told_once_whatever_its_request_ids_are(clock, caplog) -> None:
    caplog.set_level(logging.INFO)
    errors = [ApiError(f"unavailable (request id {number})", status=503) for number in range(12)]
    assert wait(Scripted(clock, ends_after=500, errors=errors), clock, poll_interval=5) == DONE
    told = [line for line in lines_of(caplog) if "unavailable" in line]
    assert len(told) == 1


def test_faults_that_come_and_go_do_not_fill_the_log(clock, caplog) -> None:
    class Flapping(Scripted):
        def observe(self, cloud, target):
            self.turn = not getattr(self, "turn", False)
            if self.turn:
                raise ApiError(f"unavailable at {self.clock.now}", status=503)
            return (yield from super().observe(cloud, target))

    caplog.set_level(logging.INFO)
    assert wait(Flapping(clock, ends_after=580), clock, poll_interval=5) == DONE
    assert len(lines_of(caplog)) == 3  # the fault, that it runs, and its end


def test_another_fault_is_told(clock, caplog) -> None:
    caplog.set_level(logging.INFO)
    errors = [ApiError("unavailable", status=503), TransportError("lost"), ApiError("internal", status=500)]
    wait(Scripted(clock, ends_after=100, errors=errors), clock, poll_interval=5)
    assert [
        word for line in lines_of(caplog) for word in ("unavailable", "lost", "internal") if word in line
    ] == [
        "unavailable",
        "lost",
        "internal",
    ]
