"""The repository's schemas, and a registry in memory."""

import uuid

from confluent_kafka.schema_registry import SchemaRegistryClient

from newsroom.schemas.files import read_schema
from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings
from newsroom_stack.layout import REPOSITORY

SCHEMAS = REPOSITORY / "schemas"
NEWS_SCHEMA = read_schema(SCHEMAS / "news.avsc")


def memory_registry() -> SchemaRegistryClient:
    """A registry of its own."""
    return registry_client(KafkaSettings(registry_url=f"mock://{uuid.uuid4()}"))
