"""The whole producer on a mock cluster: what arrives, how it ends, and its last line."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from news_producer.main import run
from news_producer.settings import ProducerSettings
from newsroom.errors import RegistryUnavailable, SchemaRefused
from newsroom.settings import load_settings
from newsroom.waiting import StopFlag, Stopped
from support.cluster import MockCluster
from support.schemas import SCHEMAS
from support.web import NOBODY, Request, Web

REASON = "Incompatible schema: READER_FIELD_MISSING_DEFAULT_VALUE /fields/2"


def settings(*argv: str) -> ProducerSettings:
    base = ["--registry-url", "mock://news", "--schema", str(SCHEMAS / "news.avsc")]
    return load_settings(ProducerSettings, "news-producer", [*base, *argv])


def code_of(cluster: MockCluster, *argv: str) -> int:
    return run(settings("--bootstrap-servers", cluster.address, *argv), StopFlag())


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What the service logs."""
    with capture_logs() as entries:
        yield entries


def test_the_lab_round_arrives_and_the_last_line_accounts_for_it(cluster: MockCluster, lines: list[Any]) -> None:
    assert code_of(cluster, "--format", "string") == 0
    records = cluster.read("mytopic")
    assert len(records) == 42
    assert (b"key20", b"filter20") in [(record.key(), record.value()) for record in records]
    assert 'Sending message with key "key20" and value "filter20"' in [line["event"] for line in lines]
    account = lines[-1]
    assert account["event"] == "finished"
    assert (account["sent"], account["delivered"], account["failed"]) == (42, 42, 0)
    assert sum(account["partitions"].values()) == 42
    assert (account["read"], account["new"], account["skipped"]) == (42, 42, 0)


def test_metrics_and_the_last_line_tell_what_was_read_and_why_it_was_skipped(
    cluster: MockCluster, lines: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.csv"
    file.write_text('title,media\nA,M\n,\nB\n"C\nd",M\n"E\n')
    exposed: list[bytes] = []
    registry = CollectorRegistry()
    monkeypatch.setattr(registry, "unregister", lambda _: exposed.append(generate_latest(registry)))
    monkeypatch.setattr("news_producer.main.REGISTRY", registry)
    assert code_of(cluster, "--source", str(file), "--skip-bad-lines") == 0
    account = lines[-1]
    assert (account["read"], account["new"], account["sent"], account["skipped"]) == (5, 5, 2, 3)
    assert (account["why"], account["lost_lines"]) == ({"blank": 1, "malformed": 2}, 2)
    for metric in (
        'entries_read_total{topic="news"} 5.0',
        'entries_skipped_total{reason="malformed",topic="news"} 2.0',
        'lines_lost_total{topic="news"} 2.0',
        'records_sent_total{topic="news"} 2.0',
    ):
        assert f"newsroom_producer_{metric}".encode() in exposed[0]


def test_avro_records_arrive_in_wire_format(cluster: MockCluster) -> None:
    assert code_of(cluster, "--count", "300", "--seed", "1") == 0
    records = cluster.read("news")
    assert len({record.key() for record in records}) == 300
    assert {bytes(record.value() or b"?")[0] for record in records} == {0}


def test_a_refused_schema_ends_with_its_reason_and_nothing_is_written(cluster: MockCluster) -> None:
    def answer(request: Request) -> None:
        if request.command == "POST":
            request.reply(409, json.dumps({"error_code": 409, "message": REASON}).encode())
        else:
            request.reply(200, b'{"compatibilityLevel": "BACKWARD"}')

    with Web(answer) as registry, pytest.raises(SchemaRefused) as raised:
        code_of(cluster, "--registry-url", registry.url, "--count", "5")
    assert raised.value.exit_code == 1
    for part in ("news-value", "BACKWARD", REASON):
        assert part in str(raised.value)
    assert cluster.read("news") == []


def test_a_missing_registry_is_asked_again_and_then_said() -> None:
    with pytest.raises(RegistryUnavailable, match=r"no schema for subject news-value within 0\.3 s: .*does not answer"):
        run(settings("--registry-url", f"http://{NOBODY}", "--registry-timeout", "0.3"), StopFlag())


def test_a_signal_ends_the_wait_for_a_registry_that_hangs(lines: list[Any]) -> None:
    stop = StopFlag()
    threading.Timer(0.5, stop.set).start()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, pytest.raises(Stopped):
        run(settings("--registry-url", f"http://127.0.0.1:{silent.getsockname()[1]}"), stop)
    assert (lines[-1]["event"], lines[-1]["topic"], lines[-1]["sent"]) == ("finished", "news", 0)


def test_a_registry_that_comes_back_is_used(cluster: MockCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [RegistryUnavailable("down")]

    def number(*_: object, **__: object) -> int:
        if failures:
            raise failures.pop()
        return 7

    monkeypatch.setattr("news_producer.registry.schema_id", number)
    assert code_of(cluster, "--count", "1") == 0
    (record,) = cluster.read("news")
    assert bytes(record.value() or b"")[:5] == b"\0\0\0\0\7"


def test_a_broker_that_is_never_reached_ends_with_its_address(lines: list[Any]) -> None:
    assert run(settings("--bootstrap-servers", NOBODY, "--message-timeout", "0.5"), StopFlag()) == 1
    assert f"no broker answered at {NOBODY} within 0.5 s" in lines[-2]["event"]
    assert lines[-1]["event"] == "finished"


def test_a_stopped_service_sends_nothing_and_ends_well(cluster: MockCluster) -> None:
    stop = StopFlag()
    stop.set()
    assert run(settings("--bootstrap-servers", cluster.address), stop) == 0
    assert cluster.read("news") == []


def test_a_producer_whose_feed_cannot_be_read_does_not_end_well(cluster: MockCluster, lines: list[Any]) -> None:
    with Web(lambda request: request.reply(404)) as web:
        assert code_of(cluster, "--source", web.url, "--once") == 1
    assert "404" in lines[-2]["event"]


def test_an_entry_of_a_feed_that_is_too_large_costs_itself(cluster: MockCluster, lines: list[Any]) -> None:
    titles = ("after", "L" * 1_200_000, "before")
    items = "".join(f"<item><title>{title}</title><guid>{title[:6]}</guid></item>" for title in titles)
    body = f"<rss version='2.0'><channel><title>Wire</title>{items}</channel></rss>".encode()
    with Web(lambda request: request.reply(200, body)) as web:
        assert code_of(cluster, "--source", web.url.replace("http", "HTTP"), "--once") == 0
    assert sorted(record.key() for record in cluster.read("news")) == [b"after", b"before"]
    account = lines[-1]
    assert (account["read"], account["sent"], account["delivered"], account["why"]) == (3, 2, 2, {"too_large": 1})
    (warning,) = [line["reason"] for line in lines if line["log_level"] == "warning"]
    assert "a record of 12000" in warning
    assert "is larger than topic news takes (max.message.bytes=1048588)" in warning


def test_the_account_has_time_rate_requests_and_bytes(cluster: MockCluster, lines: list[Any]) -> None:
    assert code_of(cluster, "--format", "string", "--rounds", "20", "--compression", "gzip") == 0
    account = lines[-1]
    records = cluster.read("mytopic")
    assert account["record_bytes"] == sum(len(record.key() or b"") + len(record.value() or b"") for record in records)
    assert 0 < account["requests"] <= 840
    assert account["wire_bytes"] > 0
    # The line has hundredths of a second.
    assert 840 / (account["seconds"] + 0.006) - 1 <= account["per_second"] <= 840 / (account["seconds"] - 0.006) + 1


def test_skewed_keys_are_hot_and_repeatable(cluster: MockCluster) -> None:
    for _ in range(2):
        assert code_of(cluster, "--format", "string", "--rounds", "10", "--key", "skewed", "--seed", "3") == 0
    keys = Counter(message.key() for message in cluster.read("mytopic"))
    assert all(number % 2 == 0 for number in keys.values()), "both runs drew the same keys"
    assert 600 < keys[b"key0"] < 744
    assert keys.keys() <= {b"key%d" % number for number in range(21)}
