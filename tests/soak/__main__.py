"""Two thousand waits, ten minutes, and all that can go wrong meanwhile: ``make soak``.

SOAK_SECONDS, SOAK_WAITS and SOAK_SEED make it another one. The exit status is 1 where anything is wrong.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version

from tests.e2e.processes import ProcessDied
from tests.soak.conductor import Soak
from tests.soak.judge import judge
from tests.soak.settings import Settings
from tests.soak.table import table

BEGAN = time.monotonic()


def main() -> int:
    """Run it, and print what was held."""
    try:
        settings = Settings.from_env()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    say(
        f"{settings.waits:,} waits in {settings.seconds:.0f} s, Airflow {version('apache-airflow')}, "
        f"SOAK_SEED={settings.seed}"
    )
    try:
        with Soak(settings, say) as soak:
            record = soak.run()
    except ProcessDied as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped; nothing is left running")
        return 130
    found = judge(record)
    print(f"\n{table(record, found)}\n")
    say("held" if found.held else "NOT held")
    return 0 if found.held else 1


def say(text: str) -> None:
    """A line of progress."""
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
