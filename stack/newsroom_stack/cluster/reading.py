"""Reads records between offsets, and shows them as text and as bytes. It joins no group and commits nothing."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from newsroom.access import Right
from newsroom.errors import DecodeError, NewsroomError
from newsroom.headers import headers_of
from newsroom.kafka_errors import is_unreachable
from newsroom.waiting import Deadline
from newsroom_stack.cluster.connection import CLIENT, CLIENT_LOG, Cluster, Place
from newsroom_stack.cluster.resets import Target, plan
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

    from newsroom.schemas.avro import AvroDecoder

STALL_SECONDS = 15.0
"""How long the brokers may give neither a record nor a new position."""

POLL_SECONDS = 0.2
BATCH = 500

BYTES_PER_LINE = 16
PRINTABLE = range(0x20, 0x7F)

Header = tuple[str, bytes | None]


@dataclass(frozen=True)
class Record:
    """A record as it lies in its topic; `timestamp` is in milliseconds since 1970 (UTC)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]

    @property
    def place(self) -> str:
        """Partition and offset, as the commands take them."""
        return f"{self.partition}:{self.offset}"

    @property
    def time(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(self.timestamp / 1000, UTC)


def read(cluster: Cluster, begins: Mapping[Place, int], ends: Mapping[Place, int]) -> Iterator[Record]:
    """The committed records from `begins` up to `ends`, in the order in which they come.

    Raises:
        StackError: a partition cannot be read to its end.
    """
    unread = {place for place, end in ends.items() if end > begins[place]}
    if not unread:
        return
    config = cluster.settings.consumer_config(CLIENT, f"{CLIENT}-{uuid.uuid4()}")
    consumer = Consumer(config | {"log_level": 0}, logger=CLIENT_LOG)
    rights = [Right("READ", "topic", topic) for topic in sorted({topic for topic, _ in unread})]
    with closing(consumer), cluster.spoken("records could not be read", *rights):
        consumer.assign([TopicPartition(*place, begins[place]) for place in sorted(unread)])
        positions: dict[Place, int] = {}
        stall = Deadline(STALL_SECONDS)
        # Not `wait_until`: `consume` is the pause, and each call may yield records.
        while unread:
            for message in consumer.consume(BATCH, POLL_SECONDS):
                if message.error():
                    if not _passes(message.error()):
                        raise KafkaException(message.error())
                elif message.offset() < ends[message.topic(), message.partition()]:
                    yield as_record(message)
            # Markers of transactions are never delivered: only the position shows the end.
            answers = consumer.position([TopicPartition(*place) for place in unread])
            now = {(answer.topic, answer.partition): answer.offset for answer in answers}
            unread = {place for place in unread if now[place] < ends[place]}
            if now != positions:
                positions, stall = now, Deadline(STALL_SECONDS)
            elif stall.passed():
                where = ", ".join(f"{topic} partition {number}" for topic, number in sorted(unread))
                raise StackError(f"{where} gave no record for {STALL_SECONDS:g} s: are its brokers up?")


def _passes(error: KafkaError) -> bool:
    """Whether reading goes on: the client finds a leader's successor by itself, and the group is only a name."""
    return is_unreachable(error) or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def as_record(message: Message) -> Record:
    """The client's message with all its headers, whatever their names are."""
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
    )


def newest(cluster: Cluster, places: Sequence[Place], number: int) -> list[Record]:
    """The last records of these partitions by their time, the newest last.

    A partition may hold markers and gaps, so the window grows until it has enough records.
    """
    begins, ends = cluster.begins(places), cluster.ends(places, committed=True)
    window = number
    while True:
        starts = {place: max(begins[place], ends[place] - window) for place in places}
        records = list(read(cluster, starts, ends))
        short = [
            place
            for place in places
            if starts[place] > begins[place]
            and sum((record.topic, record.partition) == place for record in records) < number
        ]
        if not short:
            return _by_time(records)[-number:] if number else []
        window *= 4


def first(cluster: Cluster, places: Sequence[Place], target: Target, number: int) -> list[Record]:
    """The first records from a place in the topic on, by their time."""
    ends = cluster.ends(places, committed=True)
    starts = {(move.topic, move.partition): move.new for move in plan(cluster, target, ends, places)}
    taken: dict[Place, list[Record]] = {place: [] for place in places}
    for place in places:  # one after the other, so that no partition is read further than is shown
        with closing(read(cluster, {place: starts[place]}, {place: ends[place]})) as records:  # type: ignore[type-var]
            for record in records:
                taken[place].append(record)
                if len(taken[place]) == number:
                    break
    return _by_time([record for records in taken.values() for record in records])[:number]


def _by_time(records: Sequence[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.timestamp, record.partition, record.offset))


class Reader:
    """Turns values into text: Avro with the registry, else UTF-8."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._decoder: AvroDecoder | None = None
        self.problem = ""
        """Why Avro could not be read; empty if it could."""

    def decoded(self, record: Record) -> tuple[str, Any]:
        """The name of the value's type (`string`, `null`, an Avro type; empty if it is neither) and the value."""
        if record.value is None:
            return "null", None
        if record.value[:1] == b"\0":
            try:
                name, fields = self._avro().decode(record.value, record.headers)
            except DecodeError as error:
                self.problem = str(error)
            except NewsroomError as error:
                self.problem = f"{error}; Avro is shown as bytes"
            else:
                return name, fields
        try:
            return "string", record.value.decode()
        except UnicodeDecodeError:
            return "", None

    def _avro(self) -> AvroDecoder:
        if self._decoder is None:
            from newsroom.lean import leave_out_extras  # noqa: PLC0415 - most topics need no registry

            leave_out_extras()
            from newsroom.schemas.avro import AvroDecoder  # noqa: PLC0415 - likewise
            from newsroom.schemas.registry import registry_client  # noqa: PLC0415 - likewise

            self._decoder = AvroDecoder(registry_client(self._cluster.settings))
        return self._decoder


def hex_lines(data: bytes, most: int) -> Iterator[str]:
    """The bytes as `hexdump -C` shows them, at most so many of them."""
    for start in range(0, min(len(data), most), BYTES_PER_LINE):
        line = data[start : min(start + BYTES_PER_LINE, most)]
        text = "".join(chr(byte) if byte in PRINTABLE else "." for byte in line)
        yield f"{start:08x}  {line.hex(' '):<{3 * BYTES_PER_LINE}} |{text}|"
    if len(data) > most:
        yield f"… and {len(data) - most:,} bytes more"
