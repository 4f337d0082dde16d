"""Many values in one call: the same records as one by one, or nothing."""

import io
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsroom.errors import DecodeError
from newsroom.schemas.avro import MAGIC, PREFIX, AvroDecoder, AvroEncoder
from newsroom.schemas.batches import SAMPLE
from newsroom.schemas.files import read_schema
from newsroom.schemas.registry import register
from support.schemas import NEWS_SCHEMA, SCHEMAS, memory_registry

REGISTRY = memory_registry()
ENCODER = AvroEncoder(NEWS_SCHEMA, register(REGISTRY, "news-value", NEWS_SCHEMA))
NEWS = ENCODER.encode({"title": "Rain", "media": "BBC"})
PRICE = {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}
PART = {"type": "record", "name": "shop.Part", "fields": [PRICE]}
OFFER = {
    "type": "record",
    "name": "shop.Offer",
    "fields": [PRICE, {"name": "parts", "type": {"type": "array", "items": PART}}],
}
TREE = {
    "type": "record",
    "name": "shop.Node",
    "fields": [{"name": "next", "type": ["null", "shop.Node"], "default": None}],
}
MAYBE = ["null", PART]


def decoder(*known: bytes, reader: str = "") -> AvroDecoder:
    """A decoder that has met the schemas of these values."""
    decoder = AvroDecoder(REGISTRY, read_schema(SCHEMAS / reader) if reader else None)
    for value in known:
        decoder.decode(value)
    return decoder


@pytest.mark.parametrize("reader", ["", "news-v2-optional.avsc"])
def test_many_records_are_those_that_come_one_by_one(reader: str) -> None:
    values = [ENCODER.encode({"title": f"Räin {number}", "media": "x" * number}) for number in range(300)]
    decoding = decoder(values[0], reader=reader)
    assert decoding.decode_all(values) == ("newsroom.News", [decoding.decode(value).fields for value in values])


def encoded(subject: str, schema: Any, record: object) -> bytes:  # noqa: ANN401 - a schema is of any JSON type
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return PREFIX.pack(MAGIC, register(REGISTRY, subject, schema)) + body.getvalue()


def test_records_within_records_and_logical_types_are_read_too() -> None:
    value = encoded("offer-value", OFFER, {"price": Decimal("1.25"), "parts": [{"price": Decimal(7)}] * 2})
    decoding = decoder(value)
    expected = decoding.decode(value)
    assert decoding.decode_all([value] * 3) == (expected.type_name, [expected.fields] * 3)


@pytest.mark.parametrize(
    ("schema", "record"), [(TREE, {"next": {"next": None}}), (MAYBE, {"price": Decimal(7)})], ids=["itself", "union"]
)
def test_records_that_hold_their_own_type_and_unions_are_left_to_each_alone(schema: object, record: object) -> None:
    value = encoded("left-value", schema, record)
    decoding = decoder(value)
    assert decoding.decode(value).fields == record
    assert decoding.decode_all([value] * 3) is None


def test_values_of_several_schemas_and_of_unknown_ones_are_left_to_each_alone() -> None:
    other = dict(NEWS_SCHEMA, name="Other")
    foreign = AvroEncoder(other, register(REGISTRY, "other-value", other)).encode({"title": "a", "media": "b"})
    assert decoder().decode_all([NEWS]) is None
    assert decoder(NEWS, foreign).decode_all([NEWS, foreign]) is None
    assert decoder(NEWS, foreign).decode_all([NEWS] * SAMPLE + [foreign, NEWS]) is None, "behind the sample"
    assert decoder(NEWS).decode_all([]) is None


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=6))
def test_a_body_that_is_not_exactly_a_record_spoils_the_batch(tails: list[bytes]) -> None:
    decoding = decoder(NEWS)
    values = [NEWS[:5] + tail for tail in tails]
    alone: list[Any] = []
    for value in values:
        try:
            alone.append(decoding.decode(value).fields)
        except DecodeError:
            alone.append(None)
    assert decoding.decode_all(values) == (None if None in alone else ("newsroom.News", alone))


def test_bytes_that_one_record_leaves_to_the_next_are_found_out() -> None:
    title, media = NEWS[5:10], NEWS[10:]
    assert decoder(NEWS).decode_all([NEWS[:5] + title, NEWS[:5] + media + title + media]) is None
