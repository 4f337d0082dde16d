"""The provision job's edge to the schema registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from newsroom.errors import RegistryUnavailable
from newsroom.schemas.registry import SchemaRegistryError, ask_registry, check_registry, register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from newsroom.schemas.registry import SchemaRegistryClient
    from newsroom.waiting import Wait

COMPATIBILITY = "BACKWARD"
"""Readers with the newest schema read every older record; registries that start without it refuse nothing."""


def wait_for_registry(registry: SchemaRegistryClient, address: str, patience: Wait) -> None:
    """Wait until the registry answers.

    Raises:
        RegistryUnavailable: it does not before the deadline.
    """
    patience.until(
        partial(check_registry, registry),
        lambda missing: RegistryUnavailable(
            f"no schema registry at {address} after {patience.deadline.seconds:g} s ({missing}): start it, correct "
            "--registry-url, or leave it out with --no-registry",
            address=address,
        ),
    )


def set_up(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    """Set the global compatibility and register the schema; return its id.

    Raises:
        SchemaRefused: an earlier version is not compatible.
        RegistryUnavailable: the registry does not answer, or refuses.
    """
    try:
        ask_registry(partial(registry.set_compatibility, level=COMPATIBILITY))
    except (SchemaRegistryError, RegistryUnavailable) as error:
        raise RegistryUnavailable(f"the registry did not take compatibility {COMPATIBILITY}: {error}") from error
    return register(registry, subject, schema)
