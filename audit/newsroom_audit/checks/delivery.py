"""Does a topic hold what its senders sent: all of it, once, in order, where the delivery report says, and no more?"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from newsroom_audit.findings import Finding, Kind, finding
from newsroom_audit.ledger import Entry, Outcome, run_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from newsroom_audit.history import Record, Topic
    from newsroom_audit.ledger import Ledger


def delivery(ledgers: Sequence[Ledger], topic: Topic, *, exclusive: bool = False) -> Iterator[Finding]:
    """All checks of what was sent to a topic. `exclusive`: no other sender writes to it."""
    entries = {entry.id: entry for ledger in ledgers for entry in ledger.of(topic.name)}
    yield from lost(entries.values(), topic)
    yield from duplicated(topic)
    yield from ghosts(ledgers, topic, exclusive=exclusive)
    yield from disagreements(entries, topic)
    yield from order_breaks(entries, topic)


def verified(entries: Iterable[Entry], topic: Topic) -> int:
    """How many acknowledged records are where and as their delivery report says."""
    acknowledged = {entry.id: entry for entry in entries if entry.outcome is Outcome.ACKNOWLEDGED}
    there = {
        record.id
        for record in topic.records
        if (entry := acknowledged.get(record.id or "")) and _at(entry, record) and _same(entry, record)
    }
    return len(there)


def _at(entry: Entry, record: Record) -> bool:
    """Whether a record is where its delivery report says, as far as it says."""
    return record.partition == entry.partition and (not entry.has_offset or record.offset == entry.offset)


def lost(entries: Iterable[Entry], topic: Topic) -> Iterator[Finding]:
    """Acknowledged records that no reader of committed records sees."""
    ids = {record.id for record in topic.records}
    for entry in entries:
        if entry.outcome is not Outcome.ACKNOWLEDGED or entry.id in ids:
            continue
        ends = topic.ends.get(entry.partition)
        place = (entry.topic, entry.partition, entry.offset)
        text = f"{entry.place}: record {entry.id} was acknowledged"
        if ends is not None and entry.has_offset and entry.offset < ends.begin:
            yield Finding(Kind.INCOMPLETE, f"{text}, but the records below {ends.begin} were deleted", *place)
        elif ends is not None and entry.has_offset and entry.offset >= ends.stable:
            yield Finding(Kind.LOST, f"{text}, but readers see the partition only up to {ends.stable}", *place)
        else:
            yield Finding(Kind.LOST, f"{text}, but it is not there", *place)


def duplicated(topic: Topic) -> Iterator[Finding]:
    """Records that are in two places."""
    first: dict[str, Record] = {}
    for record in topic.records:
        if record.id is None:
            continue
        if record.id in first:
            yield finding(Kind.DUPLICATED, record, f"record {record.id} is also at {first[record.id].place}")
        else:
            first[record.id] = record


def ghosts(ledgers: Sequence[Ledger], topic: Topic, *, exclusive: bool = False) -> Iterator[Finding]:
    """Records that nobody sent, or whose sending failed for certain."""
    runs = {ledger.run: ledger for ledger in ledgers}
    for record in topic.records:
        ledger = None if record.id is None else runs.get(run_of(record.id))
        if record.id is None or ledger is None:
            if exclusive:
                yield finding(Kind.GHOST, record, f"no ledger has this record (id {record.id})")
            continue
        entry = ledger.entries.get(record.id)
        if entry is None or entry.topic != topic.name:
            yield finding(Kind.GHOST, record, f"record {record.id} was never sent to this topic")
        elif entry.outcome is Outcome.FAILED:
            yield finding(
                Kind.GHOST, record, f"record {record.id} is there although its sending failed: {entry.reason}"
            )


def disagreements(entries: dict[str, Entry], topic: Topic) -> Iterator[Finding]:
    """Records that differ from what was sent, or that are not where the delivery report says."""
    places: defaultdict[str, list[Record]] = defaultdict(list)
    for record in topic.records:
        entry = entries.get(record.id or "")
        if entry is None:
            continue
        places[entry.id].append(record)
        if not _same(entry, record):
            yield finding(Kind.DISAGREEMENT, record, f"key or value of record {entry.id} are not as sent")
    for identity, records in places.items():
        entry = entries[identity]
        if entry.outcome is Outcome.ACKNOWLEDGED and not any(_at(entry, record) for record in records):
            text = f"record {identity} is here, but was acknowledged at {entry.place}"
            yield finding(Kind.DISAGREEMENT, records[0], text)


def order_breaks(entries: dict[str, Entry], topic: Topic) -> Iterator[Finding]:
    """Records of one sender that are behind a record that it sent later, in the same partition."""
    highest: dict[tuple[str, int], Entry] = {}
    for record in topic.records:
        entry = entries.get(record.id or "")
        if entry is None:
            continue
        sender = (run_of(entry.id), record.partition)
        before = highest.get(sender)
        if before is None or entry.number > before.number:
            highest[sender] = entry
        elif entry.number < before.number:
            yield finding(Kind.ORDER, record, f"record {entry.id} is behind {before.id}, which was sent later")


def readers_agree(committed: Topic, uncommitted: Topic) -> Iterator[Finding]:
    """Every record that a read_committed reader sees is also the one that a read_uncommitted reader sees."""
    places = {(record.partition, record.offset): record for record in uncommitted.records}
    for record in committed.records:
        other = places.get((record.partition, record.offset))
        ends = uncommitted.ends.get(record.partition)
        if other is None and (ends is None or ends.begin <= record.offset < ends.high):
            yield finding(
                Kind.DISAGREEMENT, record, "a read_committed reader sees it, a read_uncommitted reader does not"
            )
        elif other is not None and (other.key, other.value) != (record.key, record.value):
            yield finding(Kind.DISAGREEMENT, record, "two readers see different records")


def open_transactions(topic: Topic) -> Iterator[Finding]:
    """Partitions whose last stable offset is behind their end: a transaction is open, and readers wait for it."""
    for number, ends in topic.ends.items():
        if ends.stable < ends.high:
            yield Finding(
                Kind.OPEN,
                f"{topic.name} partition {number}: readers stop at {ends.stable}, the end is {ends.high}",
                topic.name,
                number,
                ends.stable,
            )


def _same(entry: Entry, record: Record) -> bool:
    return (entry.key, entry.value) == (record.key, record.value)
