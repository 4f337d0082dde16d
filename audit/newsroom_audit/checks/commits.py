"""Do committed offsets stay behind the effects of the records that they pass?

A sample holds the committed offsets of one time, and the high watermarks of the outputs from shortly after it. Every
visible input below a committed offset must have its effect below those watermarks. An offset never falls.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from newsroom_audit.checks.counts import count_of, deltas_of
from newsroom_audit.checks.joins import result_of
from newsroom_audit.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from newsroom_audit.history import Record, Sample, Topic
    from newsroom_audit.ledger import Entry
    from newsroom_audit.words import Input


class Effect(NamedTuple):
    """What a record owes, or what a record of an output pays: so many of something that has a name."""

    record: Record
    name: str
    amount: int


def commits_never_fall(samples: Sequence[Sample]) -> Iterator[Finding]:
    """Committed offsets that are lower than at an earlier time."""
    highest: dict[tuple[str, str, int], int] = {}
    for sample in sorted(samples, key=lambda sample: sample.at):
        for (group, topic), offsets in sample.committed.items():
            for partition, offset in offsets.items():
                before = highest.get((group, topic, partition), -1)
                if offset < before:
                    text = f"{group} committed {offset} of {topic} partition {partition} after {before}"
                    yield Finding(Kind.AHEAD, text, topic, partition, offset)
                highest[group, topic, partition] = max(before, offset)


def ahead(group: str, samples: Sequence[Sample], owed: Iterable[Effect], paid: Iterable[Effect]) -> Iterator[Finding]:
    """Inputs that a committed offset of the group passed before the outputs had their effect."""
    debts, payments = _Queue(owed), _Queue(paid)
    balance: Counter[str] = Counter()
    for sample in sorted(samples, key=lambda sample: sample.at):
        commits = {topic: offsets for (member, topic), offsets in sample.committed.items() if member == group}
        new = list(debts.below(commits))
        for effect in payments.below(sample.high):
            balance[effect.name] += effect.amount
        for effect in new:
            balance[effect.name] -= effect.amount
        for name, effect in {effect.name: effect for effect in new}.items():
            if balance[name] < 0:
                record = effect.record
                offset = commits[record.topic][record.partition]
                text = (
                    f"{group} had committed {offset} of {record.topic} partition {record.partition}, but "
                    f"{-balance[name]} of the effects of {name} were not there (newest input: offset {record.offset})"
                )
                yield Finding(Kind.AHEAD, text, record.topic, record.partition, record.offset)
                balance[name] = 0  # said once


class _Queue:
    """Effects in the order of their offsets; gives each one once."""

    def __init__(self, effects: Iterable[Effect]) -> None:
        self._effects: defaultdict[tuple[str, int], list[Effect]] = defaultdict(list)
        for effect in effects:
            self._effects[effect.record.topic, effect.record.partition].append(effect)
        self._next: Counter[tuple[str, int]] = Counter()

    def below(self, offsets: Mapping[str, Mapping[int, int]]) -> Iterator[Effect]:
        """The effects below these offsets that were not given before."""
        for (topic, partition), effects in self._effects.items():
            limit, number = offsets.get(topic, {}).get(partition, 0), self._next[topic, partition]
            while number < len(effects) and effects[number].record.offset < limit:
                yield effects[number]
                number += 1
            self._next[topic, partition] = number


def words_owed(inputs: Iterable[Input]) -> Iterator[Effect]:
    """What the inputs owe to `word-deltas`: one for each word."""
    return (Effect(record, word, 1) for record, words in inputs for word in words)


def deltas_as_effects(deltas: Topic) -> Iterator[Effect]:
    """What the deltas pay for the words, and what they owe to `word-counts`."""
    return (
        Effect(record, word, number) for record in deltas.records for word, number in (deltas_of(record) or {}).items()
    )


def counts_paid(counts: Topic) -> Iterator[Effect]:
    """What the counts pay for the deltas: by how much each one is higher than the one before it."""
    last: Counter[str] = Counter()
    for record in counts.records:
        count = count_of(record)
        if count is not None:
            yield Effect(record, record.word, count - last[record.word])
            last[record.word] = count


def labels_owed(labels: Topic, entries: Iterable[Entry]) -> Iterator[Effect]:
    """What labels owe to `words-joined`: those whose sender knew that the join had a count of their word."""
    known = {entry.id for entry in entries if entry.count is not None}
    for record in labels.records:
        if record.id in known and record.value is not None:
            yield Effect(record, f"{record.word} with {record.value.decode(errors='backslashreplace')}", 1)


def results_paid(joined: Topic) -> Iterator[Effect]:
    """What results pay for the labels."""
    for record in joined.records:
        result = result_of(record)
        if result is not None:
            yield Effect(record, f"{record.word} with {result.label}", 1)
