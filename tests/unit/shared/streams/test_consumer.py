"""Asking again while coordinators and leaders move, with answers as a cluster gives them."""

import time
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.errors import LastingFailure
from newsroom.streams import consumer as stream_consumer
from newsroom.streams.consumer import PatientConsumer, patiently
from newsroom.waiting import Deadline, StopFlag, Stopped
from support.cluster import MockCluster
from support.quix import counter
from support.waiting import wait_for

ACCESS = Access({"bootstrap.servers": "b:1"}, Right("READ", "topic", "news"), Right("READ", "group", "g"))


def _answers(*codes: int) -> Callable[[], int]:
    """Errors one after the other, then the number of the call that is answered."""
    left = list(codes)

    def ask() -> int:
        if left:
            raise KafkaException(KafkaError(left.pop(0)))
        return len(codes) + 1

    return ask


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_consumer, "PAUSE_SECONDS", 0.0)


def test_it_asks_again_while_the_broker_moves() -> None:
    ask = _answers(KafkaError.NOT_COORDINATOR, KafkaError._TRANSPORT, KafkaError.NOT_LEADER_FOR_PARTITION)
    assert patiently(ask, "offsets", Deadline(5), StopFlag()) == 4


@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_an_error_that_stays_is_raised_at_once(code: int) -> None:
    with pytest.raises(KafkaException) as raised:
        patiently(_answers(code), "offsets", Deadline(5), StopFlag())
    assert raised.value.args[0].code() == code


def test_patience_ends() -> None:
    with pytest.raises(KafkaException):
        patiently(_answers(KafkaError.NOT_COORDINATOR), "offsets", Deadline(0), StopFlag())


def test_the_questions_of_one_assignment_share_their_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines: list[Deadline] = []

    def note(_ask: object, _what: str, deadline: Deadline, *_: object) -> list[TopicPartition]:
        deadlines.append(deadline)
        return []

    monkeypatch.setattr(stream_consumer, "patiently", note)
    consumer = PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)
    for _ in range(2):
        consumer.assign([])
        consumer.committed([TopicPartition("t", 0)])
        consumer.get_watermark_offsets(TopicPartition("t", 0))
    consumer.close()
    first, second, third, fourth = deadlines
    assert first is second
    assert third is fourth
    assert first is not third


def test_a_stop_ends_it() -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(Stopped, match="the broker for offsets is changing"):
        patiently(_answers(KafkaError.NOT_COORDINATOR), "offsets", Deadline(5), stop)


def test_quix_gets_the_answers_of_a_cluster_as_from_its_own_consumer(brokers: MockCluster) -> None:
    brokers.send("t", [(None, b"v")], partition=0)
    with closing(
        PatientConsumer({"bootstrap.servers": brokers.address, "group.id": "g"}, StopFlag(), ACCESS)
    ) as consumer:
        consumer.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
        assert [part.offset for part in consumer.committed([TopicPartition("t", 0)], timeout=10)] == [1]
        assert consumer.get_watermark_offsets(TopicPartition("t", 0), timeout=10, cached=False) == (0, 1)


def test_an_error_of_one_partition_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)
    spoilt = SimpleNamespace(error=KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    monkeypatch.setattr(stream_consumer, "patiently", lambda ask, *_: ask())
    monkeypatch.setattr(
        stream_consumer, "super", lambda *_: SimpleNamespace(committed=lambda *_, **__: [spoilt]), raising=False
    )
    with pytest.raises(KafkaException):
        consumer.committed([TopicPartition("t", 0)])
    Consumer.close(consumer)


YEAR_2100_MS = 4_102_444_800_000


@pytest.mark.parametrize("call", ["poll", "consume"])
def test_a_record_from_the_future_has_the_present_time_and_is_counted(brokers: MockCluster, call: str) -> None:
    topic = brokers.topic()
    producer = Producer({"bootstrap.servers": brokers.address, "linger.ms": 0})
    for timestamp in (1000, YEAR_2100_MS):
        producer.produce(topic, b"value", b"key", partition=0, timestamp=timestamp)
    assert producer.flush(10) == 0
    with closing(
        PatientConsumer({"bootstrap.servers": brokers.address, "group.id": "g"}, StopFlag(), ACCESS)
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        past, future = [consumer.poll(10), consumer.poll(10)] if call == "poll" else consumer.consume(2, 10)
    assert past is not None
    assert future is not None
    assert past.timestamp()[1] == 1000
    assert abs(future.timestamp()[1] / 1000 - time.time()) < 60
    assert (future.key(), future.value(), future.offset(), len(future)) == (b"key", b"value", 1, 5)
    assert counter("stream_timestamps_moved", topic=topic) == 1


def test_a_denied_record_names_its_topic() -> None:
    denied = SimpleNamespace(
        error=lambda: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), topic=lambda: "word-counts"
    )
    named = pytest.raises(LastingFailure, match="may not READ topic word-counts at b:1")
    with closing(PatientConsumer({"group.id": "g"}, StopFlag(), ACCESS)) as consumer, named:
        consumer._check([denied])


def test_a_denied_member_names_its_group(brokers: MockCluster) -> None:
    brokers.fail_next_join(KafkaError.GROUP_AUTHORIZATION_FAILED)
    config: dict[str, object] = {"bootstrap.servers": brokers.address, "group.id": "g"}
    with closing(PatientConsumer(config, StopFlag(), ACCESS)) as consumer:
        consumer.subscribe([brokers.topic()], on_assign=lambda *_: None)
        with pytest.raises(LastingFailure, match="may not READ group g at b:1"):
            wait_for("the denial", lambda: consumer.poll(0.1), 20)
