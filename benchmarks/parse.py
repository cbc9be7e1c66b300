"""What parsing DAG files costs, beside the same DAGs of empty operators."""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._lookups import ENVIRONMENT
from benchmarks._measure import ROOT, child, cpu
from benchmarks._table import Row, show

_PACKAGE = "airflow_provider_cloudsync"
#: What Airflow's own operators take; all other arguments are ours.
_BASIC = {"task_id", "retries", "retry_delay", "max_active_tis_per_dagrun"}


class _Emptied(ast.NodeTransformer):
    """Puts empty operators in the place of ours."""

    def __init__(self) -> None:
        self._ours: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if not (node.module or "").startswith(_PACKAGE):
            return node
        self._ours |= {name.name for name in node.names}
        return ast.parse("from airflow.providers.standard.operators.empty import EmptyOperator").body[0]

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        called = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        expands = isinstance(node.func, ast.Attribute) and node.func.attr == "expand"
        if isinstance(called, ast.Name) and called.id == "EmptyOperator":
            node.keywords = [each for each in node.keywords if each.arg in _BASIC]
        elif expands:
            # Mapped over something that it has.
            node.keywords = [ast.keyword("task_display_name", each.value) for each in node.keywords[:1]]
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        return ast.Name("EmptyOperator", node.ctx) if node.id in self._ours else node


def fill(folder: Path, copies: int, *, empty: bool) -> None:
    """Put the example DAGs there so many times, each copy with ids of its own."""
    for path in sorted((ROOT / "example_dags").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "AssetWatcher" in text:
            continue  # about assets, and not about tasks
        if empty:
            text = ast.unparse(ast.fix_missing_locations(_Emptied().visit(ast.parse(text))))
        for number in range(copies):
            copied = text.replace("dag_id='", f"dag_id='n{number}_").replace(
                'dag_id="', f'dag_id="n{number}_'
            )
            (folder / f"{path.stem}_{number}.py").write_text(copied, encoding="utf-8")


def parse(folder: str) -> dict[str, Any]:
    """Parse a folder as Airflow does: seconds of CPU, and what it did beside."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    from benchmarks._backend import Counting

    done: Counter[str] = Counter()
    sys.addaudithook(lambda event, _: done.update([event]) if event.startswith("socket.") else None)
    before = len(Counting.asked)
    began = cpu()
    bag = DagBag(folder)
    used = cpu() - began
    assert not bag.import_errors, bag.import_errors
    return {
        "cpu": used,
        "tasks": sum(len(dag.tasks) for dag in bag.dags.values()),
        "network": done["socket.connect"] + done["socket.getaddrinfo"],
        "lookups": len(Counting.asked) - before,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parse", description=__doc__)
    parser.add_argument(
        "--copies", type=int, default=10, help="of the example DAGs, which have some 20 tasks"
    )
    parser.add_argument("--repeat", type=int, default=5, help="measurements")
    asked = parser.parse_args(arguments)
    env = {**ENVIRONMENT, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as empty:
        fill(Path(ours), asked.copies, empty=False)
        fill(Path(empty), asked.copies, empty=True)
        found = [
            [child("benchmarks.parse:parse", env=env, folder=folder) for folder in (ours, empty)]
            for _ in range(asked.repeat + 1)
        ][1:]  # the first one compiles
    ratio = median(one["cpu"] / other["cpu"] for one, other in found)
    seen, bare = found[0]
    assert seen["tasks"] == bare["tasks"]
    rows = [
        Row(
            f"the example DAGs {asked.copies} times, {seen['tasks']} tasks",
            f"{median(one['cpu'] for one, _ in found) * 1000:.0f} ms",
            f"{median(other['cpu'] for _, other in found) * 1000:.0f} ms",
            f"{ratio:.2f}",
            "at most 1.2",
            ratio <= 1.2,
        ),
        Row(
            "connections opened, names resolved", f"{seen['network']}", reach="none", met=not seen["network"]
        ),
        Row("connections of Airflow looked up", f"{seen['lookups']}", reach="none", met=not seen["lookups"]),
    ]
    show(
        "parse: CPU of one process that parses a DAG folder",
        rows,
        f"Medians of {asked.repeat} pairs. The floor: the same files with EmptyOperator. Imports are in it.",
    )


if __name__ == "__main__":
    main()
