"""The last records of a topic, for learners: the one path of the API that asks Kafka within a request.

It is bounded: one request at a time, a number of records, a number of bytes of each, and a time. Other requests never
wait for it.
"""

from __future__ import annotations

import codecs
import logging
import struct
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from flask import Response, abort, current_app

from newsroom.kafka_errors import reason_of
from newsroom.waiting import Deadline
from status_api.api import envelope, known_snapshot
from status_api.requests import number
from status_api.responses import json_response

if TYPE_CHECKING:
    from newsroom.settings import KafkaSettings
    from status_api.model import TopicState

MOST_RECORDS = 100
USUAL_RECORDS = 20
MOST_BYTES = 2000
"""How many bytes of a key or a value are shown."""
LOOK_SECONDS = 2.0
FETCH_BYTES = 65536
"""How much is fetched of a partition at once."""
SCHEMA_ID = struct.Struct(">bI")
"""How a value in Confluent's wire format begins: a zero, and the id of its schema."""


class RecordReader:
    """Reads the last records of a topic, for one reader at a time. It makes a consumer for each look."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._busy = threading.Lock()

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
                records, complete = _read(consumer, {number: end for number, (_, end) in ends.items()})
        finally:
            self._busy.release()
        complete = complete and all(part.end is not None for part in topic.partitions)
        records.sort(key=lambda record: (record["timestamp_ms"] or 0, record["offset"]), reverse=True)
        return records[:limit], complete

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


def _read(consumer: Consumer, waiting: dict[int, int]) -> tuple[list[dict[str, Any]], bool]:
    """Read each partition up to its end; return the records, and whether that took no longer than it may."""
    records: list[dict[str, Any]] = []
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
            records.append(record_json(message))
            if message.offset() >= waiting[partition] - 1:
                del waiting[partition]
    return records, not waiting


def record_json(message: Any) -> dict[str, Any]:  # noqa: ANN401 - confluent-kafka is untyped
    """Return a record with its key and value as text."""
    kind, timestamp = message.timestamp()
    key, value = message.key(), message.value()
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp_ms": timestamp if kind else None,
        "key": text_of(key),
        "value": text_of(value),
        "bytes": len(key or b"") + len(value or b""),
    }


def text_of(data: bytes | None) -> str | None:
    """Return what can be shown of a key or a value: its text, or what it is and its first bytes."""
    if data is None:
        return None
    shown = data[:MOST_BYTES]
    more = f"… ({len(data)} bytes)" if len(data) > MOST_BYTES else ""
    if len(data) >= SCHEMA_ID.size and data[0] == 0:
        return f"schema {SCHEMA_ID.unpack_from(data)[1]}: {shown[SCHEMA_ID.size :].hex(' ')}{more}"
    try:
        # A character may be cut in two at the end: only a whole text may have an error there.
        text = codecs.getincrementaldecoder("utf-8")().decode(shown, final=not more)
    except UnicodeDecodeError:
        return f"{shown.hex(' ')}{more}"
    return f"{text}{more}"


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
