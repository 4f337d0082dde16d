"""The word count's dataframes, run without a broker."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsroom.schemas.avro import AvroDecoder, AvroEncoder
from newsroom.schemas.registry import register
from newsroom.streams.decoding import Headers
from support.quix import LETTERS, Running, counter
from support.schemas import NEWS_SCHEMA, memory_registry
from wordcount_stream import deltas
from wordcount_stream.settings import WordcountSettings
from wordcount_stream.topology import build
from wordcount_stream.words import MAX_WORD_CHARACTERS

SETTINGS = WordcountSettings()


@pytest.fixture
def registry() -> SchemaRegistryClient:
    return memory_registry()


@pytest.fixture
def running(tmp_path: Path, registry: SchemaRegistryClient) -> Running:
    decoder = AvroDecoder(registry)

    def decode(value: bytes, headers: Headers) -> dict[str, Any]:
        return decoder.decode(value, headers).fields

    return Running(
        tmp_path, lambda app: build(app, SETTINGS, LETTERS, decode, after_commit=lambda call: call()), "word-deltas"
    )


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


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        ("mytopic", b"\xff", b"UTF-8"),
        ("news", b"junk", b"too few"),
        ("word-deltas", b"junk", b"not a set of deltas"),
        ("word-deltas", None, b"no value"),
    ],
)
def test_poison_goes_to_the_dead_letters_as_received(
    running: Running, topic: str, value: bytes | None, reason: bytes
) -> None:
    before = counter("wordcount_undecodable", topic=topic)
    running.feed(topic, value, b"k", timestamp=1234, headers=[("trace", None)])
    assert counter("wordcount_undecodable", topic=topic) == before + 1
    assert checkpoint(running) == {}
    assert running.records_of("word-counts") == []
    (letter,) = running.letters
    assert (letter.key, letter.value, letter.headers[0]) == (b"k", value, ("trace", None))
    error = letter.origin.pop("error")
    assert reason in (error or b"")
    assert letter.origin | {"error": error} == {
        "origin.topic": topic.encode(),
        "origin.partition": b"0",
        "origin.offset": b"7",
        "origin.timestamp": b"1234",
        "error": error,
        "consumer.group": b"g",
    }


def test_a_record_without_text_in_its_field_is_poison(running: Running, registry: SchemaRegistryClient) -> None:
    schema = {"type": "record", "name": "N", "fields": [{"name": "title", "type": ["null", "string"]}]}
    value = AvroEncoder(schema, register(registry, "n-value", schema)).encode({"title": None})
    running.feed("news", value)
    assert [letter.value for letter in running.letters] == [value]
    assert running.letters[0].origin["error"] == b"the record has no text in its field title, which is None"


def test_topics_and_the_field_are_settings(tmp_path: Path, registry: SchemaRegistryClient) -> None:
    mine = WordcountSettings(
        consumer_group="mine", strings_topic="texts", news_topic="posts", text_field="body", counts_topic="posts-words"
    )
    decoder = AvroDecoder(registry)
    running = Running(
        tmp_path,
        lambda app: build(app, mine, LETTERS, lambda *value: decoder.decode(*value).fields, after_commit=None),
        "mine-word-deltas",
    )
    schema = {"type": "record", "name": "Post", "fields": [{"name": "body", "type": "string"}]}
    running.feed("posts", AvroEncoder(schema, register(registry, "posts-value", schema)).encode({"body": "one two"}))
    running.feed("texts", b"two")
    for sink in running.app._sink_manager.sinks:
        sink.flush()  # type: ignore[no-untyped-call]
    flushed = [deltas.decode(value) for _, value, _ in running.records_of("mine-word-deltas")]
    assert {word: count for part in flushed for word, count in part.items()} == {"one": 1, "two": 2}
    running.feed("mine-word-deltas", b'{"one": 1}')
    assert [record[:2] for record in running.records_of("posts-words")] == [(b"one", b"1")]


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


def test_without_an_avro_topic_only_the_texts_are_read(tmp_path: Path) -> None:
    texts = WordcountSettings(news_topic="none")
    running = Running(tmp_path, lambda app: build(app, texts, LETTERS, None, after_commit=None), "word-deltas")
    running.feed("mytopic", b"one")
    assert checkpoint(running) == {"one": 1}
    assert set(running.app.topics) == {"mytopic", "word-deltas"}


WORDS = st.dictionaries(st.text(max_size=5), st.integers() | st.booleans() | st.none(), max_size=3)
RECORD = st.tuples(
    st.sampled_from(["mytopic", "news", "word-deltas"]),
    # An id that the registry does not have may be the registry's fault.
    st.none()
    | st.binary(max_size=20).filter(lambda value: value[:1] != b"\0")
    | WORDS.map(lambda words: json.dumps(words).encode()),
    st.integers(-1, 2**63 - 1),
)


@given(records=st.lists(RECORD, max_size=30))
@example([("word-deltas", b'{"a": 18446744073709551615}', 1), ("word-deltas", b'{"a": 18446744073709551615}', 1)])
@example([("word-deltas", b'{"%s": 1}' % (b"x" * (MAX_WORD_CHARACTERS + 1)), 1)])
@settings(max_examples=40)
def test_no_record_stops_the_word_count(records: list[tuple[str, bytes | None, int]]) -> None:
    decoder = AvroDecoder(memory_registry())
    with TemporaryDirectory() as folder:
        running = Running(
            Path(folder),
            lambda app: build(app, SETTINGS, LETTERS, lambda *value: decoder.decode(*value).fields, after_commit=None),
            "word-deltas",
        )
        for topic, value, timestamp in records:
            running.feed(topic, value, timestamp=timestamp)
        checkpoint(running)
        assert all(len(key) <= 4 * MAX_WORD_CHARACTERS for key, *_ in running.records_of("word-counts"))
