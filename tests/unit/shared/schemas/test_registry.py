"""The edge to the registry, over a small server: what its answers mean for records, unknown ids, bad addresses."""

from collections.abc import Iterator

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from newsroom.errors import DecodeError, LastingFailure, RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.schemas.avro import AvroDecoder
from newsroom.schemas.registry import (
    Patience,
    check_registry,
    latest_schema,
    register,
    registry_client,
)
from newsroom.settings import KafkaSettings
from newsroom.waiting import StopFlag
from support.schemas import NEWS_SCHEMA, memory_registry
from support.web import Web

HTML = b"<html><title>Welcome</title></html>"
NO_REGISTRY = [
    *((200, body) for body in (b"[1]", b"{}", b"null", b'"text"')),
    (404, HTML),
    (404, b""),
    (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
    (404, b'{"title": "no such page"}'),
    (404, b"[]"),
    (401, b'{"error_code": 40101}'),
]
"""Status and body of what answers at a wrong address, or with a wrong login."""

IN_TROUBLE = [(200, HTML), (500, b'{"error_code": 50001}'), (503, HTML)]
"""The same of a registry that may answer later; its HTML says that it is JSON."""

SCHEMA = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}


class Registry(Web):
    """Gives every request the same answer."""

    def __init__(self) -> None:
        super().__init__(lambda request: request.reply(*self.answers_with))
        self.answers_with: tuple[int, bytes] = (200, b"[]")


@pytest.fixture
def web() -> Iterator[Registry]:
    with Registry() as server:
        yield server


def client(web: Registry) -> SchemaRegistryClient:
    return registry_client(KafkaSettings(registry_url=web.url))


def record(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + b"\x02"


@pytest.mark.parametrize(
    ("answer", "error"),
    [*((answer, LastingFailure) for answer in NO_REGISTRY), *((answer, RegistryUnavailable) for answer in IN_TROUBLE)],
)
def test_what_is_no_registry_makes_no_record_poison(
    web: Registry, answer: tuple[int, bytes], error: type[Exception]
) -> None:
    web.answers_with = answer
    with pytest.raises(error, match=web.url):
        AvroDecoder(client(web)).decode(record(7))
    with pytest.raises(error, match=web.url):
        register(client(web), "news-value", SCHEMA)
    if answer != (200, b"[1]"):  # a list of subjects, as far as anyone can tell
        with pytest.raises(error, match=web.url):
            check_registry(client(web))


def test_a_registry_lists_its_subjects(web: Registry) -> None:
    web.answers_with = 200, b'["news-value"]'
    assert check_registry(client(web)) == ["news-value"]


def test_an_id_that_no_registry_gives_is_not_asked_for(web: Registry) -> None:
    # Registries cannot read such a number, and answer as to a wrong address.
    web.answers_with = 404, b""
    with pytest.raises(DecodeError, match="schema id 2147483648 is larger"):
        AvroDecoder(client(web)).decode(record(2**31))
    assert web.paths == []


@pytest.mark.parametrize("status", [400, 422])
def test_what_the_registry_takes_for_no_schema_is_refused_and_not_asked_again(web: Registry, status: int) -> None:
    web.answers_with = status, b'{"error_code": 42201, "message": "Invalid schema"}'
    with pytest.raises(SchemaRefused, match="refused the schema for subject news-value: Invalid schema"):
        register(client(web), "news-value", SCHEMA)


@pytest.mark.parametrize(
    "address",
    [
        *("localhost:8081", "registry", "", "http://", "https//registry", "http://xn--/", "http://[::1"),
        *("ftp://registry", "http://registry,localhost:8081"),
    ],
)
def test_an_address_that_is_none_is_a_settings_error(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--registry-url \(or NEWSROOM_REGISTRY_URL\): .* is not an address"):
        registry_client(KafkaSettings(registry_url=address))


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="'localhost:8081'") as raised:
        registry_client(KafkaSettings(registry_url="me:secret@localhost:8081"))
    assert "secret" not in str(raised.value)
    with pytest.raises(SettingsError, match="'registry:8081'") as raised:
        registry_client(KafkaSettings(registry_url="http://me:sec,ret@registry:8081"))
    assert "sec" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("SSL_CERT_FILE", "/none.pem", "No such file"),
        ("ALL_PROXY", "socks5://proxy:1", "SOCKS proxy"),
        ("ALL_PROXY", "http://me:secret@proxy:port", "Invalid port: 'port'"),
    ],
)
def test_a_client_that_cannot_be_made_is_a_settings_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"registry at https://registry.*{reason}.* the CA file, and the") as raised:
        registry_client(KafkaSettings(registry_url="https://registry"))
    assert "secret" not in str(raised.value)


def test_a_registry_that_stays_away_ends_at_the_deadline() -> None:
    def down() -> str:
        raise RegistryUnavailable("connection refused")

    with pytest.raises(RegistryUnavailable, match=r"no schema for news .* within 0\.3 s: connection refused"):
        Patience(0.3, StopFlag()).ask(down, "news partition 0 offset 1")


def test_the_latest_version_is_read_anew_and_only_an_avro_record_is_one() -> None:
    registry = memory_registry()
    with pytest.raises(SettingsError, match=r"subject news-value of .* does not exist: register a schema under it"):
        latest_schema(registry, "news-value")
    first = register(registry, "news-value", NEWS_SCHEMA)
    assert latest_schema(registry, "news-value") == (first, NEWS_SCHEMA)
    wider = {**NEWS_SCHEMA, "fields": [*NEWS_SCHEMA["fields"], {"name": "more", "type": "string", "default": ""}]}
    second = register(registry, "news-value", wider)
    assert latest_schema(registry, "news-value") == (second, wider)
    registry.register_schema("other-value", Schema('{"type": "object"}', "JSON"))
    with pytest.raises(SettingsError, match=r"subject other-value is not the schema of an Avro record .*type is JSON"):
        latest_schema(registry, "other-value")
