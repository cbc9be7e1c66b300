"""One run for all who ask: under asyncio with a clock that is moved by hand, and with real threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider_cloudsync.exceptions import ApiError, TransportError
from airflow_provider_cloudsync.transport.coalescing import (
    NOTHING,
    AsyncSingleFlight,
    BlockingSingleFlight,
    ResultCache,
)


class HandClock:
    """Time that moves when told; what is to be done later is done when its time has come."""

    def __init__(self) -> None:
        self.now = 100.0
        self.alarms: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, what: Callable[[], object]) -> asyncio.Future[None]:
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm.add_done_callback(lambda _: alarm.cancelled() or what())
        self.alarms.append((self.now + seconds, alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        await settle()
        self.now += seconds
        due = [alarm for when, alarm in self.alarms if when <= self.now]
        self.alarms = [(when, alarm) for when, alarm in self.alarms if when > self.now]
        for alarm in due:
            if not alarm.done():
                alarm.set_result(None)
        await settle()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Work:
    """Something to share: counts its runs, and ends when it is told to."""

    def __init__(self, *, held: bool = False) -> None:
        self.runs = 0
        self.cancelled = 0
        self.failures: list[BaseException] = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def __call__(self) -> Any:
        self.runs += 1
        run = self.runs
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failures:
            raise self.failures.pop(0)
        return f"result {run}"


Scenario = Callable[[AsyncSingleFlight, HandClock], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Run a scenario; no task may be left behind, and no asker may wait for ever."""

    complaints: list[dict[str, Any]] = []

    async def main() -> None:
        # Such as "exception was never retrieved", which comes when the task is thrown away.
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        clock = HandClock()
        shares = AsyncSingleFlight(clock, clock.later)
        try:
            await asyncio.wait_for(scenario(shares, clock), 10)
            await settle()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left
            assert len(shares) == 0
        finally:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await settle()
            gc.collect()

    asyncio.run(main())
    assert complaints == []


def ask(shares: AsyncSingleFlight, work: Work, key: Any = "key", **more: Any) -> asyncio.Task[Any]:
    return asyncio.create_task(shares.get(key, work, **more))


class TestAsync:
    def test_one_run_for_many(self):
        async def scenario(shares, clock):
            work = Work()
            asked = [ask(shares, work) for _ in range(1000)]
            assert set(await asyncio.gather(*asked)) == {"result 1"}
            assert work.runs == 1

        play(scenario)

    def test_other_keys_are_other_runs(self):
        async def scenario(shares, clock):
            one, other = Work(), Work()
            await asyncio.gather(ask(shares, one, "a"), ask(shares, other, "b"))
            assert (one.runs, other.runs) == (1, 1)

        play(scenario)

    def test_who_comes_after_the_result_gets_a_new_run(self):
        async def scenario(shares, clock):
            work = Work()
            assert await ask(shares, work) == "result 1"
            await clock.advance(1)
            assert await ask(shares, work) == "result 2"

        play(scenario)

    def test_who_joins_a_run_under_way_waits_for_the_next(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first = ask(shares, work)
            await settle()
            await clock.advance(1)
            late = [ask(shares, work) for _ in range(3)]
            await settle()
            assert work.runs == 1
            work.gate.set()
            assert await first == "result 1"
            assert await asyncio.gather(*late) == ["result 2"] * 3

        play(scenario)

    def test_unless_the_run_is_young_enough_for_them(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first = ask(shares, work, max_age=30)
            await settle()
            await clock.advance(29)
            young = ask(shares, work, max_age=30)
            await clock.advance(2)
            old = ask(shares, work, max_age=30)
            await settle()
            work.gate.set()
            assert [await first, await young, await old] == ["result 1", "result 1", "result 2"]

        play(scenario)

    @pytest.mark.parametrize(("later", "runs"), [(0, 1), (30, 1), (30.1, 2)])
    def test_a_result_is_kept_for_as_long_as_it_may_be_old(self, later, runs):
        async def scenario(shares, clock):
            work = Work()
            await ask(shares, work, max_age=30)
            await clock.advance(later)
            assert await ask(shares, work, max_age=30) == f"result {runs}"
            assert work.runs == runs

        play(scenario)

    def test_the_age_counts_from_when_the_run_began(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first = ask(shares, work, max_age=30)
            await settle()
            await clock.advance(25)
            work.gate.set()
            assert await first == "result 1"
            await clock.advance(10)
            assert await ask(shares, work, max_age=30) == "result 2"

        play(scenario)

    def test_the_most_impatient_decides(self):
        async def scenario(shares, clock):
            work = Work()
            patient = ask(shares, work, wait=60)
            await settle()
            assert work.runs == 0
            await clock.advance(10)
            hasty = ask(shares, work, wait=5)
            await clock.advance(4.9)
            assert work.runs == 0
            await clock.advance(0.2)
            assert [await patient, await hasty] == ["result 1", "result 1"]
            assert work.runs == 1

        play(scenario)

    def test_one_who_is_more_patient_delays_nobody(self):
        async def scenario(shares, clock):
            work = Work()
            hasty = ask(shares, work, wait=5)
            await settle()
            patient = ask(shares, work, wait=60)
            await clock.advance(5)
            assert [await hasty, await patient] == ["result 1", "result 1"]

        play(scenario)

    def test_when_the_most_impatient_leaves_the_next_one_decides(self):
        async def scenario(shares, clock):
            work = Work()
            patient = ask(shares, work, wait=60)
            hasty = ask(shares, work, wait=5)
            await settle()
            hasty.cancel()
            await clock.advance(30)
            assert work.runs == 0
            await clock.advance(30)
            assert await patient == "result 1"

        play(scenario)

    def test_a_thousand_waits_are_one_poll_each_round(self):
        async def scenario(shares, clock):
            work = Work()

            async def wait_three_times() -> list[str]:
                return [await shares.get("key", work, wait=10) for _ in range(3)]

            waiters = [asyncio.create_task(wait_three_times()) for _ in range(1000)]
            for _ in range(3):
                await settle()
                await clock.advance(10)
            assert set(map(tuple, await asyncio.gather(*waiters))) == {("result 1", "result 2", "result 3")}
            assert work.runs == 3

        play(scenario)

    def test_an_error_is_for_all_and_a_copy_for_each(self):
        async def scenario(shares, clock):
            work = Work()
            error = ApiError("m", status=503, request_id="r")
            work.failures = [error]
            caught = await asyncio.gather(*[ask(shares, work) for _ in range(5)], return_exceptions=True)
            assert [(type(each), str(each), each.status, each.request_id) for each in caught] == [
                (ApiError, "m", 503, "r")
            ] * 5
            assert len({id(each) for each in caught}) == 5
            # Tracebacks of one asker do not pile up on another's, or on the original.
            assert all(each is not error for each in caught)

        play(scenario)

    @pytest.mark.parametrize("left", [0.0, 5.0])
    def test_who_waits_for_another_s_run_may_have_a_limit(self, left):
        """It takes part in a run under way, and the run goes on without it."""

        async def scenario(shares, clock):
            timers: list[Any] = []

            def timer(seconds, what):
                timers.append((seconds, what))
                return asyncio.get_running_loop().call_later(1000, what)

            shares._timer = timer
            work = Work(held=True)
            result_for = shares.join("key", work, max_wait=left)
            await settle()
            others = [shares.join("key", work, max_wait=left) for _ in range(2)]
            unlimited = shares.join("key", work, max_age=30)
            assert [seconds for seconds, _ in timers] == [left, left]
            timers[0][1]()
            assert await others[0] is NOTHING
            shares.leave("key", others[0])
            work.gate.set()
            assert [await result_for, await others[1], await unlimited] == ["result 1"] * 3
            for each in (result_for, others[1], unlimited):
                shares.leave("key", each)
            timers[1][1]()  # too late
            assert others[1].result() == "result 1"
            assert len(shares) == 0

        play(scenario)

    def test_an_error_is_not_kept(self):
        async def scenario(shares, clock):
            work = Work()
            work.failures = [TransportError("m")]
            with pytest.raises(TransportError):
                await ask(shares, work, max_age=3600)
            assert await ask(shares, work, max_age=3600) == "result 2"
            assert await ask(shares, work, max_age=3600) == "result 2"

        play(scenario)

    def test_an_error_does_not_hurt_who_joined_later(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            work.failures = [TransportError("m")]
            first = ask(shares, work)
            await settle()
            await clock.advance(1)
            late = ask(shares, work)
            await settle()
            work.gate.set()
            with pytest.raises(TransportError):
                await first
            assert await late == "result 2"

        play(scenario)

    class Uncopyable(Exception):
        """Like AirflowRuntimeError and httpx.HTTPStatusError: made of something else than what it shows."""

        def __init__(self, code: int, text: str) -> None:
            super().__init__(f"{text} ({code:d})")

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(ValueError("m"), id="a plain one"),
            pytest.param(KeyError("m"), id="KeyError"),
            pytest.param(UnicodeDecodeError("utf-8", b"x", 0, 1, "m"), id="of five arguments"),
            pytest.param(Uncopyable(5, "m"), id="one that can't be copied"),
            pytest.param(ExceptionGroup("m", [ValueError("m")]), id="a group"),
        ],
    )
    def test_whatever_error_it_is_nobody_waits_for_ever(self, error):
        async def scenario(shares, clock):
            work = Work()
            work.failures = [error]
            asked = [ask(shares, work, max_age=60) for _ in range(3)]
            await settle()
            assert all(each.done() for each in asked)
            caught = await asyncio.gather(*asked, return_exceptions=True)
            assert [(type(each), str(each)) for each in caught] == [(type(error), str(error))] * 3

        play(scenario)

    def test_an_error_with_a_note(self):
        async def scenario(shares, clock):
            work = Work()
            error = ApiError("m", status=503)
            error.add_note("note")
            work.failures = [error]
            asked = ask(shares, work)
            await settle()
            assert asked.done()
            with pytest.raises(ApiError, match="m"):
                await asked

        play(scenario)

    def test_work_that_is_cancelled_from_within_leaves_nobody_waiting(self):
        async def scenario(shares, clock):
            work = Work()
            work.failures = [asyncio.CancelledError()]
            asked = ask(shares, work)
            await settle()
            assert asked.done()
            await asyncio.gather(asked, return_exceptions=True)

        play(scenario)

    def test_one_who_leaves_hurts_nobody(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first, second = ask(shares, work), ask(shares, work)
            await settle()
            first.cancel()
            await settle()
            assert first.cancelled()
            work.gate.set()
            assert await second == "result 1"
            assert (work.runs, work.cancelled) == (1, 0)

        play(scenario)

    def test_one_who_fails_with_the_result_hurts_nobody(self):
        async def scenario(shares, clock):
            work = Work()

            async def clumsy() -> None:
                await shares.get("key", work)
                raise ZeroDivisionError

            bad = asyncio.create_task(clumsy())
            good = ask(shares, work)
            assert await good == "result 1"
            with pytest.raises(ZeroDivisionError):
                await bad

        play(scenario)

    @pytest.mark.parametrize("under_way", [False, True])
    def test_the_last_one_to_leave_ends_the_work(self, under_way):
        async def scenario(shares, clock):
            work = Work(held=True)
            asked = [ask(shares, work, wait=0 if under_way else 60) for _ in range(3)]
            await settle()
            for each in asked:
                each.cancel()
            await settle()
            assert len(shares) == 0
            assert (work.runs, work.cancelled) == ((1, 1) if under_way else (0, 0))
            # And who comes then begins anew.
            work.gate.set()
            assert await ask(shares, work) == f"result {2 if under_way else 1}"

        play(scenario)

    def test_who_waits_for_the_next_run_keeps_the_key_alive(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first = ask(shares, work)
            await settle()
            await clock.advance(1)
            late = ask(shares, work)
            await settle()
            first.cancel()
            await settle()
            work.gate.set()
            assert (await late).startswith("result")

        play(scenario)

    def test_joining_while_the_last_one_leaves(self):
        async def scenario(shares, clock):
            work = Work(held=True)
            first = ask(shares, work)
            await settle()
            first.cancel()
            second = ask(shares, work)
            await settle()
            work.gate.set()
            assert await second in ("result 1", "result 2")

        play(scenario)

    def test_who_asks_within_the_work_for_something_else(self):
        async def scenario(shares, clock):
            inner = Work()

            async def outer() -> str:
                return f"outer of {await shares.get('inner', inner)}"

            asked = [asyncio.create_task(shares.get("outer", outer)) for _ in range(3)]
            assert await asyncio.gather(*asked) == ["outer of result 1"] * 3
            assert inner.runs == 1

        play(scenario)

    def test_nothing_stays_of_what_was_not_to_be_kept(self):
        async def scenario(shares, clock):
            work = Work()
            for number in range(100):
                await ask(shares, work, key=number)
            assert (len(shares), len(shares._results)) == (0, 0)

        play(scenario)


def test_with_the_real_clock():
    async def main() -> None:
        shares, work = AsyncSingleFlight(), Work()
        asked = [asyncio.create_task(shares.get("key", work, wait=wait)) for wait in (0.002, 3600)]
        assert await asyncio.wait_for(asyncio.gather(*asked), 5) == ["result 1", "result 1"]
        assert len(shares) == 0

    asyncio.run(main())


class TestBlocking:
    def test_one_run_for_many_threads(self):
        shares, gate, runs = BlockingSingleFlight(), threading.Barrier(8), []

        def work() -> str:
            runs.append(1)
            return "result"

        def ask_for_it(results: list[str]) -> None:
            gate.wait(5)
            results.append(shares.get("key", work, max_age=60))

        results: list[str] = []
        threads = [threading.Thread(target=ask_for_it, args=(results,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert results == ["result"] * 8
        assert len(runs) == 1

    def test_keys_do_not_wait_for_each_other(self):
        shares, other_is_done = BlockingSingleFlight(), threading.Event()

        def slow() -> str:
            assert other_is_done.wait(5)
            return "slow"

        results: list[str] = []
        thread = threading.Thread(target=lambda: results.append(shares.get("a", slow, max_age=60)))
        thread.start()
        assert shares.get("b", lambda: "fast", max_age=60) == "fast"
        other_is_done.set()
        thread.join(5)
        assert results == ["slow"]

    @pytest.mark.parametrize(
        ("age", "later", "runs"),
        [(60, 0, 1), (60, 60, 1), (60, 60.1, 2), (0, 0, 2), (-1, 0, 2)],
    )
    def test_how_long_a_result_is_kept(self, age, later, runs):
        now = [100.0]
        shares = BlockingSingleFlight(lambda: now[0])
        calls: list[int] = []
        work = lambda: calls.append(1) or len(calls)  # noqa: E731
        shares.get("key", work, max_age=age)
        now[0] += later
        assert shares.get("key", work, max_age=age) == runs
        assert len(calls) == runs

    def test_the_age_counts_from_when_the_run_began(self):
        now = [100.0]
        shares = BlockingSingleFlight(lambda: now[0])

        def slow() -> float:
            now[0] += 50
            return now[0]

        assert shares.get("key", slow, max_age=60) == 150
        now[0] += 20
        assert shares.get("key", slow, max_age=60) == 220

    def test_an_error_is_not_kept_and_frees_the_next(self):
        shares = BlockingSingleFlight()

        def fail() -> None:
            raise TransportError("m")

        for _ in range(2):
            with pytest.raises(TransportError):
                shares.get("key", fail, max_age=60)
        assert shares.get("key", lambda: "fine", max_age=60) == "fine"

    def test_none_is_a_result_like_any_other(self):
        shares, calls = BlockingSingleFlight(), []
        for _ in range(2):
            assert shares.get("key", lambda: calls.append(1), max_age=60) is None
        assert len(calls) == 1


class Common:
    """Work for parts: remembers what was wanted each time, and may bring more than that."""

    def __init__(self, *extra: str, failing: tuple[str, ...] = (), broken: Exception | None = None) -> None:
        self.wanted: list[list[str]] = []
        self.extra, self.failing, self.broken = extra, failing, broken
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, parts: Any) -> dict[str, Any]:
        self.wanted.append(sorted(parts))
        await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        run = len(self.wanted)
        return {
            part: ApiError(f"no {part}") if part in self.failing else f"{part} {run}"
            for part in (*parts, *self.extra)
        }


async def of_common(shares: AsyncSingleFlight, part: str, work: Any, **when: float) -> Any:
    """A part of it, as a driver waits for it."""
    future = shares.join_part("key", part, work, **when)
    try:
        return await future
    finally:
        shares.leave("key", future)


def want(
    shares: AsyncSingleFlight, work: Common, part: str, wait: float = 0, soonest: float = 0
) -> asyncio.Task[Any]:
    return asyncio.create_task(of_common(shares, part, work, wait=wait, soonest=soonest))


class TestParts:
    def test_one_run_for_all_parts_that_are_wanted(self):
        async def scenario(shares, clock):
            work = Common()
            asked = [want(shares, work, part) for part in "abca"]
            assert await asyncio.gather(*asked) == ["a 1", "b 1", "c 1", "a 1"]
            assert work.wanted == [["a", "b", "c"]]

        play(scenario)

    def test_who_wants_it_soon_goes_along_and_who_does_not_keeps_their_time(self):
        async def scenario(shares, clock):
            work = Common()
            hasty = want(shares, work, "hasty", wait=5)
            soon = want(shares, work, "soon", wait=8, soonest=4)
            patient = want(shares, work, "patient", wait=60, soonest=30)
            await clock.advance(5)
            assert [await hasty, await soon] == ["hasty 1", "soon 1"]
            assert not patient.done()
            await clock.advance(54)
            assert work.wanted == [["hasty", "soon"]]
            await clock.advance(1)
            assert await patient == "patient 2"

        play(scenario)

    def test_what_comes_by_chance_is_for_whoever_waits_for_it(self):
        async def scenario(shares, clock):
            work = Common("patient")
            hasty = want(shares, work, "hasty")
            patient = want(shares, work, "patient", wait=60, soonest=30)
            assert await asyncio.gather(hasty, patient) == ["hasty 1", "patient 1"]
            assert work.wanted == [["hasty"]]

        play(scenario)

    def test_the_error_of_one_part_is_no_error_of_others(self):
        async def scenario(shares, clock):
            work = Common(failing=("b",))
            found = await asyncio.gather(
                *(want(shares, work, part) for part in "abb"), return_exceptions=True
            )
            assert found[0] == "a 1"
            assert [str(each) for each in found[1:]] == ["no b", "no b"]
            assert found[1] is not found[2]

        play(scenario)

    def test_an_error_of_all_is_of_those_who_wanted_it_then(self):
        async def scenario(shares, clock):
            work = Common(broken=TransportError("lost"))
            hasty = want(shares, work, "hasty")
            patient = want(shares, work, "patient", wait=60, soonest=30)
            with pytest.raises(TransportError, match="lost"):
                await hasty
            assert not patient.done()
            work.broken = None
            await clock.advance(60)
            assert await patient == "patient 2"

        play(scenario)

    def test_who_joins_a_run_under_way_waits_for_the_next_even_if_it_brings_their_part(self):
        async def scenario(shares, clock):
            work = Common("b")
            work.gate.clear()
            first = want(shares, work, "a")
            await settle()
            late = want(shares, work, "b")
            await settle()
            work.gate.set()
            assert [await first, await late] == ["a 1", "b 2"]

        play(scenario)

    def test_work_that_forgets_a_part_is_an_error_and_no_endless_wait(self):
        async def scenario(shares, clock):
            async def forgetful(parts):
                return {}

            with pytest.raises(RuntimeError, match="nothing for 'a'"):
                await of_common(shares, "a", forgetful)

        play(scenario)

    def test_nothing_stays_when_the_last_one_leaves(self):
        async def scenario(shares, clock):
            work = Common()
            asked = [want(shares, work, part, wait=60) for part in "ab"]
            await settle()
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await settle()
            assert len(shares) == 0
            assert work.wanted == []

        play(scenario)


def test_what_is_over_is_not_kept():
    async def main() -> int:
        clock, kept = HandClock(), ResultCache()
        shares = AsyncSingleFlight(clock, clock.later, kept)
        for number in range(5000):
            await shares.get(("cluster", number), Work(), max_age=300)
            clock.now += 10
        return len(kept)

    assert asyncio.run(main()) < 200


def test_what_knows_its_own_end_is_kept():
    async def main() -> Any:
        clock, kept = HandClock(), ResultCache()
        shares = AsyncSingleFlight(clock, clock.later, kept)
        lease = await shares.get("lease", Work(), is_fresh=lambda _: True)
        for number in range(1000):
            await shares.get(number, Work(), max_age=1)
            clock.now += 10
        return lease, await shares.get("lease", Work(), is_fresh=lambda _: True)

    assert asyncio.run(main()) == ("result 1", "result 1")


def test_askers_that_are_served_by_another_are_told():
    async def main() -> list[int]:
        told: list[int] = []
        shares, work = AsyncSingleFlight(shared=told.append), Work()
        await asyncio.gather(*(shares.get("look", work) for _ in range(5)))
        await shares.get("alone", work)
        for _ in range(3):
            await shares.get("cluster", work, max_age=60)
            await shares.get("key", work, is_fresh=lambda _: True)
        return told

    assert asyncio.run(main()) == [4, 1, 1]


def test_a_thread_that_waits_for_another_s_run_may_have_a_limit():
    shares = BlockingSingleFlight()
    begun, go_on = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go_on.wait(10)
        return "result"

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(shares.get("key", work, max_wait=0.0)))
    thread.start()
    assert begun.wait(10)
    assert shares.get("key", lambda: "mine", max_wait=0.0) is NOTHING
    assert shares.get("key", lambda: "mine", max_wait=0.01) is NOTHING
    assert shares.get("other", lambda: "mine", max_wait=0.0) == "mine"
    go_on.set()
    thread.join(10)
    assert results == ["result"]
    # Nothing is kept without an age, and an error leaves no lock behind.
    with pytest.raises(ZeroDivisionError):
        shares.get("key", lambda: 1 / 0, max_wait=0.0)
    assert shares.get("key", lambda: "mine", max_wait=0.0) == "mine"


def test_an_error_keeps_nothing_that_it_was_raised_beside():
    """Its frames hold the reply, which may have several MiB. The garbage collector comes late for that."""
    kept: list[weakref.ref[Any]] = []

    class Large:
        pass

    async def fails() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        raise TransportError("lost")

    async def main() -> None:
        shares = AsyncSingleFlight()
        results = await asyncio.gather(*(shares.get("key", fails) for _ in range(3)), return_exceptions=True)
        assert [str(each) for each in results] == ["lost"] * 3
        assert [each() for each in kept] == [None]

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
