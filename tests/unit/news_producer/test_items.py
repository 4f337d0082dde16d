"""Headlines, the lab's round, and the bytes that an item becomes."""

import itertools
from collections import Counter

import pytest

from news_producer.errors import BadInput
from news_producer.headlines import headlines
from news_producer.items import AvroRecords, Item, StringRecords, key_policy, lab_items
from newsroom.schemas.avro import AvroEncoder
from support.schemas import NEWS_SCHEMA

OPTIONAL = {"name": "test", "type": ["null", "string"], "default": None}


def test_headlines_have_own_ids_repeat_by_seed_and_follow_zipf() -> None:
    items = list(itertools.islice(headlines(7), 20_000))
    assert items == list(itertools.islice(headlines(7), 20_000))
    assert items[0] != next(headlines(8))
    assert len({item.key for item in items}) == 20_000
    counts = [count for _, count in Counter(w for i in items for w in i.fields["title"].lower().split()).most_common()]
    assert counts[0] > 4 * counts[9] > 12 * counts[99] > 0
    assert len(counts) > 400


def test_the_lab_round_is_42_records_in_order() -> None:
    pairs = [(item.key, item.fields["value"]) for item in lab_items(1)]
    assert len(pairs) == 42
    assert pairs[:3] == [("key0", "value0"), ("key0", "filter0"), ("key1", "value1")]
    assert pairs[-1] == ("key20", "filter20")


def test_key_policies() -> None:
    item = Item("a", {}, "x")
    assert key_policy("own", "k")(item) == b"a"
    assert key_policy("none", "k")(item) is None
    assert key_policy("fixed", "my key")(item) == b"my key"


def test_an_evolved_schema_fills_in_its_default_and_extra_fields_are_left_out() -> None:
    schema = {**NEWS_SCHEMA, "fields": [*NEWS_SCHEMA["fields"], OPTIONAL]}
    records = AvroRecords(schema, AvroEncoder(schema, 9), key_policy("own", ""))
    item = Item("a", {"id": "a", "title": "T", "media": "M"}, "f", 1)
    assert records.encode(item) == (b"a", b"\x00\x00\x00\x00\x09\x02T\x02M\x00")


def test_a_required_field_that_is_missing_is_named() -> None:
    records = AvroRecords(NEWS_SCHEMA, AvroEncoder(NEWS_SCHEMA, 9), key_policy("own", ""))
    with pytest.raises(BadInput, match="the schema requires media, which the record lacks"):
        records.encode(Item("a", {"title": "T"}, "news.jsonl", 4))


def test_strings_with_null_are_tombstones_and_articles_give_their_title() -> None:
    encode = StringRecords(key_policy("own", "")).encode
    assert encode(Item("k", {"value": None}, "f")) == (b"k", None)
    assert encode(Item("k", {"value": 6}, "f")) == (b"k", b"6")
    assert encode(Item("k", {"title": "T", "media": "M"}, "f")) == (b"k", b"T")
