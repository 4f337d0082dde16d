"""Reads a cluster without taking part in it: no group, no commits. The edge to Kafka."""

from __future__ import annotations

import time
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Self, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from newsroom.errors import NotYet
from newsroom.headers import headers_of
from newsroom.kafka_errors import is_unreachable, reason_of
from newsroom.waiting import Deadline, Wait, do_nothing
from newsroom_audit.errors import AuditError
from newsroom_audit.history import Ends, Offsets, Record, Sample, Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from newsroom.settings import KafkaSettings

ADMIN_SECONDS = 10.0
"""How long one question to the cluster may take."""

ANSWER_SECONDS = 60.0
"""How long to repeat a question while brokers restart or partitions have no leader."""

STALL_SECONDS = 60.0
"""How long a read may go on without a new record. A long read is not an error, a stuck one is."""

PAUSE_SECONDS = 0.2
BATCH = 1000
PROGRESS_SECONDS = 5.0

CLIENT = "newsroom-audit"

T = TypeVar("T")


class ClusterReader:
    """Reads topics, ends and committed offsets. `close` it at the end, or use it in a `with` statement."""

    def __init__(self, settings: KafkaSettings, progress: Callable[[str], None] = do_nothing) -> None:
        self._settings = settings
        self._progress = progress
        self._admin = AdminClient(settings.client_config(CLIENT) | {"log_level": 0})
        self._groups: dict[str, Consumer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the clients."""
        for client in self._groups.values():
            client.close()
        self._groups.clear()

    def topics(self) -> dict[str, list[int]]:
        """The partitions of each topic.

        Raises:
            AuditError: no broker answered.
        """
        return self._ask("the list of topics", self._topics)

    def _topics(self) -> dict[str, list[int]]:
        topics = self._admin.list_topics(timeout=ADMIN_SECONDS).topics
        return {name: sorted(topic.partitions) for name, topic in topics.items() if topic.error is None}

    def ends(self, topic: str) -> dict[int, Ends]:
        """The log start, the high watermark and the last stable offset of each partition.

        Raises:
            AuditError: the topic does not exist, or its leaders did not answer.
        """
        partitions = self._partitions(topic)
        begin = self._offsets(topic, partitions, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)
        stable = self._offsets(topic, partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)
        # Last: an end that is sampled earlier could be below a stable offset of later.
        high = self._offsets(topic, partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
        return {number: Ends(begin[number], high[number], stable[number]) for number in partitions}

    def _partitions(self, topic: str) -> list[int]:
        partitions = self.topics().get(topic)
        if not partitions:
            raise AuditError(f"topic {topic} does not exist at {self._settings.bootstrap_servers}")
        return partitions

    def _offsets(self, topic: str, partitions: list[int], spec: OffsetSpec, isolation: IsolationLevel) -> Offsets:
        def attempt() -> Offsets:
            asked = {TopicPartition(topic, number): spec for number in partitions}
            futures = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=ADMIN_SECONDS)
            offsets = {where.partition: future.result(ADMIN_SECONDS).offset for where, future in futures.items()}
            # Of a leader that goes away under the question librdkafka gives -1001, and no error.
            if silent := sorted(number for number, offset in offsets.items() if offset < 0):
                raise NotYet(f"the leaders of partitions {silent} did not answer")
            return offsets

        return self._ask(f"the offsets of topic {topic}", attempt)

    def _ask(self, what: str, attempt: Callable[[], T]) -> T:
        def transient() -> T:
            try:
                return attempt()
            except (KafkaException, TimeoutError, NotYet) as error:
                # While a leader moves, its successor may not know yet; nor does every broker know a new topic. That a
                # leader refuses a request does not make librdkafka's admin client read again who leads.
                with suppress(KafkaException):
                    self._topics()
                raise NotYet(reason_of(error)) from error

        wait = Wait(Deadline(ANSWER_SECONDS), first_pause=PAUSE_SECONDS, longest_pause=PAUSE_SECONDS, report=do_nothing)
        where = self._settings.bootstrap_servers
        return wait.until(
            transient,
            lambda missing: AuditError(
                f"the brokers at {where} did not give {what} within {ANSWER_SECONDS:g} s ({missing}): check that they "
                "run and that --bootstrap-servers names them"
            ),
        )

    def committed(self, group: str, topic: str) -> Offsets:
        """The group's committed offsets of a topic; partitions without a commit are left out.

        Raises:
            AuditError: the topic does not exist, or the group's coordinator did not answer.
        """
        client = self._groups.get(group)
        if client is None:
            # It never joins. librdkafka's admin client would crash the process while coordinators move (5040).
            client = self._groups[group] = Consumer(self._settings.consumer_config(CLIENT, group) | {"log_level": 0})
        partitions = [TopicPartition(topic, number) for number in self._partitions(topic)]

        def attempt() -> Offsets:
            answers = client.committed(partitions, timeout=ADMIN_SECONDS)
            for answer in answers:
                if answer.error is not None:
                    raise KafkaException(answer.error)
            return {answer.partition: answer.offset for answer in answers if answer.offset >= 0}

        return self._ask(f"the offsets that group {group} committed of topic {topic}", attempt)

    def sample(self, groups: Mapping[str, Iterable[str]], outputs: Iterable[str]) -> Sample:
        """Committed offsets of groups (each with its topics) now, and then the ends of the outputs.

        Raises:
            AuditError: the cluster did not answer.
        """
        committed = {
            (group, topic): self.committed(group, topic) for group, topics in groups.items() for topic in topics
        }
        ends = {topic: self.ends(topic) for topic in outputs}
        stable = {topic: {number: end.stable for number, end in parts.items()} for topic, parts in ends.items()}
        high = {topic: {number: end.high for number, end in parts.items()} for topic, parts in ends.items()}
        return Sample(time.time(), committed, stable, high)

    def stable(self, topic: str) -> Offsets:
        """The last stable offset of each partition: where a read_committed reader stops.

        Raises:
            AuditError: the topic does not exist, or its leaders did not answer.
        """
        partitions = self._partitions(topic)
        return self._offsets(topic, partitions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)

    def read(self, topic: str, *, committed: bool = True) -> Topic:
        """All records of a topic up to its end as it is now.

        `committed`: as a read_committed reader, up to the last stable offset. Otherwise up to the high watermark, with
        aborted records and those of open transactions.

        Raises:
            AuditError: the topic does not exist, or a partition could not be read to its end.
        """
        ends = self.ends(topic)
        limits = {number: end.stable if committed else end.high for number, end in ends.items()}
        records = list(self._records(topic, {number: ends[number].begin for number in ends}, limits, committed))
        records.sort(key=lambda record: (record.partition, record.offset))
        return Topic(topic, records, ends)

    def passed(self, group: str, topic: str, limits: Mapping[int, int]) -> bool:
        """Whether the group has committed past every committed record below these offsets.

        Behind the last record may lie transaction markers and aborted records, which nobody commits past. So what lies
        between is read.

        Raises:
            AuditError: the cluster did not answer.
        """
        committed = self.committed(group, topic)
        behind = {number: committed.get(number, 0) for number, end in limits.items() if end > committed.get(number, 0)}
        ends = {number: limits[number] for number in behind}
        with closing(self._records(topic, behind, ends, True)) as records:
            return next(records, None) is None

    def _records(
        self, topic: str, begin: Mapping[int, int], limits: Mapping[int, int], committed: bool
    ) -> Generator[Record, None, None]:
        """The records from `begin` to `limits`, in the order in which they come."""
        behind = [number for number, limit in limits.items() if limit > begin.get(number, 0)]
        if not behind:
            return
        isolation = "read_committed" if committed else "read_uncommitted"
        consumer = Consumer(
            # A group id is required, and never used: partitions are assigned by hand, nothing is committed.
            self._settings.consumer_config(CLIENT, f"{CLIENT}-{uuid.uuid4()}", isolation_level=isolation)
            | {"log_level": 0}
        )
        try:
            # Offset 0 may be deleted; where records begin it knows by itself.
            consumer.assign([TopicPartition(topic, number, begin[number] or OFFSET_BEGINNING) for number in behind])
            yield from self._poll(consumer, topic, {number: limits[number] for number in behind})
        finally:
            consumer.close()

    def _poll(self, consumer: Consumer, topic: str, limits: Mapping[int, int]) -> Iterator[Record]:
        unread, number = set(limits), 0
        positions: Offsets = {}
        stall, report = Deadline(STALL_SECONDS), Deadline(PROGRESS_SECONDS)
        while unread:
            for message in consumer.consume(BATCH, PAUSE_SECONDS):
                if message.error():
                    # A broker that went away is the client's business: it finds the next leader by itself.
                    if not is_unreachable(message.error()):
                        raise AuditError(f"topic {topic} cannot be read: {message.error().str()}")
                elif message.offset() < limits[message.partition()]:
                    number += 1
                    yield _record(message)
            # The position steps over transaction markers, which are never delivered: only it tells the end of a topic
            # that is written in transactions.
            answers = consumer.position([TopicPartition(topic, partition) for partition in unread])
            now = {answer.partition: answer.offset for answer in answers}
            unread -= {partition for partition, offset in now.items() if offset >= limits[partition]}
            if now != positions:
                positions, stall = now, Deadline(STALL_SECONDS)
            elif stall.passed():
                where = {partition: (max(0, now[partition]), limits[partition]) for partition in sorted(unread)}
                raise AuditError(
                    f"topic {topic} gave no record for {STALL_SECONDS:g} s; partitions with position and end: {where}"
                )
            if report.passed():
                report = Deadline(PROGRESS_SECONDS)
                self._progress(f"{topic}: {number:,} records read, {len(unread)} partitions are left")


def _record(message: Message) -> Record:
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
    )
