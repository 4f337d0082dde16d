"""The provision job's edge to the schema registry."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from newsroom.errors import NewsroomError, RegistryUnavailable
from newsroom.logs import get_logger
from newsroom.schemas.registry import SchemaRegistryError, ask_registry, check_registry, register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from newsroom.schemas.registry import SchemaRegistryClient
    from newsroom.waiting import Deadline, StopFlag

log = get_logger(__name__)

COMPATIBILITY = "BACKWARD"
"""Readers with the newest schema read every older record; registries that start without it refuse nothing."""

PAUSE_SECONDS = 0.25
"""Between two questions to a registry that starts."""


def wait_for_registry(registry: SchemaRegistryClient, address: str, deadline: Deadline, stop: StopFlag) -> None:
    """Wait until the registry answers.

    Raises:
        RegistryUnavailable: it does not before the deadline.
    """
    told = False
    while True:
        try:
            check_registry(registry)
        except RegistryUnavailable as error:
            if deadline.passed():
                raise RegistryUnavailable(
                    f"no schema registry at {address} after {deadline.seconds:g} s ({error}): start it, correct "
                    "--registry-url, or leave it out with --no-registry"
                ) from error
            if not told:
                told = True
                log.info("waiting for the schema registry", address=address, seen=str(error))
        else:
            return
        if stop.wait(min(PAUSE_SECONDS, deadline.left())):
            raise NewsroomError("provision was stopped by a signal while it waited for the registry; run it again")


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
