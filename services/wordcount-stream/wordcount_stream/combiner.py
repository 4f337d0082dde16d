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
"""The key of every delta record. Quix prefixes a store's keys with the record's key: it must never change, or the
counts so far are not found. The partition is given with each record."""

FLUSH_SECONDS = 5.0
"""A flush only fills librdkafka's queue. When partitions are handed over, Quix runs it in a thread, gives up on it
after a fifth of max.poll.interval.ms (12 s) and leaves it running: what it then wrote would fall into the next
transaction and count twice. So it must end by itself before that."""

QUEUE_WAIT_SECONDS = 0.5
QUEUE_TRIES = 2
"""Per record, when librdkafka's queue is full: one second in all, so the deadline above is kept."""


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
    """Adds up the words of each processed record; `flush` writes them as few delta records.

    Quix calls `flush` in the checkpoint, after it began the transaction and before it adds the input offsets to it
    and commits: deltas and offsets are committed together or not at all. Whatever happens in a flush, the counter
    is empty after it: either the deltas are in the transaction, or the checkpoint fails and Quix reads the same
    records again.
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
        """Write what was counted since the last flush.

        The records carry the newest timestamp of their inputs, so the counts made of them are never older than
        what they count: the join releases records by timestamp.

        Raises:
            ClusterUnavailable: librdkafka's queue stays full: the brokers do not take the records.
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
        """Another sink asked for a pause: Quix aborts the checkpoint and reads its records again."""
        self._take()

    def _take(self) -> tuple[Counter[str], int]:
        taken = self._counts, self._newest
        self._counts, self._newest = Counter(), -1
        return taken

    def _stuck(self) -> ClusterUnavailable:
        return ClusterUnavailable(f"the brokers took no deltas for topic {self._topic} for {FLUSH_SECONDS:.0f} s")
