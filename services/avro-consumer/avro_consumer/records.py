"""Decodes a record, shows it in the lab's wording, and describes it as a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from typing_extensions import override

from newsroom.errors import DecodeError
from newsroom.topics import NEWS

if TYPE_CHECKING:
    from collections.abc import Mapping

Header = tuple[str, bytes | None]

LONGEST_ERROR = 1000
"""How many characters of an error a dead letter's header holds. An error may quote the record, so it needs a limit."""


@dataclass(frozen=True, slots=True)
class Record:
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


@dataclass(frozen=True, slots=True)
class Reading:
    """A record with its decoded key and value; a tombstone has the value None."""

    record: Record
    key: str | None
    value: Mapping[str, Any] | str | None


class Format(Protocol):
    """Decodes and shows the records of a topic."""

    def read(self, record: Record) -> Reading:
        """Decode a record.

        Raises:
            DecodeError: the record's bytes are not in this format.
            RegistryUnavailable: the registry does not give the record's schema now.
        """

    def show(self, reading: Reading) -> str:
        """Return the text to log."""


class Decoder(Protocol):
    """Decodes Avro values: `newsroom.schemas.avro.AvroDecoder`."""

    def decode(self, data: bytes | None) -> dict[str, Any]:
        """Decode one value."""


class AvroFormat(Format):
    """Avro values in the registry's wire format."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @override
    def read(self, record: Record) -> Reading:
        # A tombstone is not poison: it has no Avro value because its key was deleted.
        value = None if record.value is None else self._decoder.decode(record.value)
        # The key is only shown: invalid UTF-8 in it must not turn the record into poison.
        key = None if record.key is None else record.key.decode("utf-8", errors="backslashreplace")
        return Reading(record, key, value)

    @override
    def show(self, reading: Reading) -> str:
        record = reading.record
        return f"Consumed : {_avro_text(reading)} Offset : {record.offset} Partition : {record.partition}"


def _avro_text(reading: Reading) -> str:
    if not isinstance(reading.value, dict):
        return "null"
    name = "News" if reading.record.topic == NEWS.name else "Record"
    return f"{name}({', '.join(f'{field}={value!r}' for field, value in reading.value.items())})"


class StringFormat(Format):
    """UTF-8 keys and values."""

    @override
    def read(self, record: Record) -> Reading:
        return Reading(record, _text(record.key, "key"), _text(record.value, "value"))

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
    origin = {
        "dlq.origin.topic": record.topic,
        "dlq.origin.partition": record.partition,
        "dlq.origin.offset": record.offset,
        "dlq.origin.timestamp": record.timestamp,
        "dlq.error": str(error)[:LONGEST_ERROR],
        "dlq.consumer.group": group,
    }
    ours = ((name, str(value).encode(errors="backslashreplace")) for name, value in origin.items())
    return [*record.headers, *ours]
