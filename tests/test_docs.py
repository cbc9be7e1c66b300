"""The guides' own code runs, and their links lead somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted((ROOT / "docs").glob("**/*.md")),
    ROOT / "airflow_provider_cloudsync/api/services/README.md",
]


def blocks(kind: str) -> list:
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(re.findall(rf"```{kind}\n(.*?)```", page.read_text(), re.DOTALL), 1)
    ]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_guide")
    monkeypatch.setitem(sys.modules, "a_guide", module)
    exec(compile(code, "a guide", "exec"), vars(module))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_service_has_its_guide() -> None:
    services = {path.stem for path in (ROOT / "airflow_provider_cloudsync/hooks").glob("*.py")}
    guides = {page.stem for page in PAGES}
    assert {"mrs", "dataarts", "hss", "coc", "csms"} <= services & guides
