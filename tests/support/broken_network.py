"""A way to the emulator that can be broken and mended: refused connections, unknown names, TLS gone wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_cloudsync.emulator import Emulator
from tests.support.certificates import make_certificate
from tests.support.raw_server import Peer, Server

#: Nobody has this name but while the road is whole.
NAME = "service.invalid"
#: What can be wrong with a road.
TROUBLES = ("refused", "name", "certificate", "no TLS")


class Road:
    """Hands requests on to an emulator, one a connection, so that each has to find its way anew.

    :param trouble: what goes wrong where it is broken.
    :param folder: for certificates.
    """

    def __init__(
        self, emulator: Emulator, trouble: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._to = urlsplit(emulator.url)
        self._trouble = trouble
        self._is_broken = False
        # Bound but deaf: it keeps the port ours while nobody listens there.
        self._guard = socket.socket()
        self._guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._guard.bind(("127.0.0.1", 0))
        self._server = Server((self._hand_on,), port=self._guard.getsockname()[1])
        self.extra: dict[str, Any] = {"endpoint": self._server.url}
        if trouble in ("certificate", "no TLS"):
            good, self._bad = (
                make_certificate(_cache(folder / name), "127.0.0.1") for name in ("good", "bad")
            )
            self._good = self._server.tls = good.context
            self.extra = {"endpoint": self._server.url, "verify": good.path}
        if trouble == "name":
            self.extra = {"endpoint": f"http://{NAME}:{self._server.port}", "allow_http": True}
            self._look_up = socket.getaddrinfo
            monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def set(self, *, broken: bool) -> None:
        """Break it, or mend it."""
        self._is_broken = broken
        if self._trouble == "refused":
            self._server.close() if broken else self._server.listen()
        elif self._trouble == "certificate":
            self._server.tls = self._bad.context if broken else self._good
        elif self._trouble == "no TLS":
            self._server.tls = None if broken else self._good

    def close(self) -> None:
        self._server.close()
        self._guard.close()

    def _resolve(self, host: Any, *more: Any, **named: Any) -> Any:
        if host != NAME:
            return self._look_up(host, *more, **named)
        if self._is_broken:
            # As the resolver says it; asking it takes seconds now and then.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._look_up("127.0.0.1", *more, **named)

    def _hand_on(self, peer: Peer) -> None:
        if self._is_broken and self._trouble == "no TLS":
            peer.socket.recv(65_536)
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        received = peer.read()
        if received is None:
            return
        lines = [line for line in received.head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        head = b"\r\n".join([*lines, b"Connection: close", b"", b""])
        with socket.create_connection((self._to.hostname, self._to.port)) as onward:
            onward.sendall(head + received.body)
            while piece := onward.recv(65_536):
                peer.send(piece)


@contextmanager
def road(emulator: Emulator, trouble: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Road]:
    """A road for the time of a test."""
    opened = Road(emulator, trouble, folder, monkeypatch)
    try:
        yield opened
    finally:
        opened.close()


def _cache(folder: Path) -> Path:
    folder.mkdir()
    return folder
