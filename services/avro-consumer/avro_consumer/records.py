"""What the avro-consumer does to a record: read it, show it in the lab's wording, describe it as a dead letter."""

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
"""Characters of an error that go into a dead letter: headers must not grow with what is wrong."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as received. `timestamp` is in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()

    @property
    def place(self) -> str:
        """Where the record is, for messages."""
        return f"{self.topic} partition {self.partition} offset {self.offset}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A record with its key and value decoded; a value of None is a tombstone."""

    record: Record
    key: str | None
    value: Mapping[str, Any] | str | None


class Format(Protocol):
    """How a topic's records are decoded and shown."""

    def read(self, record: Record) -> Reading:
        """Decode a record.

        Raises:
            DecodeError: its bytes are not what the topic promises.
            RegistryUnavailable: its schema cannot be had now.
        """

    def show(self, reading: Reading) -> str:
        """The event that is logged."""


class Decoder(Protocol):
    """What turns Avro bytes into a record: `newsroom.schemas.avro.AvroDecoder`."""

    def decode(self, data: bytes | None) -> dict[str, Any]:
        """Decode one value."""


class AvroFormat(Format):
    """Values in the registry's wire format."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @override
    def read(self, record: Record) -> Reading:
        # A tombstone is no Avro, but it is legal: it says that the key is gone. It is not poison.
        value = None if record.value is None else self._decoder.decode(record.value)
        # The key is only shown, so a byte that is no UTF-8 must not cost the record its way.
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
    """Keys and values in UTF-8."""

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
        raise DecodeError(f"the {what} is no UTF-8 ({error.reason} at byte {error.start})") from error


def dead_letter_headers(record: Record, error: Exception, group: str) -> list[Header]:
    """The headers of a dead letter: the record's own, then where it came from and why it is here."""
    added = {
        "dlq.origin.topic": record.topic,
        "dlq.origin.partition": record.partition,
        "dlq.origin.offset": record.offset,
        "dlq.origin.timestamp": record.timestamp,
        "dlq.error": str(error)[:LONGEST_ERROR],
        "dlq.consumer.group": group,
    }
    return [*record.headers, *((name, str(value).encode()) for name, value in added.items())]
