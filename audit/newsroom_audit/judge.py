"""Reads a cluster in the order that the checks need, and applies every check whose topics and files are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from newsroom.errors import NotYet
from newsroom.topics import MYTOPIC, NEWS, NEWS_DLQ, WORD, WORD_COUNTS, WORD_DELTAS, WORDS_JOINED
from newsroom.waiting import Deadline, Wait, do_nothing, need
from newsroom_audit.checks import commits, counts, delivery, gaps, joins, logs, sink
from newsroom_audit.findings import Finding, Kind
from newsroom_audit.history import Ends, Sample, Topic
from newsroom_audit.report import Report
from newsroom_audit.words import Input, read_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from newsroom_audit.checks.gaps import Fault
    from newsroom_audit.history import Offsets, Record
    from newsroom_audit.ledger import Ledger

WORDCOUNT, JOIN, CONSUMER = "wordcount-stream", "join-service", "avro-consumer"

STAGES = (
    (WORDCOUNT, MYTOPIC.name),
    (WORDCOUNT, NEWS.name),
    (CONSUMER, NEWS.name),
    (WORDCOUNT, WORD_DELTAS.name),
    (JOIN, WORD.name),
    (JOIN, WORD_COUNTS.name),
)
"""The consumer groups and what they read, upstream first: a stage that has passed its inputs has its outputs there."""

OUTPUTS = (WORD_DELTAS.name, WORD_COUNTS.name, WORDS_JOINED.name)

DOWNSTREAM_FIRST = (*reversed(OUTPUTS), NEWS_DLQ.name, WORD.name, NEWS.name, MYTOPIC.name)
"""The order of reading: an input is read after its outputs, so every effect has its cause in what was read."""

PAUSE_SECONDS = 0.5


class Reading(Protocol):
    """What the judge asks of a cluster: `newsroom_audit.reader.ClusterReader`."""

    def topics(self) -> dict[str, list[int]]:
        """Return the partitions of each topic."""

    def ends(self, topic: str) -> dict[int, Ends]:
        """Return where each partition begins and ends."""

    def sample(self, groups: Mapping[str, Iterable[str]], outputs: Iterable[str]) -> Sample:
        """Return committed offsets, and then the ends of the outputs."""

    def read(self, topic: str, *, committed: bool = True) -> Topic:
        """Return all records up to the end."""

    def passed(self, group: str, topic: str, limits: Mapping[int, int]) -> bool:
        """Whether a group has passed every record below these offsets."""


@dataclass(frozen=True)
class Case:
    """What there is to judge besides the cluster, and how."""

    ledgers: Sequence[Ledger] = ()
    samples: Sequence[Sample] = ()
    """Taken while the faults happened; the judge takes one more."""
    sinks: Sequence[Path] = ()
    """All files that the members of the group avro-consumer have written."""
    logs: Sequence[Path] = ()
    allowed: str | None = None
    """A pattern of log lines that are expected."""
    gap_pattern: str | None = None
    """A pattern of log lines: the gaps between them are told, log by log."""
    faults: Sequence[Fault] = ()
    exclusive: frozenset[str] = frozenset()
    """Topics to which nobody but the ledgers' senders writes."""
    compacted: bool = False
    """Whether the broker may have removed counts that a later one replaced."""
    patience: float = 60.0
    """Seconds that the groups may need to pass what is there when the audit begins."""


def judge(reader: Reading, case: Case, decode: Callable[[Record], dict[str, Any] | None] | None = None) -> Report:
    """Audit a pipeline. `decode` gives a record of `news` as the avro-consumer decodes it, or None if it is poison.

    Raises:
        AuditError: the cluster or a file could not be read.
    """
    return _Judge(reader, case, decode).report()


@dataclass
class _Judge:
    reader: Reading
    case: Case
    decode: Callable[[Record], dict[str, Any] | None] | None
    result: Report = field(default_factory=Report)
    topics: dict[str, Topic] = field(default_factory=dict)
    settled: dict[str, Offsets] = field(default_factory=dict)

    def report(self) -> Report:
        existing = self.reader.topics()
        stages = [(group, topic) for group, topic in STAGES if topic in existing]
        self.result.add("groups pass their inputs", self._settle(stages))
        self.result.add("transactions end", self._open_transactions([name for name in OUTPUTS if name in existing]))
        groups = {group: [topic for member, topic in stages if member == group] for group, _ in stages}
        sample = self.reader.sample(groups, [name for name in OUTPUTS if name in existing])
        # After the sample, so that they hold the effects of what was committed; before the inputs.
        lines = sink.read_sinks(self.case.sinks)
        sent_to = {entry.topic for ledger in self.case.ledgers for entry in ledger.entries.values()}
        for name in [*DOWNSTREAM_FIRST, *sorted(sent_to - set(DOWNSTREAM_FIRST))]:
            if name in existing:
                self.topics[name] = self.reader.read(name)
        self.result.read = {name: len(topic.records) for name, topic in self.topics.items()}
        samples = [*self.case.samples, sample]
        self._delivery(sorted(sent_to | self.case.exclusive))
        self._isolation()
        self.result.add("committed offsets never fall", commits.commits_never_fall(samples))
        self._words(samples)
        self._joins(samples)
        self._sink(lines, sample)
        self._logs()
        self._gaps()
        return self.result

    def _settle(self, stages: Sequence[tuple[str, str]]) -> Iterator[Finding]:
        deadline = Deadline(self.case.patience)
        # The inputs of all before any wait: what comes later is not part of the audit.
        inputs = {MYTOPIC.name, NEWS.name, WORD.name}
        limits = {topic: self._stable(topic) for _, topic in stages if topic in inputs}
        for group, topic in stages:
            limit = limits.get(topic) or self._written(topic, deadline)
            try:
                self._wait(deadline, group, topic, limit)
            except NotYet as late:
                self.settled[topic] = {}
                yield Finding(Kind.BEHIND, str(late), topic)
            else:
                self.settled.setdefault(topic, limit)

    def _wait(self, deadline: Deadline, group: str, topic: str, limit: Offsets) -> None:
        def attempt() -> None:
            need(None if self.reader.passed(group, topic, limit) else f"{group} did not pass {limit} of {topic}")

        Wait(deadline, first_pause=PAUSE_SECONDS, longest_pause=PAUSE_SECONDS, report=do_nothing).until(
            attempt, lambda missing: NotYet(f"{missing} within {self.case.patience:g} s")
        )

    def _written(self, topic: str, deadline: Deadline) -> Offsets:
        """Where an output ends, once its readers can see all of it.

        A group commits with its transaction, but the transaction's marker may come to the output later. Up to the last
        stable offset alone the next group would seem to have read everything.
        """
        ends = {number: end.high for number, end in self.reader.ends(topic).items()}

        def attempt() -> None:
            hidden = [number for number, offset in self._stable(topic).items() if offset < ends[number]]
            need(f"a transaction is open in {topic} {hidden}" if hidden else None)

        try:
            Wait(deadline, first_pause=PAUSE_SECONDS, longest_pause=PAUSE_SECONDS, report=do_nothing).until(
                attempt, NotYet
            )
        except NotYet:
            return self._stable(topic)  # `_open_transactions` tells it
        return ends

    def _stable(self, topic: str) -> Offsets:
        return {number: ends.stable for number, ends in self.reader.ends(topic).items()}

    def _open_transactions(self, outputs: Sequence[str]) -> Iterator[Finding]:
        """A transaction that is open now is not a finding. One that stays open is."""
        deadline = Deadline(self.case.patience)
        for name in outputs:
            first = self.reader.ends(name)

            def transactions(name: str = name, first: Mapping[int, Ends] = first) -> Topic:
                now = self.reader.ends(name)
                # What was written later may be in the next transaction.
                ends = {n: Ends(end.begin, first[n].high, min(end.stable, first[n].high)) for n, end in now.items()}
                return Topic(name, (), ends)

            def attempt(transactions: Callable[[], Topic] = transactions) -> None:
                need("a transaction is open" if any(delivery.open_transactions(transactions())) else None)

            try:
                Wait(deadline, first_pause=PAUSE_SECONDS, longest_pause=PAUSE_SECONDS, report=do_nothing).until(
                    attempt, NotYet
                )
            except NotYet:
                yield from delivery.open_transactions(transactions())

    def _delivery(self, names: Sequence[str]) -> None:
        ledgers = self.case.ledgers
        entries = [entry for ledger in ledgers for entry in ledger.entries.values()]
        self.result.produced = len(entries)
        self.result.failed = sum(entry.outcome.value == "failed" for entry in entries)
        self.result.unknown = sum(entry.outcome.value == "unknown" for entry in entries)
        self.result.seeds = tuple(ledger.seed for ledger in ledgers if ledger.seed is not None)
        for name in names:
            # A topic that does not exist has lost everything.
            topic = self.topics.get(name, Topic(name))
            findings = delivery.delivery(ledgers, topic, exclusive=name in self.case.exclusive)
            self.result.add(f"{name} holds what the ledgers say", findings)
            self.result.verified += delivery.verified((entry for entry in entries if entry.topic == name), topic)

    def _isolation(self) -> None:
        for name, topic in self.topics.items():
            if name == WORD_COUNTS.name and self.case.compacted:
                continue
            findings = delivery.readers_agree(topic, self.reader.read(name, committed=False))
            self.result.add(f"readers agree on {name}", findings)

    def _whole(self, *names: str) -> bool:
        """Whether these topics are there from their first record; if one is not, a finding says so."""
        late = {name: begin for name in names if name in self.topics and (begin := self.topics[name].begins_late())}
        for name, begin in late.items():
            text = f"the first records of {name} were deleted (it begins at {begin}), so its effects cannot be judged"
            self.result.add(f"{name} is complete", [Finding(Kind.INCOMPLETE, text, name)])
        return not late and all(name in self.topics for name in names)

    def _inputs(self) -> list[Input]:
        names = [name for name in (MYTOPIC.name, NEWS.name) if name in self.topics]
        return read_inputs([self.topics[name] for name in names], {NEWS.name: self._title})

    def _title(self, record: Record) -> str | None:
        article = None if self.decode is None or record.value is None else self.decode(record)
        title = None if article is None else article.get("title")
        return title if isinstance(title, str) else None

    def _words(self, samples: Sequence[Sample]) -> None:
        inputs_there = [name for name in (MYTOPIC.name, NEWS.name) if name in self.topics]
        if not inputs_there or not self._whole(*inputs_there, WORD_DELTAS.name, WORD_COUNTS.name):
            return
        inputs = self._inputs()
        deltas, table = self.topics[WORD_DELTAS.name], self.topics[WORD_COUNTS.name]
        self.result.add("counts match the inputs", counts.counts_match_inputs(inputs, table, self.settled))
        self.result.add("deltas match the inputs", counts.deltas_match_inputs(inputs, deltas, self.settled))
        replay = counts.counts_replay_deltas(deltas, table, self.settled, compacted=self.case.compacted)
        self.result.add("counts are the running sums of the deltas", replay)
        findings = commits.ahead(WORDCOUNT, samples, commits.words_owed(inputs), commits.deltas_as_effects(deltas))
        self.result.add(f"{WORDCOUNT} commits inputs with their effects", findings)
        # What a compacted table held at an earlier sample cannot be told.
        known = samples[-1:] if self.case.compacted else samples
        findings = commits.ahead(WORDCOUNT, known, commits.deltas_as_effects(deltas), commits.counts_paid(table))
        self.result.add(f"{WORDCOUNT} commits deltas with their effects", findings)

    def _joins(self, samples: Sequence[Sample]) -> None:
        if not self._whole(WORD.name, WORD_COUNTS.name, WORDS_JOINED.name):
            return
        labels, table, joined = (self.topics[name] for name in (WORD.name, WORD_COUNTS.name, WORDS_JOINED.name))
        entries = [entry for ledger in self.case.ledgers for entry in ledger.of(WORD.name)]
        deltas = self.topics.get(WORD_DELTAS.name) if self.case.compacted else None
        findings = joins.joins(labels, table, joined, entries=entries, settled=self.settled, deltas=deltas)
        self.result.add("joins match labels and counts", findings)
        findings = commits.ahead(JOIN, samples, commits.labels_owed(labels, entries), commits.results_paid(joined))
        self.result.add(f"{JOIN} commits labels with their effects", findings)

    def _sink(self, lines: Sequence[sink.Line], sample: Sample) -> None:
        if not self.case.sinks or NEWS.name not in self.topics:
            return
        self.result.read["sink lines"] = len(lines)
        committed = sample.committed.get((CONSUMER, NEWS.name), {})
        letters = self.topics.get(NEWS_DLQ.name)
        findings = sink.sink(self.topics[NEWS.name], committed, lines, letters, self.decode)
        self.result.add("the sink holds what is committed", findings)

    def _logs(self) -> None:
        for path in self.case.logs:
            lines = logs.read_log(path)
            self.result.read[path.name] = len(lines)
            self.result.add(f"log {path.name}", logs.log_findings(path.name, lines, self.case.allowed))
            if self.case.gap_pattern:
                sent = [entry.sent for ledger in self.case.ledgers for entry in ledger.entries.values()]
                times = logs.times_of(lines, self.case.gap_pattern)
                self.result.gaps.append(gaps.find_gaps(path.name, times, sent, faults=self.case.faults))

    def _gaps(self) -> None:
        ledgers, samples, faults = self.case.ledgers, self.case.samples, self.case.faults
        if not ledgers:
            return
        self.result.gaps.append(gaps.acknowledgement_gaps(ledgers, faults))
        sent = {
            name: [entry.sent for ledger in ledgers for entry in ledger.of(name)]
            for name in (MYTOPIC.name, NEWS.name, WORD.name)
        }
        words = [*sent[MYTOPIC.name], *sent[NEWS.name]]
        for output, times in ((WORD_COUNTS.name, words), (WORDS_JOINED.name, sent[WORD.name])):
            if samples and times:
                self.result.gaps.append(gaps.output_gaps(output, samples, times, faults))
        for group, times in ((WORDCOUNT, words), (JOIN, sent[WORD.name]), (CONSUMER, sent[NEWS.name])):
            if samples and times:
                self.result.gaps.append(gaps.commit_gaps(group, samples, times, faults))
