"""Gets the schema's id from the registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from newsroom.errors import RegistryUnavailable, SettingsError
from newsroom.logs import get_logger
from newsroom.schemas.exchange import is_not_found
from newsroom.schemas.registry import address_of, ask_registry, register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka.schema_registry import SchemaRegistryClient

log = get_logger(__name__)


def schema_id(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], *, may_register: bool) -> int:
    """Return the id of a schema under a subject; if `may_register` is true, register the schema.

    Raises:
        SchemaRefused: the registry answers 409.
        SettingsError: the schema is not registered, and `may_register` is false.
        RegistryUnavailable: the registry does not answer.
        LastingFailure: the registry's address, the login, a right or a certificate is wrong.
    """
    number = register(registry, subject, schema) if may_register else _look_up(registry, subject, schema)
    log.info("the schema is registered", subject=subject, id=number)
    return number


def _look_up(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    text = Schema(json.dumps(schema), "AVRO")
    try:
        return ask_registry(registry, lambda: int(registry.lookup_schema(subject, text).schema_id))
    except SchemaRegistryError as error:
        if is_not_found(error):
            raise SettingsError(
                f"the schema is not registered under subject {subject} of {address_of(registry.config()['url'])}: "
                "register it, or leave out --no-register"
            ) from error
        raise RegistryUnavailable(f"subject {subject} was not looked up: {error.error_message}") from error
