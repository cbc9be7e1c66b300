"""Sees to it that the servers of `make e2e-celery` are installed: ``python -m tests.e2e.debian``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable

from tests.e2e.servers import program

#: Which package of Debian brings which program.
PACKAGES = {"initdb": "postgresql", "postgres": "postgresql", "redis-server": "redis-server"}


def main(run: Callable[[list[str]], int] = subprocess.call) -> int:
    """Install what is missing, or say what is to be done; 0 if all is there then."""
    packages = missing()
    if not packages:
        return 0
    print(f"!! {' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} needed, and not installed")
    update = ["apt-get", "update", "-qq"]
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if not shutil.which("apt-get"):
        print("!! there is no apt-get here: install PostgreSQL and Redis, servers included, and try again")
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
    if left := missing():
        print(f"!! installed, and still not found: {' and '.join(left)}")
    return 1 if left else 0


def missing() -> list[str]:
    """The packages whose programs are not there."""
    found = []
    for name, package in PACKAGES.items():
        try:
            program(name)
        except FileNotFoundError:
            found.append(package)
    return sorted(set(found))


if __name__ == "__main__":
    sys.exit(main())
