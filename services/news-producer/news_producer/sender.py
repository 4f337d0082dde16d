"""The Kafka edge: hands records to librdkafka, books their delivery reports, and never waits without end."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from news_producer.errors import BadInput, TopicMissing
from news_producer.ledger import Ledger
from newsroom.errors import ClusterUnavailable, DeliveryFailed, NotYet, SettingsError
from newsroom.kafka_errors import kafka_error, reason_of
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, Wait, need

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.health import Health
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

SERVE_EVERY = 1000
"""Records between two looks at the delivery reports: some milliseconds at full speed."""

SLICE_SECONDS = 0.1
"""Longest single wait inside the client, after which the stop flag is looked at."""

START_SECONDS = 60.0
"""How long brokers and topic are waited for at the start: a stack of three brokers is up in half of that."""

STOP_SECONDS = 7.0
"""What a flush may take after SIGTERM: the process is to be gone within ten."""

REPORT_MARGIN_SECONDS = 5.0
"""librdkafka looks for timed-out records about once a second; so much later a report is not coming any more."""

PROGRESS_SECONDS = 10.0
"""Between two lines about the progress of a long run."""

NEED = "cluster metadata"
"""The name of the readiness condition: a broker described the topic."""


class Sender:
    """A producer of one topic with its ledger.

    Raises:
        SettingsError: librdkafka refuses the configuration.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        *,
        message_timeout: float,
        stop: StopFlag,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = Ledger(topic)
        self.addresses: str = config["bootstrap.servers"]
        self._topic = topic
        self._timeout = message_timeout
        self._stop = stop
        self._health = health
        self._clock = clock
        self._fatal: str | None = None
        self._closed = False
        self._last_outage = float("-inf")
        self._started = self._last_progress = clock()
        callbacks = {"on_delivery": self._on_delivery, "error_cb": self._on_error}
        try:
            self._producer = Producer({**config, **callbacks}, logger=logging.getLogger("librdkafka"))
        except KafkaException as error:
            raise SettingsError(f"the Kafka client refuses its settings: {reason_of(error)}") from error

    def wait_for_topic(self) -> None:
        """Wait until a broker describes the topic.

        Raises:
            ClusterUnavailable: no broker answered in time.
            TopicMissing: the brokers answer, but do not have the topic.
            Stopped: a signal came meanwhile.
        """
        deadline = Deadline(min(START_SECONDS, self._timeout))
        answered = False

        def attempt() -> int:
            nonlocal answered
            self._health.tick()
            self._producer.poll(0)
            try:
                seconds = max(0.05, min(1.0, deadline.left()))
                topic = self._producer.list_topics(self._topic, timeout=seconds).topics[self._topic]
            except KafkaException as error:
                raise NotYet(f"no broker answers at {self.addresses} ({reason_of(error)})") from error
            answered = True
            need(None if topic.error is None and topic.partitions else f"topic {self._topic} does not exist")
            return len(topic.partitions)

        wait = Wait(deadline, self._stop, longest_pause=SLICE_SECONDS)
        partitions = wait.until(attempt, lambda _: self._start_error(deadline.seconds, answered=answered))
        self._health.reached(NEED)
        log.info("producing", topic=self._topic, partitions=partitions)

    def _start_error(self, seconds: float, *, answered: bool) -> TopicMissing | ClusterUnavailable:
        if answered:
            return TopicMissing(
                f"topic {self._topic} does not exist on the brokers at {self.addresses} (waited {seconds:g} s): "
                "create it with provision, or name another with --topic"
            )
        return ClusterUnavailable(
            f"no broker answered at {self.addresses} within {seconds:g} s: "
            "start the cluster, or set --bootstrap-servers"
        )

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        """Hand over one record; a full queue is waited for. False when the service is to stop instead.

        Raises:
            BadInput: the record is larger than the client may send.
            DeliveryFailed: an earlier record failed, or the queue stayed full.
        """
        deadline: Deadline | None = None
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
                        "the brokers take nothing"
                    ) from None
                self.serve(SLICE_SECONDS)
            except KafkaException as error:
                raise self._refusal(kafka_error(error), len(value or b"")) from error
            else:
                break
        self.ledger.sent += 1
        if self.ledger.sent % SERVE_EVERY == 0:
            self.serve(0)
        return True

    def _refusal(self, error: KafkaError, size: int) -> BadInput | DeliveryFailed:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return BadInput(f"a record of {size} bytes is larger than a record may be (message.max.bytes)")
        return DeliveryFailed(f"topic {self._topic} took no more records: {self._fatal or error.str()}")

    def serve(self, seconds: float) -> None:
        """Take in delivery reports, waiting at most `seconds` for one.

        Raises:
            DeliveryFailed: a record was not delivered.
        """
        self._producer.poll(seconds)
        self._health.tick()
        now = self._clock()
        if now - self._last_progress >= PROGRESS_SECONDS:
            self._last_progress = now
            self._log_progress(now)
        self.check()

    def check(self) -> None:
        """Raise what the reports told.

        Raises:
            DeliveryFailed: a record was not delivered, or the client cannot go on.
        """
        book = self.ledger
        if book.first_error is not None:
            raise DeliveryFailed(
                f"{book.failed} of {book.sent} records to topic {self._topic} at {self.addresses} "
                f"failed: {book.first_error}"
            )
        if self._fatal is not None:
            raise DeliveryFailed(f"the producer of topic {self._topic} cannot go on: {self._fatal}")

    def flush(self) -> None:
        """Wait for all reports, at most the message timeout, and a few seconds once the service is to stop."""
        limit = Deadline(self._timeout + REPORT_MARGIN_SECONDS)
        stopping: Deadline | None = None
        while self._producer.flush(SLICE_SECONDS) and not limit.passed():
            self._health.tick()
            if self._stop:
                stopping = stopping or Deadline(STOP_SECONDS)
                if stopping.passed():
                    break

    def close(self) -> None:
        """Flush, then book what is still unknown as failed."""
        if self._closed:
            return
        self._closed = True
        before = self._clock()
        self.flush()
        waited = self._clock() - before
        self.ledger.give_up(f"no delivery report from {self.addresses} within {waited:.0f} s: perhaps written")

    def _log_progress(self, now: float) -> None:
        book = self.ledger
        rate = round(book.delivered / max(now - self._started, 1e-9))
        log.info("progress", sent=book.sent, delivered=book.delivered, records_per_second=rate)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.ledger.delivered_to[message.partition()] += 1
        else:
            self.ledger.fail(f"{error.str()} ({error.name()})")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own codes have this form
            # librdkafka says so at every try: once in a while is enough for a reader.
            if self._clock() - self._last_outage >= PROGRESS_SECONDS:
                self._last_outage = self._clock()
                log.warning("all brokers are down: waiting for one", addresses=self.addresses)
        else:
            log.debug("kafka client", reason=error.str())
