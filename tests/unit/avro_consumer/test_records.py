"""What the avro-consumer does to a record, its sink and its settings, without Kafka."""

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from avro_consumer.errors import SinkFailed
from avro_consumer.records import AvroFormat, Reading, Record, StringFormat, dead_letter_headers
from avro_consumer.settings import AvroConsumerSettings
from avro_consumer.sink import TAIL_BYTES, JsonLinesSink, sink_path
from newsroom.errors import DecodeError, SettingsError
from newsroom.schemas.avro import AvroRecord
from newsroom.settings import load_settings


class FakeDecoder:
    unexpected = 0

    def decode(self, data: bytes | None, _: object = ()) -> AvroRecord:
        assert data is not None
        fields = json.loads(data)
        return AvroRecord(fields.pop("type", "newsroom.News"), fields)

    def decode_all(self, values: Sequence[bytes]) -> tuple[str, list[dict[str, Any]]] | None:
        records = [self.decode(value) for value in values]
        names = {record.type_name for record in records}
        return (names.pop(), [record.fields for record in records]) if len(names) == 1 else None

    def read_again(self) -> None:
        pass

    def look_ahead(self, _: object) -> None:
        pass


def record(value: bytes | None, *, key: bytes | None = b"key1", topic: str = "news", offset: int = 3) -> Record:
    return Record(topic, 1, offset, 1700000000000, key, value)


def test_news_is_shown_in_one_line() -> None:
    form = AvroFormat(FakeDecoder())
    reading = form.read(record(b'{"title": "Rain", "media": "BBC"}'))
    assert form.show(reading) == "Consumed : News(title='Rain', media='BBC') Offset : 3 Partition : 1"


def test_a_record_has_the_name_that_its_writer_gave_it() -> None:
    form = AvroFormat(FakeDecoder())
    shown = form.show(form.read(record(b'{"type": "shop.Order", "id": 1}')))
    assert shown == "Consumed : shop.Order(id=1) Offset : 3 Partition : 1"


def test_a_tombstone_is_shown_as_null_and_is_not_poison() -> None:
    form = AvroFormat(FakeDecoder())
    assert form.show(form.read(record(None))) == "Consumed : null Offset : 3 Partition : 1"


def test_a_string_is_shown_in_the_lines_of_the_lab() -> None:
    form = StringFormat()
    reading = form.read(record(b"value1", topic="mytopic", offset=20))
    assert form.show(reading) == "Reading :\nOffset : 20 from partition 1\nValue : value1\nKey : key1"


@pytest.mark.parametrize(("key", "value", "what"), [(b"k", b"\xff", "value"), (b"a\xc3", b"v", "key")])
def test_a_string_that_is_not_valid_utf8_is_poison(key: bytes, value: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=f"the {what} is not valid UTF-8"):
        StringFormat().read(record(value, key=key))


def test_a_dead_letter_keeps_its_headers_and_says_where_it_came_from() -> None:
    poison = Record("news", 4, 17, 1700000000000, None, b"x", (("trace", b"1"), ("empty", None)))
    assert dead_letter_headers(poison, DecodeError("too short"), "readers") == [
        ("trace", b"1"),
        ("empty", None),
        ("dlq.origin.topic", b"news"),
        ("dlq.origin.partition", b"4"),
        ("dlq.origin.offset", b"17"),
        ("dlq.origin.timestamp", b"1700000000000"),
        ("dlq.error", b"too short"),
        ("dlq.consumer.group", b"readers"),
    ]


def reading(offset: int, value: dict[str, Any] | str | None = "väl\nue") -> Reading:
    return Reading(record(b"", offset=offset), "key1", value)


def test_the_sink_writes_one_whole_line_a_record(tmp_path: Path) -> None:
    with JsonLinesSink(tmp_path / "deep" / "out.jsonl") as sink:
        sink.write([reading(0), reading(1, {"raw": b"\xff"})])
        lines = (tmp_path / "deep" / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == ["väl\nue", {"raw": "ÿ"}]
    assert json.loads(lines[0]) == {
        "topic": "news",
        "partition": 1,
        "offset": 0,
        "timestamp": 1700000000000,
        "key": "key1",
        "value": "väl\nue",
    }


def test_a_key_that_is_not_utf8_is_shown_in_the_line_with_escapes(tmp_path: Path) -> None:
    form, path = AvroFormat(FakeDecoder()), tmp_path / "out.jsonl"
    keys = [b"a\xff\x00\n", b"\xed\xa0\x80", "ü".encode(), b""]
    records = [record(b'{"a": 1}', offset=number, key=key) for number, key in enumerate(keys)]
    together = form.read_all(records)
    with JsonLinesSink(path) as sink:
        sink.write([form.read(record) for record in records])
        sink.write(together or [])
    lines = [json.loads(line) for line in path.read_bytes().decode("utf-8").splitlines()]
    assert [line["key"] for line in lines] == [r"a\xff" + "\0\n", r"\xed\xa0\x80", "ü", ""] * 2
    assert [line["offset"] for line in lines] == [0, 1, 2, 3] * 2


def offsets_in(path: Path) -> list[int]:
    return [json.loads(line)["offset"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("torn", [b'{"topic": "ne', b"x" * (2 * TAIL_BYTES + 7)])
@pytest.mark.parametrize("whole", [b"", b'{"offset": 0}\n{"offset": 1}\n'])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(whole + torn)
    with JsonLinesSink(path) as sink:
        sink.write([reading(2)])
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["offset"] for line in path.read_text().splitlines()] == [*([0, 1] if whole else []), 2]


def test_a_sink_has_one_writer(tmp_path: Path) -> None:
    with JsonLinesSink(tmp_path / "out.jsonl"), pytest.raises(SettingsError, match="another process"):
        JsonLinesSink(tmp_path / "out.jsonl")


def test_values_that_json_lacks_can_be_read_back(tmp_path: Path) -> None:
    wide = Decimal("12345678901234567890123456789012345678.90")
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    raw = bytes(range(256))
    value = {
        "numbers": [math.nan, math.inf, -math.inf, 1.5],
        "raw": raw,
        "wide": wide,
        "at": [moment, moment.date(), moment.time()],
        "id": UUID(int=7),
    }
    with JsonLinesSink(tmp_path / "out.jsonl") as sink:
        sink.write([reading(0, value), reading(1, {"raw": raw, "wide": wide})])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    lines = (tmp_path / "out.jsonl").read_bytes().rstrip().split(b"\n")
    first, second = (json.loads(line, parse_constant=refuse)["value"] for line in lines)
    assert first["numbers"] == ["NaN", "Infinity", "-Infinity", 1.5]
    assert second["raw"].encode("latin-1") == first["raw"].encode("latin-1") == raw
    assert Decimal(first["wide"]) == wide
    kinds = (datetime, date, time)
    read = [kind.fromisoformat(text) for kind, text in zip(kinds, first["at"], strict=True)]  # type: ignore[attr-defined]
    assert read == [moment, moment.date(), moment.time()]
    assert UUID(first["id"]) == UUID(int=7)


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(path.with_suffix(".1"))])
def test_a_file_that_is_taken_away_is_made_anew(tmp_path: Path, rotate: Callable[[Path], object]) -> None:
    path = tmp_path / "deep" / "out.jsonl"
    with JsonLinesSink(path) as sink:
        sink.write([reading(0)])
        rotate(path)
        sink.write([reading(1)])
        sink.write([reading(2)])
        assert offsets_in(path) == [1, 2]
        with pytest.raises(SettingsError, match="another process"):
            JsonLinesSink(path)
        shutil.rmtree(path.parent)
        sink.write([reading(3)])
        assert offsets_in(path) == [3]


def test_lines_that_went_into_a_deleted_file_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    with JsonLinesSink(path) as sink:
        sync = os.fsync

        def deleted_meanwhile(descriptor: int) -> None:
            monkeypatch.setattr("avro_consumer.sink.os.fsync", sync)
            sync(descriptor)
            path.unlink()

        monkeypatch.setattr("avro_consumer.sink.os.fsync", deleted_meanwhile)
        sink.write([reading(0)])
        assert offsets_in(path) == [0]


def test_a_file_that_cannot_be_made_anew_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonLinesSink(path) as sink:
        path.unlink()
        path.mkdir()
        with pytest.raises(SettingsError, match="cannot open the sink"):
            sink.write([reading(0)])


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with JsonLinesSink(tmp_path / "out.jsonl") as sink:
        monkeypatch.setattr("avro_consumer.sink.os.fsync", full)
        with pytest.raises(SinkFailed, match="No space left on device; make room"):
            sink.write([reading(0)])


def test_replicas_do_not_share_a_file(tmp_path: Path) -> None:
    assert sink_path(tmp_path, 2) == tmp_path / "consumed-2.jsonl"
    assert sink_path(Path("new/folder"), 0) == Path("new/folder/consumed-0.jsonl")
    assert sink_path(Path("out/news.jsonl"), 1) == Path("out/news-1.jsonl")


def options(*argv: str) -> AvroConsumerSettings:
    return load_settings(AvroConsumerSettings, "avro-consumer", list(argv))


def test_the_format_decides_topic_and_group() -> None:
    assert (options().source, options().group_id) == ("news", "avro-consumer")
    strings = options("--format", "string")
    assert (strings.source, strings.group_id) == ("mytopic", "string-consumer")
    assert strings.member_config(None)["group.id"] == "string-consumer"
    chosen = options("--format", "string", "--topic", "word", "--group", "g")
    assert (chosen.source, chosen.group_id) == ("word", "g")


def test_a_blank_group_id_is_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"--group \(or NEWSROOM_CONSUMER_GROUP\): a group id must not be blank"):
        options("--group", " ")


def test_poison_may_not_return_to_its_own_topic() -> None:
    with pytest.raises(SettingsError, match=r"topic and dlq_topic are both news\.dlq"):
        options("--topic", "news.dlq")


def test_the_classic_protocol_is_cooperative_with_our_session() -> None:
    config = options("--session-timeout", "7").member_config(None)
    assert config["partition.assignment.strategy"] == "cooperative-sticky"
    assert config["session.timeout.ms"] == 7000
    assert config["heartbeat.interval.ms"] == 400
    assert config["enable.auto.commit"] is False
    assert "group.instance.id" not in config


def test_the_consumer_protocol_sets_nothing_that_belongs_to_the_broker() -> None:
    config = options("--group-protocol", "consumer").member_config(None)
    assert config["group.protocol"] == "consumer"
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & set(config)


def test_a_static_member_is_named_after_its_slot_and_hands_all_partitions_over_at_once() -> None:
    config = options("--static-membership", "--group", "g").member_config(2)
    assert config["group.instance.id"] == "g-2"
    assert config["partition.assignment.strategy"] == "range"


def test_exactly_once_does_not_write_to_a_file() -> None:
    with pytest.raises(SettingsError, match=r"a file cannot be part of a transaction: set --database"):
        options("--delivery", "exactly-once", "--sink", "out")


def test_a_database_is_for_exactly_once_and_its_password_is_not_said() -> None:
    with pytest.raises(
        SettingsError, match=r"--database is for --delivery exactly-once, not for at-least-once"
    ) as caught:
        options("--database", "postgresql://u:secret@h/d")
    assert "secret" not in str(caught.value)


def test_exactly_once_has_a_database_of_its_own(tmp_path: Path) -> None:
    settings = options("--delivery", "exactly-once", "--state-dir", str(tmp_path))
    assert settings.database_url == f"sqlite:///{tmp_path}/consumed.sqlite"


def test_only_auto_lets_the_client_commit() -> None:
    assert options("--delivery", "never").member_config(None)["enable.auto.commit"] is False
    config = options("--delivery", "auto", "--auto-commit-interval", "0.5").member_config(None)
    assert (config["enable.auto.commit"], config["auto.commit.interval.ms"]) == (True, 500)


def test_properties_of_the_user_win_over_those_that_no_promise_needs() -> None:
    config = options("--client-properties", "fetch.queue.backoff.ms=70").member_config(None)
    assert config["fetch.queue.backoff.ms"] == "70"


def test_a_reading_has_fields_for_programs() -> None:
    string = StringFormat().read(record(b"value1", topic="mytopic", offset=20))
    assert string.fields == {"topic": "mytopic", "partition": 1, "offset": 20, "key": "key1"}
    news = AvroFormat(FakeDecoder()).read(record(b'{"title": "Rain"}'))
    assert news.fields["schema"] == "newsroom.News"


def test_many_avro_records_are_read_as_each_alone() -> None:
    form, records = AvroFormat(FakeDecoder()), [record(b'{"a": 1}', key=b"\xff"), record(b'{"a": 2}', key=None)]
    assert form.read_all(records) == [form.read(record) for record in records]
    assert form.read_all([*records, record(None)]) is None
    assert form.read_all([*records, record(b'{"type": "shop.Order"}')]) is None
    assert form.read_all([record(b'{"a": 1}')._replace(headers=(("h", b""),))]) is None


def test_many_strings_are_read_as_each_alone() -> None:
    form, records = StringFormat(), [record(b"a"), record(None), record(b"", key=None)]
    assert form.read_all(records) == [form.read(record) for record in records]
    assert form.read_all([*records, record(b"\xff")]) is None
