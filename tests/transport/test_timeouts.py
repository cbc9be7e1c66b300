"""What takes too long is ended, by one alarm for all; and nothing else is."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from airflow_provider_cloudsync.transport.timeouts import Deadline, Deadlines

SOON, LATE = 0.02, 30.0


def run(main: Any) -> Any:
    return asyncio.run(asyncio.wait_for(main(), 10))


async def held(deadlines: Deadlines, seconds: float, body: Any = None) -> str:
    """How a body ends that has so many seconds."""
    try:
        with deadlines.within(seconds) as deadline:
            await (asyncio.sleep(LATE) if body is None else body(deadline))
    except TimeoutError:
        return "too late"
    except asyncio.CancelledError:
        return "cancelled"
    return "in time"


async def quickly(_: Deadline) -> None:
    await asyncio.sleep(0)


async def at_once(_: Deadline) -> None:
    pass


async def lengthened(deadline: Deadline) -> None:
    """Parts come again and again: each has time of its own."""
    for _ in range(8):
        deadline.move(2 * SOON)
        await asyncio.sleep(SOON / 2)


async def shortened(deadline: Deadline) -> None:
    deadline.move(SOON)
    await asyncio.sleep(LATE)


async def stubborn(_: Deadline) -> None:
    """Whoever is cancelled may have something to do before it ends."""
    try:
        await asyncio.sleep(LATE)
    finally:
        await asyncio.sleep(0)


CASES = (
    # id, seconds, body, how it ends
    ("nothing comes", SOON, None, "too late"),
    ("it is done at once", SOON, at_once, "in time"),
    ("it is done soon", LATE, quickly, "in time"),
    ("it is done soon, and there is little time", SOON, quickly, "in time"),
    ("each part has its time", LATE, lengthened, "in time"),
    ("a part does not come", LATE, shortened, "too late"),
    ("never more than at first", SOON, lengthened, "too late"),
    ("with something to do at the end", SOON, stubborn, "too late"),
    ("no time at all", 0.0, None, "too late"),
)


@pytest.mark.parametrize(("seconds", "body", "ends"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_how_it_ends(seconds, body, ends) -> None:
    async def main() -> tuple[str, int, int]:
        deadlines = Deadlines()
        found = await held(deadlines, seconds, body)
        await asyncio.sleep(2 * SOON)  # nothing comes after it
        task = asyncio.current_task()
        assert task is not None
        return found, len(deadlines), task.cancelling()

    assert run(main) == (ends, 0, 0)


def test_whoever_is_cancelled_is_not_late() -> None:
    async def main() -> str:
        deadlines = Deadlines()
        task = asyncio.create_task(held(deadlines, LATE))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run(main) == "cancelled"


@pytest.mark.parametrize("first", ["the deadline", "the other"])
def test_cancelled_at_the_same_time_it_is_cancelled(first) -> None:
    """Somebody wants the task to end; to tell that it was late would let it go on."""

    async def main() -> str:
        deadlines = Deadlines()
        watched: list[Deadline] = []

        async def body(deadline: Deadline) -> None:
            watched.append(deadline)
            await asyncio.sleep(LATE)

        task = asyncio.create_task(held(deadlines, LATE, body))
        await asyncio.sleep(0)
        steps = [watched[0].end, task.cancel]
        for step in steps if first == "the deadline" else reversed(steps):
            step()
        return await task

    assert run(main) == "cancelled"


def test_one_within_another() -> None:
    async def main() -> list[str]:
        deadlines, told = Deadlines(), []

        async def inner(_: Deadline) -> None:
            told.append(await held(deadlines, SOON))
            await asyncio.sleep(0)

        told.append(await held(deadlines, LATE, inner))
        return told

    assert run(main) == ["too late", "in time"]


def test_many_have_one_alarm() -> None:
    async def main() -> tuple[list[str], int, int]:
        loop = asyncio.get_running_loop()
        deadlines, alarms, most = Deadlines(), [], 0
        call_at = loop.call_at

        def counted(when: float, what: Any, *arguments: Any, **more: Any) -> Any:
            if getattr(what, "__self__", None) is deadlines:
                alarms.append(when)
            return call_at(when, what, *arguments, **more)

        loop.call_at = counted  # type: ignore[method-assign]
        waiting = [asyncio.create_task(held(deadlines, 5 * SOON)) for _ in range(1000)]
        await asyncio.sleep(0)
        most = len(deadlines)
        return await asyncio.gather(*waiting), most, len(alarms)

    ends, most, alarms = run(main)
    assert set(ends) == {"too late"}
    assert most == 1000
    # All of them are over within a moment; those that are left at the first ring are few rings more.
    assert alarms < 200


def test_a_later_one_does_not_put_off_an_earlier_one() -> None:
    async def main() -> tuple[str, bool]:
        deadlines = Deadlines()
        late = asyncio.create_task(held(deadlines, LATE))
        await asyncio.sleep(0)
        soon = await held(deadlines, SOON)
        still_there = not late.done()
        late.cancel()
        await late
        return soon, still_there

    assert run(main) == ("too late", True)


def test_closed_it_leaves_no_timer() -> None:
    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        deadlines = Deadlines()
        await held(deadlines, LATE, quickly)
        deadlines.close()
        return sum(not timer.cancelled() for timer in loop._scheduled if timer._callback == deadlines._ring)

    assert run(main) == 0


def test_what_has_come_while_the_loop_stood_still_is_taken() -> None:
    """The reply is there, and so is the alarm: in the same turn of the loop."""

    async def main() -> str:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.setblocking(False)

            async def body(_: Deadline) -> None:
                await asyncio.get_running_loop().sock_recv(here, 1)

            task = asyncio.create_task(held(Deadlines(), SOON, body))
            await asyncio.sleep(0)
            there.send(b"x")
            time.sleep(4 * SOON)  # noqa: ASYNC251 (somebody else's work)
            return await task

    assert run(main) == "in time"
