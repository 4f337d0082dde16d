"""The word count's dataframes, run without a broker: Quix's executors with state on disk and a producer of ours."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.serialization import MessageField
from prometheus_client import REGISTRY
from quixstreams import Application
from quixstreams.context import set_message_context
from quixstreams.models import MessageContext, Topic, TopicConfig
from quixstreams.models.serializers import SerializationContext

from newsroom.schemas.avro import AvroDecoder, AvroEncoder
from newsroom.schemas.registry import register, registry_client
from newsroom.settings import KafkaSettings
from newsroom.streams.decoding import Decoder, decode_text
from wordcount_stream import deltas
from wordcount_stream.topology import WordTopics, build
from wordcount_stream.words import MAX_WORD_CHARACTERS

if TYPE_CHECKING:
    from pathlib import Path

    from confluent_kafka.schema_registry import SchemaRegistryClient

NEWS_SCHEMA = {
    "type": "record",
    "name": "News",
    "fields": [{"name": "title", "type": "string"}, {"name": "media", "type": "string"}],
}


class FakeProducer:
    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes, int | None]] = []

    def produce(self, topic: str, value: bytes, key: bytes, *, timestamp: int | None = None, **_: Any) -> None:  # noqa: ANN401
        self.records.append((topic, key, value, timestamp))

    def of(self, topic: str) -> list[tuple[bytes, bytes, int | None]]:
        return [record[1:] for record in self.records if record[0] == topic]


class Running:
    """A topology that is fed record by record."""

    def __init__(self, app: Application, topics: WordTopics, producer: FakeProducer) -> None:
        self.app, self.producer = app, producer
        self._topics = {topic.name: topic for topic in (topics.strings, topics.news, topics.deltas)}
        self._executors = app._dataframe_registry.compose_all()
        app._state_manager.on_partition_assign("word-deltas", 0, {})
        app._processing_context.init_checkpoint()  # type: ignore[no-untyped-call]

    def feed(self, topic: str, value: bytes | None, *, timestamp: int = 1000) -> None:
        context = SerializationContext(topic=topic, field=MessageField.VALUE)
        decoded = None if value is None else self._topics[topic]._value_deserializer(value, context)
        set_message_context(MessageContext(topic=topic, partition=0, offset=7, size=1))
        self._executors[topic](decoded, b"key", timestamp, [])

    def checkpoint(self) -> dict[str, int]:
        """Flush the combiner; the deltas it wrote."""
        for sink in self.app._sink_manager.sinks:
            sink.flush()  # type: ignore[no-untyped-call]
        return {word: n for _, value, _ in self.producer.of("word-deltas") for word, n in deltas.decode(value).items()}


@pytest.fixture
def registry() -> SchemaRegistryClient:
    return registry_client(KafkaSettings(registry_url=f"mock://{uuid.uuid4()}"))


@pytest.fixture
def running(tmp_path: Path, registry: SchemaRegistryClient) -> Running:
    app = Application("nowhere:1", use_changelog_topics=False, state_dir=tmp_path, loglevel=None)
    producer = FakeProducer()
    app._processing_context.producer = producer  # type: ignore[assignment]
    avro = AvroDecoder(registry)
    topics = WordTopics(
        strings=_topic("mytopic", Decoder(decode_text)),
        news=_topic("news", Decoder(avro.decode)),
        deltas=_topic("word-deltas", Decoder(deltas.decode)),
    )
    build(app, topics, log_counts=True)
    return Running(app, topics, producer)


def _topic(name: str, decoder: Decoder) -> Topic:
    topic = Topic(name, value_deserializer=decoder)
    topic.broker_config = TopicConfig(6, 3, {"retention.ms": "-1", "retention.bytes": "-1"})
    return topic


def _metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"newsroom_wordcount_{name}_total", labels) or 0.0


def test_strings_and_titles_are_counted_together(running: Running, registry: SchemaRegistryClient) -> None:
    encoder = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA))
    running.feed("mytopic", b"Bridge opens")
    running.feed("news", encoder.encode({"title": "A bridge, again", "media": "not counted"}))
    assert running.checkpoint() == {"bridge": 2, "opens": 1, "a": 1, "again": 1}


def test_filtered_records_are_not_counted(running: Running) -> None:
    before = _metric("filtered")
    running.feed("mytopic", b"filter1")
    assert running.checkpoint() == {}
    assert _metric("filtered") == before + 1


def test_overlong_words_are_dropped_and_counted(running: Running) -> None:
    before = _metric("giants")
    running.feed("mytopic", b"small " + b"x" * (MAX_WORD_CHARACTERS + 1))
    assert running.checkpoint() == {"small": 1}
    assert _metric("giants") == before + 1


@pytest.mark.parametrize(("topic", "value"), [("mytopic", b"\xff"), ("news", b"junk"), ("word-deltas", b"junk")])
def test_poison_is_counted_and_skipped(
    running: Running, topic: str, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = _metric("undecodable", topic=topic)
    with caplog.at_level("WARNING"):
        running.feed(topic, value)
    assert _metric("undecodable", topic=topic) == before + 1
    assert running.checkpoint() == {}
    assert running.producer.of("word-counts") == []


def test_a_record_of_another_kind_of_schema_is_skipped_too(running: Running, registry: SchemaRegistryClient) -> None:
    before = _metric("undecodable", topic="news")
    schema_id = registry.register_schema("other", Schema('{"type": "object"}', "JSON"))
    running.feed("news", b"\0" + schema_id.to_bytes(4, "big") + b'{"title": "Not Avro"}')
    assert _metric("undecodable", topic="news") == before + 1
    assert running.checkpoint() == {}


def test_tombstones_have_no_words(running: Running) -> None:
    running.feed("mytopic", None)
    running.feed("news", None)
    assert running.checkpoint() == {}


def test_deltas_are_added_to_the_counts_so_far(running: Running) -> None:
    running.feed("word-deltas", b'{"value10": 5, "a": 1}', timestamp=1000)
    running.feed("word-deltas", b'{"value10": 1}', timestamp=2000)
    assert running.producer.of("word-counts") == [
        (b"value10", b"5", 1000),
        (b"a", b"1", 1000),
        (b"value10", b"6", 2000),
    ]


def test_a_new_count_is_logged_in_the_labs_words(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.feed("word-deltas", b'{"value10": 6}')
    assert "KTable wordCounts : key value10 - value 6" in capsys.readouterr().out
