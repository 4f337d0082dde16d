"""Notices records that retention or `kafka-delete-records` took before a consumer read them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition
from prometheus_client import Counter

from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


log = get_logger(__name__)

LOST = Counter("newsroom_unread", "Records that retention or delete-records took before they were read.", ["topic"])

ASK_SECONDS = 1.0
"""The timeout of a question. Without an answer nothing is counted."""

SILENCE_SECONDS = 10.0
"""How long it does not ask after a question without an answer: brokers are changing, and the consumer's loop waits."""

ASK_AGAIN_SECONDS = 1.0
"""How long the beginning of a partition is taken as known. A compacted topic has a gap at each record."""


class UnreadWatch:
    """Follows the offsets that a consumer returns: where one is left out, it looks whether the log begins later."""

    def __init__(self, ask: Callable[..., tuple[int, int] | None]) -> None:
        """`ask` is the client's `get_watermark_offsets`."""
        self._ask = ask
        self._silent_until = 0.0
        self._next: dict[tuple[str, int], int | None] = {}
        self._begins: dict[tuple[str, int], tuple[float, int]] = {}

    def begin_at(self, committed: Iterable[TopicPartition]) -> None:
        """Note the committed offsets at which the consumer begins these partitions; a negative one is none."""
        for partition in committed:
            self._next[partition.topic, partition.partition] = partition.offset if partition.offset >= 0 else None

    def note(self, topic: str, partition: int, offset: int) -> None:
        """Note the next record of a partition; log and count what is missing before it."""
        place = (topic, partition)
        expected = self._next.get(place)
        self._next[place] = offset + 1
        if expected is None or offset <= expected:
            return
        begin = self._begin(place)
        lost = min(begin, offset) - expected
        if lost > 0:
            LOST.labels(topic).inc(lost)
            log.warning(
                "records were deleted before they were read (retention, or kafka-delete-records)",
                topic=topic,
                partition=partition,
                offsets=f"{expected} to {expected + lost - 1}",
                records=lost,
            )

    def note_all(self, topic: str, partitions: Sequence[int], offsets: Sequence[int]) -> None:
        """Note the next records, each by its partition and its offset, in the order of their offsets."""
        first = dict(zip(reversed(partitions), reversed(offsets), strict=True))
        last = dict(zip(partitions, offsets, strict=True))
        # Most batches leave nothing out: then the lengths of their ranges add up, and no record is looked at alone.
        whole = sum(last.values()) - sum(first.values()) + len(last) == len(offsets)
        if not whole or any(self._next.get((topic, partition)) != offset for partition, offset in first.items()):
            for partition, offset in zip(partitions, offsets, strict=True):
                self.note(topic, partition, offset)
        self._next |= {(topic, partition): offset + 1 for partition, offset in last.items()}

    def _begin(self, place: tuple[str, int]) -> int:
        asked_at, begin = self._begins.get(place, (0.0, 0))
        now = time.monotonic()
        if now - asked_at >= ASK_AGAIN_SECONDS and now >= self._silent_until:
            try:
                begin = (self._ask(TopicPartition(*place), timeout=ASK_SECONDS) or (0, 0))[0]
            except KafkaException:
                self._silent_until = time.monotonic() + SILENCE_SECONDS
                return begin
            self._begins[place] = (time.monotonic(), begin)
        return begin
