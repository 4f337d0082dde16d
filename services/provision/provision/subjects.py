"""The provision job's access to the schema registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry.error import SchemaRegistryError

from newsroom.errors import RegistryUnavailable
from newsroom.proxies import without_login
from newsroom.schemas.registry import address_of, ask_registry, check_registry, register

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
        LastingFailure: the registry's address, the login, a right or a certificate is wrong.
    """
    wait.until(
        partial(check_registry, registry),
        lambda missing: RegistryUnavailable(
            f"{address_of(address)} is not there after {wait.deadline.seconds:g} s ({missing}): start it, correct "
            "--registry-url, or run without a registry (--no-registry)",
            address=without_login(address),
        ),
    )


def set_up(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    """Set the global compatibility and register the schema; return its id.

    Raises:
        SchemaRefused: the schema is not compatible with the registered version.
        RegistryUnavailable: the registry does not answer, or rejects the request.
    """
    try:
        ask_registry(registry, partial(registry.set_compatibility, level=COMPATIBILITY))
    except (SchemaRegistryError, RegistryUnavailable) as error:
        reason = error.error_message if isinstance(error, SchemaRegistryError) else error
        raise RegistryUnavailable(f"compatibility {COMPATIBILITY} was not set: {reason}") from error
    return register(registry, subject, schema)
