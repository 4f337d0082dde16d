# ruff: noqa: INP001 - the images run this script; it is not part of a package
"""The containers' health check: exit code 0 when the service says that it is ready.

Standard library only and little of it, because it starts every few seconds in every container.
"""

from __future__ import annotations

import socket
import sys

ADDRESS = ("127.0.0.1", 8000)
"""Where every service of ours answers inside its container."""

SECONDS = 2.0
REQUEST = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n"


def main() -> int:
    """Ask /readyz; what it answers is shown by `docker inspect`."""
    try:
        with socket.create_connection(ADDRESS, SECONDS) as connection:
            connection.sendall(REQUEST)
            answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
    except OSError as error:
        sys.stdout.write(f"/readyz does not answer: {error}\n")
        return 1
    head, _, body = answer.partition("\r\n\r\n")
    sys.stdout.write(body or head)
    return 0 if head.split(" ", 2)[1:2] == ["200"] else 1


if __name__ == "__main__":
    sys.exit(main())
