"""The reader of both tables against librdkafka's mock cluster."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from newsroom.settings import KafkaSettings
from status_api import tables
from status_api.tables import TableReader, table_consumer

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def turn_until(reader: TableReader, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"not within 20 s: {reader.tables()}"
        reader.turn()


def test_tables_are_read_from_the_beginning_and_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "METADATA_SECONDS", 0.1)  # how long the topic that appears later takes to be found
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    (broker,) = producer.list_topics(timeout=5).brokers.values()
    for key, value in (("kafka", "1"), ("value10", "4"), ("kafka", "6")):
        producer.produce("word-counts", value, key)
    assert producer.flush(10) == 0
    reader = TableReader(table_consumer(KafkaSettings(bootstrap_servers=f"{broker.host}:{broker.port}")), 100)
    try:
        turn_until(reader, lambda: reader.tables().words_counted == 10)
        assert reader.tables().top_words == (("kafka", 6), ("value10", 4))
        # A topic that appears later is found.
        producer.produce("words-joined", '{"count": 6, "label": "active"}', "value10")
        producer.produce("word-counts", None, "value10")
        assert producer.flush(10) == 0
        turn_until(reader, lambda: reader.tables().joined_total == 1 and reader.tables().words_counted == 6)
        assert reader.tables().joined[0].value == "(6, active)"
    finally:
        reader.close()
