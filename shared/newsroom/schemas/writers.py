"""The schemas that records were written with, and whether a record or the registry is to blame for an unknown one.

A registry that lost its data, or lags behind the others, knows no schema of good records. Were they called poison, they
would be given up for good. A minority of records with an unknown schema is poison: docs/decisions/0010.
"""

from __future__ import annotations

import contextlib
import json
import time
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import fastavro
from confluent_kafka.schema_registry.avro import parse_schema_with_repo
from confluent_kafka.schema_registry.error import SchemaRegistryError
from fastavro.schema import SchemaParseException

from newsroom.errors import DecodeError, LastingFailure, NewsroomError, RegistryUnavailable, SchemaInDoubt
from newsroom.schemas.doubt import FIRST_ROW, ROW
from newsroom.schemas.exchange import HTTP_NOT_FOUND, is_not_found
from newsroom.schemas.registry import AVRO, address_of, ask_registry, check_registry, not_a_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient

    from newsroom.schemas.registry import Patience

LARGEST_SCHEMA_ID = 2**31 - 1
"""Registries number schemas with a signed 32-bit integer. They answer a larger number like a wrong address."""

REFUSED_SECONDS = 3.0
"""How long a key without a usable schema is remembered. A flood of such records then causes few requests, and a schema
that is registered late is used soon."""

MOST_REFUSED = 1000
"""How many such keys are remembered, because poison may have any id."""

LAG_SECONDS = 5.0
"""How long to wait for the first schema of a topic whose subject the registry has: one of several may lag behind."""

MOST_LOOKS = 20
"""How many schemas of records to come are asked for, until one is known."""

Key = int | str
"""The id of a schema in the registry, or its GUID."""


class UnknownSchema(SchemaInDoubt):
    """The registry does not have the schema that a record names."""


class Writer(NamedTuple):
    """A record's schema as fastavro takes it, and the full name of its type."""

    schema: Any
    name: str


class Writers:
    """The writer schemas of one topic; each is requested once."""

    def __init__(self, registry: SchemaRegistryClient, topic: str, patience: Patience) -> None:
        self._registry = registry
        self._topic = topic
        self._patience = patience
        self._writers: dict[Key, Writer] = {}
        self._refusals: dict[Key, tuple[float, DecodeError]] = {}
        """Keys without a usable schema: until when not to ask again, and the reason."""
        self._row: tuple[Key, int] = (-1, 0)
        """The unknown key of the last records, and how many they are."""
        self._had_subject = False

    def get(self, key: Key) -> Writer:
        """Return a writer schema.

        Raises:
            DecodeError: there is no such Avro schema, and the record is to blame.
            RegistryUnavailable: the registry does not return the schema in time, or seems to have lost it.
            LastingFailure: the registry's address, the login, a right or a certificate is wrong.
            Stopped: a signal arrived.
        """
        writer = self._writers.get(key)
        if writer is None:
            writer = self._ask(key)
        self._row = (key, 0)
        return writer

    def look_ahead(self, keys: Iterable[Key]) -> None:
        """Before any schema is known, ask for those of records to come: one that is known speaks for the registry."""
        if self._writers:
            return
        for key in islice(dict.fromkeys(keys), MOST_LOOKS):
            try:
                self._keep(key, self._fetch(key))
            except DecodeError:
                continue
            except RegistryUnavailable:
                pass
            return

    def _ask(self, key: Key) -> Writer:
        until, refusal = self._refusals.get(key, (0.0, None))
        if refusal is None or time.monotonic() >= until:
            try:
                return self._keep(key, self._patience.ask(lambda: self._fetch(key), f"topic {self._topic}"))
            except DecodeError as error:
                refusal = error
                if len(self._refusals) >= MOST_REFUSED:
                    self._refusals.clear()
                self._refusals[key] = (time.monotonic() + REFUSED_SECONDS, error)
                lost_subject = self._had_subject and not self._has_subject()
        else:
            lost_subject = False
        if not isinstance(refusal, UnknownSchema):
            raise DecodeError(str(refusal))
        last, number = self._row
        self._row = (key, number + 1 if key == last else 1)
        if lost_subject:
            return self._wait(key, f"nor does it have subject {self._subject} any more")
        if self._row[1] >= ROW:
            return self._wait(key, f"{self._row[1]} records in a row name it")
        if not self._writers:
            return self._wait_for_the_first(key, refusal)
        raise UnknownSchema(str(refusal))

    def read_again(self) -> None:
        """Begin to count a row anew: the records in doubt will be read again."""
        self._row = (-1, 0)

    def _wait_for_the_first(self, key: Key, refusal: UnknownSchema) -> Writer:
        """Wait for a schema before any schema of the topic is known."""
        if self._row[1] >= FIRST_ROW or not self._has_subject():
            return self._wait(key, f"it is the first schema that records of {self._topic} name")
        try:
            return self._wait(key, f"it is the first schema that records of {self._topic} name", LAG_SECONDS)
        except RegistryUnavailable:
            raise UnknownSchema(str(refusal)) from None

    def _wait(self, key: Key, why: str, seconds: float | None = None) -> Writer:
        """Ask for an unknown schema again until the registry has it.

        Raises:
            RegistryUnavailable: it does not have the schema in time.
        """

        def attempt() -> Writer:
            try:
                return self._fetch(key)
            except UnknownSchema as error:
                raise RegistryUnavailable(
                    f"{error}, and {why}: the registry may have lost its data, or lag behind; restore it, correct "
                    "--registry-url, or move the consumer group past these records"
                ) from error

        return self._keep(key, self._patience.at_most(seconds).ask(attempt, f"topic {self._topic}"))

    def _keep(self, key: Key, writer: Writer) -> Writer:
        if not self._writers:
            with contextlib.suppress(NewsroomError):
                self._had_subject = self._has_subject()
        self._writers[key] = writer
        self._refusals.pop(key, None)
        return writer

    @property
    def _subject(self) -> str:
        return f"{self._topic}-value"

    def _has_subject(self) -> bool:
        return self._subject in self._patience.ask(lambda: check_registry(self._registry), f"topic {self._topic}")

    def _fetch(self, key: Key) -> Writer:
        name = f"schema id {key}" if isinstance(key, int) else f"schema GUID {key}"
        if isinstance(key, int) and key > LARGEST_SCHEMA_ID:
            raise DecodeError(f"{name} is larger than any id of a registry")
        schema = self._from_registry(
            name,
            lambda: self._registry.get_schema(key) if isinstance(key, int) else self._registry.get_schema_by_guid(key),
        )
        kind = str(schema.schema_type or AVRO).upper()
        if kind != AVRO:
            raise DecodeError(f"{name} is not an Avro schema but a schema of type {kind}")
        try:
            parsed = self._parsed(schema)
        except NewsroomError:
            raise
        except Exception as error:  # fastavro may raise any exception, depending on the text
            raise DecodeError(f"{name} is not a readable Avro schema: {error!r}") from error
        return Writer(parsed, _type_name(parsed))

    def _parsed(self, schema: Schema) -> Any:  # noqa: ANN401 - fastavro's parsed schema
        root, types = json.loads(schema.schema_str or ""), self._types(schema.references or ())

        def parse(change: Callable[[Any], Any]) -> Any:  # noqa: ANN401
            if not types:
                return fastavro.parse_schema(change(root))
            named = {name: change(kind) for name, kind in types.items()}
            return parse_schema_with_repo(json.dumps(change(root)), named)  # puts each type where its name first stands

        try:
            return parse(lambda kind: kind)
        except SchemaParseException:
            return parse(_without_decimals)

    def _types(self, references: Iterable[SchemaReference]) -> dict[str, Any]:
        """The types that a schema refers to, and those that they refer to, by full name; each stands there once."""
        types: dict[str, Any] = {}
        for reference in references:
            schema = self._referenced(reference)
            kind = json.loads(schema.schema_str or "")
            # The name in a reference may be any text. A schema uses the full name of the type.
            types |= self._types(schema.references or ()) | {fastavro.schema.fullname(kind): kind}
        return types

    def _referenced(self, reference: SchemaReference) -> Schema:
        subject, version = reference.subject, reference.version
        # A deleted version too: records were written with it.
        try:
            return self._from_registry(
                f"{subject} version {version}, which a schema refers to,",
                lambda: self._registry.get_version(subject, version, deleted=True).schema,
            )
        except UnknownSchema as error:
            raise DecodeError(str(error)) from error

    def _from_registry(self, name: str, call: Callable[[], Schema]) -> Schema:
        place = address_of(self._registry.config()["url"])
        try:
            schema = ask_registry(self._registry, call)
        except SchemaRegistryError as error:
            if is_not_found(error):
                raise UnknownSchema(f"{name} is unknown to {place}") from error
            raise RegistryUnavailable(f"{name} was not returned: {error.error_message}") from error
        except LastingFailure as error:
            if error.fields.get("status") == HTTP_NOT_FOUND and name.startswith("schema GUID"):
                raise DecodeError(f"{name} (in a header) cannot be read: {place} finds no schema by GUID") from error
            raise
        if not isinstance(schema.schema_str, str):
            raise not_a_registry(self._registry, f"{name} without a schema")
        return schema


def _type_name(schema: Any) -> str:  # noqa: ANN401 - fastavro's parsed schema
    """The full name of the record type; of a union with one record type, that one's."""
    if isinstance(schema, list):
        names = [branch["name"] for branch in schema if isinstance(branch, dict) and "name" in branch]
        return str(names[0]) if len(names) == 1 else "union"
    return str(schema.get("name") or schema["type"]) if isinstance(schema, dict) else str(schema)


def _without_decimals(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """The schema without its decimals: Avro ignores an invalid logical type, but fastavro refuses the whole schema."""
    if isinstance(schema, list):
        return [_without_decimals(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    drop = schema.get("logicalType") == "decimal"
    return {name: _without_decimals(part) for name, part in schema.items() if not (drop and name == "logicalType")}
