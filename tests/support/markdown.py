"""The pages of the project, and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "example_dags").glob("*.md")),
    *sorted((ROOT / "airflow_provider_cloudsync").rglob("*.md")),
]
_FENCE = re.compile(r"^( *)(```+|~~~+) *([^\n`]*)\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
#: Everything that is no prose: the links in a block of code are none.
_BLOCK = re.compile(r"^ *(```+|~~~+).*?^ *\1 *$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    :param language: what stands behind the fence, in full.
    :param line: number of its first line.
    """

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{name(self.page)}-{self.line}"


def name(page: Path) -> str:
    """Its path in the repository, without the ending."""
    return str(page.relative_to(ROOT).with_suffix(""))


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, found[3].strip(), found[4], text.count("\n", 0, found.start(4)) + 1)
        for found in _FENCE.finditer(text)
    ]


def fences(page: Path) -> int:
    """How many lines open or close a block."""
    return len(re.findall(r"^ *(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE))


def links(page: Path) -> list[str]:
    """What the prose of a page links to, but for other sites."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)[^)]*\)", prose)


def anchors(page: Path) -> set[str]:
    """What a link to a part of a page can name."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
