"""The Avro wire format against Confluent's own serializers, evolution, and every kind of poison."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given
from hypothesis import strategies as st

from newsroom.errors import DecodeError, SchemaInDoubt, SettingsError
from newsroom.schemas.avro import AvroDecoder, AvroEncoder
from newsroom.schemas.doubt import ROW
from newsroom.schemas.files import read_schema
from newsroom.schemas.registry import register
from support.schemas import NEWS_SCHEMA, SCHEMAS, memory_registry

NEWS = {"title": "Bridge opens é", "media": "The Daily"}
TEXT = st.characters(exclude_categories=["Cs"])
PROPERTY_REGISTRY = memory_registry()
PROPERTY_SCHEMA_ID = register(PROPERTY_REGISTRY, "news-value", NEWS_SCHEMA)
CONTEXT = SerializationContext("news", MessageField.VALUE)


@pytest.fixture
def registry() -> SchemaRegistryClient:
    return memory_registry()


def test_the_bytes_are_those_of_confluents_serializer(registry: SchemaRegistryClient) -> None:
    schema_id = register(registry, "news-value", NEWS_SCHEMA)
    ours = AvroEncoder(NEWS_SCHEMA, schema_id).encode(NEWS)
    theirs = AvroSerializer(registry, json.dumps(NEWS_SCHEMA))(NEWS, CONTEXT)
    assert ours == theirs
    assert AvroDeserializer(registry)(ours, CONTEXT) == NEWS
    assert AvroDecoder(registry).decode(theirs).fields == NEWS


def test_old_and_new_readers_read_old_and_new_records(registry: SchemaRegistryClient) -> None:
    evolved = read_schema(SCHEMAS / "news-v2-optional.avsc")
    old = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA)).encode(NEWS)
    new = AvroEncoder(evolved, register(registry, "news-value", evolved)).encode({**NEWS, "test": "x"})
    assert AvroDecoder(registry, evolved).decode(old).fields == {**NEWS, "test": None}
    assert AvroDecoder(registry, evolved).decode(new).fields == {**NEWS, "test": "x"}
    assert AvroDecoder(registry, NEWS_SCHEMA).decode(old).fields == NEWS
    assert AvroDecoder(registry, NEWS_SCHEMA).decode(new).fields == NEWS


def poison(schema_id: int, good: bytes) -> dict[str, bytes | None]:
    return {
        "null": None,
        "empty": b"",
        "plain text": b"value10",
        "wrong magic byte": b"\x01" + good[1:],
        "impossible schema id": good[:1] + b"\xff\xff\xff\xff" + good[5:],
        "unknown schema id": good[:1] + (schema_id + 999).to_bytes(4, "big") + good[5:],
        "truncated": good[:-3],
        "bytes left over": good + b"x",
        "invalid UTF-8": good[:6] + b"\xff\xfe" + good[8:],
        "negative length": good[:5] + b"\x01" + good[6:],
    }


@pytest.mark.parametrize("kind", poison(1, b"\0\0\0\0\1" + b"x" * 20))
def test_poison_is_a_decode_error(registry: SchemaRegistryClient, kind: str) -> None:
    schema_id = register(registry, "news-value", NEWS_SCHEMA)
    good = AvroEncoder(NEWS_SCHEMA, schema_id).encode(NEWS)
    decoder = AvroDecoder(registry)
    assert decoder.decode(good) == ("newsroom.News", NEWS)
    with pytest.raises(DecodeError):
        decoder.decode(poison(schema_id, good)[kind])


def test_a_record_that_lacks_a_required_field_is_named() -> None:
    with pytest.raises(SettingsError, match="does not fit the schema"):
        AvroEncoder(NEWS_SCHEMA, 1).encode({"title": "no media"})


def test_a_number_that_is_too_large_for_its_field_is_named() -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}
    with pytest.raises(SettingsError, match="does not fit the schema"):
        AvroEncoder(schema, 1).encode({"n": 2**70})


BAD_SCHEMAS = ["", "{", "{}", "null", '{"type": "record"}', '{"type": "record", "name": "R", "fields": 1}', '"string"']


@pytest.mark.parametrize("text", [*BAD_SCHEMAS, '{"type": "string"}'])
def test_a_file_that_is_no_schema_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.avsc"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.avsc"):
        read_schema(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_schema(tmp_path / "missing.avsc")


def test_a_schema_file_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    path = tmp_path / "café.avsc"
    path.write_text("\ufeff" + json.dumps(NEWS_SCHEMA | {"doc": "Überschrift"}, ensure_ascii=False), encoding="utf-8")
    code = (
        "import sys, pathlib; from newsroom.schemas.files import read_schema\n"
        "print(ascii(read_schema(next(pathlib.Path(sys.argv[1]).iterdir()))['doc']))"
    )
    locale = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path], env=locale, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"'\\xdcberschrift'\n", done.stderr


@pytest.mark.parametrize("kind", ["JSON", "PROTOBUF"])
def test_a_record_of_another_kind_of_schema_is_poison(registry: SchemaRegistryClient, kind: str) -> None:
    # A JSON schema of a string is an Avro schema to the letter: only its type tells them apart.
    schema_id = registry.register_schema("other", Schema('{"type": "string"}', kind))
    with pytest.raises(DecodeError, match=f"schema id {schema_id} is not an Avro schema but a schema of type {kind}"):
        AvroDecoder(registry).decode(b"\0" + schema_id.to_bytes(4, "big") + b"\2a")


@pytest.mark.parametrize("text", [text for text in BAD_SCHEMAS if text != '"string"'])
def test_a_record_whose_schema_cannot_be_parsed_is_poison(registry: SchemaRegistryClient, text: str) -> None:
    schema_id = registry.register_schema("broken", Schema(text, "AVRO"))
    with pytest.raises(DecodeError, match=f"schema id {schema_id} is not a readable Avro schema"):
        AvroDecoder(registry).decode(b"\0" + schema_id.to_bytes(4, "big") + b"\2a")


AUTHOR = {"type": "record", "name": "Author", "namespace": "people", "fields": [{"name": "name", "type": "string"}]}
TEAM = {
    "type": "record",
    "name": "Team",
    "namespace": "people",
    "fields": [{"name": "head", "type": "Author"}, {"name": "deputy", "type": "Author"}],
}
WHOLE_TEAM = {**TEAM, "fields": [{"name": "head", "type": AUTHOR}, {"name": "deputy", "type": "Author"}]}
PAPER: dict[str, Any] = {"type": "record", "name": "Paper", "fields": [{"name": "by", "type": "people.Team"}]}
WHOLE_PAPER = {**PAPER, "fields": [{"name": "by", "type": WHOLE_TEAM}]}
BY = {"by": {"head": {"name": "Ada"}, "deputy": {"name": "Bob"}}}


def with_references(registry: SchemaRegistryClient, root: object, team_name: str = "people.Team") -> int:
    """Register a schema that refers to a team, which refers to an author; its id."""
    registry.register_schema("author", Schema(json.dumps(AUTHOR), "AVRO"))
    author = SchemaReference("people.Author", "author", 1)
    registry.register_schema("team", Schema(json.dumps(TEAM), "AVRO", [author]))
    team = SchemaReference(team_name, "team", 1)
    return int(registry.register_schema("root", Schema(json.dumps(root), "AVRO", [team])))


@pytest.mark.parametrize("name", ["people.Team", "team.avsc"])
def test_a_schema_that_refers_to_others_is_put_together(registry: SchemaRegistryClient, name: str) -> None:
    schema_id = with_references(registry, PAPER, name)
    data = AvroEncoder(WHOLE_PAPER, schema_id).encode(BY)
    assert AvroDecoder(registry).decode(data).fields == BY
    reader = {**WHOLE_PAPER, "fields": [*WHOLE_PAPER["fields"], {"name": "page", "type": "int", "default": 1}]}
    assert AvroDecoder(registry, reader).decode(data).fields == {**BY, "page": 1}


def test_a_type_that_two_references_share_stands_in_the_schema_once(registry: SchemaRegistryClient) -> None:
    by = [{"name": "by", "type": "people.Author"}]
    registry.register_schema("author", Schema(json.dumps(AUTHOR), "AVRO"))
    author = SchemaReference("people.Author", "author", 1)
    for name in "PC":
        page = {"type": "record", "name": name, "fields": by}
        registry.register_schema(name, Schema(json.dumps(page), "AVRO", [author]))
    both = [SchemaReference(name, name, 1) for name in "PC"]
    book = {"type": "record", "name": "Book", "fields": [{"name": name, "type": name} for name in "PC"]}
    schema_id = registry.register_schema("book", Schema(json.dumps(book), "AVRO", both))
    data = b"\0" + schema_id.to_bytes(4, "big") + b"\x06Ada\x06Bob"
    assert AvroDecoder(registry).decode(data).fields == {"P": {"by": {"name": "Ada"}}, "C": {"by": {"name": "Bob"}}}


def test_a_union_of_types_from_elsewhere_is_put_together(registry: SchemaRegistryClient) -> None:
    schema_id = with_references(registry, ["null", "people.Team"])
    body = AvroEncoder(WHOLE_TEAM, schema_id).encode(BY["by"])
    data = body[:5] + b"\x02" + body[5:]  # the second branch of the union
    assert AvroDecoder(registry).decode(data).fields == BY["by"]


def test_a_schema_that_refers_to_a_missing_one_is_poison(registry: SchemaRegistryClient) -> None:
    gone = SchemaReference("people.Team", "gone", 3)
    schema_id = registry.register_schema("root", Schema(json.dumps(PAPER), "AVRO", [gone]))
    data = AvroEncoder(WHOLE_PAPER, schema_id).encode(BY)
    with pytest.raises(DecodeError, match="gone version 3, which a schema refers to, is unknown to the schema"):
        AvroDecoder(registry).decode(data)


UNREADABLE = {**NEWS_SCHEMA, "fields": [*NEWS_SCHEMA["fields"], {"name": "author", "type": "string"}]}
"""A reader schema for News with a field that no writer has, and without a default."""


@pytest.mark.parametrize("reader", [UNREADABLE, {**NEWS_SCHEMA, "name": "Article"}])
def test_a_reader_schema_that_fits_no_record_is_a_setting_and_not_poison(
    registry: SchemaRegistryClient, reader: dict[str, Any]
) -> None:
    data = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA)).encode(NEWS)
    decoder = AvroDecoder(registry, reader, topic="news")
    with pytest.raises(SchemaInDoubt, match=r"schema \d+ \(newsroom.News\) cannot decode the body"):
        decoder.decode(data)
    with pytest.raises(SettingsError, match=r"does not fit 2 records of news in a row .*give each field .*--reader"):
        decoder.decode(data)
    decoder.read_again()
    with pytest.raises(SchemaInDoubt):
        decoder.decode(data)


def test_a_minority_that_the_reader_schema_does_not_fit_is_poison(registry: SchemaRegistryClient) -> None:
    wide = {**UNREADABLE, "fields": UNREADABLE["fields"][1:]}
    order = {**wide, "name": "Order"}
    misfit, foreign = (AvroEncoder(kind, register(registry, "x-value", kind)) for kind in (wide, order))
    good = AvroEncoder(NEWS_SCHEMA, register(registry, "news-value", NEWS_SCHEMA)).encode(NEWS)
    bad, stranger = (encoder.encode({"media": "M", "author": "A"}) for encoder in (misfit, foreign))
    decoder = AvroDecoder(registry, NEWS_SCHEMA, topic="news")
    for _ in range(3):
        decoder.decode(good)
        for data, error in [*[(bad, SchemaInDoubt)] * (ROW - 1), *[(stranger, DecodeError)] * ROW]:
            with pytest.raises(error):
                decoder.decode(data)
    with pytest.raises(SettingsError, match=f"does not fit {ROW} records of news in a row"):
        decoder.decode(bad)


@given(st.binary())
def test_any_body_is_a_record_or_poison(body: bytes) -> None:
    decoder = AvroDecoder(PROPERTY_REGISTRY)
    with contextlib.suppress(DecodeError):
        record = decoder.decode(b"\0" + PROPERTY_SCHEMA_ID.to_bytes(4, "big") + body).fields
        assert record.keys() == NEWS.keys()


@given(st.fixed_dictionaries({"title": st.text(TEXT), "media": st.text(TEXT)}))
def test_any_record_arrives_as_it_was_written(record: dict[str, str]) -> None:
    encoder = AvroEncoder(NEWS_SCHEMA, PROPERTY_SCHEMA_ID)
    assert AvroDecoder(PROPERTY_REGISTRY).decode(encoder.encode(record)).fields == record
