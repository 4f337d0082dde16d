"""Made-up histories of the whole pipeline: a correct one, and the single mutations that a judge must find."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from newsroom_audit.checks.sink import Line
from newsroom_audit.history import ID_HEADER, Ends, Offsets, Record, Sample, Topic
from newsroom_audit.judge import CONSUMER, JOIN, OUTPUTS, WORDCOUNT
from newsroom_audit.ledger import Entry, Ledger, Outcome, record_id

RUN = "run"
START = 1_700_000_000
POISON = b"not avro"


@dataclass
class Log:
    """A topic that is written record by record; a transaction ends with a marker, which takes an offset."""

    name: str
    partitions: int
    records: list[Record] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)

    def put(
        self,
        key: str,
        value: bytes,
        at: int,
        headers: Iterable[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> Record:
        number = sum(key.encode()) % self.partitions if partition is None else partition
        record = Record(self.name, number, self.ends[number], at, key.encode(), value, tuple(headers))
        self.ends[number] += 1
        self.records.append(record)
        return record

    def mark(self, partitions: Iterable[int]) -> None:
        """End a transaction."""
        for number in set(partitions):
            self.ends[number] += 1

    def offsets(self) -> Offsets:
        return dict(self.ends)

    def topic(self) -> Topic:
        ends = {n: Ends(0, self.ends[n], self.ends[n]) for n in range(self.partitions)}
        return Topic(self.name, sorted(self.records, key=lambda record: (record.partition, record.offset)), ends)


@dataclass
class History:
    """Everything that a judge reads."""

    topics: dict[str, Topic]
    ledger: Ledger
    samples: list[Sample]
    lines: list[Line]

    @property
    def settled(self) -> dict[str, dict[int, int]]:
        """Of a quiet pipeline: everything."""
        return {name: {n: end.stable for n, end in topic.ends.items()} for name, topic in self.topics.items()}

    def replace(self, topic: str, records: Iterable[Record]) -> Self:
        """The same history with other records in one topic."""
        ordered = sorted(records, key=lambda record: (record.partition, record.offset))
        return replace(self, topics=self.topics | {topic: replace(self.topics[topic], records=ordered)})


def seeded(seed: int) -> random.Random:
    """A generator whose numbers a failed example repeats."""
    return random.Random(seed)  # noqa: S311 - no secret


class Model:
    """A pipeline that is correct by its making: each step of it happens at one moment."""

    def __init__(self, seed: int, partitions: int = 3) -> None:
        self._random = seeded(seed)
        names = ("mytopic", "news", "news.dlq", "word-deltas", "word-counts", "word", "words-joined", "other")
        self.logs = {name: Log(name, partitions) for name in names}
        self.ledger = Ledger(RUN, seed)
        self.committed: defaultdict[tuple[str, str], Offsets] = defaultdict(dict)
        self._read: Counter[tuple[str, str]] = Counter()
        self.counts: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.lines: list[Line] = []
        self._now = START * 1000

    def run(self, steps: int = 6) -> History:
        for _ in range(steps):
            self.produce(self._random.randint(1, 6))
            self.count()
            self.consume()
            self.label(self._random.randint(0, 4))
            self.sample()
        topics = {name: log.topic() for name, log in self.logs.items()}
        return History(topics, self.ledger, self.samples, self.lines)

    def produce(self, number: int) -> None:
        for _ in range(number):
            word = f"word{self._random.randint(0, 4)}"
            value = self._random.choice((word, f"{word} {word}", f"{word} filter", f"one {word}"))
            self.send("mytopic", word, value.encode())
            title = POISON if self._random.random() < 0.2 else f"About {word}".encode()
            self.send("news", f"article{number}", title)

    def send(self, topic: str, key: str, value: bytes, count: int | None = None) -> None:
        self._now += 10
        number = len(self.ledger.entries)
        identity = record_id(RUN, number)
        record = self.logs[topic].put(key, value, self._now, [(ID_HEADER, identity.encode())])
        at = self._now / 1000
        entry = Entry(identity, number, topic, key.encode(), value, at, count)
        entry.outcome, entry.partition, entry.offset = Outcome.ACKNOWLEDGED, record.partition, record.offset
        entry.settled = at + 0.005
        self.ledger.entries[identity] = entry

    def _new(self, group: str, topic: str) -> list[Record]:
        log = self.logs[topic]
        records = log.records[self._read[group, topic] :]
        self._read[group, topic] += len(records)
        self.committed[group, topic] = log.offsets()
        return records

    def count(self) -> None:
        deltas: Counter[str] = Counter()
        newest = -1
        for topic in ("mytopic", "news"):
            for record in self._new(WORDCOUNT, topic):
                text = (record.value or b"").decode()
                if text != POISON.decode() and "filter" not in text:
                    deltas.update(text.lower().split())
                    newest = max(newest, record.timestamp)
        homes: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for word, number in deltas.items():
            homes[sum(word.encode()) % self.logs["word-deltas"].partitions][word] = number
        for home, part in homes.items():
            self.logs["word-deltas"].put("deltas", json.dumps(part).encode(), newest, partition=home)
        self.logs["word-deltas"].mark(homes)
        for record in self._new(WORDCOUNT, "word-deltas"):
            for word, number in json.loads(record.value or b"").items():
                self.counts[word] += number
                self.logs["word-counts"].put(word, str(self.counts[word]).encode(), record.timestamp)
        self.logs["word-counts"].mark(homes)
        self._new(JOIN, "word-counts")

    def consume(self) -> None:
        for record in self._new(CONSUMER, "news"):
            if record.value == POISON:
                origin = {"topic": "news", "partition": record.partition, "offset": record.offset}
                extra = [(f"dlq.origin.{name}", str(value).encode()) for name, value in origin.items()]
                self.logs["news.dlq"].put(record.word, POISON, self._now, [*record.headers, *extra])
            else:
                place = (record.partition, record.offset, record.timestamp)
                value = {"title": (record.value or b"").decode()}
                self.lines.append(Line("consumed-0.jsonl", len(self.lines) + 1, "news", *place, record.word, value))

    def label(self, number: int) -> None:
        for _ in range(number):
            word = self._random.choice([*self.counts, "unknown"])
            self.send("word", word, f"label{len(self.ledger.entries)}".encode(), self.counts[word] or None)
        for record in self._new(JOIN, "word"):
            if self.counts[record.word]:
                value = {"count": self.counts[record.word], "label": (record.value or b"").decode()}
                self.logs["words-joined"].put(record.word, json.dumps(value).encode(), record.timestamp)
        self.logs["words-joined"].mark([0])

    def sample(self) -> None:
        committed = {where: dict(offsets) for where, offsets in self.committed.items()}
        ends = {name: self.logs[name].offsets() for name in OUTPUTS}
        self.samples.append(Sample(self._now / 1000, committed, ends, ends))


def decode(record: Record) -> dict[str, Any] | None:
    """What the made-up news hold."""
    return None if record.value == POISON else {"title": (record.value or b"").decode()}


class FakeReader:
    """A quiet cluster that holds a history."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.lagging: set[tuple[str, str]] = set()
        self.uncommitted: dict[str, Topic] = {}
        """What a read_uncommitted reader sees, where it is not the same."""

    def topics(self) -> dict[str, list[int]]:
        return {name: sorted(topic.ends) for name, topic in self.history.topics.items()}

    def ends(self, topic: str) -> dict[int, Ends]:
        return dict(self.history.topics[topic].ends)

    def sample(self, groups: Mapping[str, Iterable[str]], outputs: Iterable[str]) -> Sample:
        last = self.history.samples[-1]
        committed = {(group, topic): last.committed[group, topic] for group in groups for topic in groups[group]}
        ends = {name: last.high[name] for name in outputs}
        return Sample(last.at + 1, committed, ends, ends)

    def read(self, topic: str, *, committed: bool = True) -> Topic:
        return self.history.topics[topic] if committed else self.uncommitted.get(topic, self.history.topics[topic])

    def passed(self, group: str, topic: str, limits: Mapping[int, int]) -> bool:
        return not limits or (group, topic) not in self.lagging
