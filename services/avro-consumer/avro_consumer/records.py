"""Decodes a record, shows it in the lab's wording, and describes it as a dead letter."""

from __future__ import annotations

from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from typing_extensions import override

from newsroom.dead_letters import origin_headers
from newsroom.errors import DecodeError, RegistryUnavailable
from newsroom.topics import NEWS_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsroom.schemas.avro import AvroRecord

Header = tuple[str, bytes | None]


class Record(NamedTuple):
    """A record as received. `timestamp` is in milliseconds since 1970 (UTC)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()

    @property
    def place(self) -> str:
        """The record's topic, partition and offset, for messages."""
        return f"{self.topic} partition {self.partition} offset {self.offset}"


PLACE: itemgetter[tuple[int, int]] = itemgetter(1, 2)
"""A record's partition and offset, for loops over many."""


class Reading(NamedTuple):
    """A record with its decoded key and value; a tombstone has the value None."""

    record: Record
    key: str | None
    value: Mapping[str, Any] | str | None
    type_name: str = ""
    """The full name of an Avro record's type, as its writer's schema has it."""

    @property
    def fields(self) -> dict[str, object]:
        """The record's place, its key and its type, for programs that read the log."""
        topic, partition, offset = self.record[:3]
        place = {"topic": topic, "partition": partition, "offset": offset, "key": self.key}
        return place | ({"schema": self.type_name} if self.type_name else {})


_key, _value, _headers = itemgetter(4), itemgetter(5), itemgetter(6)
_reading = partial(tuple.__new__, Reading)
"""Makes a reading of a tuple of its fields, without a Python call for each."""


class Format(Protocol):
    """Decodes and shows the records of a topic."""

    @property
    def unexpected(self) -> int:
        """Records of another type than that of their topic."""

    def look_ahead(self, records: Sequence[Record]) -> None:
        """Look at records that will be read: a minority of them with an unknown schema is poison."""

    def read_all(self, records: Sequence[Record]) -> list[Reading] | None:
        """Decode all records at once, which is faster; None if they must be decoded one by one."""

    def read(self, record: Record) -> Reading:
        """Decode a record.

        Raises:
            DecodeError: the record's bytes are not in this format.
            RegistryUnavailable: the registry does not return the record's schema in time.
        """

    def read_again(self) -> None:
        """Note that the last records, whose schemas are in doubt, will be read again."""

    def show(self, reading: Reading) -> str:
        """Return the text to log."""


class Decoder(Protocol):
    """Decodes Avro values: `newsroom.schemas.avro.AvroDecoder`."""

    @property
    def unexpected(self) -> int:
        """Records of another type than the expected one."""

    def decode(self, data: bytes | None, headers: Iterable[Header] = ()) -> AvroRecord:
        """Decode one value."""

    def decode_all(self, values: Sequence[bytes]) -> tuple[str, list[dict[str, Any]]] | None:
        """Decode many values at once; None if they must be decoded one by one."""

    def look_ahead(self, values: Iterable[tuple[bytes | None, Iterable[Header]]]) -> None:
        """Look at values that will be decoded."""

    def read_again(self) -> None:
        """Count nothing twice: the last records that were in doubt will be read again."""


class AvroFormat(Format):
    """Avro values in the registry's wire format."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @property
    @override
    def unexpected(self) -> int:
        return self._decoder.unexpected

    @override
    def look_ahead(self, records: Sequence[Record]) -> None:
        self._decoder.look_ahead((record.value, record.headers) for record in records if record.value is not None)

    @override
    def read_all(self, records: Sequence[Record]) -> list[Reading] | None:
        # A header may name the schema, and a tombstone has none: these are read one by one.
        values = [value for value in map(_value, records) if value is not None]
        whole = len(values) == len(records) and not any(map(_headers, records))
        decoded = self._decoder.decode_all(values) if whole else None
        if decoded is None:
            return None
        name, fields = decoded
        return list(map(_reading, zip(records, _all_shown(records), fields, repeat(name), strict=False)))

    @override
    def read(self, record: Record) -> Reading:
        key = None if record.key is None else _shown(record.key)
        # A tombstone is not poison: it has no Avro value because its key was deleted.
        if record.value is None:
            return Reading(record, key, None)
        try:
            decoded = self._decoder.decode(record.value, record.headers)
        except RegistryUnavailable as error:
            raise RegistryUnavailable(f"{record.place}: {error}") from error
        return Reading(record, key, decoded.fields, decoded.type_name)

    @override
    def read_again(self) -> None:
        self._decoder.read_again()

    @override
    def show(self, reading: Reading) -> str:
        record = reading.record
        return f"Consumed : {_avro_text(reading)} Offset : {record.offset} Partition : {record.partition}"


def _shown(key: bytes) -> str:
    # The key is only shown: invalid UTF-8 in it must not turn the record into poison.
    return key.decode("utf-8", errors="backslashreplace")


def _all_shown(records: Sequence[Record]) -> list[str | None]:
    try:
        return [None if key is None else key.decode() for key in map(_key, records)]
    except UnicodeDecodeError:
        return [None if key is None else _shown(key) for key in map(_key, records)]


def _avro_text(reading: Reading) -> str:
    if not isinstance(reading.value, dict):
        return "null"
    # The lab's lines name its type without a namespace.
    name = reading.type_name.rpartition(".")[2] if reading.type_name == NEWS_TYPE else reading.type_name
    return f"{name}({', '.join(f'{field}={value!r}' for field, value in reading.value.items())})"


class StringFormat(Format):
    """UTF-8 keys and values."""

    unexpected = 0

    @override
    def look_ahead(self, records: Sequence[Record]) -> None:
        pass

    @override
    def read_all(self, records: Sequence[Record]) -> list[Reading] | None:
        try:
            keys = [None if key is None else key.decode() for key in map(_key, records)]
            values = [None if value is None else value.decode() for value in map(_value, records)]
        except UnicodeDecodeError:
            return None
        return list(map(_reading, zip(records, keys, values, repeat(""), strict=False)))

    @override
    def read(self, record: Record) -> Reading:
        return Reading(record, _text(record.key, "key"), _text(record.value, "value"))

    @override
    def read_again(self) -> None:
        pass

    @override
    def show(self, reading: Reading) -> str:
        record = reading.record
        key, value = ("null" if text is None else text for text in (reading.key, reading.value))
        return f"Reading :\nOffset : {record.offset} from partition {record.partition}\nValue : {value}\nKey : {key}"


def _text(data: bytes | None, what: str) -> str | None:
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError(f"the {what} is not valid UTF-8 ({error.reason} at byte {error.start})") from error


def dead_letter_headers(record: Record, error: Exception, group: str) -> list[Header]:
    """Return the headers of a dead letter: the record's own headers, then its origin and the error."""
    origin = origin_headers(
        record.topic, record.partition, record.offset, record.timestamp, error=str(error), group=group
    )
    return [*record.headers, *origin]
