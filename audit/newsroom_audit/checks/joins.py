"""Is every label joined once and in order, with a count that its word had, and never with an older one than before?"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from newsroom_audit.checks.counts import count_of, running_sums
from newsroom_audit.findings import Finding, Kind, finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from newsroom_audit.history import Record, Topic
    from newsroom_audit.ledger import Entry


@dataclass(frozen=True, slots=True)
class Result:
    """A record of `words-joined`, decoded."""

    record: Record
    count: int
    label: str


def result_of(record: Record) -> Result | None:
    """The result that a record holds, or None if it holds none."""
    try:
        value = json.loads(record.value or b"")
        result = Result(record, value["count"], value["label"])
    except (ValueError, KeyError, TypeError):
        return None
    good = record.key is not None and type(result.count) is int and isinstance(result.label, str)
    return result if good else None


def joins(
    labels: Topic,
    counts: Topic,
    joined: Topic,
    *,
    entries: Iterable[Entry] = (),
    settled: Mapping[str, Mapping[int, int]] | None = None,
    deltas: Topic | None = None,
) -> Iterator[Finding]:
    """All checks of the join. `entries`: the labels of ledgers, which say what result is owed.

    `deltas` tell the counts that the broker may have removed from a compacted table.

    Below the offsets of `settled`, the join had passed every label before its results were read.
    """
    results: list[Result] = []
    for record in joined.records:
        result = result_of(record)
        if result is None:
            yield finding(Kind.JOIN, record, f"the value {record.value!r} is not a result")
        else:
            results.append(result)
    yield from counts_existed(results, counts, deltas)
    yield from counts_grow(results)
    yield from labels_once(labels, results, entries, (settled or {}).get(labels.name, {}))


def counts_existed(results: Sequence[Result], counts: Topic, deltas: Topic | None = None) -> Iterator[Finding]:
    """Results with a count that their word never had."""
    existed: defaultdict[str, set[int]] = defaultdict(set)
    for record in counts.records:
        if (count := count_of(record)) is not None:
            existed[record.word].add(count)
    if deltas is not None:
        for (_, word), sums in running_sums(deltas, {n: ends.high for n, ends in deltas.ends.items()}).items():
            existed[word].update(sums)
    for result in results:
        record, count = result.record, result.count
        if count not in existed[record.word]:
            text = f"{result.label} is joined with {count}, which {record.word} was never counted"
            yield finding(Kind.JOIN, record, text)


def counts_grow(results: Sequence[Result]) -> Iterator[Finding]:
    """Results with a lower count than an earlier result of their word."""
    highest: dict[str, int] = {}
    for result in results:
        record, count = result.record, result.count
        before = highest.get(record.word, 0)
        if count < before:
            yield finding(Kind.JOIN, record, f"{result.label} is joined with {count} after {record.word} had {before}")
        highest[record.word] = max(before, count)


def labels_once(
    labels: Topic, results: Sequence[Result], entries: Iterable[Entry] = (), settled: Mapping[int, int] | None = None
) -> Iterator[Finding]:
    """Results twice or without a label, results out of order, and labels without a result that is owed."""
    waiting: defaultdict[tuple[str, str], deque[Record]] = defaultdict(deque)
    sent: Counter[tuple[str, str]] = Counter()
    for record in labels.records:
        if record.key is not None and record.value is not None:
            label = record.value.decode(errors="backslashreplace")
            waiting[record.word, label].append(record)
            sent[record.word, label] += 1
    furthest: dict[int, Record] = {}
    first: dict[str, int] = {}
    matches: dict[tuple[int, int], Result] = {}
    for result in results:
        name = (result.record.word, result.label)
        if not waiting[name]:
            kind = Kind.DUPLICATED if sent[name] else Kind.GHOST
            yield finding(kind, result.record, f"{name[1]} is joined with {name[0]} more often than it was sent")
            continue
        label_record = waiting[name].popleft()
        matches[label_record.partition, label_record.offset] = result
        first.setdefault(name[0], label_record.offset)
        before = furthest.get(label_record.partition)
        if before is not None and label_record.offset < before.offset:
            yield finding(
                Kind.ORDER, result.record, f"the result of {label_record.place} is behind that of {before.place}"
            )
        else:
            furthest[label_record.partition] = label_record
    yield from _owed(labels, matches, first, {entry.id: entry for entry in entries}, settled or {})


def _owed(
    labels: Topic,
    matches: Mapping[tuple[int, int], Result],
    first: Mapping[str, int],
    entries: Mapping[str, Entry],
    settled: Mapping[int, int],
) -> Iterator[Finding]:
    for record in labels.records:
        result = matches.get((record.partition, record.offset))
        entry = entries.get(record.id or "")
        needed = None if entry is None else entry.count
        if result is not None:
            if needed is not None and result.count < needed:
                text = f"joined with {result.count}, but the join had processed {needed} before the label was sent"
                yield finding(Kind.JOIN, result.record, f"{record.place} is {text}")
        elif record.key is None or record.value is None:
            continue
        elif record.offset < settled.get(record.partition, 0):
            # Once a word has a count it keeps it, so every label behind a joined one has a result too.
            owed = needed is not None or first.get(record.word, record.offset) < record.offset
            yield _without_result(record, owed=owed)


def _without_result(record: Record, *, owed: bool) -> Finding:
    if owed:
        return finding(Kind.LOST, record, f"the label of {record.word} has no result, although the word had a count")
    return finding(Kind.UNMATCHED, record, f"the label of {record.word} has no result: the word may have had no count")
