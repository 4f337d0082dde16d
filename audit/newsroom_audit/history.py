"""What was read of a cluster: records as they lie in their topics, the ends of partitions, committed offsets."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from newsroom_audit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Offsets = dict[int, int]
"""An offset for each partition of one topic."""

ID_HEADER = "newsroom.audit.id"
"""The header that holds a record's id in its sender's ledger. The id is RUN-NUMBER."""


class Record(NamedTuple):
    """A record as it lies in a topic. `timestamp` is in milliseconds since 1970 (UTC), -1 if it has none."""

    topic: str
    partition: int
    offset: int
    timestamp: int = -1
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> str:
        """The record's topic, partition and offset, for messages."""
        return f"{self.topic} partition {self.partition} offset {self.offset}"

    @property
    def word(self) -> str:
        """The key as text."""
        return (self.key or b"").decode(errors="backslashreplace")

    def header(self, name: str) -> str | None:
        """The last value of a header as text, or None."""
        values = [value for key, value in self.headers if key == name and value is not None]
        return values[-1].decode(errors="backslashreplace") if values else None

    @property
    def id(self) -> str | None:
        """The record's id in a ledger, or None if no audited sender wrote it."""
        return self.header(ID_HEADER)


class Ends(NamedTuple):
    """Where a partition begins and ends: the log start, the high watermark and the last stable offset."""

    begin: int
    high: int
    stable: int


@dataclass(frozen=True)
class Topic:
    """All records of a topic that a reader saw, partition by partition in the order of their offsets."""

    name: str
    records: Sequence[Record] = ()
    ends: Mapping[int, Ends] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for left, right in pairwise(self.records):
            if (left.partition, left.offset) >= (right.partition, right.offset):
                raise AuditError(f"the history of {self.name} is not in order: {left.place} is before {right.place}")

    def partitions(self) -> dict[int, list[Record]]:
        """The records of each partition that has any."""
        parts: defaultdict[int, list[Record]] = defaultdict(list)
        for record in self.records:
            parts[record.partition].append(record)
        return dict(parts)

    def below(self, offsets: Mapping[int, int]) -> Iterator[Record]:
        """The records below an offset of their partition; a partition that is not named has none."""
        return (record for record in self.records if record.offset < offsets.get(record.partition, 0))

    def begins_late(self) -> Offsets:
        """The partitions whose first records were deleted, and where they begin now."""
        return {number: ends.begin for number, ends in self.ends.items() if ends.begin > 0}


@dataclass(frozen=True)
class Sample:
    """Committed offsets at one time, and the ends of the outputs shortly *after* it."""

    at: float
    committed: Mapping[tuple[str, str], Mapping[int, int]]
    """Offsets by consumer group and topic."""
    stable: Mapping[str, Mapping[int, int]]
    """Last stable offsets by topic: what readers saw."""
    high: Mapping[str, Mapping[int, int]]
    """High watermarks by topic: what was written. The marker that makes a committed transaction visible comes to each
    partition at its own time, and not while its leader is away."""

    def as_json(self) -> str:
        """One line of a file of samples."""
        committed = [[group, topic, offsets] for (group, topic), offsets in self.committed.items()]
        return json.dumps({"at": self.at, "committed": committed, "stable": self.stable, "high": self.high})


def read_samples(path: Path) -> list[Sample]:
    """Read a file of samples; an incomplete last line, which a kill leaves behind, is ignored.

    Raises:
        AuditError: the file cannot be read, or a line is not a sample.
    """
    try:
        return [
            Sample(
                line["at"],
                {(group, topic): _numbers(offsets) for group, topic, offsets in line["committed"]},
                *({topic: _numbers(ends) for topic, ends in line[kind].items()} for kind in ("stable", "high")),
            )
            for line in json_lines(path)
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(f"{path} is not a file of samples ({error!r}): write it with newsroom-audit watch") from error


def json_lines(path: Path) -> Iterator[Any]:
    """The objects of a file of JSON lines; an incomplete last line is ignored.

    Raises:
        AuditError: the file cannot be read, or a whole line is not JSON.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise AuditError(f"{path} line {number} is not JSON: {error}") from error
    except OSError as error:
        raise AuditError(f"{path} cannot be read: {error.strerror}") from error


def _numbers(offsets: Mapping[str, int]) -> Offsets:
    return {int(partition): int(offset) for partition, offset in offsets.items()}
