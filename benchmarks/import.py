"""What importing an operator or a sensor costs each parsing process, beside importing Airflow's own base class."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import tracemalloc
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import _peers
from benchmarks._measure import ROOT, child
from benchmarks._table import Row, show

_PACKAGE = "airflow_provider_cloudsync"
_HTTP = ("aiohttp", "httpx", "requests", "urllib3")
_MIB = 2**20


def modules() -> list[str]:
    """All operators and sensors modules."""
    found = [path for kind in ("operators", "sensors") for path in (ROOT / _PACKAGE / kind).glob("*.py")]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(found)
        if path.stem != "__init__"
    ]


def load(name: str) -> dict[str, Any]:
    """Import the floor, then a module on top of it: seconds of CPU of both, and what came with the latter."""
    began = time.process_time()
    from airflow.providers.common.compat.sdk import BaseOperator

    floor = time.process_time() - began
    assert BaseOperator
    before = set(sys.modules)
    began = time.process_time()
    importlib.import_module(name)
    more = time.process_time() - began
    new = set(sys.modules) - before
    return {"floor": floor, "more": more, "modules": len(new), "http": sorted(new & set(_HTTP))}


def size(name: str) -> int:
    """Bytes that a module brings on top of the floor, by tracemalloc."""
    from airflow.providers.common.compat.sdk import BaseOperator

    assert BaseOperator
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    importlib.import_module(name)
    return tracemalloc.get_traced_memory()[0] - before


def provider_info() -> list[str]:
    """The hooks' modules that are imported once Airflow was told what the provider is made of."""
    package = importlib.import_module(_PACKAGE)
    package.get_provider_info()
    return [name for name in sys.modules if name.startswith(f"{_PACKAGE}.hooks")]


def _row(title: str, name: str, repeat: int, python: str, *, ours: bool = True) -> Row:
    found = [child("benchmarks.import:load", python=python, name=name) for _ in range(repeat)]
    brought = child("benchmarks.import:size", python=python, name=name) / _MIB
    floor, more = median(each["floor"] for each in found), median(each["more"] for each in found)
    ratio = median((each["floor"] + each["more"]) / each["floor"] for each in found)
    http = found[0]["http"]
    return Row(
        title,
        f"+{more * 1000:.0f} ms, {brought:.1f} MiB, {', '.join(http) or 'no HTTP library'}",
        f"{floor * 1000:.0f} ms",
        f"{ratio:.2f}",
        "2, 2 MiB, no HTTP library" if ours else "",
        (ratio <= 2 and brought <= 2 and not http) if ours else None,
    )


def _peer(title: str, name: str, repeat: int, python: str) -> Row:
    try:
        return _row(title, name, repeat, python, ours=False)
    except RuntimeError as error:
        return Row(title, f"fails: {str(error).splitlines()[-1][:60]}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each module")
    parser.add_argument(
        "--peers", metavar="PYTHON", help="a Python that has the peers of benchmarks/peers.txt"
    )
    asked = parser.parse_args(arguments)
    child("benchmarks.import:load", name=modules()[0])  # the first one compiles
    rows = [_row(name.removeprefix(f"{_PACKAGE}."), name, asked.repeat, sys.executable) for name in modules()]
    hooks = child("benchmarks.import:provider_info")
    rows.append(Row("provider info", f"imports {len(hooks)} hooks", reach="none", met=not hooks))
    if asked.peers:
        python = str(Path(asked.peers).absolute())
        rows += [_peer(title, name, asked.repeat, python) for title, name in _peers.OPERATORS.items()]
    show(
        "import: operators and sensors",
        rows,
        "The floor: CPU of importing BaseOperator. Before it, what a module adds; the ratio is of both to the floor.",
        f"Medians of {asked.repeat}. Memory by tracemalloc.",
    )


if __name__ == "__main__":
    main()
