"""The emulator as a process: ``python -m airflow_provider_cloudsync.emulator``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from types import FrameType

from airflow_provider_cloudsync.emulator.control import is_loopback
from airflow_provider_cloudsync.emulator.embedded import Emulator
from airflow_provider_cloudsync.emulator.reading import BadInput


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal comes; says in one line of JSON how to reach it."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cloudsync.emulator",
        description="A local stand-in for the cloud services that the cloudsync provider calls.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="port to listen on (default: any free one)")
    parser.add_argument(
        "--scenario", metavar="FILE", help="JSON file that says what is in the emulated cloud"
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="emulated seconds in a real one (default: 1)"
    )
    parser.add_argument("--allow-remote", action="store_true", help="allow a host that others can reach")
    options = parser.parse_args(arguments)
    if not options.allow_remote and not is_loopback(options.host):
        parser.error(
            f"--host {options.host} can be reached by other machines; add --allow-remote if you mean it"
        )

    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    # Before the socket opens: whoever reads the line may end us right then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        emulator = Emulator(
            options.scenario,
            host=options.host,
            port=options.port,
            speed=options.speed,
            allow_remote=options.allow_remote,
        )
    except BadInput as error:
        parser.error(f"--scenario {options.scenario}: {error}")
    try:
        emulator.start()
    except OSError as error:
        print(f"can't listen on {options.host} port {options.port}: {error}", file=sys.stderr)
        return 1
    line = json.dumps(emulator.details())
    try:
        print(line, flush=True)
        ended.wait()
    finally:
        emulator.stop()
    return 0


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text} is no port; ports go from 0 to 65535")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no speed; it must be a positive number")
    return speed


if __name__ == "__main__":
    sys.exit(main())
