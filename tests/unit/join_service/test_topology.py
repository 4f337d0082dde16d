"""The join's dataframes, run without a broker: Quix's executors with state on disk and a producer of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.serialization import MessageField
from prometheus_client import REGISTRY
from quixstreams import Application
from quixstreams.context import set_message_context
from quixstreams.models import MessageContext, Topic, TopicConfig
from quixstreams.models.serializers import SerializationContext

from join_service.join import decode_count
from join_service.topology import JoinTopics, build
from newsroom.streams.decoding import Decoder, decode_text

if TYPE_CHECKING:
    from pathlib import Path


class FakeProducer:
    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes, int]] = []

    def produce_row(self, row: Any, topic: Topic, key: Any, timestamp: int) -> None:  # noqa: ANN401
        message = topic.row_serialize(row=row, key=key)
        self.records.append((message.key, message.value, timestamp))  # type: ignore[arg-type]


class Running:
    """A topology that is fed record by record."""

    def __init__(self, app: Application, topics: JoinTopics, producer: FakeProducer) -> None:
        self.results = producer.records
        self._topics = {topic.name: topic for topic in (topics.labels, topics.counts)}
        self._executors = app._dataframe_registry.compose_all()
        app._state_manager.on_partition_assign("word--word-counts", 0, {})
        app._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]

    def feed(self, topic: str, key: bytes | None, value: bytes | None, *, timestamp: int = 1000) -> None:
        context = SerializationContext(topic=topic, field=MessageField.VALUE)
        decoded = None if value is None else self._topics[topic]._value_deserializer(value, context)
        set_message_context(MessageContext(topic=topic, partition=0, offset=7, size=1))
        self._executors[topic](decoded, key, timestamp, [])


@pytest.fixture
def running(tmp_path: Path) -> Running:
    app = Application("nowhere:1", use_changelog_topics=False, state_dir=tmp_path, loglevel=None)
    producer = FakeProducer()
    app._processing_context.producer = producer  # type: ignore[assignment]
    topics = JoinTopics(
        labels=_topic("word", Decoder(decode_text)),
        counts=_topic("word-counts", Decoder(decode_count)),
        joined=Topic("words-joined", value_serializer="bytes"),
    )
    build(app, topics)
    return Running(app, topics, producer)


def _topic(name: str, decoder: Decoder) -> Topic:
    topic = Topic(name, value_deserializer=decoder)
    topic.broker_config = TopicConfig(6, 3, {"retention.ms": "-1", "retention.bytes": "-1"})
    return topic


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"newsroom_join_{name}_total", labels) or 0.0


def test_the_labs_join(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.feed("word-counts", b"value10", b"5")
    running.feed("word-counts", b"value10", b"6")
    running.feed("word", b"value10", b"active", timestamp=3000)
    assert running.results == [(b"value10", b'{"count": 6, "label": "active"}', 3000)]
    assert "key value10 - value (6, active)" in capsys.readouterr().out


def test_a_newer_timestamp_does_not_hide_the_count_processed(running: Running) -> None:
    running.feed("word-counts", b"a", b"1", timestamp=9000)
    running.feed("word", b"a", b"x", timestamp=1000)
    assert [value for _, value, _ in running.results] == [b'{"count": 1, "label": "x"}']


def test_words_do_not_see_each_others_counts(running: Running) -> None:
    running.feed("word-counts", b"a", b"1")
    running.feed("word", b"ab", b"x")
    running.feed("word", b"", b"x")
    assert running.results == []


def test_a_tombstone_deletes_the_count(running: Running) -> None:
    running.feed("word-counts", b"a", b"1")
    running.feed("word-counts", b"a", None)
    running.feed("word", b"a", b"x")
    assert running.results == []


def test_null_keys_are_dropped_on_both_sides(running: Running) -> None:
    before = _metric("without_key", topic="word"), _metric("without_key", topic="word-counts")
    running.feed("word-counts", None, b"1")
    running.feed("word", None, b"x")
    assert running.results == []
    after = _metric("without_key", topic="word"), _metric("without_key", topic="word-counts")
    assert after == (before[0] + 1, before[1] + 1)


def test_a_null_label_joins_nothing(running: Running) -> None:
    running.feed("word-counts", b"a", b"1")
    running.feed("word", b"a", None)
    assert running.results == []


@pytest.mark.parametrize(("topic", "value"), [("word", b"\xff"), ("word-counts", b"six")])
def test_poison_is_counted_and_changes_nothing(running: Running, topic: str, value: bytes) -> None:
    before = _metric("undecodable", topic=topic)
    running.feed("word-counts", b"a", b"1")
    running.feed(topic, b"a", value)
    assert running.results == []
    assert _metric("undecodable", topic=topic) == before + 1
    running.feed("word", b"a", b"x")
    assert [value for _, value, _ in running.results] == [b'{"count": 1, "label": "x"}']
