"""What the demo and the tests take for "everything is processed", on topics with and without transactions."""

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from support.pipeline import ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

SECONDS = 30.0


def commit(pipeline: ProcessPipeline, group: str, topic: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": pipeline.ports.bootstrap, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_a_record_that_is_not_committed_is_not_passed(pipeline: ProcessPipeline) -> None:
    pipeline.create_topic("plain-ends")
    pipeline.send("plain-ends", [(None, b"a"), (None, b"b"), (None, b"c")])
    ends = pipeline.observer.end_offsets("plain-ends")
    assert ends == {0: 3}
    assert not pipeline.observer.passed("plain-reader", "plain-ends", ends), "it never committed"
    commit(pipeline, "plain-reader", "plain-ends", 2)
    assert not pipeline.observer.passed("plain-reader", "plain-ends", ends)
    commit(pipeline, "plain-reader", "plain-ends", 3)
    assert pipeline.observer.passed("plain-reader", "plain-ends", ends)


def test_markers_and_aborted_records_behind_the_last_one_are_passed(pipeline: ProcessPipeline) -> None:
    pipeline.create_topic("marked-ends")
    producer = Producer({"bootstrap.servers": pipeline.ports.bootstrap, "transactional.id": "marked-ends"})
    producer.init_transactions(SECONDS)
    for values, end in (((b"a", b"b"), producer.commit_transaction), ((b"x",) * 5, producer.abort_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.produce("marked-ends", value)
        producer.flush(SECONDS)
        end(SECONDS)
    ends = {0: 2 + 1 + 5 + 1}
    # The coordinator answers before it has written the marker that ends a transaction.
    wait_for("both markers", lambda: pipeline.observer.end_offsets("marked-ends") == ends)
    assert [record.value for record in pipeline.observer.read("marked-ends")] == [b"a", b"b"]
    commit(pipeline, "marked-reader", "marked-ends", 1)
    assert not pipeline.observer.passed("marked-reader", "marked-ends", ends)
    commit(pipeline, "marked-reader", "marked-ends", 2)
    assert pipeline.observer.passed("marked-reader", "marked-ends", ends)
