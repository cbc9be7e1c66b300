"""The judge of a soak sees each thing that can be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cloudsync.api.model import Stage, Ticket
from airflow_provider_cloudsync.emulator.embedded import Emulator
from tests.soak.chaos import make_steps
from tests.soak.judge import FLAT, judge
from tests.soak.plan import NEVER, Plan, Wait, Window
from tests.soak.record import Record
from tests.soak.settings import Settings
from tests.soak.store import Event, Sample
from tests.soak.table import table
from tests.soak.targets import make_plan
from tests.soak.triggerers import SHAKY, STEADY

BEGAN = 1_795_248_000.0
SETTINGS = Settings(600.0, 20, 1)
WINDOWS = (Window(100.0, 150.0, "failed", "bob"), Window(400.0, NEVER, "succeeded"))


def wait(**changes: Any) -> Wait:
    """One that learns between 100 and 150 that its run failed, or from 400 on that the next one was better."""
    fields = {
        "number": 0,
        "service": "mrs",
        "connection": "c",
        "arrives": 10.0,
        "ticket": lambda began: Ticket("mrs", {"cluster_id": "m0"}, Stage.STARTED, began + 10.0),
        "shows": WINDOWS,
        "deadline": 500.0,
        "not_before": 10.0,
        **changes,
    }
    return Wait(**fields)


def report(of: Wait, at: float, **ended: Any) -> Event:
    """What its trigger reports."""
    event = {"error": None, "phase": None, "why": None, **of.arguments(BEGAN), **ended}
    return Event(of.number, BEGAN + at, event)


def error(name: str) -> dict[str, Any]:
    return {"error": {"error": name, "message": "no", "details": {}}}


FAILED, SUCCEEDED = {"phase": "failed", "why": "bob is missing"}, {"phase": "succeeded", "why": "well"}


def record(*events: Event, of: Wait | None = None, **changes: Any) -> Record:
    """A soak of one wait."""
    one = of or wait()
    made = Record(SETTINGS, Plan({}, (one,), 1), BEGAN, BEGAN + 540, {one.number: BEGAN + one.arrives})
    made.events = list(events)
    made.samples = samples()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def samples(slope: float = 0.0, last: tuple[int, int] = (0, 3), huge: int = 0) -> list[Sample]:
    """A triggerer that stays for 545 seconds, second by second: how it grows (KiB a minute), what it ends with.

    :param huge: so many bytes more after 400 seconds, for a while.
    """
    found = []
    for at in range(-2, 546):
        waits = 1 if 10 <= at < 540 else 0
        sockets, tasks = (waits, 3 + 2 * waits) if at < 541 else last
        rss = int(100 * 2**20 + slope * 1024 * at / 60) + (huge if 400 <= at < 450 else 0)
        found.append(Sample(STEADY, 1, BEGAN + at, rss, sockets, tasks, waits))
    return found


def problems(made: Record) -> dict[str, list[str]]:
    found = judge(made)
    assert found.held is not any(found.problems.values())
    assert table(made, found)
    return {kind: texts for kind, texts in found.problems.items() if texts}


@pytest.mark.parametrize(
    ("at", "ended", "kind"),
    [
        pytest.param(101, FAILED, None, id="as planned"),
        pytest.param(158, FAILED, None, id="a slow report"),
        pytest.param(402, SUCCEEDED, None, id="the next run, after a narrow window"),
        pytest.param(90, FAILED, "early", id="before the end"),
        pytest.param(101, SUCCEEDED, "early", id="the next run's end, too early"),
        pytest.param(200, FAILED, "wrong", id="what no longer shows"),
        pytest.param(101, {"phase": "failed", "why": "carol"}, "wrong", id="another one's reason"),
        pytest.param(101, {**FAILED, "try_number": 9}, "wrong", id="another one's report"),
        pytest.param(101, error("CredentialsRejected"), "wrong", id="an error"),
        pytest.param(300, error("WaitTimedOut"), "early", id="timed out too early"),
        pytest.param(501, error("WaitTimedOut"), "late", id="timed out though it showed"),
        pytest.param(470, SUCCEEDED, "late", id="late"),
    ],
)
def test_a_report(at: float, ended: dict[str, Any], kind: str | None) -> None:
    found = problems(record(report(wait(), at, **ended)))
    assert list(found) == ([kind] if kind else [])


@pytest.mark.parametrize(("at", "kind"), [(301, None), (350, None), (380, "late"), (299, "early")])
def test_a_deadline(at: float, kind: str | None) -> None:
    one = wait(deadline=300.0, shows=(Window(400.0, NEVER, "succeeded"),))
    found = problems(record(report(one, at, **error("WaitTimedOut")), of=one))
    assert list(found) == ([kind] if kind else [])


def test_a_trigger_that_fails() -> None:
    assert list(problems(record(Event(0, BEGAN + 101, None)))) == ["wrong"]


def test_a_wait_that_never_reports() -> None:
    assert list(problems(record())) == ["never"]


def test_a_wait_that_reports_twice() -> None:
    assert list(problems(record(report(wait(), 101, **FAILED), report(wait(), 102, **FAILED)))) == ["twice"]


def test_a_wait_of_nobody() -> None:
    stranger = wait(number=7)
    assert list(problems(record(report(wait(), 101, **FAILED), report(stranger, 101, **FAILED)))) == ["wrong"]


@pytest.mark.parametrize(("at", "kinds"), [(None, []), (61, []), (80, ["wrong"])])
def test_a_wait_that_a_user_ended(at: float | None, kinds: list[str]) -> None:
    events = [] if at is None else [report(wait(), at, **FAILED)]
    assert list(problems(record(*events, ended_by_user={0: BEGAN + 60}))) == kinds


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"samples": samples(last=(1, 3))}, "sockets", id="a socket"),
        pytest.param({"samples": samples(last=(0, 4))}, "tasks", id="a task"),
        pytest.param({"samples": samples(slope=FLAT * 1.1)}, "memory", id="memory"),
        pytest.param({"asked_pids": [1], "stopped": {}}, "stops", id="a stop"),
        pytest.param({"asked_pids": [1], "stopped": {1: 2}}, "tasks", id="tasks that outlive a stop"),
        pytest.param({"started": ["POST /sync: started"]}, "starts", id="a start"),
        pytest.param({"complaints": ["Unclosed client session"]}, "log", id="a complaint"),
    ],
)
def test_what_is_left(changes: dict[str, Any], kind: str) -> None:
    good = report(wait(), 101, **FAILED)
    assert list(problems(record(good, **changes))) == [kind]


def test_memory_that_is_flat_and_a_triggerer_that_was_killed() -> None:
    killed = [Sample(SHAKY, 2, BEGAN + at, 1, 9, 99, 5) for at in range(100)]
    both = sorted([*samples(slope=FLAT * 0.9, huge=2**24), *killed], key=lambda sample: sample.at)
    found = judge(record(report(wait(), 101, **FAILED), samples=both))
    assert found.held
    assert found.slope == pytest.approx(FLAT * 0.9, rel=0.01)


def test_a_seed_makes_a_plan() -> None:
    settings = Settings.from_env({"SOAK_SECONDS": "60", "SOAK_WAITS": "200", "SOAK_SEED": "7"})
    one, same, other = make_plan(settings), make_plan(settings), make_plan(Settings(60.0, 200, 8))
    assert one.scenario == same.scenario != other.scenario
    assert [each.arguments(BEGAN) for each in one.waits] == [each.arguments(BEGAN) for each in same.waits]
    assert make_steps(settings) == make_steps(settings)
    assert len(one.waits) == 200
    assert {each.service for each in one.waits} == {"mrs", "dataarts", "coc", "hss"}
    assert all(each.arrives <= settings.last_arrival for each in one.waits)


def test_the_emulator_takes_all_that_is_planned() -> None:
    settings = Settings(60.0, 200, 7)
    with Emulator(make_plan(settings).scenario) as emulator:
        for step in make_steps(settings):
            if step.what == "faults":
                emulator.faults(step.details)


@pytest.mark.parametrize("env", [{"SOAK_SECONDS": "9"}, {"SOAK_WAITS": "2"}, {"SOAK_SEED": "x"}])
def test_settings_that_mean_nothing(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"at the least|invalid literal"):
        Settings.from_env(env)
