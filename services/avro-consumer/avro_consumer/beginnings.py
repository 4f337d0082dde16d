"""Where a member begins its partitions: at its group's offsets, or where those who own them beside the group say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from confluent_kafka import KafkaException, TopicPartition

from newsroom.errors import ClusterUnavailable
from newsroom.kafka_errors import is_unreachable, kafka_error, reason_of
from newsroom.patience import PATIENCE_SECONDS, committed_offsets, explicit
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Consumer

    from newsroom.waiting import StopFlag

ATTEMPT_SECONDS = 2.0
"""One question waits for the coordinator that the client knows, also when it is gone."""


class Claims(Protocol):
    """Owns partitions beside the group: `avro_consumer.database.Database`."""

    def claim(self, partitions: Iterable[int]) -> Mapping[int, int | None]:
        """Take partitions over; return the offset at which each one continues, None for the beginning."""


def claimed(claims: Claims, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """The partitions at the offsets of those who own them beside the group.

    Raises:
        NewsroomError: they cannot be taken over.
        Stopped: a signal arrived.
    """
    offsets = claims.claim([place.partition for place in partitions])
    begins = [TopicPartition(place.topic, place.partition) for place in partitions]
    for place in begins:
        if (offset := offsets[place.partition]) is not None:
            place.offset = offset
    return explicit(begins)


def committed(consumer: Consumer, partitions: list[TopicPartition], stop: StopFlag) -> list[TopicPartition]:
    """The partitions at the offsets that the group has committed.

    Raises:
        ClusterUnavailable: the group's coordinator did not answer for `PATIENCE_SECONDS`.
        KafkaException: it refuses.
        Stopped: a signal arrived.
    """
    try:
        return explicit(
            committed_offsets(
                lambda: consumer.committed(partitions, timeout=ATTEMPT_SECONDS), Deadline(PATIENCE_SECONDS), stop
            )
        )
    except KafkaException as error:
        if not is_unreachable(kafka_error(error)):
            raise
        raise ClusterUnavailable(
            f"the coordinator of the group did not tell the committed offsets within {PATIENCE_SECONDS:g} s "
            f"({reason_of(error)}): look at the brokers",
            topic=partitions[0].topic,
        ) from error
