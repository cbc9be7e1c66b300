"""Sees to it that programs that pip can't install are there: ``python -m tests.e2e.debian redis-server``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tests.e2e import browser, servers

#: Which package of Debian brings which programs, each a call that raises FileNotFoundError where it is not.
PACKAGES: dict[str, tuple[Callable[[], object], ...]] = {
    "chromium": (browser.program,),
    "postgresql": (partial(servers.program, "initdb"), partial(servers.program, "postgres")),
    "redis-server": (partial(servers.program, "redis-server"),),
}


def main(wanted: Sequence[str], run: Callable[[list[str]], int] = subprocess.call) -> int:
    """Install what is missing, or say what is to be done; 0 if all is there then.

    :param wanted: names of `PACKAGES`.
    """
    packages = missing(wanted)
    if not packages:
        return 0
    print(f"!! {' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} needed, and not installed")
    update = ["apt-get", "update", "-qq"]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if not shutil.which("apt-get"):
        print("!! there is no apt-get here: install what these packages of Debian bring, and try again")
        return 1
    if os.geteuid():
        print(
            f"!! only root can do that: sudo sh -c {shlex.quote(f'{shlex.join(update)} && {shlex.join(install)}')}"
        )
        return 1
    for command in (update, install):
        print(f"== {shlex.join(command)}", flush=True)
        if run(command):
            print(f"!! {command[1]} failed; what it said is above")
            return 1
    if left := missing(wanted):
        print(f"!! installed, and still not found: {' and '.join(left)}")
    return 1 if left else 0


def missing(wanted: Sequence[str]) -> list[str]:
    """Those of the packages whose programs are not there."""
    return [package for package in wanted if not all(map(_is_there, PACKAGES[package]))]


def _is_there(find: Callable[[], object]) -> bool:
    try:
        find()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
