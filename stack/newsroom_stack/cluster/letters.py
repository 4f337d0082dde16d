"""Dead letters: what their headers say, how they are sent again exactly once, and how they are deleted.

The position of the replay is the committed offset of a group, and goes into the transaction of the records that it
stands for. A replay that is killed has sent both or neither. The transactional id fences a second replay.
"""

from __future__ import annotations

import ctypes
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from newsroom.access import Right
from newsroom.crash import AFTER_COMMIT, AFTER_EFFECT, BEFORE_COMMIT, BEFORE_EFFECT, crash_point
from newsroom.dead_letters import REPLAYS, WHOLE_BYTES
from newsroom.errors import NotYet
from newsroom.kafka_errors import FENCED, kafka_error, raise_errors, reason_of
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom_stack.cluster.connection import ADMIN_SECONDS, CLIENT, CLIENT_LOG, Cluster, Place
from newsroom_stack.cluster.reading import Header, Record, read
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from confluent_kafka.admin import AdminClient

OURS, CONNECT = "dlq.", "__connect.errors."
"""The prefixes of the headers that say where a dead letter comes from: avro-consumer's, and Kafka Connect's."""

BATCH = 500
"""Records of one transaction."""

TRANSACTION_SECONDS = 30.0


@dataclass(frozen=True)
class Letter:
    """A dead letter and what its headers say."""

    record: Record

    def header(self, *names: str) -> str:
        """The text of the last header with one of these names; empty if there is none."""
        for name in names:
            values = [value for key, value in self.record.headers if key == name]
            if values:
                return (values[-1] or b"").decode(errors="backslashreplace")
        return ""

    @property
    def topic(self) -> str:
        """The topic that it comes from; empty if no header says it."""
        return self.header("dlq.origin.topic", CONNECT + "topic")

    @property
    def partition(self) -> int | None:
        """The partition that it comes from."""
        return _number(self.header("dlq.origin.partition", CONNECT + "partition"))

    @property
    def offset(self) -> int | None:
        """Its offset there."""
        return _number(self.header("dlq.origin.offset", CONNECT + "offset"))

    @property
    def origin(self) -> str:
        """Where it comes from, for a reader."""
        return f"{self.topic} {self.partition}:{self.offset}" if self.topic else "unknown"

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self.header("dlq.error", CONNECT + "exception.message")

    @property
    def rounds(self) -> int:
        """How often it was sent again already."""
        return _number(self.header(REPLAYS)) or 0

    @property
    def cut(self) -> bool:
        """Whether it is not the whole record."""
        return any(name == WHOLE_BYTES for name, _ in self.record.headers)

    def headers(self) -> list[Header]:
        """The headers to send it again with: the record's own, and the number of the round."""
        own = [header for header in self.record.headers if not header[0].startswith((OURS, CONNECT))]
        return [*own, (REPLAYS, str(self.rounds + 1).encode())]


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def letters(cluster: Cluster, topic: str, begins: Mapping[Place, int] | None = None) -> Iterator[Letter]:
    """The dead letters of a topic, from `begins` or all of them."""
    places = [(topic, number) for number in cluster.partitions(topic)]
    starts = begins or cluster.begins(places)
    return (Letter(record) for record in read(cluster, starts, cluster.ends(places, committed=True)))


def one(cluster: Cluster, topic: str, partition: int, offset: int) -> Record:
    """The record at a place.

    Raises:
        StackError: there is none.
    """
    place = (topic, partition)
    if partition in cluster.partitions(topic):
        begin, end = cluster.begins([place])[place], cluster.ends([place], committed=True)[place]
        if begin <= offset < end:
            for record in read(cluster, {place: offset}, {place: offset + 1}):
                return record
    raise StackError(f"topic {topic} has no record at {partition}:{offset}: 'newsroom dlq list' shows the places")


def replay_group(topic: str) -> str:
    """The group whose committed offsets are the position of the replay."""
    return f"newsroom-replay-{topic}"


@dataclass
class Outcome:
    """What a replay has done so far."""

    sent: int = 0
    left: int = 0
    """Letters without a known origin, and letters that were cut."""


class Replay:
    """Sends the dead letters that no earlier replay has sent to the topics that they come from, once each."""

    def __init__(self, cluster: Cluster, topic: str, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._topic = topic
        self._say = say
        self._group = replay_group(topic)
        self._places = [(topic, number) for number in cluster.partitions(topic)]
        self._failure: tuple[Letter, KafkaError] | None = None
        self._writable: set[str] = set()
        settings, quiet = cluster.settings, cluster.quiet
        config = settings.producer_config(CLIENT, transactional_id=self._group, linger_ms=20)
        self._producer = Producer(config | quiet | {"message.max.bytes": DEAD_LETTER_BYTES}, logger=CLIENT_LOG)
        self._committed = Consumer(settings.consumer_config(CLIENT, self._group) | quiet, logger=CLIENT_LOG)

    def run(self, most: int = 0) -> Outcome:
        """Send what is there now, at most so many letters (0: all of them).

        Raises:
            StackError: the cluster refuses; what was sent before is committed, and the next replay goes on from there.
        """
        outcome = Outcome()
        with self._spoken(), closing(self._committed):
            # First: it ends the transaction of a replay that was killed, so the position below is final.
            self._producer.init_transactions(TRANSACTION_SECONDS)
            batch: list[Letter] = []
            with closing(letters(self._cluster, self._topic, self._begins())) as reading:  # type: ignore[type-var]
                for number, letter in enumerate(reading, 1):
                    batch.append(letter)
                    last = number == most
                    if len(batch) == BATCH or last:
                        self._send(batch, outcome)
                        batch = []
                    if last:
                        break
            if batch:
                self._send(batch, outcome)
        return outcome

    def _begins(self) -> dict[Place, int]:
        begins = self._cluster.begins(self._places)
        parts = [TopicPartition(*place) for place in self._places]
        commits = raise_errors(self._committed.committed(parts, timeout=ADMIN_SECONDS))
        done = {(commit.topic, commit.partition): commit.offset for commit in commits}
        return {place: max(begins[place], done[place]) for place in self._places}

    def _send(self, batch: list[Letter], outcome: Outcome) -> None:
        sendable = [letter for letter in batch if self._has_origin(letter)]
        self._check_rights({letter.topic for letter in sendable})
        self._producer.begin_transaction()
        crash_point(BEFORE_EFFECT)
        for letter in sendable:
            self._produce(letter)
        self._producer.flush(TRANSACTION_SECONDS)
        if self._failure is not None:
            self._producer.abort_transaction(TRANSACTION_SECONDS)
            letter, error = self._failure
            self._cluster.access.raise_lasting(error, Right("WRITE", "topic", letter.topic))
            place = f"{letter.record.place} to {letter.topic}"
            raise StackError(f"dead letters of {self._topic} could not be sent again: {place}: {error}")
        crash_point(AFTER_EFFECT)
        ends: dict[int, int] = {}
        for letter in batch:
            ends[letter.record.partition] = max(letter.record.offset + 1, ends.get(letter.record.partition, 0))
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in ends.items()]
        group = self._committed.consumer_group_metadata()
        self._producer.send_offsets_to_transaction(offsets, group, TRANSACTION_SECONDS)
        crash_point(BEFORE_COMMIT)
        self._producer.commit_transaction(TRANSACTION_SECONDS)
        crash_point(AFTER_COMMIT)
        outcome.sent += len(sendable)
        outcome.left += len(batch) - len(sendable)

    def _check_rights(self, origins: set[str]) -> None:
        """Check that this user may write to topics: inside a transaction a denial would show only after its timeout."""
        if new := origins - self._writable:
            self._cluster.check_rights([Right("WRITE", "topic", topic) for topic in sorted(new)])
            self._writable |= new

    def _has_origin(self, letter: Letter) -> bool:
        place = f"dead letter {letter.record.place} of {letter.origin}"
        if letter.cut:
            self._say(f"{place} is left out: its value was too large and is not whole; the record is still there")
        elif letter.topic not in self._cluster.topics():
            self._say(f"{place} is left out: there is no such topic")
        else:
            return True
        return False

    def _produce(self, letter: Letter) -> None:
        record, topic = letter.record, letter.topic
        partition = letter.partition
        # The partition that it came from: a record without a key has no other.
        where = {"partition": partition} if partition in self._cluster.partitions(topic) else {}

        def delivered(error: KafkaError | None, _: object) -> None:
            if error is not None and self._failure is None:
                self._failure = letter, error

        while True:
            try:
                self._producer.produce(
                    topic, record.value, record.key, headers=letter.headers(), on_delivery=delivered, **where
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    @contextmanager
    def _spoken(self) -> Iterator[None]:
        """Say what a refused transaction means."""
        try:
            yield
        except KafkaException as error:
            rights = (Right("WRITE", "transactional-id", self._group), Right("READ", "group", self._group))
            self._cluster.access.raise_lasting(error, *rights)
            if kafka_error(error).code() in FENCED:
                raise StackError(
                    f"another replay ({self._group}) has begun, and goes on instead of this one"
                ) from error
            raise StackError(
                f"the replay at {self._cluster.address} ended ({reason_of(error)}): start it again"
            ) from error


def purge(cluster: Cluster, ends: Mapping[Place, int]) -> None:
    """Delete the records of each partition below an offset.

    Raises:
        StackError: the cluster refuses.
    """
    parts = [TopicPartition(*place, offset) for place, offset in ends.items()]

    def request() -> None:
        for future in delete_records(cluster.admin, parts).values():
            try:
                future.result(ADMIN_SECONDS)
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.OFFSET_OUT_OF_RANGE:
                    raise
                # A new leader learns only from its followers that they have these records, too.
                raise NotYet(reason_of(error)) from error

    rights = [Right("DELETE", "topic", topic) for topic in sorted({topic for topic, _ in ends})]
    cluster.repeated("records could not be deleted", request, *rights)


def delete_records(admin: AdminClient, parts: list[TopicPartition]) -> dict[TopicPartition, Future[Any]]:
    """Ask the leaders to delete the records of each partition below its offset."""
    # The client drops a reference to the list that it never took, which corrupts other objects or crashes Python:
    # https://github.com/confluentinc/confluent-kafka-python/issues/2275. One more reference costs only the list.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(parts))
    futures: dict[TopicPartition, Future[Any]] = admin.delete_records(parts, request_timeout=ADMIN_SECONDS)
    return futures
