"""The schema's id, from a registry that has it, does not have it, or loses it while the producer runs."""

import json
from collections.abc import Iterator

import pytest

from news_producer import registry as module
from news_producer.registry import SchemaWatch, schema_id, watch_latest, watch_registered
from newsroom.errors import LastingFailure, SettingsError
from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings
from support.web import Request, Web


def test_only_the_registry_can_say_that_a_schema_is_not_registered() -> None:
    code = 40401
    with Web(lambda request: request.reply(404, b'{"error_code": %d, "message": "not found"}' % code)) as web:
        registry = registry_client(KafkaSettings(registry_url=web.url))
        with pytest.raises(SettingsError, match=f"not registered under subject news-value of the .* at {web.url}: reg"):
            schema_id(registry, "news-value", {}, may_register=False)
        code = 404
        with pytest.raises(LastingFailure, match=f"what answers as the schema registry at {web.url} is not a schema"):
            schema_id(registry, "news-value", {}, may_register=False)


class Forgetful(Web):
    """A registry of one subject, which may lose its schema."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.number: int | None = 1
        self.next_number = 2
        self.away = False

    def _answer(self, request: Request) -> None:
        if self.away:
            request.reply(503)
            return
        if request.path.startswith("/subjects/news-value/versions"):
            self.number = self.next_number
        if self.number is None:
            request.reply(404, b'{"error_code": 40401, "message": "Subject not found"}')
        else:
            request.reply(200, json.dumps({"id": self.number, "version": 1, "subject": "news-value"}).encode())


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forgetful]:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 30.0)
    with Forgetful() as server:
        yield server


def watch(server: Forgetful, *, may_register: bool = True) -> SchemaWatch:
    registry = registry_client(KafkaSettings(registry_url=server.url))
    return watch_registered(registry, "news-value", {"type": "string"}, 1, may_register=may_register)


def test_a_schema_that_the_registry_lost_is_registered_again(
    forgetful: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, object]] = []
    monkeypatch.setattr("news_producer.registry.log.warning", lambda _, **fields: lines.append(fields), raising=False)
    watched = watch(forgetful)
    assert [watched.look(), watched.look()] == [1, 1]
    forgetful.number = None
    assert [watched.look(), watched.look()] == [2, 2]
    assert lines == [{"subject": "news-value", "lost_id": 1, "id": 2}]


def test_a_lost_schema_that_may_not_be_registered_ends_the_producer(forgetful: Forgetful) -> None:
    forgetful.number = None
    with pytest.raises(SettingsError, match="the schema is not registered under subject news-value"):
        watch(forgetful, may_register=False).look()
    assert not any(path.startswith("/subjects/news-value/versions") for path in forgetful.paths)


def test_a_registry_that_is_away_or_slow_stops_no_producer(
    forgetful: Forgetful, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful.away = True
    assert watch(forgetful).look() == 1
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.0)
    forgetful.away, forgetful.number = False, None
    watched = watch(forgetful)
    while watched.look() == 1:
        pass
    assert watched.look() == 2


def test_the_registry_is_asked_now_and_then(forgetful: Forgetful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 1000.0)
    watched = watch(forgetful)
    assert [watched.look() for _ in range(1000)] == [1] * 1000
    assert forgetful.paths == []


def test_a_schema_that_others_registered_is_watched_by_its_id_and_never_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 30.0)
    asked: list[str] = []

    def answer(request: Request) -> None:
        asked.append(request.path)
        if lost:
            request.reply(404, b'{"error_code": 40403, "message": "Schema not found"}')
        else:
            request.reply(200, b'{"schema": "{}"}')

    lost = False
    with Web(answer) as web:
        watching = watch_latest(registry_client(KafkaSettings(registry_url=web.url)), "news-value", 7)
        assert watching.look() == 7
        lost = True
        with pytest.raises(SettingsError, match=r"lost schema 7 of subject news-value, which this producer did not"):
            watching.look()
    assert {path.partition("?")[0] for path in asked} == {"/schemas/ids/7"}
