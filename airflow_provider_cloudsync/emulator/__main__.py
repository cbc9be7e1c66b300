"""The emulator as a process: ``python -m airflow_provider_cloudsync.emulator``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from types import FrameType

from airflow_provider_cloudsync.emulator.access import (
    TOKEN_HEADER,
    TOKEN_VARIABLE,
    checked_host,
    checked_token,
    is_loopback,
)
from airflow_provider_cloudsync.emulator.embedded import Emulator
from airflow_provider_cloudsync.emulator.reading import BadInput

_REMOTE_WARNING = (
    "WARNING: listening on {host}, which other machines can reach. The keys of the emulated account are public, so "
    "everyone there can use it; the control API answers this machine only. Names other than the address itself need "
    "--allow-host NAME."
)


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
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        type=_host,
        default=[],
        help="accept this name in the Host header, too, such as that of a container; can be repeated",
    )
    parser.add_argument(
        "--control-token",
        metavar="TOKEN",
        type=_token,
        help=f"what requests to the control API must carry in the header {TOKEN_HEADER} "
        f"(default: {TOKEN_VARIABLE} of the environment, else a random one; the start line shows it)",
    )
    options = parser.parse_args(arguments)
    if not options.allow_remote and not is_loopback(options.host):
        parser.error(
            f"--host {options.host} can be reached by other machines; add --allow-remote if you mean it"
        )
    token = options.control_token
    if token is None and (given := os.environ.get(TOKEN_VARIABLE)):
        try:
            token = checked_token(given)
        except ValueError as error:
            parser.error(f"{TOKEN_VARIABLE}: {error}")

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
            allowed_hosts=options.allow_host,
            control_token=token,
        )
    except BadInput as error:
        parser.error(f"--scenario {options.scenario}: {error}")
    try:
        emulator.start()
    except OSError as error:
        print(f"cannot listen on {options.host} port {options.port}: {error}", file=sys.stderr)
        return 1
    if not is_loopback(options.host):
        print(_REMOTE_WARNING.format(host=options.host), file=sys.stderr, flush=True)
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


def _host(text: str) -> str:
    try:
        return checked_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _token(text: str) -> str:
    try:
        return checked_token(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
