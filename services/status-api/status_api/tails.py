"""Looks into the log after a commit that does not move: does a record wait there?"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from newsroom.waiting import Deadline
from status_api.marks import Tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from newsroom.settings import KafkaSettings
    from status_api.progress import Place

MOST_AT_ONCE = 50
LOOK_SECONDS = 1.0
"""How long one look may take: a partition whose leader is away must not delay the others for longer."""


def tail_consumer(settings: KafkaSettings) -> Consumer:
    """Make the consumer for `TailReader`. It reads a few bytes of each partition, and never joins a group."""
    config = settings.consumer_config(
        "newsroom-status-tails",
        "newsroom-status-tails",
        isolation_level="read_committed",
        enable_auto_offset_store=False,
        allow_auto_create_topics=False,
        enable_partition_eof=True,
        fetch_message_max_bytes=1024,
        queued_max_messages_kbytes=64,
    )
    return Consumer(config, logger=logging.getLogger("librdkafka"))


class TailReader:
    """Knows what stands at some places of the log. One thread calls `turn`; any thread may read `tails`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: Consumer | None = None
        self.tails: dict[Place, Tail] = {}

    def turn(self, wanted: Iterable[Place]) -> None:
        """Look at some of the places that are wanted, one in each partition: by chance, so that all get a turn."""
        shuffled = list(wanted)
        random.shuffle(shuffled)
        places = {(topic, partition): (topic, partition, offset) for topic, partition, offset in shuffled}
        chosen = list(places.values())[:MOST_AT_ONCE]
        if not chosen:
            return
        if self._consumer is None:  # most of the time nothing is wanted, and a consumer costs memory
            self._consumer = tail_consumer(self._settings)
        self._consumer.assign([TopicPartition(*place) for place in chosen])
        try:
            tails = self._read({place[:2]: place for place in chosen})
        finally:
            self._consumer.unassign()
        self.tails = {**self.tails, **tails}

    def keep(self, places: Iterable[Place]) -> None:
        """Forget every place but these."""
        self.tails = {place: self.tails[place] for place in places if place in self.tails}

    def _read(self, waiting: dict[tuple[str, int], Place]) -> dict[Place, Tail]:
        tails: dict[Place, Tail] = {}
        deadline = Deadline(LOOK_SECONDS)
        assert self._consumer is not None
        while waiting and deadline.left() > 0:
            message = self._consumer.poll(deadline.left())
            if message is None:
                break
            place = waiting.get((message.topic(), message.partition()))
            tail = _tail(message)
            if place is not None and tail is not None:
                tails[place] = tail
                del waiting[place[:2]]
        return tails

    def close(self) -> None:
        """Close the consumer, if there is one."""
        if self._consumer is not None:
            self._consumer.close()


def _tail(message: Any) -> Tail | None:  # noqa: ANN401 - confluent-kafka is untyped
    error = message.error()
    if error is None:
        kind, timestamp = message.timestamp()
        return Tail(waits=True, end=message.offset() + 1, timestamp_ms=timestamp if kind else None)
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - it is librdkafka's name
        return Tail(waits=False, end=message.offset())
    return None
