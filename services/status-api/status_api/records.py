"""The last records of a topic, for learners: the one path of the API that asks Kafka within a request.

It is bounded: one request at a time, a number of records, a number of bytes of each, and a time. Other requests never
wait for it.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from flask import Response, abort, current_app

from newsroom.kafka_errors import reason_of
from newsroom.waiting import Deadline
from status_api.api import envelope, known_snapshot
from status_api.decoding import Decoder, schema_id
from status_api.requests import number
from status_api.responses import json_response

if TYPE_CHECKING:
    from newsroom.settings import KafkaSettings
    from status_api.model import TopicState
    from status_api.neighbours import Registry

MOST_RECORDS = 100
USUAL_RECORDS = 20
LOOK_SECONDS = 2.0
FETCH_BYTES = 65536
"""How much is fetched of a partition at once."""


class RecordReader:
    """Reads the last records of a topic, for one reader at a time. It makes a consumer for each look."""

    def __init__(self, settings: KafkaSettings, registry: Registry | None = None) -> None:
        self._settings = settings
        self._busy = threading.Lock()
        self._decoder = Decoder(registry)

    def last(self, topic: TopicState, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the last committed records of all partitions, newest first, and whether all of them were read in time.

        Raises:
            BlockingIOError: another reader looks now.
            KafkaException: the records cannot be read.
        """
        ends = {
            part.number: (max(part.low, part.end - limit), part.end)
            for part in topic.partitions
            if part.low is not None and part.end is not None and part.end > part.low
        }
        if not self._busy.acquire(blocking=False):
            raise BlockingIOError
        try:
            with closing(Consumer(self._config(), logger=logging.getLogger("librdkafka"))) as consumer:
                consumer.assign([TopicPartition(topic.name, number, first) for number, (first, _) in ends.items()])
                messages, complete = _read(consumer, {number: end for number, (_, end) in ends.items()})
            messages.sort(key=lambda message: (message.timestamp()[1], message.offset()), reverse=True)
            self._decoder.begin()
            records = [record_json(message, self._decoder) for message in messages[:limit]]
        finally:
            self._busy.release()
        return records, complete and all(part.end is not None for part in topic.partitions)

    def _config(self) -> dict[str, Any]:
        return self._settings.consumer_config(
            "newsroom-status-records",
            "newsroom-status-records",
            isolation_level="read_committed",
            enable_auto_offset_store=False,
            allow_auto_create_topics=False,
            enable_partition_eof=True,
            fetch_message_max_bytes=FETCH_BYTES,
            queued_max_messages_kbytes=1024,
        )


def _read(consumer: Consumer, waiting: dict[int, int]) -> tuple[list[Any], bool]:
    """Read each partition up to its end; return the messages, and whether that took no longer than it may."""
    messages: list[Any] = []
    deadline = Deadline(LOOK_SECONDS)
    while waiting and deadline.left() > 0:
        message = consumer.poll(deadline.left())
        if message is None:
            break
        error, partition = message.error(), message.partition()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - it is librdkafka's name
                waiting.pop(partition, None)
            elif not error.retriable():
                raise KafkaException(error)
        elif partition in waiting:
            messages.append(message)
            if message.offset() >= waiting[partition] - 1:
                del waiting[partition]
    return messages, not waiting


def record_json(message: Any, decoder: Decoder) -> dict[str, Any]:  # noqa: ANN401 - confluent-kafka is untyped
    """Return a record with its key and value as text."""
    kind, timestamp = message.timestamp()
    key, value = message.key(), message.value()
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": timestamp if kind else None,
        "key": decoder.text(key),
        "value": decoder.text(value),
        "schema_id": schema_id(value),
        "bytes": len(key or b"") + len(value or b""),
    }


def topic_records(name: str) -> Response:
    """Answer with the last records of a topic, newest first."""
    limit = number("limit", USUAL_RECORDS, MOST_RECORDS)
    latest, snapshot = known_snapshot()
    topic = snapshot.topic(name)
    if topic is None:
        abort(404, f"There is no topic {name!r}.")
    reader: RecordReader = current_app.extensions["records"]
    try:
        records, complete = reader.last(topic, limit)
    except BlockingIOError:
        abort(503, "Another request reads records now; ask again in a second.")
    except KafkaException as error:
        abort(503, f"The records of {name!r} cannot be read: {reason_of(error)}")
    response = json_response(envelope(latest, snapshot) | {"records": records, "complete": complete})
    response.headers["Cache-Control"] = "no-store"
    return response
