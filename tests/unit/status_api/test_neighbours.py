"""What the status API asks of registry, Connect and services, against small servers."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from status_api.neighbours import Neighbour, Neighbours, Registry
from status_api.settings import StatusSettings
from status_api.surroundings import Connector, Service, Subject, Surroundings, Task
from support.web import NOBODY, Request, Web
from unit.status_api.fakes import Site, a_snapshot, surroundings

SCHEMA = json.dumps({"type": "record", "namespace": "newsroom", "name": "Article", "fields": []})


def answering(answers: dict[str, Any], status: int = 200) -> Callable[[Request], object]:
    """Answers each path with its JSON, and any other with 404."""

    def answer(request: Request) -> None:
        if request.path in answers:
            request.reply(status, json.dumps(answers[request.path]).encode())
        else:
            request.reply(404, b'{"error_code": 404}')

    return answer


def told(settings: StatusSettings) -> Surroundings:
    neighbours = Neighbours(settings)
    for neighbour in neighbours.all:
        neighbour.turn()
    return neighbours.told()


REGISTRY = {
    "/subjects": ["b/c-value", "a-value"],
    "/subjects/a-value/versions": [1, 3],
    "/subjects/a-value/versions/latest": {"id": 9, "version": 3, "schema": SCHEMA},
    "/subjects/b%2Fc-value/versions": [1],
    "/subjects/b%2Fc-value/versions/latest": {"id": 4, "version": 1, "schema": "{}", "schemaType": "JSON"},
}


def test_the_registry_tells_its_subjects_with_their_versions() -> None:
    with Web(answering(REGISTRY)) as web:
        schemas = told(StatusSettings(registry_url=web.url + "/")).schemas
    assert schemas.reason is None
    assert schemas.items == (
        Subject("a-value", (1, 3), 9, "AVRO", "newsroom.Article"),
        Subject("b/c-value", (1,), 4, "JSON", None),
    )


def test_the_next_address_of_a_registry_is_asked_if_one_fails_and_gets_the_login() -> None:
    logins = []

    def answer(request: Request) -> None:
        logins.append(request.headers["Authorization"])
        request.reply(200, b"[]")

    with Web(answering({"/subjects": {}}, 500)) as broken, Web(answer) as web:
        urls = f"http://{NOBODY}, {broken.url}, {web.url.replace('//', '//user:word@')}"
        schemas = told(StatusSettings(registry_url=urls)).schemas
    assert (schemas.items, schemas.reason) == ((), None)
    assert logins == ["Basic dXNlcjp3b3Jk"]


def test_a_refusal_of_the_registry_is_not_asked_of_the_next_address() -> None:
    with Web(answering({})) as refusing, Web(answering(REGISTRY)) as web, pytest.raises(OSError, match="404"):
        Registry(StatusSettings(registry_url=f"{refusing.url},{web.url}")).get("/none")
    assert web.paths == []


def test_connect_tells_the_states_of_connectors_and_tasks() -> None:
    trace = "Failed\n\tat x\nCaused by: a\n\tat y\nCaused by: disk full\n"
    status = {
        "connector": {"state": "RUNNING", "worker_id": "w"},
        "tasks": [{"id": 0, "state": "FAILED", "worker_id": "w", "trace": trace}],
        "type": "sink",
    }
    with Web(answering({"/connectors?expand=status": {"file-sink": {"status": status}}})) as web:
        connectors = told(StatusSettings(connect_url=web.url)).connectors
    task = Task(0, "FAILED", "w", "Failed Caused by: disk full")
    assert connectors.items == (Connector("file-sink", "sink", "RUNNING", "w", None, (task,)),)


def test_services_tell_what_they_wait_for() -> None:
    waiting = {"/readyz": {"status": "unavailable", "missing": {"kafka": "waiting for Kafka"}}}
    with (
        Web(answering({"/readyz": {}})) as ready,
        Web(answering(waiting, 503)) as not_ready,
        Web(answering({})) as other,
    ):
        text = f"a={ready.url},b={not_ready.url},c={other.url},d=http://{NOBODY}"
        services = told(StatusSettings(services=text)).services.items
    assert [(replica.name, replica.ready, replica.missing) for replica in services] == [
        ("a", True, ()),
        ("b", False, ("waiting for Kafka",)),
        ("c", False, ("it answers 404",)),
        ("d", False, ("no answer: [Errno 111] Connection refused",)),
    ]


def test_of_a_range_of_ports_the_first_must_answer_and_others_may() -> None:
    with Web(answering({"/readyz": {}})) as web:
        port = web.server_port
        services = told(StatusSettings(services=f"a=http://127.0.0.1:{port - 1}-{port}")).services.items
    assert Service("a", f"127.0.0.1:{port}", ready=True, missing=()) in services
    services = told(StatusSettings(services="a=http://127.0.0.1:9-11")).services.items
    assert [(replica.address, replica.ready) for replica in services] == [("127.0.0.1:9", False)]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"x": 1}', b'{"x": {"status": {}}}'])
def test_another_server_is_named_and_what_was_told_before_stays(body: bytes) -> None:
    answers = [b"{}", body]

    def answer(request: Request) -> None:
        request.reply(200, answers.pop(0))

    with Web(answer) as web:
        neighbours = Neighbours(StatusSettings(connect_url=web.url))
        (neighbour,) = neighbours.all
        neighbour.turn()
        known_at = neighbours.told().connectors.known_at
        neighbour.turn()
    connectors = neighbours.told().connectors
    assert "the answer is not that of Kafka Connect" in str(connectors.reason)
    assert (connectors.items, connectors.known_at) == ((), known_at)


def test_a_neighbour_that_does_not_answer_keeps_what_it_told() -> None:
    texts: list[tuple[str, ...]] = [("a",)]
    neighbour = Neighbour("x", lambda: texts.pop(0) if texts else (_ for _ in ()).throw(TimeoutError("timed out")))
    neighbour.turn()
    neighbour.turn()
    assert (neighbour.told.items, neighbour.told.reason) == (("a",), "no answer: timed out")


def test_a_fault_does_not_end_the_turns() -> None:
    neighbour = Neighbour("x", lambda: (_ for _ in ()).throw(RecursionError("deep")))
    neighbour.turn()
    assert neighbour.told.reason == "RecursionError in the status API; see its log"


@pytest.mark.parametrize(
    "settings",
    [
        *({"services": text} for text in ("a", "a=http://b", "=http://b:1", "a=https://b:1", "a=http://b:2-1")),
        *({"services": text} for text in ("a=http://b:0", "a=http://b:1-99999", "a=http://b/c:1")),
        *({"connect_url": text} for text in ("file:///etc/passwd", "localhost:8083", "http://")),
        {"registry_url": "http://a,ftp://b"},
        *({"links": text} for text in ("a", "a=", "=http://b", "a=javascript:alert(1)", "a=http://b,c")),
    ],
)
def test_an_address_that_is_none_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"it is not http|is not NAME="):
        StatusSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("schemas", "NEWSROOM_REGISTRY_URL"),
        ("connectors", "NEWSROOM_STATUS_CONNECT_URL"),
        ("services", "NEWSROOM_STATUS_SERVICES"),
    ],
)
def test_without_an_address_the_list_is_empty_and_says_so(live_site: Site, name: str, variable: str) -> None:
    body = live_site.json(f"/api/v1/{name}")
    assert (body[name], body["known_at"], body["reason"]) == ([], None, f"no address is set: {variable}")
    assert f'<section id="{name}">' not in live_site.client.get("/live").text


def test_the_page_shows_schemas_connectors_and_services(site: Site) -> None:
    told = surroundings(datetime(2026, 1, 2, tzinfo=UTC))
    site.store.succeeded(replace(a_snapshot(), surroundings=told))
    page = site.client.get("/").text
    for text in ("newsroom.Article", "1, 2", "1 failed", "disk full", "waiting for Kafka", "not ready"):
        assert text in page
    assert "no answer: &lt;b&gt;" in page
    assert site.json("/api/v1/schemas")["schemas"][0]["versions"] == [1, 2]
