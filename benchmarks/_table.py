"""What the benchmarks print."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    :param floor: the least that could be, measured in the same run.
    :param reach: what the figure, or its ratio to the floor, is to come to.
    :param met: None where there is nothing to reach.
    """

    figure: str
    measured: str
    floor: str = ""
    ratio: str = ""
    reach: str = ""
    met: bool | None = None


def show(title: str, rows: list[Row], *notes: str) -> None:
    """Print a table, and what has to be known to read it."""
    lines = [("figure", "measured", "floor", "ratio", "reach", "")]
    for row in rows:
        verdict = "" if row.met is None else "met" if row.met else "MISSED"
        lines.append((row.figure, row.measured, row.floor, row.ratio, row.reach, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    print(f"\n== {title}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for note in notes:
        print(f"   {note}")
    print(end="", flush=True)
