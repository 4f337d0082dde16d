"""Wrong for the Avro producer: it asks the registry once, and ends with an error when the registry is down."""

import json
import os
from pathlib import Path

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from kit import producer

topic = os.environ["LAB_OUTPUT"]
registry = SchemaRegistryClient({"url": os.environ["LAB_REGISTRY"]})
serialize = AvroSerializer(registry, Path(os.environ["LAB_SCHEMA"]).read_text(encoding="utf-8"))
sender = producer()
for line in Path(os.environ["LAB_SOURCE"]).read_text(encoding="utf-8").splitlines():
    sender.produce(topic, serialize(json.loads(line), SerializationContext(topic, MessageField.VALUE)))
sender.flush()
