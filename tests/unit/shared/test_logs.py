"""What reaches a service's log, from its own lines and from librdkafka's."""

import json
import logging
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from newsroom.logs import LIBRDKAFKA, configure_logging
from support.waiting import wait_for

REFUSED = (
    "[thrd:b2:9092/2]: b2:9092/2: Connect to ipv4#10.0.0.2:9092 failed: Connection refused (after 0ms in state CONNECT)"
)


@pytest.fixture(autouse=True)
def restored_filters() -> Iterator[None]:
    clients = [logging.getLogger(name) for name in LIBRDKAFKA]
    before = [list(client.filters) for client in clients]
    yield
    for client, filters in zip(clients, before, strict=True):
        client.filters = filters


def say(facility: str, text: str, level: int = logging.ERROR) -> None:
    """A line of each client, in the form in which confluent-kafka hands librdkafka's on."""
    for name in LIBRDKAFKA:
        logging.getLogger(name).log(level, "%s [%s] %s", facility, "rdkafka#producer-1", text)


def lines(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(event["level"], event["event"]) for event in events]


NOISE = [
    ("FAIL", REFUSED),
    ("FAIL", "b1:9092/1: Disconnected (after 178057ms in state UP)"),
    ("FAIL", "b1:9092/1: Connection setup timed out in state CONNECT (after 30029ms in state CONNECT)"),
    ("FAIL", "b1:9092/1: Receive failed: Connection reset by peer (after 10ms in state UP)"),
    ("FAIL", "b1:9092/1: 62 request(s) timed out: disconnect (after 178057ms in state UP)"),
    ("REQTMOUT", "b1:9092/1: Timed out 1 in-flight, 0 retry-queued, 0 out-queue, 0 partially-sent requests"),
    ("REQTMOUT", "b1:9092/1: Timed out FetchRequest in flight (after 60000ms, timeout #0)"),
    ("ERROR", "3/3 brokers are down"),
]

NEWS = [
    ("FAIL", "sasl_ssl://b1:9092/bootstrap: SASL authentication error: Authentication failed"),
    ("FAIL", "ssl://b1:9092/bootstrap: SSL handshake failed: certificate verify failed"),
    ("FAIL", "ssl://b1:9092/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?"),
    ("FAIL", "nohost:9092/bootstrap: Failed to resolve 'nohost:9092': Name or service not known"),
    ("FATAL", "Fatal error: Local: Fenced: this instance was fenced"),
    ("MAXPOLL", "Application maximum poll interval (300000ms) exceeded by 42ms"),
]


@pytest.mark.parametrize(("facility", "text"), NOISE)
def test_connections_that_come_and_go_are_debug_lines(
    facility: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("svc", log_format="json", level="info")
    say(facility, text)
    assert lines(capsys) == []
    configure_logging("svc", log_format="json", level="debug")
    say(facility, text)
    assert lines(capsys) == [("debug", f"{facility} [rdkafka#producer-1] {text}")] * len(LIBRDKAFKA)


@pytest.mark.parametrize(("facility", "text"), NEWS)
def test_what_does_not_heal_by_itself_keeps_its_level(
    facility: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("svc", log_format="json", level="info")
    say(facility, text)
    assert lines(capsys) == [("error", f"{facility} [rdkafka#producer-1] {text}")] * len(LIBRDKAFKA)


def test_a_real_client_of_a_dead_broker_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("svc", log_format="json", level="info")
    records: list[object] = []
    client = logging.getLogger(LIBRDKAFKA[0])

    def see(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    client.filters.insert(0, see)
    producer = Producer({"bootstrap.servers": "127.0.0.1:1"}, logger=client)
    wait_for("a complaint of librdkafka", lambda: producer.poll(0.1) or records)
    assert lines(capsys) == []


def test_other_loggers_may_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("svc", log_format="json", level="info")
    logging.getLogger("else").error("%s [%s] %s", "FAIL", "x", REFUSED)
    assert [level for level, _ in lines(capsys)] == ["error"]
