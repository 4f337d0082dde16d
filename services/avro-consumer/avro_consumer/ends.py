"""Knows whether a member has read its partitions up to where they ended at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicPartition

from newsroom.errors import ClusterUnavailable
from newsroom.kafka_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

ASK_SECONDS = 5.0
"""The timeout of a question about one partition."""


class EndWatch:
    """The ends of a topic's partitions, and those that were reached."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._reached: set[int] = set()

    def remember(self, consumer: Any, topic: str) -> None:  # noqa: ANN401 - the client has no types
        """Note the offset after the last record of each partition.

        Raises:
            ClusterUnavailable: the brokers do not say.
        """
        try:
            for number in consumer.list_topics(topic, timeout=ASK_SECONDS).topics[topic].partitions:
                place = TopicPartition(topic, number)
                _, self._ends[number] = consumer.get_watermark_offsets(place, timeout=ASK_SECONDS) or (0, 0)
        except KafkaException as error:
            raise ClusterUnavailable(
                f"the brokers do not say where {topic} ends ({reason_of(error)}): check them, then start again",
                topic=topic,
            ) from error

    def note_progress(self, offsets: Mapping[int, int]) -> None:
        """Note the last record that was read of each partition."""
        for partition, offset in offsets.items():
            # A partition that others write to all the time has an end that no reader ever reaches.
            if partition in self._ends and offset + 1 >= self._ends[partition]:
                self._reached.add(partition)

    def reached(self, partition: int) -> None:
        """Note that the client has found the end of a partition: transactions leave markers behind the last record."""
        self._reached.add(partition)

    def leave(self, partition: int) -> None:
        """Note that a partition has another owner, from whom it may come back."""
        self._reached.discard(partition)

    def passed(self, partitions: AbstractSet[int]) -> bool:
        """Whether the ends of these partitions were reached."""
        return partitions <= self._reached
