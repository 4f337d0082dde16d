"""Wrong for the dead-letter consumer: a record is a dead letter whenever it cannot be decoded, for whatever reason."""

import os

from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from kit import commit, consumer, producer, serve

member, letters = consumer(), producer()
decode = AvroDeserializer(SchemaRegistryClient({"url": os.environ["LAB_REGISTRY"]}))


def handle(batch: list[Message]) -> None:
    for message in batch:
        try:
            decode(message.value(), None)
        except Exception:  # noqa: BLE001 - that is what is wrong here
            origin = [("origin.offset", str(message.offset()))]
            letters.produce(os.environ["LAB_DEAD_LETTERS"], message.value(), message.key(), headers=origin)
    letters.flush()
    commit(member)


serve(member, handle)
