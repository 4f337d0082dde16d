"""TODO markers show the gaps. TASK.txt says what the program must do."""

import json
import os
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

topic = os.environ["LAB_OUTPUT"]
with open(os.environ["LAB_SCHEMA"], encoding="utf-8") as file:
    schema = file.read()
registry = SchemaRegistryClient({"url": os.environ["LAB_REGISTRY"]})
serialize = AvroSerializer(registry, schema)
producer = Producer({"bootstrap.servers": os.environ["LAB_BOOTSTRAP"], "enable.idempotence": True})

# TODO: register the schema here, before the first record, and end with another code than 0 if it is refused.

with open(os.environ["LAB_SOURCE"], encoding="utf-8") as source:
    for line in source:
        value = None  # TODO: serialize(json.loads(line), SerializationContext(topic, MessageField.VALUE))
        producer.produce(topic, value)

sys.exit(1 if producer.flush(30) else 0)
