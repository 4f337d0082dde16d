"""Sends single records, as every producer of the pipeline does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer

from newsroom.access import Right
from newsroom_stack.cluster.connection import ADMIN_SECONDS, CLIENT, CLIENT_LOG
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from newsroom_stack.cluster.connection import Cluster


def send_one(cluster: Cluster, topic: str, key: str, value: str) -> tuple[int, int]:
    """Send a record and wait until it is stored; return its partition and offset.

    Raises:
        StackError: the topic does not exist, or the brokers do not take the record in time.
        LastingFailure: a right is missing.
    """
    cluster.partitions(topic)
    config = cluster.settings.producer_config(CLIENT, delivery_timeout_ms=round(ADMIN_SECONDS * 1000))
    producer = Producer(config | cluster.quiet, logger=CLIENT_LOG)
    reports: list[tuple[KafkaError | None, Message]] = []
    what = f"the record could not be sent to topic {topic}"
    with cluster.spoken(what, Right("WRITE", "topic", topic)):
        producer.produce(topic, value.encode(), key.encode(), on_delivery=lambda *report: reports.append(report))
        producer.flush(ADMIN_SECONDS + 1)
        if not reports:
            raise StackError(f"{what} at {cluster.address}: no answer within {ADMIN_SECONDS:g} s")
        error, message = reports[0]
        if error is not None:
            raise KafkaException(error)
    return message.partition(), message.offset()
