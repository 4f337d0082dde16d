"""Which services there are, and how many brokers. A new service is added here."""

from __future__ import annotations

from dataclasses import dataclass

from newsroom_stack.errors import StackError

BROKERS = 3
MAX_REPLICAS = 10
"""Replicas of one service on one machine: more than any topic here has partitions, so that an idle one can be
seen; each has a port of its own for health and metrics."""


@dataclass(frozen=True)
class ServiceKind:
    """A service of ours: its command and its first port for health and metrics."""

    name: str
    first_port: int
    options: tuple[str, ...] = ()
    scalable: bool = True


SERVICES = (
    ServiceKind("status-api", 8000, scalable=False),
    ServiceKind("avro-consumer", 8110),
    ServiceKind("wordcount-stream", 8120),
    ServiceKind("join-service", 8130),
    ServiceKind("news-producer", 8100),
)
"""In the order they start. Ten ports each, one a replica."""


def service_kind(name: str) -> ServiceKind:
    """The service of that name.

    Raises:
        StackError: there is none; the message lists those there are.
    """
    for kind in SERVICES:
        if kind.name == name:
            return kind
    raise StackError(f"there is no service '{name}': {', '.join(kind.name for kind in SERVICES)}")
