"""All benchmarks, one after the other, and what they ran on: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_ALL = ("import", "parse", "call", "triggers", "adaptive", "hostile")
_WITH_PEERS = ("import", "triggers")


def machine() -> str:
    """What the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("apache-airflow", "aiohttp", "requests"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {os.cpu_count()} CPUs ({model}), load {os.getloadavg()[0]:.1f}; "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}; {libraries}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of {', '.join(_ALL)}; all, if none is named"
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", help="a Python that has the peers of benchmarks/peers.txt"
    )
    asked = parser.parse_args()
    began = time.monotonic()
    print(machine())
    for name in asked.names or _ALL:
        peers = ["--peers", asked.peers] if asked.peers and name in _WITH_PEERS else []
        importlib.import_module(f"benchmarks.{name}").main(peers)
    print(f"\n{machine()}; took {(time.monotonic() - began) / 60:.1f} min")


if __name__ == "__main__":
    main()
