"""The table of faults, tried: in each service, at the start and while it is waited for, in each way of waiting.

A cell holds for all ways of waiting, so they agree. Starts and synchronous writes are sent by the worker; what is
deferred is waited for in the triggerer, by the other HTTP library; a rescheduled sensor is a new process at each look.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_cloudsync.exceptions import CloudSyncError, WaitTimedOut
from airflow_provider_cloudsync.transport import coalescing, drivers, rate_limits
from tests.support.fault_injection import Strike
from tests.support.fault_jobs import JOBS, RUN, SHOW, STARTABLE, WRITES, Job, event_of
from tests.support.faults_table import FAULTS, Fault

MODES = ("blocking", "rescheduled", "deferred")
#: Seconds between looks, and that a task may take: where the fault passes, and where it does not.
EVERY, PATIENCE, SHORT = 20.0, 1800.0, 300.0
#: So many calls of one API in one minute are a storm. A start that is lost is looked for each 2 s, with two reads of
#: the flag of MRS each.
STORM = 75

#: A reply without a body has nothing to cut off.
NO_BODY = ("truncated", "delete", "wrote")


@dataclass
class Ended:
    """How a task ended.

    :param said: the error; the log where there is none, or where Airflow's own says nothing of the cause.
    """

    how: str
    said: str
    log: str
    error: BaseException | None = None
    result: Any = None


@pytest.fixture
def strike(start_world, monkeypatch, tmp_path, caplog) -> Iterator[Callable[..., tuple[Any, Strike]]]:
    """Makes a world in which a fault is going to strike."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "airflow_provider_cloudsync")
    with ExitStack() as stack:

        def strike(fault: Fault, section: dict[str, Any], operation: str, **at: Any) -> tuple[Any, Strike]:
            world = start_world(**section)
            surroundings = {"monkeypatch": monkeypatch, "folder": tmp_path, "stack": stack}
            return world, Strike(world, fault, operation, **at, **surroundings)

        yield strike


@pytest.fixture
def ended(caplog, capfd) -> Callable[[Callable[[], Any]], Ended]:
    """Runs something, and says how it ended."""

    def ended(run: Callable[[], Any]) -> Ended:
        how, error, result = "green", None, None
        try:
            result = run()
        except AirflowFailException as raised:
            how, error = "dead", raised
        except (WaitTimedOut, AirflowSensorTimeout, TimeoutError) as raised:
            how, error = "late", raised
        except CloudSyncError as raised:
            how, error = "red", raised
        log = caplog.text + "".join(capfd.readouterr())  # where a task's own log goes depends on the Airflow
        return Ended(how, str(error or "") or log, log, error, result)

    return ended


def operate(world: Any, job: Job, mode: str, timeout: float, context: Any = None) -> Any:
    assert job.operator is not None
    task = job.operator(task_id="t", deferrable=mode == "deferred", timeout=timeout, poll_interval=EVERY)
    return world.run(task, context)


def watch(world: Any, job: Job, mode: str, timeout: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    more = {"task_id": "t", "timeout": timeout, "poke_interval": EVERY}
    if mode != "rescheduled":
        return world.run(job.sensor(world, deferrable=mode == "deferred", **more))

    def anew() -> Any:
        monkeypatch.setattr(
            drivers, "_single_flight", coalescing.BlockingSingleFlight(clock=world.emulator.clock.now)
        )
        monkeypatch.setattr(drivers, "_rate_limiter", rate_limits.RateLimiter(clock=world.emulator.clock.now))
        return job.sensor(world, mode="reschedule", deferrable=False, **more)

    return world.poke(anew, every=EVERY, at_most=timeout)


def patience_for(fault: Fault, place: str) -> float:
    return SHORT if fault.cells[place].end == "late" else PATIENCE


def cases(place: str, names: Any, modes: tuple[str, ...] = ()) -> list[Any]:
    """All cells of a column, for each service and each mode."""
    found = []
    for fault in FAULTS:
        for name in names:
            column = {("start", "hss"): "HSS", ("taken", "hss"): "HSS took"}.get((place, name), place)
            if column not in fault.cells or (fault.name.partition(",")[0], name, column) == NO_BODY:
                continue
            for mode in modes or (None,):
                values = (fault, name, column, *([mode] if mode else []))
                shown = "-".join(filter(None, (fault.name, name, column, mode)))
                found.append(pytest.param(*values, id=shown))
    return found


def check(world: Any, strike: Strike, end: Ended, fault: Fault, place: str, sent: str = "") -> None:
    """What holds in every cell.

    :param sent: the start or the write.
    """
    cell = fault.cells[place]
    assert end.how == cell.end, end.said
    if place != "wrote" or end.how != "green":  # a write that shows needs no word
        assert re.search(fault.says, end.said), end.said
    tell_no_secret(world, end)
    if sent and cell.number is not None:
        assert len(world.calls(sent)) == cell.number
    elif cell.number is not None:
        # A 404 for the page behind the end of a list that is complete is tolerated, so it can strike once more.
        behind_end = fault.name.startswith("404") and place == "look"
        assert strike.count in (cell.number, cell.number + behind_end)
    elif end.how == "green" and fault.times is not None:
        assert strike.count == fault.times
    for operation in {entry["operation"] for entry in world.calls()}:
        times = [entry["time"] for entry in world.calls(operation)]
        assert all(sum(at <= each < at + 60 for each in times) < STORM for at in times), operation
    assert world.emulator.clock.now() - world.began <= patience_for(fault, place) + EVERY


def came_back_too_soon(world: Any, fault: Fault) -> list[tuple[float, float]]:
    """Throttled calls, and those of the same API that came within the window."""
    calls = world.calls()
    return [
        (refused["time"] - world.began, later["time"] - world.began)
        for refused in calls
        for later in calls
        if refused["fault"] is not None and later["operation"] == refused["operation"]
        if later["n"] > refused["n"] and later["time"] < refused["time"] + fault.how.window
    ]


def tell_no_secret(world: Any, end: Ended) -> None:
    said = [end.said, end.log, repr(end.result), repr(world.events), json.dumps([*world.store.values()])]
    said += [repr(deferral.trigger.serialize()) for deferral in world.deferrals]
    error = end.error
    while error is not None:
        said += [repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    text = "\n".join(said)
    for secret in (world.emulator.secret_key, world.emulator.password, "Signature=", "Authorization:"):
        assert secret not in text
    assert not re.search(r"MII[\w-]{20}", text)  # how tokens begin


@pytest.mark.parametrize(("fault", "service", "place", "mode"), cases("look", JOBS, MODES))
def test_while_it_is_waited_for(strike, ended, monkeypatch, fault, service, place, mode) -> None:
    """Operators, where there is one and it can wait so; else sensors."""
    job, timeout = JOBS[service], patience_for(fault, place)
    ours = service in STARTABLE and mode != "rescheduled"
    # A triggerer has tokens of its own: they are revoked when it has looked once.
    looks = (job.looks if ours else 1) + fault.how.revokes
    after = (job.start, 1) if ours and not fault.how.revokes else (job.look, looks)
    world, fault_there = strike(fault, job.ours if ours else job.theirs, job.look, skip=looks, after=after)
    if ours:
        end = ended(lambda: operate(world, job, mode, timeout))
    else:
        end = ended(lambda: watch(world, job, mode, timeout, monkeypatch))
    check(world, fault_there, end, fault, place)
    assert world.starts == int(ours)
    if end.how == "green":
        started = [entry["time"] for entry in world.calls() if entry["effect"]]
        assert world.emulator.clock.now() >= (started or [world.began])[0] + RUN
    if mode != "rescheduled":
        assert came_back_too_soon(world, fault) == []


@pytest.mark.parametrize(
    ("fault", "service", "place", "mode"), cases("start", STARTABLE, ("blocking", "deferred"))
)
def test_the_start_comes_to_nothing(strike, ended, fault, service, place, mode) -> None:
    job = JOBS[service]
    world, fault_there = strike(fault, job.ours, job.start, after=(job.look, job.looks))
    end = ended(lambda: operate(world, job, mode, patience_for(fault, place)))
    check(world, fault_there, end, fault, place, job.start)
    assert world.starts == (end.how == "green")
    assert came_back_too_soon(world, fault) == []


@pytest.mark.parametrize(
    ("fault", "service", "place", "mode"), cases("taken", STARTABLE, ("blocking", "deferred"))
)
def test_the_reply_to_the_start_comes_to_nothing(strike, ended, fault, service, place, mode) -> None:
    job = JOBS[service]
    world, fault_there = strike(fault, job.ours, job.start, when="after", after=("", 0))
    end = ended(lambda: operate(world, job, mode, patience_for(fault, place)))
    check(world, fault_there, end, fault, place, job.start)
    assert world.starts == 1


@pytest.mark.parametrize(
    ("fault", "kind", "place"),
    [*cases("write", WRITES), *cases("wrote", WRITES), *cases("back", WRITES)],
)
def test_a_write_of_csms(strike, ended, fault, kind, place) -> None:
    write = WRITES[kind]
    if place == "back":
        world, fault_there = strike(fault, write.section, SHOW, skip=1, after=(write.sends, 1))
    else:
        when = "after" if place == "wrote" else "before"
        world, fault_there = strike(fault, write.section, write.sends, when=when, after=(SHOW, 1))
    end = ended(lambda: world.run(write.task()))
    check(world, fault_there, end, fault, place, "" if place == "back" else write.sends)
    done = end.how == "green" or place != "write"
    assert event_of(world) == (write.after if done else write.before)
    # To set what is set already is no harm; the others can't be done twice.
    assert world.starts == done or (kind == "update" and world.starts == len(world.calls(write.sends)))
    assert came_back_too_soon(world, fault) == []


def unfinished(names: Any, *places: str) -> list[Any]:
    """Cells after which there may be another try."""
    return [
        pytest.param(*each.values, id=each.id)
        for place in places
        for each in cases(place, names)
        if each.values[0].cells[each.values[2]].end in ("red", "late")
    ]


@pytest.mark.parametrize(("fault", "service", "place"), unfinished(STARTABLE, "look", "start"))
def test_the_next_try(strike, ended, fault, service, place) -> None:
    """What was red or late is green then, and there is one start in all."""
    job = JOBS[service]
    if place == "look":
        world, fault_there = strike(fault, job.ours, job.look, skip=job.looks, after=(job.start, 1))
    else:
        world, fault_there = strike(fault, job.ours, job.start, after=(job.look, job.looks))
    assert ended(lambda: operate(world, job, "blocking", SHORT, world.context(1, store=True))).how != "green"
    fault_there.end()
    end = ended(lambda: operate(world, job, "blocking", SHORT, world.context(2, store=True)))
    assert end.how == "green", end.said
    assert world.starts == 1


@pytest.mark.parametrize(("fault", "kind", "place"), unfinished(WRITES, "write", "back"))
def test_the_next_try_of_a_write(strike, ended, fault, kind, place) -> None:
    write = WRITES[kind]
    if place == "back":
        world, fault_there = strike(fault, write.section, SHOW, skip=1, after=(write.sends, 1))
    else:
        world, fault_there = strike(fault, write.section, write.sends, after=(SHOW, 1))
    assert ended(lambda: world.run(write.task(), world.context(1, store=True))).how == "red"
    fault_there.end()
    end = ended(lambda: world.run(write.task(), world.context(2, store=True)))
    assert end.how == "green", end.said
    assert end.result == {"changed": True, "before": write.before, "after": write.after}
    assert event_of(world) == write.after
    assert world.starts == 1


PACED_BY_AIRFLOW = pytest.mark.xfail(
    strict=True,
    reason="A rescheduled sensor is another process each time, and none knows what the last was told.",
)


@pytest.mark.parametrize("mode", ["blocking", pytest.param("rescheduled", marks=PACED_BY_AIRFLOW)])
@pytest.mark.parametrize("service", JOBS)
def test_a_sensor_that_pokes_waits_out_the_window(strike, ended, monkeypatch, service, mode) -> None:
    fault = next(each for each in FAULTS if each.how.window > EVERY)
    job = JOBS[service]
    world, _ = strike(fault, job.theirs, job.look, skip=1, after=("", 0))
    assert ended(lambda: watch(world, job, mode, PATIENCE, monkeypatch)).how == "green"
    assert came_back_too_soon(world, fault) == []
