"""What the mutations of a whole history do not show."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typing_extensions import override

from newsroom_audit.checks import commits, counts, delivery, joins, sink
from newsroom_audit.checks.sink import Line
from newsroom_audit.errors import AuditError
from newsroom_audit.findings import Finding, Kind
from newsroom_audit.history import ID_HEADER, Ends, Record, Topic
from newsroom_audit.judge import Case, judge
from newsroom_audit.ledger import Entry, Ledger, Outcome
from newsroom_audit.words import read_inputs
from unit.audit.histories import FakeReader, Model, decode


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def sent(number: int, outcome: Outcome = Outcome.ACKNOWLEDGED, offset: int = -1) -> Entry:
    return Entry(f"r-{number}", number, "t", None, b"v", outcome=outcome, partition=0, offset=offset)


def record(offset: int, number: int | None = None, **values: object) -> Record:
    headers = () if number is None else ((ID_HEADER, f"r-{number}".encode()),)
    return Record("t", 0, offset, value=b"v", headers=headers, **values)  # type: ignore[arg-type]


def test_an_unknown_record_may_be_there_or_not() -> None:
    entries = [sent(0, Outcome.UNKNOWN), sent(1, Outcome.UNKNOWN)]
    ledger = Ledger("r", entries={entry.id: entry for entry in entries})
    assert not list(delivery.delivery([ledger], Topic("t", [record(0, 1)], {0: Ends(0, 1, 1)})))


def test_a_record_above_the_stable_end_is_lost_and_one_below_the_first_offset_cannot_be_judged() -> None:
    finding = only(list(delivery.lost([sent(0, offset=7)], Topic("t", (), {0: Ends(0, 9, 5)}))))
    assert (finding.kind, finding.topic, finding.partition, finding.offset) == (Kind.LOST, "t", 0, 7)
    assert "readers see the partition only up to 5" in finding.sentence
    finding = only(list(delivery.lost([sent(0, offset=7)], Topic("t", (), {0: Ends(8, 9, 9)}))))
    assert finding.kind is Kind.INCOMPLETE


def test_a_record_of_another_sender_is_a_ghost_only_in_an_exclusive_topic() -> None:
    topic = Topic("t", [record(0), record(1, 0)], {0: Ends(0, 2, 2)})
    ledger = Ledger("r", entries={"r-0": sent(0, offset=1)})
    assert not list(delivery.delivery([ledger], topic))
    assert only(list(delivery.delivery([ledger], topic, exclusive=True))).kind is Kind.GHOST


def test_readers_of_both_isolation_levels_agree() -> None:
    ends = {0: Ends(0, 3, 3)}
    committed = Topic("t", [record(0), record(2)], ends)
    assert not list(delivery.readers_agree(committed, Topic("t", [record(0), record(1), record(2)], ends)))
    assert only(list(delivery.readers_agree(committed, Topic("t", [record(0)], ends)))).offset == 2
    other = Topic("t", [record(0), record(2)._replace(value=b"w")], ends)
    assert only(list(delivery.readers_agree(committed, other))).kind is Kind.DISAGREEMENT
    # Retention deleted it between the two reads.
    assert not list(delivery.readers_agree(committed, Topic("t", [record(2)], {0: Ends(1, 3, 3)})))


def test_a_history_out_of_order_is_refused() -> None:
    with pytest.raises(AuditError, match="t partition 0 offset 1 is before t partition 0 offset 0"):
        Topic("t", [record(1), record(0)])


def test_a_count_that_came_before_its_input_is_found() -> None:
    inputs = read_inputs([Topic("mytopic", [Record("mytopic", 0, n, 10 * n, value=b"a") for n in range(3)])])
    values = ((b"1", 0), (b"3", 10), (b"4", 20))
    early = [Record("word-counts", 0, n, at, b"a", value) for n, (value, at) in enumerate(values)]
    findings = list(counts.counts_match_inputs(inputs, Topic("word-counts", early[:2]), {}))
    assert "a is counted 3, but had occurred 2 times by then" in only(findings).sentence


def test_between_settled_and_all_inputs_every_count_is_right() -> None:
    inputs = read_inputs([Topic("mytopic", [Record("mytopic", 0, n, n, value=b"a") for n in range(5)])])
    settled = {"mytopic": {0: 2}}
    for count, right in ((1, False), (2, True), (5, True), (6, False)):
        table = Topic("word-counts", [Record("word-counts", 0, 0, 9, b"a", str(count).encode())])
        assert (not list(counts.counts_match_inputs(inputs, table, settled))) is right
    assert (
        "a has no count, but occurs 2 to 5 times"
        in only(list(counts.counts_match_inputs(inputs, Topic("word-counts"), settled))).sentence
    )


def test_compaction_may_remove_counts_but_not_the_last() -> None:
    ends = {0: Ends(0, 3, 3)}
    deltas = Topic("word-deltas", [Record("word-deltas", 0, n, value=b'{"a": 2}') for n in range(3)], ends)
    settled = {"word-deltas": {0: 3}}
    for values, whole, compacted in (([2, 4, 6], True, True), ([4, 6], False, True), ([2, 4], False, False)):
        records = [Record("word-counts", 0, n, key=b"a", value=b"%d" % value) for n, value in enumerate(values)]
        table = Topic("word-counts", records)
        assert (not list(counts.counts_replay_deltas(deltas, table, settled))) is whole
        assert (not list(counts.counts_replay_deltas(deltas, table, settled, compacted=True))) is compacted


def test_a_label_that_may_have_come_before_its_word_is_a_remark() -> None:
    labels = Topic("word", [Record("word", 0, n, key=b"a", value=b"x%d" % n) for n in range(3)])
    table = Topic("word-counts", [Record("word-counts", 0, 0, key=b"a", value=b"1")])
    results = [Record("words-joined", 0, 0, key=b"a", value=b'{"count": 1, "label": "x1"}')]
    settled = {"word": {0: 3}}
    findings = list(joins.joins(labels, table, Topic("words-joined", results), settled=settled))
    assert [(finding.kind, finding.offset) for finding in findings] == [(Kind.UNMATCHED, 0), (Kind.LOST, 2)]
    broken = Topic("words-joined", [results[0], results[0]._replace(offset=1, value=b"?")])
    assert Kind.JOIN in {finding.kind for finding in joins.joins(labels, table, broken)}


def test_a_label_may_not_be_joined_with_less_than_its_sender_had_seen() -> None:
    headers = ((ID_HEADER, b"r-0"),)
    labels = Topic("word", [Record("word", 0, 0, key=b"a", value=b"x", headers=headers)])
    table = Topic("word-counts", [Record("word-counts", 0, n, key=b"a", value=b"%d" % (n + 1)) for n in range(2)])
    results = Topic("words-joined", [Record("words-joined", 0, 0, key=b"a", value=b'{"count": 1, "label": "x"}')])
    finding = only(list(joins.joins(labels, table, results, entries=[replace(sent(0), count=2)])))
    assert (finding.kind, finding.topic) == (Kind.JOIN, "words-joined")
    assert "joined with 1, but the join had processed 2" in finding.sentence


def test_dead_letters_that_were_cut_or_repeated_are_right() -> None:
    origin = Record("news", 0, 5, value=b"0123456789", headers=(("own", b"1"),))
    place = (("dlq.origin.topic", b"news"), ("dlq.origin.partition", b"0"), ("dlq.origin.offset", b"5"))
    headers = (*origin.headers, *place)
    whole = Record("news.dlq", 0, 0, value=origin.value, headers=headers)
    cut = Record("news.dlq", 0, 1, value=b"0123", headers=(*headers, ("dlq.value.bytes", b"10")))
    topic = Topic("news", [origin], {0: Ends(0, 6, 6)})
    finding = only(list(sink.sink(topic, {0: 6}, [], Topic("news.dlq", [whole, cut]))))
    assert finding.kind is Kind.REPEATED
    elsewhere = whole._replace(headers=(*place[:2], ("dlq.origin.offset", b"4")))
    finding = only(list(sink.sink(topic, {0: 0}, [], Topic("news.dlq", [elsewhere]))))
    assert finding.kind is Kind.GHOST


def test_sink_lines_need_all_fields(tmp_path: Path) -> None:
    path = tmp_path / "consumed-0.jsonl"
    path.write_text('{"topic": "news", "partition": 0, "offset": 1, "timestamp": 2, "key": null, "value": 3}\n{"torn')
    assert sink.read_sinks([path]) == [Line(path.name, 1, "news", 0, 1, 2, None, 3)]
    path.write_text('{"topic": "news"}\n')
    with pytest.raises(AuditError, match="line 1 is not a line of a sink"):
        sink.read_sinks([path])


def test_the_finding_of_a_commit_names_group_partition_and_offset() -> None:
    history = Model(3).run()
    last = history.samples[-1]
    early = replace(last, high={})
    inputs = read_inputs([history.topics["mytopic"]])
    findings = list(commits.ahead("wordcount-stream", [early], commits.words_owed(inputs), []))
    assert findings
    assert findings[0].sentence.startswith("wordcount-stream had committed ")


def test_an_acknowledged_record_without_an_offset_is_looked_for_in_its_partition() -> None:
    record = Record("mytopic", 1, 4, 0, b"k", b"v", ((ID_HEADER, b"run-0"),))
    entry = Entry("run-0", 0, "mytopic", b"k", b"v", outcome=Outcome.ACKNOWLEDGED, partition=1)
    there, nowhere = (Topic("mytopic", records, {1: Ends(0, 5, 5)}) for records in ([record], []))
    ledger = Ledger("run", entries={entry.id: entry})
    assert (list(delivery.delivery([ledger], there)), delivery.verified([entry], there)) == ([], 1)
    assert [finding.kind for finding in delivery.delivery([ledger], nowhere)] == [Kind.LOST]
    entry.partition = 2
    assert [finding.kind for finding in delivery.delivery([ledger], there)] == [Kind.DISAGREEMENT]


def test_an_effect_that_is_written_and_whose_marker_is_under_way_is_not_missing() -> None:
    history = Model(3).run()
    hidden = [replace(sample, stable={topic: {} for topic in sample.stable}) for sample in history.samples]
    assert judge(FakeReader(replace(history, samples=hidden)), Case(samples=hidden), decode).exit_code == 0


class LateMarker(FakeReader):
    """The word count has committed its inputs, but the marker of its deltas comes some questions later.

    Until then nobody reads the deltas, so the last counts are missing.
    """

    hidden_for = 3
    counted = False

    @override
    def ends(self, topic: str) -> dict[int, Ends]:
        ends = super().ends(topic)
        if topic == "word-deltas" and self.hidden_for:
            self.hidden_for -= 1
            return {number: end._replace(stable=0) for number, end in ends.items()}
        return ends

    @override
    def passed(self, group: str, topic: str, limits: Mapping[int, int]) -> bool:
        if topic == "word-deltas":
            self.counted = any(limits.values())
        return super().passed(group, topic, limits)

    @override
    def read(self, topic: str, *, committed: bool = True) -> Topic:
        whole = super().read(topic, committed=committed)
        if topic != "word-counts" or self.counted:
            return whole
        return replace(whole, records=whole.records[: len(whole.records) // 2])


def test_a_marker_that_comes_late_makes_nothing_lost_or_double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsroom_audit.judge.PAUSE_SECONDS", 0.01)
    history = Model(3).run()
    reader = LateMarker(history)
    report = judge(reader, Case([history.ledger], history.samples), decode)
    assert (report.exit_code, reader.hidden_for) == (0, 0), report.lines()


def test_a_group_that_lags_and_a_transaction_that_stays_open_are_found() -> None:
    history = Model(4).run()
    ends = {0: Ends(0, 9, 5)}
    stuck = replace(history.topics["words-joined"], ends=ends)
    reader = FakeReader(replace(history, topics=history.topics | {"words-joined": stuck}))
    reader.lagging = {("join-service", "word")}
    report = judge(reader, Case(patience=0.0), decode)
    assert report.numbers[Kind.BEHIND] == 1
    assert report.numbers[Kind.OPEN] == 1
    assert report.exit_code == 1
    assert "readers stop at 5, the end is 9" in "\n".join(report.lines())


def test_what_was_deleted_is_said_and_not_judged() -> None:
    history = Model(5).run()
    late = {number: end._replace(begin=1) for number, end in history.topics["mytopic"].ends.items()}
    records = [record for record in history.topics["mytopic"].records if record.offset > 0]
    topics = history.topics | {"mytopic": Topic("mytopic", records, late)}
    report = judge(FakeReader(replace(history, topics=topics)), Case(), decode)
    assert set(report.numbers) == {Kind.INCOMPLETE}
    assert "counts match the inputs" not in report.checks
    assert report.as_json()["wrong"]["incomplete histories"] == 1


def test_a_topic_that_is_gone_has_lost_everything() -> None:
    history = Model(6).run()
    number = len(history.ledger.of("news"))
    topics = {name: topic for name, topic in history.topics.items() if name != "news"}
    report = judge(FakeReader(replace(history, topics=topics)), Case([history.ledger]), decode)
    assert report.numbers[Kind.LOST] == number
    assert f"lost: {number - 10:,} more" in report.lines()


def test_a_compacted_table_is_judged_with_its_deltas() -> None:
    history = Model(7).run(steps=12)
    last = {count.word: count for count in history.topics["word-counts"].records}
    compacted = history.replace("word-counts", list(last.values()))
    case = Case([history.ledger], history.samples, compacted=True)
    report = judge(FakeReader(compacted), case, decode)
    assert report.exit_code == 0, report.lines()
    assert judge(FakeReader(compacted), replace(case, compacted=False), decode).exit_code == 1


def test_gaps_between_log_lines_are_told(tmp_path: Path) -> None:
    history = Model(8).run()
    sent = sorted(entry.sent for entry in history.ledger.entries.values())
    log = tmp_path / "service.log"
    times = [datetime.fromtimestamp(at + 0.001, UTC).isoformat() for at in (sent[0], sent[-1])]
    log.write_text("".join(f"{at} [info] counted\n" for at in times))
    report = judge(FakeReader(history), Case([history.ledger], logs=[log], gap_pattern="counted"), decode)
    gaps = {gap.stage: gap.max for gap in report.gaps}
    assert gaps["service.log"] == pytest.approx(sent[-1] + 0.001 - sent[1], abs=0.001)
    assert report.read["service.log"] == 2
