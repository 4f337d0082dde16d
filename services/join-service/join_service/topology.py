"""The join as Quix dataframes: both sides tagged, concatenated, and joined through the state of their key.

Quix's own `join_asof` compares timestamps (a versioned table). This join uses a plain table. Quix releases waiting
records of both topics in the order of their timestamps, partition by partition.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter

from join_service.join import Count, Label, decode_count, join, joined_line
from newsroom.logs import get_logger
from newsroom.streams.decoding import InputMetrics, Poison, decode_text, input_frame
from newsroom.topics import WORD, WORD_COUNTS, WORDS_JOINED

if TYPE_CHECKING:
    from collections.abc import Callable

    from quixstreams import Application, State

    AfterCommit = Callable[[Callable[[], object]], object]

log = get_logger(__name__)

INPUTS = InputMetrics("join")
WITHOUT_KEY = Counter("newsroom_join_without_key", "Records dropped because they have no key, by topic.", ["topic"])
JOINED = Counter("newsroom_join_joined", "Results produced to words-joined.")
UNMATCHED = Counter("newsroom_join_unmatched", "Labels whose word had no count.")


def build(app: Application, after_commit: AfterCommit) -> None:
    """Add the join to the application; `after_commit` takes the log line of each result."""
    labels = input_frame(app, WORD, decode_text).apply(side_reader(WORD.name, _as_label), metadata=True)
    counts = input_frame(app, WORD_COUNTS, decode_count).apply(side_reader(WORD_COUNTS.name, Count), metadata=True)
    both = labels.concat(counts).filter(lambda record: record is not None)
    joined = both.apply(partial(join_record, after_commit), stateful=True, metadata=True)
    results = joined.filter(lambda result: result is not None)
    results.to_topic(app.topic(WORDS_JOINED.name, value_serializer="bytes"))


def _as_label(text: str | None) -> Label | None:
    # A null value on the stream side joins nothing, as in Kafka Streams.
    return None if text is None else Label(text)


def side_reader(
    topic: str, as_record: Callable[[Any], Label | Count | None]
) -> Callable[[Any, bytes | None, int, Any], Label | Count | None]:
    """Return a function from a decoded value (`Poison` or None too) to one side's record, or None to drop it."""
    records, without_key = INPUTS.records_of(topic), WITHOUT_KEY.labels(topic)

    def read(value: Any, key: bytes | None, _timestamp: int, _headers: object) -> Label | Count | None:  # noqa: ANN401
        records.inc()
        if isinstance(value, Poison):
            INPUTS.skip(value)
            return None
        if key is None:
            without_key.inc()
            return None
        return as_record(value)

    return read


def join_record(
    after_commit: AfterCommit,
    record: Label | Count,
    key: bytes,
    _timestamp: int,
    _headers: object,
    state: State[Any, Any],
) -> bytes | None:
    """Process one record; return the value to produce under its key, or None if there is no result."""
    result = join(record, state)
    if result is not None:
        JOINED.inc()
        after_commit(partial(log.info, joined_line(key.decode(errors="replace"), result)))
        return result.as_json()
    if isinstance(record, Label):
        UNMATCHED.inc()
        log.info("no count for this word yet", word=key.decode(errors="replace"), label=record.text)
    return None
