"""Reads word-counts and words-joined from the beginning, without joining a group or committing."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from newsroom.access import Right
from newsroom.kafka_errors import reason_of
from newsroom.logs import get_logger
from newsroom.topics import WORD_COUNTS, WORDS_JOINED
from status_api.figures import NO_TABLES, Tables
from status_api.model import one_line
from status_api.wordtable import JoinedLog, WordTable, view

if TYPE_CHECKING:
    from newsroom.access import Access
    from newsroom.settings import KafkaSettings

log = get_logger(__name__)

TOPICS = (WORD_COUNTS.name, WORDS_JOINED.name)
METADATA_SECONDS = 5.0
"""How often the reader looks for created, deleted and grown topics."""
METADATA_TIMEOUT_SECONDS = 1.0
"""Short, because a stop waits for the request. A request that is too early succeeds at the next attempt."""
BATCH_RECORDS = 2000
"""Few enough that the thread notices a stop within milliseconds."""
BATCH_SECONDS = 0.2
VIEW_SECONDS = 0.5
"""The page asks once a second; sorting the words much more often would be wasted."""


def table_consumer(settings: KafkaSettings) -> Consumer:
    """Make the consumer for `TableReader`. The group is only a name: the consumer never joins or commits."""
    config = settings.consumer_config(
        "newsroom-status-tables",
        "newsroom-status-tables",
        isolation_level="read_committed",
        enable_auto_offset_store=False,
        # Reading a topic that does not exist yet must not create it with the default number of partitions.
        allow_auto_create_topics=False,
    )
    return Consumer(config, logger=logging.getLogger("librdkafka"))


class TableReader:
    """Follows both topics and publishes a view of them. One thread calls `turn`; any thread may call `tables`."""

    def __init__(self, consumer: Consumer, max_words: int, access: Access) -> None:
        self._consumer = consumer
        self._access = access
        self._denied: dict[str, str] = {}
        """What may not be read, by topic: librdkafka reports a denial once."""
        self._words = WordTable(max_words)
        self._joined = JoinedLog()
        self._assigned: set[tuple[str, int]] = set()
        self._metadata_due = 0.0
        self._view_due = 0.0
        self._changed = True
        self._error: str | None = None
        self._failure: str | None = None
        self._unread: str | None = None
        self._tables = NO_TABLES

    def tables(self) -> Tables:
        """Return the newest view."""
        return self._tables

    def turn(self) -> None:
        """Look for partitions if due, apply a batch of records, and publish a view if due."""
        now = time.monotonic()
        if now >= self._metadata_due:
            self._metadata_due = now + METADATA_SECONDS
            self._follow_partitions()
            self._changed = True
        for message in self._consumer.consume(BATCH_RECORDS, BATCH_SECONDS):
            self._take(message)
        if self._failure is not None:
            self._failure, self._changed = None, True
        if self._changed and now >= self._view_due:
            self._view_due = now + VIEW_SECONDS
            self._publish()

    def failed(self, reason: str) -> bool:
        """Show the reason in the view until a turn succeeds; return whether the view did not show it before."""
        changed = self._failure != reason
        self._failure = reason
        self._publish()
        return changed

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _publish(self) -> None:
        self._changed = False
        self._tables = view(
            self._words, self._joined, one_line(self._failure, self._error, *self._denied.values(), self._unread)
        )

    def _take(self, message: Any) -> None:  # noqa: ANN401 - confluent-kafka is untyped
        self._changed = True
        error = message.error()
        if error and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # the group is only a name
        if error and (failure := self._access.failure(error, Right("READ", "topic", message.topic()))):
            self._denied[message.topic()] = str(failure)
            log.warning(str(failure))
            return
        if error:
            # The topic was deleted while it was read: the next look at the metadata drops it.
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self._metadata_due = 0.0
            self._error = error.str()
            return
        self._error = None
        self._denied.pop(message.topic(), None)
        try:
            self._apply(message)
        except Exception as error:
            # The consumer does not read the batch again, so one bad record must not lose the rest.
            record = f"{message.topic()}[{message.partition()}] offset {message.offset()}"
            self._unread = f"the record {record} cannot be shown ({type(error).__name__}); see the log"
            log.exception("a record cannot be shown", record=record)

    def _apply(self, message: Any) -> None:  # noqa: ANN401
        partition, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
        if message.topic() == WORD_COUNTS.name:
            self._words.apply(partition, offset, key, value)
        else:
            kind, timestamp = message.timestamp()
            self._joined.apply(partition, offset, key, value, timestamp if kind else None)

    def _follow_partitions(self) -> None:
        try:
            partitions = self._partitions()
        except KafkaException as error:
            self._error = f"word-counts and words-joined cannot be read: {reason_of(error)}"
            self._metadata_due = 0.0
            return
        self._error = None
        lost_topics = {topic for topic, _ in self._assigned} - {topic for topic, _ in partitions}
        if WORD_COUNTS.name in lost_topics:
            self._words.clear()
        if WORDS_JOINED.name in lost_topics:
            self._joined.clear()
        old, new = self._assigned - partitions, partitions - self._assigned
        if old:
            self._consumer.incremental_unassign([TopicPartition(*key) for key in sorted(old)])
        if new:
            self._consumer.incremental_assign([TopicPartition(*key, OFFSET_BEGINNING) for key in sorted(new)])
            log.info("reading tables", partitions=[f"{topic}[{number}]" for topic, number in sorted(new)])
        self._assigned = partitions

    def _partitions(self) -> set[tuple[str, int]]:
        # Ask for all topics: librdkafka would wait for a named topic, which may never exist.
        topics = self._consumer.list_topics(timeout=METADATA_TIMEOUT_SECONDS).topics
        return {(name, number) for name in TOPICS if name in topics for number in topics[name].partitions}
