"""A selection holds each value of each parameter, is the same in each run, and leaves tables whole."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pytest

from tests.support.thinning import each_value


class Row:
    """As in a table of cases: equal to itself alone."""


ROWS = [Row() for _ in range(30)]
MODES = ["poke", "reschedule", "deferred"]
CLOCKS = [(0, 0), (0, 60), (0, -60)]


def named(*axes: Any) -> list[tuple[str, dict[str, Any]]]:
    """The product of the axes, as pytest names cases."""
    return [
        (f"test[{number}-{values[1:]}]", {f"p{place}": value for place, value in enumerate(values)})
        for number, values in enumerate(product(*axes))
    ]


@pytest.mark.parametrize(
    ("axes", "least"),
    [
        pytest.param((ROWS,), 30, id="a table"),
        pytest.param((ROWS, [()]), 30, id="a table with a constant"),
        pytest.param((ROWS, MODES), 30, id="two axes"),
        pytest.param((ROWS, MODES, CLOCKS), 30, id="three axes"),
        pytest.param((MODES, CLOCKS), 3, id="short axes"),
        pytest.param(([True, False, 1, 0, "1", b"1", None],), 7, id="values that compare equal"),
        pytest.param(([["a"], ["a"], {"a": 1}, {"a": 1}],), 4, id="values without a hash"),
    ],
)
def test_each_value_is_there_and_few_cases_are(axes: Any, least: int) -> None:
    cases = named(*axes)
    chosen = each_value(cases)
    assert len(chosen) == least
    for name in cases[0][1]:
        assert {id(cases[n][1][name]) for n in chosen} == {id(values[name]) for _, values in cases}


def test_modes_take_turns() -> None:
    cases = named(ROWS, MODES)
    found = Counter(cases[n][1]["p1"] for n in each_value(cases))
    assert min(found[mode] for mode in MODES) >= 4


def test_a_selection_depends_on_names_alone() -> None:
    cases = named(ROWS, MODES)
    backwards = cases[::-1]
    assert {cases[n][0] for n in each_value(cases)} == {backwards[n][0] for n in each_value(backwards)}
