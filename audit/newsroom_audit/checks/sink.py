"""Is every committed record of a topic in a line of the sink files, or else in the dead-letter topic?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, time
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from newsroom_audit.errors import AuditError
from newsroom_audit.findings import Finding, Kind, finding
from newsroom_audit.history import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from newsroom_audit.history import Record, Topic

Place = tuple[int, int]
"""A partition and an offset."""

CUT_HEADER = "dlq.value.bytes"
"""A dead letter that was too large has it, and only the beginning of the value."""


class Line(NamedTuple):
    """A line of a sink file, and where it stands."""

    file: str
    number: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None
    value: Any


def read_sinks(paths: Iterable[Path]) -> list[Line]:
    """Read sink files; an incomplete last line, which a kill leaves behind, is ignored.

    Raises:
        AuditError: a file cannot be read, or is not a sink of the avro-consumer.
    """
    lines: list[Line] = []
    for path in paths:
        for number, entry in enumerate(json_lines(path), 1):
            try:
                lines.append(Line(path.name, number, **entry))
            except TypeError as error:
                raise AuditError(f"{path} line {number} is not a line of a sink: {error}") from error
    return lines


def sink(
    topic: Topic,
    committed: Mapping[int, int],
    lines: Sequence[Line],
    dead_letters: Topic | None = None,
    value_of: Callable[[Record], Any] | None = None,
) -> Iterator[Finding]:
    """Compare the files of one consumer group with its topic, up to the group's committed offsets.

    `value_of` decodes a record as the consumer does, to compare values; without it only keys and times are compared.
    """
    written: defaultdict[Place, list[Line]] = defaultdict(list)
    for line in lines:
        if line.topic == topic.name:
            written[line.partition, line.offset].append(line)
    letters = _letters(topic.name, dead_letters)
    for record in topic.below(committed):
        place = (record.partition, record.offset)
        if place not in written and place not in letters:
            yield finding(Kind.LOST, record, f"committed ({committed[record.partition]}), but in no sink file")
    records = {(record.partition, record.offset): record for record in topic.records}
    yield from _lines(topic, written, records, value_of)
    yield from _dead_letters(topic, letters, records)
    for place in written.keys() & letters.keys():
        if place in records:
            yield finding(Kind.DUPLICATED, records[place], "it is in a sink file and in the dead-letter topic")


def _lines(
    topic: Topic,
    written: Mapping[Place, Sequence[Line]],
    records: Mapping[Place, Record],
    value_of: Callable[[Record], Any] | None,
) -> Iterator[Finding]:
    for place, lines in written.items():
        record, line = records.get(place), lines[0]
        if record is None:
            ends = topic.ends.get(line.partition)
            if ends is None or line.offset >= ends.begin:
                text = f"{line.file} line {line.number} has a record that {topic.name} does not have"
                yield Finding(Kind.GHOST, text, topic.name, line.partition, line.offset)
            continue
        if len(lines) > 1:
            yield finding(Kind.REPEATED, record, f"it is in {len(lines)} lines of the sink files")
        for copy in lines:
            if reason := _difference(copy, record, value_of):
                yield finding(Kind.DISAGREEMENT, record, f"{copy.file} line {copy.number} has {reason}")


def _difference(line: Line, record: Record, value_of: Callable[[Record], Any] | None) -> str | None:
    key = None if record.key is None else record.key.decode(errors="backslashreplace")
    if line.key != key:
        return f"the key {line.key!r}, not {key!r}"
    if line.timestamp != record.timestamp:
        return f"the time {line.timestamp}, not {record.timestamp}"
    if value_of is None or record.value is None:
        return None
    value = _as_in_json(value_of(record))
    return None if line.value == value else f"the value {line.value!r}, not {value!r}"


def _as_in_json(value: Any) -> Any:  # noqa: ANN401 - a value of any Avro type
    """The value as a line of the sink has it: what JSON lacks is text (docs/input.md)."""
    if isinstance(value, Mapping):
        return {name: _as_in_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_in_json(part) for part in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float) and not isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _letters(topic: str, dead_letters: Topic | None) -> dict[Place, list[Record]]:
    """The dead letters of a topic, by the place of the record that they hold."""
    letters: defaultdict[Place, list[Record]] = defaultdict(list)
    for letter in dead_letters.records if dead_letters else ():
        numbers = [letter.header(f"dlq.origin.{part}") or "" for part in ("partition", "offset")]
        if letter.header("dlq.origin.topic") == topic and all(number.isdecimal() for number in numbers):
            letters[int(numbers[0]), int(numbers[1])].append(letter)
    return dict(letters)


def _dead_letters(
    topic: Topic, letters: Mapping[Place, Sequence[Record]], records: Mapping[Place, Record]
) -> Iterator[Finding]:
    for (partition, offset), copies in letters.items():
        record, letter = records.get((partition, offset)), copies[0]
        if record is None:
            ends = topic.ends.get(partition)
            if ends is None or offset >= ends.begin:
                yield finding(
                    Kind.GHOST, letter, f"its origin {topic.name} partition {partition} offset {offset} is empty"
                )
            continue
        if len(copies) > 1:
            yield finding(Kind.REPEATED, record, f"it has {len(copies)} dead letters")
        for copy in copies:
            if not _same(copy, record):
                yield finding(Kind.DISAGREEMENT, copy, f"the dead letter differs from its origin, {record.place}")


def _same(letter: Record, record: Record) -> bool:
    value = record.value
    if letter.header(CUT_HEADER) == str(len(value or b"")):
        if letter.key is None and letter.value == b"":
            return True  # nothing but the headers of its origin fitted
        value = value and value[: len(letter.value or b"")]
    own = letter.headers[: len(record.headers)]
    return (letter.key, letter.value, own) == (record.key, value, record.headers)
