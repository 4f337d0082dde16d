"""Gets the schema's id from the registry, and notices that the registry does not have it any more."""

from __future__ import annotations

import json
import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from newsroom.background import in_background
from newsroom.errors import LastingFailure, RegistryUnavailable, SettingsError
from newsroom.logs import get_logger
from newsroom.schemas.exchange import is_not_found
from newsroom.schemas.registry import AVRO, address_of, ask_registry, register
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from confluent_kafka.schema_registry import SchemaRegistryClient

log = get_logger(__name__)


CHECK_SECONDS = 10.0
"""How often a producer that sends looks its schema up. Nobody can read records whose schema the registry lost."""

ANSWER_SECONDS = 1.0
"""How long a record waits for that answer. A registry that is away for a while does not stop a producer."""


def schema_id(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], *, may_register: bool) -> int:
    """Return the id of a schema under a subject; if `may_register` is true, register the schema.

    Raises:
        SchemaRefused: the registry answers 409.
        SettingsError: the schema is not registered, and `may_register` is false.
        RegistryUnavailable: the registry does not answer.
        LastingFailure: the registry's address, the login, a right or a certificate is wrong.
    """
    number = register(registry, subject, schema) if may_register else _look_up(registry, subject, schema)
    if number is None:
        raise SettingsError(
            f"the schema is not registered under subject {subject} of {address_of(registry.config()['url'])}: "
            "register it, or leave out --no-register"
        )
    log.info("the schema is registered", subject=subject, id=number)
    return number


def _look_up(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int | None:
    """The id of a schema under a subject; None if the registry does not have it."""
    text = Schema(json.dumps(schema), AVRO)
    try:
        return ask_registry(registry, lambda: int(registry.lookup_schema(subject, text).schema_id))
    except SchemaRegistryError as error:
        if is_not_found(error):
            return None
        raise RegistryUnavailable(f"subject {subject} was not looked up: {error.error_message}") from error


def _has(registry: SchemaRegistryClient, number: int) -> int | None:
    """The id, if the registry still has a schema with it."""
    try:
        ask_registry(registry, lambda: registry.get_schema(number))
    except SchemaRegistryError as error:
        if is_not_found(error):
            return None
        raise RegistryUnavailable(f"schema {number} was not looked up: {error.error_message}") from error
    return number


def watch_registered(
    registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any], number: int, *, may_register: bool
) -> SchemaWatch:
    """Watch a schema of this producer; it registers a lost one again if that is allowed."""

    def again() -> int:
        return schema_id(registry, subject, schema, may_register=may_register)

    return SchemaWatch(registry, subject, number, lambda: _look_up(registry, subject, schema), again)


def watch_latest(registry: SchemaRegistryClient, subject: str, number: int) -> SchemaWatch:
    """Watch a schema that somebody else registered, by its id: a newer version does not concern this producer."""

    def again() -> int:
        raise SettingsError(
            f"{address_of(registry.config()['url'])} lost schema {number} of subject {subject}, which this producer "
            "did not register: register it again, then start the producer again"
        )

    return SchemaWatch(registry, subject, number, lambda: _has(registry, number), again)


class SchemaWatch:
    """Asks now and then whether the registry still has the schema (`look_up`), and what `again` does if it has not."""

    def __init__(
        self,
        registry: SchemaRegistryClient,
        subject: str,
        number: int,
        look_up: Callable[[], int | None],
        again: Callable[[], int],
    ) -> None:
        self.number = number
        """The id of the schema now."""
        self._registry = registry
        self._subject = subject
        self._look_up = look_up
        self._again = again
        self._next = time.monotonic() + CHECK_SECONDS
        self._answer: Future[int | None] | None = None

    def look(self) -> int:
        """Return the schema's id. Called for each record: it asks the registry only when a check is due.

        Raises:
            SettingsError: the registry lost the schema, and this producer may not register it.
            SchemaRefused: the registry refuses the schema that it lost.
        """
        seconds = 0.0
        if self._answer is None:
            if time.monotonic() < self._next:
                return self.number
            # The client remembers each schema that it has looked up.
            self._registry.clear_caches()
            self._answer = in_background(self._look_up)
            seconds = ANSWER_SECONDS
        if not wait([self._answer], seconds).done:
            return self.number
        answer, self._answer = self._answer, None
        self._next = time.monotonic() + CHECK_SECONDS
        try:
            self._compare(answer.result())
        except (RegistryUnavailable, LastingFailure) as error:
            log.warning("could not check that the registry still has the schema", subject=self._subject, why=str(error))
        except Stopped:
            pass
        return self.number

    def _compare(self, number: int | None) -> None:
        if number == self.number:
            return
        lost = self.number
        if number is None:
            self.number = self._again()
        else:
            self.number = number
        log.warning(
            "the registry lost the schema: records since the last check may be unreadable",
            subject=self._subject,
            lost_id=lost,
            id=self.number,
        )
