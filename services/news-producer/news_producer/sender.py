"""The Kafka edge: hands records to librdkafka and counts their delivery reports. Every wait has a limit."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from news_producer.errors import BadInput, TopicMissing
from news_producer.in_sync import InSyncWatch
from news_producer.items import TOO_LARGE
from news_producer.limits import batch_of_one, topic_limit, with_limit
from news_producer.wire import INTERVAL_MS, Wire
from newsroom.access import Access, Right
from newsroom.errors import ClusterUnavailable, DeliveryFailed, LastingFailure, NotYet, SettingsError
from newsroom.kafka_errors import kafka_error, reason_of
from newsroom.logs import get_logger
from newsroom.topics import MAX_RECORD_BYTES
from newsroom.waiting import Deadline, Wait, need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from news_producer.ledger import Ledger
    from newsroom.health import Health
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

SERVE_EVERY = 1000
"""Records between two checks for delivery reports: some milliseconds at full speed."""

SLICE_SECONDS = 0.1
"""The longest single wait inside the client; after each one the sender checks the stop flag."""

START_SECONDS = 60.0
"""How long the sender waits for brokers and topic at the start; three brokers start in half that time."""

STOP_SECONDS = 7.0
"""How long a flush may take after SIGTERM, because the process must end within ten seconds."""

REPORT_MARGIN_SECONDS = 5.0
"""librdkafka checks for record timeouts about once a second, so a report may come this long after its timeout."""

PROGRESS_SECONDS = 10.0
"""Seconds between two progress lines, and between two warnings that all brokers are down."""

LARGEST_FRAME = 100
"""More than what a batch and a record have besides key and value, so that most records need no closer look."""

GONE = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})  # noqa: SLF001
"""What a topic that existed at the start fails with once it is deleted."""

NEED = "cluster metadata"
"""The name of the readiness condition: a broker described the topic."""


class Sender:
    """The producer of one topic, with its ledger. `max_message_bytes` is the topic's limit; 0 asks the cluster for it.

    Raises:
        SettingsError: librdkafka refuses the configuration.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        ledger: Ledger,
        *,
        message_timeout: float,
        stop: StopFlag,
        health: Health,
        max_message_bytes: int = 0,
    ) -> None:
        self.ledger = ledger
        self.addresses: str = config["bootstrap.servers"]
        self._topic = topic = ledger.topic
        self._timeout = message_timeout
        self._stop = stop
        self._health = health
        self._config = dict(config)
        self._limit = 0
        self._limit_unknown = ""
        self._access = Access(config, Right("WRITE", "topic", topic))
        self._refused: LastingFailure | None = None
        self._fatal: str | None = None
        self._last_outage = float("-inf")
        self._start = self._last_progress = time.monotonic()
        self._in_sync = InSyncWatch(config, topic)
        self._use(max_message_bytes or MAX_RECORD_BYTES)
        self._asks = not max_message_bytes

    def _use(self, limit: int) -> None:
        """Make the client, whose batches are not larger than the limit in bytes."""
        if limit == self._limit:
            return
        self._limit = limit
        self._wire = Wire()
        callbacks = {"on_delivery": self._on_delivery, "error_cb": self._on_error, **self._wire.config}
        config = with_limit(self._config, limit) | callbacks
        try:
            self._producer = Producer(config, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise SettingsError(f"the Kafka client refuses its settings: {reason_of(error)}") from error

    def wait_for_topic(self) -> None:
        """Wait until a broker describes the topic.

        Raises:
            ClusterUnavailable: no broker answered in time.
            LastingFailure: waiting does not help.
            TopicMissing: the brokers answer, but the topic does not exist.
            Stopped: a signal came first.
        """
        deadline = Deadline(min(START_SECONDS, self._timeout))
        reachable = False

        def attempt() -> Any:  # noqa: ANN401 - confluent-kafka is untyped
            nonlocal reachable
            self._health.tick()
            self._producer.poll(0)
            try:
                seconds = max(0.05, min(1.0, deadline.left()))
                metadata = self._producer.list_topics(self._topic, timeout=seconds)
            except KafkaException as error:
                self._producer.poll(0)  # runs the error callback, which notes the cause
                self._access.no_answer()
                raise NotYet(f"no broker answers at {self.addresses} ({reason_of(error)})") from error
            reachable = True
            self._access.answered()
            self._access.check_advertised(metadata)
            topic = metadata.topics[self._topic]
            if topic.error is not None:
                self._access.raise_lasting(topic.error)
            need(None if topic.error is None and topic.partitions else f"topic {self._topic} does not exist")
            return metadata

        wait = Wait(deadline, self._stop, longest_pause=SLICE_SECONDS)
        metadata = wait.until(attempt, lambda _: self._start_error(deadline.seconds, reachable=reachable))
        self._keep_limit(metadata)
        self._health.reached(NEED)
        partitions = len(metadata.topics[self._topic].partitions)
        log.info("producing", topic=self._topic, partitions=partitions, max_message_bytes=self._limit)

    def _keep_limit(self, metadata: Any) -> None:  # noqa: ANN401 - confluent-kafka is untyped
        """Ask for the topic's limit, and keep it."""
        if not self._asks:
            return
        try:
            # Without a controller the client would wait for one.
            need(None if metadata.controller_id in metadata.brokers else "the cluster has no controller")
            self._use(topic_limit(self._config, self._topic))
        except NotYet as error:
            self._limit_unknown = str(error)
            log.info("the topic's limit cannot be read", topic=self._topic, reason=str(error), assumed=self._limit)

    def _start_error(self, seconds: float, *, reachable: bool) -> TopicMissing | ClusterUnavailable:
        if reachable:
            return TopicMissing(
                f"topic {self._topic} does not exist on the brokers at {self.addresses} (waited {seconds:g} s): "
                "create it with provision, or name another with --topic"
            )
        return ClusterUnavailable(
            f"no broker answered at {self.addresses} within {seconds:g} s: "
            "start the cluster, or set --bootstrap-servers"
        )

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        """Hand over one record, and wait while the queue is full. Return False if the service must stop first.

        Raises:
            BadInput: the record is larger than its topic takes.
            DeliveryFailed: an earlier record failed, or the queue stayed full.
        """
        deadline: Deadline | None = None
        self._check_size(key, value)
        while True:
            try:
                self._producer.produce(self._topic, value, key)
            except BufferError:
                deadline = deadline or Deadline(self._timeout + REPORT_MARGIN_SECONDS)
                if self._stop:
                    return False
                if deadline.passed():
                    raise DeliveryFailed(
                        f"the queue to {self.addresses} stayed full for {deadline.seconds:g} s: "
                        "the brokers accept no records"
                    ) from None
                self.serve(SLICE_SECONDS)
            except KafkaException as error:
                raise DeliveryFailed(
                    f"the client refuses records for topic {self._topic}: {self._fatal or kafka_error(error).str()}"
                ) from error
            else:
                break
        self.ledger.sent += 1
        if self.ledger.sent % SERVE_EVERY == 0:
            self.serve(0)
        return True

    def _check_size(self, key: bytes | None, value: bytes | None) -> None:
        if len(key or b"") + len(value or b"") < self._limit - LARGEST_FRAME:
            return
        size = batch_of_one(key, value)
        if size > self._limit:
            raise BadInput(
                f"a record of {size} bytes is larger than topic {self._topic} takes (max.message.bytes={self._limit})",
                TOO_LARGE,
            )

    def serve(self, seconds: float) -> None:
        """Process delivery reports, and wait at most `seconds` for one.

        Raises:
            DeliveryFailed: a record was not delivered.
        """
        self._producer.poll(seconds)
        self._health.tick()
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            self._log_progress(now)
        self._in_sync.note(self.ledger.delivered, self.ledger.unknown)
        self.check()

    def check(self) -> None:
        """Raise the error that a delivery report or the client reported.

        Raises:
            DeliveryFailed: a record was not delivered, or the client cannot continue.
            LastingFailure: the cluster refuses this client.
        """
        ledger = self.ledger
        self._access.check()
        if self._refused is not None:
            raise self._refused
        if ledger.first_error is not None:
            raise DeliveryFailed(
                f"{ledger.failed} of {ledger.sent} records to topic {self._topic} at {self.addresses} "
                f"failed: {ledger.first_error}"
            )
        if self._fatal is not None:
            raise DeliveryFailed(f"the producer of topic {self._topic} cannot continue: {self._fatal}")

    def flush(self) -> None:
        """Wait for all delivery reports: at most the message timeout, or a few seconds once the service must stop."""
        limit = Deadline(self._timeout + REPORT_MARGIN_SECONDS)
        stop_limit: Deadline | None = None
        while self._flushed_some() and not limit.passed():
            self._health.tick()
            self._in_sync.note(self.ledger.delivered, self.ledger.unknown)
            if self._stop:
                stop_limit = stop_limit or Deadline(STOP_SECONDS)
                if stop_limit.passed():
                    break

    def _flushed_some(self) -> int:
        """Wait a moment for delivery reports; return how many records still have none."""
        try:
            return int(self._producer.flush(SLICE_SECONDS))
        except KafkaException as error:  # the client is in a fatal state: its records have their reports
            self._fatal = self._fatal or reason_of(error)
            self._refused = self._refused or self._access.failure(error)
            return 0

    def close(self) -> None:
        """Flush, then count the records that are still unknown as failed."""
        start = time.monotonic()
        self.flush()
        seconds = time.monotonic() - start
        self.ledger.seconds = time.monotonic() - self._start
        self._measure()
        self.ledger.give_up(f"no delivery report from {self.addresses} within {seconds:.0f} s: records may be written")

    def _measure(self) -> None:
        """Wait for the statistics after the last record, and keep them."""
        if self.ledger.delivered:
            before, limit = self._wire.reports, Deadline(10 * INTERVAL_MS / 1000)
            while self._wire.reports == before and not limit.passed():
                self._producer.poll(INTERVAL_MS / 1000)
        self.ledger.wire = self._wire.figures()

    def _log_progress(self, now: float) -> None:
        ledger = self.ledger
        rate = round(ledger.delivered / max(now - self._start, 1e-9))
        log.info("progress", sent=ledger.sent, delivered=ledger.delivered, records_per_second=rate)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.ledger.delivered_to[message.partition()] += 1
            self._access.answered()
        else:
            self.ledger.fail(f"{error.str()} ({error.name()}){self._remedy(error, message)}")
            self._refused = self._refused or self._access.failure(error)

    def _remedy(self, error: KafkaError, message: Message) -> str:
        if error.code() in GONE:
            return f": topic {self._topic} was deleted while the producer ran; run 'provision', which makes it anew"
        if error.code() in {KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD}:
            return f": {_refusal(error, message)}"
        if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            return f": {self._in_sync.problem}" if self._in_sync.problem else ""
        problem = f": a batch of at most {self._limit} bytes is larger than topic {self._topic} takes"
        if not self._asks:
            return f"{problem}: correct --max-message-bytes"
        if not self._limit_unknown:
            return f"{problem} now: its max.message.bytes has become less, so start again"
        return (
            f"{problem}, and its max.message.bytes cannot be read ({self._limit_unknown}): allow "
            f"{self._access.principal} DESCRIBE_CONFIGS on the topic, or set --max-message-bytes"
        )

    def _on_error(self, error: KafkaError) -> None:
        self._access.note(error)
        if error.fatal():
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own codes have this form
            # librdkafka reports this at every try, but a reader needs the line only once in a while.
            if time.monotonic() - self._last_outage >= PROGRESS_SECONDS:
                self._last_outage = time.monotonic()
                log.warning("all brokers are down: the producer waits for one", addresses=self.addresses)
        else:
            log.debug("the Kafka client reports an error", reason=error.str())


def _refusal(error: KafkaError, message: Message) -> str:
    """What is wrong with a record that the broker refuses for its time or its content, and what helps.

    The client does not tell the time of a record that failed. It is this machine's.
    """
    key = "no key" if message.key() is None else f"key '{message.key().decode(errors='backslashreplace')}'"
    record = f"the record with {key} for partition {message.partition()}"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    limits = "message.timestamp.before.max.ms, message.timestamp.after.max.ms"
    if error.code() == KafkaError.INVALID_TIMESTAMP:
        return (
            f"{record} has the time of this machine (now {now}), which is further from the broker's than topic "
            f"{message.topic()} allows ({limits}): set this machine's clock, or these limits of the topic"
        )
    return (
        f"topic {message.topic()} does not take {record} or its time (now {now}). A compacted topic takes no record "
        f"without a key: see --key. For the time set this machine's clock, or the limits of the topic ({limits})"
    )
