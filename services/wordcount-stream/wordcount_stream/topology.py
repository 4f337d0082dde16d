"""The two halves of the word count as Quix dataframes, joined by the topic `word-deltas`.

    mytopic ─┐
             ├─▶ words ─▶ combiner ══▶ word-deltas ─▶ counts in state ══▶ word-counts, log
    news ────┘

Both double lines are transactions. A commit of the first half contains the deltas and the input offsets. A commit of
the second half contains the counts, their state and the offsets of the deltas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

from newsroom.logs import get_logger
from newsroom.streams.decoding import Decoder, Poison, decode_text, log_skipped
from newsroom.topics import MYTOPIC, NEWS, WORD_COUNTS, WORD_DELTAS
from wordcount_stream import deltas
from wordcount_stream.combiner import Combiner
from wordcount_stream.words import MAX_WORD_CHARACTERS, without_overlong, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quixstreams import Application, State
    from quixstreams.dataframe import StreamingDataFrame
    from quixstreams.models import Topic

    from newsroom.schemas.avro import AvroDecoder

log = get_logger(__name__)

MESSAGES = Counter("newsroom_wordcount_messages", "Records read, by topic.", ["topic"])
FILTERED = Counter("newsroom_wordcount_filtered", "Records dropped because they contain 'filter'.")
WORDS = Counter("newsroom_wordcount_words", "Words counted.")
OVERLONG = Counter("newsroom_wordcount_giants", "Words dropped because they exceed the length limit.")
UNDECODABLE = Counter("newsroom_wordcount_undecodable", "Poison records skipped, by topic.", ["topic"])
COUNTS_PRODUCED = Counter("newsroom_wordcount_counts_produced", "New counts produced to word-counts.")

TOPICS = (MYTOPIC.name, NEWS.name, WORD_DELTAS.name, WORD_COUNTS.name)
"""The topics that must exist before the service starts."""


@dataclass(frozen=True)
class WordTopics:
    """The topics as Quix objects."""

    strings: Topic
    news: Topic
    deltas: Topic


def declare_topics(app: Application, avro: AvroDecoder) -> WordTopics:
    """Declare how Quix decodes each topic; Quix requests their partitions from the broker."""
    return WordTopics(
        strings=app.topic(MYTOPIC.name, value_deserializer=Decoder(decode_text)),
        news=app.topic(NEWS.name, value_deserializer=Decoder(avro.decode)),
        deltas=app.topic(WORD_DELTAS.name, value_deserializer=Decoder(deltas.decode)),
    )


def build(app: Application, topics: WordTopics, *, log_counts: bool) -> None:
    """Add both halves to the application."""
    delta_partitions = topics.deltas.broker_config.num_partitions
    if delta_partitions is None:
        raise ValueError(f"topic {topics.deltas.name} has no known number of partitions")
    strings = app.dataframe(topics.strings)
    combiner = Combiner(lambda: strings.processing_context.producer, topics.deltas.name, delta_partitions)
    strings.apply(word_reader(topics.strings.name, lambda text: text)).sink(combiner)
    news = app.dataframe(topics.news)
    news.apply(word_reader(topics.news.name, title_of)).sink(combiner)
    counts = app.dataframe(topics.deltas)
    counts.update(CountKeeper(counts, log_counts=log_counts), stateful=True, metadata=True)


def title_of(news: dict[str, Any]) -> str | Poison:
    """The part of an article whose words are counted."""
    title = news.get("title")
    return title if isinstance(title, str) else Poison("the record has no title")


def word_reader(topic: str, text_of: Callable[[Any], str | Poison]) -> Callable[[Any], list[str]]:
    """Return a function from a decoded value (`Poison`, or None for a tombstone) to the words to count."""
    messages = MESSAGES.labels(topic)
    # The series exists from the start, so that its first increase is visible.
    UNDECODABLE.labels(topic)

    def read(value: Any) -> list[str]:  # noqa: ANN401 - the type depends on the topic's decoder
        messages.inc()
        if value is None:
            return []
        text = value if isinstance(value, Poison) else text_of(value)
        if isinstance(text, Poison):
            skip(topic, text)
            return []
        words = words_of(text)
        if words is None:
            FILTERED.inc()
            return []
        if len(text) > MAX_WORD_CHARACTERS:
            short_words = without_overlong(words)
            OVERLONG.inc(len(words) - len(short_words))
            words = short_words
        WORDS.inc(len(words))
        return words

    return read


def skip(topic: str, poison: Poison) -> None:
    """Count and log a poison record; its offset is committed with the others."""
    UNDECODABLE.labels(topic).inc()
    log_skipped(poison)


class CountKeeper:
    """Adds deltas to the counts in state and produces the new counts, in the same transaction."""

    def __init__(self, frame: StreamingDataFrame, *, log_counts: bool) -> None:
        self._frame = frame
        self._log_counts = log_counts

    def __call__(
        self,
        value: dict[str, int] | Poison | None,
        _key: object,
        timestamp: int,
        _headers: object,
        state: State[Any, Any],
    ) -> None:
        """Process one delta record; the counts have its `timestamp` (ms)."""
        if not isinstance(value, dict):
            skip(WORD_DELTAS.name, value or Poison("the record has no value"))
            return
        produce = self._frame.processing_context.producer.produce
        for word, delta in value.items():
            count = state.get(word, 0) + delta
            state.set(word, count)
            produce(WORD_COUNTS.name, value=str(count).encode(), key=word.encode(), timestamp=timestamp)
            if self._log_counts:
                log.info(count_line(word, count))
        COUNTS_PRODUCED.inc(len(value))


def count_line(word: str, count: int) -> str:
    """The lab's line for a new count."""
    return f"KTable wordCounts : key {word} - value {count}"
