"""What the programs beside this file share: clients from the variables of the lab, and a loop that ends at SIGTERM."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer

STOP: list[int] = []


def handle_stop(number: int, _: FrameType | None) -> None:
    """Note that the program must end."""
    STOP.append(number)


signal.signal(signal.SIGTERM, handle_stop)


def consumer(**settings: Any) -> Consumer:  # noqa: ANN401 - librdkafka's values
    """A member of the group."""
    config = {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        "group.id": os.environ["LAB_GROUP"],
        "session.timeout.ms": int(os.environ["LAB_SESSION_MS"]),
        "heartbeat.interval.ms": 500,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    return Consumer(config | settings)


def producer(**settings: Any) -> Producer:  # noqa: ANN401
    """A producer that partitions as Java does."""
    config = {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "linger.ms": 5,
    }
    return Producer(config | settings)


def copy(to: Producer, batch: list[Message]) -> None:
    """Send a copy of each record."""
    for message in batch:
        to.produce(os.environ["LAB_OUTPUT"], message.value(), message.key())
        to.poll(0)


def commit(member: Consumer) -> bool:
    """Commit what was read; whether this member still owned it."""
    try:
        member.commit(asynchronous=False)
    except KafkaException:
        return False  # there is nothing to commit, or the partitions have another owner
    return True


def serve(member: Consumer, handle: Callable[[list[Message]], None], size: int = 100) -> None:
    """Give each batch to `handle` until SIGTERM."""
    member.subscribe([os.environ["LAB_INPUT"]])
    while not STOP:
        batch = [message for message in member.consume(size, 0.5) if not message.error()]
        if batch:
            handle(batch)
    member.close()
