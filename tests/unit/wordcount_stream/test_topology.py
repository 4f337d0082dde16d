"""The word count's dataframes, run without a broker."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from newsroom.schemas.avro import AvroDecoder, AvroEncoder
from newsroom.schemas.registry import register
from newsroom.streams.decoding import Headers
from support.quix import Running, counter
from support.schemas import NEWS_SCHEMA, memory_registry
from wordcount_stream import deltas
from wordcount_stream.topology import build
from wordcount_stream.words import MAX_WORD_CHARACTERS


@pytest.fixture
def registry() -> SchemaRegistryClient:
    return memory_registry()


@pytest.fixture
def running(tmp_path: Path, registry: SchemaRegistryClient) -> Running:
    decoder = AvroDecoder(registry)

    def decode(value: bytes, headers: Headers) -> dict[str, Any]:
        return decoder.decode(value, headers).fields

    return Running(tmp_path, lambda app: build(app, decode, after_commit=lambda call: call()), "word-deltas")


def checkpoint(running: Running) -> dict[str, int]:
    """Flush the combiner; the deltas it wrote."""
    for sink in running.app._sink_manager.sinks:
        sink.flush()  # type: ignore[no-untyped-call]
    records = running.records_of("word-deltas")
    return {word: count for _, value, _ in records for word, count in deltas.decode(value).items()}


def test_strings_and_titles_are_counted_together(running: Running, registry: SchemaRegistryClient) -> None:
    encoder = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA))
    running.feed("mytopic", b"Bridge opens")
    running.feed("news", encoder.encode({"title": "A bridge, again", "media": "not counted"}))
    assert checkpoint(running) == {"bridge": 2, "opens": 1, "a": 1, "again": 1}


def test_filtered_records_are_not_counted(running: Running) -> None:
    before = counter("wordcount_filtered")
    running.feed("mytopic", b"filter1")
    assert checkpoint(running) == {}
    assert counter("wordcount_filtered") == before + 1


def test_overlong_words_are_dropped_and_counted(running: Running) -> None:
    before = counter("wordcount_giants")
    running.feed("mytopic", b"small " + b"x" * (MAX_WORD_CHARACTERS + 1))
    assert checkpoint(running) == {"small": 1}
    assert counter("wordcount_giants") == before + 1


@pytest.mark.parametrize(("topic", "value"), [("mytopic", b"\xff"), ("news", b"junk"), ("word-deltas", b"junk")])
def test_poison_is_counted_and_skipped(
    running: Running, topic: str, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    before = counter("wordcount_undecodable", topic=topic)
    with caplog.at_level("WARNING"):
        running.feed(topic, value)
    assert counter("wordcount_undecodable", topic=topic) == before + 1
    assert checkpoint(running) == {}
    assert running.records_of("word-counts") == []


def test_tombstones_have_no_words(running: Running) -> None:
    running.feed("mytopic", None)
    running.feed("news", None)
    assert checkpoint(running) == {}


def test_deltas_are_added_to_the_counts_so_far(running: Running) -> None:
    running.feed("word-deltas", b'{"value10": 5, "a": 1}', timestamp=1000)
    running.feed("word-deltas", b'{"value10": 1}', timestamp=2000)
    assert running.records_of("word-counts") == [
        (b"value10", b"5", 1000),
        (b"a", b"1", 1000),
        (b"value10", b"6", 2000),
    ]


def test_a_new_count_is_logged_in_the_labs_words(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    running.feed("word-deltas", b'{"value10": 6}')
    assert "KTable wordCounts : key value10 - value 6" in capsys.readouterr().out
