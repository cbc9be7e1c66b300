"""Many that begin at once take turns with everything else in the loop."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from airflow_provider_cloudsync.admission import Admission


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
