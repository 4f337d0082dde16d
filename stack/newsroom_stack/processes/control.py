"""How commands reach the supervisor: one JSON line each way, over a Unix socket that only its owner can open."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANSWER_SECONDS = 155.0
"""Deadline of a command: long enough to stop and start one process within their own deadlines, twice."""

MAX_REQUEST_BYTES = 64 * 1024


class ControlServer(socketserver.ThreadingUnixStreamServer):
    """Serves each command in a thread of its own: `answer` gets its name and arguments, and returns the answer."""

    daemon_threads = True

    def __init__(self, path: Path, answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        self.path = path
        self.answer = answer
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
        # The user may end a command before it is answered: then there is nobody to tell, and nothing is wrong.
        with contextlib.suppress(ConnectionError):
            if line := self.rfile.readline(MAX_REQUEST_BYTES):
                message = json.loads(line)
                answer = self.server.answer(message["action"], message["arguments"])
                self.wfile.write(json.dumps(answer).encode() + b"\n")


def ask(path: Path, action: str, **arguments: Any) -> list[str]:  # noqa: ANN401 - JSON values
    """Send a command to the supervisor and return the lines of its answer.

    Raises:
        StackError: the supervisor does not answer, or refused the command.
    """
    try:
        with socket(AF_UNIX, SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps({"action": action, "arguments": arguments}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except TimeoutError as error:
        raise StackError(
            f"'{action}' took longer than {ANSWER_SECONDS:.0f} s; it goes on, see 'newsroom ps'"
        ) from error
    except OSError as error:
        raise StackError(f"the supervisor does not answer at {path} ({error}): is the stack running?") from error
    if not line:
        raise StackError(f"the supervisor ended before it answered '{action}'; see newsroom logs supervisor")
    answer = json.loads(line)
    if "error" in answer:
        raise StackError(answer["error"])
    lines: list[str] = answer["lines"]
    return lines
