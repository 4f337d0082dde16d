"""The provision job's access to the schema registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry.error import SchemaRegistryError

from newsroom.errors import RegistryUnavailable
from newsroom.schemas.registry import ask_registry, check_registry, register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka.schema_registry import SchemaRegistryClient

    from newsroom.waiting import Wait

COMPATIBILITY = "BACKWARD"
"""Readers with the newest schema can read older records. Without a level some registries accept every schema."""


def wait_for_registry(registry: SchemaRegistryClient, address: str, wait: Wait) -> None:
    """Wait until the registry answers.

    Raises:
        RegistryUnavailable: the registry does not answer before the deadline.
    """
    wait.until(
        partial(check_registry, registry),
        lambda missing: RegistryUnavailable(
            f"no schema registry at {address} after {wait.deadline.seconds:g} s ({missing}): start it, correct "
            "--registry-url, or run without a registry (--no-registry)",
            address=address,
        ),
    )


def set_up(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    """Set the global compatibility and register the schema; return its id.

    Raises:
        SchemaRefused: the schema is not compatible with the registered version.
        RegistryUnavailable: the registry does not answer, or rejects the request.
    """
    try:
        ask_registry(partial(registry.set_compatibility, level=COMPATIBILITY))
    except (SchemaRegistryError, RegistryUnavailable) as error:
        raise RegistryUnavailable(f"the registry did not accept compatibility {COMPATIBILITY}: {error}") from error
    return register(registry, subject, schema)
