"""The edge to the registry, over a small server: answers that are none, silence, unknown ids, bad addresses."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from newsroom.errors import DecodeError, RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.schemas.avro import MOST_REFUSED, AvroDecoder
from newsroom.schemas.registry import (
    Patience,
    check_registry,
    register,
    registry_client,
)
from newsroom.settings import KafkaSettings
from newsroom.waiting import StopFlag, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka.schema_registry import SchemaRegistryClient

HTML = b"<html><title>Welcome</title></html>"
NO_REGISTRY = [
    (200, HTML),
    (200, b"[1]"),
    (200, b"{}"),
    (200, b"null"),
    (200, b'"text"'),
    (404, HTML),
    (404, b""),
    (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
    (404, b'{"title": "no such page"}'),
    (404, b"[]"),
    (401, b'{"error_code": 40101}'),
    (500, b'{"error_code": 50001}'),
    (503, HTML),
]
"""Status and body of what answers at a wrong address, or of a registry in trouble."""

SCHEMA = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}


class Web(ThreadingHTTPServer):
    """Gives every question the same answer, and keeps the questions."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, bytes] = (200, b"[]")
        self.questions: list[str] = []
        self.silent = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.questions.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.silent.is_set():
            time.sleep(1)
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def client(web: Web, **overrides: object) -> SchemaRegistryClient:
    return registry_client(KafkaSettings(registry_url=web.url), **overrides)


def record(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + b"\x02"


@pytest.mark.parametrize(("status", "body"), NO_REGISTRY)
def test_what_is_no_registry_makes_no_record_poison(web: Web, status: int, body: bytes) -> None:
    web.answer = status, body
    with pytest.raises(RegistryUnavailable):
        AvroDecoder(client(web)).decode(record(7))
    with pytest.raises(RegistryUnavailable):
        register(client(web), "news-value", SCHEMA)


@pytest.mark.parametrize(("status", "body"), [answer for answer in NO_REGISTRY if answer != (200, b"[1]")])
def test_what_is_no_registry_is_found_out_before_the_first_record(web: Web, status: int, body: bytes) -> None:
    check_registry(client(web))
    web.answer = status, body
    with pytest.raises(RegistryUnavailable, match="registry"):
        check_registry(client(web))


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_an_id_that_the_registry_does_not_have_is_poison(web: Web, code: int) -> None:
    web.answer = 404, json.dumps({"error_code": code, "message": "Schema 7 not found"}).encode()
    with pytest.raises(DecodeError, match="schema id 7 is unknown to the registry"):
        AvroDecoder(client(web)).decode(record(7))


def test_an_id_that_no_registry_gives_is_not_asked_for(web: Web) -> None:
    # Registries cannot read such a number, and answer as to a wrong address.
    web.answer = 404, b""
    with pytest.raises(DecodeError, match="schema id 2147483648 is larger"):
        AvroDecoder(client(web)).decode(record(2**31))
    assert web.questions == []


def test_an_unknown_id_is_asked_for_once_in_a_while(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = AvroDecoder(client(web))
    web.answer = 404, b'{"error_code": 40403, "message": "not found"}'
    for schema_id in (7, 7, 8, 7, 8):
        with pytest.raises(DecodeError, match=f"schema id {schema_id} is unknown"):
            decoder.decode(record(schema_id))
    assert [question.partition("?")[0] for question in web.questions] == ["/schemas/ids/7", "/schemas/ids/8"]
    web.answer = 200, json.dumps({"schema": json.dumps(SCHEMA)}).encode()
    later = time.monotonic() + 60
    monkeypatch.setattr("newsroom.schemas.avro.time.monotonic", lambda: later)
    assert decoder.decode(record(7)) == {"n": 1}


def test_of_unknown_ids_only_so_many_are_remembered(web: Web) -> None:
    decoder = AvroDecoder(client(web))
    for schema_id in range(2**31, 2**31 + MOST_REFUSED + 5):
        with pytest.raises(DecodeError):
            decoder.decode(record(schema_id))
    assert len(decoder._refused) <= MOST_REFUSED


def test_a_silent_registry_is_given_up_after_seconds_and_asked_once(web: Web) -> None:
    rest = client(web)._rest_client
    assert (rest.timeout, rest.max_retries) == (3.0, 0)
    assert client(web, timeout=5)._rest_client.timeout == 5
    web.silent.set()
    start = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=r"does not answer \(timed out\)"):
        check_registry(client(web, timeout=0.1))
    assert time.monotonic() - start < 0.9
    assert len(web.questions) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_what_the_registry_takes_for_no_schema_is_refused_and_not_asked_again(web: Web, status: int) -> None:
    web.answer = status, b'{"error_code": 42201, "message": "Invalid schema"}'
    with pytest.raises(SchemaRefused, match="refused the schema for subject news-value: Invalid schema"):
        register(client(web), "news-value", SCHEMA)


@pytest.mark.parametrize(
    "address",
    ["localhost:8081", "registry", "", "http://", "https//registry", "http://xn--/", "http://[::1", "ftp://registry",
     "http://registry,localhost:8081"],
)  # fmt: skip
def test_an_address_that_is_none_is_a_settings_error(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--registry-url \(or NEWSROOM_REGISTRY_URL\): .* is not an address"):
        registry_client(KafkaSettings(registry_url=address))


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="'localhost:8081'") as raised:
        registry_client(KafkaSettings(registry_url="me:secret@localhost:8081"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [("SSL_CERT_FILE", "/none.pem", "No such file"), ("ALL_PROXY", "socks5://proxy:1", "SOCKS proxy")],
)
def test_a_client_that_cannot_be_made_is_a_settings_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{reason}.* the CA file, and the proxy"):
        registry_client(KafkaSettings(registry_url="https://registry"))


def test_the_registry_is_asked_again_until_it_answers() -> None:
    answers = iter([RegistryUnavailable("down"), "schema"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    ticks: list[None] = []
    assert Patience(10, StopFlag(), lambda: ticks.append(None)).ask(call, "news") == "schema"
    assert len(ticks) == 1


def down() -> str:
    raise RegistryUnavailable("connection refused")


def test_a_registry_that_stays_away_ends_at_the_deadline() -> None:
    with pytest.raises(RegistryUnavailable, match=r"no schema for news .* within 0\.3 s: connection refused"):
        Patience(0.3, StopFlag()).ask(down, "news partition 0 offset 1")


def test_a_signal_ends_the_wait_for_the_registry() -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(Stopped):
        Patience(60, stop).ask(down, "news")
