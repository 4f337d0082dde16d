"""Single mutations of a correct history. Each returns the mutated history, or None if this one does not allow it."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from newsroom_audit.findings import Kind
from newsroom_audit.history import ID_HEADER, Record, Sample, Topic
from newsroom_audit.ledger import Ledger, Outcome
from unit.audit.histories import RUN, History

T = TypeVar("T")
Mutation = Callable[[History, random.Random], History | None]

MUTANTS: list[tuple[Kind, Mutation]] = []


def must_be(kind: Kind) -> Callable[[Mutation], Mutation]:
    """Register a mutation with the kind of finding that must name it."""

    def register(mutation: Mutation) -> Mutation:
        MUTANTS.append((kind, mutation))
        return mutation

    return register


def one(rng: random.Random, items: Sequence[T]) -> T | None:
    return rng.choice(items) if items else None


def without(history: History, topic: str, record: Record | None) -> History | None:
    if record is None:
        return None
    return history.replace(topic, [present for present in history.topics[topic].records if present != record])


def instead(history: History, topic: str, record: Record, other: Record) -> History:
    return history.replace(
        topic, [other if present == record else present for present in history.topics[topic].records]
    )


def appended(history: History, topic: str, record: Record) -> History:
    """The record once more, at the end of its partition."""
    ends = history.topics[topic].ends
    end = ends[record.partition]
    longer = replace(
        history.topics[topic], ends={**ends, record.partition: end._replace(high=end.high + 1, stable=end.stable + 1)}
    )
    history = replace(history, topics=history.topics | {topic: longer})
    return history.replace(topic, [*longer.records, record._replace(offset=end.high)])


def neighbours(topic: Topic) -> list[tuple[Record, Record]]:
    """Pairs of records of one partition of which the second is behind the first."""
    parts = topic.partitions().values()
    return [(part[i], part[i + 1]) for part in parts for i in range(len(part) - 1)]


def swapped(history: History, topic: str, pair: tuple[Record, Record] | None) -> History | None:
    if pair is None:
        return None
    left, right = pair
    others = [record for record in history.topics[topic].records if record not in pair]
    return history.replace(topic, [*others, left._replace(offset=right.offset), right._replace(offset=left.offset)])


@must_be(Kind.LOST)
def an_acknowledged_record_is_lost(history: History, rng: random.Random) -> History | None:
    topic = rng.choice(("mytopic", "news", "word"))
    return without(history, topic, one(rng, history.topics[topic].records))


@must_be(Kind.DUPLICATED)
def a_record_is_written_twice(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["news"].records)
    return record and appended(history, "news", record)


@must_be(Kind.GHOST)
def a_record_that_nobody_sent(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["mytopic"].records)
    return record and appended(history, "mytopic", record._replace(headers=((ID_HEADER, f"{RUN}-999999".encode()),)))


@must_be(Kind.GHOST)
def a_failed_record_is_there(history: History, rng: random.Random) -> History | None:
    entry = one(rng, history.ledger.of("mytopic"))
    if entry is None:
        return None
    failed = replace(entry, outcome=Outcome.FAILED, reason="too large")
    return replace(history, ledger=Ledger(RUN, 1, history.ledger.entries | {entry.id: failed}))


@must_be(Kind.ORDER)
def two_records_change_places(history: History, rng: random.Random) -> History | None:
    return swapped(history, "mytopic", one(rng, neighbours(history.topics["mytopic"])))


@must_be(Kind.DISAGREEMENT)
def a_value_is_changed(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["mytopic"].records)
    return record and instead(history, "mytopic", record, record._replace(value=(record.value or b"") + b"!"))


@must_be(Kind.DISAGREEMENT)
def a_delivery_report_names_another_place(history: History, rng: random.Random) -> History | None:
    entry = one(rng, history.ledger.of("mytopic"))
    if entry is None:
        return None
    entries = history.ledger.entries | {entry.id: replace(entry, offset=entry.offset + 1)}
    return replace(history, ledger=Ledger(RUN, 1, entries))


@must_be(Kind.COUNT)
def a_last_count_is_off_by_one(history: History, rng: random.Random) -> History | None:
    last = {count.word: count for count in history.topics["word-counts"].records}
    record = one(rng, list(last.values()))
    step = rng.choice((-1, 1))
    return record and instead(
        history, "word-counts", record, record._replace(value=str(int(record.value or b"") + step).encode())
    )


@must_be(Kind.COUNT)
def a_count_on_the_way_is_off_by_one(history: History, rng: random.Random) -> History | None:
    records = history.topics["word-counts"].records
    last = {count.word: count for count in records}
    record = one(rng, [count for count in records if count != last[count.word]])
    return record and instead(
        history, "word-counts", record, record._replace(value=str(int(record.value or b"") + 1).encode())
    )


@must_be(Kind.COUNT)
def a_count_comes_twice(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["word-counts"].records)
    return record and appended(history, "word-counts", record)


@must_be(Kind.COUNT)
def a_count_is_missing(history: History, rng: random.Random) -> History | None:
    return without(history, "word-counts", one(rng, history.topics["word-counts"].records))


@must_be(Kind.COUNT)
def a_count_is_text(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["word-counts"].records)
    return record and instead(history, "word-counts", record, record._replace(value=b"many"))


@must_be(Kind.COUNT)
def a_word_has_two_homes(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["word-counts"].records)
    return record and appended(history, "word-counts", record._replace(partition=(record.partition + 1) % 3))


@must_be(Kind.COUNT)
def a_set_of_deltas_is_lost(history: History, rng: random.Random) -> History | None:
    return without(history, "word-deltas", one(rng, history.topics["word-deltas"].records))


@must_be(Kind.COUNT)
def a_set_of_deltas_is_counted_twice(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["word-deltas"].records)
    return record and appended(history, "word-deltas", record)


def joined_with(record: Record, count: int) -> Record:
    value = json.loads(record.value or b"")
    return record._replace(value=json.dumps(value | {"count": count}).encode())


@must_be(Kind.JOIN)
def a_join_with_a_count_that_never_was(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["words-joined"].records)
    return record and instead(history, "words-joined", record, joined_with(record, 1_000_000))


@must_be(Kind.JOIN)
def a_join_with_an_older_count(history: History, rng: random.Random) -> History | None:
    existed: defaultdict[str, list[int]] = defaultdict(list)
    for count in history.topics["word-counts"].records:
        existed[count.word].append(int(count.value or b""))
    records = history.topics["words-joined"].records
    record = one(
        rng, [result for result in records if json.loads(result.value or b"")["count"] > existed[result.word][0]]
    )
    return record and instead(history, "words-joined", record, joined_with(record, existed[record.word][0]))


@must_be(Kind.LOST)
def a_result_is_lost(history: History, rng: random.Random) -> History | None:
    return without(history, "words-joined", one(rng, history.topics["words-joined"].records))


@must_be(Kind.DUPLICATED)
def a_label_is_joined_twice(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["words-joined"].records)
    return record and appended(history, "words-joined", record)


@must_be(Kind.GHOST)
def a_label_that_nobody_sent_is_joined(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["words-joined"].records)
    if record is None:
        return None
    value = json.loads(record.value or b"") | {"label": "nobody's"}
    return appended(history, "words-joined", record._replace(value=json.dumps(value).encode()))


@must_be(Kind.ORDER)
def two_results_change_places(history: History, rng: random.Random) -> History | None:
    return swapped(history, "words-joined", one(rng, neighbours(history.topics["words-joined"])))


@must_be(Kind.LOST)
def a_line_of_the_sink_is_lost(history: History, rng: random.Random) -> History | None:
    line = one(rng, history.lines)
    return line and replace(history, lines=[present for present in history.lines if present != line])


@must_be(Kind.GHOST)
def the_sink_has_a_record_of_its_own(history: History, rng: random.Random) -> History | None:
    line = one(rng, history.lines)
    return line and replace(history, lines=[*history.lines, line._replace(offset=1_000_000)])


@must_be(Kind.DISAGREEMENT)
def the_sink_has_another_value(history: History, rng: random.Random) -> History | None:
    line = one(rng, history.lines)
    return line and replace(history, lines=[*history.lines, line._replace(value={"title": "another"})])


@must_be(Kind.REPEATED)
def the_sink_has_a_line_twice(history: History, rng: random.Random) -> History | None:
    line = one(rng, history.lines)
    return line and replace(history, lines=[*history.lines, line])


@must_be(Kind.LOST)
def a_dead_letter_is_lost(history: History, rng: random.Random) -> History | None:
    return without(history, "news.dlq", one(rng, history.topics["news.dlq"].records))


@must_be(Kind.DISAGREEMENT)
def a_dead_letter_is_cut(history: History, rng: random.Random) -> History | None:
    record = one(rng, history.topics["news.dlq"].records)
    return record and instead(history, "news.dlq", record, record._replace(value=b"not"))


@must_be(Kind.DUPLICATED)
def a_record_is_in_the_sink_and_a_dead_letter(history: History, rng: random.Random) -> History | None:
    letters = {
        (letter.header("dlq.origin.partition"), letter.header("dlq.origin.offset"))
        for letter in history.topics["news.dlq"].records
    }
    records = history.topics["news"].records
    record = one(rng, [article for article in records if (str(article.partition), str(article.offset)) in letters])
    line = one(rng, history.lines)
    if record is None or line is None:
        return None
    return replace(history, lines=[*history.lines, line._replace(partition=record.partition, offset=record.offset)])


def sooner(history: History, rng: random.Random, topic: str) -> History | None:
    """A sample whose commits are as they were, but whose output did not have its newest records yet."""
    pairs = list(zip(history.samples, history.samples[1:], strict=False))
    pair = one(rng, [(old, new) for old, new in pairs if _grew(history.topics[topic], old, new)])
    if pair is None:
        return None
    old, new = pair
    early = replace(new, high={**new.high, topic: old.high[topic]})
    return replace(history, samples=[early if sample is new else sample for sample in history.samples])


def _grew(topic: Topic, old: Sample, new: Sample) -> bool:
    before, after = (sample.high[topic.name] for sample in (old, new))
    places = [
        (before.get(record.partition, 0), record.offset, after.get(record.partition, 0)) for record in topic.records
    ]
    return any(start <= offset < end for start, offset, end in places)


@must_be(Kind.AHEAD)
def a_commit_is_ahead_of_the_deltas(history: History, rng: random.Random) -> History | None:
    return sooner(history, rng, "word-deltas")


@must_be(Kind.AHEAD)
def a_commit_is_ahead_of_the_counts(history: History, rng: random.Random) -> History | None:
    return sooner(history, rng, "word-counts")


@must_be(Kind.AHEAD)
def a_commit_is_ahead_of_the_results(history: History, rng: random.Random) -> History | None:
    return sooner(history, rng, "words-joined")


@must_be(Kind.AHEAD)
def a_committed_offset_falls(history: History, rng: random.Random) -> History | None:
    last = history.samples[-1]
    where = one(rng, [where for where, offsets in last.committed.items() if any(offsets.values())])
    if where is None:
        return None
    fallen = {**last.committed, where: dict.fromkeys(last.committed[where], 0)}
    lower = replace(last, at=last.at + 0.5, committed=fallen)
    return replace(history, samples=[*history.samples, lower, replace(last, at=last.at + 0.7)])
