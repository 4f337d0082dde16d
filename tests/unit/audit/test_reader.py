"""The edge to Kafka, on librdkafka's mock cluster."""

import threading
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from newsroom.settings import KafkaSettings
from newsroom_audit import load as sending
from newsroom_audit import reader as reading
from newsroom_audit.checks.delivery import delivery, verified
from newsroom_audit.errors import AuditError
from newsroom_audit.history import Ends, Record
from newsroom_audit.ledger import Outcome, read_ledger
from newsroom_audit.load import Item, Load, common_words, labels, unique_words
from newsroom_audit.reader import ClusterReader
from support.cluster import PARTITIONS, MockCluster
from support.futures import done


@pytest.fixture
def settings(cluster: MockCluster) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=cluster.address)


def test_a_load_is_read_back_as_its_ledger_says(cluster: MockCluster, settings: KafkaSettings, tmp_path: Path) -> None:
    topic = cluster.topic()
    path = tmp_path / "ledger.jsonl"
    with Load(settings, path, seed=3) as load:
        assert load.send(unique_words(load.run, 40, topic), rate=2000) == 40
        load.send(common_words(load.run, 20, vocabulary=5, words=3, seed=3, topic=topic))
        load.send([Item(topic, None, "é")])
    ledger = read_ledger(path)
    assert (ledger.run, ledger.seed, load.sent, load.acknowledged, load.failed) == (load.run, 3, 61, 61, 0)
    with ClusterReader(settings) as reader:
        read = reader.read(topic)
        assert len(read.records) == 61
        assert not list(delivery([ledger], read, exclusive=True))
        assert verified(ledger.of(topic), read) == 61
        assert sum(ends.high for ends in reader.ends(topic).values()) == 61
        again = reader.read(topic, committed=False)
        assert again.records == read.records
    keyed = [record for record in read.records if record.key == f"w{load.run}x1".encode()]
    assert len({record.partition for record in keyed}) == 1


def test_a_refused_record_is_failed_and_one_without_an_answer_unknown(
    cluster: MockCluster, settings: KafkaSettings, tmp_path: Path
) -> None:
    topic = cluster.topic()
    path = tmp_path / "ledger.jsonl"
    with Load(settings, path, message_max_bytes=1000, message_timeout_ms=10_000) as load:
        load.send([Item(topic, "big", "x" * 2000)])
        cluster.fail_next_write(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        load.send([Item(topic, "denied", "x")])
        load.flush()
    outcomes = {entry.key: (entry.outcome, entry.reason) for entry in read_ledger(path).of(topic)}
    assert outcomes[b"big"][0] is Outcome.FAILED
    assert outcomes[b"denied"][0] is Outcome.UNKNOWN
    assert "TOPIC_AUTHORIZATION_FAILED" in outcomes[b"denied"][1]
    assert (load.sent, load.acknowledged, load.failed) == (2, 0, 1)


def test_a_load_that_is_stopped_settles_what_it_sent(
    cluster: MockCluster, settings: KafkaSettings, tmp_path: Path
) -> None:
    topic = cluster.topic()
    stop = threading.Event()
    with Load(settings, tmp_path / "ledger.jsonl", stop=stop) as load:
        thread = threading.Thread(target=load.send, args=(unique_words(load.run, topic=topic), 500))
        thread.start()
        while load.sent < 20:
            stop.wait(0.01)
        stop.set()
        thread.join(10)
    assert load.sent == load.acknowledged >= 20


def test_labels_carry_the_counts_that_the_join_had() -> None:
    items = list(labels("r", {"a": 3, "b": 1}, 2))
    assert [(item.key, item.value, item.count) for item in items] == [
        *(("a", "label-r-0", 3), ("b", "label-r-0", 1)),
        *(("a", "label-r-1", 3), ("b", "label-r-1", 1)),
    ]


def test_a_group_has_passed_what_it_committed(cluster: MockCluster, settings: KafkaSettings) -> None:
    topic = cluster.topic()
    cluster.send(topic, [(None, b"a"), (None, b"b"), (None, b"c")], partition=0)
    with ClusterReader(settings) as reader:
        assert not reader.passed("g", topic, {0: 3})
        for offset, passed in ((2, False), (3, True)):
            consumer = Consumer({"bootstrap.servers": cluster.address, "group.id": "g"})
            consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
            consumer.close()
            assert reader.committed("g", topic) == {0: offset}
            assert reader.passed("g", topic, {0: 3}) is passed
        sample = reader.sample({"g": [topic]}, [topic])
    assert sample.committed == {("g", topic): {0: 3}}
    assert sample.stable == sample.high == {topic: {0: 3} | dict.fromkeys(range(1, PARTITIONS), 0)}


def test_headers_keys_and_times_are_read(cluster: MockCluster, settings: KafkaSettings) -> None:
    topic = cluster.topic()
    cluster.send(topic, [("k", None)], partition=1)
    with ClusterReader(settings) as reader:
        read = reader.read(topic)
    (record,) = read.records
    assert record == Record(topic, 1, 0, record.timestamp, b"k", None, (("trace", b"1"),))
    assert record.timestamp > 1_600_000_000_000
    assert read.ends[1] == Ends(0, 1, 1)


def test_a_missing_topic_is_an_error(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterReader, "topics", lambda _: {})
    with ClusterReader(settings) as reader, pytest.raises(AuditError, match="topic nowhere does not exist at 127"):
        reader.ends("nowhere")


def test_brokers_that_do_not_answer_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ADMIN_SECONDS", 0.1)
    monkeypatch.setattr(reading, "ANSWER_SECONDS", 0.2)
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    with (
        ClusterReader(nobody) as reader,
        pytest.raises(AuditError, match=r"brokers at 127\.0\.0\.1:9 did not give the"),
    ):
        reader.topics()


class ForgetfulAdmin:
    """Tells no offsets at the first question: of a leader that goes away librdkafka gives -1001, and no error."""

    def __init__(self, real: AdminClient) -> None:
        self.list_topics = real.list_topics
        self._real = real
        self._silent = True

    def list_offsets(self, wanted: dict[TopicPartition, OffsetSpec], **options: object) -> object:
        if self._silent:
            self._silent = False
            return {where: done(TopicPartition(where.topic, 0, -1001)) for where in wanted}
        return self._real.list_offsets(wanted, **options)


def test_an_end_that_no_leader_tells_is_asked_again(cluster: MockCluster, settings: KafkaSettings) -> None:
    topic = cluster.topic()
    cluster.send(topic, [(None, b"a")], partition=0)
    with ClusterReader(settings) as reader:
        reader._admin = ForgetfulAdmin(reader._admin)
        assert reader.ends(topic)[0] == Ends(0, 1, 1)


def test_a_read_that_stands_still_is_an_error(
    cluster: MockCluster, settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = cluster.topic()
    monkeypatch.setattr(reading, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(reading, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(ClusterReader, "ends", lambda *_: {0: Ends(0, 5, 5)})
    with ClusterReader(settings) as reader, pytest.raises(AuditError, match=r"gave no record for .*\{0: \(0, 5\)\}"):
        reader.read(topic)


def test_the_longest_wait_is_longer_than_the_clients() -> None:
    assert sending.FLUSH_SECONDS > 120
