"""The page of messages: each that it quotes is really one of ours, and each that a red task can show is quoted."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airflow_provider_cloudsync import exceptions

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "airflow_provider_cloudsync"
PAGE = ROOT / "docs" / "troubleshooting.md"
#: What makes an error of a task: our own classes, Airflow's, and a verdict that the sync failed.
ERRORS = {*exceptions._tree(exceptions.CloudSyncError), "AirflowFailException", "AirflowSensorTimeout"}
#: Codes of the services.
CODE = re.compile(r"[A-Z]+\.\d*|\d{8}")
#: What stands in place of a part that is not always the same, in a quote and in a text of the code.
VARIES, HOLE = "...", "\0"
#: Parts of the code whose errors no task shows: that of the command line, and the emulator's.
ELSEWHERE = ("emulator", "cli.py", "checkup.py", "connection_form.py")
#: What stands in brackets in another message, or means that the code is wrong.
INNER = (
    "started_at is no time",
    "an object is expected",
    "a list is expected",
    "not what a try remembers",
    f"module {HOLE} has no attribute {HOLE}",
    f"the common work brought nothing for {HOLE}",
)


def text_of(node: ast.AST) -> str | None:
    """A literal text, with a hole for each part that varies."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or HOLE for part in node.values)
    return None


def texts(node: ast.AST) -> list[str]:
    """All literal texts in a piece of code, without the parts of others."""
    whole = text_of(node)
    if whole is not None:
        return [whole]
    return [text for child in ast.iter_child_nodes(node) for text in texts(child)]


SOURCES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
OURS = [tree for path, tree in SOURCES.items() if not set(path.parts) & set(ELSEWHERE)]


def is_error(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func).rpartition(".")[2]
    return name in ERRORS or (name == "Progress" and ast.unparse(node.args[0]) == "Phase.FAILED")


def errors() -> set[str]:
    """The texts of what can fail a task, where they stand in the code that makes the error."""
    found = {
        text
        for tree in OURS
        for node in ast.walk(tree)
        if is_error(node)
        for text in texts(node)
        if len(re.findall(r"\w+", text.replace(HOLE, " "))) > 2
    }
    return {text for text in found if text not in INNER}


def quotes() -> list[str]:
    """What the first column of the page's tables quotes."""
    rows = [
        line.split(" | ")[0] for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "
    ]
    return [quote for row in rows for quote in re.findall(r"`([^`]+)`", row)]


def says(text: str, quote: str) -> bool:
    """Whether a text of the code, with whatever in its holes, can hold what is quoted."""
    return re.search(".+".join(map(re.escape, quote.split(VARIES))), text, re.DOTALL) is not None


ALL_TEXTS = [text for tree in SOURCES.values() for text in texts(tree)]
OUR_TEXTS = [text for tree in OURS for text in texts(tree)]


@pytest.mark.parametrize("quote", quotes())
def test_what_is_quoted_is_in_the_code(quote: str) -> None:
    known = ALL_TEXTS if CODE.fullmatch(quote) else OUR_TEXTS
    assert any(says(text, quote) for text in known)


@pytest.mark.parametrize("error", sorted(errors()), ids=lambda text: re.sub(r"\W+", " ", text)[:60])
def test_every_error_is_on_the_page(error: str) -> None:
    assert any(says(error, quote) for quote in quotes())


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(errors()) > 80
    assert len(quotes()) > len(errors())
