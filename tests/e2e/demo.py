"""Every example DAG in a real Airflow against the emulator, and what really happened: ``make demo``, ``make ui``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.e2e.airflow_site import AirflowSite, SiteError
from tests.e2e.attribution import Attribution, attribute
from tests.e2e.emulator_process import EmulatorProcess
from tests.e2e.processes import ProcessDied
from tests.e2e.records import FINISHED, TaskResult
from tests.e2e.site_settings import USER

EXAMPLES = Path(__file__).parents[2] / "example_dags"
#: Seconds for all runs together: the oldest Airflow runs one task at a time.
TIMEOUT = 420.0
#: Seconds that a task may take which finds at its first look that there is nothing to wait for.
FIRST_LOOK = 15.0
LOG_LINES = 30
TOLD = FINISHED | {"deferred", "up_for_reschedule", "up_for_retry"}

BEGAN = time.monotonic()


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 only when every task ended as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.demo", description=__doc__)
    parser.add_argument(
        "--ui", action="store_true", help="start nothing but leave Airflow running until Ctrl-C"
    )
    parser.add_argument(
        "--dags", type=Path, default=EXAMPLES, help="folder with the DAGs (default: example_dags)"
    )
    options = parser.parse_args(arguments)
    try:
        with EmulatorProcess() as emulator:
            say(f"emulator at {emulator.details['url']}")
            with AirflowSite(options.dags, emulator.connection_env, say=say) as site:
                return show_ui(site) if options.ui else run_all(site, emulator)
    except (SiteError, ProcessDied) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing is left running")
        return 0 if options.ui else 130


def show_ui(site: AirflowSite) -> int:
    """Say where Airflow is, and wait for Ctrl-C."""
    dags = site.wait_for_dags()
    if not site.is_3:
        raise SiteError("the page needs Airflow 3")
    print(f"\n  Airflow   {site.url}\n  user      {USER}\n  password  {site.password}")
    print(f"  DAGs      {', '.join(dags)}\n\nCtrl-C stops everything.\n", flush=True)
    while True:
        site.processes.check()
        time.sleep(1)


def run_all(site: AirflowSite, emulator: EmulatorProcess) -> int:
    """Run every DAG at once and print the table."""
    dags = site.wait_for_dags()
    deferrable = declared_deferrable(site)
    runs = site.trigger_all(dags)
    say(f"running {', '.join(dags)}")
    tasks = site.wait(runs, TIMEOUT, Progress())
    journal = emulator.journal()
    common = [value for value in emulator.details.values() if isinstance(value, str)]
    print_table(tasks, attribute(journal, tasks, common), len(journal))
    bad = [task for task in tasks if complaint(task, deferrable)]
    for task in bad:
        print(f"\n{task.dag_id}.{task.name}: {complaint(task, deferrable)}")
        where = ((task.dag_id, task.run_id), task.task_id, task.map_index)
        log = [*site.task_log(*where).splitlines(), *site.trigger_log(*where).splitlines()]
        for line in log[-LOG_LINES:]:
            print(f"    {line}")
    say(f"{len(tasks) - len(bad)} of {len(tasks)} tasks ended as they should")
    return 1 if bad or not tasks else 0


def declared_deferrable(site: AirflowSite) -> dict[str, list[str]]:
    """The tasks that were asked to wait in the triggerer, by DAG id."""
    command = [sys.executable, str(Path(__file__).with_name("declared.py")), str(site.dags)]
    output = site.processes.run("declared", command, timeout=60.0)
    (line,) = (line for line in output.splitlines() if line.startswith("DECLARED "))
    found: dict[str, list[str]] = json.loads(line.removeprefix("DECLARED "))
    return found


def complaint(task: TaskResult, deferrable: dict[str, list[str]]) -> str | None:
    """What is wrong with how a task ended, if anything."""
    if task.state != "success":
        return f"is {task.state}"
    quick = (
        task.seconds is not None and task.seconds < FIRST_LOOK
    )  # what is done at the first look does not wait
    if task.task_id in deferrable.get(task.dag_id, ()) and not task.deferred and not quick:
        return "is declared deferrable, but no trigger was seen to wait for it"
    return None


class Progress:
    """Prints a line when a task starts to run, is deferred, or ends."""

    def __init__(self) -> None:
        self._told: Counter[tuple[str, str]] = Counter()

    def __call__(self, tasks: list[TaskResult]) -> None:
        for task in tasks:
            name = (task.dag_id, task.name)
            told, self._told[name] = self._told[name], len(task.states_seen)
            for at, state in enumerate(task.states_seen[told:], told):
                again = state == "up_for_reschedule" and state in task.states_seen[:at]
                if state in TOLD and not again:
                    say(f"{task.dag_id}.{task.name}: {state}")


def print_table(tasks: list[TaskResult], requests: Attribution, total: int) -> None:
    """One line a task, in the order of their starts; the last column adds up to the emulator's journal."""
    ordered = sorted(tasks, key=lambda task: (task.dag_id, task.started or float("inf")))
    lines = [("DAG", "task", "state", "mode", "seconds", "requests")]
    for task in ordered:
        seconds = "" if task.seconds is None else f"{task.seconds:.1f}"
        lines.append((task.dag_id, task.name, str(task.state), task.mode, seconds, str(requests.of(task))))
    for label, counted in (("(shared by several tasks)", requests.shared), ("(other)", requests.other)):
        for name, count in sorted(counted.items()):
            lines.append((label, name, "", "", "", str(count)))
    lines.append(("total", "", "", "", "", str(total)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print()
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(w) if at > 3 else cell.ljust(w)
            for at, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print()


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
