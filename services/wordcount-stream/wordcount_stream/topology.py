"""The two halves of the word count as Quix dataframes, joined by the topic `word-deltas`.

    mytopic ─┐
             ├─▶ words ─▶ combiner ══▶ word-deltas ─▶ counts in state ══▶ word-counts, log
    news ────┘

Both double lines are transactions. A commit of the first half contains the deltas and the input offsets. A commit of
the second half contains the counts, their state and the offsets of the deltas.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

from newsroom.logs import get_logger
from newsroom.streams.decoding import InputMetrics, Poison, decode_text, input_frame
from newsroom.topics import MYTOPIC, NEWS, WORD_COUNTS, WORD_DELTAS
from wordcount_stream import deltas
from wordcount_stream.combiner import Combiner
from wordcount_stream.words import MAX_WORD_CHARACTERS, MOST_GROWTH, without_overlong, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quixstreams import Application, State
    from quixstreams.dataframe import StreamingDataFrame

    from newsroom.streams.decoding import Headers

    AfterCommit = Callable[[Callable[[], object]], object]

log = get_logger(__name__)

INPUTS = InputMetrics("wordcount")
FILTERED = Counter("newsroom_wordcount_filtered", "Records dropped because they contain 'filter'.")
WORDS = Counter("newsroom_wordcount_words", "Words counted.")
OVERLONG = Counter("newsroom_wordcount_giants", "Words dropped because they exceed the length limit.")
COUNTS_PRODUCED = Counter("newsroom_wordcount_counts_produced", "New counts produced to word-counts.")


def build(
    app: Application, decode_news: Callable[[bytes, Headers], dict[str, Any]], *, after_commit: AfterCommit | None
) -> None:
    """Add both halves to the application; `after_commit` takes the log line of each count, None logs none."""
    strings = input_frame(app, MYTOPIC, decode_text)
    news = input_frame(app, NEWS, decode_news)
    counts = input_frame(app, WORD_DELTAS, deltas.decode)
    partitions = counts.topics[0].broker_config.num_partitions
    if partitions is None:
        raise ValueError(f"topic {WORD_DELTAS.name} has no known number of partitions")
    combiner = Combiner(lambda: strings.processing_context.producer, WORD_DELTAS.name, partitions)
    strings.apply(word_reader(MYTOPIC.name, lambda text: text)).sink(combiner)
    news.apply(word_reader(NEWS.name, title_of)).sink(combiner)
    counts.update(CountKeeper(counts, after_commit), stateful=True, metadata=True)


def title_of(news: dict[str, Any]) -> str | Poison:
    """The part of an article whose words are counted."""
    title = news.get("title")
    return title if isinstance(title, str) else Poison("the record has no title")


def word_reader(topic: str, text_of: Callable[[Any], str | Poison]) -> Callable[[Any], list[str]]:
    """Return a function from a decoded value (`Poison`, or None for a tombstone) to the words to count."""
    records = INPUTS.records_of(topic)

    def read(value: Any) -> list[str]:  # noqa: ANN401 - the type depends on the topic's decoder
        records.inc()
        if value is None:
            return []
        text = value if isinstance(value, Poison) else text_of(value)
        if isinstance(text, Poison):
            INPUTS.skip(text)
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

    def __init__(self, frame: StreamingDataFrame, after_commit: AfterCommit | None) -> None:
        self._frame = frame
        self._after_commit = after_commit

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
            INPUTS.skip(value or Poison("the record has no value"))
            return
        produce = self._frame.processing_context.producer.produce
        for word, delta in value.items():
            count = state.get(word, 0) + delta
            state.set(word, count)
            produce(WORD_COUNTS.name, value=str(count).encode(), key=word.encode(), timestamp=timestamp)
            if self._after_commit is not None:
                self._after_commit(partial(log.info, count_line(word, count)))
        COUNTS_PRODUCED.inc(len(value))


def count_line(word: str, count: int) -> str:
    """The lab's line for a new count."""
    return f"KTable wordCounts : key {word} - value {count}"
