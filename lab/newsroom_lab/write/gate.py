"""A gate before the registry: a program under trial finds it closed, and nobody else is disturbed."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from urllib.parse import urlsplit

from typing_extensions import override

LOOPBACK = "127.0.0.1"
CONNECT_SECONDS = 10.0
CHUNK = 65536
RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: a close resets the connection, as it is where a server is gone."""


class Gate(socketserver.ThreadingTCPServer):
    """Listens on a port of its own. It resets each connection until it is opened; then it passes everything on."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__((LOOPBACK, 0), _Passer)
        self._target = urlsplit(url)
        self.refused = 0
        """Connections that it has reset."""
        self.is_open = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's address through the gate."""
        return self._target._replace(netloc=f"{LOOPBACK}:{self.server_address[1]}").geturl()

    @property
    def target(self) -> tuple[str, int]:
        """Host and port of the server behind it."""
        return self._target.hostname or LOOPBACK, self._target.port or 80

    def close(self) -> None:
        """Stop to listen."""
        self.shutdown()
        self.server_close()


class _Passer(socketserver.BaseRequestHandler):
    """One connection."""

    server: Gate
    request: socket.socket

    @override
    def handle(self) -> None:
        if not self.server.is_open.is_set():
            self.server.refused += 1
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.request.close()
            return
        with contextlib.suppress(OSError), socket.create_connection(self.server.target, CONNECT_SECONDS) as server:
            server.settimeout(None)  # a client may keep a connection that is idle for long
            answers = threading.Thread(target=_copy, args=(server, self.request), daemon=True)
            answers.start()
            _copy(self.request, server)
            answers.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
