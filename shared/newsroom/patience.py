"""Questions to the one broker that can answer, repeated while coordinators and leaders move.

A broker that stops or returns causes both an assignment and a move of coordinators and leaders. librdkafka then returns
an error instead of asking the new broker, although it already looks for it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from newsroom.errors import NotYet
from newsroom.kafka_errors import UNREACHABLE, kafka_error, raise_errors, reason_of
from newsroom.waiting import Wait, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from newsroom.waiting import Deadline, StopFlag

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
"""The cluster elects a new leader within seconds of the old broker's session timeout. All requests of one assignment
share this limit: there may be one for each partition, and the loop may take 60 s."""

PAUSE_SECONDS = 0.2

MOVING = UNREACHABLE | {KafkaError._UNKNOWN_PARTITION, KafkaError._STATE}  # noqa: SLF001 - librdkafka's own codes
"""Errors while a leader or coordinator moves. A new client does not know a topic's partitions at once, and one with a
new assignment does not fetch at once."""


def patiently(
    ask: Callable[[], T], what: str, deadline: Deadline, stop: StopFlag, refresh: Callable[[], object] = do_nothing
) -> T:
    """Call `ask` until the right broker answers, and return its result; `refresh` looks for that broker.

    Raises:
        KafkaException: another error occurred, or the right broker did not answer before the deadline.
        Stopped: a signal arrived.
    """
    failures: list[KafkaException] = []

    def attempt() -> T:
        try:
            return ask()
        except KafkaException as error:
            if kafka_error(error).code() not in MOVING or deadline.passed():
                raise
            failures.append(error)
            with suppress(KafkaException, TimeoutError):
                refresh()
            raise NotYet(f"the broker for {what} is changing ({reason_of(error)})") from error

    return Wait(deadline, stop, longest_pause=PAUSE_SECONDS).until(attempt, lambda _: failures[-1])


def committed_offsets(
    ask: Callable[[], list[TopicPartition]],
    deadline: Deadline,
    stop: StopFlag,
    refresh: Callable[[], object] = do_nothing,
) -> list[TopicPartition]:
    """The partitions with the offsets that their group has committed; `ask` is the client's `committed`.

    `refresh` is called after each attempt without an answer.

    Raises:
        KafkaException: as `patiently`.
        Stopped: a signal arrived.
    """
    return patiently(lambda: raise_errors(ask()), "committed offsets", deadline, stop, refresh)


def explicit(partitions: list[TopicPartition]) -> list[TopicPartition]:
    """What to assign: the same partitions, those without an offset at their beginning.

    For a partition without an offset the client asks for the committed one. That question is lost for good when the
    coordinator moves, and the partition stands still until the next assignment (confluentinc/librdkafka#5586).
    """
    return [
        place if place.offset >= 0 else TopicPartition(place.topic, place.partition, OFFSET_BEGINNING)
        for place in partitions
    ]
