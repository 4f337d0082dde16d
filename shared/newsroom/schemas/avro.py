"""Avro in the registry's wire format: a zero byte, the schema id (4 bytes, big-endian), the Avro body.

fastavro with our own prefix writes a quarter faster than Confluent's serializer and reads twice as fast as its
deserializer, one record at a time; `decode_all` reads many at once. The bytes are the same (tests compare them).

There are two kinds of failure. A record is to blame for a `DecodeError`: it is poison. The registry is to blame for
`RegistryUnavailable`: the record is good, and is read again.
"""

from __future__ import annotations

import io
import struct
import uuid
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import fastavro
from fastavro.read import LOGICAL_READERS, SchemaResolutionError
from prometheus_client import Counter

from newsroom.errors import DecodeError, SchemaInDoubt, SettingsError
from newsroom.logs import get_logger
from newsroom.schemas.batches import BatchReader
from newsroom.schemas.doubt import FIRST_ROW, ROW
from newsroom.schemas.registry import Patience
from newsroom.schemas.writers import Writers
from newsroom.waiting import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka.schema_registry import SchemaRegistryClient

    from newsroom.schemas.writers import Key, Writer

log = get_logger(__name__)

MAGIC = 0
PREFIX = struct.Struct(">bI")

GUID_HEADER = "__value_schema_id"
"""The header in which Confluent's serializers write a schema's GUID instead of a prefix before the body."""

GUID_MAGIC, GUID_BYTES = 1, 17

EIGHT_BYTE_PREFIX = struct.Struct(">bQ")
"""The prefix of Apicurio's own serializers. Its ids are small, so the first four bytes of the id are zero."""

FRAMINGS = (
    (b"\xc3\x01", "Avro's single-object encoding"),
    (b"Obj\x01", "an Avro file"),
    (b"\x03\x00", "the framing of the Glue registry"),
    (b"\x03\x05", "the compressed framing of the Glue registry"),
    (b"\x01", "a schema GUID before the body"),
    (b"{", "JSON"),
)
"""How values of other framings begin."""

UNEXPECTED = Counter(
    "newsroom_unexpected_types", "Decoded records of another Avro type than that of their topic, by topic.", ["topic"]
)
LONGEST_REASON = 500
"""Characters of a reason: fastavro quotes whole schemas."""

MOST_NAMES = 100
"""So many unexpected types are named in the log; records may have any type."""


def _or_underlying(convert: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(convert)
    def tolerant(data: Any, *schemas: Any) -> Any:  # noqa: ANN401
        try:
            return convert(data, *schemas)
        except Exception:  # noqa: BLE001 - a date beyond Python's, text that is not a UUID, a decimal without precision
            return data

    return tolerant


# Avro's own rule: a reader that cannot use a logical type takes the underlying value.
LOGICAL_READERS.update({name: _or_underlying(convert) for name, convert in LOGICAL_READERS.items()})


class AvroEncoder:
    """Turns records of one registered schema into wire format. `schema_id` is the schema's id, or returns it."""

    def __init__(self, schema: Mapping[str, Any], schema_id: int | Callable[[], int]) -> None:
        self._schema = fastavro.parse_schema(dict(schema))
        self._schema_id = schema_id if callable(schema_id) else lambda: schema_id

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Encode one record.

        Raises:
            SettingsError: the record does not fit the schema.
        """
        buffer = io.BytesIO()
        buffer.write(PREFIX.pack(MAGIC, self._schema_id()))
        try:
            fastavro.schemaless_writer(buffer, self._schema, record, strict_allow_default=True)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise SettingsError(f"record {dict(record)!r} does not fit the schema: {error}") from error
        return buffer.getvalue()


class AvroRecord(NamedTuple):
    """A decoded record, and the full name of the type that its writer gave it."""

    type_name: str
    fields: dict[str, Any]


class AvroDecoder:
    """Turns wire format back into records; it requests each schema once.

    With a reader schema, it returns records of every compatible schema in the reader's shape. It waits for the registry
    with `patience`. Records of `topic` with another type than `expected` are counted; None expects nothing.
    """

    def __init__(
        self,
        registry: SchemaRegistryClient,
        reader_schema: Mapping[str, Any] | None = None,
        *,
        topic: str = "",
        patience: Patience | None = None,
        expected: str | None = None,
    ) -> None:
        self._writers = Writers(registry, topic, patience or Patience(0, StopFlag()))
        self._reader: Any = fastavro.parse_schema(dict(reader_schema)) if reader_schema else None
        self._misfits = 0
        """The last records, as many as the reader schema could not read."""
        self._fits = False
        """Whether the reader schema could read a record."""
        self._topic = topic
        self._expected = expected
        self._names: set[str] = set()
        self._batches: dict[bytes, tuple[Key, str, BatchReader]] = {}
        """By the prefix of a value: what is needed to decode many at once, of schemas that were used before."""
        self.unexpected = 0
        """Records of another type than the expected one."""
        if expected:
            UNEXPECTED.labels(topic)  # the series exists from the start, so its first increase is visible

    def decode(self, data: bytes | None, headers: Iterable[tuple[str, Any]] = ()) -> AvroRecord:
        """Decode one value; its schema may stand in a header.

        Raises:
            DecodeError: the bytes are not a record of a known Avro schema.
            RegistryUnavailable: the registry does not return the schema in time, or seems to have lost its data.
            LastingFailure: the registry's address, the login, a right or a certificate is wrong.
            SettingsError: the reader schema does not fit the topic's records.
            Stopped: a signal arrived during the wait.
        """
        key, start = _schema_of(data, headers)
        writer = self._writers.get(key)
        body = io.BytesIO(data or b"")
        body.seek(start)
        try:
            record = fastavro.schemaless_reader(body, writer.schema, self._reader)
        except Exception as error:  # fastavro may raise any exception, depending on the bytes
            raise self._blame(key, writer, error) from error
        self._misfits, self._fits = 0, True
        left = len(data or b"") - body.tell()
        if left:
            raise DecodeError(f"{left} bytes are left after a record of schema {key} ({writer.name})")
        if not isinstance(record, dict) or writer.name == "map":
            raise DecodeError(f"schema {key} is not a record schema: its type is {writer.name}")
        if self._expected is not None and writer.name != self._expected:
            self._count_unexpected(writer, key)
        elif isinstance(key, int) and data is not None and data[: PREFIX.size] not in self._batches:
            # Values of a schema that `BatchReader` does not take are decoded one by one.
            with suppress(Exception):
                prefix = data[: PREFIX.size]
                self._batches[prefix] = key, writer.name, BatchReader(prefix, writer.schema, self._reader)
        return AvroRecord(writer.name, record)

    def decode_all(self, values: Sequence[bytes]) -> tuple[str, list[dict[str, Any]]] | None:
        """Decode many values at once, whose schemas do not stand in headers.

        Returns:
            The type's full name and the records; None if the values must be decoded one by one: they are of several
            schemas, or of one that `decode` has not met, or one of them is not a record.
        """
        prefix = values[0][: PREFIX.size] if values else b""
        if prefix not in self._batches:
            return None
        key, name, batch = self._batches[prefix]
        records = batch.read(values)
        if records is None:
            return None
        self._writers.get(key)  # known records speak for the registry
        return name, records

    def look_ahead(self, values: Iterable[tuple[bytes | None, Iterable[tuple[str, Any]]]]) -> None:
        """Before any schema is known, look at the schemas of values that will be decoded."""
        self._writers.look_ahead(key for data, headers in values if (key := _key_or_none(data, headers)) is not None)

    def read_again(self) -> None:
        """Count nothing twice: the last records that were in doubt will be read again."""
        self._writers.read_again()
        self._misfits = 0

    def _blame(self, key: Key, writer: Writer, error: Exception) -> DecodeError | SettingsError:
        """The error that says whose fault it is: the record's, or that of the reader schema."""
        reason = f"schema {key} ({writer.name}) cannot decode the body: {error!r}"[:LONGEST_REASON]
        foreign = self._fits and writer.name != self._reader["name"] if self._reader else True
        if foreign or not isinstance(error, SchemaResolutionError):
            return DecodeError(reason)
        self._misfits += 1
        if self._misfits < (ROW if self._fits else FIRST_ROW):
            return SchemaInDoubt(reason)
        return SettingsError(
            f"the reader schema does not fit {self._misfits} records of {self._topic} in a row ({reason}): give each "
            "field that their writers lack a default, or read with another schema (--reader-schema, --subject)"
        )

    def _count_unexpected(self, writer: Writer, key: Key) -> None:
        self.unexpected += 1
        UNEXPECTED.labels(self._topic).inc()
        if writer.name not in self._names and len(self._names) < MOST_NAMES:
            self._names.add(writer.name)
            log.warning(
                "records have another type than their topic",
                topic=self._topic,
                type=writer.name,
                schema=key,
                expected=self._expected,
            )


def _schema_of(data: bytes | None, headers: Iterable[tuple[str, Any]]) -> tuple[Key, int]:
    """The key of a value's schema, and where its body starts.

    Raises:
        DecodeError: the value is not in a known framing.
    """
    for name, text in headers:
        if name == GUID_HEADER:
            if not isinstance(text, bytes) or len(text) != GUID_BYTES or text[0] != GUID_MAGIC:
                raise DecodeError(f"header {GUID_HEADER} is not a schema GUID: {text!r}"[:MOST_NAMES])
            return str(uuid.UUID(bytes=text[1:])), 0
    if data is None or len(data) < PREFIX.size:
        raise DecodeError(f"{len(data or b'')} bytes are too few for the Avro wire format")
    magic, schema_id = PREFIX.unpack_from(data)
    if magic != MAGIC:
        framing = next((f" but {name}" for start, name in FRAMINGS if data.startswith(start)), "")
        raise DecodeError(f"unknown magic byte {magic & 0xFF:#04x}: not the Avro wire format{framing}")
    if schema_id == 0 and len(data) >= EIGHT_BYTE_PREFIX.size:
        _, number = EIGHT_BYTE_PREFIX.unpack_from(data)
        raise DecodeError(f"schema id 0 is none: perhaps the 8-byte id {number} of Apicurio's own serializers")
    return schema_id, PREFIX.size


def _key_or_none(data: bytes | None, headers: Iterable[tuple[str, Any]]) -> Key | None:
    try:
        return _schema_of(data, headers)[0]
    except DecodeError:
        return None
