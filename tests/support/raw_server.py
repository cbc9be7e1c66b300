"""A server over a real socket that does as a script says, connection by connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Received:
    """A request as it came over the wire."""

    line: str
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        pairs = [line.split(b":", 1) for line in self.head.split(b"\r\n")[1:] if line]
        return {name.decode().lower(): value.strip().decode("latin-1") for name, value in pairs}


@dataclass
class Peer:
    """One connection, from the server's side."""

    server: Server
    number: int
    socket: socket.socket
    buffer: bytes = b""

    def read(self) -> Received | None:
        """The next request; None when the client has closed."""
        while b"\r\n\r\n" not in self.buffer:
            piece = self.socket.recv(65_536)
            if not piece:
                return None
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        received = Received(head.split(b"\r\n")[0].decode("latin-1"), head, b"")
        length = int(received.headers.get("content-length", "0"))
        while len(self.buffer) < length:
            self.buffer += self.socket.recv(65_536)
        received.body, self.buffer = self.buffer[:length], self.buffer[length:]
        self.server.requests.append(received)
        return received

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until_the_client_closes(self) -> None:
        while self.socket.recv(65_536):
            pass

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script = Callable[[Peer], None]


@dataclass
class Server:
    """Runs the n-th script for the n-th connection, and the last one for all that follow."""

    scripts: tuple[Script, ...]
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    ended: list[threading.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listen()

    def listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                number, ended = self.connections, threading.Event()
                self.connections += 1
                self.ended.append(ended)
                script = self.scripts[min(number, len(self.scripts) - 1)]
                threading.Thread(
                    target=self._serve, args=(connection, number, script, ended), daemon=True
                ).start()

    def _serve(self, connection: socket.socket, number: int, script: Script, ended: threading.Event) -> None:
        peer = Peer(self, number, connection)
        try:
            connection.settimeout(10)
            if self.tls:
                peer.socket = self.tls.wrap_socket(connection, server_side=True)
            script(peer)
        except OSError:
            pass  # the client has left, or does not like our certificate
        finally:
            peer.socket.close()
            ended.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
