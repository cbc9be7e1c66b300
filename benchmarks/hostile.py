"""Replies that are made to hurt: how long they stop the event loop, and what memory many waits take."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator
from typing import Any

from benchmarks._measure import child
from benchmarks._table import Row, show

_MIB = 2**20
_TICK = 0.005
#: name: status, piece of the body that is repeated, bytes in all
_KINDS: dict[str, tuple[int, bytes, int]] = {
    "small errors, for comparison": (500, b"[],", 200),
    "an error of nested arrays, 15.5 MiB": (500, b"[", int(15.5 * _MIB)),
    "an error of empty arrays, 15.5 MiB": (500, b"[],", int(15.5 * _MIB)),
    "an error of one long text, 15.5 MiB": (404, b"plain text, ", int(15.5 * _MIB)),
    "a list of empty arrays, 15.5 MiB": (200, b"[],", int(15.5 * _MIB)),
    "a list of one-digit numbers, 150,000": (200, b"0,", 299_000),
    "a list of one-letter names, 150,000": (200, b'"x",', 598_000),
    "a list of two-digit numbers as texts, 150,000": (200, b'"12",', 748_000),
    "a list of names, 15.5 MiB": (200, b'"' + b"x" * 60 + b'",', int(15.5 * _MIB)),
}


def _body(piece: bytes, size: int) -> Iterator[bytes]:
    block = piece * (_MIB // 16 // len(piece))
    sent = 1
    yield b"["
    while sent + len(block) + len(piece) < size:
        yield block
        sent += len(block)
    yield piece.rstrip(b",") + b"]"


async def _serve(kind: str) -> asyncio.Server:
    status, piece, size = _KINDS[kind]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %d Some\r\nConnection: close\r\n\r\n" % status)
            for block in _body(piece, size):
                writer.write(block)
                await writer.drain()
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            return

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def serve(kind: str, seconds: float) -> None:
    """Serve one kind of reply; prints the port first."""

    async def main() -> None:
        server = await _serve(kind)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.sleep(seconds)

    asyncio.run(main())


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def wait(port: int, waits: int) -> dict[str, Any]:
    """Longest stop of the loop in ms, extra memory in MiB and seconds, of waits that read one reply each."""
    from airflow_provider_cloudsync import metrics
    from airflow_provider_cloudsync.api.credentials import Anonymous
    from airflow_provider_cloudsync.api.flows import Cloud, call
    from airflow_provider_cloudsync.api.messages import MAX_LIST_REPLY, Request
    from airflow_provider_cloudsync.exceptions import CloudSyncError
    from airflow_provider_cloudsync.transport import drivers
    from airflow_provider_cloudsync.transport.asynchronous import make_ready

    cloud = Cloud(Anonymous(), time.time, endpoint=f"http://127.0.0.1:{port}", domain_id="d", attempts=1)

    async def one() -> None:
        request = Request("GET", "iam", "List", "/list", repeatable=True, max_reply=MAX_LIST_REPLY)
        with contextlib.suppress(CloudSyncError):
            await drivers.arun(call(cloud, request))

    async def main() -> dict[str, Any]:
        await make_ready()
        metrics.are_on()
        before, began, longest = _peak(), time.monotonic(), 0.0
        work = asyncio.gather(*(one() for _ in range(waits)))
        while not work.done():
            at = time.monotonic()
            await asyncio.sleep(_TICK)
            longest = max(longest, time.monotonic() - at - _TICK)
        await work
        return {"stop": longest * 1e3, "memory": _peak() - before, "seconds": time.monotonic() - began}

    return asyncio.run(main())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--waits", type=int, default=64, help="waits at once")
    asked = parser.parse_args(arguments)
    rows = []
    for kind in _KINDS:
        found = _measured(kind, asked.waits)
        figures = f"{found['stop']:.0f} ms, {found['memory']:.0f} MiB"
        met = found["stop"] <= 100 and found["memory"] <= 100
        rows.append(Row(kind, figures, f"{found['seconds']:.1f} s in all", "-", "100 ms, 100 MiB", met))
    show("hostile: longest stop of the loop, memory", rows, f"{asked.waits} waits at once in one process.")


def _measured(kind: str, waits: int) -> dict[str, Any]:
    import subprocess
    import sys

    from benchmarks._measure import ROOT

    program = f"from benchmarks.hostile import serve; serve({kind!r}, 600)"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            found: dict[str, Any] = child(
                "benchmarks.hostile:wait", port=int(server.stdout.readline()), waits=waits
            )
        finally:
            server.kill()
    return found


if __name__ == "__main__":
    main()
