"""Many that begin at once take turns with everything else in the loop."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from itertools import pairwise

from airflow_provider_cloudsync.transport.admission import Admission


def test_all_begin_in_their_order_and_others_have_turns_in_between() -> None:
    async def main() -> tuple[list[int], list[int]]:
        admission, begun, seen = Admission(), [], []
        for number in range(100):
            admission.admit(lambda number=number: begun.append(number))
        while len(begun) < 100:
            await asyncio.sleep(0)
            seen.append(len(begun))
        return begun, seen

    begun, seen = asyncio.run(main())
    assert begun == list(range(100))
    assert max(later - before for before, later in pairwise(seen)) <= 4


def test_who_comes_while_others_begin_is_let_in_as_well() -> None:
    async def main() -> list[str]:
        admission, begun = Admission(), []

        def first() -> None:
            begun.append("first")
            admission.admit(lambda: begun.append("second"))

        admission.admit(first)
        await asyncio.sleep(0)
        admission.admit(lambda: begun.append("third"))
        for _ in range(5):
            await asyncio.sleep(0)
        return begun

    assert asyncio.run(main()) == ["first", "second", "third"]


def test_each_begins_in_the_context_of_who_asked() -> None:
    """A trigger's log is found by it."""
    whose: ContextVar[int] = ContextVar("whose")

    async def main() -> list[int]:
        admission, found = Admission(), []

        async def ask(number: int) -> None:
            whose.set(number)
            admission.admit(lambda: found.append(whose.get()))

        await asyncio.gather(*(ask(number) for number in range(10)))
        for _ in range(10):
            await asyncio.sleep(0)
        return found

    assert asyncio.run(main()) == list(range(10))


def test_one_that_raises_does_not_hold_up_the_others() -> None:
    async def main() -> list[int]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        admission, found = Admission(), []
        for _ in range(4):  # these begin at once
            admission.admit(lambda: None)
        admission.admit(lambda: 1 / 0)
        for number in range(10):
            admission.admit(lambda number=number: found.append(number))
        for _ in range(10):
            await asyncio.sleep(0)
        return found

    assert asyncio.run(main()) == list(range(10))
