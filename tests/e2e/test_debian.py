"""What `make e2e-celery` says and does where its servers are not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

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
    "no apt-get": ([BOTH], False, 0, 0, 1, [], ["install PostgreSQL and Redis"]),
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

    monkeypatch.setattr(debian, "missing", lambda: next(left))
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}" if has_apt else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)

    assert debian.main(run) == exit_code
    assert ran == commands
    said = capsys.readouterr().out
    for word in words:
        assert word in said
