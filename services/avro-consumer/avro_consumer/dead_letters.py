"""Sends poison records to the dead-letter topic and waits for their delivery."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Producer

from avro_consumer import metrics
from avro_consumer.records import dead_letter_headers
from newsroom.access import Access, Right
from newsroom.errors import DeliveryFailed, LastingFailure, SettingsError
from newsroom.kafka_errors import kafka_error, reason_of
from newsroom.logs import get_logger
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from avro_consumer.records import Header, Record
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

CUT_BYTES = 512 * 1024
"""How much of its value a dead letter keeps when it is too large. Half of a topic's default limit leaves room for the
key and the headers."""

SLICE_SECONDS = 0.1
"""How long to wait before each look at the stop flag, for deliveries or for room in the client's queue."""

STOP_SECONDS = 2.0
"""How long deliveries may take after a stop signal. The process must end within ten seconds, including a call to the
registry (3 s) and leaving the group (4 s). Records that were not delivered are not committed and are read again."""

REPORT_MARGIN_SECONDS = 1.0
"""How much longer to wait than librdkafka's message timeout. Its error comes first then, and names the cause."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the record's key and value, or what fits of them, and all headers."""

    record: Record
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    bare: bool = False
    """Whether it has the headers of its origin alone."""

    def smaller(self) -> Letter | None:
        """The next smaller letter of the same record; None if this is the smallest."""
        if self.bare:
            return None
        record, whole = self.record, len(self.record.value or b"")
        size = ("dlq.value.bytes", str(whole).encode())
        if self.value is not None and len(self.value) > CUT_BYTES:
            log.warning("the dead letter is too large, cutting its value", at=record.place, bytes=whole, kept=CUT_BYTES)
            return replace(self, value=self.value[:CUT_BYTES], headers=[*self.headers, size])
        log.warning("the dead letter is too large, leaving out its key, value and headers", at=record.place)
        origin = self.headers[len(record.headers) :]
        return Letter(record, None, b"", [*origin, size] if size not in origin else origin, bare=True)


class DeadLetters:
    """The dead letters of a batch: `put` each one, then `deliver` them all before the batch is committed."""

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        group: str,
        seconds: float,
        *,
        stop: StopFlag,
        tick: Callable[[], None],
    ) -> None:
        self._access = Access(config, Right("WRITE", "topic", topic))
        self._config = {
            **config,
            "error_cb": self._access.note,
            "message.timeout.ms": int(seconds * 1000),
            "message.max.bytes": DEAD_LETTER_BYTES,
        }
        self._topic = topic
        self._group = group
        self._seconds = seconds
        self._stop = stop
        self._tick = tick
        # The first poison record creates the producer: most members never need the second connection.
        self._producer: Producer | None = None
        self._failure: str | None = None
        self._refused: LastingFailure | None = None
        self._waiting = 0

    def put(self, record: Record, error: Exception) -> None:
        """Hand a poison record to the client as received; headers name its origin and the error.

        A record that is too large for the dead-letter topic keeps only the beginning of its value, and if that does
        not suffice, nothing but the headers that name its origin. The source topic still has the whole record.

        Raises:
            DeliveryFailed: the client refuses the record, or its queue stays full.
        """
        log.warning(
            "sending a poison record to the dead-letter topic", at=record.place, error=str(error), to=self._topic
        )
        self._produce(Letter(record, record.key, record.value, dead_letter_headers(record, error, self._group)))
        self._waiting += 1

    def _produce(self, letter: Letter) -> None:
        producer = self._client()
        deadline = Deadline(self._seconds)
        while True:
            try:
                producer.produce(
                    self._topic,
                    key=letter.key,
                    value=letter.value,
                    headers=letter.headers,
                    on_delivery=partial(self._delivered, letter),
                )
            except BufferError as full:
                if self._stop or deadline.passed():
                    period = "until the shutdown" if self._stop else f"for {self._seconds:g} s"
                    raise self._failed(f"the client's queue stayed full {period}") from full
                producer.poll(SLICE_SECONDS)
                self._tick()
            except KafkaException as refused:
                smaller = letter.smaller()
                if kafka_error(refused).code() != KafkaError.MSG_SIZE_TOO_LARGE or smaller is None:
                    raise self._failed(f"{letter.record.place}: {reason_of(refused)}") from refused
                letter = smaller
            else:
                return

    def _client(self) -> Producer:
        if self._producer is None:
            try:
                self._producer = Producer(self._config, logger=logging.getLogger("librdkafka"))
            except KafkaException as error:
                raise SettingsError(f"the Kafka client refuses its settings: {reason_of(error)}") from error
        return self._producer

    def deliver(self) -> None:
        """Wait until the brokers acknowledge every dead letter; a stop signal shortens the wait to a few seconds.

        Raises:
            DeliveryFailed: the brokers did not acknowledge at least one of them before the deadline.
            LastingFailure: the cluster refuses this client.
        """
        if self._producer is None or not self._waiting:
            return
        limit = Deadline(self._seconds + REPORT_MARGIN_SECONDS)
        stopping: Deadline | None = None
        while self._producer.flush(SLICE_SECONDS) and not limit.passed():
            self._tick()
            self._access.check()
            if self._stop:
                stopping = stopping or Deadline(STOP_SECONDS)
                if stopping.passed():
                    break
        if self._refused is not None:
            raise self._refused
        if self._failure is not None or self._waiting:
            period = "before the shutdown" if stopping else f"within {self._seconds:g} s"
            raise self._failed(self._failure or f"the brokers did not acknowledge {self._waiting} of them {period}")

    def _delivered(self, letter: Letter, error: KafkaError | None, _: object) -> None:
        too_large = error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        smaller = letter.smaller() if too_large else None
        if smaller is not None:
            # The topic's limit is lower than the client's. `deliver` also waits for the cut record.
            try:
                self._produce(smaller)
            except DeliveryFailed as failed:
                # librdkafka's callback must not raise, so `deliver` raises the error.
                self._waiting -= 1
                self._failure = self._failure or str(failed)
            return
        self._waiting -= 1
        if error is None:
            metrics.DEAD_LETTERS.inc()
            self._access.answered()
        else:
            self._failure = self._failure or error.str()
            self._refused = self._refused or self._access.failure(error)

    def _failed(self, cause: str) -> DeliveryFailed:
        return DeliveryFailed(
            f"dead letters could not be delivered to {self._topic} ({cause}); their offsets are not committed: check "
            "that the topic exists and accepts writes, then start again"
        )
