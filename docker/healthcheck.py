# ruff: noqa: INP001 - the images run this script; it is not part of a package
"""The health check of the containers: exit code 0 when the service answers that it is ready.

It imports only a little of the standard library, because every container starts it every few seconds.
"""

from __future__ import annotations

import socket
import sys

ADDRESS = ("127.0.0.1", 8000)
"""The address of each of our services inside its container."""

SECONDS = 2.0
REQUEST = b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n"


def main() -> int:
    """Ask /readyz and print the answer, which `docker inspect` shows."""
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
