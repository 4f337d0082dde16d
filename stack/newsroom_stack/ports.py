"""Every port of a stack, whether it is free, and how the brokers' ports are kept free."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

from newsroom.addresses import BROKER_PORTS, REGISTRY_PORT, bootstrap_of, registry_url_of
from newsroom_stack.catalogue import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOOPBACK = "127.0.0.1"

SECOND_OFFSET = 200
"""The offset that is advised when ports are taken: large enough that a moved and an unmoved stack never share a port,
even at maximum replicas."""


class Ports:
    """Every port of a stack. The replicas of a service count up from its first port."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.brokers = tuple(offset + port for port in BROKER_PORTS)
        """Client listeners of the brokers."""
        self.controllers = tuple(offset + port for port in (29093, 39093, 49093))
        """Controller listeners of the same nodes."""
        self.registry = offset + REGISTRY_PORT
        """The schema registry's API."""
        self.registry_health = offset + 8082
        """The schema registry's health and metrics."""
        self.connect = offset + 8083
        """Kafka Connect's REST API."""
        self.ui = offset + 8080
        """Kafka UI, which only the containers have."""
        self.prometheus = offset + 9090
        self.grafana = offset + 3000
        """What the compose profile `observability` adds."""
        self.status = offset + 8000
        """The status API and its page."""
        self.bootstrap = bootstrap_of(offset)
        """The brokers as a client's bootstrap.servers."""
        self.registry_url = registry_url_of(offset)
        """The registry's Confluent-compatible API."""
        self.status_url = f"http://localhost:{self.status}"
        """The status page."""

    def service(self, first: int, replica: int) -> int:
        """Health and metrics of a service's replica (counted from 1)."""
        return self.offset + first + replica - 1

    def at_start(self) -> dict[str, int]:
        """The ports that the stack as processes takes at its start, by the name of the process."""
        ports = {f"kafka-{node}": port for node, port in enumerate(self.brokers, 1)}
        ports |= {f"kafka-{node} (controller)": port for node, port in enumerate(self.controllers, 1)}
        ports |= {"registry": self.registry, "registry (health)": self.registry_health, "connect": self.connect}
        return ports | {kind.name: self.service(kind.first_port, 1) for kind in SERVICES}


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
    """Keep the kernel from giving these ports to outgoing connections. Servers can still listen on them.

    Linux gives outgoing connections the ports 32768 to 60999, and the brokers' ports are among them. A client that
    retries a dead broker's port sooner or later gets that very port, connects to itself, and the broker cannot listen
    there any more: it happened in one of 6,500 retries, and two of four restarts failed. The kernel never gives away
    a bound port. A bound port that does not listen and has SO_REUSEADDR, as the broker's has, does not stop the broker.
    """
    with contextlib.ExitStack() as sockets:
        # Other systems refuse to listen on a bound port. Their outgoing connections begin at 49152.
        for port in ports if sys.platform == "linux" else ():
            placeholder = sockets.enter_context(socket.socket())
            placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            placeholder.bind((LOOPBACK, port))
        yield
