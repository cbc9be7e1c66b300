"""What `make e2e-celery` and `make e2e-browser` say and do where their programs are not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import debian

UPDATE = "apt-get update -qq"
INSTALL = "apt-get install -y -qq --no-install-recommends"
BOTH = ["postgresql", "redis-server"]

#: What is missing at each look; whether there is apt-get; whose user; what commands return; exit, commands, words
CASES = {
    "all there": ([[]], True, 0, 0, 0, [], []),
    "installed": ([BOTH, []], True, 0, 0, 0, [UPDATE, f"{INSTALL} postgresql redis-server"], ["are needed"]),
    "one": (
        [["redis-server"], []],
        True,
        0,
        0,
        0,
        [UPDATE, f"{INSTALL} redis-server"],
        ["redis-server is needed"],
    ),
    "not root": (
        [["redis-server"]],
        True,
        1000,
        0,
        1,
        [],
        ["only root", f"{UPDATE} && {INSTALL} redis-server"],
    ),
    "no apt-get": ([BOTH], False, 0, 0, 1, [], ["postgresql and redis-server are needed", "no apt-get here"]),
    "it fails": ([BOTH], True, 0, 100, 1, [UPDATE], ["update failed"]),
    "it does not help": (
        [BOTH, ["postgresql"]],
        True,
        0,
        0,
        1,
        [UPDATE, f"{INSTALL} postgresql redis-server"],
        ["still not found: postgresql"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    looks, has_apt, user, code, exit_code, commands, words = CASES[name]
    left: Iterator[list[str]] = iter(looks)
    ran = []

    def run(command: list[str]) -> int:
        ran.append(" ".join(command))
        return code

    monkeypatch.setattr(debian, "missing", lambda wanted: next(left))
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}" if has_apt else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert debian.main(BOTH, run) == exit_code
    assert ran == commands
    said = capsys.readouterr().out
    for word in words:
        assert word in said


#: What is wanted; the programs that there are; what is missing
WANTED = {
    "servers": (BOTH, {"initdb", "postgres", "redis-server"}, []),
    "half of a server": (BOTH, {"initdb", "redis-server"}, ["postgresql"]),
    "no server": (BOTH, set(), BOTH),
    "a browser": (["chromium"], {"chromium"}, []),
    "one under another name": (["chromium"], {"google-chrome"}, []),
    "no browser": (["chromium"], {"initdb"}, ["chromium"]),
}


@pytest.mark.parametrize("name", WANTED)
def test_what_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, there, missing = WANTED[name]
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}" if program in there else None)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [])
    assert debian.missing(wanted) == missing
