"""Every port of a stack, whether it is free, and how the brokers' ports are kept free."""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOOPBACK = "127.0.0.1"

SECOND_OFFSET = 200
"""The offset that is advised when ports are taken: large enough that a moved and an unmoved stack never share a port,
even at maximum replicas."""


@dataclass(frozen=True)
class Ports:
    """Every port of a stack. The services' replicas count up from their first port."""

    offset: int = 0

    @property
    def brokers(self) -> tuple[int, ...]:
        """Client listeners of the brokers."""
        return tuple(self.offset + port for port in (29092, 39092, 49092))

    @property
    def controllers(self) -> tuple[int, ...]:
        """Controller listeners of the same nodes."""
        return tuple(self.offset + port for port in (29093, 39093, 49093))

    @property
    def registry(self) -> int:
        """The schema registry's API."""
        return self.offset + 8081

    @property
    def registry_health(self) -> int:
        """The schema registry's health and metrics."""
        return self.offset + 8082

    @property
    def connect(self) -> int:
        """Kafka Connect's REST API."""
        return self.offset + 8083

    @property
    def ui(self) -> int:
        """Kafka UI, which only the containers have."""
        return self.offset + 8080

    @property
    def status(self) -> int:
        """The status API and its page."""
        return self.offset + 8000

    def service(self, first: int, replica: int) -> int:
        """Health and metrics of a service's replica (counted from 1)."""
        return self.offset + first + replica - 1

    @property
    def bootstrap(self) -> str:
        """The brokers as a client's bootstrap.servers."""
        return ",".join(f"localhost:{port}" for port in self.brokers)

    @property
    def registry_url(self) -> str:
        """The registry's Confluent-compatible API."""
        return f"http://localhost:{self.registry}/apis/ccompat/v7"

    @property
    def status_url(self) -> str:
        """The status page."""
        return f"http://localhost:{self.status}"


def port_is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def reserved(ports: Iterable[int]) -> Iterator[None]:
    """Keep ports from being given to outgoing connections; their servers can still listen on them.

    The brokers' ports lie among those that Linux gives to outgoing connections (32768 to 60999). A client that tries
    a dead broker's port again and again sooner or later gets that very port, connects to itself, and the broker
    cannot listen there any more: one try in 6,500 did, and two of four restarts failed. A port that is bound is
    never given away; bound without listening, and with SO_REUSEADDR as the broker does, it does not stop the broker.
    """
    with contextlib.ExitStack() as held:
        # Elsewhere a bound port could not be listened on, and outgoing connections begin at 49152.
        for port in ports if sys.platform == "linux" else ():
            place = held.enter_context(socket.socket())
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind((LOOPBACK, port))
        yield
