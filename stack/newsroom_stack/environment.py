"""The environment of the services that the stack starts itself: its own addresses, and the user's other settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from newsroom.settings import PREFIX, SERVICE_PREFIXES, SHARED, KafkaSettings
from newsroom_stack.catalogue import BROKERS

if TYPE_CHECKING:
    from newsroom_stack.ports import Ports

OWN = frozenset({*KafkaSettings.model_fields, "http_host", "http_port", "state_dir", "connect_url"})
"""Settings that the stack decides for its services: how to reach its cluster, where they answer and keep state."""

OWN_VARIABLES = frozenset(f"{prefix}{name.upper()}" for prefix in (PREFIX, *SERVICE_PREFIXES) for name in OWN)
SHARED_VARIABLES = frozenset(f"{PREFIX}{name.upper()}" for name in SHARED - OWN)


def services_environment(ports: Ports) -> dict[str, str]:
    """The variables of this process for a service of the stack at these ports.

    What the user's shell says about another cluster is left out: with its TLS the services would never reach this one.
    """
    return {
        **{name: value for name, value in os.environ.items() if name not in OWN_VARIABLES and not _empty(name)},
        f"{PREFIX}BOOTSTRAP_SERVERS": ports.bootstrap,
        f"{PREFIX}REGISTRY_URL": ports.registry_url,
        f"{PREFIX}PROVISION_BROKERS": str(BROKERS),
        "PYTHONUNBUFFERED": "1",
    }


def _empty(name: str) -> bool:
    return name.startswith(PREFIX) and not os.environ[name]


def environment_notes() -> list[str]:
    """A line about the variables of the shell that the services take, and one about those that the stack leaves out."""
    names = [name for name in sorted(os.environ) if not _empty(name)]
    taken = [n for n in names if n in SHARED_VARIABLES or (n.startswith(SERVICE_PREFIXES) and n not in OWN_VARIABLES)]
    left = [name for name in names if name in OWN_VARIABLES]
    notes = {
        "taken from the environment": taken,
        "not taken from the environment, because the stack has its own cluster and addresses": left,
    }
    return [f"{note}: {', '.join(names)}" for note, names in notes.items() if names]
