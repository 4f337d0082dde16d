"""Headlines, records, files, the pump: everything that needs no Kafka."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from news_producer.errors import BadInput
from news_producer.headlines import headlines
from news_producer.inputs import BadLines, read_file, read_lines
from news_producer.pump import Pace, interleave, pump
from news_producer.records import AvroRecords, Item, StringRecords, key_policy, lab_items
from news_producer.settings import ProducerSettings
from newsroom.errors import SettingsError
from newsroom.schemas.avro import AvroEncoder
from newsroom.settings import load_settings
from newsroom.waiting import StopFlag

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {
    "type": "record",
    "name": "News",
    "fields": [{"name": "title", "type": "string"}, {"name": "media", "type": "string"}],
}
OPTIONAL = {"name": "test", "type": ["null", "string"], "default": None}


class ListOutput:
    """An output that keeps what it gets."""

    def __init__(self, stop: StopFlag | None = None) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self.flushes = 0
        self.idle = 0
        self._stop = stop

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        self.records.append((key, value))
        return True

    def serve(self, seconds: float) -> None:
        assert seconds > 0
        self.idle += 1
        if self._stop is not None:
            self._stop.set()

    def flush(self) -> None:
        self.flushes += 1

    def check(self) -> None:
        pass


def parse(*argv: str) -> ProducerSettings:
    return load_settings(ProducerSettings, "news-producer", list(argv))


def items_of(path: Path, kind: str = "avro", *, skip: bool = False) -> tuple[list[Item], BadLines]:
    bad = BadLines(skip=skip)
    return [item for item in read_file(str(path), "auto", kind, bad) if item], bad


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
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], OPTIONAL]}
    records = AvroRecords(schema, AvroEncoder(schema, 9), key_policy("own", ""))
    item = Item("a", {"id": "a", "title": "T", "media": "M"}, "f", 1)
    assert records.encode(item) == (b"a", b"\x00\x00\x00\x00\x09\x02T\x02M\x00")


def test_a_required_field_that_is_missing_is_named() -> None:
    records = AvroRecords(SCHEMA, AvroEncoder(SCHEMA, 9), key_policy("own", ""))
    with pytest.raises(BadInput, match=r"news\.jsonl, line 4: the schema requires media"):
        records.encode(Item("a", {"title": "T"}, "news.jsonl", 4))


def test_strings_with_null_are_tombstones_and_articles_give_their_title() -> None:
    encode = StringRecords(key_policy("own", "")).encode
    assert encode(Item("k", {"value": None}, "f")) == (b"k", None)
    assert encode(Item("k", {"value": 6}, "f")) == (b"k", b"6")
    assert encode(Item("k", {"title": "T", "media": "M"}, "f")) == (b"k", b"T")


def test_jsonl_csv_and_lines(tmp_path: Path) -> None:
    jsonl, table, lines = tmp_path / "a.jsonl", tmp_path / "a.csv", tmp_path / "wire.txt"
    jsonl.write_text('{"id": 5, "title": "A", "media": "M"}\n\n{"title": "B", "media": "M"}')
    table.write_text('\ufeffid,title,media\r\n7,"A, ""b""\nc",M\r\n')
    lines.write_text("First title\nSecond title\n")
    first, second = items_of(jsonl)[0]
    assert (first.key, second.line, len(second.key or "")) == ("5", 3, 16)
    (row,) = items_of(table)[0]
    assert (row.key, row.fields["title"], row.line) == ("7", 'A, "b"\nc', 2)
    assert [dict(item.fields) for item in items_of(lines)[0]] == [
        {"title": "First title", "media": "wire"},
        {"title": "Second title", "media": "wire"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"value": "x"}\n{oops\n{"value": "y"}\n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"value": "x"}\n[1]\n{"value": "y"}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'{"value": "x"}\n{"key": "k"}\n{"value": "y"}\n', "line 2: the field 'value' is missing"),
        ("a.csv", b"value,b\nx,1\ny\nz,1\n", "line 3: 1 columns, but the header has 2"),
        ("a.csv", b'value\nx\ny\n"z\n', "line 4: a quote opens and never closes"),
        ("a.txt", b"x\n\xff\ny\n", "line 2: not valid UTF-8"),
    ],
)
def test_bad_lines_end_with_their_place_or_are_skipped(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as raised:
        items_of(path, "string")
    assert raised.value.exit_code == 1
    assert str(path) in str(raised.value)
    items, bad = items_of(path, "string", skip=True)
    assert (len(items), bad.skipped) == (2, 1)


def test_a_quoted_field_keeps_its_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('key,value\n\na,"one\n\n  \ntwo"\n\nb,"x"\n')
    assert [(item.key, item.fields["value"], item.line) for item in items_of(path, "string")[0]] == [
        ("a", "one\n\n  \ntwo", 3),
        ("b", "x", 8),
    ]


def test_a_quote_that_is_never_closed_is_found_soon_and_the_rows_after_it_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"k{number},some text of a row\n" for number in range(20_000)]
    path.write_text("key,value\n" + 'open,"never closed\n' + "".join(rows))
    start = time.monotonic()
    with pytest.raises(BadInput, match=r"lines 2 to \d+: a quote opens and does not close within 131072 characters"):
        items_of(path, "string")
    items, bad = items_of(path, "string", skip=True)
    assert time.monotonic() - start < 3
    assert bad.skipped == 1
    assert items[-1].key == "k19999"
    assert sum(len(row) for row in rows) - sum(len(f"{i.key},{i.fields['value']}\n") for i in items) <= 131_072


def test_rows_with_many_lines_in_quotes_are_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "\n" * 100_000
    path.write_text(f'key,value\na,"{long}"\nb,"{long}"\n')
    start = time.monotonic()
    assert [item.fields["value"] for item in items_of(path, "string")[0]] == [long, long]
    assert time.monotonic() - start < 3


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.txt cannot be read: No such file"):
        items_of(tmp_path / "none.txt")


def test_a_silent_pipe_gives_none_instead_of_waiting() -> None:
    reader, writer = os.pipe()
    lines = read_lines(reader, "pipe", BadLines(skip=False))
    assert next(lines) is None
    os.write(writer, b"one\ntw")
    assert next(lines) == (1, "one")
    assert next(lines) is None
    os.write(writer, b"o")
    os.close(writer)
    assert list(lines) == [(2, "two")]


def test_sources_take_turns_and_an_idle_one_holds_up_nobody() -> None:
    assert list(interleave([iter([1, None, 2]), iter([None, None, None, 3])])) == [1, None, 2, 3]


def test_the_pump_stops_at_its_limit_and_flushes_each() -> None:
    output = ListOutput()
    encode = StringRecords(key_policy("own", "")).encode
    bad = BadLines(skip=False)
    sent = pump(lab_items(1), encode, output, stop=StopFlag(), bad=bad, pace=Pace(0), limit=5, flush_each=True)
    assert (sent, len(output.records), output.flushes) == (5, 5, 5)


def test_the_pump_stops_while_idle() -> None:
    stop = StopFlag()
    output = ListOutput(stop)
    encode = StringRecords(key_policy("own", "")).encode
    assert pump(itertools.repeat(None), encode, output, stop=stop, bad=BadLines(skip=False), pace=Pace(0)) == 0
    assert output.idle == 1


def test_a_pace_is_kept_and_catches_up_one_second_only() -> None:
    now = [0.0]
    pace = Pace(10, lambda: now[0])
    pace.took_one()
    assert pace.left() == pytest.approx(0.1)
    now[0] = 100.0
    due = 0
    while pace.left() <= 0:
        pace.took_one()
        due += 1
    assert due == pytest.approx(11, abs=1)


def test_sources_repeat_and_split_at_commas() -> None:
    assert parse("--source", "a", "--source=b,-", "--rate", "3").sources == ("a", "b", "-")
    assert parse().sources == ("generator",)
    assert parse("--format", "string").sources == ("lab",)


def test_topic_subject_and_registration() -> None:
    settings = parse("--topic", "t", "--schema", "x.avsc", "--no-register")
    assert (settings.topic_name, settings.subject_name, str(settings.schema_path)) == ("t", "t-value", "x.avsc")
    assert not settings.register_schema
    assert (parse().topic_name, parse("--format", "string").topic_name) == ("news", "mytopic")


def test_idempotence_needs_acks_all_but_gives_way_when_it_was_not_asked_for() -> None:
    with pytest.raises(SettingsError, match="idempotence needs acks=all, got acks=1"):
        parse("--acks", "1", "--idempotence")
    assert parse("--acks", "0").client("c")["enable.idempotence"] is False
    assert parse().client("c")["enable.idempotence"] is True


def test_client_parameters_carry_the_options() -> None:
    config = parse(
        "--linger-ms", "20", "--batch-size", "5000", "--compression", "zstd", "--sticky-linger-ms", "0",
        "--message-timeout", "2.5",
    ).client("c")  # fmt: skip
    assert (config["linger.ms"], config["batch.size"], config["compression.type"]) == (20, 5000, "zstd")
    assert (config["sticky.partitioning.linger.ms"], config["delivery.timeout.ms"]) == (0, 2500)
    assert config["partitioner"] == "murmur2_random"
