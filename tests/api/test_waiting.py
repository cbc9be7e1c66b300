"""Starting and waiting, with a scripted driver: no socket, and a clock that moves when a flow pauses."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from airflow_provider_cloudsync.api.consoles import Console
from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud
from airflow_provider_cloudsync.api.messages import Pause, SingleFlight
from airflow_provider_cloudsync.api.model import Phase, Progress, Stage, Ticket
from airflow_provider_cloudsync.api.waiting.polling import WaitState, next_pause, observe, poll, until_done
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
    min_poll_interval: float = 2.0
    console: Console = CONSOLE
    name: str = "scripted"
    errors: list = field(default_factory=list)
    warning: str = ""
    looks: list = field(default_factory=list)
    #: What the polls show, one after the other, the last one for all that follow: instead of `ends_after`.
    shows: tuple[Progress, ...] = ()

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

    def learn(self, ticket, seen):
        return ticket

    def judge(self, ticket, seen, now):
        if self.shows:
            return self.shows[min(len(self.looks), len(self.shows)) - 1]
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
                    assert isinstance(message, SingleFlight)
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
    ("waited", "min_poll_interval", "chosen", "pause"),
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
def test_next_pause(waited, min_poll_interval, chosen, pause) -> None:
    assert next_pause(waited, min_poll_interval, chosen) == pause


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
    assert min(one) >= Scripted.min_poll_interval
    assert max(one) <= 60
    assert min(one[-10:]) >= 57


def test_chosen_pauses_are_as_chosen(clock) -> None:
    assert set(pauses(clock, poll_interval=30)) == {30}


PASSING = [
    TransportError("lost"),
    Throttled("slow down", retry_after=7),
    ApiError("internal", status=503),
    ApiError("internal", status=500),
    ApiError("perhaps a gateway", status=404),
]
LASTING = [
    ApiError("no", status=403),
    ApiError("gone", status=404, code="CSMS.0005"),
    TransportError("TLS", permanent=True),
]


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
    _, progress = drive(poll(Cloud(KeyPair("ak", "sk"), clock), service, ticket), clock)
    assert progress.phase is Phase.RUNNING
    assert str(error) in progress.why


def test_the_log_has_a_line_for_a_change_and_one_each_ten_minutes(clock, caplog) -> None:
    caplog.set_level(logging.INFO)
    wait(Scripted(clock, ends_after=3600, warning="mind you"), clock)
    lines = [record for record in caplog.records if record.name.endswith("progress_log")]
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
    with pytest.raises(WaitTimedOut, match=r"last poll failed: lost Before that: on its way mind you"):
        wait(service, clock, deadline=clock.now + 100)


def lines_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("progress_log")]


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


# --- one poll decides nothing that cannot be undone -------------------------------------------------------------------

OK5 = Progress(Phase.SUCCEEDED, "there", confirm_for=5.0)
OK45 = Progress(Phase.SUCCEEDED, "there", confirm_for=45.0)
BAD15 = Progress(Phase.FAILED, "broken", confirm_for=15.0)
OTHER = Progress(Phase.SUCCEEDED, "there", confirm_for=5.0, run=7)
CONFIRMATIONS = [
    # id, what the polls show, phase, when each poll came (seconds after the first)
    ("a success", (OK5,), Phase.SUCCEEDED, [0, 5]),
    ("a failure", (BAD15,), Phase.FAILED, [0, 2, 4, 6, 8, 10, 12, 14, 16]),
    ("a success that does not last", (OK5, RUNNING, OK5), Phase.SUCCEEDED, [0, 5, 7, 12]),
    ("a failure that does not last", (BAD15, RUNNING, OK5), Phase.SUCCEEDED, [0, 2, 4, 9]),
    ("a failure that becomes a success", (BAD15, OK5), Phase.SUCCEEDED, [0, 2, 7]),
    ("another run", (OK5, OTHER), Phase.SUCCEEDED, [0, 5, 10]),
    ("a success whose state may lag", (OK45,), Phase.SUCCEEDED, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45]),
    ("until the run itself is seen", (OK45, RUNNING, OK5), Phase.SUCCEEDED, [0, 5, 7, 12]),
    ("until it is certain", (OK45, OK45, OK5), Phase.SUCCEEDED, [0, 5, 10, 15]),
]


@pytest.mark.parametrize(
    ("shows", "phase", "polls"), [case[1:] for case in CONFIRMATIONS], ids=[case[0] for case in CONFIRMATIONS]
)
def test_an_end_has_to_last(clock, shows, phase, polls) -> None:
    service = Scripted(clock, shows=shows)
    began = clock.now
    progress = wait(service, clock)
    assert progress.phase is phase
    assert [round(at - began) for at in service.looks] == polls


@pytest.mark.parametrize(
    ("shows", "phase"), [case[1:3] for case in CONFIRMATIONS], ids=[case[0] for case in CONFIRMATIONS]
)
def test_a_poke_comes_to_the_same(clock, shows, phase) -> None:
    """It stays until the end is confirmed; where the end does not last, another poke comes."""
    service = Scripted(clock, shows=shows)
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    for _ in range(4):
        _, progress = drive(poll(cloud, service, Ticket(service.name, {}, Stage.WATCHING, clock.now)), clock)
        if progress.phase is not Phase.RUNNING:
            break
        clock.now += 60
    assert progress.phase is phase


def test_what_a_triggerer_confirms_is_not_waited_for_in_the_worker(clock) -> None:
    service = Scripted(clock, shows=(BAD15,))
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    _, progress = drive(poll(cloud, service, ticket, hold=10), clock)
    assert progress.phase is Phase.RUNNING
    assert "broken" in progress.why
    assert len(service.looks) == 1


def test_a_lost_poll_does_not_undo_what_the_others_show(clock) -> None:
    service = Scripted(clock, shows=(OK5,), errors=[None, TransportError("lost")])
    began = clock.now
    assert wait(service, clock).phase is Phase.SUCCEEDED
    assert clock.now - began < 15


def test_an_end_that_is_not_confirmed_by_the_deadline_is_a_timeout_that_tells_it(clock) -> None:
    service = Scripted(clock, shows=(BAD15,))
    with pytest.raises(WaitTimedOut, match="broken"):
        wait(service, clock, deadline=clock.now + 10)


@dataclass
class BothClocks:
    """A clock that is set, and a steady one that goes on together with it."""

    clock: Clock
    steady: Clock

    @property
    def now(self) -> float:
        return self.clock.now

    @now.setter
    def now(self, value: float) -> None:
        # It moves also where the difference is lost in rounding.
        self.steady.now += value - self.clock.now + 1e-6
        self.clock.now = value
        self.moved()

    def moved(self) -> None:
        """Called after each move."""


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_is_set_does_not_extend_a_wait(jump) -> None:
    """The wait is bounded by a clock that never goes back as well."""
    clock, steady = Clock(), Clock()
    service = Scripted(clock)
    service.jump_at = 5

    class Jumping(BothClocks):
        def moved(self) -> None:
            if len(service.looks) >= service.jump_at:
                service.jump_at = 10**9
                clock.now += jump

    cloud = Cloud(KeyPair("ak", "sk"), clock, monotonic=steady)
    began = steady.now
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    with pytest.raises(WaitTimedOut):
        drive(until_done(cloud, service, ticket, deadline=clock.now + 100), Jumping(clock, steady))
    assert steady.now - began <= 100.1


def test_a_head_start_by_another_machine_s_clock_is_bounded(clock) -> None:
    service = Scripted(clock, ends_after=0)
    began = clock.now
    wait(service, clock, not_before=began + 606)
    assert service.looks[0] - began <= 15


def test_before_the_start_the_last_poll_comes_at_the_deadline(clock) -> None:
    cloud = Cloud(KeyPair("ak", "sk"), clock, give_up_at=clock.now + 40)
    service = Scripted(clock, errors=[TransportError("refused", sent=False)] * 99)
    with pytest.raises(WaitTimedOut, match=r"refused.*Nothing was started"):
        drive(observe(cloud, service, {}), clock)
    assert service.looks[-1] == pytest.approx(1040)


def test_a_fault_that_passes_in_the_last_second_is_in_time(clock) -> None:
    class Late(Scripted):
        def observe(self, cloud, target):
            self.looks.append(self.clock.now)
            if self.clock.now < 1039.9:
                raise TransportError("refused", sent=False)
            return self.clock.now
            yield

    service = Late(clock)
    cloud = Cloud(KeyPair("ak", "sk"), clock, give_up_at=clock.now + 40)
    drive(observe(cloud, service, {}), clock)
    assert service.looks[-1] == pytest.approx(1040)


HELD_BACK = Throttled("not sent: rate limit", retry_after=12.0, sent=False)


def test_the_cause_is_the_fault_and_not_our_own_queue_behind_it(clock) -> None:
    errors = [ApiError("bad gateway", status=502), HELD_BACK] * 20
    service = Scripted(clock, errors=list(errors))
    cloud = Cloud(KeyPair("ak", "sk"), clock, give_up_at=clock.now + 60)
    with pytest.raises(WaitTimedOut, match="bad gateway"):
        drive(observe(cloud, service, {}), clock)
    service = Scripted(clock, errors=list(errors))
    with pytest.raises(WaitTimedOut, match="bad gateway"):
        wait(service, clock, deadline=clock.now + 60)
    with pytest.raises(ApiError, match="bad gateway"):
        drive(
            observe(Cloud(KeyPair("ak", "sk"), clock, attempts=3), Scripted(clock, errors=list(errors)), {}),
            clock,
        )


def test_a_wait_that_ends_throttled_says_so(clock) -> None:
    service = Scripted(clock, errors=[None, *[HELD_BACK] * 99])
    with pytest.raises(WaitTimedOut, match=r"on its way.*Rate limit: not sent: rate limit"):
        wait(service, clock, deadline=clock.now + 60)


# --- the connection is read again -------------------------------------------------------------------------------------


def test_a_wait_can_be_interrupted_and_goes_on_as_if_it_had_not_been(clock) -> None:
    whole = Scripted(clock, ends_after=3000)
    wait(whole, clock, poll_interval=50)
    clock.now = 1000.0
    parts = Scripted(clock, ends_after=3000)
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    ticket = Ticket(parts.name, {}, Stage.WATCHING, clock.now)
    state, turns = WaitState(ticket), 0
    progress = RUNNING
    while progress.phase is Phase.RUNNING:
        turns += 1
        arguments = {"deadline": 1e6, "poll_interval": 50, "pause_at": clock.now + 600, "state": state}
        progress = drive(until_done(cloud, parts, ticket, **arguments), clock)
    assert progress == DONE
    assert parts.looks == whole.looks
    assert turns in (5, 6)


def test_lost_polls_interrupt_a_wait_before_it_is_time(clock) -> None:
    service = Scripted(clock, errors=[None, *[TransportError("lost")] * 99])
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    state = WaitState(ticket)
    for turn in (1, 2, 3):
        progress = drive(until_done(cloud, service, ticket, deadline=1e6, pause_at=1e6, state=state), clock)
        assert progress.phase is Phase.RUNNING
        assert len(service.looks) == 1 + 5 * turn


def test_an_interrupted_wait_keeps_what_it_has_confirmed(clock) -> None:
    service = Scripted(clock, shows=(OK45,))
    cloud = Cloud(KeyPair("ak", "sk"), clock)
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    state, began = WaitState(ticket), clock.now
    progress = RUNNING
    while progress.phase is Phase.RUNNING:
        arguments = {"deadline": 1e6, "pause_at": clock.now + 1, "state": state}
        progress = drive(until_done(cloud, service, ticket, **arguments), clock)
    assert clock.now - began == pytest.approx(45)


def test_an_interrupted_wait_keeps_the_end_that_it_had_at_the_beginning() -> None:
    """The clock is set back while the connection is read again: that makes the wait no longer."""
    clock, steady = Clock(), Clock()
    service = Scripted(clock)

    cloud = Cloud(KeyPair("ak", "sk"), clock, monotonic=steady)
    ticket = Ticket(service.name, {}, Stage.WATCHING, clock.now)
    state, began, deadline = WaitState(ticket), steady.now, clock.now + 100
    first = until_done(cloud, service, ticket, deadline=deadline, pause_at=clock.now + 40, state=state)
    both = BothClocks(clock, steady)
    assert drive(first, both).phase is Phase.RUNNING
    clock.now -= 3600
    with pytest.raises(WaitTimedOut):
        drive(until_done(cloud, service, ticket, deadline=deadline, state=state), both)
    assert steady.now - began <= 100.1
