"""Quix's consumer, patient with a cluster whose coordinators and leaders are just moving.

On every assignment Quix asks for committed offsets and for the ends of partitions, once each, and gives up the
replica at any error. That is also the moment at which a coordinator or a leader has most likely just moved: both
the assignment and the move come of a broker that went or came back. librdkafka returns such an error instead of
asking the new one, and has begun to look for it by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import Consumer, KafkaException
from typing_extensions import override

from newsroom.errors import ClusterUnavailable, NotYet
from newsroom.kafka_errors import UNREACHABLE, kafka_error, raise_errors, reason_of
from newsroom.waiting import Deadline, StopFlag, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import TopicPartition

T = TypeVar("T")

PATIENCE_SECONDS = 15.0
"""How long an answer is asked for again: a broker is elected within seconds of the session timeout (9 s) of the
one before it. All questions of one assignment share it: they are one for each partition, and the loop may take 60 s."""

PAUSE_SECONDS = 0.2


class PatientConsumer(Consumer):  # type: ignore[misc]
    """A consumer that asks again for what only the right broker can answer, for `PATIENCE_SECONDS` or until a stop."""

    def __init__(self, config: dict[str, object], stop: StopFlag) -> None:
        super().__init__(config)
        self._stop = stop
        self._deadline = Deadline(PATIENCE_SECONDS)

    @override
    def assign(self, partitions: list[TopicPartition]) -> None:
        """Take partitions, as `confluent_kafka.Consumer.assign`; with them patience begins anew."""
        self._deadline = Deadline(PATIENCE_SECONDS)
        super().assign(partitions)

    @override
    def committed(self, partitions: list[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        """The group's committed offsets, as `confluent_kafka.Consumer.committed`."""

        def ask() -> list[TopicPartition]:
            commits: list[TopicPartition] = super(PatientConsumer, self).committed(partitions, timeout=timeout)
            raise_errors(commits)
            return commits

        return patiently(ask, "committed offsets", self._deadline, self._stop)

    @override
    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int] | None:
        """A partition's low and high watermark, as `confluent_kafka.Consumer.get_watermark_offsets`."""

        def ask() -> tuple[int, int] | None:
            ends: tuple[int, int] | None = super(PatientConsumer, self).get_watermark_offsets(
                partition, timeout=timeout, cached=cached
            )
            return ends

        return patiently(
            ask, f"the ends of {partition.topic} partition {partition.partition}", self._deadline, self._stop
        )


def patiently(ask: Callable[[], T], what: str, deadline: Deadline, stop: StopFlag) -> T:
    """Call `ask` again while its broker moves, and return its result.

    Raises:
        KafkaException: another error, or the right broker did not answer before the deadline.
        Stopped: a signal came meanwhile.
    """

    def attempt() -> T:
        try:
            return ask()
        except KafkaException as error:
            if kafka_error(error).code() in UNREACHABLE and not deadline.passed():
                raise NotYet(f"the broker for {what} is changing ({reason_of(error)})") from error
            raise

    return Wait(deadline, stop, longest_pause=PAUSE_SECONDS).until(attempt, ClusterUnavailable)
