"""The join of a stream with a table, for one record at a time.

The semantics are those of a KStream-KTable join in Kafka Streams. The table holds the last *processed* count of each
key. A record of the table changes the table and emits nothing; a tombstone deletes the key. A record of the stream
emits a result if the table has its key.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Protocol

from newsroom.errors import DecodeError

COUNT = "count"
"""The name of a key's count in its state."""

GREATEST = 2**63 - 1
"""A count is a 64-bit number, as in Kafka Streams."""

_whole_number = re.compile(rb"-?[0-9]{1,19}").fullmatch


@dataclass(frozen=True)
class Label:
    """A record of the stream `word`."""

    text: str


@dataclass(frozen=True)
class Count:
    """A record of the table `word-counts`; a value of None is a tombstone."""

    value: int | None


@dataclass(frozen=True)
class JoinResult:
    """A label with the count of its word."""

    count: int
    label: str

    def as_json(self) -> bytes:
        """The result as the value of a record of `words-joined`."""
        return json.dumps({"count": self.count, "label": self.label}, ensure_ascii=False).encode()


class KeyState(Protocol):
    """The state of the record's key."""

    def get(self, key: str) -> int | None:
        """The value under `key`, or None."""

    def set(self, key: str, value: int) -> None:
        """Store `value` under `key`."""

    def delete(self, key: str) -> None:
        """Delete the value under `key`."""


def decode_count(data: bytes, _: object = ()) -> int:
    """Decode a count.

    Raises:
        DecodeError: the bytes are not a whole number of 64 bits in decimal digits.
    """
    count = int(data) if _whole_number(data) else None
    if count is None or abs(count) > GREATEST:
        raise DecodeError(f"the value is not a whole number of 64 bits: {data[:40]!r}")
    return count


def join(record: Label | Count, state: KeyState) -> JoinResult | None:
    """Process one record of either side; return the result, if there is one."""
    if isinstance(record, Count):
        if record.value is None:
            state.delete(COUNT)
        else:
            state.set(COUNT, record.value)
        return None
    count = state.get(COUNT)
    return None if count is None else JoinResult(count, record.text)


def joined_line(word: str, result: JoinResult) -> str:
    """The lab's line for a result."""
    return f"key {word} - value ({result.count}, {result.label})"
