"""No process outlives its owner."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.processes import ProcessDied, Processes

#: Ignores the polite signal, and so do its two children: one in its process group, one in a session of its own.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
wait = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", wait], start_new_session=own) for own in (False, True)]
print(os.getpid(), *(child.pid for child in children), flush=True)
time.sleep(600)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes({**os.environ, "TEST_MARK": str(tmp_path)}, "TEST_MARK", tmp_path / "output")


def test_stop_all_ends_children_in_other_sessions_too(processes: Processes) -> None:
    read, write = os.pipe()
    processes.start("stubborn", [sys.executable, "-c", STUBBORN], stdout=write)
    os.close(write)
    with os.fdopen(read) as output:
        pids = [int(pid) for pid in output.readline().split()]
        assert len(pids) == 3
        assert all(map(psutil.pid_exists, pids))

        processes.stop_all(grace=0.2)

        # The end of the pipe comes when the last process that held it is gone.
        assert output.read() == ""
    alive = [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]
    assert not alive


def test_a_process_that_died_is_reported_with_its_log(processes: Processes) -> None:
    command = [sys.executable, "-c", "import sys; print('what went wrong', file=sys.stderr); sys.exit(3)"]
    processes.start("mayfly", command).wait()

    with pytest.raises(ProcessDied, match=r"(?s)mayfly ended with 3.*what went wrong"):
        processes.check()


def test_run_returns_the_output_or_raises(processes: Processes) -> None:
    assert processes.run("good", [sys.executable, "-c", "print('fine')"], timeout=30) == "fine\n"
    with pytest.raises(ProcessDied, match="did not end within"):
        processes.run("slow", [sys.executable, "-c", "import time; time.sleep(600)"], timeout=0.5)
    processes.check()
