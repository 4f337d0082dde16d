"""Clients of an experiment's own: what they sent, what their client counted, and what a reader gets."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Pair = tuple[str | None, str | bytes | None]
"""Key and value of a record."""

FLUSH_SECONDS = 60.0
STATISTICS_SECONDS = 0.1
READ_SECONDS = 20.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Sending:
    """What a producer did."""

    sent: int
    acknowledged: int
    errors: tuple[str, ...]
    """Why the others were not acknowledged."""
    requests: int
    """Produce requests."""
    bytes: int
    """What went over the wire, in bytes."""
    seconds: float


def send(
    bootstrap: str,
    topic: str,
    records: Iterable[Pair],
    pace: float,
    config: Mapping[str, object],
) -> Sending:
    """Write records and wait for each acknowledgement; `pace` is the pause after each, in seconds."""
    statistics: list[dict[str, Any]] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "log_level": 0,
            "statistics.interval.ms": int(1000 * STATISTICS_SECONDS),
            "stats_cb": lambda text: statistics.append(json.loads(text)),
            **config,
        }
    )
    # Records that come before the client knows the topic's partitions are spread by chance.
    producer.list_topics(topic, timeout=FLUSH_SECONDS)
    start = time.monotonic()
    sent, answers = _delivered(producer, topic, records, pace)
    seconds = time.monotonic() - start
    done = len(statistics)
    while len(statistics) == done:  # the next report counts the last request, too
        producer.poll(STATISTICS_SECONDS)
    brokers = statistics[-1]["brokers"].values()
    return Sending(
        sent=sent,
        acknowledged=answers.count(None),
        errors=tuple(sorted({error for error in answers if error is not None})),
        requests=sum(broker["req"]["Produce"] for broker in brokers),
        bytes=sum(broker["txbytes"] for broker in brokers),
        seconds=seconds,
    )


def _delivered(
    producer: Producer, topic: str, records: Iterable[Pair], pace: float
) -> tuple[int, Sequence[str | None]]:
    """Send records; return their number, and what became of each: the error, or None if it was acknowledged."""
    answers: list[str | None] = []
    sent = 0
    for key, value in records:
        producer.produce(
            topic, key=key, value=value, on_delivery=lambda error, _: answers.append(error and error.str())
        )
        sent += 1
        producer.poll(pace)
    left = producer.flush(FLUSH_SECONDS)
    return sent, [*answers, *["no answer"] * left]


def transactional(bootstrap: str, name: str, config: Mapping[str, object]) -> Producer:
    """A producer of this transactional id that may begin its first transaction.

    Raises:
        KafkaException: the cluster does not let it.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": name,
            "partitioner": "murmur2_random",
            "log_level": 0,
            # A producer that is fenced is part of an experiment: without this the client writes to standard error.
            "error_cb": lambda _: None,
            **config,
        }
    )
    producer.init_transactions(FLUSH_SECONDS)
    return producer


def visible(bootstrap: str, topic: str, partitions: Iterable[int], isolation: str) -> list[bytes]:
    """The values that a reader of this isolation level gets from a topic now.

    Raises:
        KafkaException: the topic could not be read.
        TimeoutError: its end was not reached in `READ_SECONDS`.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "lab-visible",  # required, and never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
    values, left = [], set(partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in left])
    deadline = Deadline(READ_SECONDS)
    try:
        while left and not deadline.passed():
            for message in consumer.consume(1000, POLL_SECONDS):
                error = message.error()
                if error is None:
                    values.append(message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - it is librdkafka's name
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    if left:
        raise TimeoutError(f"topic {topic}: partitions {sorted(left)} not read to their end in {READ_SECONDS:g} s")
    return values
