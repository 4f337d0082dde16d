"""The services of the stack and its number of brokers. A new service is added here."""

from __future__ import annotations

from dataclasses import dataclass

from newsroom_stack.errors import StackError

BROKERS = 3
LAB_WRITERS = ("lab-rounds", "lab-labels")
"""Containers that write the lab's records all the time; a check that counts exactly pauses them."""

MAX_REPLICAS = 10
"""Replicas of one service on one machine; each has its own port for health and metrics. No topic has so many
partitions, so you can see an idle replica."""


@dataclass(frozen=True)
class ServiceKind:
    """One of our services: its command and its first port for health and metrics."""

    name: str
    first_port: int
    scalable: bool = True


SERVICES = (
    ServiceKind("status-api", 8000, scalable=False),
    ServiceKind("avro-consumer", 8110),
    ServiceKind("wordcount-stream", 8120),
    ServiceKind("join-service", 8130),
    ServiceKind("news-producer", 8100),
)
"""In the order of their start. Each service has ten ports, one for each replica."""


def service_kind(name: str) -> ServiceKind:
    """Return the service of that name.

    Raises:
        StackError: there is no such service; the message lists the services.
    """
    for kind in SERVICES:
        if kind.name == name:
            return kind
    raise StackError(f"there is no service '{name}': {', '.join(kind.name for kind in SERVICES)}")
