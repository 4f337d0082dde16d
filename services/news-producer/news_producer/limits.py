"""How large a batch of a topic may be. librdkafka makes batches as large as its settings allow, and splits none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource

from newsroom.errors import NotYet
from newsroom.kafka_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ASK_SECONDS = 5.0
"""How long the cluster may take to describe the topic's configuration."""

LIMIT = "max.message.bytes"

BATCH_BYTES = 61
"""What a batch has besides its records."""

SMALL_FIELDS = 3
"""Bytes of a record whose size does not depend on its content: attributes, the differences of time and offset."""

SMALLEST_CLIENT_LIMIT, LARGEST_CLIENT_LIMIT = 1_000, 1_000_000_000
"""The range of librdkafka's message.max.bytes."""


def topic_limit(config: Mapping[str, Any], topic: str) -> int:
    """Ask the cluster for the largest batch of a topic, in bytes.

    Raises:
        NotYet: the cluster does not say, or this client may not ask.
    """
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient(dict(config), logger=logging.getLogger("librdkafka"))
    try:
        described = admin.describe_configs([resource], request_timeout=ASK_SECONDS)[resource].result(ASK_SECONDS)
        return int(described[LIMIT].value)
    except (KafkaException, TimeoutError, KeyError, ValueError, TypeError) as error:
        raise NotYet(reason_of(error)) from error


def with_limit(config: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The configuration of a client whose batches are not larger than the limit."""
    client_limit = min(max(limit, SMALLEST_CLIENT_LIMIT), LARGEST_CLIENT_LIMIT)
    return {
        **config,
        "message.max.bytes": client_limit,
        "batch.size": min(int(config.get("batch.size", limit)), limit),
    }


def batch_of_one(key: bytes | None, value: bytes | None) -> int:
    """The size of a batch with this record alone and without headers, as the broker measures it."""
    record = SMALL_FIELDS + _field(key) + _field(value) + 1
    return BATCH_BYTES + _varint(record) + record


def _field(data: bytes | None) -> int:
    return 1 if data is None else _varint(len(data)) + len(data)


def _varint(number: int) -> int:
    """The bytes of a positive number in zigzag coding, seven bits in each."""
    return max(1, -(-(2 * number).bit_length() // 7))
