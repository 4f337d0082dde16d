"""Reads a running pipeline through Kafka alone: topics, tables and committed offsets."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from newsroom.errors import NotYet
from newsroom.headers import headers_of
from newsroom.kafka_errors import is_unreachable, reason_of
from newsroom.waiting import Deadline
from newsroom_stack.errors import StackError
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from confluent_kafka import Message

ADMIN_SECONDS = 10.0

POLL_SECONDS = 0.2
READ_SECONDS = 30.0


@dataclass(frozen=True)
class Record:
    """A record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Observer:
    """Reads the committed records of a cluster. It joins no group and commits nothing."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._groups: dict[str, Consumer] = {}

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions.

        Raises:
            StackError: there is no such topic.
        """
        metadata = self._admin.list_topics(topic, timeout=ADMIN_SECONDS).topics[topic]
        if metadata.error is not None:
            raise StackError(f"topic {topic}: {metadata.error.str()}")
        return sorted(metadata.partitions)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Each partition's last stable offset, where a read_committed reader stops.

        Raises:
            StackError: the leaders did not answer within `READ_SECONDS`.
        """

        def attempt() -> dict[int, int]:
            try:
                return self._end_offsets(topic)
            except (KafkaException, TimeoutError, StackError) as error:
                # A new leader may not know the offset yet, and some brokers may not know a new topic yet.
                raise NotYet(reason_of(error)) from error

        return wait_until(
            attempt,
            READ_SECONDS,
            lambda missing: StackError(f"topic {topic}: no end offsets within {READ_SECONDS:g} s ({missing})"),
            pause=POLL_SECONDS,
        )

    def _end_offsets(self, topic: str) -> dict[int, int]:
        specs = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in self.partitions(topic)}
        futures = self._admin.list_offsets(
            specs, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ADMIN_SECONDS
        )
        ends = {partition.partition: future.result(ADMIN_SECONDS).offset for partition, future in futures.items()}
        # If a leader vanishes during the request, librdkafka returns -1001 and no error.
        if silent := sorted(partition for partition, end in ends.items() if end < 0):
            raise StackError(f"the leaders of partitions {silent} did not answer")
        return ends

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offsets of a topic, without partitions that have no commit.

        The result is also empty when no broker answers: a caller that waits for a group tries again.
        """
        client = self._groups.get(group)
        if client is None:
            # A consumer that never joins: librdkafka's admin client may crash while coordinators move (5040).
            client = self._groups[group] = Consumer(
                {"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 0}
            )
        try:
            partitions = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
            commits = client.committed(partitions, timeout=ADMIN_SECONDS)
        except (KafkaException, StackError):
            return {}
        return {commit.partition: commit.offset for commit in commits if commit.error is None and commit.offset >= 0}

    def passed(self, group: str, topic: str, ends: dict[int, int]) -> bool:
        """Whether the group has committed past every record below these end offsets.

        Commit markers and aborted records may follow the last record, and a consumer never commits past those. So
        this reads the gap and checks that it has no record.

        Raises:
            StackError: the gap could not be read in time.
        """
        committed = self.committed(group, topic)
        behind = {number: committed.get(number, 0) for number, end in ends.items() if end > committed.get(number, 0)}
        with closing(self._between(topic, behind, {number: ends[number] for number in behind})) as records:
            return next(records, None) is None

    def read(self, topic: str, since: Mapping[int, int] | None = None, seconds: float = READ_SECONDS) -> list[Record]:
        """Every committed record up to the topic's current end, in order of partition and offset.

        With `since`, the end offsets of an earlier call, only the later records.

        Raises:
            StackError: the end was not reached in time.
        """
        begin = since or {}
        ends = {number: end for number, end in self.end_offsets(topic).items() if end > begin.get(number, 0)}
        records = self._between(topic, begin, ends, seconds)
        return sorted(records, key=lambda record: (record.partition, record.offset))

    def _between(
        self, topic: str, begin: Mapping[int, int], ends: Mapping[int, int], seconds: float = READ_SECONDS
    ) -> Generator[Record, None, None]:
        """The committed records from `begin` (by default the first record) to `ends`."""
        if not ends:
            return
        with closing(self._consumer()) as consumer:
            # Not offset 0: retention may have deleted it.
            consumer.assign([TopicPartition(topic, number, begin.get(number) or OFFSET_BEGINNING) for number in ends])
            yield from _read_to(consumer, topic, ends, seconds)

    def table(self, topic: str) -> dict[str, bytes]:
        """The newest value of every key (UTF-8) of a topic. A tombstone deletes its key."""
        table: dict[str, bytes] = {}
        # One record at a time: a topic's history is much larger than its table. A key's records are in one partition.
        with closing(self._between(topic, {}, self.end_offsets(topic))) as records:
            for record in records:
                if record.key is None:
                    continue
                key = record.key.decode()
                if record.value is None:
                    table.pop(key, None)
                else:
                    table[key] = record.value
        return table

    def counts(self) -> dict[str, int]:
        """The current word counts."""
        return {word: int(value) for word, value in self.table("word-counts").items()}

    def joined(self, since: Mapping[int, int] | None = None) -> list[tuple[str, int, str]]:
        """Every joined result: word, count, label; with `since` only later ones, as in `read`."""
        results = []
        for record in self.read("words-joined", since):
            value: dict[str, Any] = json.loads(record.value or b"{}")
            results.append(((record.key or b"").decode(), int(value["count"]), str(value["label"])))
        return results

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                # Required but never used: the observer assigns partitions itself and commits nothing.
                "group.id": f"observer-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )


def _read_to(consumer: Consumer, topic: str, ends: Mapping[int, int], seconds: float) -> Iterator[Record]:
    deadline = Deadline(seconds)
    open_partitions = set(ends)
    # Not `wait_until`: `consume` is the pause, and each call may yield records.
    while open_partitions:
        if deadline.passed():
            raise StackError(
                f"topic {topic}: partitions {sorted(open_partitions)} not read to their end in {seconds:g} s"
            )
        for message in consumer.consume(1000, POLL_SECONDS):
            if message.error():
                # A partition without a record to read has no position, but it has an end.
                if _is_end(message) and message.offset() >= ends[message.partition()]:
                    open_partitions.discard(message.partition())
            elif message.offset() < ends[message.partition()]:
                yield _record(message)
        # Consumers never get commit markers, but their position passes them. In a topic that is written in
        # transactions only the position shows the end.
        for position in consumer.position([TopicPartition(topic, partition) for partition in open_partitions]):
            if position.offset >= ends[position.partition]:
                open_partitions.discard(position.partition)


def _is_end(message: Message) -> bool:
    """Whether an error only says that its partition has no further record.

    Raises:
        StackError: it is another one, after which the client does not go on by itself.
    """
    error = message.error()
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin so
        return True
    # The client finds the successor of an unreachable leader by itself.
    if not is_unreachable(error):
        raise StackError(f"topic {message.topic()}: {error.str()}")
    return False


def _record(message: Message) -> Record:
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers={name: value or b"" for name, value in headers_of(message)},
    )
