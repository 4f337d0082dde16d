"""The combiner: counts words in memory between two commits and writes the deltas inside the commit's transaction."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from quixstreams.sinks import BaseSink
from typing_extensions import override

from newsroom.errors import ClusterUnavailable
from newsroom.waiting import Deadline
from wordcount_stream.deltas import encode, split

if TYPE_CHECKING:
    from collections.abc import Callable

DELTA_KEY = b"deltas"
"""The key of every delta record. It must never change: Quix prefixes a store's keys with the record's key, and would
not find the existing counts. Each record names its partition itself."""

FLUSH_SECONDS = 5.0
"""When Quix hands partitions over, it stops waiting for a flush after a fifth of max.poll.interval.ms (12 s), but the
flush keeps running. Its deltas would fall into the next transaction and count twice, so a flush must end earlier."""

QUEUE_WAIT_SECONDS = 0.5
QUEUE_TRIES = 2
"""The wait for each record while librdkafka's queue is full: one second in all, so a flush meets its deadline."""


class Producing(Protocol):
    """The part of Quix's transactional producer that the combiner needs."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        *,
        partition: int,
        timestamp: int | None,
        poll_timeout: float,
        buffer_error_max_tries: int,
    ) -> None:
        """Queue a record."""


class Combiner(BaseSink):
    """Counts the words of each processed record; `flush` writes the counts as a few delta records.

    Quix calls `flush` in the checkpoint, inside the transaction and before it adds the input offsets and commits. So
    deltas and offsets are committed together or not at all. Every flush leaves the counter empty: either the deltas
    are in the transaction, or the checkpoint fails and Quix reads the same records again.
    """

    def __init__(self, producer: Callable[[], Producing], topic: str, partitions: int) -> None:
        super().__init__(on_client_connect_success=lambda: None)
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._counts: Counter[str] = Counter()
        self._newest: int = -1

    @override
    def add(
        self,
        value: list[str],
        key: Any,
        timestamp: int,
        headers: Any,
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        """Count the words of one record; `timestamp` in ms."""
        if value:
            self._counts.update(value)
            self._newest = max(self._newest, timestamp)

    @override
    def flush(self) -> None:
        """Write the counts since the last flush.

        The records have the newest timestamp of their inputs, so a count is never older than the records it counts.
        The join relies on that, because it releases records by timestamp.

        Raises:
            ClusterUnavailable: the brokers do not accept records, so librdkafka's queue stays full.
        """
        counts, newest = self._take()
        if not counts:
            return
        deadline = Deadline(FLUSH_SECONDS)
        producer = self._producer()
        for partition, part in split(counts, self._partitions).items():
            for payload in encode(part):
                if deadline.passed():
                    raise self._stuck()
                try:
                    producer.produce(
                        self._topic,
                        payload,
                        DELTA_KEY,
                        partition=partition,
                        timestamp=newest if newest >= 0 else None,
                        poll_timeout=QUEUE_WAIT_SECONDS,
                        buffer_error_max_tries=QUEUE_TRIES,
                    )
                except BufferError as error:
                    raise self._stuck() from error

    @override
    def on_paused(self) -> None:
        """Drop the counts: another sink paused, so Quix aborts the checkpoint and reads its records again."""
        self._take()

    def _take(self) -> tuple[Counter[str], int]:
        counts, newest = self._counts, self._newest
        self._counts, self._newest = Counter(), -1
        return counts, newest

    def _stuck(self) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"the brokers did not accept deltas for topic {self._topic} within {FLUSH_SECONDS:.0f} s"
        )
