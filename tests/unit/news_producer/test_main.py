"""Against librdkafka's mock cluster, a dead port, and a small registry: deliveries, failures, refusals, feeds."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import feedparser
import httpx
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from typing_extensions import override

from news_producer.feeds import FeedReader, FeedSource
from news_producer.main import run
from news_producer.registry import schema_id
from news_producer.sender import NEED, Sender
from news_producer.settings import ProducerSettings
from newsroom.errors import DeliveryFailed, RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.health import Health
from newsroom.schemas.registry import SchemaRegistryError
from newsroom.settings import load_settings
from newsroom.waiting import Deadline, StopFlag, Stopped
from newsroom_stack.layout import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from news_producer.records import Item

SCHEMAS = REPOSITORY / "schemas"
REASON = "Incompatible schema: READER_FIELD_MISSING_DEFAULT_VALUE /fields/2"
FEED = b"""<rss version="2.0"><channel><title>Wire</title>
<item><guid>2</guid><title>New</title></item><item><guid>1</guid><title>Old</title></item></channel></rss>"""


class Answers(BaseHTTPRequestHandler):
    """A registry that refuses every schema, and a feed."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(409, json.dumps({"error_code": 409, "message": REASON}).encode())

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://xn--/")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = FEED if self.path == "/feed" else b'{"compatibilityLevel": "BACKWARD"}'
        self._answer(404 if self.path == "/gone" else 200, body)

    @override
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def cluster() -> Iterator[str]:  # the owner must live as long as the test
    owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(owner.list_topics(timeout=5).brokers.values()))
    yield f"{broker.host}:{broker.port}"
    owner.flush(0)


def dead_port() -> str:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def settings(*argv: str) -> ProducerSettings:
    base = ["--registry-url", "mock://news", "--schema", str(SCHEMAS / "news.avsc")]
    return load_settings(ProducerSettings, "news-producer", [*base, *argv])


def read_all(brokers: str, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "test", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        wanted = sum(consumer.get_watermark_offsets(TopicPartition(topic, number), 5)[1] for number in partitions)
        deadline = Deadline(10)
        messages: list[Message] = []
        while len(messages) < wanted and not deadline.passed():
            messages += consumer.consume(100, 0.1)
        return [(message.key(), message.value()) for message in messages]
    finally:
        consumer.close()


class Lines:
    """Takes the place of main's logger and keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.lines.append((event, values))

    error = info


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, object]]]:
    lines = Lines()
    monkeypatch.setattr("news_producer.main.log", lines)
    monkeypatch.setattr("newsroom.lifecycle.log", lines)
    return lines.lines


def test_the_lab_round_arrives_and_the_last_line_accounts_for_it(
    cluster: str, logged: list[tuple[str, dict[str, object]]]
) -> None:
    assert run(settings("--bootstrap-servers", cluster, "--format", "string"), StopFlag()) == 0
    records = read_all(cluster, "mytopic")
    assert len(records) == 42
    assert (b"key20", b"filter20") in records
    assert logged[41][0] == 'Sending message with key "key20" and value "filter20"'
    event, account = logged[-1]
    assert (event, account["sent"], account["delivered"], account["failed"]) == ("finished", 42, 42, 0)
    partitions = account["partitions"]
    assert isinstance(partitions, dict)
    assert sum(partitions.values()) == 42


def test_avro_records_arrive_in_wire_format(cluster: str) -> None:
    assert run(settings("--bootstrap-servers", cluster, "--count", "300", "--seed", "1"), StopFlag()) == 0
    records = read_all(cluster, "news")
    assert len({key for key, _ in records}) == 300
    assert all(value and value[0] == 0 for _, value in records)


def test_a_refused_schema_ends_with_its_reason_and_nothing_is_written(cluster: str) -> None:
    with web() as url, pytest.raises(SchemaRefused) as raised:
        run(settings("--bootstrap-servers", cluster, "--registry-url", url, "--count", "5"), StopFlag())
    assert raised.value.exit_code == 1
    for part in ("news-value", "BACKWARD", REASON):
        assert part in str(raised.value)
    assert read_all(cluster, "news") == []


def test_a_missing_registry_is_asked_again_and_then_said() -> None:
    start = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=r"no schema for subject news-value within 0\.3 s: .*does not answer"):
        run(settings("--registry-url", f"http://{dead_port()}", "--registry-timeout", "0.3"), StopFlag())
    assert time.monotonic() - start >= 0.3


def test_a_signal_ends_the_wait_for_a_registry_that_hangs(
    monkeypatch: pytest.MonkeyPatch, logged: list[tuple[str, dict[str, object]]]
) -> None:
    monkeypatch.setattr("newsroom.schemas.registry.ONE_CALL", {"timeout": 0.2, "max.retries": 0})
    stop = StopFlag()
    threading.Timer(0.5, stop.set).start()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, pytest.raises(Stopped):
        run(settings("--registry-url", f"http://127.0.0.1:{silent.getsockname()[1]}"), stop)
    event, account = logged[-1]
    assert (event, account["topic"], account["sent"]) == ("finished", "news", 0)


def test_a_registry_that_comes_back_is_used(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [RegistryUnavailable("down")]

    def number(*_: object, **__: object) -> int:
        if failures:
            raise failures.pop()
        return 7

    monkeypatch.setattr("news_producer.main.schema_id", number)
    assert run(settings("--bootstrap-servers", cluster, "--topic", "late", "--count", "1"), StopFlag()) == 0
    ((_, value),) = read_all(cluster, "late")
    assert value is not None
    assert value[:5] == b"\0\0\0\0\7"


class FakeRegistry:
    def __init__(self, code: int) -> None:
        self._code = code

    def lookup_schema(self, *_: object) -> None:
        raise SchemaRegistryError(404, self._code, "not found")


def test_only_the_registry_can_say_that_a_schema_is_not_registered() -> None:
    with pytest.raises(SettingsError, match="not registered under subject news-value"):
        schema_id(FakeRegistry(40401), "news-value", {}, may_register=False)
    with pytest.raises(RegistryUnavailable, match="could not look up subject news-value"):
        schema_id(FakeRegistry(404), "news-value", {}, may_register=False)


def test_a_broker_that_is_never_reached_ends_with_its_address(logged: list[tuple[str, dict[str, object]]]) -> None:
    brokers = dead_port()
    assert run(settings("--bootstrap-servers", brokers, "--message-timeout", "0.5"), StopFlag()) == 1
    assert f"no broker answered at {brokers} within 0.5 s" in logged[0][0]
    assert logged[-1][0] == "finished"


def test_a_record_that_is_not_delivered_stops_the_sender_with_the_reason() -> None:
    brokers = dead_port()
    config = settings("--bootstrap-servers", brokers, "--message-timeout", "0.3").client("test")
    sender = Sender(config, "t", message_timeout=0.3, stop=StopFlag(), health=Health(NEED))
    assert sender.send(b"k", b"v")
    assert sender.ledger.unknown == 1
    sender.close()
    assert (sender.ledger.failed, sender.ledger.unknown) == (1, 0)
    with pytest.raises(DeliveryFailed, match=rf"1 of 1 records to topic t at {brokers} failed: .*timed out"):
        sender.check()


def test_a_ca_file_that_is_missing_is_a_settings_error() -> None:
    ssl = {"security.protocol": "SSL", "ssl.ca.location": "/none.pem", "log_level": 0}
    config = settings().client("test") | ssl
    with pytest.raises(SettingsError, match=r"refuses its settings: .*ssl\.ca\.location failed"):
        Sender(config, "t", message_timeout=1, stop=StopFlag(), health=Health(NEED))


def test_a_full_queue_waits_and_looks_at_the_stop_flag() -> None:
    config = settings("--bootstrap-servers", dead_port()).client("test") | {"queue.buffering.max.messages": 1}
    stop = StopFlag()
    sender = Sender(config, "t", message_timeout=60, stop=stop, health=Health(NEED))
    assert sender.send(None, b"1")
    threading.Timer(0.2, stop.set).start()
    assert not sender.send(None, b"2")
    assert sender.ledger.sent == 1


def test_a_stopped_service_sends_nothing_and_ends_well(cluster: str) -> None:
    stop = StopFlag()
    stop.set()
    assert run(settings("--bootstrap-servers", cluster), stop) == 0


def test_a_feed_gives_each_entry_once_and_oldest_first() -> None:
    with web() as url, httpx.Client() as client:
        reader = FeedReader(f"{url}/feed", client)
        assert [(i.key, dict(i.fields)) for i in reader.new_items()] == [
            ("1", {"title": "Old", "media": "Wire"}),
            ("2", {"title": "New", "media": "Wire"}),
        ]
        assert reader.new_items() == []


def test_a_feed_ends_after_one_look_and_tells_its_problem() -> None:
    with web() as url:
        good = FeedSource(f"{url}/feed", interval=60, once=True, stop=StopFlag())
        assert [item.key for item in good.items() if item] == ["1", "2"]
        gone = FeedSource(f"{url}/gone", interval=60, once=True, stop=StopFlag())
        assert [item for item in gone.items() if item] == []
    assert good.problem is None
    assert gone.problem is not None
    assert "404" in gone.problem


@pytest.mark.parametrize(
    ("path", "variable", "reason"), [("/moved", "UNUSED", "IDNAError"), ("/feed", "ALL_PROXY", "SOCKS")]
)
def test_whatever_a_feed_meets_is_its_problem_and_not_the_end_of_its_thread(
    monkeypatch: pytest.MonkeyPatch, path: str, variable: str, reason: str
) -> None:
    monkeypatch.setenv(variable, "socks5://proxy:1")
    with web() as url:
        feed = FeedSource(f"{url}{path}", interval=60, once=True, stop=StopFlag())
        assert [item for item in feed.items() if item] == []
    assert feed.problem is not None
    assert feed.problem.startswith(f"feed {url}{path} cannot be read: ")
    assert reason in feed.problem


def test_a_producer_whose_feed_cannot_be_read_does_not_end_well(
    cluster: str, logged: list[tuple[str, dict[str, object]]]
) -> None:
    with web() as url:
        assert run(settings("--bootstrap-servers", cluster, "--source", f"{url}/moved", "--once"), StopFlag()) == 1
    assert "IDNAError" in logged[0][0]


def test_a_feed_is_tried_again_after_whatever_it_met(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Exception] = [ImportError("no SOCKS"), ValueError("odd page")]
    new_items = FeedReader.new_items

    def client(**options: object) -> httpx.Client:
        if len(failures) == 2:
            raise failures.pop(0)
        return real(**options)  # type: ignore[arg-type]

    def look(reader: FeedReader) -> list[Item]:
        if failures:
            raise failures.pop(0)
        return new_items(reader)

    real = httpx.Client
    monkeypatch.setattr("news_producer.feeds.httpx.Client", client)
    monkeypatch.setattr(FeedReader, "new_items", look)
    stop = StopFlag()
    with web() as url:
        feed = FeedSource(f"{url}/feed", interval=0.05, once=False, stop=stop)
        deadline = Deadline(10)
        items = feed.items()
        keys: list[str | None] = []
        while len(keys) < 2 and not deadline.passed():
            item = next(items)
            keys += [item.key] if item else []
        stop.set()
        assert list(filter(None, items)) == []
    assert keys == ["1", "2"]
    assert feed.problem is None


def test_what_a_failed_look_has_seen_comes_at_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the server says that nothing has changed since."""
    asked: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers)
        if "If-None-Match" in request.headers:
            return httpx.Response(304)
        return httpx.Response(200, content=FEED, headers={"ETag": "x"})

    parse = feedparser.parse

    def stumble(body: bytes) -> Any:  # noqa: ANN401 - feedparser's own dictionary
        feed = parse(body)
        feed.entries[0] = None
        return feed

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        reader = FeedReader("http://feed", client)
        monkeypatch.setattr("news_producer.feeds.feedparser.parse", stumble)
        with pytest.raises(AttributeError):
            reader.new_items()
        monkeypatch.undo()
        assert [item.key for item in reader.new_items()] == ["1", "2"]
        assert reader.new_items() == []
    assert ["If-None-Match" in headers for headers in asked] == [False, False, True]
