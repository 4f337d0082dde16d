"""Headers with names of any bytes, as a cluster gives them to Python's client."""

from contextlib import closing

from confluent_kafka import Consumer, TopicPartition

from newsroom.access import Access
from newsroom.headers import UNREADABLE, headers_of, headers_of_all, mend_headers
from newsroom.streams.consumer import PatientConsumer
from newsroom.waiting import StopFlag
from support.cluster import MockCluster

HEADERS = [(b"trace", b"1"), (b"a\xff", b"2"), (b"empty", None)]
MENDED = [("trace", b"1"), (UNREADABLE, b"2"), ("empty", None)]


def test_a_header_whose_name_is_not_utf8_keeps_its_value(cluster: MockCluster) -> None:
    topic = cluster.topic()
    cluster.send_raw(topic, b"k", b"v", HEADERS)
    with closing(Consumer({"bootstrap.servers": cluster.address, "group.id": "g"})) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        (message,) = consumer.consume(1, 10)
        mend_headers(message)
        assert message.headers() == MENDED
        assert headers_of(message) == tuple(MENDED)


def test_one_such_header_changes_nothing_of_the_other_messages(cluster: MockCluster) -> None:
    topic = cluster.topic()
    for headers in ([], HEADERS, [(b"trace", b"1")], HEADERS):
        cluster.send_raw(topic, None, b"v", headers)
    with closing(Consumer({"bootstrap.servers": cluster.address, "group.id": "g"})) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        assert headers_of_all(consumer.consume(4, 10)) == [None, MENDED, [("trace", b"1")], MENDED]


def test_no_error_is_left_behind_for_a_later_line(cluster: MockCluster) -> None:
    topic = cluster.topic()
    for _ in range(100):
        cluster.send_raw(topic, None, b"v", HEADERS)
    with closing(Consumer({"bootstrap.servers": cluster.address, "group.id": "g"})) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        for message in consumer.consume(100, 10):
            mend_headers(message)
            assert dict(message.headers())["trace"] == b"1"


def test_the_streams_get_such_a_record_by_both_ways(cluster: MockCluster) -> None:
    topic = cluster.topic()
    for _ in range(2):
        cluster.send_raw(topic, b"k", b"v", HEADERS)
    with closing(
        PatientConsumer(
            {"bootstrap.servers": cluster.address, "group.id": "g"}, StopFlag(), Access({"bootstrap.servers": "b:1"})
        )
    ) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        polled = consumer.poll(10)
        (consumed,) = consumer.consume(1, 10)
    assert polled is not None
    assert [polled.headers(), consumed.headers()] == [MENDED, MENDED]
