"""A web server on the loopback, for what clients meet there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from typing_extensions import override

NOBODY = "127.0.0.1:9"
"""An address where nothing listens."""


class Request(BaseHTTPRequestHandler):
    """One request, which the server's `answer` answers."""

    server: Web
    body: bytes

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.paths.append(self.path)
        self.server.answer(self)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_CONNECT(self) -> None:
        self.do_GET()

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Answer with this body, as JSON of its length unless `headers` say otherwise."""
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (usual | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        return None


class Web(ThreadingHTTPServer):
    """Serves while it is entered, and keeps the paths that were asked for."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Request], object]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @override
    def __enter__(self) -> Self:
        self._thread.start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; a second call does nothing."""
        self.shutdown()
        self._thread.join()
        self.server_close()
