"""Writes the input of a task to the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Producer

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom_lab.write.task import Pair

STORED_SECONDS = 60.0
"""A broker that dies takes the leaders of its partitions away for a few seconds."""


class Feeder:
    """Writes records, each once."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 0,
                "log_level": 0,
            }
        )

    def send(self, pairs: Sequence[Pair]) -> None:
        """Write records and wait until they are stored.

        Raises:
            StackError: the brokers did not take them.
        """
        for key, value in pairs:
            self._producer.produce(self._topic, key=key, value=value)
        if left := self._producer.flush(STORED_SECONDS):
            raise StackError(f"topic {self._topic}: {left} records of the input were not stored; try again")
