"""Selection of a part of the parametrised cases, for the second of two environments that run the same tests."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

Point = tuple[str, Hashable]


def each_value(cases: Iterable[tuple[str, Mapping[str, object]]]) -> set[int]:
    """Positions of cases in which each value of each parameter occurs at least once.

    The first environment runs all cases, so together with this selection each value meets each environment: a pairwise
    choice with the environment as one of the parameters. A table has a value of its own in each row and stays whole;
    a product of two tables is as long as the longer one.

    :param cases: name and parameters of each. The name decides which of several equal choices is taken, so
        that the choice is the same in each run and the modes of a table take turns.
    """
    points: list[tuple[int, int, frozenset[Point]]] = []
    for position, (name, values) in enumerate(cases):
        found = frozenset((key, _identity(value)) for key, value in values.items())
        points.append((zlib.crc32(name.encode()), position, found))
    points.sort(key=lambda each: each[:2])
    # Rare values first: a case that has to be there anyway brings its other values along.
    often: dict[Point, int] = defaultdict(int)
    for _, _, found in points:
        for point in found:
            often[point] += 1
    having: dict[Point, list[tuple[int, frozenset[Point]]]] = defaultdict(list)
    for _, position, found in points:
        for point in found:
            having[point].append((position, found))
    covered: set[Point] = set()
    chosen: set[int] = set()
    for point in sorted(often, key=lambda each: (often[each], having[each][0][0])):
        if point not in covered:
            position, found = max(having[point], key=lambda each: len(each[1] - covered))
            chosen.add(position)
            covered |= found
    return chosen


def _identity(value: object) -> Hashable:
    """Key that is the same for equal plain values. Any other object is only itself."""
    if value is None or isinstance(value, str | bytes | int | float):
        return type(value).__name__, value
    if isinstance(value, tuple):
        return "tuple", tuple(map(_identity, value))
    return "object", id(value)
