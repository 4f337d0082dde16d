"""A consumer for Quix that retries while coordinators and leaders move.

On every assignment Quix requests committed offsets and the ends of partitions once, and any error stops the replica.
A broker that stops or returns causes both the assignment and a move of coordinators and leaders. librdkafka then
returns an error instead of asking the new broker, although it already looks for it.
"""

from __future__ import annotations

from functools import partial
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
"""The cluster elects a new leader within seconds of the old broker's session timeout (9 s). All requests of one
assignment share this limit: there is one for each partition, and the loop may take 60 s."""

PAUSE_SECONDS = 0.2


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Repeats requests that only the right broker can answer, for `PATIENCE_SECONDS` or until a stop."""

    def __init__(self, config: dict[str, object], stop: StopFlag) -> None:
        super().__init__(config)
        self._stop = stop
        self._deadline = Deadline(PATIENCE_SECONDS)

    @override
    def assign(self, partitions: list[TopicPartition]) -> None:
        """As `confluent_kafka.Consumer.assign`; each assignment starts `PATIENCE_SECONDS` again."""
        self._deadline = Deadline(PATIENCE_SECONDS)
        super().assign(partitions)

    @override
    def committed(self, partitions: list[TopicPartition], timeout: float = -1) -> list[TopicPartition]:
        """As `confluent_kafka.Consumer.committed`, with retries."""
        ask: Callable[[], list[TopicPartition]] = partial(super().committed, partitions, timeout=timeout)
        return patiently(lambda: raise_errors(ask()), "committed offsets", self._deadline, self._stop)

    @override
    def get_watermark_offsets(
        self, partition: TopicPartition, timeout: float = -1, cached: bool = False
    ) -> tuple[int, int] | None:
        """As `confluent_kafka.Consumer.get_watermark_offsets`, with retries."""
        ask: Callable[[], tuple[int, int] | None] = partial(
            super().get_watermark_offsets, partition, timeout=timeout, cached=cached
        )
        place = f"{partition.topic} partition {partition.partition}"
        return patiently(ask, f"the ends of {place}", self._deadline, self._stop)


def patiently(ask: Callable[[], T], what: str, deadline: Deadline, stop: StopFlag) -> T:
    """Call `ask` until the right broker answers, and return its result.

    Raises:
        KafkaException: another error occurred, or the right broker did not answer before the deadline.
        Stopped: a signal arrived.
    """

    def attempt() -> T:
        try:
            return ask()
        except KafkaException as error:
            if kafka_error(error).code() in UNREACHABLE and not deadline.passed():
                raise NotYet(f"the broker for {what} is changing ({reason_of(error)})") from error
            raise

    return Wait(deadline, stop, longest_pause=PAUSE_SECONDS).until(attempt, ClusterUnavailable)
