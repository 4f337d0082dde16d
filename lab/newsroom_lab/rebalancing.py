"""Consumers of an experiment's own that share a topic, and who of them owned which partition when."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from confluent_kafka import Consumer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import TopicPartition

POLL_SECONDS = 0.05
STOP_SECONDS = 30.0

CLASSIC = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
PROTOCOLS: Mapping[str, Mapping[str, object]] = {
    "eager": {"partition.assignment.strategy": "range", **CLASSIC},
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky", **CLASSIC},
    "KIP-848": {"group.protocol": "consumer"},
}
"""The ways in which a group shares partitions, as properties of librdkafka."""


class Member:
    """A consumer in a thread of its own. It polls and commits nothing; what counts is what it owns.

    `work` is how long it is busy after each poll, in seconds: a client hears of a rebalance when it polls.
    """

    def __init__(self, bootstrap: str, topic: str, group: str, protocol: str, work: float) -> None:
        self.spans: list[tuple[int, float, float]] = []
        """Partition, since when and until when it was owned (Unix seconds)."""
        self.polls = 0
        """How often it has polled."""
        self._since: dict[int, float] = {}
        self._work = work
        self._stop = threading.Event()
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 0}
            | dict(PROTOCOLS[protocol])
        )
        self._consumer.subscribe([topic], on_assign=self._gain, on_revoke=self._lose, on_lost=self._lose)
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _gain(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._since |= {partition.partition: time.time() for partition in partitions}

    def _lose(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            if partition.partition in self._since:
                self.spans.append((partition.partition, self._since.pop(partition.partition), time.time()))

    def _poll(self) -> None:
        while not self._stop.is_set():
            self._consumer.poll(POLL_SECONDS)
            self.polls += 1
            self._stop.wait(self._work)
        self._consumer.close()

    @property
    def owned(self) -> set[int]:
        """The partitions that it owns now."""
        return set(self._since)

    def stop(self) -> None:
        """Leave the group."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)


class Members:
    """The members of a group, in the order of their start."""

    def __init__(self, bootstrap: str, topic: str, group: str, protocol: str) -> None:
        self._arguments = (bootstrap, topic, group, protocol)
        self._members: list[Member] = []
        self.start = time.time()

    def add(self, work: float = 0) -> None:
        """Start one more, which is busy for so many seconds after each poll."""
        self._members.append(Member(*self._arguments, work))

    def polls(self) -> list[int]:
        """How often each of them has polled."""
        return [member.polls for member in self._members]

    def owned(self) -> list[set[int]]:
        """What each of them owns now."""
        return [member.owned for member in self._members]

    def sizes(self) -> list[int]:
        """How many partitions each of them owns now."""
        return sorted(map(len, self.owned()))

    def stop(self) -> None:
        """End all of them."""
        for member in self._members:
            member.stop()

    def lanes(self, partitions: int) -> dict[int, list[tuple[float, float, str]]]:
        """For each partition from when to when (seconds since the start) which member owned it."""
        lanes: dict[int, list[tuple[float, float, str]]] = {number: [] for number in range(partitions)}
        for name, member in enumerate(self._members, 1):
            for partition, since, until in member.spans:
                lanes[partition].append((since - self.start, until - self.start, f"member {name}"))
        return {number: sorted(spans) for number, spans in lanes.items()}


@contextmanager
def members(bootstrap: str, topic: str, group: str, protocol: str) -> Iterator[Members]:
    """A group without members yet; they end with the block."""
    crowd = Members(bootstrap, topic, group, protocol)
    try:
        yield crowd
    finally:
        crowd.stop()
