"""The two halves of the word count as Quix dataframes, joined by the topic `word-deltas`.

    mytopic ─┐
             ├─▶ words ─▶ combiner ══▶ word-deltas ─▶ counts in state ══▶ word-counts, log
    news ────┘

The names are the defaults. Both double lines are transactions. A commit of the first half contains the deltas and the
input offsets. A commit of the second half contains the counts, their state and the offsets of the deltas.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

from newsroom.errors import DecodeError
from newsroom.logs import get_logger
from newsroom.streams.dead_letters import DeadLetters
from newsroom.streams.decoding import InputMetrics, Poison, decode_text, input_frame
from wordcount_stream import deltas
from wordcount_stream.combiner import Combiner
from wordcount_stream.words import MAX_WORD_CHARACTERS, MOST_GROWTH, without_overlong, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quixstreams import Application, State
    from quixstreams.dataframe import StreamingDataFrame

    from newsroom.streams.dead_letters import DeadLetterTopic
    from newsroom.streams.decoding import Headers
    from wordcount_stream.settings import WordcountSettings

    AfterCommit = Callable[[Callable[[], object]], object]

log = get_logger(__name__)

INPUTS = InputMetrics("wordcount")
FILTERED = Counter("newsroom_wordcount_filtered", "Records dropped because they contain 'filter'.")
WORDS = Counter("newsroom_wordcount_words", "Words counted.")
OVERLONG = Counter("newsroom_wordcount_giants", "Words dropped because they exceed the length limit.")
COUNTS_PRODUCED = Counter("newsroom_wordcount_counts_produced", "New counts produced to word-counts.")

MOST_OF_A_VALUE = 200
"""How many characters of an error that quotes a value are kept."""


def build(
    app: Application,
    settings: WordcountSettings,
    dead_letters: DeadLetterTopic,
    decode_news: Callable[[bytes, Headers], dict[str, Any]] | None,
    *,
    after_commit: AfterCommit | None,
) -> None:
    """Add both halves to the application.

    Without `decode_news` no Avro topic is read. `after_commit` takes the log line of each count, None logs none.
    """
    deltas_topic = settings.deltas_name
    counts = input_frame(app, deltas_topic, deltas.decode)
    partitions = counts.topics[0].broker_config.num_partitions
    if partitions is None:
        raise ValueError(f"topic {deltas_topic} has no known number of partitions")
    letters = DeadLetters(dead_letters, INPUTS, lambda: counts.processing_context.producer)
    combiner = Combiner(lambda: counts.processing_context.producer, deltas_topic, partitions)
    decoders: dict[str, Callable[[bytes, Headers], str]] = {"strings_topic": decode_text}
    if decode_news is not None:
        decoders["news_topic"] = lambda *value: text_of(decode_news(*value), settings.text_field)
    for setting, topic in settings.inputs.items():
        frame = input_frame(app, topic, decoders[setting])
        frame.apply(word_reader(topic, letters), metadata=True).sink(combiner)
    keeper = CountKeeper(counts, settings.counts_topic, letters, after_commit)
    counts.update(keeper, stateful=True, metadata=True)


def text_of(record: dict[str, Any], field: str) -> str:
    """The text of a record whose words are counted.

    Raises:
        DecodeError: the record does not have the field, or its value is not text.
    """
    text = record.get(field)
    if not isinstance(text, str):
        raise DecodeError(f"the record has no text in its field {field}, which is {text!r}"[:MOST_OF_A_VALUE])
    return text


def word_reader(topic: str, letters: DeadLetters) -> Callable[[Any, bytes | None, int, Any], list[str]]:
    """Return a function from a text (or `Poison`, or None for a tombstone) to the words to count."""
    records = INPUTS.records_of(topic)

    def read(text: Any, key: bytes | None, timestamp: int, headers: Any) -> list[str]:  # noqa: ANN401
        records.inc()
        if text is None:
            return []
        if isinstance(text, Poison):
            letters.put(text, key, timestamp, headers)
            return []
        words = words_of(text)
        if words is None:
            FILTERED.inc()
            return []
        if MOST_GROWTH * len(text) > MAX_WORD_CHARACTERS:
            short_words = without_overlong(words)
            OVERLONG.inc(len(words) - len(short_words))
            words = short_words
        WORDS.inc(len(words))
        return words

    return read


class CountKeeper:
    """Adds deltas to the counts in state and produces the new counts, in the same transaction."""

    def __init__(
        self, frame: StreamingDataFrame, topic: str, letters: DeadLetters, after_commit: AfterCommit | None
    ) -> None:
        self._frame = frame
        self._topic = topic
        self._letters = letters
        self._after_commit = after_commit

    def __call__(
        self,
        value: dict[str, int] | Poison | None,
        key: bytes | None,
        timestamp: int,
        headers: Any,  # noqa: ANN401 - Quix's
        state: State[Any, Any],
    ) -> None:
        """Process one delta record; the counts have its `timestamp` (ms)."""
        if not isinstance(value, dict):
            self._letters.put(value or Poison("the record has no value", None), key, timestamp, headers)
            return
        produce = self._frame.processing_context.producer.produce
        for word, delta in value.items():
            count = state.get(word, 0) + delta
            state.set(word, count)
            produce(self._topic, value=str(count).encode(), key=word.encode(), timestamp=timestamp)
            if self._after_commit is not None:
                self._after_commit(partial(log.info, count_line(word, count)))
        COUNTS_PRODUCED.inc(len(value))


def count_line(word: str, count: int) -> str:
    """The lab's line for a new count."""
    return f"KTable wordCounts : key {word} - value {count}"
