"""Looking at a running pipeline from outside, through Kafka alone: tables, topics, committed offsets."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from newsroom.errors import NotYet
from newsroom.kafka_errors import is_unreachable, reason_of
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
    """A record as it lies in a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


class Observer:
    """Reads a cluster without taking part in it: no group, no commits, committed transactions only."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._groups: dict[str, Consumer] = {}

    def partitions(self, topic: str) -> list[int]:
        """The topic's partitions.

        Raises:
            StackError: there is no such topic.
        """
        found = self._admin.list_topics(topic, timeout=ADMIN_SECONDS).topics[topic]
        if found.error is not None:
            raise StackError(f"topic {topic}: {found.error.str()}")
        return sorted(found.partitions)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Each partition's last stable offset: where a read_committed reader would stop.

        Raises:
            StackError: the leaders did not tell within `READ_SECONDS`.
        """

        def attempt() -> dict[int, int]:
            try:
                return self._end_offsets(topic)
            except (KafkaException, TimeoutError, StackError) as error:
                # While a leader moves, its successor may not know yet; nor does every broker know a new topic.
                raise NotYet(reason_of(error)) from error

        return wait_until(
            attempt,
            READ_SECONDS,
            lambda missing: StackError(f"topic {topic}: no end offsets within {READ_SECONDS:g} s ({missing})"),
            pause=POLL_SECONDS,
        )

    def _end_offsets(self, topic: str) -> dict[int, int]:
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in self.partitions(topic)}
        futures = self._admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ADMIN_SECONDS
        )
        ends = {where.partition: future.result(ADMIN_SECONDS).offset for where, future in futures.items()}
        # Of a leader that goes away under the question librdkafka gives -1001, and no error.
        if silent := sorted(partition for partition, end in ends.items() if end < 0):
            raise StackError(f"the leaders of partitions {silent} did not answer")
        return ends

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offsets of a topic; partitions without a commit are left out.

        Empty too when no broker tells just now: who waits for a group asks again.
        """
        client = self._groups.get(group)
        if client is None:
            # It never joins. librdkafka's admin client would crash the process while coordinators move (5040).
            client = self._groups[group] = Consumer(
                {"bootstrap.servers": self.bootstrap, "group.id": group, "log_level": 0}
            )
        try:
            asked = [TopicPartition(topic, partition) for partition in self.partitions(topic)]
            found = client.committed(asked, timeout=ADMIN_SECONDS)
        except (KafkaException, StackError):
            return {}
        return {each.partition: each.offset for each in found if each.error is None and each.offset >= 0}

    def passed(self, group: str, topic: str, ends: dict[int, int]) -> bool:
        """Whether the group has committed past every record below these end offsets.

        Behind the last record may lie commit markers and what was aborted: nobody reads those, and nobody commits
        past them. So what lies between is read.

        Raises:
            StackError: it could not be read in time.
        """
        committed = self.committed(group, topic)
        behind = {number: committed.get(number, 0) for number, end in ends.items() if end > committed.get(number, 0)}
        with closing(self._between(topic, behind, {number: ends[number] for number in behind})) as records:
            return next(records, None) is None

    def read(self, topic: str, since: Mapping[int, int] | None = None, seconds: float = READ_SECONDS) -> list[Record]:
        """Every committed record of a topic up to its end as it is now, partition by partition in order.

        `since` are end offsets as an earlier call gave them: what was there before is left out.

        Raises:
            StackError: the end was not reached in time.
        """
        begin = since or {}
        ends = {number: end for number, end in self.end_offsets(topic).items() if end > begin.get(number, 0)}
        found = list(self._between(topic, begin, ends, seconds))
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def _between(
        self, topic: str, begin: Mapping[int, int], ends: Mapping[int, int], seconds: float = READ_SECONDS
    ) -> Generator[Record, None, None]:
        """The committed records from `begin`, by default the first, to `ends`."""
        if not ends:
            return
        consumer = self._consumer()
        try:
            # Offset 0 may be deleted; where records begin it knows by itself.
            where = [TopicPartition(topic, number, begin.get(number) or OFFSET_BEGINNING) for number in ends]
            consumer.assign(where)
            yield from _read_to(consumer, topic, ends, seconds)
        finally:
            consumer.close()

    def table(self, topic: str) -> dict[str, bytes]:
        """The newest value of every key (UTF-8) of a topic; tombstones delete."""
        table: dict[str, bytes] = {}
        for record in self.read(topic):
            if record.key is None:
                continue
            key = record.key.decode()
            if record.value is None:
                table.pop(key, None)
            else:
                table[key] = record.value
        return table

    def counts(self) -> dict[str, int]:
        """The word counts as they are now."""
        return {word: int(value) for word, value in self.table("word-counts").items()}

    def joined(self, since: Mapping[int, int] | None = None) -> list[tuple[str, int, str]]:
        """Every joined result: word, count, label; with `since` only later ones, as `read` has it."""
        results = []
        for record in self.read("words-joined", since):
            value: dict[str, Any] = json.loads(record.value or b"{}")
            results.append(((record.key or b"").decode(), int(value["count"]), str(value["label"])))
        return results

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                # A group id is required, and never used: partitions are assigned by hand, nothing is committed.
                "group.id": f"observer-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )


def _read_to(consumer: Consumer, topic: str, ends: Mapping[int, int], seconds: float) -> Iterator[Record]:
    deadline = time.monotonic() + seconds
    open_partitions = set(ends)
    while open_partitions:
        if time.monotonic() > deadline:
            raise StackError(
                f"topic {topic}: partitions {sorted(open_partitions)} not read to their end in {seconds:g} s"
            )
        for message in consumer.consume(1000, POLL_SECONDS):
            if message.error():
                # A broker that went away is the client's business: it finds the next leader by itself.
                if not is_unreachable(message.error()):
                    raise StackError(f"topic {topic}: {message.error().str()}")
            elif message.offset() < ends[message.partition()]:
                yield _record(message)
        # The position steps over commit markers, which are never delivered: only it tells the end of a topic
        # that is written in transactions.
        for where in consumer.position([TopicPartition(topic, partition) for partition in open_partitions]):
            if where.offset >= ends[where.partition]:
                open_partitions.discard(where.partition)


def _record(message: Message) -> Record:
    return Record(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers={
            name: value if isinstance(value, bytes) else str(value).encode() for name, value in message.headers() or []
        },
    )
