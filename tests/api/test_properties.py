"""Random timelines of the services, random faults, random restarts; and what must hold in all of them.

1. A task is never green unless the sync was done, and is fresh.
2. One task never has more than one effective start, unless the service has said that the one before failed.
3. A try always ends by its deadline and one poll. This is checked while it lives: see `Life`.

The operators, the sensors and the trigger are the real ones, and so are both drivers; the services are those of
`tests.support.imagined_cloud`. What the guides say is not guaranteed is left out of 1 and 2, each by a condition with a
name and the words of the guide, in `GREEN_LIMITS` and `START_LIMITS`; nothing else is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.imagined_airflow import ONE_LOOK, SYNCS, WATCHES, Life, ProgressLog, Try
from tests.support.imagined_cloud import (
    ACCOUNTS,
    FAULTS,
    NAMES,
    NEVER,
    SETTLE,
    Accounts,
    Cluster,
    Course,
    Events,
    MemberTask,
    Run,
    Start,
    Stranger,
    milliseconds,
)
from tests.support.scripted_network import START

#: No run is over in so many seconds: what the search for a lost start builds on.
UNSEEN = 5.0


def live(story: ProgressLog) -> Life:
    """A whole life, checked."""
    with pytest.MonkeyPatch.context() as patch:
        life = Life(story, patch)
        life.live()
    check_starts(life)
    for found in life.tries:
        if found.how == "green" and story.work in SYNCS:
            check_green(life, found)
        elif found.how == "green":
            check_watched(life, found)
        elif found.how == "failed for good":
            assert has_shown_a_failure(life, found), "failed for good, and nothing had failed"
    return life


# --- never green unless done and fresh --------------------------------------------------------------------------------


def check_green(life: Life, found: Try) -> None:
    """By a start of this request, which is over by now and went well."""
    for part in life.work.parts:
        starts = [start for start in life.cloud.starts if start.request == found.request and start.of == part]
        if not any(is_done(start, found.ended) or not life.story.waits for start in starts):
            limits = [limit.__name__ for limit in GREEN_LIMITS if limit(life, found, starts)]
            assert limits, f"green, and {part or 'it'} was not done"
            life.excused += limits
    if life.story.waits:
        assert shows_goal(life, found), "green against what the service showed last"


def is_done(start: Start, by: float) -> bool:
    return all(run.good and run.is_over(by) and run.effect <= by for run in start.runs)


def shows_goal(life: Life, found: Try) -> bool:
    """Whether the last look can have shown the goal, whoever brought it about. It may be that of a try that died."""
    service = life.service
    reads = [sent.at for sent in life.cloud.sent if sent.method == "GET" and sent.by <= found.number]
    look, last = reads[-ONE_LOOK:], reads[-1]
    if isinstance(service, Cluster):
        wanted = Run(Course(), 0, 0, 0, 0, True, life.work.what, tuple(life.work.parts[-1].split(",")))
        reached = any(service.reached(wanted, at) for at in look)
        return reached and not service.is_up(last) and not service.is_gone(look[0])
    if isinstance(service, Accounts):
        return all(row.shown(last)[0] == "success" for row in service.rows_of(life.work.accounts))
    if isinstance(service, Events):
        return service.updated(last) is not None
    return service.shown(last)[0] == "SYNC_SUCCESS"


def was_there_before(life: Life, found: Try, starts: list[Start]) -> bool:
    """docs/mrs.md: "Names that were there before show nothing. If all were, green means that the run was accepted, and
    that none is under way any more ... nor, after a full sync, whether is_synchronous was left from an earlier one."
    """
    return isinstance(life.service, Cluster) and any(
        life.service.reached(run, start.at) and run.is_over(found.ended)
        for start in starts
        for run in start.runs
    )


def meets_another(life: Life, found: Try, starts: list[Start]) -> bool:
    """docs/reliability.md: "Runs of others. Of two syncs of one cluster nobody can tell whose is whose." docs/hss.md:
    "one may be green by another's update." docs/waiting.md: "A run that shows is taken as ours", "A retry takes up the
    run that the service shows, whoever started it". What the task had started before it was asked anew counts, too.
    """
    sent = life.cloud.sent
    asked = [number for number, each in enumerate(sent) if each.request == found.request]
    began = asked[0]
    if starts:  # from the look before the first start on
        began = max(next(number for number in asked if sent[number].method != "GET") - ONE_LOOK, began)
    own = [run for start in life.cloud.starts if start.request == found.request for run in start.runs]
    others = [run for run in life.service.runs if run not in own]
    return any(run.overlaps(sent[began].begun, found.ended) for run in others)


def has_two_at_once(life: Life, found: Try, starts: list[Start]) -> bool:
    """Two runs of its own, where `START_LIMITS` lets it come to that: they can't be told apart, either."""
    return any(
        not run.is_over(second.at)
        for later, second in enumerate(starts)
        for first in starts[:later]
        for run in first.runs
    )


GREEN_LIMITS = (was_there_before, meets_another, has_two_at_once)


# --- never started twice ----------------------------------------------------------------------------------------------


def check_starts(life: Life) -> None:
    starts = life.cloud.starts
    for later, second in enumerate(starts):
        for first in starts[:later]:
            if (first.request, first.of) == (second.request, second.of) and not has_failed(
                life, first, second
            ):
                limits = [limit.__name__ for limit in START_LIMITS if limit(life, first, second)]
                assert limits, "started twice"
                life.excused += limits


def has_failed(life: Life, first: Start, second: Start) -> bool:
    """Whether the service said by then that the first had failed. HSS never does."""
    over = all(run.is_over(second.at) for run in first.runs)
    return over and not all(run.good for run in first.runs) and not isinstance(life.service, Events)


def shows_at(life: Life, run: Run) -> float:
    """When it can be told from what was there before: an account without a date is ``waiting`` before a run, too."""
    if isinstance(life.service, Events):
        return run.ends
    if isinstance(life.service, Accounts) and life.service.rows_of(run.on)[0].shown(run.accepted)[1] is None:
        return run.shows + run.course.waits
    return run.shows


def settle_of(life: Life) -> float:
    return 60.0 if isinstance(life.service, Events) else SETTLE


def looks_of(life: Life, number: int) -> list[tuple[float, bool]]:
    """When the looks of a try met the service, and whether nothing of them was lost."""
    sent = [each for each in life.cloud.sent if each.by == number]
    found = []
    for place, each in enumerate(sent):
        if each.method == "GET" and each.path.endswith(("/iam-sync", "/events", "/vendor-account")):
            rest = sent[place + 1 : place + 2] if each.path.endswith("/iam-sync") else []
            found.append((each.at, each.delivered and all(other.delivered for other in rest)))
    return found


def is_not_shown_to_a_retry_without_a_store(life: Life, first: Start, second: Start) -> bool:
    """docs/waiting.md: "Before 3.3 there is no such store. A retry takes up the run that the service shows ... It
    starts anew, with a warning, if there is none ... All this only with wait_for_completion=True and
    if_running="attach"."
    """
    if life.story.store or second.by == first.by:
        return False
    if not life.story.waits or life.story.if_running == "fail":
        return True
    looks = looks_of(life, second.by)
    until = next((number for number, (_, whole) in enumerate(looks, 1) if whole), len(looks))
    return not all(is_taken_up(life, first, at) for at, _ in looks[:until])


def is_taken_up(life: Life, first: Start, at: float) -> bool:
    """Whether the service shows that it is under way: COC for all accounts, HSS never."""
    if isinstance(life.service, Accounts):
        return all(row.is_under_way(at) for row in life.service.rows_of(life.work.accounts))
    return isinstance(life.service, Cluster) and any(run.shows <= at < run.ends for run in first.runs)


def is_not_shown_in_time(life: Life, first: Start, second: Start) -> bool:
    """docs/reliability.md: "nobody can tell whether HSS took it ... The try itself does not send it again; a retry
    does, after a minute of looking." "MRS: names that the cluster had before. ... The same".
    """
    if first.noted or not life.story.store:
        return False
    for number in range(first.by + 1, second.by + 1):
        until = life.tries_begun[number - 1] + settle_of(life)
        looks = [at for at, whole in looks_of(life, number) if whole and at <= until]
        starts = any(sent.by == number and sent.method != "GET" for sent in life.cloud.sent)
        if starts and not any(life.service.is_shown(run, at) for run in first.runs for at in looks):
            return True
    return False


def is_too_short_to_be_seen(life: Life, first: Start, second: Start) -> bool:
    """docs/reliability.md: "A run that is over within 5 s can't be found again once the start's reply is lost"."""
    return not first.noted and all(run.ends - shows_at(life, run) <= UNSEEN for run in first.runs)


def does_not_settle_in_time(life: Life, first: Start, second: Start) -> bool:
    """docs/reliability.md: "A service that takes longer than its time to settle ... to show a run. If the start's reply
    was lost as well, it may be sent twice."
    """
    return not first.noted and all(shows_at(life, run) > first.sent + settle_of(life) for run in first.runs)


def is_cleared_when_over(life: Life, first: Start, second: Start) -> bool:
    """docs/waiting.md: "A cleared task takes up what it had started if that still goes on; else it starts anew"."""
    cleared = life.cleared & {*range(first.by + 1, second.by + 1)}
    return bool(cleared) and all(run.is_over(second.at) for run in first.runs)


def is_taken_for_another_part(life: Life, first: Start, second: Start) -> bool:
    """Without a store nobody knows which part the run is of that a retry takes up; it goes on after the first."""
    return not life.story.store and second.by > first.by and len(life.work.parts) > 1


def is_told_failed_by_another(life: Life, first: Start, second: Start) -> bool:
    """docs/reliability.md: "if another's run fails right after ours, ours looks failed." So it does if another takes
    away what ours brought.
    """
    service = life.service
    others = [run for run in service.runs if run not in first.runs and run.overlaps(first.at, second.at)]
    if isinstance(service, Accounts):
        return any(run.on[0] in life.work.accounts for run in others if run not in second.runs)
    over = [run for run in first.runs if run.is_over(second.at)]
    lost = isinstance(service, Cluster) and any(not service.reached(run, second.at) for run in over)
    return lost and bool(others)


START_LIMITS = (
    is_not_shown_to_a_retry_without_a_store,
    is_not_shown_in_time,
    is_too_short_to_be_seen,
    does_not_settle_in_time,
    is_cleared_when_over,
    is_taken_for_another_part,
    is_told_failed_by_another,
)


# --- sensors ----------------------------------------------------------------------------------------------------------


def check_watched(life: Life, found: Try) -> None:
    """Somebody's run is over and went well, and it is one that counts. MRS tells no times, and shows its goal only."""
    assert not life.cloud.starts, "a sensor started something"
    assert shows_goal(life, found), "green against what the service showed last"
    service = life.service
    last = [sent.at for sent in life.cloud.sent if sent.by == found.number][-1]
    if isinstance(service, Events):
        updates = [run.ends for run in service.runs if run.good and run.is_over(last)]
        assert any(counts(life, at) for at in (*updates, before(life))), "green without an update that counts"
    elif isinstance(service, Accounts):
        for row in service.rows_of(life.work.accounts):
            done = [run for run in row.runs if run.good and run.is_over(last)]
            dates = [run.shows + run.course.waits if row.dates_start else run.ends for run in done]
            assert any(counts(life, at) for at in (*dates, before(life))), f"green without {row.row_id}"
    elif isinstance(service, MemberTask):
        run = service.last(last)
        assert run is None or (run.good and run.is_over(last)), "green, and the last run is not done"
        assert counts(life, before(life) if run is None else run.shows), "green by a run that does not count"


def before(life: Life) -> float | None:
    """When the service had done it last before the story began."""
    return None if life.story.updated is None else START - life.story.updated


def counts(life: Life, at: float | None) -> bool:
    """Whether that is not before what the user asked for, by Airflow's clock.

    How far the service's clock is from that is measured at each reply: to a second or two, and to the time that the
    reply took. A smaller difference is not corrected.
    """
    if at is None:
        return False
    story = life.story
    slow = 15.0 if any("slow" in fault for _, fault in story.faults) else 0.0
    slow += sum(end - begin for begin, end, fault in story.outages if "slow" in fault) and 15.0
    slack = 2.5 + max(story.latency) + slow
    return life.counts_from is None or milliseconds(at + slack) >= milliseconds(life.counts_from)


def has_shown_a_failure(life: Life, found: Try) -> bool:
    service = life.service
    if isinstance(service, Cluster):
        return service.is_gone(found.ended)
    failed = [run for run in service.runs if run.is_over(found.ended) and not run.good]
    return bool(failed) and not isinstance(service, Events)


# --- random lives -----------------------------------------------------------------------------------------------------


def tenths(least: float, most: float) -> st.SearchStrategy[float]:
    return st.integers(round(least * 10), round(most * 10)).map(lambda number: number / 10)


def several(each: st.SearchStrategy[Any], most: int, least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(each, min_size=least, max_size=most).map(tuple)


FAULT = st.sampled_from(FAULTS)
OUTAGE = st.tuples(tenths(0, 200), tenths(1, 100), FAULT).map(
    lambda each: (each[0], each[0] + each[1], each[2])
)
LATENCY = several(st.sampled_from([0.1, 0.2, 1.0, 3.0, 20.0]), 4, least=1)
SUBSET = st.sets(st.sampled_from(NAMES)).map(lambda names: tuple(sorted(names)))
COURSE = st.builds(
    Course,
    shows_after=tenths(0, SETTLE - 0.1),
    lasts=tenths(0.1, 40) | st.sampled_from([300.0, NEVER]),
    good=st.booleans(),
    waits=st.just(0.0) | tenths(0, 20),
    effect=st.sampled_from([1.0, 0.0, 0.5]),
    lag=st.just(0.0) | tenths(0, 9),
    created=st.sampled_from([True, True, True, False]),
)
GOOD_COURSE = st.builds(
    Course, shows_after=tenths(0, SETTLE - 0.1), lasts=tenths(0.1, 40), waits=tenths(0, 20), lag=tenths(0, 9)
)
STRANGER = st.builds(
    Stranger,
    at=tenths(0, 120),
    course=COURSE,
    what=st.sampled_from(["sync", "removal", "full"]),
    on=st.sets(st.sampled_from([*NAMES, *ACCOUNTS]), min_size=1).map(lambda on: tuple(sorted(on))),
)
#: The fields of a `ProgressLog`, as bad as they can be.
BAD: dict[str, st.SearchStrategy[Any]] = {
    "there": SUBSET,
    "in_line": st.booleans(),
    "updated": st.sampled_from([3600.0, 1.0, None]),
    "refuses_second": st.booleans(),
    "stays_in_line": st.booleans(),
    "terminates_at": st.none() | st.none() | tenths(0, 100),
    "dates_start": st.booleans(),
    "status_lag": st.just(0.0) | tenths(0, 4.9),
    "failure_moves": st.booleans(),
    "ours": several(COURSE, 3, least=1),
    "strangers": several(STRANGER, 2),
    "latency": LATENCY,
    "faults": several(st.tuples(st.integers(0, 40), FAULT), 4),
    "of_starts": several(st.none() | FAULT, 3),
    "outages": several(OUTAGE, 1),
    "skew": st.sampled_from([0.0, 0.0, 7.3, -7.3, 3600.0]),
    "deaths": several(st.none() | st.integers(0, 40), 4),
    "downtime": several(st.sampled_from([0.0, 1.0, 5.0, 20.0, 100.0, 1000.0, 90_000.0]), 3, least=1),
    "clears": several(st.booleans(), 4),
    "stale": st.booleans(),
    "store": st.booleans(),
    "deferrable": st.booleans(),
    "retries": st.integers(0, 3),
    "timeout": st.sampled_from([600.0, 8.0, 30.0, 90.0]),
    "poll_interval": st.sampled_from([None, None, 5.0, 45.0]),
    "if_running": st.sampled_from(["attach", "attach", "fail"]),
    "waits": st.sampled_from([True, True, True, False]),
}
#: Nobody disturbs, and there is time enough.
CALM: dict[str, st.SearchStrategy[Any]] = BAD | {
    "terminates_at": st.none(),
    "strangers": st.just(()),
    "faults": st.just(()),
    "of_starts": st.just(()),
    "outages": st.just(()),
    "deaths": st.just(()),
    "clears": st.just(()),
    "retries": st.just(3),
    "timeout": st.sampled_from([600.0, 3600.0]),
    "waits": st.just(True),
    "if_running": st.just("attach"),
}
SYNC, WATCH = st.sampled_from(list(SYNCS)), st.sampled_from(list(WATCHES))


def stories(
    work: st.SearchStrategy[str], fields: dict[str, st.SearchStrategy[Any]], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[ProgressLog]:
    return st.builds(ProgressLog, work=work, **fields | more)


def some(number: int) -> Any:
    """The same ones each time: a test that fails now and then says little. Look for others with another seed."""
    return settings(max_examples=number, derandomize=True, deadline=None)


def tell(life: Life) -> None:
    """For ``--hypothesis-show-statistics``: how it went, and what was excused."""
    for what in {*(found.how for found in life.tries), *life.excused}:
        event(what)


@pytest.fixture(autouse=True, scope="module")
def _silence() -> Iterator[None]:
    """Nobody reads what thousands of tasks log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@some(200)
@given(stories(SYNC, BAD))
def test_a_task_in_a_bad_world(story: ProgressLog) -> None:
    tell(live(story))


@some(200)
@given(stories(WATCH, BAD, after=st.none() | tenths(-100, 100), strangers=several(STRANGER, 4)))
def test_a_sensor_in_a_bad_world(story: ProgressLog) -> None:
    tell(live(story))


@some(150)
@given(
    stories(
        SYNC,
        CALM,
        of_starts=several(FAULT, 3, least=1),
        faults=several(st.tuples(st.integers(0, 40), st.just("slow, done")), 1),
        latency=LATENCY | several(tenths(0.1, 15), 6, least=1),
    )
)
def test_starts_that_are_lost(story: ProgressLog) -> None:
    tell(live(story))


@some(150)
@given(stories(SYNC, CALM, deaths=several(st.integers(0, 30), 4, least=1), clears=several(st.booleans(), 4)))
def test_processes_that_die(story: ProgressLog) -> None:
    tell(live(story))


@some(50)
@given(stories(SYNC, CALM, ours=several(GOOD_COURSE, 2, least=1)))
def test_a_task_in_a_good_world(story: ProgressLog) -> None:
    """Or all of the others could hold because nothing is ever green."""
    life = live(story)
    assert [found.how for found in life.tries] == ["green"]
    assert [start.of for start in life.cloud.starts] == list(life.work.parts)
    assert not life.excused


# --- what was found ---------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_when_all_is_done() -> None:
    """After the end of the sync and before Airflow has noted it: while the result is pushed, for example."""
    messages = live(ProgressLog()).machine.ticks
    assert len(live(ProgressLog(deaths=(messages - 1,))).cloud.starts) == 1


def test_a_lost_start_that_comes_up_during_a_slow_look() -> None:
    """The last look of the search: its first request comes to the service only when the run is over."""
    story = ProgressLog(
        there=("alice", "bob"),
        ours=(Course(shows_after=9.5, lasts=12.0),),
        of_starts=("lost, done",),
        faults=((30, "slow, done"),),
        latency=(0.05,),
        retries=0,
    )
    assert len(live(story).cloud.starts) == 1


@pytest.mark.parametrize("ended", [True, False], ids=["green", "killed"])
def test_a_cleared_task_whose_first_try_dies(ended) -> None:
    """The sync was done, the user asks for it anew, and what becomes of that is green at once."""
    deaths = (None, 0) if ended else (15, 0)
    life = live(ProgressLog(deaths=deaths, downtime=(100.0,), clears=(True,)))
    assert life.tries[-1].how == "green"
    assert len(life.cloud.starts) == 2
