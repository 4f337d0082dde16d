"""Does the word count count every visible word exactly once, at each step and at the end?

Three things must agree: the inputs, `word-deltas` and `word-counts`. An audit may run while records flow, so a count
has two bounds: what is *settled* (inputs that the word count had passed before its outputs were read) and all that is
there. On a quiet pipeline both are the same, and each count is exact.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from newsroom_audit.findings import Finding, Kind, finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from newsroom_audit.history import Record, Topic
    from newsroom_audit.words import Input

SHOWN = 8
"""How many counts of a word a finding shows."""

_number = re.compile(rb"[0-9]{1,19}").fullmatch


def count_of(record: Record) -> int | None:
    """The count that a record of `word-counts` holds, or None if it holds none."""
    return int(record.value) if record.value is not None and _number(record.value) else None


def deltas_of(record: Record) -> dict[str, int] | None:
    """The words and numbers that a record of `word-deltas` holds, or None if it holds something else."""
    try:
        deltas = json.loads(record.value or b"")
    except ValueError:
        return None
    good = isinstance(deltas, dict) and all(type(number) is int and number > 0 for number in deltas.values())
    return deltas if good else None


def counts_match_inputs(
    inputs: Sequence[Input], counts: Topic, settled: Mapping[str, Mapping[int, int]]
) -> Iterator[Finding]:
    """The last count of each word is the number of times that it occurs in the inputs, and no count came too early."""
    least, most = _bounds(inputs, settled)
    last: dict[str, Record] = {}
    for record in counts.records:
        count = count_of(record)
        if record.key is None or count is None:
            yield finding(Kind.COUNT, record, f"the key {record.key!r} has the value {record.value!r}, not a count")
            continue
        before = last.get(record.word)
        if before is not None and before.partition != record.partition:
            yield finding(Kind.COUNT, record, f"the word {record.word} is counted in partition {before.partition} too")
        elif before is not None and count <= (count_of(before) or 0):
            yield finding(Kind.COUNT, record, f"the count of {record.word} goes from {count_of(before)} to {count}")
        last[record.word] = record
    yield from _ahead_of_time(inputs, counts)
    for word, record in last.items():
        count = count_of(record)
        if count is not None and not least[word] <= count <= most[word]:
            yield finding(
                Kind.COUNT, record, f"{word} is counted {count}, but occurs {_times(least[word], most[word])}"
            )
    for word in least.keys() - last.keys():
        occurrence = next(entry for entry in inputs if word in entry.words).record
        yield finding(Kind.COUNT, occurrence, f"{word} has no count, but occurs {_times(least[word], most[word])}")


def _ahead_of_time(inputs: Sequence[Input], counts: Topic) -> Iterator[Finding]:
    """A count has the time of its newest input, so it may not exceed the occurrences up to that time."""
    times: defaultdict[str, list[int]] = defaultdict(list)
    for record, words in inputs:
        for word in words:
            times[word].append(record.timestamp)
    for occurrences in times.values():
        occurrences.sort()
    newest: dict[str, int] = {}
    for record in counts.records:
        word, count = record.word, count_of(record)
        newest[word] = max(newest.get(word, -1), record.timestamp)
        occurred = bisect_right(times.get(word, []), newest[word])
        # More than there are at all is for the last count to say.
        if record.timestamp >= 0 and count is not None and occurred < count <= len(times.get(word, [])):
            yield finding(Kind.COUNT, record, f"{word} is counted {count}, but had occurred {occurred} times by then")


def deltas_match_inputs(
    inputs: Sequence[Input], deltas: Topic, settled: Mapping[str, Mapping[int, int]]
) -> Iterator[Finding]:
    """The deltas of each word add up to the number of times that it occurs in the inputs."""
    least, most = _bounds(inputs, settled)
    totals: Counter[str] = Counter()
    for record in deltas.records:
        parts = deltas_of(record)
        if parts is None:
            yield finding(Kind.COUNT, record, "the value is not a set of deltas")
        totals.update(parts or {})
    for word in totals.keys() | least.keys():
        if not least[word] <= totals[word] <= most[word]:
            text = f"the deltas of {word} add up to {totals[word]}, but it occurs {_times(least[word], most[word])}"
            yield Finding(Kind.COUNT, f"{deltas.name}: {text}", deltas.name)


def counts_replay_deltas(
    deltas: Topic, counts: Topic, settled: Mapping[str, Mapping[int, int]], *, compacted: bool = False
) -> Iterator[Finding]:
    """Each partition of the counts is, record by record, the running sum of the same partition of the deltas.

    `compacted`: the broker may have removed all but the last count of a word.
    """
    owed = running_sums(deltas, {number: ends.high for number, ends in deltas.ends.items()})
    due = running_sums(deltas, settled.get(deltas.name, {}))
    outputs: defaultdict[tuple[int, str], list[Record]] = defaultdict(list)
    for record in counts.records:
        outputs[record.partition, record.word].append(record)
    for home in owed.keys() | outputs.keys():
        partition, word = home
        sums, needed, records = owed.get(home, []), len(due.get(home, [])), outputs.get(home, [])
        values = [count_of(record) for record in records]
        last = sums.index(values[-1]) + 1 if values and values[-1] in sums else len(values)
        expected = [value for value in sums[:last] if not compacted or value in values]
        if values != expected or last < needed:
            wrong = next((n for n, (a, b) in enumerate(zip(values, expected, strict=False)) if a != b), None)
            place = None if wrong is None else records[wrong].offset
            text = (
                f"{counts.name} partition {partition}: the counts of {word} are {_short(values)}, but its deltas give "
                f"{_short(sums[: max(needed, last)])}"
            )
            yield Finding(Kind.COUNT, text, counts.name, partition, place)


def running_sums(deltas: Topic, below: Mapping[int, int]) -> dict[tuple[int, str], list[int]]:
    """The counts that follow from the deltas below these offsets, by partition and word."""
    sums: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for record in deltas.below(below):
        for word, number in (deltas_of(record) or {}).items():
            known = sums[record.partition, word]
            known.append((known[-1] if known else 0) + number)
    return sums


def _bounds(inputs: Sequence[Input], settled: Mapping[str, Mapping[int, int]]) -> tuple[Counter[str], Counter[str]]:
    least: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for record, words in inputs:
        most.update(words)
        if record.offset < settled.get(record.topic, {}).get(record.partition, 0):
            least.update(words)
    return least, most


def _times(least: int, most: int) -> str:
    return f"{most} times" if least == most else f"{least} to {most} times"


def _short(values: Sequence[int | None]) -> str:
    shown = ", ".join(map(str, values[:SHOWN]))
    return f"[{shown}, … {values[-1]}]" if len(values) > SHOWN else f"[{shown}]"
