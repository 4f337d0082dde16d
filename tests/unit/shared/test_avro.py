"""The Avro wire format against Confluent's own serializers, evolution, and every kind of poison."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from newsroom.avro import AvroDecoder, AvroEncoder, read_schema, register, registry_client
from newsroom.errors import DecodeError, SettingsError
from newsroom.settings import KafkaSettings

SCHEMAS = Path(__file__).parents[3] / "schemas"
NEWS = {"title": "Bridge opens é", "media": "The Daily"}
CONTEXT = SerializationContext("news", MessageField.VALUE)


@pytest.fixture
def registry() -> SchemaRegistryClient:
    return registry_client(KafkaSettings(registry_url=f"mock://{uuid.uuid4()}"))


@pytest.fixture
def schema() -> dict[str, Any]:
    return read_schema(SCHEMAS / "news.avsc")


def test_the_bytes_are_those_of_confluents_serializer(registry: SchemaRegistryClient, schema: dict[str, Any]) -> None:
    schema_id = register(registry, "news-value", schema)
    ours = AvroEncoder(schema, schema_id).encode(NEWS)
    theirs = AvroSerializer(registry, json.dumps(schema))(NEWS, CONTEXT)
    assert ours == theirs
    assert AvroDeserializer(registry)(ours, CONTEXT) == NEWS
    assert AvroDecoder(registry).decode(theirs) == NEWS


def test_old_and_new_readers_read_old_and_new_records(registry: SchemaRegistryClient, schema: dict[str, Any]) -> None:
    evolved = read_schema(SCHEMAS / "news-v2-optional.avsc")
    old = AvroEncoder(schema, register(registry, "news-value", schema)).encode(NEWS)
    new = AvroEncoder(evolved, register(registry, "news-value", evolved)).encode({**NEWS, "test": "x"})
    assert AvroDecoder(registry, evolved).decode(old) == {**NEWS, "test": None}
    assert AvroDecoder(registry, evolved).decode(new) == {**NEWS, "test": "x"}
    assert AvroDecoder(registry, schema).decode(old) == NEWS
    assert AvroDecoder(registry, schema).decode(new) == NEWS


def poison(schema_id: int, good: bytes) -> dict[str, bytes | None]:
    return {
        "null": None,
        "empty": b"",
        "plain text": b"value10",
        "wrong magic byte": b"\x01" + good[1:],
        "unknown schema id": good[:1] + (schema_id + 999).to_bytes(4, "big") + good[5:],
        "truncated": good[:-3],
        "bytes left over": good + b"x",
        "invalid UTF-8": good[:6] + b"\xff\xfe" + good[8:],
        "negative length": good[:5] + b"\x01" + good[6:],
    }


@pytest.mark.parametrize("kind", poison(1, b"\0\0\0\0\1" + b"x" * 20))
def test_poison_is_a_decode_error(registry: SchemaRegistryClient, schema: dict[str, Any], kind: str) -> None:
    schema_id = register(registry, "news-value", schema)
    good = AvroEncoder(schema, schema_id).encode(NEWS)
    with pytest.raises(DecodeError):
        AvroDecoder(registry).decode(poison(schema_id, good)[kind])


def test_a_record_that_lacks_a_required_field_is_named(schema: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="does not fit the schema"):
        AvroEncoder(schema, 1).encode({"title": "no media"})


@pytest.mark.parametrize("text", ["", "{", '{"type": "record"}', '"string"'])
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.avsc"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.avsc"):
        read_schema(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_schema(tmp_path / "missing.avsc")
