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
from newsroom.streams.dead_letters import DeadLetters
from newsroom.streams.decoding import InputMetrics, Poison, decode_text, input_frame
from newsroom.streams.outputs import LARGEST_BYTES, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quixstreams import Application, State

    from join_service.settings import JoinSettings
    from newsroom.streams.dead_letters import DeadLetterTopic

    AfterCommit = Callable[[Callable[[], object]], object]

log = get_logger(__name__)

INPUTS = InputMetrics("join")
WITHOUT_KEY = Counter("newsroom_join_without_key", "Records dropped because they have no key, by topic.", ["topic"])
JOINED = Counter("newsroom_join_joined", "Results produced to words-joined.")
TOO_LARGE = Counter(
    "newsroom_join_too_large", "Labels sent to the dead-letter topic because their pair is larger than a record may be."
)
WITHOUT_HEADERS = Counter(
    "newsroom_join_without_headers", "Results without their label's headers, because they are too large with them."
)
UNMATCHED = Counter("newsroom_join_unmatched", "Labels whose word had no count.")


def build(app: Application, settings: JoinSettings, dead_letters: DeadLetterTopic, after_commit: AfterCommit) -> None:
    """Add the join to the application; `after_commit` takes the log line of each result."""
    labels_frame = input_frame(app, settings.labels_topic, decode_text)
    counts_frame = input_frame(app, settings.counts_topic, decode_count)
    letters = DeadLetters(dead_letters, INPUTS, lambda: labels_frame.processing_context.producer)
    labels = labels_frame.apply(side_reader(settings.labels_topic, letters, _as_label), metadata=True)
    counts = counts_frame.apply(side_reader(settings.counts_topic, letters, Count), metadata=True)
    both = labels.concat(counts).filter(lambda record: record is not None)
    joined = both.apply(partial(join_record, letters, after_commit), stateful=True, metadata=True)
    results = joined.filter(lambda result: result is not None)
    results.set_headers(headers_that_fit).to_topic(app.topic(settings.joined_topic, value_serializer="bytes"))


def _as_label(text: str | None) -> Label | None:
    # A null value on the stream side joins nothing, as in Kafka Streams.
    return None if text is None else Label(text)


def side_reader(
    topic: str, letters: DeadLetters, as_record: Callable[[Any], Label | Count | None]
) -> Callable[[Any, bytes | None, int, Any], Label | Count | None]:
    """Return a function from a decoded value (`Poison` or None too) to one side's record, or None to drop it."""
    records, without_key = INPUTS.records_of(topic), WITHOUT_KEY.labels(topic)

    def read(value: Any, key: bytes | None, timestamp: int, headers: Any) -> Label | Count | None:  # noqa: ANN401
        records.inc()
        if isinstance(value, Poison):
            letters.put(value, key, timestamp, headers)
            return None
        if key is None:
            without_key.inc()
            return None
        if len(key) > LARGEST_BYTES:
            reason = f"the key has {len(key)} bytes: the state takes {LARGEST_BYTES}"
            letters.put(Poison(reason, _as_received(value)), key, timestamp, headers)
            return None
        return as_record(value)

    return read


def _as_received(value: str | int | None) -> bytes | None:
    return None if value is None else str(value).encode()


def join_record(  # noqa: PLR0917 - Quix passes the last five
    letters: DeadLetters,
    after_commit: AfterCommit,
    record: Label | Count,
    key: bytes,
    timestamp: int,
    headers: Any,  # noqa: ANN401 - Quix's
    state: State[Any, Any],
) -> bytes | None:
    """Process one record; return the value to produce under its key, or None if there is no result."""
    result = join(record, state)
    if result is not None:
        value = result.as_json()
        if size_of(key, value) > LARGEST_BYTES:
            TOO_LARGE.inc()
            reason = f"the pair has {size_of(key, value)} bytes: a record takes {LARGEST_BYTES}"
            letters.put(Poison(reason, result.label.encode()), key, timestamp, headers)
            return None
        JOINED.inc()
        after_commit(partial(log.info, joined_line(key.decode(errors="replace"), result)))
        return value
    if isinstance(record, Label):
        UNMATCHED.inc()
        log.info("no count for this word yet", word=key.decode(errors="replace"), label=record.text)
    return None


def headers_that_fit(
    value: bytes, key: bytes, _timestamp: int, headers: Sequence[tuple[str, Any]]
) -> Sequence[tuple[str, Any]]:
    """The headers of a label for its result; none if the result would be too large with them."""
    if not headers or size_of(key, value, headers) <= LARGEST_BYTES:
        return headers
    WITHOUT_HEADERS.inc()
    return []
