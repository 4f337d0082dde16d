"""What is shown of Avro keys and values: the decoded record, or the bytes if they cannot be decoded."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest

from status_api.decoding import MOST_ASKED, PREFIX, Decoder, text_of
from status_api.neighbours import Registry
from status_api.settings import StatusSettings
from support.web import NOBODY, Request, Web

PLACE = {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}]}
FIELDS = [
    {"name": "title", "type": "string"},
    {"name": "raw", "type": "bytes"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
]
ARTICLE = {"type": "record", "name": "Article", "fields": FIELDS}
VISIT = {"type": "record", "name": "Visit", "fields": [{"name": "place", "type": "Place"}]}
ANSWERS: dict[str, Any] = {
    "/schemas/ids/7": {"schema": json.dumps(ARTICLE)},
    "/schemas/ids/8": {"schema": "{}", "schemaType": "JSON"},
    "/schemas/ids/9": {"schema": '"string"'},
    "/schemas/ids/10": {
        "schema": json.dumps(VISIT),
        "references": [{"name": "Place", "subject": "a/place", "version": 2}],
    },
    "/subjects/a%2Fplace/versions/2": {"schema": json.dumps(PLACE)},
    "/schemas/ids/11": {"schema": "nonsense"},
}


def registry_of(web: Web) -> Registry:
    return Registry(StatusSettings(registry_url=web.url))


def answer(request: Request) -> None:
    known = request.path in ANSWERS
    request.reply(200 if known else 404, json.dumps(ANSWERS.get(request.path)).encode())


def wire(number: int, schema: dict[str, Any] | str, value: object) -> bytes:
    stream = io.BytesIO()
    stream.write(PREFIX.pack(0, number))
    fastavro.schemaless_writer(stream, schema, value)
    return stream.getvalue()


def test_avro_is_shown_as_json_and_each_schema_is_asked_for_once() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    data = wire(7, ARTICLE, {"title": "Grüße", "raw": b"\x01\xff", "at": at})
    with Web(answer) as web:
        decoder = Decoder(registry_of(web))
        for _ in range(2):
            text = decoder.text(data)
            assert json.loads(text or "") == {"title": "Grüße", "raw": "01 ff", "at": "2026-01-02 03:04:05+00:00"}
            assert "Grüße" in (text or "")
    assert web.paths == ["/schemas/ids/7"]


def test_a_schema_that_refers_to_another_is_shown() -> None:
    whole = {"type": "record", "name": "Visit", "fields": [{"name": "place", "type": PLACE}]}
    with Web(answer) as web:
        text = Decoder(registry_of(web)).text(wire(10, whole, {"place": {"city": "Graz"}}))
    assert json.loads(text or "") == {"place": {"city": "Graz"}}


@pytest.mark.parametrize(
    "data",
    [
        PREFIX.pack(0, 7) + b"\x02",
        wire(9, "string", "a") + b"more",
        wire(8, "string", "a"),
        wire(11, "string", "a"),
        wire(12, "string", "a"),
    ],
    ids=["cut off", "too long", "JSON schema", "no schema", "unknown"],
)
def test_what_cannot_be_decoded_is_shown_as_bytes(data: bytes) -> None:
    with Web(answer) as web:
        shown = Decoder(registry_of(web)).text(data)
    assert shown == text_of(data)
    assert shown is not None
    assert shown.startswith("schema ")


def test_a_value_that_is_not_a_record_is_shown_and_plain_text_asks_nobody() -> None:
    with Web(answer) as web:
        decoder = Decoder(registry_of(web))
        assert decoder.text(wire(9, "string", "a")) == '"a"'
        assert (decoder.text(b"plain"), decoder.text(None)) == ("plain", None)
    assert web.paths == ["/schemas/ids/9"]


def test_one_look_asks_for_few_schemas() -> None:
    with Web(answer) as web:
        decoder = Decoder(registry_of(web))
        for number in range(100, 100 + MOST_ASKED + 5):
            decoder.text(wire(number, "string", "a"))
        assert len(web.paths) == MOST_ASKED
        decoder.begin()
        decoder.text(wire(100, "string", "a"))
    assert len(web.paths) == MOST_ASKED + 1


def test_a_registry_that_does_not_answer_is_asked_once_in_a_look() -> None:
    decoder = Decoder(Registry(StatusSettings(registry_url=f"http://{NOBODY}")))
    data = wire(7, "string", "a")
    assert decoder.text(data) == text_of(data)
    assert decoder._left == 0
