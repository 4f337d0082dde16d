"""The join of a stream with a table, for one record at a time.

Kafka Streams' semantics of KStream-KTable: the table holds, per key, the newest count *processed*; a record of the
table changes it and emits nothing; a record of the stream emits when the table has its key; a tombstone deletes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Protocol

from newsroom.errors import DecodeError

COUNT = "count"
"""Where a key's count is kept in state."""

_whole_number = re.compile(rb"-?[0-9]{1,19}").fullmatch


@dataclass(frozen=True)
class Label:
    """A record of the stream `word`."""

    text: str


@dataclass(frozen=True)
class Count:
    """A record of the table `word-counts`; None is a tombstone."""

    value: int | None


@dataclass(frozen=True)
class Joined:
    """A label and the count that its word had."""

    count: int
    label: str

    def as_json(self) -> bytes:
        """The value of a record of `words-joined`."""
        return json.dumps({"count": self.count, "label": self.label}, ensure_ascii=False).encode()


class KeyState(Protocol):
    """The state of the record's key."""

    def get(self, key: str) -> int | None:
        """What is kept under `key`."""

    def set(self, key: str, value: int) -> None:
        """Keep `value` under `key`."""

    def delete(self, key: str) -> None:
        """Forget what is kept under `key`."""


def decode_count(data: bytes) -> int:
    """Decode a count.

    Raises:
        DecodeError: the bytes are no whole number in decimal digits.
    """
    if not _whole_number(data):
        raise DecodeError(f"no whole number: {data[:40]!r}")
    return int(data)


def join(record: Label | Count, state: KeyState) -> Joined | None:
    """Process one record of either side; the result, if there is one."""
    if isinstance(record, Count):
        if record.value is None:
            state.delete(COUNT)
        else:
            state.set(COUNT, record.value)
        return None
    count = state.get(COUNT)
    return None if count is None else Joined(count, record.text)


def joined_line(word: str, joined: Joined) -> str:
    """The lab's line for a result."""
    return f"key {word} - value ({joined.count}, {joined.label})"
