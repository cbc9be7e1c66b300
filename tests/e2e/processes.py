"""Background processes that are all gone when their owner ends, whatever ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Self

import psutil

KILLERS = (signal.SIGTERM, signal.SIGHUP)


class ProcessDied(RuntimeError):
    """A background process ended by itself, or did not get ready; carries the end of its log."""


class Processes:
    """Starts each process in a session of its own, and ends it with everything it started.

    Airflow's processes fork, leave their process group, and rename themselves. What stays is the session's id, and
    for a child in a new session the environment: so `stop_all` looks for both.

    :param env: the environment of every process; must hold `marker`.
    :param marker: name of a variable whose value no other process on the machine has.
    :param log_dir: where each process's output goes, as NAME.log.
    """

    def __init__(self, env: dict[str, str], marker: str, log_dir: Path) -> None:
        self.env = env
        self._mark = (marker, env[marker])
        self.log_dir = log_dir
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()
        log_dir.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        command: list[str],
        stdout: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process; its standard output goes to the log unless given elsewhere.

        :param env: more environment variables, for it alone.
        """
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                cwd=self.log_dir,
                start_new_session=True,
            )
        self._running[name] = process
        self._sessions.add(process.pid)
        return process

    def run(self, name: str, command: list[str], timeout: float, env: Mapping[str, str] | None = None) -> str:
        """Run a process to its end and return its standard output; a failure raises with what it wrote."""
        process = self.start(name, command, stdout=subprocess.PIPE, env=env)
        try:
            output = process.communicate(timeout=timeout)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise ProcessDied(f"{name} did not end within {timeout:.0f} s\n{self.tail(name)}") from None
        finally:
            if name in self._running:
                self.stop(name, grace=0)
        if process.returncode:
            raise ProcessDied(f"{name} ended with {process.returncode}\n{output[-4000:]}\n{self.tail(name)}")
        return output

    def check(self) -> None:
        """Raise when one of the processes has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ProcessDied(f"{name} ended with {process.returncode}\n{self.tail(name)}")

    def pids(self, name: str) -> set[int]:
        """A process and its children, as far as they are in its session."""
        return {process.pid for process in members({self._running[name].pid})}

    def stop(self, name: str, grace: float = 10.0) -> None:
        """End one process and its children; with `grace=0` as a crash would."""
        process = self._running[name]
        self._end({process.pid}, grace)
        process.wait()
        # From here on the system may give the number to somebody else.
        self._sessions.discard(process.pid)
        del self._running[name]

    def stop_all(self, grace: float = 3.0) -> None:
        """End everything that was started here, and what it started in turn."""
        self._end(self._sessions, grace, self._mark)
        for process in self._running.values():
            process.wait()
        self._running.clear()
        self._sessions.clear()

    def tail(self, name: str, lines: int = 40) -> str:
        """The last lines of a process's log."""
        path = self._log(name)
        text = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
        return "\n".join([f"--- {name}.log", *text])

    def tails(self, lines: int = 25) -> str:
        """The last lines of every log."""
        return "\n".join(self.tail(path.stem, lines) for path in sorted(self.log_dir.glob("*.log")))

    def _log(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def _end(self, sessions: set[int], grace: float, mark: tuple[str, str] | None = None) -> None:
        for process in members(sessions, mark):
            _send(process, signal.SIGTERM if grace else signal.SIGKILL)
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline and members(sessions, mark):
            time.sleep(0.05)
        # A process may fork just before it is killed.
        for _ in range(100):
            rest = members(sessions, mark)
            if not rest:
                return
            for process in rest:
                _send(process, signal.SIGKILL)
            time.sleep(0.05)
        raise RuntimeError(f"could not end {[process.pid for process in rest]}")


def members(sessions: set[int], mark: tuple[str, str] | None = None) -> list[psutil.Process]:
    """The living processes of these sessions, and those whose environment has the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) in sessions or (mark and process.environ().get(mark[0]) == mark[1]):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [process for process in found if process.pid != os.getpid()]


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


class Unkillable:
    """Turns the signals that would end this process without its clean-up into KeyboardInterrupt.

    Use it around whatever owns processes; inside `closing` a further signal can't cut the clean-up short.
    """

    def __init__(self) -> None:
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, _interrupt) for number in KILLERS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def closing(self) -> None:
        """From here on signals are ignored until the end of the `with` block."""
        if threading.current_thread() is threading.main_thread():
            self._before.setdefault(signal.SIGINT, signal.getsignal(signal.SIGINT))
            for number in (*KILLERS, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
