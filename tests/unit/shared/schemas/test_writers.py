"""Who is to blame for a schema that the registry does not have: the record, or the registry."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from newsroom.errors import DecodeError, RegistryUnavailable
from newsroom.schemas import writers
from newsroom.schemas.avro import AvroDecoder
from newsroom.schemas.doubt import ROW
from newsroom.schemas.registry import Patience, registry_client
from newsroom.settings import KafkaSettings
from newsroom.waiting import StopFlag
from support.web import Request, Web

R = json.dumps({"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]})


class Registry(Web):
    """A registry with these schemas, by id or GUID, and these subjects."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.schemas: dict[str, str] = {}
        self.subjects: list[str] = []
        self.code = 40403

    def _answer(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        key = path.rpartition("/")[2]
        if path == "/subjects":
            request.reply(200, json.dumps(self.subjects).encode())
        elif key in self.schemas:
            request.reply(200, json.dumps({"schema": self.schemas[key]}).encode())
        else:
            request.reply(404, b'{"error_code": %d, "message": "not found"}' % self.code)

    def asked(self, key: int) -> int:
        """How often the schema was asked for."""
        return sum(path.partition("?")[0] == f"/schemas/ids/{key}" for path in self.paths)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(writers, "LAG_SECONDS", 0.3)
    with Registry() as server:
        yield server


def decoder_of(registry: Registry, seconds: float = 0.3, tick: Callable[[], None] = lambda: None) -> AvroDecoder:
    client = registry_client(KafkaSettings(registry_url=registry.url))
    return AvroDecoder(client, topic="news", patience=Patience(seconds, StopFlag(), tick), expected="R")


def value(key: int) -> bytes:
    return struct.pack(">bI", 0, key) + b"\x02"


def test_a_registry_that_knows_neither_the_first_schema_nor_the_subject_has_lost_its_data(registry: Registry) -> None:
    with pytest.raises(RegistryUnavailable) as raised:
        decoder_of(registry).decode(value(7))
    for words in ("no schema for topic news within 0.3 s", "schema id 7 is unknown", registry.url, "lost its data"):
        assert words in str(raised.value)
    assert registry.asked(7) > 2


def test_a_schema_that_comes_back_is_used(registry: Registry) -> None:
    decoder = decoder_of(registry, 60, lambda: registry.schemas.update({"7": R}))
    assert decoder.decode(value(7)) == ("R", {"n": 1})


def test_a_first_schema_may_be_poison_where_the_subject_is_known_but_not_a_second_time(registry: Registry) -> None:
    registry.subjects = ["news-value"]
    decoder = decoder_of(registry)
    with pytest.raises(DecodeError, match="schema id 7 is unknown"):
        decoder.decode(value(7))
    with pytest.raises(RegistryUnavailable, match="lost its data"):
        decoder.decode(value(7))


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_each_of_the_apis_codes_says_that_the_registry_does_not_have_it(registry: Registry, code: int) -> None:
    registry.schemas["1"], registry.code = R, code
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    with pytest.raises(DecodeError, match=f"schema id 9 is unknown to the schema registry at {registry.url}"):
        decoder.decode(value(9))


def test_an_unknown_id_is_asked_for_once_in_a_while(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    for key in (7, 7, 8, 7, 8):
        with pytest.raises(DecodeError, match=f"schema id {key} is unknown"):
            decoder.decode(value(key))
    assert (registry.asked(7), registry.asked(8)) == (1, 1)
    registry.schemas["7"] = R
    later = time.monotonic() + 1000
    with monkeypatch.context() as patch:
        patch.setattr("newsroom.schemas.writers.time.monotonic", lambda: later)
        assert decoder.decode(value(7)).fields == {"n": 1}


def test_of_unknown_ids_only_so_many_are_remembered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "MOST_REFUSED", 2)
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    for key in (7, 8, 7, 9, 7):
        with pytest.raises(DecodeError):
            decoder.decode(value(key))
    assert [registry.asked(key) for key in (7, 8, 9)] == [2, 1, 1]


def test_a_minority_is_poison(registry: Registry) -> None:
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    for number in range(100):
        if number % 3 == 2:
            with pytest.raises(DecodeError, match="schema id 9 is unknown"):
                decoder.decode(value(9))
        else:
            assert decoder.decode(value(1)).fields == {"n": 1}


def test_a_known_schema_of_a_later_record_speaks_for_the_registry(registry: Registry) -> None:
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    decoder.look_ahead([(b"text", ()), (value(9), ()), (value(1), ())])
    with pytest.raises(DecodeError, match="schema id 9 is unknown"):
        decoder.decode(value(9))
    number = len(registry.paths)
    decoder.look_ahead([(value(8), ())])
    assert len(registry.paths) == number, "there is nothing left to prove"


def test_a_row_of_records_with_one_unknown_schema_is_the_registrys_fault(registry: Registry) -> None:
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    for _ in range(ROW - 1):
        with pytest.raises(DecodeError):
            decoder.decode(value(9))
    with pytest.raises(RegistryUnavailable, match="10 records in a row name it: the registry may have lost its data"):
        decoder.decode(value(9))
    registry.schemas["9"] = R
    assert decoder.decode(value(9)).fields == {"n": 1}


def test_different_unknown_schemas_in_a_row_are_poison(registry: Registry) -> None:
    registry.schemas["1"] = R
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    for number in range(100, 130):
        with pytest.raises(DecodeError):
            decoder.decode(value(number))


def test_a_subject_that_is_gone_makes_the_first_unknown_schema_the_registrys_fault(registry: Registry) -> None:
    registry.schemas["1"], registry.subjects = R, ["news-value"]
    decoder = decoder_of(registry)
    decoder.decode(value(1))
    registry.subjects = []
    with pytest.raises(RegistryUnavailable, match="nor does it have subject news-value any more"):
        decoder.decode(value(9))


def test_a_registry_that_is_away_is_waited_for(registry: Registry) -> None:
    registry.schemas["1"] = R
    whole = registry.answer
    registry.answer = lambda request: request.reply(503)
    with pytest.raises(RegistryUnavailable, match=f"no schema for topic news within 0.3 s: .* at {registry.url} answe"):
        decoder_of(registry).decode(value(1))
    decoder = decoder_of(registry, 60, lambda: setattr(registry, "answer", whole))
    assert decoder.decode(value(1)).fields == {"n": 1}


GUID = bytes(range(16))
GUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def test_a_schema_guid_in_a_header_is_read(registry: Registry) -> None:
    registry.schemas[GUID_TEXT] = R
    headers = [("trace", b"x"), ("__value_schema_id", b"\1" + GUID)]
    assert decoder_of(registry).decode(b"\x02", headers) == ("R", {"n": 1})
    with pytest.raises(DecodeError, match="header __value_schema_id is not a schema GUID"):
        decoder_of(registry).decode(b"\x02", [("__value_schema_id", b"\1")])


def test_a_registry_without_guids_is_named(registry: Registry) -> None:
    registry.answer = lambda request: request.reply(404, b"<html>")
    with pytest.raises(DecodeError, match=rf"GUID {GUID_TEXT} \(in a header\) cannot be read: .*{registry.url} finds"):
        decoder_of(registry).decode(b"\x02", [("__value_schema_id", b"\1" + GUID)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack(">bQ", 0, 7) + b"\x02", "schema id 0 is none: perhaps the 8-byte id 7 of Apicurio"),
        (b"\xc3\x01" + bytes(9), "not the Avro wire format but Avro's single-object encoding"),
        (b"Obj\x01" + bytes(9), "but an Avro file"),
        (b'{"title": "x"}', "magic byte 0x7b: not the Avro wire format but JSON"),
        (b"\x03\x00" + bytes(17), "but the framing of the Glue registry"),
        (b"\x01" + GUID + b"\x02", "but a schema GUID before the body"),
        (b"plain text", "magic byte 0x70: not the Avro wire format$"),
    ],
)
def test_other_framings_are_named_and_no_schema_is_asked_for(registry: Registry, data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decoder_of(registry).decode(data)
    assert registry.paths == []


@pytest.mark.parametrize(
    ("schema", "body", "name"),
    [
        ("string", b"\x02a", "string"),
        (["null", json.loads(R)], b"\0", "R"),
        ({"type": "map", "values": "string"}, b"\0", "map"),
    ],
)
def test_what_is_not_a_record_is_named(registry: Registry, schema: object, body: bytes, name: str) -> None:
    registry.schemas["1"] = json.dumps(schema)
    with pytest.raises(DecodeError, match=f"schema 1 is not a record schema: its type is {name}"):
        decoder_of(registry).decode(value(1)[:5] + body)


def logical(kind: Any, **attributes: Any) -> str:  # noqa: ANN401
    inner = kind if isinstance(kind, dict) else {"type": kind}
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "f", "type": inner | attributes}]})


def zigzag(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


@pytest.mark.parametrize(
    ("schema", "body", "field"),
    [
        (logical("long", logicalType="timestamp-millis"), zigzag(253402300800000), 253402300800000),
        (logical("long", logicalType="timestamp-micros"), zigzag(2**63 - 1), 2**63 - 1),
        (logical("int", logicalType="date"), zigzag(2**31 - 1), 2**31 - 1),
        (logical("int", logicalType="time-millis"), zigzag(90_000_000), 90_000_000),
        (logical("string", logicalType="uuid"), b"\x04no", "no"),
        (logical("bytes", logicalType="decimal"), b"\x02\x07", b"\x07"),
        (logical("bytes", logicalType="decimal", precision=2, scale=4), b"\x02\x07", b"\x07"),
        (logical("string", logicalType="decimal", precision=4), b"\x08" + b"1.25", "1.25"),
        (logical("string", logicalType="iso-country"), b"\x04DE", "DE"),
        (logical({"type": "fixed", "name": "F", "size": 2}, logicalType="decimal", precision=50), b"\1\2", b"\1\2"),
    ],
)
def test_a_logical_type_that_cannot_be_used_leaves_the_underlying_value(
    registry: Registry, schema: str, body: bytes, field: object
) -> None:
    registry.schemas["1"] = schema
    assert decoder_of(registry).decode(value(1)[:5] + body).fields == {"f": field}


def test_records_of_another_type_are_counted_and_named_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.schemas |= {"1": R, "2": R.replace('"R"', '"Order", "namespace": "shop"')}
    lines: list[dict[str, object]] = []
    monkeypatch.setattr("newsroom.schemas.avro.log.warning", lambda _, **fields: lines.append(fields), raising=False)
    decoder = decoder_of(registry)
    names = [decoder.decode(value(key)).type_name for key in (1, 2, 2, 1)]
    assert names == ["R", "shop.Order", "shop.Order", "R"]
    assert decoder.unexpected == 2
    assert [(line["type"], line["schema"], line["topic"]) for line in lines] == [("shop.Order", 2, "news")]
