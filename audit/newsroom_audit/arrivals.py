"""Watches outputs become visible: when a read_committed reader got each record, and when each group committed.

Samples (`newsroom_audit.reader`) ask every leader and wait for a dead one. A reader goes on with the others, so only it
can tell how long an output was silent while a broker was away.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from newsroom.kafka_errors import is_unreachable
from newsroom_audit.errors import AuditError
from newsroom_audit.reader import CLIENT, ClusterReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    from newsroom.settings import KafkaSettings

COMMITS = "__consumer_offsets"
"""Where coordinators write what groups commit."""

OFFSET_KEYS = frozenset({0, 1})
"""Versions of the keys of `__consumer_offsets` that hold a committed offset (Kafka's OffsetCommitKey.json)."""

POLL_SECONDS = 0.1
BATCH = 1000

QUICK = {
    "topic.metadata.refresh.interval.ms": 1000,
    "reconnect.backoff.max.ms": 500,
    "socket.timeout.ms": 2000,
    "fetch.wait.max.ms": 100,
    "log_level": 0,
}
"""The watcher must find a new leader sooner than what it watches."""


class Arrivals:
    """Reads topics and the groups' commits from now on, in a thread, while it is entered.

    `times` has the seconds since 1970 at which a record of a topic arrived, or a group's commit, by their names. A
    commit in a transaction arrives when the transaction is complete.
    """

    def __init__(self, settings: KafkaSettings, topics: Iterable[str], groups: Iterable[str]) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self._groups = frozenset(groups)
        self._settings = settings
        self._topics = [*topics, COMMITS]
        self._ended = threading.Event()
        self._failures: list[AuditError] = []
        self._thread = threading.Thread(target=self._read, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        config = self._settings.consumer_config(CLIENT, f"{CLIENT}-arrivals", isolation_level="read_committed")
        self._consumer = Consumer(config | QUICK)
        with ClusterReader(self._settings) as reader:
            ends = {topic: reader.stable(topic) for topic in self._topics}
        self._consumer.assign(
            [TopicPartition(topic, number, end) for topic, offsets in ends.items() for number, end in offsets.items()]
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()
        if self._failures:
            raise self._failures[0]

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                messages = self._consumer.consume(BATCH, POLL_SECONDS)
                now = time.time()
                for message in messages:
                    self._note(message, now)
            except (AuditError, KafkaException) as error:
                self._failures.append(error if isinstance(error, AuditError) else AuditError(str(error)))
                return

    def _note(self, message: Message, now: float) -> None:
        if message.error():
            if not is_unreachable(message.error()):
                raise AuditError(f"topic {message.topic()} cannot be watched: {message.error().str()}")
        elif message.topic() != COMMITS:
            self.times[message.topic()].append(now)
        elif message.value() is not None and (group := committing_group(message.key())) in self._groups:
            self.times[group].append(now)


def committing_group(key: bytes) -> str:
    """The group of a key of `__consumer_offsets`; empty for keys that hold no committed offset."""
    version, length = struct.unpack_from(">hh", key)
    return key[4 : 4 + length].decode() if version in OFFSET_KEYS else ""
