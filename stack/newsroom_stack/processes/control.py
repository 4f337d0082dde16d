"""How commands reach the supervisor: one JSON line each way, over a Unix socket that only its owner can open."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from dataclasses import dataclass, field
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_SECONDS = 150.0
"""Deadline of a command: long enough to stop and start one process within their own deadlines."""

MAX_REQUEST_BYTES = 64 * 1024


@dataclass
class Request:
    """A command and the queue for its answer."""

    action: str
    arguments: dict[str, Any]
    answer: queue.Queue[dict[str, Any]] = field(default_factory=lambda: queue.Queue(1))


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Puts requests into a queue. The supervisor's loop takes them out one at a time, in order."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: queue.Queue[Request] = queue.Queue()
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        path.chmod(0o600)
        threading.Thread(target=self.serve_forever, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self.path.unlink(missing_ok=True)


class _Handler(socketserver.StreamRequestHandler):
    server: ControlServer

    @override
    def handle(self) -> None:
        message = json.loads(self.rfile.readline(MAX_REQUEST_BYTES))
        request = Request(message["action"], message["arguments"])
        self.server.requests.put(request)
        try:
            answer = request.answer.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            answer = {"error": f"'{request.action}' took longer than {ANSWER_SECONDS:.0f} s"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def ask(path: Path, action: str, **arguments: Any) -> list[str]:  # noqa: ANN401 - JSON values
    """Send a command to the supervisor and return the lines of its answer.

    Raises:
        StackError: the supervisor does not answer, or refused the command.
    """
    try:
        with socket(AF_UNIX, SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS + 5)
            connection.connect(str(path))
            connection.sendall(json.dumps({"action": action, "arguments": arguments}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except OSError as error:
        raise StackError(f"the supervisor does not answer at {path} ({error}): is the stack running?") from error
    if not line:
        raise StackError(f"the supervisor ended before it answered '{action}'; see newsroom logs supervisor")
    answer = json.loads(line)
    if "error" in answer:
        raise StackError(answer["error"])
    lines: list[str] = answer["lines"]
    return lines
