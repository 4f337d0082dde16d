"""Avro in the registry's wire format: a zero byte, the schema id (4 bytes, big-endian), the Avro body.

fastavro with the prefix written by hand is a quarter faster to write and twice as fast to read as Confluent's
serializers, with the same bytes (tests compare them).

Two kinds of failure are kept apart: what a record is to blame for (`DecodeError`: it is poison), and what the registry
is to blame for (`RegistryUnavailable`: the record is good, and is read again).
"""

from __future__ import annotations

import copy
import io
import json
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import fastavro
from fastavro.repository.base import AbstractSchemaRepository, SchemaRepositoryError
from typing_extensions import override

from newsroom.errors import DecodeError, RegistryUnavailable, SettingsError
from newsroom.schemas.registry import ADVICE, AVRO, Schema, SchemaRegistryError, ask_registry, is_not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from newsroom.schemas.registry import SchemaRegistryClient

MAGIC = 0
PREFIX = struct.Struct(">bI")
ROOT = "$root"
"""The place of a schema among those that it refers to; no Avro name begins so."""

LARGEST_SCHEMA_ID = 2**31 - 1
"""Registries number schemas with a signed integer of 32 bits; asked for more, they answer as to a wrong address."""

REFUSED_SECONDS = 3.0
"""For how long an id without a usable schema is remembered: a flood of such records does not become one of questions,
and a schema that is registered after all is found soon."""

MOST_REFUSED = 1000
"""Ids of poison may be any: no more of them are remembered."""


def read_schema(path: Path) -> dict[str, Any]:
    """Read an Avro schema file.

    Raises:
        SettingsError: the file is missing or no valid schema of a record.
    """
    try:
        schema = json.loads(path.read_text())
        fastavro.parse_schema(schema)
    except OSError as error:
        raise SettingsError(f"schema file {path} cannot be read: {error.strerror}") from error
    except Exception as error:  # fastavro raises whatever the text leads it to
        raise SettingsError(f"schema file {path} is no Avro schema: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise SettingsError(f"schema file {path} is no record schema")
    return schema


class AvroEncoder:
    """Turns records of one registered schema into wire format."""

    def __init__(self, schema: Mapping[str, Any], schema_id: int) -> None:
        self._schema = fastavro.parse_schema(dict(schema))
        self._prefix = PREFIX.pack(MAGIC, schema_id)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Encode one record.

        Raises:
            SettingsError: the record does not fit the schema.
        """
        buffer = io.BytesIO()
        buffer.write(self._prefix)
        try:
            fastavro.schemaless_writer(buffer, self._schema, record, strict_allow_default=True)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SettingsError(f"record {dict(record)!r} does not fit the schema: {error}") from error
        return buffer.getvalue()


class AvroDecoder:
    """Turns wire format back into records; schemas are asked for once per id.

    With a reader schema, records written with any compatible schema come out in the reader's shape.
    """

    def __init__(self, registry: SchemaRegistryClient, reader_schema: Mapping[str, Any] | None = None) -> None:
        self._registry = registry
        self._reader = fastavro.parse_schema(dict(reader_schema)) if reader_schema else None
        self._writers: dict[int, Any] = {}
        self._refused: dict[int, tuple[float, str]] = {}
        """Ids without a usable schema: until when that is taken for granted, and why."""

    def decode(self, data: bytes | None) -> dict[str, Any]:
        """Decode one value.

        Raises:
            DecodeError: the bytes are not a record in wire format of a known Avro schema.
            RegistryUnavailable: the schema is not cached and the registry does not give it.
        """
        if data is None or len(data) < PREFIX.size:
            raise DecodeError(f"{len(data or b'')} bytes are too few for the Avro wire format")
        magic, schema_id = PREFIX.unpack_from(data)
        if magic != MAGIC:
            raise DecodeError(f"unknown magic byte {magic & 0xFF:#04x}: not the Avro wire format")
        writer = self._writers.get(schema_id)
        if writer is None:
            writer = self._ask_once(schema_id)
        body = io.BytesIO(data)
        body.seek(PREFIX.size)
        try:
            record = fastavro.schemaless_reader(body, writer, self._reader)
        except Exception as error:  # fastavro raises whatever the broken bytes lead it to
            raise DecodeError(f"schema {schema_id} cannot decode the body: {error!r}") from error
        if body.tell() != len(data):
            raise DecodeError(f"{len(data) - body.tell()} bytes are left after a record of schema {schema_id}")
        if not isinstance(record, dict):
            raise DecodeError(f"schema {schema_id} is no record schema")
        return record

    def _ask_once(self, schema_id: int) -> Any:  # noqa: ANN401 - fastavro's parsed schema
        until, why = self._refused.get(schema_id, (0.0, ""))
        if time.monotonic() < until:
            raise DecodeError(why)
        try:
            writer = self._fetch(schema_id)
        except DecodeError as error:
            if len(self._refused) >= MOST_REFUSED:
                self._refused.clear()
            self._refused[schema_id] = (time.monotonic() + REFUSED_SECONDS, str(error))
            raise
        self._writers[schema_id] = writer
        return writer

    def _fetch(self, schema_id: int) -> Any:  # noqa: ANN401 - fastavro's parsed schema
        if schema_id > LARGEST_SCHEMA_ID:
            raise DecodeError(f"schema id {schema_id} is larger than a registry gives")
        schema = self._given(f"schema id {schema_id}", lambda: self._registry.get_schema(schema_id))
        kind = str(schema.schema_type or AVRO).upper()
        if kind != AVRO:
            raise DecodeError(f"schema {schema_id} is no Avro schema, but one of type {kind}")
        try:
            if schema.references:
                return _parse(self._with_references(schema))
            return fastavro.parse_schema(json.loads(schema.schema_str))
        except (DecodeError, RegistryUnavailable):
            raise
        except Exception as error:  # fastavro raises whatever the text leads it to
            raise DecodeError(f"schema {schema_id} is no Avro schema that can be read: {error!r}") from error

    def _with_references(self, schema: Schema) -> dict[str, Any]:
        """The schema, and under their names those that it refers to, and those that they refer to."""
        found = {ROOT: json.loads(schema.schema_str)}
        asked = set()
        waiting = list(schema.references)
        while waiting:
            reference = waiting.pop()
            place = (reference.subject, reference.version)
            if place in asked:
                continue
            asked.add(place)
            name = f"{reference.subject} version {reference.version}, which a schema refers to,"
            other = self._given(name, partial(self._version, *place))
            text = json.loads(other.schema_str)
            # The name in the reference is free to choose; what counts is the type's own.
            found |= {reference.name: text, fastavro.schema.fullname(text): text}
            waiting += other.references or []
        return found

    def _version(self, subject: str, version: int) -> Schema:
        # Also a deleted one: records were written with it.
        return self._registry.get_version(subject, version, deleted=True).schema

    def _given(self, what: str, call: Callable[[], Schema]) -> Schema:
        try:
            schema = ask_registry(call)
        except SchemaRegistryError as error:
            if is_not_found(error):
                raise DecodeError(f"{what} is unknown to the registry") from error
            raise RegistryUnavailable(f"{what} was not given by the registry ({error}): {ADVICE}") from error
        if not isinstance(schema.schema_str, str):
            raise RegistryUnavailable(f"{what} was answered without a schema: correct --registry-url")
        return schema


class _Repository(AbstractSchemaRepository):
    """Where fastavro looks for types that a schema names but does not define."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    @override
    def load(self, name: str) -> Any:
        if name not in self._schemas:
            raise SchemaRepositoryError(name)
        return copy.deepcopy(self._schemas[name])


def _parse(schemas: Mapping[str, Any]) -> Any:  # noqa: ANN401 - fastavro's parsed schema
    return fastavro.schema.load_schema(ROOT, repo=_Repository(schemas))
