"""The reader of both tables against librdkafka's mock cluster."""

from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError

from newsroom.access import Access
from newsroom.settings import KafkaSettings
from status_api import tables, wordtable
from status_api.tables import TableReader, table_consumer
from support.cluster import MockCluster
from support.messages import message
from support.waiting import wait_for

ACCESS = Access({"bootstrap.servers": "b:1", "sasl.username": "u"})


def test_tables_are_read_from_the_beginning_and_followed(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "METADATA_SECONDS", 0.1)  # so that the reader soon finds the topic that appears later
    cluster.send("word-counts", [("kafka", "1"), ("value10", "4"), ("kafka", "6")], partition=0)
    with closing(TableReader(table_consumer(KafkaSettings(bootstrap_servers=cluster.address)), 100, ACCESS)) as reader:

        def figures() -> tuple[int, int]:
            reader.turn()
            return reader.tables().words_counted, reader.tables().joined_total

        wait_for("the counts", lambda: figures() == (10, 0))
        assert reader.tables().top_words == (("kafka", 6), ("value10", 4))
        # A topic that appears later is found.
        cluster.send("words-joined", [("value10", '{"count": 6, "label": "active"}')])
        cluster.send("word-counts", [("value10", None)], partition=0)
        wait_for("the joined record and the tombstone", lambda: figures() == (6, 1))
        assert reader.tables().joined[0].value == "(6, active)"


class FakeConsumer:
    """A consumer that returns one batch."""

    def __init__(self, batch: list[Any]) -> None:
        self._batch = batch

    def list_topics(self, **_: object) -> object:
        return SimpleNamespace(topics={})

    def consume(self, *_: object) -> list[Any]:
        return [self._batch.pop(0) for _ in range(len(self._batch))]


def test_an_unexpected_record_does_not_lose_the_rest_of_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(value: bytes) -> int:
        if value == b"?":
            raise RuntimeError
        return int(value)

    monkeypatch.setattr(wordtable, "parse_count", parse)
    batch = [
        message("word-counts", 0, number, b"word%d" % number, value) for number, value in enumerate((b"1", b"?", b"4"))
    ]
    reader = TableReader(cast("Consumer", FakeConsumer(batch)), 100, ACCESS)
    reader.turn()
    assert reader.tables().words_counted == 5
    assert reader.tables().error == "the record word-counts[0] offset 1 cannot be shown (RuntimeError); see the log"


def test_a_failed_turn_is_shown_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "VIEW_SECONDS", 0.0)
    reader = TableReader(cast("Consumer", FakeConsumer([])), 100, ACCESS)
    assert [reader.failed("reason"), reader.failed("reason")] == [True, False]
    assert reader.tables().error == "reason"
    reader.turn()
    assert reader.tables().error is None


def denial(code: int) -> Any:  # noqa: ANN401
    return SimpleNamespace(error=lambda: KafkaError(code), topic=lambda: "word-counts")


def test_a_denied_topic_is_named_until_a_record_of_it_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "VIEW_SECONDS", 0.0)
    batch = [denial(KafkaError.GROUP_AUTHORIZATION_FAILED), denial(KafkaError.TOPIC_AUTHORIZATION_FAILED)]
    consumer = FakeConsumer(batch)
    reader = TableReader(cast("Consumer", consumer), 100, ACCESS)
    for _ in range(2):
        reader.turn()
        assert str(reader.tables().error).startswith("user u may not READ topic word-counts at b:1 ")
    batch.append(message("word-counts", 0, 0, b"word", b"1"))
    reader.turn()
    assert reader.tables().error is None
