"""The queue before a documented quota: by itself, under a call, and under many waits of one event loop."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_cloudsync.api.credentials import KeyPair
from airflow_provider_cloudsync.api.flows import Cloud, call
from airflow_provider_cloudsync.api.messages import (
    AcquireSlot,
    Cooldown,
    HttpRequest,
    Pause,
    Quota,
    Request,
    Response,
    SingleFlight,
)
from airflow_provider_cloudsync.api.model import Phase, Stage, Ticket
from airflow_provider_cloudsync.api.retries import is_held_back
from airflow_provider_cloudsync.api.services.hss import calls
from airflow_provider_cloudsync.api.services.hss.event_sync import (
    EVENT_SYNC,
    events_target,
    events_watch_target,
)
from airflow_provider_cloudsync.api.waiting.polling import until_done
from airflow_provider_cloudsync.api.waiting.starting import begin
from airflow_provider_cloudsync.exceptions import ApiError, Throttled, WaitTimedOut, from_report
from airflow_provider_cloudsync.transport import drivers
from airflow_provider_cloudsync.transport.rate_limits import RateLimiter
from tests.support.driven import drive
from tests.support.stepped_loop import World, worlds

QUOTA = Quota(5, 60.0)
#: What the queue keeps to spare.
SPARE = 1.0
ROUND = QUOTA.seconds + SPARE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def turns(clock) -> RateLimiter:
    return RateLimiter(clock=clock)


def ask(turns: RateLimiter, claim: Any, key: str = "k", quota: Quota = QUOTA) -> float:
    return turns.take(AcquireSlot(key, quota, claim))


def most_within(times: list[float], seconds: float = 60.0) -> int:
    """The most calls in any window of that length."""
    return max((sum(at <= each < at + seconds for each in times) for at in times), default=0)


class TestQueue:
    def test_as_many_as_the_quota_at_once_and_the_others_a_window_later(self, turns) -> None:
        waits = [ask(turns, claim) for claim in range(12)]
        assert waits == [0.0] * 5 + [ROUND] * 5 + [2 * ROUND] * 2

    def test_who_comes_back_has_the_turn(self, turns, clock) -> None:
        for claim in range(12):
            ask(turns, claim)
        clock.now += ROUND
        assert [ask(turns, claim) for claim in range(5, 10)] == [0.0] * 5
        assert [ask(turns, claim) for claim in (10, 11)] == [ROUND] * 2
        clock.now += ROUND
        assert [ask(turns, claim) for claim in (10, 11)] == [0.0] * 2

    def test_the_window_slides(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
            clock.now += 10
        assert ask(turns, "next") == pytest.approx(ROUND - 50)
        assert ask(turns, "one more") == pytest.approx(ROUND - 40)

    def test_who_is_slow_waits_for_nobody(self, turns, clock) -> None:
        for claim in range(40):
            assert ask(turns, claim) == 0
            clock.now += ROUND / 5

    def test_one_queue_for_each_key(self, turns) -> None:
        assert [ask(turns, claim, key="a") for claim in range(6)][-1] == ROUND
        assert ask(turns, 0, key="b") == 0

    def test_first_come_first_served(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
        assert ask(turns, "first") == ROUND
        clock.now += ROUND
        # Five more come at the moment at which there are five turns, and one is taken.
        assert [ask(turns, number) for number in range(10, 14)] == [0.0] * 4
        assert ask(turns, 14) == ROUND
        assert ask(turns, "first") == 0

    def test_who_asks_too_soon_is_told_the_rest_and_keeps_the_place(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
        ask(turns, "eager")
        ask(turns, "other")
        clock.now += 30
        assert ask(turns, "eager") == ROUND - 30
        clock.now += ROUND - 30
        assert ask(turns, "eager") == 0

    def test_a_turn_is_taken_once(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
        assert ask(turns, "a") == ROUND
        clock.now += ROUND
        assert [ask(turns, "a") for _ in range(6)] == [0.0] * 5 + [ROUND]

    @pytest.mark.parametrize("late", [0, 5, 9])
    def test_who_is_a_little_late_keeps_the_place(self, turns, clock, late) -> None:
        for claim in range(5):
            ask(turns, claim)
        ask(turns, "late")
        clock.now += ROUND + late
        assert [ask(turns, number) for number in range(10, 15)] == [0.0] * 4 + [ROUND]
        assert ask(turns, "late") == 0

    def test_who_never_comes_back_is_passed_over(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
        for claim in range(100):
            ask(turns, ("gone", claim))
        clock.now += 3600
        assert [ask(turns, number) for number in range(6)] == [0.0] * 5 + [ROUND]

    def test_those_who_never_come_back_hold_nobody_up_for_long(self, turns, clock) -> None:
        """A cluster whose task was killed while it stood in the queue."""
        for claim in range(5):
            ask(turns, claim)
        for claim in range(5):
            ask(turns, ("gone", claim))
        began = clock.now
        while (wait := ask(turns, "here")) > 0:
            clock.now += wait
            assert clock.now - began < 3 * ROUND
        assert clock.now - began <= 2 * ROUND

    def test_those_who_never_come_leave_nothing_behind(self, turns, clock) -> None:
        for number in range(3000):
            ask(turns, number)
            clock.now += 5
        (queue,) = turns._queues.values()
        assert len(queue.sent) == 5
        clock.now += 1e6
        ask(turns, "new")
        assert len(queue.waiting) == 0

    def test_hold(self, turns, clock) -> None:
        ask(turns, 0)
        turns.hold(Cooldown("k", 100.0))
        assert [ask(turns, claim) for claim in "abcde"][:4] == [100.0] * 4
        turns.hold(Cooldown("k", 10.0))  # a shorter one does not shorten it
        assert ask(turns, "a") == 100
        clock.now += 1000
        assert ask(turns, "g") == 0

    def test_a_hold_is_for_those_who_wait_too_and_they_keep_their_places(self, turns, clock) -> None:
        for claim in range(5):
            ask(turns, claim)
        ask(turns, "a")
        clock.now += ROUND - 1
        turns.hold(Cooldown("k", 60.0))
        clock.now += 1
        assert ask(turns, "a") == pytest.approx(59)
        clock.now += 59
        assert [ask(turns, number) for number in range(10, 15)] == [0.0] * 4 + [ROUND]
        assert ask(turns, "a") == 0

    def test_a_hold_is_for_those_who_come_later_too(self, turns) -> None:
        turns.hold(Cooldown("k", 100.0))
        assert ask(turns, "a") == 100

    def test_without_a_quota_nobody_waits_but_for_a_hold(self, turns, clock) -> None:
        def take(claim: object) -> float:
            return turns.take(AcquireSlot("k", None, claim))

        assert [take(number) for number in range(1000)] == [0.0] * 1000
        turns.hold(Cooldown("k", 60.0))
        assert take("a") == take("b") == 60
        clock.now += 60
        assert [take(number) for number in range(1000)] == [0.0] * 1000

    def test_what_a_refusal_told_of_the_quota_is_kept_to(self, turns, clock) -> None:
        turns.hold(Cooldown("k", 60.0, Quota(5, 60.0)))
        clock.now += 60
        waits = [turns.take(AcquireSlot("k", None, number)) for number in range(11)]
        assert waits == [0.0] * 5 + [ROUND] * 5 + [2 * ROUND]

    @pytest.mark.parametrize("quota", [Quota(1, 60.0), Quota(1, 600.0)], ids=str)
    def test_what_a_refusal_told_is_forgotten_after_another_window(self, turns, clock, quota) -> None:
        """A poll of two calls would never be complete: the second one waits, and the next poll repeats the first."""
        turns.hold(Cooldown("k", quota.seconds, quota))
        clock.now += quota.seconds
        assert [turns.take(AcquireSlot("k", None, each)) for each in "ab"] == [0.0, quota.seconds + 1]
        clock.now += quota.seconds + 1
        assert [turns.take(AcquireSlot("k", None, each)) for each in "abab"] == [0.0] * 4
        turns.hold(Cooldown("k", quota.seconds, quota))
        assert turns.take(AcquireSlot("k", None, "a")) == quota.seconds

    def test_but_the_documented_one_goes_before(self, turns, clock) -> None:
        ask(turns, "a")
        turns.hold(Cooldown("k", 10.0, Quota(1, 1.0)))
        clock.now += 70
        assert [ask(turns, number) for number in range(6)] == [0.0] * 5 + [ROUND]

    def test_a_refusal_that_names_no_time_holds_longer_each_time(self, turns, clock) -> None:
        """As long as one follows the other; who is let through in between may be refused again."""
        holds = []
        for _ in range(9):
            turns.hold(Cooldown("k", None))
            wait = turns.take(AcquireSlot("k", None, "a"))
            holds.append(wait)
            clock.now += wait + 0.5
        assert holds == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        clock.now += 200
        turns.hold(Cooldown("k", None))
        assert turns.take(AcquireSlot("k", None, "a")) == 1

    def test_a_burst_of_refusals_is_one(self, turns, clock) -> None:
        """Those that were under way when the first one was refused say nothing new."""
        for _ in range(32):
            turns.hold(Cooldown("k", None))
            clock.now += 0.01
        assert turns.take(AcquireSlot("k", None, "a")) < 1

    def test_a_hold_of_one_key_is_for_that_one(self, turns) -> None:
        ask(turns, 0, key="a")
        ask(turns, 0, key="b")
        turns.hold(Cooldown("a", 100.0))
        assert ask(turns, 1, key="a") == 100
        assert ask(turns, 1, key="b") == 0

    @pytest.mark.parametrize("quota", [Quota(1, 1.0), Quota(1, 3600.0), Quota(200, 60.0)], ids=str)
    def test_other_quotas(self, turns, clock, quota) -> None:
        times = [clock.now + ask(turns, claim, quota=quota) for claim in range(3 * quota.limit)]
        assert most_within(times, quota.seconds) <= quota.limit
        assert times == sorted(times)

    def test_threads(self, clock) -> None:
        turns = RateLimiter(clock=clock)
        given: list[float] = []
        gate = threading.Barrier(8)

        def work(name: int) -> None:
            gate.wait()
            for number in range(25):
                given.append(ask(turns, (name, number)))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(given) == [pytest.approx(number // 5 * ROUND) for number in range(200)]

    @given(
        st.lists(
            st.tuples(
                st.floats(0, 200),  # when it comes first
                st.floats(0, 100),  # how late it is when it comes back
                st.sampled_from([None, None, None, 1]),  # after how many times it does not
            ),
            min_size=1,
            max_size=40,
        ),
        st.integers(1, 6),
        st.lists(st.tuples(st.floats(0, 500), st.floats(0, 120)), max_size=3),
    )
    @settings(max_examples=150, deadline=None)
    def test_however_late_they_come_the_quota_is_kept_and_all_are_served(self, askers, limit, holds) -> None:
        clock = Clock()
        turns = RateLimiter(clock=clock)
        quota = Quota(limit, 60.0)
        began = clock.now
        events: list[tuple[float, int, Any]] = [
            (began + at, number, (late, leaves)) for number, (at, late, leaves) in enumerate(askers)
        ]
        events += [(began + at, 1000 + number, seconds) for number, (at, seconds) in enumerate(holds)]
        heapq.heapify(events)
        sent: list[float] = []
        held: list[tuple[float, float]] = []
        asked: dict[int, int] = {}
        while events:
            at, number, how = heapq.heappop(events)
            clock.now = max(clock.now, at)
            if number >= 1000:
                turns.hold(Cooldown("k", how))
                if asked:  # a queue that is not there yet can't be held
                    held.append((clock.now, clock.now + how))
                continue
            late, leaves = how
            asked[number] = asked.get(number, 0) + 1
            assert asked[number] < 500
            wait = ask(turns, number, quota=quota)
            if wait == 0:
                sent.append(clock.now)
            elif leaves is None:
                heapq.heappush(events, (clock.now + wait + late, number, how))
        stay = sum(leaves is None for _, _, leaves in askers)
        assert stay <= len(sent) <= len(askers)
        assert most_within(sent) <= limit
        assert not any(begin <= at < end for at in sent for begin, end in held if at != begin)


# --- a call --------------------------------------------------------------------------------------------------------

READ = Request("GET", "hss", "Read", "/v5/{project_id}/things", repeatable=True, quota=QUOTA)


class Script:
    """Answers the messages of a flow; time passes by its pauses only."""

    def __init__(self, *replies: Response, waits: Iterator[float] | None = None) -> None:
        self.replies = list(replies)
        self.waits = waits or iter(())
        self.now = 1_710_901_516.0
        self.began = self.now
        self.did: list[Any] = []

    def cloud(self, **more: Any) -> Cloud:
        return Cloud(KeyPair("ak", "sk"), lambda: self.now, region="cn-north-4", project_id="p1", **more)

    def run(self, flow: Any) -> Any:
        try:
            message = next(flow)
            while True:
                message = flow.send(self.answer(message))
        except StopIteration as end:
            return end.value

    def answer(self, message: Any) -> Any:
        if isinstance(message, SingleFlight):
            return self.run(message.make())
        self.did.append(message)
        if isinstance(message, AcquireSlot):
            return next(self.waits, 0.0)
        if isinstance(message, Pause):
            self.now += message.seconds
        return self.replies.pop(0) if isinstance(message, HttpRequest) else None

    def of(self, kind: type) -> list[Any]:
        return [each for each in self.did if isinstance(each, kind)]


GOOD = Response(200, {}, b"{}")


def refused(text: str = "", **headers: str) -> Response:
    return Response(429, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode())


class TestCall:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("limit:5,time:1 minute", Quota(5, 60.0)),
            ("limit:200,time:1 second", Quota(200, 2.0)),
            ("limit:0,time:1 minute", None),
            ("time:1 minute", None),
            ("limit:5", None),
        ],
    )
    def test_a_call_without_a_quota_learns_it_from_a_refusal(self, text, told) -> None:
        script = Script(refused(text), GOOD)
        script.run(call(script.cloud(), replace(READ, quota=None)))
        assert {turn.quota for turn in script.of(AcquireSlot)} == {None}
        assert [hold.quota for hold in script.of(Cooldown)] == [told]

    def test_a_refusal_that_names_no_time_holds_the_others_for_a_time_of_our_own(self) -> None:
        script = Script(refused("slow down"), GOOD)
        script.run(call(script.cloud(), replace(READ, quota=None)))
        assert [hold.seconds for hold in script.of(Cooldown)] == [None]

    def test_each_attempt_takes_a_turn(self) -> None:
        script = Script(Response(503, {}, b""), GOOD)
        script.run(call(script.cloud(), READ))
        kinds = [type(each) for each in script.did]
        assert kinds == [AcquireSlot, HttpRequest, Pause, AcquireSlot, HttpRequest]

    @pytest.mark.parametrize(
        ("attempts", "cause"),
        [
            # what became of each attempt: a status, or 0 where the local rate limit held it back; the status told
            pytest.param([0] * 5, 0, id="never sent"),
            pytest.param([502, 502, 502, 502, 0], 502, id="four times 502"),
            pytest.param([502, 0, 0, 0, 0], 502, id="once 502"),
            pytest.param([0, 503, 0, 502, 0], 502, id="in between"),
            pytest.param([429, 0, 0, 0, 0], 429, id="throttled"),
            pytest.param([0, 0, 0, 0, 502], 502, id="the last one was sent"),
            pytest.param([0, 403], 403, id="a final error"),
        ],
    )
    def test_the_rate_limit_is_not_the_cause_of_what_the_service_answered(self, attempts, cause) -> None:
        script = Script(
            *(Response(each, {}, b"") for each in attempts if each),
            waits=iter([0.0 if each else 999.0 for each in attempts]),
        )
        with pytest.raises(ApiError) as caught:
            script.run(call(script.cloud(), READ))
        error = caught.value
        limit = (
            "The rate limit of this API is exhausted (5 calls per 60 s, shared by all tasks of this process). The "
            "call was not sent. Run fewer tasks in parallel or raise poll_interval."
        )
        assert len(script.of(HttpRequest)) == len(script.replies) + sum(each > 0 for each in attempts)
        assert (error.status, error.sent, is_held_back(error)) == (cause, cause > 0, cause == 0)
        assert error.message.startswith(limit) is (not cause)
        assert (f"({cause})" in error.message[:80]) is (cause > 0)
        assert error.message.endswith("]")
        assert (f" No further attempt was sent: {limit}" in error.message) is (cause > 0 and not attempts[-1])
        assert error.args == (error.message,)
        assert from_report(error.to_report()).message == error.message

    def test_it_is_signed_after_the_wait(self) -> None:
        script = Script(GOOD, waits=iter([600.0]))
        script.run(call(script.cloud(), READ))
        (sent,) = script.of(HttpRequest)
        assert sent.headers["X-Sdk-Date"] == "20240320T023516Z"

    def test_the_queue_is_of_an_api_of_a_host_and_of_a_user(self) -> None:
        def key(cloud: dict[str, Any] | None = None, **request: Any) -> Any:
            script = Script(GOOD)
            script.run(call(replace(script.cloud(), **(cloud or {})), replace(READ, **request)))
            return script.of(AcquireSlot)[0].key

        other = {"credentials": KeyPair("other", "sk")}
        assert key() == key({"project_id": "p2"})
        assert key() != key(other)
        for_all = Quota(5, 60.0, by_address=True)
        assert key(quota=for_all) == key(other, quota=for_all)
        assert key() == key(query=(("cluster_id", "c"),))
        assert key() != key(operation="Other")
        assert key() != key({"region": "cn-north-1"})
        assert ":sk" not in repr(key())

    def test_a_claim_is_what_is_sent(self) -> None:
        from dataclasses import replace

        def claim(**request: Any) -> Any:
            script = Script(GOOD)
            script.run(call(script.cloud(), replace(READ, **request)))
            return script.of(AcquireSlot)[0].claim

        assert claim() == claim()
        assert len({claim(), claim(query=(("a", "1"),)), claim(method="POST"), claim(json={"a": 1})}) == 4
        assert "sk" not in repr(claim()).replace("aksk:", "")

    @pytest.mark.parametrize(
        ("give_up_in", "wait", "sent"),
        [
            (None, 600.0, True),
            (None, 601.0, False),
            (100.0, 100.0, True),
            (100.0, 100.1, False),
            (-5.0, 0.0, True),
            (-5.0, 0.1, False),
        ],
    )
    def test_a_turn_beyond_the_deadline_is_not_waited_for(self, give_up_in, wait, sent) -> None:
        script = Script(GOOD, waits=iter([wait]))
        end = None if give_up_in is None else script.now + give_up_in
        flow = call(script.cloud(give_up_at=end, attempts=1), READ)
        if sent:
            script.run(flow)
            assert script.now == script.began + wait
        else:
            with pytest.raises(Throttled, match="was not sent") as raised:
                script.run(flow)
            assert raised.value.sent is False
            assert raised.value.retry_after == wait
            assert script.of(HttpRequest) == script.of(Pause) == script.of(Cooldown) == []

    def test_it_asks_again_after_each_pause(self) -> None:
        script = Script(GOOD, waits=iter([30.0, 20.0, 0.0]))
        script.run(call(script.cloud(), READ))
        assert [pause.seconds for pause in script.of(Pause)] == [30.0, 20.0]
        assert len({(turn.key, turn.claim) for turn in script.of(AcquireSlot)}) == 1
        assert len(script.of(HttpRequest)) == 1

    def test_turns_that_never_come_end_with_the_deadline(self) -> None:
        """Whoever comes first is held again and again."""
        script = Script(GOOD, waits=itertools.repeat(59.0))
        with pytest.raises(Throttled):
            script.run(call(script.cloud(give_up_at=script.now + 300, attempts=1), READ))
        assert script.now - script.began <= 300

    HOLDS = (
        # id, reply, seconds
        ("a window in the text", refused("limit:5,time:1 minute"), 60.0),
        ("another window", refused("limit:5,time:10 second"), 10.0),
        ("Retry-After", refused(retry_after="7"), 7.0),
        ("nothing said: the documented window", refused("slow down"), 60.0),
    )

    @pytest.mark.parametrize(
        ("reply", "seconds"), [case[1:] for case in HOLDS], ids=[case[0] for case in HOLDS]
    )
    @pytest.mark.parametrize("attempts", [1, 5])
    def test_a_refusal_holds_everybody(self, reply, seconds, attempts) -> None:
        script = Script(reply, GOOD)
        flow = call(script.cloud(attempts=attempts), READ)
        if attempts == 1:
            with pytest.raises(Throttled):
                script.run(flow)
        else:
            script.run(flow)
        (hold,) = script.of(Cooldown)
        assert (hold.key, hold.seconds) == (script.of(AcquireSlot)[0].key, seconds)

    @pytest.mark.parametrize("retry_after", ["86400", "99999999999", "9" * 400])
    def test_a_typing_error_in_a_header_does_not_hold_everybody_for_long(self, retry_after) -> None:
        script = Script(refused(retry_after=retry_after), GOOD)
        script.run(call(script.cloud(), READ))
        assert script.of(Cooldown)[0].seconds <= 600

    @pytest.mark.parametrize("status", [400, 401, 403, 500, 503])
    def test_another_refusal_holds_nobody(self, status) -> None:
        script = Script(Response(status, {}, b"{}"))
        with pytest.raises(ApiError):
            script.run(call(script.cloud(attempts=1), READ))
        assert script.of(Cooldown) == []

    def test_a_throttled_look_up_of_the_project_holds_other_look_ups_and_nothing_else(self) -> None:
        from airflow_provider_cloudsync.api.messages import SingleFlight
        from airflow_provider_cloudsync.api.services.iam import find_project

        script = Script(refused())

        def carry_out(message: Any) -> Any:
            return run(message.make()) if isinstance(message, SingleFlight) else script.answer(message)

        def run(flow: Any) -> Any:
            return drive(flow, carry_out)

        cloud = Cloud(
            KeyPair("ak", "sk"),
            lambda: script.now,
            region="cn-north-4",
            find_project=find_project,
            attempts=1,
        )
        with pytest.raises(Throttled):
            run(call(cloud, READ))
        assert [hold.key[1] for hold in script.of(Cooldown)] == ["KeystoneListProjects"]


# --- against the emulator, which counts ------------------------------------------------------------------------------

LIST, SYNC = "ListClusterEvents", "SyncClusterProtectionEvent"


@pytest.fixture
def world(monkeypatch) -> Iterator[Callable[..., World]]:
    yield from worlds(monkeypatch)


def watch(world: World, number: int, *, seconds: float, poll_interval: float | None = None) -> Any:
    target = events_watch_target(cluster_id=f"c{number}", updated_after=world.began)
    return until_done(
        world.cloud(),
        EVENT_SYNC,
        Ticket("hss", target, Stage.WATCHING, world.now()),
        deadline=world.began + seconds,
        poll_interval=poll_interval,
        not_before=world.began + 6,
    )


MANY = 12


class TestManyWaits:
    @pytest.mark.parametrize("poll_interval", [None, 1, 15, 60, 100, 115])
    def test_twelve_waits_for_twelve_clusters_keep_the_quota_together(self, world, poll_interval) -> None:
        clusters = {f"c{number}": {"updates_at": [200 * number + 100]} for number in range(MANY)}
        here = world(clusters)
        ends = here.all_at_once(
            [watch(here, number, seconds=3600, poll_interval=poll_interval) for number in range(MANY)]
        )
        assert here.statuses() == {200}
        assert most_within(here.times()) <= 5
        round_of_all = (MANY / 5 + 1) * (ROUND + 1) + (poll_interval or 60)
        for number, (at, ended) in enumerate(ends):
            assert ended.phase is Phase.SUCCEEDED
            due = here.began + 200 * number + 100
            assert due <= at <= due + round_of_all, (number, at - due)

    @pytest.mark.parametrize("poll_interval", [None, 15])
    @pytest.mark.parametrize("seconds", [30, 300, 1000])
    def test_each_of_them_ends_with_its_deadline(self, world, seconds, poll_interval) -> None:
        here = world({f"c{number}": {} for number in range(MANY)})
        ends = here.all_at_once(
            [watch(here, number, seconds=seconds, poll_interval=poll_interval) for number in range(MANY)]
        )
        assert here.statuses() == {200}
        assert most_within(here.times()) <= 5
        for at, ended in ends:
            assert isinstance(ended, WaitTimedOut)
            assert seconds <= at - here.began <= seconds + 61
        if seconds >= 300:  # long enough for a round of all
            looked_at = {dict(each["query"])["cluster_id"] for each in here.emulator.requests()}
            assert len(looked_at) == MANY

    def test_a_hundred_waits(self, world) -> None:
        here = world({f"c{number}": {"updates_at": [1]} for number in range(100)})
        ends = here.all_at_once([watch(here, number, seconds=3600) for number in range(100)])
        assert most_within(here.times()) <= 5
        assert here.statuses() == {200}
        assert [ended.phase for _, ended in ends] == [Phase.SUCCEEDED] * 100
        assert len(here.times()) == 100

    def test_a_thousand_waits_for_one_cluster_are_one(self, world) -> None:
        here = world({"c0": {"updates_at": [100]}})
        ends = here.all_at_once([watch(here, 0, seconds=3600) for _ in range(1000)])
        assert {ended.phase for _, ended in ends} == {Phase.SUCCEEDED}
        assert len(here.times()) <= 12

    @pytest.mark.parametrize(
        ("fault", "window"),
        [
            pytest.param({"throttle": {"limit": 5, "window": "1 minute"}}, 60, id="a window in the text"),
            pytest.param({"throttle": {"limit": 5, "window": "3 minute"}}, 180, id="a long one"),
            pytest.param({"throttle": {}, "retry_after": 90}, 90, id="Retry-After"),
            pytest.param({"status": 429, "body": "slow down"}, 60, id="no window: the documented one"),
        ],
    )
    @pytest.mark.parametrize("skip", [0, 2, 4, 5, 7])
    def test_a_refusal_stops_everybody_for_its_window(self, world, fault, window, skip) -> None:
        """Somebody else on this address has used the quota up."""
        here = world({f"c{number}": {"updates_at": [400]} for number in range(8)})
        here.emulator.faults([{"match": {"operation": LIST}, "skip": skip, "times": 1, **fault}])
        ends = here.all_at_once([watch(here, number, seconds=3600) for number in range(8)])
        assert [ended.phase for _, ended in ends] == [Phase.SUCCEEDED] * 8
        refusals = [each for each in here.emulator.requests() if each["status"] == 429]
        assert len(refusals) == 1
        # What was in flight at that moment was sent before anybody could know.
        after = [at for at in here.times() if at > refusals[0]["time"]]
        assert after[0] >= refusals[0]["time"] + window

    def test_refusals_without_end_are_ended_by_the_deadline(self, world) -> None:
        here = world({f"c{number}": {} for number in range(8)})
        fault = {"throttle": {"limit": 5, "window": "1 minute"}}
        here.emulator.faults([{"match": {"operation": LIST}, "times": None, **fault}])
        ends = here.all_at_once([watch(here, number, seconds=600) for number in range(8)])
        for at, ended in ends:
            assert isinstance(ended, WaitTimedOut)
            assert 600 <= at - here.began <= 661

    def test_one_refusal_with_a_typing_error_does_not_fail_all_waits(self, world) -> None:
        here = world({f"c{number}": {"updates_at": [400]} for number in range(8)})
        fault = {"throttle": {}, "retry_after": 86_400}
        here.emulator.faults([{"match": {"operation": LIST}, "skip": 3, "times": 1, **fault}])
        ends = here.all_at_once([watch(here, number, seconds=3600) for number in range(8)])
        assert [getattr(ended, "phase", ended) for _, ended in ends] == [Phase.SUCCEEDED] * 8


class TestBlocking:
    def test_a_long_list_keeps_the_quota(self, world) -> None:
        here = world({"c0": {"events": 3100}})
        events = drivers.run(calls.list_cluster_events(here.cloud(), events_target(cluster_id="c0")))
        assert len(events) == len({event["event_id"] for event in events}) == 3100
        assert here.statuses() == {200}
        assert most_within(here.times()) <= 5
        assert 3 * 60 <= here.now() - here.began <= 4 * ROUND
        assert {dict(each["query"])["limit"] for each in here.emulator.requests()} == {"200"}

    def test_a_list_longer_than_the_service_counts(self, world) -> None:
        here = world({"c0": {"events": 10_300}}, quotas=False)
        events = drivers.run(calls.list_cluster_events(here.cloud(), events_target()))
        assert len(events) == 10_300

    def test_a_list_of_just_as_many_as_it_counts(self, world) -> None:
        here = world({"c0": {"events": 10_000}}, quotas=False)
        assert len(drivers.run(calls.list_cluster_events(here.cloud(), events_target()))) == 10_000

    def test_looks_and_starts_are_counted_apart(self, world) -> None:
        here = world({"c0": {}})
        for _ in range(5):
            drivers.run(calls.sync_events(here.cloud(), events_target()))
            drivers.run(calls.get_last_update_time(here.cloud(), events_target()))
        assert here.now() == here.began

    def test_many_starts_one_after_the_other(self, world) -> None:
        here = world({f"c{number}": {} for number in range(MANY)})
        for number in range(MANY):
            ticket = drivers.run(
                begin(
                    here.cloud(give_up_at=here.began + 3600),
                    EVENT_SYNC,
                    events_target(cluster_id=f"c{number}"),
                )
            )
            assert ticket.stage is Stage.STARTED
        assert here.statuses() == {200}
        assert most_within(here.times(SYNC)) <= 5
        effects = [each["effect"] for each in here.emulator.requests() if each["operation"] == SYNC]
        assert effects == ["started"] * MANY

    def test_a_start_whose_turn_does_not_come_in_time_is_not_sent(self, world) -> None:
        here = world({"c0": {}})
        for _ in range(5):
            drivers.run(calls.sync_events(here.cloud(), events_target()))
        with pytest.raises(WaitTimedOut, match="before the start"):
            drivers.run(begin(here.cloud(give_up_at=here.began + 30), EVENT_SYNC, events_target()))
        assert len(here.times(SYNC)) == 5
        assert here.now() - here.began <= 30

    def test_a_start_waits_for_its_turn_and_is_sent_once(self, world) -> None:
        here = world({"c0": {}})
        for _ in range(5):
            drivers.run(calls.sync_events(here.cloud(), events_target()))
        drivers.run(begin(here.cloud(give_up_at=here.began + 300), EVENT_SYNC, events_target()))
        assert len(here.times(SYNC)) == 6
        assert here.statuses() == {200}
